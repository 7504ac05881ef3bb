# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The parts that the readers of data sets share."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_trees import write_png
from hypothesis import given
from hypothesis import strategies as st
from panoptic_depth_core.datasets.label_files import (
    OUTSIDE,
    classes_of_label_ids,
    instance_depths,
    panoptic_ids,
    read_depth,
    read_disparity,
)
from panoptic_depth_core.labels import (
    CITYSCAPES,
    CLASS_ID,
    SEMKITTI,
    VOID_CLASS,
    VOID_ID,
)

CAR = CLASS_ID['car'] * 1000


def test_panoptic_ids():
    classes = np.array([0, 13, 13, 13, VOID_CLASS, 19, -1, 13])
    instances = np.array([4, 0, 1, 999, 5, 0, 0, 1000])
    assert panoptic_ids(classes, instances).tolist() == [
        0, CAR, CAR + 1, CAR + 999, VOID_ID, OUTSIDE, OUTSIDE, OUTSIDE]
    assert panoptic_ids(np.array([0, 8]), np.array([7, 7]), SEMKITTI).tolist() == [7, 8000]


def test_label_ids_of_cityscapes():
    for info in CITYSCAPES:
        assert classes_of_label_ids(np.array(info.cityscapes_id)) == info.class_id
    assert classes_of_label_ids(np.array([0, 6, 33, 34, 254, 255, 300])).tolist() == [
        VOID_CLASS, VOID_CLASS, 18, OUTSIDE, OUTSIDE, VOID_CLASS, OUTSIDE]


@given(st.integers(0, 10 ** 6), st.integers(1, 40), st.integers(1, 40))
def test_medians_are_those_of_numpy(seed, height, width):
    rng = np.random.default_rng(seed)
    panoptic = rng.choice([0, CAR, CAR + 1, CAR + 2, 18999, VOID_ID], (height, width)).astype(
        np.int32)
    depth = rng.choice([np.nan, np.inf, 1.5, 80.0, 255.99], (height, width)).astype(np.float32)
    expected = {}
    for panoptic_id in (CAR + 1, CAR + 2, 18999):
        values = depth[(panoptic == panoptic_id) & np.isfinite(depth)]
        if values.size:
            expected[panoptic_id] = float(np.median(values))
    assert instance_depths(panoptic, depth) == expected


def test_no_depth_no_medians():
    panoptic = np.full((2, 3), CAR + 1, np.int32)
    assert instance_depths(panoptic, None) == {}
    assert instance_depths(panoptic, np.full((2, 3), np.nan, np.float32)) == {}


def test_stored_depth_and_disparity(tmp_path):
    path = tmp_path / 'stored.png'
    write_png(path, np.array([[0, 1, 2, 257, 65535]], np.uint16))
    expected = [np.nan, 1 / 256, 2 / 256, 257 / 256, 65535 / 256]
    np.testing.assert_array_equal(read_depth(path, (1, 5))[0], np.float32(expected))
    np.testing.assert_allclose(read_disparity(path, (1, 5), 512.0)[0], 512.0 / np.array(expected))
    np.testing.assert_allclose(read_disparity(path, (1, 5), 512.0, offset=1)[0], [
        np.nan, np.nan, 512.0 * 256, 512.0, 512.0 * 256 / 65534], rtol=1e-6)


def test_the_arrays_are_float32(tmp_path):
    path = tmp_path / 'stored.png'
    write_png(path, np.full((2, 2), 700, np.uint16))
    assert read_depth(path, (2, 2)).dtype == np.float32
    assert read_disparity(path, (2, 2), 100.0).dtype == np.float32
    with pytest.raises(ValueError, match='2x2 px, but its picture has 3x2 px'):
        read_depth(path, (2, 3))
