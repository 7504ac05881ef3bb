# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""From a recipe to one file and back: what goes in, what it weighs, and a run from it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')

from miniature import Miniature, make_sample  # noqa: E402
from pack_files import write_pack_file  # noqa: E402
from panoptic_depth_core.cli import main  # noqa: E402
from panoptic_depth_core.config import parse_settings  # noqa: E402
from panoptic_depth_core.datasets import open_dataset  # noqa: E402
from panoptic_depth_core.datasets.storage import is_pack  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.training import checkpoint, packing, trainer  # noqa: E402
from panoptic_depth_core.training.checkpoint import read_checkpoint  # noqa: E402
from panoptic_depth_core.training.packing import write_pack  # noqa: E402
from panoptic_depth_core.training.recipe import (  # noqa: E402
    TrainSettings,
    load_recipe,
)

MODEL = {'height': 64, 'width': 128}


class _Drawn(Miniature):
    def __getitem__(self, index):
        return make_sample(seed=10 + index)


@pytest.fixture
def packable(recipe, monkeypatch):
    """Miniature frames once as real data and once as rendered ones, and for validation."""
    from panoptic_depth_core import datasets
    monkeypatch.setitem(datasets.DATASETS, 'drawn', _Drawn)
    monkeypatch.setattr(packing, '_RENDERED', {'drawn'})
    recipe['data'] = [{'name': 'miniature', 'root': 'partial', 'weight': 2.0},
                      {'name': 'drawn', 'root': '-', 'split': 'x', 'scale': [1.0, 1.5]}]
    recipe['validation'] = {'data': [{'name': 'miniature', 'root': '-', 'limit': 2}], 'every': 4,
                            'model': MODEL}
    return recipe


def _settings(recipe, **changes):
    return parse_settings(TrainSettings, {**recipe, **changes}, 'test')


class _DepthAlone(Miniature):
    classes = ()

    def __getitem__(self, index):
        return make_sample(seed=index, panoptic=None, has_semantics=False, instance_classes=())


def test_a_set_of_depth_alone_has_no_classes_and_fits_any_network(recipe, monkeypatch, tmp_path):
    from panoptic_depth_core import datasets
    monkeypatch.setitem(datasets.DATASETS, 'meters', _DepthAlone)
    recipe['data'] = [{'name': name, 'root': '-'} for name in ('meters', 'miniature')]
    recipe |= {'iterations': 1, 'validation': {'data': recipe['data'][:1], 'model': MODEL}}
    write_pack(_settings(recipe), tmp_path / 'a.pack')
    assert open_dataset('packed', str(tmp_path / 'a.pack'), 'meters:train').classes == ()
    trainer.train(load_recipe(tmp_path / 'a.pack'), tmp_path / 'run')
    rows = map(json.loads, (tmp_path / 'run/train.jsonl').read_text().splitlines())
    assert [set(row['validation']) for row in rows if 'validation' in row] == [
        {'abs_rel', 'delta1', 'score'}]
    assert main(['evaluate', '-', '-d', 'meters', '-o', str(tmp_path / 'report'),
                 '--limit', '1']) == 0
    report = json.loads((tmp_path / 'report/evaluation.json').read_text())
    assert report['frames']['depth'] == 1 and not report['frames']['semantics']


def test_a_pack_has_all_that_a_run_reads(packable, tmp_path):
    report = write_pack(_settings(packable), tmp_path / 'a.pack')
    assert report.size == (tmp_path / 'a.pack').stat().st_size and not report.weights
    assert [(d.label, d.samples, d.available) for d in report.data] == [
        ('miniature:train', 4, 4), ('drawn:x', 4, 4), ('miniature:val', 2, 2)]
    assert all(5 < d.psnr_db < 60 for d in report.data), 'pictures of noise are hard'
    settings = load_recipe(tmp_path / 'a.pack')
    assert [(d.name, d.root, d.split, d.weight, d.scale) for d in settings.data] == [
        ('packed', str(tmp_path / 'a.pack'), 'miniature:train', 2.0, None),
        ('packed', str(tmp_path / 'a.pack'), 'drawn:x', 1.0, (1.0, 1.5))]
    assert settings.validation.every == 4 and settings.validation.data[0].limit == 2
    held = open_dataset('packed', settings.data[0].root, 'miniature:val')
    assert [sample.frame.name for sample in held] == ['0', '3'], 'those that the limit chooses'
    partial = open_dataset('packed', settings.data[0].root, 'miniature:train')
    assert partial[1].truth.depth is None and partial[2].truth.panoptic is None


def test_rendered_data_shrink_to_the_room_that_is_left(packable, tmp_path):
    whole = write_pack(_settings(packable), tmp_path / 'a.pack')
    per_sample = whole.data[1].size / 4
    limit = (whole.size + packing._RECIPE_BYTES - 2.0 * per_sample) / 1e6
    smaller = write_pack(_settings(packable), tmp_path / 'b.pack', limit)
    assert smaller.size <= limit * 1e6
    assert [d.samples for d in smaller.data][::2] == [4, 2], 'real ones stay'
    assert 0 < smaller.data[1].samples < 4
    real = packing._RECIPE_BYTES + whole.data[0].size + 2000
    with pytest.raises(ConfigError, match=r'no room is left for drawn:x: .*raise --limit-mb'):
        write_pack(_settings(packable), tmp_path / 'c.pack', real / 1e6)
    with pytest.raises(ConfigError, match=r'need about 0\.\d MB, 0\.\d MB more than --limit-mb '
                                          r'0\.\d: it was full at sample [1-3] of 4 of mini'):
        write_pack(_settings(packable), tmp_path / 'c.pack', 0.05)
    assert not (tmp_path / 'c.pack').exists()


def test_scenes_that_are_in_the_cache_come_first(packable, tmp_path):
    packable['data'][1]['cache'] = str(tmp_path / 'cache')
    samples = packing.MixedSamples(_settings(packable), 0, 0).sets[1]
    assert samples[2] is not None
    write_pack(_settings(packable), tmp_path / 'a.pack')
    packed = open_dataset('packed', str(tmp_path / 'a.pack'), 'drawn:x')
    assert [sample.frame.name for sample in packed] == ['12', '10', '11', '13']
    assert load_recipe(tmp_path / 'a.pack').data[1].cache is None


def test_weights_come_along_as_float16(packable, tmp_path):
    path = trainer.train(_settings(packable, iterations=1, validation=None), tmp_path / 'run')
    report = write_pack(_settings(packable, initial_weights=str(path)), tmp_path / 'a.pack')
    assert 0 < report.weights < 0.7 * path.stat().st_size
    settings = load_recipe(tmp_path / 'a.pack')
    assert settings.initial_weights == str(tmp_path / 'a.pack') and not settings.initial_gaps
    again = read_checkpoint(trainer.train(
        settings.model_copy(update={'iterations': 1, 'learning_rate': 1e-12}),
        tmp_path / 'again'))['network']
    for name, value in read_checkpoint(path)['network'].items():
        torch.testing.assert_close(again[name], value.half().float(), rtol=1e-3, atol=1e-6)


def test_of_backbone_weights_only_the_backbone_is_packed(packable, tmp_path, monkeypatch):
    create = checkpoint.create_model
    monkeypatch.setattr(checkpoint, 'create_model', lambda name, values, _file, **options: create(
        name, values, **options))
    write_pack(_settings(packable, backbone_weights='some.pth'), tmp_path / 'a.pack')
    stored = read_checkpoint(tmp_path / 'a.pack')['network']
    assert stored and all(name.startswith('backbone.') for name in stored)
    settings = load_recipe(tmp_path / 'a.pack')
    assert settings.backbone_weights is None and 'backbone' not in settings.initial_gaps
    trainer.train(settings.model_copy(update={'iterations': 1}), tmp_path / 'run')


def test_large_values_stay_float32():
    for values in ([1e-3, 1e6], [1e-9, 2e-9]):
        assert torch.equal(packing._compact(torch.tensor(values)), torch.tensor(values))
    assert packing._compact(torch.tensor([1, 2])).dtype == torch.int64


def test_a_run_from_a_pack_resumes_exactly(packable, tmp_path):
    write_pack(_settings(packable), tmp_path / 'a.pack')
    settings = load_recipe(tmp_path / 'a.pack')
    trainer.train(settings, tmp_path / 'whole')
    asked = iter([False] * 3 + [True] * 9)
    trainer.train(settings, tmp_path / 'broken', stop=lambda: next(asked))
    assert read_checkpoint(tmp_path / 'broken' / 'last.pt')['iteration'] == 3
    trainer.train(settings, tmp_path / 'broken', resume=True)
    whole, broken = (read_checkpoint(tmp_path / name / 'last.pt') for name in ('whole', 'broken'))
    for name, value in whole['network'].items():
        assert torch.equal(value, broken['network'][name]), name


def test_a_recipe_in_a_pack_reads_no_other_files(packable, tmp_path):
    for recipe in ({'data': [{'name': 'kitti_half', 'root': '/'}]}, {'initial_weights': '/x'},
                   {'data': [{'name': 'packed', 'root': '', 'cache': '/home'}]}):
        write_pack_file(tmp_path / 'a.pack', {'a': [make_sample()]}, recipe=recipe)
        with pytest.raises(ConfigError, match='its recipe names files that are not in it'):
            load_recipe(tmp_path / 'a.pack')


@pytest.mark.parametrize(('change', 'message'), [
    ('batch_sizes=3', "unknown key 'batch_sizes'"), ('batch_size=0', 'batch_size is 0'),
    ('validation.evry=3', "unknown key 'validation.evry'"), ('batch_size', 'give KEY=VALUE'),
    ('data.7.weight=1', "'7' is none of the rows 0 to 1"), ('seed=[', 'not valid YAML'),
    ('seed.x=1', "unknown key|there is no 'x' below"),
])
def test_changes_are_checked(packable, tmp_path, change, message):
    path = tmp_path / 'a.yaml'
    path.write_text(json.dumps({**packable, 'seed': 3}))
    with pytest.raises(ConfigError, match=message):
        load_recipe(path, [change])
    changed = load_recipe(path, ['batch_size=4', 'data.1.weight=3', 'augment.flip=0',
                                 'validation.model={height: 128}'])
    assert (changed.batch_size, changed.data[1].weight, changed.augment.flip) == (4, 3.0, 0.0)
    assert changed.validation.model.height == 128 and changed.augment.height == 64


def test_the_commands(packable, tmp_path, capsys):
    recipe, pack = tmp_path / 'a.yaml', tmp_path / 'a.pack'
    recipe.write_text(json.dumps(packable))
    assert main(['pack', str(recipe), '-o', str(pack), '--set', 'iterations=4']) == 0
    shown = capsys.readouterr().out
    assert 'drawn:x' in shown and 'train with: panoptic-depth train' in shown and is_pack(pack)
    assert main(['train', str(pack), '-o', str(tmp_path / 'run'), '--set', 'batch_size=1']) == 0
    assert 'best.pt' in capsys.readouterr().out
    stored = read_checkpoint(tmp_path / 'run' / 'best.pt')
    assert stored['recipe']['batch_size'] == 1 and stored['iteration'] == 4
    assert main(['train', str(pack), '--set', 'batch=1']) == 2
    assert "unknown key 'batch'" in capsys.readouterr().err
    out = tmp_path / 'metrics.json'
    assert main(['benchmark', '--what', 'training', '--recipe', str(pack), '--workers', '0',
                 '--repeats', '2', '-o', str(out)]) == 0
    assert '| workers | loader samples per s |' in capsys.readouterr().out
    row, = json.loads(out.read_text())['rows']
    assert row['workers'] == 0 and row['loader_samples_per_s'] > 0 and 0 < row['step_waits'] < 1
    assert main(['benchmark', '--what', 'training', '--recipe', str(pack), '--workers',
                 'x']) == 2


_ALONE = """
import sys
sys.modules.update(dict.fromkeys({absent}))
from panoptic_depth_core.cli import main
sys.exit(main({arguments}))
"""


def test_training_from_a_pack_needs_few_packages(packable, tmp_path):
    pack = tmp_path / 'a.pack'
    write_pack(_settings(packable, iterations=1, workers=1), pack)
    absent = {'rosbags', 'onnxruntime', 'onnx', 'onnxscript', 'embreex', 'tensorboard'}
    done = subprocess.run(
        [sys.executable, '-c', _ALONE.format(absent=absent, arguments=[
            'train', str(pack), '-o', str(tmp_path / 'run'), '--minutes', '10'])],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'run' / 'best.pt').is_file()


def test_the_codec_is_what_validation_sees(packable, tmp_path):
    write_pack(_settings(packable), tmp_path / 'a.pack')
    held = open_dataset('packed', str(tmp_path / 'a.pack'), 'miniature:val')
    for sample, original in zip(held, (Miniature()[0], Miniature()[3]), strict=True):
        np.testing.assert_array_equal(sample.truth.panoptic, original.truth.panoptic)
