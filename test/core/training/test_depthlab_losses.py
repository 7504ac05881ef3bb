# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Targets and losses of Panoptic-DepthLab: against golden values of its code, and ours by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')

from golden import each_golden  # noqa: E402
from golden_depthlab import depthlab_weights  # noqa: E402
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, THING_CLASSES, VOID_ID  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.network.depthlab.losses import (  # noqa: E402
    DepthLabOutput,
    PublishedLossSettings,
    published_loss,
)
from panoptic_depth_core.network.depthlab.network import DepthLabNetwork  # noqa: E402
from panoptic_depth_core.network.depthlab.targets import (  # noqa: E402
    DepthLabBatch,
    center_points,
    collate,
    published_maps,
)
from panoptic_depth_core.structures import Frame, GroundTruth, Intrinsics, Sample  # noqa: E402

NAMES = {'semantic': 'loss_sem_seg', 'center': 'loss_center', 'offset': 'loss_offset',
         'depth': 'loss_depth'}
PARTS = {'backbone': ['backbone'], 'sem_seg_head': ['semantic_decoder', 'semantic_head'],
         'ins_embed_head': ['instance_decoder', 'center_head', 'offset_head'],
         'depth_head': ['depth_decoder', 'depth_head']}


def _maps(panoptic, ids, categories, crowds):
    return published_maps(panoptic, ids, np.isin(categories, THING_CLASSES), crowds > 0)


def _semantic(panoptic, ids, categories):
    semantic = np.full(panoptic.shape, 255, np.uint8)
    for segment, category in zip(ids, categories, strict=True):
        semantic[panoptic == segment] = category
    return semantic


@each_golden('depthlab_targets')
def test_targets_equal_the_original(path):
    golden = np.load(path)
    panoptic, ids, categories, crowds = (golden[name] for name in (
        'panoptic', 'segment_id', 'segment_category', 'segment_iscrowd'))
    made = _maps(panoptic, ids, categories, crowds)
    for theirs, ours in (('sem_seg_weights', 'semantic_weight'),
                         ('center_weights', 'heat_weight'), ('offset_weights', 'offset_weight')):
        assert np.array_equal(golden[theirs].squeeze(), made[ours]), theirs
    assert np.array_equal(golden['sem_seg'], _semantic(panoptic, ids, categories))
    assert np.abs(golden['center'] - made['heat']).max() < 1e-5
    assert np.abs(golden['offset'] - made['offset']).max() < 1e-5
    things = [i for i, c in zip(ids, categories, strict=True)
              if c in THING_CLASSES and (panoptic == i).any()]
    assert np.abs(golden['center_points'] - center_points(panoptic, things)).max() < 1e-5
    read = {'panoptic', 'segment_id', 'segment_category', 'segment_iscrowd', 'seed'}
    assert {*read, 'sem_seg', 'sem_seg_weights', 'center_weights', 'offset_weights', 'center',
            'offset', 'center_points'} == set(golden.files)


def test_samples_become_the_published_targets():
    """A crowd is a thing with a heat and an offset whose own pixels count for nothing."""
    panoptic = np.full((96, 128), CLASS_ID['road'] * 1000, np.int32)
    panoptic[20:40, 20:41] = CLASS_ID['car'] * 1000 + 1
    panoptic[20:40, 41:61] = CLASS_ID['car'] * 1000
    panoptic[90:] = VOID_ID
    batch = collate([_sample(panoptic)], CITYSCAPES, published=True)
    assert batch.heat[0, 30, 30] == 1.0
    assert batch.heat[0, 30, 50] == 1.0 and batch.heat_weight[0, 30, 50] == 0
    assert batch.heat[0, 30, 40] == pytest.approx(np.exp(-0.5), abs=1e-6)
    assert batch.heat_weight[0, 95, 0] == 0 and batch.heat_weight[0, 0, 0] == 1
    assert batch.offset[0, :, 20, 20].tolist() == [9.5, 10.0]
    assert batch.offset_weight[0].sum() == 20 * 21
    assert batch.semantic_weight[0, 30, 50] == 3 and batch.semantic_weight[0, 95, 0] == 1


def _sample(panoptic, depth=None, **truth) -> Sample:
    height, width = panoptic.shape
    frame = Frame(np.zeros((height, width, 3), np.uint8),
                  Intrinsics.from_focal(500, width, height))
    return Sample(frame, GroundTruth(**{
        'panoptic': panoptic, 'has_semantics': True, 'instance_classes': THING_CLASSES,
        'depth': depth, **truth}))


def _batch(golden) -> DepthLabBatch:
    rows = []
    for image in range(2):
        panoptic = golden[f'panoptic_{image}']
        ids, categories, crowds = golden[f'segments_{image}'].T
        made = _maps(panoptic, ids, categories, crowds)
        depth = golden[f'depth_{image}']
        rows.append({**{name: value.astype(np.float32) for name, value in made.items()},
                     'image': golden[f'image_rgb_{image}'],
                     'semantic': _semantic(panoptic, ids, categories),
                     'depth': np.where(depth != 0, depth, np.float32(np.nan))})
    columns = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
    return DepthLabBatch(**columns, intrinsics=torch.ones(2, 4), extra_inputs={})


def _require_losses(losses, golden, kind, tolerance):
    for ours, theirs in NAMES.items():
        expected = float(golden[f'{kind}/{theirs}'])
        found = float(losses[ours].detach())
        print(f'{kind} {ours}: {found:.6g}, golden {expected:.6g}')
        assert found == pytest.approx(expected, rel=tolerance), ours


@each_golden('depthlab_loss')
def test_losses_of_given_predictions_equal_the_original(path):
    golden = np.load(path)
    given = {name: torch.from_numpy(golden[f'given_pred/{name}']).requires_grad_()
             for name in ('sem', 'center', 'offset', 'depth')}
    output = DepthLabOutput(given['sem'], given['center'], given['offset'],
                            given['depth'][:, 0], torch.ones(2))
    losses = published_loss(output, _batch(golden), PublishedLossSettings())
    _require_losses(losses, golden, 'given', 1e-4)
    torch.stack(list(losses.values())).sum().backward()
    for name, value in given.items():
        assert float(value.grad.norm()) == pytest.approx(
            float(golden[f'given_gradnorm/{name}']), rel=1e-3), name


@pytest.mark.parametrize('norm', ['chain', 'chain_batchnorm'])
@each_golden('depthlab_loss')
def test_losses_through_the_network_equal_the_original(path, norm):
    golden = np.load(path)
    network = DepthLabNetwork.from_published(
        depthlab_weights(int(golden['seed'])), 'golden', {'camera': 'unknown', 'dropout': 0.0})
    network.configure({}, {'published': {}}, 'test')
    network.train(norm == 'chain_batchnorm')
    batch = _batch(golden)
    losses = network.losses(network(**batch.inputs()), batch)
    _require_losses(losses, golden, norm, 1e-4 if norm == 'chain' else 2e-3)
    torch.stack(list(losses.values())).sum().backward()
    for theirs, ours in PARTS.items():
        found = torch.stack([p.grad.norm() for part in ours
                             for p in getattr(network, part).parameters()]).norm()
        expected = float(golden[f'{norm}_gradnorm/{theirs}'])
        print(f'{norm} {theirs}: gradient {found:.6g}, golden {expected:.6g}')
        assert float(found) == pytest.approx(
            expected, rel=1e-3 if norm == 'chain' else 5e-2), theirs


def test_our_targets_leave_out_what_is_not_known():
    panoptic = np.full((64, 128), CLASS_ID['road'] * 1000, np.int32)
    panoptic[16:32, 16:48] = CLASS_ID['car'] * 1000 + 1
    panoptic[16:32, 48:64] = CLASS_ID['car'] * 1000  # A crowd.
    panoptic[16:32, 64:80] = CLASS_ID['person'] * 1000 + 1
    panoptic[56:] = VOID_ID
    ignore = np.zeros(panoptic.shape, bool)
    ignore[:8] = True
    batch = collate([_sample(panoptic, instance_classes=(CLASS_ID['car'],), ignore=ignore)],
                    CITYSCAPES)
    assert batch.heat.shape == (1, 16, 32) and batch.semantic_weight.shape == (1, 0, 0)
    # Middle of the car in cells of 4 px: ((23.5, 31.5) + 0.5) / 4 - 0.5; half to even.
    assert batch.heat[0].max() == 1.0 and batch.heat[0, 6, 8] == 1.0
    assert batch.offset[0, :, 4, 4].tolist() == [1.5, 3.5]
    assert batch.offset_weight[0].sum() == 4 * 8
    weight = batch.heat_weight[0]
    assert weight[5, 5] == 1 and weight[10, 10] == 1
    for row, column, why in ((5, 13, 'crowd'), (5, 17, 'class without instances'),
                             (15, 0, 'void'), (1, 1, 'ignored')):
        assert weight[row, column] == 0, why


def test_frames_without_labels_cost_nothing_but_depth():
    depth = np.full((32, 64), 12.0, np.float32)
    sample = _sample(np.zeros((32, 64), np.int32), depth)
    bare = replace(sample, truth=GroundTruth(depth=depth))
    network = create_model('depthlab', {'context_width': 16, 'decoder_width': 16,
                                        'instance_width': 16})
    for loss in ({}, {'published': {}}):
        network.configure({}, loss, 'test')
        batch = network.targets()([bare])
        losses = network.losses(network(**batch.inputs()), batch)
        assert list(losses) == ['semantic', 'center', 'offset', 'depth']
        assert {name: float(value.detach()) > 0 for name, value in losses.items()} == {
            'semantic': False, 'center': False, 'offset': False, 'depth': True}
        nothing = network.targets()([replace(sample, truth=GroundTruth())])
        total = sum(network.losses(network(**nothing.inputs()), nothing).values())
        total.backward()
        assert float(total.detach()) == 0.0


def test_perfect_maps_cost_nothing():
    panoptic = np.full((64, 128), CLASS_ID['road'] * 1000, np.int32)
    panoptic[16:32, 16:48] = CLASS_ID['car'] * 1000 + 1
    sample = _sample(panoptic, np.full((64, 128), 20.0, np.float32))
    network = create_model('depthlab')
    for loss in ({}, {'published': {}}):
        network.configure({}, loss, 'test')
        batch = network.targets()([sample])
        semantic = 40.0 * torch.nn.functional.one_hot(batch.semantic.long(), 19).float()
        maps = [semantic.permute(0, 3, 1, 2), batch.heat[:, None], batch.offset]
        if loss:
            maps = [value[..., 2::4, 2::4] for value in maps]
        perfect = DepthLabOutput(*maps[:2], maps[2] / (4 if loss else 1),
                                 torch.full((1, 16, 32), 10.0), torch.tensor([2.0]))
        losses = network.losses(perfect, batch)
        assert losses['depth'] == pytest.approx(0.0, abs=1e-6)
        if not loss:
            assert all(value < 1e-4 for value in losses.values()), losses
        worse = perfect._replace(center=perfect.center + 0.1, offset=perfect.offset + 1.0)
        worse = network.losses(worse, batch)
        assert worse['center'] > 1.5 and worse['offset'] > losses['offset'] + 0.04
