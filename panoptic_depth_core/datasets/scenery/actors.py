# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Vehicles and people of the synthetic scenes: which ones, of what colours."""

from __future__ import annotations

import math

import numpy as np

from ...labels import CLASS_ID
from .meshes import Rng, Shape
from .objects import VEHICLE_LOOKS, Color, Look, vehicles
from .people import BAG, HAIR, SHIRT, SHOES, SKIN, TROUSERS, people
from .scene import SceneBuilder

_PAINTS = np.array(((0.6, 0.61, 0.62), (0.012, 0.012, 0.014), (0.1, 0.105, 0.11),
                    (0.3, 0.31, 0.33), (0.3, 0.015, 0.015), (0.02, 0.05, 0.18),
                    (0.03, 0.08, 0.05), (0.35, 0.3, 0.22), (0.5, 0.35, 0.03), (0.1, 0.25, 0.45)))
_PAINT_SHARE = np.array((0.2, 0.2, 0.2, 0.16, 0.08, 0.08, 0.02, 0.03, 0.015, 0.015))

_REACH_M = {'truck': 8.0, 'bus': 8.0, 'train': 16.0}


def _tuple(values: object) -> Color:
    r, g, b = np.asarray(values, np.float64)
    return float(r), float(g), float(b)


def _paint(rng: Rng) -> Look:
    color = _PAINTS[rng.choice(len(_PAINTS), p=_PAINT_SHARE)] * rng.uniform(0.75, 1.3)
    return Look('plain', _tuple(color), 0.05)


def _pick(rng: Rng, stock: tuple[Shape, ...]) -> Shape:
    return stock[int(rng.integers(len(stock)))]


def put_vehicle(builder: SceneBuilder, rng: Rng, x: float, y: float, z: float, yaw: float,
                number: int, kind: str = '', ridden: bool = True) -> None:
    """A vehicle with its rider where it has one; ``number`` and ``number + 1`` are used."""
    rng = np.random.default_rng(int(rng.integers(2 ** 62)))
    kind = kind or str(rng.choice(('car', 'truck', 'bus', 'bicycle', 'motorcycle', 'train'),
                                  p=(0.62, 0.11, 0.08, 0.1, 0.075, 0.015)))
    if not builder.sees(x, y, _REACH_M.get(kind, 3.0)):
        return
    shape = _pick(rng, vehicles()[kind])
    paint = _paint(rng)
    looks = [paint] + [VEHICLE_LOOKS[i] for i in range(1, 8)]
    cargo = _tuple(rng.uniform(0.2, 0.75) * rng.uniform(0.6, 1.0, 3))
    looks += [Look('plain', cargo), Look('soil', _tuple(rng.uniform(0.1, 0.35, 3)))]
    if kind in ('bus', 'train'):
        looks[0] = Look('plain', _tuple(rng.uniform(0.05, 0.65, 3)), 0.04)
    size = rng.uniform(0.96, 1.04, 3).tolist()
    builder.put(shape, (x, y, z), yaw, CLASS_ID[kind], looks, number, size)
    if ridden and kind in ('bicycle', 'motorcycle'):
        saddle = (x - 0.2 * math.cos(yaw), y - 0.2 * math.sin(yaw),
                  z - (0.1 if kind == 'motorcycle' else 0.0))
        builder.put(_pick(rng, people()['ride']), saddle, yaw, CLASS_ID['rider'], clothes(rng),
                    number + 1)


def clothes(rng: Rng) -> list[Look]:
    """Looks of a person."""
    looks = [Look()] * 6
    texture = 'stripes' if rng.random() < 0.12 else 'cloth'
    looks[SHIRT] = Look(texture, _tuple(np.clip(
        rng.uniform(0.02, 0.6) * rng.uniform(0.3, 1.4, 3), 0.01, 0.8)))
    trousers = rng.uniform(0.015, 0.25)
    looks[TROUSERS] = Look('cloth', _tuple(trousers * rng.uniform(
        (0.7, 0.8, 0.9), (1.2, 1.1, 1.6))))
    looks[SKIN] = Look('plain', _tuple(np.array((0.5, 0.3, 0.21)) * rng.uniform(0.25, 1.1)))
    looks[HAIR] = Look('plain', _tuple(np.array((0.2, 0.13, 0.08)) * rng.uniform(0.08, 1.6)))
    looks[SHOES] = Look('plain', _tuple(np.full(3, rng.uniform(0.01, 0.4))))
    looks[BAG] = Look('cloth', _tuple(rng.uniform(0.01, 0.3, 3)))
    return looks


def put_person(builder: SceneBuilder, rng: Rng, x: float, y: float, z: float, yaw: float,
               number: int, pose: str = 'walk') -> None:
    """A person, sometimes a child."""
    rng = np.random.default_rng(int(rng.integers(2 ** 62)))
    if not builder.sees(x, y, 1.0):
        return
    scale = rng.uniform(0.55, 0.8) if rng.random() < 0.1 else rng.uniform(0.88, 1.09)
    builder.put(_pick(rng, people()[pose]), (x, y, z), yaw, CLASS_ID['person'], clothes(rng),
                number, (scale, scale, scale))
