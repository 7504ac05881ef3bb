# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""From 16 bits per value, of which cameras use 10, 12 or 14, to the 8 of the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError

STEPS = (8, 10, 12, 14, 16)
FIRST_PICTURES = 20
"""Pictures of a recording or a folder that are looked at before the first one is used."""


_LEAST_CONTRAST = 64
"""A picture of fewer values has nothing to see: it would be noise, or one gray."""

_OUTLIERS = 1e-3
"""Share of the values at each end that does not count: hot and dead pixels, a lamp."""


def _range_of(values: NDArray[Any]) -> tuple[int, int]:
    """Least and greatest of uint16 values, without outliers and alpha."""
    values = values[..., :3] if values.ndim == 3 else values
    below = np.cumsum(np.bincount(values.ravel()))
    few = _OUTLIERS * values.size
    return int(np.searchsorted(below, few, 'right')), int(
        np.searchsorted(below, values.size - few))


def window_of(low: int, high: int) -> tuple[int, int]:
    """
    First value and bits of the smallest window that holds all values.

    It begins at 0, unless all values lie in the upper quarter below the greatest one, as those of
    thermal cameras do: then it has at least 10 bits and begins at a multiple of its quarter.

    :param low, high: least and greatest value, 0..65535.
    """
    far = 4 * low > 3 * high and high - low >= _LEAST_CONTRAST
    for bits in STEPS[far:]:
        quarter = (1 << bits) // 4
        first = low // quarter * quarter if far else 0
        if high - first < 1 << bits:
            return first, bits
    return 0, 16


class SixteenBits:
    """
    Scales the 16-bit values of one source to 8 bits, all its pictures alike.

    The window of values is the smallest of STEPS bits that holds every value so far, but for
    outliers and for pictures of one gray, as with the shutter closed; it never becomes smaller.
    The upper 8 bits of the window are kept.

    :param bits: in use, 8..16, the window begins at 0; 0: found out.
    :ivar first: called once before the first picture is scaled, to look at others.
    :raises ConfigError: another number of bits.
    """

    def __init__(self, bits: int = 0) -> None:
        if bits and not 8 <= bits <= 16:
            raise ConfigError(f'pictures of 16 bits that use {bits} bits are not known; give 8 '
                              'to 16, or 0 to find it out')
        self.bits = bits
        self.first: Callable[[SixteenBits], None] | None = None
        self._range: tuple[int, int] | None = None
        self._noted: tuple[int, int] | None = None
        self._window = 0, bits

    def look(self, values: NDArray[Any]) -> None:
        """Let the window hold these uint16 values too: (H, W), or (H, W, C) but for alpha."""
        if not self.bits and values.size:
            self._include(_range_of(values))

    def _include(self, found: tuple[int, int]) -> None:
        low, high = found
        if high - low >= _LEAST_CONTRAST:
            least, greatest = self._range or found
            self._range = min(least, low), max(greatest, high)

    def scaled(self, values: NDArray[Any], note: Callable[[str], None] | None = None,
               ) -> NDArray[np.uint8]:
        """
        Uint16 values as uint8 of the same shape; what is beyond the window is cut.

        :param note: takes what the user should know of the window, once.
        """
        if not self.bits:
            first, self.first = self.first, None
            if first is not None:
                first(self)
            found = _range_of(values)
            self._include(found)
            self._window = window_of(*(self._range or found))
            if note is not None:
                for text in self.notes():
                    note(text)
        start, bits = self._window
        if start or bits < 16:
            values = np.clip(values, start, start + (1 << bits) - 1) - np.uint16(start)
        return (values >> np.uint16(bits - 8)).astype(np.uint8)

    def notes(self) -> Iterator[str]:
        """What the user should know of the last picture that was not said before."""
        start, bits = window = self._window
        if self.bits or window in ((0, 0), (0, 16), self._noted):
            return
        grown = self._noted is not None
        self._noted = window
        values = f'values {start} to {start + (1 << bits) - 1}' if start else f'{bits} of 16 bits'
        yield (f'pictures of 16 bits {"came to use" if grown else "use"} {values}, which are '
               'scaled to the whole range; if the camera has others, give --bits (node: '
               'input_bits)')
