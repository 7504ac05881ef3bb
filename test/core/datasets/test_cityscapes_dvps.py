# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The reader of Cityscapes-DVPS: on trees of its own, and on one real-format frame."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from dataset_trees import CAMERA_JSON, SIZE, write_cityscapes_dvps, write_png
from golden import golden_file
from panoptic_depth_core.datasets.cityscapes import CityscapesDvps
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.labels import CLASS_ID, LABEL_DIVISOR, THING_CLASSES, VOID_ID

FRAME = '000000_000001_frankfurt_000000_000005'


@pytest.mark.parametrize('root', ['.', 'video_sequence', 'video_sequence/train'])
def test_round_trip(tmp_path, root):
    written = write_cityscapes_dvps(tmp_path, split='train')
    data = CityscapesDvps(tmp_path / root, 'train')
    assert data.names == list(written) and len(data) == 6
    for i, true in enumerate(written.values()):
        sample = data[i]
        np.testing.assert_array_equal(sample.frame.image, true.image)
        np.testing.assert_array_equal(sample.truth.panoptic, true.panoptic)
        np.testing.assert_array_equal(sample.truth.depth, true.depth)
        assert sample.sequence == true.sequence
        assert sample.truth.has_semantics and sample.truth.instance_classes == THING_CLASSES


def test_the_first_instance_of_a_file_is_no_crowd(tmp_path):
    write_cityscapes_dvps(tmp_path)
    stored = cv2.imread(str(tmp_path / f'video_sequence/val/{FRAME}_gtFine_instanceTrainIds.png'),
                        cv2.IMREAD_UNCHANGED)
    car = CLASS_ID['car'] * LABEL_DIVISOR
    assert (stored == car).any()
    np.testing.assert_array_equal(CityscapesDvps(tmp_path)[1].truth.panoptic == car + 1,
                                  stored == car)


def test_medians_of_the_visible_surface(tmp_path):
    true = next(iter(write_cityscapes_dvps(tmp_path).values()))
    depths = CityscapesDvps(tmp_path)[0].truth.instance_depth_m
    ids = np.unique(true.panoptic[true.instances > 0])
    assert sorted(depths) == ids.tolist() and len(ids) == 3
    for panoptic_id, depth in depths.items():
        assert depth == np.nanmedian(true.depth[true.panoptic == panoptic_id])


def test_the_camera_of_cityscapes_is_scaled_to_the_picture(tmp_path):
    write_cityscapes_dvps(tmp_path)
    camera = CityscapesDvps(tmp_path)[0].frame.intrinsics
    assert (camera.height, camera.width) == SIZE
    assert camera.fx == pytest.approx(2262.52 * SIZE[1] / 2048)
    assert camera.cx == pytest.approx((1096.98 + 0.5) * SIZE[1] / 2048 - 0.5)


def test_the_nearest_camera_of_the_recording_is_used(tmp_path):
    write_cityscapes_dvps(tmp_path)
    for name, fx in (('frankfurt_000000_000004', 100.0), ('frankfurt_000000_000019', 200.0),
                     ('frankfurt_000007_000005', 300.0), ('munster_000000_000005', 400.0)):
        path = tmp_path / 'camera/val' / name.partition('_')[0] / f'{name}_camera.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**CAMERA_JSON, 'intrinsic': {
            **CAMERA_JSON['intrinsic'], 'fx': fx}}))
    data = CityscapesDvps(tmp_path / 'video_sequence')
    scale = SIZE[1] / 2048
    assert data[1].frame.intrinsics.fx == pytest.approx(100.0 * scale), 'frame 5 of recording 0'
    assert data[3].frame.intrinsics.fx == pytest.approx(2262.52 * scale), 'recording 1 has none'


def test_16_bit_values_do_not_wrap(tmp_path):
    write_cityscapes_dvps(tmp_path, 1, 1)
    stem = tmp_path / 'video_sequence/val/000000_000000_frankfurt_000000_000000'
    write_png(Path(f'{stem}_gtFine_instanceTrainIds.png'), np.full(SIZE, 18998, np.uint16))
    write_png(Path(f'{stem}_depth.png'), np.full(SIZE, 65535, np.uint16))
    truth = CityscapesDvps(tmp_path)[0].truth
    assert (truth.panoptic == 18999).all() and truth.panoptic.dtype == np.int32
    assert (truth.depth == np.float32(65535 / 256)).all()
    assert truth.instance_depth_m == {18999: 65535 / 256}


@pytest.mark.parametrize(('name', 'image', 'message'), [
    ('gtFine_instanceTrainIds', np.full(SIZE, 19000, np.uint16),
     r'gtFine_instanceTrainIds\.png: holds the label 19000, which is no class'),
    ('gtFine_instanceTrainIds', np.full(SIZE, 255, np.uint8),
     r'gtFine_instanceTrainIds\.png: uint8 with 1 channels, but one channel of uint16'),
    ('gtFine_instanceTrainIds', np.zeros((4, 6), np.uint16),
     r'gtFine_instanceTrainIds\.png: 6x4 px, but its picture has 48x24 px'),
    ('depth', np.zeros((*SIZE, 3), np.uint8), r'depth\.png: uint8 with 3 channels'),
    ('depth', None, r'depth\.png: missing'),
    ('gtFine_instanceTrainIds', None, r'TrainIds\.png: missing; copy'),
    ('leftImg8bit', b'no picture', r'leftImg8bit\.png: is no picture'),
])
def test_broken_files_are_named(tmp_path, name, image, message):
    write_cityscapes_dvps(tmp_path)
    path = tmp_path / f'video_sequence/val/{FRAME}_{name}.png'
    if image is None:
        path.unlink()
    elif isinstance(image, bytes):
        path.write_bytes(image)
    else:
        write_png(path, image)
    data = CityscapesDvps(tmp_path)
    with pytest.raises(ConfigError, match=message):
        data[1]


def test_wrong_roots_and_splits(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown split 'test'; known: train, val"):
        CityscapesDvps(tmp_path, 'test')
    with pytest.raises(ConfigError, match=r'no \*_leftImg8bit\.png in .*/video_sequence/val; give '
                       'as root the folder that holds video_sequence'):
        CityscapesDvps(tmp_path)
    write_png(tmp_path / 'video_sequence/val/bonn_000000_000019_leftImg8bit.png',
              np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(ConfigError, match='bonn_000000_000019_leftImg8bit.png is not named SSSS'):
        CityscapesDvps(tmp_path)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_the_sample_in_the_real_format(split):
    folder = golden_file('cityscapes_dvps_sample')
    data = CityscapesDvps(folder, split)
    assert data.names == ['000000_000000_frankfurt_000000_000000']
    sample = data[0]
    stored = cv2.imread(str(folder / f'{data.names[0]}_gtFine_instanceTrainIds.png'),
                        cv2.IMREAD_UNCHANGED).astype(int)
    thing = (stored >= 11000) & (stored < 19000)
    expected = np.where(stored == 32000, VOID_ID, stored + thing)
    np.testing.assert_array_equal(sample.truth.panoptic, expected)
    assert len(sample.truth.instance_depth_m) == 7 == len(np.unique(stored[thing]))
    stored_depth = cv2.imread(str(folder / f'{data.names[0]}_depth.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(np.isnan(sample.truth.depth), stored_depth == 0)
    np.testing.assert_array_equal(np.nan_to_num(sample.truth.depth), stored_depth / 256)
    assert sample.sequence == '000000' and sample.frame.intrinsics.width == 512
