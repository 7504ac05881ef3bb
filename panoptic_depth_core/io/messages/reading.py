# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What is in an image message: pixels, or values of depth and ids; of rosbags or of rclpy.

The names of encodings are those of sensor_msgs/image_encodings.hpp. Decoding works on a strided
view of the message's bytes, so padding of any width costs nothing, and copies at most once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ...errors import ConfigError

Bytes = NDArray[np.uint8]


class Encoding(NamedTuple):
    """
    The layout of one encoding in bytes, and how OpenCV makes RGB of it.

    :param pixel_bytes: bytes of a pixel in a row (of the first plane).
    :param code: of cv2.cvtColor; None: it is RGB.
    :param even_width, even_height: chroma is shared by two columns, two rows.
    :param rows_per_2: rows of bytes per two rows of pixels; 3 where a chroma plane follows.
    :param least_size: smallest width and height that can be decoded.
    """

    pixel_bytes: int
    code: int | None
    even_width: bool = False
    even_height: bool = False
    rows_per_2: int = 2
    least_size: int = 1


def _nv(code: int) -> Encoding:
    return Encoding(1, code, even_width=True, even_height=True, rows_per_2=3)


_UYVY = Encoding(2, cv2.COLOR_YUV2RGB_UYVY, even_width=True)
_YUYV = Encoding(2, cv2.COLOR_YUV2RGB_YUY2, even_width=True)

ENCODINGS: dict[str, Encoding] = {
    'rgb8': Encoding(3, None),
    'bgr8': Encoding(3, cv2.COLOR_BGR2RGB),
    'rgba8': Encoding(4, cv2.COLOR_RGBA2RGB),
    'bgra8': Encoding(4, cv2.COLOR_BGRA2RGB),
    'mono8': Encoding(1, cv2.COLOR_GRAY2RGB),
    '8UC1': Encoding(1, cv2.COLOR_GRAY2RGB),
    '8UC3': Encoding(3, cv2.COLOR_BGR2RGB),
    '8UC4': Encoding(4, cv2.COLOR_BGRA2RGB),
    'mono16': Encoding(2, cv2.COLOR_GRAY2RGB),
    '16UC1': Encoding(2, cv2.COLOR_GRAY2RGB),
    # OpenCV leaves images of less than three rows or columns black.
    **{f'bayer_{order.lower()}8': Encoding(1, getattr(cv2, f'COLOR_Bayer{order}2RGB'),
                                           least_size=3)
       for order in ('RGGB', 'BGGR', 'GBRG', 'GRBG')},
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


def _name(message: Any) -> str:
    """Description of an image for errors."""
    what = f'image {message.encoding!r} of {message.width}x{message.height} px'
    if message.width < 1 or message.height < 1:
        raise ConfigError(f'{what}: has no pixels; check the camera driver')
    return what


def _pixel_bytes(message: Any, rows: int, pixel_bytes: int) -> Bytes:
    """(rows, W, pixel_bytes) view; some drivers leave out the padding of the last row."""
    step, row_bytes = message.step, message.width * pixel_bytes
    if step < row_bytes:
        raise ConfigError(f'{_name(message)}: step is {step} bytes, but a row has {row_bytes}; '
                          'the driver fills the message wrongly')
    buffer = _buffer(message.data)
    needed = step * (rows - 1) + row_bytes
    if buffer.size < needed:
        raise ConfigError(f'{_name(message)}: data has {buffer.size} bytes, but {needed} are '
                          'needed; the image is truncated')
    return as_strided(buffer, (rows, message.width, pixel_bytes), (step, pixel_bytes, 1),
                      writeable=False)


def stamp_of(message: Any) -> int:
    """Stamp of a message in nanoseconds: of its header, or its own as Foxglove has it."""
    stamp = message.header.stamp if hasattr(message, 'header') else message.timestamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def frame_id_of(message: Any) -> str:
    """The frame that a message is of: that of its header, or its own as Foxglove has it."""
    return str((message.header if hasattr(message, 'header') else message).frame_id)


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
    what, kind = _name(message), ENCODINGS.get(message.encoding)
    if kind is None:
        raise ConfigError(f'{what}: encoding is not known; known are {", ".join(ENCODINGS)}')
    if (kind.even_width and message.width % 2) or (kind.even_height and message.height % 2):
        sides = 'width and height' if kind.even_height else 'width'
        raise ConfigError(f'{what}: {sides} must be even, as pixels share their chroma')
    if min(message.width, message.height) < kind.least_size:
        raise ConfigError(f'{what}: too small, at least {kind.least_size} px on each side are '
                          'needed')
    pixels = _pixel_bytes(message, message.height * kind.rows_per_2 // 2, kind.pixel_bytes)
    if message.encoding in ('mono16', '16UC1'):
        # The high byte is the value >> 8 without any arithmetic.
        pixels = np.ascontiguousarray(pixels[..., 0 if message.is_bigendian else 1])
    if kind.code is None:
        return np.ascontiguousarray(pixels)
    return np.asarray(cv2.cvtColor(pixels, kind.code), np.uint8)


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
    what = _name(message)
    if message.encoding not in MAPS:
        raise ConfigError(f'{what}: not a map of values; known are {", ".join(MAPS)}')
    dtype, channels = MAPS[message.encoding]
    stored = np.dtype(('>' if message.is_bigendian else '<') + dtype)
    data = _pixel_bytes(message, message.height, channels * stored.itemsize)
    values = np.ascontiguousarray(data).view(stored).astype(stored.newbyteorder('='), copy=False)
    return values[..., 0] if channels == 1 else values
