# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The reader of Eigen's split of KITTI on trees of its own."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_trees import write_kitti_eigen, write_png
from panoptic_depth_core.datasets.kitti import KittiEigen
from panoptic_depth_core.errors import ConfigError, warn_once

DRIVE = '2011_09_26_drive_0002_sync'
LIST = 'eigen_test_files_with_gt.txt'


def test_frames_of_the_list(tmp_path, caplog):
    warn_once.cache_clear()
    written = write_kitti_eigen(tmp_path, split='test')
    data = KittiEigen(tmp_path, 'test')
    assert data.names == list(written) and len(data) == 6 and data.classes == ()
    assert "1 of 7 frames of split 'test' have no depth and are left out" in caplog.text
    for i, (name, true) in enumerate(written.items()):
        sample = data[i]
        if name.startswith(DRIVE):
            np.testing.assert_array_equal(sample.frame.image, true.image)
        assert sample.frame.name == name
        np.testing.assert_array_equal(sample.truth.depth, true.depth)
        assert sample.truth.panoptic is None and not sample.sequence
        assert sample.frame.intrinsics.as_vector().tolist() == [64.0, 65.0, 25.0, 11.0]


@pytest.mark.parametrize(('name', 'line'), [
    ('test_files.txt', '2011_09_26/{drive} 6 l'),
    ('eigen_test_files.txt', '2011_09_26/{drive}/image_02/data/0000000006.jpg '
                             '2011_09_26/{drive}/image_03/data/0000000006.jpg'),
    ('eigen_test.txt', '/2011_09_26/{drive}/image_02/data/0000000006.png')])
def test_other_lists(tmp_path, name, line):
    """Of Monodepth2, of Monodepth, and of pictures alone."""
    written = write_kitti_eigen(tmp_path, split='test')
    (tmp_path / LIST).unlink()
    (tmp_path / name).write_text('\n' + line.format(drive=DRIVE) + '\n\n')
    data = KittiEigen(tmp_path)
    assert data.names == [f'{DRIVE}_0000000006']
    np.testing.assert_array_equal(data[0].truth.depth, written[data.names[0]].depth)


def test_the_right_camera(tmp_path):
    true = write_kitti_eigen(tmp_path, split='test')[f'{DRIVE}_0000000006']
    write_png(tmp_path / '2011_09_26' / DRIVE / 'image_03/data/0000000006.png', true.image)
    write_png(tmp_path / 'train' / DRIVE / 'proj_depth/groundtruth/image_03/0000000006.png',
              true.stored_depth)
    path = tmp_path / '2011_09_26/calib_cam_to_cam.txt'
    path.write_text(path.read_text().replace('P_rect_03: 6.4e+01', 'P_rect_03: 8.0e+01'))
    (tmp_path / LIST).write_text(f'2011_09_26/{DRIVE} 6 r\n')
    sample = KittiEigen(tmp_path)[0]
    assert sample.frame.name == f'{DRIVE}_0000000006_image_03'
    assert sample.frame.intrinsics.fx == 80
    np.testing.assert_array_equal(sample.truth.depth, true.depth)


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(ConfigError, match="split 'all'; known: train, val, test"):
        KittiEigen(tmp_path, 'all')
    with pytest.raises(ConfigError, match="no list of split 'test' in .*; give as root the folder "
                                          'that holds eigen_test_files_with_gt.txt'):
        KittiEigen(tmp_path)
    (tmp_path / LIST).write_text('\n')
    with pytest.raises(ConfigError, match='empty; copy it again'):
        KittiEigen(tmp_path)
    (tmp_path / LIST).write_text('a.png b.png\n')
    with pytest.raises(ConfigError, match=r"line 'a\.png b\.png' of the list names no DATE/DRIVE"):
        KittiEigen(tmp_path)
    (tmp_path / LIST).write_text(f'2011_09_26/{DRIVE} 6 l\n')
    with pytest.raises(ConfigError, match="none of the 1 frames of split 'test' has a depth; the "
                                          r'first would be .*/2011_09_26_drive_0002_sync/proj_de'):
        KittiEigen(tmp_path)
