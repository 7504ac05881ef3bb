# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Bins that overlap: a value counts for the two that it lies between."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def between_bins(low: NDArray[np.intp], share: NDArray[Any], values: NDArray[Any], size: int,
                 ) -> NDArray[np.float64]:
    """
    Sums of values by bin.

    :param low: (n,) the lower of the two bins; share: (n,) 0..1, of the upper one.
    :returns: (size,).
    """
    return np.asarray(np.bincount(low, (1 - share) * values, size)
                      + np.bincount(low + 1, share * values, size))
