# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Light, air and camera of the synthetic scenes: what is seen of the sky, and the picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .meshes import Array
from .textures import cloud_tile


@dataclass(frozen=True)
class Light:
    """
    Sun, sky and air; all colours linear RGB.

    :param sun_direction: (3,) unit vector towards the sun.
    :param softness: 0 hard shadows; else the spread of the direction to the light.
    :param haze_per_m: extinction of the air.
    :param cloud: 0 clear .. 1 overcast.
    """

    sun_direction: Array
    sun: Array
    ambient: Array
    zenith: Array
    horizon: Array
    haze_per_m: float
    cloud: float
    softness: float
    seed: int
    shadows: bool = True


@dataclass(frozen=True)
class Lens:
    """
    From radiance to the bytes of a picture.

    :param noise: standard deviation of the sensor's noise, of full scale.
    :param contrast: slope of the tone curve about mid grey.
    :param blur_px: standard deviation of the blur.
    """

    exposure: float
    white_balance: tuple[float, float, float]
    gamma: float
    noise: float
    blur_px: float
    vignette: float
    contrast: float = 1.0


def sky_color(direction: Array, light: Light) -> Array:
    """(N, 3) radiance of the sky along unit vectors."""
    up = np.clip(direction[:, 2:], 0.0, 1.0)
    color = light.horizon + (light.zenith - light.horizon) * up ** 0.55
    sunward = np.clip(direction @ light.sun_direction, 0.0, 1.0)[:, None]
    color = color + (1 - light.cloud) * light.sun * (0.12 * sunward ** 24 + 0.05 * sunward ** 4)
    plane = direction[:, :2] / (np.abs(direction[:, 2:]) + 0.18)
    field = _cloud_field(light.seed)
    index = (np.mod(plane * 0.11, 1.0) * field.shape[0]).astype(np.int32)
    index = np.minimum(index, field.shape[0] - 1)
    density = field[index[:, 1], index[:, 0]][:, None]
    cover = np.clip((density - 1.3 + 2.4 * light.cloud) * 0.6, 0.0, 1.0) * np.clip(up * 6, 0, 1)
    bright = light.sun * 0.32 + light.ambient * 0.75
    shaded = bright * np.clip(1.1 - 0.16 * (density + 1), 0.5, 1.1)
    out: Array = (color + cover * 0.9 * (shaded - color)).astype(np.float32)
    return out


def _cloud_field(seed: int) -> Array:
    """A tile of cloud density, standard deviation 1, shifted by the seed."""
    tile = cloud_tile()
    n = len(tile)
    return np.roll(tile, (seed * 7919 % n, seed * 104729 % n), (0, 1))


def develop(radiance: Array, lens: Lens, rng: np.random.Generator) -> NDArray[np.uint8]:
    """
    Bytes of a picture.

    :param radiance: (H, W, 3) float32 linear.
    """
    h, w = radiance.shape[:2]
    light = radiance * (np.asarray(lens.white_balance, np.float32) * np.float32(lens.exposure))
    if lens.vignette:
        y, x = np.ogrid[-1:1:h * 1j, -1:1:w * 1j]
        light *= (1 - lens.vignette * 0.5 * (x * x + y * y)).astype(np.float32)[..., None]
    if lens.blur_px > 0.2:
        light = cv2.GaussianBlur(light, (0, 0), lens.blur_px)
    light = np.maximum(light, 0.0)
    value = (cv2.pow(light, 1.0 / lens.gamma) - 0.42) * lens.contrast + 0.42
    value += lens.noise * rng.standard_normal(value.shape, np.float32)
    return np.asarray(np.clip(value * 255 + 0.5, 0, 255), np.uint8)
