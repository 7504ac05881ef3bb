# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Distances of scenes whose truth is known from geometry."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panoptic_depth_core.config import DistanceSettings
from panoptic_depth_core.inference.distances import MAX_POINTS, measure_distances
from panoptic_depth_core.labels import CITYSCAPES
from panoptic_depth_core.structures import DistanceFlag, Intrinsics, Segment

NAMES = [c.name for c in CITYSCAPES]
CAMERA = Intrinsics(200.0, 210.0, 95.0, 52.0, 200, 110)
CAR = 13001


def segment(panoptic_id=CAR, scale=math.nan, count=100):
    return Segment(panoptic_id, panoptic_id // 1000, panoptic_id % 1000, True, 0.9, count, scale)


def wall(box=(50, 30, 60, 40), depth=10.0, panoptic_id=CAR):
    """One upright plate at a depth, filling a box x, y, width, height of the image."""
    ids = np.zeros((CAMERA.height, CAMERA.width), np.uint16)
    z = np.full(ids.shape, 40.0, np.float32)
    x, y, width, height = box
    ids[y:y + height, x:x + width] = panoptic_id
    z[y:y + height, x:x + width] = depth
    return ids, z


def measure(ids, depth, *segments, camera=CAMERA, **changes):
    return measure_distances(ids, depth, segments or (segment(),), camera, NAMES,
                             DistanceSettings(**changes))


def ray(u, v):
    return np.array([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, 1.0 + 0.0 * u])


@given(st.integers(4, 120), st.integers(4, 60), st.integers(12, 70), st.integers(12, 45),
       st.floats(1.0, 100.0))
def test_plate(x, y, width, height, depth):
    ids, z = wall((x, y, width, height), depth)
    found, = measure(ids, z)
    centre = ray(x + (width - 1) / 2, y + (height - 1) / 2) * depth
    assert found.class_name == 'car'
    assert found.roi == (x, y, width, height)
    assert found.flags == 0
    assert found.depth_m == pytest.approx(depth, rel=1e-6)
    np.testing.assert_allclose(found.position_m, centre, atol=1e-3)
    assert found.distance_m == pytest.approx(np.linalg.norm(centre), rel=1e-5)
    # The border of one pixel is off; 5 % at both ends are too.
    seen = 0.9 * (width - 3) / CAMERA.fx * depth
    assert found.size_m[0] == pytest.approx(seen, abs=2 / CAMERA.fx * depth)
    assert found.size_m[2] == pytest.approx(0, abs=1e-6)
    assert found.distance_near_m == pytest.approx(np.linalg.norm(found.nearest_point_m), rel=1e-5)
    assert found.valid_depth_count == 100


@given(st.integers(0, 2**32 - 1), st.floats(2.0, 60.0),
       st.sampled_from(('far', 'near', 'both', 'background')))
@settings(max_examples=60)
def test_thirty_percent_outliers(seed, depth, kind):
    rng = np.random.default_rng(seed)
    ids, z = wall((66, 33, 60, 40), depth)
    clean, = measure(ids, z)
    mine = np.flatnonzero(ids == CAR)
    wrong = rng.permutation(mine)[:int(0.3 * mine.size)]
    factor = {'far': rng.uniform(1.1, 5, wrong.size), 'near': rng.uniform(0.1, 0.9, wrong.size),
              'both': np.exp(rng.choice((-1, 1), wrong.size) * rng.uniform(0.1, 2, wrong.size)),
              'background': 4.0}[kind]
    z.reshape(-1)[wrong] *= factor
    found, = measure(ids, z)
    assert found.distance_m == pytest.approx(clean.distance_m, abs=0.01)
    assert found.depth_m == pytest.approx(depth, abs=0.01)
    assert found.distance_near_m == pytest.approx(clean.distance_near_m, abs=0.01)
    # Which pixels are left is chance, so the middle of the plate may move by a pixel or two.
    np.testing.assert_allclose(found.position_m, clean.position_m, atol=3 * depth / CAMERA.fx)
    np.testing.assert_allclose(found.size_m, clean.size_m, atol=3 * depth / CAMERA.fx)


def test_slanted_surface_with_noise_and_background_leaking_in():
    """The side of a lorry, 8 m long, with 2 % noise, and a fifth of the mask behind it."""
    rng = np.random.default_rng(1)
    ids, z = wall((40, 20, 100, 60))
    true = z.copy()
    true[20:80, 40:140] = np.linspace(10, 18, 100)
    truth, = measure(ids, true)
    noisy = true * np.exp(rng.normal(0, 0.02, z.shape)).astype(np.float32)
    noisy[20:32, 40:140] = 90
    found, = measure(ids, noisy)
    assert found.depth_m == pytest.approx(truth.depth_m, rel=0.02)
    assert found.size_m[2] == pytest.approx(truth.size_m[2], rel=0.1)


def test_flying_pixels_at_the_border_are_eroded():
    """A blurred border, which on a small plate is a third of it, does not move anything."""
    ids, z = wall((50, 30, 12, 12), depth=5.0)
    for edge in (np.s_[30:42, 50], np.s_[30:42, 61], np.s_[30, 50:62], np.s_[41, 50:62]):
        z[edge] = 5.2
    found, = measure(ids, z)
    assert found.depth_m == pytest.approx(5.0) and found.size_m[2] == pytest.approx(0)
    kept, = measure(ids, z, erode_px=0)
    assert kept.size_m[2] == pytest.approx(0.2, abs=1e-3)


def test_neighbors_erode_each_other():
    ids, z = wall((50, 30, 20, 20), depth=8.0)
    ids[30:50, 70:90] = 13002
    z[30:50, 70:90] = 9.0
    z[30:50, 69:71] = 8.5
    found = measure(ids, z, segment(), segment(13002))
    assert [d.depth_m for d in found] == [pytest.approx(8.0), pytest.approx(9.0)]
    assert all(d.size_m[2] == pytest.approx(0) for d in found)


@pytest.mark.parametrize('box', [(50, 30, 2, 40), (50, 30, 40, 1), (50, 30, 1, 1)])
def test_too_thin_to_erode(box):
    ids, z = wall(box, depth=7.0)
    found, = measure(ids, z)
    assert found.depth_m == pytest.approx(7.0) and not found.flags
    assert np.isfinite(found.position_covariance).all()


@pytest.mark.parametrize('box', [(0, 30, 40, 40), (160, 30, 40, 40), (50, 0, 40, 40),
                                 (50, 70, 40, 40)])
def test_truncated(box):
    found, = measure(*wall(box))
    assert found.flags == DistanceFlag.TRUNCATED
    assert found.distance_m > 0


@pytest.mark.parametrize(('value', 'flag'), [
    (np.nan, DistanceFlag.LOW_DEPTH_SUPPORT),
    (-np.inf, DistanceFlag.LOW_DEPTH_SUPPORT),
    (np.inf, DistanceFlag.BEYOND_RANGE | DistanceFlag.LOW_DEPTH_SUPPORT)])
def test_no_depth_at_all_is_nan_and_flagged(value, flag):
    for least in (0.2, 0.0):
        found, = measure(*wall(depth=value), min_valid_ratio=least)
        assert found.flags == flag
        assert found.valid_depth_count == 0
        for number in (found.distance_m, found.distance_stddev_m, found.distance_near_m,
                       found.depth_m, found.position_m, found.position_covariance,
                       found.nearest_point_m, found.size_m):
            assert np.isnan(number).all()


def test_the_mean_is_over_all_pixels_with_a_depth():
    """Unlike the median: border and outliers count, and more pixels than MAX_POINTS."""
    ids, z = wall((20, 10, 100, 80), 10.0)
    z[10:90, 20] = 30.0
    z[10:30, 119] = 60.0
    z[40:50, 50:60], z[55, 55], z[56, 56] = np.nan, np.inf, -np.inf
    found, = measure(ids, z)
    known = np.concatenate([np.full(8000 - 80 - 20 - 102, 10.0), np.full(80, 30.0),
                            np.full(20, 60.0)])
    assert found.depth_m == pytest.approx(10.0)
    assert found.depth_mean_m == pytest.approx(known.mean(), rel=1e-12)
    assert len(known) > MAX_POINTS


def test_the_mean_is_unknown_where_the_distance_is():
    for value in (np.nan, np.inf, -np.inf):
        ids, z = wall(depth=6.0)
        z[30:70, 50:100] = value
        found, = measure(ids, z)
        assert math.isnan(found.depth_mean_m) == math.isnan(found.distance_m)


def test_little_depth_is_measured_and_flagged():
    ids, z = wall(depth=6.0)
    z[30:70, 59:110] = np.nan
    found, = measure(ids, z)
    assert found.flags == DistanceFlag.LOW_DEPTH_SUPPORT
    assert found.depth_m == pytest.approx(6.0)
    assert found.valid_depth_count == 15
    assert measure(ids, z, min_valid_ratio=0.1)[0].flags == 0


def test_median_beyond_range():
    ids, z = wall(depth=118.0)
    z[30:70, 50:85] = np.inf
    found, = measure(ids, z)
    assert found.flags == DistanceFlag.BEYOND_RANGE and math.isnan(found.distance_m)


def test_mostly_too_near_is_not_reported_as_its_far_part():
    ids, z = wall(depth=3.0)
    z[30:70, 50:85] = -np.inf
    found, = measure(ids, z)
    assert found.flags == DistanceFlag.LOW_DEPTH_SUPPORT and math.isnan(found.distance_m)


def test_nearest_first_unknown_last():
    ids, z = wall((10, 10, 20, 20), 30.0)
    for i, (x, depth) in enumerate(((50, np.nan), (90, 5.0), (130, 12.0))):
        ids[40:60, x:x + 20], z[40:60, x:x + 20] = 13002 + i, depth
    found = measure(ids, z, *(segment(13001 + i) for i in range(4)))
    assert [d.segment.panoptic_id for d in found] == [13003, 13004, 13001, 13002]


def test_what_is_measured():
    ids, z = wall()
    ids[30:70, 120:140] = 13000
    road = Segment(0, 0, 0, False, 1.0, 100)
    crowd = Segment(13000, 13, 0, True, 1.0, 100)
    gone = segment(11001)
    assert [d.segment.panoptic_id for d in measure(ids, z, road, crowd, gone, segment())] == [CAR]
    with_stuff = measure(ids, z, road, crowd, segment(), include_stuff=True)
    assert {d.segment.panoptic_id for d in with_stuff} == {0, 13000, CAR}
    assert measure(ids, z, road) == ()


def test_spread_is_that_of_pixels_and_network_along_the_ray():
    """By hand: a plate on the axis has no spread of its own along the ray."""
    camera = Intrinsics(200.0, 200.0, 79.5, 49.5, 200, 110)
    ids, z = wall((50, 30, 60, 40), 10.0)
    alone, = measure(ids, z, camera=camera)
    assert alone.distance_stddev_m == pytest.approx(0.0, abs=1e-6)
    both, = measure(ids, z, segment(scale=0.05), camera=camera)
    assert both.distance_stddev_m == pytest.approx(math.sqrt(2) * 0.05 * 10.0, rel=1e-6)
    extra = both.position_covariance - alone.position_covariance
    np.testing.assert_allclose(extra, np.diag([0, 0, 0.5]), atol=1e-6)
    # 58 columns of 0.05 m: the variance of a uniform grid is (n^2 - 1) / 12 steps^2.
    assert alone.position_covariance[0, 0] == pytest.approx(0.05**2 * (58**2 - 1) / 12, rel=1e-5)
    assert np.linalg.eigvalsh(both.position_covariance).min() >= -1e-6


def test_near_percentile():
    """Against the percentile of all ranges of the plate, computed on the spot."""
    ids, z = wall((40, 20, 100, 80))
    z[20:100, 40:140] = np.linspace(10, 20, 100)
    v, u = np.mgrid[21:99, 41:139]
    ranges = np.linalg.norm(ray(u, v), axis=0)
    ranges = ranges * z[21:99, 41:139]
    for share in (0, 5, 50):
        found, = measure(ids, z, near_percentile=share)
        # The center of a plate is nearer than most of it.
        expected = min(np.percentile(ranges, share), found.distance_m)
        assert found.distance_near_m == pytest.approx(expected, abs=0.05)


@given(st.integers(0, 10**6), st.sampled_from([0.0, 5.0, 50.0]), st.sampled_from([60.0, 400.0]))
def test_nothing_is_nearer_than_the_nearest(seed, share, focal):
    """Of absurd depth, seen at any angle."""
    rng = np.random.default_rng(seed)
    ids, z = wall((10, 5, 180, 100))
    z[:] = rng.uniform(1, 5, 1) * rng.choice([1.0, 1.02, 1.3], z.shape)
    found, = measure(ids, z, camera=Intrinsics.from_focal(focal, CAMERA.width, CAMERA.height),
                     near_percentile=share)
    assert found.distance_near_m <= found.distance_m
    assert np.linalg.norm(found.nearest_point_m) == pytest.approx(found.distance_near_m, rel=1e-6)


def test_big_instances_are_thinned_without_harm():
    camera = Intrinsics.from_focal(900.0, 1600, 900)
    ids = np.full((900, 1600), CAR, np.uint16)
    y = (np.arange(900) - camera.cy) / camera.fy
    x = (np.arange(1600) - camera.cx) / camera.fx
    z = (10 / (1 + 0.1 * x + 0.2 * y[:, None])).astype(np.float32)
    assert ids.size > 100 * MAX_POINTS
    first, second = (measure(ids, z, camera=camera)[0] for _ in range(2))
    assert first.depth_m == pytest.approx(np.median(z), abs=0.01)
    assert first.distance_m == second.distance_m
