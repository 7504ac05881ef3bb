# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Panoptic quality (Kirillov et al., Panoptic Segmentation, CVPR 2019), also on partial labels.

PQ = SQ * RQ, with SQ the mean IoU of the matched segments and RQ = TP / (TP + FP/2 + FN/2), all
in 0..1. The conventions in which published evaluations differ have names, see settings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...contract import NEEDS_INSTANCES, NEEDS_PANOPTIC, NEEDS_SEMANTIC
from ...labels import CITYSCAPES, ClassInfo
from ..settings import AbsentClasses, CrowdRule
from .base import Metric
from .frame import JudgedFrame, Rules
from .segment_overlaps import SegmentOverlaps, of_class
from .shown import Column, MetricKind, Record, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

GROUPS = ('all', 'things', 'stuff')
_COUNTS = ('true_positives', 'false_positives', 'false_negatives')
_ABSENT = {
    'leave_out': 'classes in no truth and no prediction are left out of means',
    'zero': 'classes in no truth and no prediction count as 0 in means',
    'nan': 'a class in no truth and no prediction makes a mean NaN',
}
_CROWDS = {
    'same_class': 'a prediction mostly on void, or on a crowd of its class, is ignored',
    'any_class': 'a prediction mostly on void, or on thing pixels without a known instance, is '
                 'ignored',
    'none': 'thing pixels without an instance number are one more instance',
}


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


class PanopticQuality:
    """Counts matches over frames; a class id is a row of the table of classes."""

    _iou_sum: NDArray[np.float64]
    _counts: NDArray[np.int64]

    def __init__(self, classes: Sequence[ClassInfo] = CITYSCAPES,
                 crowds: CrowdRule = 'same_class') -> None:
        self.crowds = crowds
        self._is_thing = np.array([c.is_thing for c in classes], np.bool_)
        count = len(self._is_thing)
        self._iou_sum = np.zeros(count, np.float64)
        # True positives, false positives, false negatives, frames that judge the class.
        self._counts = np.zeros((4, count), np.int64)

    def update(self, overlaps: SegmentOverlaps,
               judged: NDArray[np.bool_] | None = None) -> None:
        """
        Add one frame.

        Thing pixels of the prediction with instance 0 claim no instance, and count as void.

        :param judged: (C,) bool classes whose true segments are all known in this frame; pixels of
            other thing classes are crowd. Default: all.
        :raises ValueError: when an id is of a class that is not in the table.
        """
        count = len(self._is_thing)
        overlaps.require_classes(count)
        judged = np.ones(count, np.bool_) if judged is None else judged
        truth_class, predicted_class = overlaps.truth_class, overlaps.predicted_class

        judged_truth = of_class(judged, truth_class)
        crowd = of_class(self._is_thing, truth_class) & (
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
        for counts, found in zip(self._counts, (
                truth_class[rows], predicted_class[false], truth_class[missed]), strict=False):
            counts += np.bincount(found, minlength=count)
        self._counts[3] += judged

    def merge(self, other: PanopticQuality) -> None:
        """Add the frames that another one counted with the same classes and rules."""
        self._iou_sum += other._iou_sum
        self._counts += other._counts

    def result(self, absent: AbsentClasses = 'leave_out') -> PanopticQualityResult:
        """Panoptic quality of all frames so far."""
        tp, fp, fn, frames = self._counts.copy()
        total = tp + 0.5 * (fp + fn)
        present, judged = total > 0, frames > 0
        # Nothing matched is a segmentation quality of 0, not an unknown one.
        with np.errstate(invalid='ignore'):
            pq, sq, rq = (np.where(present, value, np.nan) for value in (
                self._iou_sum / total, self._iou_sum / np.maximum(tp, 1), tp / total))

        def mean(group: NDArray[np.bool_]) -> Quality:
            members = group & judged & present if absent == 'leave_out' else group & judged
            count = int(members.sum())
            values = np.array([pq, sq, rq])[:, members]
            if absent == 'zero':
                values = np.nan_to_num(values, nan=0.0)
            mean_pq, mean_sq, mean_rq = values.mean(axis=1).tolist() if count else [np.nan] * 3
            return Quality(mean_pq, mean_sq, mean_rq, count)

        return PanopticQualityResult(
            mean(judged), mean(self._is_thing), mean(~self._is_thing), pq, sq, rq, tp, fp, fn,
            frames)


class PanopticMetric(Metric[PanopticQualityResult]):
    """Panoptic quality of frames with instances."""

    name, title, section, part = 'panoptic', 'Panoptic quality', 'panoptic_quality', 'labels'
    counted, place, root, breakdowns = 'instances', 1, 'all.', ()
    truth, needs = frozenset(('instances',)), NEEDS_PANOPTIC
    kinds = {
        'pq': MetricKind('panoptic quality (PQ)', 'share', 'higher',
                         'SQ times RQ of each class, then the mean over classes.', is_key=True,
                         worst=3, over_time=('PQ', 'PQ in %')),
        'sq': MetricKind('IoU of matched segments (SQ)', 'share', 'higher',
                         'Mean IoU of the segments that match.'),
        'rq': MetricKind('F1 of segments (RQ)', 'share', 'higher',
                         'TP / (TP + FP / 2 + FN / 2), a match has an IoU above 0.5.'),
        'pq_things': MetricKind('PQ of things', 'share', 'higher', 'Mean over thing classes.',
                                NEEDS_INSTANCES, path='things.pq'),
        'pq_stuff': MetricKind('PQ of stuff', 'share', 'higher', 'Mean over stuff classes.',
                               NEEDS_SEMANTIC, path='stuff.pq')}
    meanings = {'': 'Panoptic quality: predicted segments against true labels, whose class ids '
                    'must be those of the results. PQ = SQ x RQ for each class, then the mean '
                    'over classes; a match has the class and an IoU above 0.5.'}
    class_columns = {
        **{1 + i: Column(f'by_class.{key}.*', key.upper())
           for i, key in enumerate(('pq', 'sq', 'rq'))},
        **{5 + i: Column(f'by_class.{key}.*', title, '')
           for i, (title, key) in enumerate(zip(('TP', 'FP', 'FN'), _COUNTS, strict=True))}}
    error_columns = tuple(column for _, column in sorted(class_columns.items()))

    sums: PanopticQuality

    def __init__(self, rules: Rules | None = None) -> None:
        super().__init__(rules)
        self.sums = PanopticQuality(self.rules.classes, self.rules.settings.crowds)

    def update(self, frame: JudgedFrame) -> None:
        self.sums.update(frame.overlaps, frame.judged)

    def merge(self, other: PanopticMetric) -> None:
        super().merge(other)
        self.sums.merge(other.sums)

    def result(self) -> PanopticQualityResult:
        """Without the mean over all classes, where the model has things or stuff alone."""
        found = self.sums.result(self.rules.settings.absent_classes)
        return found if self.can_tell('pq', self.tasks) else replace(
            found, all=Quality(math.nan, math.nan, math.nan, 0))

    @property
    def instances(self) -> int:
        """Truth instances that were counted."""
        found = self.found
        return int((found.true_positives + found.false_negatives)[self.rules.is_thing].sum())

    def on(self, end: str) -> str:
        return f'{self.frames} frames, {self.instances} instances'

    def record(self) -> Record:
        found = self.result()
        return {**{name: getattr(found.all, name) for name in ('pq', 'sq', 'rq')},
                **{name: int(getattr(found, name).sum()) for name in _COUNTS}}

    def detail(self) -> Record:
        return quality_dict(self.found, self.rules.class_names)

    def sections(self) -> Record:
        return {'instances': self.instances, **super().sections()}

    def rows(self) -> Iterator[tuple[str, str, str]]:
        for group in GROUPS:
            quality = getattr(self.found, group)
            yield (f'PQ / SQ / RQ {group}',
                   ' / '.join(percent(v) for v in (quality.pq, quality.sq, quality.rq)),
                   f'{self.on(group)}, {quality.class_count} classes')

    def by_class(self) -> Mapping[int, Sequence[str]]:
        found = self.found
        return {i: (*(percent(values[i]) for values in (found.pq, found.sq, found.rq)),
                    *(str(getattr(found, name)[i]) for name in _COUNTS))
                for i in np.flatnonzero(found.frames).tolist()}

    def plots(self) -> Mapping[str, Callable[[Picture], None]]:
        """Bars, things first, best first."""
        pq = self.found.pq
        shown = sorted((c for c in self.rules.classes if not math.isnan(pq[c.class_id])),
                       key=lambda c: (not c.is_thing, -pq[c.class_id]))

        def draw(picture: Picture) -> None:
            axes = picture.subplots()
            axes.bar(range(len(shown)), [100 * pq[c.class_id] for c in shown],
                     color=['tab:blue' if c.is_thing else 'tab:gray' for c in shown])
            axes.set_xticks(range(len(shown)), [c.name for c in shown], rotation=60, ha='right')
            for group, color in (('things', 'tab:blue'), ('stuff', 'tab:gray')):
                # A line without a height is not drawn, but named.
                mean = getattr(self.found, group).pq
                axes.axhline(100 * mean, color=color, linestyle='--', linewidth=1,
                             label=f'mean of {group}: '
                                   f'{"unknown" if math.isnan(mean) else percent(mean)}')
            axes.set(title='Panoptic quality by class', ylabel='PQ in %', ylim=(0, 100))
            picture.legend(loc='outside lower center', ncols=2)

        return {'pq_by_class': draw} if shown else {}

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        return [f'PQ: {_ABSENT[settings["absent_classes"]]}; {_CROWDS[settings["crowds"]]}.']


def quality_dict(found: PanopticQualityResult, names: Sequence[str]) -> Record:
    """
    Panoptic quality as values for ``plain``.

    :param names: of the classes, by class id.
    """
    return {**{group: asdict(getattr(found, group)) for group in GROUPS},
            'by_class': {key: of_classes(getattr(found, key), names)
                         for key in ('pq', 'sq', 'rq', *_COUNTS, 'frames')}}


def of_classes(values: Any, names: Sequence[str]) -> Record:
    """Values (C,) by name of the class."""
    return dict(zip(names, values.tolist(), strict=True))
