# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Panoptic results in COCO's format: one PNG per frame and one JSON for all.

A pixel of the PNG holds the id of its segment as R + 256 G + 65536 B, 0 is void
(https://cocodataset.org/#format-data, panoptic segmentation). Since 0 is a panoptic id here
(class 0 without an instance), the id in the file is the panoptic id + 1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...files import JsonLines, make_folder, write_atomic
from ...labels import VOID_ID, ClassInfo
from ...structures import Frame, PanopticDepth

FOLDER = 'panoptic'
FILE_NAME = 'panoptic.json'
JOURNAL_NAME = 'panoptic_segments.jsonl'


def encode_ids(panoptic: NDArray[np.uint16]) -> bytes:
    """(H, W) uint16 panoptic ids as a PNG file in COCO's colours."""
    # Void + 1 overflows to 0, which is void in COCO; so every id fits two bytes.
    ids = panoptic + np.uint16(1)
    red, green = (ids & np.uint16(255)).astype(np.uint8), (ids >> np.uint16(8)).astype(np.uint8)
    bgr = cv2.merge([np.zeros_like(red), green, red])
    _, data = cv2.imencode('.png', bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return data.tobytes()


def read_ids(path: Path) -> NDArray[np.unsignedinteger[Any]]:
    """
    Read the ids of such a PNG as they are, whoever wrote it.

    :returns: (H, W) uint16, or uint32 where an id needs it.
    :raises ConfigError: not readable.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}; check the path') from None
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if bgr is None:
        raise ConfigError(f'{path}: not a picture or truncated')
    ids = bgr[..., 2].astype(np.uint16) | (bgr[..., 1].astype(np.uint16) << np.uint16(8))
    return ids | (bgr[..., 0].astype(np.uint32) << np.uint32(16)) if bgr[..., 0].any() else ids


def decode_ids(path: Path) -> NDArray[np.uint16]:
    """
    Read the panoptic ids of a PNG of this program.

    :returns: (H, W) uint16, VOID_ID where void.
    :raises ConfigError: not readable, or an id that is no panoptic id + 1.
    """
    ids = read_ids(path)
    if ids.dtype != np.uint16:
        raise ConfigError(f'{path}: holds ids beyond {VOID_ID}; it was not written by this '
                          'program')
    return np.asarray(ids - np.uint16(1), np.uint16)


def bounding_boxes(index: NDArray[np.integer[Any]], count: int) -> NDArray[np.int64]:
    """
    Boxes of the regions of an index map, all in one pass.

    :param index: (H, W) integers, 0..count - 1.
    :returns: (count, 4) int64 x, y, width, height in px; zeros for a region without pixels.
    """
    height, width = index.shape
    boxes = np.zeros((count, 4), np.int64)
    for axis, size in ((0, width), (1, height)):
        lines = np.arange(size) if axis == 0 else np.arange(size)[:, None]
        present = np.zeros((count, size), bool)
        present[index, lines] = True
        seen = present.any(axis=1)
        first = present.argmax(axis=1)
        boxes[:, axis] = np.where(seen, first, 0)
        boxes[:, axis + 2] = np.where(seen, size - present[:, ::-1].argmax(axis=1) - first, 0)
    return boxes


def segments_info(result: PanopticDepth) -> list[dict[str, Any]]:
    """
    COCO's segments_info of a result, area and box taken from its pixels.

    It goes beyond COCO in ``score`` and, where the model says it, ``log_depth_scale``.
    """
    ids = [segment.panoptic_id for segment in result.segments]
    rows = np.full(1 << 16, len(ids), np.uint16)
    rows[ids] = np.arange(len(ids), dtype=np.uint16)
    index = rows[result.panoptic]
    areas = np.bincount(index.ravel(), minlength=len(ids) + 1)
    boxes = bounding_boxes(index, len(ids) + 1)
    return [{
        'id': segment.panoptic_id + 1,
        'category_id': segment.class_id,
        'area': int(area),
        'bbox': [int(value) for value in box],
        'iscrowd': int(segment.is_thing and not segment.instance_id),
        'score': round(float(segment.score), 6),
        **({'log_depth_scale': round(float(segment.log_depth_scale), 6)}
           if math.isfinite(segment.log_depth_scale) else {}),
    } for segment, area, box in zip(result.segments, areas, boxes, strict=False) if area]


class PanopticSink:
    """
    panoptic/NAME.png and panoptic.json in the results' folder.

    The JSON is put together at the end of each run from a journal, which has one line per frame
    of this and earlier runs.
    """

    def __init__(self, out: Path, classes: Sequence[ClassInfo]) -> None:
        self._folder = make_folder(out / FOLDER)
        self._path = out / FILE_NAME
        self._classes = classes
        self._journal = JsonLines(out / JOURNAL_NAME)

    def done(self, name: str) -> bool:
        """Whether the frame has its picture and its line in the journal."""
        return name in self._journal.names and (self._folder / f'{name}.png').is_file()

    def write(self, frame: Frame, result: PanopticDepth) -> None:
        """Write the picture, then the line that makes it count."""
        write_atomic(self._folder / f'{frame.name}.png', encode_ids(result.panoptic))
        height, width = result.panoptic.shape
        self._journal.append({'name': frame.name, 'width': width, 'height': height,
                              'segments_info': segments_info(result)})

    def holds(self, frame: Frame, result: PanopticDepth) -> bool:
        """Whether the picture is that of this result."""
        return (self._folder / f'{frame.name}.png').read_bytes() == encode_ids(result.panoptic)

    def close(self) -> None:
        """Write the JSON of all frames."""
        self._journal.close()
        # A picture that was removed and written again has two lines: the later one is right.
        frames = {record['name']: record for record in self._journal}
        content = {
            'images': [{'id': name, 'file_name': f'{name}.png', 'width': record['width'],
                        'height': record['height']} for name, record in frames.items()],
            'annotations': [{'image_id': name, 'file_name': f'{name}.png',
                             'segments_info': record['segments_info']}
                            for name, record in frames.items()],
            'categories': [{'id': info.class_id, 'name': info.name, 'color': list(info.color),
                            'isthing': int(info.is_thing)} for info in self._classes],
        }
        write_atomic(self._path, json.dumps(content, separators=(',', ':')).encode(), sync=True)
