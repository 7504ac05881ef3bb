# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Images of labels and depth as truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.truth_images import (
    LabelImage,
    depth_of,
    ground_truth,
    instance_depths,
    labels_of,
    medians,
    pixel_counts,
)
from panoptic_depth_core.labels import CITYSCAPES, LABEL_DIVISOR, THING_CLASSES, VOID_ID


def image(values: np.ndarray, encoding: str) -> Any:
    """Return a sensor_msgs/Image."""
    return make.image(make.header(0, ''), values, encoding)


def test_labels() -> None:
    ids = np.array([[0, 13_001, VOID_ID], [11_000, 13_001, 18_999]], np.uint16)
    found = labels_of(image(ids, '16UC1'))
    assert found.has_instances
    np.testing.assert_array_equal(found.ids, ids)
    for encoding in ('8UC1', 'mono8'):
        found = labels_of(image(np.array([[0, 13, 255], [18, 64, 66]], np.uint8), encoding))
        assert not found.has_instances and found.ids.dtype == np.uint16
        np.testing.assert_array_equal(found.ids, [[0, 13_000, VOID_ID], [18_000, 64_000, VOID_ID]])


@pytest.mark.parametrize(('read', 'values', 'encoding', 'words'), [
    (labels_of, np.zeros((2, 2), np.float32), '32FC1', "'32FC1'; give 16UC1 panoptic ids or 8UC1"),
    (labels_of, np.zeros((2, 2, 3), np.uint8), 'rgb8', "'rgb8'; give 16UC1"),
    (depth_of, np.zeros((2, 2), np.uint8), 'mono8', "'mono8'; give 32FC1 meters or 16UC1"),
    (depth_of, np.zeros((2, 2, 3), np.uint8), 'bgr8', "'bgr8'; give 32FC1 meters"),
])
def test_other_encodings(read: Any, values: np.ndarray, encoding: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(image(values, encoding))


def test_depth() -> None:
    meters = np.array([[1.5, np.inf], [np.nan, -np.inf]], np.float32)
    message = image(meters, '32FC1')
    found = depth_of(message)
    np.testing.assert_array_equal(found, meters)
    assert np.shares_memory(found, message.data)
    holed = np.array([[0, 2.5]], np.float32)
    np.testing.assert_array_equal(depth_of(image(holed, '32FC1')), [[np.nan, 2.5]])
    found = depth_of(image(np.array([[0, 1, 65_535]], np.uint16), '16UC1'))
    np.testing.assert_allclose(found, [[np.nan, 0.001, 65.535]], rtol=1e-6)
    assert found.dtype == np.float32


@given(st.integers(0, 1 << 30), st.integers(1, 9), st.integers(1, 9))
def test_instance_depths(seed: int, height: int, width: int) -> None:
    """Against a mask per instance."""
    random = np.random.default_rng(seed)
    ids = random.choice(np.array([0, 1, 13_000, 13_001, 13_002, VOID_ID], np.uint16),
                        (height, width))
    depth = random.choice(np.array([1, 2, 3.5, np.nan, np.inf, -np.inf], np.float32), ids.shape)
    expected = {}
    for number in np.unique(ids).tolist():
        values = depth[ids == number]
        values = values[np.isfinite(values)]
        if number != VOID_ID and number % LABEL_DIVISOR and values.size:
            expected[number] = float(np.median(values))
    assert instance_depths(ids, depth) == expected
    assert pixel_counts(ids) == dict(zip(*(part.tolist() for part in np.unique(
        ids, return_counts=True)), strict=True))


def test_truth() -> None:
    ids = np.array([[0, 13_001], [13_001, VOID_ID]], np.uint16)
    depth = np.array([[1, 2], [4, 8]], np.float32)
    both = ground_truth(LabelImage(ids, True), depth, CITYSCAPES)
    assert both.panoptic is not None and both.panoptic.dtype == np.int32
    np.testing.assert_array_equal(both.panoptic, ids)
    assert both.has_semantics and both.instance_classes == THING_CLASSES
    assert both.instance_depth_m == {13_001: 3.0} and both.ignore is None
    classes_only = ground_truth(LabelImage(ids, False), depth, CITYSCAPES)
    assert classes_only.instance_classes == () and classes_only.instance_depth_m == {}
    no_depth = ground_truth(LabelImage(ids, True), None, CITYSCAPES)
    assert no_depth.depth is None and no_depth.instance_depth_m == {}
    no_labels = ground_truth(None, depth, CITYSCAPES)
    assert no_labels.depth is depth and no_labels.panoptic is None
    assert not no_labels.has_semantics and no_labels.instance_classes == ()


def test_classes_that_are_not_in_the_table() -> None:
    ids = np.array([[0, 19_000]], np.uint16)
    with pytest.raises(ConfigError, match='the id 19000, of class 19, but there are 19 classes'):
        ground_truth(LabelImage(ids, True), None, CITYSCAPES)


@pytest.mark.parametrize('count', [0, 1, 2, 7, 4000])
def test_medians_of_groups_are_those_of_numpy(count: int) -> None:
    rng = np.random.default_rng(count)
    groups = rng.integers(0, 9, count).astype(np.uint16)
    values = rng.lognormal(2.0, 1.5, count).astype(np.float32)
    values[1::5] = np.array([np.nan, np.inf, -np.inf, -3.0, 0.0], np.float32)[
        np.arange(len(values[1::5])) % 5]
    found = medians(groups, values)
    good = np.isfinite(values) & (values > 0)
    assert found.groups.tolist() == np.unique(groups[good]).tolist()
    for group, size, value in zip(*found, strict=True):
        mine = values[good & (groups == group)]
        assert (size, value) == (mine.size, np.median(mine))
