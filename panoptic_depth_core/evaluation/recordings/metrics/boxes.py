# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Distances by true boxes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...metrics.distance import BaseDistanceMetric, distance_kinds
from ...metrics.distance_metrics import InstanceRecord
from ...metrics.frame import JudgedFrame
from ..reading.boxes import match_boxes, plain_name
from .frame import of_recording, rules_of


class BoxDistance(BaseDistanceMetric):
    """True boxes of things that the model knows; FrameTruth tells of others."""

    name, title, prefix = 'box_distance', 'Distance', 'distance.boxes'
    source, source_words, min_pixels = 'boxes', 'true boxes', 1
    truth, kinds = frozenset(('boxes',)), distance_kinds('true boxes')
    meanings = {'': 'Distances, true boxes: Euclidean distance of the predicted instance whose '
                    'rectangle overlaps that of the box most, against that of the surface of the '
                    'box on the ray to its centre. That is not the median of what is to be seen: '
                    'perfect results are some percent off, too.'}

    def update(self, frame: JudgedFrame) -> None:
        found = of_recording(frame)
        things = {plain_name(c.name): c.class_id for c in self.rules.classes if c.is_thing}
        boxes = [box for box in found.item.boxes or () if plain_name(box.class_name) in things]
        answers = match_boxes(boxes, found.instances, rules_of(self.rules).boxes)
        for box, number in zip(boxes, answers, strict=True):
            answer = None if number is None else found.instances[number]
            self.sums.add(InstanceRecord(
                things[plain_name(box.class_name)], round(box.roi[2] * box.roi[3]),
                box.distance_m, answer is not None,
                math.nan if answer is None else answer.distance_m,
                math.nan if answer is None else answer.segment.log_depth_scale))

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        boxes = settings.get('boxes')
        return [f'True boxes: at least {boxes["min_height_px"]} px high, not hidden by another '
                'one, their centre in the image; answered by the instance of their class with an '
                f'IoU of the rectangles of at least {boxes["min_iou"]:g}.'] if boxes else []
