# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""doc/own_data.md from end to end: masks of own classes to a model that names them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')
pytest.importorskip('onnxscript', reason='the export needs the extra [export]')
pytest.importorskip('onnxruntime')

from dataset_trees import write_png  # noqa: E402
from panoptic_depth_core.cli import main  # noqa: E402
from panoptic_depth_core.inference.pipeline import Pipeline  # noqa: E402
from panoptic_depth_core.structures import Frame, Intrinsics  # noqa: E402
from panoptic_depth_core.training.recipe import load_recipe  # noqa: E402

HEIGHT, WIDTH = 64, 128
NAMES = ['field', 'sky', 'cow', 'tractor']
FIELD, SKY, COW, TRACTOR = range(4)


def _draw(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Sky over a field, a cow and two tractors, one of them not told apart; depth in mm."""
    labels = np.full((HEIGHT, WIDTH), FIELD, np.uint8)
    labels[:24], labels[:2] = SKY, 255
    things = np.zeros((HEIGHT, WIDTH), np.uint8)
    for row, number, left in ((COW, 1, 4), (TRACTOR, 1, 44), (TRACTOR, 0, 84)):
        box = slice(20, 56), slice(left, left + int(rng.integers(24, 36)))
        labels[box], things[box] = row, number
    depth = np.where(labels == FIELD, 9000, np.where(labels == SKY, 0, 5000)).astype(np.uint16)
    colors = np.array([(90, 140, 60), (150, 190, 230), (120, 10, 30), (230, 60, 200)])
    image = colors[np.minimum(labels, 3)] + rng.integers(-9, 10, (HEIGHT, WIDTH, 3))
    return {'images': np.clip(image, 0, 255).astype(np.uint8), 'masks': labels,
            'instances': things, 'depth': depth}


@pytest.fixture
def blocks(repository: Path) -> dict[str, list[str]]:
    """Blocks of code of the document by their language."""
    text = (repository / 'doc/own_data.md').read_text(encoding='utf-8')
    found: dict[str, list[str]] = {}
    for language, code in re.findall(r'```(\w+)\n(.*?)```', text, re.S):
        found.setdefault(language, []).append(code)
    return found


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: dict[str, list[str]]) -> Path:
    """A data set, made as the document says."""
    root = tmp_path / 'farm'
    rng = np.random.default_rng(0)
    for split, count in (('train', 3), ('val', 2)):
        for number in range(count):
            for kind, image in _draw(rng).items():
                write_png(root / kind / split / f'{split}_{number}.png', image)
    classes, scale = (next(code for code in blocks['yaml'] if code.startswith(start))
                      for start in ('- {name: field', 'depth_scale: 1000'))
    (root / 'classes.yaml').write_text(classes)
    (root / 'dataset.yaml').write_text(scale)
    (root / 'camera.json').write_text(json.dumps(
        {'fx': 100.0, 'fy': 100.0, 'cx': 63.5, 'cy': 31.5, 'width': WIDTH, 'height': HEIGHT}))
    for split in ('train', 'val'):
        subprocess.run([sys.executable, '-c', blocks['python'][0], str(root), split], check=True)
    monkeypatch.setenv('DATA', str(root))
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield root
    torch.set_num_threads(threads)


def test_from_masks_to_a_model_that_names_its_classes(farm, tmp_path, repository, blocks, capsys):
    recipe = repository / 'config/training/own_data.yaml'
    assert [row['name'] for row in load_recipe(recipe).network_settings['class_table']] == NAMES
    small = {'iterations': 3, 'batch_size': 2, 'workers': 0, 'accelerator': 'cpu',
             'precision': '32-true', 'crop_sizes': '[]', 'augment.height': 64,
             'augment.width': 128, 'tensorboard': 'false', 'validation.model.height': HEIGHT,
             'validation.model.width': WIDTH}
    assert main(['train', str(recipe), '-o', 'run', *(
        part for key, value in small.items() for part in ('--set', f'{key}={value}'))]) == 0
    rows = [json.loads(line) for line in (tmp_path / 'run/train.jsonl').read_text().splitlines()]
    assert rows[-1]['validation']['abs_rel'] > 0 and 0 <= rows[-1]['validation']['miou'] <= 1

    export = yaml.safe_load(next(code for code in blocks['yaml'] if 'model_id' in code))
    export |= {'height': HEIGHT, 'width': WIDTH, 'thresholds': {
        'score': 0.0, 'stuff_area': 0.0, 'void': 0.0}}
    (tmp_path / 'export.yaml').write_text(yaml.safe_dump(export))
    for wrong, message in ((
            {'trained_focal_range_px': [900, 300]}, 'trained_focal_range_px is .*must be greater'),
            ({'weights_data': [{'name': 'mine'}]}, 'weights_data.0.licence: Field required')):
        (tmp_path / 'wrong.yaml').write_text(yaml.safe_dump({**export, **wrong}))
        assert main(['export', 'run/best.pt', '-o', 'model', '--config', 'wrong.yaml']) == 2
        assert re.search(f'wrong.yaml: {message}', ' '.join(capsys.readouterr().err.split()))
    assert main(['export', 'run/best.pt', '-o', 'model', '--config', 'export.yaml']) == 0
    # From here on the model is all that is needed.
    (farm / 'classes.yaml').unlink()
    assert main(['evaluate', 'farm', '--dataset', 'coco_panoptic', '-m', 'model', '-o',
                 'report']) == 0
    report = json.loads((tmp_path / 'report/evaluation.json').read_text())
    assert set(report['semantic']['by_class']['iou']) == set(NAMES)
    assert report['frames']['depth'] == report['frames']['instances'] == 2
    assert main(['predict', 'farm/images/val', '-o', 'out', '-m', 'model', '--camera',
                 'farm/camera.json', '--formats', 'panoptic,instances', '--backend',
                 'torch']) == 0
    assert [c['name'] for c in json.loads((tmp_path / 'out/panoptic.json').read_text())[
        'categories']] == NAMES

    image = cv2.imread(str(farm / 'images/val/val_0.png'))[..., ::-1].copy()
    with Pipeline('model') as pipeline:
        assert [c.name for c in pipeline.model.info.class_infos()] == NAMES
        result = pipeline(Frame(image, Intrinsics.from_focal(100.0, WIDTH, HEIGHT)))
    assert result.distances, 'the test needs a thing'
    assert {d.class_name for d in result.distances} <= {'cow', 'tractor'}


def test_what_is_not_told_apart_is_a_crowd(farm):
    from panoptic_depth_core.datasets import open_dataset
    truth = open_dataset('coco_panoptic', str(farm), 'train')[0].truth
    assert set(np.unique(truth.panoptic)) == {
        0, SKY * 1000, COW * 1000 + 1, TRACTOR * 1000 + 1, TRACTOR * 1000, 65535}
    assert truth.instance_depth_m == {COW * 1000 + 1: 5.0, TRACTOR * 1000 + 1: 5.0}


def test_the_shipped_model_is_judged_by_the_classes_that_it_knows(farm, tmp_path):
    assert main(['evaluate', 'farm', '--dataset', 'coco_panoptic', '-o', 'check', '--limit',
                 '1']) == 0
    report = json.loads((tmp_path / 'check/evaluation.json').read_text())
    shares = report['semantic']['by_class']['truth_share']
    assert [name for name, share in shares.items() if share] == ['sky']
