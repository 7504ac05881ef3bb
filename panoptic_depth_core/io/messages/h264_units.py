# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Whether an H.264 picture follows the one before it (ITU-T H.264, 7.3 and 7.4.3).

A decoder that misses a picture goes on with an older one, without a word.
"""

from __future__ import annotations

from collections.abc import Iterator

_HEAD = 64
"""Bytes of a unit that hold what is read here."""

_IDR, _SPS, _SLICES = 5, 7, (1, 2, 5)
_HIGH = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))
"""Profiles whose parameter set names the chroma format."""


def units(data: bytes) -> Iterator[int]:
    """Places of the first bytes of the units of a stream with start codes (annex B)."""
    at = data.find(b'\0\0\1')
    while 0 <= at < len(data) - 3:
        yield at + 3
        at = data.find(b'\0\0\1', at + 3)


class _Bits:
    """Numbers of a unit, behind its first byte."""

    def __init__(self, unit: bytes) -> None:
        payload = unit.replace(b'\0\0\3', b'\0\0')
        self._number, self._left = int.from_bytes(payload, 'big'), 8 * len(payload)

    def take(self, count: int) -> int:
        """An unsigned number of some bits; ValueError at the end."""
        self._left -= count
        if self._left < 0:
            raise ValueError('the unit is cut off')
        return self._number >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """An unsigned Exp-Golomb number (9.1)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)


class FrameNumbers:
    """Follows frame_num from picture to picture."""

    def __init__(self) -> None:
        self._bits = 0
        self._has_planes = self._may_skip = False
        self._last: int | None = None

    def misses_one(self, data: bytes) -> bool:
        """Whether a reference picture before that of a packet is missing; False if unknown."""
        for at in units(data):
            kind = data[at] & 0x1f
            try:
                if kind == _SPS:
                    self._read_parameters(_Bits(data[at + 1:at + _HEAD]))
                elif kind in _SLICES:
                    return self._follow(data[at], kind, _Bits(data[at + 1:at + _HEAD]))
            except ValueError:
                self._last = None
                return False
        return False

    def _read_parameters(self, bits: _Bits) -> None:
        self._bits = 0
        profile = bits.take(8)
        bits.take(16)
        bits.golomb()
        self._has_planes = False
        if profile in _HIGH:
            if bits.golomb() == 3:
                self._has_planes = bool(bits.take(1))
            bits.golomb()
            bits.golomb()
            # Lists of scaling factors are not read, so what follows them is not known.
            if bits.take(2) & 1:
                raise ValueError('scaling lists')
        length = bits.golomb() + 4
        order = bits.golomb()
        if order == 0:
            bits.golomb()
        elif order == 1:
            bits.take(1)
            for _ in range(2):
                bits.golomb()
            for _ in range(min(bits.golomb(), 255)):
                bits.golomb()
        bits.golomb()
        self._may_skip = bool(bits.take(1))
        self._bits = length

    def _follow(self, head: int, kind: int, bits: _Bits) -> bool:
        if not 4 <= self._bits <= 16:
            return False
        for _ in range(3):
            bits.golomb()
        if self._has_planes:
            bits.take(2)
        number, last = bits.take(self._bits), self._last
        # nal_ref_idc: others may refer to this picture.
        if head >> 5 & 3:
            self._last = number
        return (last is not None and kind != _IDR and not self._may_skip
                and number not in (last, (last + 1) % (1 << self._bits)))
