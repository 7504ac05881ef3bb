# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Step 3: the graph's index map and table become panoptic ids and a list of segments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..contract import COLUMN, NO_SEGMENT
from ..labels import VOID_ID, ClassInfo
from ..structures import Segment


def assemble_segments(
        index: NDArray[np.uint8], table: NDArray[np.float32], classes: Sequence[ClassInfo], *,
        label_divisor: int, min_instance_pixels: int, max_instances: int = NO_SEGMENT,
        pixel_counts: NDArray[np.float64] | None = None, log_depth_temperature: float = 1.0,
        ) -> tuple[NDArray[np.uint16], tuple[Segment, ...]]:
    """
    Give every pixel its panoptic id.

    Instances are numbered 1.. within their class by falling score. Pixels of invalid rows become
    void, and so do instances of fewer than min_instance_pixels, and those of lowest score beyond
    max_instances in all or label_divisor - 1 of a class.

    :param index: (h, w) uint8 rows of the table, NO_SEGMENT void.
    :param table: (R, len(contract.SEGMENT_COLUMNS)) float32.
    :param classes: by class id.
    :param pixel_counts: (h, w) image pixels per pixel; None: 1.
    :param log_depth_temperature: factor on log_depth_scale.
    :returns: (h, w) uint16 panoptic ids, and the segments that have pixels, best score first.
    """
    weights = None if pixel_counts is None else pixel_counts.ravel()
    counts = np.bincount(index.ravel(), weights, minlength=256).astype(np.int64)
    ids = np.full(256, VOID_ID, np.uint16)
    next_instance = dict.fromkeys(range(len(classes)), 1)
    segments: dict[int, Segment] = {}
    for row in np.argsort(-table[:, COLUMN['score']], kind='stable'):
        values = table[row]
        count = int(counts[row]) if row < NO_SEGMENT else 0
        if not values[COLUMN['valid']] > 0.5 or not count:
            continue
        class_id = int(values[COLUMN['class_id']])
        instance = 0
        if values[COLUMN['is_thing']] > 0.5:
            instance = next_instance[class_id]
            if count < min_instance_pixels or instance >= label_divisor or not max_instances:
                continue
            next_instance[class_id] += 1
            max_instances -= 1
        panoptic_id = class_id * label_divisor + instance
        ids[row] = panoptic_id
        known = segments.get(panoptic_id)
        segments[panoptic_id] = replace(
            known, pixel_count=known.pixel_count + count) if known else Segment(
            panoptic_id, class_id, instance, classes[class_id].is_thing,
            float(np.clip(values[COLUMN['score']], 0, 1)), count,
            float(values[COLUMN['log_depth_scale']]) * log_depth_temperature)
    return ids.take(index), tuple(segments.values())


def less_certain(segments: Sequence[Segment], log_error: float) -> tuple[Segment, ...]:
    """
    Segments whose log depth has another, independent error.

    :param log_error: its standard deviation; that of a Laplace distribution of scale b is
        sqrt(2) * b.
    """
    return tuple(replace(s, log_depth_scale=math.hypot(s.log_depth_scale,
                                                       log_error / math.sqrt(2.0)))
                 for s in segments)
