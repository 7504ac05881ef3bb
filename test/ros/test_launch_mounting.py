# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The mounting of the camera: from tf, as fixed parameters, and what is said where it lacks."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from launch import LaunchDescription
from launch_tools import controllable_node, description
from panoptic_depth_core.io.messages.types import TF_MESSAGE
from panoptic_depth_core.rotations import quaternion, rotation_matrix
from panoptic_depth_ros.endpoints import ROS_MESSAGES, message_class, profile
from ros_peer import FRAME_ID, Camera, NodeCase, eventually, heard_at
from ros_peer import EndsWell as EndsWell

OPTICAL = -0.5, 0.5, -0.5, 0.5
"""From an optical frame to x forward, y left, z up (REP-103)."""
LEVEL = 0.0, 0.0, 0.0, 1.0


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    return description(
        controllable_node('found', mounting__ground_frame='base_link',
                          mounting__ground_offset_m=0.3),
        controllable_node('moving', mounting__ground_frame='rolling_ground',
                          tf_timeout_ms=10000.0),
        controllable_node('body', mounting__ground_frame='footprint_of_body'),
        controllable_node('turned', mounting__ground_frame='ground_of_turned', camera_axes='body'),
        controllable_node('fixed', mounting__height_m=1.5, mounting__pitch_deg=2.0))


class MountingCase(NodeCase):
    """A camera, and what publishes where it is."""

    def setUp(self) -> None:
        self.camera = Camera(self.peer)
        self.heard = self.peer.hear('instances')

    def place(self, parent: str, rotation: tuple[float, ...] = OPTICAL, stamp_ns: int = 0,
              height_m: float = 0.9) -> None:
        """Publish where the camera is, for ever or at a time."""
        if not hasattr(self, 'tf'):
            self.tf = self.peer.node.create_publisher(
                message_class(TF_MESSAGE), '/tf' if stamp_ns else '/tf_static',
                profile(100, latched=not stamp_ns))
        self.tf.publish(ROS_MESSAGES.tf_message(
            ROS_MESSAGES.header(stamp_ns, parent), FRAME_ID, (1.0, 0.0, height_m), rotation))

    def mounting(self) -> tuple[str, ...]:
        """Height, pitch and roll of the latest result, as the diagnostics have them."""
        health = self.peer.health('scale')
        values = {entry.key: entry.value for entry in health.values} if health else {}
        return tuple(values.get(name, '') for name in ('height_m', 'pitch_deg', 'roll_deg'))

    def wait_mounting(self, *wanted: str) -> None:
        """Send images until the diagnostics have that mounting."""
        def has() -> bool:
            self.camera.send()
            time.sleep(0.2)
            return self.mounting() == wanted

        eventually(has, f'the mounting is {wanted}')


class TestFound(MountingCase):
    namespace = 'found'

    def test_images_are_processed_without_it_until_tf_comes(self) -> None:
        self.camera.until_heard(self.heard)
        heard_at(self.heard, self.camera.send())
        found = self.peer.wait_health('scale', 1, 'images are processed without a mounting')
        self.assertIn("mounting.ground_frame is 'base_link'", found.message)
        self.wait_mounting(*('unknown',) * 3)
        self.assertTrue(np.isnan(self.peer.status().ground_scale))
        self.place('base_link')
        self.wait_mounting('1.200', '0.000', '0.000')
        self.assertNotIn('without a mounting', self.peer.health('scale').message)
        self.assertEqual(self.peer.status().scale_source, self.heard[-1].scale_source)


class TestTurned(MountingCase):
    namespace = 'turned'

    def test_images_may_name_a_frame_of_the_body(self) -> None:
        self.place('ground_of_turned', LEVEL)
        self.wait_mounting('0.900', '0.000', '0.000')


class TestMoving(MountingCase):
    namespace = 'moving'

    def test_it_is_that_of_the_stamp_which_is_waited_for(self) -> None:
        down = 0.1  # radians, about the axis of the camera that points right
        pitched = quaternion(rotation_matrix(*OPTICAL) @ rotation_matrix(
            -np.sin(down / 2), 0.0, 0.0, np.cos(down / 2)))

        def send(rotation: tuple[float, ...]) -> int:
            stamp_ns = self.camera.send()
            time.sleep(0.2)
            self.place('rolling_ground', rotation, stamp_ns)
            return stamp_ns

        self.camera.until_heard(self.heard, send=lambda: send(OPTICAL))
        eventually(lambda: self.mounting() == ('0.900', '0.000', '0.000'), 'it is level')
        heard_at(self.heard, send(tuple(pitched)))
        eventually(lambda: self.mounting() == ('0.900', '5.730', '0.000'), 'it looks down')


class TestBody(MountingCase):
    namespace = 'body'

    def test_a_frame_whose_x_points_forward_is_refused(self) -> None:
        self.place('footprint_of_body', LEVEL)
        self.camera.until_heard(self.heard)

        def is_told() -> Any:
            self.camera.send()
            time.sleep(0.2)
            health = self.peer.health('scale')
            return health and 'give the frame of the optical axes' in health.message

        eventually(is_told, 'the frame is refused')
        self.wait_mounting(*('unknown',) * 3)


class TestFixed(MountingCase):
    namespace = 'fixed'

    def test_parameters_and_their_changes(self) -> None:
        self.camera.until_heard(self.heard)
        self.wait_mounting('1.500', '2.000', '0.000')
        for name, value, words in (
                ('height_m', -1.0, 'mounting.height_m is -1.0'),
                ('height_m', 0.0, 'pitch and roll are given without a height'),
                ('ground_frame', 'base_link', 'give one of them')):
            taken, reason = self.peer.set(f'mounting.{name}', value)
            self.assertFalse(taken)
            self.assertIn(words, reason)
        self.assertEqual(self.peer.set('mounting.height_m', 0.8), (True, ''))
        self.wait_mounting('0.800', '2.000', '0.000')
