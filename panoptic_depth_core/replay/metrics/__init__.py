# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The metrics of recordings: those of data sets, and what else a recording can be judged by.

Each is a file here and a line in OTHERS; one that data sets have too belongs into
``evaluation.metrics``.
"""

from __future__ import annotations

from ...evaluation.metrics import METRICS
from ...evaluation.metrics.base import Metrics
from ...evaluation.metrics.tracking import TrackingMetric
from .agreement import AgreementMetric
from .boxes import BoxDistance
from .consistency import ConsistencyMetric
from .lidar import LidarCalibration, LidarDepth, LidarDistance

OTHERS: Metrics = {metric.name: metric for metric in (
    LidarDepth,
    LidarCalibration,
    LidarDistance,
    BoxDistance,
    TrackingMetric,
    ConsistencyMetric,
    AgreementMetric,
)}


def all_metrics() -> Metrics:
    """Every metric of a recording."""
    return {**METRICS, **OTHERS}
