# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The worst frames of a recording, with a picture of each: what to look at first."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray

from ...contract import SEGMENTATION
from ...io.visualization import (
    Picture,
    color_panoptic,
    depth_color,
    encode_jpeg,
    overlay,
    picture_of,
)
from ...labels import LABEL_DIVISOR, ClassInfo
from ...structures import PanopticDepth
from ..metrics.frame import RecordedFrame
from ..metrics.table import ranking, ranking_kinds
from ..report.files import of_frame

_GREATEST_WIDTH = 720
_JPEG_QUALITY = 85
_POINT_PX = 3


class WorstRecord(TypedDict):
    """Entry of ``worst`` in report.json."""

    bag: str
    name: str
    stamp_ns: int
    figure: str
    value: float


@dataclass(frozen=True)
class WorstFrame:
    """
    A frame that is among the worst.

    :param by: see ranking.
    :param badness: the metric, with the sign that makes greater worse.
    :param jpeg: the picture.
    """

    by: str
    badness: float
    record: WorstRecord
    jpeg: bytes


class WorstFrames:
    """
    Keeps the worst frames so far; a picture is only drawn of what is among them.

    :param by: see ranking; empty: the first of them that is known of any frame.
    """

    def __init__(self, by: str, count: int) -> None:
        self._metric_values = ranking()
        self._kinds = [by] if by else list(self._metric_values)
        self._count = count
        self._frames: list[WorstFrame] = []

    def add(self, record: dict[str, Any], draw: Callable[[], bytes]) -> None:
        """
        Offer a frame; of equally bad ones the first is kept.

        :param record: of frames.jsonl.
        :param draw: makes the picture.
        """
        known = {by: value for by in self._kinds if (value := of_frame(
            record, self._metric_values[by])) is not None and value == value}
        if not known or not self._count:
            return
        by, value = next(iter(known.items()))
        if by != self._kinds[-1]:
            # The frames so far were chosen by a metric of less worth.
            self._kinds = self._kinds[:self._kinds.index(by) + 1]
            self._frames = []
        metric_value = self._metric_values[by]
        badness = value if ranking_kinds()[metric_value].better == 'lower' else -value
        if len(self._frames) == self._count and badness <= self._frames[-1].badness:
            return
        frame = WorstFrame(by, badness, WorstRecord(
            bag=record['bag'], name=record['name'], stamp_ns=record['stamp_ns'],
            figure=metric_value, value=value), draw())
        insort(self._frames, frame, key=lambda f: -f.badness)
        del self._frames[self._count:]

    def worst_first(self) -> list[WorstFrame]:
        """Every frame that is kept."""
        return self._frames


def worst_of(parts: Sequence[Sequence[WorstFrame]], count: int) -> list[WorstFrame]:
    """
    Take the worst of several recordings, of those that are ranked by the first metric.

    :param parts: by recording, in their order.
    """
    found = [frame for part in parts for frame in part]
    by = next((name for name in ranking() if any(f.by == name for f in found)), '')
    return sorted((f for f in found if f.by == by), key=lambda f: -f.badness)[:count]


def draw(item: RecordedFrame, result: PanopticDepth, classes: Sequence[ClassInfo]) -> bytes:
    """Picture of a frame, predicted labels and depth on the left, the true ones on the right."""
    image = picture_of(item.frame, result)
    height, width = image.shape[:2]
    scale = min(1.0, _GREATEST_WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))

    def small(array: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(cv2.resize(array, size, interpolation=cv2.INTER_NEAREST))

    # Drawn small: that is several times faster, and texts can be read.
    result = replace(result, panoptic=small(result.panoptic), depth=small(result.depth),
                     distances=tuple(replace(d, roi=_scaled(d.roi, scale))
                                     for d in result.distances))
    image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    true_labels, true_depth = item.truth.panoptic, item.truth.depth
    rows = []
    if result.tasks & SEGMENTATION:
        rows.append([overlay(image, result, classes), image if true_labels is None
                     else _labelled(image, small(true_labels), classes)])
    if 'depth' in result.tasks:
        rows.append([depth_color(result.depth),
                     depth_color(small(true_depth)) if true_depth is not None
                     else np.zeros_like(image) if item.lidar_depth is None
                     else _points(image, item.lidar_depth)])
    if true_labels is None and true_depth is None and item.lidar_depth is None:
        rows = [row[:1] for row in rows]
    return encode_jpeg(np.concatenate([np.concatenate(row, axis=1) for row in rows]),
                       _JPEG_QUALITY).tobytes()


def _scaled(roi: tuple[int, int, int, int], scale: float) -> tuple[int, int, int, int]:
    x, y, width, height = (round(value * scale) for value in roi)
    return x, y, width, height


def _labelled(image: Picture, panoptic: NDArray[np.int32],
              classes: Sequence[ClassInfo]) -> Picture:
    colors = color_panoptic(panoptic.astype(np.uint16), LABEL_DIVISOR, classes)
    return np.asarray(cv2.addWeighted(image, 0.5, colors, 0.5, 0.0), np.uint8)


def _points(image: Picture, depth: NDArray[np.float32]) -> Picture:
    """Points on the darkened image, the nearest of those that share a pixel."""
    rows, columns = np.nonzero(np.isfinite(depth))
    meters = depth[rows, columns]
    height, width = image.shape[:2]
    near = np.full((height, width), np.inf, np.float32)
    np.minimum.at(near, (rows * height // depth.shape[0], columns * width // depth.shape[1]),
                  meters)
    # Erosion spreads the least value, which makes points large enough to be seen.
    near = np.asarray(cv2.erode(near, np.ones((_POINT_PX, _POINT_PX), np.uint8)), np.float32)
    shown = np.isfinite(near)
    picture: Picture = image // 3
    picture[shown] = depth_color(near)[shown]
    return picture
