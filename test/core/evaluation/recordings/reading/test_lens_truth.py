# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Truth and recorded results of a camera with a lens are put at its distorted pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from panoptic_depth_core.evaluation.recordings.reading.frame_truth import lidar_depth, true_boxes
from panoptic_depth_core.evaluation.recordings.reading.recorded_results import at_image_size
from panoptic_depth_core.evaluation.settings import BoxSettings, LidarSettings
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.labels import VOID_ID
from panoptic_depth_core.lens import Lens
from panoptic_depth_core.structures import (
    Frame,
    InstanceDistance,
    Intrinsics,
    PanopticDepth,
    Segment,
)
from panoptic_depth_core.views import rays_of, rectified, view_of
from replay_bags import header

CAMERA = Intrinsics(150.0, 155.0, 158.0, 118.0, 320, 240, Lens('plumb_bob', (-0.3, 0.1, 0, 0)))


def test_lidar_points_are_at_their_distorted_pixels():
    v, u = np.mgrid[5:240:20, 5:320:20]
    pixels = np.stack([u.ravel(), v.ravel()], 1)
    z = np.linspace(5, 30, len(pixels))
    rays = CAMERA.rays(pixels)
    points = np.column_stack([rays * z[:, None], z]).astype(np.float32)
    found = lidar_depth(points, np.eye(4), CAMERA,
                        LidarSettings(occlusion_window_px=1, occlusion_ratio=1.0))
    assert np.isfinite(found).sum() == len(points)
    np.testing.assert_allclose(found[v.ravel(), u.ravel()], z, rtol=1e-6)


def test_points_beyond_the_lens_are_not_folded_into_the_picture():
    lens = Lens('plumb_bob', (-0.4, 0.0, 0.0, 0.0))
    radius = 1.55  # r (1 - 0.4 r^2) is 0.06: in the middle of the picture
    points = np.array([[10 * radius, 0, 10.0]], np.float32)
    found = lidar_depth(points, np.eye(4), replace(CAMERA, lens=lens), LidarSettings())
    assert abs(radius * (1 - 0.4 * radius ** 2)) < 0.1 and np.isnan(found).all()


def test_outlines_of_boxes_are_bent():
    """The rectangle holds all points of the surface, and no more."""
    place, size = np.array([4.0, -1.0, 7.0]), np.array([2.0, 3.0, 4.0])
    segment = Segment(13001, 13, 1, True, 0.9, 1)
    instance = InstanceDistance(segment, 'car', (0, 0, 1, 1), 1, 0, 5.0, position_m=place,
                                position_covariance=np.eye(3), size_m=size, depth_m=5.0)
    result = PanopticDepth(np.zeros((240, 320), np.uint16), np.ones((240, 320), np.float32),
                           (segment,), (instance,), CAMERA, 1000)
    message = make.detection_3d_array(header(0), result)
    found, = true_boxes(message, lambda *_: np.eye(4), CAMERA, BoxSettings())
    grid = np.stack(np.meshgrid(*[np.linspace(-0.5, 0.5, 41)] * 3), axis=-1).reshape(-1, 3)
    surface = grid[(np.abs(grid) == 0.5).any(axis=1)] * size + place
    u, v = CAMERA.pixels(surface[:, :2] / surface[:, 2:]).T + 0.5
    expected = u.min(), v.min(), np.ptp(u), np.ptp(v)
    assert found.roi == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize('is_rectified', [False, True])
def test_recorded_maps_of_the_pinhole_view(is_rectified):
    """Of the size of the network or rectified: they come to the pixels of the image."""
    frame = Frame(np.zeros((240, 320, 3), np.uint8), CAMERA)
    camera = rectified(CAMERA) if is_rectified else view_of(CAMERA).camera(
        200, 160, 'letterbox', centered=False)
    rays = rays_of(camera)
    panoptic = np.where(rays[..., 0] < 0.2, 0, 8000).astype(np.uint16)
    depth = (1.0 / (0.1 + 0.02 * rays[..., 0] + 0.03 * rays[..., 1])).astype(np.float32)
    recorded = PanopticDepth(panoptic, depth, (), (), camera, 1000)
    found = at_image_size(recorded, frame, [camera])
    assert found.intrinsics == CAMERA and found.depth.shape == (240, 320)
    x, y = rays_of(CAMERA)[..., 0], rays_of(CAMERA)[..., 1]
    clear = np.abs(x - 0.2) > 0.02
    assert (found.panoptic[clear] == np.where(x < 0.2, 0, 8000)[clear]).mean() > 0.999
    assert (found.panoptic != VOID_ID).all()
    error = np.abs(found.depth * (0.1 + 0.02 * x + 0.03 * y) - 1)
    assert np.median(error) < 1e-4 and error.max() < 0.02
