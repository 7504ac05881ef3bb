# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What holds for every data set of the table."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import (
    write_camvid,
    write_cityscapes,
    write_cityscapes_dvps,
    write_coco_panoptic,
    write_kitti_depth_drives,
    write_kitti_eigen,
    write_kitti_half,
    write_kitti_semantics,
    write_nyu,
    write_pictures,
    write_semkitti_dvps,
)
from miniature import make_sample
from pack_files import write_pack_file
from panoptic_depth_core.datasets import DATASETS, Dataset, open_dataset
from panoptic_depth_core.datasets.storage import CachedDataset
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.labels import CITYSCAPES, LABEL_DIVISOR, VOID_ID
from panoptic_depth_core.structures import Sample

TREES: dict[str, Callable[[Path], object]] = {
    'camvid': write_camvid,
    'cityscapes': write_cityscapes,
    'cityscapes_depthlab': lambda root: write_cityscapes(root, size=(96, 192)),
    'cityscapes_dvps': write_cityscapes_dvps,
    'coco_panoptic': write_coco_panoptic,
    'images': write_pictures,
    'kitti_depth': write_kitti_depth_drives,
    'kitti_eigen': write_kitti_eigen,
    'kitti_half': write_kitti_half,
    'kitti_semantics': write_kitti_semantics,
    'nyu': write_nyu,
    'semkitti_dvps': write_semkitti_dvps,
}


@pytest.fixture(params=sorted(DATASETS))
def opened(request, tmp_path) -> Dataset:
    """Every data set of the table on its miniature tree."""
    name = request.param
    if name == 'synthetic':
        pytest.importorskip('embreex')
        return open_dataset(name, '1', 'val')
    if name == 'packed':
        write_pack_file(tmp_path / 'a.pack', {'val': [make_sample(seed=seed) for seed in (0, 1)]})
        return open_dataset(name, str(tmp_path / 'a.pack'), 'val')
    TREES[name](tmp_path)
    return open_dataset(name, str(tmp_path), 'all' if name == 'images' else 'val')


def assert_valid(sample: Sample, classes: int) -> None:
    truth, size = sample.truth, sample.frame.image.shape[:2]
    assert sample.frame.name and sample.frame.intrinsics.width == size[1]
    assert sample.frame.image.flags.c_contiguous
    if truth.panoptic is not None:
        assert truth.panoptic.dtype == np.int32 and truth.panoptic.shape == size
        ids = np.unique(truth.panoptic)
        known = ids[ids != VOID_ID]
        assert len(known) and known.min() >= 0 and (known // LABEL_DIVISOR < classes).all()
        assert set(truth.instance_depth_m) <= set(known[known % LABEL_DIVISOR > 0].tolist())
    if truth.ignore is not None:
        assert truth.ignore.dtype == np.bool_ and truth.ignore.shape == size
    if truth.depth is not None:
        assert truth.depth.dtype == np.float32 and truth.depth.shape == size
        assert not (truth.depth <= 0).any(), 'unknown is NaN, never 0'
        assert np.isfinite(truth.depth).any()
    assert all(type(i) is int and math.isfinite(d) and d > 0
               for i, d in truth.instance_depth_m.items())


def test_every_entry_yields_valid_samples(opened):
    assert len(opened) > 0
    names = set()
    for i in range(len(opened)):
        sample = opened[i]
        assert_valid(sample, len(opened.classes))
        names.add(sample.frame.name)
    assert len(names) == len(opened)
    with pytest.raises(IndexError):
        opened[len(opened)]


@pytest.mark.parametrize('opened', sorted(
    set(DATASETS) - {'coco_panoptic', 'images', 'kitti_eigen', 'nyu', 'semkitti_dvps'}),
    indirect=True)
def test_training_takes_samples_with_the_classes_of_cityscapes(opened):
    pytest.importorskip('torch')
    from panoptic_depth_core.network.dynamic_kernels.targets import collate
    assert opened.classes is CITYSCAPES
    sample = opened[0]
    batch = collate([sample, sample])
    assert batch.image.shape == (2, *sample.frame.image.shape)
    assert bool(len(batch.thing_channel[0])) == bool(sample.truth.instance_classes)
    depth = batch.depth[0].numpy()
    expected = np.isfinite(sample.truth.depth) if sample.truth.depth is not None else False
    np.testing.assert_array_equal(np.isfinite(depth), np.broadcast_to(expected, depth.shape))


def test_a_cache_keeps_all_of_a_sample(opened, tmp_path):
    cached = CachedDataset(opened, tmp_path / 'cache')
    assert cached.classes is opened.classes
    original = opened[0]
    for sample in (cached[0], cached[0]):
        assert sample.sequence == original.sequence
        assert sample.frame.name == original.frame.name
        assert sample.frame.intrinsics == original.frame.intrinsics
        for part in ('panoptic', 'ignore'):
            before, after = (getattr(s.truth, part) for s in (original, sample))
            assert (before is None) == (after is None)
            if before is not None:
                np.testing.assert_array_equal(before, after)
        assert sample.truth.instance_depth_m == original.truth.instance_depth_m
        if original.truth.depth is None:
            assert sample.truth.depth is None
        else:
            finite = np.isfinite(original.truth.depth)
            np.testing.assert_allclose(sample.truth.depth[finite], original.truth.depth[finite],
                                       2.6e-4)
            np.testing.assert_array_equal(sample.truth.depth[~finite],
                                          original.truth.depth[~finite])


def test_unknown_names_and_roots(tmp_path):
    with pytest.raises(ConfigError, match="unknown name 'coco'; known: camvid, cityscapes, "):
        open_dataset('coco', '.', 'val')
    for name in TREES:
        with pytest.raises(ConfigError, match='give'):
            open_dataset(name, str(tmp_path / 'nothing'), 'val')
