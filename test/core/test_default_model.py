# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The weights that the package ships: they load everywhere, keep meters, and see real streets."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from panoptic_depth_core.datasets import open_dataset
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.dataset.evaluate import evaluate
from panoptic_depth_core.inference.backends import create_backend
from panoptic_depth_core.inference.pipeline import Pipeline
from panoptic_depth_core.io.sources.open_source import open_source
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, class_of
from panoptic_depth_core.model_directory import ModelDirectory, open_model
from panoptic_depth_core.structures import Frame, Sample


@pytest.fixture(scope='module')
def model():
    return ModelDirectory.default()


@pytest.fixture(scope='module')
def pipeline(model):
    with Pipeline(model) as opened:
        yield opened


def test_it_is_small_and_says_what_it_is_made_of(model):
    assert sum(f.stat().st_size for f in model.path.iterdir()) < 12e6
    assert model.info.weights_licence == 'CC-BY-NC-SA-3.0'
    assert any('KITTI' in data.name and data.attribution for data in model.info.weights_data)
    assert (model.path / 'LICENSE.txt').read_text(encoding='utf-8').count('KITTI')


def test_there_is_one_for_commercial_use():
    model = open_model('fast-open')
    assert model.info.weights_licence == 'Apache-2.0'
    assert {data.licence for data in model.info.weights_data} == {'Apache-2.0'}
    assert 'Apache License 2.0' in (model.path / 'LICENSE.txt').read_text(encoding='utf-8')
    assert model.self_test(create_backend('onnxruntime', model)).equal_ids >= 0.999
    graphs = [open_model(name).onnx_path for name in ('fast', 'fast-open')]
    assert sum(path.stat().st_size for path in graphs) < 12e6


@pytest.mark.parametrize('backend', ['onnxruntime', 'torch'])
def test_every_backend_passes_its_self_test(model, backend):
    if backend == 'torch':
        pytest.importorskip('torch', reason='needs the extra [export]')
        pytest.importorskip('onnx', reason='needs the extra [export]')
    opened = create_backend(backend, model)
    report = model.self_test(opened)
    assert report.equal_ids >= 0.999 and report.depth_error <= 1e-3
    opened.close()


def _scene(seed: int) -> Sample:
    pytest.importorskip('embreex', reason='needs the extra [synthetic]')
    from panoptic_depth_core.datasets.synthetic import SyntheticScenes, SyntheticSettings
    settings = SyntheticSettings(height=384, width=768, focal_per_width=(0.7, 0.9))
    return SyntheticScenes(8, 21, settings)[seed]


def _resized(frame: Frame, scale: float) -> Frame:
    height, width = (round(side * scale) for side in frame.image.shape[:2])
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return replace(
        frame, image=cv2.resize(frame.image, (width, height), interpolation=interpolation),
        intrinsics=frame.intrinsics.transformed(scale, scale, 0, 0, width, height))


@pytest.mark.parametrize('scale', [0.5, 0.71, 1.41, 2.0])
def test_a_resized_picture_gives_the_same_meters(pipeline, scale):
    for seed in range(4):
        frame = replace(_scene(seed).frame, mounting=None)
        first = pipeline(frame).depth
        again = cv2.resize(pipeline(_resized(frame, scale)).depth, first.shape[::-1],
                           interpolation=cv2.INTER_NEAREST_EXACT)
        both = np.isfinite(first) & np.isfinite(again)
        assert both.mean() > 0.3
        assert abs(np.median(again[both] / first[both]) - 1) < 0.05


def test_floors_on_synthetic_scenes(pipeline):
    pytest.importorskip('embreex', reason='needs the extra [synthetic]')
    scenes = open_dataset('synthetic', '12', 'val')
    result = evaluate(pipeline, [scenes[i] for i in range(len(scenes))])
    assert result.depth.pooled.abs_rel < 0.4
    assert result.semantic.mean > 0.4
    assert result.distance.all.median_rel < 0.2


def test_floors_on_real_frames(pipeline, shared_data):
    """The floors that the default weights have to hold on the validation frames."""
    val = open_dataset('kitti_half', str(shared_data / 'kitti_half'), 'val')
    result = evaluate(pipeline, [val[i] for i in range(len(val))])
    assert result.frames.all == 21
    assert result.semantic.mean >= 0.45
    assert result.depth.pooled.abs_rel <= 0.20
    assert result.distance.all.median_rel <= 0.15
    assert result.distance.all.matched >= 20


def _as_coco(kitti: Path, root: Path) -> None:
    """Write the frames of kitti_half with all labels in COCO's format, from its own files."""
    known = {c.cityscapes_id: c.name for c in CITYSCAPES}
    told_apart = {'person', 'car'}
    folder, splits = kitti / 'kitti15', json.loads((kitti / 'splits.json').read_text())
    (size, camera), = splits['intrinsics'].items()
    for path in ('images/val', 'depth/val', 'panoptic_val', 'camera/val'):
        (root / path).mkdir(parents=True)
    (root / 'dataset.yaml').write_text('depth_scale: 256')
    images, annotations = [], []
    for name in splits['val']:
        if not (folder / 'panoptic' / f'{name}.png').is_file():
            continue
        labels = cv2.imread(str(folder / 'panoptic' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        height, width = labels.shape
        file_name = f'kitti15_{name}.png'
        shutil.copy(folder / 'image' / f'{name}.jpg', root / f'images/val/kitti15_{name}.jpg')
        if (folder / 'depth_x256' / f'{name}.png').is_file():
            shutil.copy(folder / 'depth_x256' / f'{name}.png', root / 'depth/val' / file_name)
        (root / f'camera/val/kitti15_{name}.json').write_text(json.dumps(
            {**camera, 'width': width, 'height': height}))
        ids = labels.astype(int) + 1
        cv2.imwrite(str(root / 'panoptic_val' / file_name), np.dstack(
            [ids // 65536, ids // 256 % 256, ids % 256]).astype(np.uint8))
        images.append({'id': name, 'file_name': file_name})
        annotations.append({'image_id': name, 'file_name': file_name, 'segments_info': [
            {'id': int(i), 'category_id': int(i - 1) // 1000, 'iscrowd': int((i - 1) % 1000 == 0)}
            for i in np.unique(ids)]})
    (root / 'panoptic_val.json').write_text(json.dumps({
        'images': images, 'annotations': annotations, 'categories': [
            {'id': i, 'name': known.get(i, f'label {i}'), 'isthing': known.get(i) in told_apart}
            for i in [*range(34), 65]]}))


def test_real_frames_in_the_format_of_coco_have_the_same_metrics(pipeline, shared_data, tmp_path):
    """Two readers of the same labels: the metrics are the same to the last digit."""
    _as_coco(shared_data / 'kitti_half', tmp_path)
    own = open_dataset('kitti_half', str(shared_data / 'kitti_half'), 'val:panoptic')
    coco = open_dataset('coco_panoptic', str(tmp_path), 'val', CITYSCAPES)
    results = {sample.frame.name: pipeline(sample.frame) for sample in map(
        own.__getitem__, range(len(own)))}
    one, other = (evaluate(lambda frame: results[frame.name], [
        samples[i] for i in range(len(samples))]) for samples in (own, coco))
    assert one.frames == other.frames and one.frames.semantics == 17
    assert one.semantic.mean == other.semantic.mean > 0.5
    assert one.panoptic.all == other.panoptic.all and one.instances == other.instances
    assert one.depth.pooled == other.depth.pooled
    for i in range(len(own)):
        assert own[i].frame.intrinsics == coco[i].frame.intrinsics


def test_a_real_drive_looks_like_one(pipeline, shared_data):
    """What the pictures of the recording show: road below, a van on the left, house and trees."""
    with open_source(str(shared_data / 'bags' / 'kitti_0005_raw20')) as frames:
        results = [pipeline(frame) for frame in frames]
    assert len(results) == 20
    for result in results:
        classes = class_of(result.panoptic)
        height, width = classes.shape
        ground = classes[int(0.9 * height):, width // 4:width // 2]
        assert (ground == CLASS_ID['road']).mean() > 0.7
        share = np.bincount(classes.ravel(), minlength=256) / classes.size
        assert share[CLASS_ID['building']] > 0.05 and share[CLASS_ID['vegetation']] > 0.05
        assert share[255] < 0.2
        near = result.depth[int(0.95 * height):, width // 3:width // 2]
        assert 3 < np.median(near) < 12
    cars = [d for r in results for d in r.distances if d.class_name == 'car']
    assert len(cars) >= 20 and all(2 < d.distance_m < 80 for d in cars)


def test_a_missing_model_is_named(monkeypatch):
    from panoptic_depth_core import model_directory
    monkeypatch.setattr(model_directory, 'DEFAULT_MODEL', 'nothing')
    with pytest.raises(ConfigError, match='default model are not in this'):
        ModelDirectory.default()
