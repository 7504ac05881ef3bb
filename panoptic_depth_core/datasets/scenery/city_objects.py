# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Plants, houses, borders, posts and vehicles of city streets; see objects.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from . import objects
from .meshes import (
    Look,
    Mesh,
    Rng,
    Shape,
    box,
    cross,
    disc,
    ellipsoid,
    flat,
    join,
    limb,
    loft,
    quads,
    shapes,
    wheel,
)
from .objects import BARK, LEAVES, LEAVES_DARK, Prop
from .textures import CITY_FRONTS, CITY_HALLS, CITY_SHOPS, POSTERS

_STOREY_M = 3.0
_WHITE = Look('plain', (0.62, 0.62, 0.6))
_DARK = Look('plain', (0.03, 0.03, 0.032))


# Plants.


def _tufts(rng: Rng, count: int, center: NDArray[np.float64], radii: NDArray[np.float64],
           size_m: float) -> Mesh:
    """Tufts of leaves: triangles that stick out of an ellipsoid, each lit in its own way."""
    direction = rng.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    middle = center + direction * radii * rng.uniform(0.7, 1.2, (count, 1))
    mesh = flat(middle[:, None] + rng.normal(0, size_m, (count, 3, 3)),
                np.where(rng.random(count) < 0.65, LEAVES, LEAVES_DARK))
    normal = direction + rng.normal(0, 0.45, (count, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return replace(mesh, normals=np.repeat(normal[:, None], 3, 1).astype(np.float32))


def _clump(rng: Rng, center: NDArray[np.float64], radii: NDArray[np.float64], tuft_m: float,
           coarse: bool) -> list[Mesh]:
    """A dark body and the tufts about it."""
    return [ellipsoid(radii * 0.82, center, LEAVES_DARK, *((5, 4) if coarse else (7, 5)), 0.16,
                      rng),
            _tufts(rng, 22 if coarse else 100, center, radii, tuft_m * (2.0 if coarse else 1.0))]


def _crown(rng: Rng, coarse: bool) -> Mesh:
    """A dense tree of about 9 m with a crown of one main body and smaller ones."""
    fork, tall = rng.uniform(1.6, 3.2), rng.uniform(4.0, 8.0)
    wide = tall * rng.uniform(0.28, 0.5)
    girth = rng.uniform(0.12, 0.3)
    parts = [limb((0, 0, -0.1), (rng.normal(0, 0.15), rng.normal(0, 0.15), fork + tall * 0.4),
                  (girth, girth * 0.8, girth * 0.4), BARK, 7)]
    seeds = rng.integers(2 ** 31, size=9)
    shape = rng.uniform(-1, 1, (9, 3))
    for i in range(int(rng.integers(6, 10)) if not coarse else 7):
        own = np.random.default_rng(int(seeds[i]))
        share = 0.12 + 0.82 * (i / 8)
        room = wide * np.sin(np.pi * np.clip(0.16 + 0.72 * share, 0, 1))
        turn = i * 2.4 + shape[i, 0]
        off = room * 0.55 * (1 + 0.3 * shape[i, 1])
        center = np.array((off * np.cos(turn), off * np.sin(turn), fork + share * tall))
        radii = room * np.array((0.75, 0.75, 0.7)) * (1 + 0.2 * shape[i, 2])
        parts += _clump(own, center, radii, 0.17, coarse)
    return join(parts)


def _column(rng: Rng, coarse: bool) -> Mesh:
    """A slender tree, like a poplar or a young one."""
    tall, wide = rng.uniform(5, 12), rng.uniform(0.6, 1.3)
    parts = [limb((0, 0, -0.1), (0, 0, tall * 0.6), (0.12, 0.06), BARK, 6)]
    for share in np.linspace(0.28, 0.9, 5):
        room = wide * np.sin(np.pi * (share * 0.85 + 0.1))
        center = np.array((*rng.normal(0, 0.15, 2), share * tall))
        own = np.random.default_rng(int(rng.integers(2 ** 31)))
        parts += _clump(own, center, np.array((room, room, tall * 0.13)), 0.13, coarse)
    return join(parts)


def _pine(rng: Rng, coarse: bool) -> Mesh:
    """A conifer with whorls of branches."""
    tall, wide = rng.uniform(7, 13), rng.uniform(1.4, 2.6)
    parts = [limb((0, 0, -0.1), (0, 0, tall), (0.18, 0.03), BARK, 6)]
    low = rng.uniform(0.05, 0.3)
    for share in np.linspace(low, 0.97, 5 if coarse else 9):
        room = wide * (1 - share) + 0.2
        count = 16 if coarse else 40
        turn, out = rng.uniform(0, 2 * np.pi, count), room * np.sqrt(rng.uniform(0.05, 1, count))
        middle = np.stack([out * np.cos(turn), out * np.sin(turn),
                           share * tall - 0.3 * out + rng.normal(0, 0.12, count)], 1)
        size = 0.34 if coarse else 0.2
        tufts = flat(middle[:, None] + rng.normal(0, (size, size, size * 0.6), (count, 3, 3)),
                     LEAVES_DARK)
        normal = np.stack([np.cos(turn), np.sin(turn), rng.uniform(0, 1, count)], 1)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        parts.append(replace(tufts, normals=np.repeat(normal[:, None], 3, 1).astype(np.float32)))
    parts.append(loft([[(r * np.cos(a), r * np.sin(a), z)
                        for a in np.arange(7) * (2 * np.pi / 7)]
                       for r, z in ((wide * 0.6, low * tall + 0.2), (0.05, tall))], LEAVES_DARK,
                      smooth=True))
    return join(parts)


def _bare(rng: Rng, coarse: bool) -> Mesh:
    """A tree without leaves."""
    parts: list[Mesh] = []

    def grow(start: NDArray[np.float64], way: NDArray[np.float64], length: float, girth: float,
             level: int) -> None:
        end = start + way * length
        parts.append(limb(start, end, (girth, girth * 0.65), BARK, (6, 4, 3, 3, 3)[level]))
        if level < (3 if coarse else 4):
            for _ in range(int(rng.integers(3, 5)) if level else int(rng.integers(4, 7))):
                bent = way + rng.normal(0, 0.45, 3) + (0, 0, 0.15)
                bent /= np.linalg.norm(bent)
                grow(start + way * length * rng.uniform(0.5, 1.0), bent,
                     length * rng.uniform(0.55, 0.8), girth * 0.5, level + 1)

    grow(np.array((0, 0, -0.1)), np.array((0.0, 0, 1.0)), rng.uniform(2.4, 3.6),
         rng.uniform(0.1, 0.2), 0)
    return join(parts)


def _shrub(rng: Rng, coarse: bool) -> Mesh:
    """A shrub of about 1.4 m."""
    parts = []
    for _ in range(3):
        center = np.array((*rng.uniform(-0.6, 0.6, 2), rng.uniform(0.3, 0.8)))
        own = np.random.default_rng(int(rng.integers(2 ** 31)))
        parts += _clump(own, center, rng.uniform(0.35, 0.8, 3), 0.09, coarse)
    return join(parts)


def _wood(rng: Rng, coarse: bool) -> Mesh:
    """The edge of a wood, about 12 m wide and 9 m high, down to the ground."""
    parts = []
    for i in range(9):
        radii = rng.uniform((1.6, 1.2, 1.8), (2.6, 2.2, 3.6))
        center = np.array((-6 + 1.5 * i + rng.normal(0, 0.5), rng.uniform(-1.2, 1.5),
                           rng.uniform(1.5, 5.5) if i % 2 else radii[2] * 0.7))
        own = np.random.default_rng(int(rng.integers(2 ** 31)))
        parts += _clump(own, center, radii, 0.24, coarse)
    parts += [limb((x, rng.uniform(-1, 1), -0.1), (x, 0.5, 4), (0.13, 0.1), BARK, 5)
              for x in rng.uniform(-6, 6, 4)]
    return join(parts)


@lru_cache(maxsize=1)
def _stock() -> dict[str, tuple[Shape, ...]]:
    """Plants and vehicles by their kind."""
    rows: tuple[tuple[str, Callable[[Rng, bool], Mesh], int, float], ...] = (
        ('crown', _crown, 14, 55.0), ('column', _column, 6, 45.0), ('pine', _pine, 6, 50.0),
        ('bare', _bare, 6, 40.0), ('shrub', _shrub, 8, 40.0), ('wood', _wood, 8, 110.0),
        ('car', _car, 36, 26.0), ('semi', _semi, 8, 30.0))
    return {name: shapes(maker, count, coarse_px, 11, number)
            for number, (name, maker, count, coarse_px) in enumerate(rows)}


def plant(rng: Rng, kind: str) -> Prop:
    """A crown, column, pine, bare tree, shrub or the edge of a wood in its own green."""
    green = np.array((0.1, 0.14, 0.04)) * rng.uniform(0.5, 1.25)
    green = green * rng.uniform((0.7, 0.9, 0.5), (1.3, 1.1, 1.4))
    if kind != 'pine' and rng.random() < 0.14:  # Autumn.
        green = np.array((0.2, 0.13, 0.04)) * rng.uniform((0.6, 0.6, 0.5), (1.4, 1.3, 1.3))
    wood = np.array((0.13, 0.105, 0.08)) * rng.uniform(0.35, 1.6)
    stock = _stock()[kind]
    return stock[int(rng.integers(len(stock)))], [
        Look('bark', wood), Look('leaves', green * 1.15),
        Look('fern' if kind != 'pine' else 'leaves', green * rng.uniform(0.55, 0.8))]


# Houses and borders.


def house(rng: Rng, width: float, storeys: int) -> Prop:
    """As objects.building, with pipes, awnings and dormers."""
    mesh, looks = objects.building(rng, width, storeys, CITY_FRONTS, CITY_SHOPS)
    assert isinstance(mesh, Mesh)
    parts, half, slot = [mesh], width / 2, len(looks)
    tone = rng.uniform(0.02, 0.5, 3) * rng.uniform(0.3, 1.0)
    looks = [*looks, Look('cloth', tone), Look('plain', np.full(3, rng.uniform(0.03, 0.5)))]
    if rng.random() < 0.25:  # An awning.
        x, wide = rng.uniform(-0.2, 0.2) * width, width * rng.uniform(0.3, 0.8)
        parts.append(quads([[(x - wide / 2, -1.3, 2.3), (x + wide / 2, -1.3, 2.3),
                             (x + wide / 2, 0, 2.9), (x - wide / 2, 0, 2.9)]], slot))
    if rng.random() < 0.5:
        parts.append(box((0.1, 0.1, _STOREY_M * storeys), (half - 0.2, -0.06,
                                                          _STOREY_M * storeys / 2), slot + 1))
    if rng.random() < 0.4:
        parts.append(box((width, 0.12, 0.2), (0, -0.05, _STOREY_M * rng.integers(1, storeys + 1)),
                         slot + 1))
    if rng.random() < 0.3:  # A plinth.
        parts.append(box((width, 0.08, rng.uniform(0.4, 0.9)), (0, 0, 0.2), slot + 1))
    return join(parts), looks


def garage(rng: Rng, width: float) -> Prop:
    """A flat box with doors, its front along x at y = 0."""
    height, depth = rng.uniform(2.4, 3.0), 6.0
    look = Look(str(rng.choice(('plaster', 'brick', 'concrete'))), objects.plaster(rng))
    door = Look(str(rng.choice(('corrugated', 'planks', 'plain'))),
                rng.uniform(0.05, 0.7) * rng.uniform(0.7, 1.0, 3))
    count = max(1, int(width / 3))
    pitch = width / count
    doors = [box((pitch - 0.5, 0.06, 2.1), (-width / 2 + (i + 0.5) * pitch, -0.0, 1.05), 1)
             for i in range(count)]
    return join([box((width, depth, height), (0, depth / 2, height / 2)), *doors,
                 box((width + 0.3, depth + 0.3, 0.18), (0, depth / 2, height), 2)]), [
        look, door, Look('plain', np.full(3, rng.uniform(0.04, 0.5)))]


def hall(rng: Rng, width: float) -> Prop:
    """A warehouse, an office block or a supermarket, its front along x at y = 0."""
    height, depth = rng.uniform(4.5, 14), rng.uniform(12, 20)
    tone = objects.plaster(rng) * rng.uniform(0.6, 1.0)
    texture = str(rng.choice(CITY_HALLS))
    looks = [Look(texture, tone), Look('plain', np.full(3, rng.uniform(0.03, 0.6))),
             Look('plain', (0.03, 0.035, 0.04), 0.1), Look('corrugated', objects.plaster(rng))]
    parts = [box((width, depth, height), (0, depth / 2, height / 2)),
             box((width + 0.4, 0.4, rng.uniform(0.3, 1.2)), (0, 0.1, height), 1)]
    for x in np.arange(-width / 2 + 2.5, width / 2 - 2, 5.0):
        kind = rng.random()
        if kind < 0.35:
            parts.append(box((3.4, 0.1, 3.4), (x, 0, 1.7), 3))
        elif kind < 0.65:
            parts.append(box((3.2, 0.08, rng.uniform(1.0, 2.6)), (x, 0, 1.9), 2))
    return join(parts), looks


def fence(rng: Rng, length: float) -> Prop:
    """A fence along x: rails, mesh on posts, pickets, boards, bars or a double guard rail."""
    kind = str(rng.choice(('rails', 'mesh', 'old'), p=(0.35, 0.25, 0.4)))
    if kind == 'old':
        return objects.fence(rng, length)
    half, height = length / 2, rng.uniform(0.8, 1.3)
    tone = rng.uniform(0.03, 0.55)
    green = (0.5, 1.0, 0.6) if rng.random() < 0.2 else (1.0, 1.0, 1.0)
    looks = [Look('plain', np.array(green) * tone, 0.02)]
    step = rng.uniform(1.3, 2.6)
    wide = rng.uniform(0.025, 0.05)
    posts = [box((0.06, 0.06, height), (x, 0, height / 2))
             for x in np.arange(-half + step / 2, half, step)]
    shares = np.linspace(0.3, 0.98, int(rng.integers(2, 5)))
    if kind == 'mesh':
        height = rng.uniform(1.2, 2.4)
        posts = [box((0.06, 0.06, height), (x, 0, height / 2))
                 for x in np.arange(-half + step / 2, half, step)]
        shares, wide = np.arange(0.08, 1.0, 0.2 / height), 0.012
        x = np.arange(-half, half, 0.1)
        face = np.zeros((len(x), 4, 3))
        face[..., 0] = np.stack([x, x + wide, x + wide, x], 1)
        face[..., 2] = (0.05, 0.05, height, height)
        posts.append(quads(face))
    return join([*posts, *(box((length, wide, wide), (0, 0, height * share))
                           for share in shares)]), looks


def wall(rng: Rng, length: float) -> Prop:
    """A low garden wall, sometimes with rails on it, or a barrier of concrete, along x."""
    if rng.random() < 0.3:
        return objects.wall(rng, length)
    if rng.random() < 0.25:
        rings = [[(x, -0.3, 0), (x, 0.3, 0), (x, 0.12, 0.35), (x, 0.09, 0.85), (x, -0.09, 0.85),
                  (x, -0.12, 0.35)] for x in (-length / 2, length / 2)]
        return loft(rings), [Look('concrete', np.full(3, rng.uniform(0.2, 0.5)))]
    height = rng.uniform(0.35, 1.3)
    look = Look(str(rng.choice(('brick', 'stone', 'plaster', 'concrete', 'panels'))),
                objects.plaster(rng) * 0.8)
    return join([box((length, 0.25, height), (0, 0, height / 2)),
                 box((length, 0.32, 0.07), (0, 0, height), 1)]), [
        look, Look('concrete', objects.plaster(rng) * 0.8)]


BORDERS = {'wall': (wall, 'wall'), 'fence': (fence, 'fence'),
           'hedge': (objects.hedge, 'vegetation')}


# Posts.


def lamp(rng: Rng) -> Prop:
    """A lamp post: a lantern on top, or one or two arms, along +y."""
    height, radius = rng.uniform(3.5, 10), rng.uniform(0.045, 0.1)
    kind = rng.integers(4)
    if kind < 2:
        return objects.pole(rng, height, float(rng.uniform(0.6, 2.5)), radius)
    tone = Look('plain', rng.uniform(0.02, 0.4) * rng.uniform(0.8, 1.0, 3), 0.02)
    parts = [limb((0, 0, -0.1), (0, 0, height), (radius * 1.3, radius), 0, 7)]
    if kind == 2:
        parts += [ellipsoid((0.2, 0.2, 0.28), (0, 0, height + 0.2), 1, 7, 5),
                  box((0.5, 0.5, 0.05), (0, 0, height + 0.5))]
    else:
        for side in (-1.0, 1.0)[:int(rng.integers(1, 3))]:
            reach = rng.uniform(0.8, 2.0)
            parts += [limb((0, 0, height - 0.1), (0, side * reach * 0.6, height + 0.5),
                           (radius * 0.6, radius * 0.6), 0, 5),
                      limb((0, side * reach * 0.6, height + 0.5), (0, side * reach, height + 0.5),
                           (radius * 0.6, radius * 0.6), 0, 5),
                      box((0.2, 0.6, 0.12), (0, side * (reach + 0.2), height + 0.5))]
    return join(parts), [tone, Look('plain', (0.6, 0.6, 0.56), 0.05)]


def bollard(rng: Rng) -> Prop:
    """A bollard, or the post that marks the edge of a road."""
    if rng.random() < 0.3:
        return join([box((0.1, 0.12, 0.75), (0, 0, 0.37)), box((0.1, 0.12, 0.2), (0, 0, 0.85), 1),
                     box((0.1, 0.12, 0.08), (0, 0, 0.98))]), [_WHITE, _DARK]
    height, radius = rng.uniform(0.5, 1.2), rng.uniform(0.04, 0.13)
    color = ((0.03, 0.03, 0.03), (0.35, 0.35, 0.34), (0.5, 0.13, 0.02), (0.4, 0.02, 0.02),
             (0.05, 0.06, 0.08))[rng.integers(5)]
    band = rng.uniform(0.5, 0.85) * height
    return join([limb((0, 0, -0.05), (0, 0, height), (radius, radius), 0, 8),
                 limb((0, 0, band), (0, 0, band + 0.12), (radius * 1.06, radius * 1.06), 1, 8)]), [
        Look('plain', color, 0.02), _WHITE if rng.random() < 0.6 else Look('plain', color)]


def mast(rng: Rng, height: float, reach: float, wooden: bool = False) -> Prop:
    """A tall mast with an arm of that length along +y near its top."""
    look = Look('bark', (0.16, 0.12, 0.09)) if wooden else Look(
        'plain', rng.uniform(0.06, 0.4) * np.ones(3), 0.03)
    radius = rng.uniform(0.08, 0.15)
    parts = [limb((0, 0, -0.1), (0, 0, height), (radius, radius * 0.7), 0, 8),
             limb((0, -0.2 if reach > 2 else -reach, height - 0.3), (0, reach, height - 0.15),
                  (radius * 0.5, radius * 0.4), 0, 5)]
    return join(parts), [look]


def board(rng: Rng) -> Prop:
    """A large plate with directions that faces -x, its middle at the origin."""
    w, h = rng.uniform(0.4, 1.6), rng.uniform(0.3, 0.9)
    color = ((0.6, 0.6, 0.58), (0.02, 0.06, 0.3), (0.55, 0.38, 0.02), (0.02, 0.15, 0.07))[
        rng.integers(4)]
    ink = _DARK if max(color) > 0.35 else _WHITE
    plates = np.array([[(x, w, -h), (x, -w, -h), (x, -w, h), (x, w, h)] for x in (0.0, 0.03)])
    parts = [quads(plates, np.array((0, 2)))]
    for z in np.arange(-h + 0.2, h - 0.1, 0.3):
        left, right = rng.uniform(-0.2, 0.6) * w, rng.uniform(-0.85, -0.3) * w
        parts.append(quads([[(-0.01, left, z - 0.06), (-0.01, right, z - 0.06),
                             (-0.01, right, z + 0.06), (-0.01, left, z + 0.06)]], 1))
    return join(parts), [Look('plain', color), ink, Look('plain', (0.3, 0.3, 0.31), 0.03)]


# Vehicles.

# Length, height, half of the width, height of the belt; from the rear to the foot and to the top
# of the rear window, from the front to the windscreen's top and foot; heights of trunk and hood,
# and half width of the roof as a share of the body's; meters.
_BODIES = (
    (4.6, 1.45, 0.9, 0.92, 0.75, 1.55, 1.7, 1.05, 1.04, 0.98, 0.66),  # Saloon.
    (4.0, 1.5, 0.87, 0.93, 0.12, 0.7, 1.5, 0.9, 1.0, 1.0, 0.68),  # Hatchback.
    (4.65, 1.49, 0.9, 0.92, 0.12, 0.55, 1.75, 1.05, 1.0, 0.98, 0.68),  # Estate.
    (4.5, 1.7, 0.93, 1.05, 0.14, 0.55, 1.6, 1.0, 1.15, 1.12, 0.7),  # Sport utility vehicle.
    (4.4, 1.64, 0.9, 0.99, 0.1, 0.45, 1.35, 0.65, 1.05, 1.05, 0.68),  # People carrier.
    (5.0, 1.97, 0.97, 1.15, 0.06, 0.22, 1.15, 0.5, 1.15, 1.2, 0.8))  # Van.


def _car(rng: Rng, coarse: bool) -> Mesh:
    """A car with a rounded body."""
    kind = int(rng.choice(6, p=(0.2, 0.28, 0.18, 0.15, 0.09, 0.1)))
    (length, height, half, belt, foot, brow, roof, cowl, trunk, hood, narrow) = np.array(
        _BODIES[kind]) * rng.uniform(0.96, 1.04, 11)
    radius = rng.uniform(0.3, 0.34) + 0.04 * (kind in (3, 5))
    low, top = 0.2 + 0.05 * (kind == 3), height
    roof, cowl = length - roof, length - cowl
    blind = kind == 5 and bool(rng.random() < 0.5)
    door = brow + 0.55 * (roof - brow)
    # Stations: x from the rear, bottom, belt, top, factor of the width, half width at the top.
    nose, wide, slim = min(hood, belt) - 0.12, 0.86, float(narrow)
    rows = [(0.0, low + 0.16, belt - 0.22, trunk - 0.16, 0.84, wide), (
        0.06, low + 0.02, belt - 0.05, trunk - 0.04, 0.93, wide),
        (foot, low, belt, trunk, 0.98, wide), (brow, low, belt, top - 0.05, 1.0, slim),
        (brow + 0.12, low, belt, top - 0.02, 1.0, slim), (door - 0.06, low, belt, top, 1.0, slim),
        (door + 0.06, low, belt, top, 1.0, slim),
        (roof - 0.08, low, belt, top - 0.03, 1.0, slim), (roof, low, belt, top - 0.06, 1.0, slim),
        (cowl, low, belt - 0.03, hood + 0.02, 1.0, wide),
        (length - 0.4, low, nose, hood - 0.06, 0.97, wide),
        (length - 0.1, low + 0.02, nose - 0.12, hood - 0.2, 0.9, wide),
        (length, low + 0.12, nose - 0.25, hood - 0.36, 0.76, wide)]
    glazed = {3: False, 4: not blind, 5: False, 6: True, 7: False}
    keep = (0, 2, 3, 8, 9, 10, 12) if coarse else range(len(rows))
    grid = []
    for x, bottom, mid, up, factor, thin in (rows[i] for i in keep):
        w = half * factor
        up = max(up, mid + 0.03)
        edge = [(w * 0.86, bottom), (w * 0.98, bottom + 0.1), (w, bottom + 0.6 * (mid - bottom)),
                (w * 0.96, mid), (half * thin * factor, up - 0.03), (half * thin * 0.6, up),
                (0.0, up + 0.02)]
        if coarse:
            edge = [edge[i] for i in (0, 2, 3, 4, 6)]
        grid.append([(x - length / 2, -y, z) for y, z in edge]
                    + [(x - length / 2, y, z) for y, z in edge[-2::-1]])
    points = np.array(grid)
    ring = points.shape[1]
    rail = 2 if coarse else 3  # The belt in the ring.
    slot = np.zeros((len(points) - 1, ring - 1), np.uint8)
    for row, a in enumerate(keep[:-1]):
        if a == 2 and not blind or a == 8:
            slot[row, rail + 1:ring - rail - 2] = objects.GLASS
        if glazed.get(a, False) or coarse and a == 3:
            slot[row, [rail, ring - rail - 2]] = objects.GLASS
    rear, front, middle = -length / 2, length / 2, half * 0.7
    parts = [_skin(points, slot)]
    for end in (points[0], points[-1][::-1]):
        parts.append(flat([(end[0], end[i], end[i + 1]) for i in range(1, ring - 1)]))
    for x in (rear + rng.uniform(0.65, 0.9), front - rng.uniform(0.7, 0.9)):
        for side in (-1.0, 1.0):
            parts += [disc(radius * share, (x, side * (half + off), radius), 1, side, which, 7)
                      for share, off, which in ((1.05, 0.005, objects.TYRE),
                                                (0.6, 0.012, objects.HUB))] if coarse else [
                disc(radius * 1.16, (x, side * (half + 0.003), radius * 1.02), 1, side,
                     objects.TRIM),
                wheel(radius, 0.2, (x, side * (half - 0.085), radius), objects.TYRE, objects.HUB)]
    for side in (-1.0, 1.0):
        parts += [ellipsoid((0.22, 0.2, 0.1), (front - 0.18, side * middle, hood - 0.3),
                            objects.LAMP, 6, 4),
                  box((0.12, 0.18, 0.16 + 0.25 * (kind > 1)),
                      (rear + 0.04, side * middle * 1.05, trunk - 0.28), objects.TAIL),
                  ellipsoid((0.07, 0.11, 0.08), (cowl - length / 2 - 0.25,
                                                 side * (half + 0.06), belt + 0.06),
                            objects.PAINT, 5, 4)][:2 if coarse else 3]
    return join([*parts, *[
        box((0.05, half, 0.14), (front - 0.01, 0, low + 0.3), objects.TRIM),
        box((0.05, 0.5, 0.11), (front + 0.02, 0, low + 0.15), objects.PLATE),
        box((0.05, 0.5, 0.11), (rear - 0.01, 0, low + rng.uniform(0.25, 0.6)), objects.PLATE),
        box((0.2, half * 1.6, 0.14), (rear + 0.1, 0, low + 0.08), objects.TRIM),
        box((length * 0.86, half * 1.7, 0.1), (0, 0, low), objects.TRIM)][:3 if coarse else 5]])


def _skin(points: NDArray[np.float64], slot: NDArray[np.uint8]) -> Mesh:
    """A smooth surface through a grid (S, K, 3), with the slots (S - 1, K - 1) of its pieces."""
    normal = cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
    normal /= np.linalg.norm(normal, axis=2, keepdims=True) + 1e-9

    def pieces(grid: NDArray[np.float64]) -> NDArray[np.float64]:
        around = (grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1])
        return np.stack(around, 2).reshape(-1, 4, 3)

    mesh = quads(pieces(points), slot.ravel())
    split = pieces(normal)[:, ((0, 1, 2), (0, 2, 3))].reshape(-1, 3, 3)
    return replace(mesh, normals=split.astype(np.float32))


def _semi(rng: Rng, coarse: bool) -> Mesh:
    """A tractor with a trailer; or the trailer alone, on its legs."""
    length, half, height = rng.uniform(9, 13.5), 1.25, rng.uniform(3.5, 4.0)
    rear = -length / 2 - 1.5
    parts = [box((length, 2 * half, height - 1.1), (rear + length / 2, 0, (height + 1.1) / 2), 8),
             box((length, 1.2, 0.2), (rear + length / 2, 0, 1.0), objects.TRIM)]
    axles = [rear + 1.2, rear + 2.4]
    if rng.random() < 0.8:
        cab, front = rng.uniform(2.2, 3.2), rear + length + 3.0
        tall = rng.uniform(2.7, 3.6)
        parts += [box((cab, 2 * half * 0.98, tall - 0.6), (front - cab / 2, 0, (tall + 0.6) / 2)),
                  box((0.06, 1.9 * half, 0.75), (front, 0, tall * 0.62), objects.GLASS),
                  box((cab * 0.4, 1.98 * half, 0.65), (front - cab * 0.35, 0, tall * 0.62),
                      objects.GLASS),
                  box((0.08, 1.4 * half, 0.7), (front, 0, 1.0), objects.TRIM),
                  box((cab + 1.5, 1.2, 0.3), (front - 1.8, 0, 0.75), objects.TRIM)]
        parts += [box((0.08, 0.35, 0.2), (front + 0.02, side * 0.9, 0.75), objects.LAMP)
                  for side in (-1.0, 1.0)]
        axles += [front - 1.2, front - cab - 0.8]
    else:
        parts += [box((0.15, 0.15, 1.0), (-rear - 4.0, side * 0.8, 0.5), objects.TRIM)
                  for side in (-1.0, 1.0)]
    parts += [wheel(0.5, 0.4, (x, side * (half - 0.22), 0.5), objects.TYRE, objects.HUB,
                    7 if coarse else 14) for x in axles for side in (-1.0, 1.0)]
    parts += [box((0.05, 0.3, 0.15), (rear - 0.01, side * 1.0, 0.95), objects.TAIL)
              for side in (-1.0, 1.0)]
    return join([*parts, box((0.04, 0.04, height - 1.3), (rear - 0.01, 0, (height + 1.1) / 2),
                             objects.TRIM)])


def vehicle(rng: Rng, kind: str) -> tuple[Shape, list[Look]]:
    """A vehicle of a class by chance, and its looks by slot."""
    looks = vehicle_looks(rng, kind)
    own = {'car': ('car', 0.85), 'truck': ('semi', 0.4)}.get(kind, ('', 0.0))
    if rng.random() < own[1]:
        stock = _stock()[own[0]]
        return stock[int(rng.integers(len(stock)))], looks
    return objects.pick(rng, kind), looks


def vehicle_looks(rng: Rng, kind: str) -> list[Look]:
    """As objects.vehicle_looks, with glossier paint and prints on trucks and buses."""
    looks = objects.vehicle_looks(rng, kind)
    looks[0] = looks[0]._replace(gloss=rng.uniform(0.03, 0.14))
    looks[1] = Look('plain', np.array((0.02, 0.024, 0.027)) * rng.uniform(0.5, 2.5),
                    rng.uniform(0.06, 0.25))
    if kind == 'truck':
        texture = str(rng.choice(('plain', 'corrugated', 'panels', 'poster'),
                                 p=(0.3, 0.25, 0.2, 0.25)))
        color = (0.7, 0.7, 0.7) if texture == 'poster' else (
            np.full(3, rng.uniform(0.3, 0.75)) if rng.random() < 0.5
            else rng.uniform(0.03, 0.5, 3))
        looks[8] = Look(str(rng.choice(POSTERS)) if texture == 'poster' else texture, color)
    if kind in ('bus', 'train') and rng.random() < 0.35:
        looks[0] = Look(str(rng.choice(POSTERS)), (0.5, 0.5, 0.5), 0.04)
    return looks
