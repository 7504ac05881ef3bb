# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Distortion of a lens: from a ray to its place on the image plane, and back.

Points are (x, y) at z = 1: of a ray (x, y, 1), ``x / z`` and ``y / z``; of the image,
``(u - cx) / fx`` and ``(v - cy) / fy``.

The polynomials of a calibration hold as far as the picture reaches. Beyond, their radius may fall
again, so that rays far outside of the view would be folded back into the picture; Lens.limit is
the radius up to which it rises.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError

LensModel = Literal['plumb_bob', 'rational_polynomial', 'equidistant']
Points = NDArray[np.float64]

COEFFICIENTS: dict[LensModel, tuple[int, ...]] = {
    'plumb_bob': (4, 5), 'rational_polynomial': (8, 12, 14), 'equidistant': (4,)}
"""
Numbers of coefficients of each model; names as in sensor_msgs/distortion_models.hpp.

plumb_bob: k1 k2 p1 p2 k3; rational_polynomial: also k4 k5 k6, s1 s2 s3 s4 of a thin prism and the
tilt of the sensor; equidistant: k1 k2 k3 k4 of a fisheye (OpenCV's conventions).
"""

_RADIAL = {'plumb_bob': (0, 1, 4), 'rational_polynomial': (0, 1, 4, 5, 6, 7),
           'equidistant': (0, 1, 2, 3)}
"""Which coefficients depend on the radius alone."""

_WIDEST = math.radians(89.9)
"""Greatest angle to the optical axis; at 90 degrees x / z has no end."""
_ANGLES = 8192
_DIRECTIONS = 64
_MARGIN = 1.002
_OPENCV_STEPS = 20
_NEWTON_STEPS = 60
_EXACT = 1e-9
_BLOCK = 1 << 14
"""Points at once: OpenCV makes a Jacobian of 30 numbers and more for each, which fits a cache."""
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

    @property
    def limit(self) -> float:
        """Greatest radius of a ray that the lens shows, |(x, y)|; the radius rises up to it."""
        return float(self._radii[0][-1])

    def distorted(self, points: NDArray[np.floating[Any]]) -> Points:
        """(N, 2) points of rays -> (N, 2) points of the image; NaN beyond the limit."""
        rays = np.array(points, np.float64).reshape(-1, 2)
        with np.errstate(invalid='ignore'):
            rays[~(np.hypot(rays[:, 0], rays[:, 1]) <= self.limit)] = np.nan
        return self._bent(rays, self.coefficients)

    def undistorted(self, points: NDArray[np.floating[Any]]) -> Points:
        """
        (N, 2) points of the image -> (N, 2) points of rays.

        OpenCV's iteration, and where it does not converge to a ray within the limit, Newton's.
        NaN where there is none.
        """
        points = np.asarray(points, np.float64).reshape(-1, 2)
        rays = np.full(points.shape, np.nan)
        # All others have no ray, which the iterations would find out the slow way.
        near = np.flatnonzero(np.hypot(points[:, 0], points[:, 1]) <= self._reach)
        rays[near] = self._by_opencv(points[near])
        open_ = near[~(self._error(rays[near], points[near]) <= _EXACT)]
        for start in range(0, len(open_), _BLOCK):
            block = open_[start:start + _BLOCK]
            rays[block] = self._by_newton(points[block])
        return rays

    def _bent(self, rays: Points, coefficients: tuple[float, ...]) -> Points:
        """OpenCV's model at any radius."""
        bent, values = np.empty(rays.shape), np.array(coefficients)
        for start in range(0, len(rays), _BLOCK):
            block = rays[start:start + _BLOCK]
            found = (cv2.fisheye.distortPoints(block[:, None], _EYE, values)
                     if self.model == 'equidistant' else self._projected(block, values)[0])
            bent[start:start + _BLOCK] = found[:, 0]
        return bent

    @staticmethod
    def _projected(rays: Points, coefficients: Points) -> tuple[Any, Any]:
        """(N, 1, 2) points of the image and (2 N, 10 and more) their Jacobian, by OpenCV."""
        return cv2.projectPoints(cv2.convertPointsToHomogeneous(rays), _NONE, _NONE, _EYE,
                                 coefficients)

    @cached_property
    def _radii(self) -> tuple[Points, Points]:
        """Radii of rays up to the limit, and their distorted ones, which rise."""
        radial = tuple(value if index in _RADIAL[self.model] else 0.0
                       for index, value in enumerate(self.coefficients))
        radius = np.tan(np.linspace(0.0, _WIDEST, _ANGLES))
        bent = self._bent(np.stack([radius, 0 * radius], axis=1), radial)[:, 0]
        falls = np.flatnonzero(~(np.diff(bent) > 0))
        end = int(falls[0]) + 1 if falls.size else _ANGLES
        if end < 2:
            raise ConfigError(f'lens: {self.model} with {self.coefficients} shows no ray: the '
                              'radius falls from the center on; calibrate the lens again')
        return radius[:end], bent[:end]

    @cached_property
    def _reach(self) -> float:
        """A little more than the greatest radius of a point of the image that has a ray."""
        angle = np.linspace(0.0, 2.0 * math.pi, _DIRECTIONS, endpoint=False)
        radius = self._radii[0][:, None]
        radius = np.concatenate([radius[::_DIRECTIONS], radius[-1:]])
        bent = self._bent(np.stack([radius * np.cos(angle), radius * np.sin(angle)],
                                   axis=2).reshape(-1, 2), self.coefficients)
        return float(_MARGIN * np.hypot(bent[:, 0], bent[:, 1]).max())

    def _by_opencv(self, points: Points) -> Points:
        if not len(points):
            return np.zeros((0, 2))
        coefficients = np.array(self.coefficients)
        end = cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _OPENCV_STEPS, 0.1 * _EXACT
        if self.model == 'equidistant':
            found = cv2.fisheye.undistortPoints(points[:, None], _EYE, coefficients, criteria=end)
        else:
            found = cv2.undistortPointsIter(points[:, None], _EYE, coefficients, _UNCHANGED,
                                            _UNCHANGED, end)
        return np.array(found, np.float64).reshape(-1, 2)

    def _error(self, rays: Points, points: Points) -> Points:
        """(N,) error of rays on the image plane; NaN beyond the limit."""
        return np.asarray(np.abs(self.distorted(rays) - points).max(axis=1, initial=0.0))

    def _by_newton(self, points: Points) -> Points:
        """Newton's method from the ray of the same radius, which the other terms change little."""
        radius, bent = self._radii
        length = np.hypot(points[:, 0], points[:, 1])
        rays = points * (np.interp(length, bent, radius) / np.maximum(length, _EXACT))[:, None]
        moving = np.arange(len(points))
        for _ in range(_NEWTON_STEPS):
            missing = points[moving] - self._bent(rays[moving], self.coefficients)
            (a, b), (c, d) = self._jacobian(rays[moving])
            with np.errstate(divide='ignore', invalid='ignore'):
                step = np.stack([d * missing[:, 0] - b * missing[:, 1],
                                 a * missing[:, 1] - c * missing[:, 0]], 1)
                step /= (a * d - b * c)[:, None]
            near = rays[moving] + np.where(np.isfinite(step), step, 0.0)
            # A step that leaves the limit ends there: the ray may be just within.
            near *= np.minimum(1.0, self.limit / np.maximum(np.hypot(*near.T), _EXACT))[:, None]
            rays[moving] = near
            moving = moving[np.abs(step).max(axis=1) >= 0.1 * _EXACT]
            if not len(moving):
                break
        rays[~(self._error(rays, points) <= _EXACT)] = np.nan
        return rays

    def _jacobian(self, rays: Points) -> Points:
        """(2, 2, N) derivatives of the point of the image by the ray."""
        if self.model != 'equidistant':
            # By x and y of a translation at z = 1.
            matrix = self._projected(rays, np.array(self.coefficients))[1]
            return np.asarray(matrix[:, 3:5].reshape(-1, 2, 2).transpose(1, 2, 0), np.float64)
        half = 1e-6 * np.maximum(1.0, np.hypot(*rays.T))
        sides = [(self._bent(rays + step, self.coefficients)
                  - self._bent(rays - step, self.coefficients)) / (2 * half[:, None])
                 for step in (np.stack([half, 0 * half], 1), np.stack([0 * half, half], 1))]
        return np.stack([side.T for side in sides], axis=1)
