# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The reader of partly labeled KITTI frames: on a tree of its own, and on the real one."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_trees import write_kitti_half
from panoptic_depth_core.datasets import open_dataset
from panoptic_depth_core.datasets.kitti import KittiHalf
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.labels import CLASS_ID, VOID_ID

CAR, PERSON, ROAD = CLASS_ID['car'], CLASS_ID['person'], CLASS_ID['road']


@pytest.fixture
def tree(tmp_path):
    write_kitti_half(tmp_path)
    return tmp_path


def test_a_frame_with_all_labels(tree):
    sample = KittiHalf(tree, 'train')[0]
    assert sample.frame.image[0, 0, 0] > 200 and sample.frame.image[0, 0, 2] < 60, 'RGB'
    assert (sample.frame.intrinsics.fx, sample.frame.intrinsics.width) == (9.0, 16)
    ids = sample.truth.panoptic
    assert ids[0, [0, 8, 12, 15]].tolist() == [ROAD * 1000, CAR * 1000 + 5, CAR * 1000, VOID_ID]
    assert sample.truth.has_semantics and sample.truth.instance_classes == (PERSON, CAR)
    assert (sample.truth.depth == 10.0).all()
    assert sample.truth.instance_depth_m == {CAR * 1000 + 5: 10.5}


def test_a_frame_with_semantics_only(tree):
    truth = KittiHalf(tree, 'val')[0].truth
    assert truth.has_semantics and truth.instance_classes == () and truth.depth is None
    assert truth.panoptic[0, 10] == CAR * 1000, 'all cars are a crowd'


def test_a_sequence_knows_cars_and_persons_only(tree):
    truth = KittiHalf(tree, 'seq0009')[0].truth
    assert truth.panoptic[0, 0] == CAR * 1000 + 1 and truth.panoptic[7, 0] == PERSON * 1000 + 4
    assert truth.panoptic[0, 8] == VOID_ID and not truth.has_semantics
    assert truth.ignore[:, 14:].all() and not truth.ignore[:, :14].any()
    assert KittiHalf(tree, 'seq0009')[0].sequence == 'seq0009'
    assert not KittiHalf(tree, 'train')[0].sequence


def test_frames_by_label(tree):
    assert KittiHalf(tree, 'train:depth').names == ['000001']
    with pytest.raises(ConfigError, match="no frames with 'depth' in split 'val'"):
        KittiHalf(tree, 'val:depth')


@pytest.mark.parametrize(('root', 'split', 'message'), [
    ('', 'test', "unknown split 'test'; known: train, val, seq0009"),
    ('nothing', 'val', r'splits\.json: is missing; give the folder'),
])
def test_wrong_names(tree, root, split, message):
    with pytest.raises(ConfigError, match=message):
        open_dataset('kitti_half', str(tree / root), split)


def test_a_missing_picture_is_named(tree):
    (tree / 'kitti15' / 'image' / '000001.jpg').unlink()
    with pytest.raises(ConfigError, match=r'000001\.jpg: missing'):
        KittiHalf(tree, 'train')[0]


def test_the_real_frames(shared_data):
    root = shared_data / 'kitti_half'
    val = KittiHalf(root, 'val')
    assert len(val) == 21
    samples = [val[i] for i in range(len(val))]
    assert sum(bool(s.truth.instance_classes) for s in samples) == 17
    assert sum(s.truth.depth is not None for s in samples) == 7
    for sample in samples:
        ids = set(np.unique(sample.truth.panoptic).tolist())
        assert set(sample.truth.instance_depth_m) <= ids
        for panoptic_id, depth in sample.truth.instance_depth_m.items():
            mine = sample.truth.depth[sample.truth.panoptic == panoptic_id]
            if np.isfinite(mine).sum() >= 100:
                assert np.nanmedian(mine) == pytest.approx(depth, rel=0.05)
    sequence = KittiHalf(root, 'seq0000')[0].truth
    assert np.isfinite(sequence.depth).mean() > 0.05
