# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Every kind of message: through CDR and back, of native types only, with the right content."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from message_cases import CASES, HEALTHS, RESULT, STATUS, assert_same, make_result
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.maker import MessageMaker
from panoptic_depth_core.io.messages.reading import pixels_of, stamp_of, values_of
from panoptic_depth_core.io.messages.types import typestore
from panoptic_depth_core.structures import DistanceFlag, ScaleSource
from rosbags.interfaces import Nodetype

HEAD = make.header(5, 'map')


def test_every_method_has_a_case() -> None:
    methods = {name for name in vars(MessageMaker) if not name.startswith('_')}
    methods -= {field.name for field in dataclasses.fields(MessageMaker)}
    assert methods | {'marker_array', 'point_cloud'} == {name.partition(' ')[0] for name in CASES}


@pytest.mark.parametrize('case', CASES)
def test_through_cdr_and_back(case: str) -> None:
    message = CASES[case](make)
    data = typestore().serialize_cdr(message, message.__msgtype__)
    assert_same(message, typestore().deserialize_cdr(data, message.__msgtype__))


def _assert_native(value: Any, kind: tuple[Any, Any], where: str) -> None:
    """As rclpy's classes insist on: float is no int, and neither is one of numpy."""
    node, detail = kind
    if node == Nodetype.NAME:
        assert value.__msgtype__ == detail, where
        for name, inner in typestore().fielddefs[detail][1]:
            _assert_native(getattr(value, name), inner, f'{where}.{name}')
    elif node == Nodetype.BASE:
        wanted = {'string': str, 'bool': bool, 'float32': float, 'float64': float}
        assert type(value) is wanted.get(detail[0], int), where
    elif detail[0][:2] == (Nodetype.BASE, ('string', 0)):
        assert [type(text) for text in value] == len(value) * [str], where
    elif detail[0][0] == Nodetype.BASE:
        assert value.dtype == np.dtype(detail[0][1][0]), where
        assert value.ndim == 1 and value.size == (detail[1] or value.size), where
    else:
        assert isinstance(value, list), where
        for index, item in enumerate(value):
            _assert_native(item, detail[0], f'{where}[{index}]')


@pytest.mark.parametrize('case', CASES)
def test_values_are_native(case: str) -> None:
    message = CASES[case](make)
    _assert_native(message, (Nodetype.NAME, message.__msgtype__), case)


def test_the_comparison_can_fail() -> None:
    message = make.instance_distance_array(HEAD, RESULT, 1)
    for change in ({'position_m': np.zeros(3, np.float32)}, {'class_name': 'bus'},
                   {'distance_m': float('nan')}):
        first, *others = make_result().distances
        other = dataclasses.replace(RESULT, distances=(dataclasses.replace(first, **change),
                                                       *others))
        with pytest.raises(AssertionError, match=r'message.instances\[0\]'):
            assert_same(message, make.instance_distance_array(HEAD, other, 1))


def test_time_of_all_signs() -> None:
    for nanoseconds in (0, 999_999_999, 1_000_000_000, -1, -1_000_000_001):
        time = make.time(nanoseconds)
        assert time.sec * 1_000_000_000 + time.nanosec == nanoseconds
        assert 0 <= time.nanosec < 1_000_000_000


def test_latency_and_scale_are_those_given() -> None:
    external = dataclasses.replace(RESULT, scale_source=ScaleSource.EXTERNAL)
    message = make.instance_distance_array(HEAD, external, 1_500_000_000)
    assert (message.latency.sec, message.latency.nanosec) == (1, 500_000_000)
    assert message.scale_source == message.SCALE_EXTERNAL
    assert make.instance_distance_array(HEAD, RESULT, 0).scale_source == 2
    assert (message.image_width, message.image_height) == (9, 7)
    assert message.header.frame_id == 'map' and message.camera_frame_id == 'camera_optical'
    car, person = message.instances
    assert car.flags == car.FLAG_TRUNCATED + car.FLAG_NOT_TRANSFORMED
    assert person.flags == DistanceFlag.LOW_DEPTH_SUPPORT and person.track_id == -1


def test_detections_are_the_located_instances() -> None:
    (detection,) = make.detection_3d_array(HEAD, RESULT).detections
    assert detection.id == '7' and detection.results[0].hypothesis.score == 0.75
    first = dataclasses.replace(RESULT.distances[0], track_id=-1)
    without_track = dataclasses.replace(RESULT, distances=(first,))
    (detection,) = make.detection_3d_array(HEAD, without_track).detections
    assert detection.id == str(first.segment.panoptic_id)


def test_status_field_by_field() -> None:
    message = make.inference_status(HEAD, STATUS)
    assert message.state == message.STATE_RUNNING
    # The overhead is latency less inference, and only in the diagnostics.
    for name in {field.name for field in dataclasses.fields(STATUS)} - {
            'overhead_ms', 'ground_scale'}:
        np.testing.assert_array_equal(getattr(message, name), getattr(STATUS, name), name)
    assert (message.ground_scale, message.ground_scale_low, message.ground_scale_high
            ) == STATUS.ground_scale


def test_diagnostics_field_by_field() -> None:
    message = make.diagnostic_array(HEAD, HEALTHS, 'cpu')
    assert [status.level for status in message.status] == [0, 3]
    for status, health in zip(message.status, HEALTHS, strict=True):
        assert (status.name, status.message, status.hardware_id) == (
            health.name, health.message, 'cpu')
        assert {entry.key: entry.value for entry in status.values} == health.values


def test_what_was_put_in_is_read_out() -> None:
    image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    message = make.image(make.header(-7, ''), image, 'rgb8')
    assert stamp_of(message) == -7
    np.testing.assert_array_equal(pixels_of(message), image)
    depth = np.array([[np.nan, np.inf, 2.5]], np.float32)
    np.testing.assert_array_equal(values_of(make.image(HEAD, depth, '32FC1')), depth)
