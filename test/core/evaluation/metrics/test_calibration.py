# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Calibration of the uncertainty: by hand, of errors that are as expected or not, in parts."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from panoptic_depth_core.evaluation.dataset.model_calibration import calibrate
from panoptic_depth_core.evaluation.metrics.calibration import (
    LEVELS,
    ONE_SIGMA,
    TWO_SIGMA,
    CalibrationMetric,
    laplace_reach,
)
from panoptic_depth_core.evaluation.metrics.frame import Rules
from panoptic_depth_core.evaluation.settings import EvaluationSettings
from panoptic_depth_core.structures import Segment

CAR, ROAD = 13001, 0


def segments(**scales: float) -> tuple[Segment, ...]:
    return tuple(Segment({'car': CAR, 'road': ROAD}[name], 0, 0, False, 1.0, 1, scale)
                 for name, scale in scales.items())


def measure(log_errors, scales, ids=None, truth=10.0):
    """Calibration of pixels with these errors of log depth."""
    metric = CalibrationMetric()
    errors = np.asarray(log_errors, np.float64)
    ids = np.full(errors.shape, ROAD) if ids is None else np.asarray(ids)
    metric.count(truth * np.exp(errors), np.full(errors.shape, truth), ids.astype(np.uint16),
                  segments(**scales))
    return metric


def test_by_hand() -> None:
    # Of the scale 0.1, half of the pixels should be within 0.0693.
    result = measure([0.01, -0.05, 0.08, 0.2], {'road': 0.1}).result()
    assert result.pixels == 4
    assert result.stated_share == 1
    assert result.coverage[0.05] == 0
    assert result.coverage[0.1] == 0.25  # 0.0105
    assert result.coverage[0.5] == 0.5
    assert result.coverage[0.6] == 0.75  # 0.0916
    assert result.coverage[0.85] == 0.75  # 0.1897
    assert result.coverage[0.9] == 1
    nominal = np.arange(1, 20) / 20
    observed = np.mean(np.array([0.1, 0.5, 0.8, 2.0]) <= -np.log1p(-nominal)[:, None], axis=1)
    # Within a bin pixels are taken to be spread evenly; 0.8 and the limit of 55 % share one.
    assert result.expected_error == pytest.approx(np.mean(np.abs(observed - nominal)), abs=0.005)


@pytest.mark.parametrize('factor', [0.5, 1.0, 3.0])
def test_errors_that_are_as_expected_and_some_that_are_not(factor: float) -> None:
    rng = np.random.default_rng(0)
    scales = np.where(np.arange(200_000) % 2, 0.02, 0.3)
    ids = np.where(np.arange(200_000) % 2, CAR, ROAD)
    result = measure(rng.laplace(0, scales), {'car': 0.02 / factor, 'road': 0.3 / factor},
                     ids).result()
    assert result.temperature == pytest.approx(factor, rel=0.01)
    if factor == 1:
        assert result.expected_error < 0.003
        for level in LEVELS:
            assert result.coverage[level] == pytest.approx(level, abs=0.005)
    else:
        assert (result.coverage[ONE_SIGMA] > ONE_SIGMA) == (factor < 1)
        assert result.expected_error > 0.1


def test_bins_are_fine_enough() -> None:
    """The coverage of many levels is that of the sorted errors themselves."""
    errors = np.random.default_rng(1).lognormal(-3, 1, 5000)
    result = measure(errors, {'road': 0.1}).result()
    for level, observed in result.coverage.items():
        assert observed == pytest.approx(np.mean(errors / 0.1 <= -np.log1p(-level)), abs=0.003)


@pytest.mark.parametrize('errors', [[0.0] * 10, [1e-30, 1e30]])
def test_errors_beyond_all_bins(errors: list[float]) -> None:
    result = measure(np.clip(errors, -80, 80), {'road': 1e-3}).result()
    assert result.pixels == len(errors)
    assert result.coverage[0.95] == (1 if len(errors) == 10 else 0.5)
    assert math.isfinite(result.temperature)


def test_pixels_without_an_uncertainty_a_truth_or_a_prediction() -> None:
    ids = [ROAD, ROAD, CAR, 65535]
    result = measure([0.1] * 4, {'road': 0.1, 'car': math.nan}, ids).result()
    assert (result.pixels, result.stated_share) == (2, 0.5)
    metric = CalibrationMetric(Rules(EvaluationSettings(depth_cap_m=50)))
    metric.count(np.array([5.0, np.nan, np.inf, 0.0, 5.0, 5.0, 60.0]),
                  np.array([5.0, 5.0, 5.0, 5.0, np.nan, 0.0, 60.0]),
                  np.zeros(7, np.uint16), segments(road=0.1))
    assert metric.result().pixels == 1
    assert metric.result().stated_share == 1


@pytest.mark.parametrize('scale', [math.nan, 0.0, -1.0])
def test_a_model_that_does_not_say(scale: float) -> None:
    result = measure([0.1] * 4, {'road': scale}).result()
    assert (result.pixels, result.stated_share) == (0, 0)
    assert math.isnan(result.expected_error)
    assert math.isnan(result.temperature)
    assert all(math.isnan(share) for share in result.coverage.values())
    assert math.isnan(CalibrationMetric().result().stated_share)


def test_images_of_16_bit_integers_do_not_wrap() -> None:
    metric = CalibrationMetric(Rules(EvaluationSettings(depth_cap_m=65535)))
    metric.count(np.array([2559], np.uint16), np.array([2560], np.uint16),
                  np.zeros(1, np.uint16), segments(road=0.1))
    assert metric.result().coverage[0.05] == 1


def frames(errors, scale: float = 0.1, sequences=None) -> CalibrationMetric:
    """Calibration of one frame per row of errors of log depth."""
    total = CalibrationMetric()
    for row, sequence in zip(errors, sequences or [''] * len(errors), strict=True):
        row = np.asarray(row, np.float64)
        total.count(10 * np.exp(row), np.full(row.shape, 10.0),
                     np.full(row.shape, ROAD, np.uint16), segments(road=scale), sequence)
    return total


def test_parts_add_up_exactly() -> None:
    errors = np.random.default_rng(2).laplace(0, 0.1, (7, 100))
    part, other = frames(errors[:3]), frames(errors[3:])
    part.merge(other)
    assert part.result() == frames(errors).result()
    assert part.fit() == frames(errors).fit()


def test_frames_count_the_same_whatever_their_pixels() -> None:
    few, many = [0.01] * 4 + [0.9] * 6, [0.01] * 5000 + [0.9] * 5000
    result = frames([few, many]).result()
    assert (result.frames, result.pixels) == (2, 10010)
    assert result.coverage[0.5] == pytest.approx((0.4 + 0.5) / 2)


@pytest.mark.parametrize('factor', [0.4, 1.7, 6.0])
def test_a_wrong_scale_is_recovered(factor: float) -> None:
    rng = np.random.default_rng(3)
    calibration = frames(rng.laplace(0, 0.1 * factor, (20, 5000)))
    fit = calibration.fit()
    assert (fit.frames, fit.pixels, fit.groups) == (20, 100_000, 20)
    assert fit.temperature == pytest.approx(factor, rel=0.01)
    low, high = fit.temperature_range
    assert 0.98 * factor < low < fit.temperature < high < 1.02 * factor
    for level in (ONE_SIGMA, TWO_SIGMA):
        assert fit.left_out[level] == pytest.approx(level, abs=0.01)
        assert calibration.coverage(fit.temperature)[level] == pytest.approx(level, abs=0.01)
        worst, best = fit.left_out_range[level]
        assert worst < fit.left_out[level] < best
    # The factor that a report shows is the one that is fitted.
    assert calibration.result().temperature == fit.temperature
    assert calibration.result().coverage == calibration.coverage(1.0)


def test_left_out_by_hand() -> None:
    """Each of two frames gets the temperature of the other one."""
    rng = np.random.default_rng(4)
    narrow, wide = np.abs(rng.laplace(0, (0.05, 0.2), (4000, 2)).T)
    fit = frames([narrow, wide]).fit()
    low, high = np.quantile(narrow, 0.68) / 0.1, np.quantile(wide, 0.68) / 0.1
    assert fit.temperature_range == pytest.approx(
        np.array([low, high]) / laplace_reach(0.68), rel=0.01)
    shares = np.mean(narrow <= 0.1 * high), np.mean(wide <= 0.1 * low)
    assert fit.left_out[ONE_SIGMA] == pytest.approx(np.mean(shares), abs=0.005)
    assert fit.left_out_range[ONE_SIGMA] == pytest.approx(sorted(shares), abs=0.005)


def test_frames_of_a_sequence_are_left_out_together() -> None:
    """A frame is not judged by its neighbor in the same drive."""
    rng = np.random.default_rng(5)
    errors = rng.laplace(0, 0.1, (6, 2000)) * np.repeat([0.5, 1.0, 4.0], 2)[:, None]
    alone = frames(errors).fit()
    drives = frames(errors, sequences=list('aabbcc')).fit()
    assert (alone.groups, drives.groups, drives.frames) == (6, 3, 6)
    assert drives.temperature == alone.temperature
    assert drives.left_out_range[ONE_SIGMA][0] < alone.left_out_range[ONE_SIGMA][0]
    assert drives.temperature_range[0] < alone.temperature_range[0]


def test_heavy_tails_cannot_meet_both_levels() -> None:
    """Of errors after Student, the 95 % range is too short where that of 68 % is right."""
    rng = np.random.default_rng(6)
    fit = frames(np.clip(0.1 * rng.standard_t(1.5, (20, 5000)), -20, 20)).fit()
    assert fit.left_out[ONE_SIGMA] == pytest.approx(ONE_SIGMA, abs=0.01)
    assert fit.left_out[TWO_SIGMA] < 0.93


def test_a_gross_error_moves_the_fit_by_its_share() -> None:
    rng = np.random.default_rng(7)
    errors = rng.laplace(0, 0.1, (10, 2000))
    before = frames(errors).fit().temperature
    errors[:, :20] = 8.0
    assert frames(errors).fit().temperature == pytest.approx(before, rel=0.04)
    assert np.mean(np.abs(errors)) / 0.1 > 1.7


def test_one_frame_cannot_be_left_out_and_none_says_nothing() -> None:
    fit = frames([np.random.default_rng(8).laplace(0, 0.1, 500)]).fit()
    assert fit.temperature == pytest.approx(1, rel=0.2)
    assert math.isnan(fit.left_out[ONE_SIGMA])
    assert all(map(math.isnan, fit.temperature_range))
    for empty in (CalibrationMetric(), frames([[0.1]], scale=math.nan), frames([[math.nan]])):
        fit = empty.fit()
        assert (fit.frames, fit.pixels, fit.groups) == (0, 0, 0)
        assert math.isnan(fit.temperature) and math.isnan(fit.left_out[TWO_SIGMA])


def test_only_frames_with_depth_are_run(samples, perfect) -> None:
    run: list[str] = []
    told: list[tuple[int, str]] = []

    def stated(frame):
        run.append(frame.name)
        found = perfect(frame)
        return dataclasses.replace(found, segments=tuple(
            dataclasses.replace(s, log_depth_scale=0.1) for s in found.segments))

    found = calibrate(stated, samples, lambda *done: told.append(done)).result()
    assert run == ['frame0', 'frame3']
    assert told == [(i + 1, f'frame{i}') for i in range(4)]
    assert (found.frames, found.coverage[0.05]) == (2, 1)


def test_errors_name_the_thing_and_the_remedy() -> None:
    with pytest.raises(ValueError, match=r'shapes \(2,\), \(3,\), \(3,\); give all at the size'):
        CalibrationMetric().count(np.ones(2), np.ones(3), np.zeros(3, np.uint16), ())
