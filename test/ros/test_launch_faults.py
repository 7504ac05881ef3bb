# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Models that are broken and runtimes that fail: it is said, and once mended all goes on."""

from __future__ import annotations

import shutil
import time
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from launch import LaunchDescription
from launch_tools import FOLDER, Control, controllable_node, description, make_model
from panoptic_depth_core.status import StreamState
from ros_peer import Camera, NodeCase, eventually, heard_at, stamps
from ros_peer import EndsWell as EndsWell

FAULTY, LOADING, STUCK = Control('faulty'), Control('loading', 'load_raise'), Control('stuck')
MODEL = FOLDER / 'broken_model'


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    make_model(MODEL)
    (MODEL / 'model.onnx').write_bytes(b'another')
    return description(
        controllable_node('faulty', control=FAULTY, watchdog_timeout_s=1.0),
        controllable_node('loading', control=LOADING),
        controllable_node('stuck', control=STUCK, watchdog_timeout_s=0.5),
        controllable_node('broken', model__path=str(MODEL)),
        controllable_node('missing', model__path=str(FOLDER / 'nowhere')))


class TestFaults(NodeCase):
    namespace = 'faulty'

    def setUp(self) -> None:
        FAULTY('ok')
        self.camera, self.heard = Camera(self.peer), self.peer.hear('instances')
        self.camera.until_heard(self.heard)

    def fails(self, order: str, words: str) -> None:
        """Give the order, see the error told everywhere and no result, take it back, recover."""
        everything = self.peer.hear('instances')
        FAULTY(order)
        before = self.peer.status()
        sent = []

        def is_told() -> Any:
            sent.append(self.camera.send())
            time.sleep(0.2)
            last = self.peer.statuses[-1]
            return last.state == StreamState.ERROR and words in last.message

        eventually(is_told, f'the status is ERROR: {words}')
        self.peer.wait_health('engine', 2, words)
        eventually(lambda: self.peer.status().frames_dropped_error > before.frames_dropped_error,
                   'the image is counted')
        self.assertEqual(self.peer.lifecycle_state(), 'active')
        FAULTY('ok')
        self.camera.until_heard(self.heard)
        self.peer.wait_state(StreamState.RUNNING)
        self.peer.wait_health('engine', 0)
        heard_at(everything, self.camera.send())
        # What it failed on never comes out, not even when what hung has returned.
        self.assertNotIn(sent[0], stamps(everything))

    def test_runtime_raises(self) -> None:
        self.fails('raise', 'inference failed: RuntimeError: told to fail')

    def test_runtime_returns_nan(self) -> None:
        self.fails('nan', 'depths are not finite')

    def test_runtime_hangs(self) -> None:
        self.fails('hang', 'inference hangs for more than watchdog_timeout_s (1 s)')

    def test_a_fault_of_one_image_does_not_last(self) -> None:
        FAULTY('raise')
        eventually(lambda: self.camera.send() and time.sleep(0.2) is None
                   and self.peer.statuses[-1].state == StreamState.ERROR, 'ERROR')
        FAULTY('ok')
        self.camera.until_heard(self.heard)
        self.peer.wait_state(StreamState.RUNNING)


class TestLoading(NodeCase):
    namespace = 'loading'

    def test_runtime_that_cannot_load_is_tried_again(self) -> None:
        self.peer.wait_state(StreamState.ERROR, 'RuntimeError: told to fail while loading')
        self.assertEqual(self.peer.lifecycle_state(), 'inactive')
        LOADING('ok')
        heard = self.peer.hear('instances')
        Camera(self.peer).until_heard(heard)
        self.peer.wait_state(StreamState.RUNNING)


class TestStuck(NodeCase):
    namespace = 'stuck'

    def test_a_runtime_that_hangs_time_and_again_is_given_up(self) -> None:
        camera, heard = Camera(self.peer), self.peer.hear('instances')
        camera.until_heard(heard)
        STUCK('hang')

        def is_given_up() -> Any:
            camera.send()
            time.sleep(0.2)
            return 'restart the node' in self.peer.statuses[-1].message

        eventually(is_given_up, 'the node asks to be restarted')
        found = self.peer.wait_health('engine', 2, 'workers hang in controllable')
        self.assertIn('restart the node', found.message)


class TestBrokenModel(NodeCase):
    namespace = 'broken'

    def test_mended_model_is_loaded_without_being_told(self) -> None:
        self.peer.wait_state(StreamState.ERROR, 'model.onnx')
        found = self.peer.wait_health('engine', 2, 'the model cannot be loaded')
        self.assertIn('copy or export the model again', found.message)
        self.assertEqual(self.peer.lifecycle_state(), 'inactive')
        make_model(MODEL)
        self.peer.wait_active()
        heard = self.peer.hear('instances')
        Camera(self.peer).until_heard(heard)
        self.peer.wait_health('engine', 0)


class TestMissingModel(NodeCase):
    namespace = 'missing'

    def test_path_of_a_missing_model_is_named(self) -> None:
        self.peer.wait_health('engine', 2, str(FOLDER / 'nowhere'))
        shutil.copytree(FOLDER / 'model', FOLDER / 'nowhere')
        self.peer.wait_active()
