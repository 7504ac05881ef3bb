# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""DVPQ: by hand, against frames that are really put side by side, in parts, golden vectors."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from golden_metrics import each_golden_metric, published
from hypothesis import given, settings
from hypothesis import strategies as st
from panoptic_depth_core.evaluation.metrics.depth_aware_pq import (
    TOLERANCES,
    DepthAwareQuality,
    depth_levels,
)
from panoptic_depth_core.evaluation.metrics.panoptic_quality import PanopticQualityResult
from panoptic_depth_core.evaluation.metrics.segment_overlaps import (
    JointTable,
    joint_table,
    side_by_side,
)
from panoptic_depth_core.evaluation.metrics.video_quality import WINDOWS, VideoQuality
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, VOID_ID

CAR, ROAD = CLASS_ID['car'], CLASS_ID['road']
EVERY = np.ones(len(CITYSCAPES), np.bool_)
CAR_1, CAR_2 = CAR * 1000 + 1, CAR * 1000 + 2
IDS = np.array([[0] * 10 + [CAR_1] * 10], np.int32)

Clip = list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]


def count(truth, truth_depth, predicted, predicted_depth, judged=EVERY) -> JointTable:
    return joint_table(truth, predicted, level=depth_levels(truth_depth, predicted_depth),
                       levels=len(TOLERANCES) + 1)


def dvpq(frames: Clip, sequences: list[str], windows, crowds='same_class') -> VideoQuality:
    quality = VideoQuality(windows=windows, crowds=crowds)
    for frame, sequence in zip(frames, sequences, strict=True):
        quality.add(count(*frame), EVERY, sequence)
    return quality


def concatenated(frames: Clip, sequences: list[str], k: int,
                 crowds='same_class') -> DepthAwareQuality:
    """What DVPQ_k is by its definition."""
    quality = DepthAwareQuality(crowds=crowds)
    for start in range(len(frames) - k + 1):
        names = set(sequences[start:start + k])
        if len(names) == 1 and (k == 1 or names != {''}):
            quality.update(*(np.concatenate(arrays, axis=1) for arrays in zip(
                *frames[start:start + k], strict=True)))
    return quality


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
    quality = VideoQuality(windows=(1, 2))
    for judged in (EVERY, np.arange(len(CITYSCAPES)) == CAR):
        quality.add(count(*exact(IDS, IDS)), judged, 'a')
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
    whole = VideoQuality(windows=windows)
    bounds = [0, *sorted(min(cut, len(names)) for cut in cuts), len(names)]
    for start, end in zip(bounds[:-1], bounds[1:], strict=True):
        whole.merge(dvpq(frames[start:end], names[start:end], windows))
    result = whole.result()
    for k in windows:
        expected = concatenated(frames, names, k).result()
        for tolerance in TOLERANCES:
            assert_same(result.by_window[k].by_tolerance[tolerance],
                        expected.by_tolerance[tolerance])


def test_only_the_frames_that_windows_need_are_kept() -> None:
    quality = dvpq([exact(IDS, IDS)] * 30, ['a'] * 30, (1, 4))
    assert quality._ends is not None
    assert len(quality._ends.tail) == len(quality._ends.head) == 3


def test_errors_name_the_thing_and_the_remedy() -> None:
    for windows in ((), (0, 1), (2, 2)):
        with pytest.raises(ValueError, match='frames per window are .*none twice'):
            VideoQuality(windows=windows)
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
    result = dvpq(frames, names, (1, 2, 3, 4), crowds='none').result('zero')
    for tolerance, quality in result.by_window[1].by_tolerance.items():
        np.testing.assert_allclose(
            [100 * group.pq for group in (quality.all, quality.things, quality.stuff)],
            golden[f'avg/{tolerance:g}'], atol=1e-6)
    for k in (2, 3, 4):
        expected = concatenated(frames, names, k, crowds='none').result('zero')
        assert result.by_window[k].all == pytest.approx(expected.all, abs=1e-12)
        assert 0 < expected.all < result.by_window[1].all + 0.2
