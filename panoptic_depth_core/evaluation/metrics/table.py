# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The table of all metrics, and the names of their values, which thresholds and reports use.

A metric is a class in a file of this folder and a line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .agreement import AgreementMetric
from .base import Metric
from .calibration import CalibrationMetric, LidarCalibration
from .consistency import ConsistencyMetric
from .depth import DepthMetric, LidarDepth
from .depth_aware import DepthAwareMetric
from .distance import BoxDistance, DistanceMetric, LidarDistance
from .panoptic import PanopticMetric
from .semantic import SemanticMetric
from .shown import MetricKind, Record
from .tracking import TrackingMetric
from .unknown_objects import UnknownObjectsMetric

METRICS: dict[str, type[Metric[Any]]] = {metric.name: metric for metric in (
    PanopticMetric,
    DepthAwareMetric,
    SemanticMetric,
    DepthMetric,
    CalibrationMetric,
    DistanceMetric,
    UnknownObjectsMetric,
    LidarDepth,
    LidarCalibration,
    LidarDistance,
    BoxDistance,
    TrackingMetric,
    ConsistencyMetric,
    AgreementMetric,
)}
"""By name; data sets have those without ``recordings_only``."""

COUNTS = {
    'bags.failed': MetricKind('recordings that failed', 'count', 'lower',
                              'Recordings that could not be scored.'),
    'frames.scored': MetricKind('frames scored', 'count', 'higher', 'Frames of all recordings.'),
    'frames.skipped': MetricKind('frames skipped', 'count', 'lower',
                                 'Images that could not be used, by reason in the report.')}
"""Of the recordings themselves."""

TIMES = {f'times.total_ms.{q}': MetricKind(f'time of a frame, {q}', 'ms', 'lower',
                                           'Reading, model and scoring of a frame.')
         for q in ('p50', 'p95', 'p99', 'max')}
"""What two runs of one recording may differ in; kept apart, in times.json."""


def in_place() -> list[type[Metric[Any]]]:
    """METRICS in the order in which reports show them."""
    return sorted(METRICS.values(), key=lambda metric: metric.place)


def metric_kinds() -> dict[str, MetricKind]:
    """Name -> what it is, in the order of reports."""
    return {**COUNTS, **{f'{metric.prefix}.{end}': kind for metric in in_place()
                         for end, kind in metric.kinds.items()}}


def known_kinds() -> dict[str, MetricKind]:
    """All that a threshold can be set on."""
    return {**metric_kinds(), **TIMES}


def _of_frames() -> dict[str, MetricKind]:
    """Name in a frame's record -> what it is."""
    return {f'{metric.part}.{end}': kind for metric in in_place()
            for end, kind in metric.kinds.items()}


def ranking_kinds() -> dict[str, MetricKind]:
    """Values by which frames are ranked and compared, in order of preference."""
    return dict(sorted(((name, kind) for name, kind in _of_frames().items() if kind.worst),
                       key=lambda entry: entry[1].worst))


def ranking() -> dict[str, str]:
    """Name in WorstSettings.by -> value of a frame, in order of preference."""
    return {name.partition('.')[0]: name for name in ranking_kinds()}


def kinds_over_time() -> dict[str, MetricKind]:
    """Values of frames that are plotted over time."""
    return {name: kind for name, kind in _of_frames().items() if kind.over_time}


def detail_path(metric: type[Metric[Any]]) -> list[str]:
    """Place of the detail of a metric; the same measure by several truths is together."""
    if not metric.recordings_only and '.' not in metric.prefix:
        return ['evaluation', metric.section]
    return metric.prefix.split('.')


def detail_of(metric: type[Metric[Any]], detail: Mapping[str, Any]) -> Record:
    """The detail of a metric in that of a report; empty where there is none."""
    found: Any = detail
    for key in detail_path(metric):
        found = (found or {}).get(key)
    return found or {}
