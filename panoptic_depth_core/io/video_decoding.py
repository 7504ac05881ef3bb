# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""PyAV, the libraries of FFmpeg: an extra, which is imported when it is needed."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError

EXTRA = "pip install 'panoptic-depth[video]'"


@cache
def find_pyav() -> ModuleType | None:
    """PyAV, silent; None where it is not installed."""
    try:
        import av
        import av.logging
    except ImportError:
        return None
    # What FFmpeg says of each damaged block belongs on no terminal.
    av.logging.set_level(None)
    return av


def pyav(what: str) -> ModuleType:
    """
    PyAV, which something needs.

    :param what: it, for the error.
    :raises ConfigError: not installed; it names the extra.
    """
    av = find_pyav()
    if av is None:
        raise ConfigError(f'{what} needs PyAV, which is not installed; install the extra: {EXTRA}')
    return av


def rgb_of(frame: Any) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of an av.VideoFrame, turned as its display matrix says."""
    pixels = frame.to_ndarray(format='rgb24')
    # Degrees counter-clockwise; some phones write -0.0 or -180.
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns) if turns else pixels)
