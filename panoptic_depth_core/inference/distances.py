# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Step 4: range of depths, and distance and position of every instance from its depths.

Depth maps are smooth where surfaces meet, so pixels at the border of an instance float between
it and the background ("flying pixels"), and masks leak. Hence borders are eroded, and depths far
from the median log depth, in median absolute deviations (MAD), are rejected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..config import DepthSettings, DistanceSettings
from ..structures import DistanceFlag, InstanceDistance, Intrinsics, Segment


def mark_depth(depth: NDArray[np.float32], sky: NDArray[np.bool_], settings: DepthSettings,
               ) -> NDArray[np.float32]:
    """
    Mark depths outside of the range (REP-117).

    Far is +Inf here whatever far_value says, as distances distinguish far from unknown; see
    far_as_set.

    :param depth: (h, w) float32 meters, finite.
    :param sky: (h, w) bool.
    :returns: (h, w) float32 meters; +Inf far, -Inf too near, NaN sky without sky_is_far.
    """
    marked = depth.copy()
    near = (marked < settings.min_m) | (marked <= 0)
    marked[marked > settings.max_m] = np.inf
    marked[near] = -np.inf
    marked[sky] = np.inf if settings.sky_is_far else np.nan
    return marked


def far_as_set(depth: NDArray[np.float32], settings: DepthSettings) -> NDArray[np.float32]:
    """(h, w) depth with +Inf replaced by NaN if far_value asks for it."""
    if settings.far_value == 'nan':
        return np.where(np.isposinf(depth), np.float32(np.nan), depth)
    return depth


MAX_POINTS = 4096
"""Larger instances are measured on as many pixels, evenly spaced and deterministic."""

MIN_CORE_POINTS = 10
"""If erosion leaves fewer points with a depth, the instance is measured without erosion."""

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution per MAD: 1 / (inverse normal CDF of 3/4)."""

REJECT_SIGMAS = 3.0
REJECT_FLOOR = 0.05
"""Depths within 5 % of the median are kept however small the MAD is, as of a flat wall."""

REJECT_ROUNDS = 3
"""Each round takes median and MAD without the outliers of the previous round."""


def measure_distances(
        panoptic: NDArray[np.uint16], depth: NDArray[np.float32], segments: Sequence[Segment],
        intrinsics: Intrinsics, class_names: Sequence[str], settings: DistanceSettings,
        border: NDArray[np.bool_] | None = None) -> tuple[InstanceDistance, ...]:
    """
    Measure every thing instance, and with include_stuff every other segment too.

    :param panoptic: (H, W) uint16 panoptic ids.
    :param depth: (H, W) float32 meters along Z; NaN unknown, +Inf far, -Inf too near.
    :param intrinsics: camera of these pixels.
    :param class_names: by class id.
    :param border: (H, W) bool, where what the camera sees ends, if not at the border of the maps.
    :returns: nearest first, those of unknown distance last; roi in px of these arrays.
    """
    wanted = [s for s in segments if s.instance_id > 0 or settings.include_stuff]
    if not wanted:
        return ()
    core = _core(panoptic, settings.erode_px).ravel()
    flat_depth = depth.ravel()
    pixels = _pixels_by_id(panoptic, [s.panoptic_id for s in wanted])
    found = [
        _measure(segment, class_names[segment.class_id], pixels[segment.panoptic_id],
                 flat_depth, core, intrinsics, settings,
                 None if border is None else border.ravel())
        for segment in wanted if segment.panoptic_id in pixels]
    return tuple(sorted(found, key=lambda d: (math.isnan(d.distance_m), d.distance_m)))


def _core(panoptic: NDArray[np.uint16], erode_px: int) -> NDArray[np.bool_]:
    """(H, W) bool: no other id within erode_px; the border of the image does not erode."""
    if erode_px == 0:
        return np.ones(panoptic.shape, np.bool_)
    kernel = np.ones((2 * erode_px + 1, 2 * erode_px + 1), np.uint8)
    return np.asarray(cv2.erode(panoptic, kernel) == cv2.dilate(panoptic, kernel))


def _pixels_by_id(panoptic: NDArray[np.uint16], ids: Sequence[int],
                  ) -> dict[int, NDArray[np.intp]]:
    """Flat indices of the pixels of each id that has any, in raster order."""
    is_wanted = np.zeros(65536, np.bool_)
    is_wanted[list(ids)] = True
    flat = np.flatnonzero(is_wanted.take(panoptic))
    values = panoptic.ravel()[flat]
    order = np.argsort(values, kind='stable')
    present, starts = np.unique(values[order], return_index=True)
    groups = np.split(flat[order], starts[1:])
    return {int(i): group for i, group in zip(present, groups, strict=False)}


def _measure(segment: Segment, class_name: str, pixels: NDArray[np.intp],
             depth: NDArray[np.float32], core: NDArray[np.bool_], intrinsics: Intrinsics,
             settings: DistanceSettings, border: NDArray[np.bool_] | None) -> InstanceDistance:
    """:param pixels: (n,) flat indices of the segment's pixels; depth, core, border: flat."""
    width = intrinsics.width
    columns = pixels % width
    left, right = int(columns.min()), int(columns.max())
    top, bottom = int(pixels[0]) // width, int(pixels[-1]) // width
    z = depth[pixels]
    finite = np.isfinite(z)
    valid = int(np.count_nonzero(finite))
    too_near = int(np.count_nonzero(np.isneginf(z)))
    far = int(np.count_nonzero(np.isposinf(z)))
    known = valid + too_near + far

    flags = DistanceFlag(0)
    if (left == 0 or top == 0 or right == width - 1 or bottom == intrinsics.height - 1
            if border is None else border[pixels].any()):
        flags |= DistanceFlag.TRUNCATED
    if 2 * far > known:
        flags |= DistanceFlag.BEYOND_RANGE
    # Mostly too near: the rest would report an obstacle as farther than it is.
    mostly_near = 2 * too_near > known
    if valid == 0 or mostly_near or valid < settings.min_valid_ratio * pixels.size:
        flags |= DistanceFlag.LOW_DEPTH_SUPPORT
    unknown = InstanceDistance(
        segment, class_name, (left, top, right - left + 1, bottom - top + 1),
        # Valid share here, times the segment's pixels in the image.
        round(segment.pixel_count * valid / pixels.size), flags)
    if valid == 0 or mostly_near or DistanceFlag.BEYOND_RANGE in flags:
        return unknown

    chosen = pixels[finite & core[pixels]]
    if chosen.size < MIN_CORE_POINTS:
        chosen = pixels[finite]
    if chosen.size > MAX_POINTS:
        chosen = chosen[np.arange(MAX_POINTS) * chosen.size // MAX_POINTS]
    points = _points(chosen, depth, intrinsics)
    low, high = _inlier_range(points[2])
    points = points[:, (points[2] >= low) & (points[2] <= high)]
    # Panoptic-DepthLab's distance (arXiv 2308.12937).
    return replace(_summarised(unknown, points, settings.near_percentile),
                   depth_mean_m=float(z[finite].mean(dtype=np.float64)))


def _points(pixels: NDArray[np.intp], depth: NDArray[np.float32], intrinsics: Intrinsics,
            ) -> NDArray[np.float64]:
    """(3, n) points in the camera frame, meters."""
    v, u = np.divmod(pixels, intrinsics.width)
    z = depth[pixels].astype(np.float64)
    x, y = intrinsics.rays(np.stack([u, v], axis=1)).T
    return np.stack([x * z, y * z, z])


def _inlier_range(z: NDArray[np.float64]) -> tuple[float, float]:
    """Least and greatest depth within REJECT_SIGMAS of the median log depth."""
    log_z = np.log(np.sort(z))
    start, end = 0, len(log_z)
    for _ in range(REJECT_ROUNDS):
        kept = log_z[start:end]
        centre = _quantile(kept, 0.5)
        deviations = np.sort(np.abs(kept - centre))
        reach = max(REJECT_SIGMAS * MAD_TO_SIGMA * _quantile(deviations, 0.5),
                    math.log1p(REJECT_FLOOR))
        start, end = np.searchsorted(log_z, (centre - reach, centre + reach))
    return math.exp(centre - reach), math.exp(centre + reach)


def _quantile(ascending: NDArray[np.float64], share: float) -> Any:
    """Quantile of sorted values along the last axis, linear between them."""
    at = share * (ascending.shape[-1] - 1)
    low = int(at)
    below, above = ascending[..., low], ascending[..., min(low + 1, ascending.shape[-1] - 1)]
    return below + (at - low) * (above - below)


def _summarised(unknown: InstanceDistance, points: NDArray[np.float64], near_percentile: float,
                ) -> InstanceDistance:
    """
    Fill in the numbers.

    The covariance C of the position is that of the points, the spread of the visible surface, plus
    the error that the network predicts, which moves all points along their rays:
    (sqrt(2) * b * distance)^2 along the unit ray r, b the Laplace scale of log depth, whose
    standard deviation is sqrt(2) * b. The spread of the distance is sqrt(r' C r): of pixels and
    network together, not the error of the mean.

    :param points: (3, n) inliers, n >= 1.
    """
    ascending = np.sort(points, axis=1)
    position = _quantile(ascending, 0.5)
    distance = float(np.linalg.norm(position))
    ray = position / distance
    offsets = points - position[:, None]
    covariance = offsets @ offsets.T / points.shape[1]
    log_depth_scale = unknown.segment.log_depth_scale
    if math.isfinite(log_depth_scale):
        covariance += 2.0 * (log_depth_scale * distance) ** 2 * np.outer(ray, ray)

    ranges = np.sqrt(np.einsum('ij,ij->j', points, points))
    rank = int(near_percentile / 100.0 * (ranges.size - 1))
    nearest = points[:, np.argpartition(ranges, rank)[rank]]
    # The median of each axis may be nearer than any point, where points are scattered.
    if not float(np.linalg.norm(nearest)) <= distance:
        nearest = position
    size = _quantile(ascending, 0.95) - _quantile(ascending, 0.05)
    return replace(
        unknown, distance_m=distance, distance_stddev_m=float(np.sqrt(ray @ covariance @ ray)),
        distance_near_m=float(np.linalg.norm(nearest)), depth_m=float(position[2]),
        position_m=position.astype(np.float32),
        position_covariance=covariance.astype(np.float32),
        nearest_point_m=nearest.astype(np.float32), size_m=size.astype(np.float32))


def transformed(distances: Sequence[InstanceDistance], rotation: NDArray[np.float64],
                translation: NDArray[np.float64]) -> tuple[InstanceDistance, ...]:
    """
    Positions, covariances and sizes in a frame in which a point p is rotation @ p + translation.

    Distances remain those from the camera. The size is that of the axis-parallel box around the
    rotated box, an upper bound along axes oblique to the camera.

    :param rotation: (3, 3); translation: (3,) meters.
    """
    return tuple(replace(
        d,
        position_m=(rotation @ d.position_m + translation).astype(np.float32),
        position_covariance=(rotation @ d.position_covariance @ rotation.T).astype(np.float32),
        nearest_point_m=(rotation @ d.nearest_point_m + translation).astype(np.float32),
        size_m=(np.abs(rotation) @ d.size_m).astype(np.float32)) for d in distances)


def not_transformed(distances: Sequence[InstanceDistance]) -> tuple[InstanceDistance, ...]:
    """The same, with the flag that they are in the camera's frame."""
    return tuple(replace(d, flags=d.flags | DistanceFlag.NOT_TRANSFORMED) for d in distances)
