# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Night, fog and rain: formulas against values by hand, and what stays as it is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from panoptic_depth_core.datasets import open_dataset
from panoptic_depth_core.datasets.scenery import weather
from panoptic_depth_core.datasets.scenery.weather import (
    WEATHER,
    Weathered,
    extinction_per_m,
    lit,
    through_air,
)
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID
from panoptic_depth_core.structures import Frame, GroundTruth, Intrinsics, Mounting, Sample

CAMERA = Intrinsics.from_fov(80, 96, 64)


def street(height_m: float = 1.5, mounting: Mounting | None = None) -> Sample:
    """A level camera over an even road, below an even sky, with a pole of 6 m and a car."""
    v, u = np.mgrid[:64, :96]
    down = (v - CAMERA.cy) / CAMERA.fy
    depth = np.where(down > 0.005, height_m / np.maximum(down, 1e-9), np.inf)
    classes = np.where(np.isfinite(depth), CLASS_ID['road'], CLASS_ID['sky']) * 1000
    for name, z, left, right, top, number in (('pole', 15.0, 3.0, 3.4, 6.0, 0),
                                              ('car', 10.0, -3.5, -1.7, 1.5, 1)):
        x, up = (u - CAMERA.cx) / CAMERA.fx * z, height_m - down * z
        inside = (left < x) & (x < right) & (up > 0) & (up < top)
        depth[inside], classes[inside] = z, CLASS_ID[name] * 1000 + number
    shade = np.array((90, 200, 140))[np.searchsorted((0.5, 500), np.where(
        np.isfinite(depth), 1, 1000))]
    texture = np.random.default_rng(2).integers(-25, 25, depth.shape)
    image = np.repeat((shade + texture)[..., None], 3, 2).astype(np.uint8)
    return Sample(Frame(image, CAMERA, name='street', mounting=mounting or Mounting(height_m)),
                  GroundTruth(classes.astype(np.int32), True, depth=depth.astype(np.float32)))


class Streets:
    """A data set of one street by several names."""

    classes = CITYSCAPES

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        one = street()
        return replace(one, frame=replace(one.frame, name=f'street_{index}'))


def seen(name: str, sample: Sample, seed: int = 1) -> np.ndarray:
    return WEATHER[name](sample, np.random.default_rng(seed)).astype(np.float64)


class TestFormulas:
    def test_koschmieder(self) -> None:
        light = np.full((1, 3, 3), 0.2, np.float32)
        out = through_air(light, (0.8, 0.8, 0.6), np.array([[0.0, 100.0, np.inf]], np.float32),
                          extinction_per_m(100.0))
        # 5 % of the light is left at the visibility.
        assert out[0] == pytest.approx(np.array([
            (0.2, 0.2, 0.2), (0.77, 0.77, 0.58), (0.8, 0.8, 0.6)]), abs=1e-6)
        assert extinction_per_m(100.0) == pytest.approx(0.0299573)

    def test_lux_of_a_lamp(self) -> None:
        points = np.array([[(0, 0, 0), (6, 0, 0), (0, 0, 0)]], np.float32)
        normals = np.array([[(0, -1, 0), (0, -1, 0), (0, 1, 0)]], np.float32)
        lux = lit(points, normals, (0, -8, 0), 2000.0)
        # 2000 / 64; 2000 / 100 * cos with cos = 8 / 10; from behind nothing.
        assert lux[0] == pytest.approx([31.25, 16.0, 0.0])

    def test_headlights_fall_with_distance_and_end_at_the_horizon(self) -> None:
        view = weather._View(street())
        lux = weather._headlights(view, np.random.default_rng(0))
        column = lux[:, 48]
        ground = np.flatnonzero(view.height[:, 48] < 0.01)
        far = ground[(view.depth[ground, 48] > 12) & (view.depth[ground, 48] < 100)]
        assert np.all(np.diff(column[far]) > 0)
        assert column[0] < 1e-3

    def test_normals_and_heights(self) -> None:
        view = weather._View(street())
        road = view.classes == CLASS_ID['road']
        road[:, 1:] &= road[:, :-1]
        assert view.normals[60, 40] == pytest.approx((0, -1, 0), abs=1e-3)
        assert np.abs(view.height[view.classes == CLASS_ID['road']]).max() < 1e-3
        assert view.height[view.classes == CLASS_ID['pole']].max() == pytest.approx(6.0, abs=0.3)

    def test_a_high_pole_has_a_lamp(self) -> None:
        view = weather._View(street())
        glow = np.zeros_like(view.light)
        # The first draws may leave it dark: one of ten is out of order.
        lamps = weather._street_lamps(view, glow, np.random.default_rng(3))
        place, candela, _ = lamps[0]
        assert place[2] == pytest.approx(15.0) and place[1] == pytest.approx(1.5 - 6.0, abs=0.3)
        # Two more behind the camera, along the road.
        assert [round(float(lamp[0][2])) for lamp in lamps] == [15, -9, -33]
        assert np.asarray(candela)[:10].max() == 0.0 and glow.max() > 1.0


class TestFog:
    def test_hides_what_is_far(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(weather, 'VISIBILITY_M', (50.0, 50.0001))
        clean, foggy = street(), seen('fog', street())
        assert clean.truth.depth is not None
        bright = foggy[:5].mean()
        bottom = clean.truth.depth[-1].max() < 4
        assert bottom and np.abs(foggy[-1] - clean.frame.image[-1]).mean() < 30
        far = (clean.truth.depth > 60) & np.isfinite(clean.truth.depth)
        assert np.abs(foggy[far] - bright).mean() < 5

    def test_visibility_stays_within_its_limits(self) -> None:
        one = street()
        assert one.truth.depth is not None
        values = []
        row, column = 60, 48
        for seed in range(20):
            rng = np.random.default_rng(seed)
            visibility = float(np.exp(rng.uniform(*np.log(weather.VISIBILITY_M))))
            assert 50 <= visibility <= 300
            values.append(seen('fog', one, seed)[row, column, 0])
        assert len(set(values)) > 1


class TestRain:
    def test_makes_ground_darker_and_far_away_veiled(self) -> None:
        one = street()
        road = weather._View(one).classes == CLASS_ID['road']
        near = road & (np.arange(64) > 50)[:, None]
        rainy = np.mean([seen('rain', one, seed)[near].mean() for seed in range(5)])
        assert rainy < 0.9 * one.frame.image[near].mean()

    def test_wet_road_mirrors_the_sky_at_a_flat_angle(self) -> None:
        view = weather._View(street())
        light = view.light.copy()
        light[view.sky] = 0.9
        wet = weather._wet(view, light)
        dry = light * 0.5
        gain = (wet - dry).mean(2)
        road = view.classes == CLASS_ID['road']
        at = [float(gain[row][road[row]].mean()) for row in (34, 60)]
        assert at[0] > 3 * max(at[1], 0.0) and at[0] > 0.02
        assert np.array_equal(wet[view.sky], light[view.sky])

    def test_streaks_do_not_show_behind_what_is_near(self) -> None:
        one = street()
        assert one.truth.depth is not None
        wall = replace(one, truth=replace(one.truth, depth=np.full((64, 96), 0.3, np.float32)))
        light = weather._View(one).light
        air = np.full(3, 0.9)
        for sample, same in ((one, False), (wall, True)):
            out = weather._streaks(weather._View(sample), light, air, 30.0,
                                   np.random.default_rng(0))
            assert np.array_equal(out, light) == same


class TestNight:
    def test_is_dark_with_a_bright_lamp(self) -> None:
        one = street()
        night = seen('night', one)
        view = weather._View(one)
        assert night[view.sky].mean() < 0.5 * one.frame.image[view.sky].mean()
        assert night.max() == 255

    def test_noise_is_of_the_seed(self) -> None:
        first, again, other = (seen('night', street(), seed) for seed in (1, 1, 2))
        assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize('name', WEATHER)
class TestAll:
    def test_truth_stays_and_frames_are_the_same_each_time(self, name: str) -> None:
        data = Weathered(Streets(), name)
        assert len(data) == 2 and data.classes is CITYSCAPES
        one, clean = data[0], street()
        assert one.frame.image.shape == (64, 96, 3) and one.frame.image.dtype == np.uint8
        assert np.array_equal(one.frame.image, data[0].frame.image)
        assert not np.array_equal(one.frame.image, data[1].frame.image)
        assert not np.array_equal(one.frame.image, clean.frame.image)
        for part in ('panoptic', 'depth'):
            assert np.array_equal(getattr(one.truth, part), getattr(clean.truth, part))
        assert one.frame.mounting == clean.frame.mounting

    def test_without_a_mounting_or_a_sky(self, name: str) -> None:
        one = street()
        assert one.truth.depth is not None and one.truth.panoptic is not None
        indoors = replace(one, frame=replace(one.frame, mounting=None), truth=replace(
            one.truth, depth=np.minimum(one.truth.depth, 50.0)))
        for shown in (indoors, replace(one, truth=replace(
                one.truth, depth=np.full((64, 96), np.inf, np.float32)))):
            assert seen(name, shown).shape == (64, 96, 3)

    def test_pixels_without_a_ray_stay(self, name: str) -> None:
        one = street()
        lens = Intrinsics.from_fov(80, 96, 64)
        view = weather._View(replace(one, frame=replace(one.frame, intrinsics=lens)))
        view.rays[:4, :4] = np.nan
        out = view.picture(np.zeros_like(view.light))
        assert np.array_equal(out[:4, :4], one.frame.image[:4, :4]) and out[10, 10, 0] == 0

    def test_needs_truth(self, name: str) -> None:
        bare = replace(street(), truth=GroundTruth())
        with pytest.raises(ConfigError, match="'street' has no true depth or no labels"):
            seen(name, bare)


def test_splits_are_paired_with_val() -> None:
    pytest.importorskip('embreex')
    clean = open_dataset('synthetic', '2', 'val', mounting='data')[1]
    for name in WEATHER:
        data = open_dataset('synthetic', '2', name, mounting='data')
        one = data[1]
        assert len(data) == 2 and one.frame.name == clean.frame.name
        assert np.array_equal(one.truth.panoptic, clean.truth.panoptic)
        assert np.array_equal(one.truth.depth, clean.truth.depth, equal_nan=True)
        assert one.frame.mounting == clean.frame.mounting
        assert not np.array_equal(one.frame.image, clean.frame.image)


def test_an_unknown_split_names_all() -> None:
    with pytest.raises(ConfigError, match='val, night, fog, rain, unknown_objects, a seed'):
        open_dataset('synthetic', '2', 'hail')


def test_hand_values_of_the_sources() -> None:
    """R = 10 mm/h: 0.312 * 10^0.67 per km is a visibility of 2.05 km."""
    per_m = 0.312e-3 * 10 ** 0.67
    assert -math.log(0.05) / per_m == pytest.approx(2053, rel=0.01)
