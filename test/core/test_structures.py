# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Records refuse what would be silently wrong, and say what to give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.structures import Frame, Intrinsics, Mounting

IMAGE = np.zeros((4, 6, 3), np.uint8)
CAMERA = Intrinsics.from_fov(70.0, 6, 4)
POINTS = np.ones((5, 3), np.float32)


@pytest.mark.parametrize('points', [
    POINTS.T, POINTS[0], POINTS[:, :2], np.ones((5, 4), np.float32), np.empty(0, np.float32),
    np.ones((4, 6, 3), np.float32), POINTS.tolist(), POINTS.astype(int), POINTS.astype(complex),
    POINTS.astype(str), POINTS.astype(object)])
def test_measured_points_are_n_by_3_floats(points: Any) -> None:
    with pytest.raises(ConfigError, match="frame 'a': measured_points_m is .*\\(N, 3\\) f"):
        Frame(IMAGE, CAMERA, name='a', measured_points_m=points)


@pytest.mark.parametrize('points', [None, POINTS, POINTS[:0], POINTS.astype(np.float64)])
def test_measured_points(points: Any) -> None:
    assert Frame(IMAGE, CAMERA, measured_points_m=points).measured_points_m is points


@pytest.mark.parametrize('values', [
    ('1.2',), (None,), (1.2, '3'), (1.2, 0.0, None), (np.array([1.2]),), (1.2, 1j)])
def test_a_mounting_is_of_numbers(values: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigError, match='is no number; give height_m, pitch_deg and roll_deg'):
        Mounting(*values)


@pytest.mark.parametrize('mounting', [(1.2, 2.6), {'height_m': 1.2}, 1.2, 'mounting.yaml'])
def test_the_mounting_of_a_frame_is_one(mounting: Any) -> None:
    with pytest.raises(ConfigError, match=r"frame 'a': mounting is .*; give Mounting\(height_m, "):
        Frame(IMAGE, CAMERA, name='a', mounting=mounting)


def test_numbers_of_numpy_are_numbers() -> None:
    assert Mounting(np.float32(1.5), np.int64(3)) == Mounting(1.5, 3)
