# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Damage, drawn from a generator: to bytes, to text, to numbers."""

from __future__ import annotations

import re
import struct
import zlib

import numpy as np

Rng = np.random.Generator

_SIZES = (0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
          0x7fffffffffffffff, 0xffffffffffffffff)
_WORDS = ('0', '-1', '1', '1e308', '-1e308', '1e-320', '1' + '0' * 400, 'nan', '.nan', 'inf',
          '.inf', '-.inf', 'NaN', 'Infinity', 'null', '~', 'true', '""', '[]', '{}', '[[[]]]',
          "'x'", '!!bin', '*a', '&a', '2026-11-30', '1:30:00', '0x1f', '\\ud800', 'é', '?', '- ',
          ': ', '\t', '%')
NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-320, 1e-9, 1e9, 1e154, 1e308, -1e308, float('nan'),
           float('inf'), -float('inf'), 2.0 ** 31, 2.0 ** 63)


def _place(rng: Rng, size: int) -> int:
    """Half of the damage is at the begin, where headers are."""
    return int(rng.integers(0, min(size, 200) if rng.random() < 0.5 else size))


def _once(rng: Rng, data: bytearray, other: bytes) -> None:
    """Damage bytes in place."""
    if not data:
        data += other
        return
    at = _place(rng, len(data))
    length = int(rng.integers(1, 1 + min(len(data), int(rng.choice((4, 64, 1024))))))
    way = int(rng.integers(0, 10))
    if way == 0:
        data[at] ^= 1 << int(rng.integers(0, 8))
    elif way == 1:
        data[at] = int(rng.integers(0, 256))
    elif way == 2:
        data[at:at + length] = bytes(len(data[at:at + length]))
    elif way == 3:
        data[at:at + length] = rng.bytes(len(data[at:at + length]))
    elif way == 4:
        del data[at:]
    elif way == 5:
        del data[at:at + length]
    elif way == 6:
        data[at:at] = data[at:at + length]
    elif way == 7:
        data[at:at] = rng.bytes(length)
    elif way == 8:
        code = str(rng.choice(('<H', '>H', '<I', '>I', '<Q')))
        room = struct.calcsize(code)
        value = int(rng.choice(np.array(_SIZES, object))) & (256 ** room - 1)
        data[at:at + room] = struct.pack(code, value)
    else:
        start = _place(rng, max(len(other), 1))
        data[at:at + length] = other[start:start + length]


def mutated(rng: Rng, data: bytes, other: bytes = b'') -> bytes:
    """Bytes with one to six faults; runs of other bytes may be in them."""
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 7)) if rng.random() < 0.5 else 1):
        _once(rng, found, other or data)
    return bytes(found)


def with_right_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what they hold, so that more of it is decoded."""
    found, at = bytearray(data), 8
    while at + 12 <= len(found):
        end = at + 8 + int.from_bytes(found[at:at + 4], 'big')
        if end + 4 > len(found):
            break
        found[end:end + 4] = zlib.crc32(found[at + 4:end]).to_bytes(4, 'big')
        at = end + 4
    return bytes(found)


def with_other_pixels(rng: Rng, data: bytes) -> bytes:
    """A PNG whose compressed rows are whole, but say something else or end too early."""
    found, rows, at = data[:8], b'', 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at:at + 4], 'big')
        chunk = data[at:end]
        at = end
        if chunk[4:8] == b'IDAT':
            rows += chunk[8:-4]
            continue
        if chunk[4:8] == b'IEND':
            body = zlib.compress(mutated(rng, zlib.decompress(rows)))
            found += len(body).to_bytes(4, 'big') + b'IDAT' + body + bytes(4)
        found += chunk
    return with_right_checksums(found)


def mutated_text(rng: Rng, text: str) -> bytes:
    """Text in which numbers, lines and brackets are others, or its bytes."""
    for _ in range(int(rng.integers(1, 4))):
        way = int(rng.integers(0, 6))
        lines = text.splitlines(keepends=True) or ['']
        line = int(rng.integers(0, len(lines)))
        if way <= 1:
            spots = list(re.finditer(r'-?[\d.]+(?:e-?\d+)?|\w+', text))
            if spots:
                spot = spots[int(rng.integers(0, len(spots)))]
                text = f'{text[:spot.start()]}{rng.choice(_WORDS)}{text[spot.end():]}'
        elif way == 2:
            del lines[line]
            text = ''.join(lines)
        elif way == 3:
            lines.insert(line, lines[int(rng.integers(0, len(lines)))])
            text = ''.join(lines)
        elif way == 4:
            at = int(rng.integers(0, len(text) + 1))
            text = text[:at] + str(rng.choice(('[', '{', ' ', '"'))) * int(
                rng.choice((1, 3, 100, 5000))) + text[at:]
        else:
            return mutated(rng, text.encode())
    return text.encode('utf-8', 'surrogatepass')


def number(rng: Rng) -> float:
    """A number that is seldom a right one."""
    return float(rng.choice(NUMBERS)) if rng.random() < 0.7 else float(
        rng.normal() * 10.0 ** rng.integers(-6, 7))
