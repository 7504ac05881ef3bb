# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures for people, in RGB: panoptic overlay with distances, colored depth; PNG and JPEG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ..contract import PADDING_RGB, SEGMENTATION, TASKS, Task
from ..labels import CITYSCAPES, LABEL_DIVISOR, VOID_ID, ClassInfo
from ..structures import Frame, InstanceDistance, Intrinsics, PanopticDepth
from ..views import rectified, seen_by

Picture = NDArray[np.uint8]

JPEG_QUALITY = 90  # 0..100; the loss is invisible, the size a tenth of that of the pixels
NEAR_M, FAR_M = 2.0, 100.0
NAN_COLOR = (128, 128, 128)
FAR_COLOR = (8, 10, 40)
NEAR_COLOR = (255, 255, 255)


def _encode(suffix: str, picture: NDArray[np.generic], *options: int) -> NDArray[np.uint8]:
    """(N,) uint8 file."""
    if picture.ndim == 3:
        picture = cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2BGR)
    good, data = cv2.imencode(suffix, np.asarray(picture), options)
    if not good:
        raise ValueError(f'{picture.dtype} {picture.shape} cannot be a {suffix} file')
    return np.asarray(data, np.uint8).ravel()


def encode_jpeg(picture: Picture, quality: int = JPEG_QUALITY) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB as a JPEG file, (N,) uint8."""
    return _encode('.jpg', picture, cv2.IMWRITE_JPEG_QUALITY, quality)


def encode_png(picture: NDArray[np.generic]) -> bytes:
    """(H, W) uint8 or uint16, or (H, W, 3) uint8 RGB, as a PNG file."""
    # Level 1 is several times faster than the default and hardly larger here.
    return _encode('.png', picture, cv2.IMWRITE_PNG_COMPRESSION, 1).tobytes()


def _shades(color: tuple[int, int, int], count: int) -> NDArray[np.float32]:
    """(count, 3) float32 RGB shades of a color, 0..255; row 0, no instance, is the color."""
    # Steps of the golden ratio keep neighboring numbers apart, whatever their count.
    phase = (np.arange(count, dtype=np.float32) * 0.6180339887498949) % 1.0
    base = np.array(color, np.float32)
    # Turning the channels a little changes the hue, mixing with white the brightness.
    turned = base + (np.roll(base, 1) - base) * (0.35 * np.abs(2.0 * phase - 1.0))[:, None]
    lightness = (0.05 + 0.4 * ((phase * 3.0) % 1.0))[:, None]
    shades = turned * (1.0 - lightness) + 255.0 * lightness
    shades[:1] = base
    return np.asarray(shades, np.float32)


@lru_cache(maxsize=8)
def _palette(classes: tuple[ClassInfo, ...], divisor: int) -> NDArray[np.uint32]:
    """(65536,) uint32: color of every panoptic id as R, G, B, 0 in memory; void is black."""
    colors = np.zeros((1 << 16, 4), np.uint8)
    for info in classes:
        first = info.class_id * divisor
        count = max(min(divisor, VOID_ID - first), 0)
        colors[first:first + count, :3] = (
            _shades(info.color, count) if info.is_thing else info.color)
    return colors.view(np.uint32).ravel()


def color_panoptic(panoptic: NDArray[np.uint16], divisor: int = LABEL_DIVISOR,
                   classes: Sequence[ClassInfo] = CITYSCAPES) -> Picture:
    """(H, W, 3) uint8 RGB of (H, W) uint16 ids: class colors, shades per instance, void black."""
    packed = _palette(tuple(classes), divisor)[panoptic]
    return np.asarray(cv2.cvtColor(packed.view(np.uint8).reshape(*panoptic.shape, 4),
                                   cv2.COLOR_RGBA2RGB), np.uint8)


def _instance_borders(panoptic: NDArray[np.uint16], divisor: int, width_px: int
                      ) -> NDArray[np.uint8]:
    """(H, W) uint8, not 0 on the border of every instance."""
    table = np.arange(1 << 16, dtype=np.uint16)
    table[(np.arange(1 << 16) % divisor == 0) | (table == VOID_ID)] = 0
    ids = table[panoptic]
    edges = np.zeros(ids.shape, np.uint8)
    edges[:, 1:] = ids[:, 1:] != ids[:, :-1]
    edges[1:] |= ids[1:] != ids[:-1]
    if width_px > 1:
        edges = np.asarray(cv2.dilate(edges, np.ones((width_px, width_px), np.uint8)), np.uint8)
    return edges


def label_text(instance: InstanceDistance, tasks: frozenset[Task] = TASKS) -> str:
    """``car 12.3 m``, ``car ?`` if unknown, or ``car`` for a model without depth."""
    if 'depth' not in tasks:
        return instance.class_name
    known = math.isfinite(instance.distance_m)
    return f'{instance.class_name} {f"{instance.distance_m:.1f} m" if known else "?"}'


def _place(left: int, bottom: int, size: tuple[int, int], taken: list[tuple[int, int, int, int]]
           ) -> int | None:
    """Bottom row, at or above the wanted one, where a label overlaps no other; None: nowhere."""
    width, height = size
    return next((low for low in (bottom - step * height for step in range(4))
                 if low >= height and not any(
                     left < right and x < left + width and low - height < y and top < low
                     for x, top, right, y in taken)), None)


def _draw_labels(picture: Picture, result: PanopticDepth) -> None:
    """Label the things, nearest first; a label without room is left out."""
    height, width = picture.shape[:2]
    scale = max(0.35, min(height, width) / 1300.0)
    thickness = 2 if scale > 0.7 else 1
    font = cv2.FONT_HERSHEY_SIMPLEX
    taken: list[tuple[int, int, int, int]] = []
    for instance in result.distances:
        if not instance.segment.is_thing:
            continue
        text = label_text(instance, result.tasks)
        (text_width, text_height), base = cv2.getTextSize(text, font, scale, thickness)
        box = text_width + 2, text_height + base + 2
        x, y, roi_width, _ = instance.roi
        left = min(max(x + (roi_width - box[0]) // 2, 0), max(width - box[0], 0))
        bottom = _place(left, max(y - 1, box[1]), box, taken)
        if bottom is None:
            continue
        taken.append((left, bottom - box[1], left + box[0], bottom))
        cv2.rectangle(picture, (left, bottom - box[1]), (left + box[0], bottom), (0, 0, 0),
                      cv2.FILLED)
        cv2.putText(picture, text, (left + 1, bottom - base), font, scale, (255, 255, 255),
                    thickness, cv2.LINE_AA)


def placement(image: Intrinsics, part: Intrinsics) -> tuple[float, float, float, float]:
    """
    Where the picture of one camera lies in that of another with the same center and axes.

    :returns: scale_x, scale_y, left, top: a point x px from the left edge of the part is
        left + x * scale_x px from the left edge of the image.
    """
    scale_x, scale_y = image.fx / part.fx, image.fy / part.fy
    return (scale_x, scale_y, image.cx + 0.5 - (part.cx + 0.5) * scale_x,
            image.cy + 0.5 - (part.cy + 0.5) * scale_y)


def frame_of(frame: Frame, result: PanopticDepth) -> Frame:
    """
    The frame with the picture that belongs to the pixels of a result.

    It is the frame itself, but for a camera with a lens whose result is of a pinhole camera: then
    its picture is rectified, and the result covers it or has its size.
    """
    if frame.intrinsics.lens == result.intrinsics.lens:
        return frame
    camera = rectified(frame.intrinsics)
    return replace(frame, intrinsics=camera, image=seen_by(
        camera, frame.image, frame.intrinsics, PADDING_RGB))


def picture_of(frame: Frame, result: PanopticDepth) -> Picture:
    """(H, W, 3) uint8 RGB part of the image that a result covers, at the size of the result."""
    frame = frame_of(frame, result)
    height, width = result.panoptic.shape
    if frame.image.shape[:2] == (height, width):
        return frame.image
    scale_x, scale_y, x, y = placement(frame.intrinsics, result.intrinsics)
    left, top = round(x), round(y)
    # A letterbox ends within the last pixel of the map.
    shown = frame.image[max(top, 0):top + round(height * scale_y),
                        max(left, 0):left + round(width * scale_x)]
    return np.asarray(cv2.resize(shown, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def overlay(image: Picture, result: PanopticDepth, classes: Sequence[ClassInfo] = CITYSCAPES
            ) -> Picture:
    """
    The image tinted by class and instance, instances outlined and labeled with their distance.

    :param image: (H, W, 3) uint8 RGB, the size of the result; void is darkened.
    """
    colors = color_panoptic(result.panoptic, result.label_divisor, classes)
    picture = np.asarray(cv2.addWeighted(image, 0.5, colors, 0.5, 0.0), np.uint8)
    border_px = max(1, min(image.shape[:2]) // 500)
    picture[_instance_borders(result.panoptic, result.label_divisor, border_px) != 0] = 255
    _draw_labels(picture, result)
    return picture


def picture_of_result(frame: Frame, result: PanopticDepth,
                      classes: Sequence[ClassInfo] = CITYSCAPES) -> Picture:
    """(H, W, 3) uint8 RGB overlay, or colored depth where the model has no classes."""
    if not result.tasks & SEGMENTATION:
        return depth_color(result.depth)
    return overlay(picture_of(frame, result), result, classes)


def depth_color(depth: NDArray[np.float32]) -> Picture:
    """
    Depth as color, from red (2 m) to blue (100 m), in equal steps of log depth.

    The range is fixed, so frames of one drive compare.

    :param depth: (H, W) float32 meters.
    :returns: (H, W, 3) uint8 RGB; NaN is gray, +Inf (sky, beyond range) near black, -Inf white.
    """
    finite = np.isfinite(depth)
    clipped = np.clip(np.where(finite, depth, FAR_M), NEAR_M, FAR_M).astype(np.float32)
    gain = 255.0 / math.log(FAR_M / NEAR_M)
    level = (math.log(FAR_M) - np.asarray(cv2.log(clipped))) * gain
    colors = np.asarray(cv2.applyColorMap(level.astype(np.uint8), cv2.COLORMAP_TURBO), np.uint8)
    picture = np.asarray(cv2.cvtColor(colors, cv2.COLOR_BGR2RGB), np.uint8)
    if not finite.all():
        picture[np.isnan(depth)] = NAN_COLOR
        picture[np.isposinf(depth)] = FAR_COLOR
        picture[np.isneginf(depth)] = NEAR_COLOR
    return picture
