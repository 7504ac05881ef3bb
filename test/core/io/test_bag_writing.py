# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Bags with results and with truth, read back by two readers; crashes and full disks."""

from __future__ import annotations

import errno
import math
import multiprocessing
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from io_scenes import CAR_ID, PERSON_ID, SECOND_NS, make_frame, make_result, make_sample
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.bags.drive_bags import read_drive_bag, write_drive_bag
from panoptic_depth_core.io.bags.result_bags import ResultBagWriter
from panoptic_depth_core.io.bags.writing import STORAGES
from panoptic_depth_core.io.messages.reading import stamp_of, values_of
from panoptic_depth_core.io.sources.bag_source import describe_images
from panoptic_depth_core.io.sources.open_source import open_source
from panoptic_depth_core.io.viewers.foxglove import FoxgloveWriter
from panoptic_depth_core.labels import CITYSCAPES, VOID_CLASS
from panoptic_depth_core.structures import GroundTruth
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Writer

pytestmark = pytest.mark.parametrize('storage', sorted(STORAGES))

OUTPUTS = ('panoptic', 'semantic', 'depth', 'camera_info', 'instances', 'detections_3d')
TOPICS = {'/camera/image_raw', '/camera/camera_info', '/panoptic_depth/debug/overlay',
          '/panoptic_depth/debug/depth_color', '/panoptic_depth/debug/markers',
          *(f'/panoptic_depth/output/{name}' for name in OUTPUTS)}
LABELS = '/panoptic_depth/output/label_info'


def _write(path: Path, storage: str, indices: range, **options: object) -> None:
    with ResultBagWriter(path, storage, **options) as writer:
        for index in indices:
            frame = make_frame(index)
            if frame.name not in writer.names:
                writer.write(frame, make_result(frame))


def _read(path: Path) -> list[tuple[str, int, object]]:
    """Read with the definitions in the bag alone, as a stranger would."""
    with AnyReader([path]) as reader:
        return [(c.topic, time, reader.deserialize(data, c.msgtype))
                for c, time, data in reader.messages()]


def test_every_output_with_the_stamp_of_its_image(storage: str, tmp_path: Path) -> None:
    _write(tmp_path / 'bag', storage, range(7))
    messages = _read(tmp_path / 'bag')
    counts = Counter(topic for topic, _, _ in messages)
    # Seven seconds, and the class table at 0 s and 5 s.
    assert counts == {**dict.fromkeys(TOPICS, 7), LABELS: 2}
    for topic, time, message in messages:
        header = message.markers[0].header if topic.endswith('markers') else message.header
        assert header.stamp.sec * SECOND_NS + header.stamp.nanosec == time
        assert header.frame_id == 'camera_optical'
    assert min(time for _, time, _ in messages) == make_frame(0).stamp_ns


def test_values(storage: str, tmp_path: Path) -> None:
    _write(tmp_path / 'bag', storage, range(1))
    frame = make_frame(0)
    result = make_result(frame)
    found = {topic.rpartition('/')[2]: message for topic, _, message in _read(tmp_path / 'bag')}

    assert found['panoptic'].encoding == '16UC1'
    np.testing.assert_array_equal(values_of(found['panoptic']), result.panoptic)
    semantic = values_of(found['semantic'])
    assert semantic[0, 0] == VOID_CLASS and semantic[10, 6] == 13 and semantic[-1, -1] == 0
    np.testing.assert_array_equal(values_of(found['depth']), result.depth)
    np.testing.assert_array_equal(values_of(found['image_raw']), frame.image)
    info = found['camera_info']
    assert info.k.tolist() == [50.0, 0, 19.0, 0, 51.0, 11.0, 0, 0, 1]
    assert info.p.tolist() == [50.0, 0, 19.0, 0, 0, 51.0, 11.0, 0, 0, 0, 1, 0]
    assert (info.width, info.height) == (40, 24)
    assert found['overlay'].encoding == found['depth_color'].encoding == 'bgr8'

    instances = found['instances']
    assert (instances.image_width, instances.image_height) == (40, 24)
    assert (instances.label_divisor, instances.scale_source) == (1000, 1)
    assert (instances.model_id, instances.camera_frame_id) == ('test-model', 'camera_optical')
    assert (instances.latency.sec, instances.latency.nanosec) == (0, 32_000_000)
    car, person = instances.instances
    assert (car.panoptic_id, car.class_name, car.instance_id) == (CAR_ID, 'car', 1)
    assert (car.distance, car.distance_near, car.depth) == (12.5, 12.0, 12.25)
    assert (car.roi.x_offset, car.roi.y_offset, car.roi.width, car.roi.height) == (4, 8, 10, 8)
    assert (car.position.x, car.position.z) == (-2.5, 12.25) and car.flags == 0
    assert car.position_covariance[[0, 4, 8]].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert (car.pixel_count, car.valid_depth_count, car.track_id) == (80, 80, -1)
    assert person.panoptic_id == PERSON_ID and person.flags == 2
    assert math.isnan(person.distance) and math.isnan(person.position.x)
    assert np.isnan(person.position_covariance).all() and person.position_covariance.size == 9

    (detection,) = found['detections_3d'].detections
    assert detection.results[0].hypothesis.class_id == 'car' and detection.id == str(CAR_ID)
    assert detection.bbox.center.position.z == 12.25 and detection.bbox.size.x == 2.0
    assert detection.bbox.center.orientation.w == 1.0
    covariance = detection.results[0].pose.covariance.reshape(6, 6)
    assert covariance[2, 2] == pytest.approx(0.3) and math.isnan(covariance[5, 5])
    names = {entry.class_id: entry.class_name for entry in found['label_info'].class_map}
    assert names == {info.class_id: info.name for info in CITYSCAPES}


def test_a_second_reader_agrees(storage: str, tmp_path: Path) -> None:
    if storage != 'mcap':
        pytest.skip('mcap-ros2-support reads MCAP only')
    mcap_ros2 = pytest.importorskip('mcap_ros2.reader')
    _write(tmp_path / 'bag', storage, range(2))
    messages = list(mcap_ros2.read_ros2_messages(str(tmp_path / 'bag' / 'bag_0.mcap')))
    counts = Counter(message.channel.topic for message in messages)
    assert counts == {**dict.fromkeys(TOPICS, 2), LABELS: 1}
    by_topic = {message.channel.topic: message for message in messages}
    instances = by_topic['/panoptic_depth/output/instances']
    assert instances.schema.name == 'panoptic_depth/msg/InstanceDistanceArray'
    assert instances.ros_msg.instances[0].distance == 12.5
    assert math.isnan(instances.ros_msg.instances[1].distance)
    depth = by_topic['/panoptic_depth/output/depth'].ros_msg
    np.testing.assert_array_equal(np.frombuffer(depth.data, '<f4').reshape(24, 40),
                                  make_result(make_frame(1)).depth)


def test_it_is_a_source_again(storage: str, tmp_path: Path) -> None:
    _write(tmp_path / 'bag', storage, range(3))
    frames = list(open_source(tmp_path / 'bag', image_topic='/camera/image_raw'))
    assert [frame.stamp_ns for frame in frames] == [make_frame(i).stamp_ns for i in range(3)]
    assert frames[0].intrinsics == make_frame(0).intrinsics


def test_going_on_with_a_bag_in_parts(storage: str, tmp_path: Path) -> None:
    bag = tmp_path / 'bag'
    _write(bag, storage, range(3), resume=True, part_bytes=1)
    _write(bag, storage, range(5), resume=True)
    suffix = {'mcap': '.mcap', 'sqlite3': '.db3'}[storage]
    names = {f'bag_{part}{suffix}' for part in range(4)}
    assert {path.name for path in bag.iterdir()} == {'metadata.yaml', *names}
    assert [path.name for path in tmp_path.iterdir()] == ['bag']
    counts = Counter(topic for topic, _, _ in _read(bag))
    assert {counts[topic] for topic in TOPICS} == {5}
    with AnyReader([bag]) as reader:
        assert reader.message_count == sum(counts.values())
        assert reader.duration == 4 * SECOND_NS + 1


def _write_and_die(bag: Path, storage: str) -> None:
    writer = ResultBagWriter(bag, storage, resume=True, part_bytes=None)
    for index in range(2):
        writer.write(make_frame(index), make_result(make_frame(index)))
    writer.close()
    writer.write(make_frame(2), make_result(make_frame(2)))
    os._exit(9)  # as if killed: nothing is closed


def test_a_crash_loses_the_open_part_only(storage: str, tmp_path: Path) -> None:
    bag = tmp_path / 'bag'
    # A process of its own: a connection that is left open in this one would still close later,
    # and take the journal of its successor of the same name along.
    doomed = multiprocessing.get_context('spawn').Process(
        target=_write_and_die, args=(bag, storage))
    doomed.start()
    doomed.join()
    assert doomed.exitcode == 9

    again = ResultBagWriter(bag, storage, resume=True)
    assert set(again.names) == {'000000', '000001'}
    again.write(make_frame(2), make_result(make_frame(2)))
    again.close()
    assert Counter(topic for topic, _, _ in _read(bag))['/camera/image_raw'] == 3
    assert [path.name for path in tmp_path.iterdir()] == ['bag']


def test_whole_frames_are_kept_after_an_error(storage: str, tmp_path: Path) -> None:
    def run() -> None:
        with ResultBagWriter(tmp_path / 'bag', storage) as writer:
            writer.write(make_frame(0), make_result(make_frame(0)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(_read(tmp_path / 'bag')) == len(TOPICS) + 1


def test_a_full_disk_keeps_closed_parts(storage: str, tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    bag = tmp_path / 'bag'
    _write(bag, storage, range(2))
    before = {path.name: path.read_bytes() for path in bag.iterdir()}
    writer = ResultBagWriter(bag, storage, resume=True)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write_and_close() -> None:
        writer.write(make_frame(2), make_result(make_frame(2)))
        writer.close()

    for name in ('write', 'close'):
        with monkeypatch.context() as patch:
            patch.setattr(Writer, name, full)
            with pytest.raises(ConfigError, match='bag: cannot be written: No space left.*kept'):
                write_and_close()
        assert set(writer.names) == {'000000', '000001'}
        assert {path.name: path.read_bytes() for path in bag.iterdir()} == before
        assert [path.name for path in tmp_path.iterdir()] == ['bag']
    write_and_close()
    assert Counter(topic for topic, _, _ in _read(bag))['/camera/image_raw'] == 3


def test_an_existing_target_is_only_replaced_when_asked(storage: str, tmp_path: Path) -> None:
    bag = tmp_path / 'bag'
    _write(bag, storage, range(3))
    with pytest.raises(ConfigError, match='bag: exists already; remove it'):
        ResultBagWriter(bag, storage)
    writer = ResultBagWriter(bag, storage, overwrite=True)
    writer.write(make_frame(9), make_result(make_frame(9)))
    assert len(list(open_source(bag, image_topic='/camera/image_raw'))) == 3
    writer.close()
    (frame,) = open_source(bag, image_topic='/camera/image_raw')
    assert frame.stamp_ns == make_frame(9).stamp_ns
    other = next(name for name in STORAGES if name != storage)
    with pytest.raises(ConfigError, match=f'its storage is {storage}, not {other}'):
        ResultBagWriter(bag, other, resume=True)


def test_a_foreign_bag_is_not_gone_on_with(storage: str, tmp_path: Path) -> None:
    (tmp_path / 'bag').mkdir()
    with pytest.raises(ConfigError, match='was not written by this program'):
        ResultBagWriter(tmp_path / 'bag', storage, resume=True)
    with pytest.raises(ConfigError, match=f"'{storage}x' is not known; give one of mcap, sqlite3"):
        ResultBagWriter(tmp_path / 'new', f'{storage}x')


def test_without_a_frame_there_is_no_bag(storage: str, tmp_path: Path) -> None:
    _write(tmp_path / 'bag', storage, range(0))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder_above_is_named(storage: str, tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match='in the place of a folder'):
        ResultBagWriter(tmp_path / 'file' / 'bag', storage)


def test_a_drive_and_its_truth(storage: str, tmp_path: Path) -> None:
    samples = [make_sample(index) for index in range(4)]
    assert write_drive_bag(iter(samples), tmp_path / 'drive', storage) == 4
    source = open_source(tmp_path / 'drive')
    assert source.image_topic == '/camera/image_raw'
    for frame, again, sample in zip(source, read_drive_bag(tmp_path / 'drive'), samples,
                                    strict=True):
        assert again.frame.name == frame.name and again.frame.stamp_ns == frame.stamp_ns
        assert frame.intrinsics == again.frame.intrinsics == sample.frame.intrinsics
        np.testing.assert_array_equal(again.frame.image, sample.frame.image)
        np.testing.assert_array_equal(again.truth.panoptic, sample.truth.panoptic)
        np.testing.assert_array_equal(again.truth.depth, sample.truth.depth)
        assert again.truth.instance_depth_m == {CAR_ID: 12.25}
        assert again.truth.has_semantics and 13 in again.truth.instance_classes
    encodings = {topic: message.encoding for topic, _, message in _read(tmp_path / 'drive')
                 if hasattr(message, 'encoding')}
    assert encodings == {'/camera/image_raw': 'rgb8', '/truth/panoptic': '16UC1',
                         '/truth/depth': '32FC1'}


def test_a_drive_is_there_in_full_or_not_at_all(storage: str, tmp_path: Path) -> None:
    def broken() -> object:
        yield make_sample(0)
        raise RuntimeError('renderer')

    with pytest.raises(RuntimeError, match='renderer'):
        write_drive_bag(broken(), tmp_path / 'drive', storage)
    with pytest.raises(ConfigError, match='no frames to write'):
        write_drive_bag([], tmp_path / 'drive', storage)
    assert list(tmp_path.iterdir()) == []


def test_truth_that_cannot_be_stored_or_is_missing_is_named(storage: str, tmp_path: Path) -> None:
    sample = make_sample(0)
    sample.truth.panoptic[0, 0] = 70_000
    with pytest.raises(ConfigError, match="'000000': panoptic ids do not fit uint16"):
        write_drive_bag([sample], tmp_path / 'drive', storage)
    write_drive_bag([replace(make_sample(0), truth=GroundTruth())], tmp_path / 'drive', storage)
    (again,) = read_drive_bag(tmp_path / 'drive')
    assert again.truth.panoptic is None and not again.truth.has_semantics


def test_results_are_no_choice_of_images(storage: str, tmp_path: Path) -> None:
    """A bag of results can be played or predicted again without naming its topic."""
    _write(tmp_path / 'bag', storage, range(1))
    found = describe_images(tmp_path / 'bag')
    assert found.image_topic == '/camera/image_raw'
    assert found.camera_info_topic == '/camera/camera_info'
    assert found.frame_id == 'camera_optical' and not found.is_compressed
    assert '/panoptic_depth/output/depth' in found.topics


@pytest.mark.parametrize('writer_type', [ResultBagWriter, FoxgloveWriter])
def test_frames_without_stamps_are_in_order(writer_type: type[ResultBagWriter], storage: str,
                                            tmp_path: Path) -> None:
    if writer_type is FoxgloveWriter and storage != 'mcap':
        pytest.skip('Foxglove reads MCAP')
    for numbers in (range(3), range(3, 5)):
        with writer_type(tmp_path / 'bag', storage, resume=True) as writer:
            for number in numbers:
                frame = replace(make_frame(number), stamp_ns=0)
                writer.write(frame, replace(make_result(frame), stamp_ns=0))
    stamps = [(time, stamp_of(message)) for topic, time, message in _read(tmp_path / 'bag')
              if topic.startswith('/camera/image_raw')]
    assert stamps == [(n * 100_000_000 or 1,) * 2 for n in range(5)]
