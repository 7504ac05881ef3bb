# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Targets by hand; losses of perfect, missing and partial labels."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')

from miniature import make_sample  # noqa: E402
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, VOID_CLASS  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.losses import (  # noqa: E402
    LossSettings,
    panoptic_depth_loss,
    sample_kernels,
)
from panoptic_depth_core.network.dynamic_kernels.targets import (  # noqa: E402
    TargetSettings,
    center_targets,
    collate,
    is_of_level,
    region_targets,
    thing_masks,
)
from panoptic_depth_core.network.panoptic_depth.losses import PUBLISHED_TARGETS  # noqa: E402
from panoptic_depth_core.structures import GroundTruth, Sample  # noqa: E402

CAR, PERSON, ROAD = CLASS_ID['car'], CLASS_ID['person'], CLASS_ID['road']
CHANNEL = [c.class_id for c in CITYSCAPES if c.is_thing].index


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return create_model('fast')


def test_things_are_numbered_and_crowds_are_not(sample):
    batch = collate([sample])
    assert batch.thing_channel[0].tolist() == [CHANNEL(CAR)] * 2
    assert sorted(batch.thing_box[0].tolist()) == [[0, 21, 32, 32], [64, 21, 96, 32]]
    assert batch.thing.unique().tolist() == [0, 1, 2]
    assert batch.semantic[0, 60, 0] == PERSON, 'the class of a crowd is known'
    assert batch.semantic[0, -1, 0] == VOID_CLASS


def test_where_absence_is_known(sample):
    known = collate([sample]).center_known()[0]
    road, crowd, void = (40, 100), (50, 4), (63, 100)
    truck = CHANNEL(CLASS_ID['truck'])
    assert known[CHANNEL(CAR)][road] and known[truck][road]
    assert not known[CHANNEL(CAR)][crowd] and not known[truck][crowd]
    assert known[CHANNEL(CAR)][void], 'labelled instances end the search for more of them'
    assert not known[truck][void]


def test_semantics_alone_know_where_no_thing_is():
    known = collate([make_sample(instance_classes=())]).center_known()[0]
    assert known[:, 40, 100].all() and not known[:, 25, 5].any()


def test_depth_alone_knows_nothing_of_classes():
    batch = collate([make_sample(panoptic=None, instance_classes=())])
    assert not batch.center_known().any() and (batch.semantic == VOID_CLASS).all()
    assert torch.isfinite(batch.depth).any() and not torch.isinf(batch.depth).any()


def test_center_is_the_middle_of_the_visible_pixels(sample):
    sizes = [torch.Size([8 // 2 ** level, 16 // 2 ** level]) for level in range(4)]
    heat, weight = center_targets(collate([sample]), sizes, TargetSettings())[0]
    peaks = (heat[0, CHANNEL(CAR)] == 1).nonzero().tolist()
    assert sorted(peaks) == [[3, 2], [3, 10]]
    assert heat[0, CHANNEL(PERSON)].max() == 0
    assert (weight[heat == 1] == 1).all()


def test_every_image_and_level_has_its_own_centres(sample):
    everywhere = TargetSettings(finest_px=19.0)
    batch = collate([make_sample(panoptic=None, instance_classes=()), sample, sample])
    assert torch.allclose(batch.thing_middle[1], torch.tensor([[26.5, 16.0], [26.5, 80.0]]))
    sizes = [torch.Size([8, 16]), torch.Size([4, 8])]
    for (heat, weight), size in zip(center_targets(batch, sizes, everywhere), sizes, strict=True):
        assert heat.shape[-2:] == size and (weight[heat == 1] == 1).all()
        assert [int((image == 1).sum()) for image in heat] == [0, 2, 2]
        assert torch.equal(heat[1], heat[2])
        assert not weight[0].any(), 'nothing is known there'


@pytest.mark.parametrize(('settings', 'ranges'), [
    (TargetSettings(), [(1, 64), (32, 128), (64, 256), (128, 4096)]),
    (PUBLISHED_TARGETS, [(1, 128), (64, 256), (128, 512), (256, 1024), (512, 2048)]),
])
def test_levels_hold_the_things_of_their_range(settings, ranges):
    size = torch.tensor([1.0, 31, 32, 63, 64, 65, 127, 128, 129, 255, 257, 511, 513, 1025, 2000])
    for level, (low, high) in enumerate(ranges):
        chosen = is_of_level(size, level, len(ranges), settings)
        assert chosen.tolist() == ((size >= low) & (size <= high)).tolist(), level


def test_masks_and_regions_are_shares(sample):
    batch = collate([sample])
    masks = thing_masks(batch, 0, torch.Size([16, 32]))
    assert masks.shape == (2, 16, 32)
    assert float(masks[0].sum() * 16) == pytest.approx(float((batch.thing == 1).sum()))
    share, known = region_targets(batch.semantic, torch.Size([8, 16]), len(CITYSCAPES))
    assert torch.allclose(share.sum(1)[known[:, 0] > 0], torch.tensor(1.0))
    assert share[0, ROAD, 6, 10] == 1


def test_every_thing_is_answered_for(sample, network):
    batch = collate([sample])
    output = network(batch.image, batch.intrinsics)
    kernels = sample_kernels(output, batch, 0, 3, TargetSettings())
    assert set(kernels.thing.tolist()) == {0, 1}
    total = torch.zeros(2).index_add(0, kernels.thing, kernels.weight)
    assert torch.allclose(total, torch.ones(2))


@pytest.mark.parametrize(('truth', 'silent'), [
    (GroundTruth(), {'center', 'region', 'semantic', 'mask', 'depth', 'instance_depth',
                     'fallback_depth', 'depth_scale'}),
    (make_sample(depth=None).truth, {'depth', 'instance_depth', 'fallback_depth', 'depth_scale'}),
    (make_sample(depth=None, instance_classes=()).truth, {'mask', 'depth', 'depth_scale'}),
    (make_sample(panoptic=None, has_semantics=False, instance_classes=()).truth,
     {'center', 'region', 'semantic', 'mask', 'instance_depth'}),
])
def test_missing_labels_teach_nothing(network, truth, silent):
    batch = collate([Sample(make_sample().frame, truth)])
    losses = panoptic_depth_loss(network(batch.image, batch.intrinsics), batch, LossSettings())
    assert all(torch.isfinite(v) for v in losses.values())
    assert {name for name, value in losses.items() if float(value.detach()) == 0} >= silent


def test_a_batch_of_unlike_samples_reaches_every_weight(network):
    samples = [make_sample(seed=1), make_sample(seed=2, depth=None),
               make_sample(seed=3, panoptic=None, has_semantics=False, instance_classes=())]
    batch = collate(samples)
    network.zero_grad()
    losses = panoptic_depth_loss(network(batch.image, batch.intrinsics), batch, LossSettings())
    torch.stack(list(losses.values())).sum().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle


def test_perfect_depth_costs_nothing(network):
    sample = make_sample(instance_classes=())
    sample.truth.depth[:] = 7.5
    batch = collate([sample])
    output = network(batch.image, batch.intrinsics)
    canonical = float(torch.log(7.5 / output.metric[0]))
    level = [torch.zeros_like(k) for k in output.depth_kernels]
    exact = torch.zeros_like(output.class_depth_kernels)
    exact[:, 0] = canonical
    output = output._replace(
        depth_kernels=level, class_depth_kernels=exact,
        fallback_depth_kernel=exact[:1].clone())
    losses = panoptic_depth_loss(output, batch, LossSettings())
    assert float(losses['depth'].detach()) == pytest.approx(0.0, abs=1e-5)
    assert float(losses['fallback_depth'].detach()) == pytest.approx(0.0, abs=1e-5)
