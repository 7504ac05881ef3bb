# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The metrics of recordings: those of data sets, and what else a recording can be judged by.

Each is in a file here and has a line in OTHERS; one that data sets have too belongs into
``evaluation.metrics``.
"""

from __future__ import annotations

from ...metrics import METRICS
from ...metrics.base import Metrics, table_of

OTHERS = table_of(
    __name__,
    'lidar:LidarDepth',
    'lidar:LidarCalibration',
    'lidar:LidarDistance',
    'boxes:BoxDistance',
    'tracking:TrackingMetric',
    'consistency:ConsistencyMetric',
    'agreement:AgreementMetric',
)


def all_metrics() -> Metrics:
    """Every metric of a recording."""
    return {**METRICS, **OTHERS}
