# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The reader of the KITTI 2015 semantics benchmark on trees of its own."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_trees import KITTI_BASELINE_M, SIZE, write_kitti_semantics, write_png
from panoptic_depth_core.datasets.kitti import KittiSemantics
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.labels import CLASS_ID, THING_CLASSES, VOID_ID


def test_round_trip(tmp_path):
    written = write_kitti_semantics(tmp_path)
    names = list(written)
    train, val = KittiSemantics(tmp_path, 'train'), KittiSemantics(tmp_path, 'val')
    assert val.names == [names[0], names[10]] and len(train) == 10
    assert sorted(train.names + val.names) == names
    for data in (train, val):
        for i, name in enumerate(data.names):
            sample, true = data[i], written[name]
            np.testing.assert_array_equal(sample.frame.image, true.image)
            np.testing.assert_array_equal(sample.truth.panoptic, true.panoptic)
            assert sample.truth.has_semantics and sample.truth.instance_classes == THING_CLASSES
            assert not sample.sequence


def test_depth_and_camera_from_the_stereo_benchmark(tmp_path):
    true = next(iter(write_kitti_semantics(tmp_path).values()))
    sample = KittiSemantics(tmp_path)[0]
    camera = sample.frame.intrinsics
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (64.0, 65.0, 25.0, 11.0)
    known = true.stored_depth > 0
    np.testing.assert_array_equal(np.isfinite(sample.truth.depth), known)
    np.testing.assert_allclose(
        sample.truth.depth[known], 64.0 * KITTI_BASELINE_M * 256 / true.stored_depth[known],
        rtol=1e-6)
    assert len(sample.truth.instance_depth_m) == 3


@pytest.mark.parametrize(('disparity', 'calibration'), [(True, False), (False, True)])
def test_without_disparity_or_calibration_there_is_no_depth(tmp_path, disparity, calibration):
    write_kitti_semantics(tmp_path, disparity=disparity, calibration=calibration)
    sample = KittiSemantics(tmp_path)[0]
    assert sample.truth.depth is None and sample.truth.instance_depth_m == {}
    expected = 64.0 if calibration else 721.5377 * SIZE[1] / 1242
    assert sample.frame.intrinsics.fx == pytest.approx(expected)


def test_without_instances_all_things_are_crowds(tmp_path):
    true = next(iter(write_kitti_semantics(tmp_path, instances=False).values()))
    truth = KittiSemantics(tmp_path)[0].truth
    assert truth.has_semantics and truth.instance_classes == ()
    np.testing.assert_array_equal(truth.panoptic, np.where(
        true.panoptic == VOID_ID, VOID_ID, true.classes * 1000))


def test_instances_count_only_where_both_files_name_one_class(tmp_path):
    write_kitti_semantics(tmp_path, 1)
    write_png(tmp_path / 'training/instance/000000_10.png', np.full(SIZE, 26 * 256 + 3, np.uint16))
    semantic = np.full(SIZE, 26, np.uint8)
    semantic[:, :8] = 24
    write_png(tmp_path / 'training/semantic/000000_10.png', semantic)
    panoptic = KittiSemantics(tmp_path)[0].truth.panoptic
    assert (panoptic[:, :8] == CLASS_ID['person'] * 1000).all()
    assert (panoptic[:, 8:] == CLASS_ID['car'] * 1000 + 3).all()


@pytest.mark.parametrize(('file', 'image', 'message'), [
    ('semantic/000000_10.png', np.full(SIZE, 34, np.uint8), r'000000_10\.png: holds the label 34'),
    ('semantic/000000_10.png', None, r'semantic/000000_10\.png: missing'),
    ('instance/000000_10.png', None, r'instance/000000_10\.png: missing'),
    ('instance/000000_10.png', np.full(SIZE, 34 * 256, np.uint16), 'holds the label 8704'),
    ('disp_occ_0/000000_10.png', np.zeros(SIZE, np.uint8), 'one channel of uint16 was expected'),
    ('calib_cam_to_cam/000000.txt', b'P_rect_02: 1 2 3', r'0\.txt: is damaged or is not calib'),
])
def test_broken_files_are_named(tmp_path, file, image, message):
    write_kitti_semantics(tmp_path)
    path = tmp_path / 'training' / file
    if image is None:
        path.unlink()
    elif isinstance(image, bytes):
        path.write_bytes(image)
    else:
        write_png(path, image)
    data = KittiSemantics(tmp_path)
    with pytest.raises(ConfigError, match=message):
        data[0]


def test_wrong_roots_and_splits(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown split 'testing'; known: train, val"):
        KittiSemantics(tmp_path, 'testing')
    with pytest.raises(ConfigError, match=r'training/image_2 is not a folder; give as root'):
        KittiSemantics(tmp_path)
