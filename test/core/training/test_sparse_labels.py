# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels that are points, as those of a lidar: what lies between them is learned from nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')

from hand_output import one_car, published_output  # noqa: E402
from panoptic_depth_core.labels import CLASS_ID, VOID_ID  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.losses import (  # noqa: E402
    LossSettings,
    panoptic_depth_loss,
    training_regions,
)
from panoptic_depth_core.network.dynamic_kernels.targets import collate  # noqa: E402
from panoptic_depth_core.structures import Sample  # noqa: E402


def _points(sample: Sample, step: int = 4) -> Sample:
    """Every so many rows and columns are labelled, and not the rest."""
    labelled = np.zeros(sample.truth.panoptic.shape, np.bool_)
    labelled[step // 2::step, step // 2::step] = True
    return replace(sample, truth=replace(
        sample.truth, panoptic=np.where(labelled, sample.truth.panoptic, VOID_ID),
        ignore=~labelled, depth=np.where(labelled, sample.truth.depth, np.nan)))


def _mask_loss(sample: Sample, bias: float) -> float:
    """Of an output whose kernels see a car: the embedding is positive inside of it."""
    output = published_output(1, 128, 256)
    inside = torch.from_numpy(one_car().truth.panoptic == 1000 * CLASS_ID['car'] + 1)[::4, ::4]
    embedding = torch.zeros_like(output.mask_embedding)
    embedding[:, 0] = torch.where(inside, 20.0, -20.0) + bias
    kernels = [torch.zeros_like(level) for level in output.kernels]
    for level in kernels:
        level[:, 0] = 1.0
    output = output._replace(mask_embedding=embedding, kernels=kernels)
    return float(panoptic_depth_loss(output, collate([sample]), LossSettings())['mask'])


def test_whole_masks_are_right_for_points():
    assert _mask_loss(one_car(), 0.0) < 1e-3
    assert _mask_loss(_points(one_car()), 0.0) < 1e-3
    wrong = _mask_loss(one_car(), 40.0)
    assert wrong > 0.1 and _mask_loss(_points(one_car()), 40.0) == pytest.approx(wrong, rel=0.05)


def test_nothing_between_the_points_has_a_gradient():
    """Cells of 4 px without any label: every other one."""
    output = published_output(1, 128, 256, seed=1)
    losses = panoptic_depth_loss(output, collate([_points(one_car(), 8)]), LossSettings())
    gradient, = torch.autograd.grad(losses['mask'] + losses['semantic'], output.mask_embedding)
    touched = gradient[0].abs().sum(0) > 0
    assert touched[1::2, 1::2].any()
    assert not touched[0::2].any() and not touched[:, 0::2].any()


def test_cells_answer_for_the_class_of_their_points():
    """At least those that have most of their points, in a sixteenth of the pixels that count."""
    rng = np.random.default_rng(0)
    sample = one_car()
    labelled = rng.random(sample.truth.panoptic.shape) < 0.3
    sparse = replace(sample, truth=replace(
        sample.truth, panoptic=np.where(labelled, sample.truth.panoptic, VOID_ID),
        ignore=~labelled))
    output = published_output(1, 128, 256, seed=2)
    regions = [training_regions(output, collate([one])) for one in (sample, sparse)]
    assert torch.equal(regions[0].labelled, regions[1].labelled)
    for name in ('road', 'car'):
        whole, points = (r.depth_kernels[0, CLASS_ID[name]] for r in regions)
        assert (whole - points).norm() < 0.5 * whole.norm(), name
