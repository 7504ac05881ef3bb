# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Streets as they look from cars and robots in European and American towns.

The same sections as street.py, with other contents: curbs of several heights, grass between curb
and sidewalk, medians, worn and patched asphalt, woods, gardens, halls, and people near the camera.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...labels import CLASS_ID
from . import city_objects
from .city_layout import CityLayout, draw_layout
from .city_sections import CityFurnisher
from .meshes import Look, Rng, Shape
from .render import Lens, Light
from .scene import Camera, SceneBuilder
from .street import SECTION_M, Furnisher, Layout, Places, World, put_person, put_vehicle


class City(World):
    """The sections of a city street around the camera, and the traffic at any time."""

    layout: CityLayout

    def draw_layout(self, rng: Rng) -> Layout:
        return draw_layout(rng)

    @property
    def furnisher(self) -> type[Furnisher]:
        return CityFurnisher

    def vehicle(self, rng: Rng, kind: str) -> tuple[Shape, list[Look]]:
        return city_objects.vehicle(rng, kind)

    def horizon(self, builder: SceneBuilder, x: float, y: float) -> None:
        """Put what closes the view from x, y: woods and towers far away."""
        rng = self.rng(25)
        for turn in np.arange(0, 2 * np.pi, np.pi / 24):
            away, turn = rng.uniform(140, 400), turn + rng.normal(0, 0.04)
            place = x + away * float(np.cos(turn)), y + away * float(np.sin(turn)), -1.0
            own = np.random.default_rng(int(rng.integers(2 ** 31)))
            size = float(rng.uniform(1.5, 4.0))
            # Nothing on the street itself.
            if rng.random() > 0.85 or abs(np.sin(turn)) < 0.12:
                continue
            if rng.random() < 0.85:
                mesh, looks = city_objects.plant(own, 'wood')
                builder.put(mesh, place, float(turn) + np.pi / 2, CLASS_ID['vegetation'], looks,
                            scale=(2 * size, size, size))
            elif builder.sees(place[0], place[1], 20.0):
                mesh, looks = city_objects.house(own, 8 * size, int(rng.integers(2, 9)))
                builder.put(mesh, place, float(turn) - np.pi / 2, CLASS_ID['building'], looks)

    def viewpoint(self, rng: Rng, height_m: float) -> tuple[float, float, float]:
        """
        Where a camera of that height may be: s, t in meters and its yaw to the street in radians.

        Low cameras are on robots, which use the sidewalk half of the time.
        """
        layout = self.layout
        s, kind = float(rng.uniform(0, SECTION_M)), rng.random()
        yaw = float(rng.normal(0, 0.05 if rng.random() < 0.7 else 0.45))
        if kind < (0.5 if height_m < 0.8 else 0.12):
            side = 1 if rng.random() < 0.5 else -1
            back = np.pi if rng.random() < 0.3 else 0.0
            return s, side * layout.walker(side, rng), yaw + back
        t = -layout.hand * layout.lane(int(rng.integers(layout.lanes)))
        if rng.random() < 0.12:  # Turning, parking or backing.
            yaw = float(rng.uniform(-np.pi, np.pi))
        return s, t + float(rng.normal(0, 0.35)), yaw

    def near(self, builder: SceneBuilder, camera: Camera, t_eye: float, rng: Rng) -> None:
        """Put people, riders and vehicles near the camera at t_eye, where it looks."""
        k, forward = camera.intrinsics, camera.rotation[:2, 2]
        heading = float(np.arctan2(forward[1], forward[0]))
        slope = 0.5 * k.width / k.fx
        taken: list[Places] = []
        street = self.pose(0.0, 0.0)[2]

        def place(near: float, far: float, room: float) -> tuple[float, float, float] | None:
            ahead = float(np.exp(rng.uniform(np.log(near), np.log(far))))
            left = float(rng.uniform(-1, 1)) * slope * ahead
            if abs(left) < 1.0 and rng.random() < 0.7:  # Mostly not in the way.
                left = float(np.copysign(rng.uniform(1.2, 4.0), left))
            spot = camera.position[:2] + ahead * forward + left * np.array(
                (-forward[1], forward[0]))
            if any(np.hypot(*(spot - other)) < room for other in taken):
                return None
            taken.append(spot)
            off = spot - camera.position[:2]
            t = t_eye + off[1] * np.cos(street) - off[0] * np.sin(street)
            side = 1 if t > 0 else -1
            raised = self.layout.sides[side < 0].curbed and abs(t) > self.layout.road_edge(side)
            return float(spot[0]), float(spot[1]), self.layout.curb_m if raised else 0.0

        if rng.random() < 0.2:
            kind = str(rng.choice(('truck', 'bus', 'car'), p=(0.45, 0.2, 0.35)))
            spot = place(8.0, 25.0, 6.0)
            if spot:
                put_vehicle(self, builder, rng, *spot, heading + float(rng.choice(
                    (0.0, np.pi, np.pi / 2))) + float(rng.normal(0, 0.1)), 9 * 10 ** 10, kind)
        if self.layout.rails and rng.random() < 0.6:
            side, s = (1 if rng.random() < 0.5 else -1), float(rng.uniform(5, 45))
            x, y, turn = self.pose(s, side * self.layout.lane(0))
            put_vehicle(self, builder, rng, x, y, 0.0, turn, 9 * 10 ** 10 + 2, 'train')
        riders = int(rng.poisson(0.35 * self.densities.people))
        for number in range(riders):
            spot = place(3.5, 16.0, 1.8)
            if spot:
                put_vehicle(self, builder, rng, *spot, heading + float(rng.choice(
                    (0.0, np.pi, np.pi / 2))) + float(rng.normal(0, 0.3)),
                    9 * 10 ** 10 + 10 + 2 * number,
                    'bicycle' if rng.random() < 0.75 else 'motorcycle')
        people = int(rng.poisson(1.3 * self.densities.people))
        for number in range(people if rng.random() < 0.65 else 0):
            spot = place(2.2, 15.0, 0.6)
            if spot:
                put_person(builder, rng, *spot, float(rng.uniform(0, 6.3)),
                           9 * 10 ** 10 + 100 + number,
                           'walk' if rng.random() < 0.6 else 'stand')


# Light and camera.


def city_light(light: Light, rng: Rng) -> Light:
    """Deeper shadows and a brighter sky in part of the pictures."""
    if rng.random() < 0.85:
        light = replace(light, haze_per_m=0.25 * light.haze_per_m)
    if not light.diffuse and rng.random() < 0.6:
        deep = float(rng.uniform(0.35, 0.9))
        light = replace(light, ambient=light.ambient * np.float32(deep))
    if rng.random() < 0.5:
        bright = np.float32(rng.uniform(1.1, 2.4))
        light = replace(light, horizon=light.horizon * bright, zenith=light.zenith * bright)
    return light


def city_lens(lens: Lens, rng: Rng) -> Lens:
    """The flare, colors and compression of common cameras."""
    return replace(
        lens, bloom=float(rng.uniform(0, 0.25)) if rng.random() < 0.5 else 0.0,
        saturation=float(rng.uniform(0.55, 1.2)),
        jpeg=int(rng.integers(35, 96)) if rng.random() < 0.7 else 0)
