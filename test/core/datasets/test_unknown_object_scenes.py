# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Scenes with objects of no class: where they stand, what is void, what is behind."""

from __future__ import annotations

import numpy as np
import pytest
from panoptic_depth_core.datasets import open_dataset
from panoptic_depth_core.datasets.scenery.meshes import Look, box, quads
from panoptic_depth_core.datasets.scenery.render import Lens, Light, render
from panoptic_depth_core.datasets.scenery.scene import Camera, SceneBuilder
from panoptic_depth_core.datasets.scenery.unknown_objects import (
    FIRST_NUMBER,
    MAKERS,
    RANGE_M,
    put_objects,
)
from panoptic_depth_core.labels import CLASS_ID, VOID_ID
from panoptic_depth_core.structures import Intrinsics, Sample
from synthetic_helpers import digest_of

pytest.importorskip('embreex', reason='the extra synthetic is not installed')

NOON = Light(np.array((0, 0, 1), np.float32), np.full(3, 3, np.float32),
             np.full(3, 0.5, np.float32), np.full(3, 0.8, np.float32),
             np.full(3, 1, np.float32), 0.0, 0.0, 0.0, 1)
PLAIN = Lens(0.5, (1.0, 1.0, 1.0), 2.2, 0.0, 0.0, 0.0)
CAMERA = Camera.looking(Intrinsics.from_fov(80, 160, 80), (0, 0, 1.5), 0.0, 0.05)


@pytest.fixture(scope='module')
def pairs() -> list[tuple[Sample, Sample]]:
    """Scenes of val, and with objects."""
    clean, other = (open_dataset('synthetic', '60', split) for split in ('val', 'unknown_objects'))
    return [(clean[i], other[i]) for i in (2, 6)]


def test_only_the_objects_differ(pairs: list[tuple[Sample, Sample]]) -> None:
    for clean, one in pairs:
        truth, objects = one.truth, one.truth.unknown_objects
        assert objects is not None and truth.panoptic is not None and truth.depth is not None
        assert clean.truth.unknown_objects is None and clean.truth.panoptic is not None
        there = objects.number > 0
        assert there.sum() >= 100 and objects.number.max() <= len(objects.kinds)
        assert set(objects.kinds) <= set(MAKERS)
        assert np.array_equal(objects.behind_m, clean.truth.depth)
        assert np.all(truth.panoptic[there] == VOID_ID)
        assert np.array_equal(truth.depth[~there], clean.truth.depth[~there])
        assert np.all(truth.depth[there] < objects.behind_m[there] + 1e-3)
        # Ids may be counted anew where an object hides a thing.
        assert np.array_equal(truth.panoptic[~there] // 1000, clean.truth.panoptic[~there] // 1000)
        assert VOID_ID not in truth.instance_depth_m


def test_a_scene_is_the_same_each_time(pairs: list[tuple[Sample, Sample]]) -> None:
    again = open_dataset('synthetic', '60', 'unknown_objects')[6]
    assert digest_of(again) == digest_of(pairs[1][1])


def road() -> SceneBuilder:
    builder = SceneBuilder((0, 0), CAMERA)
    corner = np.array([[(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]]) * 500.0
    builder.add_ground(quads(corner), CLASS_ID['road'], Look('plain', (0.3, 0.3, 0.3)))
    return builder


def shot(builder: SceneBuilder):
    return render([builder.build()], CAMERA, NOON, PLAIN, np.random.default_rng(0))


def test_objects_stand_free_on_the_road_within_range() -> None:
    for seed in range(6):
        builder = road()
        builder.put(box((2, 2, 2), (0, 0, 1)), (12.0, 0.0, 0.0), 0.0, CLASS_ID['car'],
                    [Look()], 1)
        before = shot(builder)
        kinds = put_objects(builder, CAMERA, before, np.random.default_rng(seed))
        assert 1 <= len(kinds) <= 3
        scene = builder.build()
        numbers = scene.parts['number'][scene.part]
        places = []
        for i in range(len(kinds)):
            corners = scene.corners[numbers == FIRST_NUMBER + i].reshape(-1, 3)
            middle = (corners.min(0) + corners.max(0)) / 2
            assert -0.05 < corners[:, 2].min() < 0.1
            assert RANGE_M[0] - 3 < middle[0] < RANGE_M[1] + 3
            # None reaches into the car.
            assert not (np.abs(corners[:, :2] - (12, 0)) < 0.9).all(1).any()
            places.append(middle[:2])
        for i, place in enumerate(places):
            assert all(np.hypot(*(place - other)) > 0.3 for other in places[:i])


def test_without_road_there_are_none() -> None:
    builder = SceneBuilder((0, 0), CAMERA)
    corner = np.array([[(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]]) * 500.0
    builder.add_ground(quads(corner), CLASS_ID['terrain'], Look())
    assert put_objects(builder, CAMERA, shot(builder), np.random.default_rng(0)) == ()


@pytest.mark.parametrize('kind', MAKERS)
def test_shapes(kind: str) -> None:
    for seed in range(4):
        mesh, looks = MAKERS[kind](np.random.default_rng(seed))
        corners = mesh.corners.reshape(-1, 3)
        assert np.isfinite(corners).all() and mesh.slot.max() < len(looks)
        size = np.ptp(corners, axis=0)
        assert -0.06 < corners[:, 2].min() < 0.06 and 0.15 < size[2] < 2.4
        assert 0.2 < size[:2].max() < 5.2
