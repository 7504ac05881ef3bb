# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Where the pixels of an image were in the images before it.

Dense inverse search (Kroeger et al., Fast Optical Flow Using Dense Inverse Search, ECCV 2016)
between reduced images, in both directions. A pixel is known where the two agree: one that was
hidden, was outside, or looks like others does not come back to where it started (the rule and its
numbers are those of Sundaram et al., Dense Point Trajectories by GPU-Accelerated Large
Displacement Optical Flow, ECCV 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LEAST_SIDE_PX = 32
"""OpenCV's search needs 16 rows, and crashes the process on fewer."""

# The preset FAST, but down to half the size and not a quarter, and as quick as that allows: half
# the steps of descent and of refinement change no metric of a real drive by more than 2 %.
_FINEST_SCALE = 1
_DESCENTS = 8
_REFINEMENTS = 2

_ROUND_TRIP_SHARE = 0.01
_ROUND_TRIP_PX2 = 0.5

# An argument of OpenCV that is left out, which its annotations do not know.
_NONE: Any = None

# So far off that any share of it in a mean of positions, at least 1/32, is outside as well.
_OUTSIDE = -1e6


@dataclass(frozen=True)
class Path:
    """
    Where each pixel of a reduced image was in an earlier one.

    :param at: (h, w, 2) float32 x, y in px of the reduced image; outside where not known.
    :param known: (h, w) bool.
    """

    at: NDArray[np.float32]
    known: NDArray[np.bool_]

    def sample(self, earlier: NDArray[np.float32], outside: float = np.nan) -> NDArray[np.float32]:
        """
        Values of the earlier image, linear between its pixels.

        :param earlier: (h, w) or (h, w, C) float32.
        :param outside: value where the path is not known.
        :returns: the same shape; NaN where a value around it is NaN.
        """
        return np.asarray(cv2.remap(
            earlier, self.at, _NONE, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT,
            borderValue=(outside,) * 4), np.float32)

    def labels(self, earlier: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """
        Labels of the nearest pixel.

        :param earlier: (H, W) uint16 of any size, which covers what the reduced image does.
        :returns: (h, w) uint16; without a meaning where the path is not known.
        """
        (height, width), (rows, columns) = earlier.shape, self.known.shape
        x = _nearest(self.at[..., 0], columns, width)
        y = _nearest(self.at[..., 1], rows, height)
        return np.asarray(earlier.ravel().take(y * width + x))

    def thinned(self) -> Path:
        """Every second row: enough for a median."""
        return Path(self.at[::2], self.known[::2])

    def after(self, earlier: Path) -> Path:
        """Join the path that goes on from where this one ends; known where both are."""
        at = self.sample(earlier.at, _OUTSIDE)
        return Path(at, at[..., 0] > -1.0)


def reduced_shape(shape: tuple[int, int], width_px: int) -> tuple[int, int]:
    """Rows and columns of an image that is at most so wide, of the same proportions."""
    height, width = shape
    columns = min(width, width_px)
    return max(round(height * columns / width), 1), columns


def reduced_gray(picture: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """(h, w) uint8 of an image (H, W, 3) uint8 RGB."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if gray.shape != shape:
        gray = cv2.resize(gray, shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(gray, np.uint8)


def path_between(now: NDArray[np.uint8], before: NDArray[np.uint8]) -> Path | None:
    """
    Where the pixels of an image were in the one before.

    The result depends on the number of OpenCV's threads: to compare machines, set one
    (cv2.setNumThreads).

    :param now, before: (h, w) uint8 of one shape.
    :returns: None where the images are too small for a search.
    """
    rows, columns = now.shape
    if min(rows, columns) < LEAST_SIDE_PX:
        return None
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    search.setFinestScale(_FINEST_SCALE)
    search.setGradientDescentIterations(_DESCENTS)
    search.setVariationalRefinementIterations(_REFINEMENTS)
    back = np.asarray(search.calc(now, before, _NONE), np.float32)
    forth = np.asarray(search.calc(before, now, _NONE), np.float32)
    at = back.copy()
    at[..., 0] += np.arange(columns, dtype=np.float32)
    at[..., 1] += np.arange(rows, dtype=np.float32)[:, None]
    forth = Path(at, np.ones(now.shape, np.bool_)).sample(forth)
    off = back + forth
    for vectors in (off, back, forth):
        np.square(vectors, out=vectors)
    off -= _ROUND_TRIP_SHARE * (back + forth)
    # NaN, which is outside, compares as False.
    known = np.asarray(off[..., 0] + off[..., 1] <= _ROUND_TRIP_PX2, np.bool_)
    at[~known] = _OUTSIDE
    return Path(at, known)


def _nearest(at: NDArray[np.float32], reduced: int, full: int) -> NDArray[np.intp]:
    """Index along an axis of the full image that a position in the reduced one falls into."""
    index = ((at + np.float32(0.5)) * np.float32(full / reduced)).astype(np.intp)
    return np.clip(index, 0, full - 1, out=index)
