# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What stands beside a synthetic street: plants, buildings, borders, signs, lamps.

Each maker returns a mesh with its looks by slot; plants come from a stock.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
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
)

Prop = tuple[Mesh | Shape, list[Look]]

BARK, LEAVES, LEAVES_DARK = range(3)
_STOREY_M = 3.0


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
def _plants() -> dict[str, tuple[Shape, ...]]:
    return {'broadleaf': shapes(_broadleaf, 16, 45.0, 5, 0),
            'conifer': shapes(_conifer, 6, 45.0, 5, 1), 'bush': shapes(_bush, 8, 45.0, 5, 2),
            'thicket': shapes(_thicket, 6, 70.0, 5, 3)}


def plant(rng: Rng, kind: str) -> Prop:
    """A broadleaf, conifer, bush or thicket in its own green."""
    green = np.array((0.11, 0.155, 0.05)) * rng.uniform(0.55, 1.3)
    green = green * rng.uniform((0.75, 0.9, 0.6), (1.35, 1.1, 1.3))
    if rng.random() < 0.06:
        green = np.array((0.3, 0.16, 0.05)) * rng.uniform(0.6, 1.2)
    dark = green * rng.uniform(0.7, 0.9)
    wood = np.array((0.13, 0.1, 0.075)) * rng.uniform(0.6, 1.5)
    stock = _plants()[kind]
    return stock[int(rng.integers(len(stock)))], [
        Look('bark', wood), Look('leaves', green * 1.1), Look('leaves', dark)]


def _plaster(rng: Rng) -> NDArray[np.float64]:
    """Colour of plaster, stone or paint."""
    base, warm = rng.uniform(0.12, 0.75), rng.uniform(-0.12, 0.3)
    return np.asarray(base * np.array((1 + warm * 0.5, 1.0, 1 - warm)))


def _brick(rng: Rng) -> NDArray[np.float64]:
    """Colour of brick, from yellow to dark red."""
    return np.array((0.32, 0.14, 0.09)) * rng.uniform((0.6, 0.7, 0.6), (1.4, 1.7, 1.6))


def building(rng: Rng, width: float, storeys: int) -> Prop:
    """
    A house with its front at y = 0, the rest behind at y > 0.

    :param width: along x, metres.
    """
    depth = float(rng.uniform(8, 13))
    facade = int(rng.integers(6))
    brick = facade in (2, 5)
    wall = _brick(rng) if brick else _plaster(rng)
    height = _STOREY_M * storeys + rng.uniform(0.2, 0.6)
    shop = storeys > 1 and rng.random() < 0.3
    looks = [Look(f'facade{facade}', wall), Look('tiles', _brick(rng)),
             Look(f'shop{rng.integers(3)}', wall), Look('brick' if brick else 'plaster', wall),
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
    look = Look('brick', _brick(rng)) if rng.random() < 0.45 else Look(
        str(rng.choice(('concrete', 'plaster', 'cobble'))), _plaster(rng))
    return join([box((length, 0.3, height), (0, 0, height / 2)),
                 box((length, 0.4, 0.1), (0, 0, height), 1)]), [
        look, Look('concrete', _plaster(rng))]


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
