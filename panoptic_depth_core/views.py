# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What a camera with a lens shows, as pinhole cameras of the same center and axes see it.

All that is computed here depends on cameras alone and is cached: the frames of a camera pay for a
resize and one remap.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError
from .structures import Intrinsics

MOST_FOV_DEG = 110.0
"""
Widest pinhole view, per axis.

A pinhole stretches what is at an angle a to the axis by 1 / cos(a)^2: 3 times at 55 degrees, 33
times at 80, where nearly all of the picture would be its rim.
"""

Remap = tuple[NDArray[Any], NDArray[Any]]

_EDGE = math.tan(math.radians(MOST_FOV_DEG / 2.0))
_FINER = 1.75
"""
Scale to which an image is averaged before the remap, of that of the view on its axis.

A remap alone takes 4 pixels of 16 where it shrinks to a quarter, and aliases; 1 blurs, most where
the lens has shrunk the picture. Against rendered pinhole pictures of 768x384 px, the mean
difference is 6.5 with 1, 5.5 with this, and 6.3 without averaging for the wide angle of
benchmark/lenses.py (4.2, 3.5 and 4.5 for its barrel); the contrast of details is 83 %, 98 % and
118 % of theirs (87 %, 101 %, 116 %). The image of a pinhole camera is averaged, too: for 2048x1024
px that takes 4.5 ms on two cores, and this 6.5 to 8 ms with the remap.
"""
_STEP_PX = 4
_MANY_PX = 64
_MOST_BEND_PX = 0.02
"""Fourth difference; the error of a cubic interpolation along an axis is 3 / 128 of it."""
_LEAST_SHARE = 0.05
"""Of pixels that have a ray; in the circle of a fisheye of 220 degrees it is a third."""
_OUTSIDE = -16.0
"""Where remap finds no pixel: outside of any image, and within the range of its integers."""


class View(NamedTuple):
    """
    Rectangle at z = 1 around the rays of a picture, within MOST_FOV_DEG.

    :param cut: whether the picture has rays outside of it.
    :param blank: whether pixels of the picture have no ray.
    """

    left: float
    top: float
    right: float
    bottom: float
    cut: bool
    blank: bool

    @property
    def left_out(self) -> str:
        """What is to be said of the pixels that it does not show; empty where it shows all."""
        if self.cut:
            return (f'the lens shows more than a pinhole view of {MOST_FOV_DEG:g} degrees across '
                    'or down: outside of it labels are void and depth is unknown')
        return ('some pixels of the image have no ray in front of the camera by the coefficients '
                'of its lens: there labels are void and depth is unknown') if self.blank else ''

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    def shows(self, rays: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(..., 2) x / z and y / z -> (...) bool; not where they are NaN."""
        x, y = rays[..., 0], rays[..., 1]
        return np.asarray((x >= self.left) & (x <= self.right) & (y >= self.top)
                          & (y <= self.bottom))

    def camera(self, width: int, height: int, fit: Literal['letterbox', 'crop'], *,
               centered: bool) -> Intrinsics:
        """
        Pinhole camera that shows this view in width x height px, with square pixels.

        :param fit: letterbox: all of it; crop: fills the picture.
        :param centered: in the middle, not at the top left.
        """
        ratios = width / self.width, height / self.height
        focal = min(ratios) if fit == 'letterbox' else max(ratios)
        left, top = ((0.5 * (width - focal * self.width), 0.5 * (height - focal * self.height))
                     if centered else (0.0, 0.0))
        return Intrinsics(focal, focal, left - focal * self.left - 0.5,
                          top - focal * self.top - 0.5, width, height)


@lru_cache(maxsize=16)
def view_of(camera: Intrinsics) -> View:
    """
    Return the view of a camera.

    :raises ConfigError: none of its rays is within MOST_FOV_DEG, or hardly a pixel has one.
    """
    columns, rows = (np.linspace(-0.5, size - 0.5, size // _STEP_PX + 2)
                     for size in (camera.width, camera.height))
    rays = camera.rays(np.stack(np.meshgrid(columns, rows), axis=2).reshape(-1, 2))
    known = rays[np.isfinite(rays).all(axis=1)]
    reach = np.abs(known).max(axis=1, initial=0.0)
    # A little beyond the edge, since only some of the pixels are looked at.
    near = known[reach < 1.02 * _EDGE]
    if len(known) < _LEAST_SHARE * len(rays) or not len(near) or (np.ptp(near, axis=0) == 0).any():
        raise ConfigError(f'lens: hardly a pixel of {camera} looks ahead; check the intrinsics')
    left, top, right, bottom = np.clip([*near.min(axis=0), *near.max(axis=0)], -_EDGE, _EDGE)
    return View(float(left), float(top), float(right), float(bottom),
                bool((reach > _EDGE).any()), len(known) < len(rays))


@lru_cache(maxsize=16)
def rectified(camera: Intrinsics) -> Intrinsics:
    """Pinhole camera of the same size that shows the view; a pinhole camera as it is."""
    if camera.lens is None:
        return camera
    return view_of(camera).camera(camera.width, camera.height, 'letterbox', centered=True)


def rays_of(camera: Intrinsics, stride: int = 1) -> NDArray[np.float64]:
    """
    (H, W, 2) x / z and y / z of every stride-th row and column; NaN where there is none.

    Of a lens, to 0.001 px: it is solved at every fourth row and column, and where they do not
    tell the others. Cameras that focus have other intrinsics in every frame.
    """
    if camera.lens is not None and stride == 1 and min(camera.width, camera.height) > _MANY_PX:
        return _interpolated_rays(camera)
    v, u = np.mgrid[:camera.height:stride, :camera.width:stride]
    return _rays_at(camera, u, v)


def _rays_at(camera: Intrinsics, u: NDArray[Any], v: NDArray[Any]) -> NDArray[np.float64]:
    """(..., 2) rays of pixels u, v."""
    return camera.rays(np.stack([u.ravel(), v.ravel()], axis=1)).reshape(*u.shape, 2)


def _interpolated_rays(camera: Intrinsics) -> NDArray[np.float64]:
    (u, across), (v, down) = (_lagrange(size) for size in (camera.width, camera.height))
    rays = _rays_at(camera, *np.meshgrid(u, v))
    smooth = np.isfinite(rays).all(axis=2)
    for axis, focal in ((0, camera.fy), (1, camera.fx)):
        ends = [(2, 2) if axis == other else (0, 0) for other in (0, 1)]
        bend = np.abs(np.diff(rays, 4, axis)).max(axis=2)
        with np.errstate(invalid='ignore'):
            smooth &= np.pad(bend, ends, 'edge') * focal < _MOST_BEND_PX
    rays[~smooth] = 0.0
    found = np.stack([down @ rays[..., axis] @ across.T for axis in (0, 1)], axis=2)
    rough = ((down != 0.0).astype(np.float32) @ (~smooth).astype(np.float32)
             @ (across != 0.0).T.astype(np.float32)) > 0.0
    found[rough] = _rays_at(camera, *np.nonzero(rough)[::-1])
    return found


def _lagrange(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Cubic interpolation of a row of pixels from every _STEP_PX-th one.

    :returns: (n,) places of the nodes, one and two beyond the ends; (size, n) weights.
    """
    cell, part = np.divmod(np.arange(size), _STEP_PX)
    t = part / _STEP_PX
    weights = np.zeros((size, size // _STEP_PX + 4))
    for node, weight in enumerate((
            -t * (t - 1) * (t - 2) / 6, (t + 1) * (t - 1) * (t - 2) / 2,
            -(t + 1) * t * (t - 2) / 2, (t + 1) * t * (t - 1) / 6)):
        weights[np.arange(size), cell + node] = weight
    return np.arange(-1.0, weights.shape[1] - 1, dtype=np.float64) * _STEP_PX, weights


@lru_cache(maxsize=2)
def kept_rays(camera: Intrinsics, stride: int) -> NDArray[np.float64]:
    """The same, read-only, for what needs them for every frame: they are large."""
    rays = rays_of(camera, stride)
    rays.flags.writeable = False
    return rays


def shown_by(camera: Intrinsics, other: Intrinsics) -> NDArray[np.float64]:
    """
    Where the rays of another camera meet the picture of a camera with a lens.

    :returns: (H, W, 2) pixels u, v of the camera, of every pixel of the other; NaN outside of
        the picture or the view.
    """
    rays = rays_of(other)
    shown = view_of(camera).shows(rays)
    pixels = np.full(rays.shape, np.nan)
    pixels[shown] = camera.pixels(rays[shown])
    size = np.array([camera.width, camera.height])
    with np.errstate(invalid='ignore'):
        inside = ((pixels >= -0.5) & (pixels < size - 0.5)).all(axis=-1)
    pixels[~inside] = np.nan
    return pixels


def seen_by(other: Intrinsics, image: NDArray[np.uint8], camera: Intrinsics,
            outside_rgb: tuple[int, int, int]) -> NDArray[np.uint8]:
    """
    Picture of another camera with the same center and axes.

    :param other: a pinhole camera. :param camera: of the image, with a lens.
    :param outside_rgb: where the image shows nothing.
    :returns: (H, W, 3) uint8 RGB.
    """
    size, maps = _maps(other, camera)
    if size != (camera.width, camera.height):
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT,
                                borderValue=outside_rgb), np.uint8)


@lru_cache(maxsize=8)
def _maps(other: Intrinsics, camera: Intrinsics) -> tuple[tuple[int, int], Remap]:
    """Size to which the image is reduced first, and the maps of cv2.remap from there."""
    scale = (min(1.0, _FINER * other.fx / camera.fx), min(1.0, _FINER * other.fy / camera.fy))
    size = max(1, round(camera.width * scale[0])), max(1, round(camera.height * scale[1]))
    exact = np.divide(size, (camera.width, camera.height))
    # Borders are not mixed with what is outside.
    at = np.clip((shown_by(camera, other) + 0.5) * exact - 0.5, 0.0, np.subtract(size, 1))
    return size, fixed_point(at)


def fixed_point(at: NDArray[np.float64]) -> Remap:
    """Maps of cv2.remap from (H, W, 2) coordinates x, y; NaN is outside."""
    at = np.where(np.isnan(at), _OUTSIDE, at).astype(np.float32)
    return cv2.convertMaps(at[..., 0], at[..., 1], cv2.CV_16SC2)
