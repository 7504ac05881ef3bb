# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors of distances, on instances with a known depth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from ...contract import NEEDS_POSITIONS
from .base import Metric
from .depth import by_limits
from .distance_metrics import DistanceMetrics, DistanceResult
from .frame import JudgedFrame, Rules
from .shown import Breakdown, Chart, Column, FigureKind, Record, percent
from .uncertainty import ONE_SIGMA, TWO_SIGMA

_COLUMNS = (Column('instances', 'instances', 'count'), Column('matched_share', 'found'),
            Column('median_rel', 'error, median'), Column('bias_rel', 'bias'),
            Column('coverage_68', 'within 68 % range'), Column('coverage_95', 'within 95 % range'))


def distance_kinds(truth: str) -> dict[str, FigureKind]:
    """
    Figures of distances.

    :param truth: what they are judged by, in words.
    """
    return {
        'median_rel': FigureKind(f'distance error, median relative, {truth}', 'share', 'lower',
                                 'Median of |p - g| / g over instances.', is_key=True),
        'bias_rel': FigureKind(f'distance bias (above 0: too far), {truth}', 'share', None,
                               'Median of (p - g) / g over instances.'),
        **{f'coverage_{q}': FigureKind(
            f'instances in their {q} % range, {truth}', 'share', None,
            f'Share of instances whose true depth is in the {q} % range of their pixels.')
           for q in (68, 95)},
        'matched_share': FigureKind(f'true instances found, {truth}', 'share', 'higher',
                                    'Share of true instances that a predicted one answers.')}


class BaseDistanceMetric(Metric[DistanceResult]):
    """Instances with a true distance, whatever it is from."""

    place, needs, part, root = 5, NEEDS_POSITIONS, 'distances', 'all.'
    breakdowns: ClassVar[tuple[Breakdown, ...]] = (
        Breakdown('Distance by range', 'by_range', 'true distance', _COLUMNS),
        Breakdown('Distance by class', 'by_class', 'class', _COLUMNS),
        Breakdown('Distance by class and range', 'by_class_and_range', 'class',
                  (_COLUMNS[0], _COLUMNS[2])))
    charts = (Chart('distance-by-range', 'Distance error by range', 'by_range', 'median_rel',
                    'median error in %', 'true distance in m'),
              Chart('distance-by-class', 'Distance error by class', 'by_class', 'median_rel',
                    'median error in %'))
    min_pixels: int | None = None
    """None: that of the settings."""

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        least = rules.settings.min_instance_pixels if self.min_pixels is None else self.min_pixels
        self.sums = DistanceMetrics(least, rules.settings.range_edges_m)

    @property
    def measured(self) -> bool:
        return self.found.all.instances > 0

    def on(self, end: str) -> str:
        found = self.found.all
        count = {'matched_share': found.instances, 'median_rel': found.measured,
                 'bias_rel': found.measured}.get(end, found.stated)
        return f'{count} instances' if count else ''

    def record(self) -> list[Record]:
        return [{'source': self.source, 'class': self.rules.classes[r.class_id].name,
                 'truth_m': r.truth_m,
                 'predicted_m': None if math.isnan(r.predicted_m) else r.predicted_m,
                 'matched': r.matched} for r in self.sums.records]

    def detail(self) -> Record:
        found, names = self.found, self.rules.class_names
        return {'all': asdict(found.all), 'by_range': by_limits(found.by_range),
                'by_class': {names[i]: asdict(errors) for i, errors in found.by_class.items()},
                'by_class_and_range': [
                    {'class': names[i], 'near_m': near, 'far_m': far, **asdict(errors)}
                    for (i, (near, far)), errors in found.by_class_and_range.items()]}


class DistanceMetric(BaseDistanceMetric):
    """True instances against the predicted ones that match them."""

    name, title, section, counted = 'distance', 'Distance', 'distance', 'distance'
    prefix, source, source_words = 'distance.labels', 'labels', 'true labels'
    truth = frozenset(('distances',))
    kinds = distance_kinds('true labels')
    meanings = {'': 'Distances, true labels: median depth (Z) of the predicted instance that '
                    'matches a true one, against the median true depth of the mask of the latter.'}
    error_columns = (
        Column('instances', 'instances', 'count'), Column('matched', 'matched', 'count'),
        Column('median_rel', 'distance error, median'), Column('bias_rel', 'distance bias'))
    range_error = ('instances: median error of the distance', 'median_rel')

    def update(self, frame: JudgedFrame) -> None:
        result = frame.result
        self.sums.update(frame.overlaps, frame.truth.instance_depth_m,
                         {d.segment.panoptic_id: d.depth_m for d in result.distances},
                         {s.panoptic_id: s.log_depth_scale for s in result.segments})

    def rows(self) -> Iterator[tuple[str, str, str]]:
        found, where = self.found.all, f'instances in {self.frames} frames'
        yield 'distance error, median', percent(found.median_rel), f'{found.measured} {where}'
        for q, covered in ((ONE_SIGMA, found.coverage_68), (TWO_SIGMA, found.coverage_95)):
            if found.stated:
                yield (f'instances within the expected {percent(q, 0)} range', percent(covered),
                       f'{found.stated} {where}')
        yield 'instances matched', percent(found.matched_share), f'{found.instances} {where}'

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        return [f'Distance: true instances of at least {settings["min_instance_pixels"]} px with '
                'a known depth, matched by a prediction of the same class with IoU > 0.5; error '
                'of the median depth (Z) relative to that of the visible surface.']
