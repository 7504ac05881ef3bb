# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The truth of a frame from recorded images of labels and depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...labels import LABEL_DIVISOR, VOID_CLASS, VOID_ID, ClassInfo, thing_classes
from ...structures import GroundTruth
from .compressed_depth import compressed_depth
from .reading import values_of


class LabelImage(NamedTuple):
    """True labels: (H, W) uint16 panoptic ids; without instances their classes alone count."""

    ids: NDArray[np.uint16]
    has_instances: bool


def labels_of(message: Any) -> LabelImage:
    """Labels of an Image of 16UC1 panoptic ids, or of 8UC1 class ids (255 void)."""
    values = values_of(message)
    if values.ndim != 2 or values.dtype.kind != 'u':
        raise ConfigError(f'true labels are {message.encoding!r}; give 16UC1 panoptic ids or 8UC1 '
                          'classes')
    if values.dtype == np.uint16:
        return LabelImage(values, True)
    ids = np.arange(256) * LABEL_DIVISOR
    # No class table has ids as large as void's.
    ids[(ids >= VOID_ID) | (np.arange(256) == VOID_CLASS)] = VOID_ID
    return LabelImage(ids.astype(np.uint16).take(values), False)


def depth_of(message: Any) -> NDArray[np.float32]:
    """
    Depth of an Image: 32FC1 meters or 16UC1 millimeters along Z, 0 unknown (REP-118).

    :param message: Image, or CompressedImage of compressedDepth.
    :returns: (H, W) float32 meters, NaN unknown; a view on the message where possible.
    :raises ConfigError: another encoding or format, truncated ...
    """
    if hasattr(message, 'format'):
        return compressed_depth(message.format, message.data)
    values = values_of(message)
    if values.ndim != 2 or values.dtype.itemsize == 1:
        raise ConfigError(f'depth is {message.encoding!r}; give 32FC1 meters or 16UC1 millimeters')
    unknown = values == 0
    if values.dtype == np.uint16:
        values = values * np.float32(0.001)
    return np.where(unknown, np.float32(np.nan), values) if unknown.any() else values


def _runs(image: NDArray[np.uint16]) -> tuple[NDArray[np.int64], ...]:
    """First pixel, length and id of each run of one id, row after row; an image has few runs."""
    flat = image.ravel()
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    return starts, np.diff(starts, append=flat.size), flat[starts].astype(np.int64)


def pixel_counts(image: NDArray[np.uint16]) -> dict[int, int]:
    """Id -> its pixels, by ascending id."""
    _, lengths, ids = _runs(image)
    counts = np.bincount(ids, lengths)
    return {int(number): int(counts[number]) for number in np.flatnonzero(counts)}


class Medians(NamedTuple):
    """Medians, (G,) each; groups ascend, counts are the numbers in each group."""

    groups: NDArray[np.int64]
    counts: NDArray[np.int64]
    values: NDArray[np.float32]


def medians(groups: NDArray[np.uint16], values: NDArray[np.float32]) -> Medians:
    """Medians of groups of numbers by one sort; only finite values above 0 count."""
    known = np.isfinite(values) & (values > 0)
    keys = groups[known].astype(np.uint64) << np.uint64(32)
    # Positive floats sort as their bits do.
    keys |= values[known].astype(np.float32, copy=False).view(np.uint32)
    keys.sort()
    ordered = keys.astype(np.uint32).view(np.float32)
    of = (keys >> np.uint64(32)).astype(np.int64)
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    counts = np.diff(starts, append=len(of))
    low, high = ordered[starts + (counts - 1) // 2], ordered[starts + counts // 2]
    return Medians(of[starts], counts, np.float32(0.5) * (low + high))


def instance_depths(image: NDArray[np.uint16], depth: NDArray[np.float32]) -> dict[int, float]:
    """Panoptic id -> median of its known depth in meters along Z, by ascending id."""
    starts, lengths, ids = _runs(image)
    wanted = np.flatnonzero((ids % LABEL_DIVISOR > 0) & (ids != VOID_ID))
    lengths = lengths[wanted]
    # Pixels of all wanted runs, one run after the other.
    pixels = np.arange(lengths.sum()) + np.repeat(
        starts[wanted] - np.cumsum(lengths) + lengths, lengths)
    found = medians(np.repeat(ids[wanted].astype(np.uint16), lengths), depth.ravel()[pixels])
    return dict(zip(found.groups.tolist(), found.values.tolist(), strict=True))


def ground_truth(labels: LabelImage | None, depth: NDArray[np.float32] | None,
                 classes: Sequence[ClassInfo]) -> GroundTruth:
    """The truth of a frame; ConfigError for labels of classes that are not in the table."""
    if labels is None:
        return GroundTruth(depth=depth)
    for number in pixel_counts(labels.ids):
        if number // LABEL_DIVISOR >= len(classes) and number != VOID_ID:
            raise ConfigError(
                f'true labels hold the id {number}, of class {number // LABEL_DIVISOR}, but '
                f'there are {len(classes)} classes; give ids of class * {LABEL_DIVISOR} + '
                f'instance, and {VOID_ID} for void')
    depths = {} if depth is None or not labels.has_instances else instance_depths(
        labels.ids, depth)
    return GroundTruth(labels.ids.astype(np.int32), True,
                       thing_classes(classes) if labels.has_instances else (), None, depth, depths)
