# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM end the node in less than five seconds, whatever it is doing."""

from __future__ import annotations

import os
import signal
import time
import unittest
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

import launch_testing
import launch_testing.asserts
from launch import LaunchDescription
from launch_testing.util import KeepAliveProc
from launch_tools import Control, controllable_node, description
from panoptic_depth_core.status import StreamState
from ros_peer import Camera, Peer, eventually

LIMIT_S = 5.0
SIGNALS = {'sigint': [signal.SIGINT], 'sigterm': [signal.SIGTERM],
           'twice': [signal.SIGINT, signal.SIGINT]}
STATES = ('idle', 'busy', 'hanging', 'loading', 'inactive')
NAMES = [f'{state}_{name}' for state in STATES for name in SIGNALS]


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> tuple[LaunchDescription, dict[str, Any]]:
    controls = {name: Control(name, 'load_slow 600' if name.startswith('loading') else 'ok')
                for name in NAMES}
    nodes = {name: controllable_node(name, control=controls[name],
                                     autostart=not name.startswith('inactive'))
             for name in NAMES}
    keep_alive = KeepAliveProc()
    return description(*nodes.values(), keep_alive), {
        'nodes': nodes, 'controls': controls, 'keep_alive': keep_alive}


class TestEnding(unittest.TestCase):
    def bring(self, peer: Peer, state: str, control: Control) -> Any:
        """Bring a node into the state in which it is to be ended; what keeps it there."""
        if state == 'loading':
            return peer.wait_state(StreamState.LOADING)
        if state == 'inactive':
            peer.transition('configure')
            return peer.wait_state(StreamState.READY)
        camera, heard = Camera(peer), peer.hear('instances')
        camera.until_heard(heard)
        if state == 'hanging':
            control('hang')
            return camera.send()
        if state == 'busy':
            control('slow 0.3')
            return peer.node.create_timer(0.05, camera.send)
        return None

    def test_ends_in_time(self, proc_info: Any, nodes: dict[str, Any],
                          controls: dict[str, Control]) -> None:
        for name in NAMES:
            state, _, kind = name.partition('_')
            with self.subTest(name):
                peer = Peer(name)
                try:
                    self.bring(peer, state, controls[name])
                    eventually(lambda: peer.statuses, 'the node is up')  # noqa: B023
                    time.sleep(0.5)
                    self.end(proc_info, nodes[name], SIGNALS[kind])
                finally:
                    peer.close()

    def end(self, proc_info: Any, node: Any, signals: list[signal.Signals]) -> None:
        process = node.process_details['pid']
        start_s = time.monotonic()
        for number in signals:
            os.kill(process, number)
            time.sleep(0.05)
        proc_info.assertWaitForShutdown(node, timeout=LIMIT_S)
        self.assertLess(time.monotonic() - start_s, LIMIT_S)


@launch_testing.post_shutdown_test()
class TestAfterwards(unittest.TestCase):
    def test_exit_code_is_0(self, proc_info: Any, nodes: dict[str, Any]) -> None:
        for name, node in nodes.items():
            with self.subTest(name):
                launch_testing.asserts.assertExitCodes(proc_info, process=node)

    def test_nothing_is_complained_about(self, proc_output: Any, nodes: dict[str, Any]) -> None:
        for name, node in nodes.items():
            with self.subTest(name):
                text = ''.join(output.text.decode() for output in proc_output[node])
                self.assertNotIn('Traceback', text)
                self.assertNotIn('terminate called', text)
