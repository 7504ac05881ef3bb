# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples of a data set with measured points: of files, or drawn from the truth (simulated)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...inference.measured_depth import projected
from ...io.sources.measured_depth import MeasuredFolder
from ...structures import Sample
from .parallel import Samples

OUTLIER_FACTORS = (2.0, 5.0)
"""Gross outliers are so many times too far or too near."""


@dataclass(frozen=True)
class SimulatedPoints:
    """
    A sensor whose points are drawn from the truth.

    :param share: of the pixels with a true depth; a number of points where it is 1 or more.
    :param noise: standard deviation of log depth.
    :param outliers: share of points that are wrong by a factor.
    :param left: only in the left half of the picture.
    """

    share: float
    noise: float = 0.0
    outliers: float = 0.0
    left: bool = False

    PREFIX = 'sample:'

    @classmethod
    def parse(cls, text: str) -> SimulatedPoints:
        """
        Read 'sample:0.01,noise=0.03,outliers=0.05', or 'sample:5' points, or ',left'.

        :raises ConfigError: anything else.
        """
        share, *others = text.removeprefix(cls.PREFIX).split(',')
        try:
            given = {key: (True if key == 'left' and not value else float(value))
                     for key, _, value in (other.partition('=') for other in others)}
            found = cls(float(share), **given)  # type: ignore[arg-type]
        except (ValueError, TypeError):
            found = cls(0.0)
        if not (0 < found.share < math.inf and 0 <= found.noise < 1 and 0 <= found.outliers <= 1):
            raise ConfigError(f'measured depth is {text!r}; give sample:SHARE of the pixels, or a '
                              'number of points, as in sample:0.01,noise=0.03,outliers=0.05')
        return found

    def __str__(self) -> str:
        count = f'{self.share:g} points' if self.share >= 1 else (
            f'{100 * self.share:g} % of the pixels')
        return (f'{count} drawn from the truth{" of the left half" if self.left else ""}, '
                f'{100 * self.noise:g} % noise, {100 * self.outliers:g} % outliers (simulated)')

    def points(self, sample: Sample, seed: int) -> NDArray[np.float32] | None:
        """(N, 3) float32 points in the camera frame; None without a true depth."""
        truth = sample.truth.depth
        if truth is None:
            return None
        known = np.isfinite(truth) & (truth > 0)
        count = round(self.share if self.share >= 1 else self.share * np.count_nonzero(known))
        if self.left:
            known[:, truth.shape[1] // 2:] = False
        there = np.flatnonzero(known)
        random = np.random.default_rng(seed)
        drawn = random.choice(there, min(count, there.size), replace=False)
        v, u = np.divmod(drawn, truth.shape[1])
        z = truth.ravel()[drawn] * np.exp(self.noise * random.standard_normal(drawn.size))
        wrong = random.random(drawn.size) < self.outliers
        least, most = map(math.log, OUTLIER_FACTORS)
        factors = np.exp(random.uniform(least, most, drawn.size))
        z[wrong] *= np.where(random.random(drawn.size) < 0.5, factors, 1 / factors)[wrong]
        return sample.frame.intrinsics.points(np.stack([u, v], axis=1), z)


class MeasuredSamples:
    """
    Samples with measured points, whose pixels are no truth any more.

    :param blended: False: the same truth without the points, to compare with.
    :raises ConfigError: a folder without depth pictures; see SimulatedPoints.parse.
    """

    def __init__(self, samples: Samples, given: str, per_meter: float,
                 blended: bool = True) -> None:
        self._samples, self._blended = samples, blended
        self._simulated = SimulatedPoints.parse(given) if is_simulated(given) else None
        self._folder = None if self._simulated else MeasuredFolder(Path(given), per_meter)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        sample = self._samples[index]
        points = (self._simulated.points(sample, index) if self._simulated is not None else
                  self._folder.points(sample.frame) if self._folder is not None else None)
        if points is None:
            return sample
        frame, depth = sample.frame, sample.truth.depth
        if depth is not None:
            depth = depth.copy()
            depth.ravel()[projected(points, frame.intrinsics, math.inf)[0]] = np.nan
        return replace(sample, truth=replace(sample.truth, depth=depth), frame=replace(
            frame, measured_points_m=points if self._blended else None))


def is_simulated(given: str) -> bool:
    """Whether points are to be drawn from the truth."""
    return given.startswith(SimulatedPoints.PREFIX)


def open_measured(open_samples: Callable[[], Samples], given: str, per_meter: float,
                  blended: bool) -> MeasuredSamples:
    """Open a data set with measured points; a partial of it can be pickled."""
    return MeasuredSamples(open_samples(), given, per_meter, blended)
