# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Positions in a target frame, and in the camera's where the transform is missing."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from launch import LaunchDescription
from launch_tools import controllable_node, description
from panoptic_depth_core.io.messages.outputs import OUTPUTS
from panoptic_depth_core.structures import DistanceFlag
from panoptic_depth_ros.endpoints import ROS_MESSAGES, message_class, profile
from ros_peer import FRAME_ID, Camera, NodeCase, heard_at, stamps
from ros_peer import EndsWell as EndsWell

ROTATION = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], np.float64)
"""From an optical frame to x forward, y left, z up (REP-103)."""
QUATERNION = -0.5, 0.5, -0.5, 0.5
TRANSLATION = np.array([1.0, 2.0, 3.0])


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    return description(
        controllable_node('moved'),
        controllable_node('late', target_frame='odom', tf_timeout_ms=10000.0),
        controllable_node('lost', target_frame='nowhere'))


def xyz(point: Any) -> np.ndarray:
    """(3,) of a Point or Vector3."""
    return np.array([point.x, point.y, point.z])


class TransformCase(NodeCase):
    """A camera, and a publisher of its place."""

    def setUp(self) -> None:
        self.camera = Camera(self.peer)
        self.heard = {name: self.peer.hear(name) for name in OUTPUTS if name != 'points'}

    def broadcaster(self, *, static: bool) -> Any:
        return self.peer.node.create_publisher(
            message_class('tf2_msgs/msg/TFMessage'), '/tf_static' if static else '/tf',
            profile(100, latched=static))

    def transform(self, parent: str, stamp_ns: int) -> Any:
        make = ROS_MESSAGES
        return make('tf2_msgs/msg/TFMessage', transforms=[make(
            'geometry_msgs/msg/TransformStamped', header=make.header(stamp_ns, parent),
            child_frame_id=FRAME_ID, transform=make(
                'geometry_msgs/msg/Transform', translation=make.vector('Vector3', TRANSLATION),
                rotation=make.vector('Quaternion', QUATERNION)))])

    def frame(self) -> dict[str, Any]:
        """Messages of one image."""
        stamp_ns = self.camera.send()
        return {name: heard_at(heard, stamp_ns) for name, heard in self.heard.items()}

    def frame_ids(self, messages: dict[str, Any]) -> dict[str, str]:
        headers = {name: (m.markers[0] if name == 'markers' else m).header
                   for name, m in messages.items()}
        self.assertEqual(len({(h.stamp.sec, h.stamp.nanosec) for h in headers.values()}), 1)
        return {name: header.frame_id for name, header in headers.items()}


class TestMoved(TransformCase):
    namespace = 'moved'

    def test_static_transform_is_applied(self) -> None:
        self.broadcaster(static=True).publish(self.transform('base_link', 0))
        self.camera.until_heard(*self.heard.values())
        plain = self.frame()
        self.assertEqual(set(self.frame_ids(plain).values()), {FRAME_ID})
        self.assertEqual(self.peer.set('target_frame', 'base_link'), (True, ''))
        # The listener has only just been made.
        end_s = time.monotonic() + 60
        moved = self.frame()
        while moved['instances'].header.frame_id == FRAME_ID and time.monotonic() < end_s:
            time.sleep(0.1)
            moved = self.frame()
        self.assertEqual(self.frame_ids(moved), {
            name: 'base_link' if name in ('instances', 'detections_3d', 'markers') else FRAME_ID
            for name in self.heard})
        self.assertEqual(moved['instances'].camera_frame_id, FRAME_ID)
        for before, after, detection in zip(
                plain['instances'].instances, moved['instances'].instances,
                moved['detections_3d'].detections, strict=True):
            for name in ('position', 'nearest_point'):
                wanted = ROTATION @ xyz(getattr(before, name)) + TRANSLATION
                np.testing.assert_allclose(xyz(getattr(after, name)), wanted, rtol=1e-5)
            np.testing.assert_allclose(
                after.position_covariance.reshape(3, 3),
                ROTATION @ before.position_covariance.reshape(3, 3) @ ROTATION.T, atol=1e-6)
            np.testing.assert_allclose(xyz(after.size), np.abs(ROTATION) @ xyz(before.size),
                                       atol=1e-6)
            self.assertEqual(after.distance, before.distance)
            self.assertFalse(after.flags & DistanceFlag.NOT_TRANSFORMED)
            np.testing.assert_allclose(xyz(detection.bbox.center.position), xyz(after.position))
        self.assertEqual(self.peer.set('target_frame', ''), (True, ''))
        self.assertEqual(set(self.frame_ids(self.frame()).values()), {FRAME_ID})


class TestLate(TransformCase):
    namespace = 'late'

    def test_a_transform_that_comes_after_the_image_is_waited_for(self) -> None:
        tf = self.broadcaster(static=False)

        def send() -> int:
            stamp_ns = self.camera.send()
            time.sleep(0.2)
            tf.publish(self.transform('odom', stamp_ns))
            return stamp_ns

        self.camera.until_heard(self.heard['instances'], send=send)
        stamp_ns = send()
        found = heard_at(self.heard['instances'], stamp_ns)
        self.assertEqual(found.header.frame_id, 'odom')
        self.assertEqual(stamps([found]), [stamp_ns])


class TestLost(TransformCase):
    namespace = 'lost'

    def test_positions_stay_in_the_cameras_frame_and_are_flagged(self) -> None:
        self.camera.until_heard(*self.heard.values())
        found = self.frame()
        self.assertEqual(set(self.frame_ids(found).values()), {FRAME_ID})
        self.assertEqual(len(found['instances'].instances), 3)
        for instance in found['instances'].instances:
            self.assertTrue(instance.flags & DistanceFlag.NOT_TRANSFORMED)
