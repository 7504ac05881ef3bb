# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""From rows of the table to panoptic ids."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from panoptic_depth_core.contract import NO_SEGMENT
from panoptic_depth_core.inference.segments import assemble_segments, less_certain
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, VOID_ID
from panoptic_depth_core.structures import Segment

CAR, PERSON, ROAD, SKY = (CLASS_ID[n] for n in ('car', 'person', 'road', 'sky'))


def assemble(index, table, **changes):
    options = {'label_divisor': 1000, 'min_instance_pixels': 0, **changes}
    return assemble_segments(np.asarray(index, np.uint8), np.asarray(table, np.float32),
                             CITYSCAPES, **options)


def test_ids_instances_and_void(table):
    ids, segments = assemble([[0, 1, 2, 3], [4, 5, NO_SEGMENT, 0]], table)
    # Row 3 is the better car, so instance 1; row 5 is not valid.
    assert ids.dtype == np.uint16
    assert ids.tolist() == [[0, SKY * 1000, CAR * 1000 + 2, CAR * 1000 + 1],
                            [PERSON * 1000 + 1, VOID_ID, VOID_ID, 0]]
    assert [s.panoptic_id for s in segments] == [13001, 0, 10000, 13002, 11001]
    best = segments[0]
    assert (best.class_id, best.instance_id, best.is_thing, best.pixel_count) == (CAR, 1, True, 1)
    assert best.score == pytest.approx(0.95)
    assert best.log_depth_scale == pytest.approx(0.02)
    assert segments[1].pixel_count == 2 and not segments[1].is_thing
    assert math.isnan(segments[2].log_depth_scale)


def test_empty_scene():
    ids, segments = assemble(np.full((3, 4), NO_SEGMENT), np.zeros((0, 6)))
    assert (ids == VOID_ID).all() and segments == ()


def test_temperature_scales_the_uncertainty(table):
    _, segments = assemble([[3]], table, log_depth_temperature=2.0)
    assert segments[0].log_depth_scale == pytest.approx(0.04)


def test_small_instances_become_void_and_leave_no_gap_in_numbers(table):
    ids, segments = assemble([[3, 2, 2, 0]], table, min_instance_pixels=2)
    assert ids.tolist() == [[VOID_ID, 13001, 13001, 0]]
    # Stuff of one pixel stays.
    assert {s.panoptic_id for s in segments} == {13001, 0}


def test_size_is_that_in_the_image(table):
    _, segments = assemble([[3, 2]], table, min_instance_pixels=10,
                           pixel_counts=np.array([[16.0, 9.0]]))
    assert [(s.panoptic_id, s.pixel_count) for s in segments] == [(13001, 16)]


def test_semantic_row_of_a_thing_class_has_instance_0():
    ids, segments = assemble([[0]], [[1, CAR, 0, 0.5, 0.1, 1]], min_instance_pixels=5)
    assert ids[0, 0] == CAR * 1000
    assert segments[0].instance_id == 0 and segments[0].is_thing


def test_two_rows_of_one_region_are_one_segment():
    ids, segments = assemble([[0, 1, 1]], [[1, ROAD, 0, 0.4, 0.1, 1], [1, ROAD, 0, 0.5, 0.2, 1]])
    assert (ids == 0).all()
    assert len(segments) == 1 and segments[0].pixel_count == 3
    assert segments[0].score == pytest.approx(0.5)


def test_more_instances_than_the_divisor_has_room_for():
    """Those of least score become void, no id runs into the next class."""
    table = [[1, PERSON, 1, 0.1 * (i + 1), 0.1, 1] for i in range(4)]
    ids, segments = assemble([[0, 1, 2, 3]], table, label_divisor=3)
    assert ids.tolist() == [[VOID_ID, VOID_ID, PERSON * 3 + 2, PERSON * 3 + 1]]
    assert len(segments) == 2


@given(st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_segments_and_pixels_agree(seed, least):
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(0, 40))
    table = np.zeros((rows, 6), np.float32)
    table[:, 0] = rng.random(rows) < 0.8
    table[:, 1] = rng.integers(0, 19, rows)
    table[:, 2] = [CITYSCAPES[int(c)].is_thing and rng.random() < 0.8 for c in table[:, 1]]
    table[:, 3] = rng.random(rows)
    index = rng.choice(np.r_[np.arange(rows), NO_SEGMENT], (6, 9)).astype(np.uint8)
    ids, segments = assemble(index, table, min_instance_pixels=least)
    found, counts = np.unique(ids[ids != VOID_ID], return_counts=True)
    assert {s.panoptic_id: s.pixel_count for s in segments} == dict(
        zip(found.tolist(), counts.tolist(), strict=True))
    for segment in segments:
        assert segment.panoptic_id == segment.class_id * 1000 + segment.instance_id
        assert segment.instance_id == 0 or segment.pixel_count >= least
    for thing in {s.class_id for s in segments if s.instance_id}:
        mine = [s for s in segments if s.class_id == thing and s.instance_id]
        assert [s.instance_id for s in mine] == list(range(1, len(mine) + 1))
        assert sorted((s.score for s in mine), reverse=True) == [s.score for s in mine]


def test_most_instances(table):
    """The best over all classes stay; regions, also of thing classes, do not count."""
    crowd = [[1, CAR, 0, 0.99, 0.1, 1]]
    index = [[0, 1, 2, 3, 4, 6, NO_SEGMENT]]
    ids, segments = assemble(index, np.vstack([table, crowd]), max_instances=2)
    assert ids.tolist() == [[0, SKY * 1000, CAR * 1000 + 2, CAR * 1000 + 1, VOID_ID, CAR * 1000,
                             VOID_ID]]
    assert [s.instance_id for s in segments] == [0, 1, 0, 0, 2]
    ids, _ = assemble(index, np.vstack([table, crowd]), max_instances=1)
    assert ids.tolist() == [[0, SKY * 1000, VOID_ID, CAR * 1000 + 1, VOID_ID, CAR * 1000, VOID_ID]]


def test_what_is_too_small_takes_no_place_of_the_most(table):
    ids, _ = assemble([[3, 2, 2, 4, 4]], table, min_instance_pixels=2, max_instances=2)
    assert ids.tolist() == [[VOID_ID, 13001, 13001, 11001, 11001]]


def test_an_error_that_is_added():
    """In variances: of a Laplace distribution it is 2 b^2."""
    segments = (Segment(13001, 13, 1, True, 0.9, 10, 0.1), Segment(0, 0, 0, False, 0.9, 10))
    more = less_certain(segments, 0.15)
    assert 2 * more[0].log_depth_scale ** 2 == pytest.approx(2 * 0.1 ** 2 + 0.15 ** 2)
    assert math.isnan(more[1].log_depth_scale)
    assert replace(more[0], log_depth_scale=0.1) == segments[0]
