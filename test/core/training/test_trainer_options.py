# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What is learned, how fast, in which precision: the options of a recipe."""

from __future__ import annotations

import itertools
import json

import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')

from panoptic_depth_core.config import parse_settings  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.network.backbones import (  # noqa: E402
    ResNet50Backbone,
    ResNetSettings,
    merge_batch_norm,
)
from panoptic_depth_core.network.camera_aware import FastNetwork  # noqa: E402
from panoptic_depth_core.training.checkpoint import read_checkpoint  # noqa: E402
from panoptic_depth_core.training.recipe import TrainSettings  # noqa: E402
from panoptic_depth_core.training.trainer import (  # noqa: E402
    average,
    create_optimizer,
    freeze,
    learning_rate,
    phase_of,
    train,
)


def _settings(recipe, **changes):
    return parse_settings(TrainSettings, {**recipe, **changes}, 'test')


def test_the_published_schedule(recipe):
    settings = _settings(recipe, schedule='poly', warmup=2000, warmup_factor=0.001,
                         learning_rate=1e-4)
    assert learning_rate(settings, 0, 0.0) == pytest.approx(1.5e-7, rel=1e-3)
    assert learning_rate(settings, 999, 0.0) == pytest.approx(0.5005e-4)
    assert learning_rate(settings, 5000, 0.5) == pytest.approx(1e-4 * 0.5 ** 0.9)
    assert learning_rate(settings, 9000, 1.0) == 0.0


def test_a_schedule_may_end_above_zero_and_stay_there(recipe):
    settings = _settings(recipe, schedule='poly', poly_power=0.5, end_factor=0.1, hold=0.2,
                         warmup=0, learning_rate=1e-4)
    rates = [learning_rate(settings, 9, progress) for progress in (0.0, 0.6, 0.8, 0.9, 1.0)]
    assert rates == pytest.approx([1e-4, 0.55e-4, 1e-5, 1e-5, 1e-5])
    cosine = _settings(recipe, end_factor=0.5, warmup=0, learning_rate=1.0)
    assert learning_rate(cosine, 9, 1.0) == pytest.approx(0.5)


def test_a_backbone_may_decay_by_itself(recipe):
    network = torch.nn.ModuleDict({'backbone': torch.nn.Linear(2, 1), 'a': torch.nn.Linear(2, 1)})
    optimizer = create_optimizer(network, _settings(
        recipe, weight_decay=0.0, backbone_weight_decay=0.02, epsilon=1e-3))
    decays = {id(p): g['weight_decay'] for g in optimizer.param_groups for p in g['params']}
    assert {name: decays[id(p)] for name, p in network.named_parameters()} == {
        'backbone.weight': 0.02, 'backbone.bias': 0.0, 'a.weight': 0.0, 'a.bias': 0.0}
    assert {g['eps'] for g in optimizer.param_groups} == {1e-3}


HEADS = ('position_head', 'kernel_head', 'mask_embedding')
DEPTH = ('depth_head', 'depth_embedding', 'fallback')
TURNS = [{'iterations': 2, 'freeze': DEPTH, 'losses': ['center', 'region', 'semantic', 'mask']},
         {'iterations': 1, 'freeze': HEADS,
          'losses': ['depth', 'instance_depth', 'fallback_depth']}]


def test_phases_take_turns(recipe):
    settings = _settings(recipe, phases=TURNS, phases_after=0.25)
    turns = {i: phase_of(settings, i, i / 8) for i in range(8)}
    order = {phase: number for number, phase in enumerate(settings.phases)}
    assert [order.get(turns[i]) for i in range(8)] == [None, None, 1, 0, 0, 1, 0, 0]


def test_a_resting_part_does_not_move(recipe, tmp_path):
    """Iteration 0 is joint, 1 is of the first phase, 2 of the second; each is a resumed run."""
    settings = _settings(recipe, iterations=6, phases=TURNS, phases_after=1 / 6, warmup=0)
    weights = []
    for done in range(4):
        def stop(limit=done + 1, seen=[done]) -> bool:  # noqa: B006
            seen[0] += 1
            return seen[0] > limit

        train(settings, tmp_path, resume=done > 0, stop=stop)
        weights.append(read_checkpoint(tmp_path / 'last.pt')['network'])
    moved = [{name for name in a if not torch.equal(a[name], b[name])}
             for a, b in itertools.pairwise(weights)]
    for turn, (resting, others) in enumerate(((DEPTH, HEADS), (HEADS, DEPTH))):
        assert not {name for name in moved[turn] if name.startswith(resting)}
        for part in (*others, 'backbone'):
            assert any(name.startswith(part) for name in moved[turn]), part


@pytest.mark.parametrize(('phase', 'words'), [
    ({'losses': ['deepness']}, "there is no 'deepness'; this network has center, reg"),
    ({'freeze': ['deepness']}, "no parameter begins with 'deepness'; there are: class_kernels"),
])
def test_a_wrong_phase_shows_at_once(recipe, tmp_path, phase, words):
    settings = _settings(recipe, iterations=2, phases=[phase], phases_after=1.0)
    with pytest.raises(ConfigError, match=words):
        train(settings, tmp_path)
    assert not (tmp_path / 'last.pt').exists() or read_checkpoint(
        tmp_path / 'last.pt')['iteration'] == 0


@pytest.mark.parametrize(('changes', 'words'), [
    ({'crop_sizes': [[64, 100]]}, 'the crop is 100x64; network fast takes multiples of 64 px'),
    ({'crop_sizes': [], 'augment': {'height': 0, 'width': 64}}, 'height is 0'),
    ({'crop_sizes': [], 'augment': {'height': 96, 'width': 64}}, 'the crop is 64x96'),
])
def test_crops_fit_the_network(recipe, changes, words):
    with pytest.raises(ConfigError, match=words):
        _settings(recipe, **changes)


def test_adam_has_its_decay_in_the_gradient(recipe):
    network = torch.nn.Linear(2, 1)
    for name in ('adam', 'adamw'):
        optimizer = create_optimizer(network, _settings(recipe, optimizer=name,
                                                        weight_decay=1e-4))
        assert type(optimizer).__name__.lower() == name
        assert {g['params'][0].ndim: g['weight_decay'] for g in optimizer.param_groups} == {
            2: 1e-4, 1: 0.0}


def test_frozen_parameters_stay_and_have_no_state(recipe, tmp_path):
    frozen = ('backbone.blocks.0', 'backbone.blocks.1', 'fallback')
    train(_settings(recipe, iterations=1, freeze=['backbone']), tmp_path / 'start')
    start = tmp_path / 'start' / 'model.pt'
    train(_settings(recipe, iterations=2, freeze=frozen, initial_weights=str(start)),
          tmp_path / 'run')
    before = read_checkpoint(start)['network']
    last = read_checkpoint(tmp_path / 'run' / 'last.pt')
    changed = {name for name, value in last['network'].items()
               if not torch.equal(value, before[name])}
    is_frozen = {name: name.startswith(tuple(f'{f}.' for f in frozen)) for name in before}
    assert not any(is_frozen[name] for name in changed)
    assert any(name.startswith('backbone.blocks.10.') for name in changed), 'begins like 1'
    rows = last['optimizer']['param_groups']
    assert sum(len(row['params']) for row in rows) == sum(not f for f in is_frozen.values())


@pytest.mark.parametrize(('names', 'message'), [
    (['backbone', 'bakbone.stem'], "no parameter begins with 'bakbone.stem'; there are: .*back"),
    (['0', '1'], 'nothing is left to learn'),
])
def test_what_cannot_be_frozen(names, message):
    network = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Linear(1, 1))
    if names[0] != '0':
        network = torch.nn.ModuleDict({'backbone': network})
    with pytest.raises(ConfigError, match=message):
        freeze(network, names)


def test_frozen_batch_norm_keeps_its_statistics():
    network = torch.nn.ModuleDict({'a': torch.nn.BatchNorm2d(2), 'b': torch.nn.BatchNorm2d(2)})
    freeze(network, ['a'])
    for norm in network.values():
        norm(torch.randn(4, 2, 3, 3) + 5)
    assert not network['a'].running_mean.any() and network['b'].running_mean.all()


def test_batch_norm_is_learned_and_averaged(recipe):
    kinds = {norm: ResNet50Backbone(ResNetSettings(backbone_norm=norm))
             for norm in ('frozen', 'batch')}
    names = {norm: {n for n in kind.state_dict() if not n.endswith('num_batches_tracked')}
             for norm, kind in kinds.items()}
    assert names['frozen'] == names['batch']
    learned = {name for name, _ in kinds['batch'].named_parameters()}
    assert 'stages.0.0.bn1.weight' in learned
    assert 'stages.0.0.bn1.weight' not in dict(kinds['frozen'].named_parameters())
    a, b = torch.nn.BatchNorm2d(2), torch.nn.BatchNorm2d(2)
    b.train()(torch.randn(4, 2, 3, 3) + 5)
    average(a, b, 0.5, 1000)
    assert torch.allclose(a.running_mean, b.running_mean / 2)
    assert a.num_batches_tracked == 1


@pytest.mark.parametrize('norm', ['frozen', 'batch'])
def test_either_norm_is_merged_when_deployed(norm):
    backbone = ResNet50Backbone(ResNetSettings(backbone_norm=norm)).eval()
    for name, value in backbone.state_dict().items():
        if name.endswith(('running_mean', 'running_var')):
            value.uniform_(0.5, 1.5)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = backbone(image)
        merge_batch_norm(backbone)
        after = backbone(image)
    assert not any('bn' in name for name in backbone.state_dict())
    for x, y in zip(before, after, strict=True):
        assert torch.allclose(x, y, rtol=1e-3, atol=1e-3 * float(x.abs().max()))


def test_the_network_takes_the_setting():
    with pytest.raises(ConfigError, match='backbone_norm'):
        create_model('published', {'backbone_norm': 'group'})


def test_parts_of_a_batch_add_up(recipe, tmp_path):
    recipe.update(batch_size=4, iterations=2, loss={'depth_scale': 0.0})
    rows = []
    for parts in (1, 2):
        train(_settings(recipe, accumulate=parts), tmp_path / str(parts))
        text = (tmp_path / str(parts) / 'train.jsonl').read_text()
        rows.append(json.loads(text.splitlines()[0]))
    # Normalised per part: near, and what is a mean over images alike.
    assert rows[0]['total'] == pytest.approx(rows[1]['total'], rel=0.05)
    assert rows[0]['depth'] == pytest.approx(rows[1]['depth'], rel=1e-4)
    with pytest.raises(ConfigError, match='accumulate.*batch_size 4 is no multiple of it'):
        _settings(recipe, accumulate=3)


def test_bfloat16_learns(recipe, tmp_path):
    train(_settings(recipe, precision='bf16-mixed', iterations=12, learning_rate=3e-3), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / 'train.jsonl').read_text().splitlines()]
    assert rows[-1]['total'] < rows[0]['total']


def test_a_step_that_is_not_finite_is_left_out(recipe, tmp_path, monkeypatch):
    loss, calls = FastNetwork.losses, iter(range(99))

    def broken(*args):
        losses = loss(*args)
        return losses if next(calls) != 1 else {n: v * float('nan') for n, v in losses.items()}

    monkeypatch.setattr(FastNetwork, 'losses', broken)
    path = train(_settings(recipe, iterations=3), tmp_path)
    assert all(torch.isfinite(value).all() for value in read_checkpoint(path)['network'].values())
    rows = [json.loads(line) for line in (tmp_path / 'train.jsonl').read_text().splitlines()]
    assert rows[1]['total'] is None and rows[2]['total'] > 0


def test_the_scale_of_gradients_is_resumed(recipe, tmp_path, monkeypatch):
    from lightning.fabric import Fabric
    from lightning.fabric.plugins import MixedPrecision
    from panoptic_depth_core.training import trainer
    # Fabric itself takes bfloat16 on a CPU.
    monkeypatch.setattr(trainer, 'create_fabric', lambda settings: Fabric(
        accelerator='cpu', devices=1, plugins=MixedPrecision('16-mixed', 'cpu')))
    settings = _settings(recipe, precision='16-mixed', iterations=2)
    train(settings, tmp_path)
    stored = read_checkpoint(tmp_path / 'last.pt')['precision']
    path = train(settings.model_copy(update={'iterations': 3}), tmp_path, resume=True)
    resumed = read_checkpoint(tmp_path / 'last.pt')['precision']
    assert stored['_growth_tracker'] + stored['scale'] != 2.0 ** 16, 'it has been at work'
    assert resumed != stored and resumed['scale'] <= stored['scale']
    assert all(torch.isfinite(v).all() for v in read_checkpoint(path)['network'].values())
