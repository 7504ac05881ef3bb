# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Depth-aware panoptic quality, DPQ (Qiao et al., ViP-DeepLab, CVPR 2021).

DPQ at a tolerance lambda is the panoptic quality of a prediction whose pixels with a depth error
above it, |p - g| / g > lambda, are void. DPQ is the mean over tolerances. For k frames of a video
at once see video_quality.

A pixel's error is only looked at once: its level is how many tolerances it is within, and the
pixels of every pair of segments are counted by level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...labels import CITYSCAPES, LABEL_DIVISOR, ClassInfo
from .panoptic_quality import AbsentClasses, CrowdRule, PanopticQuality, PanopticQualityResult
from .segment_overlaps import JointTable, joint_table

TOLERANCES = (0.5, 0.25, 0.1)


def depth_levels(truth_depth: NDArray[Any], predicted_depth: NDArray[Any],
                 tolerances: Sequence[float] = TOLERANCES) -> NDArray[np.uint8]:
    """
    How many of the tolerances the relative error of each pixel is within.

    Pixels without a true depth are within all of them, those without a predicted one in none.

    :param truth_depth: metres or another unit; NaN, Inf or 0 where not known.
    :param predicted_depth: the same unit and shape; NaN or Inf where not known.
    :returns: uint8 of their shape.
    :raises ValueError: when shapes differ.
    """
    shapes = [np.shape(truth_depth), np.shape(predicted_depth)]
    if shapes[0] != shapes[1]:
        raise ValueError(f'true depth and predicted depth have shapes {shapes[0]}, {shapes[1]}; '
                         'give all at the size of the image')
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


@dataclass(frozen=True)
class DepthAwareQualityResult:
    """
    DPQ of a set of frames, 0..1.

    :param all, things, stuff: means over the tolerances.
    :param by_tolerance: tolerance -> panoptic quality of what is within it.
    """

    all: float
    things: float
    stuff: float
    by_tolerance: dict[float, PanopticQualityResult]


class DepthAwareQuality:
    """
    Counts matches over frames for each tolerance.

    :param tolerances: greatest |p - g| / g of a pixel that may still be right.
    :raises ValueError: when there are none, or one twice.
    """

    def __init__(self, classes: Sequence[ClassInfo] = CITYSCAPES,
                 tolerances: Sequence[float] = TOLERANCES,
                 crowds: CrowdRule = 'same_class') -> None:
        if not tolerances or len(set(tolerances)) < len(tolerances):
            raise ValueError(f'tolerances of depth are {tuple(tolerances)}; give at least one, '
                             'such as 0.25, and none twice')
        # Who is within a tolerance is within all that are not below it.
        self._least_level = {t: sum(other >= t for other in tolerances) for t in tolerances}
        self._by_tolerance = {t: PanopticQuality(classes, crowds) for t in tolerances}

    def update(self, truth: NDArray[Any], truth_depth: NDArray[Any], predicted: NDArray[Any],
               predicted_depth: NDArray[Any], *, judged: NDArray[np.bool_] | None = None,
               ignore: NDArray[np.bool_] | None = None,
               truth_divisor: int = LABEL_DIVISOR,
               predicted_divisor: int = LABEL_DIVISOR) -> None:
        """
        Add one frame, or several put side by side; all arrays are of one shape.

        Pixels without a true depth stay as they are; those without a predicted one are wrong.

        :param truth, predicted: panoptic ids, see segment_overlaps.
        :param truth_depth: metres or another unit; NaN, Inf or 0 where not known.
        :param predicted_depth: the same unit; NaN or Inf where not known.
        :param judged: (C,) bool, see PanopticQuality.update.
        :raises ValueError: when shapes differ, or a class is not in the table.
        """
        tolerances = tuple(self._by_tolerance)
        self.add(joint_table(
            truth, predicted, ignore=ignore,
            level=depth_levels(truth_depth, predicted_depth, tolerances),
            levels=len(tolerances) + 1, truth_divisor=truth_divisor,
            predicted_divisor=predicted_divisor), judged)

    def add(self, table: JointTable, judged: NDArray[np.bool_] | None = None) -> None:
        """
        Add one frame that was counted already, or several put side by side.

        :param table: counts by the levels of depth_levels with the same tolerances.
        :param judged: (C,) bool, see PanopticQuality.update.
        :raises ValueError: when a class is not in the table of classes.
        """
        for tolerance, quality in self._by_tolerance.items():
            quality.update(table.overlaps(least_level=self._least_level[tolerance]), judged)

    def merge(self, other: DepthAwareQuality) -> None:
        """Add the frames that another one counted with the same classes and tolerances."""
        for tolerance, quality in self._by_tolerance.items():
            quality.merge(other._by_tolerance[tolerance])

    def result(self, absent: AbsentClasses = 'leave_out') -> DepthAwareQualityResult:
        """DPQ of all frames so far."""
        results = {t: quality.result(absent) for t, quality in self._by_tolerance.items()}
        all_, things, stuff = np.mean([[r.all.pq, r.things.pq, r.stuff.pq]
                                       for r in results.values()], axis=0).tolist()
        return DepthAwareQualityResult(all_, things, stuff, results)
