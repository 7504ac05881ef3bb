# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Whatever the quality of service of cameras and listeners, images get through or it is said."""

from __future__ import annotations

import time

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from launch import LaunchDescription
from launch_tools import controllable_node, description
from panoptic_depth_core.io.messages.types import CAMERA_INFO, LABEL_INFO
from panoptic_depth_core.status import StreamState
from panoptic_depth_ros.endpoints import ROS_MESSAGES, message_class, profile
from ros_peer import CAMERA, FRAME_ID, Camera, NodeCase, eventually
from ros_peer import EndsWell as EndsWell


def override(namespace: str, topic: str, policy: str, value: str) -> dict[str, str]:
    """Parameter that overrides a quality of service of a node under test."""
    return {f'qos_overrides./{namespace}/panoptic_depth/{topic}.{policy}': value}


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    return description(
        controllable_node('qos', diagnostics__input_timeout_s=1.0),
        controllable_node('demanding', diagnostics__input_timeout_s=1.0, **override(
            'demanding', 'input/image', 'subscription.reliability', 'reliable')),
        controllable_node('generous', **override(
            'generous', 'output/depth', 'publisher.reliability', 'best_effort')),
        controllable_node('latched', **override(
            'latched', 'input/camera_info', 'subscription.durability', 'transient_local'),
            **override('latched', 'input/camera_info', 'subscription.reliability', 'reliable')))


class TestMatrix(NodeCase):
    namespace = 'qos'

    def test_every_camera_and_every_listener(self) -> None:
        reliable, best_effort = (self.peer.hear('depth', best_effort=b) for b in (False, True))
        for camera_best_effort in (False, True):
            with self.subTest(camera_best_effort=camera_best_effort):
                camera = Camera(self.peer, best_effort=camera_best_effort)
                camera.until_heard(reliable, best_effort)

    def test_a_listener_that_wants_too_much_is_named(self) -> None:
        topic = self.peer.resolved('depth')
        late = self.peer.node.create_subscription(
            message_class('sensor_msgs/msg/Image'), topic, print, profile(1, latched=True))
        found = self.peer.wait_health('qos', 2, 'DURABILITY')
        self.assertIn(topic, found.message)
        self.peer.node.destroy_subscription(late)
        self.peer.wait_health('qos', 0, 'compatible')

    def test_images_that_stop_coming_are_missed(self) -> None:
        camera, heard = Camera(self.peer), self.peer.hear('depth')

        def is_running() -> bool:
            camera.until_heard(heard)
            return self.peer.statuses[-1].state == StreamState.RUNNING

        eventually(is_running, 'RUNNING')
        found = self.peer.wait_state(StreamState.STALLED, 'no image from /qos/panoptic_depth/')
        self.assertIn('check that it is published', found.message)
        self.peer.wait_health('input', 2, 'no image from')


class TestDemanding(NodeCase):
    namespace = 'demanding'

    def test_a_camera_that_gives_too_little_is_named(self) -> None:
        heard = self.peer.hear('depth')
        camera = Camera(self.peer, best_effort=True)
        found = self.peer.wait_health('qos', 2, 'RELIABILITY')
        self.assertIn('/demanding/panoptic_depth/input/image', found.message)
        self.assertIn('qos_overrides', found.message)
        camera.send()
        self.peer.wait_state(StreamState.STALLED)
        self.assertEqual(heard, [])
        # One that fits is heard beside it.
        Camera(self.peer).until_heard(heard)
        self.peer.wait_state(StreamState.RUNNING)


class TestGenerous(NodeCase):
    namespace = 'generous'

    def test_an_output_may_be_best_effort(self) -> None:
        heard = self.peer.hear('depth', best_effort=True)
        Camera(self.peer).until_heard(heard)
        strict = self.peer.hear('depth')
        found = self.peer.wait_health('qos', 2, 'RELIABILITY')
        self.assertIn('/generous/panoptic_depth/output/depth', found.message)
        self.assertEqual(strict, [])


class TestLatched(NodeCase):
    namespace = 'latched'

    def test_a_camera_info_that_is_sent_only_once(self) -> None:
        self.peer.wait_active()
        infos = self.peer.node.create_publisher(
            message_class(CAMERA_INFO), self.peer.resolved('input/camera_info'),
            profile(1, latched=True))
        infos.publish(ROS_MESSAGES.camera_info(
            ROS_MESSAGES.header(time.time_ns(), FRAME_ID), CAMERA))
        heard = self.peer.hear('depth')
        images = Camera(self.peer, info_topic='/nobody')
        images.until_heard(heard, send=lambda: images.send(info=False))
        # As after a restart of the subscription: it is given to latecomers.
        self.assertTrue(self.peer.transition('deactivate'))
        self.assertTrue(self.peer.transition('activate'))
        images.until_heard(heard, send=lambda: images.send(info=False))

    def test_the_class_table_reaches_latecomers(self) -> None:
        self.peer.wait_active()
        heard = self.peer.hear('output/label_info', LABEL_INFO, latched=True)
        table = eventually(lambda: heard, 'the table of classes')[0]
        self.assertEqual(len(table.class_map), 19)
        repeated = self.peer.hear('output/label_info', LABEL_INFO)
        self.peer.set('label_info_period_s', 0.2)
        eventually(lambda: len(repeated) > 3, 'the table again and again')
