# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What is in an image message: pixels, or values of depth and ids; of rosbags or of rclpy.

One table from encoding to decoder; the names are those of sensor_msgs/image_encodings.hpp. A
decoder gets a strided view on the message's bytes, one row per step, so padding of any width
costs nothing, and copies at most once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ...errors import ConfigError

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Encoding:
    """
    The layout of one encoding in bytes, and its decoder to RGB.

    :param pixel_bytes: bytes of a pixel in a row (of the first plane).
    :param decode: (R, row bytes) uint8 strided view and is_bigendian -> (H, W, 3) uint8 RGB.
    :param even_width, even_height: chroma is shared by two columns, two rows.
    :param rows_per_2: rows of bytes per two rows of pixels; 3 where a chroma plane follows.
    :param least_size: smallest width and height that can be decoded.
    """

    pixel_bytes: int
    decode: Callable[[Bytes, bool], Bytes]
    even_width: bool = False
    even_height: bool = False
    rows_per_2: int = 2
    least_size: int = 1


def _channels(rows: Bytes, count: int) -> Bytes:
    """(H, W * count) view as (H, W, count); a row's own bytes are dense whatever the step."""
    height, width = rows.shape[0], rows.shape[1] // count
    return as_strided(rows, (height, width, count), (rows.strides[0], count, 1), writeable=False)


def _rgb(rows: Bytes, _: bool) -> Bytes:
    return np.ascontiguousarray(_channels(rows, 3))


def _convert(code: int, channels: int) -> Callable[[Bytes, bool], Bytes]:
    """Decoder by a colour conversion of OpenCV."""
    def decode(rows: Bytes, _: bool) -> Bytes:
        pixels = rows if channels == 1 else _channels(rows, channels)
        return np.asarray(cv2.cvtColor(pixels, code), np.uint8)
    return decode


def _mono16(rows: Bytes, is_bigendian: bool) -> Bytes:
    """Keep the high byte, which is the value >> 8 without any arithmetic."""
    high = _channels(rows, 2)[:, :, 0 if is_bigendian else 1]
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(high), cv2.COLOR_GRAY2RGB), np.uint8)


_GRAY = Encoding(1, _convert(cv2.COLOR_GRAY2RGB, 1))
_BGR = Encoding(3, _convert(cv2.COLOR_BGR2RGB, 3))
_BGRA = Encoding(4, _convert(cv2.COLOR_BGRA2RGB, 4))
_UYVY = Encoding(2, _convert(cv2.COLOR_YUV2RGB_UYVY, 2), even_width=True)
_YUYV = Encoding(2, _convert(cv2.COLOR_YUV2RGB_YUY2, 2), even_width=True)


def _bayer(code: int) -> Encoding:
    # OpenCV leaves images of less than three rows or columns black.
    return Encoding(1, _convert(code, 1), least_size=3)


def _nv(code: int) -> Encoding:
    return Encoding(1, _convert(code, 1), even_width=True, even_height=True, rows_per_2=3)


ENCODINGS: dict[str, Encoding] = {
    'rgb8': Encoding(3, _rgb),
    'bgr8': _BGR,
    'rgba8': Encoding(4, _convert(cv2.COLOR_RGBA2RGB, 4)),
    'bgra8': _BGRA,
    'mono8': _GRAY,
    '8UC1': _GRAY,
    '8UC3': _BGR,
    '8UC4': _BGRA,
    'mono16': Encoding(2, _mono16),
    '16UC1': Encoding(2, _mono16),
    'bayer_rggb8': _bayer(cv2.COLOR_BayerRGGB2RGB),
    'bayer_bggr8': _bayer(cv2.COLOR_BayerBGGR2RGB),
    'bayer_gbrg8': _bayer(cv2.COLOR_BayerGBRG2RGB),
    'bayer_grbg8': _bayer(cv2.COLOR_BayerGRBG2RGB),
    'yuv422': _UYVY,
    'uyvy': _UYVY,
    'yuv422_yuy2': _YUYV,
    'yuyv': _YUYV,
    'nv12': _nv(cv2.COLOR_YUV2RGB_NV12),
    'nv21': _nv(cv2.COLOR_YUV2RGB_NV21),
}
"""Encodings of pictures. 8UC3 and 8UC4 are blue first, as in OpenCV."""

MAPS: dict[str, tuple[str, int]] = {
    'mono8': ('u1', 1), '8UC1': ('u1', 1), 'mono16': ('u2', 1), '16UC1': ('u2', 1),
    '32FC1': ('f4', 1), 'rgb8': ('u1', 3), 'bgr8': ('u1', 3),
}
"""Encodings of values, which are kept as they are: dtype and channels."""


def _buffer(data: Any) -> Bytes:
    """Bytes, array.array, memoryview or uint8 array as (N,) uint8 without a copy."""
    try:
        view = memoryview(data)
        if view.itemsize == 1 and view.contiguous:
            return np.frombuffer(data, np.uint8) if view.nbytes else np.empty(0, np.uint8)
        kind = f'items of {view.itemsize} bytes'
    except (TypeError, ValueError):
        kind = type(data).__name__
    raise ConfigError(f'image data is {kind}; give contiguous bytes or uint8')


def _rows(what: str, rows: int, row_bytes: int, step: int, data: Any) -> Bytes:
    """(rows, row_bytes) view; some drivers leave out the padding of the last row."""
    if step < row_bytes:
        raise ConfigError(f'{what}: step is {step} bytes, but a row has {row_bytes}; '
                          'the driver fills the message wrongly')
    buffer = _buffer(data)
    needed = step * (rows - 1) + row_bytes
    if buffer.size < needed:
        raise ConfigError(f'{what}: data has {buffer.size} bytes, but {needed} are needed; '
                          'the image is truncated')
    return as_strided(buffer, (rows, row_bytes), (step, 1), writeable=False)


def _size(message: Any) -> tuple[str, int, int]:
    """Description for errors, width and height."""
    what = f'image {message.encoding!r} of {message.width}x{message.height} px'
    if message.width < 1 or message.height < 1:
        raise ConfigError(f'{what}: has no pixels; check the camera driver')
    return what, message.width, message.height


def stamp_of(message: Any) -> int:
    """Stamp of a header in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def pixels_of(message: Any) -> Bytes:
    """
    RGB of a sensor_msgs/Image of any of ENCODINGS, or of a CompressedImage.

    :returns: (H, W, 3) uint8 RGB, C-contiguous; of a dense rgb8 image a read-only view of its
        data. 16-bit encodings are cut to 8 bits.
    :raises ConfigError: unknown encoding, no pixels, an odd size where chroma is shared, a step
        that is too small, truncated data; see decode_compressed.
    """
    if hasattr(message, 'format'):
        return decode_compressed(message.format, message.data)
    what, width, height = _size(message)
    kind = ENCODINGS.get(message.encoding)
    if kind is None:
        raise ConfigError(f'{what}: encoding is not known; known are {", ".join(ENCODINGS)}')
    if (kind.even_width and width % 2) or (kind.even_height and height % 2):
        sides = 'width and height' if kind.even_height else 'width'
        raise ConfigError(f'{what}: {sides} must be even, as pixels share their chroma')
    if min(width, height) < kind.least_size:
        raise ConfigError(f'{what}: too small, at least {kind.least_size} px on each side are '
                          'needed')
    rows = _rows(what, height * kind.rows_per_2 // 2, width * kind.pixel_bytes, message.step,
                 message.data)
    return kind.decode(rows, bool(message.is_bigendian))


def decode_compressed(image_format: str, data: Any) -> Bytes:
    """
    Pixels of a CompressedImage, or of a picture file, as RGB.

    :param image_format: as in the message; needed only to refuse compressed depth.
    :param data: a JPEG, PNG, ... file as bytes or uint8.
    :returns: (H, W, 3) uint8 RGB.
    :raises ConfigError: compressed depth, no picture, truncated.
    """
    if 'compresseddepth' in image_format.lower():
        raise ConfigError(f'compressed image of format {image_format!r} is a depth image; '
                          'give a topic with pictures')
    buffer = _buffer(data)
    try:
        bgr = cv2.imdecode(buffer, cv2.IMREAD_COLOR) if buffer.size else None
    except cv2.error as error:
        raise ConfigError(f'compressed image of format {image_format!r}: {error.err}') from None
    if bgr is None:
        raise ConfigError(f'compressed image of format {image_format!r}, {buffer.size} bytes: '
                          'not a picture or truncated')
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def values_of(message: Any) -> NDArray[Any]:
    """
    Values of an Image of one of MAPS as they are: depth, ids.

    :returns: (H, W) or (H, W, C) array in the machine's byte order.
    :raises ConfigError: as pixels_of.
    """
    what, width, height = _size(message)
    if message.encoding not in MAPS:
        raise ConfigError(f'{what}: not a map of values; known are {", ".join(MAPS)}')
    dtype, channels = MAPS[message.encoding]
    stored = np.dtype(('>' if message.is_bigendian else '<') + dtype)
    rows = _rows(what, height, width * channels * stored.itemsize, message.step, message.data)
    values = np.ascontiguousarray(rows).view(stored).astype(stored.newbyteorder('='), copy=False)
    return values if channels == 1 else values.reshape(height, width, channels)
