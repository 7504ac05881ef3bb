# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Panoptic results in COCO's format: one PNG per frame and one JSON for all.

A pixel of the PNG holds the id of its segment as R + 256 G + 65536 B, 0 is void
(https://cocodataset.org/#format-data, panoptic segmentation). Since 0 is a panoptic id here
(class 0 without an instance), the id in the file is the panoptic id + 1.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...labels import VOID_ID, ClassInfo
from ...structures import PanopticDepth
from ..sources.picture_source import read_picture
from ..visualization import encode_png

FOLDER = 'panoptic'
FILE_NAME = 'panoptic.json'


def encode_ids(panoptic: NDArray[np.uint16]) -> bytes:
    """(H, W) uint16 panoptic ids as a PNG file in COCO's colors."""
    # Void + 1 overflows to 0, which is void in COCO; so every id fits two bytes.
    ids = panoptic + np.uint16(1)
    red, green = (ids & np.uint16(255)).astype(np.uint8), (ids >> np.uint16(8)).astype(np.uint8)
    return encode_png(cv2.merge([red, green, np.zeros_like(red)]))


def read_ids(path: Path) -> NDArray[np.unsignedinteger[Any]]:
    """(H, W) uint16 ids of such a PNG, whoever wrote it; uint32 where an id needs it."""
    red, green, blue = cv2.split(read_picture(path))
    ids = red.astype(np.uint16) | (green.astype(np.uint16) << np.uint16(8))
    return ids | (blue.astype(np.uint32) << np.uint32(16)) if blue.any() else ids


def decode_ids(path: Path) -> NDArray[np.uint16]:
    """(H, W) uint16 panoptic ids of a PNG of this program; ConfigError for others."""
    ids = read_ids(path)
    if ids.dtype != np.uint16:
        raise ConfigError(f'{path}: holds ids beyond {VOID_ID}; it was not written by this '
                          'program')
    return np.asarray(ids - np.uint16(1), np.uint16)


def segments_info(result: PanopticDepth) -> list[dict[str, Any]]:
    """COCO's segments_info; beyond COCO it has ``score`` and, if known, ``log_depth_scale``."""
    found = []
    for segment in result.segments:
        mask = (result.panoptic == segment.panoptic_id).view(np.uint8)
        if area := cv2.countNonZero(mask):
            found.append({
                'id': segment.panoptic_id + 1,
                'category_id': segment.class_id,
                'area': area,
                'bbox': list(cv2.boundingRect(mask)),
                'iscrowd': int(segment.is_thing and not segment.instance_id),
                'score': round(float(segment.score), 6)})
            if math.isfinite(segment.log_depth_scale):
                found[-1]['log_depth_scale'] = round(float(segment.log_depth_scale), 6)
    return found


def dataset_json(frames: Collection[Mapping[str, Any]], classes: Sequence[ClassInfo]
                 ) -> dict[str, Any]:
    """The JSON of all frames, each with name, width, height and segments_info."""
    return {
        'images': [{'id': frame['name'], 'file_name': f'{frame["name"]}.png',
                    'width': frame['width'], 'height': frame['height']} for frame in frames],
        'annotations': [{'image_id': frame['name'], 'file_name': f'{frame["name"]}.png',
                         'segments_info': frame['segments_info']} for frame in frames],
        'categories': [{'id': info.class_id, 'name': info.name, 'color': list(info.color),
                        'isthing': int(info.is_thing)} for info in classes],
    }
