# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The messages of one frame's results back into what they were made of.

What messages do not hold is not known afterwards: the score of stuff, and the error of depth that
the network expects.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...contract import SEGMENTATION, Task
from ...errors import ConfigError
from ...labels import CITYSCAPES, CLASS_TABLES, LABEL_DIVISOR, VOID_ID, ClassInfo
from ...structures import DistanceFlag, Frame, InstanceDistance, PanopticDepth, Segment
from ..messages.outputs import OUTPUTS
from ..messages.reading import values_of
from ..messages.truth_images import IdRuns
from ..sources.camera import scaled_to

READ = ('panoptic', 'depth', 'instances')
"""Short names of the topics that a result is read from; one of the first two has to be there."""

TOLD_BY: dict[str, frozenset[Task]] = {
    'panoptic': SEGMENTATION, 'depth': frozenset(('depth',))}
"""Topic -> tasks of a model whose recording has it; whether it tells classes alone is not seen."""

RESULT_TOPICS = {name: OUTPUTS[name].name for name in READ}
LABEL_INFO_TOPIC = 'output/label_info'

LATENCY = 'recorded latency'
"""Key of the only time that a recorded result has."""


def _map(message: Any, dtype: type[np.generic], what: str) -> NDArray[Any]:
    """(H, W) view on the values of an image."""
    values = values_of(message)
    if values.dtype != dtype or values.ndim != 2:
        raise ConfigError(f'recorded {what} is {message.encoding!r}; it is no result of this '
                          'program')
    return values


def _vector(message: Any) -> NDArray[np.float32]:
    return np.array([message.x, message.y, message.z], np.float32)


def _instance(message: Any, in_camera_frame: bool) -> InstanceDistance:
    """One panoptic_depth/InstanceDistance; a position in another frame is not known."""
    segment = Segment(message.panoptic_id, message.class_id, message.instance_id,
                      bool(message.is_thing), float(message.score), message.pixel_count)
    roi = message.roi
    places = {} if not in_camera_frame else {
        'position_m': _vector(message.position),
        'position_covariance': np.array(message.position_covariance, np.float32).reshape(3, 3),
        'nearest_point_m': _vector(message.nearest_point), 'size_m': _vector(message.size)}
    return InstanceDistance(
        segment, message.class_name, (roi.x_offset, roi.y_offset, roi.width, roi.height),
        message.valid_depth_count, DistanceFlag(message.flags), float(message.distance),
        float(message.distance_stddev), float(message.distance_near), float(message.depth),
        track_id=message.track_id, **places)


def _require_known_ids(ids: Iterable[int], label_divisor: int,
                       classes: Sequence[ClassInfo]) -> None:
    """Refuse results of another table of classes, or of another divisor."""
    for number in ids:
        if number != VOID_ID and number // label_divisor >= len(classes):
            raise ConfigError(
                f'recorded panoptic image holds the id {number}, of class '
                f'{number // label_divisor}, but there are {len(classes)} classes; record '
                f'{LABEL_INFO_TOPIC} and output/instances with it')


def _require_possible(distances: Sequence[InstanceDistance], label_divisor: int,
                      shape: tuple[int, int], classes: Sequence[ClassInfo]) -> None:
    """Refuse instances that no result has: all that follows may rely on it."""
    height, width = shape
    ids = [d.segment.panoptic_id for d in distances]
    for distance in distances:
        segment, (x, y, columns, rows) = distance.segment, distance.roi
        number = segment.class_id * label_divisor + segment.instance_id
        problem = (
            f'of class {segment.class_id}, but there are {len(classes)} classes'
            if segment.class_id >= len(classes)
            else f'with instance id {segment.instance_id} of class {segment.class_id}'
            if number != segment.panoptic_id
            else 'there twice' if ids.count(segment.panoptic_id) > 1
            else f'outside of the {width}x{height} px' if x + columns > width or y + rows > height
            else f'at a distance of {distance.distance_m:g} m, depth {distance.depth_m:g} m'
            if not (_is_length(distance.distance_m) and _is_length(distance.depth_m)) else '')
        if problem:
            raise ConfigError(f'recorded instances are damaged: {segment.panoptic_id} is '
                              f'{problem}')


def _is_length(metres: float) -> bool:
    return math.isnan(metres) or 0 < metres < math.inf


def _segments(pixel_counts: Mapping[int, int], distances: Sequence[InstanceDistance],
              label_divisor: int, classes: Sequence[ClassInfo]) -> tuple[Segment, ...]:
    """Those of the instances, then all others that have pixels, by id."""
    told = {d.segment.panoptic_id: d.segment for d in distances}
    things = {c.class_id for c in classes if c.is_thing}
    found = []
    for number, count in pixel_counts.items():
        if number == VOID_ID or number in told:
            continue
        class_id, instance_id = divmod(number, label_divisor)
        found.append(Segment(number, class_id, instance_id, class_id in things, math.nan, count))
    return (*told.values(), *found)


def read_result(messages: Mapping[str, Any], frame: Frame, classes: Sequence[ClassInfo],
                ) -> PanopticDepth:
    """
    A recorded result.

    :param messages: by the short names of READ. Without panoptic or depth the model is taken not
        to do that; without instances there are no distances.
    :param frame: the image of the same stamp.
    :param classes: by class id.
    :returns: segments are those of the instances, then the rest by id, whose score is NaN.
        Positions are NaN where they were recorded in another frame than the camera's. Maps are
        views on the messages.
    :raises ConfigError: damaged, of another size or other classes, or no result of this program.
    """
    tasks = frozenset[Task]().union(*(of for name, of in TOLD_BY.items() if name in messages))
    recorded = {name: _map(messages[name], dtype, what) for name, dtype, what in (
        ('panoptic', np.uint16, 'panoptic image'), ('depth', np.float32, 'depth'))
        if name in messages}
    shape = height, width = next(iter(recorded.values())).shape
    panoptic, depth = (
        recorded[name] if name in recorded else np.full(shape, unknown, dtype)
        for name, unknown, dtype in (
            ('panoptic', VOID_ID, np.uint16), ('depth', np.nan, np.float32)))
    if depth.shape != panoptic.shape:
        raise ConfigError(f'recorded depth is {depth.shape[1]}x{depth.shape[0]} px, but the '
                          f'panoptic image {width}x{height} px; record them with one setting')
    camera = scaled_to(frame.intrinsics, width, height)
    array = messages.get('instances')
    pixel_counts = IdRuns.of(panoptic).pixel_counts()
    if array is None:
        _require_known_ids(pixel_counts, LABEL_DIVISOR, classes)
        segments = _segments(pixel_counts, (), LABEL_DIVISOR, classes)
        return PanopticDepth(panoptic, depth, segments, (), camera, LABEL_DIVISOR, frame.stamp_ns,
                             frame.frame_id, frame.name, tasks=tasks)
    if not array.label_divisor:
        raise ConfigError('recorded instances have label_divisor 0; they are no result of this '
                          'program')
    _require_known_ids(pixel_counts, array.label_divisor, classes)
    in_camera_frame = array.header.frame_id == (array.camera_frame_id or array.header.frame_id)
    distances = tuple(_instance(instance, in_camera_frame) for instance in array.instances)
    _require_possible(distances, array.label_divisor, (height, width), classes)
    latency_ms = 1e3 * array.latency.sec + 1e-6 * array.latency.nanosec
    return PanopticDepth(
        panoptic, depth, _segments(pixel_counts, distances, array.label_divisor, classes),
        distances, camera, int(array.label_divisor), frame.stamp_ns,
        array.camera_frame_id or frame.frame_id, frame.name, array.model_id,
        {LATENCY: latency_ms}, tasks)


def read_classes(message: Any, known: Sequence[ClassInfo],
                 ) -> tuple[tuple[ClassInfo, ...], list[str]]:
    """
    Class table of a recording.

    :param message: vision_msgs/LabelInfo, which has names only.
    :param known: table to look into first; then come those of labels.CLASS_TABLES.
    :returns: the table, and the names that no known table has: they are not marked as things.
    :raises ConfigError: there are no classes, or their ids have gaps.
    """
    names = {int(c.class_id): str(c.class_name) for c in message.class_map}
    tables = [tuple(known), *CLASS_TABLES.values()]
    for table in tables:
        if names == {c.class_id: c.name for c in table}:
            return table, []
    if not names or sorted(names) != list(range(len(names))):
        raise ConfigError(f'{LABEL_INFO_TOPIC}: class ids are {sorted(names)}; they must be 0, 1, '
                          '2 ... without a gap')
    infos = {c.name: c for c in chain(*reversed(tables))}
    colors = [c.color for c in CITYSCAPES]
    return tuple(
        replace(infos[names[i]], class_id=i) if names[i] in infos
        else ClassInfo(i, names[i], colors[i % len(colors)], False)
        for i in sorted(names)), [name for name in names.values() if name not in infos]
