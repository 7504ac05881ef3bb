# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Error of depth as disparity in px of Cityscapes: perfect, by hand, and which pixels count."""

from __future__ import annotations

import math

import numpy as np
import pytest
from panoptic_depth_core.evaluation.disparity import at_quarter, disparity_errors
from panoptic_depth_core.evaluation.metrics.depth import DepthMetric
from panoptic_depth_core.evaluation.metrics.frame import Rules
from panoptic_depth_core.evaluation.settings import EvaluationSettings


def _depth(disparity_px: list[float]) -> np.ndarray:
    """Meters, from pixels of a file: f B over (p - 1) / 256."""
    pixels = np.round(256 * np.array(disparity_px)) + 1
    return 2262.52 * 0.209313 / ((pixels - 1) / 256)


def test_perfect() -> None:
    depth = _depth([3.0, 40.5, 110.0])
    assert disparity_errors(depth, depth) == {'disparity_px': 0.0}


def test_by_hand() -> None:
    found = disparity_errors(_depth([3.0, 42.5, 108.0]), _depth([4.0, 40.5, 111.0]))
    assert found['disparity_px'] == pytest.approx((1 + 2 + 3) / 3)
    # 47.36 px at 10 m.
    half = disparity_errors(np.array([20.0]), np.array([10.0]))
    assert half['disparity_px'] == pytest.approx(47.3575 / 2, abs=1e-3)


def test_nothing() -> None:
    assert math.isnan(disparity_errors(np.empty(0), np.empty(0))['disparity_px'])


def test_protocol() -> None:
    """Pixels at a quarter count that have a truth; what is beyond the range has no disparity."""
    metric = DepthMetric(Rules(EvaluationSettings(protocol='cityscapes_disparity')))
    truth, predicted = (np.full((1024, 2048), np.nan, np.float32) for _ in range(2))
    window = at_quarter(truth.shape)
    truth[:2, :3] = 5.0
    for (row, column), true, guess in (((0, 0), 40.0, 42.0), ((9, 9), 20.0, 16.0),
                                       ((255, 511), 4.0, 0.0)):
        truth[window][row, column] = 2262.52 * 0.209313 / true
        predicted[window][row, column] = 2262.52 * 0.209313 / guess if guess else np.inf
    metric.count(predicted, truth)
    found = metric.finished().found
    assert found.pooled.pixels == 3
    assert found.more['disparity_px'] == pytest.approx((2 + 4 + 4) / 3, abs=0.01)


def test_pixels_at_a_quarter() -> None:
    marked = np.zeros((1024, 2048), np.bool_)
    marked[at_quarter((1024, 2048))] = True
    assert marked.sum() == 256 * 512
    assert marked[2, 2] and marked[1022, 2046] and not marked[1:2].any()
