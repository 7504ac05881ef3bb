# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""SOSD-Net: its parts, its camera, its forms of depth and its losses."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='the network needs the extra [train]')

import yaml  # noqa: E402
from miniature import make_sample  # noqa: E402
from panoptic_depth_core.contract import COLUMN, NO_SEGMENT  # noqa: E402
from panoptic_depth_core.io.cameras.camera_options import (  # noqa: E402
    CITYSCAPES_FOCAL_TIMES_BASELINE,
)
from panoptic_depth_core.labels import CLASS_ID, VOID_CLASS  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.network.base import ModelDescription, describe  # noqa: E402
from panoptic_depth_core.network.sosd.network import (  # noqa: E402
    DISPARITY_UNIT_PX,
    PUBLISHED_SETTINGS,
    SosdNetwork,
)
from panoptic_depth_core.structures import GroundTruth  # noqa: E402

RECIPES = Path(__file__).parents[3] / 'config' / 'training' / 'sosd'
CAMERA = torch.tensor([[250.0, 250.0, 63.5, 31.5]])
THRESHOLDS = torch.tensor([0.3, 0.5, 0.0, 0.0])


def _network(**settings) -> SosdNetwork:
    torch.manual_seed(0)
    network = create_model('sosd', settings)
    assert isinstance(network, SosdNetwork)
    return network


def _picture(seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(make_sample(seed=seed).frame.image)[None]


def _batch(network, *samples):
    return network.targets()(samples or [make_sample()])


def test_the_published_recipe_has_the_published_settings():
    recipe = yaml.safe_load((RECIPES / 'published.yaml').read_text())
    assert recipe['network_settings'] == PUBLISHED_SETTINGS
    assert recipe['loss'] == {'published': {}}
    with torch.device('meta'):
        network = create_model('sosd', PUBLISHED_SETTINGS)
    shapes = {name: tuple(value.shape) for name, value in network.named_parameters()}
    assert shapes['low_level.0.weight'] == (48, 256, 1, 1)
    assert shapes['semantic.refine.0.weight'] == shapes['depth.refine.0.weight'] == (64, 48, 3, 3)
    assert shapes['semantic.branch.0.0.weight'] == (256, 320, 3, 3)
    assert shapes['common.0.weight'] == (128, 48 + 256, 3, 3)
    assert shapes['depth.branch.0.0.weight'] == (128, 320, 3, 3)
    assert shapes['depth.branch.1.0.weight'] == (128, 128, 3, 3)
    assert shapes['semantic.head.weight'] == (19, 256 + 32, 3, 3)
    assert shapes['depth.head.weight'] == (1, 128 + 1, 3, 3)
    assert shapes['context.project.0.weight'] == (256, 5 * 256, 1, 1)
    assert network.input_mean == network.input_std == (127.5, 127.5, 127.5)


@pytest.mark.parametrize('norm', ['group', 'batch'])
def test_without_exchange_all_else_is_the_same(norm):
    found = {exchange: {name: tuple(value.shape) for name, value in _network(
        exchange=exchange, norm=norm).state_dict().items()} for exchange in (True, False)}
    clues = {name for name in found[True] if '.clue.' in name}
    assert clues and set(found[True]) - clues == set(found[False])
    assert {name for name in found[False] if found[True][name] != found[False][name]} == {
        'semantic.head.weight', 'depth.head.weight'}, 'they read no clue'


@pytest.mark.parametrize('backbone', ['mobilenet_v2', 'resnet50'])
@torch.no_grad()
def test_maps_are_at_stride_4(backbone):
    network = _network(backbone=backbone).eval()
    output = network(_picture()[:, :48, :80], CAMERA)
    assert output['semantic'].shape == (1, 19, 12, 20)
    assert output['depth'].shape == (1, 1, 12, 20)
    made = network.assemble(output, THRESHOLDS)
    assert made['depth'].shape == (1, 24, 40) and (made['depth'] > 0).all()
    assert made['segment_index'].max() < 19
    assert made['segments'].shape == (1, 19, len(COLUMN))
    assert not made['segments'][..., COLUMN['is_thing']].any()
    nothing = network.assemble(output, torch.tensor([0.3, 0.5, 0.0, 1.0]))
    assert (nothing['segment_index'] == NO_SEGMENT).all()


@torch.no_grad()
def test_the_focal_length_is_an_explicit_factor():
    """The same picture through twice the lens is of what is twice as far; classes stay."""
    network = _network(rays=False).eval()
    near, far = (network(_picture(), CAMERA * torch.tensor([k, k, 1.0, 1.0])) for k in (1.0, 2.0))
    torch.testing.assert_close(near['semantic'], far['semantic'])
    depths = [network.assemble(output, THRESHOLDS)['depth'] for output in (near, far)]
    torch.testing.assert_close(depths[1], 2 * depths[0])


@torch.no_grad()
def test_it_sees_where_the_horizon_is():
    network = _network().eval()
    level, tilted = (network(_picture(), CAMERA + torch.tensor([0.0, 0.0, 0.0, shift]))
                     for shift in (0.0, 20.0))
    assert not torch.allclose(level['depth'], tilted['depth'], rtol=1e-3)


@torch.no_grad()
def test_as_published_the_camera_is_unknown():
    network = _network(**{**PUBLISHED_SETTINGS, 'backbone': 'mobilenet_v2', 'width': 64}).eval()
    depths = [network.assemble(network(_picture(), CAMERA * k), THRESHOLDS)['depth']
              for k in (1.0, 2.0)]
    torch.testing.assert_close(depths[0], depths[1])


@pytest.mark.parametrize(('form', 'meters'), [
    ('exponential', 3.0 * math.exp(2.5)), ('softplus', math.log1p(3.0)),
    ('disparity', CITYSCAPES_FOCAL_TIMES_BASELINE / DISPARITY_UNIT_PX / math.log1p(3.0))])
def test_forms_of_depth(form, meters):
    network = _network(depth_form=form)
    found = network.meters(torch.full((1, 1, 2, 3), math.log(3.0)))
    assert found.shape == (1, 2, 3)
    assert found.flatten().tolist() == pytest.approx([meters] * 6, rel=1e-5)
    extremes = network.meters(torch.tensor([[[[-1e4, 1e4]]]]))
    assert torch.isfinite(extremes).all() and (extremes > 0).all()


def test_published_error_is_of_disparity():
    """A picture at 10 m whose map says so has no error; known pixels count alike."""
    network = _network(**{**PUBLISHED_SETTINGS, 'backbone': 'mobilenet_v2', 'width': 64})
    network.configure({}, {'published': {}}, 'test')
    batch = _batch(network)
    batch.depth[:] = 10.0
    batch.depth[:, ::2] = math.nan
    units = CITYSCAPES_FOCAL_TIMES_BASELINE / 10.0 / DISPARITY_UNIT_PX
    assert units * DISPARITY_UNIT_PX == pytest.approx(47.36, abs=0.01)

    def error(value: float) -> float:
        raw = torch.full((1, 1, 16, 32), math.log(math.expm1(value)))
        output = {'semantic': torch.zeros(1, 19, 16, 32), 'depth': raw, 'metric': torch.ones(1)}
        return float(network.losses(output, batch)['depth'])

    assert error(units) == pytest.approx(0.0, abs=1e-5)
    assert error(units + 0.25) == pytest.approx(0.25, abs=1e-5)
    # 19 classes that are equally probable, at all pixels that are not void.
    output = {'semantic': torch.zeros(1, 19, 16, 32), 'depth': torch.zeros(1, 1, 16, 32),
              'metric': torch.ones(1)}
    assert float(network.losses(output, batch)['semantic']) == pytest.approx(math.log(19))


def test_default_error_is_of_log_depth_in_canonical_meters():
    network = _network()
    network.prepare_losses([make_sample()])
    batch = _batch(network)
    batch.depth[:] = 8.0
    # 8 m through half the canonical lens are 16 canonical meters.
    raw = torch.full((1, 1, 16, 32), math.log(16.0) - 2.5)
    output = {'semantic': torch.zeros(1, 19, 16, 32), 'depth': raw,
              'metric': network.settings.metric(CAMERA)}
    losses = network.losses(output, batch)
    assert set(losses) == {'semantic', 'depth'}
    assert float(losses['depth']) == pytest.approx(0.0, abs=1e-5)
    output['depth'] = raw + 0.1
    assert float(network.losses(output, batch)['depth']) == pytest.approx(0.1, abs=1e-5)
    assert network.class_weights[CLASS_ID['train']] > network.class_weights[CLASS_ID['road']]


@pytest.mark.parametrize('loss', [{}, {'published': {}}])
def test_losses_without_labels_are_zero(loss):
    network = _network(depth_form='disparity' if loss else 'exponential')
    network.configure({}, loss, 'test')
    empty = replace(make_sample(), truth=GroundTruth())
    batch = _batch(network, empty)
    assert (batch.semantic == VOID_CLASS).all() and batch.depth.isnan().all()
    losses = network.losses(network(batch.image, batch.intrinsics), batch)
    sum(losses.values()).backward()
    assert {name: value.item() for name, value in losses.items()} == {'semantic': 0, 'depth': 0}
    for name, parameter in network.named_parameters():
        assert parameter.grad is None or not parameter.grad.any(), name


@pytest.mark.parametrize(('rests', 'learns'), [('depth', 'semantic'), ('semantic', 'depth')])
def test_no_gradient_flows_through_a_resting_branch(rests, learns, monkeypatch):
    """What is shared learns as if the feature of the other task were a constant."""
    network = _network()
    network.context.dropout.p = 0.0
    batch = _batch(network)

    def gradients() -> dict[str, torch.Tensor]:
        network.zero_grad()
        network.losses(network(batch.image, batch.intrinsics), batch)[learns].backward()
        return {name: parameter.grad.clone() for name, parameter in network.named_parameters()
                if parameter.grad is not None}

    jointly = gradients()
    assert any(name.startswith(f'{rests}.branch') for name in jointly), 'the clue reads it'
    branch = getattr(network, rests)
    branch.requires_grad_(False)
    resting = gradients()
    assert not any(name.startswith(rests) for name in resting)
    feature = branch.feature
    monkeypatch.setattr(branch, 'feature', lambda *given: feature(*given).detach())
    branch.requires_grad_(True)
    constant = gradients()
    for name, gradient in resting.items():
        assert torch.equal(gradient, constant[name]), name
    shared = [name for name in resting if not name.startswith(learns)]
    assert any(name.startswith('backbone') for name in shared)
    assert any(not torch.equal(resting[name], jointly[name]) for name in shared)


@torch.no_grad()
def test_deployed_norms_are_merged():
    network = _network(backbone='resnet50', backbone_norm='batch', norm='batch').eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2)
            module.running_mean.normal_(std=0.1)
    before = network(_picture(), CAMERA)
    deployed = network.deployed()
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in deployed.modules())
    after = deployed(_picture(), CAMERA)
    for name in ('semantic', 'depth'):
        torch.testing.assert_close(after[name], before[name], rtol=1e-3, atol=1e-3)
    rebuilt = create_model('sosd', deployed.settings.model_dump())
    assert {n: v.shape for n, v in rebuilt.state_dict().items()} == {
        n: v.shape for n, v in deployed.state_dict().items()}


def test_it_says_what_it_is():
    info = describe(_network(), ModelDescription(height=48, width=80))
    assert info.tasks == {'semantic', 'depth'} and info.canonical_focal_px == 500
