# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Depth of Cityscapes as Panoptic-DepthLab reads and measures it, against its own code."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from dataset_trees import write_cityscapes
from golden import each_golden
from panoptic_depth_core.datasets import open_dataset
from panoptic_depth_core.datasets.cityscapes import depthlab_depth
from panoptic_depth_core.evaluation.depthlab_metrics import depthlab_metrics, floored
from panoptic_depth_core.evaluation.protocols import PROTOCOLS


@each_golden('depthlab_depth')
def test_equals_the_original(path):
    golden = np.load(path)
    side = int(golden['repeat'])
    stored = np.roll(np.kron(golden['disparity_coarse'], np.ones((side, side), np.uint16)),
                     golden['shift'], (0, 1))
    fx_baseline = float(golden['baseline'] * golden['fx'])
    learned = cv2.resize(depthlab_depth(stored, fx_baseline, training=True), (1024, 512),
                         interpolation=cv2.INTER_LINEAR)
    assert np.abs(learned - golden['training_depth_512x1024']).max() < 1e-4
    measured = depthlab_depth(stored, fx_baseline, training=False)[::4, ::4]
    assert np.abs(measured - golden['evaluation_depth_every_4th']).max() < 1e-4
    protocol = PROTOCOLS['depthlab']
    assert protocol.prepare is not None and protocol.more is not None
    seen = protocol.prepare(golden['metric_prediction'].astype(float))
    assert np.array_equal(np.where(seen < 1, 0, seen), golden['metric_prediction_u8'])
    truth = golden['metric_gt'].astype(float)
    counted = (truth > protocol.min_m) & (truth < protocol.cap_m)
    values = protocol.more(seen[counted], truth[counted])
    expected = {name.removeprefix('metric/'): float(golden[name]) for name in golden.files
                if name.startswith('metric/')}
    assert len(expected) == 7
    assert values == pytest.approx(expected, rel=1e-6)


def test_metrics_by_hand():
    truth = np.array([[10.0, 20.0, 0.0, np.nan]])
    values = depthlab_metrics(np.array([[10.0, 25.0, 3.0, 3.0]]), truth)
    assert values == pytest.approx({
        'rse': 25 / 50, 'rae': 5 / 10, 'irmse': np.sqrt(100 / 2), 'silog': 50 * np.log10(1.25),
        'acc_1': 50.0, 'acc_2': 100.0, 'acc_3': 100.0})
    assert floored(np.array([0.9, 1.0, 7.99, -3.0, 300.0])).tolist() == [0.1, 1, 7, 0.1, 255]
    assert all(np.isnan(value) for value in depthlab_metrics(truth, 0 * truth).values())


@pytest.mark.parametrize('split', ['train', 'val'])
def test_reader(split, tmp_path):
    """In training what has no disparity is 80 m, except at the border."""
    write_cityscapes(tmp_path, split=split, size=(96, 192))
    plain = open_dataset('cityscapes', str(tmp_path), split)[0].truth.depth
    depth = open_dataset('cityscapes_depthlab', str(tmp_path), split)[0].truth.depth
    assert plain is not None and depth is not None
    inside, known = depth[:, 90:], np.isfinite(plain[:, 90:])
    assert (~known).any() and known.any()
    assert np.allclose(inside[known], np.minimum(plain[:, 90:][known], 80), rtol=1e-4)
    assert (inside[~known] == 80).all() if split == 'train' else np.isnan(inside[~known]).all()
    border = depth[:, :90]
    assert np.isnan(border[plain[:, :90] > 40]).all() and not (border > 40).any()


def test_one_true_depth_has_no_spread():
    found = depthlab_metrics(np.full(3, 5.0), np.full(3, 4.0))
    assert np.isnan([found['rse'], found['rae']]).all()
    assert found['acc_1'] == 0.0 and found['acc_2'] == 100.0
