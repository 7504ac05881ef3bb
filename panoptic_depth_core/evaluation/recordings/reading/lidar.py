# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Points of a LiDAR as the depth of pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ....structures import Intrinsics
from ..settings import LidarSettings


def lidar_depth(points: NDArray[np.float32], to_camera: NDArray[np.float64], camera: Intrinsics,
                settings: LidarSettings) -> NDArray[np.float32]:
    """
    Depth of the pixels that points fall on, without what the camera cannot see.

    :param points: (N, 3) float32 metres in the frame of the LiDAR.
    :param to_camera: (4, 4) from there to the optical frame at the time of the image.
    :returns: (H, W) float32 metres along Z of the nearest point of each pixel, NaN elsewhere.
    """
    nearest = _nearest(points, to_camera, camera, settings.min_m, settings.max_m)
    pixels = np.flatnonzero(np.isfinite(nearest))
    z = nearest.take(pixels)
    gap = z - _before(nearest, settings.occlusion_window_px).take(pixels)
    seen = gap <= settings.occlusion_ratio * z
    depth = np.full(nearest.size, np.nan, np.float32)
    depth[pixels[seen]] = z[seen]
    return depth.reshape(nearest.shape)


def _nearest(points: NDArray[np.float32], to_camera: NDArray[np.float64], camera: Intrinsics,
             min_m: float, max_m: float) -> NDArray[np.float32]:
    """(H, W) float32 least Z of the points in a pixel, +Inf where there is none."""
    turn, move = to_camera[:3, :3].astype(np.float32), to_camera[:3, 3].astype(np.float32)
    z = points @ turn[2] + move[2]
    kept = np.flatnonzero((z >= max(min_m, 1e-3)) & (z <= max_m))
    z, points = z[kept], points[kept]
    # Half a pixel more, so that cutting off the fraction rounds.
    u = (points @ turn[0] + move[0]) / z * np.float32(camera.fx) + np.float32(camera.cx + 0.5)
    v = (points @ turn[1] + move[1]) / z * np.float32(camera.fy) + np.float32(camera.cy + 0.5)
    inside = np.flatnonzero((u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height))
    pixels = v[inside].astype(np.int64) * camera.width + u[inside].astype(np.int64)
    depth = np.full(camera.height * camera.width, np.inf, np.float32)
    np.minimum.at(depth, pixels, z[inside])
    return depth.reshape(camera.height, camera.width)


def _before(depth: NDArray[np.float32], width_px: int) -> NDArray[np.float32]:
    """
    Least depth near each pixel.

    A LiDAR sees past edges past which the camera does not, so what is behind shows through the
    gaps between the points of what is in front. The rings of a LiDAR are farther apart than the
    points on a ring, hence the window is high. It is high upwards: towards the bottom of the
    picture the ground itself comes nearer, and would hide what is farther of it.
    """
    side = width_px // 2
    up, down = 3 * side, side // 2
    window = np.ones((up + 1 + down, 2 * side + 1), np.uint8)
    return np.asarray(cv2.erode(depth, window, anchor=(side, up), borderType=cv2.BORDER_CONSTANT,
                                borderValue=np.inf), np.float32)
