# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors of the depth of instances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from panoptic_depth_core.contract import TASKS
from panoptic_depth_core.evaluation.metrics.distance import BoxDistance, DistanceMetric
from panoptic_depth_core.evaluation.metrics.frame import Rules
from panoptic_depth_core.evaluation.metrics.segment_overlaps import segment_overlaps
from panoptic_depth_core.evaluation.settings import EvaluationSettings
from panoptic_depth_core.labels import VOID_ID


def scene(*columns: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction, (1, W) each, from (true id, predicted id, pixels)."""
    truth, predicted = (np.concatenate([np.full(c[2], c[i], np.int32) for c in columns])[None]
                        for i in (0, 1))
    return truth, predicted


def measure(columns, truth_m, predicted_m, min_pixels: int = 100, ignore=None):
    metric = DistanceMetric(Rules(EvaluationSettings(min_instance_pixels=min_pixels)))
    metric.count(segment_overlaps(*scene(*columns), ignore=ignore), truth_m, predicted_m)
    return metric.result()


def test_by_hand() -> None:
    result = measure(
        [(13001, 13005, 100), (13002, 13006, 300), (13003, VOID_ID, 100), (11001, 11001, 120),
         (0, 0, 500)],
        {13001: 8.0, 13002: 50.0, 13003: 15.0, 11001: 20.0},
        {13005: 10.0, 13006: 45.0, 11001: 21.0})
    assert (result.all.instances, result.all.matched, result.all.measured) == (4, 3, 3)
    assert result.all.matched_share == pytest.approx(3 / 4)
    assert result.all.median_rel == pytest.approx(0.1)
    assert result.all.mean_rel == pytest.approx((0.25 + 0.1 + 0.05) / 3)
    assert result.all.bias_rel == pytest.approx(0.05)
    assert list(result.by_range) == [(0, 10), (10, 20), (20, 40), (40, math.inf)]
    assert [e.instances for e in result.by_range.values()] == [1, 2, 0, 1]
    assert result.by_range[(40, math.inf)].bias_rel == pytest.approx(-0.1)
    assert {i: (e.instances, e.matched) for i, e in result.by_class.items()} == {
        11: (1, 1), 13: (3, 2)}
    assert result.by_class[13].median_rel == pytest.approx((0.25 + 0.1) / 2)


def test_the_mean_depth_beside_the_median() -> None:
    overlaps = segment_overlaps(*scene((13001, 13001, 100), (13002, 13002, 100),
                                       (13003, 13003, 100)))
    truth = {13001: 10.0, 13002: 20.0, 13003: 40.0}
    metric = DistanceMetric()
    metric.count(overlaps, truth, truth, None, {13001: 12.0, 13002: 23.0, 13003: math.nan})
    found = metric.finished()
    assert found.value('median_rel') == 0
    assert found.value('mean_depth_rel') == pytest.approx((0.2 + 0.15) / 2)
    assert ('distance error of the mean depth, median', '17.5 %') in [
        row[:2] for row in found.rows()]
    # Recordings of earlier versions have no mean.
    without = DistanceMetric()
    without.count(overlaps, truth, truth)
    shown = without.finished()
    shown.tasks = TASKS
    assert set(DistanceMetric.kinds) - set(shown.metric_values()) == {
        'mean_depth_rel', 'coverage_68', 'coverage_95'}
    assert 'mean_depth_rel' not in BoxDistance.kinds
    assert not any('mean depth' in title for title, *_ in shown.rows())


def test_coverage_by_hand() -> None:
    """Of the scale b, 68 % are within 1.139 b of log depth, and 95 % within 2.996 b."""
    ids = [13001, 13002, 13003, 13004, 13005, 13006]
    ratios = [1.1, 1 / 1.13, 1.25, 1.4, 2.0, np.nan]
    scales = {**dict.fromkeys(ids[:4], 0.1), ids[4]: np.nan, ids[5]: 0.1}
    metric = DistanceMetric()
    metric.count(segment_overlaps(*scene(*((i, i, 100) for i in ids), (13009, 0, 100))),
                 dict.fromkeys([*ids, 13009], 20.0),
                 {i: 20.0 * r for i, r in zip(ids, ratios, strict=True)}, scales)
    found = metric.result().all
    assert (found.instances, found.matched, found.measured, found.stated) == (7, 6, 5, 4)
    # 0.095, 0.122, 0.223 and 0.336 against 0.114 and 0.300.
    assert (found.coverage_68, found.coverage_95) == (0.25, 0.75)


def test_a_model_that_does_not_say_how_sure_it_is() -> None:
    found = measure([(13001, 13001, 100)], {13001: 8.0}, {13001: 8.0}).all
    assert (found.measured, found.stated) == (1, 0)
    assert math.isnan(found.coverage_68) and math.isnan(found.coverage_95)


def test_perfect() -> None:
    result = measure([(13001, 13001, 100)], {13001: 8.0}, {13001: 8.0})
    assert (result.all.median_rel, result.all.matched_share) == (0, 1)


def test_no_instances() -> None:
    result = measure([(0, 13001, 100)], {}, {13001: 8.0})
    assert result.all.instances == 0
    assert math.isnan(result.all.matched_share)
    assert math.isnan(result.all.median_rel)
    assert result.by_class == {}


def test_small_and_unknown_instances_are_left_out() -> None:
    columns = [(13001, 13001, 99), (13002, 13002, 100), (13003, 13003, 100), (13000, 13000, 100)]
    depths = {13001: 5.0, 13002: 5.0, 13003: math.nan, 13000: 5.0}
    result = measure(columns, depths, depths)
    assert result.all.instances == 1
    assert measure(columns, depths, depths, min_pixels=99).all.instances == 2


@pytest.mark.parametrize(('predicted_id', 'share'), [
    (13009, 1), (14009, 0), (13000, 0), (VOID_ID, 0)])
def test_a_match_is_an_instance_of_the_same_class(predicted_id: int, share: float) -> None:
    result = measure([(13001, predicted_id, 100)], {13001: 8.0}, {predicted_id: 8.0})
    assert result.all.matched_share == share


def test_half_of_an_instance_is_no_match() -> None:
    half = [(13001, 13001, 100), (13001, VOID_ID, 100)]
    assert measure(half, {13001: 8.0}, {13001: 8.0}).all.matched == 0
    more = [(13001, 13001, 101), (13001, VOID_ID, 100)]
    assert measure(more, {13001: 8.0}, {13001: 8.0}).all.matched == 1


@pytest.mark.parametrize('predicted', [{13001: math.nan}, {}])
def test_a_match_without_depth_is_matched_but_not_measured(predicted) -> None:
    result = measure([(13001, 13001, 100)], {13001: 8.0}, predicted)
    assert (result.all.matched, result.all.measured) == (1, 0)
    assert math.isnan(result.all.median_rel)


def test_ignored_pixels_are_not_of_the_instance() -> None:
    ignore = np.arange(150)[None] >= 90
    result = measure([(13001, 13001, 150)], {13001: 8.0}, {13001: 8.0}, ignore=ignore)
    assert result.all.instances == 0


def test_merge() -> None:
    overlaps = segment_overlaps(*scene((13001, 13001, 100)))
    part, other = DistanceMetric(), DistanceMetric()
    part.count(overlaps, {13001: 10.0}, {13001: 11.0})
    other.count(overlaps, {13001: 10.0}, {13001: 13.0})
    part.merge(other)
    assert part.result().all.instances == 2
    assert part.result().all.median_rel == pytest.approx(0.2)
