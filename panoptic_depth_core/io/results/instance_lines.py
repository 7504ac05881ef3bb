# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Instances as JSON lines: one line per frame; a float that is not known is null, never 0."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ...files import JsonLines
from ...structures import DistanceFlag, Frame, InstanceDistance, PanopticDepth

FILE_NAME = 'instances.jsonl'


def _number(value: float) -> float | None:
    """A JSON number; seven digits are what a float32 holds."""
    return float(f'{value:.7g}') if math.isfinite(value) else None


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [_number(float(value)) for value in values]


def flag_names(flags: DistanceFlag) -> list[str]:
    """``['truncated', ...]``."""
    return [flag.name.lower() for flag in DistanceFlag if flag in flags and flag.name]


def instance_record(instance: InstanceDistance) -> dict[str, Any]:
    """One instance; metres, camera's optical frame, names as in msg/InstanceDistance.msg."""
    segment = instance.segment
    return {
        'panoptic_id': segment.panoptic_id,
        'class_id': segment.class_id,
        'class_name': instance.class_name,
        'instance_id': segment.instance_id,
        'track_id': instance.track_id,
        'is_thing': segment.is_thing,
        'score': _number(segment.score),
        'flags': flag_names(instance.flags),
        'roi': [int(value) for value in instance.roi],
        'pixel_count': segment.pixel_count,
        'valid_depth_count': instance.valid_depth_count,
        'distance': _number(instance.distance_m),
        'distance_stddev': _number(instance.distance_stddev_m),
        'distance_near': _number(instance.distance_near_m),
        'depth': _number(instance.depth_m),
        'position': _numbers(instance.position_m),
        'position_covariance': _numbers(np.ravel(instance.position_covariance)),
        'nearest_point': _numbers(instance.nearest_point_m),
        'size': _numbers(instance.size_m),
    }


def frame_record(frame: Frame, result: PanopticDepth) -> dict[str, Any]:
    """One frame with its instances, nearest first; without them where the model has none."""
    camera = frame.intrinsics
    return {
        'name': frame.name,
        'stamp_ns': frame.stamp_ns,
        'frame_id': frame.frame_id,
        'width': camera.width,
        'height': camera.height,
        'intrinsics': {**{name: float(getattr(camera, name)) for name in ('fx', 'fy', 'cx', 'cy')},
                       'source': frame.intrinsics_source},
        'label_divisor': result.label_divisor,
        'model_id': result.model_id,
        **({'instances': [instance_record(instance) for instance in result.distances]}
           if 'instances' in result.tasks else {}),
    }


def greatest_track_id(out: Path) -> int:
    """
    Track id after which a run that goes on counts, -1 where there is none.

    :param out: the results' folder, whose file an InstanceSink has opened.
    """
    with (out / FILE_NAME).open('rb') as file:
        return max((instance['track_id'] for line in file
                    for instance in json.loads(line)['instances']), default=-1)


class InstanceSink:
    """instances.jsonl in the results' folder."""

    def __init__(self, out: Path) -> None:
        self._lines = JsonLines(out / FILE_NAME)

    def done(self, name: str) -> bool:
        """Whether the frame has its line."""
        return name in self._lines.names

    def write(self, frame: Frame, result: PanopticDepth) -> None:
        """Append the frame's line."""
        self._lines.append(frame_record(frame, result))

    def holds(self, frame: Frame, result: PanopticDepth) -> bool:
        """Whether the frame's line is that of this result."""
        return frame_record(frame, result) in self._lines

    def close(self) -> None:
        """Close the file."""
        self._lines.close()
