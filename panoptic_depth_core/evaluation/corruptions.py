# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The 15 common corruptions of pictures at severities 1 to 5, and data sets with one of them.

Kinds and parameters are those of Hendrycks and Dietterich, ICLR 2019 (ImageNet-C), with the
elastic transform of Michaelis et al., 2019 (Cityscapes-C), which KITTI-C has too. Lengths are in
pixels of the given picture, as there. Written anew, so values are not theirs bit for bit:

- Motion blur has their kernel with its center of mass on the pixel; theirs is one-sided and moves
  the picture by up to 12 px against its labels. The same holds for the streaks of snow.
- Glass blur takes a neighbor for each pixel at once; theirs swaps pixels one after another.
- Fog is noise in octaves with the amplitudes of their diamond-square fractal.
- Frost is procedural, branching needles in frozen areas; theirs are parts of six photos.

The elastic transform moves pixels by about a pixel, and labels stay.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..labels import ClassInfo
from ..structures import Sample
from .dataset.parallel import Samples

Image = NDArray[np.uint8]
Rng = np.random.Generator
Field = NDArray[np.float32]
Corruption = Callable[[Image, int, Rng], Image]

SEVERITIES = range(1, 6)
_GRAY = np.array((0.299, 0.587, 0.114), np.float32)
_FROST_COLOR = np.array((0.82, 0.92, 1.0), np.float32)


def _light(image: Image) -> Field:
    """0..1."""
    return image.astype(np.float32) / np.float32(255)


def _bytes(light: NDArray[Any]) -> Image:
    """Of 0..1, cut off to it."""
    return np.asarray(np.rint(np.clip(light, 0, 1) * 255), np.uint8)


def _gaussian_noise(image: Image, severity: int, rng: Rng) -> Image:
    sigma = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1]
    return _bytes(_light(image) + sigma * rng.standard_normal(image.shape, np.float32))


def _shot_noise(image: Image, severity: int, rng: Rng) -> Image:
    """Photons are counted: so many at full scale."""
    photons = (60, 25, 12, 5, 3)[severity - 1]
    return _bytes(rng.poisson(_light(image) * photons) / photons)


def _impulse_noise(image: Image, severity: int, rng: Rng) -> Image:
    """Salt and pepper in a share of the values."""
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[severity - 1]
    drawn = rng.random(image.shape, np.float32)
    out = image.copy()
    out[drawn < share] = 255
    out[drawn < share / 2] = 0
    return out


def _filtered(image: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any]:
    return cv2.filter2D(image, -1, kernel.astype(np.float32),
                        borderType=cv2.BORDER_REFLECT_101).reshape(image.shape)


def _defocus_blur(image: Image, severity: int, rng: Rng) -> Image:
    """A disk whose rim is smoothed."""
    radius, alias = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[severity - 1]
    reach = max(8, radius)
    y, x = np.mgrid[-reach:reach + 1, -reach:reach + 1]
    disk = (x * x + y * y <= radius * radius).astype(np.float32)
    size = 3 if radius <= 8 else 5
    kernel = cv2.GaussianBlur(disk / disk.sum(), (size, size), alias)
    return _bytes(_filtered(_light(image), kernel))


def _blurred(image: NDArray[Any], sigma: float) -> NDArray[Any]:
    return cv2.GaussianBlur(image, (0, 0), sigma).reshape(image.shape)


def _glass_blur(image: Image, severity: int, rng: Rng) -> Image:
    """Pixels change places with neighbors."""
    sigma, reach, times = (
        (0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[severity - 1]
    height, width = image.shape[:2]
    row, column = np.arange(height, dtype=np.int16)[:, None], np.arange(width, dtype=np.int16)
    moved = _blurred(image, sigma)
    for _ in range(times):
        dy, dx = rng.integers(-reach, reach, (2, height, width), np.int16, endpoint=True)
        moved = moved[np.clip(row + dy, 0, height - 1), np.clip(column + dx, 0, width - 1)]
    return np.asarray(_blurred(moved, sigma), np.uint8)


def _streak(radius: int, sigma: float, angle: float) -> Field:
    """
    Kernel of a camera that moves along a line: half of a Gaussian.

    :param angle: radians, of the line to the x axis.
    """
    steps = np.arange(2 * radius + 1)
    weight = np.exp(-steps ** 2 / (2 * sigma * sigma))
    weight /= weight.sum()
    along = steps - (weight * steps).sum()
    reach = 2 * radius + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    x, y = reach + along * np.cos(angle), reach + along * np.sin(angle)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for dy in (0, 1):
        for dx in (0, 1):
            share = (1 - np.abs(x - left - dx)) * (1 - np.abs(y - top - dy))
            np.add.at(kernel, (top + dy, left + dx), weight * share)
    there = np.flatnonzero(kernel.any(0) | kernel.any(1))
    room = max(reach - there[0], there[-1] - reach)
    return kernel[reach - room:reach + room + 1, reach - room:reach + room + 1]


def _motion_blur(image: Image, severity: int, rng: Rng) -> Image:
    radius, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[severity - 1]
    angle = float(np.radians(rng.uniform(-45, 45)))
    return _bytes(_filtered(_light(image), _streak(radius, sigma, angle)))


def _zoomed(image: Field, factor: float) -> Field:
    """The middle of a picture, enlarged to its size."""
    height, width = image.shape[:2]
    middle = (np.array((width, height)) - 1) / 2
    shift = middle * (1 - 1 / factor)
    matrix = np.array(((1 / factor, 0, shift[0]), (0, 1 / factor, shift[1])))
    zoomed = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101,
                            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(zoomed, np.float32).reshape(image.shape)


def _zoom_blur(image: Image, severity: int, rng: Rng) -> Image:
    """The mean of pictures that are zoomed into."""
    most, step = ((0.10, 0.01), (0.15, 0.01), (0.20, 0.02), (0.24, 0.02), (0.30, 0.03)
                  )[severity - 1]
    light = _light(image)
    # The picture itself counts twice, as in the published one.
    factors = 1 + step * np.arange(1, round(most / step) + 1)
    return _bytes((2 * light + sum(_zoomed(light, float(factor)) for factor in factors))
                  / (len(factors) + 2))


def _octaves(shape: tuple[int, int], decay: float, rng: Rng) -> Field:
    """
    (H, W) noise of 0..1: octaves from the size of the picture to a pixel.

    :param decay: amplitude of an octave to that of the next; 1 is the finest.
    """
    out = np.zeros(shape, np.float32)
    levels = (max(shape) - 1).bit_length()
    for level in range(levels + 1):
        step = 2 ** (levels - level)
        grid = rng.uniform(-1, 1, [size // step + 2 for size in shape]).astype(np.float32)
        for axis, size in enumerate(shape):
            at = np.arange(size, dtype=np.float32) / step
            low = at.astype(int)
            grid = np.moveaxis(grid, axis, 0)
            share = (at - low)[:, None]
            grid = np.moveaxis(grid[low] * (1 - share) + grid[low + 1] * share, 0, axis)
        out += np.float32(decay ** -level) * grid
    out -= out.min()
    return out / np.float32(max(float(out.max()), 1e-6))


def _fog(image: Image, severity: int, rng: Rng) -> Image:
    amount, decay = ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))[severity - 1]
    light = _light(image)
    # The published fractal draws within +-wibble and multiplies by wibble, which decays.
    haze = amount * _octaves(image.shape[:2], decay * decay, rng)
    most = max(float(light.max()), 1e-3)
    return _bytes((light + haze[..., None]) * most / (most + amount))


def _crystals(shape: tuple[int, int], rng: Rng) -> Field:
    """(H, W) of 0..1: frozen areas, with branching needles of ice."""
    height, width = shape
    frozen = np.clip(2 * _octaves(shape, 1.8, rng) - 0.5, 0, 1)
    count, branches = 300, 12
    root = rng.uniform(0, 1, (count, 1, 2)) * (width, height)
    angle = rng.uniform(0, 2 * np.pi, (count, 1))
    length = max(shape) * 0.012 * np.exp(rng.uniform(0, 2, (count, 1)))
    along = rng.uniform(0.05, 1, (count, branches))
    turn = angle + np.where(rng.random((count, branches)) < 0.5, 1, -1) * rng.normal(
        np.pi / 3, 0.12, (count, branches))
    reach = length * 0.45 * (1 - along) * rng.uniform(0.4, 1, (count, branches))

    def lines(start: NDArray[Any], angle: NDArray[Any], length: NDArray[Any]) -> NDArray[Any]:
        way = np.stack([np.cos(angle), np.sin(angle)], -1) * length[..., None]
        return np.stack([start, start + way], 2).reshape(-1, 2, 2)

    drawn = np.concatenate([
        lines(root, angle, length),
        lines(root + along[..., None] * lines(0 * root, angle, length)[:, 1:], turn, reach)])
    ice = np.zeros(shape, np.uint8)
    fixed = 4
    cv2.polylines(ice, list(np.rint(drawn * 2 ** fixed).astype(np.int32)), False, 255, 1,
                  cv2.LINE_AA, fixed)
    needles = _blurred(ice.astype(np.float32) / 255, 0.8)
    grain = rng.random(shape, np.float32)
    return np.asarray(np.clip(frozen * (0.4 + 0.3 * grain + needles) + 0.25 * needles
                              + 0.15, 0, 1), np.float32)


def _frost(image: Image, severity: int, rng: Rng) -> Image:
    kept, added = ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[severity - 1]
    ice = _crystals(image.shape[:2], rng)
    return _bytes(kept * _light(image) + added * ice[..., None] * _FROST_COLOR)


def _snow(image: Image, severity: int, rng: Rng) -> Image:
    """Flakes in two directions on a whitened picture."""
    mean, spread, zoom, least, radius, sigma, kept = (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8), (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7), (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55))[severity - 1]
    flakes = _zoomed(mean + spread * rng.standard_normal(image.shape[:2], np.float32), zoom)
    flakes = np.clip(np.where(flakes < least, 0, flakes), 0, 1).astype(np.float32)
    flakes = _filtered(flakes, _streak(radius, sigma, float(np.radians(rng.uniform(45, 135)))))
    light = _light(image)
    white = np.maximum(light, (light @ _GRAY * 1.5 + 0.5)[..., None])
    return _bytes(kept * light + (1 - kept) * white + (flakes + flakes[::-1, ::-1])[..., None])


def _brightness(image: Image, severity: int, rng: Rng) -> Image:
    """More value (of hue, saturation, value)."""
    hsv = cv2.cvtColor(_light(image), cv2.COLOR_RGB2HSV)
    hsv[..., 2] = np.minimum(hsv[..., 2] + severity / 10, 1)
    return _bytes(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def _contrast(image: Image, severity: int, rng: Rng) -> Image:
    """Less difference to the mean color."""
    light = _light(image)
    mean = light.mean((0, 1), keepdims=True)
    return _bytes((light - mean) * (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1] + mean)


def _elastic_transform(image: Image, severity: int, rng: Rng) -> Image:
    height, width = image.shape[:2]
    strength = (12.5, 16.25, 21.25, 25.0, 30.0)[severity - 1] * 0.005 * height
    y, x = np.mgrid[:height, :width].astype(np.float32)
    shift = [strength * cv2.GaussianBlur(
        rng.uniform(-1, 1, (height, width)).astype(np.float32), (0, 0), 0.01 * width,
        sigmaY=0.01 * height).reshape(height, width) for _ in range(2)]
    return np.asarray(cv2.remap(image, x + shift[0], y + shift[1], cv2.INTER_LINEAR,
                                borderMode=cv2.BORDER_REFLECT_101).reshape(image.shape), np.uint8)


def _pixelate(image: Image, severity: int, rng: Rng) -> Image:
    height, width = image.shape[:2]
    share = (0.6, 0.5, 0.4, 0.3, 0.25)[severity - 1]
    small = cv2.resize(image, (max(1, int(width * share)), max(1, int(height * share))),
                       interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
                      .reshape(image.shape), np.uint8)


def _jpeg_compression(image: Image, severity: int, rng: Rng) -> Image:
    quality = (25, 18, 15, 10, 7)[severity - 1]
    _, coded = cv2.imencode('.jpg', image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality))
    return np.ascontiguousarray(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)[
        ..., ::-1])


CORRUPTIONS: dict[str, Corruption] = {
    'gaussian_noise': _gaussian_noise,
    'shot_noise': _shot_noise,
    'impulse_noise': _impulse_noise,
    'defocus_blur': _defocus_blur,
    'glass_blur': _glass_blur,
    'motion_blur': _motion_blur,
    'zoom_blur': _zoom_blur,
    'snow': _snow,
    'frost': _frost,
    'fog': _fog,
    'brightness': _brightness,
    'contrast': _contrast,
    'elastic_transform': _elastic_transform,
    'pixelate': _pixelate,
    'jpeg_compression': _jpeg_compression,
}
"""
Name -> function of an image (H, W, 3) uint8 RGB, a severity in SEVERITIES and a generator.

The image that is given stays as it is; a function draws the same numbers at each severity, unless
their count depends on it.
"""


def parse_corruption(text: str) -> tuple[str, int]:
    """
    Read NAME:SEVERITY, as in 'fog:3'.

    :raises ConfigError: an unknown name, or a severity that is not 1..5.
    """
    name, _, severity = text.partition(':')
    if name not in CORRUPTIONS:
        raise ConfigError(f'corruption {name!r} is unknown; known: {", ".join(CORRUPTIONS)}')
    if severity not in map(str, SEVERITIES):
        raise ConfigError(f'corruption is {text!r}; give {name}:SEVERITY, from {name}:1 to '
                          f'{name}:5')
    return name, int(severity)


class Dataset(Samples, Protocol):
    """A data set with its table of classes."""

    @property
    def classes(self) -> tuple[ClassInfo, ...]: ...


class Corrupted:
    """
    The samples of a data set with a corruption on their images; the truth stays.

    The draws follow from the names of the corruption and of the frame, so a frame is the same each
    time.

    :raises ConfigError: see parse_corruption.
    """

    def __init__(self, samples: Dataset, name: str, severity: int) -> None:
        self._samples = samples
        self.name, self.severity = parse_corruption(f'{name}:{severity}')

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """Those of the data set."""
        return self._samples.classes

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        sample = self._samples[index]
        rng = np.random.default_rng(zlib.crc32(f'{self.name}:{sample.frame.name}'.encode()))
        image = CORRUPTIONS[self.name](sample.frame.image, self.severity, rng)
        return replace(sample, frame=replace(sample.frame, image=image))


def open_corrupted(open_samples: Callable[[], Dataset], text: str) -> Corrupted:
    """Open a data set with a corruption NAME:SEVERITY; a partial of it can be pickled."""
    return Corrupted(open_samples(), *parse_corruption(text))
