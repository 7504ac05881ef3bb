# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Mean intersection over union of the classes of a panoptic image, on frames with semantics.

Pixels whose true class is not known do not count; those without a predicted class are misses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...contract import NEEDS_SEMANTIC
from ...labels import VOID_CLASS
from .base import Metric
from .frame import JudgedFrame, Rules
from .panoptic import of_classes
from .segment_overlaps import SegmentOverlaps
from .shown import Column, MetricKind, Record, percent


@dataclass(frozen=True)
class SemanticIouResult:
    """
    IoU per class, 0..1, over the pixels whose true class is known.

    :param mean: over the classes that ``counted`` marks; NaN where there are none.
    :param iou: (C,) float64; NaN where the class is in no truth and no prediction.
    :param truth_share: (C,) float64 share of the class in the known pixels of the set.
    :param counted: (C,) bool.
    :param pixel_accuracy: share of known pixels with the right class.
    """

    mean: float
    iou: NDArray[np.float64]
    truth_share: NDArray[np.float64]
    counted: NDArray[np.bool_]
    pixel_accuracy: float


class SemanticMetric(Metric[SemanticIouResult]):
    """Classes against classes."""

    name, title, part, counted = 'semantic', 'Semantic segmentation', 'labels', 'semantics'
    place, breakdowns = 3, ()
    truth, needs = frozenset(('semantics',)), NEEDS_SEMANTIC
    kinds = {'miou': MetricKind('IoU of classes, mean (mIoU)', 'share', 'higher',
                                'Mean over the classes with enough pixels.', path='mean',
                                is_key=True)}
    meanings = {'': 'mIoU: overlap of the classes by pixel, whatever the instances.'}
    class_columns = {4: Column('by_class.iou.*', 'IoU')}
    error_columns = (Column('iou', 'IoU'), Column('truth_share', 'share of pixels'))

    _confusion: NDArray[np.int64]

    def __init__(self, rules: Rules | None = None) -> None:
        super().__init__(rules)
        count = len(self.rules.classes)
        # One more column, for pixels without a predicted class.
        self._confusion = np.zeros((count, count + 1), np.int64)

    def update(self, frame: JudgedFrame) -> None:
        self.count(frame.overlaps)

    def count(self, overlaps: SegmentOverlaps) -> None:
        """
        Count one frame whose classes are complete.

        :raises ValueError: when an id is of a class that is not in the table.
        """
        count = len(self._confusion)
        overlaps.require_classes(count)
        known = overlaps.truth_class != VOID_CLASS
        rows = overlaps.truth_class[known]
        columns = np.minimum(overlaps.predicted_class, count)
        np.add.at(self._confusion, (rows[:, None], columns[None, :]), overlaps.pixels[known])

    def merge(self, other: SemanticMetric) -> None:
        super().merge(other)
        self._confusion += other._confusion

    def result(self) -> SemanticIouResult:
        """IoU of all frames so far; classes with few of the known pixels are not in the mean."""
        truth = self._confusion.sum(axis=1)
        correct = np.diagonal(self._confusion)
        union = truth + self._confusion[:, :-1].sum(axis=0) - correct
        total = max(int(truth.sum()), 1)
        share = truth / total if truth.any() else np.full(len(truth), np.nan)
        iou = np.divide(correct, union, out=np.full(len(union), np.nan), where=union > 0)
        counted = (union > 0) & (share >= self.rules.settings.min_truth_share)
        return SemanticIouResult(
            mean=float(iou[counted].mean()) if counted.any() else np.nan, iou=iou,
            truth_share=share, counted=counted,
            pixel_accuracy=float(correct.sum() / total) if truth.any() else np.nan)

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
