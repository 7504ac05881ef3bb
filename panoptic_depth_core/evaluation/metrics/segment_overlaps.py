# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Shared pixels of the segments of a prediction and of the truth.

One count per frame serves panoptic quality at every tolerance of depth, IoU of classes and
matches for distances. Counts of consecutive frames can be put together without their pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...labels import LABEL_DIVISOR, VOID_CLASS, VOID_ID
from ..settings import TOLERANCES


def require_same_shape(names: str, *arrays: Any) -> None:
    """
    Check that images are of one size.

    :param names: of the arrays, for the message.
    :raises ValueError: when shapes differ.
    """
    shapes = [np.shape(array) for array in arrays]
    if len(set(shapes)) > 1:
        raise ValueError(f'{names} have shapes {", ".join(map(str, shapes))}; give all at the '
                         'size of the image')


@dataclass(frozen=True)
class SegmentOverlaps:
    """
    Pixel counts of every pair of segments of one frame (or of several, put side by side).

    :param truth_id: (T,) int64 panoptic ids; one that ``ignore`` cuts in two is there twice.
    :param truth_class, truth_instance: (T,) int64; class VOID_CLASS and instance 0 where void.
    :param truth_void: (T,) bool, where a prediction can be neither right nor wrong.
    :param predicted_id, predicted_class, predicted_instance: (P,) int64, the same.
    :param pixels: (T, P) int64 shared pixels.
    """

    truth_id: NDArray[np.int64]
    truth_class: NDArray[np.int64]
    truth_instance: NDArray[np.int64]
    truth_void: NDArray[np.bool_]
    predicted_id: NDArray[np.int64]
    predicted_class: NDArray[np.int64]
    predicted_instance: NDArray[np.int64]
    pixels: NDArray[np.int64]

    def matches(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """
        Pairs of the same class with IoU > 0.5; a segment is in one at most.

        Predicted pixels on void do not count for the union (Kirillov et al., Panoptic
        Segmentation, CVPR 2019, section 4.1).

        :returns: rows of the truth (M,), rows of the prediction (M,), their IoU (M,) float64.
        """
        claimed = self.pixels[~self.truth_void].sum(axis=0)
        union = self.pixels.sum(axis=1)[:, None] + claimed[None, :] - self.pixels
        candidates = self.truth_class[:, None] == self.predicted_class[None, :]
        candidates &= ~self.truth_void[:, None] & (self.predicted_class != VOID_CLASS)[None, :]
        rows, columns = np.nonzero(candidates & (2 * self.pixels > union))
        return rows, columns, self.pixels[rows, columns] / union[rows, columns]

    def excused(self, crowd: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """
        Predicted segments that are no false positive where they match nothing.

        :param crowd: (T, P) bool, or (T, 1) for all predictions: pairs whose pixels are crowd.
        :returns: (P,) bool, where more than half of the pixels are on void or crowd.
        """
        on_either = (self.pixels * (crowd | self.truth_void[:, None])).sum(axis=0)
        excused: NDArray[np.bool_] = 2 * on_either > self.pixels.sum(axis=0)
        return excused

    def require_classes(self, count: int) -> None:
        """
        Check that every class is in a table of ``count`` classes.

        :raises ValueError: for the first id whose class is not.
        """
        for name, ids, classes in (('truth', self.truth_id, self.truth_class),
                                   ('prediction', self.predicted_id, self.predicted_class)):
            outside = (classes != VOID_CLASS) & ((classes < 0) | (classes >= count))
            if outside.any():
                first = int(np.flatnonzero(outside)[0])
                raise ValueError(
                    f'{name}: panoptic id {ids[first]} is of class {classes[first]}, but the '
                    f'table has classes 0..{count - 1}; check the label divisor, and mark '
                    f'pixels without a class with {VOID_ID}')


def of_class(flags: NDArray[np.bool_], classes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Flag of each class, from a table of them; False for void."""
    known = classes != VOID_CLASS
    return np.where(known, flags[np.where(known, classes, 0)], False)


@dataclass(frozen=True)
class JointTable:
    """
    Pixel counts of the pairs of ids that share pixels; each pair may have several entries.

    :param truth_key: (N,) int64 twice the panoptic id of the truth, plus 1 where it is ignored.
    :param predicted_id: (N,) int64 panoptic ids.
    :param pixels: (N, L) int64, by the level of the pixels.
    """

    truth_key: NDArray[np.int64]
    predicted_id: NDArray[np.int64]
    pixels: NDArray[np.int64]
    truth_divisor: int
    predicted_divisor: int

    def overlaps(self, *, least_level: int = 0,
                 unlabelled_is_void: bool = True) -> SegmentOverlaps:
        """
        Overlaps of all pairs of segments.

        :param least_level: predicted pixels below it are void.
        :param unlabelled_is_void: truth pixels of VOID_ID may be anything. False where they are
            known to be none of the judged instances.
        """
        kept, dropped = (part.sum(axis=1) for part in (
            self.pixels[:, least_level:], self.pixels[:, :least_level]))
        left, right = kept > 0, dropped > 0
        predicted = np.concatenate([
            self.predicted_id[left], np.full(int(right.sum()), VOID_ID, np.int64)])
        truth_keys, rows = np.unique(
            np.concatenate([self.truth_key[left], self.truth_key[right]]), return_inverse=True)
        predicted_id, columns = np.unique(predicted, return_inverse=True)
        pixels = _count(rows * len(predicted_id) + columns,
                        len(truth_keys) * len(predicted_id),
                        np.concatenate([kept[left], dropped[right]]))

        truth_id, ignored = truth_keys // 2, truth_keys % 2 == 1
        truth_class, truth_instance = _split(truth_id, self.truth_divisor)
        predicted_class, predicted_instance = _split(predicted_id, self.predicted_divisor)
        return SegmentOverlaps(
            truth_id=truth_id, truth_class=truth_class, truth_instance=truth_instance,
            truth_void=ignored | ((truth_class == VOID_CLASS) & unlabelled_is_void),
            predicted_id=predicted_id, predicted_class=predicted_class,
            predicted_instance=predicted_instance,
            pixels=pixels.reshape(len(truth_keys), len(predicted_id)))


def side_by_side(tables: Sequence[JointTable]) -> JointTable:
    """
    Make one table of several frames, as if they were one image: equal ids are one segment.

    :raises ValueError: when there are none, or their divisors differ.
    """
    divisors = {(t.truth_divisor, t.predicted_divisor) for t in tables}
    if len(divisors) != 1:
        raise ValueError(f'frames with label divisors {sorted(divisors)} cannot be put side by '
                         'side; give at least one frame, and all with the same divisors')
    if len(tables) == 1:
        return tables[0]
    return replace(
        tables[0], truth_key=np.concatenate([t.truth_key for t in tables]),
        predicted_id=np.concatenate([t.predicted_id for t in tables]),
        pixels=np.concatenate([t.pixels for t in tables]))


def joint_table(
        truth: NDArray[Any], predicted: NDArray[Any], *,
        ignore: NDArray[np.bool_] | None = None, level: NDArray[np.uint8] | None = None,
        levels: int = 1, truth_divisor: int = LABEL_DIVISOR,
        predicted_divisor: int = LABEL_DIVISOR) -> JointTable:
    """
    Count the pixels of every pair of ids and every level.

    :param truth, predicted: arrays of integers of any one shape, class id * divisor + instance
        id, VOID_ID where void.
    :param ignore: bool of that shape; these pixels are void in the truth whatever their id.
    :param level: uint8 of that shape, 0..levels - 1.
    :raises ValueError: when shapes differ, nothing is in them, or the ids are no integers.
    """
    arrays = [_ids('truth', truth), _ids('prediction', predicted)]
    if ignore is not None:
        arrays.append(np.asarray(ignore, dtype=np.bool_))
    shapes = [a.shape for a in (*arrays, *([] if level is None else [level]))]
    if len(set(shapes)) > 1 or not arrays[0].size:
        raise ValueError(
            f'truth, prediction (ignore, levels) have shapes {", ".join(map(str, shapes))}; give '
            'non-empty ones of one shape, the result at the size of the image')

    # Labels come in long runs along a row: tens of thousands of runs, not millions of pixels.
    flat = [a.ravel() for a in arrays]
    changes = flat[0][1:] != flat[0][:-1]
    for array in flat[1:]:
        changes |= array[1:] != array[:-1]
    starts = np.concatenate(([0], np.flatnonzero(changes) + 1))
    lengths = np.diff(starts, append=flat[0].size)
    truth_runs, predicted_runs = (a[starts].astype(np.int64) for a in flat[:2])
    ignored_runs = flat[2][starts] if ignore is not None else np.zeros(len(starts), np.bool_)

    # The ignored part of a segment gets a row of its own.
    truth_keys, truth_rows = np.unique(2 * truth_runs + ignored_runs, return_inverse=True)
    predicted_ids, predicted_rows = np.unique(predicted_runs, return_inverse=True)
    pairs = truth_rows * len(predicted_ids) + predicted_rows
    count = len(truth_keys) * len(predicted_ids)
    if level is None:
        pixels = _count(pairs * levels, count * levels, lengths)
    else:
        keys = np.repeat(pairs * levels, lengths)
        keys += level.ravel()
        pixels = np.bincount(keys, minlength=count * levels)
    pixels = pixels.reshape(count, levels)
    found = np.flatnonzero(pixels.any(axis=1))
    return JointTable(
        truth_keys[found // len(predicted_ids)], predicted_ids[found % len(predicted_ids)],
        pixels[found], truth_divisor, predicted_divisor)


def segment_overlaps(
        truth: NDArray[Any], predicted: NDArray[Any], *,
        ignore: NDArray[np.bool_] | None = None, unlabelled_is_void: bool = True,
        truth_divisor: int = LABEL_DIVISOR,
        predicted_divisor: int = LABEL_DIVISOR) -> SegmentOverlaps:
    """
    Count the pixels of every pair of segments.

    For the parameters see joint_table and JointTable.overlaps.

    :raises ValueError: when shapes differ, nothing is in them, or the ids are no integers.
    """
    return joint_table(truth, predicted, ignore=ignore, truth_divisor=truth_divisor,
                       predicted_divisor=predicted_divisor).overlaps(
                           unlabelled_is_void=unlabelled_is_void)


def _count(keys: NDArray[np.int64], count: int,
           weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """(count,) int64 sums of integer weights by key."""
    # They pass through float64, which is exact up to 2**53 pixels.
    return np.bincount(keys, weights=weights, minlength=count).astype(np.int64)


def _ids(name: str, ids: NDArray[Any]) -> NDArray[Any]:
    ids = np.asarray(ids)
    if ids.dtype.kind not in 'iu':
        raise ValueError(f'{name}: panoptic ids are {ids.dtype}; give an array of integers')
    return ids


def _split(ids: NDArray[np.int64],
           divisor: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Class and instance of panoptic ids; unlike labels.class_of, classes beyond 255 show."""
    void = ids == VOID_ID
    classes: NDArray[np.int64] = np.where(void, VOID_CLASS, ids // divisor)
    instances: NDArray[np.int64] = np.where(void, 0, ids % divisor)
    return classes, instances


def depth_levels(truth_depth: NDArray[Any], predicted_depth: NDArray[Any],
                 tolerances: Sequence[float] = TOLERANCES) -> NDArray[np.uint8]:
    """
    Count the tolerances that the relative error of each pixel is within.

    Pixels without a true depth are within all of them, those without a predicted one in none.

    :param truth_depth: meters or another unit; NaN, Inf or 0 where not known.
    :param predicted_depth: the same unit and shape; NaN or Inf where not known.
    :returns: uint8 of their shape.
    :raises ValueError: when shapes differ.
    """
    require_same_shape('true depth and predicted depth', truth_depth, predicted_depth)
    # Depth images of 16-bit integers are unsigned, and would wrap in the difference. For these
    # the quotient in 32 bits is on the same side of a tolerance as in 64.
    g = np.asarray(truth_depth).astype(np.float32)
    p = np.asarray(predicted_depth).astype(np.float32)
    known = (g > 0) & np.isfinite(g)
    with np.errstate(divide='ignore', invalid='ignore'):
        error = np.subtract(p, g, out=p)
        np.abs(error, out=error)
        error /= g
    levels = np.zeros(g.shape, np.uint8)
    # An error that is NaN is above every tolerance.
    for tolerance in tolerances:
        levels += error <= np.float32(tolerance)
    levels[~known] = len(tolerances)
    return levels
