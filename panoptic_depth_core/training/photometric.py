# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Another exposure, white balance, sharpness and noise of the same scene.

OpenCV and not torchvision: one table of 256 values for all changes of a single channel and one
3x3 matrix for those across channels take a tenth of the time (doc/training.md, Augmentation).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field

from ..config import Settings

_LUMA = np.array([0.299, 0.587, 0.114])


class PhotometricSettings(Settings):
    """Ranges of the random changes of colour, sharpness and noise."""

    colors: float = Field(1.0, ge=0, le=1, description='probability of each of the changes of '
                          'brightness, contrast, tint, gamma, saturation and hue')
    brightness: float = Field(0.3, ge=0, description='+- share')
    contrast: float = Field(0.3, ge=0, description='+- share')
    tint: float = Field(0.12, ge=0, description='+- share per colour channel')
    gamma: float = Field(0.25, ge=0, description='+- exponent')
    saturation: float = Field(0.0, ge=0, le=1, description='+- share')
    hue: float = Field(0.0, ge=0, le=180, description='+- degrees')
    blur: float = Field(0.15, ge=0, le=1, description='probability of a blur')
    noise: float = Field(6.0, ge=0, description='largest standard deviation of the noise, 0..255')
    jpeg: float = Field(0.0, ge=0, le=1, description='probability of JPEG artefacts')
    jpeg_quality: tuple[int, int] = Field((40, 95), description='range of its quality, 1..100')


def change_colors(image: NDArray[np.uint8], settings: PhotometricSettings,
                  rng: Generator) -> NDArray[np.uint8]:
    """
    Draw and apply the changes, in the order in which a camera makes them.

    :param image: (H, W, 3) uint8 RGB; not changed. :returns: another one.
    """
    changed: NDArray[Any] = cv2.LUT(image, _tone_table(settings, rng)[None])
    if settings.saturation or settings.hue:
        saturation = 1 + _draw(settings.saturation, settings, rng)
        changed = cv2.transform(changed, chroma_matrix(
            saturation, _draw(settings.hue, settings, rng)))
    if rng.random() < settings.blur:
        changed = cv2.GaussianBlur(changed, (0, 0), rng.uniform(0.4, 1.8))
    strength = rng.uniform(0, settings.noise)
    if strength > 1:
        changed = _add_noise(changed, strength, rng)
    if rng.random() < settings.jpeg:
        low, high = settings.jpeg_quality
        changed = compress(changed, int(rng.integers(low, high + 1)))
    return changed.astype(np.uint8, copy=False)


def chroma_matrix(saturation: float, hue: float) -> NDArray[np.float64]:
    """
    Scale and turn the difference of a colour from the grey of its luma (ITU-R BT.601).

    Luma stays as it is and grey stays grey. Unlike the round trip through an 8-bit HSV picture
    this neither rounds hues to 2 degrees nor makes the dark noisy.

    :param saturation: 1 leaves it, 0 makes grey. :param hue: degrees about the grey axis.
    :returns: (3, 3) for RGB columns.
    """
    axis = np.full(3, np.radians(hue) / np.sqrt(3))
    turn = np.asarray(cv2.Rodrigues(axis)[0])
    grey = np.broadcast_to(_LUMA, (3, 3))
    chroma = np.eye(3) - grey
    return np.asarray(grey + chroma @ (saturation * turn) @ chroma)


def compress(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """(H, W, 3) RGB after JPEG at a quality of 1..100."""
    # A codec thinks that it sees BGR: swapped channels would get each other's share of luma.
    _, data = cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
                           [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _draw(extent: float, settings: PhotometricSettings, rng: Generator) -> float:
    """One change of +- extent, or none at all."""
    change = rng.uniform(-extent, extent)
    return float(change) if rng.random() < settings.colors else 0.0


def _tone_table(settings: PhotometricSettings, rng: Generator) -> NDArray[np.uint8]:
    """(256, 3) the new value of each value of each channel."""
    levels = np.arange(256, dtype=np.float32) / 255.0
    gamma = 1 + _draw(settings.gamma, settings, rng)
    contrast = 1 + _draw(settings.contrast, settings, rng)
    brightness = 1 + _draw(settings.brightness, settings, rng)
    tints = np.array([1 + _draw(settings.tint, settings, rng) for _ in range(3)])
    curve = (levels ** gamma - 0.5) * contrast + 0.5
    return np.clip(np.rint(curve[:, None] * brightness * tints * 255.0), 0, 255).astype(np.uint8)


def _add_noise(image: NDArray[Any], strength: float, rng: Generator) -> NDArray[Any]:
    """Grey noise: the same in all channels."""
    # OpenCV draws normal numbers five times as fast as numpy; its seed is that of the thread.
    cv2.setRNGSeed(int(rng.integers(2 ** 31)))
    noise = np.empty(image.shape[:2], np.int16)
    # It takes numbers too; its annotations know arrays only.
    cv2.randn(noise, 0, strength)  # type: ignore[call-overload]
    return np.asarray(cv2.add(image, cv2.merge([noise] * 3), dtype=cv2.CV_8U))
