# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Measured points in the depth of the network: what they change, and what they must not."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from panoptic_depth_core.config import InferenceSettings, MeasuredDepthSettings
from panoptic_depth_core.inference.measured_depth import blend, less_uncertain, projected
from panoptic_depth_core.inference.pipeline import Pipeline
from panoptic_depth_core.lens import Lens
from panoptic_depth_core.model_directory import ModelDirectory
from panoptic_depth_core.structures import DistanceFlag, Intrinsics, ScaleSource, Segment
from rendered_scene import Renderer, by_id, frame_at

HEIGHT, WIDTH = 96, 192
CAMERA = Intrinsics.from_focal(150.0, WIDTH, HEIGHT)
SETTINGS = MeasuredDepthSettings()
NO_SKY = np.zeros((HEIGHT, WIDTH), np.bool_)


def scene(seed: int = 0):
    """Return true depth, a plane with a box on it, and a prediction with a smooth error."""
    rng = np.random.default_rng(seed)
    rows = np.arange(HEIGHT)[:, None]
    true = np.broadcast_to(200.0 / (rows + 5.0), (HEIGHT, WIDTH)).astype(np.float32).copy()
    true[20:60, 80:120] = 5.0
    error = cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH)), (0, 0), 16)
    return true, (true * np.exp(0.15 * error / error.std() + 0.1)).astype(np.float32)


def points_at(true, pixels, factor=1.0):
    v, u = np.divmod(pixels, WIDTH)
    rays = CAMERA.rays(np.stack([u, v], axis=1))
    z = true.ravel()[pixels] * factor
    return np.concatenate([rays * z[:, None], z[:, None]], axis=1).astype(np.float32)


def drawn(true, count, seed=1, noise=0.0, outliers=0.0):
    rng = np.random.default_rng(seed)
    pixels = rng.choice(true.size, count, replace=False)
    factor = np.exp(noise * rng.standard_normal(count))
    factor[:round(outliers * count)] *= 2.5
    return pixels, points_at(true, pixels, factor)


def abs_rel(depth, true):
    return float(np.mean(np.abs(depth - true) / true))


def test_a_few_hundred_points_more_than_halve_the_error():
    true, predicted = scene()
    _, points = drawn(true, 300)
    found = blend(predicted, points, CAMERA, NO_SKY, SETTINGS)
    assert abs_rel(found.depth, true) < 0.3 * abs_rel(predicted, true)
    assert found.depth.dtype == np.float32


def test_outliers_are_found_and_do_not_bend_their_surroundings():
    true, predicted = scene()
    pixels, points = drawn(true, 300, noise=0.03, outliers=0.05)
    found = blend(predicted, points, CAMERA, NO_SKY, SETTINGS)
    wrong = pixels[:15]
    assert not np.isin(found.pixels, wrong).any()
    assert found.rejected >= 15 and len(found.pixels) > 250
    assert abs_rel(found.depth, true) < 0.4 * abs_rel(predicted, true)


def test_points_seen_through_a_gap_beside_the_box_are_left_out():
    """A LiDAR above the camera sees past the box; its points fall on the box in the picture."""
    true, predicted = scene()
    rng = np.random.default_rng(0)
    on_box = np.ravel_multi_index((rng.integers(22, 58, 40), rng.integers(82, 118, 40)),
                                  true.shape)
    behind = on_box[:4]
    points = np.concatenate([points_at(true, on_box[4:]), points_at(true, behind, 3.0)])
    found = blend(predicted, points, CAMERA, NO_SKY, SETTINGS)
    assert not np.isin(behind, found.pixels).any()
    assert np.median(found.depth[25:55, 85:115]) == pytest.approx(5.0, rel=0.03)


def test_of_several_points_in_a_pixel_the_nearest_counts():
    ray = np.array([[0.1, 0.05, 1.0]], np.float32)
    pixels, z = projected(np.concatenate([ray * 9, ray * 4, ray * 30]), CAMERA, 120.0)
    assert pixels.size == 1 and z[0] == pytest.approx(4.0)


def test_points_that_are_none_are_left_out():
    ray = np.array([0.1, 0.05, 1.0], np.float32)
    bad = np.array([ray * np.nan, ray * -3, ray * 0, ray * 500, [np.inf, 1, 5], [90, 0, 1]],
                   np.float32)
    assert projected(bad, CAMERA, 120.0)[0].size == 0
    _, predicted = scene()
    assert blend(predicted, bad, CAMERA, NO_SKY, SETTINGS) is None


def test_five_points_do_no_harm():
    errors = []
    for seed in range(20):
        true, predicted = scene(seed)
        _, points = drawn(true, 5, seed)
        found = blend(predicted, points, CAMERA, NO_SKY, SETTINGS)
        errors.append(abs_rel(found.depth, true) / abs_rel(predicted, true))
    assert np.mean(errors) < 1.0 and max(errors) < 1.3


def test_one_wrong_point_alone_moves_the_picture_little():
    true, predicted = scene()
    points = points_at(true, np.array([40 * WIDTH + 20]), 4.0)
    found = blend(predicted, points, CAMERA, NO_SKY, SETTINGS)
    change = np.abs(np.log(found.depth / predicted))
    assert np.median(change[:, WIDTH // 2:]) < math.log(1.5)


def test_half_of_the_picture_without_points_gets_what_they_have_in_common():
    true, predicted = scene()
    pixels, _ = drawn(true, 600)
    left = pixels[pixels % WIDTH < WIDTH // 2]
    found = blend(predicted, points_at(true, left), CAMERA, NO_SKY, SETTINGS)
    ratio = np.median(true.ravel()[left] / predicted.ravel()[left])
    right = np.s_[:, WIDTH // 2:]
    assert abs_rel(found.depth[right], true[right]) < 1.1 * abs_rel(
        (predicted * ratio)[right], true[right])
    assert abs_rel(found.depth, true) < abs_rel(predicted * ratio, true)


def test_exact_on_request():
    true, predicted = scene()
    pixels, points = drawn(true, 100)
    found = blend(predicted, points, CAMERA, NO_SKY, SETTINGS.model_copy(update={'exact': True}))
    assert len(found.pixels) > 90
    np.testing.assert_allclose(found.depth.ravel()[found.pixels],
                               true.ravel()[found.pixels], rtol=1e-5)


def test_sky_and_unknown_depth_stay_as_they_are():
    true, predicted = scene()
    sky = NO_SKY.copy()
    sky[:10] = True
    predicted[90:] = np.nan
    predicted[50, 50] = -1.0
    _, points = drawn(true, 300)
    found = blend(predicted, points, CAMERA, sky, SETTINGS)
    kept = sky | ~(predicted > 0)
    assert found.depth[kept].tobytes() == predicted[kept].tobytes()
    assert not kept.ravel()[found.pixels].any()


def test_uncertainty_is_learned_from_the_points():
    true, predicted = scene()
    panoptic = np.zeros(true.shape, np.uint16)
    panoptic[:, WIDTH // 2:] = 1
    pixels, _ = drawn(true, 400, noise=0.03)
    pixels = pixels[pixels % WIDTH < WIDTH // 2 - 20]
    found = blend(predicted, points_at(true, pixels), CAMERA, NO_SKY, SETTINGS)
    segments = [Segment(0, 0, 0, False, 1.0, 1, 0.2), Segment(1, 0, 1, True, 1.0, 1, 0.2)]
    (near, far), measured = less_uncertain(segments, panoptic, found, SETTINGS)
    assert measured == {0} and far is segments[1]
    assert near.log_depth_scale < 0.12
    error = np.abs(np.log(found.depth / true))[panoptic == 0]
    share = np.mean(error <= -near.log_depth_scale * math.log(1 - 0.68))
    # The part that the points reach is better than 68 %, the part beyond them worse.
    assert share > 0.6
    # Never more uncertain than the network says.
    sure = [replace(segments[0], log_depth_scale=0.001)]
    assert less_uncertain(sure, panoptic, found, SETTINGS)[0][0].log_depth_scale <= 0.001


def test_pipeline_flags_measured_instances(info, table):
    directory = ModelDirectory(Path('unused'), info)
    frame = frame_at(1.7)
    with Pipeline(directory, Renderer(info, table)) as pipeline:
        alone = pipeline(frame)
        empty = pipeline(replace(frame, measured_points_m=np.empty((0, 3), np.float32)))
        car = alone.panoptic == 13001
        v, u = np.nonzero(car)
        z = 0.9 * alone.depth[v, u]
        rays = frame.intrinsics.rays(np.stack([u, v], axis=1))
        points = np.concatenate([rays * z[:, None], z[:, None]], axis=1).astype(np.float32)
        found = pipeline(replace(frame, measured_points_m=points))
    assert empty.depth.tobytes() == alone.depth.tobytes()
    assert [d.flags for d in empty.distances] == [d.flags for d in alone.distances]
    before, after = by_id(alone), by_id(found)
    assert after[13001].flags & DistanceFlag.MEASURED
    assert after[13001].flags.names == ['measured']
    assert after[13001].distance_m == pytest.approx(0.9 * before[13001].distance_m, rel=0.01)
    assert after[13001].distance_stddev_m < before[13001].distance_stddev_m
    assert found.scale_source == ScaleSource.METRIC_MODEL
    others = [d for i, d in after.items() if i != 13001]
    assert others and not any(d.flags & DistanceFlag.MEASURED for d in others)
    sky = np.isposinf(alone.depth)
    assert (np.isposinf(found.depth) == sky).all()


def test_result_does_not_depend_on_other_settings_without_points(info, table):
    settings = InferenceSettings(measured_depth={'stddev_share': 0.5, 'exact': True})
    directory = ModelDirectory(Path('unused'), info)
    frame = frame_at(1.7)
    results = [Pipeline(directory, Renderer(info, table), s)(frame).depth.tobytes()
               for s in (InferenceSettings(), settings)]
    assert results[0] == results[1]


def test_points_of_a_lens_fall_on_their_pixels(info, table):
    """The model sees the picture of a lens through a pinhole; points are in the camera's frame."""
    frame = frame_at(1.7)
    lens = Lens('plumb_bob', (-0.2, 0.03, 0.0, 0.0, 0.0))
    frame = replace(frame, intrinsics=replace(frame.intrinsics, lens=lens))
    with Pipeline(ModelDirectory(Path('unused'), info), Renderer(info, table)) as pipeline:
        alone = pipeline(frame)
        v, u = np.nonzero(alone.panoptic == 13001)
        z = 0.9 * alone.depth[v, u]
        rays = frame.intrinsics.rays(np.stack([u, v], axis=1))
        points = np.concatenate([rays * z[:, None], z[:, None]], axis=1).astype(np.float32)
        found = pipeline(replace(frame, measured_points_m=points))
    before, after = by_id(alone)[13001], by_id(found)[13001]
    assert after.flags & DistanceFlag.MEASURED
    assert after.distance_m == pytest.approx(0.9 * before.distance_m, rel=0.01)
    assert np.median(found.depth[v, u] / alone.depth[v, u]) == pytest.approx(0.9, abs=0.01)
