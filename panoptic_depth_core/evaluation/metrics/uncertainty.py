# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Whether the depth is as uncertain as the model says, and the factor that makes it so.

The model expects the error of log depth e = ln p - ln g of a pixel to have a Laplace distribution
of the scale b of its segment: a share q of the pixels should have |e| <= -b ln(1 - q). The
coverage is the share that has. After Kuleshov et al., Accurate Uncertainties for Deep Learning
Using Calibrated Regression, ICML 2018; one factor on b, the temperature, after Guo et al., On
Calibration of Modern Neural Networks, ICML 2017.

Every frame counts the same: the errors of its pixels go together, so that a frame with ten times
the pixels with a truth does not say ten times as much.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...structures import Frame, PanopticDepth, Sample, Segment
from .depth_metrics import DEPTH_CAP_M

ONE_SIGMA, TWO_SIGMA = 0.68, 0.95
"""The ranges that reports name and that users rely on."""

LEVELS = tuple(sorted([*(round(0.05 * i, 2) for i in range(1, 20)), ONE_SIGMA]))
"""Nominal coverages q."""

# |e| / b from 2^-12 to 2^12 in steps of 1.1 %; what is beyond is in the first and the last bin.
_OCTAVES = 12
_BINS_PER_OCTAVE = 64
_BINS = 2 * _OCTAVES * _BINS_PER_OCTAVE


@dataclass(frozen=True)
class CalibrationResult:
    """
    Coverage of pixels with a true depth, a predicted one and an expected error; mean over frames.

    :param frames: how many have such pixels.
    :param pixels: how many these are.
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


class _FrameBins(NamedTuple):
    """Pixels of one frame by |e| / b; frames of a sequence go together."""

    sequence: str
    counts: NDArray[np.int32]


class Calibration:
    """
    Counts pixels of frames by |e| / b in fixed bins, so that parts of a data set add up exactly.

    :param cap_m: truth farther than this does not count.
    :param keeps_frames: whether the bins of every frame are kept, 6 kB each, which ``fit`` needs.
        Without them parts add up but for the rounding of sums.
    """

    def __init__(self, cap_m: float = DEPTH_CAP_M, *, keeps_frames: bool = True) -> None:
        self._cap_m = cap_m
        self._keeps_frames = keeps_frames
        self._frames: list[_FrameBins] = []
        self._sum = np.zeros(_BINS)
        self._count = 0
        self._stated = 0
        self._pixels = 0

    def update(self, predicted: NDArray[Any], truth: NDArray[Any], panoptic: NDArray[np.uint16],
               segments: Iterable[Segment], sequence: str = '') -> None:
        """
        Add one frame.

        :param predicted, truth: (H, W) metres along Z, not known where NaN, Inf or not above 0.
        :param panoptic: (H, W) uint16 predicted ids; segments: what they are.
        :param sequence: see Sample.sequence; matters to ``fit`` alone.
        :raises ValueError: when shapes differ.
        """
        shapes = [np.shape(a) for a in (predicted, truth, panoptic)]
        if len(set(shapes)) > 1:
            raise ValueError(f'predicted depth, true depth and ids have shapes '
                             f'{", ".join(map(str, shapes))}; give all at the size of the image')
        known = (truth > 0) & (truth <= self._cap_m) & (predicted > 0) & np.isfinite(predicted)
        self._pixels += int(np.count_nonzero(known))
        scales = np.full(1 << 16, np.nan, np.float32)
        for segment in segments:
            if segment.log_depth_scale > 0:
                scales[segment.panoptic_id] = segment.log_depth_scale
        if np.isnan(scales).all():
            return
        scale = scales.take(panoptic)
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
        if self._keeps_frames:
            self._frames.append(_FrameBins(sequence, counts.astype(np.int32)))
        else:
            self._sum += counts / bins.size
        self._count += 1
        self._stated += bins.size

    def merge(self, other: Calibration) -> None:
        """
        Add the frames that another one counted with the same cap.

        :raises ValueError: when only one of them keeps its frames.
        """
        if self._keeps_frames != other._keeps_frames:
            raise ValueError('calibration: only one of two parts keeps its frames; give '
                             'keeps_frames to both or to none')
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
        """Coverage of all frames so far."""
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

        :raises ValueError: when the frames were not kept.
        """
        if not self._keeps_frames:
            raise ValueError('calibration: a fit needs the frames; give keeps_frames=True')
        shares = self._shares()
        total = shares.sum(axis=0)
        groups: dict[object, list[int]] = {}
        for index, frame in enumerate(self._frames):
            groups.setdefault(frame.sequence or index, []).append(index)
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
        return self._shares().sum(axis=0) if self._keeps_frames else self._sum

    def _shares(self) -> NDArray[np.float64]:
        """(F, _BINS) share of each frame's pixels in each bin."""
        counts = np.array([frame.counts for frame in self._frames], np.float64)
        shares: NDArray[np.float64] = counts.reshape(-1, _BINS)
        shares /= shares.sum(axis=1, keepdims=True)
        return shares


def calibrate(pipeline: Callable[[Frame], PanopticDepth], samples: Iterable[Sample],
              progress: Callable[[int, str], None] | None = None) -> Calibration:
    """
    Run a pipeline over the samples that have a true depth, and count its errors.

    :param progress: called after every sample with the number of those done and its name.
    """
    calibration = Calibration()
    for done, sample in enumerate(samples, 1):
        if sample.truth.depth is not None:
            found = pipeline(sample.frame)
            calibration.update(found.depth, sample.truth.depth, found.panoptic, found.segments,
                               sample.sequence)
        if progress is not None:
            progress(done, sample.frame.name)
    return calibration


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
