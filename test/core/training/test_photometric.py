# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Changes of color, sharpness and noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panoptic_depth_core.training.augmentation import (
    AugmentSettings,
    change_colors,
    chroma_matrix,
    compress,
)

LUMA = np.array([0.299, 0.587, 0.114])
NOTHING = {'brightness': 0, 'contrast': 0, 'tint': 0, 'gamma': 0, 'blur': 0, 'noise': 0}


@pytest.fixture
def image() -> np.ndarray:
    """Random colors in blocks of 8 px, which JPEG keeps well."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(60, 196, (8, 16, 3), dtype=np.uint8)
    return blocks.repeat(8, axis=0).repeat(8, axis=1)


def _change(image: np.ndarray, seed: int = 0, **changes: object) -> np.ndarray:
    options = AugmentSettings(**{**NOTHING, **changes})
    return change_colors(image, options, np.random.default_rng(seed))


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 2), st.floats(-180, 180), st.lists(st.floats(0, 255), min_size=3, max_size=3))
def test_hue_and_saturation_leave_luma_and_grey(saturation, hue, color):
    matrix = chroma_matrix(saturation, hue)
    assert LUMA @ matrix @ color == pytest.approx(LUMA @ color, abs=1e-9)
    assert matrix @ (77, 77, 77) == pytest.approx([77, 77, 77])
    assert chroma_matrix(1, 0) == pytest.approx(np.eye(3))
    assert chroma_matrix(0, hue) == pytest.approx(np.tile(LUMA, (3, 1)))


def test_a_third_of_a_turn_makes_green_the_largest_channel_of_red():
    assert (chroma_matrix(1, 120) @ (200, 40, 40)).argmax() == 1


def test_ranges_of_zero_change_nothing(image):
    assert np.array_equal(_change(image), image)


def test_a_probability_of_zero_changes_nothing(image):
    strong = {'brightness': 0.9, 'contrast': 0.9, 'tint': 0.5, 'gamma': 0.9, 'saturation': 1.0,
              'hue': 90}
    assert np.array_equal(_change(image, **strong, colors=0.0), image)
    changed = [not np.array_equal(_change(image, seed, brightness=0.5, colors=0.5), image)
               for seed in range(40)]
    assert 5 < sum(changed) < 35


@pytest.mark.parametrize('change', [
    {'brightness': 0.5}, {'contrast': 0.5}, {'tint': 0.3}, {'gamma': 0.5}, {'saturation': 0.8},
    {'hue': 60}, {'blur': 1.0}, {'noise': 30}, {'jpeg': 1.0, 'jpeg_quality': (20, 20)}])
def test_each_change_changes_the_picture_only(image, change):
    before = image.copy()
    changed = _change(image, 3, **change)
    assert changed.dtype == np.uint8 and changed.shape == image.shape
    assert not np.array_equal(changed, image)
    assert np.array_equal(image, before)
    assert np.array_equal(changed, _change(image, 3, **change))


def test_noise_is_grey_and_of_the_strength_drawn():
    flat = np.full((200, 300, 3), 120, np.uint8)
    strength = [(_change(flat, seed, noise=20).astype(int) - 120) for seed in range(6)]
    assert all((noise == noise[..., :1]).all() for noise in strength)
    assert 5 < max(noise.std() for noise in strength) < 21
    assert max(abs(noise.mean()) for noise in strength) < 0.5


def test_compression_keeps_the_order_of_the_channels():
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    assert compress(red, 90)[16, 16] == pytest.approx([200, 0, 0], abs=4)


def test_stronger_compression_is_further_from_the_picture(image):
    noisy = _change(image, 1, noise=40).astype(float)
    near, far = (np.abs(compress(noisy.astype(np.uint8), q) - noisy).mean() for q in (95, 20))
    assert 0 < near < far
