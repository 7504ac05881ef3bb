# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic scenes: geometry against closed formulas, labels, determinism, the drive."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panoptic_depth_core.config import parse_settings
from panoptic_depth_core.datasets import open_dataset
from panoptic_depth_core.datasets.scenery.meshes import Look, box, quads
from panoptic_depth_core.datasets.scenery.render import Lens, Light, Render, render
from panoptic_depth_core.datasets.scenery.scene import Camera, SceneBuilder
from panoptic_depth_core.datasets.synthetic import (
    SyntheticScenes,
    SyntheticSettings,
)
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, LABEL_DIVISOR, SKY
from panoptic_depth_core.structures import Intrinsics, Sample
from synthetic_helpers import SMALL, check_labels, classes_of, digest_of, points_of

pytest.importorskip('embreex', reason='the extra synthetic is not installed')

NOON = Light(np.array((0, 0, 1), np.float32), np.full(3, 3, np.float32),
             np.full(3, 0.5, np.float32),
             np.full(3, 0.8, np.float32), np.full(3, 1, np.float32), 0.0, 0.0, 0.0, 1)
PLAIN = Lens(0.5, (1.0, 1.0, 1.0), 2.2, 0.0, 0.0, 0.0)


def _take(builder: SceneBuilder, camera: Camera, light: Light = NOON) -> Render:
    return render([builder.build()], camera, light, PLAIN, np.random.default_rng(0))


def _ground(builder: SceneBuilder, half_m: float = 5000.0) -> None:
    corner = np.array([[(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]]) * half_m
    builder.add_ground(quads(corner), CLASS_ID['road'], Look('plain', (0.4, 0.4, 0.4)))


@pytest.fixture(scope='module')
def scenes() -> list[Sample]:
    """Scenes of which each is looked at by several tests."""
    return list(SyntheticScenes(30, seed=3, settings=SMALL))


# Geometry.


@settings(max_examples=25, deadline=None)
@given(height=st.floats(0.3, 3.0), pitch=st.floats(-0.2, 0.5), roll=st.floats(-0.3, 0.3),
       focal=st.floats(20, 200), yaw=st.floats(-3, 3))
def test_depth_of_a_plane(height: float, pitch: float, roll: float, focal: float, yaw: float
                          ) -> None:
    """Depth is height over the downward part of the ray, for every pixel that looks down."""
    k = Intrinsics(focal, focal, 30.3, 14.2, 64, 32)
    builder = SceneBuilder((0.0, 0.0))
    _ground(builder, 1e6)
    picture = _take(builder, Camera.looking(k, (3.0, -2.0, height), yaw, pitch, roll))
    v, u = np.mgrid[:32, :64]
    x, y = (u - k.cx) / focal, (v - k.cy) / focal
    down = np.sin(pitch) + np.cos(pitch) * (np.cos(roll) * y + np.sin(roll) * x)
    seen = down > 1e-3
    np.testing.assert_allclose(picture.depth[seen], height / down[seen], rtol=1e-5)
    assert np.all(np.isinf(picture.depth[down < 0]))
    assert np.all(picture.class_id[down < 0] == SKY)


def test_box_at_a_known_distance() -> None:
    """A box of 2 x 1 m, 10 m ahead, covers the pixels it should, all at 10 m."""
    k = Intrinsics.from_focal(100.0, 65, 49)
    builder = SceneBuilder((100.0, 50.0))
    builder.put(box((3, 2, 1), (1.5, 0, 0)), (110.0, 50.0, 1.0), 0.0, CLASS_ID['car'],
                [Look()], number=7)
    picture = _take(builder, Camera.looking(k, (100.0, 50.0, 1.0), 0.0))
    v, u = np.nonzero(picture.class_id == CLASS_ID['car'])
    assert (u.min(), u.max(), v.min(), v.max()) == (32 - 10, 32 + 10, 24 - 5, 24 + 5)
    assert np.all(picture.number[v, u] == 7)
    np.testing.assert_allclose(picture.depth[v, u], 10.0, rtol=1e-6)


def test_shadow_below_a_roof() -> None:
    """What is under a roof at noon is darker than what is not."""
    builder = SceneBuilder((0.0, 0.0))
    _ground(builder)
    builder.put(box((4, 4, 0.1), (0, 0, 0)), (8.0, 0.0, 3.0), 0.0, CLASS_ID['building'], [Look()])
    camera = Camera.looking(Intrinsics.from_focal(60.0, 64, 48), (0.0, 0.0, 1.5), 0.0, 0.1)
    image = _take(builder, camera).image.astype(int)
    below, outside = image[29, 32].mean(), image[46, 32].mean()
    assert 0 < below < 0.7 * outside


def test_nearer_surface_wins() -> None:
    """The stage joins two ray casters by depth, whichever comes first."""
    camera = Camera.looking(Intrinsics.from_focal(50.0, 33, 33), (0.0, 0.0, 0.0), 0.0)
    near, far = SceneBuilder((0.0, 0.0)), SceneBuilder((0.0, 0.0))
    near.put(box((1, 1, 1)), (5.5, 0.0, 0.0), 0.0, CLASS_ID['car'], [Look()], 1)
    far.put(box((1, 8, 8)), (9.5, 0.0, 0.0), 0.0, CLASS_ID['wall'], [Look()])
    for order in ((near, far), (far, near)):
        picture = render([b.build() for b in order], camera, NOON, PLAIN,
                         np.random.default_rng(0))
        assert picture.depth[16, 16] == pytest.approx(5.0, rel=1e-6)
        assert picture.class_id[16, 16] == CLASS_ID['car']
        assert picture.depth[16, 2] == pytest.approx(9.0, rel=1e-6)


def test_road_is_flat(scenes: list[Sample]) -> None:
    """All points of the road lie within 1 mm of one plane, below the camera as far as asked."""
    checked = 0
    for sample in scenes:
        assert sample.truth.depth is not None
        mask = (classes_of(sample) == CLASS_ID['road']) & (sample.truth.depth < 40)
        if mask.sum() < 400:
            continue
        points = points_of(sample, mask)
        center = points.mean(0)
        normal = np.linalg.svd(points - center, full_matrices=False)[2][2]
        assert np.abs((points - center) @ normal).max() < 1e-3
        assert 0.39 < abs(center @ normal) < 2.21
        checked += 1
    assert checked > 10


def test_focal_scaling() -> None:
    """The same world through a camera with twice the pixels gives the same meters."""
    twice = SMALL.model_copy(update={'height': 128, 'width': 256})
    compared = 0
    for index in range(4):
        a = SyntheticScenes(4, 1, SMALL)[index]
        b = SyntheticScenes(4, 1, twice)[index]
        assert b.frame.intrinsics == a.frame.intrinsics.transformed(2, 2, 0, 0, 256, 128)
        assert a.truth.depth is not None and b.truth.depth is not None
        four = np.stack([b.truth.depth[i::2, j::2] for i in (0, 1) for j in (0, 1)])
        road = classes_of(b) == CLASS_ID['road']
        mask = np.all([road[i::2, j::2] for i in (0, 1) for j in (0, 1)], axis=0)
        mask &= classes_of(a) == CLASS_ID['road']
        # On a plane 1 / Z is linear in the pixel, so its mean over four is that of the middle.
        np.testing.assert_allclose(a.truth.depth[mask], 1 / (1 / four[:, mask]).mean(0), rtol=1e-3)
        compared += int(mask.sum())
    assert compared > 1000


# Labels.


def test_labels_agree_with_depth(scenes: list[Sample]) -> None:
    """Sky alone has no depth; instances are numbered from 1; their depths are medians."""
    for sample in scenes:
        check_labels(sample)


def test_every_class_occurs(scenes: list[Sample]) -> None:
    """All 19 classes but the rare train are seen within a few scenes."""
    seen = set(np.unique(np.concatenate([np.unique(classes_of(s)) for s in scenes])).tolist())
    missing = {c.name for c in CITYSCAPES} - {CITYSCAPES[i].name for i in seen}
    assert missing <= {'train'}


def test_crowds_and_occlusion(scenes: list[Sample]) -> None:
    """Some scene has many cars, some many people, and things stand before one another."""
    most = {name: max(sum(i // LABEL_DIVISOR == CLASS_ID[name] for i in s.truth.instance_depth_m)
                      for s in scenes) for name in ('car', 'person')}
    assert min(most.values()) >= 6
    touching = 0
    for sample in scenes:
        assert sample.truth.panoptic is not None and sample.truth.depth is not None
        left, right = sample.truth.panoptic[:, :-1], sample.truth.panoptic[:, 1:]
        both = (left != right) & (left % LABEL_DIVISOR > 0) & (right % LABEL_DIVISOR > 0)
        depth = np.nan_to_num(sample.truth.depth, posinf=1e4)
        touching += int((both & (np.abs(np.diff(depth, axis=1)) > 0.5)).sum())
    assert touching > 100


def test_cameras_vary(scenes: list[Sample]) -> None:
    """Focal lengths fill the range of the settings, and pictures are neither black nor white."""
    focal = np.array([s.frame.intrinsics.fx / s.frame.intrinsics.width for s in scenes])
    low, high = SMALL.focal_per_width
    assert low <= focal.min() < 1.5 * low and high / 1.5 < focal.max() <= high
    means = np.array([s.frame.image.mean() for s in scenes])
    assert means.min() > 15 and means.max() < 240
    assert np.median([s.frame.image.std() for s in scenes]) > 25


# Determinism and errors.


def test_same_in_any_order_and_process(scenes: list[Sample]) -> None:
    """Scene i depends on seed and i only, also in another process, which needs no torch."""
    again = SyntheticScenes(1000, seed=3, settings=SMALL)
    assert [digest_of(again[i]) for i in (2, 0, 1)] == [digest_of(scenes[i]) for i in (2, 0, 1)]
    assert digest_of(SyntheticScenes(3, seed=4, settings=SMALL)[0]) != digest_of(scenes[0])
    code = (
        'import hashlib, sys\n'
        'from panoptic_depth_core.datasets.synthetic import *\n'
        's = SyntheticScenes(9, 3, SyntheticSettings(height=64, width=128))[5]\n'
        'p = (s.frame.image, s.truth.panoptic, s.truth.depth, s.frame.intrinsics.as_vector())\n'
        'assert "torch" not in sys.modules\n'
        'print(hashlib.sha256(b"".join(x.tobytes() for x in p)).hexdigest())\n')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest_of(scenes[5])


def test_index_outside() -> None:
    """Also negative ones."""
    with pytest.raises(IndexError, match=r'scene 3 of 3; give 0\.\.2'):
        SyntheticScenes(3)[3]
    with pytest.raises(IndexError, match='scene -1 of 3'):
        SyntheticScenes(3)[-1]


def test_missing_ray_caster(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, 'embreex', None)
    with pytest.raises(ConfigError, match=r"pip install 'panoptic-depth\[synthetic\]'"):
        SyntheticScenes(1, settings=SMALL)[0]


def test_unknown_setting() -> None:
    """Settings are checked like all others."""
    with pytest.raises(ConfigError, match=r"scenes: unknown key 'focal'; known keys: .*densities"):
        parse_settings(SyntheticSettings, {'focal': 3}, 'scenes')


def test_one_place_is_seen_by_cameras_of_any_focal_length():
    wide, narrow = (open_dataset('synthetic', '2', f'focal_{f}')[1] for f in (400, 1600))
    for sample, focal in ((wide, 400), (narrow, 1600)):
        camera = sample.frame.intrinsics
        assert (camera.fx, camera.fy, camera.width, camera.height) == (focal, focal, 1024, 512)
    # What the long lens sees is the middle of what the short one does, four times as large.
    camera = wide.frame.intrinsics
    v, u = np.mgrid[-40:41:8, -40:41:8]
    rows, columns = (np.round(c + x).astype(int) for c, x in ((camera.cy, v), (camera.cx, u)))
    small = wide.truth.depth[rows, columns]
    rows, columns = (np.round(c + 4 * x).astype(int) for c, x in ((camera.cy, v), (camera.cx, u)))
    large = narrow.truth.depth[rows, columns]
    known = np.isfinite(small) & np.isfinite(large)
    assert known.sum() > 40
    assert np.median(np.abs(small[known] / large[known] - 1)) < 0.02
    for split in ('focal_0', 'focal_', 'other'):
        with pytest.raises(ConfigError, match='focal_300 for a camera of 300 px'):
            open_dataset('synthetic', '2', split)
