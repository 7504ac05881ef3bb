# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The stock of people of the synthetic scenes: walking, standing, riding."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np

from .meshes import Mesh, Rng, Shape, box, ellipsoid, join, limb, loft
from .objects import shape

TROUSERS, SHIRT, SKIN, HAIR, SHOES, BAG = range(6)


def _person(rng: Rng, coarse: bool, pose: str) -> Mesh:
    """A person of 1.75 m; ``pose``: walk, stand, ride (on a saddle at 0.95 m)."""
    swing = {'walk': rng.uniform(0.12, 0.38), 'stand': 0.05, 'ride': 0.0}[pose]
    broad, stout = rng.uniform(0.9, 1.1), rng.uniform(0.85, 1.2)
    hip, lean = (0.9, 0.03 * swing) if pose != 'ride' else (0.98, rng.uniform(0.12, 0.32))
    shoulder = hip + 0.54
    parts = []
    sides, round_head = (4, (5, 4)) if coarse else (6, (8, 6))
    for side, sign in ((-1.0, 1.0), (1.0, -1.0)):
        y = side * 0.1 * broad
        if pose == 'ride':
            knee = np.array((0.33 + 0.06 * sign, y * 1.3, 0.72 + 0.14 * sign))
            foot = np.array((0.22 + 0.1 * sign, y * 1.2, 0.3 + 0.15 * sign))
            hand = np.array((0.52, side * 0.24, hip + 0.16))
            elbow = np.array((lean + 0.14, side * 0.27, shoulder - 0.28))
        else:
            step = swing * sign
            knee = np.array((step * 0.55 + 0.03, y, 0.48))
            foot = np.array((step * 1.05 - 0.06 * (sign < 0), y, 0.06 + 0.06 * (sign < 0)))
            bend = rng.uniform(0, 0.25)
            elbow = np.array((-step * 0.35, side * 0.25 * broad, shoulder - 0.28))
            hand = np.array((-step * 0.6 + bend, side * 0.24 * broad,
                             shoulder - 0.54 + bend * 0.7))
        joint = np.array((0.0, y * 0.9, hip))
        parts += [limb(joint, knee, (0.095 * stout, 0.06), TROUSERS, sides),
                  limb(knee, foot, (0.062, 0.045), TROUSERS, sides),
                  limb((lean, side * 0.185 * broad, shoulder - 0.04), elbow, (0.06, 0.05), SHIRT,
                       sides),
                  limb(elbow, hand, (0.045, 0.035), SHIRT if rng.random() < 0.6 else SKIN,
                       sides)]
        if not coarse:
            parts += [ellipsoid((0.13, 0.045, 0.045), foot + np.array((0.05, 0, -0.02)), SHOES, 6,
                                4), ellipsoid((0.04, 0.03, 0.05), hand, SKIN, 5, 4)]
    round_body = 6 if coarse else 10
    angle = np.arange(round_body) * (2 * np.pi / round_body)
    rings = []
    for share, wide, deep in ((-0.12, 0.15, 0.1), (0.0, 0.17, 0.12), (0.35, 0.15, 0.105),
                              (0.75, 0.19, 0.12), (0.95, 0.17, 0.095), (1.04, 0.06, 0.06)):
        z = hip + share * (shoulder - hip)
        rings.append(np.stack([lean * np.clip(share, 0, 1) + deep * stout * np.cos(angle),
                               wide * broad * np.sin(angle), 0 * angle + z], 1))
    parts.append(loft(rings, SHIRT, smooth=True))
    if rng.random() < 0.25 and pose != 'ride':
        parts.append(loft([r * (1.12, 1.12, 1) for r in rings[:2]] + [np.stack(
            [0.18 * np.cos(angle), 0.2 * np.sin(angle), 0 * angle + 0.55], 1)], SHIRT, True))
    head = np.array((lean + 0.02, 0, shoulder + 0.2))
    parts += [limb((lean, 0, shoulder), head, (0.055, 0.05), SKIN, sides),
              ellipsoid((0.1, 0.078, 0.125), head, SKIN, *round_head),
              ellipsoid((0.105, 0.088, 0.11), head + (-0.025, 0, 0.035), HAIR, *round_head)]
    if rng.random() < 0.3:
        parts.append(box((0.16, 0.3, 0.42), (lean - 0.18, 0, shoulder - 0.22), BAG))
    return join(parts)


@lru_cache(maxsize=1)
def people() -> dict[str, tuple[Shape, ...]]:
    """The stock of people by pose."""
    return {pose: tuple(shape(partial(_person, pose=pose), 14.0, 9, number, i)
                        for i in range(count))
            for number, (pose, count) in enumerate((('walk', 32), ('stand', 12), ('ride', 12)))}
