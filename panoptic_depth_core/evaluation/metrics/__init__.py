# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The metrics of data sets: each is a file here and a line in METRICS.

Whatever shows figures goes over this table, and so do the tests. What recordings have besides is
in ``replay.metrics``.
"""

from __future__ import annotations

from .base import Metrics
from .calibration import CalibrationMetric
from .depth import DepthMetric
from .depth_aware import DepthAwareMetric
from .distance import DistanceMetric
from .panoptic import PanopticMetric
from .semantic import SemanticMetric

METRICS: Metrics = {metric.name: metric for metric in (
    PanopticMetric,
    DepthAwareMetric,
    SemanticMetric,
    DepthMetric,
    CalibrationMetric,
    DistanceMetric,
)}
