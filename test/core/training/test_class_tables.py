# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Training with the classes of SemKITTI-DVPS, up to the evaluation of the exported model."""

from __future__ import annotations

import json
from math import log, sqrt

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')

import yaml  # noqa: E402
from dataset_trees import write_cityscapes_dvps, write_semkitti_dvps  # noqa: E402
from hand_output import DEPTH_M, published_output  # noqa: E402
from miniature import Miniature, make_sample  # noqa: E402
from panoptic_depth_core.cli import main  # noqa: E402
from panoptic_depth_core.cli.comparison import as_result  # noqa: E402
from panoptic_depth_core.config import parse_settings  # noqa: E402
from panoptic_depth_core.datasets.kitti import SemKittiDvps  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.labels import (  # noqa: E402
    CLASS_TABLES,
    LABEL_DIVISOR,
    SEMKITTI,
    ClassInfo,
    thing_classes,
)
from panoptic_depth_core.model_directory import ModelDirectory  # noqa: E402
from panoptic_depth_core.network import create_model  # noqa: E402
from panoptic_depth_core.network.dense import class_weights  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.losses import LossSettings, panoptic_depth_loss  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.targets import (  # noqa: E402
    TargetSettings,
    center_targets,
    collate,
)
from panoptic_depth_core.network.panoptic_depth.losses import (  # noqa: E402
    PUBLISHED_TARGETS,
    PublishedLossSettings,
    published_loss,
    published_targets,
)
from panoptic_depth_core.structures import Sample  # noqa: E402
from panoptic_depth_core.training.loading import Draws, MixedSamples, batches  # noqa: E402
from panoptic_depth_core.training.recipe import TrainSettings  # noqa: E402
from panoptic_depth_core.training.validation import Validator  # noqa: E402

SIZE = (64, 128)
CAR, PERSON, ROAD = 0, 5, 8
"""Of SemanticKITTI; in Cityscapes these are road, pole and vegetation."""


def _frame(thing: int, box: tuple[int, int, int, int] = (32, 16, 132, 96), height: int = 128,
           width: int = 256) -> Sample:
    """A thing, u0, v0, u1, v1 in px, at 44 m on a road at 22 m."""
    u0, v0, u1, v1 = box
    panoptic = np.full((height, width), ROAD * LABEL_DIVISOR, np.int32)
    panoptic[v0:v1, u0:u1] = thing * LABEL_DIVISOR + 1
    depth = np.where(panoptic % LABEL_DIVISOR, 2 * DEPTH_M, DEPTH_M).astype(np.float32)
    return make_sample(height, width, panoptic=panoptic, depth=depth,
                       instance_classes=thing_classes(SEMKITTI))


@pytest.fixture
def semkitti(recipe, tmp_path):
    """A recipe, and its data in a folder."""
    for split, seed in (('train', 0), ('val', 1)):
        write_semkitti_dvps(tmp_path / 'data', size=SIZE, seed=seed, split=split, focal='100.0')
    recipe['data'] = [{'name': 'semkitti_dvps', 'root': str(tmp_path / 'data')}]
    recipe['network_settings']['class_table'] = 'semkitti'
    return recipe


def test_from_training_to_the_evaluation_of_the_model(semkitti, tmp_path, capsys):
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript', reason='the export needs the extra [export]')
    data, run, model, out = (tmp_path / name for name in ('data', 'run', 'model', 'out'))
    size = {'height': SIZE[0], 'width': SIZE[1]}
    semkitti |= {'iterations': 2, 'validation': {'model': size, 'data': [
        {'name': 'semkitti_dvps', 'root': str(data), 'limit': 2}]}}
    (tmp_path / 'recipe.yaml').write_text(yaml.safe_dump(semkitti))
    (tmp_path / 'export.yaml').write_text(yaml.safe_dump({
        **size, 'thresholds': {'score': 0.0, 'stuff_area': 0.0, 'void': 0.0}}))
    assert main(['train', str(tmp_path / 'recipe.yaml'), '-o', str(run)]) == 0
    rows = [json.loads(line) for line in (run / 'train.jsonl').read_text().splitlines()]
    assert all(np.isfinite(row['total']) for row in rows if 'total' in row)
    assert rows[-1]['validation']['abs_rel'] > 0 and 0 <= rows[-1]['validation']['miou'] <= 1
    assert main(['export', str(run / 'model.pt'), '-o', str(model), '--config',
                 str(tmp_path / 'export.yaml')]) == 0
    info = ModelDirectory.load(model).info
    assert [(c.name, c.color, c.is_thing) for c in info.classes] == [
        (c.name, c.color, c.is_thing) for c in SEMKITTI]

    picture = next((data / 'video_sequence/val').glob('*_leftImg8bit.png'))
    assert main(['predict', str(picture), '-m', str(model), '-o', str(out), '--fx', '100',
                 '--backend', 'torch', '--formats', 'panoptic,instances']) == 0
    result = json.loads((out / 'panoptic.json').read_text())
    assert [c['name'] for c in result['categories']] == [c.name for c in SEMKITTI]
    record = json.loads((out / 'instances.jsonl').read_text())
    assert record['instances'], 'the test needs a thing'
    things = {c.name for c in SEMKITTI if c.is_thing}
    assert {instance['class_name'] for instance in record['instances']} <= things

    assert main(['evaluate', str(data), '--dataset', 'semkitti_dvps', '-m', str(model), '-o',
                 str(tmp_path / 'report')]) == 0
    assert (tmp_path / 'report' / 'evaluation.json').is_file()
    write_cityscapes_dvps(tmp_path / 'other', 1, 1, SIZE)
    assert main(['evaluate', str(tmp_path / 'other'), '--dataset', 'cityscapes_dvps', '-m',
                 str(model), '-o', str(tmp_path / 'report')]) != 0
    assert 'has other classes than data set cityscapes_dvps' in ' '.join(
        capsys.readouterr().err.split())


def test_batches_are_collated_with_the_table_of_the_network(semkitti):
    settings = parse_settings(TrainSettings, semkitti, 'test')
    model = create_model(settings.network, settings.network_settings)
    batch = next(batches(settings, Draws(settings, 0, 0, 1), model.targets()))
    channels = torch.cat(batch.thing_channel)
    assert set(channels.tolist()) <= {0, 2} and len(channels), 'as drawn'


def test_validation_judges_the_classes_of_the_network(semkitti):
    settings = parse_settings(TrainSettings, {**semkitti, 'validation': {
        'model': {'height': SIZE[0], 'width': SIZE[1]}, 'data': semkitti['data']}}, 'test')
    validator = Validator(settings, settings.validation, create_model(
        'fast', settings.network_settings), torch.device('cpu'))
    data = SemKittiDvps(settings.data[0].root, 'val')
    true = {sample.frame.name: as_result(sample, SEMKITTI) for sample in map(
        data.__getitem__, range(len(data)))}
    validator._pipeline = lambda frame: true[frame.name]
    metric_values = validator().metric_values
    assert metric_values['pq_things'] == metric_values['pq'] == 1.0


def test_classes_count_by_their_own_frequency(semkitti):
    semkitti['augment'] |= {'scale': (1.0, 1.0)}
    mixed = MixedSamples(parse_settings(TrainSettings, semkitti, 'test'), 1 << 40, 6)
    weights = class_weights(map(mixed.__getitem__, range(6)), len(SEMKITTI), 0.3)
    # Rows of stuff are of 11 classes; cars, motorcycles and bicycles are in every frame, the
    # other things in none.
    seen = {c.class_id for c in SEMKITTI if not c.is_thing} | {0, 1, 2}
    rare = [c.class_id for c in SEMKITTI if c.class_id not in seen]
    assert len(weights) == len(SEMKITTI)
    assert weights[rare].min() > weights[sorted(seen)].max()


@pytest.mark.parametrize(('name', 'table', 'message'), [
    ('semkitti_dvps', 'cityscapes', 'semkitti_dvps: the network learns the class table '
     r'cityscapes, but its own is semkitti; set network_settings: \{class_table: semkitti\}'),
    ('miniature', 'semkitti', 'miniature: .* table semkitti, but its own is cityscapes; set '
     r'network_settings: \{class_table: cityscapes\}, or leave it out'),
    ('own', 'semkitti', r'own: .*semkitti, but its own is boat \(thing\), water; write them into '
     'a file and name it in classes, or leave it out'),
])
def test_data_with_other_classes_than_the_network_are_refused(
        semkitti, monkeypatch, name, table, message):
    class Own(Miniature):
        classes = (ClassInfo(0, 'boat', (0, 0, 0), True), ClassInfo(1, 'water', (1, 1, 1), False))

    from panoptic_depth_core import datasets
    monkeypatch.setitem(datasets.DATASETS, 'own', Own)
    semkitti['data'][0]['name'] = name
    semkitti['network_settings']['class_table'] = table
    with pytest.raises(ConfigError, match=message):
        MixedSamples(parse_settings(TrainSettings, semkitti, 'test'), 0, 1)


def test_things_are_in_the_maps_of_their_classes():
    batch = collate([_frame(PERSON)], TargetSettings(finest_px=200.0), SEMKITTI)
    assert batch.thing_channel[0].tolist() == [PERSON]
    assert batch.center_known().shape[1] == 8 and batch.center_known().all()
    heat, _ = center_targets(batch, [torch.Size([16, 32])], TargetSettings(finest_px=200.0))[0]
    # The middle is at column 82, row 56, of cells of 8 px.
    assert (heat == 1).nonzero().tolist() == [[0, PERSON, 7, 10]]


def test_published_targets_have_things_in_the_right_maps():
    batch = collate([_frame(PERSON)], PUBLISHED_TARGETS, SEMKITTI)
    target = published_targets(batch, 0, [torch.Size([16, 32])], torch.Size([32, 64]),
                               len(SEMKITTI))
    # Mean column 20 and row 13.5 of the 25x20 cells at stride 4, halved.
    assert (target.heats[0] == 1).nonzero().tolist() == [[PERSON, 6, 10]]
    assert target.regions.sum((1, 2)).nonzero()[:, 0].tolist() == [PERSON, ROAD]
    assert target.regions[PERSON].sum() == 20 * 25


def test_published_depth_of_stuff_is_that_of_no_thing():
    """The regions of things do not count: 0 is a car here, and road in Cityscapes."""
    output = published_output(1, 128, 256, thing_classes=thing_classes(SEMKITTI))
    batch = collate([_frame(CAR)], PUBLISHED_TARGETS, SEMKITTI)
    loss = published_loss(output, batch, PublishedLossSettings())['depth']
    # 7 kernels on 2 levels for 500 cells of the car, at twice the depth; 5 levels of the road.
    things, stuff = 7 * 2 * 500, 5 * 1548
    share = things / (things + stuff)
    error = 5 * log(2) ** 2 * (share - share ** 2) + sqrt(share / 4)
    assert loss.item() == pytest.approx(5 * error, rel=1e-5)


@pytest.mark.parametrize(('loss', 'settings', 'targets'), [
    (panoptic_depth_loss, LossSettings(), TargetSettings()),
    (published_loss, PublishedLossSettings(), PUBLISHED_TARGETS)], ids=['default', 'published'])
def test_tables_of_other_sizes_can_be_learned(loss, settings, targets):
    few = tuple(ClassInfo(i, str(i), (i, i, i), i in (1, 3, 4)) for i in range(9))
    whole = published_output(1, 128, 256, seed=0)
    output = whole._replace(
        centers=[level[:, :3] for level in whole.centers],
        regions=[level[:, :9] for level in whole.regions], thing_classes=thing_classes(few))
    batch = collate([_frame(4)], targets, few)
    assert batch.thing_channel[0].tolist() == [2]
    losses = loss(output, batch, settings)
    torch.stack(list(losses.values())).sum().backward()
    assert all(torch.isfinite(value) for value in losses.values())
    assert whole.centers[0].grad[:, :3].any((0, 2, 3)).all()


def test_tables_are_numbered_by_their_rows():
    for table in CLASS_TABLES.values():
        assert [c.class_id for c in table] == list(range(len(table)))
        assert set(thing_classes(table)) == {c.class_id for c in table if c.is_thing}
