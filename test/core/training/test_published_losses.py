# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Targets and losses of the published PanopticDepth by hand, its faults among them."""

from __future__ import annotations

from math import exp, log, sqrt

import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')

from hand_output import one_car, published_output  # noqa: E402
from miniature import make_sample  # noqa: E402
from panoptic_depth_core.config import parse_settings  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, THING_CLASSES  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.targets import collate  # noqa: E402
from panoptic_depth_core.network.panoptic_depth.losses import (  # noqa: E402
    PUBLISHED_TARGETS,
    PublishedLossSettings,
    published_loss,
    published_targets,
)
from panoptic_depth_core.structures import GroundTruth, Sample  # noqa: E402
from panoptic_depth_core.training.recipe import TrainSettings  # noqa: E402

SETTINGS = PublishedLossSettings()
ROAD, CAR, PERSON = (CLASS_ID[name] for name in ('road', 'car', 'person'))


def _losses(output, samples):
    return published_loss(output, collate(samples, PUBLISHED_TARGETS), SETTINGS)


def _targets(sample):
    batch = collate([sample], PUBLISHED_TARGETS)
    output = published_output(1, *batch.thing.shape[1:])
    return published_targets(batch, 0, [c.shape[-2:] for c in output.centers],
                             output.mask_embedding.shape[-2:], len(CITYSCAPES))


def _cells(target):
    """Cells of all classes' maps, and things times levels."""
    return (sum(heat.numel() for heat in target.heats),
            sum(int(chosen.sum()) for chosen in target.of_level))


def test_a_recipe_chooses_them_by_one_key():
    recipe = {'data': [{'name': 'synthetic', 'root': '1'}], 'loss': {'published': {'mask': 3.0}}}
    settings = parse_settings(TrainSettings, {**recipe, 'network': 'published'}, 'test')
    network = create_model('published', loss=settings.loss)
    assert network.targets().keywords['settings'] == PUBLISHED_TARGETS
    assert (network.loss.published.mask, network.loss.published.depth) == (3.0, 5.0)
    # A network with learned kernels of classes cannot be trained by them.
    with pytest.raises(ConfigError, match="test: loss: unknown key 'published'; known keys: boun"):
        parse_settings(TrainSettings, recipe, 'test')


def test_a_thing_is_of_every_level_whose_range_holds_it():
    target = _targets(one_car())
    assert [chosen.tolist() for chosen in target.of_level] == [
        [True], [True], [False], [False], [False]]
    assert target.masks.sum() == 20 * 25


def test_heat_is_a_gaussian_of_a_third_of_its_diameter():
    target = _targets(one_car())
    heat = target.heats[0][THING_CLASSES.index(CAR)]
    # Mean column 20 and row 13.5 of the 25x20 cells at stride 4, halved.
    assert (heat == 1).nonzero().tolist() == [[6, 10]]
    # The box is 99x79 px, 12.375x9.875 cells: a radius of 3.01.
    sigma = 7 / 3
    assert float(heat[6, 11]) == pytest.approx(exp(-1 / (2 * sigma ** 2)))
    assert float(heat[9, 7]) == pytest.approx(exp(-18 / (2 * sigma ** 2)))
    assert heat[10, 10] == 0 and heat[6, 14] == 0
    assert target.heats[2].max() == 0


def test_regions_below_a_half_are_nothing():
    target = _targets(one_car())
    assert target.shares[0][ROAD, 0, 0] == 1 and target.shares[0][CAR, 6, 10] == 1
    for share in target.shares:
        assert ((share == 0) | (share >= 0.5)).all()
    assert (target.depth == 44).sum() == 20 * 25


def test_centers_and_regions_cost_what_their_formula_says():
    target = _targets(one_car())
    losses = _losses(published_output(1, 128, 256), [one_car()])
    # Of an element with p = 1/2 and target t: (t / 4 + 3 (1 - t) / 4) * 1/4 * log 2.
    cells, things = _cells(target)
    heat = sum(float(h.sum()) for h in target.heats)
    assert losses['center'].item() == pytest.approx(
        (0.75 * cells - 0.5 * heat) * 0.25 * log(2) / things, rel=1e-5)
    share = sum(float(s.mean((1, 2)).sum()) for s in target.shares)
    assert losses['region'].item() == pytest.approx(
        (0.75 * len(CITYSCAPES) * 5 - 0.5 * share) * 0.25 * log(2), rel=1e-5)


def test_masks_of_things_and_regions_are_dice_per_level():
    losses = _losses(published_output(1, 128, 256), [one_car()])
    # p is 1/2 in all 2048 cells at stride 4; the car has 500 of them, on 2 levels with 7 kernels.
    car = 1 - 500 / (2048 / 4 + 500)
    road = 1 - 1548 / (2048 / 4 + 1548)
    assert losses['mask'].item() == pytest.approx(4 * car, rel=1e-5)
    # Road has cells of all 5 levels; the car too: of p7 its sample, in the middle of 128 px.
    assert losses['region_mask'].item() == pytest.approx(4 * (car + road) / 2, rel=1e-5)


def test_pixels_of_things_count_for_each_kernel_and_level():
    losses = _losses(published_output(1, 128, 256), [one_car()])
    things, stuff = 7 * 2 * 500, 5 * 1548
    share = things / (things + stuff)
    error = 5 * log(2) ** 2 * (share - share ** 2) + sqrt(share / 4)
    assert losses['depth'].item() == pytest.approx(5 * error, rel=1e-5)
    assert losses['instance_depth'].item() == pytest.approx(5 * 0.5, rel=1e-4)


def test_cells_outside_of_a_small_thing_answer_for_its_depth():
    sample = one_car((64, 32, 80, 40), instance_depth_m={})
    output = published_output(1, 128, 256, seed=0)
    losses = _losses(output, [sample])
    gradient, = torch.autograd.grad(losses['instance_depth'], output.depth_kernels[0])
    assert int(gradient.any(1).sum()) == 7, 'two cells are inside'


def test_void_teaches_absence_and_a_crowd_is_a_thing(sample):
    output = published_output(1, 64, 128)
    gradient, = torch.autograd.grad(_losses(output, [sample])['center'], output.centers[0])
    assert gradient.all()
    heat = _targets(sample).heats[0][THING_CLASSES.index(PERSON)]
    assert heat.max() == 1


def test_the_loss_of_a_batch_is_the_mean_over_its_images():
    samples = [one_car(), make_sample(128, 256, seed=1)]
    output = published_output(2, 128, 256, seed=3)
    whole = _losses(output, samples)

    def image(value, i):
        is_maps = isinstance(value, list)
        return [m[i:i + 1] for m in value] if is_maps else value[i:i + 1]

    names = ('centers', 'regions', 'kernels', 'depth_kernels', 'mask_embedding',
             'depth_embedding', 'metric')
    each = [_losses(output._replace(**{n: image(getattr(output, n), i) for n in names}),
                    samples[i:i + 1]) for i in range(2)]
    for name, value in whole.items():
        mean = (each[0][name] + each[1][name]) / 2
        assert value.item() == pytest.approx(mean.item(), rel=1e-5), name


@pytest.mark.parametrize('truth', [
    GroundTruth(),
    make_sample(depth=None).truth,
    make_sample(panoptic=None, has_semantics=False, instance_classes=()).truth,
    # Sky alone, which has no depth; one thing that fills the image; one of two columns between
    # the samples of stride 4.
    make_sample(panoptic=make_sample().truth.panoptic * 0 + 1000 * CLASS_ID['sky']).truth,
    make_sample(panoptic=make_sample().truth.panoptic * 0 + 1000 * CAR + 1).truth,
    one_car((35, 8, 37, 56), 64, 128).truth,
])
def test_images_that_lack_something_can_be_learned_from(truth):
    output = published_output(2, 64, 128, seed=0)
    samples = [Sample(make_sample().frame, truth), make_sample()]
    losses = _losses(output, samples)
    torch.stack(list(losses.values())).sum().backward()
    assert all(torch.isfinite(value) for value in losses.values())
    maps = [*output.centers, *output.depth_kernels, output.mask_embedding]
    assert all(torch.isfinite(m.grad).all() for m in maps)


def test_weights_without_depth_learn_segmentation():
    output = published_output(1, 64, 128, seed=0, depth_embedding=None, depth_kernels=[])
    losses = _losses(output, [make_sample()])
    assert not {'depth', 'instance_depth'} & set(losses)
    assert losses['mask'] > 0 and losses['region_mask'] > 0


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    network = create_model('published')
    network.backbone.stem.requires_grad_(False)
    return network


@pytest.mark.parametrize('settings', [{'published': {}}, {}], ids=['published', 'default'])
def test_the_published_network_learns(network, settings):
    network.configure({}, settings, 'test')
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-6)
    batch = network.targets()([make_sample(64, 64, seed=1), make_sample(64, 64, seed=2)])
    before = network.kernel.weight.detach().clone()
    for _ in range(2):
        losses = network.losses(network(**batch.inputs()), batch)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        assert all(torch.isfinite(value) for value in losses.values())
    learning = {name: p.grad for name, p in network.named_parameters() if p.requires_grad}
    assert all(g is not None and torch.isfinite(g).all() for g in learning.values())
    assert not [name for name, gradient in learning.items() if not gradient.any()]
    assert not torch.equal(before, network.kernel.weight)
