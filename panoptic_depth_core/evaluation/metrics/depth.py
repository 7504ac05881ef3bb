# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors of depth on frames with depth, by class where labels are known too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from ...contract import NEEDS_DEPTH
from .base import Metric
from .depth_metrics import DepthMetrics, DepthResult
from .frame import JudgedFrame, Rules, classes_of
from .shown import Breakdown, Chart, Column, FigureKind, Record, percent, value_text


def depth_kinds(truth: str, what: str, worst: int) -> dict[str, FigureKind]:
    """
    Figures of depth.

    :param truth, what: what it is judged by, and of what it consists, in words.
    """
    return {
        'abs_rel': FigureKind(f'depth error, mean relative (absRel), {truth}', 'share', 'lower',
                              f'Mean of |p - g| / g over {what}.', is_key=True, worst=worst),
        'rmse_m': FigureKind(f'depth RMSE, {truth}', 'm', 'lower',
                             f'Root of the mean of (p - g)^2 over {what}.'),
        'delta1': FigureKind(f'depth within a factor of 1.25 (delta1), {truth}', 'share', 'higher',
                             f'Share of {what} with max(p / g, g / p) < 1.25.'),
        'missing_share': FigureKind(f'{what} without a predicted depth, {truth}', 'share',
                                    'lower', f'Share of {what}; they are in no error.')}


class DepthMetric(Metric[DepthResult]):
    """Pixels with a true depth."""

    name, title, source, source_words = 'depth', 'Depth', 'labels', 'depth images'
    counted, place, root = 'depth', 4, 'pooled.'
    truth, needs = frozenset(('depth',)), NEEDS_DEPTH
    kinds = depth_kinds('depth images', 'pixels', 1)
    meanings = {'': 'Depth, depth images: predicted depth (Z) of every pixel with a true one, all '
                    'pixels of all frames together. Nothing is scaled to fit the truth.'}
    breakdowns = (Breakdown('Depth by range', 'by_range', 'true depth', (
        Column('pixels', 'px', 'count'), Column('abs_rel', 'absRel'),
        Column('rmse_m', 'RMSE', 'm'), Column('delta1', 'within 25 %'),
        Column('missing_share', 'no depth'))),)
    charts = (Chart('depth-by-range', 'Depth error by range', 'by_range', 'abs_rel',
                    'absRel in %', 'true depth in m'),)
    class_columns: ClassVar[Mapping[int, Column]] = {
        8: Column('by_class.*.abs_rel', 'absRel'),
        9: Column('by_class.*.pixels', 'depth px', 'count')}
    error_columns = (Column('pixels', 'depth px', 'count'), Column('abs_rel', 'absRel', ''),
                     Column('rmse_m', 'RMSE m', ''), Column('delta1', 'delta1'))
    range_error = ('pixels: absRel', 'abs_rel')

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.sums = DepthMetrics(rules.classes, rules.settings.depth_cap_m,
                                 rules.settings.range_edges_m)

    def update(self, frame: JudgedFrame) -> None:
        truth = frame.truth
        assert truth.depth is not None
        self.sums.update(frame.result.depth, truth.depth,
                         None if truth.panoptic is None else classes_of(truth.panoptic))

    @property
    def measured(self) -> bool:
        return self.found.images > 0

    def on(self, end: str) -> str:
        return f'{self.found.images} frames, {self.found.pooled.pixels} px'

    def record(self) -> Record:
        errors = self.sums.pooled()
        return {name: getattr(errors, name) for name in ('pixels', *self.kinds)}

    def detail(self) -> Record:
        found, names = self.found, self.rules.class_names
        return {'pooled': asdict(found.pooled), 'per_image': asdict(found.per_image),
                'images': found.images, 'by_range': by_limits(found.by_range),
                'by_class': {names[i]: asdict(errors) for i, errors in found.by_class.items()}}

    def rows(self) -> Iterator[tuple[str, str, str]]:
        found = self.found
        for name, errors in (('over pixels', found.pooled), ('mean of images', found.per_image)):
            on = f'{found.images} frames, {errors.pixels} px'
            for title, value, unit in (
                    ('absRel', errors.abs_rel, ''), ('sqRel', errors.sq_rel_m, 'm'),
                    ('RMSE', errors.rmse_m, 'm'), ('RMSElog', errors.rmse_log, '')):
                yield f'{title}, {name}', value_text(value, unit), on
            yield (f'delta1 / 2 / 3, {name}', ' / '.join(percent(v) for v in (
                errors.delta1, errors.delta2, errors.delta3)), on)
            yield f'SILog, {name}', value_text(errors.si_log), on
        yield 'pixels without a depth', percent(found.pooled.missing_share), self.on('')

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        return [f'Depth: pixels with 0 < truth <= {settings["depth_cap_m"]:g} m; pixels without a '
                'predicted depth are counted as missing and are in no other figure.']


def by_limits(groups: Mapping[tuple[float, float], Any]) -> list[Record]:
    """Groups by range of metres, as values for ``plain``."""
    return [{'near_m': near, 'far_m': far, **asdict(errors)}
            for (near, far), errors in groups.items()]
