# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A backend that builds an engine: seen while it builds, built once, built again when asked to."""

from __future__ import annotations

import math
import unittest
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

import launch_testing
import launch_testing.asserts
from controllable_node import BUILDING
from launch import LaunchDescription
from launch_testing.util import KeepAliveProc
from launch_tools import FOLDER, Control, controllable_node, description
from panoptic_depth_core.status import StreamState
from ros_peer import Camera, NodeCase, Peer, eventually
from std_srvs.srv import Trigger

SLOWLY = 'build_slow 2'
CONTROLS = {name: Control(name, order) for name, order in {
    'watched': SLOWLY, 'first': SLOWLY, 'second': SLOWLY, 'forced': 'ok', 'never': 'ok',
    'failing': 'build_raise', 'only': 'ok', 'only_failing': 'build_raise'}.items()}
POLICIES = {'forced': 'force', 'never': 'never', 'only': 'only', 'only_failing': 'only'}


def engines(name: str) -> Path:
    return FOLDER / f'engines_{name}'


def built(name: str) -> int:
    """Engines that a node has built."""
    path = Path(f'{CONTROLS[name].path}.built')
    return len(path.read_text('utf-8').splitlines()) if path.exists() else 0


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> tuple[LaunchDescription, dict[str, Any]]:
    nodes = {name: controllable_node(
        name, control=control, backend=BUILDING, autostart=name != 'watched',
        engine__build_policy=POLICIES.get(name, 'auto'),
        engine__cache_dir=str(engines('shared' if name in ('first', 'second') else name)))
        for name, control in CONTROLS.items()}
    return description(*nodes.values(), KeepAliveProc()), {'nodes': nodes}


class TestWatched(NodeCase):
    namespace = 'watched'

    def test_building_is_seen_and_can_be_asked_for(self) -> None:
        camera, heard = Camera(self.peer), self.peer.hear('instances')
        self.assertTrue(self.peer.transition('configure'))
        status = self.peer.wait_state(StreamState.BUILDING, 'building as told')
        self.assertTrue(0.0 <= status.build_progress < 1.0)
        self.peer.wait_health('engine', 1, 'building as told')
        self.assertFalse(self.peer.transition('activate'))
        self.peer.wait_state(StreamState.READY)
        self.assertTrue(self.peer.transition('activate'))
        camera.until_heard(heard)
        status = self.peer.wait_state(StreamState.RUNNING)
        self.assertTrue(math.isnan(status.build_progress))
        self.assertIn('controllable-1-sm_86-building1.0', status.engine_key)
        self.assertEqual(status.gpu_memory_bytes, 64 * 2**20)
        self.assertEqual(self.peer.wait_health('gpu', 0).message, 'in use')
        self.assertEqual(built('watched'), 1)
        answer = self.peer.call('rebuild_engine', Trigger)
        self.assertTrue(answer.success)
        self.assertIn('the engine is built again', answer.message)
        self.peer.wait_state(StreamState.BUILDING)
        camera.until_heard(heard)
        self.peer.wait_state(StreamState.RUNNING)
        self.assertEqual(built('watched'), 2)


class TestTwo(NodeCase):
    namespace = 'first'

    def test_two_nodes_build_once(self) -> None:
        other = Peer('second')
        try:
            for peer in (self.peer, other):
                peer.wait_active()
        finally:
            other.close()
        self.assertEqual(built('first') + built('second'), 1)


class TestForced(NodeCase):
    namespace = 'forced'

    def test_loaded_again_it_is_not_built_again(self) -> None:
        camera, heard = Camera(self.peer), self.peer.hear('instances')
        camera.until_heard(heard)
        self.assertEqual(built('forced'), 1)
        CONTROLS['forced']('raise')
        eventually(lambda: camera.send() and self.peer.statuses[-1].state == StreamState.ERROR,
                   'ERROR')
        CONTROLS['forced']('ok')
        camera.until_heard(heard)
        self.assertEqual(built('forced'), 1)


class TestNever(NodeCase):
    namespace = 'never'

    def test_what_to_do_is_said(self) -> None:
        status = self.peer.wait_state(StreamState.ERROR, 'no engine fits')
        self.assertIn('panoptic-depth build-engine', status.message)
        self.assertEqual(built('never'), 0)


class TestFailing(NodeCase):
    namespace = 'failing'

    def test_a_build_that_fails_is_told_and_tried_again(self) -> None:
        self.peer.wait_state(StreamState.ERROR, 'node conv_1 is not liked')
        CONTROLS['failing']('ok')
        self.peer.wait_active()
        self.assertEqual(built('failing'), 1)


class TestOnly(unittest.TestCase):
    def test_it_ends_when_it_is_built(self, proc_info: Any, nodes: dict[str, Any]) -> None:
        for name in ('only', 'only_failing'):
            proc_info.assertWaitForShutdown(nodes[name], timeout=20)
        self.assertEqual(built('only'), 1)
        self.assertEqual(built('only_failing'), 0)


@launch_testing.post_shutdown_test()
class TestAfterwards(unittest.TestCase):
    def test_exit_codes(self, proc_info: Any, nodes: dict[str, Any]) -> None:
        for name, node in nodes.items():
            with self.subTest(name):
                launch_testing.asserts.assertExitCodes(
                    proc_info, [1 if name == 'only_failing' else 0], process=node)
