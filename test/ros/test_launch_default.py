# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The launch file without arguments, the shipped network: from an image to every output."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch_tools import description
from panoptic_depth_core.io.messages.outputs import OUTPUTS
from panoptic_depth_core.io.messages.reading import pixels_of, values_of
from panoptic_depth_core.io.messages.types import LABEL_INFO
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, VOID_CLASS, VOID_ID
from panoptic_depth_core.status import StreamState
from panoptic_depth_core.structures import Intrinsics
from ros_peer import FRAME_ID, Camera, NodeCase, eventually, heard_at, stamps
from ros_peer import EndsWell as EndsWell

WIDTH, HEIGHT = 320, 192


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    folder = Path(get_package_share_directory('panoptic_depth')) / 'launch'
    return description(IncludeLaunchDescription(str(folder / 'panoptic_depth.launch.py')))


def road_picture() -> np.ndarray:
    """(H, W, 3) uint8: something like sky over a road."""
    image = np.random.default_rng(0).integers(90, 110, (HEIGHT, WIDTH, 3), np.uint8)
    image[:HEIGHT // 2] += np.array([80, 100, 140], np.uint8)
    return image


class TestDefaultStart(NodeCase):
    namespace = '/'

    def setUp(self) -> None:
        self.camera = Camera(self.peer, '/camera/image_raw', '/camera/camera_info')
        self.camera.camera = Intrinsics(250.0, 250.0, 159.5, 95.5, WIDTH, HEIGHT)
        self.peer.wait_active()

    def send(self) -> int:
        return self.camera.send(road_picture())

    def test_class_table_reaches_late_listeners(self) -> None:
        heard = self.peer.hear('output/label_info', LABEL_INFO, latched=True)
        eventually(lambda: heard, 'the table of classes')
        self.assertEqual({entry.class_id: entry.class_name for entry in heard[0].class_map},
                         {c.class_id: c.name for c in CITYSCAPES})

    def test_one_image_is_one_message_per_topic(self) -> None:
        names = [name for name in OUTPUTS if name != 'points']
        heard = {name: self.peer.hear(name) for name in names}
        self.camera.until_heard(*heard.values(), send=self.send)
        stamp_ns = self.send()
        found = {name: heard_at(messages, stamp_ns) for name, messages in heard.items()}
        for name in names:
            self.assertEqual(stamps(heard[name]), [stamp_ns], name)
            message = found[name].markers[0] if name == 'markers' else found[name]
            self.assertEqual(message.header.frame_id, FRAME_ID, name)
        encodings = {name: (m.encoding, m.width, m.height) for name, m in found.items()
                     if hasattr(m, 'encoding')}
        self.assertEqual(encodings, {
            'panoptic': ('16UC1', WIDTH, HEIGHT), 'semantic': ('mono8', WIDTH, HEIGHT),
            'depth': ('32FC1', WIDTH, HEIGHT), 'overlay': ('bgr8', WIDTH, HEIGHT),
            'depth_color': ('bgr8', WIDTH, HEIGHT)})
        panoptic, semantic = values_of(found['panoptic']), values_of(found['semantic'])
        divisor = found['instances'].label_divisor
        np.testing.assert_array_equal(
            semantic, np.where(panoptic == VOID_ID, VOID_CLASS, panoptic // divisor))
        depth = values_of(found['depth'])
        self.assertTrue((np.isnan(depth) | (depth > 0)).all())
        sky = semantic == CLASS_ID['sky']
        self.assertTrue(np.isposinf(depth[sky]).all())
        self.assertFalse((pixels_of(found['overlay']) == road_picture()).all())
        np.testing.assert_allclose(found['camera_info'].k,
                                   [250, 0, 159.5, 0, 250, 95.5, 0, 0, 1])

    def test_status_and_diagnostics_say_that_all_is_well(self) -> None:
        heard = self.peer.hear('instances')
        self.camera.until_heard(heard, send=self.send)
        status = self.peer.wait_state(StreamState.RUNNING)
        self.assertEqual(status.backend, 'onnxruntime')
        self.assertEqual(heard_at(heard, self.send()).model_id, status.model_id)
        for name in ('engine', 'camera_info', 'latency', 'gpu', 'qos', 'input'):
            self.send()
            self.peer.wait_health(name, 0)
