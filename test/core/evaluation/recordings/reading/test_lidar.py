# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Depth from a LiDAR against a loop over points, and against the exact depth of a scene."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from panoptic_depth_core.evaluation.recordings.reading.frame_truth import lidar_depth
from panoptic_depth_core.evaluation.settings import LidarSettings
from panoptic_depth_core.labels import CLASS_ID, LABEL_DIVISOR
from panoptic_depth_core.structures import Intrinsics
from simulated_drive import BASE_LIDAR, BASE_OPTICAL, SimulatedDrive

CAMERA = Intrinsics(50.0, 55.0, 19.2, 11.7, 40, 24)
KEEP_ALL = LidarSettings(occlusion_window_px=1, occlusion_ratio=1.0)


def pose(drive: SimulatedDrive, image_ns: int, cloud_ns: int) -> NDArray[np.float64]:
    """(4, 4) from the LiDAR at its time to the camera at its own."""
    return np.linalg.inv(drive.base(image_ns).matrix() @ BASE_OPTICAL) @ drive.base(
        cloud_ns).matrix() @ BASE_LIDAR


def test_every_pixel_has_its_nearest_point() -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform((-9, -9, -9), (9, 9, 30), (4000, 3)).astype(np.float32)
    settings = LidarSettings(min_m=2.0, max_m=25.0, occlusion_window_px=1, occlusion_ratio=1.0)
    expected = np.full((24, 40), np.nan, np.float32)
    to_camera = np.eye(4)
    to_camera[:3, 3] = 0.5, -0.25, 1.0
    for x, y, z in points + np.float32([0.5, -0.25, 1.0]):
        if not 2.0 <= z <= 25.0:
            continue
        u, v = 50.0 * x / z + 19.2, 55.0 * y / z + 11.7
        if -0.5 <= u < 39.5 and -0.5 <= v < 23.5:
            row, column = math.floor(v + 0.5), math.floor(u + 0.5)
            expected[row, column] = np.fmin(expected[row, column], z)
    found = lidar_depth(points, to_camera, CAMERA, settings)
    assert found.dtype == np.float32 and 300 < np.isfinite(found).sum() < found.size
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_no_points_and_points_behind() -> None:
    behind = np.array([[0, 0, -5], [0, 0, 0], [1, 1, -1e-9]], np.float32)
    for points in (behind, behind[:0]):
        found = lidar_depth(points, np.eye(4), CAMERA, LidarSettings(min_m=0.0))
        assert found.shape == (24, 40) and np.isnan(found).all()


def at(u: int, v: int, z: float) -> list[float]:
    """Point whose pixel is u, v."""
    return [(u - CAMERA.cx) / CAMERA.fx * z, (v - CAMERA.cy) / CAMERA.fy * z, z]


@pytest.mark.parametrize(('u', 'v', 'is_hidden'), [
    (20, 10, True), (24, 10, True), (16, 10, True), (25, 10, False), (20, 22, True),
    (20, 23, False), (20, 8, True), (20, 7, False),
])
def test_what_is_near_a_nearer_point_is_hidden(u: int, v: int, is_hidden: bool) -> None:
    settings = LidarSettings(occlusion_window_px=9, occlusion_ratio=0.1)
    near = at(20, 10, 9.0)
    farther = 9.0 if (u, v) == (20, 10) else 10.1
    found = lidar_depth(np.float32([near, at(u, v, 10.1)]), np.eye(4), CAMERA, settings)
    assert found[10, 20] == pytest.approx(9.0)
    if is_hidden:
        assert np.isfinite(found).sum() == 1
    else:
        assert found[v, u] == pytest.approx(farther)
    # Less than a tenth behind is the same surface.
    found = lidar_depth(np.float32([near, at(u, v, 9.9)]), np.eye(4), CAMERA, settings)
    assert np.isfinite(found).sum() == (1 if (u, v) == (20, 10) else 2)


@pytest.mark.parametrize('yaw_rate', [0.0, 0.3])
def test_motion_compensation_makes_the_depth_exact(yaw_rate: float) -> None:
    drive = SimulatedDrive(lidar_pixels=7, yaw_rate=yaw_rate)
    for index in (0, 3):
        image_ns = drive.stamp_ns(index)
        cloud_ns = image_ns + drive.lidar_offset_ns
        true = drive.truth(index)[2]
        points = drive.cloud(cloud_ns)
        moved = lidar_depth(points, pose(drive, image_ns, cloud_ns), drive.camera, KEEP_ALL)
        known = np.isfinite(moved)
        assert known.sum() > 2000
        np.testing.assert_allclose(moved[known], true[known], rtol=2e-6)
        # 10 m/s for 40 ms: all is 0.4 m nearer, and elsewhere in the picture; ground looks alike.
        left = lidar_depth(points, pose(drive, image_ns, image_ns), drive.camera, KEEP_ALL)
        known = np.isfinite(left) & np.isfinite(true)
        assert np.median(np.abs(left[known] / true[known] - 1)) > 0.005


def _judged(drive: SimulatedDrive, settings: LidarSettings) -> dict[str, float]:
    """Share of hidden points that are left, and of seen points and far road that are lost."""
    image_ns = drive.stamp_ns(0)
    cloud_ns = image_ns + drive.lidar_offset_ns
    _, panoptic, depth = drive.truth(0)
    arguments = drive.cloud(cloud_ns), pose(drive, image_ns, cloud_ns), drive.camera
    every, found = lidar_depth(*arguments, KEEP_ALL), lidar_depth(*arguments, settings)
    np.testing.assert_array_equal(found[np.isfinite(found)], every[np.isfinite(found)])
    # Points are off the center of their pixel: its neighbors bound what is right.
    around = np.where(np.isinf(depth), 1e4, depth).astype(np.float32)
    window = np.ones((3, 3), np.uint8)
    hidden = every > 1.02 * cv2.dilate(around, window)
    seen = (every >= 0.98 * cv2.erode(around, window)) & ~hidden & np.isfinite(every)
    road = seen & (panoptic == CLASS_ID['road'] * LABEL_DIVISOR) & (depth > 25)
    assert hidden.sum() > 100 and road.sum() > 50
    kept = np.isfinite(found)
    return {'hidden': float(hidden.sum() / np.isfinite(every).sum()),
            'left': float((hidden & kept).sum() / kept.sum()),
            'lost': float((seen & ~kept).sum() / seen.sum()),
            'road': float((road & ~kept).sum() / road.sum())}


def test_what_the_camera_cannot_see_is_removed_and_slanted_ground_is_kept() -> None:
    drive = SimulatedDrive(width=1242, height=375, lidar_shape=(64, 2200))
    shares = _judged(drive, LidarSettings(occlusion_window_px=9, occlusion_ratio=0.1))
    assert shares['hidden'] > 0.01
    assert shares['left'] < 0.001
    assert shares['lost'] < 0.02
    assert shares['road'] < 0.08


def test_rings_that_are_far_apart_need_a_wider_window() -> None:
    drive = SimulatedDrive(width=1242, height=375, lidar_shape=(40, 2200))
    narrow, wide = (_judged(drive, LidarSettings(occlusion_window_px=px, occlusion_ratio=0.1))
                    for px in (9, 15))
    assert wide['left'] < 0.0003 < narrow['left'] < 0.1 * narrow['hidden']
    assert wide['lost'] < 0.03
