# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses of LapDepth: against values of the original's code, and ours by hand."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')

from golden import each_golden, golden_file  # noqa: E402
from golden_lapdepth import golden_weights  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.network.lapdepth import losses  # noqa: E402
from panoptic_depth_core.network.lapdepth.checkpoint import published_names  # noqa: E402
from panoptic_depth_core.network.lapdepth.losses import (  # noqa: E402
    FilledBatch,
    LapDepthLossSettings,
    LapDepthOutput,
    PublishedLossSettings,
    filled,
    filled_targets,
    lapdepth_losses,
    neighbor_loss,
    published_losses,
    silog_loss,
)
from panoptic_depth_core.network.lapdepth.network import LapDepth  # noqa: E402
from panoptic_depth_core.structures import Frame, GroundTruth, Intrinsics, Sample  # noqa: E402
from panoptic_depth_core.training.trainer import freeze  # noqa: E402

FREEZE = ['backbone.stem', 'backbone.stages.0.0', 'backbone.stages.0.1']
"""As in the published recipes."""

MAX_M = 80.0
NAN = torch.nan


def _batch(golden) -> FilledBatch:
    """Batch of a golden file; the camera is the canonical one."""
    sparse, dense = (torch.from_numpy(golden[f'depth_{kind}'][None])
                     for kind in ('sparse', 'dense'))
    return FilledBatch(
        image=torch.from_numpy(golden['image_rgb'][None]),
        intrinsics=torch.tensor([[721.5, 721.5, 127.5, 63.5]]), extra_inputs={},
        semantic=torch.full(sparse.shape, 255, dtype=torch.uint8),
        depth=torch.where(sparse > 0, sparse, NAN), dense=dense)


def _output(depth: torch.Tensor) -> LapDepthOutput:
    return LapDepthOutput(depth, [], [], torch.ones(len(depth)))


def _norm(parameters) -> float:
    return float(torch.stack([p.grad.double().norm() for p in parameters
                              if p.grad is not None]).norm())


class TestGolden:
    """The authors' code, with the same prediction and with the same weights."""

    @each_golden('lapdepth_loss')
    def test_of_a_given_prediction(self, path) -> None:
        golden = np.load(path)
        batch = _batch(golden)
        depth = torch.from_numpy(golden['prediction'][None]).requires_grad_()
        settings = PublishedLossSettings()
        height = depth.shape[1]
        assert [int(share * height) for share in settings.rows] == golden['crop_rows'].tolist()
        found = published_losses(_output(depth), batch, settings, MAX_M)
        assert found['silog'].item() == pytest.approx(golden['given/scale_invariant'], rel=1e-4)
        assert found['gradient'].item() == pytest.approx(
            golden['given/gradient_weighted'], rel=1e-4)
        (gradient,) = torch.autograd.grad(sum(found.values()), depth)
        expected = torch.from_numpy(golden['given/gradient_of_prediction'])
        distance = (gradient[0] - expected).norm() / expected.norm()
        print(f'gradient of the prediction: {distance:.1e}')
        assert distance < 1e-4
        nyu = published_losses(_output(depth), batch, PublishedLossSettings(rows=None), MAX_M)
        assert nyu['gradient'].item() == pytest.approx(
            golden['given/gradient_weighted_nyu_mask'], rel=1e-4)

    @pytest.mark.slow
    @each_golden('lapdepth_loss')
    @pytest.mark.parametrize(('kind', 'loss'), [('chain', {}), ('chain_batchnorm', {
        'gradient': 0.0})])
    def test_through_the_network(self, path, kind, loss) -> None:
        golden = np.load(path)
        seed = int(golden['seed'])
        stored = np.load(golden_file(f'lapdepth_network_bn_{seed}.npz'))
        network = LapDepth.from_published(golden_weights('bn', seed, stored), path.name).eval()
        network.configure({}, {'published': loss}, 'test')
        freeze(network, FREEZE)
        network.decoder.train(kind == 'chain_batchnorm')
        batch = _batch(golden)
        total = sum(network.losses(network(batch.image, batch.intrinsics), batch).values())
        total.backward()
        found = {f'{kind}/loss': total.item()} | {
            f'{kind}_gradnorm/{theirs}': _norm(part.parameters()) for theirs, part in (
                ('encoder', network.backbone), ('decoder', network.decoder))}
        wanted = {name for name in golden.files if name.split('/')[0] in (
            kind, f'{kind}_gradnorm')}
        for name in sorted(wanted):
            print(f'{name}: {found[name] / golden[name] - 1:.1e}')
            assert found[name] == pytest.approx(
                golden[name], rel=2e-3 if 'gradnorm' in name else 1e-4), name
        # What has no gradient there has none here: frozen, or no parameter.
        learned = {name for name, p in network.named_parameters() if p.grad is not None}
        theirs = {name for name, to in published_names('batch').items() if to in learned}
        assert len(theirs) == len(learned)
        wanted_frozen = set(golden['frozen'].tolist())
        every = {name for name in published_names('batch') if 'running_' not in name}
        assert every - theirs == wanted_frozen

    def test_recipes_freeze_the_same(self) -> None:
        folder = Path(__file__).parents[3] / 'config/training/lapdepth'
        for path in folder.glob('published_*.yaml'):
            assert yaml.safe_load(path.read_text())['freeze'] == FREEZE


class TestSilog:
    """The published error, guarded."""

    def test_by_hand(self) -> None:
        depth = torch.tensor([[[2.0, 4.0, 5.0]]])
        truth = torch.tensor([[[1.0, 4.0, NAN]]])
        e = np.log(2.0)
        expected = 10 * np.sqrt(e ** 2 / 2 - 0.85 * (e / 2) ** 2)
        assert silog_loss(depth, truth).item() == pytest.approx(expected)

    @pytest.mark.parametrize('truth', [[2.0, 4.0, 5.0], [NAN, NAN, NAN]])
    def test_nothing_wrong_and_nothing_known(self, truth) -> None:
        """Where the original divides by zero."""
        depth = torch.tensor([[[2.0, 4.0, 5.0]]], requires_grad=True)
        loss = silog_loss(depth, torch.tensor([[truth]]))
        loss.backward()
        assert loss.item() == 0 and torch.equal(depth.grad, torch.zeros_like(depth))


    def test_two_processes_have_the_gradient_of_one(self, monkeypatch) -> None:
        """Each with a part of the batch, and other numbers of known pixels."""
        generator = torch.Generator().manual_seed(0)
        depth = (torch.rand(2, 4, 6, generator=generator) * 20 + 1).requires_grad_()
        truth = torch.rand(2, 4, 6, generator=generator) * 20 + 1
        truth[0, :, :2], truth[1, 1:] = NAN, NAN
        whole = silog_loss(depth, truth)
        (expected,) = torch.autograd.grad(whole, depth)
        known = torch.isfinite(truth)
        error = torch.where(known, depth.log() - truth.log(), 0.0).detach()
        monkeypatch.setattr(losses, 'normaliser', lambda count, device: known.sum() / 2)
        found = []
        for part in range(2):
            means = iter([error.sum() / known.sum(), (error ** 2).sum() / known.sum()])
            monkeypatch.setattr(losses, 'mean_over_processes', lambda value, m=means: next(m))
            loss = silog_loss(depth[part:part + 1], truth[part:part + 1])
            assert loss.item() == pytest.approx(whole.item())
            found.append(torch.autograd.grad(loss, depth)[0])
        torch.testing.assert_close((found[0] + found[1]) / 2, expected)


class TestFilled:
    """Dense depth from LiDAR."""

    def test_keeps_what_is_known_and_fills_the_rest_from_around(self) -> None:
        depth = torch.full((2, 7, 10), NAN)
        depth[0, 1, 1], depth[0, 6, 9] = 5.0, 20.0
        dense = filled(depth)
        assert dense[0, 1, 1] == 5.0 and dense[0, 6, 9] == 20.0
        assert torch.isfinite(dense[0]).all() and torch.isnan(dense[1]).all()
        assert dense[0].min() == 5.0 and dense[0].max() == 20.0
        assert dense[0, 0, 0] == pytest.approx(5.0, abs=0.5)
        assert dense[0, 5, 8] > 15

    def test_dense_depth_stays(self) -> None:
        depth = torch.rand(1, 6, 9) + 1
        assert torch.equal(filled(depth), depth)

    def test_targets(self) -> None:
        depth = np.full((6, 8), np.nan, np.float32)
        depth[3, 3], depth[0] = 4.0, np.inf
        frame = Frame(np.zeros((6, 8, 3), np.uint8), Intrinsics.from_focal(5, 8, 6))
        batch = filled_targets([Sample(frame, GroundTruth(depth=depth)),
                                Sample(frame, GroundTruth())])
        assert {field.name for field in fields(batch)} >= {'depth', 'dense'}
        assert torch.equal(batch.dense[0], torch.full((6, 8), 4.0))
        assert torch.isnan(batch.dense[1]).all() and torch.isnan(batch.depth[0, 0]).all()


class TestNeighbors:
    """Differences of log depth."""

    def test_by_hand(self) -> None:
        truth = torch.tensor([[[1.0, 1.0, 1.0, 1.0, 1.0, NAN]]]).expand(1, 5, 6).clone()
        depth = truth.nan_to_num(3.0)
        assert neighbor_loss(7 * depth, truth).item() == pytest.approx(0, abs=1e-6)
        depth[:, :, 0] = torch.e
        # Across: one pair in 4, in 3 and in 1 known ones; down: none.
        expected = np.mean([1 / 4, 1 / 3, 1.0, 0, 0, 0])
        assert neighbor_loss(depth, truth).item() == pytest.approx(expected)

    def test_nothing_known(self) -> None:
        depth = torch.ones(1, 6, 6, requires_grad=True)
        loss = neighbor_loss(depth, torch.full((1, 6, 6), NAN))
        loss.backward()
        assert loss.item() == 0 and torch.isfinite(depth.grad).all()


@pytest.mark.parametrize(('loss', 'names'), [
    ({}, {'depth', 'gradient'}), ({'form': 'silog', 'gradient': 0}, {'depth'}),
    ({'levels': 0.5}, {'depth', 'gradient', 'levels'}),
    ({'published': {}}, {'silog', 'gradient'}), ({'published': {'gradient': 0}}, {'silog'})])
def test_losses_by_name(loss, names) -> None:
    """Of a picture with depth and one without; nothing of that one is learned."""
    network = create_model('lapdepth', {'width': 64}, loss=loss)
    rng = np.random.default_rng(0)
    frame = Frame(rng.integers(0, 255, (32, 48, 3), np.uint8), Intrinsics.from_focal(400, 48, 32))
    depth = rng.uniform(3, 30, (32, 48)).astype(np.float32)
    batch = network.targets()([Sample(frame, GroundTruth(depth=depth)),
                               Sample(frame, GroundTruth())])
    output = network(batch.image, batch.intrinsics)
    output.depth.retain_grad()
    found = network.losses(output, batch)
    assert set(found) == names
    sum(found.values()).backward()
    assert all(value > 0 for value in found.values())
    assert output.depth.grad[0].abs().sum() > 0 and output.depth.grad[1].abs().sum() == 0
    empty = network.targets()([Sample(frame, GroundTruth())])
    none = network.losses(network(empty.image, empty.intrinsics), empty)
    assert set(none) == names and all(value == 0 for value in none.values())


def test_meters_follow_the_camera() -> None:
    """Twice the focal length and twice the depth are the same to the network."""
    found = []
    for factor in (1.0, 2.0):
        depth = factor * torch.full((1, 8, 8), 6.0)
        output = LapDepthOutput(torch.full((1, 8, 8), 5.0), [], [], torch.tensor([factor]))
        batch = FilledBatch(image=torch.zeros(1, 8, 8, 3, dtype=torch.uint8), extra_inputs={},
                            intrinsics=torch.zeros(1, 4), dense=depth, depth=depth,
                            semantic=torch.zeros(1, 8, 8, dtype=torch.uint8))
        found.append({name: value.item() for form in ({}, {'published': {}}) for name, value in
                      lapdepth_losses(output, batch, LapDepthLossSettings(**form),
                                      MAX_M).items()})
    assert found[0] == pytest.approx(found[1])
    assert found[0]['depth'] == pytest.approx(np.log(6 / 5), rel=1e-5)
