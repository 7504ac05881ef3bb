# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Frames of a recording: what belongs together, in order, and what is passed over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.metrics.frame import RecordedFrame
from panoptic_depth_core.evaluation.recordings.reading.reader import (
    DUPLICATE,
    LATE,
    RecordingReader,
)
from panoptic_depth_core.evaluation.settings import RecordingSettings, SyncSettings
from panoptic_depth_core.io.bags.drive_bags import read_drive_bag
from panoptic_depth_core.labels import THING_CLASSES
from replay_bags import (
    CAMERA,
    CAR,
    DEPTH,
    IMAGE_TOPIC,
    LABELS,
    MS,
    START_NS,
    STORAGES,
    Item,
    depth,
    drive,
    info,
    labels,
    moments,
    only_file,
    picture,
    true_depth,
    true_ids,
    values_item,
    write_items,
)


def read(bag: Path, sync: dict[str, Any] | None = None, **options: Any,
         ) -> tuple[list[RecordedFrame], RecordingReader]:
    """Return all frames, and the reader that gave them."""
    settings = RecordingSettings(sync=SyncSettings(**sync or {}))
    with RecordingReader(bag, settings, **options) as reader:
        return list(reader), reader


def times(frames: list[RecordedFrame]) -> list[int]:
    """Return stamps in milliseconds after the start, and check that each has its own image."""
    found = [(f.frame.stamp_ns - START_NS) // MS for f in frames]
    assert [int(f.frame.image[0, 0, 0]) for f in frames] == [ms // 10 % 256 for ms in found]
    return found


@pytest.mark.parametrize('storage', sorted(STORAGES))
def test_frames_with_their_truth(storage: str, tmp_path: Path) -> None:
    bag = write_items(tmp_path / 'bag', drive(6, labels, depth), storage)
    frames, reader = read(bag)
    assert times(frames) == list(moments(6)) and reader.len_hint == 6
    assert not reader.skipped and not reader.notes
    for item in frames:
        assert item.frame.intrinsics == CAMERA and item.frame.frame_id == 'optical'
        np.testing.assert_array_equal(item.truth.panoptic, true_ids())
        np.testing.assert_array_equal(item.truth.depth, true_depth())
        assert item.truth.has_semantics and item.truth.instance_classes == THING_CLASSES
        assert item.truth.instance_depth_m == {
            CAR + i: float(np.median(true_depth()[true_ids() == CAR + i])) for i in (1, 2)}
        assert item.lidar_depth is item.boxes is item.recorded is item.reference is None
    for item, sample in zip(frames, read_drive_bag(bag), strict=True):
        assert item.frame.name == sample.frame.name
        assert item.truth.instance_depth_m == sample.truth.instance_depth_m


def test_truth_in_other_encodings(tmp_path: Path) -> None:
    millimeters = np.where(np.isfinite(true_depth()), true_depth() * 1000, 0).astype(np.uint16)
    classes = np.where(true_ids() == 65535, 255, true_ids() // 1000).astype(np.uint8)
    bag = write_items(tmp_path / 'bag', drive(
        1, lambda ms: values_item(LABELS, classes, 'mono8', ms),
        lambda ms: values_item(DEPTH, millimeters, '16UC1', ms)))
    (item,), reader = read(bag)
    assert not reader.notes
    truth = item.truth
    expected = np.where(true_ids() == 65535, 65535, true_ids() // 1000 * 1000)
    np.testing.assert_array_equal(truth.panoptic, expected)
    assert truth.has_semantics and truth.instance_classes == () and not truth.instance_depth_m
    known = np.isfinite(true_depth())
    np.testing.assert_allclose(truth.depth[known], true_depth()[known], atol=1.1e-3)
    assert np.isnan(truth.depth[~known]).all() and truth.depth.dtype == np.float32


def test_what_comes_later_is_waited_for(tmp_path: Path) -> None:
    items = [*drive(20), *(labels(ms, delay_ms=1500) for ms in moments(20)),
             *(depth(ms, delay_ms=-80) for ms in moments(20))]
    frames, reader = read(write_items(tmp_path / 'bag', items))
    assert times(frames) == list(moments(20)) and not reader.notes
    assert all(f.truth.panoptic is not None and f.truth.depth is not None for f in frames)


def test_no_longer_than_the_settings_say(tmp_path: Path) -> None:
    items = [*drive(30), *(labels(ms, 1500 if ms < 1500 else 100) for ms in moments(30))]
    bag = write_items(tmp_path / 'bag', items)
    frames, reader = read(bag, {'max_delay_s': 0.5})
    assert times(frames) == list(moments(30))
    assert [f.truth.panoptic is None for f in frames] == [True] * 15 + [False] * 15
    ((note, count),) = reader.notes.items()
    assert count == 15 and note.startswith('/truth/panoptic: nothing that belongs')


@pytest.mark.parametrize('most', [1, 4, 64])
def test_few_images_wait(most: int, tmp_path: Path) -> None:
    """Labels that never come, and far more of them than images, cost no memory."""
    peak: list[int] = []

    class Watched(RecordingReader):
        def _wait(self, paired: Any) -> None:
            super()._wait(paired)
            peak.append(len(self._waiting))

    items = [*drive(100), *(labels(ms + 1) for ms in range(0, 10_000, 20)),
             depth(100_000, delay_ms=-60_000)]
    settings = RecordingSettings(sync=SyncSettings(max_waiting=most, max_delay_s=1000))
    with Watched(write_items(tmp_path / 'bag', items), settings) as reader:
        stamps = []
        for item in reader:
            stamps.append(item.frame.stamp_ns)
            assert max(map(len, reader._truth._windows.values())) <= max(most, 4)
    assert len(stamps) == 100 and max(peak) == most


def test_what_has_ended_is_not_waited_for(tmp_path: Path) -> None:
    bag = write_items(tmp_path / 'bag', [*drive(20), *map(labels, moments(5))])
    with RecordingReader(bag, RecordingSettings()) as reader:
        waited = [len(reader._waiting) for _ in reader]
    assert max(waited) <= 4


def test_mild_disorder_is_put_in_order(tmp_path: Path) -> None:
    order = [200, 0, 100, 300, 600, 400, 500, 800, 700]
    items = [picture(ms, delay_ms=100 * i - ms) for i, ms in enumerate(order)]
    frames, reader = read(write_items(tmp_path / 'bag', [info(0), *items]))
    assert times(frames) == sorted(order) and not reader.skipped
    assert [f.frame.name for f in frames][:3] == ['000001', '000002', '000000']


def test_one_wrong_clock_costs_one_place(tmp_path: Path) -> None:
    """An image from the far future does not make all others late."""
    items = [info(0), picture(9_000_000, delay_ms=-9_000_001), *map(picture, moments(10))]
    frames, reader = read(write_items(tmp_path / 'bag', items), {'max_delay_s': 1.0})
    assert times(frames) == [*moments(10), 9_000_000] and not reader.skipped


def test_a_looped_drive_is_read_once(tmp_path: Path) -> None:
    again = [item._replace(recorded_ns=item.recorded_ns + 5_000 * MS)
             for item in drive(20, labels)]
    frames, reader = read(write_items(tmp_path / 'bag', [*drive(20, labels), *again]))
    assert times(frames) == list(moments(20))
    assert reader.skipped.total() == 20 and set(reader.skipped) <= {DUPLICATE, LATE}
    assert all(f.truth.panoptic is not None for f in frames)


def test_late_images_and_duplicates_are_counted(tmp_path: Path) -> None:
    first = picture(300)
    twice = values_item(IMAGE_TOPIC, np.zeros((20, 32, 3), np.uint8), 'rgb8', 300, delay_ms=1)
    items = [info(0), *map(picture, (0, 100, 200)), first, twice, *map(picture, range(400, 1500,
             100)), picture(150, delay_ms=1400)]
    frames, reader = read(write_items(tmp_path / 'bag', items))
    assert times(frames) == list(moments(15))
    assert reader.skipped == {DUPLICATE: 1, LATE: 1}


def test_without_stamps_the_time_of_recording_counts(tmp_path: Path) -> None:
    items = []
    for item in drive(4, labels):
        item.message.header.stamp.sec = item.message.header.stamp.nanosec = 0
        items.append(item)
    frames, _ = read(write_items(tmp_path / 'bag', items))
    assert times(frames) == list(moments(4))
    assert all(f.truth.panoptic is not None for f in frames)


def test_truth_that_does_not_fit_is_left_out(tmp_path: Path) -> None:
    small = np.zeros((10, 16), np.uint16)
    wrong = np.full((20, 32), 19_001, np.uint16)
    items = drive(5)
    items += [values_item(LABELS, small, '16UC1', 0), values_item(LABELS, wrong, '16UC1', 100),
              values_item(LABELS, true_depth(), '32FC1', 200),
              Item(LABELS, 'sensor_msgs/msg/Image', b'\x00\x01\x00\x00\x07', START_NS + 300 * MS),
              labels(400), *map(depth, moments(5))]
    frames, reader = read(write_items(tmp_path / 'bag', items))
    assert [f.truth.panoptic is not None for f in frames] == [False] * 4 + [True]
    assert all(f.truth.depth is not None for f in frames)
    notes = ' | '.join(sorted(reader.notes))
    for words in ('is of 16x10 px, the image of 32x20 px; no true labels for this frame',
                  'hold the id 19001, of class 19, but there are 19 classes',
                  "true labels are '32FC1'; give 16UC1", 'a message is damaged',
                  'nothing that belongs'):
        assert words in notes


def test_cameras(tmp_path: Path) -> None:
    bag = write_items(tmp_path / 'none', map(picture, moments(3)))
    frames, reader = read(bag)
    assert {f.frame.intrinsics_source for f in frames} == {'default'}
    assert any('the camera is not known' in note for note in reader.notes)

    full = CAMERA.transformed(2, 2, 0, 0, 64, 40)
    bag = write_items(tmp_path / 'full', [info(0, full), picture(0)])
    (item,), reader = read(bag)
    assert item.frame.intrinsics == CAMERA
    assert any('64x40 px' in note and 'scaled' in note for note in reader.notes)

    zoomed = replace(CAMERA, fx=80.0)
    items = [part for i, ms in enumerate(moments(8)) for part in (
        picture(ms), info(ms, zoomed if i % 2 else CAMERA, delay_ms=5))]
    frames, _ = read(write_items(tmp_path / 'zoom', items))
    assert [f.frame.intrinsics.fx for f in frames] == [40.0, 80.0] * 4


@pytest.mark.parametrize('storage', sorted(STORAGES))
@pytest.mark.parametrize('share', [0.3, 0.7, 0.95])
def test_truncated(share: float, storage: str, tmp_path: Path) -> None:
    bag = write_items(tmp_path / 'bag', drive(40, labels), storage)
    path = only_file(bag)
    data = path.read_bytes()
    path.write_bytes(data[:int(share * len(data))])
    frames, reader = read(bag)
    assert 0.3 * share * 40 < len(frames) < 40
    assert times(frames) == list(moments(len(frames)))
    assert sum(f.truth.panoptic is None for f in frames) <= 1
    assert any('damaged or not closed' in note for note in reader.notes)


@pytest.mark.parametrize('storage', sorted(STORAGES))
def test_tampered(storage: str, tmp_path: Path) -> None:
    bag = write_items(tmp_path / 'bag', drive(40, labels, depth), storage)
    path = only_file(bag)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle:middle + 9000] = b'\xff' * 9000
    path.write_bytes(data)
    frames, reader = read(bag)
    stamps = [f.frame.stamp_ns for f in frames]
    assert 5 < len(frames) <= 40 and stamps == sorted(set(stamps))
    assert reader.notes or reader.skipped


def test_nothing_to_read(tmp_path: Path) -> None:
    bag = write_items(tmp_path / 'empty', [info(0)])
    with pytest.raises(ConfigError, match='has no image topic; topics are: /camera/camera_info'):
        read(bag)
    only_file(bag).write_bytes(b'')
    with pytest.raises(ConfigError, match='no message can be read: empty'):
        read(bag)
    with pytest.raises(ConfigError, match='is no bag'):
        read(tmp_path / 'none.txt')


def test_images_that_cannot_be_decoded(tmp_path: Path) -> None:
    items = drive(5, labels)
    items[4].message.encoding = 'rgb9'
    frames, reader = read(write_items(tmp_path / 'bag', items))
    assert times(frames) == [0, 200, 300, 400]
    ((reason, count),) = reader.skipped.items()
    assert count == 1 and 'encoding is not known' in reason


def test_twice_the_same(tmp_path: Path) -> None:
    items = [*drive(12), *(labels(ms, delay_ms=350) for ms in moments(12) if ms != 300)]
    bag = write_items(tmp_path / 'bag', items)
    one, two = (read(bag) for _ in range(2))
    assert [(f.frame.name, f.truth.panoptic is None) for f in one[0]] == [
        (f.frame.name, f.truth.panoptic is None) for f in two[0]]
    assert one[1].notes == two[1].notes and sum(f.truth.panoptic is None for f in one[0]) == 1
