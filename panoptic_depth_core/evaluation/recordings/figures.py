# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The figures of a report by name: what thresholds are set on and reports are compared by.

All but counts and times are those of the metrics.
"""

from __future__ import annotations

from ..metrics.base import in_place
from ..metrics.shown import FigureKind
from .metrics import all_metrics

COUNTS = {
    'bags.failed': FigureKind('recordings that failed', 'count', 'lower',
                              'Recordings that could not be scored.'),
    'frames.scored': FigureKind('frames scored', 'count', 'higher', 'Frames of all recordings.'),
    'frames.skipped': FigureKind('frames skipped', 'count', 'lower',
                                 'Images that could not be used, by reason in the report.')}
"""Of the recordings themselves."""

TIMES = {f'times.total_ms.{q}': FigureKind(f'time of a frame, {q}', 'ms', 'lower',
                                           'Reading, model and scoring of a frame.')
         for q in ('p50', 'p95', 'p99', 'max')}
"""What two runs of one recording may differ in; kept apart, in times.json."""


def figure_kinds() -> dict[str, FigureKind]:
    """Name -> what it is, in the order of reports."""
    return {**COUNTS, **{f'{metric.prefix}.{end}': kind for metric in in_place(all_metrics())
                         for end, kind in metric.kinds.items()}}


def known_kinds() -> dict[str, FigureKind]:
    """All that a threshold can be set on."""
    return {**figure_kinds(), **TIMES}


def _of_frames() -> dict[str, FigureKind]:
    """Part and figure of a frame's record."""
    return {f'{metric.part}.{end}': kind for metric in in_place(all_metrics())
            for end, kind in metric.kinds.items()}


def ranking_kinds() -> dict[str, FigureKind]:
    """Figures by which frames are ranked and compared, in the order in which one is chosen."""
    return dict(sorted(((name, kind) for name, kind in _of_frames().items() if kind.worst),
                       key=lambda entry: entry[1].worst))


def kinds_over_time() -> dict[str, FigureKind]:
    """Figures of frames that are plotted over time."""
    return {name: kind for name, kind in _of_frames().items() if kind.over_time}
