# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Calibration of the uncertainty: by hand, of errors that are as expected, and in parts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from panoptic_depth_core.evaluation.calibration import LEVELS, ONE_SIGMA, Calibration
from panoptic_depth_core.structures import Segment

CAR, ROAD = 13001, 0


def segments(**scales: float) -> tuple[Segment, ...]:
    return tuple(Segment({'car': CAR, 'road': ROAD}[name], 0, 0, False, 1.0, 1, scale)
                 for name, scale in scales.items())


def measure(log_errors, scales, ids=None, truth=10.0, **kwargs):
    """Calibration of pixels with these errors of log depth."""
    metric = Calibration(**kwargs)
    errors = np.asarray(log_errors, np.float64)
    ids = np.full(errors.shape, ROAD) if ids is None else np.asarray(ids)
    metric.update(truth * np.exp(errors), np.full(errors.shape, truth), ids.astype(np.uint16),
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
    metric = Calibration(cap_m=50)
    metric.update(np.array([5.0, np.nan, np.inf, 0.0, 5.0, 5.0, 60.0]),
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
    assert math.isnan(Calibration().result().stated_share)


def test_images_of_16_bit_integers_do_not_wrap() -> None:
    metric = Calibration(cap_m=65535)
    metric.update(np.array([2559], np.uint16), np.array([2560], np.uint16),
                  np.zeros(1, np.uint16), segments(road=0.1))
    assert metric.result().coverage[0.05] == 1


def test_parts_add_up_exactly() -> None:
    errors = np.random.default_rng(2).laplace(0, 0.1, 300)
    part, other = measure(errors[:100], {'road': 0.1}), measure(errors[100:], {'road': 0.1})
    part.merge(other)
    assert part.result() == measure(errors, {'road': 0.1}).result()


def test_errors_name_the_thing_and_the_remedy() -> None:
    with pytest.raises(ValueError, match=r'shapes \(2,\), \(3,\), \(3,\); give all at the size'):
        Calibration().update(np.ones(2), np.ones(3), np.zeros(3, np.uint16), ())
