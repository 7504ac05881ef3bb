# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``ros2 run panoptic_depth camera TOPIC``, beside a camera that publishes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from launch_tools import HERE
from ros_peer import CAMERA, Camera, Peer

IMAGES, INFOS = '/front/arm/image_rect', '/front/arm/camera_info_rect'


@pytest.fixture
def publishing() -> Iterator[Camera]:
    """Images and CameraInfo of one camera, ten a second."""
    peer = Peer('front')
    camera, end = Camera(peer, IMAGES, INFOS), threading.Event()

    def publish() -> None:
        while not end.wait(0.1):
            camera.send()

    thread = threading.Thread(target=publish)
    thread.start()
    yield camera
    end.set()
    thread.join()
    peer.close()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in its own process."""
    return subprocess.run([sys.executable, '-m', 'panoptic_depth_ros.camera', *arguments],
                          capture_output=True, text=True, check=False, timeout=60,
                          cwd=HERE)


@pytest.mark.ros
def test_the_camera_of_a_topic(publishing: Camera) -> None:
    done = run(IMAGES, '--json')
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert found['images'] == IMAGES and found['camera_info_topic'] == INFOS
    assert (found['matrix'], found['camera']['fx']) == ('P', CAMERA.fx)
    assert found['notes'] == []

    missing = run('/front/arm/image_raw')
    assert missing.returncode == 2
    assert f'/front/arm/image_raw: no such topic; image topics are: {IMAGES}' in missing.stderr
    wrong = run(INFOS)
    assert wrong.returncode == 2 and 'is sensor_msgs/msg/CameraInfo topic' in wrong.stderr


@pytest.mark.ros
def test_without_a_topic() -> None:
    done = run('--json')
    assert done.returncode == 2 and 'give an image topic' in done.stderr
