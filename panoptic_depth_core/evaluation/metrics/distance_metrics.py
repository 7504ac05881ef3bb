# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
How far off the depth of an instance is, and how many instances have one at all.

An instance of the truth is matched by a predicted one of the same class with IoU > 0.5; its error
is |predicted median depth - true median depth of the visible surface| / the latter. It is within
the range that the model expects when the log of their ratio is within that of its segment, which
is a range of pixels: how far that holds of a median is what the coverage says.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .depth_metrics import RANGE_EDGES_M
from .segment_overlaps import SegmentOverlaps
from .uncertainty import ONE_SIGMA, TWO_SIGMA, laplace_reach

MIN_INSTANCE_PIXELS = 100


@dataclass(frozen=True)
class InstanceRecord:
    """
    One instance of the truth whose depth is known.

    :param truth_m: median depth (Z) of its visible surface, metres.
    :param predicted_m: the same of the predicted instance that matches it; NaN where none does,
        or where it has no depth.
    :param log_depth_scale: Laplace scale of log depth of the predicted instance; NaN where not
        known.
    """

    class_id: int
    pixels: int
    truth_m: float
    matched: bool
    predicted_m: float
    log_depth_scale: float = np.nan


# The fields of a record as 37 bytes, for struct and for numpy.
_RECORD = struct.Struct('<iqd?dd')
_COLUMNS = np.dtype([('class_id', '<i4'), ('pixels', '<i8'), ('truth_m', '<f8'),
                     ('matched', '?'), ('predicted_m', '<f8'), ('log_depth_scale', '<f8')])


@dataclass(frozen=True)
class DistanceErrors:
    """
    Errors of a group of instances; NaN where there are none.

    :param instances: of the truth; the denominator of ``matched_share``.
    :param matched: of these, with a predicted instance.
    :param measured: of the matched, with a predicted depth: those that the errors are of.
    :param median_rel: median of |p - g| / g.
    :param mean_rel: mean of |p - g| / g.
    :param bias_rel: median of (p - g) / g; above 0 is too far.
    :param stated: of the measured, with an expected error: the denominator of the coverages.
    :param coverage_68, coverage_95: share whose true depth is in the 68 % and 95 % range.
    """

    instances: int
    matched: int
    measured: int
    matched_share: float
    median_rel: float
    mean_rel: float
    bias_rel: float
    stated: int
    coverage_68: float
    coverage_95: float


@dataclass(frozen=True)
class DistanceResult:
    """
    Distance errors of a set of frames.

    :param by_range: by (near, far] in metres of the true depth.
    :param by_class: by class id; only classes with instances.
    :param by_class_and_range: by both; only groups with instances.
    :param min_pixels: smaller instances are not in it.
    """

    all: DistanceErrors
    by_range: dict[tuple[float, float], DistanceErrors]
    by_class: dict[int, DistanceErrors]
    by_class_and_range: dict[tuple[int, tuple[float, float]], DistanceErrors]
    min_pixels: int


class DistanceMetrics:
    """
    Collects one record per instance.

    :param min_pixels: instances of the truth with fewer pixels are left out.
    :param range_edges_m: limits between the groups of ``by_range``, ascending.
    """

    def __init__(self, min_pixels: int = MIN_INSTANCE_PIXELS,
                 range_edges_m: Sequence[float] = RANGE_EDGES_M) -> None:
        self.min_pixels = min_pixels
        self._limits = (0.0, *range_edges_m, np.inf)
        self._packed = bytearray()

    @property
    def records(self) -> list[InstanceRecord]:
        """Every instance so far, in order; made anew from their compact form."""
        return [InstanceRecord(*fields) for fields in _RECORD.iter_unpack(self._packed)]

    def add(self, record: InstanceRecord) -> None:
        """
        Add one instance, however it was found; it is not left out for its size.

        :raises ValueError: when its true depth is not a positive number.
        """
        if not 0.0 < record.truth_m < np.inf:
            raise ValueError(f'true depth of an instance is {record.truth_m} m; give a finite '
                             'number > 0')
        self._packed += _RECORD.pack(
            record.class_id, record.pixels, record.truth_m, record.matched, record.predicted_m,
            record.log_depth_scale)

    def update(self, overlaps: SegmentOverlaps, truth_depth_m: Mapping[int, float],
               predicted_depth_m: Mapping[int, float],
               log_depth_scale: Mapping[int, float] | None = None) -> None:
        """
        Add one frame.

        :param truth_depth_m: panoptic id of the truth -> metres; instances that are not in it, or
            whose depth is not a positive number, are left out.
        :param predicted_depth_m: panoptic id of the prediction -> metres, NaN where not known.
        :param log_depth_scale: panoptic id of the prediction -> expected error of log depth.
        """
        rows, columns, _ = overlaps.matches()
        match = dict(zip(rows.tolist(), columns.tolist(), strict=True))
        areas = overlaps.pixels.sum(axis=1)
        for row in np.flatnonzero(~overlaps.truth_void & (areas >= self.min_pixels)).tolist():
            truth_m = truth_depth_m.get(int(overlaps.truth_id[row]), np.nan)
            if overlaps.truth_instance[row] == 0 or not 0.0 < truth_m < np.inf:
                continue
            column = match.get(row)
            # A segment of the same class without an instance is no answer to "how far is it".
            if column is not None and overlaps.predicted_instance[column] == 0:
                column = None
            predicted_m = scale = np.nan
            if column is not None:
                predicted_id = int(overlaps.predicted_id[column])
                predicted_m = predicted_depth_m.get(predicted_id, np.nan)
                scale = (log_depth_scale or {}).get(predicted_id, np.nan)
            self.add(InstanceRecord(
                class_id=int(overlaps.truth_class[row]), pixels=int(areas[row]),
                truth_m=float(truth_m), matched=column is not None,
                predicted_m=float(predicted_m), log_depth_scale=float(scale)))

    def merge(self, other: DistanceMetrics) -> None:
        """Add the instances that another one collected with the same limits."""
        self._packed += other._packed

    def result(self) -> DistanceResult:
        """Errors of all instances so far."""
        columns = np.frombuffer(bytes(self._packed), _COLUMNS)
        classes, truth_m = columns['class_id'], columns['truth_m']
        signed, ratios = _relative(columns), _stated(columns)
        ranges = {(near, far): (near < truth_m) & (truth_m <= far)
                  for near, far in zip(self._limits[:-1], self._limits[1:], strict=True)}
        of_class = {i: classes == i for i in np.unique(classes).tolist()}

        def errors(group: NDArray[np.bool_]) -> DistanceErrors:
            return _errors(columns['matched'][group], signed[group], ratios[group])

        return DistanceResult(
            all=errors(np.ones(len(columns), np.bool_)),
            by_range={limits: errors(group) for limits, group in ranges.items()},
            by_class={i: errors(group) for i, group in of_class.items()},
            by_class_and_range={
                (i, limits): errors(inside & group) for i, inside in of_class.items()
                for limits, group in ranges.items() if (inside & group).any()},
            min_pixels=self.min_pixels)


def _relative(columns: NDArray[np.void]) -> NDArray[np.float64]:
    """(N,) (p - g) / g, NaN where there is no match or no predicted depth."""
    truth_m = columns['truth_m']
    error: NDArray[np.float64] = (columns['predicted_m'] - truth_m) / truth_m
    return np.where(columns['matched'] & np.isfinite(error), error, np.nan)


def _stated(columns: NDArray[np.void]) -> NDArray[np.float64]:
    """(N,) |ln p - ln g| / b, NaN where one of them is not known."""
    predicted_m, scale = columns['predicted_m'], columns['log_depth_scale']
    known = columns['matched'] & (predicted_m > 0) & (predicted_m < np.inf) & (scale > 0)
    ratios = np.full(len(columns), np.nan)
    # The logarithm of numpy differs from one processor to the next, by its vector instructions.
    logs = [abs(math.log(ratio)) for ratio in (predicted_m / columns['truth_m'])[known].tolist()]
    ratios[known] = logs / scale[known]
    return ratios


def _errors(matched: NDArray[np.bool_], signed: NDArray[np.float64],
            ratios: NDArray[np.float64]) -> DistanceErrors:
    """
    Errors of one group of N instances.

    :param signed, ratios: (N,) see _relative and _stated.
    """
    instances, found = len(matched), int(np.count_nonzero(matched))
    signed, ratios = (values[~np.isnan(values)] for values in (signed, ratios))
    known = len(signed) > 0

    def coverage(share: float) -> float:
        return float(np.mean(ratios <= laplace_reach(share))) if len(ratios) else np.nan

    return DistanceErrors(
        instances=instances, matched=found, measured=len(signed),
        matched_share=found / instances if instances else np.nan,
        median_rel=float(np.median(np.abs(signed))) if known else np.nan,
        mean_rel=float(np.mean(np.abs(signed))) if known else np.nan,
        bias_rel=float(np.median(signed)) if known else np.nan,
        stated=len(ratios), coverage_68=coverage(ONE_SIGMA), coverage_95=coverage(TWO_SIGMA))
