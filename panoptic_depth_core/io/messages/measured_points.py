# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Measured points of any message that holds some: depth images, compressed ones, point clouds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...structures import Intrinsics
from .point_clouds import ring_of, xyz_of
from .reading import stamp_of
from .truth_images import depth_of

MOST_POINTS = 20_000
"""Of a depth image; every n-th row and column is taken, so that time stays bounded."""

FARTHEST_M = 1000.0
"""What is farther is not in meters."""

_LOOKED_AT = 500


def is_cloud(message: Any) -> bool:
    """Whether a message is a point cloud rather than an image of any kind."""
    return hasattr(message, 'point_step')


def points_of_depth(depth: NDArray[np.float32], camera: Intrinsics) -> NDArray[np.float32]:
    """
    Points of a depth image, at most about MOST_POINTS.

    :param depth: (H, W) float32 meters along Z, not known where not finite or not above 0.
    :param camera: of its pixels.
    :returns: (N, 3) float32 in the frame of the camera.
    """
    step = max(1, math.ceil(math.sqrt(depth.size / MOST_POINTS)))
    z = depth[step // 2::step, step // 2::step]
    with np.errstate(invalid='ignore'):
        v, u = np.nonzero(np.isfinite(z) & (z > 0))
    z = z[v, u]
    return camera.points(np.stack([u, v], axis=1) * step + step // 2, z)


class HoldOut:
    """
    The share of measured points that is kept back as truth, the same for all that ask.

    :param share: 0..1; of the rings of a cloud where it has the field ``ring``, which are
        far apart, else of its points or of the pixels of a depth image, at random.
    """

    def __init__(self, share: float, seed: int = 0) -> None:
        self.share, self.seed = share, seed

    def of_cloud(self, message: Any) -> tuple[NDArray[np.bool_], str]:
        """(N,) bool of the points of xyz_of: held out; and the way, 'by rings' or 'at random'."""
        rings = ring_of(message)
        if rings is None:
            return self._at_random(message, (len(xyz_of(message)),)), 'at random'
        # Evenly: with 0.5 every other one.
        before = (rings + self.seed) * self.share
        return np.floor(before + self.share) > np.floor(before), 'by rings'

    def of_image(self, message: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """(H, W) bool of the pixels of a depth image: held out."""
        return self._at_random(message, shape)

    def _at_random(self, message: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        return np.random.default_rng((self.seed, stamp_of(message))).random(shape) < self.share


def measured_points(message: Any, camera: Intrinsics | None, hold_out: HoldOut | None = None,
                    ) -> NDArray[np.float32]:
    """
    Points of a message, without those that are held out.

    :param camera: of a depth image; not used for clouds.
    :returns: (N, 3) float32 meters in the frame of the message.
    :raises ConfigError: what it holds cannot be read.
    """
    if is_cloud(message):
        points = xyz_of(message)
        return points if hold_out is None else points[~hold_out.of_cloud(message)[0]]
    assert camera is not None
    depth = depth_of(message)
    if hold_out is not None:
        depth = np.where(hold_out.of_image(message, depth.shape), np.float32(np.nan), depth)
    return points_of_depth(depth, camera)


def are_seen(points: NDArray[np.float32], camera: Intrinsics) -> bool:
    """
    Whether any of (N, 3) points in the camera frame can be one that the image shows.

    Of many, a few are looked at first.
    """
    for step in (max(1, len(points) // _LOOKED_AT), 1):
        some = points[::step].astype(np.float64)
        with np.errstate(invalid='ignore'):
            some = some[(some[:, 2] > 0) & (some[:, 2] < FARTHEST_M)]
            pixels = camera.pixels(some[:, :2] / some[:, 2:])
            if ((pixels > -0.5) & (pixels < (camera.width - 0.5, camera.height - 0.5))
                    ).all(axis=1).any():
                return True
    return False


def moved(points: NDArray[np.float32], motion: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, 3) float32 points after a rigid motion (4, 4)."""
    turn, move = motion[:3, :3].astype(np.float32), motion[:3, 3].astype(np.float32)
    return np.asarray(points @ turn.T + move, np.float32)
