# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The formulas that losses are made of, by hand."""

from __future__ import annotations

from math import log, sqrt

import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.losses import depth_error, dice, focal  # noqa: E402
from panoptic_depth_core.network.panoptic_depth.losses import gaussian_radius  # noqa: E402


@pytest.mark.parametrize(('target', 'balance'), [(1.0, 0.25), (0.0, 0.75), (0.5, 0.5)])
def test_focal_loss_of_an_undecided_element(target, balance):
    loss = focal(torch.zeros(1), torch.tensor([target]))
    assert float(loss) == pytest.approx(balance * 0.25 * log(2))


def test_focal_loss_hardly_counts_what_is_right():
    nine_tenths = torch.tensor([log(9.0)])
    assert float(focal(nine_tenths, torch.ones(1))) == pytest.approx(0.25 * 0.01 * -log(0.9))
    assert float(focal(nine_tenths, torch.zeros(1))) == pytest.approx(0.75 * 0.81 * -log(0.1))


def test_dice_loss_by_hand():
    p = torch.tensor([[[0.5, 0.5]], [[1.0, 0.0]], [[0.0, 1.0]]])
    t = torch.tensor([[[1.0, 0.0]]]).expand(3, 1, 2)
    assert dice(p, t).tolist() == pytest.approx([1 / 3, 0, 1])


def test_depth_error_by_hand():
    error = depth_error(torch.tensor([2.0, 4.0]), torch.tensor([2.0, 2.0]))
    assert float(error) == pytest.approx(5 * (log(2) ** 2 / 2 - log(2) ** 2 / 4) + sqrt(0.5))


def test_depth_error_of_a_wrong_scale_is_the_relative_one():
    truth = torch.tensor([2.0, 10, 30])
    assert float(depth_error(1.5 * truth, truth)) == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize('pixels', [0, 3])
def test_depth_error_of_nothing_or_no_error_has_a_slope(pixels):
    predicted = torch.full((pixels,), 7.0, requires_grad=True)
    error = depth_error(predicted, predicted.detach())
    error.backward()
    assert float(error.detach()) == pytest.approx(0.0, abs=1e-5)
    assert torch.isfinite(predicted.grad).all()


def test_gaussian_radius_by_hand():
    # (sqrt(28^2 + 4 * 2.8 * 0.3 * 100) - 28) / 2
    assert float(gaussian_radius(torch.tensor([[10.0, 10.0]]))) == pytest.approx(2.73318, abs=1e-4)


side = st.floats(0.0625, 300)


@given(side, side)
def test_the_case_of_the_radius_is_the_least_of_three(width, height):
    total, area, keep = width + height, width * height, 0.7

    def root(a, b, c):
        return (b + sqrt(b * b - 4 * a * c)) / 2

    cases = (root(1, total, area * (1 - keep) / (1 + keep)),
             root(4, 2 * total, (1 - keep) * area),
             root(4 * keep, -2 * keep * total, (keep - 1) * area))
    assert float(gaussian_radius(torch.tensor([[width, height]], dtype=torch.float64))
                 ) == pytest.approx(min(cases), rel=1e-6, abs=1e-9)
