# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The plan of a synthetic street: lanes, strips and the curve it follows.

Street coordinates: s metres along the street, t metres to the left of its middle line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...config import Settings
from .meshes import Rng
from .objects import Color, Look

Places = NDArray[np.float64]

SECTION_M = 24.0
BEHIND, AHEAD = 2, 8
"""Sections that exist behind and ahead of the camera."""
STEP_M = 2.0
CURB_M = 0.12


class Densities(Settings):
    """How full the street is; 1 is usual."""

    vehicles: float = 1.0
    people: float = 1.0
    plants: float = 1.0
    furniture: float = 1.0


@dataclass(frozen=True)
class Layout:
    """
    What stays the same along the whole street.

    :param lanes: per direction. :param hand: 1 right-hand traffic, -1 left-hand.
    :param parking: parked cars' share on the (left, right) side, 0 no parking strip.
    """

    lane_m: float
    lanes: int
    hand: int
    parking: tuple[float, float]
    town: float
    bends: bool
    marking: tuple[str, str]
    asphalt: Color
    terrain: Color
    paving: Look
    traffic: float
    parking_turned: bool

    def road_edge(self, side: int) -> float:
        """Distance of the curb from the middle line in metres; side 1 left, -1 right."""
        strip = 0.0
        if self.parking[0 if side > 0 else 1]:
            strip = 4.6 if self.parking_turned else 2.3
        return self.lane_m * self.lanes + strip


def draw_layout(rng: Rng) -> Layout:
    """A street by chance: from a country road to a town's main street."""
    town = float(rng.random())
    lanes = int(rng.choice((1, 2), p=(0.75, 0.25)))
    parked = [float(rng.uniform(0.3, 0.95)) if rng.random() < 0.25 + 0.45 * town else 0.0
              for _ in range(2)]
    grey = rng.uniform(0.07, 0.24)
    green = np.array((0.13, 0.16, 0.06)) * rng.uniform((0.6, 0.7, 0.5), (1.7, 1.3, 1.4))
    slab = rng.uniform(0.16, 0.42)
    return Layout(
        lane_m=float(rng.uniform(2.8, 3.7)), lanes=lanes, hand=1 if rng.random() < 0.85 else -1,
        parking=(parked[0], parked[1]), town=town, bends=bool(rng.random() < 0.5),
        marking=(str(rng.choice(('dashed', 'solid', 'none'), p=(0.55, 0.15, 0.3))),
                 str(rng.choice(('solid', 'none'), p=(0.5, 0.5)))),
        asphalt=(grey, grey * float(rng.uniform(0.95, 1.01)),
                 grey * float(rng.uniform(0.9, 1.04))),
        terrain=(float(green[0]), float(green[1]), float(green[2])),
        paving=Look(str(rng.choice(('paving', 'cobble', 'asphalt', 'concrete'),
                                   p=(0.5, 0.15, 0.2, 0.15))),
                    (slab, slab * float(rng.uniform(0.93, 1)),
                     slab * float(rng.uniform(0.85, 1)))),
        traffic=float(rng.uniform(0.1, 1.0)), parking_turned=bool(rng.random() < 0.12))


@dataclass(frozen=True)
class Section:
    """Pose of a section's start and its curvature in 1/m."""

    index: int
    x: float
    y: float
    heading: float
    curvature: float

    def pose(self, s: Places | float, t: Places | float) -> tuple[Places, Places, Places]:
        """World x, y in metres and heading in radians at s from the section's start."""
        s = np.asarray(s, np.float64)
        heading = self.heading + self.curvature * s
        half = self.curvature * s / 2
        chord = s * np.sinc(half / np.pi)
        x = self.x + chord * np.cos(self.heading + half) - t * np.sin(heading)
        y = self.y + chord * np.sin(self.heading + half) + t * np.cos(heading)
        return x, y, heading


@dataclass(frozen=True)
class Plan:
    """What every section of one street is made from."""

    seed: tuple[int, ...]
    layout: Layout
    densities: Densities
