# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Instances in another frame: that of the vehicle or of a map instead of the camera's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..structures import DistanceFlag, InstanceDistance


def rotation_matrix(x: float, y: float, z: float, w: float) -> NDArray[np.float64]:
    """
    (3, 3) rotation of a quaternion of any length but 0.

    Shoemake 1985, "Animating rotation with quaternion curves", with the length divided out.
    """
    scale = 2.0 / (x * x + y * y + z * z + w * w)
    return np.array([
        [1 - scale * (y * y + z * z), scale * (x * y - z * w), scale * (x * z + y * w)],
        [scale * (x * y + z * w), 1 - scale * (x * x + z * z), scale * (y * z - x * w)],
        [scale * (x * z - y * w), scale * (y * z + x * w), 1 - scale * (x * x + y * y)]])


def transformed(distances: Sequence[InstanceDistance], rotation: NDArray[np.float64],
                translation: NDArray[np.float64]) -> tuple[InstanceDistance, ...]:
    """
    Positions, covariances and sizes in a frame in which a point p is rotation @ p + translation.

    Distances stay those from the camera. The size is that of the axis-parallel box around the
    turned box: along an axis that is oblique to the camera it is the most that it can be.

    :param rotation: (3, 3); translation: (3,) metres.
    """
    return tuple(replace(
        d,
        position_m=(rotation @ d.position_m + translation).astype(np.float32),
        position_covariance=(rotation @ d.position_covariance @ rotation.T).astype(np.float32),
        nearest_point_m=(rotation @ d.nearest_point_m + translation).astype(np.float32),
        size_m=(np.abs(rotation) @ d.size_m).astype(np.float32)) for d in distances)


def not_transformed(distances: Sequence[InstanceDistance]) -> tuple[InstanceDistance, ...]:
    """The same, flagged: they are still in the camera's frame."""
    return tuple(replace(d, flags=d.flags | DistanceFlag.NOT_TRANSFORMED) for d in distances)
