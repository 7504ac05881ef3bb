# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Error of depth as disparity, as papers of multi-task learning have it for Cityscapes.

Mean over the pixels with a true disparity, at 256x512 px, in px of the picture 2048 px wide, whose
files hold 256 disparity + 1. Whether SOSD-Net counts at an eighth, as Sener and Koltun (NeurIPS
2018) do, is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..io.cameras.camera_options import CITYSCAPES_FOCAL_TIMES_BASELINE

STRIDE = 4
"""From 1024x2048 to 256x512 px."""


def at_quarter(size: tuple[int, int]) -> tuple[slice, slice]:
    """Pixels nearest to the middles of those at a quarter of the resolution."""
    return slice(STRIDE // 2, size[0], STRIDE), slice(STRIDE // 2, size[1], STRIDE)


def disparity_errors(predicted: NDArray[Any], truth: NDArray[Any]) -> Mapping[str, float]:
    """
    Mean error of an image.

    :param predicted, truth: (N,) meters > 0 of the pixels that count.
    :returns: disparity_px; NaN without pixels.
    """
    if not len(truth):
        return {'disparity_px': float('nan')}
    inverse = 1.0 / predicted.astype(np.float64) - 1.0 / truth.astype(np.float64)
    return {'disparity_px': float(CITYSCAPES_FOCAL_TIMES_BASELINE * np.abs(inverse).mean())}
