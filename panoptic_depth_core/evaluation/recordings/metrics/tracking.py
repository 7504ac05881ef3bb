# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""How well track ids stay with things, of sequences whose results have any."""

from __future__ import annotations

from dataclasses import asdict

from ....contract import NEEDS_INSTANCES
from ....errors import ConfigError
from ...metrics.base import Metric
from ...metrics.frame import JudgedFrame, Rules
from ...metrics.shown import FigureKind, Record
from ...metrics.tracking_metrics import TrackingMetrics, TrackingResult


class TrackingMetric(Metric[TrackingResult | None]):
    """True instances that keep their track id; a sequence without any was not tracked."""

    name, title, part, place, root = 'tracking', 'Tracking', '', 7, 'all.'
    truth, needs = frozenset(('instances',)), NEEDS_INSTANCES
    kinds = {
        'switches': FigureKind('id switches, true labels', 'count', 'lower',
                               'Things whose track id is another than when last tracked.'),
        'fragments': FigureKind('tracks interrupted (fragments), true labels', 'count', 'lower',
                                'Things that are tracked again after they were missed.'),
        'mota': FigureKind('tracking accuracy (MOTA), true labels', 'share', 'higher',
                           '1 - (missed + false positives + switches) / true instances.'),
        'idf1': FigureKind('F1 of track ids (IDF1), true labels', 'share', 'higher', 'F1 of '
                           'instances under the best assignment of one track to each thing.',
                           is_key=True)}
    meanings = {'': 'Tracking: track ids against the instance ids of true labels, which must stay '
                    'with a thing from frame to frame.'}

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self._sequences: dict[str, TrackingMetrics] = {}
        self._tracked: set[str] = set()

    def update(self, frame: JudgedFrame) -> None:
        """Frames in which nothing is tracked count too: what is in them was missed."""
        tracks = {d.segment.panoptic_id: d.track_id for d in frame.result.distances}
        self._of(frame.sequence).update(frame.overlaps, frame.truth.instance_classes, tracks,
                                        frame.sequence)
        if max(tracks.values(), default=-1) >= 0:
            self._tracked.add(frame.sequence)

    def _of(self, sequence: str) -> TrackingMetrics:
        return self._sequences.setdefault(sequence, TrackingMetrics(self.rules.classes))

    def merge(self, other: TrackingMetric) -> None:
        super().merge(other)
        for sequence, metrics in other._sequences.items():
            self._of(sequence).merge(metrics)
        self._tracked |= other._tracked

    def result(self) -> TrackingResult | None:
        """None without tracks, or without scipy, which assigns tracks to things."""
        total = TrackingMetrics(self.rules.classes)
        for sequence, metrics in self._sequences.items():
            if sequence in self._tracked:
                total.merge(metrics)
        try:
            return total.result() if self._tracked else None
        except ConfigError:
            return None

    @property
    def measured(self) -> bool:
        return self.found is not None

    def on(self, end: str) -> str:
        assert self.found is not None
        return f'{self.found.frames} frames, {self.found.all.things} things'

    def detail(self) -> Record:
        assert self.found is not None
        return asdict(self.found.all)
