# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Images of labels and depth in a recording as the truth of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...labels import LABEL_DIVISOR, VOID_CLASS, VOID_ID, ClassInfo, thing_classes
from ...structures import GroundTruth
from .reading import values_of

_MILLIMETRE = np.float32(0.001)


class LabelImage(NamedTuple):
    """
    True labels of an image.

    :param ids: (H, W) uint16 class id * labels.LABEL_DIVISOR + instance_id, labels.VOID_ID void.
    :param has_instances: False where only classes are known.
    """

    ids: NDArray[np.uint16]
    has_instances: bool


def labels_of(message: Any) -> LabelImage:
    """
    Read an image of labels.

    :param message: sensor_msgs/Image: 16UC1 panoptic ids, or 8UC1 class ids, 255 void.
    :raises ConfigError: another encoding, truncated ...
    """
    values = values_of(message)
    if values.ndim != 2 or values.dtype.kind != 'u':
        raise ConfigError(f'true labels are {message.encoding!r}; give 16UC1 panoptic ids or 8UC1 '
                          'classes')
    if values.dtype == np.uint16:
        return LabelImage(values, True)
    ids = np.arange(256) * LABEL_DIVISOR
    # Of the classes that do not fit beside void there is no table.
    ids[(ids >= VOID_ID) | (np.arange(256) == VOID_CLASS)] = VOID_ID
    return LabelImage(ids.astype(np.uint16).take(values), False)


def depth_of(message: Any) -> NDArray[np.float32]:
    """
    Read an image of depth.

    :param message: sensor_msgs/Image: 32FC1 metres or 16UC1 millimetres along Z; 0 not known
        (REP-118).
    :returns: (H, W) float32 metres, NaN where not known; a view on the message where it can be.
    :raises ConfigError: another encoding, truncated ...
    """
    values = values_of(message)
    if values.ndim != 2 or values.dtype.itemsize == 1:
        raise ConfigError(f'depth is {message.encoding!r}; give 32FC1 metres or 16UC1 millimetres')
    unknown = values == 0
    if values.dtype == np.uint16:
        values = values * _MILLIMETRE
    elif unknown.any():
        values = values.copy()
    else:
        return values
    values[unknown] = np.nan
    return values


class IdRuns(NamedTuple):
    """
    An image of ids, row after row, as runs of pixels of one id: there are few of them.

    :param starts, lengths: (R,) int64 first pixel and number of pixels.
    :param ids: (R,) uint16.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    ids: NDArray[np.uint16]

    @classmethod
    def of(cls, image: NDArray[np.uint16]) -> IdRuns:
        """Runs of an (H, W) image; they go on from the end of a row to the next one."""
        flat = image.ravel()
        starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
        return cls(starts, np.diff(starts, append=flat.size), flat[starts])

    def pixel_counts(self) -> dict[int, int]:
        """Id -> its pixels, by ascending id."""
        ids, rows = np.unique(self.ids, return_inverse=True)
        counts = np.bincount(rows, self.lengths)
        return dict(zip(ids.tolist(), counts.astype(np.int64).tolist(), strict=True))


class Medians(NamedTuple):
    """
    Medians of groups of numbers.

    :param groups: (G,) ascending; counts: (G,) numbers in each; values: (G,) float32.
    """

    groups: NDArray[np.int64]
    counts: NDArray[np.int64]
    values: NDArray[np.float32]


def medians(groups: NDArray[np.uint16], values: NDArray[np.float32]) -> Medians:
    """
    Medians of all groups by one sort; np.median for each takes four times as long.

    :param groups, values: (N,); only values that are finite and above 0 count, whose order is that
        of their bits.
    """
    known = np.isfinite(values) & (values > 0)
    keys = groups[known].astype(np.uint64) << np.uint64(32)
    keys |= values[known].astype(np.float32, copy=False).view(np.uint32)
    keys.sort()
    ordered = keys.astype(np.uint32).view(np.float32)
    of = (keys >> np.uint64(32)).astype(np.int64)
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    counts = np.diff(starts, append=len(of))
    low, high = ordered[starts + (counts - 1) // 2], ordered[starts + counts // 2]
    return Medians(of[starts], counts, np.float32(0.5) * (low + high))


def instance_depths(runs: IdRuns, depth: NDArray[np.float32]) -> dict[int, float]:
    """
    Median depth of every instance that has one.

    :param runs: of panoptic ids of LABEL_DIVISOR.
    :param depth: (H, W) float32 metres along Z; only finite ones count.
    :returns: panoptic id -> metres, by ascending id.
    """
    wanted = np.flatnonzero((runs.ids % LABEL_DIVISOR > 0) & (runs.ids != VOID_ID))
    lengths = runs.lengths[wanted]
    # Pixels of all wanted runs, one run after the other.
    pixels = np.arange(lengths.sum()) + np.repeat(
        runs.starts[wanted] - np.cumsum(lengths) + lengths, lengths)
    found = medians(np.repeat(runs.ids[wanted], lengths), depth.ravel()[pixels])
    return dict(zip(found.groups.tolist(), found.values.tolist(), strict=True))


def ground_truth(labels: LabelImage | None, depth: NDArray[np.float32] | None,
                 classes: Sequence[ClassInfo]) -> GroundTruth:
    """
    What images of labels and depth say of a frame; of one size where both are there.

    :param depth: (H, W) float32 metres along Z, NaN not known, +Inf sky.
    :raises ConfigError: ids of classes that are not in the table.
    """
    if labels is None:
        return GroundTruth(depth=depth)
    runs = IdRuns.of(labels.ids)
    outside = runs.ids[(runs.ids // LABEL_DIVISOR >= len(classes)) & (runs.ids != VOID_ID)]
    if outside.size:
        raise ConfigError(
            f'true labels hold the id {outside[0]}, of class {outside[0] // LABEL_DIVISOR}, but '
            f'there are {len(classes)} classes; give ids of class * {LABEL_DIVISOR} + instance, '
            f'and {VOID_ID} for void')
    depths = instance_depths(runs, depth) if depth is not None and labels.has_instances else {}
    return GroundTruth(labels.ids.astype(np.int32), True,
                       thing_classes(classes) if labels.has_instances else (), None, depth, depths)
