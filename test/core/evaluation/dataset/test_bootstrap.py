# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Intervals by resampling frames: against what they must be, and where there can be none."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from panoptic_depth_core.evaluation.dataset import bootstrap
from panoptic_depth_core.evaluation.dataset.evaluate import evaluate
from panoptic_depth_core.evaluation.metrics.depth import DepthMetric
from panoptic_depth_core.labels import CLASS_ID

ROAD, CAR = CLASS_ID['road'], CLASS_ID['car']


def depth_frames(ratios) -> list[DepthMetric]:
    """A frame for each ratio of predicted to true depth, all of one size."""
    frames = []
    for ratio in ratios:
        one = DepthMetric()
        one.count(np.full((4, 5), 10.0 * ratio), np.full((4, 5), 10.0))
        one.frames = 1
        one.tasks = frozenset({'depth'})
        frames.append(one)
    return frames


def test_a_share_is_binomial() -> None:
    """Half of ten frames are within 25 %: 2.5 % and 97.5 % of Binomial(10, 1/2) are 2 and 8."""
    frames = depth_frames([1.0, 2.0] * 5)
    found = bootstrap.intervals(frames, draws=4000)['depth.delta1']
    assert found == pytest.approx((0.2, 0.8))


def test_a_mean_is_nearly_normal() -> None:
    errors = np.random.default_rng(3).uniform(0.0, 0.2, 60)
    found = bootstrap.intervals(depth_frames(1 + errors), draws=4000)['depth.abs_rel']
    reach = 1.96 * errors.std() / math.sqrt(60)
    assert found == pytest.approx((errors.mean() - reach, errors.mean() + reach),
                                  abs=0.06 * reach)


def test_the_seed_decides() -> None:
    frames = depth_frames([1.0, 1.1, 1.3, 0.8, 0.9, 1.2])
    first, again, other = (bootstrap.intervals(frames, draws=40, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_few_frames_have_none() -> None:
    assert bootstrap.intervals(depth_frames([1.0, 1.1, 1.2, 1.3]), draws=20) == {}
    assert bootstrap.intervals(depth_frames([1.0] * 5), draws=20)['depth.abs_rel'] == (0, 0)


def test_frames_that_cannot_judge_are_not_drawn() -> None:
    """They would only make the number of frames vary."""
    frames = depth_frames([1.0, 1.2] * 3)
    assert bootstrap.intervals([*frames, *[DepthMetric()] * 30], draws=50) == (
        bootstrap.intervals(frames, draws=50))


def test_a_class_in_one_frame_has_none() -> None:
    frames = depth_frames([1.1] * 11)
    for number, one in enumerate(frames):
        one.count(np.full((2, 2), 12.0), np.full((2, 2), 10.0),
                  np.full((2, 2), CAR if number else ROAD))
    found = bootstrap.intervals(frames, bootstrap.values_and_groups_of, draws=200)
    assert found['depth/by_class.car.abs_rel'] == pytest.approx((0.2, 0.2))
    assert 'depth/by_class.road.abs_rel' not in found
    assert not any(name.endswith(('near_m', 'far_m')) for name in found)
    assert found['depth/by_range.0.abs_rel'][1] > 0.1


def test_frame_by_frame_is_the_whole(samples, faulty) -> None:
    frames = [bootstrap.evaluate_frame(faulty, sample) for sample in samples * 3]
    found = bootstrap.summary(frames, draws=20, groups=True)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    whole = evaluate(faulty, samples * 3)
    known = {name: value for name, value in whole.values.items() if not math.isnan(value)}
    assert {name: value['value'] for name, value in found['values'].items()
            if value['value'] is not None} == pytest.approx(known)
    assert found['frames'] == 12
    value = found['values']['depth.abs_rel']
    assert (value['frames'], value['unit'], value['better']) == (6, 'share', 'lower')
    assert value['low'] == pytest.approx(value['high']) == pytest.approx(value['value'])
    # Three of the twelve frames know distances: too few.
    assert found['values']['distance.labels.median_rel']['low'] is None
    assert found['detail']['depth']['by_class']['car']['abs_rel'] == pytest.approx(0.1)


def test_no_draws_no_intervals(samples, faulty) -> None:
    frames = [bootstrap.evaluate_frame(faulty, sample) for sample in samples]
    found = bootstrap.summary(frames, draws=0)
    assert set(found) == {'frames', 'values'}
    assert {value['low'] for value in found['values'].values()} == {None}
