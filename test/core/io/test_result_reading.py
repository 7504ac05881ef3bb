# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Results as messages and back."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from io_scenes import CAR_ID, PERSON_ID, make_frame, make_result
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.bags.result_bags import (
    LATENCY,
    NODE,
    READ,
    ResultBagWriter,
    _instance,
    read_classes,
    read_result,
)
from panoptic_depth_core.io.bags.storage import BagReader, Message, deserialize
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.outputs import OUTPUTS, FrameMessages
from panoptic_depth_core.io.messages.types import INSTANCE_DISTANCE_ARRAY, typestore
from panoptic_depth_core.labels import CITYSCAPES, SEMKITTI, ClassInfo
from panoptic_depth_core.structures import InstanceDistance, PanopticDepth


def messages_of(result: PanopticDepth, **options: Any) -> dict[str, Any]:
    """Return the messages that a result is read from."""
    of_frame = FrameMessages(make, make_frame(), result, **options)
    return {name: OUTPUTS[name].make(of_frame) for name in READ}


def assert_same_instances(found: tuple[InstanceDistance, ...],
                          expected: tuple[InstanceDistance, ...]) -> None:
    """Compare all that a message holds."""
    for one, other in zip(found, expected, strict=True):
        assert replace(one.segment, log_depth_scale=0.0) == replace(other.segment,
                                                                     log_depth_scale=0.0)
        assert math.isnan(one.segment.log_depth_scale)
        for name in ('class_name', 'roi', 'valid_depth_count', 'flags', 'track_id'):
            assert getattr(one, name) == getattr(other, name)
        for name in ('distance_m', 'distance_stddev_m', 'distance_near_m', 'depth_m', 'position_m',
                     'position_covariance', 'nearest_point_m', 'size_m', 'depth_mean_m'):
            np.testing.assert_array_equal(np.float32(getattr(one, name)),
                                          np.float32(getattr(other, name)), err_msg=name)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_round_trip_through_a_bag(storage: str, tmp_path: Path) -> None:
    frame = make_frame(3)
    made = make_result(frame)
    near = replace(made.distances[0], track_id=17, depth_mean_m=12.75)
    depth = made.depth.copy()
    depth[20] = -np.inf
    made = replace(made, depth=depth, distances=(near, *made.distances[1:]))
    with ResultBagWriter(tmp_path / 'bag', storage) as writer:
        writer.write(frame, made)
    reader = BagReader(tmp_path / 'bag')
    topics = {f'{NODE}/{OUTPUTS[name].name}': name for name in READ}
    found = read_result({topics[m.topic]: deserialize(m) for m in reader.messages(topics)},
                        frame, CITYSCAPES)
    reader.close()
    np.testing.assert_array_equal(found.panoptic, made.panoptic)
    np.testing.assert_array_equal(found.depth.view(np.uint32), made.depth.view(np.uint32))
    assert found.panoptic.dtype == np.uint16 and found.depth.dtype == np.float32
    assert_same_instances(found.distances, made.distances)
    for name in ('intrinsics', 'label_divisor', 'stamp_ns', 'frame_id', 'name', 'model_id'):
        assert getattr(found, name) == getattr(made, name)
    assert found.step_ms == {LATENCY: pytest.approx(32.0)}
    assert [s.panoptic_id for s in found.segments] == [CAR_ID, PERSON_ID, 0]
    road, expected = found.segments[-1], made.segments[0]
    assert math.isnan(road.score) and math.isnan(road.log_depth_scale)
    assert replace(road, score=0.0, log_depth_scale=0.0) == replace(expected, score=0.0,
                                                                     log_depth_scale=0.0)


@pytest.mark.parametrize('count', [0, 1, 2, 60])
def test_instances_of_an_earlier_version_have_no_mean(count: int) -> None:
    """As it wrote them: without the last field, which would shift all that follows."""
    made = make_result(make_frame())
    made = replace(made, distances=tuple(
        replace(made.distances[0], depth_mean_m=12.75, class_name=name)
        for name in (['car', 'bus', 'person'] * 20)[:count]))
    message = messages_of(made)['instances']
    earlier = typestore(earlier=True)
    data = bytes(earlier.serialize_cdr(message, INSTANCE_DISTANCE_ARRAY))
    found = deserialize(Message('/instances', INSTANCE_DISTANCE_ARRAY, 0, data))
    assert [i.class_name for i in found.instances] == [d.class_name for d in made.distances]
    for instance, distance in zip(found.instances, made.distances, strict=True):
        assert _instance(instance, True).depth_m == distance.depth_m
        assert math.isnan(_instance(instance, True).depth_mean_m)
    now = bytes(typestore().serialize_cdr(message, INSTANCE_DISTANCE_ARRAY))
    again = deserialize(Message('/instances', INSTANCE_DISTANCE_ARRAY, 0, now))
    assert [i.depth_mean for i in again.instances] == [12.75] * len(made.distances)
    if count:
        for broken in (data[:-6], now[:-6], data + bytes(40)):
            with pytest.raises(ConfigError, match='/instances: a message is damaged'):
                deserialize(Message('/instances', INSTANCE_DISTANCE_ARRAY, 0, broken))


def test_maps_are_views() -> None:
    messages = messages_of(make_result(make_frame()))
    found = read_result(messages, make_frame(), CITYSCAPES)
    assert np.shares_memory(found.panoptic, messages['panoptic'].data)
    assert np.shares_memory(found.depth, messages['depth'].data)


def test_things_without_a_number() -> None:
    made = make_result(make_frame())
    panoptic = made.panoptic.copy()
    panoptic[20:22] = 13_000
    messages = messages_of(replace(made, panoptic=panoptic))
    (region,) = (s for s in read_result(messages, make_frame(), CITYSCAPES).segments
                 if s.panoptic_id == 13_000)
    assert region.is_thing and region.instance_id == 0 and region.pixel_count == 80


def test_another_divisor() -> None:
    made = replace(make_result(make_frame()), label_divisor=256)
    made = replace(made, panoptic=np.full((24, 40), 13 * 256 + 9, np.uint16), distances=())
    (segment,) = read_result(messages_of(made), make_frame(), CITYSCAPES).segments
    assert (segment.class_id, segment.instance_id, segment.pixel_count) == (13, 9, 960)


def test_positions_in_another_frame_are_not_known() -> None:
    made = make_result(make_frame())
    found = read_result(messages_of(made, position_frame_id='base_link'), make_frame(),
                        CITYSCAPES)
    car = found.distances[0]
    assert car.distance_m == 12.5 and car.depth_m == 12.25 and found.frame_id == 'camera_optical'
    assert np.isnan(car.position_m).all() and np.isnan(car.position_covariance).all()
    assert np.isnan(car.nearest_point_m).all() and np.isnan(car.size_m).all()


def test_parts_that_were_not_recorded() -> None:
    messages = messages_of(make_result(make_frame()))
    found = read_result({'panoptic': messages['panoptic']}, make_frame(), CITYSCAPES)
    assert np.isnan(found.depth).all() and found.distances == () and found.label_divisor == 1000
    assert {s.panoptic_id for s in found.segments} == {0, CAR_ID, PERSON_ID}


@pytest.mark.parametrize(('name', 'changes', 'words'), [
    ('panoptic', {'encoding': '32FC1', 'width': 20}, "panoptic image is '32FC1'; it is no result"),
    ('depth', {'encoding': '16UC1', 'width': 80}, "depth is '16UC1'; it is no result"),
    ('depth', {'height': 12}, 'depth is 40x12 px, but the panoptic image 40x24 px'),
    ('panoptic', {'height': 25}, 'truncated'),
    ('instances', {'label_divisor': 0}, 'label_divisor 0'),
])
def test_what_is_no_result(name: str, changes: dict[str, Any], words: str) -> None:
    messages = messages_of(make_result(make_frame()))
    for field, value in changes.items():
        setattr(messages[name], field, value)
    with pytest.raises(ConfigError, match=words):
        read_result(messages, make_frame(), CITYSCAPES)


def test_tables_of_classes() -> None:
    head = make.header(0, '')
    for table in (CITYSCAPES, SEMKITTI):
        assert read_classes(make.label_info(head, table), CITYSCAPES) == (table, [])
    mixed = (ClassInfo(0, 'person', (0, 0, 0), True), ClassInfo(1, 'dragon', (9, 9, 9), True))
    assert read_classes(make.label_info(head, mixed), mixed) == (mixed, [])
    (person, dragon), unknown = read_classes(make.label_info(head, mixed), CITYSCAPES)
    assert unknown == ['dragon'] and person.is_thing and not dragon.is_thing
    assert person == replace(CITYSCAPES[11], class_id=0) and dragon.class_id == 1
    for broken in ((), CITYSCAPES[3:]):
        with pytest.raises(ConfigError, match='class ids are .* without a gap'):
            read_classes(make.label_info(head, broken), CITYSCAPES)
