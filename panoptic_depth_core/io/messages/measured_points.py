# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measured points of any message that holds some: depth images, compressed ones, point clouds.

compressedDepth is the transport of compressed_depth_image_transport: a header of 12 bytes, then
a PNG or RVL (Wilson 2017, "Fast Lossless Depth Image Compression") of 16 bits.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...structures import Intrinsics
from ..pictures import decode_stored, kind_of
from .point_clouds import ring_of, xyz_of
from .reading import stamp_of
from .truth_images import depth_of

MOST_POINTS = 20_000
"""Of a depth image; every n-th row and column is taken, so that time stays bounded."""

FARTHEST_M = 1000.0
"""What is farther is not in meters."""

_LOOKED_AT = 500
_HEADER = struct.Struct('<iff')
_MOST_SIDE_PX = 1 << 14
_RVL_SIZE = struct.Struct('<ii')


def is_cloud(message: Any) -> bool:
    """Whether a message is a point cloud rather than an image of any kind."""
    return hasattr(message, 'point_step')


def depth_image_of(message: Any) -> NDArray[np.float32]:
    """
    Depth of an Image of 32FC1 or 16UC1, or of a CompressedImage of compressedDepth.

    :returns: (H, W) float32 meters along Z, not known where NaN or 0.
    :raises ConfigError: another encoding or format, damaged data.
    """
    if hasattr(message, 'format'):
        return compressed_depth(message.format, message.data)
    return depth_of(message)


def compressed_depth(image_format: str, data: Any) -> NDArray[np.float32]:
    """
    Decode compressedDepth.

    32FC1 is stored as quantized inverse depth: z = a / (value - b), with a and b of the header.

    :param image_format: such as '16UC1; compressedDepth png'.
    :param data: bytes or uint8.
    :returns: (H, W) float32 meters, NaN where unknown.
    """
    what = f'compressed image of format {image_format!r}'
    encoding, _, transport = image_format.partition(';')
    if 'compresseddepth' not in transport.lower() or encoding not in ('16UC1', '32FC1'):
        raise ConfigError(f'{what}: not known as depth; give 16UC1 or 32FC1 of compressedDepth')
    buffer = np.frombuffer(data, np.uint8)
    if buffer.size <= _HEADER.size:
        raise ConfigError(f'{what}: {buffer.size} bytes, truncated')
    _, a, b = _HEADER.unpack(buffer[:_HEADER.size].tobytes())
    body = buffer[_HEADER.size:]
    if transport.lower().rstrip().endswith('rvl'):
        values = _decode_rvl(body, what)
    else:
        read = decode_stored(body, what) if kind_of(body) == 'png' else None
        if read is None or read.dtype != np.uint16 or read.ndim != 2:
            raise ConfigError(f'{what}: holds no 16-bit PNG of one channel; it is damaged')
        values = np.asarray(read, np.uint16)
    known = values > 0
    with np.errstate(divide='ignore', invalid='ignore'):
        meters = values * np.float32(0.001) if encoding == '16UC1' else (
            np.float32(a) / (values.astype(np.float32) - np.float32(b)))
    return np.where(known, meters, np.float32(np.nan))


def _decode_rvl(body: NDArray[np.uint8], what: str) -> NDArray[np.uint16]:
    """
    (H, W) uint16 of RVL: runs of zeros and of differences in groups of 3 bits.

    :raises ConfigError: less data than the size asks for.
    """
    if body.size < _RVL_SIZE.size:
        raise ConfigError(f'{what}: RVL without a size, truncated')
    columns, rows = _RVL_SIZE.unpack(body[:_RVL_SIZE.size].tobytes())
    if not (0 < columns <= _MOST_SIDE_PX and 0 < rows <= _MOST_SIDE_PX):
        raise ConfigError(f'{what}: RVL of {columns}x{rows} px is truncated or damaged')
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


def points_of_depth(depth: NDArray[np.float32], camera: Intrinsics) -> NDArray[np.float32]:
    """
    Points of a depth image, at most about MOST_POINTS.

    :param depth: (H, W) float32 meters along Z, not known where not finite or not above 0.
    :param camera: of its pixels.
    :returns: (N, 3) float32 in the frame of the camera.
    """
    step = max(1, math.ceil(math.sqrt(depth.size / MOST_POINTS)))
    z = depth[step // 2::step, step // 2::step]
    with np.errstate(invalid='ignore'):
        v, u = np.nonzero(np.isfinite(z) & (z > 0))
    z = z[v, u]
    return camera.points(np.stack([u, v], axis=1) * step + step // 2, z)


class HoldOut:
    """
    The share of measured points that is kept back as truth, the same for all that ask.

    :param share: 0..1; of the rings of a cloud where it has the field ``ring``, which are
        far apart, else of its points or of the pixels of a depth image, at random.
    """

    def __init__(self, share: float, seed: int = 0) -> None:
        self.share, self.seed = share, seed

    def of_cloud(self, message: Any) -> tuple[NDArray[np.bool_], str]:
        """(N,) bool of the points of xyz_of: held out; and the way, 'by rings' or 'at random'."""
        rings = ring_of(message)
        if rings is None:
            return self._at_random(message, (len(xyz_of(message)),)), 'at random'
        # Evenly: with 0.5 every other one.
        before = (rings + self.seed) * self.share
        return np.floor(before + self.share) > np.floor(before), 'by rings'

    def of_image(self, message: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """(H, W) bool of the pixels of a depth image: held out."""
        return self._at_random(message, shape)

    def _at_random(self, message: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        return np.random.default_rng((self.seed, stamp_of(message))).random(shape) < self.share


def measured_points(message: Any, camera: Intrinsics | None, hold_out: HoldOut | None = None,
                    ) -> NDArray[np.float32]:
    """
    Points of a message, without those that are held out.

    :param camera: of a depth image; not used for clouds.
    :returns: (N, 3) float32 meters in the frame of the message.
    :raises ConfigError: what it holds cannot be read.
    """
    if is_cloud(message):
        points = xyz_of(message)
        return points if hold_out is None else points[~hold_out.of_cloud(message)[0]]
    assert camera is not None
    depth = depth_image_of(message)
    if hold_out is not None:
        depth = np.where(hold_out.of_image(message, depth.shape), np.float32(np.nan), depth)
    return points_of_depth(depth, camera)


def are_seen(points: NDArray[np.float32], camera: Intrinsics) -> bool:
    """
    Whether any of (N, 3) points in the camera frame can be one that the image shows.

    Of many, a few are looked at first.
    """
    for step in (max(1, len(points) // _LOOKED_AT), 1):
        some = points[::step].astype(np.float64)
        with np.errstate(invalid='ignore'):
            some = some[(some[:, 2] > 0) & (some[:, 2] < FARTHEST_M)]
            pixels = camera.pixels(some[:, :2] / some[:, 2:])
            if ((pixels > -0.5) & (pixels < (camera.width - 0.5, camera.height - 0.5))
                    ).all(axis=1).any():
                return True
    return False


def moved(points: NDArray[np.float32], motion: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, 3) float32 points after a rigid motion (4, 4)."""
    turn, move = motion[:3, :3].astype(np.float32), motion[:3, 3].astype(np.float32)
    return np.asarray(points @ turn.T + move, np.float32)
