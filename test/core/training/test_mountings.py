# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Changes of the mounting in training."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('torch', reason='training needs the extra [train]')

from panoptic_depth_core.datasets import DATASETS
from panoptic_depth_core.inference.ground_plane import fit_ground
from panoptic_depth_core.labels import CITYSCAPES, LABEL_DIVISOR
from panoptic_depth_core.structures import (
    Frame,
    GroundTruth,
    Intrinsics,
    Mounting,
    Sample,
)
from panoptic_depth_core.training.augmentation import AugmentSettings, augment
from panoptic_depth_core.training.loading import MixedSamples
from panoptic_depth_core.training.mountings import (
    MountingErrors,
    enlarged,
    from_road,
    with_errors,
)
from panoptic_depth_core.training.recipe import TrainSettings

CAMERA = Intrinsics(150.0, 150.0, 95.0, 40.0, 192, 96)
TRUE = Mounting(1.4, 3.0, -1.0)


@pytest.fixture
def sample():
    """A road below the horizon."""
    v, u = np.mgrid[:96, :192]
    inverse = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy,
                        np.ones(u.shape)], -1) @ TRUE.plane
    depth = np.where(inverse > 1 / 60, 1 / np.maximum(inverse, 1e-3), np.nan).astype(np.float32)
    panoptic = np.where(np.isfinite(depth), 0, 10 * LABEL_DIVISOR).astype(np.int32)
    image = np.zeros((96, 192, 3), np.uint8)
    return Sample(Frame(image, CAMERA, mounting=Mounting(1.5)), GroundTruth(
        panoptic=panoptic, has_semantics=True, depth=depth, instance_depth_m={7: 2.0}))


def test_the_mounting_of_the_road(sample):
    found = from_road(sample, CITYSCAPES).frame.mounting
    assert (found.height_m, found.pitch_deg, found.roll_deg) == pytest.approx(
        (1.4, 3.0, -1.0), abs=0.01)
    hidden = replace(sample, truth=replace(sample.truth, depth=None))
    assert from_road(hidden, CITYSCAPES).frame.mounting is None


def test_a_larger_world(sample):
    """Everything in meters grows, angles and pixels stay."""
    made = enlarged(sample, 1.25)
    np.testing.assert_allclose(made.truth.depth, sample.truth.depth * 1.25)
    assert made.truth.instance_depth_m == {7: 2.5}
    assert made.frame.mounting == Mounting(1.5 * 1.25)
    assert made.frame.intrinsics == CAMERA and made.frame.image is sample.frame.image
    assert from_road(made, CITYSCAPES).frame.mounting.height_m == pytest.approx(1.75, abs=0.01)
    unknown = replace(sample, frame=replace(sample.frame, mounting=None))
    assert enlarged(unknown, 2.0).frame.mounting is None


def test_an_enlarged_world_tells_its_mounting(sample, monkeypatch):
    """Its picture is that of the real one, so that a network could not tell otherwise."""
    class OneSample:
        classes = CITYSCAPES

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return sample

    monkeypatch.setitem(DATASETS, 'one', lambda root, split: OneSample())
    settings = TrainSettings(
        network='fast', iterations=5, batch_size=8, augment={'mounting': {'unknown': 1.0}},
        data=[{'name': 'one', 'root': '.', 'split': 'x', 'enlarge': [2.0, 2.0], 'scale': [1, 1]}])
    samples = MixedSamples(settings, 0, 40)
    drawn = [(samples[i], np.nanmax(samples[i].truth.depth)) for i in range(40)]
    known = [s.frame.mounting is not None for s, _ in drawn]
    assert 8 < sum(known) < 32
    furthest = max(z for (_, z), told in zip(drawn, known, strict=True) if not told)
    assert furthest < 61 < max(z for (_, z), told in zip(drawn, known, strict=True) if told)


def test_errors(sample):
    rng = np.random.default_rng(0)
    assert with_errors(sample, MountingErrors(), rng) is sample
    assert rng.random() == np.random.default_rng(0).random(), 'nothing was drawn'
    errors = MountingErrors(height=0.02, angle_deg=0.5, unknown=0.25)
    told = [with_errors(sample, errors, rng).frame.mounting for _ in range(600)]
    assert sum(m is None for m in told) / 600 == pytest.approx(0.25, abs=0.06)
    known = [m for m in told if m is not None]
    assert np.std(np.log([m.height_m for m in known])) == pytest.approx(0.02, rel=0.15)
    assert np.std([m.pitch_deg for m in known]) == pytest.approx(0.5, rel=0.15)
    assert np.std([m.roll_deg for m in known]) == pytest.approx(0.5, rel=0.15)


def test_augmentation_moves_the_mounting_with_the_picture(sample):
    """Crop, resize, mirror and rotation: the mounting is that of the road in the new picture."""
    true = from_road(sample, CITYSCAPES)
    settings = AugmentSettings(height=64, width=96, rotation=5.0, scale=(0.8, 1.4))
    seen = 0
    for seed in range(12):
        made = augment(true, settings, np.random.default_rng(seed))
        road = made.truth.panoptic == 0
        with np.errstate(divide='ignore', invalid='ignore'):
            plane = fit_ground(1 / made.truth.depth, road, made.frame.intrinsics)
        if plane is None or plane.inlier_share < 0.9:
            continue
        told = made.frame.mounting
        assert (told.height_m, told.pitch_deg, told.roll_deg) == pytest.approx(
            (plane.height_m, plane.pitch_deg, plane.roll_deg), abs=0.25)
        seen += 1
    assert seen > 5
