# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Between steps 3 and 4: depths outside of the range are marked, not reported (REP-117)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..config import DepthSettings


def mark_depth(depth: NDArray[np.float32], sky: NDArray[np.bool_], settings: DepthSettings,
               ) -> NDArray[np.float32]:
    """
    Scale depths, and replace those that say only 'too near' or 'far'.

    Far is +Inf here whatever far_value says: distances need to tell far from unknown; see
    far_as_set.

    :param depth: (h, w) float32 metres, finite.
    :param sky: (h, w) bool.
    :returns: (h, w) float32 metres; +Inf far, -Inf too near, NaN sky without sky_is_far.
    """
    marked = depth * np.float32(settings.scale)
    near = (marked < settings.min_m) | (marked <= 0)
    marked[marked > settings.max_m] = np.inf
    marked[near] = -np.inf
    marked[sky] = np.inf if settings.sky_is_far else np.nan
    return marked


def far_as_set(depth: NDArray[np.float32], settings: DepthSettings) -> NDArray[np.float32]:
    """(h, w) depth with +Inf replaced by NaN if far_value asks for it."""
    if settings.far_value == 'nan':
        return np.where(np.isposinf(depth), np.float32(np.nan), depth)
    return depth
