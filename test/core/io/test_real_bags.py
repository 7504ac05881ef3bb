# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings that others made, with other recorders."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.sources.open_source import open_source


@pytest.fixture
def bags(shared_data: Path) -> Path:
    """Folder of the recordings."""
    return shared_data / 'bags'


def test_a_real_drive(bags: Path) -> None:
    with open_source(bags / 'kitti_0005_raw20') as source:
        frames = list(source)
    assert source.len_hint == len(frames) == 20 and not source.skipped and not source.notes
    assert {frame.image.shape for frame in frames} == {(375, 1242, 3)}
    assert {frame.intrinsics.fx for frame in frames} == {721.5377}
    assert {frame.frame_id for frame in frames} == {'camera_02'}
    steps = np.diff([frame.stamp_ns for frame in frames]) / 1e9
    assert np.all((steps > 0.09) & (steps < 0.12))
    (file,) = (bags / 'kitti_0005_raw20').glob('*.db3')
    with closing(sqlite3.connect(f'{file.resolve().as_uri()}?immutable=1', uri=True)) as database:
        blobs = [blob for (blob,) in database.execute(
            'SELECT data FROM messages WHERE topic_id = (SELECT id FROM topics WHERE name = '
            "'/camera/image_raw') ORDER BY timestamp")]
    # The pixels are the last field of the message.
    assert [frame.image.tobytes() for frame in frames] == [blob[-1242 * 375 * 3:]
                                                           for blob in blobs]


@pytest.mark.parametrize('path', ['amber_soccer_goal', 'amber_soccer_goal/soccer_goal_12.mcap'])
def test_a_part_of_a_split_bag_with_compressed_messages(bags: Path, path: str) -> None:
    frames = list(open_source(bags / path, fov_deg=60.0))
    assert [frame.stamp_ns for frame in frames] == [8_297_777_777, 8_331_088_888]
    assert frames[0].image.shape == (480, 640, 3)
    # A lawn.
    assert frames[0].image[240:].reshape(-1, 3).mean(axis=0).argmax() == 1


def test_a_bag_of_every_sensor_message(bags: Path) -> None:
    bag = bags / 'rerun_rosbag2'
    with pytest.raises(ConfigError, match=r'/compressed_image \(1 Compress.*/image \(1 Image\)'):
        open_source(bag)
    (raw,) = open_source(bag, image_topic='/image')
    (jpeg,) = open_source(bag, image_topic='/compressed_image')
    assert raw.intrinsics.fx == 500.0 and raw.intrinsics_source == 'camera_info'
    assert raw.image.shape == jpeg.image.shape == (480, 640, 3)


def test_a_tiny_bag(bags: Path) -> None:
    frames = list(open_source(bags / 'ros2bag_tools_images'))
    assert [frame.stamp_ns for frame in frames] == [0, 1_000_000_000, 2_000_000_000]
    assert frames[0].image.shape == (2, 2, 3)
    assert frames[0].frame_id == 'camera_optical_frame'


@pytest.mark.parametrize('name', ['test_bag_mcap', 'test_bag_sqlite3'])
def test_images_with_too_little_data_are_counted(bags: Path, name: str) -> None:
    topic = '/test/sensor_msgs/image'
    source = open_source(bags / 'rosbags_rs' / name, image_topic=topic)
    assert list(source) == []
    ((reason, count),) = source.skipped.items()
    assert count == 2 and 'less than the 921600 bytes that are needed' in reason
