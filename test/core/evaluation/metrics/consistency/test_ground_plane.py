# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Planes that are known, with noise, outliers and too little of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from consistency_scenes import CAMERA, ROAD, SKY, all_of, compared, frame, metric, result
from hypothesis import given
from hypothesis import strategies as st
from panoptic_depth_core.inference.ground_plane import (
    LEAST_PIXELS,
    fit_ground,
)
from panoptic_depth_core.lens import Lens
from panoptic_depth_core.views import rays_of

SHAPE = CAMERA.height, CAMERA.width


def plane(height_m=1.65, pitch=0.03, roll=-0.02) -> np.ndarray:
    """(H, W) float32 inverse depth of a ground plane, NaN where it is not seen within 100 m."""
    v, u = np.indices(SHAPE)
    # The vector to the ground, turned from (0, 1, 0) about x, then about z.
    down = np.array([math.sin(roll) * math.cos(pitch), math.cos(roll) * math.cos(pitch),
                     math.sin(pitch)])
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy,
                     np.ones(SHAPE)], axis=-1)
    inverse = rays @ down / height_m
    return np.where(inverse > 0.01, inverse, np.nan).astype(np.float32)


def everywhere() -> np.ndarray:
    return np.ones(SHAPE, np.bool_)


@given(st.floats(0.2, 30.0), st.floats(-0.2, 0.6), st.floats(-0.3, 0.3))
def test_a_perfect_plane_is_found(height_m, pitch, roll) -> None:
    inverse = plane(height_m, pitch, roll)
    found = fit_ground(inverse, everywhere(), CAMERA)
    if np.isfinite(inverse).sum() < LEAST_PIXELS:
        assert found is None
        return
    assert found.height_m == pytest.approx(height_m, rel=1e-4)
    assert np.radians(found.pitch_deg) == pytest.approx(pitch, abs=1e-5)
    assert np.radians(found.roll_deg) == pytest.approx(roll, abs=1e-5)
    assert found.residual < 1e-5 and found.inlier_share == 1.0
    assert math.isnan(found.rms_m) or found.rms_m < 1e-4 * height_m


def test_noise_of_depth_is_the_residual() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, SHAPE)
    found = fit_ground((plane() * np.exp(noise)).astype(np.float32), everywhere(), CAMERA)
    assert found.height_m == pytest.approx(1.65, rel=0.01)
    assert np.radians(found.pitch_deg) == pytest.approx(0.03, abs=0.003)
    assert found.residual == pytest.approx(0.6745 * 0.05, rel=0.1)
    assert found.inlier_share == pytest.approx(0.954, abs=0.02)
    # A point that is 5 % too far is 5 % of the height of the camera below the plane.
    assert found.rms_m == pytest.approx(0.05 * 1.65, rel=0.1)


def test_outliers_do_not_matter() -> None:
    """A third of what is labeled as road is a wall, or at twice its depth."""
    inverse = plane()
    inverse[60:, :40] = 1 / 5.0
    inverse[60:, 160:] *= 0.5
    share = np.isclose(inverse, plane())[np.isfinite(inverse)].mean()
    assert 0.55 < share < 0.75
    found = fit_ground(inverse, everywhere(), CAMERA)
    assert found.height_m == pytest.approx(1.65, rel=1e-4)
    assert found.residual < 1e-4
    assert found.inlier_share == pytest.approx(share, abs=0.03)


def test_only_the_ground_is_looked_at() -> None:
    inverse = plane()
    inverse[:, :80] = 1.0
    is_ground = everywhere()
    is_ground[:, :80] = False
    assert fit_ground(inverse, is_ground, CAMERA).height_m == pytest.approx(1.65, rel=1e-4)


def few() -> np.ndarray:
    return np.where(np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 100 == 0, plane(), np.nan)


def one_row() -> np.ndarray:
    """Two hundred pixels in a row are on many planes."""
    return np.where(np.arange(SHAPE[0])[:, None] == 100, plane(), np.nan)


def wall() -> np.ndarray:
    return np.full(SHAPE, 0.1)


def ceiling() -> np.ndarray:
    return np.flipud(plane(pitch=0, roll=0))


@pytest.mark.parametrize('make', [few, one_row, wall, ceiling])
def test_what_is_no_ground(make) -> None:
    assert fit_ground(make().astype(np.float32), everywhere(), CAMERA) is None


def measured(depths, ground_classes=('road',)):
    """Result and records of frames of road below sky."""
    found = metric(ground_classes=ground_classes)
    records = []
    for i, inverse in enumerate(depths):
        labels = np.where(np.isfinite(inverse), ROAD, SKY) * 1000
        depth = np.where(np.isfinite(inverse), 1 / inverse, np.inf)
        records.append(compared(found, frame(i), result(labels, depth)))
    return all_of(found), records


def test_spread_of_the_height_over_frames() -> None:
    """The scale of the meters changes from frame to frame: MAD 0.1 of a median of 1.6."""
    total, records = measured([plane(h) for h in (1.5, 1.6, 1.7, 1.6, 1.4)])
    assert total.ground_frames == 5
    assert total.ground_height_m == pytest.approx(1.6, rel=1e-4)
    assert total.ground_height_spread == pytest.approx(1.4826 * 0.1 / 1.6, rel=1e-3)
    assert total.ground_pitch_deg == pytest.approx(math.degrees(0.03), abs=1e-3)
    assert total.ground_roll_deg == pytest.approx(math.degrees(-0.02), abs=1e-3)
    assert records[4]['ground_height_m'] == pytest.approx(1.4, rel=1e-4)
    assert records[0]['ground_inlier_share'] == 1.0


@pytest.mark.parametrize('classes', [(), ('lawn',), ('sidewalk',)])
def test_without_ground(classes) -> None:
    total, records = measured([plane()], classes)
    assert total.ground_frames == 0 and math.isnan(total.ground_height_m)
    assert records[0]['ground_height_m'] is None and records[0]['ground_residual'] is None


def test_the_camera_is_that_of_the_reduced_image() -> None:
    found = metric(flow_width_px=64)
    inverse = plane()
    depth = np.where(np.isfinite(inverse), 1 / inverse, np.inf)
    labels = np.where(np.isfinite(inverse), ROAD, SKY) * 1000
    given = frame(0)
    record = compared(found, given, result(labels, depth))
    assert record['ground_height_m'] == pytest.approx(1.65, rel=0.005)
    wrong = replace(CAMERA, fy=2 * CAMERA.fy)
    assert compared(found, given, result(labels, depth, camera=wrong))[
        'ground_height_m'] == pytest.approx(1.65 / 2, rel=0.05)


def test_the_plane_through_a_lens():
    """The rays are those of the lens."""
    camera = replace(CAMERA, lens=Lens('plumb_bob', (-0.3, 0.1, 0.0, 0.0)))
    rays = rays_of(camera)
    inverse = ((np.cos(0.05) * rays[..., 1] + np.sin(0.05)) / 1.3).astype(np.float32)
    ground = inverse > 0.02
    found = fit_ground(np.where(ground, inverse, np.nan), ground, camera)
    assert found.height_m == pytest.approx(1.3, rel=1e-4)
    assert found.pitch_deg == pytest.approx(np.degrees(0.05), abs=1e-2)
    straight = fit_ground(np.where(ground, inverse, np.nan), ground, CAMERA)
    assert straight is None or abs(straight.height_m / 1.3 - 1) > 0.005
