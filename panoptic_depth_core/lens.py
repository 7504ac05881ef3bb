# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Distortion of a lens: from a ray to its place on the image plane, and back.

Points are (x, y) at z = 1: of a ray (x, y, 1), ``x / z`` and ``y / z``; of the image,
``(u - cx) / fx`` and ``(v - cy) / fy``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError

LensModel = Literal['plumb_bob', 'rational_polynomial', 'equidistant']

COEFFICIENTS: dict[LensModel, tuple[int, ...]] = {
    'plumb_bob': (4, 5), 'rational_polynomial': (8, 12, 14), 'equidistant': (4,)}
"""
Numbers of coefficients of each model; names as in sensor_msgs/distortion_models.hpp.

plumb_bob: k1 k2 p1 p2 k3; rational_polynomial: also k4 k5 k6, s1 s2 s3 s4 of a thin prism and the
tilt of the sensor; equidistant: k1 k2 k3 k4 of a fisheye (OpenCV's conventions).
"""

_STEPS = 50
_EXACT = 1e-6
_EYE = np.eye(3)
_NONE = np.zeros(3)
_UNCHANGED: Any = None
"""Rotation and camera matrix of undistorted points; OpenCV's annotations lack it."""


@dataclass(frozen=True)
class Lens:
    """
    A lens that bends rays.

    :raises ConfigError: an unknown model, a wrong number of coefficients, or one that is not
        finite.
    """

    model: LensModel
    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        counts = COEFFICIENTS.get(self.model)
        if counts is None:
            raise ConfigError(f'lens: model {self.model!r} is not known; the models are '
                              f'{", ".join(COEFFICIENTS)}')
        if len(self.coefficients) not in counts:
            raise ConfigError(f'lens: {self.model} has {len(self.coefficients)} coefficients; '
                              f'give {" or ".join(map(str, counts))}')
        if not all(map(math.isfinite, self.coefficients)):
            raise ConfigError(f'lens: coefficients are {self.coefficients}; give finite numbers')

    def distorted(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(N, 2) points of rays -> (N, 2) points of the image."""
        points = np.asarray(points, np.float64).reshape(-1, 1, 2)
        if not len(points):
            return np.zeros((0, 2))
        if self.model == 'equidistant':
            found = cv2.fisheye.distortPoints(points, _EYE, np.array(self.coefficients))
        else:
            rays = cv2.convertPointsToHomogeneous(points)
            found = cv2.projectPoints(rays, _NONE, _NONE, _EYE, np.array(self.coefficients))[0]
        return np.asarray(found, np.float64).reshape(-1, 2)

    def undistorted(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """
        (N, 2) points of the image -> (N, 2) points of rays.

        NaN where no ray in front of the camera meets the point.
        """
        points = np.asarray(points, np.float64).reshape(-1, 1, 2)
        if not len(points):
            return np.zeros((0, 2))
        coefficients = np.array(self.coefficients)
        end = cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _STEPS, 1e-12
        if self.model == 'equidistant':
            found = cv2.fisheye.undistortPoints(points, _EYE, coefficients, criteria=end)
        else:
            found = cv2.undistortPointsIter(points, _EYE, coefficients, _UNCHANGED, _UNCHANGED,
                                            end)
        rays = np.asarray(found, np.float64).reshape(-1, 2)
        # Iterations that do not converge leave a point that is no solution.
        error = np.abs(self.distorted(np.nan_to_num(rays)) - points[:, 0]).max(axis=1)
        rays[~(error <= _EXACT)] = np.nan
        return rays
