# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Objects that are of no class, and free places on the road for them.

Boxes, crates, barrels, animals, tires, sofas and fallen trunks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...labels import CLASS_ID
from .meshes import Look, Mesh, Rng, box, ellipsoid, join, limb, loft
from .render import Render
from .scene import Camera, SceneBuilder

FIRST_NUMBER = 2 ** 40
"""Number in a picture of the first object; others follow."""
RANGE_M = (4.0, 40.0)
"""Depths (Z) at which objects are."""
_TALL_M = 0.2
"""What is higher than the ground is in the way."""
_TRIALS = 40

Made = tuple[Mesh, list[Look]]


def _color(rng: Rng) -> NDArray[np.float64]:
    return np.asarray(rng.uniform(0.05, 0.6) * rng.uniform(0.2, 1.3, 3))


def _box(rng: Rng) -> Made:
    """A cardboard box with tape."""
    x, y, z = rng.uniform(0.3, 0.8, 3)
    brown = np.array((0.36, 0.24, 0.13)) * rng.uniform(0.6, 1.3)
    return join([box((x, y, z), (0, 0, z / 2)), box((x + 0.01, 0.07, z + 0.01), (0, 0, z / 2), 1),
                 box((0.5 * x, 0.02, 0.25 * z), (0.1 * x, y / 2 + 0.1, z + 0.02))]), [
        Look('plain', brown), Look('plain', brown * 1.5)]


def _crate(rng: Rng) -> Made:
    """A wooden crate on its feet."""
    x, y, z = rng.uniform(0.5, 1.2), rng.uniform(0.5, 1.0), rng.uniform(0.4, 1.0)
    wood = np.array((0.34, 0.25, 0.15)) * rng.uniform(0.5, 1.4)
    return join([box((x, y, z), (0, 0, 0.1 + z / 2)), *(
        box((0.1, y, 0.1), (at * x, 0, 0.05), 1) for at in (-0.4, 0, 0.4))]), [
        Look('planks', wood), Look('planks', wood * 0.7)]


def _barrel(rng: Rng) -> Made:
    """A barrel with hoops, upright or on its side."""
    radius, length = rng.uniform(0.25, 0.32), rng.uniform(0.75, 0.95)
    lying = rng.random() < 0.4
    start = np.array((-length / 2, 0, radius) if lying else (0, 0, 0))
    way = np.array((length, 0, 0) if lying else (0, 0, length))
    parts = [limb(start, start + way, (radius, radius), 0, 16)]
    parts += [limb(start + at * way, start + (at + 0.03) * way, (radius * 1.04, radius * 1.04), 1,
                   16) for at in (0.0, 0.32, 0.65, 0.97)]
    color = _color(rng)
    return join(parts), [Look('plain', color, 0.05), Look('plain', color * 0.6, 0.05)]


def _animal(rng: Rng) -> Made:
    """Four legs, a trunk, a neck, a head and a tail: a dog up to a cow."""
    height = float(rng.choice((0.5, 0.75, 1.0, 1.45))) * rng.uniform(0.85, 1.15)
    leg = height * rng.uniform(0.45, 0.58)
    length, wide = height * rng.uniform(0.95, 1.3), height * rng.uniform(0.16, 0.24)
    body = leg + 0.22 * height
    parts = [ellipsoid((length / 2, wide, 0.24 * height), (0, 0, body), 0, 10, 8)]
    for x in (-0.36 * length, 0.34 * length):
        for y in (-0.6 * wide, 0.6 * wide):
            step = rng.uniform(-0.12, 0.12) * height
            parts.append(limb((x, y, body), (x + step, y, 0.0),
                              (0.09 * height, 0.05 * height, 0.035 * height), 0, 7))
    raised = rng.uniform(-0.1, 0.45) * height
    neck, head = np.array((0.4 * length, 0, body + 0.08 * height)), np.array(
        (0.62 * length, 0, body + raised))
    parts += [limb(neck, head, (0.13 * height, 0.08 * height), 0, 8),
              ellipsoid((0.17 * height, 0.075 * height, 0.085 * height),
                        head + (0.06 * height, 0, 0), 1, 8, 6),
              limb((-0.48 * length, 0, body + 0.1 * height),
                   (-0.66 * length, 0, body - 0.15 * height), (0.03 * height, 0.02 * height), 1,
                   5)]
    parts += [limb(head + (0, side * 0.05 * height, 0.05 * height),
                   head + (-0.03 * height, side * 0.09 * height, 0.17 * height),
                   (0.03 * height, 0.012 * height), 1, 5) for side in (-1, 1)]
    fur = np.array((0.34, 0.24, 0.15)) * rng.uniform(0.1, 1.9)
    return join(parts), [Look('cloth', fur), Look('cloth', fur * rng.uniform(0.5, 1.3))]


def _tire(rng: Rng) -> Made:
    """One to three tires in a stack, or one that stands."""
    wide, thick = rng.uniform(0.22, 0.4), rng.uniform(0.08, 0.13)
    around, across = np.arange(21) * (2 * np.pi / 20), np.arange(8) * (2 * np.pi / 8)
    ring = wide + thick * np.cos(across)
    torus = np.stack([np.cos(around)[:, None] * ring, np.sin(around)[:, None] * ring,
                      np.broadcast_to(thick * np.sin(across), (21, 8))], -1)
    if rng.random() < 0.35:
        stands = torus[..., (0, 2, 1)] + (0, 0, wide + thick)
        return loft(stands, smooth=True, caps=False), [Look('plain', (0.05, 0.05, 0.052))]
    return join([loft(torus + (*rng.normal(0, 0.03, 2), thick * (2 * i + 1)), smooth=True,
                      caps=False) for i in range(int(rng.integers(1, 4)))]), [
        Look('plain', np.full(3, rng.uniform(0.03, 0.08)))]


def _sofa(rng: Rng) -> Made:
    """Seat, back, arms and cushions."""
    wide, deep = rng.uniform(1.3, 2.1), rng.uniform(0.8, 0.95)
    parts = [box((deep, wide, 0.3), (0, 0, 0.22)),
             box((0.22, wide, 0.75), (-deep / 2 + 0.1, 0, 0.45)),
             *(box((deep, 0.2, 0.55), (0, side * (wide / 2 - 0.1), 0.33)) for side in (-1, 1))]
    count = 2 if wide < 1.6 else 3
    cushion = (wide - 0.4) / count
    parts += [box((deep - 0.25, cushion - 0.03, 0.15),
                  (0.1, (i - (count - 1) / 2) * cushion, 0.44), 1) for i in range(count)]
    color = _color(rng)
    return join(parts), [Look('cloth', color), Look('cloth', color * rng.uniform(0.7, 1.4))]


def _trunk(rng: Rng) -> Made:
    """A fallen trunk with stubs of branches."""
    length, radius = rng.uniform(1.8, 4.5), rng.uniform(0.13, 0.32)
    a = np.array((-length / 2, 0, radius * 0.95))
    b = np.array((length / 2, rng.normal(0, 0.1), radius * 0.7))
    parts = [limb(a, b, (radius, radius * 0.95, radius * 0.8, radius * 0.65), 0, 10),
             limb(a - (0.01, 0, 0), a, (radius * 0.93, radius * 0.93), 1, 10)]
    for _ in range(int(rng.integers(2, 6))):
        root = a + rng.uniform(0.15, 0.95) * (b - a)
        way = rng.normal(0, 1, 3) * (0.6, 1, 1)
        way[2] = abs(way[2]) + 0.2
        way *= rng.uniform(0.3, 0.9) / np.linalg.norm(way)
        parts.append(limb(root, root + way, (0.3 * radius, 0.1 * radius), 0, 6))
    bark = np.array((0.14, 0.105, 0.075)) * rng.uniform(0.6, 1.6)
    return join(parts), [Look('bark', bark), Look('planks', (0.45, 0.33, 0.2))]


MAKERS: dict[str, Callable[[Rng], Made]] = {
    'box': _box, 'crate': _crate, 'barrel': _barrel, 'animal': _animal, 'tire': _tire,
    'sofa': _sofa, 'trunk': _trunk}


def put_objects(builder: SceneBuilder, camera: Camera, before: Render, rng: Rng
                ) -> tuple[str, ...]:
    """
    Put 1 to 3 objects on free road in the picture; fewer where there is no place.

    :param builder: to which they are added, numbered from FIRST_NUMBER on.
    :param before: the picture without them.
    :returns: their kinds in the order of their numbers.
    """
    near, far = RANGE_M
    depth = np.where(np.isfinite(before.depth), before.depth, 0.0).astype(np.float64).ravel()
    points = camera.position + camera.rays() * depth[:, None]
    tall = points[(depth > 0) & (points[:, 2] > _TALL_M), :2]
    road = np.flatnonzero((before.class_id.ravel() == CLASS_ID['road']) & (depth > near)
                          & (depth < far))
    kinds: list[str] = []
    taken = np.empty((0, 3))
    wanted = int(rng.integers(1, 4))
    for _ in range(_TRIALS if road.size else 0):
        kind = str(rng.choice(list(MAKERS)))
        mesh, looks = MAKERS[kind](rng)
        wish = np.exp(rng.uniform(*np.log(RANGE_M)))
        close = road[np.abs(np.log(depth[road] / wish)) < 0.1]
        if not close.size:
            continue
        x, y, _ = points[int(rng.choice(close))]
        reach = float(np.hypot(mesh.corners[..., 0], mesh.corners[..., 1]).max()) + 0.15
        if (np.hypot(*(tall - (x, y)).T) < reach).any() or (
                np.hypot(*(taken[:, :2] - (x, y)).T) < reach + taken[:, 2]).any():
            continue
        builder.put(mesh, (float(x), float(y), 0.0), float(rng.uniform(0, 2 * np.pi)),
                    CLASS_ID['road'], looks, FIRST_NUMBER + len(kinds))
        kinds.append(kind)
        taken = np.vstack([taken, (x, y, reach)])
        if len(kinds) == wanted:
            break
    return tuple(kinds)
