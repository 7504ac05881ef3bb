# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A camera whose camera_info has a distortion: results on its pixels, or rectified."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from launch import LaunchDescription
from launch_tools import NETWORK_SIZE, controllable_node, description
from panoptic_depth_core.io.cameras.camera_info import camera_of_info
from panoptic_depth_core.io.messages.point_clouds import xyz_of
from panoptic_depth_core.io.messages.reading import values_of
from panoptic_depth_core.lens import Lens
from panoptic_depth_core.views import rectified, view_of
from ros_peer import CAMERA, Camera, NodeCase, heard_at
from ros_peer import EndsWell as EndsWell

BENT = replace(CAMERA, lens=Lens('plumb_bob', (-0.25, 0.05, 0.001, -0.001)))
FACTOR = view_of(BENT).camera(*NETWORK_SIZE, 'letterbox', centered=False).fx / 50.0
"""Of the depths that the picture says, in the view that the network gets."""


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    common = {'publish__points': True, 'points__stride': 1}
    return description(
        controllable_node('distorted', **common),
        controllable_node('rectified', output__rectified=True, **common),
        controllable_node('small', output__rectified=True, output__size='network', **common))


class LensCase(NodeCase):
    """The results of one image, and the camera that its camera_info tells."""

    def setUp(self) -> None:
        self.camera = Camera(self.peer)
        self.camera.camera = BENT
        names = 'camera_info', 'depth', 'panoptic', 'points', 'instances'
        heard = {name: self.peer.hear(name) for name in names}
        self.camera.until_heard(*heard.values())
        stamp_ns = self.camera.send()
        self.found = {name: heard_at(messages, stamp_ns) for name, messages in heard.items()}
        self.told = camera_of_info(self.found['camera_info']).camera

    def check(self) -> None:
        """Sizes, depth and points belong to the camera of the message."""
        depth, ids = (values_of(self.found[name]) for name in ('depth', 'panoptic'))
        self.assertEqual(depth.shape, (self.told.height, self.told.width))
        self.assertEqual(ids.shape, depth.shape)
        self.assertEqual([round(i.depth / FACTOR) for i in self.found['instances'].instances],
                         [5, 10, 20])
        for instance in self.found['instances'].instances:
            roi = instance.roi
            v, u = np.nonzero(ids == instance.panoptic_id)
            self.assertEqual((roi.x_offset, roi.y_offset, roi.width, roi.height),
                             (u.min(), v.min(), np.ptp(u) + 1, np.ptp(v) + 1))
            place = np.array([[instance.position.x, instance.position.y]]) / instance.position.z
            column, row = np.round(self.told.pixels(place)[0]).astype(int)
            self.assertEqual(ids[row, column], instance.panoptic_id, 'on the ray to its middle')
        points = xyz_of(self.found['points'])
        u, v = np.round(self.told.pixels(points[:, :2] / points[:, 2:])).astype(int).T
        np.testing.assert_allclose(depth[v, u], points[:, 2], rtol=1e-6)
        self.assertEqual(len(points), np.isfinite(depth).sum())


class TestDistorted(LensCase):
    namespace = 'distorted'

    def test_results_are_on_the_pixels_of_the_image(self) -> None:
        self.assertEqual(self.told, BENT)
        info = self.found['camera_info']
        np.testing.assert_allclose(info.d, [*BENT.lens.coefficients, 0.0])
        self.assertEqual(info.p[0], rectified(BENT).fx)
        self.check()


class TestRectified(LensCase):
    namespace = 'rectified'

    def test_results_are_those_of_a_pinhole_camera(self) -> None:
        self.assertEqual(self.told, rectified(BENT))
        self.assertFalse(np.any(self.found['camera_info'].d))
        self.check()
        self.assertFalse(self.peer.set('output.rectified', False)[0])


class TestSmall(LensCase):
    namespace = 'small'

    def test_maps_of_the_network_are_those_of_a_pinhole_camera(self) -> None:
        self.assertIsNone(self.told.lens)
        self.assertEqual(self.told.width, NETWORK_SIZE[0] // 2)
        self.check()
