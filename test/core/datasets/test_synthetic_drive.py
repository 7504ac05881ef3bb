# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The synthetic drive: time, ids, poses and how much of the street is kept."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from panoptic_depth_core.datasets.scenery.render import Render
from panoptic_depth_core.datasets.synthetic import InstanceIds, SyntheticDrive
from panoptic_depth_core.labels import CLASS_ID, LABEL_DIVISOR
from panoptic_depth_core.structures import Sample
from synthetic_helpers import SMALL, classes_of, digest_of, points_of

pytest.importorskip('embreex', reason='the extra synthetic is not installed')


@pytest.fixture(scope='module')
def drive() -> list[Sample]:
    """Four seconds; long enough for new sections to appear."""
    return list(SyntheticDrive(40, seed=5, rate_hz=10.0, settings=SMALL))


def test_drive_frames(drive: list[Sample]) -> None:
    """Stamps rise by the period, the camera stays the same, iterating again gives the same."""
    stamps = [s.frame.stamp_ns for s in drive]
    assert set(np.diff(stamps)) == {100_000_000}
    assert {s.frame.frame_id for s in drive} == {'camera'}
    assert {s.frame.intrinsics_source for s in drive} == {'camera_info'}
    assert len({s.frame.intrinsics for s in drive}) == 1
    assert len({s.frame.name for s in drive}) == len(drive)
    again = SyntheticDrive(3, seed=5, settings=SMALL)
    assert [digest_of(s) for s in again] == [digest_of(s) for s in drive[:3]]
    assert len(again) == 3


def test_drive_instance_ids_last(drive: list[Sample]) -> None:
    """What is seen in two frames has one id, so its depth moves no faster than traffic can."""
    kept = 0
    for before, after in itertools.pairwise(drive):
        old, new = before.truth.instance_depth_m, after.truth.instance_depth_m
        sizes = [dict(zip(*np.unique(s.truth.panoptic, return_counts=True), strict=True))
                 for s in (before, after)]
        for i in old.keys() & new.keys():
            if min(sizes[0][i], sizes[1][i]) > 40 and 0.8 < sizes[0][i] / sizes[1][i] < 1.25:
                assert abs(old[i] - new[i]) < 3.0
                kept += 1
        big = {i for i in old if sizes[0][i] > 60}
        assert len(big - new.keys()) <= 2
    assert kept > 40


def test_drive_camera_moves_as_told(drive: list[Sample]) -> None:
    """Points of the road, carried to the next frame by the poses, lie on the road there."""
    source = SyntheticDrive(40, seed=5, rate_hz=10.0, settings=SMALL)
    world = source.world()
    cameras = [source.camera(world, i) for i in range(12)]
    step = np.linalg.norm(cameras[1].position - cameras[0].position)
    assert step == pytest.approx(0.8, abs=0.1)
    compared = 0
    for i in range(0, 11, 5):
        a, b, k = drive[i], drive[i + 1], drive[i].frame.intrinsics
        assert a.truth.depth is not None and b.truth.depth is not None
        local = points_of(a, (classes_of(a) == CLASS_ID['road']) & (a.truth.depth < 30))
        world_points = local @ cameras[i].rotation.T + cameras[i].position
        there = (world_points - cameras[i + 1].position) @ cameras[i + 1].rotation
        there = there[there[:, 2] > 0.5]
        u, v = (there[:, 0] / there[:, 2] * k.fx + k.cx, there[:, 1] / there[:, 2] * k.fy + k.cy)
        inside = (u > 0) & (v > 0) & (u < k.width - 1.001) & (v < k.height - 1.001)
        u, v, z = u[inside], v[inside], there[inside, 2]
        c, r = u.astype(int), v.astype(int)
        road = classes_of(b) == CLASS_ID['road']
        on = road[r, c] & road[r + 1, c] & road[r, c + 1] & road[r + 1, c + 1]
        u, v, z, c, r = u[on] - c[on], v[on] - r[on], z[on], c[on], r[on]
        near = 1.0 / b.truth.depth.astype(np.float64)
        found = ((1 - u) * (1 - v) * near[r, c] + u * (1 - v) * near[r, c + 1]
                 + (1 - u) * v * near[r + 1, c] + u * v * near[r + 1, c + 1])
        np.testing.assert_allclose(1 / found, z, rtol=1e-3)
        compared += len(z)
    assert compared > 1000


def test_long_drive_keeps_little() -> None:
    """After kilometers there are as many sections as at the start, and ids stay small."""
    world = SyntheticDrive(1, seed=2, settings=SMALL).world()
    sizes = []
    for here in range(0, 60):
        world.advance(here)
        sizes.append(len(world))
    assert max(sizes) <= 12
    assert len(set(sizes[2:])) == 1


def test_instance_ids_wrap() -> None:
    """Ids stay below the divisor after more things than that."""
    ids, class_id = InstanceIds(), np.full((1, 2), CLASS_ID['car'], np.int32)
    image, depth = np.zeros((1, 2, 3), np.uint8), np.ones((1, 2), np.float32)
    before = np.zeros((1, 2), np.int32)
    for i in range(1, 1200):
        panoptic = ids.panoptic(Render(image, class_id, np.array([[i, i + 1]]), depth,
                                       np.zeros((1, 2), np.bool_)))
        assert panoptic[0, 0] != panoptic[0, 1]
        assert panoptic[0, 0] == before[0, 1] or i == 1
        before = panoptic
        assert np.all((panoptic % LABEL_DIVISOR > 0) & (panoptic // LABEL_DIVISOR == class_id))
