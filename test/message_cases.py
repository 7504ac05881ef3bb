# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""One message or more of every kind that the program makes, and how two of them are compared."""

from __future__ import annotations

import dataclasses
import math
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from panoptic_depth_core.io.messages.maker import UP_BODY, MessageMaker, marker_array
from panoptic_depth_core.io.messages.point_clouds import point_cloud
from panoptic_depth_core.io.messages.reading import MAPS
from panoptic_depth_core.io.messages.types import typestore
from panoptic_depth_core.labels import CLASS_ID, VOID_ID
from panoptic_depth_core.status import Health, HealthLevel, StreamState, StreamStatus
from panoptic_depth_core.structures import (
    DistanceFlag,
    InstanceDistance,
    Intrinsics,
    PanopticDepth,
    ScaleSource,
    Segment,
)

STAMP_NS = 1_700_000_000_123_456_789
WIDTH, HEIGHT = 9, 7
CAMERA = Intrinsics(50.0, 51.0, 4.0, 3.5, WIDTH, HEIGHT)
IMAGE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def _instance(name: str, number: int, **fields: Any) -> InstanceDistance:
    """An instance of numpy's scalars, which messages must not hold."""
    panoptic_id = np.uint16(CLASS_ID[name] * 1000 + number)
    segment = Segment(panoptic_id, np.uint8(CLASS_ID[name]), np.int64(number), np.bool_(True),
                      np.float32(0.75), np.int64(6))
    return InstanceDistance(segment, name, tuple(np.arange(1, 5)), np.int64(5), **fields)


def make_result() -> PanopticDepth:
    """A car with a track, a person without a distance, void; depth of every kind."""
    car = _instance(
        'car', 1, flags=DistanceFlag.TRUNCATED | DistanceFlag.NOT_TRANSFORMED,
        distance_m=np.float32(12.5), distance_stddev_m=np.float32(0.25),
        distance_near_m=np.float32(12.0), depth_m=np.float32(12.25),
        depth_mean_m=np.float32(12.75),
        position_m=np.array([-2.5, 0.25, 12.25], np.float32),
        position_covariance=np.arange(9, dtype=np.float32).reshape(3, 3),
        nearest_point_m=np.array([-2.0, 0.0, 11.75], np.float32),
        size_m=np.array([2.0, 1.5, 0.0], np.float32), track_id=np.int64(7))
    person = _instance('person', 2, flags=DistanceFlag.LOW_DEPTH_SUPPORT)
    panoptic = np.zeros((HEIGHT, WIDTH), np.uint16)
    panoptic[0] = VOID_ID
    panoptic[2:4, 1:4] = car.segment.panoptic_id
    panoptic[5:7, 6:9] = person.segment.panoptic_id
    depth = np.linspace(2.0, 20.0, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    depth[1, :3] = np.nan, np.inf, -np.inf
    return PanopticDepth(panoptic, depth, (car.segment, person.segment), (car, person), CAMERA,
                         1000, STAMP_NS, 'camera_optical', '000000', 'modèle', {'graph': 30.0},
                         scale_source=ScaleSource.CAMERA_HEIGHT)


RESULT = make_result()
EMPTY = dataclasses.replace(RESULT, distances=(), depth=np.full_like(RESULT.depth, np.nan))
STATUS = StreamStatus(
    StreamState.RUNNING, 'läuft', np.float32(0.5), 'onnxruntime', 'fast',
    ('depth', 'semantic'), 'key', np.int64(11),
    np.int64(6), 2, 1, 2, 3, np.float64(15.5), 14, (np.float32(40.0), 55.5, 70),
    (20.0, 25.0, 30.0), (5.0, 6.0, 7.0), 1 << 33, ScaleSource.CAMERA_HEIGHT,
    (np.float64(0.9), 0.8, 1))
HEALTHS = (
    Health('panoptic_depth: engine', HealthLevel.OK, 'ready', {'key': 'abc', 'built': '0'}),
    Health('panoptic_depth: input', HealthLevel.STALE, 'no image; start the camera'))


def _map(encoding: str, make: MessageMaker) -> Any:
    dtype, channels = MAPS[encoding]
    values = np.arange(HEIGHT * WIDTH * channels).reshape(HEIGHT, WIDTH, channels).astype(dtype)
    # Columns left out: the rows are not contiguous.
    values = values[:, ::2]
    return make.image(_head(make), values if channels > 1 else values[..., 0], encoding)


def _head(make: MessageMaker) -> Any:
    return make.header(STAMP_NS, 'camera_optical')


CASES: dict[str, Callable[[MessageMaker], Any]] = {
    'time': lambda make: make.time(STAMP_NS),
    'time before the epoch': lambda make: make.time(np.int64(-1), 'Duration'),
    'header': _head,
    'vector': lambda make: make.vector('Quaternion', np.arange(4, dtype=np.float32)),
    'tf_message': lambda make: make.tf_message(
        _head(make), 'camera', (0, 0, 1.5), np.array([-0.5, 0.5, -0.5, 0.5])),
    'pose': lambda make: make.pose((1, 2.5, math.nan)),
    **{f'image {encoding}': partial(_map, encoding) for encoding in MAPS},
    'camera_info': lambda make: make.camera_info(_head(make), CAMERA),
    'instance_distance': lambda make: make.instance_distance(RESULT.distances[0]),
    'instance_distance unknown': lambda make: make.instance_distance(RESULT.distances[1]),
    'instance_distance_array': lambda make: make.instance_distance_array(
        _head(make), RESULT, 32_000_000),
    'instance_distance_array empty': lambda make: make.instance_distance_array(
        _head(make), EMPTY, np.int64(-5)),
    'detection_3d_array': lambda make: make.detection_3d_array(_head(make), RESULT),
    'detection_3d_array empty': lambda make: make.detection_3d_array(_head(make), EMPTY),
    'label_info': lambda make: make.label_info(_head(make)),
    'inference_status': lambda make: make.inference_status(_head(make), STATUS),
    'inference_status unknown': lambda make: make.inference_status(
        _head(make), StreamStatus(StreamState.UNCONFIGURED)),
    'diagnostic_array': lambda make: make.diagnostic_array(_head(make), HEALTHS, 'cpu'),
    'marker_array': lambda make: marker_array(make, _head(make), RESULT, up=UP_BODY),
    'point_cloud': lambda make: point_cloud(make, _head(make), IMAGE, RESULT, 2),
    'point_cloud empty': lambda make: point_cloud(make, _head(make), IMAGE, EMPTY),
}
"""Name -> what makes the message; the first word is that of the method or function."""


def fields_of(message: Any) -> tuple[str, ...]:
    """Names of the fields of a message of rosbags or rclpy; none for what is no message."""
    if hasattr(message, '__msgtype__'):
        return tuple(name for name, _ in typestore().fielddefs[message.__msgtype__][1])
    if hasattr(message, 'get_fields_and_field_types'):
        return tuple(message.get_fields_and_field_types())
    return ()


def assert_same(one: Any, other: Any, where: str = 'message') -> None:
    """Equal field by field, at single precision, NaN being NaN; the classes do not matter."""
    names = fields_of(one)
    assert fields_of(other) == names, where
    for name in names:
        assert_same(getattr(one, name), getattr(other, name), f'{where}.{name}')
    if names:
        return
    if isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same(left, right, f'{where}[{index}]')
    elif isinstance(one, (np.ndarray, array)):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), where)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-6, nan_ok=True), where
    else:
        assert _number(one) == _number(other), where


def _number(value: Any) -> Any:
    """A byte is an int for rosbags and bytes for rclpy."""
    return value[0] if isinstance(value, bytes) else value
