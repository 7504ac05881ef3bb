# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""mIoU on frames with semantics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..semantic_iou import SemanticIou, SemanticIouResult
from .base import Metric
from .frame import JudgedFrame, Rules
from .panoptic import STUFF, of_classes
from .shown import ClassColumn, FigureKind, Record, percent


class SemanticMetric(Metric[SemanticIouResult]):
    """Classes against classes."""

    name, title, part, counted = 'semantic', 'Semantic segmentation', 'labels', 'semantics'
    place, breakdowns = 3, ()
    truth, needs = frozenset(('semantics',)), STUFF
    kinds = {'miou': FigureKind('IoU of classes, mean (mIoU)', 'share', 'higher',
                                'Mean over the classes that have pixels enough.', is_key=True)}
    meanings = {'': 'mIoU: overlap of the classes by pixel, whatever the instances.'}
    class_header = ('IoU', 'share of pixels')
    class_columns = (ClassColumn(4, 'IoU', ('by_class', 'iou', '*')),)

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.sums = SemanticIou(rules.classes)

    def update(self, frame: JudgedFrame) -> None:
        """Count its pixels."""
        self.sums.update(frame.overlaps)

    def result(self) -> SemanticIouResult:
        """IoU of every class, and their mean."""
        found: SemanticIouResult = self.sums.result(self.rules.settings.min_truth_share)
        return found

    def values(self) -> Iterator[tuple[str, float, str]]:
        """The mean."""
        yield 'miou', self.found.mean, self._on

    @property
    def _on(self) -> str:
        return f'{self.frames} frames, {int(self.found.counted.sum())} classes'

    def record(self) -> Record:
        """A single frame has too few classes for a mean."""
        return {'pixel_accuracy': self.result().pixel_accuracy}

    def detail(self) -> Record:
        """The mean, and by class."""
        found, names = self.found, self.rules.class_names
        return {'miou': found.mean, 'classes_counted': int(found.counted.sum()),
                'pixel_accuracy': found.pixel_accuracy,
                'by_class': {key: of_classes(getattr(found, key), names)
                             for key in ('iou', 'truth_share', 'counted')}}

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """The mean."""
        yield 'mIoU', percent(self.found.mean), self._on

    def by_class(self) -> Mapping[int, Sequence[str]]:
        """Also how frequent a class is."""
        found = self.found
        return {i: (percent(found.iou[i]), percent(found.truth_share[i], 2))
                for i in range(len(found.iou))}

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        """Which classes count."""
        return [f'mIoU: classes with at least {100 * settings["min_truth_share"]:g} % of the '
                'labelled pixels; a predicted void is a miss.']
