# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Time that jumps back, as when a bag is played in a loop, and stamps of another clock."""

from __future__ import annotations

import time

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from launch import LaunchDescription
from launch_tools import controllable_node, description
from panoptic_depth_core.io.messages.reading import stamp_of
from panoptic_depth_ros.endpoints import ROS_MESSAGES, message_class, profile
from ros_peer import Camera, NodeCase, heard_at, stamps
from ros_peer import EndsWell as EndsWell

SECOND_NS = 10**9
START_NS = 1000 * SECOND_NS
JUMP_NS = 100 * SECOND_NS


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    return description(
        controllable_node('simulated', use_sim_time=True, tracking__enabled=True,
                          target_frame='map', tf_timeout_ms=0.0, max_input_age_ms=5000.0),
        controllable_node('forgotten'))


class TestSimulatedTime(NodeCase):
    namespace = 'simulated'

    def test_results_go_on_when_time_jumps_back(self) -> None:
        clock = self.peer.node.create_publisher(
            message_class('rosgraph_msgs/msg/Clock'), '/clock', profile(1, best_effort=True))
        camera = Camera(self.peer)
        heard = self.peer.hear('instances')
        now_ns = START_NS

        def send() -> int:
            nonlocal now_ns
            now_ns += SECOND_NS // 10
            clock.publish(message_class('rosgraph_msgs/msg/Clock')(clock=ROS_MESSAGES.time(now_ns)))
            time.sleep(0.05)
            return camera.send(stamp_ns=now_ns)

        camera.until_heard(heard, send=send)
        sent = []
        for part in range(3):
            with self.subTest(part=part):
                for _ in range(5):
                    sent.append(send())
                    heard_at(heard, sent[-1])
                now_ns -= JUMP_NS
        self.assertEqual(stamps(heard), sent)
        self.assertLess(sent[5], sent[4])
        self.assertTrue(all(len(message.instances) == 3 for message in heard))
        # The clock of the status is the simulated one too, and so is the age of images.
        self.assertLess(stamp_of(self.peer.status()), 2 * START_NS)
        self.assertEqual(self.peer.status().frames_dropped_age, 0)
        self.peer.wait_health('input', 0)
        self.assertLess(self.peer.status().latency_ms[0], 5000)

    def test_what_is_older_than_allowed_is_dropped(self) -> None:
        clock = self.peer.node.create_publisher(
            message_class('rosgraph_msgs/msg/Clock'), '/clock', profile(1, best_effort=True))
        camera = Camera(self.peer)
        heard = self.peer.hear('instances')

        def send(age_s: int = 0) -> int:
            clock.publish(message_class('rosgraph_msgs/msg/Clock')(
                clock=ROS_MESSAGES.time(START_NS)))
            time.sleep(0.05)
            return camera.send(stamp_ns=START_NS - age_s * SECOND_NS + next(number))

        number = iter(range(10_000))
        camera.until_heard(heard, send=send)
        before = self.peer.status()
        old = send(60)
        heard_at(heard, send(4))
        self.assertNotIn(old, stamps(heard))
        self.assertEqual(self.peer.status().frames_dropped_age, before.frames_dropped_age + 1)


class TestForgottenSimulatedTime(NodeCase):
    namespace = 'forgotten'

    def test_images_of_another_clock_are_worked_on_and_told(self) -> None:
        camera, heard = Camera(self.peer), self.peer.hear('instances')
        number = iter(range(10_000))
        camera.until_heard(heard, send=lambda: camera.send(stamp_ns=START_NS + next(number)))
        self.peer.wait_health('input', 1, 'use_sim_time')
        camera.until_heard(heard)
        self.peer.wait_health('input', 0)
