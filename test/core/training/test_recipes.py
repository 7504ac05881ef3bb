# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Every recipe that is shipped: it loads, and runs two iterations on miniature data."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')

from dataset_trees import (  # noqa: E402
    write_camvid,
    write_cityscapes,
    write_cityscapes_dvps,
    write_coco_panoptic,
    write_kitti_eigen,
    write_kitti_half,
    write_nyu,
    write_pictures,
    write_png,
    write_semkitti_dvps,
)
from depthlab_files import write_deeplab  # noqa: E402
from panoptic_depth_core.config import load_settings  # noqa: E402
from panoptic_depth_core.datasets import open_dataset  # noqa: E402
from panoptic_depth_core.datasets.overlay import FILE_NAME, PseudoLabels  # noqa: E402
from panoptic_depth_core.network import create_model, settings_of  # noqa: E402
from panoptic_depth_core.network.xception import Xception65Backbone  # noqa: E402
from panoptic_depth_core.training import checkpoint, trainer  # noqa: E402
from panoptic_depth_core.training.recipe import (  # noqa: E402
    TrainSettings,
    begins,
    expand,
    load_recipe,
)
from torchvision.models import mobilenet_v2, resnet50, resnext101_32x8d  # noqa: E402

FOLDER = Path(__file__).parents[3] / 'config' / 'training'
RECIPES = sorted(FOLDER.rglob('*.yaml'))
HEIGHT, WIDTH = 64, 128
SIZE = {'height': HEIGHT, 'width': WIDTH}
SMALL = {'batch_size': 1, 'accumulate': 1, 'iterations': 2, 'minutes': None, 'workers': 0,
         'precision': '32-true', 'accelerator': 'cpu', 'tensorboard': False, 'log_every': 1,
         'crop_sizes': []}
BACKBONES = {'mobilenet_v2': mobilenet_v2, 'resnet50': resnet50, 'resnext101': resnext101_32x8d,
             'xception65': lambda weights: Xception65Backbone()}

each_recipe = pytest.mark.parametrize(
    'path', RECIPES, ids=lambda p: p.relative_to(FOLDER).with_suffix('').as_posix())


def _kitti_half(root: Path, split: str) -> None:
    """All splits at once; the sequence has the name of those of the real one."""
    if root.exists():
        return
    root.mkdir(parents=True)
    write_kitti_half(root)
    splits = json.loads((root / 'splits.json').read_text())
    splits['sequences_train'] = ['seq0000', 'seq0002']
    (root / 'splits.json').write_text(json.dumps(splits))
    for name in splits['sequences_train']:
        shutil.copytree(root / 'seq0009', root / name)
    # Of the real ones, the first has depth.
    write_png(root / 'seq0000/depth_x256/000000.png', np.full((8, 16), 1280, np.uint16))


def _frames(writer: Callable[..., Any]) -> Callable[[Path, str], None]:
    return lambda root, split: writer(root, split=split, size=(HEIGHT, WIDTH))


WRITERS: dict[str, Callable[[Path, str], None]] = {
    'camvid': write_camvid,
    'cityscapes': _frames(write_cityscapes),
    'cityscapes_depthlab': _frames(write_cityscapes),
    'cityscapes_dvps': _frames(write_cityscapes_dvps),
    'coco_panoptic': _frames(write_coco_panoptic),
    'semkitti_dvps': _frames(write_semkitti_dvps),
    'kitti_eigen': _frames(write_kitti_eigen),
    'images': lambda root, split: write_pictures(root),
    'kitti_half': _kitti_half,
    'nyu': _frames(write_nyu),
}
"""Data set -> what writes a miniature of it."""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Folders that the variables in recipes name."""
    monkeypatch.setenv('DATA', str(tmp_path / 'data'))
    monkeypatch.setenv('RUNS', str(tmp_path / 'runs'))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def _miniature(path: Path, home: Path) -> TrainSettings:
    """Take a recipe with all that it says of the learning, on data of the test."""
    values = yaml.safe_load(path.read_text())
    for data in [*values['data'], *values.get('validation', {}).get('data', ())]:
        if data['name'] == 'synthetic':
            data['root'] = '1'
        else:
            assert data['name'] in WRITERS, f'write a miniature of {data["name"]} in WRITERS'
            WRITERS[data['name']](Path(expand(data['root'])), data.get('split', 'train'))
        if 'pseudo_labels' in data:
            _write_pseudo_labels(data)
    if 'validation' in values:
        values['validation']['every'] = 2
        values['validation']['model'].update(SIZE)
        for data in values['validation']['data']:
            data['limit'] = 1
    values['augment'] = {**values.get('augment', {}), **SIZE}
    written = home / path.name
    written.write_text(yaml.safe_dump({**values, **SMALL}))
    settings = load_recipe(written)
    if settings.backbone_weights is not None:
        weights = Path(expand(settings.backbone_weights))
        weights.parent.mkdir(parents=True)
        name = getattr(settings_of(settings.network, settings.network_settings), 'backbone',
                       'mobilenet_v2')
        torch.save(BACKBONES[name](weights=None).state_dict(), weights)
    if settings.initial_weights and settings.initial_weights.endswith('.pkl'):
        write_deeplab(Path(expand(settings.initial_weights)))
    elif settings.initial_weights not in (None, 'default'):
        _write_run(path, Path(expand(settings.initial_weights)))
    return settings


def _write_pseudo_labels(data: dict[str, Any]) -> None:
    """Write a building in every frame."""
    folder = Path(expand(data['pseudo_labels']))
    samples = open_dataset(data['name'], expand(data['root']), data['split'])
    for i in range(len(samples)):
        frame = samples[i].frame
        write_png(folder / f'{frame.name}.png', np.full(frame.image.shape[:2], 2000, np.uint16))
    (folder / FILE_NAME).write_text(PseudoLabels(instance_classes=(11, 13)).model_dump_json())


def _write_run(path: Path, weights: Path) -> None:
    """Write what the recipe of the stage before would leave: its run has its name."""
    before = load_settings(TrainSettings, path.with_name(f'{weights.parent.name}.yaml'))
    weights.parent.mkdir(parents=True)
    torch.save({'recipe': before.model_dump(mode='json'), 'network': create_model(
        before.network, before.network_settings).state_dict()}, weights)


def test_there_are_recipes():
    assert {'fast', 'accurate', 'own_data', 'cityscapes_1_segmentation', 'cityscapes_2_full_scale',
            'cityscapes_3_depth', 'semkitti_dvps_1_segmentation', 'semkitti_dvps_2_depth',
            'default', 'heavy', 'published_kitti', 'published_nyu'} <= {
                path.stem for path in RECIPES}


@each_recipe
def test_it_says_what_it_is_and_how_to_run_it(path, home):
    said = path.read_text().split('network:')[0]
    assert said.startswith('# ') and ('panoptic-depth train' in said or 'cli train' in said)
    if path.stem == 'own_data':
        write_coco_panoptic(home / 'data')
    settings = load_recipe(path)
    with torch.device('meta'):
        network = create_model(settings.network, settings.network_settings)
    names = [name for name, _ in network.named_parameters()]
    for prefix in settings.freeze:
        assert any(begins(name, prefix) for name in names), prefix
    roots = [data.root for data in settings.data]
    files = [settings.backbone_weights, settings.initial_weights]
    assert all(root.startswith('$') or root.isdigit() for root in roots), 'no own folders'
    assert all(file in (None, 'default') or file.startswith('$') for file in files)


@each_recipe
def test_two_iterations_on_miniature_data(path, home, monkeypatch):
    settings = _miniature(path, home)
    before: dict[str, torch.Tensor] = {}
    saved: dict[str, dict[str, Any]] = {}
    start = trainer.start_state

    def remembered(*args):
        state = start(*args)
        before.update({name: value.clone() for name, value in state.network.state_dict().items()})
        return state

    monkeypatch.setattr(trainer, 'start_state', remembered)
    # A checkpoint of ResNet-50 is a gigabyte, and of no use here.
    monkeypatch.setattr(checkpoint, '_save', lambda content, file: saved.update(
        {file.name: content}))
    trainer.train(settings, home / 'run')

    rows = [json.loads(line) for line in (home / 'run/train.jsonl').read_text().splitlines()]
    losses = [row for row in rows if 'total' in row]
    assert len(losses) == 2
    assert all(row['total'] and math.isfinite(row['gradient_norm']) for row in losses)
    assert ('validation' in rows[-1]) == (settings.validation is not None)
    learned = saved[checkpoint.RESUME_FILE]['network']
    moved = {name for name, value in learned.items() if not torch.equal(value, before[name])}
    assert not {name for name in moved if any(begins(name, part) for part in settings.freeze)}
    frozen_norms = settings.network_settings.get('backbone_norm') != 'batch'
    assert not frozen_norms or not {
        name for name in moved if 'running_' in name and begins(name, 'backbone')}
    assert {name.partition('.')[0] for name in moved} == {
        name.partition('.')[0] for name in before
        if not any(begins(name, part) for part in settings.freeze)}, 'every part learns'
