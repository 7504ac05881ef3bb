# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Mean intersection over union of the classes of a panoptic image.

Pixels whose true class is not known do not count; those without a predicted class are misses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...labels import CITYSCAPES, VOID_CLASS, ClassInfo
from .segment_overlaps import SegmentOverlaps


@dataclass(frozen=True)
class SemanticIouResult:
    """
    IoU per class, 0..1, over the pixels whose true class is known.

    :param mean: over the classes that ``counted`` marks; NaN where there are none.
    :param iou: (C,) float64; NaN where the class is in no truth and no prediction.
    :param truth_share: (C,) float64 share of the class in the known pixels of the set.
    :param counted: (C,) bool.
    :param pixel_accuracy: share of known pixels with the right class.
    :param frames: number of frames.
    """

    mean: float
    iou: NDArray[np.float64]
    truth_share: NDArray[np.float64]
    counted: NDArray[np.bool_]
    pixel_accuracy: float
    frames: int


class SemanticIou:
    """
    Counts classes against classes over frames; a predicted void is a miss.

    :param classes: the table; a class id is a row of it.
    """

    def __init__(self, classes: Sequence[ClassInfo] = CITYSCAPES) -> None:
        count = len(classes)
        # One more column, for pixels that were given no class.
        self._confusion = np.zeros((count, count + 1), np.int64)
        self._frames = 0

    def update(self, overlaps: SegmentOverlaps) -> None:
        """
        Add one frame, one whose classes are complete.

        :raises ValueError: when an id is of a class that is not in the table.
        """
        count = len(self._confusion)
        overlaps.require_classes(count)
        known = overlaps.truth_class != VOID_CLASS
        rows = overlaps.truth_class[known]
        columns = np.minimum(overlaps.predicted_class, count)
        np.add.at(self._confusion, (rows[:, None], columns[None, :]), overlaps.pixels[known])
        self._frames += 1

    def merge(self, other: SemanticIou) -> None:
        """Add the frames that another one counted with the same classes."""
        self._confusion += other._confusion
        self._frames += other._frames

    def result(self, min_truth_share: float = 0.0) -> SemanticIouResult:
        """
        IoU of all frames so far.

        :param min_truth_share: classes with less of the known pixels are not in the mean. With 0,
            every class is that the truth or the prediction holds.
        """
        truth = self._confusion.sum(axis=1)
        correct = np.diagonal(self._confusion)
        union = truth + self._confusion[:, :-1].sum(axis=0) - correct
        total = max(int(truth.sum()), 1)
        share = truth / total if truth.any() else np.full(len(truth), np.nan)
        iou = np.divide(correct, union, out=np.full(len(union), np.nan), where=union > 0)
        counted = (union > 0) & (share >= min_truth_share)
        return SemanticIouResult(
            mean=float(iou[counted].mean()) if counted.any() else np.nan, iou=iou,
            truth_share=share, counted=counted,
            pixel_accuracy=float(correct.sum() / total) if truth.any() else np.nan,
            frames=self._frames)
