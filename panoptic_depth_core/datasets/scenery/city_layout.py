# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What stays the same along a city street: lanes, lines, medians, curbs, what is beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .meshes import Look, Rng
from .street import Layout, Span


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


def grey(rng: Rng, low: float, high: float) -> tuple[float, float, float]:
    tone = rng.uniform(low, high)
    green, blue = (float(tone * rng.uniform(low, high))
                   for low, high in ((0.94, 1.01), (0.86, 1.04)))
    return float(tone), green, blue


def toned(look: Look, factor: float) -> Look:
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


def draw_layout(rng: Rng) -> CityLayout:
    town = float(rng.random())
    lanes = int(rng.choice((1, 2, 3), p=(0.62, 0.29, 0.09)))
    lane_m = float(rng.uniform(2.5, 3.9))
    median_m = float(rng.uniform(0.6, 5)) if rng.random() < (0.5 if lanes > 1 else 0.06) else 0.0
    asphalt = Look(str(rng.choice(('asphalt', 'worn', 'concrete', 'setts'),
                                  p=(0.35, 0.52, 0.08, 0.05))), grey(rng, 0.06, 0.24))
    tone = float(np.asarray(asphalt.tint).mean())
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
    curb = grey(rng, 0.15, 0.45) if rng.random() < 0.75 else grey(rng, 0.08, 0.22)
    return CityLayout(
        lane_m=lane_m, lanes=lanes, hand=1 if rng.random() < 0.8 else -1,
        parking=(parking[0], parking[1]), town=town, bends=bool(rng.random() < 0.55),
        marking=('none', 'none'), asphalt=asphalt, terrain=Look('grass', tuple(green.tolist())),
        paving=paving, traffic=float(rng.uniform(0.1, 0.9)),
        parking_turned=bool(rng.random() < 0.1), curb_m=float(rng.uniform(0.03, 0.15)),
        curb=Look('concrete', curb), median_m=median_m,
        sides=(_draw_side(rng, town), _draw_side(rng, town)),
        curb_wide_m=float(rng.uniform(0.1, 0.3)),
        gutter=toned(Look('setts' if rng.random() < 0.4 else 'concrete', asphalt.tint),
                      float(rng.uniform(0.8, 2.0))) if rng.random() < 0.45 else None,
        bay=Look(str(rng.choice(('setts', 'pavers', 'worn'))), grey(rng, 0.08, 0.3))
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
        shoulder=Look('gravel', grey(rng, 0.1, 0.3)))
