# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Panoptic quality, on frames with instances."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...contract import NEEDS_INSTANCES, NEEDS_PANOPTIC, NEEDS_SEMANTIC
from .base import Metric
from .frame import JudgedFrame, Rules
from .panoptic_quality import PanopticQuality, PanopticQualityResult, Quality
from .shown import Column, FigureKind, Record, percent

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


class PanopticMetric(Metric[PanopticQualityResult]):
    """Matched segments."""

    name, title, section, part = 'panoptic', 'Panoptic quality', 'panoptic_quality', 'labels'
    counted, place, root, breakdowns = 'instances', 1, 'all.', ()
    truth, needs = frozenset(('instances',)), NEEDS_PANOPTIC
    kinds = {
        'pq': FigureKind('panoptic quality (PQ)', 'share', 'higher',
                         'SQ times RQ of each class, then the mean over classes.', is_key=True,
                         worst=3, over_time=('PQ', 'PQ in %')),
        'sq': FigureKind('IoU of matched segments (SQ)', 'share', 'higher',
                         'Mean IoU of the segments that match.'),
        'rq': FigureKind('F1 of segments (RQ)', 'share', 'higher',
                         'TP / (TP + FP / 2 + FN / 2), a match having an IoU above 0.5.'),
        'pq_things': FigureKind('PQ of things', 'share', 'higher', 'Mean over thing classes.',
                                NEEDS_INSTANCES, path='things.pq'),
        'pq_stuff': FigureKind('PQ of stuff', 'share', 'higher', 'Mean over stuff classes.',
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

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.sums = PanopticQuality(rules.classes, rules.settings.crowds)

    def update(self, frame: JudgedFrame) -> None:
        self.sums.update(frame.overlaps, frame.judged)

    def result(self) -> PanopticQualityResult:
        """Without the mean over all classes, where the model has things or stuff alone."""
        found: PanopticQualityResult = self.sums.result(self.rules.settings.absent_classes)
        return found if self.can_tell('pq', self.tasks) else replace(
            found, all=Quality(math.nan, math.nan, math.nan, 0))

    @property
    def instances(self) -> int:
        """Truth instances that were counted."""
        things = np.array([c.is_thing for c in self.rules.classes], np.bool_)
        found = self.found
        return int((found.true_positives + found.false_negatives)[things].sum())

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
