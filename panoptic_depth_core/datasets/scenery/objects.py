# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The things of the synthetic scenes: vehicles, people, plants, buildings, borders, signs, lamps.

Vehicles, people and plants are shapes of a stock, made once; their looks are drawn for each. Props
are made for their place: a mesh with its looks by slot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .meshes import (
    Look,
    Mesh,
    Rng,
    Shape,
    box,
    disc,
    ellipsoid,
    flat,
    join,
    leaves,
    limb,
    loft,
    quads,
    shapes,
    wheel,
)

Prop = tuple[Mesh | Shape, list[Look]]

# Slots of vehicles. The two that follow are the cargo of a truck, or the stripe of a bus.
PAINT, GLASS, TYRE, HUB, LAMP, TAIL, TRIM, PLATE = range(8)
_LOOKS = (  # From GLASS on.
    Look('plain', (0.02, 0.025, 0.03), 0.12), Look('plain', (0.018, 0.018, 0.02)),
    Look('plain', (0.2, 0.205, 0.21), 0.06), Look('plain', (0.75, 0.76, 0.78), 0.1),
    Look('plain', (0.35, 0.015, 0.012), 0.06), Look('plain', (0.025, 0.025, 0.027), 0.02),
    Look('plain', (0.75, 0.74, 0.66)))
# Slots of people, and of plants.
TROUSERS, SHIRT, SKIN, HAIR, SHOES, BAG = range(6)
BARK, LEAVES, LEAVES_DARK = range(3)
_STOREY_M = 3.0

_PAINTS = np.array(((0.6, 0.61, 0.62), (0.012, 0.012, 0.014), (0.1, 0.105, 0.11),
                    (0.3, 0.31, 0.33), (0.3, 0.015, 0.015), (0.02, 0.05, 0.18),
                    (0.03, 0.08, 0.05), (0.35, 0.3, 0.22), (0.5, 0.35, 0.03), (0.1, 0.25, 0.45)))
_PAINT_SHARE = np.array((0.2, 0.2, 0.2, 0.16, 0.08, 0.08, 0.02, 0.03, 0.015, 0.015))
_SIDES = (-1.0, 1.0)

_CARS = (
    # Length, height, half of the width, radius of the wheels; belt line as a share of the height,
    # drop of the hood, overhang behind the cabin; from there to the roof's rear; from the front
    # to the windscreen's foot and to the roof; half width of the roof as a share of the body's.
    (4.6, 1.45, 0.9, 0.32, 0.62, 0.06, 0.55, 0.75, 1.05, 1.85, 0.66),  # Saloon.
    (4.0, 1.48, 0.86, 0.31, 0.63, 0.07, 0.12, 0.5, 0.95, 1.65, 0.68),  # Hatchback.
    (4.65, 1.5, 0.9, 0.32, 0.62, 0.06, 0.1, 0.4, 1.05, 1.85, 0.69),  # Estate.
    (4.5, 1.7, 0.93, 0.37, 0.62, 0.05, 0.14, 0.3, 1.05, 1.75, 0.72),  # Sport utility vehicle.
    (5.1, 2.0, 0.97, 0.34, 0.56, 0.1, 0.06, 0.08, 0.75, 1.45, 0.78))  # Van.


def _cabin_side(low: tuple[float, float], high: tuple[float, float], z: tuple[float, float],
                y: tuple[float, float], panes: int) -> Mesh:
    """One side of a cabin: panes between pillars; ``low`` and ``high`` are its ends along x."""
    def at(share: float, height: float) -> list[float]:
        x = np.interp(share, (0, 1), np.array(low) + height * (np.array(high) - low))
        return [float(x), y[0] + height * (y[1] - y[0]), z[0] + height * (z[1] - z[0])]

    parts = [] if panes else [(0.05, 0.95, GLASS)]
    cuts, pillar = np.linspace(0.0, 1.0, panes + 1), 0.05
    for a, b in zip(cuts[:-1], cuts[1:], strict=True):
        parts += [(a, a + pillar, PAINT), (a + pillar, b - pillar, GLASS), (b - pillar, b, PAINT)]
    corners = [[at(a, 0), at(b, 0), at(b, 0.9), at(a, 0.9)] for a, b, _ in parts]
    return quads([*corners, [at(0, 0.9), at(1, 0.9), at(1, 1), at(0, 1)]],
                 [*(slot for _, _, slot in parts), PAINT])


def _car(rng: Rng, coarse: bool) -> Mesh:
    kind = rng.choice(5, p=(0.22, 0.3, 0.16, 0.2, 0.12))
    (length, height, half, radius, belt, drop, tail, rear, cowl, brow, narrow) = _CARS[kind]
    length *= rng.uniform(0.95, 1.05)
    height *= rng.uniform(0.97, 1.04)
    half *= rng.uniform(0.97, 1.03)
    belt *= height
    floor = 0.19 + 0.06 * (kind == 3)
    back, front = -length / 2, length / 2
    hood = belt - drop
    trunk = belt - 0.02 if kind == 0 else belt
    # Stations of the body: x, height of the top, width factor, height of the bottom.
    stations = ((back, trunk - 0.28, 0.82, floor + 0.16), (back + 0.1, trunk - 0.05, 0.95, floor),
                (back + 0.5, trunk, 1.0, floor), (back + 1.1, belt, 1.0, floor),
                (front - 1.35, belt, 1.0, floor), (front - 0.5, hood - 0.05, 0.98, floor),
                (front - 0.14, hood - 0.13, 0.92, floor), (front, hood - 0.36, 0.78, floor + 0.1))
    rings = []
    for x, top, factor, low in stations[::2] + stations[-1:] if coarse else stations:
        w, waist = half * factor, low + 0.62 * (top - low)
        right = [(w * 0.93, low), (w, low + 0.2), (w * 0.985, waist), (w * 0.87, top)]
        rings.append([(x, -w * 0.93, low), *((x, y, z) for y, z in right),
                      *((x, -y, z) for y, z in right[:0:-1])])
    foot = (back + tail, front - cowl)
    roof = (back + tail + rear, front - brow)
    wb, wt = half * 0.87, half * narrow
    panes = 0 if coarse else 2 if kind < 2 else 3
    parts = [loft(rings, PAINT), *(_cabin_side(foot, roof, (belt, height), (s * wb, s * wt), panes)
                                   for s in _SIDES)]
    for x0, x1, turn in zip(foot, roof, (1, -1), strict=True):
        screen = [(x0, -wb * 0.94, belt), (x0, wb * 0.94, belt), (x1, wt * 0.94, height),
                  (x1, -wt * 0.94, height)]
        pillars = [[(x0, s * wb * 0.94, belt), (x0, s * wb, belt), (x1, s * wt, height),
                    (x1, s * wt * 0.94, height)] for s in _SIDES]
        parts.append(quads([screen[::turn], *pillars], [GLASS, PAINT, PAINT]))
    parts.append(quads([[(roof[0], -wt, height), (roof[1], -wt, height), (roof[1], wt, height),
                         (roof[0], wt, height)]], PAINT))
    for x in (back + 0.8, front - 0.85):
        for s in _SIDES:
            parts += [disc(radius * share, (x, s * (half + off), radius), 1, s, slot, 7)
                      for share, off, slot in ((1.05, 0.02, TYRE), (0.55, 0.03, HUB))
                      ] if coarse else [
                disc(radius * 1.2, (x, s * (half + 0.006), radius * 1.02), 1, s, TRIM),
                wheel(radius, 0.2, (x, s * (half - 0.075), radius), TYRE, HUB)]
    for s in _SIDES:
        parts += [box((0.22, 0.34, 0.14), (front - 0.14, s * half * 0.68, hood - 0.24), LAMP),
                  box((0.12, 0.26, 0.3 if kind > 1 else 0.18),
                      (back + 0.05, s * half * 0.72, trunk - 0.2), TAIL),
                  box((0.12, 0.2, 0.13), (front - 1.3, s * (half + 0.08), belt + 0.05), PAINT)
                  ][:2 if coarse else 3]
    parts += [box((0.08, half * 1.1, 0.2), (front - 0.01, 0, floor + 0.27), TRIM),
              box((0.05, 0.5, 0.11), (front + 0.03, 0, floor + 0.2), PLATE),
              box((0.05, 0.5, 0.11), (back - 0.015, 0, floor + 0.38), PLATE),
              box((0.2, half * 1.6, 0.16), (back + 0.1, 0, floor + 0.1), TRIM),
              box((length * 0.8, half * 1.7, 0.1), (0, 0, floor), TRIM)][:3 if coarse else 5]
    return join(parts)


def _wheels(places: list[float], half: float, width: float, inset: float, coarse: bool
            ) -> list[Mesh]:
    """Both wheels of each axle of a heavy vehicle."""
    return [wheel(0.48, width, (x, s * (half - inset), 0.48), TYRE, HUB, 7 if coarse else 14)
            for x in places for s in _SIDES]


def _truck(rng: Rng, coarse: bool) -> Mesh:
    """A cab with a box, a flatbed or a tank."""
    length, half = rng.uniform(6.0, 11.5), rng.uniform(1.1, 1.25)
    cab, height = rng.uniform(1.8, 2.4), rng.uniform(2.5, 3.7)
    top = rng.uniform(2.3, 3.1)
    front = length / 2
    low, high = 0.5 + (top - 0.5) * 0.48, top - 0.25
    cargo = length - cab - 0.25
    middle = -front + cargo / 2
    parts = [box((cab, 2 * half * 0.97, top - 0.5), (front - cab / 2, 0, 0.5 + (top - 0.5) / 2)),
             box((0.04, 1.8 * half, high - low), (front, 0, (low + high) / 2), GLASS),
             box((cab * 0.45, 1.96 * half, (high - low) * 0.9),
                 (front - cab * 0.4, 0, (low + high) / 2), GLASS),
             box((0.06, 1.5 * half, 0.5), (front, 0, 0.95), TRIM),
             box((0.12, 2 * half, 0.35), (front - 0.02, 0, 0.55), TRIM)]
    if rng.integers(3) < 2:
        parts.append(box((cargo, 2 * half, height - 0.95), (middle, 0, (height + 0.95) / 2), 8))
    else:
        parts += [box((cargo, 2 * half, 0.25), (middle, 0, 1.05), 8),
                  box((cargo * 0.9, 1.8 * half, rng.uniform(0.5, 1.3)), (middle, 0, 1.5), 9)]
    parts.append(box((length - 0.3, 1.1, 0.3), (-0.1, 0, 0.75), TRIM))
    axles = [front - 1.1, -front + 1.3] + ([-front + 2.5] if length > 8 else [])
    parts += _wheels(axles, half, 0.32, 0.17, coarse)
    for s in _SIDES:
        parts += [box((0.06, 0.25, 0.16), (-front - 0.01, s * half * 0.8, 0.75), TAIL),
                  box((0.06, 0.3, 0.18), (front + 0.02, s * half * 0.75, 0.72), LAMP),
                  box((0.1, 0.2, 0.4), (front - 0.2, s * (half + 0.13), high - 0.2), TRIM)]
    return join([*parts, box((0.08, 2 * half, 0.12), (-front, 0, 0.55), TRIM)])


def _bus(rng: Rng, coarse: bool, train: bool = False) -> Mesh:
    """A bus, or with ``train`` a tram."""
    length = rng.uniform(20, 28) if train else rng.uniform(9.5, 12.5)
    half, height = (1.2, 3.4) if train else (1.26, rng.uniform(2.9, 3.3))
    parts = [box((length, 2 * half, height - 0.35), (0, 0, (height + 0.35) / 2), PAINT)]
    low, high = height * 0.4, height * 0.82
    count = int(length / 1.5)
    pane = length / count
    for i in range(count):
        x = -length / 2 + (i + 0.5) * pane
        # Doors are on the right.
        door = 0.75 * (not train and i in (count - 1, count // 2))
        parts += [box((pane - 0.14, 0.03, high - low + drop),
                      (x, s * half, (low - drop + high) / 2), GLASS)
                  for s, drop in zip(_SIDES, (door, 0.0), strict=True)]
    for end, lights in ((-1.0, TAIL), (1.0, LAMP)):
        x = end * length / 2
        parts += [box((0.04, 1.85 * half, (high - low) * 1.25), (x, 0, (low + high) / 2 - 0.05),
                      GLASS),
                  box((0.05, 1.4 * half, 0.28), (x, 0, height - 0.25), TRIM),
                  *(box((0.05, 0.3, 0.2), (x, s * half * 0.78, 0.75), lights) for s in _SIDES)]
    return join([*parts, box((length + 0.02, 2 * half + 0.02, 0.25), (0, 0, 0.42), 8),
                 *_wheels([-length * 0.28, length * 0.3], half, 0.3, 0.13, coarse)])


def _ring(radius: float, x: float, coarse: bool) -> list[Mesh]:
    """A thin upright ring with spokes that stands on the ground: a bicycle's wheel."""
    angle = np.linspace(0, 2 * np.pi, 9 if coarse else 17)

    def circle(r: float, y: float) -> np.ndarray:
        return np.stack([x + r * np.cos(angle), 0 * angle + y, radius + r * np.sin(angle)], 1)

    half = 0.018
    rims = [(circle(radius - 0.05, y), circle(radius, y))
            for y in ((0.0,) if coarse else (-half, half))]
    parts = [quads(np.stack([a[:-1], b[:-1], b[1:], a[1:]], 1), TYRE) for a, b in rims]
    a, b = circle(radius, -half), circle(radius, half)
    parts.append(quads(np.stack([a[:-1], a[1:], b[1:], b[:-1]], 1), TYRE))
    spokes, hub = 4 if coarse else 9, np.array((x, 0, radius))
    for turn in np.arange(spokes) * (2 * np.pi / spokes):
        along = np.array((np.cos(turn), 0, np.sin(turn))) * (radius - 0.03)
        across = np.array((-np.sin(turn), 0, np.cos(turn))) * 0.006
        parts.append(flat([[hub - across, hub + across, hub + along]], HUB))
    return parts


def _bicycle(rng: Rng, coarse: bool) -> Mesh:
    """A bicycle with its saddle at 0.95 m."""
    radius, base = 0.34, rng.uniform(0.5, 0.55)
    crank, seat, head = (-0.05, 0, 0.3), (-0.2, 0, 0.92), (base - 0.18, 0, 0.86)
    rear, axle, clamp = (-base, 0, radius), (base, 0, radius), (-0.17, 0, 0.8)
    tubes = ((crank, seat), (crank, head), (clamp, (head[0], 0, 0.8)), (rear, crank),
             (rear, clamp), (head, axle))
    bar = head[0] - 0.02
    parts = [*(limb(a, b, (0.022, 0.022), PAINT, 3 if coarse else 5) for a, b in tubes),
             limb(head, (bar, 0, 1.05), (0.018, 0.018), HUB, 4),
             limb((bar - 0.03, -0.27, 1.06), (bar - 0.03, 0.27, 1.06), (0.018, 0.018), TRIM, 5),
             ellipsoid((0.14, 0.08, 0.035), (-0.22, 0, 0.95), TRIM, 6, 4),
             *_ring(radius, -base, coarse), *_ring(radius, base, coarse),
             disc(0.09, (crank[0], -0.05, crank[2]), 1, -1.0, HUB),
             box((0.1, 0.3, 0.03), (crank[0], 0, 0.27), TRIM)]
    if rng.random() < 0.5:
        parts += [box((0.36, 0.14, 0.02), (-base, 0, 0.76), TRIM),
                  box((0.25, 0.3, 0.2), (base, 0, 0.95), TRIM)][:rng.integers(1, 3)]
    return join(parts)


def _motorcycle(rng: Rng, coarse: bool) -> Mesh:
    """A motorcycle or a scooter with its saddle at about 0.85 m."""
    radius, base = rng.uniform(0.26, 0.33), rng.uniform(0.62, 0.74)
    parts = [wheel(radius, 0.13, (-base, 0, radius), TYRE, HUB),
             wheel(radius, 0.11, (base, 0, radius), TYRE, HUB),
             ellipsoid((0.34, 0.15, 0.16), (0.12, 0, 0.8), PAINT, 8, 6),
             box((0.7, 0.22, 0.1), (-0.32, 0, 0.82), TRIM),
             box((0.5, 0.26, 0.34), (0.02, 0, 0.45), TRIM),
             ellipsoid((0.3, 0.13, 0.14), (-0.6, 0, 0.72), PAINT, 8, 6),
             limb((base, 0, radius), (base - 0.3, 0, 1.0), (0.05, 0.05), HUB, 5),
             limb((base - 0.32, -0.35, 1.05), (base - 0.32, 0.35, 1.05), (0.022, 0.022), TRIM, 5),
             ellipsoid((0.1, 0.12, 0.13), (base - 0.18, 0, 0.92), LAMP, 8, 6),
             box((0.05, 0.14, 0.08), (-0.88, 0, 0.7), TAIL),
             box((0.02, 0.16, 0.14), (-0.9, 0, 0.52), PLATE),
             limb((-0.75, -0.17, 0.35), (0.0, -0.17, 0.32), (0.06, 0.045), HUB)]
    if rng.random() < 0.4:
        parts.append(box((0.36, 0.4, 0.34), (-0.75, 0, 1.02), TRIM))
    return join(parts)


def _person(rng: Rng, coarse: bool, pose: str) -> Mesh:
    """A person of 1.75 m; ``pose``: walk, stand, ride (on a saddle at 0.95 m)."""
    swing = {'walk': rng.uniform(0.12, 0.38), 'stand': 0.05, 'ride': 0.0}[pose]
    broad, stout = rng.uniform(0.9, 1.1), rng.uniform(0.85, 1.2)
    hip, lean = (0.9, 0.03 * swing) if pose != 'ride' else (0.98, rng.uniform(0.12, 0.32))
    shoulder = hip + 0.54
    parts = []
    sides, round_head, round_body = (4, (5, 4), 6) if coarse else (6, (8, 6), 10)
    for side, sign in ((-1.0, 1.0), (1.0, -1.0)):
        y = side * 0.1 * broad
        if pose == 'ride':
            knee = (0.33 + 0.06 * sign, y * 1.3, 0.72 + 0.14 * sign)
            foot = (0.22 + 0.1 * sign, y * 1.2, 0.3 + 0.15 * sign)
            elbow = (lean + 0.14, side * 0.27, shoulder - 0.28)
            hand = (0.52, side * 0.24, hip + 0.16)
        else:
            step, lifted, bend = swing * sign, 0.06 * (sign < 0), rng.uniform(0, 0.25)
            knee = (step * 0.55 + 0.03, y, 0.48)
            foot = (step * 1.05 - lifted, y, 0.06 + lifted)
            elbow = (-step * 0.35, side * 0.25 * broad, shoulder - 0.28)
            hand = (-step * 0.6 + bend, side * 0.24 * broad, shoulder - 0.54 + bend * 0.7)
        sleeve = (lean, side * 0.185 * broad, shoulder - 0.04)
        parts += [limb((0.0, y * 0.9, hip), knee, (0.095 * stout, 0.06), TROUSERS, sides),
                  limb(knee, foot, (0.062, 0.045), TROUSERS, sides),
                  limb(sleeve, elbow, (0.06, 0.05), SHIRT, sides),
                  limb(elbow, hand, (0.045, 0.035), SHIRT if rng.random() < 0.6 else SKIN, sides)]
        if not coarse:
            parts += [ellipsoid((0.13, 0.045, 0.045), np.add(foot, (0.05, 0, -0.02)), SHOES, 6, 4),
                      ellipsoid((0.04, 0.03, 0.05), hand, SKIN, 5, 4)]
    angle = np.arange(round_body) * (2 * np.pi / round_body)

    def ring(x: float, deep: float, wide: float, z: float) -> np.ndarray:
        return np.stack([x + deep * np.cos(angle), wide * np.sin(angle), 0 * angle + z], 1)

    rings = [ring(lean * np.clip(share, 0, 1), deep * stout, wide * broad,
                  hip + share * (shoulder - hip))
             for share, wide, deep in ((-0.12, 0.15, 0.1), (0.0, 0.17, 0.12), (0.35, 0.15, 0.105),
                                       (0.75, 0.19, 0.12), (0.95, 0.17, 0.095),
                                       (1.04, 0.06, 0.06))]
    parts.append(loft(rings, SHIRT, smooth=True))
    if rng.random() < 0.25 and pose != 'ride':
        skirt = [*(r * (1.12, 1.12, 1) for r in rings[:2]), ring(0.0, 0.18, 0.2, 0.55)]
        parts.append(loft(skirt, SHIRT, smooth=True))
    head = np.array((lean + 0.02, 0, shoulder + 0.2))
    parts += [limb((lean, 0, shoulder), head, (0.055, 0.05), SKIN, sides),
              ellipsoid((0.1, 0.078, 0.125), head, SKIN, *round_head),
              ellipsoid((0.105, 0.088, 0.11), head + (-0.025, 0, 0.035), HAIR, *round_head)]
    if rng.random() < 0.3:
        parts.append(box((0.16, 0.3, 0.42), (lean - 0.18, 0, shoulder - 0.22), BAG))
    return join(parts)


def _broadleaf(rng: Rng, coarse: bool) -> Mesh:
    """A tree of about 8 m: trunk, branches and a crown of several blobs."""
    fork = rng.uniform(1.8, 3.0)
    parts = [limb((0, 0, -0.1), (0.05, 0.03, fork + 0.4), (0.24, 0.17, 0.14), BARK, 7)]
    spread = rng.uniform(1.3, 2.3)
    for _ in range(int(rng.integers(5, 9))):
        angle, share = rng.uniform(0, 2 * np.pi), rng.uniform(0, 1)
        center = np.array((np.cos(angle) * spread * share, np.sin(angle) * spread * share,
                           fork + rng.uniform(1.0, 4.5)))
        radii = rng.uniform(0.9, 1.8) * np.array((1, 1, rng.uniform(0.7, 1.0)))
        parts += [limb((0, 0, fork), center, (0.1, 0.04), BARK, 3 if coarse else 4),
                  *_blob(rng, center, radii, 0.14, coarse)]
    return join(parts)


def _blob(rng: Rng, center: NDArray[Any], radii: NDArray[Any], leaf_m: float, coarse: bool
          ) -> list[Mesh]:
    """A rough body and, where fine, loose leaves about it."""
    own = np.random.default_rng(int(rng.integers(2 ** 31)))
    if coarse:
        return [ellipsoid(radii * 0.93, center, LEAVES_DARK, 6, 4, 0.1, own)]
    return [ellipsoid(radii * 0.88, center, LEAVES_DARK, 9, 6, 0.13, own),
            leaves(own, 60, center, radii, leaf_m, LEAVES)]


def _conifer(rng: Rng, coarse: bool) -> Mesh:
    """A conifer of about 9 m."""
    parts = [limb((0, 0, -0.1), (0, 0, 2.0), (0.2, 0.15), BARK, 6)]
    low, top, wide = rng.uniform(0.5, 1.6), rng.uniform(7.5, 10), rng.uniform(1.3, 2.2)
    angle = np.arange(11) * (2 * np.pi / 11)
    for share in np.linspace(0, 0.9, 7):
        z, r = low + share * (top - low), wide * (1 - share) + 0.15
        ragged = r * rng.uniform(0.75, 1.15, 11)
        rings = [np.stack([f * ragged * np.cos(angle), f * ragged * np.sin(angle),
                           0 * angle + h], 1)
                 for f, h in ((1.0, z), (0.55, z + 0.9), (0.05, z + 2.1))]
        parts.append(loft(rings, LEAVES_DARK, smooth=True))
    return join(parts)


def _bush(rng: Rng, coarse: bool) -> Mesh:
    """A bush of about 1.5 m."""
    parts = []
    for _ in range(3):
        center = np.array((*rng.uniform(-0.5, 0.5, 2), rng.uniform(0.3, 0.7)))
        parts += _blob(rng, center, rng.uniform(0.4, 0.8, 3), 0.07, coarse)
    return join(parts)


def _thicket(rng: Rng, coarse: bool) -> Mesh:
    """The far edge of a wood, about 24 m wide and 8 m high."""
    parts = []
    for _ in range(9):
        radii = rng.uniform((2.2, 2.0, 2.5), (4.0, 3.5, 5.5))
        center = (rng.uniform(-12, 12), rng.uniform(-2, 2), radii[2] * 0.6)
        own = np.random.default_rng(int(rng.integers(2 ** 31)))
        parts.append(ellipsoid(radii, center, LEAVES_DARK, *((6, 4) if coarse else (9, 6)), 0.13,
                               own))
    return join(parts)


@lru_cache(maxsize=1)
def _stock() -> dict[str, tuple[Shape, ...]]:
    """Vehicles by their class, plants by their kind, people by their pose."""
    walk, stand, ride = (partial(_person, pose=pose) for pose in ('walk', 'stand', 'ride'))
    rows: tuple[tuple[str, Callable[[Rng, bool], Mesh], int, float, int, int], ...] = (
        ('car', _car, 40, 26.0, 7, 0), ('truck', _truck, 12, 26.0, 7, 1),
        ('bus', _bus, 8, 26.0, 7, 2), ('bicycle', _bicycle, 8, 26.0, 7, 3),
        ('motorcycle', _motorcycle, 8, 26.0, 7, 4),
        ('train', partial(_bus, train=True), 3, 26.0, 8, 0), ('walk', walk, 32, 14.0, 9, 0),
        ('stand', stand, 12, 14.0, 9, 1), ('ride', ride, 12, 14.0, 9, 2),
        ('broadleaf', _broadleaf, 16, 45.0, 5, 0), ('conifer', _conifer, 6, 45.0, 5, 1),
        ('bush', _bush, 8, 45.0, 5, 2), ('thicket', _thicket, 6, 70.0, 5, 3))
    return {name: shapes(maker, count, coarse_px, seed, number)
            for name, maker, count, coarse_px, seed, number in rows}


def pick(rng: Rng, kind: str) -> Shape:
    """One shape of the stock."""
    stock = _stock()[kind]
    return stock[int(rng.integers(len(stock)))]


def vehicle_looks(rng: Rng, kind: str) -> list[Look]:
    """Looks of a vehicle, by slot."""
    paint = Look('plain', _PAINTS[rng.choice(len(_PAINTS), p=_PAINT_SHARE)]
                 * rng.uniform(0.75, 1.3), 0.05)
    cargo = rng.uniform(0.2, 0.75) * rng.uniform(0.6, 1.0, 3)
    soil = Look('soil', rng.uniform(0.1, 0.35, 3))
    if kind in ('bus', 'train'):
        paint = Look('plain', rng.uniform(0.05, 0.65, 3), 0.04)
    return [paint, *_LOOKS, Look('plain', cargo), soil]


def clothes(rng: Rng) -> list[Look]:
    """Looks of a person, by slot."""
    cloth = 'stripes' if rng.random() < 0.12 else 'cloth'
    shirt = np.clip(rng.uniform(0.02, 0.6) * rng.uniform(0.3, 1.4, 3), 0.01, 0.8)
    trousers = rng.uniform(0.015, 0.25) * rng.uniform((0.7, 0.8, 0.9), (1.2, 1.1, 1.6))
    skin = np.array((0.5, 0.3, 0.21)) * rng.uniform(0.25, 1.1)
    hair = np.array((0.2, 0.13, 0.08)) * rng.uniform(0.08, 1.6)
    shoes, bag = np.full(3, rng.uniform(0.01, 0.4)), rng.uniform(0.01, 0.3, 3)
    return [Look('cloth', trousers), Look(cloth, shirt), Look('plain', skin), Look('plain', hair),
            Look('plain', shoes), Look('cloth', bag)]


def plant(rng: Rng, kind: str) -> Prop:
    """A broadleaf, conifer, bush or thicket in its own green."""
    green = np.array((0.11, 0.155, 0.05)) * rng.uniform(0.55, 1.3)
    green = green * rng.uniform((0.75, 0.9, 0.6), (1.35, 1.1, 1.3))
    if rng.random() < 0.06:
        green = np.array((0.3, 0.16, 0.05)) * rng.uniform(0.6, 1.2)
    dark = green * rng.uniform(0.7, 0.9)
    wood = np.array((0.13, 0.1, 0.075)) * rng.uniform(0.6, 1.5)
    return pick(rng, kind), [
        Look('bark', wood), Look('leaves', green * 1.1), Look('leaves', dark)]


def plaster(rng: Rng) -> NDArray[np.float64]:
    """Color of plaster, stone or paint."""
    base, warm = rng.uniform(0.12, 0.75), rng.uniform(-0.12, 0.3)
    return np.asarray(base * np.array((1 + warm * 0.5, 1.0, 1 - warm)))


def brick_color(rng: Rng) -> NDArray[np.float64]:
    """Color of brick, from yellow to dark red."""
    return np.array((0.32, 0.14, 0.09)) * rng.uniform((0.6, 0.7, 0.6), (1.4, 1.7, 1.6))


_FACADES = tuple((f'facade{number}', number in (2, 5)) for number in range(6))
_SHOPS = tuple(f'shop{number}' for number in range(3))


def building(rng: Rng, width: float, storeys: int,
             facades: Sequence[tuple[str, bool]] = _FACADES, shops: Sequence[str] = _SHOPS
             ) -> Prop:
    """
    A house with its front along x at y = 0, the rest behind at y > 0.

    :param facades: textures to choose from, and whether they are of brick. :param shops: those of
        ground floors.
    """
    depth = float(rng.uniform(8, 13))
    facade, brick = facades[int(rng.integers(len(facades)))]
    wall = brick_color(rng) if brick else plaster(rng)
    height = _STOREY_M * storeys + rng.uniform(0.2, 0.6)
    shop = storeys > 1 and rng.random() < 0.3
    looks = [Look(facade, wall), Look('tiles', brick_color(rng)),
             Look(shops[int(rng.integers(len(shops)))], wall),
             Look('brick' if brick else 'plaster', wall),
             Look('plain', np.full(3, rng.uniform(0.05, 0.6))),
             Look('planks', rng.uniform(0.03, 0.35, 3))]
    half = width / 2
    corner = ((-half, 0), (half, 0), (half, depth), (-half, depth))
    plain = rng.random(4) < 0.5
    parts = []
    for i, length in enumerate((width, depth, width, depth)):
        (x0, y0), (x1, y1) = corner[i], corner[(i + 1) % 4]
        low = _STOREY_M if shop and i == 0 else 0.0
        slot = 3 if i % 2 and plain[i] else 0
        for z0, z1, kind in ((low, height, slot), (0.0, low, 2)):
            if z1 > z0:
                u = length if kind else 3.0 * max(1, round(length / 3.0))
                parts.append(quads([[(x0, y0, z0), (x1, y1, z0), (x1, y1, z1), (x0, y0, z1)]],
                                   kind, np.array([[(0, z0), (u, z0), (u, z1), (0, z1)]])))
    if storeys <= 3 and rng.random() < 0.75:
        ridge = height + depth * rng.uniform(0.3, 0.5)
        w, over, eave = half + 0.3, 0.5, height - 0.15
        top = [(-w, depth / 2, ridge), (w, depth / 2, ridge)]
        parts += [quads([[(-w, -over, eave), (w, -over, eave), top[1], top[0]],
                         [(w, depth + over, eave), (-w, depth + over, eave), top[0], top[1]]], 1),
                  flat([[(x, 0, height), (x, depth, height), (x, depth / 2, ridge - 0.1)]
                        for x in (-half, half)], 3)]
        if rng.random() < 0.6:
            parts.append(box((0.7, 0.7, 1.6), (rng.uniform(-0.3, 0.3) * width, depth / 2,
                                               ridge + 0.3), 3))
    else:
        parts += [quads([[(x, y, height) for x, y in corner]], 4),
                  box((width + 0.3, 0.35, 0.45), (0, 0.05, height), 4)]
    if not shop:
        x = (rng.integers(max(1, int(width // 3))) + 0.5) * 3 - half + 1.2
        parts.append(box((1.0, 0.1, 2.1), (min(x, half - 0.7), 0, 1.05), 5))
    if storeys >= 3 and rng.random() < 0.35:
        parts += [box((1.8, 0.9, 0.9), (x, -0.4, storey * _STOREY_M + 0.45), 4)
                  for storey in range(1, storeys)
                  for x in np.arange(-half + 1.5, half - 1, 3.0)[:8:2]]
    return join(parts), looks


def fence(rng: Rng, length: float) -> Prop:
    """A fence along x: boards, slats, bars or a guard rail."""
    kind = rng.choice(4, p=(0.35, 0.25, 0.2, 0.2))
    height = rng.uniform(0.9, 1.7)
    tone = rng.uniform(0.03, 0.5)
    color = np.array((1, rng.uniform(0.75, 1), rng.uniform(0.5, 1))) * tone
    looks = [Look('planks' if kind < 2 else 'plain', color), Look('plain', color)]
    half = length / 2
    if kind == 0:
        return box((length, 0.04, height), (0, 0, height / 2)), looks
    if kind == 3:
        rail = np.array([[(-half, y, z), (half, y, z)] for y, z in (
            (0, 0.45), (-0.06, 0.53), (0, 0.6), (-0.06, 0.68), (0, 0.76))])
        face = np.concatenate([rail[:-1], rail[1:, ::-1]], 1)
        return join([quads(face), *(box((0.1, 0.08, 0.7), (x, 0.08, 0.35))
                                    for x in np.arange(-half + 1, half, 2.0))]), [
            Look('plain', (0.38, 0.39, 0.4), 0.04)]
    step, wide = (0.14, 0.1) if kind == 1 else (0.13, 0.025)
    x = np.arange(-half, half - wide, step)
    face = np.zeros((len(x), 4, 3))
    face[..., 0] = np.stack([x, x + wide, x + wide, x], 1)
    face[..., 2] = (0.08, 0.08, height, height)
    return join([quads(face), *(box((length, 0.05, 0.06), (0, 0.03, height * share), 1)
                                for share in (0.2, 0.85)),
                 *(box((0.08, 0.08, height + 0.1), (x, 0.05, (height + 0.1) / 2), 1)
                   for x in np.arange(-half, half, 2.4))]), looks


def wall(rng: Rng, length: float) -> Prop:
    """A free-standing wall along x."""
    height = rng.uniform(0.8, 2.8)
    look = Look('brick', brick_color(rng)) if rng.random() < 0.45 else Look(
        str(rng.choice(('concrete', 'plaster', 'cobble'))), plaster(rng))
    return join([box((length, 0.3, height), (0, 0, height / 2)),
                 box((length, 0.4, 0.1), (0, 0, height), 1)]), [
        look, Look('concrete', plaster(rng))]


def hedge(rng: Rng, length: float) -> Prop:
    """A hedge along x."""
    height, depth = rng.uniform(0.8, 2.2), rng.uniform(0.6, 1.1)
    _, looks = plant(rng, 'bush')
    count = int(length * 14)
    at = rng.uniform((-length / 2, -depth / 2, 0.1), (length / 2, depth / 2, height), (count, 3))
    face = rng.integers(3, size=count)
    at[face == 0, 1], at[face == 1, 1] = -depth / 2, depth / 2
    at[face == 2, 2] = height
    loose = leaves(rng, count, np.zeros(3), np.zeros(3), 0.1, LEAVES)
    return join([box((length, depth, height), (0, 0, height / 2), LEAVES_DARK),
                 loose.moved(at[:, None])]), looks


BORDERS = {'wall': (wall, 'wall'), 'fence': (fence, 'fence'), 'hedge': (hedge, 'vegetation')}
"""Makers of what runs along a plot, and their classes."""
_POST = limb((0, 0, 0), (0, 0, 1), (1.0, 0.8), 0, 8)
_ARM = limb((0, 0, 0), (0, 1, 0), (1.0, 1.0), 0, 5)


def pole(rng: Rng, height: float, arm: float = 0.0, radius: float = 0.06) -> Prop:
    """A post; with an arm of that length along +y and a lamp at its end."""
    tone = rng.uniform(0.08, 0.45)
    parts = [_POST.moved((0, 0, -0.1), (radius, radius, height + 0.1))]
    if arm:
        parts += [_ARM.moved((0, 0, height - 0.04), (radius * 0.6, arm, radius * 0.6)),
                  box((0.25, 0.7, 0.12), (0, arm + 0.2, height - 0.02))]
    return join(parts), [Look('plain', (tone, tone * rng.uniform(0.9, 1.05),
                                        tone * rng.uniform(0.85, 1.05)), 0.02)]


def sign(rng: Rng) -> Prop:
    """The plate of a traffic sign that faces -x, its middle at the origin."""
    kind = int(rng.integers(4))
    red, blue, yellow = (0.5, 0.02, 0.02), (0.02, 0.09, 0.4), (0.6, 0.4, 0.03)
    size = rng.uniform(0.3, 0.42)
    if kind == 3:
        w, h = rng.uniform(0.25, 0.9), rng.uniform(0.2, 0.5)
        face = quads([[(0, w, -h), (0, -w, -h), (0, -w, h), (0, w, h)]])
        look = Look('sign1', (blue, yellow, (0.7, 0.7, 0.7), (0.02, 0.2, 0.08))[rng.integers(4)])
    else:
        sides, start = ((14, 0.0), (3, np.pi / 2), (4, np.pi / 4 * rng.integers(2)))[kind]
        face = disc(size * (1.15 if kind == 1 else 1.0), (0, 0, 0), 0, -1.0, 0, sides, start)
        look = Look(('sign0', 'sign0', 'sign1')[kind],
                    red if rng.random() < 0.6 else (blue, yellow)[rng.integers(2)])
    rear = replace(face.moved((0.02, 0, 0)), slot=np.ones_like(face.slot))
    return join([face, rear]), [look, Look('plain', (0.3, 0.3, 0.31))]


def traffic_light(rng: Rng) -> Prop:
    """The head of a traffic light that faces -x, its middle at the origin."""
    lit = int(rng.integers(3))
    parts = [box((0.22, 0.32, 0.95), (0.1, 0, 0)), box((0.02, 0.5, 1.15), (0.12, 0, 0))]
    looks = [Look('plain', (0.03, 0.035, 0.03))]
    for i, color in enumerate(((0.9, 0.05, 0.03), (0.9, 0.45, 0.03), (0.05, 0.8, 0.35))):
        parts.append(disc(0.11, (-0.02, 0, 0.3 - 0.3 * i), 0, -1.0, i + 1))
        looks.append(Look('plain', color, 0.0, 2.0) if i == lit else
                     Look('plain', np.array(color) * 0.08))
    return join(parts), looks
