# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Rotations as quaternions and as matrices."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Axes = Literal['optical', 'body']
"""
Axes of the frame that images name (REP-103).

optical: z forward, x right, y down; body: x forward, y left, z up.
"""


def to_optical(axes: Axes) -> NDArray[np.float64]:
    """(4, 4) from a camera's frame of some axes to that of its optical axes."""
    turn = np.eye(4)
    if axes == 'body':
        turn[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    return turn


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


def quaternion(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    (4,) x, y, z, w with w >= 0 of a (3, 3) rotation.

    The eigenvector of the largest eigenvalue of the matrix K of Bar-Itzhack 2000, "New method for
    extracting the quaternion from a rotation matrix".
    """
    (a, b, c), (d, e, f), (g, h, i) = rotation
    _, vectors = np.linalg.eigh(np.array([
        [a - e - i, b + d, c + g, h - f], [b + d, e - a - i, f + h, c - g],
        [c + g, f + h, i - a - e, d - b], [h - f, c - g, d - b, a + e + i]]))
    found = vectors[:, -1]
    return np.asarray(found if found[3] >= 0 else -found)
