# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Augmentation: image, labels, depth and camera always move together.

Depth stays in metres through a resize: the intrinsics change, and with them the canonical depth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field

from ..config import Settings
from ..contract import PADDING_RGB
from ..labels import VOID_ID
from ..structures import GroundTruth, Sample


class AugmentSettings(Settings):
    """Ranges of the random changes."""

    height: int = Field(256, ge=64, multiple_of=64, description='of the crop, px')
    width: int = Field(640, ge=64, multiple_of=64, description='of the crop, px')
    scale: tuple[float, float] = Field((0.8, 1.8), description='range of the resize factor')
    flip: float = Field(0.5, ge=0, le=1, description='probability of a mirror image')
    brightness: float = Field(0.3, ge=0, description='+- share')
    contrast: float = Field(0.3, ge=0, description='+- share')
    tint: float = Field(0.12, ge=0, description='+- share per colour channel')
    gamma: float = Field(0.25, ge=0, description='+- exponent')
    blur: float = Field(0.15, ge=0, le=1, description='probability of a blur')
    noise: float = Field(6.0, ge=0, description='largest standard deviation of the noise, 0..255')


def augment(sample: Sample, settings: AugmentSettings, rng: Generator) -> Sample:
    """Random resize, crop, flip and colour; the result has the size of the settings."""
    low, high = settings.scale
    scale = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    sample = resize(sample, scale)
    height, width = sample.frame.image.shape[:2]
    top, left = (_offset(side, crop, rng) for side, crop in
                 ((height, settings.height), (width, settings.width)))
    sample = crop(sample, top, left, settings.height, settings.width)
    if rng.random() < settings.flip:
        sample = flip(sample)
    image = change_colors(sample.frame.image, settings, rng)
    return Sample(replace(sample.frame, image=image), sample.truth)


def resize(sample: Sample, scale: float) -> Sample:
    """Resize by one factor for both axes; labels and depth take the nearest pixel."""
    height, width = sample.frame.image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scale_x, scale_y = size[0] / width, size[1] / height
    intrinsics = sample.frame.intrinsics.transformed(scale_x, scale_y, 0, 0, *size)
    image = cv2.resize(sample.frame.image, size, interpolation=interpolation).astype(
        np.uint8, copy=False)

    def nearest(array: NDArray[Any]) -> NDArray[Any]:
        # OpenCV knows no booleans.
        plain = array.view(np.uint8) if array.dtype == np.bool_ else array
        result = cv2.resize(plain, size, interpolation=cv2.INTER_NEAREST_EXACT)
        return result.astype(array.dtype, copy=False)

    return Sample(replace(sample.frame, image=image, intrinsics=intrinsics),
                  _map_truth(sample.truth, nearest))


def crop(sample: Sample, top: int, left: int, height: int, width: int) -> Sample:
    """Cut a window that may reach beyond the picture: grey, void and unknown depth there."""
    intrinsics = sample.frame.intrinsics.transformed(1, 1, -left, -top, width, height)

    def window(array: NDArray[Any], outside: Any = None) -> NDArray[Any]:
        if outside is None:
            outside = _outside(array)
        result = np.full((height, width, *array.shape[2:]), outside, array.dtype)
        y0, x0 = max(top, 0), max(left, 0)
        part = array[y0:max(top + height, 0), x0:max(left + width, 0)]
        result[y0 - top:y0 - top + part.shape[0], x0 - left:x0 - left + part.shape[1]] = part
        return result

    return Sample(replace(sample.frame, image=window(sample.frame.image, PADDING_RGB),
                          intrinsics=intrinsics), _map_truth(sample.truth, window))


def flip(sample: Sample) -> Sample:
    """Mirror left and right."""
    k = sample.frame.intrinsics

    def mirror(array: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(array[:, ::-1])

    return Sample(replace(sample.frame, image=mirror(sample.frame.image),
                          intrinsics=replace(k, cx=k.width - 1 - k.cx)),
                  _map_truth(sample.truth, mirror))


def change_colors(image: NDArray[np.uint8], settings: AugmentSettings,
                  rng: Generator) -> NDArray[np.uint8]:
    """Another exposure, white balance, sharpness and noise of the same scene."""
    levels = np.arange(256, dtype=np.float32) / 255.0
    gamma = 1 + rng.uniform(-settings.gamma, settings.gamma)
    contrast = 1 + rng.uniform(-settings.contrast, settings.contrast)
    brightness = 1 + rng.uniform(-settings.brightness, settings.brightness)
    tints = 1 + rng.uniform(-settings.tint, settings.tint, 3)
    curve = (levels ** gamma - 0.5) * contrast + 0.5
    table = np.clip(curve[:, None] * brightness * tints * 255.0, 0, 255).astype(np.uint8)
    changed = cv2.LUT(image, table[None])
    if rng.random() < settings.blur:
        changed = cv2.GaussianBlur(changed, (0, 0), rng.uniform(0.4, 1.8))
    strength = rng.uniform(0, settings.noise)
    if strength > 1:
        noise = rng.normal(0, strength, image.shape[:2]).astype(np.int16)[..., None]
        changed = np.clip(changed + noise, 0, 255)
    return changed.astype(np.uint8, copy=False)


def _offset(side: int, crop_side: int, rng: Generator) -> int:
    """First pixel of a crop; negative where the picture is smaller and has to be padded."""
    spare = side - crop_side
    return int(rng.integers(0, spare + 1)) if spare > 0 else -int(rng.integers(0, -spare + 1))


def _outside(array: NDArray[Any]) -> Any:
    """Value of labels beyond the border of the picture: nothing is known there."""
    if array.dtype == np.bool_:
        return True
    return np.nan if array.dtype.kind == 'f' else VOID_ID


def _map_truth(truth: GroundTruth, change: Any) -> GroundTruth:
    """Change every image of the truth in the same way."""
    ignore = truth.ignore
    if ignore is None and truth.panoptic is not None:
        ignore = np.zeros(truth.panoptic.shape, np.bool_)
    return replace(
        truth,
        panoptic=None if truth.panoptic is None else change(truth.panoptic),
        ignore=None if ignore is None else change(ignore),
        depth=None if truth.depth is None else change(truth.depth))
