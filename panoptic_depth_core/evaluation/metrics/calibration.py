# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether the depth is as uncertain as the model says, on frames with depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ...contract import NEEDS_DEPTH
from ...tables import Table
from .base import Metric
from .frame import JudgedFrame, Rules
from .shown import Breakdown, Chart, Column, FigureKind, Record, percent, value_text
from .uncertainty import ONE_SIGMA, TWO_SIGMA, Calibration, CalibrationResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture


def calibration_kinds(truth: str, what: str) -> dict[str, FigureKind]:
    """
    Figures of the uncertainty.

    :param truth, what: what it is judged by, and of what it consists, in words.
    """
    return {
        **{f'coverage_{q}': FigureKind(
            f'{what} in their {q} % range of depth, {truth}', 'share', None,
            f'Share of {what} whose true depth is in the {q} % range that the model gives them.',
            is_key=q == 68) for q in (68, 95)},
        'expected_error': FigureKind(
            f'calibration error of depth, {truth}', 'share', 'lower',
            'Mean of |observed - expected| over the ranges of 5 %, 10 % .. 95 %.')}


class CalibrationMetric(Metric[CalibrationResult]):
    """Pixels with a true depth and a predicted uncertainty; every frame counts the same."""

    name, title = 'calibration', 'Uncertainty of depth'
    prefix, source, source_words = 'calibration.labels', 'labels', 'depth images'
    part, place = '', 6
    breakdowns = (Breakdown('Coverage of the uncertainty of depth', 'coverage', 'pixels expected',
                            (Column('observed', 'observed'),)),)
    truth, needs = frozenset(('depth',)), NEEDS_DEPTH
    kinds = calibration_kinds('depth images', 'pixels')
    meanings = {'': 'Uncertainty: share of the pixels or points whose true depth is in the range '
                    'that the model gives them. 68 % of them should be in the 68 % range; fewer: '
                    'it is too sure.'}
    charts = (Chart('coverage', 'Coverage of the uncertainty of depth', 'coverage', 'observed',
                    'pixels within it, in %', 'pixels expected within the range, in %',
                    note='On the gray line the model is as uncertain as it should be; below it, '
                    'it is too sure.'),)

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.sums = Calibration(rules.settings.depth_cap_m, keeps_frames=not rules.compact)

    def update(self, frame: JudgedFrame) -> None:
        result = frame.result
        self.sums.update(result.depth, frame.truth.depth, result.panoptic, result.segments)

    @property
    def measured(self) -> bool:
        return self.found.pixels > 0

    def value(self, end: str) -> float:
        found: float = self.detail()[end]
        return found

    def on(self, end: str) -> str:
        return f'{self.found.frames} frames, {self.found.pixels} px'

    def detail(self) -> Record:
        found = self.found
        return {**asdict(found), 'coverage_68': found.coverage[ONE_SIGMA],
                'coverage_95': found.coverage[TWO_SIGMA],
                'coverage': [{'expected': q, 'observed': share}
                             for q, share in found.coverage.items()]}

    def rows(self) -> Iterator[tuple[str, str, str]]:
        found = self.found
        if not self.measured:
            yield 'uncertainty of depth', 'not predicted', '-'
            return
        on = f'{self.on("")}, {percent(found.stated_share)} of those with depth'
        for q in (ONE_SIGMA, TWO_SIGMA):
            yield (f'pixels within the expected {percent(q, 0)} range',
                   percent(found.coverage[q]), on)
        yield 'expected calibration error', percent(found.expected_error), on
        yield 'factor on the uncertainty for 68 %', value_text(found.temperature), on

    def tables(self) -> Iterator[Table]:
        if self.measured:
            yield Table('Calibration of the uncertainty of depth',
                        ('pixels expected within', 'pixels within'),
                        tuple((percent(q, 0), percent(observed))
                              for q, observed in self.found.coverage.items()))

    def plots(self) -> Mapping[str, Callable[[Picture], None]]:
        found = self.found

        def draw(picture: Picture) -> None:
            expected, observed = (100 * np.array(list(values)) for values in (
                found.coverage, found.coverage.values()))
            axes = picture.subplots()
            axes.plot([0, 100], [0, 100], color='black', linestyle='--', linewidth=1,
                      label='as expected')
            axes.plot(expected, observed, color='tab:blue', marker='o', markersize=4,
                      label=f'{found.pixels} px; calibration error '
                            f'{100 * found.expected_error:.1f} %')
            axes.set(title='Calibration of the uncertainty of depth',
                     xlabel='pixels expected within the range, in %',
                     ylabel='pixels within the range, in %', xlim=(0, 100), ylim=(0, 100),
                     aspect='equal')
            axes.legend()

        return {'calibration': draw} if self.measured else {}

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        return ['Uncertainty: the error of log depth is expected to have a Laplace distribution; '
                'every frame counts the same; the calibration error is the mean of '
                '|observed - expected| over 5 %, 10 % .. 95 %. The range of an instance is that '
                'of its pixels around its median depth.']
