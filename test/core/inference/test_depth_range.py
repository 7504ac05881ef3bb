# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Marks of REP-117."""

from __future__ import annotations

import numpy as np
from numpy import inf, nan
from panoptic_depth_core.config import DepthSettings
from panoptic_depth_core.inference.distances import far_as_set, mark_depth

DEPTH = np.array([[0.0, 0.5, 60.0, 61.0, 30.0]], np.float32)
SKY = np.array([[False, False, False, False, True]])


def test_marks():
    marked = mark_depth(DEPTH, SKY, DepthSettings(min_m=1.0, max_m=60.0))
    assert marked.dtype == np.float32
    np.testing.assert_array_equal(marked, [[-inf, -inf, 60.0, inf, inf]])
    assert DEPTH[0, 0] == 0.0, 'the graph output was written to'


def test_sky_unknown():
    marked = mark_depth(DEPTH, SKY, DepthSettings(sky_is_far=False))
    np.testing.assert_array_equal(marked, [[-inf, 0.5, 60.0, 61.0, nan]])


def test_zero_is_never_a_depth():
    assert mark_depth(DEPTH, SKY, DepthSettings(min_m=0.0))[0, 0] == -inf


def test_far_value():
    depth = np.array([[inf, -inf, 3.0]], np.float32)
    assert far_as_set(depth, DepthSettings()) is depth
    np.testing.assert_array_equal(far_as_set(depth, DepthSettings(far_value='nan')),
                                  [[nan, -inf, 3.0]])
