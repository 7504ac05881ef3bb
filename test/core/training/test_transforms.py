# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Geometry of the augmentation: picture, labels, depth and camera move together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from miniature import make_sample
from panoptic_depth_core.contract import PADDING_RGB
from panoptic_depth_core.labels import CLASS_ID, LABEL_DIVISOR, VOID_ID
from panoptic_depth_core.structures import Frame, GroundTruth, Intrinsics, Sample
from panoptic_depth_core.training.transforms import (
    AugmentSettings,
    augment,
    crop,
    flip,
    resize,
)

CAR = CLASS_ID['car'] * LABEL_DIVISOR + 1


def _marked(u: int, v: int) -> Sample:
    """Black picture with a bright, labelled 9x9 square around (u, v), 10 m away."""
    image = np.zeros((96, 160, 3), np.uint8)
    panoptic = np.zeros((96, 160), np.int32)
    depth = np.full((96, 160), 50.0, np.float32)
    window = np.s_[v - 4:v + 5, u - 4:u + 5]
    image[window], panoptic[window], depth[window] = 255, CAR, 10.0
    camera = Intrinsics(120.0, 118.0, 77.0, 50.0, 160, 96)
    return Sample(Frame(image, camera), GroundTruth(panoptic, True, (13,), None, depth))


def _ray(sample: Sample, mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    k = sample.frame.intrinsics
    return (columns.mean() - k.cx) / k.fx, (rows.mean() - k.cy) / k.fy


@settings(max_examples=40, deadline=None)
@given(st.integers(40, 120), st.integers(30, 66), st.floats(0.6, 2.2), st.integers(-20, 10),
       st.integers(-20, 10), st.booleans())
def test_a_point_keeps_its_ray_through_any_chain(u, v, scale, top, left, mirrored):
    before = _marked(u, v)
    after = crop(resize(before, scale), top, left, 280, 400)
    if mirrored:
        after = flip(after)
    assert after.truth.panoptic is not None and after.truth.depth is not None
    expected = _ray(before, before.truth.panoptic == CAR)
    found = _ray(after, after.truth.panoptic == CAR)
    bright = _ray(after, after.frame.image[..., 0] > 200)
    half_pixel = 0.75 / (118.0 * scale)
    assert (-found[0] if mirrored else found[0]) == pytest.approx(expected[0], abs=half_pixel)
    assert found[1] == pytest.approx(expected[1], abs=half_pixel)
    assert bright == pytest.approx(found, abs=half_pixel)
    assert set(np.unique(after.truth.depth[after.truth.panoptic == CAR])) == {10.0}


def test_flip_twice_is_identity(sample):
    twice = flip(flip(sample))
    assert np.array_equal(twice.frame.image, sample.frame.image)
    assert twice.frame.intrinsics == sample.frame.intrinsics
    assert np.array_equal(twice.truth.panoptic, sample.truth.panoptic)
    assert np.array_equal(twice.truth.depth, sample.truth.depth, equal_nan=True)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_labels_and_depth_are_never_mixed(seed):
    sample = make_sample()
    changed = augment(sample, AugmentSettings(height=64, width=128), np.random.default_rng(seed))
    assert changed.frame.image.shape == (64, 128, 3)
    assert set(np.unique(changed.truth.panoptic)) <= set(np.unique(sample.truth.panoptic)) | {
        VOID_ID}
    known = changed.truth.depth[np.isfinite(changed.truth.depth)]
    assert np.isin(known, sample.truth.depth).all()


def test_beyond_the_picture_nothing_is_known(sample):
    cut = crop(sample, -8, -8, 96, 160)
    assert (cut.frame.image[:8] == PADDING_RGB).all()
    assert (cut.truth.panoptic[:8] == VOID_ID).all()
    assert np.isnan(cut.truth.depth[:8]).all()
    assert cut.truth.ignore[:8].all() and not cut.truth.ignore[8:72, 8:136].any()


def test_augmentation_is_a_function_of_its_seed(sample):
    options = AugmentSettings(height=64, width=128)
    a, b, c = (augment(sample, options, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(a.frame.image, b.frame.image)
    assert not np.array_equal(a.frame.image, c.frame.image)
