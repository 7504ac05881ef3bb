# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Panoptic quality: by hand, at its limits, and against torchmetrics and golden vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden_metrics import each_golden_metric, published
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from panoptic_depth_core.evaluation.metrics.panoptic import PanopticQuality
from panoptic_depth_core.evaluation.metrics.segment_overlaps import segment_overlaps
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, VOID_ID

ROAD, SKY = CLASS_ID['road'], CLASS_ID['sky']
CAR, PERSON, TRUCK = CLASS_ID['car'], CLASS_ID['person'], CLASS_ID['truck']


def thing(class_id: int, instance: int) -> int:
    return class_id * 1000 + instance


def row(*runs: tuple[int, int]) -> np.ndarray:
    """(1, W) int32 panoptic ids from (id, length) runs."""
    return np.concatenate([np.full(length, pid, np.int32) for pid, length in runs])[None]


def quality(truth, predicted, *, crowds='same_class', judged=None, absent='leave_out', **kwargs):
    metric = PanopticQuality(crowds=crowds)
    metric.update(segment_overlaps(truth, predicted, **kwargs), judged)
    return metric.result(absent)


def judged(*class_ids: int) -> np.ndarray:
    return np.isin(np.arange(len(CITYSCAPES)), class_ids)


def test_perfect() -> None:
    truth = row((thing(ROAD, 0), 10), (thing(CAR, 1), 5), (thing(CAR, 2), 5), (VOID_ID, 3))
    result = quality(truth, truth)
    for group, count in ((result.all, 2), (result.things, 1), (result.stuff, 1)):
        assert (group.pq, group.sq, group.rq, group.class_count) == (1, 1, 1, count)
    assert result.true_positives[[ROAD, CAR]].tolist() == [1, 2]
    assert np.isnan(result.pq[PERSON])


def test_an_empty_prediction_misses_everything() -> None:
    truth = row((thing(ROAD, 0), 10), (thing(CAR, 1), 5))
    result = quality(truth, np.full_like(truth, VOID_ID))
    assert (result.all.pq, result.all.sq, result.all.rq, result.all.class_count) == (0, 0, 0, 2)
    assert result.false_negatives[[ROAD, CAR]].tolist() == [1, 1]
    assert result.false_positives.sum() == 0


def test_no_truth_judges_nothing() -> None:
    predicted = row((thing(ROAD, 0), 10), (thing(CAR, 1), 5))
    result = quality(np.full_like(predicted, VOID_ID), predicted)
    assert result.false_positives.sum() == 0
    assert np.isnan(result.all.pq)
    assert result.all.class_count == 0


def test_no_frame_at_all() -> None:
    result = PanopticQuality().result('zero')
    assert np.isnan(result.all.pq)
    assert result.frames.sum() == 0


def test_a_scene_by_hand() -> None:
    truth = row((thing(ROAD, 0), 20), (thing(CAR, 1), 10), (thing(CAR, 2), 10), (VOID_ID, 4),
                (thing(PERSON, 1), 6))
    predicted = row(
        (thing(ROAD, 0), 18), (thing(CAR, 5), 10),  # road 18/20; car 8/12
        (thing(ROAD, 0), 2),                        # road 18/22 of union
        (thing(CAR, 6), 5), (thing(CAR, 7), 5),     # halves of a car: no match, two false
        (thing(CAR, 8), 4),                         # on void: ignored
        (thing(PERSON, 1), 6))
    result = quality(truth, predicted)
    assert result.true_positives[[ROAD, CAR, PERSON]].tolist() == [1, 1, 1]
    assert result.false_positives[[ROAD, CAR, PERSON]].tolist() == [0, 2, 0]
    assert result.false_negatives[[ROAD, CAR, PERSON]].tolist() == [0, 1, 0]
    car = (8 / 12, 1 / 2.5)
    np.testing.assert_allclose(result.sq[[ROAD, CAR, PERSON]], [18 / 22, car[0], 1])
    np.testing.assert_allclose(result.rq[[ROAD, CAR, PERSON]], [1, car[1], 1])
    assert result.things.pq == pytest.approx((car[0] * car[1] + 1) / 2)
    assert result.stuff.pq == pytest.approx(18 / 22)
    assert result.all.pq == pytest.approx((18 / 22 + car[0] * car[1] + 1) / 3)
    np.testing.assert_allclose(result.pq, result.sq * result.rq)


def test_the_class_must_agree() -> None:
    result = quality(row((thing(CAR, 1), 5)), row((thing(TRUCK, 1), 5)))
    assert result.false_negatives[CAR] == 1
    assert result.false_positives[TRUCK] == 1


def test_void_under_a_prediction_is_not_in_its_union() -> None:
    truth = row((thing(CAR, 1), 6), (VOID_ID, 6))
    assert quality(truth, row((thing(CAR, 1), 12))).pq[CAR] == 1
    # Void in the prediction is: two thirds are found.
    assert quality(row((thing(CAR, 1), 12)),
                   row((thing(CAR, 1), 8), (VOID_ID, 4))).pq[CAR] == pytest.approx(8 / 12)


@pytest.mark.parametrize(('on_void', 'false'), [(5, 1), (6, 0)])
def test_more_than_half_on_void_is_ignored(on_void: int, false: int) -> None:
    truth = row((VOID_ID, on_void), (thing(ROAD, 0), 20 - on_void))
    predicted = row((thing(CAR, 1), 10), (thing(ROAD, 0), 10))
    assert quality(truth, predicted).false_positives[CAR] == false


@pytest.mark.parametrize(('crowds', 'car_false', 'person_false', 'car_missed'), [
    ('same_class', 0, 1, 0), ('any_class', 0, 0, 0), ('none', 1, 1, 1)])
def test_crowds(crowds: str, car_false: int, person_false: int, car_missed: int) -> None:
    truth = row((thing(CAR, 0), 12), (thing(ROAD, 0), 8))
    predicted = row((thing(CAR, 1), 6), (thing(PERSON, 1), 6), (thing(ROAD, 0), 8))
    result = quality(truth, predicted, crowds=crowds)
    assert result.false_positives[CAR] == car_false
    assert result.false_positives[PERSON] == person_false
    assert result.false_negatives[CAR] == car_missed
    assert result.pq[ROAD] == 1


def test_a_crowd_stays_in_the_union_of_what_it_is_not() -> None:
    truth = row((thing(CAR, 0), 5), (thing(ROAD, 0), 10))
    assert quality(truth, row((thing(ROAD, 0), 15))).pq[ROAD] == pytest.approx(10 / 15)


def test_predicted_thing_pixels_without_instance_claim_nothing() -> None:
    truth = row((thing(CAR, 1), 10), (thing(ROAD, 0), 10))
    predicted = row((thing(CAR, 0), 10), (thing(ROAD, 0), 10))
    result = quality(truth, predicted)
    assert (result.false_positives[CAR], result.false_negatives[CAR]) == (0, 1)
    assert quality(truth, predicted, crowds='none').true_positives[CAR] == 1


def test_ignored_regions() -> None:
    truth = row((VOID_ID, 10), (thing(CAR, 1), 10))
    predicted = row((thing(CAR, 2), 10), (thing(CAR, 1), 10))
    ignore = np.arange(20)[None] < 10
    only_cars = judged(CAR)
    cases = {True: 0, False: 1}
    for ignored, false in cases.items():
        result = quality(truth, predicted, judged=only_cars, unlabelled_is_void=False,
                         ignore=ignore & ignored)
        # Without semantics, pixels without a label are known to be no car unless ignored.
        assert result.false_positives[CAR] == false
        assert result.true_positives[CAR] == 1


def test_classes_that_are_not_labelled_are_not_judged() -> None:
    truth = row((thing(TRUCK, 1), 10), (thing(CAR, 1), 10), (thing(ROAD, 0), 10))
    predicted = row((thing(CAR, 2), 10), (thing(CAR, 1), 10), (thing(TRUCK, 1), 10))
    result = quality(truth, predicted, judged=judged(CAR, ROAD))
    assert result.false_negatives[[TRUCK, ROAD]].tolist() == [0, 1]
    assert result.false_positives[[TRUCK, CAR]].tolist() == [0, 1]
    assert result.frames[[TRUCK, CAR]].tolist() == [0, 1]
    loose = quality(truth, predicted, judged=judged(CAR, ROAD), crowds='any_class')
    assert loose.false_positives[CAR] == 0
    # Not labelled: in no mean, under any convention.
    zero = quality(truth, predicted, judged=judged(CAR, ROAD), absent='zero')
    assert (zero.all.class_count, zero.things.class_count, zero.stuff.class_count) == (2, 1, 1)


def test_absent_classes() -> None:
    truth = row((thing(ROAD, 0), 10), (thing(CAR, 1), 5))
    by_rule = {rule: quality(truth, truth, absent=rule) for rule in ('leave_out', 'zero', 'nan')}
    assert by_rule['leave_out'].all.pq == 1
    assert by_rule['zero'].all.pq == pytest.approx(2 / 19)
    assert by_rule['zero'].things.rq == pytest.approx(1 / 8)
    assert by_rule['zero'].stuff.class_count == 11
    assert np.isnan(by_rule['nan'].all.pq)
    everything = row(*((c.class_id * 1000 + c.is_thing, 3) for c in CITYSCAPES))
    assert quality(everything, everything, absent='nan').all.pq == 1


def random_frame(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of segments and a disturbed copy of them."""
    ids = np.array([thing(c.class_id, i if c.is_thing else 0) for c in CITYSCAPES
                    for i in ((1, 2) if c.is_thing else (0,))], np.int32)
    truth = np.kron(rng.choice(ids, (6, 8)), np.ones((4, 4), np.int32))
    predicted = np.roll(truth, rng.integers(0, 3), axis=1)
    predicted[rng.random(truth.shape) < 0.1] = rng.choice(ids)
    truth[rng.random(truth.shape) < 0.05] = VOID_ID
    return truth, predicted


def test_merged_parts_are_the_whole() -> None:
    rng = np.random.default_rng(3)
    frames = [random_frame(rng) for _ in range(4)]
    whole, parts = PanopticQuality(), [PanopticQuality(), PanopticQuality()]
    for i, (truth, predicted) in enumerate(frames):
        overlaps = segment_overlaps(truth, predicted)
        whole.update(overlaps)
        parts[i % 2].update(overlaps)
    parts[0].merge(parts[1])
    np.testing.assert_allclose(parts[0].result().pq, whole.result().pq)
    assert parts[0].result().frames.tolist() == [4] * 19
    assert 0.2 < whole.result().all.pq < 0.9


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.int32, (4, 6), elements=st.sampled_from([0, 10000, 11001, 13001, VOID_ID])),
       hnp.arrays(np.int32, (4, 6), elements=st.sampled_from([0, 10000, 11001, 13001, VOID_ID])))
def test_identities(truth, predicted) -> None:
    result = quality(truth, predicted)
    segments = [p for p in np.unique(truth) if p != VOID_ID]
    assert (result.true_positives + result.false_negatives).sum() == len(segments)
    found = result.pq[~np.isnan(result.pq)]
    assert ((found >= 0) & (found <= 1)).all()
    # Renaming the predicted instances changes nothing.
    renamed = np.where(predicted // 1000 == 13, 13900, predicted)
    np.testing.assert_array_equal(quality(truth, renamed).pq, result.pq)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2 ** 31))
def test_agrees_with_torchmetrics(seed: int) -> None:
    """Where the conventions coincide: no crowds, and no void in the prediction."""
    torch = pytest.importorskip('torch')
    panoptic = pytest.importorskip('torchmetrics.detection')
    theirs = panoptic.PanopticQuality(
        things={c.class_id for c in CITYSCAPES if c.is_thing},
        stuffs={c.class_id for c in CITYSCAPES if not c.is_thing},
        return_sq_and_rq=True, return_per_class=False)
    ours = PanopticQuality(crowds='none')
    rng = np.random.default_rng(seed)
    for _ in range(2):
        truth, predicted = random_frame(rng)
        ours.update(segment_overlaps(truth, predicted))
        pairs = [torch.from_numpy(np.stack([a // 1000, a % 1000], axis=-1)[None])
                 for a in (predicted, truth)]
        theirs.update(*pairs)
    result = ours.result().all
    np.testing.assert_allclose([result.pq, result.sq, result.rq], theirs.compute().numpy(),
                               atol=1e-6)


@each_golden_metric
def test_agrees_with_the_published_evaluation(path: Path) -> None:
    golden = np.load(path)
    metric = PanopticQuality(crowds='none')
    for key in golden.files:
        if key.startswith('gt_'):
            metric.update(segment_overlaps(
                published(golden[key]), published(golden[key.replace('gt_', 'pred_')])))
    result = metric.result(absent='zero')
    groups = [result.all.pq, result.things.pq, result.stuff.pq]
    np.testing.assert_allclose(100 * np.array(groups), golden['avg/-1'], atol=1e-6)
    classes = np.nan_to_num(np.stack([result.pq, result.sq, result.rq], axis=1))
    np.testing.assert_allclose(100 * classes, golden['classes/-1'], atol=1e-6)
