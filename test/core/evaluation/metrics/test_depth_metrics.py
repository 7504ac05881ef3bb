# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors of dense depth: by hand, at their limits, and against plain formulas."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panoptic_depth_core.evaluation.metrics.depth import (
    DepthErrors,
    DepthMetric,
    DepthResult,
)
from panoptic_depth_core.evaluation.metrics.frame import Rules
from panoptic_depth_core.evaluation.settings import EvaluationSettings
from panoptic_depth_core.labels import CITYSCAPES

VALUES = [f.name for f in dataclasses.fields(DepthErrors) if f.name != 'pixels']


def measure(*pairs, cap_m: float = 80.0, classes=CITYSCAPES) -> DepthResult:
    metric = DepthMetric(Rules(EvaluationSettings(depth_cap_m=cap_m), tuple(classes)))
    for pair in pairs:
        metric.count(*(np.asarray(a) for a in pair))
    return metric.result()


def test_perfect() -> None:
    truth = np.array([[1.0, 20.0], [79.5, np.nan]], np.float32)
    errors = measure((truth, truth)).pooled
    assert errors == DepthErrors(pixels=3, missing_share=0, abs_rel=0, sq_rel_m=0, rmse_m=0,
                                 rmse_log=0, delta1=1, delta2=1, delta3=1, si_log=0)


def test_by_hand() -> None:
    errors = measure(([2.0, 6.0, 30.0], [4.0, 4.0, 20.0])).pooled
    logs = [math.log(0.5), math.log(1.5), math.log(1.5)]
    mean = sum(logs) / 3
    assert errors.abs_rel == pytest.approx((0.5 + 0.5 + 0.5) / 3)
    assert errors.sq_rel_m == pytest.approx((1 + 1 + 5) / 3)
    assert errors.rmse_m == pytest.approx(math.sqrt((4 + 4 + 100) / 3))
    assert errors.rmse_log == pytest.approx(math.sqrt(sum(v * v for v in logs) / 3))
    assert errors.si_log == pytest.approx(
        100 * math.sqrt(sum((v - mean) ** 2 for v in logs) / 3))
    # 2 is beyond 1.25^3 = 1.953, 1.5 is between 1.25 and 1.25^2.
    assert (errors.delta1, errors.delta2, errors.delta3) == (0, pytest.approx(2 / 3),
                                                             pytest.approx(2 / 3))


def test_delta_is_strict() -> None:
    assert measure(([2.5], [2.0])).pooled.delta1 == 0
    assert measure(([2.49], [2.0])).pooled.delta1 == 1
    assert measure(([2.0], [2.5])).pooled.delta1 == 0


def test_only_truth_up_to_the_cap_counts() -> None:
    truth = [80.0, 80.1, 0.0, -1.0, np.nan, np.inf]
    assert measure(([40.0] * 6, truth)).pooled.pixels == 1
    assert measure(([40.0] * 6, truth), cap_m=100.0).pooled.pixels == 2
    # The prediction is not clipped to the cap.
    assert measure(([160.0], [80.0])).pooled.abs_rel == 1


def test_missing_predictions_are_counted_and_left_out() -> None:
    predicted = [10.0, np.nan, np.inf, -np.inf, 0.0, -3.0, 5.0, 5.0]
    errors = measure((predicted, [10.0] * 8)).pooled
    assert errors.pixels == 8
    assert errors.missing_share == pytest.approx(5 / 8)
    assert errors.abs_rel == pytest.approx((0 + 0.5 + 0.5) / 3)
    nothing = measure(([np.nan, np.nan], [1.0, 2.0]))
    assert nothing.pooled.missing_share == 1
    assert nothing.per_image.missing_share == 1
    assert nothing.images == 1
    for name in VALUES[1:]:
        assert np.isnan(getattr(nothing.pooled, name))
        assert np.isnan(getattr(nothing.per_image, name))


def test_no_truth() -> None:
    for result in (measure(), measure(([1.0], [np.nan]))):
        assert result.images == 0
        assert result.pooled.pixels == result.per_image.pixels == 0
        assert all(np.isnan(getattr(result.pooled, name)) for name in VALUES)
        assert all(np.isnan(getattr(result.per_image, name)) for name in VALUES)
        assert result.by_class == {}


def test_images_of_16_bit_integers_do_not_wrap() -> None:
    """The 16-bit PNG trap: unsigned differences of near-perfect depth are near 65535."""
    truth = np.full((4, 4), 20, np.uint16)
    wrapped = measure((truth - np.uint16(1), truth)).pooled
    assert wrapped.abs_rel == pytest.approx(0.05)
    assert wrapped.rmse_m == 1
    # 32-bit squares are beyond 16 bits as well.
    far = measure((np.array([700], np.uint16), np.array([300], np.int16)), cap_m=1000.0).pooled
    assert far.rmse_m == 400
    # Class 80 of 100, of 4 ranges each, is group 320: beyond the uint8 of class images.
    classes = [CITYSCAPES[0]] * 100
    grouped = measure(([5.0], [5.0], np.array([80], np.uint8)), classes=classes)
    assert list(grouped.by_class) == [80]


def test_pooled_and_per_image_differ_by_the_size_of_images() -> None:
    images = (([11.0] * 3, [10.0] * 3), ([10.0, 14.0], [np.nan, 10.0]))
    result = measure(*images)
    assert result.images == 2
    assert result.pooled.pixels == result.per_image.pixels == 4
    assert result.pooled.abs_rel == pytest.approx((3 * 0.1 + 0.4) / 4)
    assert result.per_image.abs_rel == pytest.approx((0.1 + 0.4) / 2)
    assert result.pooled.rmse_m == pytest.approx(math.sqrt((3 * 1 + 16) / 4))
    assert result.per_image.rmse_m == pytest.approx((1 + 4) / 2)
    # A constant factor within each image has no scale-invariant error per image.
    assert result.per_image.si_log == pytest.approx(0, abs=1e-5)
    assert result.pooled.si_log > 5


def test_by_range_and_class() -> None:
    truth = [5.0, 10.0, 10.5, 80.0, 30.0]
    classes = np.array([0, 13, 13, 255, 0], np.uint8)
    result = measure(([6.0, 10.0, 21.0, 80.0, 60.0], truth, classes))
    assert list(result.by_range) == [(0, 10), (10, 20), (20, 40), (40, 80)]
    assert [e.pixels for e in result.by_range.values()] == [2, 1, 1, 1]
    assert result.by_range[(0, 10)].abs_rel == pytest.approx(0.1)
    assert result.by_range[(10, 20)].abs_rel == pytest.approx(1)
    assert {i: e.pixels for i, e in result.by_class.items()} == {0: 2, 13: 2}
    assert result.by_class[0].abs_rel == pytest.approx((0.2 + 1) / 2)
    assert measure(([1.0], [1.0])).by_class == {}
    assert list(measure(cap_m=15.0).by_range) == [(0, 10), (10, 15)]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2 ** 31), st.floats(0.3, 3.0))
def test_against_plain_formulas_and_scale(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    g = rng.uniform(0.5, 79, (2, 6, 5)).astype(np.float32)
    p = (g * rng.lognormal(0, 0.4, g.shape)).astype(np.float32)
    errors = measure(*zip(p, g, strict=True)).pooled
    p64, g64 = p.astype(np.float64), g.astype(np.float64)
    log = np.log(p64) - np.log(g64)
    assert errors.abs_rel == pytest.approx(np.mean(np.abs(p64 - g64) / g64))
    assert errors.sq_rel_m == pytest.approx(np.mean((p64 - g64) ** 2 / g64))
    assert errors.rmse_m == pytest.approx(np.sqrt(np.mean((p64 - g64) ** 2)))
    assert errors.rmse_log == pytest.approx(np.sqrt(np.mean(log ** 2)))
    assert errors.si_log == pytest.approx(100 * np.std(log))
    assert errors.delta2 == pytest.approx(np.mean(np.maximum(p64 / g64, g64 / p64) < 1.25 ** 2))
    assert errors.delta1 <= errors.delta2 <= errors.delta3
    scaled = measure(*zip(p64 * factor, g64, strict=True)).pooled
    assert scaled.si_log == pytest.approx(errors.si_log)


def test_agrees_with_torchmetrics() -> None:
    torch = pytest.importorskip('torch')
    regression = pytest.importorskip('torchmetrics.regression')
    rng = np.random.default_rng(4)
    g = rng.uniform(0.5, 79, (3, 20, 30))
    p = g * rng.lognormal(0, 0.3, g.shape)
    errors = measure(*zip(p, g, strict=True)).pooled
    pairs = [torch.from_numpy(a).flatten() for a in (p, g)]
    expected = {
        'abs_rel': regression.MeanAbsolutePercentageError()(*pairs),
        'rmse_m': regression.MeanSquaredError(squared=False)(*pairs),
        'rmse_log': regression.MeanSquaredError(squared=False)(*(a.log() for a in pairs))}
    for name, value in expected.items():
        assert getattr(errors, name) == pytest.approx(float(value), rel=1e-5)


def test_merged_parts_are_the_whole() -> None:
    rng = np.random.default_rng(2)
    images = [rng.uniform(1, 90, (2, 5, 4)) for _ in range(3)]
    part, other = DepthMetric(), DepthMetric()
    part.count(*images[0])
    other.count(*images[1])
    other.count(*images[2])
    part.merge(other)
    whole = measure(*images)
    for name in VALUES:
        assert getattr(part.result().pooled, name) == pytest.approx(getattr(whole.pooled, name))
        assert getattr(part.result().per_image, name) == pytest.approx(
            getattr(whole.per_image, name))


def test_errors_name_the_thing_and_the_remedy() -> None:
    metric = DepthMetric()
    with pytest.raises(ValueError, match=r'\(2, 3\), \(3, 2\); give all at the size'):
        metric.count(np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(ValueError, match=r'shapes \(2,\), \(2,\), \(3,\)'):
        metric.count(np.ones(2), np.ones(2), np.zeros(3, np.uint8))
    for cap in (0.0, np.inf, np.nan):
        with pytest.raises(ValueError, match=r'depth_cap_m\n.*greater than 0|finite number'):
            EvaluationSettings(depth_cap_m=cap)
