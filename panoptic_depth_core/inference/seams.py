# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a depth map must not be interpolated."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def seams(labels: NDArray[np.uint16], depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """
    Cells of 2x2 pixels that must not be interpolated.

    :returns: (h, w) bool; cell (y, x) is the one from pixel (y, x) to (y + 1, x + 1).
    """
    # Interpolation keeps +Inf and NaN, but not their borders, and not -Inf: 1 / -Inf is a zero
    # that loses its sign.
    state = np.isnan(depth).astype(np.uint8) + 2 * np.isposinf(depth)
    seam = np.zeros(labels.shape, np.bool_)
    for array in (labels, state):
        across = array[:, :-1] != array[:, 1:]
        down = array[:-1] != array[1:]
        seam[:, :-1] |= across
        seam[:-1, :-1] |= across[1:]
        seam[:-1] |= down
        seam[:-1, :-1] |= down[:, 1:]
    near = np.isneginf(depth)
    if near.any():
        seam |= np.asarray(cv2.dilate(near.astype(np.uint8), np.ones((3, 3), np.uint8)), np.bool_)
    return seam
