# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
How far off the depth of an instance is, and how many instances have one at all.

An instance of the truth is matched by a predicted one of the same class with IoU > 0.5; its error
is |predicted median depth - true median depth of the visible surface| / the latter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .depth_metrics import RANGE_EDGES_M
from .segment_overlaps import SegmentOverlaps

MIN_INSTANCE_PIXELS = 100


@dataclass(frozen=True)
class InstanceRecord:
    """
    One instance of the truth whose depth is known.

    :param truth_m: median depth (Z) of its visible surface, metres.
    :param predicted_m: the same of the predicted instance that matches it; NaN where none does,
        or where it has no depth.
    """

    class_id: int
    pixels: int
    truth_m: float
    matched: bool
    predicted_m: float


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
    """

    instances: int
    matched: int
    measured: int
    matched_share: float
    median_rel: float
    mean_rel: float
    bias_rel: float


@dataclass(frozen=True)
class DistanceResult:
    """
    Distance errors of a set of frames.

    :param by_range: by (near, far] in metres of the true depth.
    :param by_class: by class id; only classes with instances.
    :param min_pixels: smaller instances are not in it.
    """

    all: DistanceErrors
    by_range: dict[tuple[float, float], DistanceErrors]
    by_class: dict[int, DistanceErrors]
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
        self.records: list[InstanceRecord] = []

    def update(self, overlaps: SegmentOverlaps, truth_depth_m: Mapping[int, float],
               predicted_depth_m: Mapping[int, float]) -> None:
        """
        Add one frame.

        :param truth_depth_m: panoptic id of the truth -> metres; instances that are not in it, or
            whose depth is not a positive number, are left out.
        :param predicted_depth_m: panoptic id of the prediction -> metres, NaN where not known.
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
            predicted_m = np.nan
            if column is not None:
                predicted_m = predicted_depth_m.get(int(overlaps.predicted_id[column]), np.nan)
            self.records.append(InstanceRecord(
                class_id=int(overlaps.truth_class[row]), pixels=int(areas[row]),
                truth_m=float(truth_m), matched=column is not None,
                predicted_m=float(predicted_m)))

    def merge(self, other: DistanceMetrics) -> None:
        """Add the instances that another one collected with the same limits."""
        self.records += other.records

    def result(self) -> DistanceResult:
        """Errors of all instances so far."""
        ranges = zip(self._limits[:-1], self._limits[1:], strict=True)
        return DistanceResult(
            all=_errors(self.records),
            by_range={(near, far): _errors(r for r in self.records if near < r.truth_m <= far)
                      for near, far in ranges},
            by_class={i: _errors(r for r in self.records if r.class_id == i)
                      for i in sorted({r.class_id for r in self.records})},
            min_pixels=self.min_pixels)


def _errors(records: Iterable[InstanceRecord]) -> DistanceErrors:
    records = list(records)
    matched = [r for r in records if r.matched]
    signed: NDArray[np.float64] = np.array(
        [(r.predicted_m - r.truth_m) / r.truth_m for r in matched], np.float64)
    signed = signed[np.isfinite(signed)]
    known = len(signed) > 0
    return DistanceErrors(
        instances=len(records), matched=len(matched), measured=len(signed),
        matched_share=len(matched) / len(records) if records else np.nan,
        median_rel=float(np.median(np.abs(signed))) if known else np.nan,
        mean_rel=float(np.mean(np.abs(signed))) if known else np.nan,
        bias_rel=float(np.median(signed)) if known else np.nan)
