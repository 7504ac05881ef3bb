# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What does not move in one section of a street: ground, fronts, plants, parked cars."""

from __future__ import annotations

import numpy as np

from ...labels import CLASS_ID
from . import street
from .actors import put_person, put_vehicle
from .layout import CURB_M, SECTION_M, STEP_M, Places, Plan, Section
from .meshes import Mesh, Rng, Shape, quads
from .objects import Look
from .scene import SceneBuilder

_CROSS = (8.0, 16.0)
"""Where in its section a crossing street runs, in metres."""
_PAINT_M = 0.0005
"""Height of a zebra crossing's paint, so that it is met before the asphalt."""
_CURB = Look('concrete', (0.33, 0.32, 0.3))
_WHITE = Look('asphalt', (0.55, 0.55, 0.54))


class Furnisher:
    """Fills one section; every number comes from the section's own generator."""

    def __init__(self, plan: Plan, builder: SceneBuilder, section: Section, rng: Rng, *,
                 crossing: bool, keep_clear: bool) -> None:
        self._plan = plan
        self._layout = plan.layout
        self._builder = builder
        self._section = section
        self._rng = rng
        self._keep_clear = keep_clear
        self._crossing = crossing
        self._count = 0
        self._ground: dict[tuple[str, Look], list[Places]] = {}

    def run(self) -> None:
        """Everything, side by side; nothing where the camera is looking elsewhere."""
        s, t = np.meshgrid((0.0, SECTION_M / 2, SECTION_M), (-80.0, -40.0, 0.0, 40.0, 80.0))
        x, y, _ = self._section.pose(s.ravel(), t.ravel())
        if not any(self._builder.sees(float(a), float(b), 0.0, 24.0)
                   for a, b in zip(x, y, strict=True)):
            return
        self._road()
        for side in (1, -1):
            self._side(side)
        self._lay()
        if self._crossing and not self._keep_clear:
            self._crowd(float(self._rng.choice((6.0, 18.0))), 0.0, 0.0, 3.0, 0.7)

    # Helpers.

    def _chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def _number(self, used: int = 1) -> int:
        """The number of a new thing, unique in the world."""
        self._count += used
        return (self._section.index + 1000) * 1000 + self._count - used + 1

    def _strip(self, s: tuple[float, float], t: tuple[float, float], z: float, class_name: str,
               look: Look) -> None:
        """A strip of ground between two s and two t, in metres; see _lay."""
        edges = np.append(np.arange(s[0], s[1] - 1e-6, STEP_M), s[1])
        self._cells(edges[:-1], edges[1:], min(t), max(t), z, class_name, look)

    def _cells(self, begin: Places, end: Places, right: Places | float, left: Places | float,
               z: float, class_name: str, look: Look) -> None:
        """Pieces of ground from begin to end along s, from right to left along t, in metres."""
        rim = np.empty((len(begin), 4, 3))
        rim[:, 0, 0] = rim[:, 3, 0] = begin
        rim[:, 1, 0] = rim[:, 2, 0] = end
        rim[:, 0, 1] = rim[:, 1, 1] = right
        rim[:, 2, 1] = rim[:, 3, 1] = left
        rim[..., 2] = z
        self._ground.setdefault((class_name, look), []).append(rim)

    def _upright(self, s: tuple[float, float], t: float) -> None:
        """The upright face of a curb."""
        edges = np.append(np.arange(s[0], s[1] - 1e-6, STEP_M), s[1])
        rim = np.empty((len(edges) - 1, 4, 3))
        rim[:, 0, 0] = rim[:, 3, 0] = edges[:-1]
        rim[:, 1, 0] = rim[:, 2, 0] = edges[1:]
        rim[..., 1] = t
        rim[:, :2, 2], rim[:, 2:, 2] = -0.04, CURB_M
        self._ground.setdefault(('sidewalk', _CURB), []).append(rim)

    def _lay(self) -> None:
        """Put all pieces of ground into the scene, bent to the street."""
        for (class_name, look), pieces in self._ground.items():
            rim = np.concatenate(pieces)
            x, y, _ = self._section.pose(rim[..., 0], rim[..., 1])
            place = np.stack([x - self._builder.origin[0], y - self._builder.origin[1],
                              rim[..., 2]], -1)
            uv = rim[..., :2] + (self._section.index * SECTION_M, 0.0)
            if look is _CURB:
                uv[..., 1] += rim[..., 2]
            self._builder.add_ground(quads(place, uv=uv), CLASS_ID[class_name], [look])

    def _put(self, thing: tuple[Mesh | Shape, list[Look]], class_name: str, s: float, t: float,
             z: float = 0.0, turn: float = 0.0, scale: float = 1.0) -> None:
        """A thing at street coordinates, turned to the street's heading."""
        mesh, looks = thing
        x, y, heading = self._section.pose(s, t)
        self._builder.put(mesh, (float(x), float(y), z), float(heading) + turn,
                          CLASS_ID[class_name], looks, 0, (scale, scale, scale))

    def _seen(self, s: float, t: float, radius_m: float) -> bool:
        """Whether it is worth while to make something for that place."""
        x, y, _ = self._section.pose(s, t)
        return self._builder.sees(float(x), float(y), radius_m)

    # The road.

    def _road(self) -> None:
        """Lanes with markings; in a crossing the other street as well."""
        layout = self._layout
        left, right = layout.road_edge(1), -layout.road_edge(-1)
        asphalt = Look('asphalt', layout.asphalt)
        pieces: list[tuple[float, float]] = [(0.0, SECTION_M)]
        if self._crossing:
            self._strip(_CROSS, (-90, 90), 0.0, 'road', asphalt)
            pieces = [(0.0, _CROSS[0]), (_CROSS[1], SECTION_M)]
        lines = {0.0: layout.marking[0]}
        for lane in range(1, layout.lanes):
            lines[lane * layout.lane_m] = lines[-lane * layout.lane_m] = 'dashed'
        edge = layout.lanes * layout.lane_m - 0.15
        lines[edge] = lines[-edge] = layout.marking[1]
        for low, high in pieces:
            start = right
            for t in sorted(lines):
                if lines[t] == 'none':
                    continue
                self._strip((low, high), (start, t - 0.07), 0.0, 'road', asphalt)
                begin = np.arange(low, high - 1e-6, 4.0)
                middle = np.minimum(begin + 2.0, high)
                for a, b, look in ((begin, middle, _WHITE),
                                   (middle, np.minimum(begin + 4.0, high),
                                    _WHITE if lines[t] == 'solid' else asphalt)):
                    self._cells(a, b, t - 0.07, t + 0.07, 0.0, 'road', look)
                start = t + 0.07
            self._strip((low, high), (start, left), 0.0, 'road', asphalt)
        if self._crossing and self._chance(0.6):
            bar = np.arange(right + 0.4, left - 0.6, 1.0)
            for at in (5.2, 16.3):
                self._cells(np.full_like(bar, at), np.full_like(bar, at + 2.6), bar, bar + 0.5,
                            _PAINT_M, 'road', _WHITE)

    # What lies beside it.

    def _side(self, side: int) -> None:
        """Sidewalk, verge and front of one side (1 left, -1 right)."""
        layout, rng = self._layout, self._rng
        style = np.random.default_rng([*self._plan.seed, 5, side + 1])
        town = layout.town
        walk = float(style.uniform(1.4, 4.0)) if style.random() < 0.2 + 0.9 * town else 0.0
        verge = float(style.uniform(0.8, 3.0)) if style.random() < 0.35 else 0.0
        edge = layout.road_edge(side)
        pieces = [(0.0, _CROSS[0]), (_CROSS[1], SECTION_M)] if self._crossing else [
            (0.0, SECTION_M)]
        for s in pieces:
            if walk:
                self._upright(s, side * edge)
                self._strip(s, (side * edge, side * (edge + 0.16)), CURB_M, 'sidewalk',
                            _CURB)
                self._strip(s, (side * (edge + 0.16), side * (edge + walk)), CURB_M, 'sidewalk',
                            layout.paving)
                self._upright(s, side * (edge + walk))
            if verge:
                self._strip(s, (side * (edge + walk), side * (edge + walk + verge)), 0.0,
                            'terrain', Look('grass', layout.terrain))
        if self._crossing and walk:
            rim = np.zeros((2, 4, 3))
            rim[:, :, 0] = np.array(_CROSS)[:, None]
            rim[:, :, 1] = side * np.array((edge, edge + walk, edge + walk, edge))
            rim[:, :, 2] = (-0.04, -0.04, CURB_M, CURB_M)
            self._ground.setdefault(('sidewalk', _CURB), []).append(rim)
        front = edge + walk + verge
        self._parked(side, edge)
        self._furniture(side, edge, walk, front)
        self._front(side, front, walk, pieces)
        density = self._plan.densities
        if walk and self._chance((0.03 + 0.13 * town) * density.people):
            self._crowd(rng.uniform(2, SECTION_M - 2), side * (edge + walk / 2), CURB_M,
                        rng.uniform(0.8, 2.5), min(walk / 4, 0.9))
        if walk and self._chance(0.25 * town * density.people):
            self._parked_bikes(side, edge, walk)
        far = rng.uniform(45, 95)
        if self._chance(0.8):
            self._put(street.plant(rng, 'thicket'), 'vegetation', rng.uniform(0, SECTION_M),
                      side * far, 0.0, float(rng.normal(0, 0.5)), rng.uniform(0.8, 1.8))

    def _front(self, side: int, front: float, walk: float,
               pieces: list[tuple[float, float]]) -> None:
        """Houses, walls, fences, hedges or open land along one side."""
        layout, rng = self._layout, self._rng
        style = np.random.default_rng([*self._plan.seed, 6, side + 1, self._section.index // 4
                                       + 1000])
        town = layout.town
        setback = float(style.uniform(0, 1.0) if style.random() < town ** 2
                        else style.uniform(3, 12))
        storeys = int(style.integers(1, 3)) + int(style.integers(0, 4) * town * 1.2)
        border = str(style.choice(('none', 'wall', 'fence', 'hedge'), p=(0.25, 0.2, 0.3, 0.25)))
        built = style.random() < 0.25 + 0.75 * town
        turn = 0.0 if side > 0 else np.pi
        for low, high in pieces:
            if border != 'none' and setback > 2 and not self._chance(0.15):
                length = high - low
                maker = {'wall': street.wall, 'fence': street.fence, 'hedge': street.hedge}[border]
                class_name = {'wall': 'wall', 'fence': 'fence', 'hedge': 'vegetation'}[border]
                parts = max(1, round(length / 8))
                if not self._seen((low + high) / 2, side * (front + 0.7), length / 2):
                    continue
                same = maker(np.random.default_rng([*self._plan.seed, 7, side + 1,
                                                    self._section.index // 4 + 1000]),
                             length / parts + 0.02)
                for i in range(parts):
                    self._put(same, class_name, low + (i + 0.5) * length / parts,
                              side * (front + 0.7), 0.0, turn)
            s = low + (rng.uniform(0, 2.0) if setback > 2 else 0.0)
            while built and high - s > 5:
                width = float(min(rng.uniform(7, 14), high - s))
                tall = max(1, storeys + int(rng.integers(-1, 2)))
                gap = 0.0 if setback < 2 else rng.uniform(0, 2)
                at, t = s + width / 2, side * (front + setback + rng.uniform(0, 0.4))
                own = int(rng.integers(2 ** 31))
                if not self._chance(0.1) and self._seen(at, t, 16.0):
                    house = street.building(np.random.default_rng(own), width - gap, tall)
                    self._put(house, 'building', at, t, 0.0, turn)
                s += width + (0.0 if setback < 2 else rng.uniform(0, 6))
        plants = self._plan.densities.plants * (1.0 if setback > 2 or not built else 0.1)
        for _ in range(rng.poisson((4.0 if not built else 1.5) * plants)):
            kind = str(rng.choice(('broadleaf', 'conifer', 'bush'), p=(0.5, 0.15, 0.35)))
            depth = setback if built else rng.uniform(2, 28)
            self._put(street.plant(rng, kind), 'vegetation', self._free_s(),
                      side * (front + max(1.2, rng.uniform(0.4, 1.0) * depth)), -0.02,
                      float(rng.uniform(0, 6.3)), rng.uniform(0.7, 1.35))

    def _free_s(self) -> float:
        """A place along the section outside of a crossing street."""
        s = float(self._rng.uniform(0, SECTION_M))
        if self._crossing and _CROSS[0] - 1 < s < _CROSS[1] + 1:
            s = float(self._rng.uniform(0, _CROSS[0] - 1))
        return s

    def _furniture(self, side: int, edge: float, walk: float, front: float) -> None:
        """Lamps, signs, traffic lights and street trees, close to the curb."""
        rng, layout = self._rng, self._layout
        z = CURB_M if walk else -0.03
        t = side * (edge + 0.45)
        inward = np.pi if side > 0 else 0.0
        furniture = self._plan.densities.furniture
        lamp = np.random.default_rng([*self._plan.seed, 8, side + 1])
        if self._chance(0.75 * furniture) and lamp.random() < 0.4 + 0.5 * layout.town:
            height = float(lamp.uniform(4.5, 9))
            arm = float(lamp.choice((0.0, 1.2, 2.0)))
            self._put(street.pole(lamp, height, arm, float(lamp.uniform(0.05, 0.1))), 'pole',
                      2.0, t, z, inward)
        if self._chance(0.35 * furniture):
            s, height = self._free_s(), rng.uniform(2.2, 2.9)
            facing = 0.0 if side * layout.hand < 0 else np.pi
            self._put(street.pole(rng, height + 0.3, 0.0, 0.035), 'pole', s, t, z)
            x = s + (-0.06 if facing == 0 else 0.06)
            self._put(street.sign(rng), 'traffic sign', x, t, z + height, facing
                      + float(rng.normal(0, 0.12)))
        if self._crossing and self._chance((0.3 + 0.5 * layout.town) * furniture):
            for s in (_CROSS[0] - 1.2, _CROSS[1] + 1.2):
                facing = 0.0 if s < 12 else np.pi
                self._put(street.pole(rng, 3.4, 0.0, 0.06), 'pole', s, t, z)
                x = s + (-0.2 if facing == 0 else 0.2)
                self._put(street.traffic_light(rng), 'traffic light', x, t, z + 2.9, facing)
        trees = np.random.default_rng([*self._plan.seed, 9, side + 1])
        if trees.random() < 0.45 * self._plan.densities.plants:
            spacing = float(trees.choice((8.0, 12.0, 24.0)))
            inset = 0.8 if walk > 2.2 else (front - edge) + 0.8
            for s in np.arange(spacing / 2, SECTION_M, spacing):
                if self._crossing and _CROSS[0] - 2 < s < _CROSS[1] + 2 or self._chance(0.12):
                    continue
                self._put(street.plant(rng, 'broadleaf'), 'vegetation', float(s) + 0.8,
                          side * (edge + inset), z, float(rng.uniform(0, 6.3)),
                          rng.uniform(0.6, 1.0))
        if self._chance(0.25 * furniture) and layout.town > 0.3:
            self._put(street.pole(rng, rng.uniform(0.7, 1.1), 0.0, 0.06), 'pole',
                      self._free_s(), t, z)

    # Things.

    def _parked(self, side: int, edge: float) -> None:
        """Parked vehicles, in a row or beside one another."""
        rng, layout = self._rng, self._layout
        share = layout.parking[0 if side > 0 else 1]
        step = 2.7 if layout.parking_turned else 5.9
        if not share:
            return
        for s in np.arange(step / 2, SECTION_M - step / 2 + 0.1, step):
            if not self._chance(share) or self._crossing and 4 < s < 20:
                continue
            x, y, heading = self._section.pose(s + rng.normal(0, 0.15), side * (
                edge - (2.4 if layout.parking_turned else 1.1 + rng.normal(0, 0.08))))
            turn = np.pi / 2 if layout.parking_turned else 0.0
            turn += np.pi if (side > 0) == (layout.hand > 0) and not self._chance(0.15) else 0.0
            kind = 'truck' if not layout.parking_turned and self._chance(0.02) else 'car'
            put_vehicle(self._builder, rng, float(x), float(y), 0.0,
                        float(heading) + turn + float(rng.normal(0, 0.03)), self._number(2), kind)

    def _parked_bikes(self, side: int, edge: float, walk: float) -> None:
        """Bicycles and motorcycles without riders."""
        rng = self._rng
        start, kind = self._free_s(), str(rng.choice(('bicycle', 'motorcycle'), p=(0.75, 0.25)))
        lean = float(rng.uniform(0.2, 1.5))
        for i in range(int(rng.integers(1, 7))):
            x, y, heading = self._section.pose(start + i * 0.75, side * (edge + walk * 0.75))
            put_vehicle(self._builder, rng, float(x), float(y), CURB_M,
                        float(heading) + lean + float(rng.normal(0, 0.08)), self._number(2), kind,
                        ridden=False)

    def _crowd(self, s: float, t: float, z: float, spread_s: float, spread_t: float) -> None:
        """People close together, none inside of another."""
        rng = self._rng
        wanted = rng.normal((s, t), (spread_s, spread_t), (int(rng.integers(3, 22)), 2))
        placed: list[Places] = []
        for place in wanted:
            if all(np.hypot(*(place - other)) > 0.42 for other in placed):
                placed.append(place)
        common = float(rng.uniform(0, 6.3))
        for place in placed:
            x, y, heading = self._section.pose(place[0], place[1])
            pose = 'stand' if self._chance(0.4) else 'walk'
            put_person(self._builder, rng, float(x), float(y), z, float(heading) + common
                       + float(rng.normal(0, 0.9)), self._number(), pose)
