# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Depth of compressedDepth, the transport of compressed_depth_image_transport.

A header of 12 bytes, then a PNG or RVL (Wilson 2017, "Fast Lossless Depth Image Compression") of
16 bits. The header is a kind and the numbers a, b of the quantization, little-endian.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...untrusted import input_limits, too_large
from ..pictures import decode_stored, kind_of

_HEADER = struct.Struct('<iff')
_RVL_SIZE = struct.Struct('<ii')


def compressed_depth(image_format: str, data: Any) -> NDArray[np.float32]:
    """
    Decode compressedDepth.

    32FC1 is stored as quantized inverse depth: z = a / (value - b), with a and b of the header.

    :param image_format: such as '16UC1; compressedDepth png'.
    :param data: bytes or uint8.
    :returns: (H, W) float32 meters, NaN where unknown.
    """
    what = f'compressed image of format {image_format!r}'
    encoding, _, transport = (part.strip() for part in image_format.partition(';'))
    buffer = np.frombuffer(data, np.uint8)
    body = buffer[_HEADER.size:]
    # Its first versions gave the encoding alone.
    is_depth = 'compresseddepth' in transport.lower() or (
        not transport and kind_of(body) == 'png')
    if encoding == '16UC1' and kind_of(buffer) == 'png':
        # Of the transport for pictures: without a header.
        body, is_depth = buffer, True
    if not is_depth or encoding not in ('16UC1', 'mono16', '32FC1'):
        raise ConfigError(f'{what}: not known as depth; give 16UC1 or 32FC1 of compressedDepth')
    if buffer.size <= _HEADER.size:
        raise ConfigError(f'{what}: {buffer.size} bytes, truncated')
    _, a, b = _HEADER.unpack(buffer[:_HEADER.size].tobytes())
    if encoding == '32FC1' and not (math.isfinite(a) and math.isfinite(b) and a > 0):
        raise ConfigError(f'{what}: its quantization is damaged')
    if transport.lower().endswith('rvl'):
        values = _decode_rvl(body, what)
    else:
        read = decode_stored(body, what) if kind_of(body) == 'png' else None
        if read is None or read.dtype != np.uint16 or read.ndim != 2:
            raise ConfigError(f'{what}: holds no 16-bit PNG of one channel; it is damaged')
        values = np.asarray(read, np.uint16)
    known = values > 0
    with np.errstate(divide='ignore', invalid='ignore'):
        meters = values * np.float32(0.001) if encoding != '32FC1' else (
            np.float32(a) / (values.astype(np.float32) - np.float32(b)))
    return np.where(known & np.isfinite(meters) & (meters > 0), meters, np.float32(np.nan))


def _decode_rvl(body: NDArray[np.uint8], what: str) -> NDArray[np.uint16]:
    """
    (H, W) uint16 of RVL: runs of zeros and of differences in groups of 3 bits.

    :raises ConfigError: less data than the size asks for.
    """
    if body.size < _RVL_SIZE.size:
        raise ConfigError(f'{what}: RVL without a size, truncated')
    columns, rows = _RVL_SIZE.unpack(body[:_RVL_SIZE.size].tobytes())
    if columns < 1 or rows < 1:
        raise ConfigError(f'{what}: RVL of {columns}x{rows} px is truncated or damaged')
    if columns * rows > input_limits().max_pixels:
        raise too_large(what, 'max_pixels')
    words = body[_RVL_SIZE.size:]
    words = words[:words.size // 4 * 4].view('<u4')
    # A word holds 8 nibbles, the first in its highest bits; the high bit says that more follow.
    shifts = np.arange(28, -1, -4).astype(np.uint32)
    nibbles = ((words[:, None] >> shifts) & np.uint32(0xf)).ravel().astype(np.int64)
    ends = np.flatnonzero(nibbles < 8)
    starts = np.concatenate(([0], ends + 1))[:ends.size]
    place = np.arange(ends[-1] + 1 if ends.size else 0) - np.repeat(starts, ends - starts + 1)
    numbers = (np.add.reduceat((nibbles[:place.size] & 7) << np.minimum(3 * place, 60), starts)
               if ends.size else np.empty(0, np.int64))
    size, at, taken = columns * rows, 0, 0
    filled: list[NDArray[np.intp]] = []
    found: list[NDArray[np.int64]] = []
    while at < size:
        zeros, count = (int(n) for n in numbers[taken:taken + 2]) if (
            taken + 2 <= numbers.size) else (0, 0)
        at += zeros
        taken += 2
        if zeros + count == 0 or at + count > size or taken + count > numbers.size:
            raise ConfigError(f'{what}: RVL of {columns}x{rows} px is truncated or damaged')
        filled.append(np.arange(at, at + count))
        found.append(numbers[taken:taken + count])
        at, taken = at + count, taken + count
    values = np.zeros(size, np.uint16)
    if filled:
        codes = np.concatenate(found)
        # Zigzag: 0, -1, 1, -2 ...
        values[np.concatenate(filled)] = np.cumsum((codes >> 1) ^ -(codes & 1))
    return values.reshape(rows, columns)
