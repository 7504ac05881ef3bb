# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""How far results agree with those of another recording; neither is the truth."""

from __future__ import annotations

from ...contract import Task
from ...evaluation.metrics.base import Metric
from ...evaluation.metrics.depth import DEPTH
from ...evaluation.metrics.distance import PLACED
from ...evaluation.metrics.frame import JudgedFrame, Rules
from ...evaluation.metrics.panoptic import SEGMENTS, STUFF, THINGS
from ...evaluation.metrics.shown import FigureKind, Record
from ..agreement import AgreementMetrics, AgreementResult
from .frame import of_recording


class AgreementMetric(Metric[AgreementResult]):
    """Results of the same images."""

    name, title, place = 'agreement', 'Agreement with the other recording', 9
    truth, needs = frozenset(('reference',)), frozenset()
    kinds = {
        'identical_frames': FigureKind('frames identical bit for bit', 'count', 'higher',
                                       'Frames whose ids and depths are equal.'),
        'same_class_share': FigureKind(
            'pixels of the same class as in the reference', 'share', 'higher',
            'Share of all pixels.', STUFF, is_key=True),
        'same_segment_share': FigureKind(
            'pixels of the same segment as in the reference', 'share', 'higher',
            'Share of all pixels; segments match as in PQ.', SEGMENTS, any_task=True),
        'depth_known_in_one_share': FigureKind(
            'pixels with a depth in one result alone', 'share', 'lower', 'Share of all pixels.',
            DEPTH),
        **{f'depth_{end}_log': FigureKind(
            f'depth against the reference, |ln ratio|, {words}', 'share', 'lower',
            'Of the pixels with a depth in both.', DEPTH)
           for end, words in (('median', 'median'), ('p99', '99 %'), ('max', 'greatest'))},
        'instances_matched': FigureKind('instances in both results', 'count', 'higher',
                                        'Things that both have, by class and IoU.', THINGS),
        'instances_only_result': FigureKind('instances only here', 'count', 'lower',
                                            'Things that the reference does not have.', THINGS),
        'instances_only_reference': FigureKind(
            'instances only in the reference', 'count', 'lower',
            'Things that the reference alone has.', THINGS),
        'distance_median_rel': FigureKind(
            'distances against the reference, relative, median', 'share', 'lower',
            'Of the instances that both have.', PLACED)}
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
