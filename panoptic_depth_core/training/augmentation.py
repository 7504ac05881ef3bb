# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Augmentation: image, labels, depth and camera always move together.

Depth stays in metres through every change: the intrinsics change, and with them the canonical
depth D * f_c / f. A rotation about the optical axis leaves Z and the intrinsics alone.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field
from torchvision.transforms.v2 import functional as F

from ..labels import LABEL_DIVISOR, VOID_ID
from ..structures import GroundTruth, Sample
from .layers import move
from .photometric import PhotometricSettings, change_colors

Item = TypeVar('Item', bound=np.generic)

_SQUARE = 0.01
_SAME_SURFACE = 0.9


class AugmentSettings(PhotometricSettings):
    """Ranges of the random changes."""

    height: int = Field(256, ge=64, multiple_of=64, description='of the crop, px')
    width: int = Field(640, ge=64, multiple_of=64, description='of the crop, px')
    scale: tuple[float, float] = Field((0.8, 1.8), description='range of the resize factor')
    flip: float = Field(0.5, ge=0, le=1, description='probability of a mirror image')
    rotation: float = Field(0.0, ge=0, le=15, description='+- degrees about the optical axis')
    keep_share: float = Field(0.1, ge=0, le=1, description='share of its pixels that a crop has '
                              'to keep of an instance; with less it becomes a crowd')


def augment(sample: Sample, settings: AugmentSettings, rng: Generator) -> Sample:
    """Random rotation, crop, resize, flip and colour; the result has the size of the settings."""
    low, high = settings.scale
    scale = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    rows, columns = (_draw_axis(side, target, scale, rng) for side, target in zip(
        sample.frame.image.shape[:2], (settings.height, settings.width), strict=True))
    window = rows.start, columns.start, rows.length, columns.length
    angle = rng.uniform(-settings.rotation, settings.rotation)
    k = sample.frame.intrinsics
    # Of pixels that are not square, a rotation is none of the scene.
    if angle and abs(k.fx / k.fy - 1) < _SQUARE:
        seen = rotate(sample, angle, *window)
    else:
        seen = crop(sample, *window)
    seen = replace(seen, truth=settle_instances(seen.truth, sample.truth, settings.keep_share))
    # The window is cut out first: what is not seen need not be resized.
    seen = resize(seen, rows.shown, columns.shown)
    seen = crop(seen, -rows.offset, -columns.offset, settings.height, settings.width)
    if rng.random() < settings.flip:
        seen = flip(seen)
    image = change_colors(seen.frame.image, settings, rng)
    truth = replace(seen.truth, panoptic=_own(seen.truth.panoptic),
                    ignore=_own(seen.truth.ignore), depth=_own(seen.truth.depth))
    return replace(seen, frame=replace(seen.frame, image=image), truth=truth)


def resize(sample: Sample, height: int, width: int) -> Sample:
    """
    Resize to height x width px; labels and depth take the nearest pixel, the image the mean.

    The camera follows each axis for itself: focal lengths f * s, exact also where the sizes were
    rounded.
    """
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


def settle_instances(seen: GroundTruth, whole: GroundTruth, keep_share: float) -> GroundTruth:
    """
    What a crop leaves of the instances that its border cuts.

    An instance of which less than keep_share is left becomes a crowd: its class is known, but
    neither its centre nor its absence. Instance depths stay only of instances that are in the
    crop with at least 90 % of their pixels: the median of a part is that of another surface.

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


class _Axis(NamedTuple):
    """
    Where a crop lies along one axis.

    :param start, length: of the part of the picture that is seen, in px of the picture.
    :param shown: px of the crop that show it. :param offset: first one of these.
    """

    start: int
    length: int
    shown: int
    offset: int


def _draw_axis(side: int, target: int, scale: float, rng: Generator) -> _Axis:
    """Draw the place of a crop; a picture that is too small is placed inside of it."""
    shown = min(target, max(1, round(side * scale)))
    length = min(side, max(1, round(shown / scale)))
    return _Axis(int(rng.integers(0, side - length + 1)), length, shown,
                 int(rng.integers(0, target - shown + 1)))


def _with_ignore(sample: Sample) -> Sample:
    """Room to say that beyond the picture not even the absence of instances is known."""
    truth = sample.truth
    if truth.panoptic is None or truth.ignore is not None:
        return sample
    ignore = np.zeros(truth.panoptic.shape, np.bool_)
    return replace(sample, truth=replace(truth, ignore=ignore))


def _own(array: NDArray[Item] | None) -> NDArray[Item] | None:
    """No view of a whole picture, which would live as long as its crop."""
    return None if array is None else array.copy()
