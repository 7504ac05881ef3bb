# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Planarity of the road: zero on any plane, a wave costs its relative height."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')

from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.losses import planarity_loss  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.targets import collate  # noqa: E402

ROAD = 3
HEIGHT, WIDTH = 24, 40


def loss_of(depth, road=True):
    """:param depth: (HEIGHT, WIDTH) meters, as a leaf that gets a gradient."""
    # A kernel of center 2 and range softplus(3), on an embedding that is the position itself.
    spread = torch.tensor(3.0)
    position = (depth.log() - 2) / torch.nn.functional.softplus(spread)
    embedding = torch.logit((position + 1) / 2)[None, None]
    semantic = torch.full((1, 4 * HEIGHT, 4 * WIDTH), ROAD if road else 0, dtype=torch.uint8)
    output = SimpleNamespace(depth_embedding=embedding, metric=torch.ones(1), depth_form='log',
                             ground=None)
    kernels = torch.zeros(1, 5, 4)
    kernels[0, ROAD] = torch.tensor([2.0, 3.0, 0.0, 1.0])
    regions = SimpleNamespace(depth_kernels=kernels, present=torch.ones(1, 5, dtype=torch.bool))
    return planarity_loss(output, SimpleNamespace(semantic=semantic), regions, ROAD)


@pytest.fixture
def plane():
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing='ij')
    return 1 / (0.02 + 0.005 * rows + 0.0003 * columns)


def test_a_plane_costs_nothing(plane):
    assert loss_of(plane) < 1e-4
    assert loss_of(1.7 * plane) < 1e-4, 'whatever its scale'


def test_a_wave_costs_its_height_and_is_drawn_to_the_plane(plane):
    wave = 0.1 * torch.sin(torch.arange(WIDTH) / 1.5)
    depth = (plane * (1 + wave)).requires_grad_()
    loss = loss_of(depth)
    assert 0.04 < loss < 0.08, 'a mean of 0.064'
    loss.backward()
    far = wave.expand_as(plane).abs() > 0.05
    assert (depth.grad[far] * wave.expand_as(plane)[far] > 0).float().mean() > 0.95


def test_without_a_road_there_is_no_loss(plane):
    assert loss_of(plane, road=False) == 0


def test_a_recipe_switches_it_on(sample, monkeypatch):
    network = create_model('fast', loss={'planarity': 0.5})
    batch = collate([sample])
    assert 'planarity' in network.losses(network(**batch.inputs()), batch)
    assert 'planarity' not in create_model('fast').losses(network(**batch.inputs()), batch)
    monkeypatch.setattr(type(network), 'classes', tuple(
        replace(c, name=f'my {c.name}') for c in network.classes))
    with pytest.raises(ConfigError, match='planarity is 0.5, but this network learns no depth'):
        network.losses(network(**batch.inputs()), batch)
