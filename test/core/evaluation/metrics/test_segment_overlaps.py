# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Pixel counts of pairs of segments."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from panoptic_depth_core.evaluation.metrics.segment_overlaps import (
    joint_table,
    segment_overlaps,
    side_by_side,
)
from panoptic_depth_core.labels import VOID_CLASS, VOID_ID

IDS = st.sampled_from([0, 8000, 13001, 13002, 18000, VOID_ID])


def test_a_scene_by_hand() -> None:
    truth = np.array([[0, 0, 0, 13001], [VOID_ID, 13001, 13001, 13001]], np.int32)
    predicted = np.array([[0, 0, 13007, 13007], [13007, 13007, 13007, VOID_ID]], np.uint16)
    overlaps = segment_overlaps(truth, predicted)
    assert overlaps.truth_id.tolist() == [0, 13001, VOID_ID]
    assert overlaps.truth_class.tolist() == [0, 13, VOID_CLASS]
    assert overlaps.truth_instance.tolist() == [0, 1, 0]
    assert overlaps.truth_void.tolist() == [False, False, True]
    assert overlaps.predicted_id.tolist() == [0, 13007, VOID_ID]
    assert overlaps.pixels.tolist() == [[2, 1, 0], [0, 3, 1], [0, 1, 0]]
    assert overlaps.pixels[overlaps.truth_void].sum(axis=0).tolist() == [0, 1, 0]
    rows, columns, iou = overlaps.matches()
    assert rows.tolist() == [0, 1]
    assert columns.tolist() == [0, 1]
    # 3 shared of 4 + 5 - 3 - 1 on void.
    np.testing.assert_allclose(iou, [2 / 3, 3 / 5], rtol=1e-12)


def test_an_iou_of_one_half_is_no_match() -> None:
    overlaps = segment_overlaps(np.array([0, 0, 1000, 1000]), np.array([0, 2000, 2000, 1000]))
    assert not len(overlaps.matches()[0])


def test_void_matches_nothing_even_where_absence_is_known() -> None:
    void = np.full((2, 2), VOID_ID, np.int32)
    for unlabelled_is_void in (True, False):
        overlaps = segment_overlaps(void, void, unlabelled_is_void=unlabelled_is_void)
        assert not len(overlaps.matches()[0])
        assert overlaps.truth_void.tolist() == [unlabelled_is_void]


def test_ignored_pixels_have_a_row_of_their_own() -> None:
    truth = np.array([[13001, 13001, 13001, 0]], np.int32)
    ignore = np.array([[False, True, True, False]])
    overlaps = segment_overlaps(truth, truth, ignore=ignore, unlabelled_is_void=False)
    assert overlaps.truth_id.tolist() == [0, 13001, 13001]
    assert overlaps.truth_void.tolist() == [False, False, True]
    assert overlaps.pixels.sum(axis=1).tolist() == [1, 1, 2]


def test_divisors_may_differ() -> None:
    overlaps = segment_overlaps(np.array([13001, 0]), np.array([26001, 0], np.uint16),
                                predicted_divisor=2000)
    assert overlaps.predicted_class.tolist() == [0, 13]
    assert len(overlaps.matches()[0]) == 2


def test_products_of_small_integer_types_do_not_wrap() -> None:
    # 300 x 300 segments: ids, rows and their products are beyond 16 bits.
    truth = np.repeat(np.arange(300), 300).astype(np.uint16) + 13000
    predicted = np.tile(np.arange(300), 300).astype(np.int16) + 13000
    overlaps = segment_overlaps(truth, predicted)
    assert overlaps.pixels.shape == (300, 300)
    assert (overlaps.pixels == 1).all()
    # Twice 40000 is twice 7232 in 16 bits, and void is the greatest value of all.
    truth = np.array([40000, 7232, VOID_ID], np.uint16)
    overlaps = segment_overlaps(truth, truth, truth_divisor=3000, predicted_divisor=3000)
    assert overlaps.truth_id.tolist() == [7232, 40000, VOID_ID]
    assert overlaps.truth_class.tolist() == [2, 13, VOID_CLASS]
    assert overlaps.pixels.tolist() == np.eye(3).tolist()


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.int32, (3, 7), elements=IDS), hnp.arrays(np.uint16, (3, 7), elements=IDS),
       hnp.arrays(np.bool_, (3, 7)))
def test_counts_are_those_of_a_loop_over_pixels(truth, predicted, ignore) -> None:
    expected = Counter(zip(truth.ravel().tolist(), ignore.ravel().tolist(),
                           predicted.ravel().tolist(), strict=True))
    overlaps = segment_overlaps(truth, predicted, ignore=ignore, unlabelled_is_void=False)
    ignored = overlaps.truth_void
    found = {(int(t), bool(ignored[i]), int(p)): int(overlaps.pixels[i, j])
             for i, t in enumerate(overlaps.truth_id)
             for j, p in enumerate(overlaps.predicted_id) if overlaps.pixels[i, j]}
    assert found == expected
    rows, columns, _ = overlaps.matches()
    assert len(set(rows)) == len(rows)
    assert len(set(columns)) == len(columns)


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.int32, (2, 3, 7), elements=IDS),
       hnp.arrays(np.uint16, (2, 3, 7), elements=IDS),
       hnp.arrays(np.uint8, (2, 3, 7), elements=st.integers(0, 3)), st.integers(0, 3))
def test_levels_of_several_frames(truth, predicted, level, least: int) -> None:
    """One count serves every level, and counts of frames add up to those of both."""
    table = side_by_side([joint_table(*arrays, level=levels, levels=4) for *arrays, levels in zip(
        truth, predicted, level, strict=True)])
    ours = table.overlaps(least_level=least)
    theirs = segment_overlaps(truth, np.where(level >= least, predicted, VOID_ID))
    for name in vars(theirs):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_errors_name_the_thing_and_the_remedy() -> None:
    ids = np.zeros((2, 3), np.int32)
    with pytest.raises(ValueError, match=r'shapes \(2, 3\), \(3, 2\); give non-empty ones'):
        segment_overlaps(ids, ids.T)
    with pytest.raises(ValueError, match='give non-empty'):
        segment_overlaps(ids[:0], ids[:0])
    with pytest.raises(ValueError, match='prediction: panoptic ids are float32; give an array of'):
        segment_overlaps(ids, ids.astype(np.float32))
    overlaps = segment_overlaps(ids + 32000, ids)
    with pytest.raises(ValueError, match=r'truth: panoptic id 32000 is of class 32, but .* 0..18'):
        overlaps.require_classes(19)
    with pytest.raises(ValueError, match=r'prediction: panoptic id -5 is of class -1'):
        segment_overlaps(ids, ids - 5).require_classes(19)
