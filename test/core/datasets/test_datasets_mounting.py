# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Data sets know how their camera is mounted; frames are told only where that is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_trees import write_cityscapes
from panoptic_depth_core.datasets import open_dataset
from panoptic_depth_core.datasets.kitti import MOUNTING, KittiHalf
from panoptic_depth_core.datasets.synthetic import SyntheticDrive, SyntheticScenes
from panoptic_depth_core.inference.ground_plane import fit_ground
from panoptic_depth_core.labels import CLASS_ID
from panoptic_depth_core.structures import Mounting, Sample
from synthetic_helpers import SMALL


def seen(sample: Sample, max_m: float = 30.0):
    """The plane of the road that the truth shows."""
    truth = sample.truth
    road = (truth.panoptic // 1000 == CLASS_ID['road']) & (truth.depth < max_m)
    return fit_ground((1.0 / truth.depth).astype(np.float32), road, sample.frame.intrinsics)


@pytest.mark.parametrize('mounting', [None, Mounting(3.0, 1.0)])
def test_frames_have_the_mounting_that_was_asked_for(tmp_path, mounting):
    write_cityscapes(tmp_path)
    data = open_dataset('cityscapes', str(tmp_path), 'val', mounting=mounting)
    known = open_dataset('cityscapes', str(tmp_path), 'val', mounting='data')
    assert len(data) == len(known) == 3 and data.classes == known.classes
    assert [data[i].frame.mounting for i in range(3)] == 3 * [mounting]
    assert [known[i].frame.mounting.height_m for i in range(3)] == 3 * [1.2]
    np.testing.assert_array_equal(data[1].truth.panoptic, known[1].truth.panoptic)


def test_by_default_frames_have_none(tmp_path):
    write_cityscapes(tmp_path)
    assert open_dataset('cityscapes', str(tmp_path), 'val')[0].frame.mounting is None


@pytest.mark.parametrize('make', [
    lambda: [SyntheticScenes(8, 3, SMALL)[i] for i in range(8)],
    lambda: list(SyntheticDrive(5, 4, settings=SMALL))], ids=['scenes', 'drive'])
def test_synthetic_scenes_know_it_exactly(make):
    pytest.importorskip('embreex', reason='the extra synthetic is not installed')
    planes = [(seen(sample), sample.frame.mounting) for sample in make()]
    found = [(plane, mounting) for plane, mounting in planes if plane is not None]
    assert len(found) > len(planes) // 2
    for plane, mounting in found:
        assert (plane.height_m, plane.pitch_deg, plane.roll_deg) == pytest.approx(
            (mounting.height_m, mounting.pitch_deg, mounting.roll_deg), rel=2e-3, abs=0.05)


def test_the_car_of_kitti(shared_data):
    data = KittiHalf(shared_data / 'kitti_half', 'train:semantic')
    samples = [data[i] for i in range(len(data))]
    planes = [seen(sample) for sample in samples if sample.truth.depth is not None]
    height, pitch = (np.median([getattr(p, name) for p in planes if p is not None])
                     for name in ('height_m', 'pitch_deg'))
    assert len(planes) > 25 and height == pytest.approx(MOUNTING.height_m, rel=0.015)
    assert pitch == pytest.approx(MOUNTING.pitch_deg, abs=0.3)
