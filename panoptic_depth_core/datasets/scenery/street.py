# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A street without end, made in sections: what is where, as a function of the seed only.

Everything that moves does so as a function of time, so that no state is kept. Street coordinates:
s meters along the street, t meters to the left of its middle line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...config import Settings
from ...labels import CLASS_ID
from . import objects
from .meshes import Look, Rng, Shape, quads
from .scene import Scene, SceneBuilder

Places = NDArray[np.float64]
Span = tuple[float, float]

SECTION_M = 24.0
BEHIND, AHEAD = 2, 8
"""Sections that exist behind and ahead of the camera."""
_STEP_M = 2.0
_CURB_M = 0.12
_CURB_FACE = (-0.04, -0.04, _CURB_M, _CURB_M)
CROSS_S = (8.0, 16.0)
"""Where in its section a crossing street runs, in meters."""
_PAINT_M = 0.0005
"""Height of a zebra crossing's paint, so that it is met before the asphalt."""
_REACH_M = {'truck': 8.0, 'bus': 8.0, 'train': 16.0}
_CURB = Look('concrete', (0.33, 0.32, 0.3))
_WHITE = Look('asphalt', (0.55, 0.55, 0.54))


class Densities(Settings):
    """How full the street is; 1 is usual."""

    vehicles: float = 1.0
    people: float = 1.0
    plants: float = 1.0
    furniture: float = 1.0


@dataclass(frozen=True)
class Layout:
    """What stays the same along the whole street."""

    lane_m: float
    lanes: int  # Per direction.
    hand: int  # 1 right-hand traffic, -1 left-hand.
    parking: Span  # Share of parked cars on the (left, right) side, 0 no parking strip.
    town: float
    bends: bool
    marking: tuple[str, str]
    asphalt: Look
    terrain: Look
    paving: Look
    traffic: float
    parking_turned: bool
    curb_m: float = _CURB_M  # Height of the sidewalk.
    curb: Look = _CURB
    median_m: float = 0.0  # Width of what parts the directions.

    def road_edge(self, side: int) -> float:
        """Distance of the curb from the middle line in meters; side 1 left, -1 right."""
        strip = 4.6 if self.parking_turned else 2.3
        return self.carriageway() + (strip if self.parking[side < 0] else 0.0)

    def carriageway(self) -> float:
        """Distance of the outer lanes' edge from the middle line in meters."""
        return self.lane_m * self.lanes + self.median_m / 2

    def lane(self, number: int) -> float:
        """Distance of a lane's middle from the middle line in meters; 0 is the inmost."""
        return (number + 0.5) * self.lane_m + self.median_m / 2

    def walker(self, side: int, rng: Rng) -> float:
        """Distance of someone on the sidewalk from the middle line in meters."""
        return self.road_edge(side) + rng.uniform(0.6, 1.8)

    def own_lane(self) -> float:
        """Place t of the middle of the outer lane, which the camera drives in."""
        return -self.hand * self.lane(self.lanes - 1)


def _draw_layout(rng: Rng) -> Layout:
    """A street by chance: from a country road to a town's main street."""
    town = float(rng.random())
    lanes = int(rng.choice((1, 2), p=(0.75, 0.25)))
    left, right = (float(rng.uniform(0.3, 0.95)) if rng.random() < 0.25 + 0.45 * town else 0.0
                   for _ in range(2))
    grey = rng.uniform(0.07, 0.24)
    green = np.array((0.13, 0.16, 0.06)) * rng.uniform((0.6, 0.7, 0.5), (1.7, 1.3, 1.4))
    slab = rng.uniform(0.16, 0.42)
    return Layout(
        lane_m=float(rng.uniform(2.8, 3.7)), lanes=lanes, hand=1 if rng.random() < 0.85 else -1,
        parking=(left, right), town=town, bends=bool(rng.random() < 0.5),
        marking=(str(rng.choice(('dashed', 'solid', 'none'), p=(0.55, 0.15, 0.3))),
                 str(rng.choice(('solid', 'none'), p=(0.5, 0.5)))),
        asphalt=Look('asphalt', (grey, grey * rng.uniform(0.95, 1.01),
                                 grey * rng.uniform(0.9, 1.04))),
        terrain=Look('grass', tuple(green)),
        paving=Look(str(rng.choice(('paving', 'cobble', 'asphalt', 'concrete'),
                                   p=(0.5, 0.15, 0.2, 0.15))),
                    (slab, slab * rng.uniform(0.93, 1), slab * rng.uniform(0.85, 1))),
        traffic=float(rng.uniform(0.1, 1.0)), parking_turned=bool(rng.random() < 0.12))


@dataclass(frozen=True)
class Section:
    """Pose of a section's start and its curvature in 1/m."""

    index: int
    x: float
    y: float
    heading: float
    curvature: float

    def poses(self, s: Places, t: Places) -> tuple[Places, Places, Places]:
        """World x, y in meters and heading in radians at s from the section's start."""
        heading = self.heading + self.curvature * s
        half = self.curvature * s / 2
        chord = s * np.sinc(half / np.pi)
        x = self.x + chord * np.cos(self.heading + half) - t * np.sin(heading)
        y = self.y + chord * np.sin(self.heading + half) + t * np.cos(heading)
        return x, y, heading

    def pose(self, s: float, t: float) -> tuple[float, float, float]:
        """That of one place."""
        x, y, heading = self.poses(np.asarray(s, np.float64), np.asarray(t, np.float64))
        return float(x), float(y), float(heading)


class World:
    """The sections around the camera, and the traffic at any time."""

    @property
    def furnisher(self) -> type[Furnisher]:
        """What fills a section."""
        return Furnisher

    def __init__(self, seed: tuple[int, ...], densities: Densities) -> None:
        self.seed = seed
        self.densities = densities
        self.layout = self.draw_layout(self.rng(1))
        first = -BEHIND
        self._sections = {first: Section(first, first * SECTION_M, 0.0, 0.0, 0.0)}
        self._scenes: dict[int, Scene] = {}

    def draw_layout(self, rng: Rng) -> Layout:
        return _draw_layout(rng)

    def vehicle(self, rng: Rng, kind: str) -> tuple[Shape, list[Look]]:
        """A vehicle of a class by chance, and its looks by slot."""
        return objects.pick(rng, kind), objects.vehicle_looks(rng, kind)

    def rng(self, *key: int) -> Rng:
        """The generator of one thing in this world."""
        return np.random.default_rng([*self.seed, *key])

    def section(self, index: int) -> Section:
        """A section; those before it must not have been dropped."""
        last = max(self._sections)
        while last < index:
            x, y, heading = self._sections[last].pose(SECTION_M, 0.0)
            rng = self.rng(2, last + 1000)
            bend = float(rng.normal(0, 0.004)) - 0.004 * heading
            curvature = bend if self.layout.bends and last >= 0 and rng.random() < 0.7 else 0.0
            last += 1
            self._sections[last] = Section(last, x, y, heading, curvature)
        return self._sections[index]

    def advance(self, here: int) -> bool:
        """Make the scenes about a section and forget those behind; whether any was made."""
        wanted = range(here - BEHIND + 1, here + AHEAD)
        new = [number for number in wanted if number not in self._scenes]
        for number in new:
            start = self.section(number)
            builder = SceneBuilder((start.x, start.y))
            self.furnish(builder, number, keep_clear=True)
            self._scenes[number] = builder.build()
        self._scenes = {i: scene for i, scene in self._scenes.items() if i in wanted}
        self._sections = {i: part for i, part in self._sections.items() if i >= here - BEHIND}
        return bool(new)

    def still(self, origin: Places) -> Scene:
        """What does not move about the section of the last advance."""
        return Scene.merged(list(self._scenes.values()), origin)

    def __len__(self) -> int:
        """How many sections are kept."""
        return max(len(self._sections), len(self._scenes))

    def pose(self, s: float, t: float) -> tuple[float, float, float]:
        """World x, y in meters and heading in radians at a place on the street."""
        index = int(s // SECTION_M)
        return self.section(index).pose(s - index * SECTION_M, t)

    def ground(self, builder: SceneBuilder, x: float, y: float) -> None:
        """Put the terrain under everything, as far as one can see from x, y."""
        corner = np.array(((-1, -1), (1, -1), (1, 1), (-1, 1))) * 900.0
        place = np.column_stack([corner + np.array((x, y)) - builder.origin, np.full(4, -0.03)])
        builder.add_ground(quads(place[None], uv=(corner + (x, y))[None]), CLASS_ID['terrain'],
                           self.layout.terrain)

    def furnish(self, builder: SceneBuilder, index: int, keep_clear: bool) -> None:
        """Put everything that does not move in a section; with lanes kept clear for a drive."""
        self.furnisher(self, builder, index).run(keep_clear)

    def traffic(self, builder: SceneBuilder, s_eye: float, time_s: float, speed: float) -> None:
        """
        Put what moves: rows of vehicles in the lanes, people on the sidewalks.

        :param speed: of the camera in m/s; what is in its lane keeps its distance.
        """
        layout, density = self.layout, self.densities
        span = s_eye - (BEHIND - 0.5) * SECTION_M, s_eye + (AHEAD - 0.5) * SECTION_M
        for lane in range(2 * layout.lanes):
            along = lane < layout.lanes
            number = lane % layout.lanes
            t = -layout.lane(number) * (1 if along else -1) * layout.hand
            velocity = (speed + 2.0 * (layout.lanes - 1 - number)) if along else -9.0
            for k, s, rng in self._row(10 + lane, 26.0, velocity * time_s, span,
                                       0.75 * layout.traffic * density.vehicles):
                if along and abs(s - s_eye) < 9 and number == layout.lanes - 1:
                    continue
                x, y, heading = self.pose(s, t + float(rng.normal(0, 0.15)))
                put_vehicle(self, builder, rng, x, y, 0.0, heading + (0.0 if along else np.pi)
                            + float(rng.normal(0, 0.02)), (lane + 1) * 10 ** 8 + 2 * k)
        for row, (side, velocity) in enumerate(((1, 1.3), (1, -1.2), (-1, 1.3), (-1, -1.2))):
            for k, s, rng in self._row(30 + row, 9.0, velocity * time_s, span,
                                       (0.04 + 0.2 * layout.town) * density.people):
                x, y, heading = self.pose(s, side * layout.walker(side, rng))
                put_person(builder, rng, x, y, layout.curb_m,
                           heading + (0 if velocity > 0 else np.pi), (row + 20) * 10 ** 8 + k)
        for row, side in enumerate((1, -1)):
            along = (side < 0) == (layout.hand > 0)
            for k, s, rng in self._row(40 + row, 17.0, (4.5 if along else -4.5) * time_s, span,
                                       (0.08 + 0.17 * layout.town) * density.people):
                x, y, heading = self.pose(s, side * (layout.carriageway()
                                                     - rng.uniform(0.3, 0.8)))
                put_vehicle(self, builder, rng, x, y, 0.0, heading + (0 if along else np.pi),
                            (row + 30) * 10 ** 8 + 2 * k, 'bicycle')

    def _row(self, key: int, gap: float, shift: float, span: Span, share: float
             ) -> Iterator[tuple[int, float, Rng]]:
        """Number >= 0, s and generator of the members of a row; ``share`` of them are there."""
        low, high = span
        for k in range(int(np.floor((low - shift) / gap)), int(np.ceil((high - shift) / gap))):
            rng = self.rng(key, k + 10 ** 6)
            s = k * gap + shift + float(rng.uniform(0, gap * 0.45))
            if low < s < high and rng.random() <= share:
                yield k + 10 ** 6, s, rng


class Furnisher:
    """Puts what does not move in one section: ground, fronts, plants, parked vehicles."""

    def __init__(self, world: World, builder: SceneBuilder, index: int) -> None:
        self._world = world
        self._layout = world.layout
        self._density = world.densities
        self._builder = builder
        self._section = world.section(index)
        self._rng = world.rng(4, index + 1000)
        # Never in two sections in a row.
        self._crossing = index % 3 == 1 and bool(
            world.rng(3, index + 1000).random() < 0.2 + 0.35 * world.layout.town)
        self._pieces = [(0.0, CROSS_S[0]), (CROSS_S[1], SECTION_M)] if self._crossing else [
            (0.0, SECTION_M)]
        self._count = 0
        self._ground: dict[tuple[str, Look], list[Places]] = {}

    def run(self, keep_clear: bool) -> None:
        """Fill the section, unless the camera is looking elsewhere."""
        s, t = np.meshgrid((0.0, SECTION_M / 2, SECTION_M), (-80.0, -40.0, 0.0, 40.0, 80.0))
        x, y, _ = self._section.poses(s.ravel(), t.ravel())
        if not any(self._builder.sees(float(a), float(b), 17.0)
                   for a, b in zip(x, y, strict=True)):
            return
        self._road()
        for side in (1, -1):
            self._side(side)
        for (class_name, look), pieces in self._ground.items():
            rim = np.concatenate(pieces)
            x, y, _ = self._section.poses(rim[..., 0], rim[..., 1])
            place = np.stack([x - self._builder.origin[0], y - self._builder.origin[1],
                              rim[..., 2]], -1)
            uv = rim[..., :2] + (self._section.index * SECTION_M, 0.0)
            if look is self._layout.curb:
                uv[..., 1] += rim[..., 2]
            self._builder.add_ground(quads(place, uv=uv), CLASS_ID[class_name], look)
        if self._crossing and not keep_clear:
            self._crowd(float(self._rng.choice((6.0, 18.0))), 0.0, 0.0, (3.0, 0.7))

    def _chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def _number(self, used: int = 1) -> int:
        """The number of a new thing, unique in the world."""
        self._count += used
        return (self._section.index + 1000) * 1000 + self._count - used + 1

    def _strip(self, s: Span, t: Span, z: float | tuple[float, ...], class_name: str, look: Look
               ) -> None:
        """A strip of ground between two s and two t, in meters; z of all or of its corners."""
        edges = np.append(np.arange(s[0], s[1] - 1e-6, _STEP_M), s[1])
        self._cells(edges[:-1], edges[1:], min(t), max(t), z, class_name, look)

    def _cells(self, begin: Places, end: Places, right: Places | float, left: Places | float,
               z: float | tuple[float, ...], class_name: str, look: Look) -> None:
        """Pieces of ground from begin to end along s, from right to left along t, in meters."""
        rim = np.empty((len(begin), 4, 3))
        rim[:, (0, 3), 0], rim[:, (1, 2), 0] = begin[:, None], end[:, None]
        rim[:, 0, 1] = rim[:, 1, 1] = right
        rim[:, 2, 1] = rim[:, 3, 1] = left
        rim[..., 2] = z
        self._ground.setdefault((class_name, look), []).append(rim)

    def _put(self, prop: objects.Prop, class_name: str, s: float, t: float, z: float = 0.0,
             turn: float = 0.0, scale: float = 1.0) -> None:
        """Put a prop at street coordinates, turned to the street's heading."""
        x, y, heading = self._section.pose(s, t)
        self._builder.put(prop[0], (x, y, z), heading + turn, CLASS_ID[class_name], prop[1], 0,
                          (scale, scale, scale))

    def _seen(self, s: float, t: float, radius_m: float) -> bool:
        """Whether it is worthwhile to make something for that place."""
        x, y, _ = self._section.pose(s, t)
        return self._builder.sees(x, y, radius_m)

    def _free_s(self) -> float:
        """A place along the section outside of a crossing street."""
        s = float(self._rng.uniform(0, SECTION_M))
        if self._crossing and CROSS_S[0] - 1 < s < CROSS_S[1] + 1:
            s = float(self._rng.uniform(0, CROSS_S[0] - 1))
        return s

    def _road(self) -> None:
        """Lanes with markings; in a crossing the other street as well."""
        layout = self._layout
        left, right = layout.road_edge(1), -layout.road_edge(-1)
        asphalt = layout.asphalt
        if self._crossing:
            self._strip(CROSS_S, (-90, 90), 0.0, 'road', asphalt)
        lines = {0.0: layout.marking[0]}
        for lane in range(1, layout.lanes):
            lines[lane * layout.lane_m] = lines[-lane * layout.lane_m] = 'dashed'
        edge = layout.lanes * layout.lane_m - 0.15
        lines[edge] = lines[-edge] = layout.marking[1]
        for low, high in self._pieces:
            start = right
            for t in sorted(t for t, kind in lines.items() if kind != 'none'):
                self._strip((low, high), (start, t - 0.07), 0.0, 'road', asphalt)
                begin = np.arange(low, high - 1e-6, 4.0)
                middle, end = np.minimum(begin + 2.0, high), np.minimum(begin + 4.0, high)
                gap = _WHITE if lines[t] == 'solid' else asphalt
                for a, b, look in ((begin, middle, _WHITE), (middle, end, gap)):
                    self._cells(a, b, t - 0.07, t + 0.07, 0.0, 'road', look)
                start = t + 0.07
            self._strip((low, high), (start, left), 0.0, 'road', asphalt)
        if self._crossing and self._chance(0.6):
            bar = np.arange(right + 0.4, left - 0.6, 1.0)
            for at in (5.2, 16.3):
                self._cells(np.full_like(bar, at), np.full_like(bar, at + 2.6), bar, bar + 0.5,
                            _PAINT_M, 'road', _WHITE)

    def _side(self, side: int) -> None:
        """Sidewalk, verge, front and what stands there; side 1 left, -1 right."""
        layout, rng, town = self._layout, self._rng, self._layout.town
        style = self._world.rng(5, side + 1)
        walk = float(style.uniform(1.4, 4.0)) if style.random() < 0.2 + 0.9 * town else 0.0
        verge = float(style.uniform(0.8, 3.0)) if style.random() < 0.35 else 0.0
        edge = layout.road_edge(side)
        inner, outer = side * edge, side * (edge + walk)
        slabs = side * (edge + 0.16)
        front = edge + walk + verge
        for s in self._pieces:
            if walk:
                self._strip(s, (inner, inner), _CURB_FACE, 'sidewalk', _CURB)
                self._strip(s, (inner, slabs), _CURB_M, 'sidewalk', _CURB)
                self._strip(s, (slabs, outer), _CURB_M, 'sidewalk', layout.paving)
                self._strip(s, (outer, outer), _CURB_FACE, 'sidewalk', _CURB)
            if verge:
                self._strip(s, (outer, side * front), 0.0, 'terrain', layout.terrain)
        if self._crossing and walk:
            rim = np.zeros((2, 4, 3))
            rim[..., 0] = np.array(CROSS_S)[:, None]
            rim[..., 1] = (inner, outer, outer, inner)
            rim[..., 2] = _CURB_FACE
            self._ground.setdefault(('sidewalk', _CURB), []).append(rim)
        self._parked(side, edge)
        self._furniture(side, edge, walk, front)
        self._front(side, front)
        if walk and self._chance((0.03 + 0.13 * town) * self._density.people):
            self._crowd(rng.uniform(2, SECTION_M - 2), side * (edge + walk / 2), layout.curb_m,
                        (rng.uniform(0.8, 2.5), min(walk / 4, 0.9)))
        if walk and self._chance(0.25 * town * self._density.people):
            self._parked_bikes(side * (edge + walk * 0.75))
        far = rng.uniform(45, 95)
        if self._chance(0.8):
            self._put(objects.plant(rng, 'thicket'), 'vegetation', rng.uniform(0, SECTION_M),
                      side * far, 0.0, float(rng.normal(0, 0.5)), rng.uniform(0.8, 1.8))

    def _front(self, side: int, front: float) -> None:
        """Houses, walls, fences, hedges or open land along one side."""
        rng, town = self._rng, self._layout.town
        # Four sections in a row are of one style.
        block = self._section.index // 4 + 1000
        style = self._world.rng(6, side + 1, block)
        setback = float(style.uniform(0, 1.0) if style.random() < town ** 2
                        else style.uniform(3, 12))
        storeys = int(style.integers(1, 3)) + int(style.integers(0, 4) * town * 1.2)
        border = str(style.choice(('none', 'wall', 'fence', 'hedge'), p=(0.25, 0.2, 0.3, 0.25)))
        built = style.random() < 0.25 + 0.75 * town
        turn = 0.0 if side > 0 else np.pi
        for low, high in self._pieces:
            if border != 'none' and setback > 2 and not self._chance(0.15):
                length, t = high - low, side * (front + 0.7)
                parts = max(1, round(length / 8))
                if not self._seen((low + high) / 2, t, length / 2):
                    continue
                maker, class_name = objects.BORDERS[border]
                prop = maker(self._world.rng(7, side + 1, block), length / parts + 0.02)
                for i in range(parts):
                    self._put(prop, class_name, low + (i + 0.5) * length / parts, t, 0.0, turn)
            s = low + (rng.uniform(0, 2.0) if setback > 2 else 0.0)
            while built and high - s > 5:
                width = float(min(rng.uniform(7, 14), high - s))
                tall = max(1, storeys + int(rng.integers(-1, 2)))
                gap = 0.0 if setback < 2 else rng.uniform(0, 2)
                at, t = s + width / 2, side * (front + setback + rng.uniform(0, 0.4))
                own = int(rng.integers(2 ** 31))
                if not self._chance(0.1) and self._seen(at, t, 16.0):
                    self._put(objects.building(np.random.default_rng(own), width - gap, tall),
                              'building', at, t, 0.0, turn)
                s += width + (0.0 if setback < 2 else rng.uniform(0, 6))
        plants = self._density.plants * (1.0 if setback > 2 or not built else 0.1)
        for _ in range(rng.poisson((4.0 if not built else 1.5) * plants)):
            kind = str(rng.choice(('broadleaf', 'conifer', 'bush'), p=(0.5, 0.15, 0.35)))
            depth = setback if built else rng.uniform(2, 28)
            self._put(objects.plant(rng, kind), 'vegetation', self._free_s(),
                      side * (front + max(1.2, rng.uniform(0.4, 1.0) * depth)), -0.02,
                      float(rng.uniform(0, 6.3)), rng.uniform(0.7, 1.35))

    def _furniture(self, side: int, edge: float, walk: float, front: float) -> None:
        """Lamps, signs, traffic lights and street trees, close to the curb."""
        rng, town, share = self._rng, self._layout.town, self._density.furniture
        z = _CURB_M if walk else -0.03
        t = side * (edge + 0.45)
        lamp = self._world.rng(8, side + 1)
        if self._chance(0.75 * share) and lamp.random() < 0.4 + 0.5 * town:
            height = float(lamp.uniform(4.5, 9))
            arm = float(lamp.choice((0.0, 1.2, 2.0)))
            self._put(objects.pole(lamp, height, arm, float(lamp.uniform(0.05, 0.1))), 'pole',
                      2.0, t, z, np.pi if side > 0 else 0.0)
        if self._chance(0.35 * share):
            s, height = self._free_s(), rng.uniform(2.2, 2.9)
            facing, before = (0.0, -0.06) if side * self._layout.hand < 0 else (np.pi, 0.06)
            self._put(objects.pole(rng, height + 0.3, 0.0, 0.035), 'pole', s, t, z)
            self._put(objects.sign(rng), 'traffic sign', s + before, t, z + height,
                      facing + float(rng.normal(0, 0.12)))
        if self._crossing and self._chance((0.3 + 0.5 * town) * share):
            for s, facing, before in ((CROSS_S[0] - 1.2, 0.0, -0.2),
                                      (CROSS_S[1] + 1.2, np.pi, 0.2)):
                self._put(objects.pole(rng, 3.4), 'pole', s, t, z)
                self._put(objects.traffic_light(rng), 'traffic light', s + before, t, z + 2.9,
                          facing)
        trees = self._world.rng(9, side + 1)
        if trees.random() < 0.45 * self._density.plants:
            spacing = float(trees.choice((8.0, 12.0, 24.0)))
            inset = 0.8 if walk > 2.2 else (front - edge) + 0.8
            for s in np.arange(spacing / 2, SECTION_M, spacing):
                if self._crossing and CROSS_S[0] - 2 < s < CROSS_S[1] + 2 or self._chance(0.12):
                    continue
                self._put(objects.plant(rng, 'broadleaf'), 'vegetation', float(s) + 0.8,
                          side * (edge + inset), z, float(rng.uniform(0, 6.3)),
                          rng.uniform(0.6, 1.0))
        if self._chance(0.25 * share) and town > 0.3:
            self._put(objects.pole(rng, rng.uniform(0.7, 1.1)), 'pole', self._free_s(), t, z)

    def _parked(self, side: int, edge: float) -> None:
        """Parked vehicles, in a row or beside one another."""
        rng, layout = self._rng, self._layout
        share, beside = layout.parking[side < 0], layout.parking_turned
        step = 2.7 if beside else 5.9
        for s in np.arange(step / 2, SECTION_M - step / 2 + 0.1, step) if share else ():
            if not self._chance(share) or self._crossing and 4 < s < 20:
                continue
            x, y, heading = self._section.pose(s + rng.normal(0, 0.15), side * (
                edge - (2.4 if beside else 1.1 + rng.normal(0, 0.08))))
            turn = np.pi / 2 if beside else 0.0
            turn += np.pi if (side > 0) == (layout.hand > 0) and not self._chance(0.15) else 0.0
            kind = 'truck' if not beside and self._chance(0.02) else 'car'
            put_vehicle(self._world, self._builder, rng, x, y, 0.0, heading + turn
                        + float(rng.normal(0, 0.03)), self._number(2), kind)

    def _parked_bikes(self, t: float) -> None:
        """Bicycles and motorcycles without riders."""
        rng = self._rng
        start, kind = self._free_s(), str(rng.choice(('bicycle', 'motorcycle'), p=(0.75, 0.25)))
        lean = float(rng.uniform(0.2, 1.5))
        for i in range(int(rng.integers(1, 7))):
            x, y, heading = self._section.pose(start + i * 0.75, t)
            put_vehicle(self._world, self._builder, rng, x, y, self._layout.curb_m, heading + lean
                        + float(rng.normal(0, 0.08)), self._number(2), kind, ridden=False)

    def _crowd(self, s: float, t: float, z: float, spread: Span) -> None:
        """People close together, none inside of another."""
        rng = self._rng
        placed: list[Places] = []
        for place in rng.normal((s, t), spread, (int(rng.integers(3, 22)), 2)):
            if all(np.hypot(*(place - other)) > 0.42 for other in placed):
                placed.append(place)
        common = float(rng.uniform(0, 6.3))
        for place in placed:
            x, y, heading = self._section.pose(place[0], place[1])
            pose = 'stand' if self._chance(0.4) else 'walk'
            put_person(self._builder, rng, x, y, z, heading + common
                       + float(rng.normal(0, 0.9)), self._number(), pose)


def put_vehicle(world: World, builder: SceneBuilder, rng: Rng, x: float, y: float, z: float,
                yaw: float, number: int, kind: str = '', ridden: bool = True) -> None:
    """Put a vehicle of a kind, '' any; where it has a rider, that one has the next number."""
    rng = np.random.default_rng(int(rng.integers(2 ** 62)))
    kind = kind or str(rng.choice(('car', 'truck', 'bus', 'bicycle', 'motorcycle', 'train'),
                                  p=(0.62, 0.11, 0.08, 0.1, 0.075, 0.015)))
    if not builder.sees(x, y, _REACH_M.get(kind, 3.0)):
        return
    shape, looks = world.vehicle(rng, kind)
    builder.put(shape, (x, y, z), yaw, CLASS_ID[kind], looks, number,
                rng.uniform(0.96, 1.04, 3).tolist())
    if ridden and kind in ('bicycle', 'motorcycle'):
        saddle = (x - 0.2 * math.cos(yaw), y - 0.2 * math.sin(yaw),
                  z - (0.1 if kind == 'motorcycle' else 0.0))
        builder.put(objects.pick(rng, 'ride'), saddle, yaw, CLASS_ID['rider'],
                    objects.clothes(rng), number + 1)


def put_person(builder: SceneBuilder, rng: Rng, x: float, y: float, z: float, yaw: float,
                number: int, pose: str = 'walk') -> None:
    """Put a person, sometimes a child, into the scene."""
    rng = np.random.default_rng(int(rng.integers(2 ** 62)))
    if not builder.sees(x, y, 1.0):
        return
    scale = rng.uniform(0.55, 0.8) if rng.random() < 0.1 else rng.uniform(0.88, 1.09)
    builder.put(objects.pick(rng, pose), (x, y, z), yaw, CLASS_ID['person'],
                objects.clothes(rng), number, (scale, scale, scale))
