# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Depth metrics of Panoptic-DepthLab's evaluation, as published.

Of one frame; the original averages them over the 500 frames of Cityscapes val. Predictions pass
through an 8-bit image first, which floors them to whole meters, and its "SILog" is a mean
difference of decadic logarithms, which does depend on the scale.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST_M = 0.1


def floored(predicted: NDArray[Any]) -> NDArray[np.float64]:
    """Meters after an 8-bit image of whole meters; 0.1 m in place of 0."""
    whole = np.floor(np.clip(predicted, 0, 255))
    return np.where(whole == 0, _LEAST_M, whole).astype(np.float64)


def depthlab_metrics(predicted: NDArray[Any], truth: NDArray[Any]) -> dict[str, float]:
    """
    Measure a frame.

    :param predicted: meters, see floored.
    :param truth: meters of the same shape, 0 or NaN where unknown.
    :returns: rse and rae relative to the spread of the truth, irmse in 1/km, silog times 100,
        acc_1, acc_2 and acc_3 in percent; NaN without a known pixel, rse and rae also where all
        have one depth.
    """
    known = np.isfinite(truth) & (truth > 0)
    p, t = predicted[known].astype(np.float64), truth[known].astype(np.float64)
    if not t.size:
        return dict.fromkeys(('rse', 'rae', 'irmse', 'silog', 'acc_1', 'acc_2', 'acc_3'), np.nan)
    spread = t - t.mean()
    spread[:] = np.nan if not spread.any() else spread
    ratio = np.maximum(p / t, t / p)
    return {
        'rse': float(((p - t) ** 2).sum() / (spread ** 2).sum()),
        'rae': float(np.abs(p - t).sum() / np.abs(spread).sum()),
        'irmse': float(np.sqrt(((1000 / p - 1000 / t) ** 2).mean())),
        'silog': float(100 * np.abs(np.log10(p) - np.log10(t)).mean()),
        **{f'acc_{power}': float(100 * (ratio < 1.25 ** power).mean()) for power in (1, 2, 3)}}
