# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Where pixels were: shifts that are known, what is hidden, and what cannot be searched."""

from __future__ import annotations

from collections.abc import Iterator

import consistency_scenes as scene
import cv2
import numpy as np
import pytest
from consistency_scenes import LABELS, TEXTURE, seen
from panoptic_depth_core.evaluation.metrics.optical_flow import (
    path_between,
    reduced_gray,
    reduced_shape,
)

SHAPE = scene.HEIGHT, scene.WIDTH


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)


def gray(index: int, step=scene.STEP) -> np.ndarray:
    return reduced_gray(seen(TEXTURE, index, step), SHAPE)


def error(path, shift) -> float:
    """Error in px that 99 % of the known positions are within."""
    y, x = np.indices(SHAPE)
    off = path.at - np.stack([x - shift[0], y - shift[1]], axis=-1)
    return np.quantile(np.abs(off[path.known]).max(axis=1), 0.99)


@pytest.mark.parametrize('step', [(0, 0), (3, 1), (-6, 2), (14, -5)])
def test_a_shift_is_found(step) -> None:
    path = path_between(gray(1, step), gray(0, step))
    # What came in at the borders cannot be known.
    inside = (scene.WIDTH - abs(step[0])) * (scene.HEIGHT - abs(step[1]))
    assert 0.97 * inside < path.known.sum() <= inside
    assert error(path, step) < 0.5


def test_paths_are_joined() -> None:
    first = path_between(gray(1), gray(0))
    second = path_between(gray(2), gray(1))
    both = second.after(first)
    assert not (both.known & ~second.known).any()
    assert both.known.sum() > 0.9 * first.known.sum()
    assert error(both, (6, 2)) < 0.5
    # Not one of them is in the rows and columns that came in with two steps.
    assert not both.known[:, :5].any() and not both.known[:1].any()


def test_labels_and_values_of_where_pixels_were() -> None:
    path = path_between(gray(1), gray(0))
    labels = path.labels(seen(LABELS, 0))
    assert np.array_equal(labels[path.known], seen(LABELS, 1)[path.known])
    # A plane is what linear interpolation is exact for.
    y, x = np.indices(SHAPE).astype(np.float32)
    values = path.sample(2 * x + 3 * y)
    assert np.abs(values - (2 * path.at[..., 0] + 3 * path.at[..., 1]))[path.known].max() < 0.2
    assert np.isnan(values[~path.known]).all()


def test_what_was_hidden_is_not_known() -> None:
    """A square of another texture moves 6 px to the right over an image that stays."""
    before, now = gray(0).copy(), gray(0).copy()
    before[30:90, 60:120] = now[30:90, 66:126] = TEXTURE[5:65, 5:65, 1]
    path = path_between(now, before)
    assert path.known[34:86, 70:122].mean() > 0.95
    assert path.known[:, :50].mean() > 0.95
    assert path.known[34:86, 60:66].mean() < 0.5
    assert np.array_equal(np.isnan(path.sample(np.ones(SHAPE, np.float32))), ~path.known)


def test_the_same_bytes_every_time() -> None:
    first, second = (path_between(gray(1), gray(0)) for _ in range(2))
    path_between(gray(5), gray(9))
    third = path_between(gray(1), gray(0))
    for other in (second, third):
        assert first.at.tobytes() == other.at.tobytes()
        assert first.known.tobytes() == other.known.tobytes()


@pytest.mark.parametrize('shape', [(31, 400), (400, 31), (16, 300), (1, 1)])
def test_too_small_to_search(shape) -> None:
    image = np.zeros(shape, np.uint8)
    assert path_between(image, image) is None


def test_size_of_the_reduced_image() -> None:
    assert reduced_shape((375, 1242), 414) == (125, 414)
    assert reduced_shape((120, 200), 414) == (120, 200)
    assert reduced_shape((1, 1000), 100) == (1, 100)
    picture = np.full((375, 1242, 3), 7, np.uint8)
    assert reduced_gray(picture, (125, 414)).shape == (125, 414)
