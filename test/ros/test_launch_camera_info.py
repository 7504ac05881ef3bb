# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Images whose camera_info is missing, for each policy."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from launch import LaunchDescription
from launch_tools import controllable_node, description
from panoptic_depth_core.io.messages.types import CAMERA_INFO
from panoptic_depth_core.structures import ScaleSource
from panoptic_depth_ros.endpoints import ROS_MESSAGES, message_class
from ros_peer import CAMERA, FRAME_ID, Camera, NodeCase, eventually, heard_at, stamps
from ros_peer import EndsWell as EndsWell

FALLBACK_K = [200.0, 0.0, 63.5, 0.0, 200.0, 31.5, 0.0, 0.0, 1.0]
"""Twice the focal length of the camera: everything is twice as far."""


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    policies = {
        'require': {}, 'zero': {}, 'aged': {'camera_info__max_age_s': 1.0},
        'fallback': {'camera_info__policy': 'fallback', 'camera_info__fallback_k': FALLBACK_K},
        'assumed': {'camera_info__policy': 'fallback'},
        'ignore': {'camera_info__policy': 'ignore', 'camera_info__fallback_k': FALLBACK_K}}
    return description(*(controllable_node(name, **values) for name, values in policies.items()))


class CameraInfoCase(NodeCase):
    """A camera without a camera_info to begin with."""

    def setUp(self) -> None:
        self.camera = Camera(self.peer)
        self.heard = self.peer.hear('instances')
        self.infos = self.peer.hear('camera_info')

    def without(self) -> int:
        return self.camera.send(info=False)

    def skipped(self, words: str) -> None:
        """Send images without a camera_info until the diagnostics say so; none gets a result."""
        self.camera.wait_matched()
        before = self.peer.status()

        def is_skipped() -> bool:
            self.without()
            return self.peer.status().frames_dropped_error > before.frames_dropped_error

        eventually(is_skipped, 'images are skipped')
        found = self.peer.wait_health('camera_info', 2, words)
        self.assertIn(f'{self.peer.name}/input/camera_info', found.message)
        self.assertEqual(self.peer.status().frames_processed, before.frames_processed)

    def depths(self) -> list[int]:
        return [round(i.depth) for i in self.heard[-1].instances]


class TestRequire(CameraInfoCase):
    namespace = 'require'

    def test_images_are_skipped_until_it_comes(self) -> None:
        self.skipped('none has arrived')
        self.assertEqual(self.heard, [])
        other = self.peer.node.create_publisher(
            message_class(CAMERA_INFO), f'{self.peer.name}/input/image/camera_info', 10)
        self.peer.wait_health('camera_info', 2, f'{other.topic_name} is that of the images')
        self.peer.node.destroy_publisher(other)
        self.camera.until_heard(self.heard, self.infos)
        # From now on the latest one counts, also for images without one.
        heard_at(self.heard, self.without())
        self.assertEqual(self.depths(), [5, 10, 20])
        self.assertEqual(self.heard[-1].scale_source, ScaleSource.METRIC_MODEL)
        self.peer.wait_health('camera_info', 0)


class TestZero(CameraInfoCase):
    namespace = 'zero'

    def test_one_that_is_not_calibrated_counts_as_missing(self) -> None:
        info = ROS_MESSAGES.camera_info(ROS_MESSAGES.header(time.time_ns(), FRAME_ID), CAMERA)
        info.k, info.p = np.zeros(9), np.zeros(12)

        def send() -> None:
            self.camera.infos.publish(info)
            self.without()

        # Again and again: the node may not have found the publisher when it is found itself.
        timer = self.peer.node.create_timer(0.1, send)
        self.skipped('not calibrated: K is zero, P is zero')
        self.peer.node.destroy_timer(timer)
        self.camera.until_heard(self.heard)
        # What the latest one says counts: no old meters.
        self.camera.infos.publish(info)
        self.skipped('not calibrated: K is zero, P is zero')
        self.camera.until_heard(self.heard)

    def test_one_of_another_shape_counts_as_missing(self) -> None:
        self.camera.until_heard(self.heard)
        turned = replace(CAMERA, width=CAMERA.height, height=CAMERA.width)
        self.camera.send_info(time.time_ns(), turned)
        self.skipped('the image is turned by 90 degrees')
        self.camera.until_heard(self.heard)

    def test_p_in_place_of_a_useless_k_and_another_frame_are_said(self) -> None:
        info = ROS_MESSAGES.camera_info(ROS_MESSAGES.header(0, 'depth_optical'), CAMERA)
        info.k = np.eye(3).ravel()
        self.camera.until_heard(self.heard)
        self.camera.infos.publish(info)
        heard_at(self.heard, self.without())
        found = self.peer.wait_health('camera_info', 1, 'K is the identity, so P is used')
        self.assertIn('belongs to the frame depth_optical', found.message)
        self.assertEqual(self.depths(), [5, 10, 20])
        self.camera.until_heard(self.heard)


class TestAged(CameraInfoCase):
    namespace = 'aged'

    def test_one_of_another_time_counts_as_missing(self) -> None:
        self.camera.until_heard(self.heard)
        heard_at(self.heard, self.without())
        self.camera.send_info(time.time_ns() - 10 * 10**9)
        time.sleep(1.5)
        self.skipped('camera_info.max_age_s')
        self.camera.until_heard(self.heard)


class TestFallback(CameraInfoCase):
    namespace = 'fallback'

    def test_fallback_k_is_used_until_it_comes(self) -> None:
        self.camera.until_heard(self.heard, self.infos, send=self.without)
        stamp_ns = self.without()
        found = heard_at(self.infos, stamp_ns)
        np.testing.assert_allclose(found.k, FALLBACK_K)
        heard_at(self.heard, stamp_ns)
        self.assertEqual(self.depths(), [10, 20, 40])
        self.peer.wait_health('camera_info', 1, 'camera_info.fallback_k is used')
        self.camera.until_heard(self.heard, self.infos)
        heard_at(self.heard, self.camera.send())
        self.assertEqual(self.depths(), [5, 10, 20])
        self.peer.wait_health('camera_info', 0)


class TestAssumed(CameraInfoCase):
    namespace = 'assumed'

    def test_distances_are_relative_when_nothing_is_known(self) -> None:
        self.camera.until_heard(self.heard, send=self.without)
        heard_at(self.heard, self.without())
        self.assertEqual(self.heard[-1].scale_source, ScaleSource.RELATIVE)
        self.peer.wait_health('camera_info', 1, 'set camera_info.fallback_k')


class TestIgnore(CameraInfoCase):
    namespace = 'ignore'

    def test_camera_info_is_not_looked_at(self) -> None:
        self.camera.until_heard(self.heard, self.infos)
        stamp_ns = self.camera.send()
        np.testing.assert_allclose(heard_at(self.infos, stamp_ns).k, FALLBACK_K)
        heard_at(self.heard, stamp_ns)
        self.assertEqual(self.depths(), [10, 20, 40])
        self.assertEqual(stamps(self.heard), stamps(self.infos))
        self.peer.wait_health('camera_info', 0)
