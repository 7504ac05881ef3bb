# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What the readers of data sets share: files to arrays, and arrays to the parts of a truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..labels import CITYSCAPES, LABEL_DIVISOR, VOID_CLASS, VOID_ID, ClassInfo, train_id_lut

OUTSIDE = -1
"""Class of a label that is not in a table, and panoptic id of its pixels."""

VALUES = np.arange(1 << 16)
"""Every value of a 16-bit label: what look_up needs is computed once for each."""

_LAST_LABEL_ID = 33


def require_split(data_set: str, split: str, known: Sequence[str]) -> None:
    """
    Check the name of a split.

    :raises ConfigError: when it is none of the known ones.
    """
    if split not in known:
        raise ConfigError(f'{data_set}: unknown split {split!r}; known: {", ".join(known)}')


def require_folder(data_set: str, folder: Path, expected: str) -> Path:
    """
    Check that a folder of a data set is there.

    :param expected: what the root holds, for the message.
    :raises ConfigError: when it is not.
    """
    if not folder.is_dir():
        raise ConfigError(f'{data_set}: {folder} is not a folder; give as root {expected}')
    return folder


def file_stems(data_set: str, folder: Path, suffix: str, below: str = '') -> list[str]:
    """
    Names without the suffix of the files that end on it, sorted.

    :param below: glob pattern of the folders between, such as ``*/``.
    :raises ConfigError: when there is none.
    """
    stems = sorted(path.name.removesuffix(suffix) for path in folder.glob(f'{below}*{suffix}'))
    if not stems:
        raise ConfigError(
            f'{data_set}: no {below}*{suffix} in {folder}; copy the data set again')
    return stems


def video_sequence_folder(data_set: str, root: Path, split: str, suffix: str) -> Path:
    """
    Folder of the frames of a split of a DVPS data set.

    :param root: the folder that holds video_sequence, or that folder, or one with the frames of
        any split in it.
    :raises ConfigError: when it is none of these.
    """
    for folder in (root / 'video_sequence' / split, root / split, root):
        if next(folder.glob(f'*{suffix}'), None) is not None:
            return folder
    raise ConfigError(f'{data_set}: no *{suffix} in {root}/video_sequence/{split}; '
                      'give as root the folder that holds video_sequence')


def read_image(path: Path) -> NDArray[np.uint8]:
    """
    Read a picture.

    :returns: (H, W, 3) uint8 RGB.
    :raises ConfigError: when it is missing or no image.
    """
    return cv2.cvtColor(_read(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(
        np.uint8, copy=False)


def read_labels(path: Path, size: tuple[int, int], *dtypes: type[np.unsignedinteger[Any]]
                ) -> NDArray[Any]:
    """
    Read an image of numbers as it is stored; cast it before any arithmetic.

    :param size: (H, W) of its picture.
    :param dtypes: those that the format allows.
    :returns: (H, W) of one of the dtypes.
    :raises ConfigError: when it is missing or no image, or has another size or dtype.
    """
    labels = _read(path, cv2.IMREAD_UNCHANGED)
    if labels.ndim != 2 or labels.dtype not in dtypes:
        channels = 1 if labels.ndim == 2 else labels.shape[2]
        expected = ' or '.join(np.dtype(dtype).name for dtype in dtypes)
        raise ConfigError(f'{path}: {labels.dtype} with {channels} channels, but one channel of '
                          f'{expected} was expected; copy the data set again, unconverted')
    require_size(path, labels, size)
    return labels


def require_size(path: Path, labels: NDArray[Any], size: tuple[int, int]) -> None:
    """
    Check that labels are of the size of their picture.

    :raises ConfigError: when they are not.
    """
    if labels.shape != size:
        raise ConfigError(
            f'{path}: {labels.shape[1]}x{labels.shape[0]} px, but its picture has '
            f'{size[1]}x{size[0]} px; give pictures and labels of one size')


def read_depth(path: Path, size: tuple[int, int], scale: float = 256.0) -> NDArray[np.float32]:
    """
    Read uint16 metres * scale, 0 where unknown (by default as in KITTI's depth devkit).

    :returns: (H, W) float32 metres, NaN where unknown.
    :raises ConfigError: see read_labels.
    """
    stored = read_labels(path, size, np.uint16)
    depth = stored.astype(np.float32)
    depth /= scale
    depth[stored == 0] = np.nan
    return depth


def read_depth_array(path: Path, size: tuple[int, int]) -> NDArray[np.float32]:
    """
    Read a .npy of metres, unknown where NaN or not above 0.

    :returns: (H, W) float32 metres, NaN where unknown.
    :raises ConfigError: when it is no array of floats, or of another size than the picture.
    """
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(
            f'{path}: no array of numbers: {error}; save it with numpy.save') from None
    if stored.dtype.kind != 'f':
        raise ConfigError(f'{path}: holds {stored.dtype}; give metres as floats')
    if stored.ndim != 2:
        raise ConfigError(f'{path}: has the shape {stored.shape}; give (H, W)')
    require_size(path, stored, size)
    return np.where(stored > 0, stored, np.nan).astype(np.float32)


def read_disparity(path: Path, size: tuple[int, int], fx_baseline: float,
                   offset: int = 0) -> NDArray[np.float32]:
    """
    Read uint16 disparities, (value - offset) / 256 px and 0 where unknown, as depth.

    :param fx_baseline: focal length in px times distance of the cameras in metres.
    :returns: (H, W) float32 metres, NaN where unknown, also where the disparity is not positive.
    :raises ConfigError: see read_labels.
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


def pack(classes: NDArray[Any], instances: NDArray[Any],
         table: Sequence[ClassInfo] = CITYSCAPES) -> NDArray[np.int32]:
    """
    Panoptic ids of classes and instances.

    :param classes: class ids of any shape, VOID_CLASS where void.
    :param instances: 0 where not known, else 1..LABEL_DIVISOR - 1; those of stuff are dropped.
    :returns: int32 of that shape; OUTSIDE where a class or an instance has no such id.
    """
    classes = np.asarray(classes, np.int32)
    things = [c.class_id for c in table if c.is_thing]
    instances = np.where(np.isin(classes, things), instances, 0)
    known = (classes >= 0) & (classes < len(table)) & (instances < LABEL_DIVISOR)
    ids = np.where(known, classes * LABEL_DIVISOR + instances, OUTSIDE)
    return np.where(classes == VOID_CLASS, VOID_ID, ids).astype(np.int32)


def look_up(path: Path, stored: NDArray[Any], ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """
    Panoptic ids of stored labels.

    :param stored: (H, W) integers 0.., as read from path.
    :param ids: panoptic id per value, see pack and VALUES.
    :raises ConfigError: when a value has none; names the first.
    """
    panoptic: NDArray[np.int32] = ids[stored]
    require_known(path, stored, panoptic)
    return panoptic


def require_known(path: Path, stored: NDArray[Any], panoptic: NDArray[np.int32]) -> None:
    """
    Check that every label has a panoptic id.

    :raises ConfigError: when pixels are OUTSIDE; names the label of the first.
    """
    if panoptic.min() == OUTSIDE:
        value = int(stored[panoptic == OUTSIDE][0])
        raise ConfigError(f'{path}: holds the label {value}, which is no class or instance of '
                          'this data set; check that it is the right kind of label file')


def instance_depths(panoptic: NDArray[np.int32],
                    depth: NDArray[np.float32] | None) -> dict[int, float]:
    """
    Median depth of the visible surface of every instance that has a finite depth somewhere.

    :param panoptic: (H, W) int32 ids.
    :param depth: (H, W) float32 metres, > 0; NaN where unknown.
    :returns: panoptic id -> metres.
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


def _read(path: Path, mode: int) -> NDArray[Any]:
    # A check in front, since OpenCV prints a warning of its own for a missing file.
    image = cv2.imread(str(path), mode) if path.is_file() else None
    if image is None:
        raise ConfigError(f'{path}: missing or no image; copy the data set again')
    return image
