# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Measured depth of a LiDAR through tf and of a depth camera; without it the node goes on."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from launch import LaunchDescription
from launch_tools import controllable_node, description
from panoptic_depth_core.io.messages import types
from panoptic_depth_core.io.sources.measured_depth import MAX_AGE_S
from panoptic_depth_core.structures import DistanceFlag
from panoptic_depth_ros.endpoints import ROS_MESSAGES as make
from panoptic_depth_ros.endpoints import message_class, profile
from ros_peer import CAMERA, FRAME_ID, HEIGHT, WIDTH, Camera, NodeCase, heard_at
from ros_peer import EndsWell as EndsWell

OK, WARN = 0, 1
LIDAR = 'lidar'
ROTATION = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], np.float64)
"""From the optical frame to that of the LiDAR, x forward, y left, z up."""
QUATERNION = -0.5, 0.5, -0.5, 0.5
TRANSLATION = np.array([0.3, 0.2, -0.4])
FACTOR = 0.9
"""The LiDAR finds the car at 9 m where the model sees it at 10 m."""

TF_MESSAGE = 'tf2_msgs/msg/TFMessage'


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    return description(
        controllable_node('lidar', measured_depth__topic='/lidar/points'),
        controllable_node('tof', measured_depth__topic='/tof/depth'),
        controllable_node('other', measured_depth__topic='/other/points'))


def on_the_car() -> np.ndarray:
    """(N, 3) points of the car's pixels in the picture, in the optical frame."""
    v, u = np.mgrid[HEIGHT // 4 + 2:HEIGHT * 7 // 8 - 2:2,
                    int(0.375 * WIDTH) + 2:int(0.5625 * WIDTH) - 2:2].reshape(2, -1)
    return np.concatenate([CAMERA.rays(np.stack([u, v], 1)), np.ones((u.size, 1))], 1) * (
        10.0 * FACTOR)


def cloud(stamp_ns: int, points: np.ndarray, frame_id: str = LIDAR) -> Any:
    fields = [make(types.POINT_FIELD, name=name, offset=4 * i, datatype=7, count=1)
              for i, name in enumerate('xyz')]
    data = np.ascontiguousarray(points, np.float32)
    return make(types.POINT_CLOUD, header=make.header(stamp_ns, frame_id), height=1,
                width=len(data), fields=fields, is_bigendian=False, point_step=12,
                row_step=12 * len(data), data=make.sequence(data.view(np.uint8).ravel()),
                is_dense=True)


class MeasuredCase(NodeCase):
    """A camera, and a sensor that measures."""

    def setUp(self) -> None:
        self.camera = Camera(self.peer)
        self.heard = self.peer.hear('instances')

    def publisher(self, topic: str, kind: str, *, static: bool = False) -> Any:
        return self.peer.node.create_publisher(
            message_class(kind), topic, profile(1 if static else 10, latched=static))

    def car(self) -> Any:
        """The middle car in the results of a new image."""
        found = heard_at(self.heard, self.camera.send())
        (car,) = [i for i in found.instances if 8.0 < i.depth < 11.0]
        return car


class TestLidar(MeasuredCase):
    namespace = 'lidar'

    def test_points_come_through_tf(self) -> None:
        self.camera.until_heard(self.heard)
        self.peer.wait_health('measured_depth', WARN, '/lidar/points: is not published')
        alone = self.car()
        self.assertAlmostEqual(alone.depth, 10.0, places=2)
        self.assertFalse(alone.flags & DistanceFlag.MEASURED)

        clouds = self.publisher('/lidar/points', types.POINT_CLOUD)
        points = on_the_car() @ ROTATION.T + TRANSLATION

        def send() -> int:
            # The LiDAR is a little earlier than the image.
            clouds.publish(cloud(self.peer.node.get_clock().now().nanoseconds, points))
            return self.camera.send()

        # Without tf it says so.
        self.camera.until_heard(self.heard, send=send)
        for _ in range(20):
            send()
        self.peer.wait_health('measured_depth', WARN, 'the depth is that of the network alone')

        static = self.publisher('/tf_static', TF_MESSAGE, static=True)
        static.publish(make(TF_MESSAGE, transforms=[make(
            'geometry_msgs/msg/TransformStamped', header=make.header(0, LIDAR),
            child_frame_id=FRAME_ID, transform=make(
                'geometry_msgs/msg/Transform', translation=make.vector('Vector3', TRANSLATION),
                rotation=make.vector('Quaternion', QUATERNION)))]))

        def measured() -> Any:
            found = heard_at(self.heard, send())
            return next((i for i in found.instances if i.flags & DistanceFlag.MEASURED), None)

        car = None
        for _ in range(200):
            car = measured()
            if car is not None:
                break
        assert car is not None
        self.assertAlmostEqual(car.depth, 10.0 * FACTOR, delta=0.1)
        self.peer.wait_health('measured_depth', OK, 'points are blended')

    def test_without_a_fresh_cloud_the_node_goes_on(self) -> None:
        self.camera.until_heard(self.heard)
        # The last cloud of the test before is too old for the image then.
        time.sleep(2 * MAX_AGE_S)
        self.assertAlmostEqual(self.car().depth, 10.0, places=2)
        self.peer.wait_health('measured_depth', WARN, 'the depth is that of the network alone')


class TestTof(MeasuredCase):
    namespace = 'tof'

    def test_a_depth_image_with_its_camera(self) -> None:
        """At half the size, in the frame of the camera; millimeters."""
        images = self.publisher('/tof/depth', types.IMAGE)
        infos = self.publisher('/tof/camera_info', types.CAMERA_INFO)
        camera = CAMERA.transformed(0.5, 0.5, 0, 0, WIDTH // 2, HEIGHT // 2)
        depth = np.zeros((HEIGHT // 2, WIDTH // 2), np.uint16)
        depth[HEIGHT // 8 + 1:HEIGHT * 7 // 16 - 1,
              int(0.1875 * WIDTH) + 1:int(0.28125 * WIDTH) - 1] = round(10_000 * FACTOR)
        car = None
        self.camera.until_heard(self.heard)
        for _ in range(200):
            head = make.header(self.peer.node.get_clock().now().nanoseconds, FRAME_ID)
            infos.publish(make.camera_info(head, camera))
            images.publish(make.image(head, depth, '16UC1'))
            found = heard_at(self.heard, self.camera.send())
            car = next((i for i in found.instances if i.flags & DistanceFlag.MEASURED), None)
            if car is not None:
                break
        assert car is not None
        self.assertAlmostEqual(car.depth, 10.0 * FACTOR, delta=0.1)
        self.peer.wait_health('measured_depth', OK, 'points are blended')


class TestOther(MeasuredCase):
    namespace = 'other'

    def test_a_topic_of_another_type_is_named(self) -> None:
        self.publisher('/other/points', 'std_msgs/msg/String')
        self.peer.wait_health('measured_depth', WARN,
                              '/other/points: is of std_msgs/msg/String; give sensor_msgs')
