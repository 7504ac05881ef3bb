# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The reader of Cityscapes on trees of its own, in both forms of its labels."""

from __future__ import annotations

import json

import numpy as np
import pytest
from dataset_trees import CAMERA_JSON, SIZE, write_cityscapes, write_png
from panoptic_depth_core.datasets.cityscapes import Cityscapes, read_camera
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.labels import CLASS_ID, THING_CLASSES, VOID_ID

NAME = 'bonn_000000_000019'
CAMERA_FILE = f'camera/val/bonn/{NAME}_camera.json'


@pytest.mark.parametrize('panoptic', [True, False])
def test_round_trip(tmp_path, panoptic):
    written = write_cityscapes(tmp_path, split='train', panoptic=panoptic)
    data = Cityscapes(tmp_path, 'train')
    assert data.names == list(written) and len(data) == 3
    for i, true in enumerate(written.values()):
        sample = data[i]
        np.testing.assert_array_equal(sample.frame.image, true.image)
        np.testing.assert_array_equal(sample.truth.panoptic, true.panoptic)
        assert sample.truth.has_semantics and sample.truth.instance_classes == THING_CLASSES
        assert not sample.sequence
        crowd = CLASS_ID['rider'] * 1000
        assert (true.panoptic == crowd).any(), 'a thing class without instances'


def test_depth_from_disparity(tmp_path):
    true = next(iter(write_cityscapes(tmp_path).values()))
    truth = Cityscapes(tmp_path)[0].truth
    known = true.stored_depth > 0
    np.testing.assert_array_equal(np.isfinite(truth.depth), known)
    assert not known[0, 0], 'the value 1 is a disparity of 0: unknown, not far'
    np.testing.assert_allclose(truth.depth[known], 2048.0 * 0.25 * 256 / true.stored_depth[known],
                               rtol=1e-6)
    assert len(truth.instance_depth_m) == 3


def test_the_camera_belongs_to_2048_x_1024(tmp_path):
    write_cityscapes(tmp_path)
    camera = Cityscapes(tmp_path)[0].frame.intrinsics
    assert (camera.fx, camera.fy) == (2048.0 * SIZE[1] / 2048, 2050.0 * SIZE[0] / 1024)
    full, baseline_m, _ = read_camera(tmp_path / CAMERA_FILE)
    assert (full.cx, full.cy, full.width, full.height, baseline_m) == (
        1000.0, 500.0, 2048, 1024, 0.25)


def test_the_camera_file_says_how_the_camera_is_mounted(tmp_path):
    write_cityscapes(tmp_path)
    mounting = Cityscapes(tmp_path)[0].frame.mounting
    # 0.04 radians about the y axis of a vehicle, to the left: forward turns down.
    assert mounting.height_m == 1.2 and mounting.pitch_deg == pytest.approx(2.29183)
    (tmp_path / CAMERA_FILE).unlink()
    assert [sample.frame.mounting is None for sample in Cityscapes(tmp_path)].count(True) == 1


@pytest.mark.parametrize(('disparity', 'camera', 'fx'), [
    (False, True, 2048.0), (True, False, 2262.52), (False, False, 2262.52)])
def test_parts_that_may_be_missing(tmp_path, disparity, camera, fx):
    write_cityscapes(tmp_path, disparity=disparity, camera=camera)
    sample = Cityscapes(tmp_path)[0]
    assert sample.truth.depth is None and sample.truth.instance_depth_m == {}
    assert sample.frame.intrinsics.fx == pytest.approx(fx * SIZE[1] / 2048)


def test_labels_that_are_not_evaluated_are_void(tmp_path):
    write_cityscapes(tmp_path, 1, panoptic=False)
    ids = np.full(SIZE, 29000, np.uint16)  # an instance of a caravan
    ids[:, :5] = 1
    ids[:, 5:10] = 26000
    write_png(tmp_path / f'gtFine/val/bonn/{NAME}_gtFine_instanceIds.png', ids)
    panoptic = Cityscapes(tmp_path)[0].truth.panoptic
    assert panoptic[0, [0, 5, 10]].tolist() == [VOID_ID, CLASS_ID['car'] * 1000 + 1, VOID_ID]


def _annotations(tmp_path, change):
    path = tmp_path / 'gtFine/cityscapes_panoptic_val.json'
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(('change', 'message'), [
    (lambda c: c['annotations'].clear(), r'val\.json: has no annotation of bonn_000000_000019'),
    (lambda c: c.pop('annotations'), r'val\.json: not in COCO panoptic format: annotations: '),
    (lambda c: c['annotations'][0]['segments_info'].pop(), r'panoptic\.png: holds the label \d+'),
    (lambda c: c['annotations'][0]['segments_info'][0].update(category_id=99),
     r'panoptic\.png: holds the label \d+'),
])
def test_broken_annotations_are_named(tmp_path, change, message):
    write_cityscapes(tmp_path, 1)
    _annotations(tmp_path, change)
    data = Cityscapes(tmp_path)
    with pytest.raises(ConfigError, match=message):
        data[0]


@pytest.mark.parametrize(('file', 'image', 'message'), [
    ('gtFine/val/bonn/{}_gtFine_instanceIds.png', np.full(SIZE, 34, np.uint16),
     r'instanceIds\.png: holds the label 34, which is no class'),
    ('gtFine/val/bonn/{}_gtFine_instanceIds.png', np.full(SIZE, 7, np.uint8),
     r'instanceIds\.png: uint8 with 1 channels'),
    ('gtFine/val/bonn/{}_gtFine_instanceIds.png', None, r'instanceIds\.png: missing'),
    ('disparity/val/bonn/{}_disparity.png', np.zeros((4, 6), np.uint16),
     r'disparity\.png: 6x4 px, but its picture has 48x24'),
])
def test_broken_files_are_named(tmp_path, file, image, message):
    (name,) = write_cityscapes(tmp_path, 1, panoptic=False)
    path = tmp_path / file.format(name)
    if image is None:
        path.unlink()
    else:
        write_png(path, image)
    data = Cityscapes(tmp_path)
    with pytest.raises(ConfigError, match=message):
        data[0]


@pytest.mark.parametrize('content', [
    '', '{}', json.dumps({'intrinsic': CAMERA_JSON['intrinsic']}),
    json.dumps({**CAMERA_JSON, 'intrinsic': {**CAMERA_JSON['intrinsic'], 'fx': 'wide'}}),
    json.dumps({**CAMERA_JSON, 'intrinsic': {**CAMERA_JSON['intrinsic'], 'fx': 0}})])
def test_broken_cameras_are_named(tmp_path, content):
    path = tmp_path / 'x_camera.json'
    path.write_text(content)
    with pytest.raises(ConfigError, match=r'x_camera\.json: (is damaged or is not|.*must be > 0)'):
        read_camera(path)


def test_wrong_roots_and_splits(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown split 'test'; known: train, val"):
        Cityscapes(tmp_path, 'test')
    with pytest.raises(ConfigError, match=r'leftImg8bit/val is not a folder; give as root the '
                       'folder that holds leftImg8bit and gtFine'):
        Cityscapes(tmp_path)
    (tmp_path / 'leftImg8bit/val').mkdir(parents=True)
    with pytest.raises(ConfigError, match=r'no \*/\*_leftImg8bit\.png in'):
        Cityscapes(tmp_path)
    write_png(tmp_path / 'leftImg8bit/val/bonn/bonn_000000_000019_leftImg8bit.png',
              np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(ConfigError, match=r'gtFine/val is not a folder'):
        Cityscapes(tmp_path)
