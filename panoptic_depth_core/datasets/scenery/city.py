# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Streets as they look from cars and robots in European and American towns.

The same sections as street.py, with other contents: curbs of several heights, grass between curb
and sidewalk, medians, worn and patched asphalt, woods, gardens, halls, and people near the camera.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ...labels import CLASS_ID
from . import city_objects, objects
from .meshes import Look, Rng, Shape, disc, quads
from .render import Lens, Light
from .scene import Camera, SceneBuilder
from .street import (
    AHEAD,
    BEHIND,
    CROSS_S,
    SECTION_M,
    Furnisher,
    Layout,
    Places,
    Span,
    World,
    put_person,
    put_vehicle,
)

_LAYER_M = 0.0002
"""Between layers of what is painted on the road; flat within a millimeter."""
_TRACKS, _PATCHES, _LINES = range(1, 4)
_ARROW = np.array([[(0, -0.09), (2.6, -0.09), (2.6, 0.09), (0, 0.09)],
                   [(2.6, -0.32), (4.0, 0), (4.0, 0), (2.6, 0.32)]])
_BEND = np.array([[(0, -0.09), (1.8, -0.09), (1.8, 0.09), (0, 0.09)],
                  [(1.5, 0.09), (1.8, 0.09), (1.8, 0.5), (1.5, 0.5)],
                  [(1.2, 0.5), (2.1, 0.5), (1.65, 1.1), (1.65, 1.1)]])
"""Quadrangles of arrows on the road: s, t in meters."""


class Side(NamedTuple):
    """Bands beside the road, from the curb outwards; widths in meters, 0 for none."""

    strip_m: float
    strip: str  # grass, soil or paving.
    cycle_m: float
    walk_m: float
    verge_m: float

    @property
    def curbed(self) -> bool:
        return self.strip_m + self.walk_m > 0


@dataclass(frozen=True, kw_only=True)
class CityLayout(Layout):
    """What stays the same along a city street."""

    sides: tuple[Side, Side]  # Left, right.
    curb_wide_m: float
    gutter: Look | None
    bay: Look  # Of parking strips.
    cycle: Look
    paint: Look
    lines: tuple[tuple[float, str], ...]  # Place t and kind.
    line_m: float
    dash_m: Span  # Length of a dash, and of a dash with its gap.
    tracks: float  # Tone of the wheels' tracks relative to the asphalt.
    rails: bool
    parked_out_m: float  # How far parked cars stand on the sidewalk.
    median: str  # grass, paving or paint.
    shoulder: Look

    def walker(self, side: int, rng: Rng) -> float:
        part = self.sides[side < 0]
        near = self.road_edge(side) + part.strip_m + part.cycle_m
        return near + float(rng.uniform(0.25, max(part.walk_m - 0.2, 0.8)))


def _grey(rng: Rng, low: float, high: float) -> tuple[float, float, float]:
    tone = rng.uniform(low, high)
    return float(tone), float(tone * rng.uniform(0.94, 1.01)), float(tone * rng.uniform(0.86, 1.04))


def _toned(look: Look, factor: float) -> Look:
    return look._replace(tint=tuple((np.asarray(look.tint) * factor).tolist()))


def _draw_lines(rng: Rng, lanes: int, lane_m: float, median_m: float
                ) -> tuple[tuple[float, str], ...]:
    """Lines between the lanes, in the middle and along the edges; there may be none."""
    if lanes == 1 and not median_m and rng.random() < 0.35:
        return ()
    lines = []
    if not median_m:
        lines.append((0.0, str(rng.choice(('dashed', 'solid', 'double', 'none'),
                                          p=(0.5, 0.15, 0.2, 0.15)))))
    edge = lanes * lane_m + median_m / 2 - 0.2
    marked = rng.random() < 0.5
    for sign in (1, -1):
        lines += [(sign * (lane * lane_m + median_m / 2), 'dashed') for lane in range(1, lanes)]
        if marked:
            lines.append((sign * edge, 'solid'))
        if median_m:
            lines.append((sign * (median_m / 2 + 0.2), 'solid'))
    return tuple(line for line in lines if line[1] != 'none')


def _draw_side(rng: Rng, town: float) -> Side:
    paved = rng.random() < 0.4 + 0.58 * town
    walk = float(rng.choice((rng.uniform(0.9, 1.8), rng.uniform(1.6, 3.2), rng.uniform(3, 5.5)),
                            p=(0.35, 0.45, 0.2))) if paved else 0.0
    strip = float(rng.uniform(0.5, 3.5)) if rng.random() < 0.4 else 0.0
    kind = str(rng.choice(('grass', 'soil', 'paving'), p=(0.7, 0.1, 0.2)))
    cycle = float(rng.uniform(1.0, 1.8)) if walk and rng.random() < 0.12 else 0.0
    verge = float(rng.uniform(0.5, 3.5)) if rng.random() < (0.35 if walk else 0.7) else 0.0
    return Side(strip, kind if walk else 'grass', cycle, walk, verge)


def _draw_layout(rng: Rng) -> CityLayout:
    town = float(rng.random())
    lanes = int(rng.choice((1, 2, 3), p=(0.62, 0.29, 0.09)))
    lane_m = float(rng.uniform(2.5, 3.9))
    median_m = float(rng.uniform(0.6, 5)) if rng.random() < (0.5 if lanes > 1 else 0.06) else 0.0
    asphalt = Look(str(rng.choice(('asphalt', 'worn', 'concrete', 'setts'),
                                  p=(0.35, 0.52, 0.08, 0.05))), _grey(rng, 0.06, 0.24))
    tone = float(np.mean(asphalt.tint))
    kind = str(rng.choice(('worn', 'slabs', 'pavers', 'paving', 'setts', 'concrete'),
                          p=(0.3, 0.2, 0.22, 0.1, 0.08, 0.1)))
    walk = tone * float(rng.uniform(0.75, 1.3) if kind == 'worn' else rng.uniform(0.9, 2.6))
    warm = rng.uniform(0, 0.45) if kind in ('pavers', 'setts', 'slabs') else rng.uniform(0, 0.12)
    paving = Look(kind, (walk * (1 + float(warm) / 3), walk, walk * (1 - float(warm) * 0.7)))
    green = np.array((0.11, 0.14, 0.045)) * rng.uniform((0.6, 0.7, 0.5), (1.8, 1.25, 1.6))
    parking = tuple(float(rng.uniform(0.3, 0.95)) if rng.random() < 0.12 + 0.45 * town else 0.0
                    for _ in range(2))
    yellow = rng.random() < 0.12
    white = rng.uniform(0.3, 0.72)
    curb = tuple(c * float(rng.uniform(0.85, 1.25)) for c in
                 (_grey(rng, 0.18, 0.42) if rng.random() < 0.75 else _grey(rng, 0.1, 0.2)))
    return CityLayout(
        lane_m=lane_m, lanes=lanes, hand=1 if rng.random() < 0.8 else -1,
        parking=(parking[0], parking[1]), town=town, bends=bool(rng.random() < 0.55),
        marking=('none', 'none'), asphalt=asphalt, terrain=Look('grass', tuple(green.tolist())),
        paving=paving, traffic=float(rng.uniform(0.1, 0.9)),
        parking_turned=bool(rng.random() < 0.1), curb_m=float(rng.uniform(0.03, 0.15)),
        curb=Look('concrete', (curb[0], curb[1], curb[2])), median_m=median_m,
        sides=(_draw_side(rng, town), _draw_side(rng, town)),
        curb_wide_m=float(rng.uniform(0.1, 0.3)),
        gutter=_toned(Look('setts' if rng.random() < 0.4 else 'concrete', asphalt.tint),
                      float(rng.uniform(0.8, 2.0))) if rng.random() < 0.45 else None,
        bay=Look(str(rng.choice(('setts', 'pavers', 'worn'))), _grey(rng, 0.08, 0.3))
        if rng.random() < 0.5 else asphalt,
        cycle=Look('pavers' if rng.random() < 0.5 else 'worn', (
            tone * float(rng.uniform(1.3, 2.4)), tone * 0.9, tone * 0.7)),
        paint=Look('rubbed', (white, white * (0.7 if yellow else 1), white * (
            0.15 if yellow else 0.97))),
        lines=_draw_lines(rng, lanes, lane_m, median_m), line_m=float(rng.uniform(0.1, 0.22)),
        dash_m=((2.0, 4.0), (3.0, 9.0), (3.0, 6.0), (1.0, 3.0))[int(rng.integers(4))],
        tracks=float(rng.uniform(0.8, 1.2)), rails=bool(rng.random() < 0.05),
        parked_out_m=float(rng.uniform(0.3, 1.9)) if rng.random() < 0.3 else 0.0,
        median=str(rng.choice(('grass', 'paving', 'paint'), p=(0.5, 0.25, 0.25))),
        shoulder=Look('gravel', _grey(rng, 0.1, 0.3)))


class City(World):
    """The sections of a city street around the camera, and the traffic at any time."""

    layout: CityLayout

    def draw_layout(self, rng: Rng) -> Layout:
        return _draw_layout(rng)

    @property
    def furnisher(self) -> type[Furnisher]:
        return _CityFurnisher

    def vehicle(self, rng: Rng, kind: str) -> tuple[Shape, list[Look]]:
        return city_objects.vehicle(rng, kind)

    def ground(self, builder: SceneBuilder, x: float, y: float) -> None:
        """The terrain, and what closes the horizon: woods and towers far away."""
        super().ground(builder, x, y)
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
            s, t = float(rng.uniform(5, 45)), self.layout.lane(0) * (1 if rng.random() < 0.5 else -1)
            x, y, turn = self.pose(s, t)
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


class _CityFurnisher(Furnisher):
    """Puts what does not move in one section of a city street."""

    _layout: CityLayout
    _world: City

    # Road.

    def _paint(self, s: Span, t: Span, look: Look, layer: int) -> None:
        self._strip(s, t, layer * _LAYER_M, 'road', look)

    def _glyph(self, shape: Places, s: float, t: float, along: float) -> None:
        """Quadrangles (Q, 4, 2) on the road, at a place, in the direction of traffic."""
        rim = np.full((len(shape), 4, 3), _LINES * _LAYER_M)
        rim[..., 0], rim[..., 1] = s + along * shape[..., 0], t + along * shape[..., 1]
        self._ground.setdefault(('road', self._layout.paint), []).append(rim)

    def _line(self, s: Span, t: float, kind: str) -> None:
        layout, half = self._layout, self._layout.line_m / 2
        if kind == 'double':
            for shift in (-0.14, 0.14):
                self._paint(s, (t + shift - 0.06, t + shift + 0.06), layout.paint, _LINES)
        elif kind == 'solid':
            self._paint(s, (t - half, t + half), layout.paint, _LINES)
        else:
            dash, step = layout.dash_m
            first = -(self._section.index * SECTION_M % step)
            begin = np.arange(first, SECTION_M, step)
            begin, end = np.maximum(begin, s[0]), np.minimum(begin + dash, s[1])
            seen = end > begin + 0.05
            self._cells(begin[seen], end[seen], t - half, t + half, _LINES * _LAYER_M, 'road',
                        layout.paint)

    def _road(self) -> None:
        layout, rng = self._layout, self._rng
        left, right = layout.road_edge(1), -layout.road_edge(-1)
        asphalt, wide = layout.asphalt, layout.carriageway()
        if self._crossing:
            self._strip(CROSS_S, (-90, 90), 0.0, 'road', asphalt)
        track = _toned(asphalt, layout.tracks)
        for s in self._pieces:
            self._strip(s, (right, left), 0.0, 'road', asphalt)
            for lane in range(layout.lanes):
                for t in (layout.lane(lane), -layout.lane(lane)):
                    for shift in (-0.8, 0.8):
                        self._paint(s, (t + shift - 0.3, t + shift + 0.3), track, _TRACKS)
            if layout.bay is not asphalt:
                for side, edge in ((1, left), (-1, -right)):
                    if edge > wide:
                        self._paint(s, (side * wide, side * edge), layout.bay, _TRACKS)
            if layout.gutter:
                for side, edge in ((1, left), (-1, -right)):
                    self._paint(s, (side * (edge - 0.32), side * edge), layout.gutter, _PATCHES)
            for t, kind in layout.lines:
                self._line(s, t, kind)
            if layout.rails:
                for t in (layout.lane(0), -layout.lane(0)):
                    for shift in (-0.72, 0.72):
                        self._paint(s, (t + shift - 0.05, t + shift + 0.05),
                                    Look('plain', (0.05, 0.05, 0.05), 0.1), _LINES)
            self._median(s)
        self._wear(right, left)
        if layout.lines and self._chance(0.3):
            s = self._free_s()
            for lane in range(layout.lanes):
                shape = _ARROW if self._chance(0.6) else _BEND * (1, 1 if self._chance(0.5) else -1)
                along = layout.hand
                self._glyph(shape, min(s, 19.0), -along * layout.lane(lane), 1.0)
                if self._chance(0.5):
                    self._glyph(shape, max(s, 5.0), along * layout.lane(lane), -1.0)
        if layout.lines and self._chance(0.06):  # A hatched area.
            t, length = rng.uniform(-1, 1) * wide, rng.uniform(4, 12)
            bars = np.array([[(x, -0.9), (x + 0.35, -0.9), (x + 1.6, 0.9), (x + 1.25, 0.9)]
                             for x in np.arange(0, length, 1.1)])
            self._glyph(bars, rng.uniform(0, SECTION_M - length), float(t), 1.0)
        if self._crossing:
            self._crosswalks(right, left)

    def _crosswalks(self, right: float, left: float) -> None:
        """Zebras, dotted or plain lines, and the lines to stop at."""
        layout = self._layout
        kind = self._rng.random()
        for at, stop, side in ((4.8, 3.9, 1), (16.4, 19.9, -1)):
            if kind < 0.35:
                bar = np.arange(right + 0.4, left - 0.6, 1.0)
                self._cells(np.full_like(bar, at), np.full_like(bar, at + 2.6), bar, bar + 0.5,
                            _LINES * _LAYER_M, 'road', layout.paint)
            elif kind < 0.75:
                for s in (at, at + 2.5):
                    step = 0.6 if kind < 0.6 else 50.0
                    bar = np.arange(right + 0.3, left - 0.3, step)
                    self._cells(np.full_like(bar, s), np.full_like(bar, s + 0.15), bar,
                                np.minimum(bar + 0.7 * step, left - 0.3), _LINES * _LAYER_M,
                                'road', layout.paint)
            if kind < 0.85 and layout.lines:
                near = -side * layout.hand * layout.median_m / 2
                far = -side * layout.hand * layout.carriageway()
                self._paint((stop, stop + 0.4), (near, far), layout.paint, _LINES)

    def _wear(self, right: float, left: float) -> None:
        """Patches, seams of tar, manholes and drains."""
        rng, asphalt = self._rng, self._layout.asphalt
        for _ in range(rng.poisson(1.0)):
            size = rng.uniform((0.5, 0.4), (7, 2.5))
            s, t = rng.uniform(0, SECTION_M - size[0]), rng.uniform(right, left - size[1])
            look = _toned(asphalt._replace(texture='worn'), float(rng.uniform(0.6, 1.35)))
            self._paint((s, s + size[0]), (t, t + size[1]), look, _PATCHES)
        for _ in range(rng.poisson(0.8)):
            s, t = rng.uniform(0, SECTION_M), rng.uniform(right + 0.2, left - 0.2)
            look = _toned(asphalt._replace(texture='plain'), float(rng.uniform(0.35, 0.8)))
            if self._chance(0.5):
                self._paint((s, min(s + rng.uniform(3, 20), SECTION_M)), (t, t + 0.06), look,
                            _PATCHES)
            else:
                self._paint((s, s + 0.06), (t, min(t + rng.uniform(1, 8), left)), look, _PATCHES)
        iron = Look('cobble', _grey(rng, 0.03, 0.16))
        for _ in range(rng.poisson(0.7)):
            s, t = rng.uniform(0, SECTION_M), rng.uniform(right + 0.6, left - 0.6)
            x, y, _ = self._section.pose(s, t)
            x, y = x - self._builder.origin[0], y - self._builder.origin[1]
            self._builder.add_ground(disc(0.33, (x, y, _PATCHES * _LAYER_M), 2, 1.0, 0), CLASS_ID[
                'road'], iron)
        for edge in (right + 0.05, left - 0.4):
            if self._chance(0.4):
                s = rng.uniform(0, SECTION_M - 0.5)
                self._paint((s, s + 0.45), (edge, edge + 0.35), iron, _LINES)

    def _median(self, s: Span) -> None:
        layout, half = self._layout, self._layout.median_m / 2
        if not half:
            return
        if layout.median == 'paint':
            bars = np.array([[(x, -half), (x + 0.4, -half), (x + 0.4 + half, half), (x + half, half)]
                             for x in np.arange(s[0], s[1] - 0.4 - half, 1.8)])
            if len(bars):
                self._glyph(bars * (1, 0.8), 0.0, 0.0, 1.0)
            return
        look = ('terrain', layout.terrain) if layout.median == 'grass' else (
            'sidewalk', layout.paving)
        self._island(s, -half, half, *look)
        rng = self._rng
        for _ in range(rng.poisson(1.2 if layout.median == 'grass' and half > 0.7 else 0.0)):
            kind = str(rng.choice(('crown', 'column', 'shrub', 'shrub')))
            self._put(city_objects.plant(rng, kind), 'vegetation', rng.uniform(*s), 0.0, 0.0,
                      float(rng.uniform(0, 6.3)), rng.uniform(0.5, 1.0))
        style = self._world.rng(21)
        if style.random() < 0.25:
            length = s[1] - s[0]
            prop = city_objects.fence(style, length)
            self._put(prop, 'fence', (s[0] + s[1]) / 2, 0.0, layout.curb_m)
        if self._chance(0.35):
            self._put(city_objects.bollard(rng), 'pole', s[0] + 0.6, 0.0, layout.curb_m)
        if self._chance(0.3):
            self._signs(rng.uniform(s[0] + 0.4, s[1] - 0.4), 0.0, layout.curb_m, True)

    def _island(self, s: Span, right: float, left: float, class_name: str, look: Look) -> None:
        """A raised strip between curbs."""
        layout = self._layout
        z, wide = layout.curb_m, layout.curb_wide_m
        face = (-0.04, -0.04, z, z)
        self._strip(s, (right, right), face, 'sidewalk', layout.curb)
        self._strip(s, (left, left), face, 'sidewalk', layout.curb)
        self._strip(s, (right, right + wide), z, 'sidewalk', layout.curb)
        self._strip(s, (left - wide, left), z, 'sidewalk', layout.curb)
        self._strip(s, (right + wide, left - wide), z, class_name, look)
        if self._crossing:
            self._cap(right, left)

    def _cap(self, inner: float, outer: float) -> None:
        """Close the ends of what is raised at a crossing."""
        z = self._layout.curb_m
        rim = np.zeros((2, 4, 3))
        rim[..., 0] = np.array(CROSS_S)[:, None]
        rim[..., 1] = (inner, outer, outer, inner)
        rim[..., 2] = (-0.04, -0.04, z, z)
        self._ground.setdefault(('sidewalk', self._layout.curb), []).append(rim)

    # Beside the road.

    def _side(self, side: int) -> None:
        layout, rng, town = self._layout, self._rng, self._layout.town
        part, edge, z = layout.sides[side < 0], layout.road_edge(side), layout.curb_m
        looks = {'grass': ('terrain', layout.terrain), 'paving': ('sidewalk', layout.bay),
                 'soil': ('terrain', Look('soil', (0.12, 0.09, 0.06)))}
        bands = [(layout.curb_wide_m, 'sidewalk', layout.curb),
                 (part.strip_m, *looks[part.strip]), (part.cycle_m, 'sidewalk', layout.cycle),
                 (part.walk_m, 'sidewalk', layout.paving)] if part.curbed else []
        face = (-0.04, -0.04, z, z)
        back = edge + sum(band[0] for band in bands)
        front = back + part.verge_m
        for s in self._pieces:
            at = edge
            for wide, class_name, look in bands:
                if wide:
                    self._strip(s, (side * at, side * (at + wide)), z, class_name, look)
                at += wide
            if bands:
                for t in (edge, back):
                    self._strip(s, (side * t, side * t), face, 'sidewalk', layout.curb)
            else:
                self._shoulder(s, side, edge)
            if part.verge_m:
                self._strip(s, (side * back, side * front), z - 0.02 if bands else -0.015,
                            'terrain', layout.terrain)
        if self._crossing and bands:
            self._cap(side * edge, side * back)
        self._parked(side, edge)
        self._stand(side, edge, part, z)
        self._front(side, front)
        middle = side * (back - part.walk_m / 2)
        if part.walk_m and self._chance((0.04 + 0.14 * town) * self._density.people):
            self._crowd(rng.uniform(2, SECTION_M - 2), middle, z,
                        (rng.uniform(0.8, 2.5), min(part.walk_m / 4, 0.9)))
        if part.walk_m > 1.4 and self._chance(0.25 * town * self._density.people):
            self._parked_bikes(side * (back - part.walk_m * 0.3))
        if self._chance(0.9):
            self._put(city_objects.plant(rng, 'wood'), 'vegetation', rng.uniform(0, SECTION_M),
                      side * rng.uniform(35, 85), 0.0, float(rng.normal(0, 0.5)),
                      rng.uniform(0.9, 1.6))

    def _shoulder(self, s: Span, side: int, edge: float) -> None:
        """Gravel with a ragged edge, where there is no curb."""
        begin = np.arange(s[0], s[1] - 1e-6, 1.0)
        out = edge + np.abs(self._rng.normal(0.25, 0.2, len(begin)))
        near, far = np.full_like(out, side * edge), side * out
        self._cells(begin, np.minimum(begin + 1.0, s[1]), np.minimum(near, far),
                    np.maximum(near, far), -0.005, 'terrain', self._layout.shoulder)

    def _stand(self, side: int, edge: float, part: Side, z: float) -> None:
        """Lamps, signs, lights, bollards, masts and trees, close to the curb."""
        rng, town, layout = self._rng, self._layout.town, self._layout
        share = self._density.furniture
        z = z if part.curbed else -0.03
        t = side * (edge + 0.45)
        style = self._world.rng(22, side + 1)
        inwards = np.pi if side > 0 else 0.0
        if style.random() < 0.35 + 0.4 * town and self._chance(0.8 * share):
            self._put(city_objects.lamp(style), 'pole', 2.0, t, z, inwards)
        elif style.random() < 0.25:
            self._put(city_objects.mast(style, 8.5, 1.0, True), 'pole', 3.0,
                      side * (edge + part.strip_m + 1.0), z)
        for _ in range(rng.poisson(0.55 * share)):
            self._signs(self._free_s(), t, z, side * layout.hand < 0)
        if style.random() < 0.22:
            kind, step = int(style.integers(2 ** 31)), float(style.choice((1.5, 2.5, 6.0, 12.0)))
            for s in np.arange(step / 2, SECTION_M, step):
                if not self._crossing or not CROSS_S[0] - 0.5 < s < CROSS_S[1] + 0.5:
                    self._put(city_objects.bollard(np.random.default_rng(kind)), 'pole', float(s),
                              side * (edge + 0.3), z)
        elif part.walk_m and style.random() < 0.2:
            for low, high in self._pieces:
                self._put(city_objects.fence(self._world.rng(23, side + 1), high - low), 'fence',
                          (low + high) / 2, side * (edge + 0.3), z)
        if self._crossing and self._chance((0.4 + 0.45 * town) * share):
            self._lights(side, t, z)
        trees = self._world.rng(24, side + 1)
        if trees.random() < 0.5 * self._density.plants:
            spacing = float(trees.choice((6.0, 8.0, 12.0, 24.0)))
            inset = max(part.strip_m / 2 + layout.curb_wide_m, 0.8)
            if part.walk_m < 2 and not part.strip_m:
                inset = part.walk_m + 1.0
            kind = str(trees.choice(('crown', 'column', 'bare'), p=(0.66, 0.17, 0.17)))
            for s in np.arange(spacing / 2, SECTION_M, spacing):
                if self._crossing and CROSS_S[0] - 2 < s < CROSS_S[1] + 2 or self._chance(0.12):
                    continue
                self._put(city_objects.plant(trees, kind), 'vegetation', float(s) + 0.8,
                          side * (edge + inset), z, float(rng.uniform(0, 6.3)),
                          rng.uniform(0.55, 1.1))

    def _signs(self, s: float, t: float, z: float, onwards: bool) -> None:
        """A post with one to three signs, or a board on two; onwards: for who drives along s."""
        rng = self._rng
        facing, before = (0.0, -0.06) if onwards else (np.pi, 0.06)
        facing += float(rng.normal(0, 0.15))
        if self._chance(0.2):
            height, apart = rng.uniform(1.2, 3.2), rng.uniform(0.2, 0.6)
            for shift in (-apart, apart):
                self._put(objects.pole(rng, height + 0.4, 0.0, 0.04), 'pole', s, t + shift, z)
            self._put(city_objects.board(rng), 'traffic sign', s + before, t, z + height, facing)
            return
        height, count = rng.uniform(1.6, 2.9), int(rng.choice((1, 2, 3), p=(0.6, 0.3, 0.1)))
        self._put(objects.pole(rng, height + 0.35 + 0.7 * (count - 1), 0.0,
                               float(rng.uniform(0.025, 0.05))), 'pole', s, t, z)
        for i in range(count):
            self._put(objects.sign(rng), 'traffic sign', s + before, t, z + height + 0.72 * i,
                      facing, rng.uniform(0.7, 1.15))

    def _lights(self, side: int, t: float, z: float) -> None:
        """Traffic lights on posts, or on arms above the road."""
        rng = self._rng
        over = rng.uniform(3, 6) if self._chance(0.35) else 0.0
        inwards = np.pi if side > 0 else 0.0
        for s, facing, before in ((CROSS_S[0] - 1.2, 0.0, -0.2), (CROSS_S[1] + 1.2, np.pi, 0.2)):
            low = rng.uniform(2.3, 3.0)
            prop = city_objects.mast(rng, 5.8, over) if over else objects.pole(rng, low + 0.5)
            self._put(prop, 'pole', s, t, z, inwards)
            self._put(objects.traffic_light(rng), 'traffic light', s + before, t, z + low, facing,
                      rng.uniform(0.8, 1.1))
            if over:
                self._put(objects.traffic_light(rng), 'traffic light', s + before,
                          t - side * (over - 0.3), z + 5.3, facing)

    def _parked(self, side: int, edge: float) -> None:
        out = self._layout.parked_out_m
        if out and not self._layout.parking_turned:
            edge += min(out, self._layout.sides[side < 0].walk_m)
        super()._parked(side, edge)

    # Fronts.

    def _front(self, side: int, front: float) -> None:
        """What is along one side: one kind for a few sections in a row."""
        block = self._section.index // 3 + 1000
        style, town = self._world.rng(26, side + 1, block), self._layout.town
        kinds = {self._row: 0.05 + 0.6 * town ** 2, self._gardens: 0.28, self._trees: 0.32 *
                 (1.2 - town), self._halls: 0.1, self._meadow: 0.16 * (1.1 - town),
                 self._lot: 0.05}
        share = np.array(list(kinds.values()))
        make = list(kinds)[int(style.choice(len(kinds), p=share / share.sum()))]
        for piece in self._pieces:
            make(piece, side, front, style)

    def _along(self, piece: Span, low: float, high: float, gap: Span) -> Iterable[Span]:
        """Middle and width of lots in a row."""
        s = piece[0]
        while piece[1] - s > 3.5:
            width = float(min(self._rng.uniform(low, high), piece[1] - s))
            yield s + width / 2, width
            s += width + float(self._rng.uniform(*gap))

    def _house(self, make: object, s: float, width: float, side: int, t: float, *more: int
               ) -> None:
        if not self._seen(s, side * t, width / 2 + 9):
            return
        own = np.random.default_rng(int(self._rng.integers(2 ** 31)))
        turn = 0.0 if side > 0 else np.pi
        self._put(make(own, width, *more), 'building', s, side * t, 0.0, turn)  # type: ignore

    def _border(self, piece: Span, side: int, t: float, style: Rng) -> None:
        """A wall, a fence or a hedge along a lot."""
        low, high = piece
        kind = str(style.choice(('wall', 'fence', 'hedge'), p=(0.27, 0.4, 0.33)))
        seed = int(style.integers(2 ** 31))
        parts = max(1, round((high - low) / 8))
        length = (high - low) / parts
        if not self._seen((low + high) / 2, side * t, (high - low) / 2):
            return
        maker, class_name = city_objects.BORDERS[kind]
        prop = maker(np.random.default_rng(seed), length + 0.02)
        for i in range(parts):
            if not self._chance(0.08):
                self._put(prop, class_name, low + (i + 0.5) * length, side * t, 0.0,
                          0.0 if side > 0 else np.pi)

    def _plants(self, piece: Span, side: int, near: float, far: float, mean: float,
                kinds: tuple[str, ...] = ('crown', 'shrub', 'shrub', 'column', 'pine', 'bare')
                ) -> None:
        rng = self._rng
        for _ in range(rng.poisson(mean * self._density.plants * (piece[1] - piece[0]) / 24)):
            self._put(city_objects.plant(rng, str(rng.choice(kinds))), 'vegetation',
                      rng.uniform(*piece), side * rng.uniform(near, far), -0.03,
                      float(rng.uniform(0, 6.3)), rng.uniform(0.6, 1.3))

    def _row(self, piece: Span, side: int, front: float, style: Rng) -> None:
        """Houses without gaps at the sidewalk, or behind a forecourt."""
        setback = float(style.uniform(0, 0.5) if style.random() < 0.7 else style.uniform(1, 5))
        storeys = int(style.integers(2, 6))
        z = self._layout.curb_m if self._layout.sides[side < 0].curbed else -0.01
        self._strip(piece, (side * front, side * (front + setback + 0.5)), z, 'sidewalk',
                    self._layout.paving)
        for s, width in self._along(piece, 6, 15, (0, 0)):
            if not self._chance(0.06):
                self._house(city_objects.house, s, width, side, front + setback,
                            max(1, storeys + int(self._rng.integers(-1, 2))))
        if setback > 2:
            self._plants(piece, side, front + 0.5, front + setback, 0.8, ('column', 'shrub'))

    def _gardens(self, piece: Span, side: int, front: float, style: Rng) -> None:
        """Houses behind gardens, with drives and garages."""
        rng, setback = self._rng, float(style.uniform(2, 11))
        storeys = int(style.integers(1, 3))
        if style.random() < 0.75:
            self._border(piece, side, front + 0.4, style)
        drive = self._layout.bay
        for s, width in self._along(piece, 7, 13, (0.5, 6)):
            self._house(city_objects.house, s, width, side, front + setback,
                        max(1, storeys + int(rng.integers(-1, 2))))
            if self._chance(0.4):
                at = s + width / 2 + 1.8
                if at + 1.6 < piece[1]:
                    self._strip((at - 1.6, at + 1.6), (side * (front - 0.2), side * (
                        front + setback + 1)), self._layout.curb_m + 0.001, 'sidewalk', drive)
                    self._house(city_objects.garage, at, 3.2, side, front + setback + 1)
        self._plants(piece, side, front + 1.2, front + setback + 0.5, 3.0)

    def _trees(self, piece: Span, side: int, front: float, style: Rng) -> None:
        """The edge of a wood or a park."""
        near, dense = front + float(style.uniform(1.5, 6)), style.random() < 0.6
        if style.random() < 0.3:
            self._border(piece, side, front + 0.5, style)
        if dense:
            for s in np.arange(piece[0] + 5, piece[1], 10.0):
                self._put(city_objects.plant(self._rng, 'wood'), 'vegetation', float(s),
                          side * (near + 2), -0.1, float(self._rng.normal(0, 0.15)),
                          float(style.uniform(0.7, 1.4)))
        self._plants(piece, side, near, near + 9, 4.0 if dense else 5.0)

    def _halls(self, piece: Span, side: int, front: float, style: Rng) -> None:
        """Industry or a supermarket behind a yard."""
        setback = float(style.uniform(0.5, 18))
        if setback > 3:
            self._strip(piece, (side * (front + 0.3), side * (front + setback + 1)), -0.01, 'road',
                        self._layout.bay)
            if style.random() < 0.6:
                self._border(piece, side, front + 0.3, style)
        for s, width in self._along(piece, 14, 24, (0, 3)):
            self._house(city_objects.hall, s, width, side, front + setback)
        if setback > 8:
            self._row_of_cars(piece, side, front + setback - 3, 0.35)

    def _lot(self, piece: Span, side: int, front: float, style: Rng) -> None:
        """A parking lot."""
        deep = float(style.uniform(10, 22))
        self._strip(piece, (side * front, side * (front + deep)), -0.01, 'road',
                    self._layout.asphalt)
        for t in np.arange(front + 3, front + deep, 6.5):
            self._row_of_cars(piece, side, float(t), 0.7)
        if style.random() < 0.4:
            self._border(piece, side, front + 0.2, style)
        self._plants(piece, side, front + deep, front + deep + 5, 4.0)

    def _row_of_cars(self, piece: Span, side: int, t: float, share: float) -> None:
        rng = self._rng
        for s in np.arange(piece[0] + 1.5, piece[1] - 1, 2.7):
            if self._chance(share * self._density.vehicles):
                x, y, heading = self._section.pose(float(s), side * t)
                put_vehicle(self._world, self._builder, rng, x, y, 0.0, heading + np.pi / 2
                            + float(rng.normal(0, 0.04)), self._number(2),
                            'truck' if self._chance(0.05) else 'car')

    def _meadow(self, piece: Span, side: int, front: float, style: Rng) -> None:
        if style.random() < 0.5:
            self._border(piece, side, front + float(style.uniform(0.3, 3)), style)
        self._plants(piece, side, front + 1, front + 25, 1.5)


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
