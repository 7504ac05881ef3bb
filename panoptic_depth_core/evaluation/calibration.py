# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Whether the depth is as uncertain as the model says.

The model expects the error of log depth e = ln p - ln g of a pixel to have a Laplace distribution
of the scale b of its segment: a share q of the pixels should have |e| <= -b ln(1 - q). The
coverage is the share that has. After Kuleshov et al., Accurate Uncertainties for Deep Learning
Using Calibrated Regression, ICML 2018.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..structures import Segment
from .depth_metrics import DEPTH_CAP_M

ONE_SIGMA = 0.68
LEVELS = tuple(sorted([*(round(0.05 * i, 2) for i in range(1, 20)), ONE_SIGMA]))
"""Nominal coverages q."""

# |e| / b from 2^-12 to 2^12 in steps of 1.1 %; what is beyond is in the first and the last bin.
_OCTAVES = 12
_BINS_PER_OCTAVE = 64
_BINS = 2 * _OCTAVES * _BINS_PER_OCTAVE


@dataclass(frozen=True)
class CalibrationResult:
    """
    Coverage over all pixels with a true depth, a predicted one and an expected error.

    :param pixels: how many these are.
    :param stated_share: share of the pixels with a true and a predicted depth that have an
        expected error, 0..1; 0 where the model does not say, NaN where there are no pixels.
    :param coverage: nominal -> observed share, 0..1; NaN where there are no pixels.
    :param expected_error: mean of |observed - nominal| over 0.05, 0.1 .. 0.95.
    :param temperature: factor on b with which 68 % would be covered.
    """

    pixels: int
    stated_share: float
    coverage: dict[float, float]
    expected_error: float
    temperature: float


class Calibration:
    """
    Counts pixels by |e| / b in fixed bins, so that parts of a data set add up exactly.

    :param cap_m: truth farther than this does not count.
    """

    def __init__(self, cap_m: float = DEPTH_CAP_M) -> None:
        self._cap_m = cap_m
        self._bins = np.zeros(_BINS, np.int64)
        self._pixels = 0

    def update(self, predicted: NDArray[Any], truth: NDArray[Any], panoptic: NDArray[np.uint16],
               segments: Iterable[Segment]) -> None:
        """
        Add one image.

        :param predicted, truth: (H, W) metres along Z, not known where NaN, Inf or not above 0.
        :param panoptic: (H, W) uint16 predicted ids; segments: what they are.
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
        np.abs(ratio, out=ratio)
        ratio /= scale[stated]
        with np.errstate(divide='ignore'):
            octave = np.log2(ratio, out=ratio)
        bins = np.clip((octave + _OCTAVES) * _BINS_PER_OCTAVE, 0, _BINS - 1).astype(np.intp)
        self._bins += np.bincount(bins, minlength=_BINS)

    def merge(self, other: Calibration) -> None:
        """Add the images that another one counted with the same cap."""
        self._bins += other._bins
        self._pixels += other._pixels

    def result(self) -> CalibrationResult:
        """Coverage of all images so far."""
        pixels = int(self._bins.sum())
        coverage = {q: self._share_within(-math.log1p(-q)) for q in LEVELS}
        errors = [abs(observed - q) for q, observed in coverage.items() if q != ONE_SIGMA]
        return CalibrationResult(
            pixels=pixels, stated_share=pixels / self._pixels if self._pixels else math.nan,
            coverage=coverage, expected_error=float(np.mean(errors)),
            temperature=self._quantile(ONE_SIGMA) / -math.log1p(-ONE_SIGMA))

    def _share_within(self, ratio: float) -> float:
        """Share of pixels with |e| / b of at most this, linear in the logarithm within a bin."""
        below = np.concatenate(([0], np.cumsum(self._bins)))
        if not below[-1]:
            return math.nan
        at = (math.log2(ratio) + _OCTAVES) * _BINS_PER_OCTAVE
        return float(np.interp(at, np.arange(_BINS + 1), below) / below[-1])

    def _quantile(self, share: float) -> float:
        """|e| / b that a share of the pixels is within."""
        below = np.concatenate(([0], np.cumsum(self._bins)))
        if not below[-1]:
            return math.nan
        wanted = share * below[-1]
        last = int(np.searchsorted(below, wanted))
        inside = (wanted - below[last - 1]) / (below[last] - below[last - 1])
        return float(2.0 ** ((last - 1 + inside) / _BINS_PER_OCTAVE - _OCTAVES))
