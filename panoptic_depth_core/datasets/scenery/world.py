# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A street without end, made in sections: what is where, as a function of the seed only.

Everything that moves does so as a function of time, so that no state is kept.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...labels import CLASS_ID
from .actors import put_person, put_vehicle
from .furnish import Furnisher
from .layout import AHEAD, BEHIND, CURB_M, SECTION_M, Densities, Places, Plan, Section, draw_layout
from .meshes import Rng, quads
from .objects import Look
from .scene import Scene, SceneBuilder


class World:
    """The sections around the camera, and the traffic at any time."""

    def __init__(self, seed: tuple[int, ...], densities: Densities) -> None:
        self.seed = seed
        self.densities = densities
        self.layout = draw_layout(self._rng(1))
        first = -BEHIND
        self._sections = {first: Section(first, first * SECTION_M, 0.0, 0.0, 0.0)}
        self._scenes: dict[int, Scene] = {}

    def _rng(self, *key: int) -> Rng:
        return np.random.default_rng([*self.seed, *key])

    def section(self, index: int) -> Section:
        """A section; those before it must not have been dropped."""
        last = max(self._sections)
        while last < index:
            before = self._sections[last]
            x, y, heading = before.pose(SECTION_M, 0.0)
            rng = self._rng(2, last + 1000)
            bend = float(rng.normal(0, 0.004)) - 0.004 * float(heading)
            curvature = bend if self.layout.bends and last >= 0 and rng.random() < 0.7 else 0.0
            last += 1
            self._sections[last] = Section(last, float(x), float(y), float(heading), curvature)
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
        """World x, y in metres and heading at a place on the street."""
        index = int(s // SECTION_M)
        x, y, heading = self.section(index).pose(s - index * SECTION_M, t)
        return float(x), float(y), float(heading)

    def ground(self, builder: SceneBuilder, x: float, y: float) -> None:
        """The terrain under everything, as far as one can see from x, y."""
        corner = np.array(((-1, -1), (1, -1), (1, 1), (-1, 1))) * 900.0
        place = np.column_stack([corner + np.array((x, y)) - builder.origin, np.full(4, -0.03)])
        builder.add_ground(quads(place[None], uv=(corner + (x, y))[None]), CLASS_ID['terrain'],
                           [Look('grass', self.layout.terrain)])

    def is_crossing(self, index: int) -> bool:
        """Whether a street crosses in this section; never in two in a row."""
        return index % 3 == 1 and bool(self._rng(3, index + 1000).random()
                                       < 0.2 + 0.35 * self.layout.town)

    def furnish(self, builder: SceneBuilder, index: int, keep_clear: bool) -> None:
        """
        Put everything that does not move in a section.

        :param keep_clear: leave the lanes free, for a drive.
        """
        plan = Plan(self.seed, self.layout, self.densities)
        Furnisher(plan, builder, self.section(index), self._rng(4, index + 1000),
                  crossing=self.is_crossing(index), keep_clear=keep_clear).run()

    def traffic(self, builder: SceneBuilder, s_eye: float, time_s: float, speed: float) -> None:
        """
        Put what moves: rows of vehicles in the lanes, people on the sidewalks.

        :param speed: of the camera in m/s; what is in its lane keeps its distance.
        """
        layout = self.layout
        low = s_eye - (BEHIND - 0.5) * SECTION_M
        high = s_eye + (AHEAD - 0.5) * SECTION_M
        for lane in range(2 * layout.lanes):
            along = lane < layout.lanes
            number = lane % layout.lanes
            t = -(number + 0.5) * layout.lane_m * (1 if along else -1) * layout.hand
            velocity = (speed + 2.0 * (layout.lanes - 1 - number)) if along else -9.0
            for k, s, rng in self._row(10 + lane, 26.0, velocity * time_s, low, high):
                if rng.random() > 0.75 * layout.traffic * self.densities.vehicles:
                    continue
                if along and abs(s - s_eye) < 9 and number == layout.lanes - 1:
                    continue
                x, y, heading = self.pose(s, t + float(rng.normal(0, 0.15)))
                put_vehicle(builder, rng, x, y, 0.0, heading + (0.0 if along else np.pi)
                            + float(rng.normal(0, 0.02)), (lane + 1) * 10 ** 8 + 2 * (k + 10 ** 6))
        rows = ((1, 1.3), (1, -1.2), (-1, 1.3), (-1, -1.2))
        for row, (side, velocity) in enumerate(rows):
            for k, s, rng in self._row(30 + row, 9.0, velocity * time_s, low, high):
                if rng.random() > (0.04 + 0.2 * layout.town) * self.densities.people:
                    continue
                t = side * (layout.road_edge(side) + rng.uniform(0.6, 1.8))
                x, y, heading = self.pose(s, t)
                put_person(builder, rng, x, y, CURB_M, heading + (0 if velocity > 0 else np.pi),
                           (row + 20) * 10 ** 8 + k + 10 ** 6)
        for row, side in enumerate((1, -1)):
            along = (side < 0) == (layout.hand > 0)
            shift = (4.5 if along else -4.5) * time_s
            for k, s, rng in self._row(40 + row, 17.0, shift, low, high):
                if rng.random() > (0.08 + 0.17 * layout.town) * self.densities.people:
                    continue
                t = side * (layout.lane_m * layout.lanes - rng.uniform(0.3, 0.8))
                x, y, heading = self.pose(s, t)
                put_vehicle(builder, rng, x, y, 0.0, heading + (0 if along else np.pi),
                            (row + 30) * 10 ** 8 + 2 * (k + 10 ** 6), 'bicycle')

    def _row(self, key: int, gap: float, shift: float, low: float, high: float
             ) -> Iterator[tuple[int, float, Rng]]:
        """A row that moves as one: number, s and generator of each of its members."""
        first = int(np.floor((low - shift) / gap))
        last = int(np.ceil((high - shift) / gap))
        for k in range(first, last):
            rng = self._rng(key, k + 10 ** 6)
            s = k * gap + shift + float(rng.uniform(0, gap * 0.45))
            if low < s < high:
                yield k, s, rng
