# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The stock of objects of the synthetic scenes: shapes by kind, made once, and their looks.

A look is what a slot of a mesh is covered with: texture, colour and gloss.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from .meshes import (
    Mesh,
    Rng,
    Shape,
    box,
    disc,
    ellipsoid,
    flat,
    join,
    limb,
    loft,
    quads,
    wheel,
)

Color = tuple[float, float, float]


class Look(NamedTuple):
    """Texture name, linear reflectance, share of mirror reflection at normal incidence."""

    texture: str = 'plain'
    tint: Color = (0.5, 0.5, 0.5)
    gloss: float = 0.0
    glow: float = 0.0


PAINT, GLASS, TYRE, HUB, LAMP, TAIL, TRIM, PLATE = range(8)

VEHICLE_LOOKS: dict[int, Look] = {
    GLASS: Look('plain', (0.02, 0.025, 0.03), 0.12),
    TYRE: Look('plain', (0.018, 0.018, 0.02)),
    HUB: Look('plain', (0.2, 0.205, 0.21), 0.06),
    LAMP: Look('plain', (0.75, 0.76, 0.78), 0.1),
    TAIL: Look('plain', (0.35, 0.015, 0.012), 0.06),
    TRIM: Look('plain', (0.025, 0.025, 0.027), 0.02),
    PLATE: Look('plain', (0.75, 0.74, 0.66)),
}


def _side_windows(low: tuple[float, float], high: tuple[float, float], z: tuple[float, float],
                  y: tuple[float, float], panes: int) -> list[Mesh]:
    """Both sides of a cabin: panes between pillars."""
    out = []
    cuts = np.linspace(0.0, 1.0, panes + 1)
    for sign in (-1.0, 1.0):
        def at(share: float, height: float, side: float = sign) -> list[float]:
            x = np.interp(share, (0, 1), np.array(low) + height * (np.array(high) - low))
            return [float(x), side * (y[0] + height * (y[1] - y[0])),
                    z[0] + height * (z[1] - z[0])]
        if not panes:
            out.append(quads([[at(0.05, 0), at(0.95, 0), at(0.95, 0.9), at(0.05, 0.9)]], GLASS))
        for a, b in zip(cuts[:-1], cuts[1:], strict=True):
            gap = 0.05
            edges = ((a, a + gap, PAINT), (a + gap, b - gap, GLASS), (b - gap, b, PAINT))
            for left, right, slot in edges:
                out.append(quads([[at(left, 0), at(right, 0), at(right, 0.9), at(left, 0.9)]],
                                 slot))
        out.append(quads([[at(0, 0.9), at(1, 0.9), at(1, 1), at(0, 1)]], PAINT))
    return out


def _car(rng: Rng, coarse: bool) -> Mesh:
    """Saloon, hatchback, estate, sport utility vehicle or van, by chance."""
    kind = rng.choice(5, p=(0.22, 0.3, 0.16, 0.2, 0.12))
    length = (4.6, 4.0, 4.65, 4.5, 5.1)[kind] * rng.uniform(0.95, 1.05)
    height = (1.45, 1.48, 1.5, 1.7, 2.0)[kind] * rng.uniform(0.97, 1.04)
    half = (0.9, 0.86, 0.9, 0.93, 0.97)[kind] * rng.uniform(0.97, 1.03)
    radius = (0.32, 0.31, 0.32, 0.37, 0.34)[kind]
    belt = height * (0.62, 0.63, 0.62, 0.62, 0.56)[kind]
    floor = 0.19 + 0.06 * (kind == 3)
    back, front = -length / 2, length / 2
    hood = belt - (0.06, 0.07, 0.06, 0.05, 0.1)[kind]
    trunk = belt - 0.02 if kind == 0 else belt
    # Stations of the body: x, height of the top, width factor, height of the bottom.
    stations = ((back, trunk - 0.28, 0.82, floor + 0.16), (back + 0.1, trunk - 0.05, 0.95, floor),
                (back + 0.5, trunk, 1.0, floor), (back + 1.1, belt, 1.0, floor),
                (front - 1.35, belt, 1.0, floor), (front - 0.5, hood - 0.05, 0.98, floor),
                (front - 0.14, hood - 0.13, 0.92, floor), (front, hood - 0.36, 0.78, floor + 0.1))
    rings = []
    for x, top, factor, low in stations[::2] + stations[-1:] if coarse else stations:
        w = half * factor
        rings.append([(x, -w * 0.93, low), (x, w * 0.93, low), (x, w, low + 0.2),
                      (x, w * 0.985, low + 0.62 * (top - low)), (x, w * 0.87, top),
                      (x, -w * 0.87, top), (x, -w * 0.985, low + 0.62 * (top - low)),
                      (x, -w, low + 0.2)])
    parts = [loft(rings, PAINT)]
    tail = (0.55, 0.12, 0.1, 0.14, 0.06)[kind]
    foot = (back + tail, front - (1.05, 0.95, 1.05, 1.05, 0.75)[kind])
    roof = (back + tail + (0.75, 0.5, 0.4, 0.3, 0.08)[kind],
            front - (1.85, 1.65, 1.85, 1.75, 1.45)[kind])
    wb, wt = half * 0.87, half * (0.66, 0.68, 0.69, 0.72, 0.78)[kind]
    panes = 0 if coarse else 2 if kind < 2 else 3
    parts += _side_windows(foot, roof, (belt, height), (wb, wt), panes)
    for i, sign in ((0, 1.0), (1, -1.0)):
        shield = [[foot[i], -wb * 0.94, belt], [foot[i], wb * 0.94, belt],
                  [roof[i], wt * 0.94, height], [roof[i], -wt * 0.94, height]]
        parts.append(quads([shield[::int(sign)]], GLASS))
        for side in (-1.0, 1.0):
            parts.append(quads([[[foot[i], side * wb * 0.94, belt], [foot[i], side * wb, belt],
                                 [roof[i], side * wt, height],
                                 [roof[i], side * wt * 0.94, height]]], PAINT))
    parts.append(quads([[[roof[0], -wt, height], [roof[1], -wt, height], [roof[1], wt, height],
                         [roof[0], wt, height]]], PAINT))
    axles = (back + 0.8, front - 0.85)
    for x in axles:
        for side in (-1.0, 1.0):
            if coarse:
                parts += [disc(radius * share, (x, side * (half + off), radius), 1, side, slot, 7)
                          for share, off, slot in ((1.05, 0.02, TYRE), (0.55, 0.03, HUB))]
                continue
            arch = disc(radius * 1.2, (x, side * (half + 0.006), radius * 1.02), 1, side, TRIM)
            parts += [arch, wheel(radius, 0.2, (x, side * (half - 0.075), radius), TYRE, HUB)]
    for side in (-1.0, 1.0):
        parts += [box((0.22, 0.34, 0.14), (front - 0.14, side * half * 0.68, hood - 0.24), LAMP),
                  box((0.12, 0.26, 0.3 if kind > 1 else 0.18),
                      (back + 0.05, side * half * 0.72, trunk - 0.2), TAIL),
                  box((0.12, 0.2, 0.13), (front - 1.3, side * (half + 0.08), belt + 0.05), PAINT)
                  ][:2 if coarse else 3]
    parts += [box((0.08, half * 1.1, 0.2), (front - 0.01, 0, floor + 0.27), TRIM),
              box((0.05, 0.5, 0.11), (front + 0.03, 0, floor + 0.2), PLATE),
              box((0.05, 0.5, 0.11), (back - 0.015, 0, floor + 0.38), PLATE),
              box((0.2, half * 1.6, 0.16), (back + 0.1, 0, floor + 0.1), TRIM),
              box((length * 0.8, half * 1.7, 0.1), (0, 0, floor), TRIM)][:3 if coarse else 5]
    return join(parts)


def _truck(rng: Rng, coarse: bool) -> Mesh:
    """A cab with a box, a flatbed or a tank."""
    length, half = rng.uniform(6.0, 11.5), rng.uniform(1.1, 1.25)
    cab, height = rng.uniform(1.8, 2.4), rng.uniform(2.5, 3.7)
    cab_height = rng.uniform(2.3, 3.1)
    front = length / 2
    parts = [box((cab, 2 * half * 0.97, cab_height - 0.5), (front - cab / 2, 0,
                                                           0.5 + (cab_height - 0.5) / 2), PAINT)]
    low, high = 0.5 + (cab_height - 0.5) * 0.48, cab_height - 0.25
    parts += [box((0.04, 1.8 * half, high - low), (front, 0, (low + high) / 2), GLASS),
              box((cab * 0.45, 1.96 * half, (high - low) * 0.9),
                  (front - cab * 0.4, 0, (low + high) / 2), GLASS),
              box((0.06, 1.5 * half, 0.5), (front, 0, 0.95), TRIM),
              box((0.12, 2 * half, 0.35), (front - 0.02, 0, 0.55), TRIM)]
    cargo = length - cab - 0.25
    kind = rng.integers(3)
    middle = -front + cargo / 2
    if kind < 2:
        parts.append(box((cargo, 2 * half, height - 0.95), (middle, 0, (height + 0.95) / 2), 8))
    else:
        parts += [box((cargo, 2 * half, 0.25), (middle, 0, 1.05), 8),
                  box((cargo * 0.9, 1.8 * half, rng.uniform(0.5, 1.3)), (middle, 0, 1.5), 9)]
    parts.append(box((length - 0.3, 1.1, 0.3), (-0.1, 0, 0.75), TRIM))
    axles = [front - 1.1, -front + 1.3] + ([-front + 2.5] if length > 8 else [])
    for x in axles:
        for side in (-1.0, 1.0):
            parts.append(wheel(0.48, 0.32, (x, side * (half - 0.17), 0.48), TYRE, HUB,
                               7 if coarse else 14))
    for side in (-1.0, 1.0):
        parts += [box((0.06, 0.25, 0.16), (-front - 0.01, side * half * 0.8, 0.75), TAIL),
                  box((0.06, 0.3, 0.18), (front + 0.02, side * half * 0.75, 0.72), LAMP),
                  box((0.1, 0.2, 0.4), (front - 0.2, side * (half + 0.13), high - 0.2), TRIM)]
    parts.append(box((0.08, 2 * half, 0.12), (-front, 0, 0.55), TRIM))
    return join(parts)


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
        door = not train and i in (count - 1, count // 2)
        z = (low - 0.75 * door + high) / 2
        for side in (-1.0, 1.0):
            tall = high - low + 0.75 * (door and side < 0)
            parts.append(box((pane - 0.14, 0.03, tall),
                             (x, side * half, z if side < 0 else (low + high) / 2), GLASS))
    for sign in (-1.0, 1.0):
        parts.append(box((0.04, 1.85 * half, (high - low) * 1.25),
                         (sign * length / 2, 0, (low + high) / 2 - 0.05), GLASS))
        parts.append(box((0.05, 1.4 * half, 0.28), (sign * length / 2, 0, height - 0.25), TRIM))
        for side in (-1.0, 1.0):
            parts.append(box((0.05, 0.3, 0.2), (sign * length / 2, side * half * 0.78, 0.75),
                             LAMP if sign > 0 else TAIL))
    parts.append(box((length + 0.02, 2 * half + 0.02, 0.25), (0, 0, 0.42), 8))
    for x in (-length * 0.28, length * 0.3):
        for side in (-1.0, 1.0):
            parts.append(wheel(0.48, 0.3, (x, side * (half - 0.13), 0.48), TYRE, HUB,
                               7 if coarse else 14))
    return join(parts)


def _ring(radius: float, center: tuple[float, float], coarse: bool) -> Mesh:
    """A thin upright ring with spokes: a bicycle's wheel."""
    angle = np.linspace(0, 2 * np.pi, 9 if coarse else 17)
    slot = TYRE
    x, z = center
    parts = []
    for side in (0.0,) if coarse else (-0.018, 0.018):
        inner, outer = (np.stack([x + r * np.cos(angle), 0 * angle + side, z + r * np.sin(angle)],
                                 1) for r in (radius - 0.05, radius))
        parts.append(quads(np.stack([inner[:-1], outer[:-1], outer[1:], inner[1:]], 1), slot))
    outer = np.stack([x + radius * np.cos(angle), 0 * angle, z + radius * np.sin(angle)], 1)
    wide = np.array((0, 0.018, 0))
    parts.append(quads(np.stack([outer[:-1] - wide, outer[1:] - wide, outer[1:] + wide,
                                 outer[:-1] + wide], 1), slot))
    for turn in np.arange(9 - 5 * coarse) * (2 * np.pi / (9 - 5 * coarse)):
        along = np.array((np.cos(turn), 0, np.sin(turn))) * (radius - 0.03)
        across = np.array((-np.sin(turn), 0, np.cos(turn))) * 0.006
        hub = np.array((x, 0, z))
        parts.append(flat([[hub - across, hub + across, hub + along]], HUB))
    return join(parts)


def _bicycle(rng: Rng, coarse: bool) -> Mesh:
    """A bicycle with its saddle at 0.95 m."""
    radius, base = 0.34, rng.uniform(0.5, 0.55)
    crank, seat, head = (-0.05, 0, 0.3), (-0.2, 0, 0.92), (base - 0.18, 0, 0.86)
    rear, axle = (-base, 0, radius), (base, 0, radius)
    tubes = ((crank, seat), (crank, head), ((-0.17, 0, 0.8), (head[0], 0, 0.8)), (rear, crank),
             (rear, (-0.17, 0, 0.8)), (head, axle))
    parts = [limb(a, b, (0.022, 0.022), PAINT, 3 if coarse else 5) for a, b in tubes]
    bar = (head[0] - 0.02, 0, 1.05)
    parts += [limb(head, bar, (0.018, 0.018), HUB, 4),
              limb((bar[0] - 0.03, -0.27, 1.06), (bar[0] - 0.03, 0.27, 1.06), (0.018, 0.018),
                   TRIM, 5),
              ellipsoid((0.14, 0.08, 0.035), (-0.22, 0, 0.95), TRIM, 6, 4),
              _ring(radius, (-base, radius), coarse), _ring(radius, (base, radius), coarse),
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


_MAKERS = {'car': (_car, 40), 'truck': (_truck, 12), 'bus': (_bus, 8), 'bicycle': (_bicycle, 8),
           'motorcycle': (_motorcycle, 8)}


@lru_cache(maxsize=1)
def vehicles() -> dict[str, tuple[Shape, ...]]:
    """The stock of vehicles by class name; the same in every process."""
    stock = {name: tuple(shape(maker, 26.0, 7, number, i) for i in range(count))
             for number, (name, (maker, count)) in enumerate(_MAKERS.items())}
    stock['train'] = tuple(shape(partial(_bus, train=True), 26.0, 8, 0, i) for i in range(3))
    return stock


def shape(maker: Callable[[Rng, bool], Mesh], coarse_px: float, *seed: int) -> Shape:
    """Fine and coarse mesh of the same object."""
    return Shape.of(maker(np.random.default_rng(seed), False),
                    maker(np.random.default_rng(seed), True), coarse_px)
