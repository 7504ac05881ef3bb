# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""mIoU on frames with semantics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...contract import NEEDS_SEMANTIC
from .base import Metric
from .frame import JudgedFrame, Rules
from .panoptic import of_classes
from .semantic_iou import SemanticIou, SemanticIouResult
from .shown import Column, FigureKind, Record, percent


class SemanticMetric(Metric[SemanticIouResult]):
    """Classes against classes."""

    name, title, part, counted = 'semantic', 'Semantic segmentation', 'labels', 'semantics'
    place, breakdowns = 3, ()
    truth, needs = frozenset(('semantics',)), NEEDS_SEMANTIC
    kinds = {'miou': FigureKind('IoU of classes, mean (mIoU)', 'share', 'higher',
                                'Mean over the classes that have pixels enough.', path='mean',
                                is_key=True)}
    meanings = {'': 'mIoU: overlap of the classes by pixel, whatever the instances.'}
    class_columns = {4: Column('by_class.iou.*', 'IoU')}
    error_columns = (Column('iou', 'IoU'), Column('truth_share', 'share of pixels'))

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.sums = SemanticIou(rules.classes)

    def update(self, frame: JudgedFrame) -> None:
        self.sums.update(frame.overlaps)

    def result(self) -> SemanticIouResult:
        found: SemanticIouResult = self.sums.result(self.rules.settings.min_truth_share)
        return found

    def on(self, end: str) -> str:
        return f'{self.frames} frames, {int(self.found.counted.sum())} classes'

    def record(self) -> Record:
        return {'pixel_accuracy': self.result().pixel_accuracy}

    def detail(self) -> Record:
        found, names = self.found, self.rules.class_names
        return {'miou': found.mean, 'classes_counted': int(found.counted.sum()),
                'pixel_accuracy': found.pixel_accuracy,
                'by_class': {key: of_classes(getattr(found, key), names)
                             for key in ('iou', 'truth_share', 'counted')}}

    def rows(self) -> Iterator[tuple[str, str, str]]:
        yield 'mIoU', percent(self.found.mean), self.on('miou')

    def by_class(self) -> Mapping[int, Sequence[str]]:
        found = self.found
        return {i: (percent(found.iou[i]), percent(found.truth_share[i], 2))
                for i in range(len(found.iou))}

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        return [f'mIoU: classes with at least {100 * settings["min_truth_share"]:g} % of the '
                'labelled pixels; a predicted void is a miss.']
