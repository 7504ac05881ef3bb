# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Transitions by service, and the services of the node itself."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from launch import LaunchDescription
from launch_tools import Control, controllable_node, description
from panoptic_depth_core.status import StreamState
from ros_peer import Camera, NodeCase, eventually
from ros_peer import EndsWell as EndsWell
from std_srvs.srv import SetBool, Trigger

MANUAL, SERVED = Control('manual'), Control('served')


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    return description(
        controllable_node('manual', control=MANUAL, autostart=False),
        controllable_node('served', control=SERVED),
        controllable_node('finished'))


class TestManual(NodeCase):
    namespace = 'manual'

    def test_all_transitions(self, proc_output: Any) -> None:
        peer = self.peer
        heard = peer.hear('depth')
        self.assertEqual(peer.lifecycle_state(), 'unconfigured')
        peer.wait_state(StreamState.UNCONFIGURED)
        peer.wait_health('engine', 1, 'not configured')
        self.assertFalse(peer.transition('activate'), 'not configured yet')

        # It returns at once; what takes long is done in the worker.
        MANUAL('load_slow 3')
        self.assertTrue(peer.transition('configure'))
        self.assertEqual(peer.lifecycle_state(), 'inactive')
        peer.wait_state(StreamState.LOADING)
        self.assertFalse(peer.transition('activate'))
        proc_output.assertWaitFor('cannot be activated yet: the model is being loaded')
        self.assertEqual(peer.lifecycle_state(), 'inactive')
        MANUAL('ok')
        peer.wait_state(StreamState.READY)

        camera = Camera(peer)
        time.sleep(1.0)
        camera.send()
        self.assertEqual(camera.images.get_subscription_count(), 0)
        self.assertTrue(peer.transition('activate'))
        self.assertEqual(peer.lifecycle_state(), 'active')
        camera.until_heard(heard)

        self.assertTrue(peer.transition('deactivate'))
        eventually(lambda: camera.images.get_subscription_count() == 0, 'images are not taken')
        before = peer.status().frames_received
        self.assertEqual(peer.statuses[-1].state, StreamState.READY)
        camera.send()
        self.assertEqual(peer.status().frames_received, before)
        self.assertEqual(heard, [])
        self.assertTrue(peer.transition('activate'))
        camera.until_heard(heard)

        self.assertTrue(peer.transition('deactivate'))
        self.assertTrue(peer.transition('cleanup'))
        self.assertEqual(peer.lifecycle_state(), 'unconfigured')
        peer.wait_state(StreamState.UNCONFIGURED)
        self.assertTrue(peer.transition('configure'))
        peer.wait_state(StreamState.READY)
        self.assertTrue(peer.transition('activate'))
        camera.until_heard(heard)


class TestFinished(NodeCase):
    namespace = 'finished'

    def test_shut_down_while_active(self) -> None:
        camera, heard = Camera(self.peer), self.peer.hear('depth')
        camera.until_heard(heard)
        self.assertTrue(self.peer.transition('shutdown'))
        self.assertEqual(self.peer.lifecycle_state(), 'finalized')
        self.peer.wait_state(StreamState.UNCONFIGURED)
        self.assertFalse(self.peer.transition('configure'))
        answer = self.peer.call('enable', SetBool, data=True)
        self.assertEqual((answer.success, answer.message),
                         (False, 'the node is not active; activate it first'))
        answer = self.peer.call('rebuild_engine', Trigger)
        self.assertEqual((answer.success, answer.message),
                         (False, 'the node is not configured; configure it first'))


class TestServices(NodeCase):
    namespace = 'served'

    def setUp(self) -> None:
        self.camera, self.heard = Camera(self.peer), self.peer.hear('depth')
        self.camera.until_heard(self.heard)

    def test_disabled_and_enabled(self) -> None:
        answer = self.peer.call('enable', SetBool, data=False)
        self.assertEqual((answer.success, answer.message), (True, 'images are ignored'))
        before = self.peer.status()
        self.assertEqual(before.state, StreamState.READY)
        for _ in range(5):
            self.camera.send()
            time.sleep(0.05)
        self.assertEqual(self.peer.status().frames_received, before.frames_received)
        self.assertEqual(self.heard, [])
        self.assertEqual(self.peer.lifecycle_state(), 'active')
        answer = self.peer.call('enable', SetBool, data=True)
        self.assertEqual((answer.success, answer.message), (True, 'images are processed'))
        self.camera.until_heard(self.heard)

    def test_model_is_loaded_anew(self) -> None:
        SERVED('load_slow 2')
        try:
            self.assertTrue(self.peer.call('rebuild_engine', Trigger).success)
            self.peer.wait_state(StreamState.LOADING)
        finally:
            SERVED('ok')
        self.camera.until_heard(self.heard)
        self.peer.wait_state(StreamState.RUNNING)
