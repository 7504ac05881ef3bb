# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The metrics of data sets: each is a file here and a line in METRICS.

Whatever shows figures goes over this table, and so do the tests. What recordings have besides is
in ``replay.metrics``.
"""

from __future__ import annotations

from .base import table_of

METRICS = table_of(
    __name__,
    'panoptic:PanopticMetric',
    'depth_aware:DepthAwareMetric',
    'semantic:SemanticMetric',
    'depth:DepthMetric',
    'calibration:CalibrationMetric',
    'distance:DistanceMetric',
)
