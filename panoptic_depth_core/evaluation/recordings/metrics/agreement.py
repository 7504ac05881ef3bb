# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""How far results agree with those of another recording; neither is the truth."""

from __future__ import annotations

from ....contract import (
    NEEDS_DEPTH,
    NEEDS_INSTANCES,
    NEEDS_LABELS,
    NEEDS_POSITIONS,
    NEEDS_SEMANTIC,
    Task,
)
from ...metrics.base import Metric
from ...metrics.frame import JudgedFrame, Rules
from ...metrics.shown import Better, FigureKind, Record
from ..agreement import AgreementMetrics, AgreementResult
from .frame import of_recording

_INSTANCES: tuple[tuple[str, str, Better, str], ...] = (
    ('matched', 'instances in both results', 'higher', 'Things that both have, by class and IoU.'),
    ('only_result', 'instances only here', 'lower', 'Things that the reference does not have.'),
    ('only_reference', 'instances only in the reference', 'lower', 'Things that it alone has.'))


class AgreementMetric(Metric[AgreementResult]):
    """Results of the same images."""

    name, title, place = 'agreement', 'Agreement with the other recording', 9
    truth, needs = frozenset(('reference',)), ()
    kinds = {
        'identical_frames': FigureKind('frames identical bit for bit', 'count', 'higher',
                                       'Frames whose ids and depths are equal.'),
        'same_class_share': FigureKind(
            'pixels of the same class as in the reference', 'share', 'higher',
            'Share of all pixels.', NEEDS_SEMANTIC, is_key=True),
        'same_segment_share': FigureKind(
            'pixels of the same segment as in the reference', 'share', 'higher',
            'Share of all pixels; segments match as in PQ.', NEEDS_LABELS),
        'depth_known_in_one_share': FigureKind(
            'pixels with a depth in one result alone', 'share', 'lower', 'Share of all pixels.',
            NEEDS_DEPTH),
        **{f'depth_{end}_log': FigureKind(
            f'depth against the reference, |ln ratio|, {words}', 'share', 'lower',
            'Of the pixels with a depth in both.', NEEDS_DEPTH)
           for end, words in (('median', 'median'), ('p99', '99 %'), ('max', 'greatest'))},
        **{f'instances_{end}': FigureKind(words, 'count', better, meaning, NEEDS_INSTANCES)
           for end, words, better, meaning in _INSTANCES},
        'distance_median_rel': FigureKind(
            'distances against the reference, relative, median', 'share', 'lower',
            'Of the instances that both have.', NEEDS_POSITIONS)}
    meanings = {'': 'Agreement: two results of the same images against each other. Neither of '
                    'them is the truth.'}

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.sums = AgreementMetrics(rules.classes)

    def tasks_of(self, frame: JudgedFrame) -> frozenset[Task]:
        """What both results hold."""
        reference = of_recording(frame).item.reference
        assert reference is not None
        return frame.result.tasks & reference.tasks

    def update(self, frame: JudgedFrame) -> None:
        self.sums.update(frame.result, of_recording(frame).item.reference)

    def record(self) -> Record:
        return vars(self.result())

    @property
    def measured(self) -> bool:
        """Whether results were of one size."""
        return self.found.frames > 0

    def on(self, end: str) -> str:
        return f'{self.found.frames} frames'
