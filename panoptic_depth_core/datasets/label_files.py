# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What the readers of data sets share: files to arrays, and arrays to samples.

Every function that takes a path raises ConfigError when the file is missing or is not what it
should be. Labels in COCO's panoptic format are a JSON for all pictures and a PNG of segment ids
for each (https://cocodataset.org/#format-data); the rest of that JSON is not read.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from ..class_tables import Byte
from ..errors import ConfigError, warn_once
from ..io.pictures import decode_rgb, decode_stored, read_file
from ..io.results.coco_panoptic import read_ids
from ..labels import (
    CITYSCAPES,
    LABEL_DIVISOR,
    THING_CLASSES,
    VOID_CLASS,
    VOID_ID,
    ClassInfo,
    thing_classes,
    train_id_lut,
)
from ..structures import Frame, GroundTruth, Intrinsics, Mounting, Sample
from ..untrusted import array_of, read_bytes, reading

SPLITS = ('train', 'val')

_log = logging.getLogger(__name__)

OUTSIDE = -1
"""Class of a label that is not in a table, and panoptic id of its pixels."""

VALUES = np.arange(1 << 16)
"""Every value of a 16-bit label: what read_panoptic needs is computed once for each."""

_LAST_LABEL_ID = 33


class FrameReader:
    """A data set of frames that are found by their names."""

    classes: tuple[ClassInfo, ...] = CITYSCAPES
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)


def make_sample(image: NDArray[np.uint8], camera: Intrinsics, name: str, *,
                panoptic: NDArray[np.int32] | None = None,
                depth: NDArray[np.float32] | None = None,
                instance_classes: tuple[int, ...] = THING_CLASSES,
                ignore: NDArray[np.bool_] | None = None, sequence: str = '',
                source: str = 'data set', mounting: Mounting | None = None) -> Sample:
    """A sample: with semantics, if it has labels; ``source`` is Frame.intrinsics_source."""
    frame = Frame(image, camera, name=name, intrinsics_source=source, mounting=mounting)
    if panoptic is None:
        return Sample(frame, GroundTruth(depth=depth), sequence)
    return Sample(frame, GroundTruth(
        panoptic=panoptic, has_semantics=True, instance_classes=instance_classes, ignore=ignore,
        depth=depth, instance_depth_m=instance_depths(panoptic, depth)), sequence)


def require_split(data_set: str, split: str, known: Sequence[str] = SPLITS) -> None:
    if split not in known:
        raise ConfigError(f'{data_set}: unknown split {split!r}; known: {", ".join(known)}')


def require_folder(data_set: str, folder: Path, expected: str) -> Path:
    """:param expected: what the root holds, for the message."""
    if not folder.is_dir():
        raise ConfigError(f'{data_set}: {folder} is not a folder; give as root {expected}')
    return folder


def file_stems(data_set: str, folder: Path, suffix: str, below: str = '') -> list[str]:
    """Sorted names without a suffix of the files that end on it; ``below``: glob of folders."""
    stems = sorted(path.name.removesuffix(suffix) for path in folder.glob(f'{below}*{suffix}'))
    if not stems:
        raise ConfigError(
            f'{data_set}: no {below}*{suffix} in {folder}; copy the data set again')
    return stems


@dataclass(frozen=True)
class ListedFrame:
    """A line of a list: the picture as the list names it, and where its files are."""

    listed: str
    image: Path
    depth: Path


def read_split_list(data_set: str, root: Path, split: str, names: Sequence[str],
                    otherwise: Sequence[list[str]] = ()) -> list[list[str]]:
    """
    Read the first list that there is: a line per frame, fields between spaces or commas.

    :param names: of files, with SPLIT for the split.
    :param otherwise: lines to use where there is no list.
    """
    known = [root / name.replace('SPLIT', split) for name in names]
    path = next((path for path in known if path.is_file()), None)
    if path is None:
        if otherwise:
            return list(otherwise)
        raise ConfigError(f'{data_set}: no list of split {split!r} in {root}; give as root the '
                          f'folder that holds {", ".join(path.name for path in known[:-1])} or '
                          f'{known[-1].name}')
    with reading(path, 'a list of frames', 'copy it again'):
        lines = [line.replace(',', ' ').split()
                 for line in path.read_text(encoding='utf-8').splitlines()]
    if not any(lines):
        raise ConfigError(f'{path}: empty; copy it again')
    return [line for line in lines if line]


def with_depth(data_set: str, split: str, frames: Sequence[ListedFrame]) -> list[ListedFrame]:
    """Frames whose depth is there; warns about the others, with their number."""
    found = [frame for frame in frames if frame.depth.is_file()]
    if not found:
        raise ConfigError(f'{data_set}: none of the {len(frames)} frames of split {split!r} has a '
                          f'depth; the first would be {frames[0].depth}: check the root')
    if len(found) < len(frames):
        warn_once(_log, f'{data_set}: {len(frames) - len(found)} of {len(frames)} frames of split '
                        f'{split!r} have no depth and are left out')
    return found


def first_existing(paths: Sequence[Path]) -> Path:
    """The first path that is a file, else the first one."""
    return next((path for path in paths if path.is_file()), paths[0])


class VideoReader(FrameReader):
    """
    One split of a DVPS data set: videos with panoptic labels, instances that last, and depth.

    Files are ``video_sequence/SPLIT/SSSSSS_FFFFFF...``, see
    https://github.com/joe-siyuan-qiao/ViP-DeepLab; depth is uint16 meters * 256, 0 unknown.

    :param root: the folder that holds video_sequence, or that folder, or one with frames in it,
        which are taken for any split.
    """

    data_set: str
    image = '_leftImg8bit.png'

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        require_split(self.data_set, split)
        self.root = Path(root)
        for folder in (self.root / 'video_sequence' / split, self.root / split, self.root):
            if next(folder.glob(f'*{self.image}'), None) is not None:
                self.folder = folder
                self.names = file_stems(self.data_set, folder, self.image)
                return
        raise ConfigError(f'{self.data_set}: no *{self.image} in {root}/video_sequence/{split}; '
                          'give as root the folder that holds video_sequence')


def _data(path: Path) -> NDArray[np.uint8]:
    if not path.is_file():
        raise ConfigError(f'{path}: missing; copy the data set again')
    return read_file(path)


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB; the upper 8 of 16 bits."""
    image = decode_rgb(_data(path), str(path), upright=True)
    return np.asarray(image >> 8 if image.dtype == np.uint16 else image, np.uint8)


def read_labels(path: Path, size: tuple[int, int], *dtypes: type[np.unsignedinteger[Any]]
                ) -> NDArray[Any]:
    """Read (H, W) of one of the dtypes, of a picture's size; cast it before any arithmetic."""
    labels = decode_stored(_data(path), str(path))
    if labels.ndim != 2 or labels.dtype not in dtypes:
        channels = 1 if labels.ndim == 2 else labels.shape[2]
        expected = ' or '.join(np.dtype(dtype).name for dtype in dtypes)
        raise ConfigError(f'{path}: {labels.dtype} with {channels} channels, but one channel of '
                          f'{expected} was expected; copy the data set again, unconverted')
    _require_size(path, labels, size)
    return labels


def _require_size(path: Path, labels: NDArray[Any], size: tuple[int, int]) -> None:
    if labels.shape != size:
        raise ConfigError(
            f'{path}: {labels.shape[1]}x{labels.shape[0]} px, but its picture has '
            f'{size[1]}x{size[0]} px; give pictures and labels of one size')


def read_depth(path: Path, size: tuple[int, int], scale: float = 256.0) -> NDArray[np.float32]:
    """Read uint16 meters * scale, 0 where unknown, as (H, W) float32 meters, NaN there."""
    stored = read_labels(path, size, np.uint16)
    depth = stored.astype(np.float32)
    depth /= scale
    depth[stored == 0] = np.nan
    return depth


def read_depth_array(path: Path, size: tuple[int, int]) -> NDArray[np.float32]:
    """Read a .npy of float meters, unknown where NaN or not above 0: (H, W) float32, NaN there."""
    with reading(path, 'an array of numbers', 'save it with numpy.save'):
        stored = array_of(read_bytes(path))
    if stored.dtype.kind != 'f':
        raise ConfigError(f'{path}: holds {stored.dtype}; give meters as floats')
    if stored.ndim != 2:
        raise ConfigError(f'{path}: has the shape {stored.shape}; give (H, W)')
    _require_size(path, stored, size)
    return np.where(stored > 0, stored, np.nan).astype(np.float32)


def read_disparity(path: Path, size: tuple[int, int], fx_baseline: float,
                   offset: int = 0) -> NDArray[np.float32]:
    """
    Read uint16 disparities, (value - offset) / 256 px and 0 where unknown, as depth.

    :param fx_baseline: focal length in px times distance of the cameras in meters.
    :returns: (H, W) float32 meters, NaN where the disparity is unknown or not positive.
    """
    disparity = (read_labels(path, size, np.uint16).astype(np.float32) - offset) / 256.0
    return (fx_baseline / np.where(disparity > 0, disparity, np.nan)).astype(np.float32)


def classes_of_label_ids(label_ids: NDArray[Any]) -> NDArray[np.int32]:
    """
    Class ids of Cityscapes label ids.

    :param label_ids: 0..65535 of any shape; the format has 0..33, and 255 for -1.
    :returns: int32 of that shape; VOID_CLASS for labels that are not evaluated, OUTSIDE where
        there is no such label.
    """
    lut = np.full(1 << 16, OUTSIDE, np.int32)
    lut[:_LAST_LABEL_ID + 1] = train_id_lut()[:_LAST_LABEL_ID + 1]
    lut[VOID_CLASS] = VOID_CLASS
    return np.asarray(lut[label_ids])


def panoptic_ids(classes: NDArray[Any], instances: NDArray[Any],
                 table: Sequence[ClassInfo] = CITYSCAPES) -> NDArray[np.int32]:
    """
    Panoptic ids of classes and instances.

    :param classes: class ids of any shape, VOID_CLASS where void.
    :param instances: 0 where not known, else 1..LABEL_DIVISOR - 1; those of stuff are dropped.
    :returns: int32 of that shape; OUTSIDE where a class or an instance has no such id.
    """
    classes = np.asarray(classes, np.int32)
    instances = np.where(np.isin(classes, thing_classes(table)), instances, 0)
    known = (classes >= 0) & (classes < len(table)) & (instances < LABEL_DIVISOR)
    ids = np.where(known, classes * LABEL_DIVISOR + instances, OUTSIDE)
    return np.where(classes == VOID_CLASS, VOID_ID, ids).astype(np.int32)


def cityscapes_ids(label_ids: NDArray[Any], instances: NDArray[Any]) -> NDArray[np.int32]:
    """Panoptic ids of Cityscapes label ids and of instances, see panoptic_ids."""
    return panoptic_ids(classes_of_label_ids(label_ids), instances)


def read_panoptic(path: Path, size: tuple[int, int], dtype: type[np.unsignedinteger[Any]],
                  ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """Read labels as (H, W) int32 panoptic ids; ``ids`` has one for each of VALUES."""
    stored = read_labels(path, size, dtype)
    return require_known(path, stored, ids[stored])


def require_known(path: Path, stored: NDArray[Any], panoptic: NDArray[np.int32]
                  ) -> NDArray[np.int32]:
    """:raises ConfigError: when pixels are OUTSIDE; names the label of the first."""
    if panoptic.min() == OUTSIDE:
        value = int(stored[panoptic == OUTSIDE][0])
        raise ConfigError(f'{path}: holds the label {value}, which is no class or instance of '
                          'this data set; check that it is the right kind of label file')
    return panoptic


def instance_depths(panoptic: NDArray[np.int32],
                    depth: NDArray[np.float32] | None) -> dict[int, float]:
    """
    Median depth in meters of the visible surface of every instance that has one somewhere.

    :param panoptic: (H, W) ids. :param depth: (H, W) meters, > 0; NaN where unknown.
    """
    if depth is None:
        return {}
    wanted = (panoptic % LABEL_DIVISOR > 0) & (panoptic != VOID_ID) & np.isfinite(depth)
    # The bits of positive floats are in the order of the floats, so one sort of integers sorts
    # by id and, within an id, by depth.
    keys = panoptic[wanted].astype(np.int64) << 32 | depth[wanted].view(np.int32)
    keys.sort()
    ids = keys >> 32
    starts = np.flatnonzero(np.diff(ids, prepend=OUTSIDE))
    ends = np.append(starts[1:], len(ids))
    depths = keys.astype(np.int32).view(np.float32)
    medians = (depths[(starts + ends - 1) // 2] + depths[(starts + ends) // 2]) / 2
    return dict(zip(ids[starts].tolist(), medians.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """One segment of a picture; a crowd is a group of things without instances."""

    id: Annotated[int, Field(gt=0, lt=1 << 24)]
    category_id: int
    iscrowd: bool = False


@dataclass(frozen=True, slots=True)
class Annotation:
    image_id: int | str
    file_name: str
    segments_info: tuple[SegmentInfo, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    id: int | str
    file_name: str


@dataclass(frozen=True, slots=True)
class Category:
    id: int
    name: str
    isthing: bool
    color: tuple[Byte, Byte, Byte] | None = None


@dataclass(frozen=True, slots=True)
class PanopticJson:
    annotations: tuple[Annotation, ...]
    images: tuple[Picture, ...] = ()
    categories: tuple[Category, ...] = ()


def read_panoptic_json(path: Path, remedy: str) -> PanopticJson:
    """:param remedy: for the message."""
    try:
        with reading(path, 'COCO panoptic JSON', remedy):
            data = path.read_bytes()
        return TypeAdapter(PanopticJson).validate_json(data)
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
    """
    stored = read_ids(path)
    _require_size(path, stored, size)
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
    shifted[[row.id for row in rows]] = panoptic_ids(classes, np.array(instances), table) - OUTSIDE
    shifted[0] = VOID_ID - OUTSIDE
    return require_known(path, stored, shifted[stored] + OUTSIDE)
