# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Measured depth beside a stream of images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.sources.measured_depth import MOST_WAITING
from panoptic_depth_core.status import HealthLevel
from panoptic_depth_core.streaming.measured import MeasuredMemory
from panoptic_depth_core.structures import Frame, Intrinsics

CAMERA = Intrinsics.from_focal(20.0, 32, 16)
MS = 1_000_000


def frame_at(ms, frame_id='camera'):
    return Frame(np.zeros((16, 32, 3), np.uint8), CAMERA, ms * MS, frame_id)


def depth_at(ms, value, frame_id='camera', size=(16, 32)):
    return make.image(make.header(ms * MS, frame_id), np.full(size, value, np.float32), '32FC1')


def here(frame, source, stamp_ns):
    return np.eye(4)


def memory(locate=here, topic='/tof/depth'):
    made = MeasuredMemory(topic, 0.1, locate)
    made.missing = ''
    return made


def test_the_nearest_stamp_within_the_age():
    found = memory()
    for ms, value in ((1000, 1.0), (1050, 2.0), (1100, 3.0)):
        found.remember(depth_at(ms, value))
    for ms, value in ((1010, 1.0), (1060, 2.0), (1199, 3.0), (905, 1.0)):
        points = found.add(frame_at(ms)).measured_points_m
        assert np.allclose(points[:, 2], value)
    health = found.health()
    assert health.level == HealthLevel.OK and health.values['points'] == '512'
    late = frame_at(1201)
    assert found.add(late) is late
    health = found.health()
    assert health.level == HealthLevel.WARN
    assert '/tof/depth: nothing within 0.1 s of the image' in health.message
    found.configure(0.5)
    assert found.add(late).measured_points_m is not None


def test_points_beside_the_image_are_said():
    """As of a LiDAR whose images name a frame with x ahead."""
    turned = np.eye(4)[[2, 0, 1, 3]]
    for locate, value in ((lambda *_: turned, 5.0), (here, 5000.0), (here, np.nan)):
        found = memory(locate)
        found.remember(depth_at(1000, value))
        frame = frame_at(1000)
        narrow = replace(frame, intrinsics=Intrinsics.from_focal(200.0, 32, 16))
        assert found.add(narrow) is narrow
        health = found.health()
        assert health.level == HealthLevel.WARN
        assert 'no measured point is on the image' in health.message


def test_points_are_moved_and_transforms_may_be_missing():
    asked = []

    def beside(frame, source, stamp_ns):
        asked.append((frame.frame_id, source, stamp_ns))
        motion = np.eye(4)
        motion[2, 3] = 0.5
        return motion

    found = memory(beside)
    found.remember_info(make.camera_info(make.header(1, 'tof'), CAMERA))
    found.remember(depth_at(1000, 2.0, 'tof'))
    assert np.allclose(found.add(frame_at(1020)).measured_points_m[:, 2], 2.5)
    assert asked == [('camera', 'tof', 1000 * MS)]

    def lost(frame, source, stamp_ns):
        raise ConfigError('no transform')

    found = memory(lost)
    found.remember(depth_at(1000, 2.0))
    assert found.add(frame_at(1000)).measured_points_m is None
    assert found.health().message.startswith('/tof/depth: no transform; the depth is that of')


@pytest.mark.parametrize('value', [np.nan, 0.0, -2.0])
def test_a_sensor_that_sees_nothing_is_told(value):
    found = memory()
    found.remember(depth_at(1000, value))
    frame = frame_at(1000)
    assert found.add(frame) is frame
    assert found.health().level == HealthLevel.WARN
    assert found.health().message.startswith('/tof/depth: no measured point is on the image')


def test_points_behind_the_camera_are_told():
    turned = np.diag((-1.0, 1.0, -1.0, 1.0))
    found = memory(lambda *_: turned)
    found.remember(depth_at(1000, 3.0, 'back'))
    found.remember_info(make.camera_info(make.header(0, 'back'), CAMERA))
    frame = frame_at(1000)
    assert found.add(frame) is frame
    assert 'no measured point is on the image' in found.health().message


def test_depth_of_another_frame_waits_for_its_camera():
    found = memory()
    found.remember(depth_at(1000, 2.0, 'tof', (8, 16)))
    assert found.add(frame_at(1000)).measured_points_m is None
    assert 'no camera_info' in found.health().message
    bad = make.camera_info(make.header(1, 'tof'), CAMERA)
    bad.k[0] = bad.p[0] = 0.0
    found.remember_info(bad)
    assert found.add(frame_at(1000)).measured_points_m is None
    found.remember_info(make.camera_info(
        make.header(1, 'tof'), CAMERA.transformed(0.5, 0.5, 0, 0, 16, 8)))
    points = found.add(frame_at(1000)).measured_points_m
    np.testing.assert_allclose(
        CAMERA.pixels(points[:1, :2] / points[:1, 2:]), [[0.5, 0.5]], atol=1e-5)


def test_memory_is_bounded_and_unused_costs_nothing():
    found = memory()
    for ms in range(1000, 1000 + 2 * MOST_WAITING):
        found.remember(depth_at(ms, 1.0))
    assert len(found._messages._kept) == MOST_WAITING
    unused = memory(topic='')
    frame = frame_at(0)
    assert unused.add(frame) is frame
    assert unused.health().message == 'not used'
    assert MeasuredMemory('/tof', 0.1, here).health().level == HealthLevel.WARN
