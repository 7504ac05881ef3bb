# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The plane of the ground, from depth and labels alone.

A plane n . P = h, with n the unit vector to the ground and h the height of the optical center
above it, is affine in the inverse depth of its pixels: with P = Z r and the ray
r = ((u - cx) / fx, (v - cy) / fy, 1), 1 / Z = (n / h) . r. So three numbers m = n / h are fitted
to pixels, and h = 1 / |m|. A camera is at the same height all along a drive, so that the
spread of h over frames is that of the scale of the meters, and h itself can be measured with a
rule.

Pixels that are labeled as ground but are not on the plane must not count: the best of planes
through three random pixels, always the same ones (Fischler and Bolles, Random Sample Consensus,
1981), then least squares with the weights of Tukey's biweight, repeated.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..structures import Intrinsics
from .distances import MAD_TO_SIGMA

LEAST_PIXELS = 200
"""Fewer say little of a plane."""

INLIER_ERROR = 0.1
"""Relative error of depth up to which a pixel is on the plane."""

NEAR_M = 20.0

_MOST_PIXELS = 1000
_TRIALS = 100
_SCORED = 300
_ROUNDS = 5
_BIWEIGHT_SIGMAS = 4.685
"""95 % as efficient as least squares where errors are normal (Huber, Robust Statistics)."""

_LEAST_SIGMA = 1e-3
_GREATEST_CONDITION = 1e10
_LEAST_UPRIGHT = math.cos(math.radians(45.0))


class GroundPlane(NamedTuple):
    """
    The ground as a camera sees it.

    :param height_m: of the optical center above the plane.
    :param pitch_deg: of the optical axis below the plane; the camera looks down where > 0.
    :param roll_deg: around the optical axis; the right side of the camera is low where > 0.
    :param residual: median of |Z / Z of the plane - 1| over pixels of the ground.
    :param inlier_share: of these pixels, within INLIER_ERROR, 0..1.
    :param rms_m: root mean square of the distances of their points from the plane, up to a depth
        of NEAR_M; NaN where there are none.
    """

    height_m: float
    pitch_deg: float
    roll_deg: float
    residual: float
    inlier_share: float
    rms_m: float


def fit_ground(inverse_depth: NDArray[np.float32], is_ground: NDArray[np.bool_],
               camera: Intrinsics) -> GroundPlane | None:
    """
    Fit a plane to the pixels of the ground.

    :param inverse_depth: (H, W) float32 1 / Z in 1/m, NaN where not known.
    :param is_ground: (H, W) bool.
    :param camera: of these pixels.
    :returns: None where there are too few pixels, or what fits them is no ground: more than 45
        degrees from the camera's horizontal.
    """
    rows, columns = np.nonzero(is_ground & (inverse_depth > 0))
    if len(rows) < LEAST_PIXELS:
        return None
    # In raster order, so that the chosen ones are spread as all pixels are.
    chosen = np.arange(min(len(rows), _MOST_PIXELS)) * len(rows) // min(len(rows), _MOST_PIXELS)
    rows, columns = rows[chosen], columns[chosen]
    rays = camera.directions(np.stack([columns, rows], axis=1))
    inverse = inverse_depth[rows, columns].astype(np.float64)
    plane = _refined(_best_of_three(rays, inverse), rays, inverse)
    if plane is None:
        return None
    length = float(np.linalg.norm(plane))
    normal = plane / length
    if normal[1] < _LEAST_UPRIGHT:
        return None
    error = np.abs(_depth_error(plane, rays, inverse))
    near = inverse >= 1 / NEAR_M
    off = (rays[near] @ normal) / inverse[near] - 1.0 / length
    return GroundPlane(
        height_m=1.0 / length, pitch_deg=math.degrees(math.asin(normal[2])),
        roll_deg=math.degrees(math.atan2(normal[0], normal[1])),
        residual=float(np.median(error)), inlier_share=float(np.mean(error <= INLIER_ERROR)),
        rms_m=float(np.sqrt(np.mean(off ** 2))) if off.size else math.nan)


def _depth_error(planes: NDArray[Any], rays: NDArray[np.float64],
                 inverse: NDArray[np.float64]) -> NDArray[np.float64]:
    """Z / Z of the plane - 1, (..., n); -1 or less for pixels that are above its horizon."""
    return np.asarray(planes @ rays.T / inverse - 1.0)


def _best_of_three(rays: NDArray[np.float64], inverse: NDArray[np.float64],
                   ) -> NDArray[np.float64]:
    """(3,) the plane through three pixels that most others are on."""
    triples = np.random.default_rng(0).integers(0, len(rays), (_TRIALS, 3))
    matrices = rays[triples]
    in_line = np.abs(np.linalg.det(matrices)) < np.finfo(np.float64).eps
    matrices[in_line] = np.eye(3)
    planes = np.linalg.solve(matrices, inverse[triples][..., None])[..., 0]
    planes[in_line] = 0.0
    step = max(len(rays) // _SCORED, 1)
    error = _depth_error(planes, rays[::step], inverse[::step])
    return np.asarray(planes[(np.abs(error) <= INLIER_ERROR).sum(axis=1).argmax()])


def _refined(plane: NDArray[np.float64], rays: NDArray[np.float64],
             inverse: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """(3,) the plane of least relative errors of those pixels that are on it; None: undefined."""
    for _ in range(_ROUNDS):
        predicted = rays @ plane
        ahead = predicted > 0
        # Depth is in error by a share of it, so inverse depth is as well.
        scale = np.divide(1.0, predicted, out=np.zeros(len(rays)), where=ahead)
        error = inverse * scale - 1.0
        sigma = max(MAD_TO_SIGMA * float(np.median(np.abs(error))), _LEAST_SIGMA)
        reach = _BIWEIGHT_SIGMAS * min(sigma, INLIER_ERROR)
        weight = np.maximum(1.0 - (error / reach) ** 2, 0.0) * scale * ahead
        weighted = rays * weight[:, None]
        # Not with @, whose sums may depend on the number of threads.
        normal_matrix = np.einsum('ni,nj->ij', weighted, weighted)
        values = np.linalg.eigvalsh(normal_matrix)
        if not values[0] * _GREATEST_CONDITION > values[2]:
            return None
        plane = np.linalg.solve(
            normal_matrix, np.einsum('ni,n->i', weighted, inverse * weight))
    return plane
