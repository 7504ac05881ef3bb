# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Depth-aware panoptic quality, DPQ (Qiao et al., ViP-DeepLab, CVPR 2021).

DPQ at a tolerance lambda is the panoptic quality of a prediction whose pixels with a depth error
above it, |p - g| / g > lambda, are void. DPQ is the mean over tolerances. DVPQ over k frames of a
video is the same with k consecutive frames, whose instance ids go on, put side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..labels import CITYSCAPES, LABEL_DIVISOR, VOID_ID, ClassInfo
from .panoptic_quality import AbsentClasses, CrowdRule, PanopticQuality, PanopticQualityResult
from .segment_overlaps import segment_overlaps

TOLERANCES = (0.5, 0.25, 0.1)


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
    :raises ValueError: when there are none.
    """

    def __init__(self, classes: Sequence[ClassInfo] = CITYSCAPES,
                 tolerances: Sequence[float] = TOLERANCES,
                 crowds: CrowdRule = 'same_class') -> None:
        if not tolerances:
            raise ValueError('no tolerances of depth; give at least one, such as 0.25')
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
        shapes = [np.shape(a) for a in (truth, truth_depth, predicted, predicted_depth)]
        if len(set(shapes)) > 1:
            raise ValueError(f'truth, its depth, prediction and its depth have shapes '
                             f'{", ".join(map(str, shapes))}; give all at the size of the image')
        # Depth images of 16-bit integers are unsigned, and would wrap in the difference.
        g = np.asarray(truth_depth).astype(np.float64)
        p = np.asarray(predicted_depth).astype(np.float64)
        known = (g > 0) & np.isfinite(g)
        error = np.zeros(g.shape)
        np.divide(np.abs(p - g), g, out=error, where=known)
        for tolerance, quality in self._by_tolerance.items():
            # Written so that an error that is NaN is above every tolerance.
            within = np.where(error <= tolerance, predicted, np.int32(VOID_ID))
            quality.update(segment_overlaps(
                truth, within, ignore=ignore, truth_divisor=truth_divisor,
                predicted_divisor=predicted_divisor), judged)

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
