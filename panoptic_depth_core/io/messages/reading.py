# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What is in an image message: pixels, or values of depth and ids; of rosbags or of rclpy.

The names of encodings are those of sensor_msgs/image_encodings.hpp. Decoding works on a strided
view of the message's bytes, so padding of any width costs nothing, and copies at most once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ...errors import ConfigError
from ..pictures import decode_rgb, decode_stored, has_16_bits, header_of, kind_of
from ..sixteen_bits import SixteenBits

Bytes = NDArray[np.uint8]


class Encoding(NamedTuple):
    """
    The layout of one encoding in bytes, and how OpenCV makes RGB of it.

    :param pixel_bytes: bytes of a pixel in a row (of the first plane) at 8 bits per value.
    :param code: of cv2.cvtColor; None: it is RGB.
    :param even_width, even_height: chroma is shared by two columns, two rows.
    :param rows_per_2: rows of bytes per two rows of pixels; 3 where a chroma plane follows.
    :param least_size: smallest width and height that can be decoded.
    :param deep: values have 16 bits.
    """

    pixel_bytes: int
    code: int | None
    even_width: bool = False
    even_height: bool = False
    rows_per_2: int = 2
    least_size: int = 1
    deep: bool = False


def _nv(code: int) -> Encoding:
    return Encoding(1, code, even_width=True, even_height=True, rows_per_2=3)


_UYVY = Encoding(2, cv2.COLOR_YUV2RGB_UYVY, even_width=True)
_YUYV = Encoding(2, cv2.COLOR_YUV2RGB_YUY2, even_width=True)

_OF_8_BITS = {
    'rgb8': Encoding(3, None),
    'bgr8': Encoding(3, cv2.COLOR_BGR2RGB),
    'rgba8': Encoding(4, cv2.COLOR_RGBA2RGB),
    'bgra8': Encoding(4, cv2.COLOR_BGRA2RGB),
    'mono8': Encoding(1, cv2.COLOR_GRAY2RGB),
    '8UC1': Encoding(1, cv2.COLOR_GRAY2RGB),
    '8UC3': Encoding(3, cv2.COLOR_BGR2RGB),
    '8UC4': Encoding(4, cv2.COLOR_BGRA2RGB),
    # OpenCV leaves images of less than three rows or columns black.
    **{f'bayer_{order.lower()}8': Encoding(1, getattr(cv2, f'COLOR_Bayer{order}2RGB'),
                                           least_size=3)
       for order in ('RGGB', 'BGGR', 'GBRG', 'GRBG')},
}

ENCODINGS: dict[str, Encoding] = {
    **_OF_8_BITS,
    **{name.replace('8', '16'): kind._replace(deep=True) for name, kind in _OF_8_BITS.items()},
    'yuv422': _UYVY,
    'uyvy': _UYVY,
    'yuv422_yuy2': _YUYV,
    'yuyv': _YUYV,
    'nv12': _nv(cv2.COLOR_YUV2RGB_NV12),
    'nv21': _nv(cv2.COLOR_YUV2RGB_NV21),
}
"""Encodings of pictures. 8UC3, 8UC4 and those of 16 bits are blue first, as in OpenCV."""

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
        raise ConfigError(f'{_name(message)}: data has less than the {needed} bytes that are '
                          'needed; the image is truncated')
    if buffer.size > 2 * step * rows:
        raise ConfigError(f'{_name(message)}: data has more than twice the bytes of its size; '
                          'the driver names another encoding or size than it writes')
    return as_strided(buffer, (rows, message.width, pixel_bytes), (step, pixel_bytes, 1),
                      writeable=False)


def stamp_of(message: Any) -> int:
    """Stamp of a message in nanoseconds: of its header, or its own as Foxglove has it."""
    stamp = message.header.stamp if hasattr(message, 'header') else message.timestamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def frame_id_of(message: Any) -> str:
    """The frame that a message is of: that of its header, or its own as Foxglove has it."""
    return str((message.header if hasattr(message, 'header') else message).frame_id)


def pixels_of(message: Any, sixteen: SixteenBits | None = None,
              note: Callable[[str], None] | None = None) -> Bytes:
    """
    RGB of a sensor_msgs/Image of any of ENCODINGS, or of a CompressedImage.

    :param sixteen: scales the 16-bit pictures of this source; None: this picture by itself.
    :param note: takes what is doubtful.
    :returns: (H, W, 3) uint8 RGB, C-contiguous; of a dense rgb8 image a read-only view of its
        data.
    :raises ConfigError: unknown encoding, no pixels, an odd size where chroma is shared, a step
        that is too small, truncated data, the bytes of a picture file; see decode_compressed.
    """
    sixteen = SixteenBits() if sixteen is None else sixteen
    if hasattr(message, 'format'):
        return decode_compressed(message.format, message.data, sixteen, note)
    kind, pixels = _raw_pixels(message)
    if kind.deep:
        pixels = sixteen.scaled(pixels, note)
    if kind.code is None:
        return np.ascontiguousarray(pixels)
    return np.asarray(cv2.cvtColor(pixels, kind.code), np.uint8)


def look_at(message: Any, sixteen: SixteenBits) -> bool:
    """
    Let the window of 16-bit pictures hold those of a message that is not decoded.

    :returns: whether it has 16 bits.
    :raises ConfigError: see pixels_of.
    """
    if hasattr(message, 'format'):
        data = _buffer(message.data)
        if has_16_bits(data):
            values = decode_stored(data, _compressed(message.format))
            if values.dtype == np.uint16:
                sixteen.look(values)
                return True
    elif message.encoding in ENCODINGS and ENCODINGS[message.encoding].deep:
        sixteen.look(_raw_pixels(message)[1])
        return True
    return False


def _raw_pixels(message: Any) -> tuple[Encoding, NDArray[np.uint8 | np.uint16]]:
    """Encoding of an Image and (rows, W, C) values, in the byte order of the machine."""
    what, kind = _name(message), ENCODINGS.get(message.encoding)
    if kind is None:
        raise ConfigError(f'{what}: encoding is not known; known are {", ".join(ENCODINGS)}')
    if (kind.even_width and message.width % 2) or (kind.even_height and message.height % 2):
        sides = 'width and height' if kind.even_height else 'width'
        raise ConfigError(f'{what}: {sides} must be even, as pixels share their chroma')
    if min(message.width, message.height) < kind.least_size:
        raise ConfigError(f'{what}: too small, at least {kind.least_size} px on each side are '
                          'needed')
    _refuse_file(message, what)
    rows = message.height * kind.rows_per_2 // 2
    pixels = _pixel_bytes(message, rows, kind.pixel_bytes * (1 + kind.deep))
    if not kind.deep:
        return kind, pixels
    order = '>u2' if message.is_bigendian else '<u2'
    return kind, np.ascontiguousarray(pixels).view(order).astype(np.uint16, copy=False)


def _refuse_file(message: Any, what: str) -> None:
    """
    Refuse an Image whose bytes are those of a picture file.

    :raises ConfigError: they are.
    """
    data = _buffer(message.data)
    # Two bytes could be those of a pixel.
    if (kind := kind_of(data)) and kind != 'bmp' and (kind != 'jpeg' or data[2:3] == 0xff):
        try:
            header_of(data, what)
        except ConfigError:
            return
        raise ConfigError(
            f'{what}: its data is a {kind.upper()} file and no pixels; let the driver decode it '
            '(usb_cam: pixel_format mjpeg2rgb in place of raw_mjpeg), or publish it as '
            'CompressedImage')


def _compressed(image_format: str) -> str:
    return f'compressed image of format {image_format!r}'


def decode_compressed(image_format: str, data: Any, sixteen: SixteenBits | None = None,
                      note: Callable[[str], None] | None = None) -> Bytes:
    """
    Pixels of a CompressedImage as RGB, as they are stored: an EXIF orientation does not count.

    Formats are those that compressed_image_transport writes, 'SOURCE; CODEC compressed TARGET',
    or a single word. The codec is known by the data. TARGET is the order of channels given to an
    encoder that takes blue for the first: where it is red, they are exchanged. TIFF has no TARGET,
    and the order of SOURCE; JPEG and PNG without one are not image_transport's, and have the
    colors of the file. Where SOURCE is a Bayer mosaic and there is no TARGET, a picture of one
    channel is that mosaic.

    :param image_format: as in the message.
    :param data: a JPEG, PNG, ... file as bytes or uint8.
    :param sixteen, note: see pixels_of.
    :returns: (H, W, 3) uint8 RGB.
    :raises ConfigError: compressed depth, no picture, damaged, too large.
    """
    what = _compressed(image_format)
    if 'compresseddepth' in image_format.lower():
        raise ConfigError(f'{what} is a depth image; give a topic with pictures')
    buffer = _buffer(data)
    sixteen = SixteenBits() if sixteen is None else sixteen
    source, _, codec = image_format.partition(';')
    target = codec.partition('compressed')[2].strip()
    source = source.strip()
    if source.startswith('bayer_') and not target:
        stored = decode_stored(buffer, what, note)
        if stored.ndim == 2:
            return _colored(stored, f'{source.rstrip("0123456789")}8', what, sixteen,
                            note)
    pixels = decode_rgb(buffer, what, note=note)
    rgb = (sixteen.scaled(pixels, note) if pixels.dtype == np.uint16
           else np.asarray(pixels, np.uint8))
    of_tiff = 'tiff' in codec
    exchanged = (source if of_tiff else target).startswith('rgb')
    if note is not None and not of_tiff and (exchanged or (
            codec and not target and source.startswith('rgb'))):
        note(f'{what}: red and blue are taken as {"exchanged" if exchanged else "in order"} in '
             'its pictures, which this does not tell for sure; image_transport writes '
             "'rgb8; jpeg compressed bgr8'")
    return np.ascontiguousarray(rgb[..., ::-1]) if exchanged else rgb


def _colored(mosaic: NDArray[Any], encoding: str, what: str, sixteen: SixteenBits,
             note: Callable[[str], None] | None) -> Bytes:
    """RGB of a (H, W) mosaic of 8 or 16 bits."""
    kind = ENCODINGS.get(encoding)
    if kind is None or kind.code is None or min(mosaic.shape) < kind.least_size:
        raise ConfigError(f'{what}: not known as a mosaic, or too small for one')
    if mosaic.dtype not in (np.uint8, np.uint16):
        raise ConfigError(f'{what}: is a mosaic of {mosaic.dtype}; give 8 or 16 bits')
    if mosaic.dtype == np.uint16:
        mosaic = sixteen.scaled(mosaic, note)
    return np.asarray(cv2.cvtColor(mosaic, kind.code), np.uint8)


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
