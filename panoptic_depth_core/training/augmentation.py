# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Augmentation: image, labels, depth and camera move together; then colors, sharpness and noise.

Depth stays in meters through every change: the intrinsics change, and with them the canonical
depth D * f_c / f. A rotation about the optical axis leaves Z and the intrinsics alone, and turns
the mounting.

Colors are changed by OpenCV and not by torchvision: one table of 256 values for all changes of a
single channel and one 3x3 matrix for those across channels take a tenth of the time
(doc/training.md, Augmentation).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field
from torchvision.transforms.v2 import functional as F

from ..config import Settings
from ..labels import LABEL_DIVISOR, VOID_ID
from ..structures import GroundTruth, Sample
from .mountings import MountingErrors, with_errors
from .sample_tensors import move

_SQUARE = 0.01
_SAME_SURFACE = 0.9
_LUMA = np.array([0.299, 0.587, 0.114])


class AugmentSettings(Settings):
    """Ranges of the random changes."""

    height: int = Field(256, gt=0, description='of the crop, px')
    width: int = Field(640, gt=0, description='of the crop, px')
    scale: tuple[float, float] = Field((0.8, 1.8), description='range of the resize factor')
    flip: float = Field(0.5, ge=0, le=1, description='probability of a mirror image')
    rotation: float = Field(0.0, ge=0, le=15, description='+- degrees about the optical axis')
    keep_share: float = Field(0.1, ge=0, le=1, description='share of its pixels that a crop has '
                              'to keep of an instance; with less it becomes a crowd')
    mounting: MountingErrors = Field(MountingErrors(), description='errors of the mounting, for '
                                     'networks that take it')
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


def augment(sample: Sample, settings: AugmentSettings, rng: Generator) -> Sample:
    """Random rotation, crop, resize, flip and color; the result has the size of the settings."""
    low, high = settings.scale
    scale = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    (top, rows, shown_rows, above), (left, columns, shown_columns, before) = (
        _draw_axis(side, target, scale, rng) for side, target in zip(
            sample.frame.image.shape[:2], (settings.height, settings.width), strict=True))
    angle = rng.uniform(-settings.rotation, settings.rotation)
    k = sample.frame.intrinsics
    # Of pixels that are not square, a rotation is none of the scene.
    if angle and abs(k.fx / k.fy - 1) < _SQUARE:
        seen = rotate(sample, angle, top, left, rows, columns)
    else:
        seen = crop(sample, top, left, rows, columns)
    seen = replace(seen, truth=settle_instances(seen.truth, sample.truth, settings.keep_share))
    # The window is cut out first: what is not seen need not be resized.
    seen = resize(seen, shown_rows, shown_columns)
    seen = crop(seen, -above, -before, settings.height, settings.width)
    if rng.random() < settings.flip:
        seen = flip(seen)
    seen = with_errors(seen, settings.mounting, rng)
    image = change_colors(seen.frame.image, settings, rng)
    # Copies: a view of a whole picture would keep it as long as its crop.
    own = {name: array.copy() for name in ('panoptic', 'ignore', 'depth')
           if (array := getattr(seen.truth, name)) is not None}
    return replace(seen, frame=replace(seen.frame, image=image), truth=replace(seen.truth, **own))


def _draw_axis(side: int, target: int, scale: float, rng: Generator) -> tuple[int, int, int, int]:
    """
    Draw the place of a crop along one axis; a picture that is too small is placed inside of it.

    :returns: of the part that is seen: first px, length, length in the crop, first px in the crop.
    """
    shown = min(target, max(1, round(side * scale)))
    length = min(side, max(1, round(shown / scale)))
    start = int(rng.integers(0, side - length + 1))
    return start, length, shown, int(rng.integers(0, target - shown + 1))


def resize(sample: Sample, height: int, width: int) -> Sample:
    """Resize to a size in px; labels and depth take the nearest pixel, the image the mean."""
    if sample.frame.image.shape[:2] == (height, width):
        return sample
    return move(sample, F.resize, [height, width], antialias=True)


def crop(sample: Sample, top: int, left: int, height: int, width: int) -> Sample:
    """Cut a window that may reach beyond the picture: grey, void and unknown depth there."""
    rows, columns = sample.frame.image.shape[:2]
    if top < 0 or left < 0 or top + height > rows or left + width > columns:
        sample = _with_ignore(sample)
    return move(sample, F.crop, top, left, height, width)


def flip(sample: Sample) -> Sample:
    """Mirror left and right."""
    return move(sample, F.horizontal_flip)


def rotate(sample: Sample, angle: float, top: int, left: int, height: int, width: int) -> Sample:
    """
    Cut a window out of the picture of a camera that has turned about its optical axis.

    The picture turns about the principal point, so every Z and the focal lengths stay; that is
    exact for square pixels only. Beyond the picture: as in crop.

    :param angle: degrees, by which the picture turns counter-clockwise as one sees it.
    :param top, left, height, width: the window in px, in the turned picture.
    """
    k = sample.frame.intrinsics
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    u = np.array([left, left + width, left, left + width]) - k.cx
    v = np.array([top, top, top + height, top + height]) - k.cy
    # Where the corners of the window come from: no more than that has to be turned.
    from_u, from_v = k.cx + cos * u - sin * v, k.cy + sin * u + cos * v
    x0 = max(0, min(left, math.floor(from_u.min()) - 1))
    y0 = max(0, min(top, math.floor(from_v.min()) - 1))
    x1 = min(k.width, max(left + width, math.ceil(from_u.max()) + 2))
    y1 = min(k.height, max(top + height, math.ceil(from_v.max()) + 2))
    part = crop(_with_ignore(sample), y0, x0, y1 - y0, x1 - x0)
    # torchvision counts from the corner of the first pixel.
    center = [part.frame.intrinsics.cx + 0.5, part.frame.intrinsics.cy + 0.5]
    return crop(move(part, F.rotate, angle, center=center), top - y0, left - x0, height, width)


def _with_ignore(sample: Sample) -> Sample:
    """Room to say that beyond the picture not even the absence of instances is known."""
    truth = sample.truth
    if truth.panoptic is None or truth.ignore is not None:
        return sample
    ignore = np.zeros(truth.panoptic.shape, np.bool_)
    return replace(sample, truth=replace(truth, ignore=ignore))


def settle_instances(seen: GroundTruth, whole: GroundTruth, keep_share: float) -> GroundTruth:
    """
    What a crop leaves of the instances that its border cuts.

    An instance with less than keep_share left becomes a crowd: its class is known, but neither its
    center nor its absence. Instance depths stay only of instances that are in the crop with at
    least 90 % of their pixels: the median of a part is that of another surface.

    :param seen: truth of the window at the scale of ``whole``, the one before the crop.
    """
    if seen.panoptic is None or whole.panoptic is None:
        return replace(seen, instance_depth_m={})
    panoptic = seen.panoptic
    border = np.unique(np.concatenate([
        panoptic[0], panoptic[-1], panoptic[:, 0], panoptic[:, -1]]))
    cut = border[(border % LABEL_DIVISOR > 0) & (border != VOID_ID)].tolist()
    shares = {i: np.count_nonzero(panoptic == i) / np.count_nonzero(whole.panoptic == i)
              for i in cut}
    lost = [i for i, share in shares.items() if share < keep_share]
    if lost:
        panoptic = panoptic.copy()
        for i in lost:
            panoptic[panoptic == i] = i // LABEL_DIVISOR * LABEL_DIVISOR
    depths = {i: depth for i, depth in seen.instance_depth_m.items()
              if shares.get(i, 1.0) >= _SAME_SURFACE and i not in lost and (panoptic == i).any()}
    return replace(seen, panoptic=panoptic, instance_depth_m=depths)


def change_colors(image: NDArray[np.uint8], settings: AugmentSettings,
                  rng: Generator) -> NDArray[np.uint8]:
    """Change color, sharpness and noise of (H, W, 3) RGB, in the order in which a camera does."""
    def draw(extent: float) -> float:
        """One change of +- extent, or none at all."""
        change = rng.uniform(-extent, extent)
        return float(change) if rng.random() < settings.colors else 0.0

    levels = np.arange(256, dtype=np.float32) / 255.0
    gamma, contrast, brightness = (1 + draw(extent) for extent in (
        settings.gamma, settings.contrast, settings.brightness))
    tints = np.array([1 + draw(settings.tint) for _ in range(3)])
    curve = (levels ** gamma - 0.5) * contrast + 0.5
    table = np.clip(np.rint(curve[:, None] * brightness * tints * 255.0), 0, 255)
    changed: NDArray[Any] = cv2.LUT(image, table.astype(np.uint8)[None])
    if settings.saturation or settings.hue:
        saturation = 1 + draw(settings.saturation)
        changed = cv2.transform(changed, chroma_matrix(saturation, draw(settings.hue)))
    if rng.random() < settings.blur:
        changed = cv2.GaussianBlur(changed, (0, 0), rng.uniform(0.4, 1.8))
    strength = rng.uniform(0, settings.noise)
    if strength > 1:
        # OpenCV draws normal numbers five times as fast as numpy; its seed is that of the thread.
        cv2.setRNGSeed(int(rng.integers(2 ** 31)))
        noise = np.empty(image.shape[:2], np.int16)
        # It takes numbers too; its annotations know arrays only.
        cv2.randn(noise, 0, strength)  # type: ignore[call-overload]
        changed = np.asarray(cv2.add(changed, cv2.merge([noise] * 3), dtype=cv2.CV_8U))
    if rng.random() < settings.jpeg:
        low, high = settings.jpeg_quality
        changed = compress(changed, int(rng.integers(low, high + 1)))
    return changed.astype(np.uint8, copy=False)


def chroma_matrix(saturation: float, hue: float) -> NDArray[np.float64]:
    """
    Scale and turn the difference of a color from the grey of its luma (ITU-R BT.601).

    Luma stays as it is and grey stays grey. Unlike the round trip through an 8-bit HSV picture
    this neither rounds hues to 2 degrees nor makes the dark noisy.

    :param saturation: 1 leaves it, 0 makes grey. :param hue: degrees about the grey axis.
    :returns: (3, 3) for RGB columns.
    """
    turn = np.asarray(cv2.Rodrigues(np.full(3, np.radians(hue) / np.sqrt(3)))[0])
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
