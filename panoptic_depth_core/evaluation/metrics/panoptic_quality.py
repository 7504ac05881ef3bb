# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Panoptic quality (Kirillov et al., Panoptic Segmentation, CVPR 2019), also on partial labels.

PQ = SQ * RQ, with SQ the mean IoU of the matched segments and RQ = TP / (TP + FP/2 + FN/2).
All of it in 0..1. The conventions in which published evaluations differ have names here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...labels import CITYSCAPES, ClassInfo
from .segment_overlaps import SegmentOverlaps, of_class

AbsentClasses = Literal['leave_out', 'zero', 'nan']
"""
What a class that is neither in the truth nor in the prediction does to a mean over classes.

leave_out: it is not in the mean (panopticapi, torchmetrics); zero: it counts as 0 (the published
evaluation of PanopticDepth); nan: the mean is NaN (the evaluation of ViP-DeepLab). Classes that
no frame could judge, for want of labels, are in no mean.
"""

CrowdRule = Literal['same_class', 'any_class', 'none']
"""
What thing pixels with instance 0 in the truth do to a prediction that lies mostly on them.

same_class: no false positive if it is of their class (panopticapi); any_class: none in any case
(for labels in which the class of a crowd is loose, as vans among cars are in KITTI); none: there
are no crowds, these pixels are one more instance (the published evaluation of PanopticDepth).
"""


@dataclass(frozen=True)
class Quality:
    """
    Mean over a group of classes, 0..1; NaN where the group is empty.

    :param class_count: classes in the mean.
    """

    pq: float
    sq: float
    rq: float
    class_count: int


@dataclass(frozen=True)
class PanopticQualityResult:
    """
    Panoptic quality of a set of frames.

    :param pq, sq, rq: (C,) float64 0..1; NaN where the class is in no truth or prediction.
    :param true_positives, false_positives, false_negatives: (C,) int64 segments.
    :param frames: (C,) int64 frames whose labels could judge the class.
    """

    all: Quality
    things: Quality
    stuff: Quality
    pq: NDArray[np.float64]
    sq: NDArray[np.float64]
    rq: NDArray[np.float64]
    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    false_negatives: NDArray[np.int64]
    frames: NDArray[np.int64]
    absent: AbsentClasses


class PanopticQuality:
    """
    Counts matches over frames.

    :param classes: the table; a class id is a row of it.
    """

    def __init__(self, classes: Sequence[ClassInfo] = CITYSCAPES,
                 crowds: CrowdRule = 'same_class') -> None:
        self.crowds = crowds
        self._is_thing = np.array([c.is_thing for c in classes], np.bool_)
        count = len(self._is_thing)
        self._iou_sum = np.zeros(count, np.float64)
        self._tp, self._fp, self._fn, self._frames = np.zeros((4, count), np.int64)

    def update(self, overlaps: SegmentOverlaps,
               judged: NDArray[np.bool_] | None = None) -> None:
        """
        Add one frame.

        Thing pixels of the prediction with instance 0 claim no instance, and count as void.

        :param judged: (C,) bool classes of which this frame's truth holds every segment; pixels
            of other thing classes are crowd. All of them by default.
        :raises ValueError: when an id is of a class that is not in the table.
        """
        count = len(self._is_thing)
        overlaps.require_classes(count)
        judged = np.ones(count, np.bool_) if judged is None else np.asarray(judged, np.bool_)
        truth_class, predicted_class = overlaps.truth_class, overlaps.predicted_class

        judged_truth = of_class(judged, truth_class)
        crowd = of_class(self._is_thing, truth_class) & ~overlaps.truth_void & (
            ~judged_truth | (overlaps.truth_instance == 0))
        claims = of_class(judged, predicted_class)
        if self.crowds == 'none':
            crowd[:] = False
        else:
            claims &= ~(of_class(self._is_thing, predicted_class)
                        & (overlaps.predicted_instance == 0))
        segments = judged_truth & ~overlaps.truth_void & ~crowd

        rows, columns, iou = overlaps.matches()
        valid = segments[rows] & claims[columns]
        rows, columns, iou = rows[valid], columns[valid], iou[valid]
        missed, false = segments.copy(), claims & ~overlaps.excused(
            crowd[:, None] & (truth_class[:, None] == predicted_class)
            if self.crowds == 'same_class' else crowd[:, None])
        missed[rows] = False
        false[columns] = False

        self._iou_sum += np.bincount(truth_class[rows], weights=iou, minlength=count)
        self._tp += np.bincount(truth_class[rows], minlength=count)
        self._fn += np.bincount(truth_class[missed], minlength=count)
        self._fp += np.bincount(predicted_class[false], minlength=count)
        self._frames += judged

    def merge(self, other: PanopticQuality) -> None:
        """Add the frames that another one counted with the same classes and rules."""
        self._iou_sum += other._iou_sum
        self._tp += other._tp
        self._fp += other._fp
        self._fn += other._fn
        self._frames += other._frames

    def result(self, absent: AbsentClasses = 'leave_out') -> PanopticQualityResult:
        """Panoptic quality of all frames so far."""
        errors = 0.5 * (self._fp + self._fn)
        total = self._tp + errors
        present = total > 0
        nan = np.full(len(total), np.nan)
        pq = np.divide(self._iou_sum, total, out=nan.copy(), where=present)
        rq = np.divide(self._tp, total, out=nan.copy(), where=present)
        # Nothing matched is a segmentation quality of 0, not an unknown one.
        sq = np.where(present, self._iou_sum / np.maximum(self._tp, 1), np.nan)
        judged = self._frames > 0

        def mean(group: NDArray[np.bool_]) -> Quality:
            members = group & judged & present if absent == 'leave_out' else group & judged
            count = int(members.sum())
            values = np.array([pq, sq, rq])[:, members]
            if absent == 'zero':
                values = np.nan_to_num(values, nan=0.0)
            mean_pq, mean_sq, mean_rq = values.mean(axis=1).tolist() if count else [np.nan] * 3
            return Quality(mean_pq, mean_sq, mean_rq, count)

        return PanopticQualityResult(
            all=mean(judged), things=mean(self._is_thing), stuff=mean(~self._is_thing),
            pq=pq, sq=sq, rq=rq, true_positives=self._tp.copy(),
            false_positives=self._fp.copy(), false_negatives=self._fn.copy(),
            frames=self._frames.copy(), absent=absent)
