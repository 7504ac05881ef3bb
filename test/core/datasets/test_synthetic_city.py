# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""City streets: labels against depth and mounting, what they show, cameras; other splits stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from panoptic_depth_core.datasets import open_dataset
from panoptic_depth_core.datasets.scenery.meshes import Look, box
from panoptic_depth_core.datasets.scenery.render import Lens, Light, render
from panoptic_depth_core.datasets.scenery.scene import Camera, SceneBuilder
from panoptic_depth_core.datasets.synthetic import (
    SyntheticDrive,
    SyntheticScenes,
    SyntheticSettings,
    city_scenes,
)
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID
from panoptic_depth_core.structures import Intrinsics, Sample
from synthetic_helpers import SMALL, check_labels, classes_of, digest_of, points_of

pytest.importorskip('embreex', reason='the extra synthetic is not installed')

CITY = SyntheticSettings(height=64, width=160, city=True, camera_height_m=(0.3, 2.5),
                         usual_height_m=(1.1, 1.9))
PLAIN = Lens(0.6, (1.0, 1.0, 1.0), 2.2, 0.0, 0.0, 0.0)


@pytest.fixture(scope='module')
def scenes() -> list[Sample]:
    """Scenes of which each is looked at by several tests."""
    return list(SyntheticScenes(24, seed=3, settings=CITY))


def test_labels_agree_with_depth(scenes: list[Sample]) -> None:
    for sample in scenes:
        check_labels(sample)


def test_road_is_where_the_mounting_says(scenes: list[Sample]) -> None:
    """Paint and patches of the road are within a millimeter of it, sidewalks up to 15 cm above."""
    raised, roads = [], 0
    for sample in scenes:
        mounting, depth = sample.frame.mounting, sample.truth.depth
        assert mounting is not None and depth is not None
        for name in ('road', 'sidewalk'):
            mask = (classes_of(sample) == CLASS_ID[name]) & (depth < 40)
            above = mounting.height_m - points_of(sample, mask) @ mounting.normal
            if name == 'road':  # Yards are 1 cm lower.
                assert np.all((above > -0.011) & (above < 0.001))
                roads += bool(mask.sum() > 100)
            else:
                assert np.all((above > -0.05) & (above < 0.152))
                raised += np.round(above[above > 0.02], 3).tolist()
    assert roads > 12
    assert min(raised) < 0.06 and max(raised) > 0.1


def test_what_is_seen(scenes: list[Sample]) -> None:
    """Every class but the rare ones occurs; the ground is of several kinds; people are near."""
    share = np.mean([np.bincount(classes_of(s).ravel(), minlength=len(CITYSCAPES))
                     / classes_of(s).size for s in scenes], 0)
    of = dict(zip((c.name for c in CITYSCAPES), share.tolist(), strict=True))
    assert 0.1 < of['road'] < 0.4 and of['sidewalk'] > 0.02 and of['terrain'] > 0.02
    assert of['building'] > 0.06 and of['vegetation'] > 0.08 and 0.05 < of['sky'] < 0.35
    assert {name for name, part in of.items() if not part} <= {'train', 'bus', 'motorcycle'}
    near = [min((d for i, d in s.truth.instance_depth_m.items()
                 if i // 1000 in (CLASS_ID['person'], CLASS_ID['rider'])), default=99.0)
            for s in scenes]
    assert np.mean(np.array(near) < 15.0) > 0.4


def test_cameras(scenes: list[Sample]) -> None:
    """Heights span the range; the split has wide, 4:3 and usual pictures."""
    heights = [s.frame.mounting.height_m for s in scenes if s.frame.mounting]
    assert min(heights) < 0.8 and max(heights) > 2.1
    assert min(heights) >= 0.3 and max(heights) <= 2.5
    split = city_scenes(100)
    cameras = [split[i].frame.intrinsics for i in (1, 2, 9)]
    assert {(k.height, k.width) for k in cameras} == {(208, 640), (312, 416), (256, 512)}
    for k in cameras:
        assert k.width != 640 or 0.53 <= k.fx / k.width <= 0.64


def test_scene_depends_on_its_index_only(scenes: list[Sample]) -> None:
    again = SyntheticScenes(1000, seed=3, settings=CITY)
    assert [digest_of(again[i]) for i in (2, 0)] == [digest_of(scenes[i]) for i in (2, 0)]
    opened = open_dataset('synthetic', '3', 'train_city', mounting='data')[1]
    assert opened.frame.name == 'synthetic_6200017_000001'
    assert opened.frame.mounting is not None


def test_a_drive_through_a_city() -> None:
    """The world stands still: the same place has the same class in the next frame."""
    first, second = SyntheticDrive(2, 5, 10.0, CITY.model_copy(update={
        'densities': CITY.densities.model_copy(update={'vehicles': 0.0, 'people': 0.0})}), 0.0)
    check_labels(first)
    assert np.mean(classes_of(first) == classes_of(second)) > 0.9


def test_other_scenes_have_not_changed() -> None:
    """Streets of the other splits are what they were when the weights were trained on them."""
    counts = [np.bincount(classes_of(SyntheticScenes(9, 1, SMALL)[i]).ravel(),
                          minlength=len(CITYSCAPES)) for i in (0, 3)]
    expected = [
        [269, 473, 73, 0, 58, 30, 0, 3, 2078, 1447, 2385, 94, 0, 1133, 149, 0, 0, 0, 0],
        [2385, 0, 1392, 214, 344, 0, 0, 6, 565, 1159, 1048, 18, 6, 820, 21, 0, 212, 2, 0]]
    np.testing.assert_allclose(counts, expected, atol=3)


def test_holes_of_a_fence_are_labeled_and_people_behind_it_stay() -> None:
    """The picture does not change; the labels and depth of what has no number do."""
    camera = Camera.looking(Intrinsics.from_focal(40.0, 64, 48), (0.0, 0.0, 1.0), 0.0)
    light = Light(np.array((0, 0, 1), np.float32), *np.full((4, 3), 0.8, np.float32), 0.0, 0.0,
                  0.0, 1)
    pictures = []
    for holes in (False, True):
        builder = SceneBuilder((0.0, 0.0))
        builder.put(box((0.1, 60, 20)), (20.0, 0.0, 0.0), 0.0, CLASS_ID['wall'], [Look()])
        builder.put(box((0.5, 1, 6)), (10.0, 0.0, 1.0), 0.0, CLASS_ID['person'], [Look()], 5)
        builder.put(box((0.5, 1, 6)), (3.0, 2.0, 1.0), 0.0, CLASS_ID['pole'], [Look()])
        if holes:
            builder.put_veil(box((0.01, 8, 4)), (5.0, 0.0, 1.0), 0.0, CLASS_ID['fence'])
        pictures.append(render([builder.build()], camera, light, PLAIN, np.random.default_rng(0)))
    plain, veiled = pictures
    np.testing.assert_array_equal(plain.image, veiled.image)
    names = {(24, 60): 'fence', (24, 32): 'person', (24, 5): 'pole', (6, 60): 'wall'}
    assert {at: CITYSCAPES[veiled.class_id[at]].name for at in names} == names
    assert CITYSCAPES[plain.class_id[24, 60]].name == 'wall'
    assert veiled.depth[24, 60] == pytest.approx(4.995, abs=1e-4)
    assert veiled.depth[24, 32] == plain.depth[24, 32] == pytest.approx(9.75, abs=1e-4)


def test_bloom_saturation_and_compression() -> None:
    """Bloom brightens what is beside a light; without saturation all is gray; JPEG is near."""
    light = np.full((64, 64, 3), (0.1, 0.2, 0.3), np.float32)
    light[:, :20] = 3.0

    def take(**changes: float) -> NDArray[np.int64]:
        lens = replace(PLAIN, **changes)
        return lens.develop(light.copy(), np.random.default_rng(0)).astype(np.int64)

    assert np.all(take(bloom=0.2)[:, 22] > take()[:, 22] + 10)
    gray = take(saturation=0.0)
    assert np.ptp(gray, axis=2).max() <= 1 < np.ptp(take(), axis=2).max()
    coded = np.abs(take(jpeg=90) - take())
    assert 0 < coded.max() < 40 and coded.mean() < 3
