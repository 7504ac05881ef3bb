# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Whether the depth is as uncertain as the model says, and the factor that makes it so.

The model expects the error of log depth e = ln p - ln g of a pixel to have a Laplace distribution
of the scale b of its segment: a share q of the pixels should have |e| <= -b ln(1 - q). The
coverage is the share that has. After Kuleshov et al., Accurate Uncertainties for Deep Learning
Using Calibrated Regression, ICML 2018; one factor on b, the temperature, after Guo et al., On
Calibration of Modern Neural Networks, ICML 2017.

Every frame counts the same, as the errors of its pixels go together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...contract import NEEDS_DEPTH
from ...structures import Segment
from ...tables import Table
from .base import Metric
from .frame import JudgedFrame, Rules
from .segment_overlaps import require_same_shape
from .shown import Breakdown, Chart, Column, MetricKind, Record, percent, value_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

ONE_SIGMA, TWO_SIGMA = 0.68, 0.95
"""The ranges that reports name and that users rely on."""

LEVELS = tuple(sorted([*(round(0.05 * i, 2) for i in range(1, 20)), ONE_SIGMA]))
"""Nominal coverages q."""

# |e| / b from 2^-12 to 2^12 in steps of 1.1 %; the first and the last bin hold all beyond.
_OCTAVES = 12
_BINS_PER_OCTAVE = 64
_BINS = 2 * _OCTAVES * _BINS_PER_OCTAVE


@dataclass(frozen=True)
class CalibrationResult:
    """
    Coverage of pixels with a true depth, a predicted one and an expected error; mean over frames.

    :param frames: with such pixels; pixels: how many these are.
    :param stated_share: share of the pixels with a true and a predicted depth that have an
        expected error, 0..1; 0 where the model does not say, NaN where there are no pixels.
    :param coverage: nominal -> observed share, 0..1; NaN where there are no pixels.
    :param expected_error: mean of |observed - nominal| over 0.05, 0.1 .. 0.95.
    :param temperature: factor on b with which 68 % would be covered.
    """

    frames: int
    pixels: int
    stated_share: float
    coverage: dict[float, float]
    expected_error: float
    temperature: float


@dataclass(frozen=True)
class TemperatureFit:
    """
    A factor on b, and what it is worth on frames that it was not fitted on.

    :param temperature: with which 68 % of the pixels are covered; NaN where there are none.
    :param groups: frames, or sequences of frames, that were left out one after the other.
    :param temperature_range: least and greatest with one of them left out.
    :param left_out: nominal -> coverage of each frame by the temperature of the other groups,
        mean over frames; NaN where there is one group.
    :param left_out_range: nominal -> the same of the least and the best covered frame.
    """

    temperature: float
    frames: int
    pixels: int
    groups: int
    temperature_range: tuple[float, float]
    left_out: dict[float, float]
    left_out_range: dict[float, tuple[float, float]]


def calibration_kinds(truth: str, what: str) -> dict[str, MetricKind]:
    """Metrics of the uncertainty; truth, what: the truth and its elements, in words."""
    return {
        **{f'coverage_{q}': MetricKind(
            f'{what} in their {q} % range of depth, {truth}', 'share', None,
            f'Share of {what} whose true depth is in the {q} % range that the model gives them.',
            is_key=q == 68) for q in (68, 95)},
        'expected_error': MetricKind(
            f'calibration error of depth, {truth}', 'share', 'lower',
            'Mean of |observed - expected| over the ranges of 5 %, 10 % .. 95 %.')}


class CalibrationMetric(Metric[CalibrationResult]):
    """
    Counts pixels of frames by |e| / b in fixed bins.

    The bins of every frame are kept, 6 kB each: ``fit`` needs them, and parts of a data set add up
    exactly. With compact rules only their sum is.
    """

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

    _frames: list[tuple[str, NDArray[np.int32]]]
    _sum: NDArray[np.float64]
    _count: int
    _stated: int
    _pixels: int

    def __init__(self, rules: Rules | None = None) -> None:
        super().__init__(rules)
        # Of each frame its sequence and (_BINS,) int32.
        self._frames = []
        self._sum = np.zeros(_BINS)
        self._count = 0
        self._stated = 0
        self._pixels = 0

    def update(self, frame: JudgedFrame) -> None:
        result, truth = frame.result, frame.truth.depth
        assert truth is not None
        self.count(result.depth, truth, result.panoptic, result.segments)

    def count(self, predicted: NDArray[Any], truth: NDArray[Any], panoptic: NDArray[np.uint16],
              segments: Iterable[Segment], sequence: str = '') -> None:
        """
        Count one frame.

        :param predicted, truth: (H, W) meters along Z, not known where NaN, Inf or not above 0.
        :param panoptic: (H, W) uint16 predicted ids of the segments.
        :param sequence: see Sample.sequence; matters to ``fit`` alone.
        :raises ValueError: when shapes differ.
        """
        require_same_shape('predicted depth, true depth and ids', predicted, truth, panoptic)
        cap_m = self.rules.settings.depth_cap_m
        known = known_depth(predicted, truth, cap_m)
        self._pixels += int(np.count_nonzero(known))
        scale = scales_of(segments).take(panoptic)
        stated = known & np.isfinite(scale)
        ratio = np.log(predicted[stated].astype(np.float32) / truth[stated])
        if not ratio.size:
            return
        np.abs(ratio, out=ratio)
        ratio /= scale[stated]
        with np.errstate(divide='ignore'):
            octave = np.log2(ratio, out=ratio)
        bins = np.clip((octave + _OCTAVES) * _BINS_PER_OCTAVE, 0, _BINS - 1).astype(np.intp)
        counts = np.bincount(bins, minlength=_BINS)
        if self.rules.compact:
            self._sum += counts / bins.size
        else:
            self._frames.append((sequence, counts.astype(np.int32)))
        self._count += 1
        self._stated += bins.size

    def merge(self, other: CalibrationMetric) -> None:
        super().merge(other)
        self._frames += other._frames
        self._sum += other._sum
        self._count += other._count
        self._stated += other._stated
        self._pixels += other._pixels

    def coverage(self, temperature: float = 1.0) -> dict[float, float]:
        """Nominal -> observed share of all frames so far, with b times the temperature."""
        below = _below(self._total())
        return {q: _share_within(below, temperature * laplace_reach(q)) for q in LEVELS}

    def result(self) -> CalibrationResult:
        coverage = self.coverage()
        errors = [abs(observed - q) for q, observed in coverage.items() if q != ONE_SIGMA]
        return CalibrationResult(
            frames=self._count, pixels=self._stated,
            stated_share=self._stated / self._pixels if self._pixels else math.nan,
            coverage=coverage, expected_error=float(np.mean(errors)),
            temperature=_temperature(self._total()))

    def fit(self) -> TemperatureFit:
        """
        Fit the factor on b by the 68 % quantile of |e| / b, every frame counting the same.

        Errors have heavier tails than one Laplace distribution, as some frames are harder than
        others, so that no factor meets all levels. The mean of |e| / b, which is the maximum of
        the likelihood, and the 95 % quantile follow the few worst frames, and vary 1.2 and 1.8
        times as much from one choice of frames to the next; a gross error, such as a wrong label,
        moves the quantile by its share and not by its size. The least calibration error is as
        steady, but nobody relies on the coverage of 5 % or 30 %.

        Frames of one sequence are left out together, since they show the same things.

        :raises ValueError: when the rules are compact.
        """
        if self.rules.compact:
            raise ValueError('calibration: a fit needs every frame; give rules that are not '
                             'compact')
        shares = self._shares()
        total = shares.sum(axis=0)
        groups: dict[object, list[int]] = {}
        for index, (sequence, _) in enumerate(self._frames):
            groups.setdefault(sequence or index, []).append(index)
        temperatures = []
        observed: dict[float, list[float]] = {q: [] for q in LEVELS}
        for own in groups.values() if len(groups) > 1 else ():
            # Differences of sums can come out below 0.
            temperature = _temperature(np.maximum(total - shares[own].sum(axis=0), 0.0))
            temperatures.append(temperature)
            for q, found in observed.items():
                found += [_share_within(_below(shares[i]), temperature * laplace_reach(q))
                          for i in own]
        return TemperatureFit(
            temperature=_temperature(total), frames=self._count, pixels=self._stated,
            groups=len(groups), temperature_range=_range(temperatures),
            left_out={q: float(np.mean(found)) if found else math.nan
                      for q, found in observed.items()},
            left_out_range={q: _range(found) for q, found in observed.items()})

    def _total(self) -> NDArray[np.float64]:
        """(_BINS,) shares of all frames, summed up in their order."""
        return self._sum if self.rules.compact else self._shares().sum(axis=0)

    def _shares(self) -> NDArray[np.float64]:
        """(F, _BINS) share of each frame's pixels in each bin."""
        counts = np.array([counts for _, counts in self._frames], np.float64)
        shares: NDArray[np.float64] = counts.reshape(-1, _BINS)
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

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


class LidarCalibration(CalibrationMetric):
    """Pixels that a point falls on."""

    name, prefix = 'lidar_calibration', 'calibration.lidar'
    source, source_words = 'lidar', 'LiDAR'
    truth, recordings_only = frozenset(('lidar',)), True
    kinds = calibration_kinds('LiDAR', 'points')

    def update(self, frame: JudgedFrame) -> None:
        points = frame.points
        self.count(points.predicted, points.meters, points.ids, frame.result.segments)

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        return []


def known_depth(predicted: NDArray[Any], truth: NDArray[Any], cap_m: float) -> NDArray[np.bool_]:
    """(H, W) bool: pixels with a true depth up to the cap and a predicted one."""
    known: NDArray[np.bool_] = (
        (truth > 0) & (truth <= cap_m) & (predicted > 0) & np.isfinite(predicted))
    return known


def scales_of(segments: Iterable[Segment]) -> NDArray[np.float32]:
    """(65536,) float32 log_depth_scale by panoptic id, NaN where not known."""
    scales = np.full(1 << 16, np.nan, np.float32)
    for segment in segments:
        if segment.log_depth_scale > 0:
            scales[segment.panoptic_id] = segment.log_depth_scale
    return scales


def laplace_reach(share: float) -> float:
    """|e| / b that a share of errors of a Laplace distribution is within."""
    return -math.log1p(-share)


def _below(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """(_BINS + 1,) sums of all bins before each edge."""
    return np.concatenate(([0.0], np.cumsum(shares)))


def _share_within(below: NDArray[np.float64], ratio: float) -> float:
    """Share of pixels with |e| / b of at most this, linear in the logarithm within a bin."""
    if not below[-1]:
        return math.nan
    at = (math.log2(ratio) + _OCTAVES) * _BINS_PER_OCTAVE
    return float(np.interp(at, np.arange(_BINS + 1), below) / below[-1])


def _temperature(shares: NDArray[np.float64]) -> float:
    """Factor on b with which 68 % are covered."""
    below = _below(shares)
    if not below[-1]:
        return math.nan
    wanted = ONE_SIGMA * below[-1]
    last = int(np.searchsorted(below, wanted))
    inside = (wanted - below[last - 1]) / (below[last] - below[last - 1])
    ratio = 2.0 ** ((last - 1 + inside) / _BINS_PER_OCTAVE - _OCTAVES)
    return float(ratio / laplace_reach(ONE_SIGMA))


def _range(values: list[float]) -> tuple[float, float]:
    return (min(values), max(values)) if values else (math.nan, math.nan)
