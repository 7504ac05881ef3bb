# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Depth-aware panoptic quality: by hand, at its limits, and against golden vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden_metrics import each_golden_metric, published
from panoptic_depth_core.evaluation.metrics.depth_aware_pq import TOLERANCES, DepthAwareQuality
from panoptic_depth_core.labels import CLASS_ID

CAR, ROAD = CLASS_ID['car'], CLASS_ID['road']
IDS = np.array([[0] * 10 + [13001] * 10], np.int32)


def dpq(predicted_depth, truth_depth, predicted=IDS, truth=IDS):
    metric = DepthAwareQuality()
    metric.update(truth, truth_depth, predicted, predicted_depth)
    return metric.result()


def test_perfect() -> None:
    result = dpq(np.full(IDS.shape, 7.0), np.full(IDS.shape, 7.0))
    assert (result.all, result.things, result.stuff) == (1, 1, 1)
    assert tuple(result.by_tolerance) == TOLERANCES


def test_by_hand() -> None:
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


def test_merged_parts_are_the_whole() -> None:
    depth, off = np.full(IDS.shape, 10.0), np.full(IDS.shape, 14.0)
    part, other, whole = (DepthAwareQuality() for _ in range(3))
    part.update(IDS, depth, IDS, off)
    other.update(IDS, depth, IDS, depth)
    part.merge(other)
    for predicted in (off, depth):
        whole.update(IDS, depth, IDS, predicted)
    assert part.result().all == whole.result().all
    assert 0 < whole.result().all < 1


def test_errors_name_the_thing_and_the_remedy() -> None:
    with pytest.raises(ValueError, match=r'\(1, 19\), \(1, 20\); give all at the size'):
        DepthAwareQuality().update(IDS, np.ones((1, 19)), IDS, np.ones((1, 20)))
    with pytest.raises(ValueError, match='give at least one'):
        DepthAwareQuality(tolerances=())


@each_golden_metric
def test_agrees_with_the_published_evaluation(path: Path) -> None:
    golden = np.load(path)
    metric = DepthAwareQuality(crowds='none')
    for key in golden.files:
        if key.startswith('gt_'):
            frame = key.removeprefix('gt_')
            metric.update(published(golden[key]), golden[f'gtd_{frame}'],
                          published(golden[f'pred_{frame}']), golden[f'predd_{frame}'])
    result = metric.result(absent='zero')
    for tolerance, quality in result.by_tolerance.items():
        groups = [quality.all.pq, quality.things.pq, quality.stuff.pq]
        np.testing.assert_allclose(100 * np.array(groups), golden[f'avg/{tolerance:g}'],
                                   atol=1e-6)
        classes = np.nan_to_num(np.stack([quality.pq, quality.sq, quality.rq], axis=1))
        np.testing.assert_allclose(100 * classes, golden[f'classes/{tolerance:g}'], atol=1e-6)
    mean = np.mean([golden[f'avg/{t:g}'][0] for t in TOLERANCES])
    assert 100 * result.all == pytest.approx(mean, abs=1e-6)
