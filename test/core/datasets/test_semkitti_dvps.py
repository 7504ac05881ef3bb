# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The reader of SemKITTI-DVPS on trees of its own."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_trees import SIZE, write_png, write_semkitti_dvps
from panoptic_depth_core.datasets.kitti import (
    SemKittiDvps,
    camera_of,
    within_divisor,
)
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.labels import LABEL_DIVISOR, SEMKITTI, VOID_CLASS, VOID_ID


@pytest.mark.parametrize('root', ['.', 'video_sequence'])
def test_round_trip(tmp_path, root):
    written = write_semkitti_dvps(tmp_path, split='train')
    data = SemKittiDvps(tmp_path / root, 'train')
    assert data.names == list(written)
    assert data.classes is SEMKITTI and len(SEMKITTI) == 19
    for i, true in enumerate(written.values()):
        sample = data[i]
        np.testing.assert_array_equal(sample.frame.image, true.image)
        np.testing.assert_array_equal(sample.truth.panoptic, true.panoptic)
        np.testing.assert_array_equal(sample.truth.depth, true.depth)
        assert sample.sequence == true.sequence
        assert sample.truth.instance_classes == tuple(range(8))
        assert len(sample.truth.instance_depth_m) == 3


def test_things_come_first_in_the_table():
    assert [c.is_thing for c in SEMKITTI] == [True] * 8 + [False] * 11
    assert [c.class_id for c in SEMKITTI] == list(range(19))
    assert (SEMKITTI[0].name, SEMKITTI[8].name, SEMKITTI[18].name) == (
        'car', 'road', 'traffic-sign')


def test_the_focal_length_is_in_the_file_name(tmp_path):
    write_semkitti_dvps(tmp_path, focal='123.25')
    camera = SemKittiDvps(tmp_path)[0].frame.intrinsics
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (123.25, 123.25, 23.5, 11.5)


def test_the_principal_point_is_that_of_the_recording():
    camera = camera_of(718.8560180664062, 1241, 376)
    assert (camera.fx, camera.cx, camera.cy) == (718.856, 607.1928, 185.2157)
    assert camera_of(707.0911865234375, 1226, 370).cx == 601.8873
    assert camera_of(707.0912, 1000, 370).cx == 499.5, 'another crop'


def test_large_instance_ids_stay_apart_and_wrap_alike_in_every_frame(tmp_path):
    write_semkitti_dvps(tmp_path, 1, 2, first_instance=1500)
    data = SemKittiDvps(tmp_path)
    first, second = (np.unique(data[i].truth.panoptic) for i in range(2))
    np.testing.assert_array_equal(first, second)
    assert {1500 - 999, 1501 - 999} <= set((first % LABEL_DIVISOR).tolist())


def test_instances_that_wrap_onto_each_other_become_a_crowd():
    classes = np.array([[0, 0, 0, 1, 9, VOID_CLASS]], np.uint8)
    instances = np.array([[1, 1000, 2, 1000, 1, 1000]], np.uint16)
    assert within_divisor(classes, instances).tolist() == [[0, 0, 2, 1, 1, 1]]
    few = np.array([[1, 999, 0]], np.uint16)
    assert within_divisor(classes[:, :3], few).tolist() == few.tolist()


def test_void_is_255(tmp_path):
    write_semkitti_dvps(tmp_path, 1, 1)
    write_png(tmp_path / 'video_sequence/val/000000_000000_gtFine_class.png',
              np.full(SIZE, VOID_CLASS, np.uint8))
    truth = SemKittiDvps(tmp_path)[0].truth
    assert (truth.panoptic == VOID_ID).all() and truth.instance_depth_m == {}


@pytest.mark.parametrize(('name', 'image', 'message'), [
    ('gtFine_class', np.full(SIZE, 19, np.uint8), r'gtFine_class\.png: holds the label 19'),
    ('gtFine_class', np.full(SIZE, 1, np.uint16), r'gtFine_class\.png: uint16 .* of uint8'),
    ('gtFine_instance', np.zeros((*SIZE, 3), np.uint8), r'of uint8 or uint16 was expected'),
    ('gtFine_instance', None, r'gtFine_instance\.png: missing'),
    ('depth_718.8560180664062', None, r'000000_000000_depth_FOCAL\.png: missing; copy'),
])
def test_broken_files_are_named(tmp_path, name, image, message):
    write_semkitti_dvps(tmp_path)
    path = tmp_path / f'video_sequence/val/000000_000000_{name}.png'
    if image is None:
        path.unlink()
    else:
        write_png(path, image)
    data = SemKittiDvps(tmp_path)
    with pytest.raises(ConfigError, match=message):
        data[0]


def test_wrong_roots_splits_and_focal_lengths(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown split 'test'; known: train, val"):
        SemKittiDvps(tmp_path, 'test')
    with pytest.raises(ConfigError, match='semkitti_dvps: .*the folder that holds video_sequence'):
        SemKittiDvps(tmp_path)
    write_semkitti_dvps(tmp_path, focal='unknown')
    with pytest.raises(ConfigError, match=r'depth_unknown\.png: the name does not end on'):
        SemKittiDvps(tmp_path)[0]
