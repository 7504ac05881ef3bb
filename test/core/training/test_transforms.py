# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Geometry of the augmentation: picture, labels, depth and camera move together."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from miniature import make_sample
from numpy.typing import NDArray
from panoptic_depth_core.contract import PADDING_RGB
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.inference.ground_plane import fit_ground
from panoptic_depth_core.labels import CLASS_ID, LABEL_DIVISOR, VOID_ID
from panoptic_depth_core.network.dynamic_kernels.targets import collate
from panoptic_depth_core.network.layers import metric_factor
from panoptic_depth_core.structures import Frame, GroundTruth, Intrinsics, Mounting, Sample
from panoptic_depth_core.training.augmentation import (
    AugmentSettings,
    augment,
    crop,
    flip,
    resize,
    rotate,
    settle_instances,
)
from panoptic_depth_core.training.sample_tensors import Panoptic, Picture, to_sample, to_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

CAR = CLASS_ID['car'] * LABEL_DIVISOR + 1
CROWD = CLASS_ID['car'] * LABEL_DIVISOR
HEIGHT, WIDTH = 96, 160
EVERYTHING = {'height': 64, 'width': 128, 'rotation': 8.0, 'saturation': 0.5, 'hue': 18.0,
              'jpeg': 0.5}


def _surface(fx: float, fy: float, cx: float, cy: float) -> Sample:
    """Each pixel has a depth of its own, by which it is found again; red is u, green is v."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    depth = (5 + np.arange(HEIGHT * WIDTH) / 1000).astype(np.float32).reshape(HEIGHT, WIDTH)
    image = np.stack([u, v, np.full_like(u, 128)], axis=-1).astype(np.uint8)
    return Sample(Frame(image, Intrinsics(fx, fy, cx, cy, WIDTH, HEIGHT)),
                  GroundTruth(np.full((HEIGHT, WIDTH), CAR, np.int32), True, (13,), None, depth))


def _points(camera: Intrinsics, u: NDArray, v: NDArray, depth: NDArray) -> NDArray:
    """(n, 3) points of pixels in the camera frame."""
    return np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy,
                     np.ones_like(depth)], axis=-1) * depth[:, None]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_point_projects_to_where_its_pixel_went(data):
    focal, cx, cy = (data.draw(st.floats(*ends)) for ends in ((90, 300), (60, 100), (30, 66)))
    angle = data.draw(st.one_of(st.just(0.0), st.floats(-15, 15)))
    scale_x, scale_y = data.draw(st.floats(0.6, 2.2)), data.draw(st.floats(0.6, 2.2))
    size = data.draw(st.integers(60, 96)), data.draw(st.integers(80, 160))
    start = data.draw(st.integers(0, 96 - size[0])), data.draw(st.integers(0, 160 - size[1]))
    before = _surface(focal, focal, cx, cy)
    after = rotate(before, angle, *start, *size) if angle else crop(before, *start, *size)
    after = resize(after, round(size[0] * scale_y), round(size[1] * scale_x))
    after = crop(after, data.draw(st.integers(-20, 10)), data.draw(st.integers(-20, 10)), 200, 300)
    mirrored = data.draw(st.booleans())
    if mirrored:
        after = flip(after)

    known = np.isfinite(after.truth.depth)
    assert known.sum() > 1000
    depth = after.truth.depth[known]
    index = np.searchsorted(before.truth.depth.ravel(), depth)
    assert (before.truth.depth.ravel()[index] == depth).all()
    v, u = np.divmod(index, WIDTH)
    expected = _points(before.frame.intrinsics, u, v, depth)
    turn = np.radians(angle)
    expected = expected @ np.array([[np.cos(turn), np.sin(turn), 0],
                                    [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]]).T
    expected[:, 0] *= -1 if mirrored else 1
    rows, columns = np.nonzero(known)
    found = _points(after.frame.intrinsics, columns, rows, depth)
    # The nearest pixel is half a pixel off at most, each time that the picture is sampled.
    off_px = np.abs(found - expected)[:, :2] / depth[:, None] * focal
    assert off_px.max() <= (0.5 if not angle else 1.25) + 1e-3

    # The image moved with them: its colors are the coordinates, away from the borders.
    inside = cv2.erode(known.astype(np.uint8), np.ones((9, 9)),
                       borderType=cv2.BORDER_CONSTANT, borderValue=0)[known] > 0
    shown = after.frame.image[known][inside].astype(float)
    assert np.abs(shown[:, 0] - u[inside]).max() <= 2.5
    assert np.abs(shown[:, 1] - v[inside]).max() <= 2.5


@settings(max_examples=30, deadline=None)
@given(st.floats(90, 300), st.floats(-50, 250), st.floats(-50, 150))
def test_flip_twice_is_identity(focal, cx, cy):
    sample = _surface(focal, 1.1 * focal, cx, cy)
    once = flip(sample)
    twice = flip(once)
    assert np.array_equal(once.frame.image, sample.frame.image[:, ::-1])
    assert np.array_equal(twice.frame.image, sample.frame.image)
    assert twice.frame.intrinsics.as_vector() == pytest.approx(
        sample.frame.intrinsics.as_vector(), abs=1e-4)
    assert np.array_equal(twice.truth.panoptic, sample.truth.panoptic)
    assert np.array_equal(twice.truth.depth, sample.truth.depth)
    assert twice.truth.ignore is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10000), st.floats(0.3, 1.0), st.floats(1.0, 3.0))
def test_labels_and_depth_are_never_mixed(seed, low, high):
    sample = make_sample(96, 100, depth=_surface(99, 99, 9, 9).truth.depth[:, :100].copy())
    options = AugmentSettings(**EVERYTHING, scale=(low, high))
    changed = augment(sample, options, np.random.default_rng(seed))
    assert changed.frame.image.shape == (64, 128, 3)
    values = set(np.unique(sample.truth.panoptic))
    assert set(np.unique(changed.truth.panoptic)) <= values | {VOID_ID, CROWD}
    known = changed.truth.depth[np.isfinite(changed.truth.depth)]
    assert np.isin(known, sample.truth.depth).all()
    assert (changed.truth.panoptic.dtype, changed.truth.depth.dtype) == (np.int32, np.float32)
    assert changed.truth.ignore is None or changed.truth.ignore.dtype == np.bool_


@settings(max_examples=40, deadline=None)
@given(st.booleans(), st.booleans(), st.booleans(), st.integers(0, 100))
def test_labels_that_are_missing_stay_missing(has_panoptic, has_ignore, has_depth, seed):
    ignore = np.zeros((64, 128), np.bool_)
    sample = make_sample(ignore=ignore if has_ignore else None)
    truth = replace(sample.truth, panoptic=sample.truth.panoptic if has_panoptic else None,
                    depth=sample.truth.depth if has_depth else None)
    changed = augment(replace(sample, truth=truth), AugmentSettings(**EVERYTHING),
                      np.random.default_rng(seed)).truth
    assert (changed.panoptic is not None) == has_panoptic
    assert (changed.depth is not None) == has_depth
    assert changed.ignore is None or has_ignore or has_panoptic
    assert changed.has_semantics and changed.instance_classes == truth.instance_classes


@pytest.mark.parametrize('scale', [0.5, 1.0, 1.7])
def test_a_resize_scales_canonical_depth_with_the_focal_length(scale, sample):
    height, width = round(64 * scale), round(128 * scale)
    resized = resize(sample, height, width)
    before, after = (metric_factor(torch.from_numpy(s.frame.intrinsics.as_vector())[None], 500.0)
                     for s in (sample, resized))
    # Meters stay; canonical depth D * f_c / f goes by 1 / scale, as for a camera of that focal.
    assert float(after / before) == pytest.approx(height / 64)
    assert resized.frame.intrinsics.fx == pytest.approx(100 * width / 128)
    known = np.isfinite(resized.truth.depth)
    assert np.isin(resized.truth.depth[known], sample.truth.depth).all() and known.any()


@pytest.mark.parametrize('seed', range(8))
def test_both_axes_are_scaled_alike_but_for_rounding(seed):
    sample = make_sample(187, 621)
    changed = augment(sample, AugmentSettings(scale=(0.8, 1.8)), np.random.default_rng(seed))
    camera = changed.frame.intrinsics
    assert camera.fx / camera.fy == pytest.approx(1, abs=0.51 / 100)
    assert 100 * 0.79 < camera.fy < 100 * 1.81


def test_beyond_the_picture_nothing_is_known(sample):
    cut = crop(sample, -8, -8, 96, 160)
    assert (cut.frame.image[:8] == PADDING_RGB).all()
    assert (cut.truth.panoptic[:8] == VOID_ID).all()
    assert np.isnan(cut.truth.depth[:8]).all()
    assert cut.truth.ignore[:8].all() and not cut.truth.ignore[8:72, 8:136].any()
    turned = rotate(sample, 10.0, 0, 0, 64, 128)
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert (turned.truth.panoptic[corner], turned.truth.ignore[corner]) == (VOID_ID, True)
        assert np.isnan(turned.truth.depth[corner])
    assert not turned.truth.ignore[20:44, 40:90].any()


@pytest.mark.parametrize(('angle', 'window'), [
    (15.0, (0, 0, 40, 60)), (-15.0, (50, 90, 46, 70)), (8.0, (20, 30, 50, 100))])
def test_only_the_window_has_to_be_turned(angle, window):
    sample = _surface(120, 120, 77.3, 50.8)
    whole = crop(rotate(sample, angle, 0, 0, HEIGHT, WIDTH), *window)
    part = rotate(sample, angle, *window)
    assert part.frame.intrinsics.as_vector() == pytest.approx(whole.frame.intrinsics.as_vector())
    same = (part.truth.depth == whole.truth.depth) | np.isnan(whole.truth.depth)
    assert same.mean() > 0.99
    assert np.array_equal(np.isnan(part.truth.depth), np.isnan(whole.truth.depth))


def test_a_window_beside_the_picture_is_empty(sample):
    cut = crop(sample, 100, 0, 64, 64)
    assert (cut.truth.panoptic == VOID_ID).all() and (cut.frame.image == PADDING_RGB).all()


def test_augmentation_is_a_function_of_its_seed(sample):
    options = AugmentSettings(**EVERYTHING)
    a, b, c = (augment(sample, options, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(a.frame.image, b.frame.image)
    assert np.array_equal(a.truth.panoptic, b.truth.panoptic)
    assert np.array_equal(a.truth.depth, b.truth.depth, equal_nan=True)
    assert a.frame.intrinsics == b.frame.intrinsics
    assert not np.array_equal(a.frame.image, c.frame.image)


@pytest.mark.parametrize('scale', [1.0, 1.3])
def test_the_sample_stays_as_it_is(scale):
    sample = make_sample(128, 256)
    for array in (sample.frame.image, sample.truth.panoptic, sample.truth.depth):
        array.setflags(write=False)
    changed = augment(sample, AugmentSettings(**EVERYTHING, scale=(scale, scale)),
                      np.random.default_rng(3))
    for array in (changed.truth.panoptic, changed.truth.depth, changed.frame.image):
        assert array.flags.c_contiguous and array.flags.writeable
        array[:] = 0
    assert sample.truth.depth[50].any()


def test_pixels_that_are_not_square_are_not_rotated(sample):
    camera = replace(sample.frame.intrinsics, fx=120.0)
    stretched = replace(sample, frame=replace(sample.frame, intrinsics=camera))
    options = AugmentSettings(height=64, width=128, scale=(1, 1), flip=0, rotation=15)
    turned, kept = (augment(s, options, np.random.default_rng(0)) for s in (sample, stretched))
    assert np.array_equal(kept.truth.panoptic, sample.truth.panoptic)
    assert not np.array_equal(turned.truth.panoptic, sample.truth.panoptic)
    assert turned.frame.intrinsics.as_vector() == pytest.approx(
        sample.frame.intrinsics.as_vector())


@pytest.mark.parametrize(('first', 'keep_share', 'expected', 'has_depth'), [
    (38, 0.1, CROWD, False), (38, 0.0, CAR, False), (20, 0.1, CAR, False), (0, 0.1, CAR, True)])
def test_what_is_left_of_an_instance_that_the_crop_cuts(first, keep_share, expected, has_depth):
    panoptic = np.zeros((64, 128), np.int32)
    panoptic[10:20, :40] = CAR
    panoptic[40:50, 100:110] = CAR + 1
    sample = make_sample(panoptic=panoptic, instance_depth_m={CAR: 8.0, CAR + 1: 9.0})
    cut = crop(sample, 0, first, 64, 60)
    settled = settle_instances(cut.truth, sample.truth, keep_share)
    assert set(np.unique(settled.panoptic)) == {0, expected}
    assert settled.instance_depth_m == ({CAR: 8.0} if has_depth else {})
    assert cut.truth.panoptic[12, 0] == CAR


def test_cameras_and_sizes_of_all_kinds_make_one_batch():
    options = AugmentSettings(**EVERYTHING)
    samples = [make_sample(64, 128), make_sample(50, 300, depth=None), make_sample(200, 90),
               replace(_surface(300, 300, 80, 48)),
               replace(make_sample(96, 96), truth=GroundTruth())]
    batch = collate([augment(s, options, np.random.default_rng(i))
                     for i, s in enumerate(samples)])
    assert batch.image.shape == (5, 64, 128, 3)
    assert len({tuple(row) for row in batch.intrinsics.tolist()}) == 5
    assert torch.isnan(batch.depth[[1, 4]]).all() and not batch.center_known()[4].any()
    assert torch.isfinite(batch.depth[[0, 2, 3]]).flatten(1).any(1).all()


def test_transforms_of_torchvision_move_the_camera_too(sample):
    chain = v2.Compose([v2.RandomHorizontalFlip(1.0), v2.Resize([32, 96])])
    moved = to_sample(chain(to_tensors(sample)), sample)
    expected = resize(flip(sample), 32, 96)
    assert moved.frame.intrinsics == expected.frame.intrinsics
    assert np.array_equal(moved.frame.image, expected.frame.image)
    assert np.array_equal(moved.truth.panoptic, expected.truth.panoptic)


@pytest.mark.parametrize('seed', range(6))
def test_the_mounting_goes_with_the_picture(seed):
    """The ground that is seen after the changes is where the mounting then says."""
    mounting = Mounting(1.3, 4.0, 3.0)
    camera = Intrinsics(130.0, 130.0, 81.0, 47.0, WIDTH, HEIGHT)
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)])
    inverse = np.einsum('i,ihw->hw', mounting.plane, rays)
    depth = np.where(inverse > 0.02, 1 / np.maximum(inverse, 0.02), np.nan).astype(np.float32)
    before = Sample(Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), camera, mounting=mounting),
                    GroundTruth(depth=depth))
    after = augment(before, AugmentSettings(height=80, width=140, rotation=12.0, flip=0.5),
                    np.random.default_rng(seed))
    found = fit_ground(1 / after.truth.depth, np.isfinite(after.truth.depth),
                       after.frame.intrinsics)
    moved = after.frame.mounting
    assert found.height_m == pytest.approx(1.3, rel=0.03) and moved.height_m == 1.3
    assert found.pitch_deg == pytest.approx(moved.pitch_deg, abs=0.5)
    assert found.roll_deg == pytest.approx(moved.roll_deg, abs=0.5)
    assert moved.pitch_deg == 4.0 and abs(moved.roll_deg - 3.0) > 0.6


@pytest.mark.parametrize('change', [
    v2.Pad(4), v2.CenterCrop(24), v2.RandomVerticalFlip(1.0), v2.RandomAffine(5),
    v2.RandomPerspective(p=1.0), v2.RandomResizedCrop(32), v2.ElasticTransform()])
def test_a_change_that_would_leave_the_camera_behind_is_refused(change, sample):
    with pytest.raises(TypeError, match='no rule for its camera; use resize, crop'):
        change(to_tensors(replace(sample, truth=GroundTruth())))


def test_image_and_camera_have_to_be_of_one_size(sample):
    layers = to_tensors(sample)
    layers['camera'] = F.resize(layers['camera'], [32, 96])
    with pytest.raises(ConfigError, match='scale them with Intrinsics.transformed'):
        to_sample(layers, sample)


@pytest.mark.parametrize('center', [None, [30.0, 50.5]])
def test_rotation_is_that_of_torchvision(center):
    rng = np.random.default_rng(0)
    labels = cv2.resize(rng.integers(0, 9, (8, 12)).astype(np.int32), (120, 80),
                        interpolation=cv2.INTER_NEAREST)
    image = cv2.GaussianBlur(rng.integers(0, 255, (80, 120, 3), dtype=np.uint8), (0, 0), 3)
    layer = torch.from_numpy(labels)
    ours = F.rotate(layer.as_subclass(Panoptic), 7.0, center=center)
    theirs = F.rotate(layer[None], 7.0, center=center, fill=[VOID_ID])[0]
    assert (ours.numpy() == theirs.numpy()).mean() > 0.99
    picture = torch.from_numpy(image).permute(2, 0, 1)
    ours = F.rotate(picture.as_subclass(Picture), 7.0, center=center)[:, 20:60, 30:90]
    theirs = F.rotate(picture, 7.0, v2.InterpolationMode.BILINEAR, center=center)[:, 20:60, 30:90]
    assert (ours.float() - theirs.float()).abs().max() <= 4


def test_rotation_about_another_point_moves_the_principal_point(sample):
    camera = F.rotate(to_tensors(sample)['camera'], 90.0, center=[64.0, 32.0]).intrinsics()
    k = sample.frame.intrinsics
    # Counter-clockwise: what was to the right of the center is above it.
    assert (camera.cx, camera.cy) == pytest.approx((63.5 + k.cy - 31.5, 31.5 - (k.cx - 63.5)))
