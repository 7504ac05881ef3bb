# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Bags for Foxglove: read by two readers, and everything drawn where it belongs."""

from __future__ import annotations

import errno
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from io_scenes import CAR_ID, PERSON_ID, SECOND_NS, make_frame, make_result
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.messages.reading import values_of
from panoptic_depth_core.io.messages.types import IMAGE_ANNOTATIONS, SCENE_UPDATE, typestore
from panoptic_depth_core.io.sources.bag_source import describe_images
from panoptic_depth_core.io.sources.open_source import open_source
from panoptic_depth_core.io.viewers.foxglove import (
    FoxgloveFile,
    FoxgloveWriter,
    image_annotations,
    metric_topic,
    outlines,
    scene_update,
)
from panoptic_depth_core.labels import CITYSCAPES
from panoptic_depth_core.structures import Frame, PanopticDepth
from rosbags.highlevel import AnyReader

NODE = '/panoptic_depth'
ANNOTATIONS, SCENE = f'{NODE}/foxglove/annotations', f'{NODE}/foxglove/scene'
CAR_COLOR = CITYSCAPES[13].color


def _case(index: int = 0, **changes: Any) -> tuple[Frame, PanopticDepth]:
    """Frame and result, whose car is changed."""
    frame = make_frame(index)
    result = make_result(frame)
    car, person = result.distances
    return frame, replace(result, distances=(replace(car, **changes), person))


def _write(path: Path, indices: range = range(2), options: dict[str, Any] | None = None,
           **more: Any) -> None:
    with FoxgloveWriter(path, **(options or {})) as writer:
        for index in indices:
            if not writer.done(make_frame(index).name):
                writer.write(*_case(index, track_id=7), **more)


def _read(path: Path) -> dict[str, list[Any]]:
    """Messages by topic, with the definitions in the bag alone, as a stranger would."""
    found: dict[str, list[Any]] = {}
    with AnyReader([path]) as reader:
        for connection, time, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            found.setdefault(connection.topic, []).append(message)
            if connection.topic in (ANNOTATIONS, SCENE):
                stamp = (message.timestamp if connection.topic == ANNOTATIONS
                         else message.deletions[0].timestamp)
                assert stamp.sec * SECOND_NS + stamp.nanosec == time
    return found


def _xy(points: Any) -> list[tuple[float, float]]:
    return [(point.x, point.y) for point in points]


def _xyz(vector: Any) -> list[float]:
    return [vector.x, vector.y, vector.z]


def _rgba(color: Any) -> list[float]:
    return [round(255 * color.r), round(255 * color.g), round(255 * color.b), color.a]


def _metadata(pairs: Any) -> dict[str, str]:
    return {pair.key: pair.value for pair in pairs}


def test_types_are_those_of_the_released_package() -> None:
    """Of foxglove_msgs 3.4.3; a hash is over all the types within."""
    store = typestore()
    assert store.hash_rihs01(IMAGE_ANNOTATIONS) == (
        'RIHS01_bc4e578b1ef80953415d6f966a4cab305c8a44c8b64fc405312b6f06a08fc45e')
    assert store.hash_rihs01(SCENE_UPDATE) == (
        'RIHS01_48c640ae3c3c25188e497ddea0ea11c2e189b50db3ef425f2c518d2355e5ff60')
    points = store.types['foxglove_msgs/msg/PointsAnnotation']
    assert [points.POINTS, points.LINE_LOOP, points.LINE_STRIP, points.LINE_LIST] == [1, 2, 3, 4]
    line = store.types['foxglove_msgs/msg/LinePrimitive']
    assert [line.LINE_STRIP, line.LINE_LOOP, line.LINE_LIST] == [0, 1, 2]
    deletion = store.types['foxglove_msgs/msg/SceneEntityDeletion']
    assert [deletion.MATCHING_ID, deletion.ALL] == [0, 1]


def test_everything_is_there_and_is_a_bag_of_results(tmp_path: Path) -> None:
    _write(tmp_path / 'fox')
    found = _read(tmp_path / 'fox')
    assert {topic: len(messages) for topic, messages in found.items()} == {
        '/camera/image_raw/compressed': 2, '/camera/camera_info': 2, ANNOTATIONS: 2, SCENE: 2,
        f'{NODE}/debug/overlay/compressed': 2, f'{NODE}/output/label_info': 1,
        **{f'{NODE}/output/{name}': 2 for name in (
            'panoptic', 'semantic', 'depth', 'camera_info', 'instances', 'detections_3d',
            'points')}}
    result = make_result(make_frame(1))
    np.testing.assert_array_equal(values_of(found[f'{NODE}/output/depth'][1]), result.depth)
    np.testing.assert_array_equal(values_of(found[f'{NODE}/output/panoptic'][1]), result.panoptic)
    assert found[f'{NODE}/output/points'][0].width < result.depth.size / 8
    assert describe_images(tmp_path / 'fox').image_topic == '/camera/image_raw/compressed'
    frames = list(open_source(tmp_path / 'fox'))
    assert [frame.stamp_ns for frame in frames] == [make_frame(i).stamp_ns for i in range(2)]
    assert frames[0].intrinsics == make_frame(0).intrinsics


def test_a_second_reader_agrees(tmp_path: Path) -> None:
    """The reader that follows the rules of Foxglove: names, encodings and values."""
    reading = pytest.importorskip('mcap_ros2.reader')
    _write(tmp_path / 'fox')
    (path,) = tmp_path.glob('fox/*.mcap')
    messages = list(reading.read_ros2_messages(str(path)))
    kinds = {(m.schema.name, m.schema.encoding, m.channel.message_encoding)
             for m in messages if m.channel.topic in (ANNOTATIONS, SCENE)}
    assert kinds == {(kind, 'ros2msg', 'cdr') for kind in (
        'foxglove_msgs/msg/ImageAnnotations', 'foxglove_msgs/msg/SceneUpdate')}
    assert {m.schema.name for m in messages if m.channel.topic.endswith('compressed')} == {
        'sensor_msgs/msg/CompressedImage'}
    ours = _read(tmp_path / 'fox')
    for topic in (ANNOTATIONS, SCENE):
        theirs = [m.ros_msg for m in messages if m.channel.topic == topic]
        if topic == ANNOTATIONS:
            assert [[_xy(p.points) for p in m.points] for m in theirs] == [
                [_xy(p.points) for p in m.points] for m in ours[topic]]
            assert theirs[1].texts[0].text == 'car 12.5 m #7'
        else:
            assert [_xyz(e.cubes[0].size) for m in theirs for e in m.entities] == [
                _xyz(e.cubes[0].size) for m in ours[topic] for e in m.entities]
            assert theirs[0].entities[0].frame_id == 'camera_optical'


def test_the_file_is_compressed_by_chunks(tmp_path: Path) -> None:
    mcap = pytest.importorskip('mcap.reader')
    _write(tmp_path / 'fox')
    (path,) = tmp_path.glob('fox/*.mcap')
    with path.open('rb') as file:
        summary = mcap.make_reader(file).get_summary()
    assert {chunk.compression for chunk in summary.chunk_indexes} == {'zstd'}
    # rosbag2 must not think that it has to decompress anything itself.
    assert "compression_mode: ''" in (tmp_path / 'fox' / 'metadata.yaml').read_text()


def test_boxes_outlines_and_texts_in_px_of_foxglove() -> None:
    """The car has rows 8..15 and columns 4..13, so its pixels cover 4..14 and 8..16."""
    message = image_annotations(*_case(track_id=7))
    box, outline, _, person = message.points
    assert _xy(box.points) == [(4, 8), (14, 8), (14, 16), (4, 16)]
    assert set(_xy(outline.points)) == {(4.5, 8.5), (13.5, 8.5), (13.5, 15.5), (4.5, 15.5)}
    assert box.type == outline.type == 2
    assert _rgba(box.outline_color) == [*CAR_COLOR, 1.0] and box.fill_color.a == 0.0
    assert _rgba(outline.fill_color)[:3] == list(CAR_COLOR) and 0 < outline.fill_color.a < 1
    assert _xy(person.points)[0] == (20.5, 6.5)
    car, unknown = message.texts
    assert (car.text, unknown.text) == ('car 12.5 m #7', 'person ?')
    # Both stand at the left edge; above the first row there is no room for a text.
    assert _xy([car.position, unknown.position]) == [(4, 10), (20, 10)]
    assert _metadata(message.metadata) == {'frame': '000000', 'model': 'test-model'}


def test_annotations_of_a_smaller_result_are_in_px_of_the_image() -> None:
    frame, result = _case()
    car = replace(result.distances[0], roi=(2, 4, 5, 4))
    small = replace(result, panoptic=result.panoptic[::2, ::2], distances=(car,),
                    intrinsics=frame.intrinsics.transformed(0.5, 0.5, 0, 0, 20, 12))
    box, outline = image_annotations(frame, small).points
    assert _xy(box.points) == [(4, 8), (14, 8), (14, 16), (4, 16)]
    assert set(_xy(outline.points)) == {(5, 9), (13, 9), (13, 15), (5, 15)}


def test_stuff_is_not_boxed() -> None:
    frame, result = _case()
    road = replace(result.distances[0], segment=result.segments[0], class_name='road')
    message = image_annotations(frame, replace(result, distances=(road,)))
    assert not message.points and not message.texts
    assert len(scene_update(frame, replace(result, distances=(road,))).entities) == 1


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)))
def test_outlines_are_within_a_pixel_of_the_mask(mask: np.ndarray) -> None:
    height, width = mask.shape
    car = replace(make_result(make_frame()).distances[0], roi=(0, 0, width, height))
    for line in outlines(np.where(mask, CAR_ID, 0).astype(np.uint16), car):
        assert len(line) >= 3
        x, y = line.astype(int).T
        assert mask[y, x].all()


def test_cubes_are_where_the_instances_are() -> None:
    message = scene_update(*_case(track_id=7))
    (deletion,) = message.deletions
    assert deletion.type == deletion.ALL
    (car,) = message.entities
    assert car.frame_id == 'camera_optical' and car.id == 'track 7'
    assert (car.lifetime.sec, car.lifetime.nanosec) == (1, 0) and not car.frame_locked
    (cube,), (text,) = car.cubes, car.texts
    assert _xyz(cube.pose.position) == [-2.5, 0.25, 12.25] and cube.pose.orientation.w == 1.0
    assert _xyz(cube.size) == [2.0, 1.5, 0.5]
    assert _rgba(cube.color)[:3] == list(CAR_COLOR) and 0 < cube.color.a < 1
    assert text.text == 'car 12.5 m #7' and text.billboard
    # Above: y is down, half the box and the height of the text.
    assert _xyz(text.pose.position) == pytest.approx([-2.5, 0.25 - 0.75 - 0.6, 12.25])
    values = _metadata(car.metadata)
    assert values['distance_m'] == '12.50' and values['panoptic_id'] == str(CAR_ID)
    assert scene_update(*_case()).entities[0].id == f'segment {CAR_ID}'


def test_what_is_not_known_is_left_out() -> None:
    nan = np.full(3, np.nan, np.float32)
    assert not scene_update(*_case(position_m=nan)).entities
    flat = scene_update(*_case(size_m=nan)).entities[0].cubes[0]
    assert min(_xyz(flat.size)) > 0 and np.isfinite(_xyz(flat.size)).all()
    for instance in scene_update(*_case()).entities:
        assert str(PERSON_ID) not in instance.id


def test_lidar_and_metrics(tmp_path: Path) -> None:
    depth = np.full((24, 40), np.nan, np.float32)
    depth[11, 19], depth[12, 29] = 7.5, 10.0
    _write(tmp_path / 'fox', lidar_depth=depth,
           scalars={'labels.pq': 0.5, 'labels.sq': float('nan'), '9 é/\n.': 1.0, '': 2.0})
    found = _read(tmp_path / 'fox')
    cloud = found[f'{NODE}/foxglove/lidar'][0]
    points = np.frombuffer(cloud.data.tobytes(), '<f4').reshape(2, -1)[:, :3]
    np.testing.assert_allclose(points, [[0, 0, 7.5], [2.0, 10 / 51, 10.0]], rtol=1e-6)
    values = {topic: [message.data for message in messages] for topic, messages in found.items()
               if topic.startswith(f'{NODE}/metrics/')}
    assert values == {f'{NODE}/metrics/labels/pq': [0.5, 0.5], f'{NODE}/metrics/_': [2.0, 2.0],
                       f'{NODE}/metrics/_9____/_': [1.0, 1.0]}
    with pytest.raises(ConfigError, match='40x24 px, but its depth 5x4 px'):
        _write(tmp_path / 'other', lidar_depth=np.ones((4, 5), np.float32))
    assert not (tmp_path / 'other').exists()


@given(st.text(max_size=8))
def test_metrics_of_any_name_have_a_topic_that_ros_allows(name: str) -> None:
    for word in metric_topic(name).removeprefix('/').split('/'):
        assert word.isascii() and word.isidentifier()


def test_hostile_names_survive(tmp_path: Path) -> None:
    name = 'a "b"\\ \u202e\n\x00 é 車 {{x}} ../../c'
    frame, result = _case(class_name=name)
    frame = replace(frame, name=name, frame_id=name)
    with FoxgloveWriter(tmp_path / 'fox') as writer:
        writer.write(frame, replace(result, name=name, frame_id=name))
    found = _read(tmp_path / 'fox')
    assert found[SCENE][0].entities[0].frame_id == name
    assert found[ANNOTATIONS][0].texts[0].text == f'{name} 12.5 m'
    assert FoxgloveWriter(tmp_path / 'fox', resume=True).done(name)


def test_going_on_with_parts(tmp_path: Path) -> None:
    options = {'resume': True, 'part_bytes': 1, 'image_topic': '/front/image/compressed'}
    _write(tmp_path / 'fox', range(1), options)
    _write(tmp_path / 'fox', range(3), options)
    found = _read(tmp_path / 'fox')
    counts = Counter({topic: len(messages) for topic, messages in found.items()})
    assert counts[ANNOTATIONS] == counts['/front/image/compressed'] == 3
    assert {path.name for path in (tmp_path / 'fox').glob('*.mcap')} == {
        'fox_0.mcap', 'fox_1.mcap', 'fox_2.mcap'}


def test_a_single_file_is_there_in_full_or_not_at_all(tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'out' / 'drive.mcap'

    def write(index: int, error: BaseException | None = None, **options: Any) -> None:
        with FoxgloveFile(path, **options) as file:
            file.write(*_case(index), scalars={'labels.pq': 0.25})
            if error is not None:
                raise error

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(KeyboardInterrupt):
        write(0, KeyboardInterrupt())
    with monkeypatch.context() as patch:
        patch.setattr(os, 'replace', full)
        with pytest.raises(ConfigError, match='cannot be written: No space left'):
            write(0)
    FoxgloveFile(path).close()
    assert list((tmp_path / 'out').iterdir()) == []
    write(0)
    assert [file.name for file in (tmp_path / 'out').iterdir()] == ['drive.mcap']
    with pytest.raises(ConfigError, match=r'drive\.mcap: exists already'):
        write(1)
    write(1, overwrite=True)
    (frame,) = open_source(path)
    assert frame.stamp_ns == make_frame(1).stamp_ns
    assert _read(path)[f'{NODE}/metrics/labels/pq'][0].data == 0.25
