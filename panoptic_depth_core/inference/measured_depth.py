# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The depth of the network corrected by measured points: LiDAR, time of flight, stereo.

At a point of depth z, where the network says p, the correction is r = ln(z / p). It is spread over
the picture from coarse to fine (pull-push): with Gaussians of falling width, a local mean of r
takes the place of the coarser one, the more so the more points there are. Points count for pixels
of a like predicted depth, in bins of ln p that overlap; so what is measured on a car does not
move the road behind it. That is a bilateral grid (Chen et al., Real-time Edge-Aware Image
Processing with the Bilateral Grid, SIGGRAPH 2007) with the predicted depth as its guide.

What the network sees stays: its edges, and its relative depth between the points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..config import MeasuredDepthSettings
from ..structures import DistanceFlag, InstanceDistance, Intrinsics, Segment
from .bins import between_bins
from .distances import MAD_TO_SIGMA

Floats = NDArray[np.float32]

MIN_M = 0.1
"""Nearer points are the sensor or the vehicle itself."""

BINS = 8
BINNED = (1, 99)
"""Bins of ln p, between these percentiles of the predicted depth."""

SIGMAS_PX = (32.0, 16.0, 8.0, 4.0, 2.0)
"""Widths of the Gaussians in px of the map; the wide ones are computed on coarse cells."""

FINEST_CELL_PX = 2
COARSEST_CELL_PX = 16

HALF_TRUST_POINTS = 0.5
"""With so many points within a Gaussian, exact ones, half of the correction is theirs."""

LOCAL_STDDEV = 0.1
"""Points of this standard deviation need one point more for it."""

PRIOR_STDDEV = 0.15
PRIOR_POINTS = 5.0
"""What a spread of corrections is expected to be, and how many points that is worth."""

REJECTION_ROUNDS = 2
"""In the second round the outliers of the first no longer bend the field around them."""

REACH_PX = 16.0
"""Pixels farther from every point are as uncertain as the network says."""


@dataclass(frozen=True)
class BlendedDepth:
    """
    Depth with measured points blended in.

    :param depth: (h, w) float32 meters, of the input's scale.
    :param pixels: (n,) flat indices of the pixels of the accepted points, each once.
    :param left: (n,) float32 what the correction without the point itself misses at it, in log
        depth.
    :param rejected: points that contradict their neighbors: moving, seen past an edge, or wrong.
    """

    depth: Floats
    pixels: NDArray[np.intp]
    left: Floats
    rejected: int


def projected(points_m: NDArray[np.float32], camera: Intrinsics, max_m: float,
              ) -> tuple[NDArray[np.intp], Floats]:
    """
    Pixels of points and their depth; of several in a pixel the nearest one, which hides the rest.

    :param points_m: (N, 3) in the camera frame; those that are not finite or behind the camera are
        left out.
    :returns: (n,) flat indices, ascending, and (n,) float32 meters along Z.
    """
    with np.errstate(invalid='ignore'):
        good = (points_m[:, 2] >= MIN_M) & (points_m[:, 2] <= max_m)
    points = points_m[good & np.isfinite(points_m).all(axis=1)]
    z = points[:, 2]
    uv = camera.pixels(points[:, :2] / z[:, None])
    with np.errstate(invalid='ignore'):
        u, v = np.floor(uv + 0.5).T
        inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    pixels = v[inside].astype(np.intp) * camera.width + u[inside].astype(np.intp)
    nearest = np.full(camera.width * camera.height, np.inf, np.float32)
    np.minimum.at(nearest, pixels, z[inside])
    hit = np.flatnonzero(np.isfinite(nearest))
    return hit, nearest[hit]


def blend(depth: Floats, points_m: NDArray[np.float32], camera: Intrinsics,
          sky: NDArray[np.bool_], settings: MeasuredDepthSettings,
          ) -> BlendedDepth | None:
    """
    Blend measured points into a depth map.

    :param depth: (h, w) float32 meters along Z; what is not finite or not above 0 stays.
    :param points_m: (N, 3) float32 meters in the camera frame.
    :param camera: of the map.
    :param sky: (h, w) bool; it stays as it is.
    :returns: None where no point can be used.
    """
    with np.errstate(invalid='ignore'):
        known = (np.isfinite(depth) & (depth > 0) & ~sky)
    pixels, z = projected(points_m, camera, settings.max_m)
    usable = known.ravel()[pixels]
    pixels, z = pixels[usable], z[usable]
    if not pixels.size:
        return None
    log_p = np.log(depth, where=known, out=np.zeros_like(depth))
    guide = _Guide.of(log_p, known)
    r = np.log(z) - log_p.ravel()[pixels]
    found = r.size
    for _ in range(REJECTION_ROUNDS):
        left = _Field(guide, pixels, r, settings.stddev_share).left
        kept = np.abs(left) <= settings.reject_mads * _spread(left)
        pixels, r = pixels[kept], r[kept]
    field = _Field(guide, pixels, r, settings.stddev_share)
    correction = field.dense()
    if settings.exact:
        correction.ravel()[pixels] = r
    return BlendedDepth(np.where(known, depth * np.exp(correction), depth), pixels, field.left,
                        found - r.size)


class _Guide(NamedTuple):
    """Bins of a map: (h, w) the lower of the two bins of a pixel, and the weight of the other."""

    low: NDArray[np.intp]
    share: Floats

    @classmethod
    def of(cls, log_p: Floats, known: NDArray[np.bool_]) -> _Guide:
        least, most = map(float, np.percentile(log_p[known][::3], BINNED))
        at = (log_p - least) * ((BINS - 1) / max(most - least, 1e-3))
        low = np.clip(at, 0, BINS - 2).astype(np.intp)
        return cls(low, np.clip(at - low, 0, 1).astype(np.float32))


def _spread(deviations: Floats) -> float:
    """Standard deviation by the MAD; that of few points is mostly what is expected."""
    mad = MAD_TO_SIGMA * float(np.median(np.abs(deviations))) if deviations.size else 0.0
    return float(np.sqrt((deviations.size * mad ** 2 + PRIOR_POINTS * PRIOR_STDDEV ** 2)
                         / (deviations.size + PRIOR_POINTS)))


class _Field:
    """
    The correction as a grid of cells and bins, from coarse to fine.

    :ivar left: (n,) see BlendedDepth.
    :param pixels, r: (n,) where it is known.
    :param stddev: of r.
    """

    def __init__(self, guide: _Guide, pixels: NDArray[np.intp], r: Floats, stddev: float) -> None:
        self._guide = guide
        height, width = guide.low.shape
        rows, columns = np.divmod(pixels, width)
        low, share = guide.low.ravel()[pixels], guide.share.ravel()[pixels]
        half = HALF_TRUST_POINTS + (stddev / LOCAL_STDDEV) ** 2
        start = _common(r)
        at_points = np.full(r.size, start, np.float32)
        self._grid = np.full((1, 1, BINS), start, np.float32)
        for sigma in SIGMAS_PX:
            self._cell = min(max(int(sigma) // 2, FINEST_CELL_PX), COARSEST_CELL_PX)
            shape = -(-height // self._cell), -(-width // self._cell), BINS
            at = ((rows // self._cell) * shape[1] + columns // self._cell) * BINS + low
            blur = sigma / self._cell
            # 2 pi sigma^2: a point alone has the weight 1 at its own place.
            peak = 2.0 * np.pi * blur ** 2
            weight, moment = (cv2.GaussianBlur(
                _splat(at, share, values, shape), (0, 0), blur, borderType=cv2.BORDER_CONSTANT)
                * np.float32(peak) for values in (np.ones_like(r), r))
            # The same at the points, each without itself.
            own = (1 - share) ** 2 + share ** 2
            others = np.maximum(_at(weight, at, share) - own, 0)
            mean = (_at(moment, at, share) - own * r) / np.maximum(others, 1e-6)
            trust = others / (others + half)
            at_points += trust * (np.clip(mean, r.min(initial=0), r.max(initial=0)) - at_points)
            coarse = cv2.resize(self._grid, shape[1::-1], interpolation=cv2.INTER_LINEAR)
            self._grid = (moment + half * coarse) / (weight + half)
        self.left = (r - at_points).astype(np.float32)

    def dense(self) -> Floats:
        """(h, w) float32 correction of every pixel."""
        low, share = self._guide
        height, width = low.shape
        size = self._grid.shape[1] * self._cell, self._grid.shape[0] * self._cell
        fine = cv2.resize(self._grid, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
        at = np.arange(low.size) * BINS + low.ravel()
        return _at(np.asarray(fine, np.float32), at, share.ravel()).reshape(low.shape)


def _common(r: Floats) -> float:
    """
    The correction that all pixels share, as far as the points can tell.

    It is the median m, shrunk to nothing where its own error is as large (the positive part of
    James and Stein 1961): m * max(0, 1 - v / m^2), v = pi/2 * spread^2 / n, the variance of a
    median. Of less than three points none can be outvoted.
    """
    if r.size < 3:
        return 0.0
    middle = float(np.median(r))
    variance = np.pi / 2 * _spread(r - np.float32(middle)) ** 2 / r.size
    return middle * max(0.0, 1.0 - variance / max(middle ** 2, 1e-12))


def _splat(at: NDArray[np.intp], share: Floats, values: Floats, shape: tuple[int, int, int],
           ) -> Floats:
    """(rows, columns, BINS) sums of values in their cell and two bins."""
    summed = between_bins(at, share, values, shape[0] * shape[1] * shape[2])
    return summed.astype(np.float32).reshape(shape)


def _at(grid: Floats, at: NDArray[np.intp], share: Floats) -> Floats:
    """Values of a grid between two bins."""
    flat = grid.ravel()
    return (1 - share) * flat[at] + share * flat[at + 1]


def less_uncertain(segments: Sequence[Segment], panoptic: NDArray[np.uint16],
                   blended: BlendedDepth, settings: MeasuredDepthSettings,
                   ) -> tuple[tuple[Segment, ...], frozenset[int]]:
    """
    What the points say of the uncertainty of the segments that hold enough of them.

    The variance of the error that is left is learned from what the correction misses at points
    that it was not made of (leave one out), d_i: D = sum(d_i^2). It holds their noise s^2 too,
    which is taken off, but half of D at most, as s may be stated too large. The network's own
    variance 2 b^2 counts as m = PRIOR_POINTS points, like the conjugate prior of a variance; it
    stays for the share 1 - t of pixels that are beyond REACH_PX of any point:

        2 b'^2 = t (m 2 b^2 + max(D - n s^2, D / 2)) / (m + n) + (1 - t) 2 b^2,

    and b' is at most b.

    :param panoptic: (h, w) uint16 ids of the blended map.
    :returns: all segments, and the ids of those that hold ``settings.min_points`` accepted points.
    """
    ids = panoptic.ravel()[blended.pixels]
    far = np.ones(panoptic.shape, np.uint8)
    far.ravel()[blended.pixels] = 0
    near = cv2.distanceTransform(far, cv2.DIST_L2, 3) <= REACH_PX
    changed, measured = [], set()
    for segment in segments:
        left = blended.left[ids == segment.panoptic_id]
        if left.size >= settings.min_points:
            measured.add(segment.panoptic_id)
            prior = 2.0 * segment.log_depth_scale ** 2
            missed = float(np.sum(left ** 2))
            missed = max(missed - left.size * settings.stddev_share ** 2, 0.5 * missed)
            points = (PRIOR_POINTS * prior + missed) / (PRIOR_POINTS + left.size)
            share = float(near[panoptic == segment.panoptic_id].mean())
            variance = share * points + (1 - share) * prior
            segment = replace(segment, log_depth_scale=float(
                np.sqrt(min(variance, prior) / 2)) if prior == prior else prior)
        changed.append(segment)
    return tuple(changed), frozenset(measured)


def with_measured(
        depth: Floats, segments: tuple[Segment, ...], points_m: NDArray[np.float32] | None,
        camera: Intrinsics, panoptic: NDArray[np.uint16], sky: NDArray[np.bool_],
        settings: MeasuredDepthSettings) -> tuple[Floats, tuple[Segment, ...], frozenset[int]]:
    """
    Depth and segments with measured points, see blend and less_uncertain, and the measured ids.

    :param points_m: None: nothing measures. Without any point the arguments are returned.
    """
    blended = None if points_m is None else blend(depth, points_m, camera, sky, settings)
    if blended is None:
        return depth, segments, frozenset()
    return blended.depth, *less_uncertain(segments, panoptic, blended, settings)


def flagged(distances: Sequence[InstanceDistance], measured: frozenset[int],
            ) -> tuple[InstanceDistance, ...]:
    """The same, with the flag MEASURED on those whose ids are ``measured``."""
    return tuple(replace(d, flags=d.flags | DistanceFlag.MEASURED)
                 if d.segment.panoptic_id in measured else d for d in distances)
