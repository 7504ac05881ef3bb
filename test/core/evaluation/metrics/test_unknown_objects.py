# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Objects of no class: what is nearer, invented, called ground and overlooked, by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from panoptic_depth_core.evaluation.dataset.evaluate import EvaluationResult, evaluate
from panoptic_depth_core.evaluation.report.dataset_report import tables, to_dict
from panoptic_depth_core.labels import CLASS_ID, VOID_ID
from panoptic_depth_core.structures import (
    Frame,
    GroundTruth,
    Intrinsics,
    PanopticDepth,
    Sample,
    UnknownObjects,
)

HEIGHT, WIDTH = 40, 60
ROAD, CAR = CLASS_ID['road'] * 1000, CLASS_ID['car'] * 1000 + 1
SKY = CLASS_ID['sky'] * 1000
BARREL, TIRE, CRUMB = (slice(10, 20), slice(5, 25)), (slice(25, 35), slice(30, 40)), (
    slice(0, 5), slice(50, 60))
MakeResult = Callable[..., PanopticDepth]


def sample() -> Sample:
    """A barrel at 10 m of 200 px before 14.4 m, a tire at 30 m of 100 px, a crumb of 50 px."""
    behind = np.full((HEIGHT, WIDTH), 14.4, np.float32)
    behind[10:12] = np.inf  # Above the barrel's upper 40 px is sky: 80 m count.
    behind[TIRE] = 36.0
    behind[30:35, 30:40] = 31.0  # The lower half of the tire does not stand out.
    number, depth = np.zeros(behind.shape, np.uint8), behind.copy()
    for i, (place, meters) in enumerate(((BARREL, 10.0), (TIRE, 30.0), (CRUMB, 5.0)), 1):
        number[place], depth[place] = i, meters
    panoptic = np.where(number > 0, VOID_ID, ROAD).astype(np.int32)
    frame = Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), Intrinsics.from_fov(
        80, WIDTH, HEIGHT), name='one')
    return Sample(frame, GroundTruth(
        panoptic, True, (CLASS_ID['car'],), depth=depth, unknown_objects=UnknownObjects(
            number, ('barrel', 'tire', 'crumb'), behind)))


def measured(make: MakeResult, panoptic: np.ndarray, depth: np.ndarray,
             one: Sample | None = None, **changes: object) -> EvaluationResult:
    one = one or sample()
    result = make(one.frame, panoptic, depth, dict.fromkeys(
        set(np.unique(panoptic).tolist()) - {VOID_ID}, 10.0))
    return evaluate(lambda frame: replace(result, **changes), [one])


def test_by_hand(result_of: MakeResult) -> None:
    truth = sample().truth
    assert truth.depth is not None
    panoptic = np.full((HEIGHT, WIDTH), ROAD)
    panoptic[10:13, 5:25] = CAR  # 60 of the 200 px of the barrel.
    panoptic[13, 5:25] = VOID_ID  # 20 more.
    depth = truth.depth.copy()
    depth[BARREL] = 12.1  # Farther than sqrt(10 * 14.4) = 12, nearer than sqrt(10 * 80).
    depth[15:20, 5:25] = 11.9
    depth[19, 5:25] = np.nan
    depth[TIRE] = 33.0  # Above sqrt(30 * 36) = 32.9.
    found = measured(result_of, panoptic, depth).unknown_objects
    barrel, tire = found.records
    assert (barrel.kind, barrel.pixels, barrel.depth_m, tire.kind) == ('barrel', 200, 10, 'tire')
    # Two rows before the sky, four at 11.9 m; the row without a depth is not nearer.
    assert barrel.nearer_share == pytest.approx(0.6)
    assert barrel.depth_error == pytest.approx(0.21, rel=1e-5)
    assert (barrel.thing_share, barrel.ground_share) == pytest.approx((0.3, 0.6))
    assert barrel.class_shares == pytest.approx({'road': 0.6, 'car': 0.3, 'void': 0.1})
    assert list(barrel.class_shares) == ['road', 'car', 'void']
    assert (tire.nearer_share, tire.depth_error) == pytest.approx((0.0, 0.1), rel=1e-5)
    assert not barrel.overlooked and tire.overlooked
    assert (found.all.objects, found.all.overlooked_share) == (2, 0.5)
    assert found.all.nearer_share == pytest.approx(0.3)
    assert found.all.depth_error == pytest.approx((0.21 + 0.1) / 2, rel=1e-5)
    assert found.invented == pytest.approx({'car': 0.15})
    assert [group.objects for group in found.by_range.values()] == [1, 0, 1, 0]


def test_the_part_that_does_not_stand_out_does_not_count(result_of: MakeResult) -> None:
    one = sample()
    assert one.truth.depth is not None
    depth = one.truth.depth.copy()
    depth[25:30, 30:40] = 30.0
    depth[30:35, 30:40] = 31.0
    tire = measured(result_of, np.full((HEIGHT, WIDTH), ROAD), depth).unknown_objects.records[1]
    assert tire.nearer_share == 1.0


def test_perfect_depth_is_all_near_and_other_metrics_see_void(result_of: MakeResult) -> None:
    one = sample()
    truth = one.truth
    assert truth.panoptic is not None and truth.depth is not None
    invented = np.where(truth.panoptic == VOID_ID, CAR, truth.panoptic)
    found = measured(result_of, invented, truth.depth)
    assert found.unknown_objects.all.nearer_share == 1.0
    assert found.unknown_objects.all.thing_share == 1.0
    assert found.unknown_objects.all.overlooked_share == 0.0
    # A car on void is no false positive.
    assert found.values['panoptic.pq'] == pytest.approx(1.0)
    assert found.values['semantic.miou'] == pytest.approx(1.0)
    assert found.values['depth.abs_rel'] == pytest.approx(0.0)


def test_the_scale_of_the_ground_is_corrected(result_of: MakeResult) -> None:
    truth = sample().truth
    assert truth.panoptic is not None and truth.depth is not None
    road = np.where(truth.panoptic == VOID_ID, ROAD, truth.panoptic)
    found = measured(result_of, road, truth.depth * 1.5).unknown_objects.all
    # 15 m is not nearer than 12 m, but 15 / 1.5 is; only before the sky it is either way.
    assert found.nearer_share == pytest.approx((0.2 + 0.0) / 2)
    assert found.nearer_scaled_share == 1.0
    assert found.overlooked_share == 1.0
    one = sample()
    unlabeled = replace(one, truth=replace(one.truth, panoptic=None))
    found = measured(result_of, road, truth.depth, one=unlabeled).unknown_objects.all
    assert found.nearer_share == 1.0 and math.isnan(found.nearer_scaled_share)


def test_too_near_counts_as_near_and_beyond_range_does_not(result_of: MakeResult) -> None:
    for value, share in ((-np.inf, 1.0), (np.inf, 0.0), (np.nan, 0.0)):
        found = measured(result_of, np.full((HEIGHT, WIDTH), ROAD),
                         np.full((HEIGHT, WIDTH), value))
        assert found.unknown_objects.all.nearer_share == share
        assert math.isnan(found.unknown_objects.all.depth_error)


def test_a_model_of_one_task(result_of: MakeResult) -> None:
    truth = sample().truth
    assert truth.depth is not None
    void = np.full((HEIGHT, WIDTH), VOID_ID)
    depth = measured(result_of, void, truth.depth, tasks=frozenset(('depth',)))
    assert {name for name in depth.values if name.startswith('unknown')} == {
        'unknown_objects.nearer_share', 'unknown_objects.nearer_scaled_share',
        'unknown_objects.depth_error'}
    labels = measured(result_of, np.full((HEIGHT, WIDTH), ROAD), np.full((HEIGHT, WIDTH), np.nan),
                      tasks=frozenset(('semantic',)))
    assert labels.values['unknown_objects.ground_share'] == 1.0
    assert 'unknown_objects.overlooked_share' not in labels.values


def test_is_shown_only_where_there_are_objects(result_of: MakeResult) -> None:
    one = sample()
    assert one.truth.panoptic is not None and one.truth.depth is not None
    given = one.truth.panoptic, one.truth.depth
    here = measured(result_of, *given)
    row = next(row for row in tables(here)[0].rows if 'overlooked' in row[0])
    assert row[1:] == ('0.0 %', '2 objects in 1 frames')
    table = next(table for table in tables(here) if table.title == 'Unknown objects')
    assert [row[0] for row in table.rows] == ['barrel', 'tire', '0 to 10 m', '20 to 40 m']
    assert to_dict(here)['unknown_objects']['objects'][0]['kind'] == 'barrel'
    without = replace(one, truth=replace(one.truth, unknown_objects=None))
    elsewhere = measured(result_of, *given, one=without)
    assert 'unknown' not in str(to_dict(elsewhere)).replace('unknown_', 'unknown')
    assert not any('nknown' in row[0] for row in tables(elsewhere)[0].rows)


def test_parts_add_up(result_of: MakeResult) -> None:
    one = sample()
    assert one.truth.panoptic is not None and one.truth.depth is not None
    result = result_of(one.frame, one.truth.panoptic, one.truth.depth * 1.3, {})
    whole = evaluate(lambda frame: result, [one, one]).unknown_objects
    assert whole.all.objects == 4
    assert whole.records[:2] == whole.records[2:]


def test_another_size_is_an_error(result_of: MakeResult) -> None:
    one = sample()
    small = replace(one, truth=GroundTruth(
        depth=one.truth.depth, unknown_objects=replace(
            one.truth.unknown_objects, number=np.zeros((4, 4), np.uint8))))
    with pytest.raises(ValueError, match=r'unknown objects of shape \(4, 4\)'):
        measured(result_of, np.full((HEIGHT, WIDTH), ROAD), np.ones((HEIGHT, WIDTH)), one=small)
