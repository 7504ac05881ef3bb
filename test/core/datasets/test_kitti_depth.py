# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The reader of the KITTI depth prediction benchmark on trees of its own."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_trees import (
    SIZE,
    write_kitti_depth_drives,
    write_kitti_depth_selection,
    write_png,
)
from panoptic_depth_core.datasets.kitti import KittiDepth
from panoptic_depth_core.errors import ConfigError

DRIVE = '2011_09_26_drive_0002_sync'
GROUND_TRUTH = f'val/{DRIVE}/proj_depth/groundtruth/image_02/0000000005.png'


@pytest.mark.parametrize('split', ['train', 'val'])
def test_drives(tmp_path, split):
    written = write_kitti_depth_drives(tmp_path, split=split)
    data = KittiDepth(tmp_path, split)
    assert data.names == list(written) and len(data) == 6
    for i, true in enumerate(written.values()):
        sample = data[i]
        if true.sequence == DRIVE:
            np.testing.assert_array_equal(sample.frame.image, true.image)
        assert sample.frame.image.shape == true.image.shape, 'the second drive is of JPEGs'
        np.testing.assert_array_equal(sample.truth.depth, true.depth)
        assert sample.sequence == true.sequence
        assert sample.truth.panoptic is None and not sample.truth.has_semantics
        camera = sample.frame.intrinsics
        assert (camera.fx, camera.fy, camera.cx, camera.cy) == (64.0, 65.0, 25.0, 11.0)


@pytest.mark.parametrize('root', ['.', 'depth_selection'])
def test_selection(tmp_path, root):
    written = write_kitti_depth_selection(tmp_path)
    data = KittiDepth(tmp_path / root, 'val_selection')
    assert data.names == list(written)
    for i, true in enumerate(written.values()):
        sample = data[i]
        np.testing.assert_array_equal(sample.frame.image, true.image)
        np.testing.assert_array_equal(sample.truth.depth, true.depth)
        assert sample.frame.intrinsics.as_vector().tolist() == [64.0, 65.0, 25.0, 11.0]
        assert not sample.sequence, 'its frames do not follow each other'


@pytest.mark.parametrize(('file', 'content', 'message'), [
    (GROUND_TRUTH, np.zeros(SIZE, np.uint8), r'0000000005\.png: uint8 with 1 channels'),
    (GROUND_TRUTH, np.zeros((4, 6), np.uint16), r'6x4 px, but its picture has 48x24 px'),
    (f'2011_09_26/{DRIVE}/image_02/data/0000000005.png', None,
     r'image_02/data/0000000005\.png: missing'),
    ('2011_09_26/calib_cam_to_cam.txt', None, r'calib_cam_to_cam\.txt: no calib_cam_to_cam'),
])
def test_broken_files_are_named(tmp_path, file, content, message):
    write_kitti_depth_drives(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        write_png(tmp_path / file, content)
    data = KittiDepth(tmp_path)
    with pytest.raises(ConfigError, match=message):
        data[0]


@pytest.mark.parametrize('content', ['', '1 2 3', '0 0 0 0 0 0 0 0 1', 'a b c d e f'])
def test_broken_intrinsics_are_named(tmp_path, content):
    write_kitti_depth_selection(tmp_path)
    path, *_ = sorted((tmp_path / 'depth_selection/val_selection_cropped/intrinsics').iterdir())
    path.write_text(content)
    with pytest.raises(ConfigError, match=f'{path.name}: no intrinsics of KITTI depth'):
        KittiDepth(tmp_path, 'val_selection')[0]


def test_wrong_roots_and_splits(tmp_path):
    with pytest.raises(ConfigError, match="split 'test'; known: train, val, val_selection"):
        KittiDepth(tmp_path, 'test')
    with pytest.raises(ConfigError, match=r'/val is not a folder; .*split val_selection has'):
        KittiDepth(tmp_path)
    with pytest.raises(ConfigError, match='val_selection_cropped is not a folder; give as root'):
        KittiDepth(tmp_path, 'val_selection')
    (tmp_path / 'val').mkdir()
    with pytest.raises(ConfigError, match='unpack data_depth_annotated there'):
        KittiDepth(tmp_path)
