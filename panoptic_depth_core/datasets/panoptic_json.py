# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Labels in COCO's panoptic format: a JSON for all pictures, a PNG of segment ids for each.

https://cocodataset.org/#format-data, panoptic segmentation. What the readers have no use for is
not looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from ..class_tables import Byte
from ..errors import ConfigError
from ..io.results.coco_panoptic import read_ids
from ..labels import CITYSCAPES, VOID_ID, ClassInfo
from .label_files import OUTSIDE, pack, require_known, require_size


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """One segment of a picture; a crowd is a group of things that are not told apart."""

    id: Annotated[int, Field(gt=0, lt=1 << 24)]
    category_id: int
    iscrowd: bool = False


@dataclass(frozen=True, slots=True)
class Annotation:
    """The labels of one picture."""

    image_id: int | str
    file_name: str
    segments_info: tuple[SegmentInfo, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture."""

    id: int | str
    file_name: str


@dataclass(frozen=True, slots=True)
class Category:
    """One class."""

    id: int
    name: str
    isthing: bool
    color: tuple[Byte, Byte, Byte] | None = None


@dataclass(frozen=True, slots=True)
class PanopticJson:
    """What the JSON says."""

    annotations: tuple[Annotation, ...]
    images: tuple[Picture, ...] = ()
    categories: tuple[Category, ...] = ()


def read_panoptic_json(path: Path, remedy: str) -> PanopticJson:
    """
    Read the JSON.

    :param remedy: for the message.
    :raises ConfigError: when it cannot be read or lacks something.
    """
    try:
        return TypeAdapter(PanopticJson).validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}; check the path') from None
    except ValidationError as error:
        first = error.errors()[0]
        where = '.'.join(str(part) for part in first['loc'])
        raise ConfigError(f'{path}: not in COCO panoptic format: '
                          f'{where}: {first["msg"]}; {remedy}') from None


def read_segments(path: Path, size: tuple[int, int], segments: Sequence[SegmentInfo],
                  class_of: Callable[[int], int],
                  table: Sequence[ClassInfo] = CITYSCAPES) -> NDArray[np.int32]:
    """
    Read the PNG of one picture; the instances of a category are numbered from 1.

    :param size: (H, W) of the picture.
    :param class_of: class id of a category; VOID_CLASS: not learned, OUTSIDE: there is none.
    :returns: (H, W) int32 panoptic ids; VOID_ID where the PNG has 0.
    :raises ConfigError: when it cannot be read, has another size, or an id that is no segment or
        two of them.
    """
    stored = read_ids(path)
    require_size(path, stored, size)
    rows = sorted(segments, key=lambda row: row.id)
    if twice := [row.id for row, other in pairwise(rows) if row.id == other.id]:
        raise ConfigError(f'{path}: two of its segments in the JSON have the id {twice[0]}; give '
                          'each its own')
    seen: Counter[int] = Counter()
    instances = []
    for row in rows:
        seen[row.category_id] += not row.iscrowd
        instances.append(0 if row.iscrowd else seen[row.category_id])
    classes = np.array([class_of(row.category_id) for row in rows], np.int32)
    # Zeros cost nothing where nobody looks, and ids may be as large as 2^24.
    shifted = np.zeros(max(int(stored.max()), *(row.id for row in rows), 0) + 1, np.int32)
    shifted[[row.id for row in rows]] = pack(classes, np.array(instances), table) - OUTSIDE
    shifted[0] = VOID_ID - OUTSIDE
    panoptic: NDArray[np.int32] = shifted[stored] + OUTSIDE
    require_known(path, stored, panoptic)
    return panoptic
