# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Pixels of sensor_msgs/Image and sensor_msgs/CompressedImage to arrays, and back.

One table from encoding to decoder; the names are those of sensor_msgs/image_encodings.hpp. A
decoder gets a strided view on the message's bytes, one row per step, so that padding of any width
costs nothing, and copies at most once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ...errors import ConfigError

Bytes = NDArray[np.uint8]

JPEG_QUALITY = 90
"""0..100; what is lost by it is not seen, and the size is a tenth of that of the pixels."""


@dataclass(frozen=True)
class Encoding:
    """
    How the bytes of one encoding lie, and how they become RGB.

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
"""Images that can be fed to the network. 8UC3 and 8UC4 are blue first, as in OpenCV."""

MAPS: dict[str, tuple[str, int]] = {
    'mono8': ('u1', 1), '8UC1': ('u1', 1), 'mono16': ('u2', 1), '16UC1': ('u2', 1),
    '32FC1': ('f4', 1), 'rgb8': ('u1', 3), 'bgr8': ('u1', 3),
}
"""Encodings that are kept as they are: dtype and channels."""


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
    """
    (rows, row_bytes) view on the data.

    The padding of the last row may be missing, as some drivers leave it out.
    """
    if step < row_bytes:
        raise ConfigError(f'{what}: step is {step} bytes, but a row has {row_bytes}; '
                          'the driver fills the message wrongly')
    buffer = _buffer(data)
    needed = step * (rows - 1) + row_bytes
    if buffer.size < needed:
        raise ConfigError(f'{what}: data has {buffer.size} bytes, but {needed} are needed; '
                          'the image is truncated')
    return as_strided(buffer, (rows, row_bytes), (step, 1), writeable=False)


def _describe(encoding: str, width: int, height: int) -> str:
    what = f'image {encoding!r} of {width}x{height} px'
    if width < 1 or height < 1:
        raise ConfigError(f'{what}: has no pixels; check the camera driver')
    return what


def decode_image(encoding: str, width: int, height: int, step: int, is_bigendian: bool,
                 data: Any) -> Bytes:
    """
    Pixels of a sensor_msgs/Image as RGB.

    :param encoding: a key of ENCODINGS.
    :param width, height: px.
    :param step: bytes from one row to the next, any number >= the bytes of a row.
    :param is_bigendian: order of the two bytes of 16-bit encodings, which are cut to 8 bits.
    :param data: bytes, bytearray, memoryview, array.array('B') or (N,) uint8.
    :returns: (H, W, 3) uint8 RGB, C-contiguous; for a dense rgb8 it is a read-only view of data.
    :raises ConfigError: unknown encoding, no pixels, an odd size where chroma is shared, a step
        that is too small, truncated data.
    """
    what = _describe(encoding, width, height)
    kind = ENCODINGS.get(encoding)
    if kind is None:
        raise ConfigError(f'{what}: encoding is not known; known are {", ".join(ENCODINGS)}')
    if (kind.even_width and width % 2) or (kind.even_height and height % 2):
        sides = 'width and height' if kind.even_height else 'width'
        raise ConfigError(f'{what}: {sides} must be even, as pixels share their chroma')
    if min(width, height) < kind.least_size:
        raise ConfigError(f'{what}: too small, at least {kind.least_size} px on each side are '
                          'needed')
    rows = height * kind.rows_per_2 // 2
    return kind.decode(_rows(what, rows, width * kind.pixel_bytes, step, data),
                       bool(is_bigendian))


def decode_compressed(image_format: str, data: Any) -> Bytes:
    """
    Pixels of a sensor_msgs/CompressedImage, or of a picture file, as RGB.

    :param image_format: as in the message; only told apart to refuse compressed depth.
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


def encode_jpeg(image: NDArray[np.uint8], quality: int = JPEG_QUALITY) -> Bytes:
    """
    A picture as a JPEG file.

    :param image: (H, W, 3) uint8 RGB.
    :param quality: 0..100.
    :returns: (N,) uint8.
    """
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    good, data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        raise ValueError(f'{image.dtype} {image.shape} cannot be a JPEG')
    return np.asarray(data, np.uint8).ravel()


def decode_map(encoding: str, width: int, height: int, step: int, is_bigendian: bool,
               data: Any) -> NDArray[Any]:
    """
    Values of a sensor_msgs/Image as they are: depth, ids.

    :param encoding: a key of MAPS.
    :returns: (H, W) or (H, W, C) array in the machine's byte order.
    :raises ConfigError: as decode_image.
    """
    what = _describe(encoding, width, height)
    if encoding not in MAPS:
        raise ConfigError(f'{what}: not a map of values; known are {", ".join(MAPS)}')
    dtype, channels = MAPS[encoding]
    stored = np.dtype(('>' if is_bigendian else '<') + dtype)
    rows = _rows(what, height, width * channels * stored.itemsize, step, data)
    values = np.ascontiguousarray(rows).view(stored).astype(stored.newbyteorder('='), copy=False)
    return values if channels == 1 else values.reshape(height, width, channels)


def encode_map(array: NDArray[Any], encoding: str) -> tuple[int, bool, Bytes]:
    """
    Values as the fields of a sensor_msgs/Image.

    :param array: (H, W) or (H, W, C), of the dtype of the encoding.
    :param encoding: a key of MAPS.
    :returns: step in bytes, is_bigendian, (N,) uint8 data; a view where the array is contiguous.
    :raises ConfigError: unknown encoding, or an array of another dtype or shape.
    """
    if encoding not in MAPS:
        raise ConfigError(f'cannot write images as {encoding!r}; known are {", ".join(MAPS)}')
    dtype, channels = MAPS[encoding]
    shape = array.shape[2:] or (1,)
    if array.dtype != np.dtype(dtype) or shape != (channels,) or array.ndim > 3:
        raise ConfigError(f'cannot write {array.dtype} {array.shape} as {encoding!r}; give '
                          f'{np.dtype(dtype)} with {channels} channel(s)')
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return data.size // array.shape[0], sys.byteorder == 'big', data
