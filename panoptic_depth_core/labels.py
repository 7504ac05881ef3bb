# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Classes: names, colors, which are things, and how ids are packed.

The default table is the 19 Cityscapes training classes (train ids 0..18, stuff 0..10,
things 11..18; https://github.com/mcordts/cityscapesScripts, labels.py). SEMKITTI are the 19
classes of SemanticKITTI (things 0..7, stuff 8..18; https://github.com/PRBonn/semantic-kitti-api,
config/semantic-kitti.yaml, whose colors are BGR).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LABEL_DIVISOR = 1000
"""Default divisor: panoptic id = class id * divisor + instance id (0 = stuff or no instance)."""

VOID_ID = 65535
"""Panoptic id of a pixel that belongs to no segment; fits uint16."""

VOID_CLASS = 255
"""Semantic class id of such a pixel; fits uint8."""


@dataclass(frozen=True)
class ClassInfo:
    """
    One class.

    :param class_id: row in the table, which is also the value in semantic images.
    :param color: RGB 0..255, for pictures.
    :param is_thing: countable (car) rather than stuff (road).
    :param cityscapes_id: label id in Cityscapes and KITTI files, -1 where there is none.
    """

    class_id: int
    name: str
    color: tuple[int, int, int]
    is_thing: bool
    cityscapes_id: int = -1


def _table(*rows: tuple[Any, ...]) -> tuple[ClassInfo, ...]:
    return tuple(ClassInfo(i, *row) for i, row in enumerate(rows))


def thing_classes(table: Sequence[ClassInfo]) -> tuple[int, ...]:
    """Class ids of things; also the order of a network's center maps."""
    return tuple(c.class_id for c in table if c.is_thing)


CITYSCAPES = _table(
    ('road', (128, 64, 128), False, 7),
    ('sidewalk', (244, 35, 232), False, 8),
    ('building', (70, 70, 70), False, 11),
    ('wall', (102, 102, 156), False, 12),
    ('fence', (190, 153, 153), False, 13),
    ('pole', (153, 153, 153), False, 17),
    ('traffic light', (250, 170, 30), False, 19),
    ('traffic sign', (220, 220, 0), False, 20),
    ('vegetation', (107, 142, 35), False, 21),
    ('terrain', (152, 251, 152), False, 22),
    ('sky', (70, 130, 180), False, 23),
    ('person', (220, 20, 60), True, 24),
    ('rider', (255, 0, 0), True, 25),
    ('car', (0, 0, 142), True, 26),
    ('truck', (0, 0, 70), True, 27),
    ('bus', (0, 60, 100), True, 28),
    ('train', (0, 80, 100), True, 31),
    ('motorcycle', (0, 0, 230), True, 32),
    ('bicycle', (119, 11, 32), True, 33),
)
THING_CLASSES: tuple[int, ...] = thing_classes(CITYSCAPES)
"""Those of Cityscapes."""

CLASS_ID: dict[str, int] = {c.name: c.class_id for c in CITYSCAPES}
SKY = CLASS_ID['sky']

SEMKITTI = _table(
    ('car', (100, 150, 245), True),
    ('bicycle', (100, 230, 245), True),
    ('motorcycle', (30, 60, 150), True),
    ('truck', (80, 30, 180), True),
    ('other-vehicle', (0, 0, 255), True),
    ('person', (255, 30, 30), True),
    ('bicyclist', (255, 40, 200), True),
    ('motorcyclist', (150, 30, 90), True),
    ('road', (255, 0, 255), False),
    ('parking', (255, 150, 255), False),
    ('sidewalk', (75, 0, 75), False),
    ('other-ground', (175, 0, 75), False),
    ('building', (255, 200, 0), False),
    ('fence', (255, 120, 50), False),
    ('vegetation', (0, 175, 0), False),
    ('trunk', (135, 60, 0), False),
    ('terrain', (150, 240, 80), False),
    ('pole', (255, 240, 150), False),
    ('traffic-sign', (255, 0, 0), False),
)

GROUND_CLASSES = ('road', 'sidewalk', 'terrain', 'parking')
"""Names of the classes that are on the ground."""

CLASS_TABLES = {'cityscapes': CITYSCAPES, 'semkitti': SEMKITTI}
"""Name -> table of classes that a network can learn."""


def table_name(classes: Sequence[ClassInfo]) -> str | None:
    """Name of a table in CLASS_TABLES, if it has one."""
    return next((name for name, table in CLASS_TABLES.items() if table == classes), None)


def class_of(panoptic: NDArray[np.generic], divisor: int = LABEL_DIVISOR) -> NDArray[np.uint8]:
    """
    Semantic image of a panoptic one.

    :param panoptic: (H, W) integer panoptic ids, VOID_ID where nothing is known.
    :returns: (H, W) uint8 class ids, VOID_CLASS where void.
    """
    # Division in the ids' own narrow type is ten times as fast as in 64 bits.
    ids: NDArray[Any] = np.asarray(panoptic)
    return np.where(ids == VOID_ID, VOID_CLASS, ids // divisor).astype(np.uint8)


def train_id_lut() -> NDArray[np.uint8]:
    """(256,) uint8 table from Cityscapes label ids to class ids, VOID_CLASS for the rest."""
    lut = np.full(256, VOID_CLASS, np.uint8)
    for info in CITYSCAPES:
        lut[info.cityscapes_id] = info.class_id
    return lut
