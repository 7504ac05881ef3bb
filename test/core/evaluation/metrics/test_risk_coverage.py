# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Risk over coverage: by hand, with equal segments, and on frames."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from panoptic_depth_core.evaluation.dataset.evaluate import Evaluator
from panoptic_depth_core.evaluation.metrics.risk_coverage import (
    SHARES,
    DepthRisk,
    LabelRisk,
    risk_of,
)


def test_two_segments_by_hand() -> None:
    """Half of the pixels have an error of 0.1 and are sure, the others 0.3."""
    found = risk_of(np.array([[0.2, 0.1], [50, 50], [15.0, 5.0]]))
    assert found.pixels == 100
    assert found.risk[0.25] == pytest.approx(0.1) and found.risk[0.5] == pytest.approx(0.1)
    assert found.risk[0.75] == pytest.approx((0.05 + 0.25 * 0.3) / 0.75)
    assert found.risk[1.0] == pytest.approx(0.2)
    # 0.5 * 0.1, and the integral of (0.05 + 0.3 (c - 0.5)) / c from 0.5 to 1.
    assert found.aurc == pytest.approx(0.05 + 0.15 - 0.1 * math.log(2))


def test_area_is_that_under_the_curve() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 50, 30).astype(float)
    columns = np.stack([rng.integers(0, 9, 30) / 10, pixels, pixels * rng.random(30)])
    order = np.argsort(columns[0], kind='stable')
    # Pixels of equal doubt in any order: each has their mean error.
    error = {d: columns[2, columns[0] == d].sum() / pixels[columns[0] == d].sum()
             for d in columns[0]}
    each = np.repeat([error[d] for d in columns[0][order]], 1000 * pixels[order].astype(int))
    curve = np.cumsum(each) / np.arange(1, len(each) + 1)
    found = risk_of(columns)
    assert found.aurc == pytest.approx(curve.mean(), rel=1e-4)
    for share in SHARES:
        assert found.risk[share] == pytest.approx(curve[round(share * len(each)) - 1], rel=1e-3)


def test_what_is_equally_sure_is_in_any_order() -> None:
    found = risk_of(np.array([[np.inf, np.inf], [10, 30], [10.0, 0.0]]))
    assert found.aurc == pytest.approx(0.25)
    assert set(np.round(list(found.risk.values()), 9)) == {0.25}


def test_nothing_is_not_zero() -> None:
    assert math.isnan(risk_of(np.zeros((3, 0))).aurc)


def counted(samples, pipeline) -> dict:
    sums = Evaluator(more=(DepthRisk, LabelRisk))
    for sample in samples:
        sums.add(sample.truth, pipeline(sample.frame))
    return sums.finished()


def test_frames(samples, faulty) -> None:
    """One car is sure of its depth; the other segments have no expected error and come last."""
    def sure(frame):
        found = faulty(frame)
        first, *others = found.segments
        return replace(found, segments=(
            replace(first, log_depth_scale=0.1, score=0.5), *others))

    found = counted(samples, sure)
    depth = found['depth_risk']
    assert depth.metric_values()['risk_100'].value == pytest.approx(
        found['depth'].found.pooled.abs_rel)
    assert depth.frames == 2 and depth.measured
    labels = found['label_risk'].metric_values()
    assert labels['risk_100'].value == pytest.approx(1 - found['semantic'].found.pixel_accuracy)
    # Road and sky have no segment in this pipeline: they are as unsure as void.
    assert labels['aurc'].value != labels['risk_100'].value


def test_a_model_without_uncertainty_has_no_value(samples, faulty) -> None:
    found = counted(samples, faulty)
    assert found['depth_risk'].metric_values() == {}
    assert 'aurc' in found['label_risk'].metric_values()


def test_parts_add_up(samples, faulty) -> None:
    whole = counted(samples, faulty)['label_risk']
    parts = [counted([sample], faulty)['label_risk'] for sample in samples]
    total = LabelRisk()
    for part in parts:
        total.merge(part)
    assert total.finished().detail() == whole.detail()
