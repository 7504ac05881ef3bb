# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The reader of NYUv2 on trees of its own."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_trees import write_nyu, write_png
from panoptic_depth_core.datasets.nyu import NyuDepth
from panoptic_depth_core.errors import ConfigError, warn_once

LIST = 'nyudepthv2_test_files_with_gt.txt'


def test_frames_of_the_list(tmp_path, caplog):
    warn_once.cache_clear()
    written = write_nyu(tmp_path, split='test', size=(48, 64))
    data = NyuDepth(tmp_path, 'test')
    assert data.names == list(written) and len(data) == 6 and data.classes == ()
    assert "nyu: 1 of 7 frames of split 'test' have no depth" in caplog.text
    for i, true in enumerate(written.values()):
        sample = data[i]
        np.testing.assert_array_equal(sample.frame.image, true.image)
        known = true.stored_depth > 0
        np.testing.assert_allclose(sample.truth.depth[known], true.stored_depth[known] / 1000.0)
        assert np.isnan(sample.truth.depth[~known]).all()
        assert sample.truth.panoptic is None and not sample.sequence
    # The camera of 640x480 px at a tenth of the size.
    assert sample.frame.intrinsics.fx == pytest.approx(51.88579)
    assert sample.frame.intrinsics.cy == pytest.approx((253.7362 + 0.5) / 10 - 0.5)


def test_without_a_list_all_of_the_official_split(tmp_path):
    written = write_nyu(tmp_path, split='test')
    (tmp_path / LIST).unlink()
    data = NyuDepth(tmp_path)
    assert data.names == list(written)
    expected = list(written.values())[4].stored_depth
    assert np.nanmax(data[4].truth.depth) == pytest.approx(expected.max() / 1000)


def test_a_list_with_commas_and_one_for_training(tmp_path):
    """As DenseDepth writes it; pictures of BTS's training are in sync."""
    picture, depth = np.zeros((4, 6, 3), np.uint8), np.full((4, 6), 2500, np.uint16)
    write_png(tmp_path / 'data/nyu2_test/00000_colors.png', picture)
    write_png(tmp_path / 'data/nyu2_test/00000_depth.png', depth)
    (tmp_path / 'nyu2_test.csv').write_text(
        'data/nyu2_test/00000_colors.png,data/nyu2_test/00000_depth.png\n')
    assert NyuDepth(tmp_path)[0].truth.depth[0, 0] == 2.5
    write_png(tmp_path / 'sync/kitchen_0028b/rgb_00045.jpg', picture)
    write_png(tmp_path / 'sync/kitchen_0028b/sync_depth_00045.png', depth)
    (tmp_path / 'nyu_train.txt').write_text(
        '/kitchen_0028b/rgb_00045.jpg /kitchen_0028b/sync_depth_00045.png 518.8579\n')
    data = NyuDepth(tmp_path, 'train')
    assert data.names == ['kitchen_0028b_rgb_00045'] and data[0].truth.depth[0, 0] == 2.5


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(ConfigError, match="split 'all'; known: train, val, test"):
        NyuDepth(tmp_path, 'all')
    with pytest.raises(ConfigError, match="nyu: no list of split 'test' in .*; give as root"):
        NyuDepth(tmp_path)
    (tmp_path / LIST).write_text('a/rgb_0.jpg\n')
    with pytest.raises(ConfigError, match=r"line 'a/rgb_0\.jpg' of the list has one entry; give"):
        NyuDepth(tmp_path)
    (tmp_path / LIST).write_text('a/rgb_0.png a/sync_depth_0.png\n')
    with pytest.raises(ConfigError, match=r'none of the 1 frames .* has a depth; the first would'):
        NyuDepth(tmp_path)
    write_png(tmp_path / 'a/rgb_0.png', np.zeros((4, 6, 3), np.uint8))
    write_png(tmp_path / 'a/sync_depth_0.png', np.zeros((4, 6), np.uint8))
    with pytest.raises(ConfigError, match='uint8 with 1 channels, but one channel of uint16'):
        NyuDepth(tmp_path)[0]
