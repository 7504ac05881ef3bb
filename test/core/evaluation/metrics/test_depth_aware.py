# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""DPQ and DVPQ: by hand, against frames that are put side by side, in parts, golden vectors."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from golden_metrics import each_golden_metric, published
from hypothesis import given, settings
from hypothesis import strategies as st
from panoptic_depth_core.evaluation.metrics.depth_aware import (
    DepthAwareMetric,
    DepthAwareQualityResult,
)
from panoptic_depth_core.evaluation.metrics.frame import Rules
from panoptic_depth_core.evaluation.metrics.panoptic import PanopticQualityResult
from panoptic_depth_core.evaluation.metrics.segment_overlaps import (
    JointTable,
    depth_levels,
    joint_table,
    side_by_side,
)
from panoptic_depth_core.evaluation.settings import TOLERANCES, WINDOWS, EvaluationSettings
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, VOID_ID

CAR, ROAD = CLASS_ID['car'], CLASS_ID['road']
EVERY = np.ones(len(CITYSCAPES), np.bool_)
CAR_1, CAR_2 = CAR * 1000 + 1, CAR * 1000 + 2
IDS = np.array([[0] * 10 + [CAR_1] * 10], np.int32)

Clip = list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]


def count(truth, truth_depth, predicted, predicted_depth) -> JointTable:
    return joint_table(truth, predicted, level=depth_levels(truth_depth, predicted_depth),
                       levels=len(TOLERANCES) + 1)


def metric(windows, **changes) -> DepthAwareMetric:
    return DepthAwareMetric(Rules(EvaluationSettings(
        windows=windows, **{'crowds': 'same_class', **changes})))


def dvpq(frames: Clip, sequences: list[str], windows, **changes) -> DepthAwareMetric:
    quality = metric(windows, **changes)
    for frame, sequence in zip(frames, sequences, strict=True):
        quality.count(count(*frame), EVERY, sequence)
    return quality


def concatenated(frames: Clip, sequences: list[str], k: int,
                 **changes) -> DepthAwareQualityResult:
    """What DVPQ_k is by its definition."""
    quality = metric((1,), **changes)
    for start in range(len(frames) - k + 1):
        names = set(sequences[start:start + k])
        if len(names) == 1 and (k == 1 or names != {''}):
            quality.count(count(*(np.concatenate(arrays, axis=1) for arrays in zip(
                *frames[start:start + k], strict=True))), EVERY)
    return quality.result().by_window[1]


def assert_same(ours: PanopticQualityResult, theirs: PanopticQualityResult) -> None:
    for name in ('true_positives', 'false_positives', 'false_negatives'):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    np.testing.assert_allclose(ours.pq, theirs.pq, rtol=1e-12)


def exact(ids: np.ndarray, predicted: np.ndarray):
    depth = np.full(ids.shape, 10.0)
    return ids, depth, predicted, depth


def test_perfect() -> None:
    result = dvpq([exact(IDS, IDS)] * 4, ['a'] * 4, (1, 2, 3, 4)).result()
    assert (result.all, result.things, result.stuff) == (1, 1, 1)
    assert result.windows == {1: 4, 2: 3, 3: 2, 4: 1}
    assert tuple(result.by_window) == WINDOWS['cityscapes_dvps']


def test_an_instance_must_keep_its_id() -> None:
    renamed = np.where(IDS == CAR_1, CAR_2, IDS)
    result = dvpq([exact(IDS, IDS), exact(IDS, renamed)], ['a', 'a'], (1, 2)).result()
    assert result.by_window[1].all == 1
    # Two halves of the car in the pair of frames: neither has an IoU above one half.
    pair = result.by_window[2].by_tolerance[0.1]
    assert (pair.true_positives[CAR], pair.false_positives[CAR], pair.false_negatives[CAR]) == (
        0, 2, 1)
    assert result.by_window[2].all == pytest.approx(0.5)
    assert result.things == pytest.approx(0.5)
    assert result.all == pytest.approx(0.75)


def test_a_sequence_that_is_too_short_has_no_window() -> None:
    frames = [exact(IDS, IDS)] * 5
    result = dvpq(frames, ['a', 'a', 'b', 'b', 'b'], (2, 3, 4)).result()
    assert result.windows == {2: 3, 3: 1, 4: 0}
    assert math.isnan(result.by_window[4].all)
    assert math.isnan(result.all)
    assert dvpq(frames, [''] * 5, (1, 2)).result().windows == {1: 5, 2: 0}


def test_a_window_judges_what_all_its_frames_do() -> None:
    quality = metric((1, 2))
    for judged in (EVERY, np.arange(len(CITYSCAPES)) == CAR):
        quality.count(count(*exact(IDS, IDS)), judged, 'a')
    result = quality.result()
    assert result.by_window[1].by_tolerance[0.5].frames[[ROAD, CAR]].tolist() == [1, 2]
    assert result.by_window[2].by_tolerance[0.5].frames[[ROAD, CAR]].tolist() == [0, 1]


def random_frame(rng: np.random.Generator):
    ids = np.array([ROAD * 1000, 10000, CAR_1, CAR_2, CAR * 1000, VOID_ID], np.int32)
    truth = np.kron(rng.choice(ids, (2, 3)), np.ones((3, 4), np.int32))
    predicted = np.where(rng.random(truth.shape) < 0.2, rng.choice(ids), truth)
    depth = rng.uniform(1, 50, truth.shape)
    off = depth * rng.choice([1.0, 1.05, 1.2, 1.4, 2.0], truth.shape)
    depth[rng.random(depth.shape) < 0.1] = np.nan
    return truth, depth, predicted, off


@settings(max_examples=40)
@given(st.integers(0, 2 ** 31), st.lists(st.sampled_from(['', 'a', 'b', 'c']), max_size=9),
       st.lists(st.integers(0, 9), max_size=4),
       st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True))
def test_windows_are_frames_side_by_side_however_the_set_is_cut(
        seed: int, names: list[str], cuts: list[int], windows: list[int]) -> None:
    rng = np.random.default_rng(seed)
    frames = [random_frame(rng) for _ in names]
    whole = metric(windows)
    bounds = [0, *sorted(min(cut, len(names)) for cut in cuts), len(names)]
    for start, end in zip(bounds[:-1], bounds[1:], strict=True):
        whole.merge(dvpq(frames[start:end], names[start:end], windows))
    result = whole.result()
    for k in windows:
        expected = concatenated(frames, names, k)
        for tolerance in TOLERANCES:
            assert_same(result.by_window[k].by_tolerance[tolerance],
                        expected.by_tolerance[tolerance])


def test_only_the_frames_that_windows_need_are_kept() -> None:
    quality = dvpq([exact(IDS, IDS)] * 30, ['a'] * 30, (1, 4))
    assert len(quality._tail) == len(quality._head) == 3


def test_errors_name_the_thing_and_the_remedy() -> None:
    for name, values in (('windows', ()), ('windows', (0, 1)), ('windows', (2, 2)),
                         ('tolerances', ()), ('tolerances', (0.1, 0.1))):
        with pytest.raises(ValueError, match=rf'(?s){name}.*(at least 1|than or equal to 1|once)'):
            EvaluationSettings(**{name: values})
    with pytest.raises(ValueError, match=r'\(1, 19\), \(1, 20\); give all at the size'):
        count(IDS, np.ones((1, 19)), IDS, np.ones((1, 20)))
    with pytest.raises(ValueError, match=r'divisors \[\(1000, 1000\), \(1000, 2000\)\] cannot'):
        side_by_side([joint_table(IDS, IDS), joint_table(IDS, IDS, predicted_divisor=2000)])
    with pytest.raises(ValueError, match='at least one frame'):
        side_by_side([])


@each_golden_metric
def test_golden_sequences(path: Path) -> None:
    golden = np.load(path)
    keys = [key.removeprefix('gt_') for key in golden.files if key.startswith('gt_')]
    keys.sort(key=lambda key: tuple(map(int, key.split('_'))))
    frames = [(published(golden[f'gt_{key}']), golden[f'gtd_{key}'],
               published(golden[f'pred_{key}']), golden[f'predd_{key}']) for key in keys]
    names = [key.split('_')[0] for key in keys]
    result = dvpq(frames, names, (1, 2, 3, 4), crowds='none', absent_classes='zero').result()
    for tolerance, quality in result.by_window[1].by_tolerance.items():
        np.testing.assert_allclose(
            [100 * group.pq for group in (quality.all, quality.things, quality.stuff)],
            golden[f'avg/{tolerance:g}'], atol=1e-6)
    for k in (2, 3, 4):
        expected = concatenated(frames, names, k, crowds='none', absent_classes='zero')
        assert result.by_window[k].all == pytest.approx(expected.all, abs=1e-12)
        assert 0 < expected.all < result.by_window[1].all + 0.2


def dpq(predicted_depth, truth_depth, predicted=IDS, truth=IDS):
    quality = metric((1,))
    quality.count(count(truth, truth_depth, predicted, predicted_depth), EVERY)
    return quality.result().by_window[1]


def test_perfect_dpq() -> None:
    result = dpq(np.full(IDS.shape, 7.0), np.full(IDS.shape, 7.0))
    assert (result.all, result.things, result.stuff) == (1, 1, 1)
    assert tuple(result.by_tolerance) == TOLERANCES


def test_dpq_by_hand() -> None:
    truth = np.full(IDS.shape, 10.0)
    predicted = truth.copy()
    predicted[0, :4] = 14.0   # road: 4 of 10 off by 40 %
    predicted[0, 10:] = 7.5   # car: off by exactly 25 %, which is not above
    result = dpq(predicted, truth)
    pq = {t: (r.pq[ROAD], r.pq[CAR]) for t, r in result.by_tolerance.items()}
    assert pq == {0.5: (1, 1), 0.25: (pytest.approx(0.6), 1), 0.1: (pytest.approx(0.6), 0)}
    assert result.stuff == pytest.approx((1 + 0.6 + 0.6) / 3)
    assert result.things == pytest.approx(2 / 3)
    assert result.all == pytest.approx((1 + 0.8 + 0.3) / 3)


@pytest.mark.parametrize('unknown', [0.0, np.nan, np.inf])
def test_pixels_without_true_depth_stay(unknown: float) -> None:
    assert dpq(np.full(IDS.shape, 5.0), np.full(IDS.shape, unknown)).all == 1


@pytest.mark.parametrize('missing', [np.nan, np.inf])
def test_pixels_without_predicted_depth_are_wrong(missing: float) -> None:
    result = dpq(np.full(IDS.shape, missing), np.full(IDS.shape, 10.0))
    assert result.all == 0


def test_images_of_16_bit_integers_do_not_wrap() -> None:
    """The 16-bit PNG trap: one step too near would be an error of 65535 steps."""
    truth = np.full(IDS.shape, 10 * 256, np.uint16)
    assert dpq(truth - np.uint16(1), truth).all == 1


def test_merged_parts_of_dpq_are_the_whole() -> None:
    depth, off = np.full(IDS.shape, 10.0), np.full(IDS.shape, 14.0)
    part, other, whole = (metric((1,)) for _ in range(3))
    part.count(count(IDS, depth, IDS, off), EVERY)
    other.count(count(IDS, depth, IDS, depth), EVERY)
    part.merge(other)
    for predicted in (off, depth):
        whole.count(count(IDS, depth, IDS, predicted), EVERY)
    assert part.result().all == whole.result().all
    assert 0 < whole.result().all < 1


@each_golden_metric
def test_agrees_with_the_published_evaluation(path: Path) -> None:
    golden = np.load(path)
    quality = metric((1,), crowds='none', absent_classes='zero')
    for key in golden.files:
        if key.startswith('gt_'):
            frame = key.removeprefix('gt_')
            quality.count(count(
                published(golden[key]), golden[f'gtd_{frame}'],
                published(golden[f'pred_{frame}']), golden[f'predd_{frame}']), EVERY)
    result = quality.result().by_window[1]
    for tolerance, found in result.by_tolerance.items():
        groups = [found.all.pq, found.things.pq, found.stuff.pq]
        np.testing.assert_allclose(100 * np.array(groups), golden[f'avg/{tolerance:g}'],
                                   atol=1e-6)
        classes = np.nan_to_num(np.stack([found.pq, found.sq, found.rq], axis=1))
        np.testing.assert_allclose(100 * classes, golden[f'classes/{tolerance:g}'], atol=1e-6)
    mean = np.mean([golden[f'avg/{t:g}'][0] for t in TOLERANCES])
    assert 100 * result.all == pytest.approx(mean, abs=1e-6)
