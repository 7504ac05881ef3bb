# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The launch file in a namespace, with a relative image topic that says rectified."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch_tools import description
from panoptic_depth_core.structures import Intrinsics
from panoptic_depth_ros.endpoints import ROS_MESSAGES
from ros_peer import FRAME_ID, Camera, NodeCase, heard_at
from ros_peer import EndsWell as EndsWell

WIDTH, HEIGHT = 320, 192
OF_K = Intrinsics(250.0, 250.0, 159.5, 95.5, WIDTH, HEIGHT)
OF_P = Intrinsics(180.0, 180.0, 159.5, 95.5, WIDTH, HEIGHT)


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    folder = Path(get_package_share_directory('panoptic_depth')) / 'launch'
    return description(IncludeLaunchDescription(
        str(folder / 'panoptic_depth.launch.py'),
        launch_arguments={'namespace': 'cam1', 'image_topic': 'rect/image'}.items()))


class TestNamespace(NodeCase):
    namespace = 'cam1'

    def test_the_camera_info_beside_the_images_in_the_namespace(self) -> None:
        self.peer.wait_active()
        camera = Camera(self.peer, '/cam1/rect/image', '/cam1/rect/camera_info')
        # Of another camera: a relative image topic has nothing to do with it.
        wrong = Camera(self.peer, '/image', '/rect/camera_info')
        infos = self.peer.hear('camera_info')
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)

        def send() -> int:
            stamp_ns = time.time_ns()
            head = ROS_MESSAGES.header(stamp_ns, FRAME_ID)
            info = ROS_MESSAGES.camera_info(head, OF_K)
            info.p = ROS_MESSAGES.camera_info(head, OF_P).p
            wrong.send_info(stamp_ns, Intrinsics(99.0, 99.0, 159.5, 95.5, WIDTH, HEIGHT))
            camera.infos.publish(info)
            return camera.send(image, stamp_ns, info=False)

        camera.until_heard(infos, send=send)
        np.testing.assert_allclose(heard_at(infos, send()).k,
                                   [180, 0, 159.5, 0, 180, 95.5, 0, 0, 1])
        self.peer.wait_health('camera_info', 0)
