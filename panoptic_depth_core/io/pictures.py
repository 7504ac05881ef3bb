# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Decoding of picture files: JPEG, PNG, BMP, TIFF, WebP; HEIC and AVIF through Pillow.

The size is read from the header and checked before any memory is taken. What a decoder would
complete silently is an error: a JPEG is decoded strictly, the checksums of a PNG are compared, a
file has to be as long as it says.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from ..errors import ConfigError
from ..untrusted import (
    input_limits,
    is_lfs_pointer,
    lfs_pointer,
    read_bytes,
    reading,
    too_large,
)

Bytes = NDArray[np.uint8]
PILLOW_SUFFIXES = '.heic', '.heif', '.hif', '.avif'

STRAY_BYTES = ('JPEG with a few bytes that belong to no pixel, as some cameras write them; it is '
               'used; if its pictures look wrong, it is damaged')
NOT_CHECKED = 'JPEG of rare sampling, which is decoded without a check for damage'
NO_END = 'JPEG without its end marker; its pixels are complete and are used'
_NO_END = 'Premature end of JPEG file'
_SCAN, _END = 0xda, b'\xff\xd9'
_REMEDY = 'copy it again or record it anew'
_STRAY = re.compile(r'Corrupt JPEG data: (\d+) extraneous bytes before marker 0x(\w\w)')
_SAMPLING = 'Could not determine subsampling level'
_NUMBERS = re.compile(r'\b(?:0x[0-9a-f]+|\d+)\b|(?<=RST)\d')
_GAP_BYTES = 32
_MOST_STRAY_BYTES = 8
"""More bytes that belong to no block are those of blocks that were lost before them."""

_DEPTHS = np.uint8, np.uint16
_ORIENTATION = 0x0112
_SIDES = 0x0100, 0x0101
_WHOLE_NUMBERS = {1: 'B', 3: 'H', 4: 'I', 6: 'b', 8: 'h', 9: 'i', 16: 'Q', 17: 'q'}
"""Types of a TIFF."""
_OF_PILLOW = {b'avif': 'avif', b'avis': 'avif', **dict.fromkeys(
    (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1'), 'heic')}


class PictureFile(NamedTuple):
    """
    What the header of a picture file says.

    :param kind: 'jpeg', 'png', 'bmp', 'tiff', 'webp', 'heic' or 'avif'.
    :param width, height: px, as stored.
    """

    kind: str
    width: int
    height: int


def kind_of(data: Bytes) -> str:
    """The kind of a picture file by its first bytes; '' where it is none."""
    head = data[:16].tobytes()
    for kind, signature in (('jpeg', b'\xff\xd8'), ('png', b'\x89PNG\r\n\x1a\n'),
                            ('bmp', b'BM'), ('tiff', b'II*\0'), ('tiff', b'MM\0*'),
                            ('tiff', b'II+\0'), ('tiff', b'MM\0+')):
        if head.startswith(signature):
            return kind
    if head[:4] == b'RIFF' and head[8:12] == b'WEBP':
        return 'webp'
    return _OF_PILLOW.get(head[8:12], '') if head[4:8] == b'ftyp' else ''


def header_of(data: Bytes, what: str) -> PictureFile:
    """
    Read the header of a picture file, and check its size.

    :param what: the file, for errors.
    :raises ConfigError: it is none, it is damaged, or has more pixels than the limit allows.
    """
    kind = kind_of(data)
    if not kind:
        if is_lfs_pointer(data[:64].tobytes()):
            raise lfs_pointer(what)
        raise ConfigError(f'{what}: is no picture, or cut off at its begin; known are JPEG, PNG, '
                          'BMP, TIFF, WebP, HEIC and AVIF')
    if missing := extra_for(f'.{kind}'):
        raise ConfigError(f'{what}: is {kind.upper()}, for which an extra is missing: {missing}')
    with _damage(what):
        width, height = _SIZES[kind](data)
    if width < 1 or height < 1:
        raise ConfigError(f'{what}: is damaged or no picture ({kind} without pixels); {_REMEDY}')
    if width * height > input_limits().max_pixels:
        raise too_large(f'{what}: is a {kind} of {width}x{height} px', 'max_pixels')
    return PictureFile(kind, width, height)


def decode_rgb(data: Bytes, what: str, *, upright: bool = False,
               note: Callable[[str], None] | None = None) -> NDArray[np.uint8 | np.uint16]:
    """
    Pixels of a picture file in color.

    :param data: (N,) uint8.
    :param what: the file, for errors.
    :param upright: rotate by the EXIF orientation.
    :param note: takes what is doubtful.
    :returns: (H, W, 3) RGB, uint8, or uint16 where the file has 16 bits; no transparency.
    :raises ConfigError: no picture, damaged, too large, floats.
    """
    kind = header_of(data, what).kind
    if kind == 'jpeg':
        pixels: NDArray[Any] = _decode_jpeg(data, what, 'RGB', note)
        return np.ascontiguousarray(turned(pixels, _exif_orientation(data))) if upright else pixels
    if kind in _OF_PILLOW.values():
        return _decode_with_pillow(data, what, upright)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        bgr = _decode(data, kind, what, flags if upright else
                      flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except ConfigError:
        # OpenCV makes no colors of one channel of floats.
        bgr = _decode(data, kind, what, cv2.IMREAD_UNCHANGED)
        if bgr.dtype in _DEPTHS:
            raise
    if bgr.dtype not in _DEPTHS:
        raise ConfigError(f'{what}: is a picture of {bgr.dtype}; give 8 or 16 bits')
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def decode_stored(data: Bytes, what: str, note: Callable[[str], None] | None = None,
                  ) -> NDArray[Any]:
    """
    Values of a picture file as they are stored: depth, ids, a mosaic.

    :returns: (H, W), or (H, W, C) with blue first; uint8, uint16 or float32.
    :raises ConfigError: no picture, damaged, too large.
    """
    kind = header_of(data, what).kind
    if kind == 'jpeg':
        frame = _frame_header(data)
        gray = frame is not None and frame[5] == 1
        pixels = _decode_jpeg(data, what, 'GRAY' if gray else 'BGR', note)
        return pixels[..., 0] if gray else pixels
    if kind in _OF_PILLOW.values():
        return _decode_with_pillow(data, what, False)[..., ::-1]
    return _decode(data, kind, what, cv2.IMREAD_UNCHANGED)


def has_16_bits(data: Bytes) -> bool:
    """Whether a picture file may have more than 8 bits; to be sure, decode it."""
    kind = kind_of(data)
    return kind == 'tiff' or (kind == 'png' and data.size > 24 and data[24] == 16)


def turned(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Rotate and mirror a picture by its EXIF orientation (Exif 2.3, table 6); a view."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return image[::rows, ::columns]


def read_file(path: Path) -> Bytes:
    """
    Bytes of a picture file as (N,) uint8.

    :raises ConfigError: it cannot be read, or is larger than the limit.
    """
    with reading(path, 'a picture', _REMEDY):
        return np.frombuffer(read_bytes(path), np.uint8)


@contextmanager
def _damage(what: str) -> Iterator[None]:
    """Turn whatever a damaged header throws into a ConfigError."""
    try:
        yield
    except ConfigError:
        raise
    except (struct.error, IndexError, KeyError):
        raise ConfigError(f'{what}: is damaged or no picture (cut off); {_REMEDY}') from None
    except Exception as error:
        # The numbers in it differ from picture to picture.
        reason = ' '.join(_NUMBERS.sub('', str(error)).split()) or type(error).__name__
        raise ConfigError(f'{what}: is damaged or no picture ({reason}); {_REMEDY}') from None


# Releases have it in either place, that of Ubuntu 22.04 in none.
_SET_LOG_LEVEL: Callable[[int], int] | None = getattr(
    getattr(cv2.utils, 'logging', cv2), 'setLogLevel', None)


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """What OpenCV logs of damaged or missing data is said by an error."""
    if _SET_LOG_LEVEL is None:
        yield
        return
    level = _SET_LOG_LEVEL(0)
    try:
        yield
    finally:
        _SET_LOG_LEVEL(level)


def _fields(layout: str, data: Bytes, at: int) -> tuple[Any, ...]:
    """Values of a struct; struct.error beyond the end."""
    return struct.unpack_from(layout, data.data, at)


def _decode(data: Bytes, kind: str, what: str, flags: int) -> NDArray[Any]:
    with _damage(what):
        if kind in _WHOLE:
            _WHOLE[kind](data)
    try:
        with quiet_opencv():
            pixels = cv2.imdecode(data, flags)
    except cv2.error as error:
        raise ConfigError(f'{what}: is damaged or no picture ({error.err}); {_REMEDY}'
                          ) from None
    if pixels is None:
        raise ConfigError(f'{what}: is damaged or no picture ({kind}); {_REMEDY}')
    return np.asarray(pixels)


_MOST_SCANS = 200
"""Each scan of a progressive JPEG costs the time of a whole one, however few bytes it has."""


def _decode_jpeg(data: Bytes, what: str, colors: str,
                 note: Callable[[str], None] | None) -> Bytes:
    """(H, W, C) uint8; libjpeg's complaints are errors, unless all pixels are there."""
    doubt, strict = '', True
    with _damage(what):
        if data.tobytes().count(bytes((0xff, _SCAN))) > _MOST_SCANS:
            raise ValueError('it has too many scans')
        while True:
            try:
                pixels = simplejpeg.decode_jpeg(data, colors, strict=strict)
                break
            except ValueError as error:
                if _SAMPLING in str(error):
                    doubt = NOT_CHECKED
                    pixels = _decode(data, 'jpeg', what, cv2.IMREAD_COLOR
                                     | cv2.IMREAD_IGNORE_ORIENTATION)
                    pixels = pixels[..., ::-1] if colors == 'RGB' else pixels
                    break
                mended = _mended(data, str(error))
                if mended is None:
                    raise
                doubt = doubt or (NO_END if str(error) == _NO_END else STRAY_BYTES)
                # What is the same again has few bytes at its end, of which libjpeg speaks last.
                strict, data = mended.size != data.size, mended
        if _has_gap(data):
            raise ValueError('a stretch of zeros')
        if doubt and note is not None:
            note(doubt)
        return np.ascontiguousarray(pixels, np.uint8)


def _has_gap(data: Bytes) -> bool:
    """
    Whether zeros are where codes of pixels were: what was lost on the way or on the disk.

    The rest may fit by chance, so that libjpeg finds nothing. Where the code of zeros alone does
    not end a block of luma, so many of them would be a block of equal coefficients, which no
    picture has (ITU-T T.81, annex F).
    """
    if not _is_of_one_scan(data) or _zeros_end_a_block(data):
        return False
    raw, start = data.tobytes(), _start_of_scan(data)
    end = raw.find(_END, start)
    end = len(raw) if end < 0 else end
    at = raw.find(bytes(_GAP_BYTES), start, end)
    # Behind the last code, they are padding, or it shows.
    return at >= 0 and bool(raw[at:end].strip(b'\0'))


def _zeros_end_a_block(data: Bytes) -> bool:
    """Whether the first code of the first table of AC coefficients is the end of a block."""
    for marker, body in _segments(data):
        at = 0
        while marker == 0xc4 and at + 17 < body.size:
            if body[at] == 0x10:
                return bool(body[at + 17] == 0)
            at += 17 + int(body[at + 1:at + 17].sum())
    return False


def _mended(data: Bytes, complaint: str) -> Bytes | None:
    """
    A JPEG without what libjpeg complains of, if that belongs to no pixel; None if it may.

    :returns: the data as they are, where they can be decoded in spite of the complaint.
    """
    raw = data.tobytes()
    if complaint == _NO_END and _is_of_one_scan(data) and not raw.endswith(_END):
        # With the marker it is complete, or lacks more than that.
        return np.frombuffer(raw + _END, np.uint8)
    if not (match := _STRAY.match(complaint)):
        return None
    count, marker = int(match[1]), bytes((0xff, int(match[2], 16)))
    if marker == _END:
        if count <= _MOST_STRAY_BYTES:
            return data
        # Padding, or the zeros of a file that was never written to its end: without them, the
        # rest tells whether it is complete. It may end in a zero of its own.
        at = raw.find(_END, _start_of_scan(data)) if _is_of_one_scan(data) else raw.rfind(_END)
        kept = raw[:at].rstrip(b'\0') + bytes(2)
        return np.frombuffer(kept + raw[at:], np.uint8) if len(kept) < at else None
    at = raw.find(marker)
    if 0xd0 <= marker[1] <= 0xd7 or at < count:
        return None
    # Between the parts of a header.
    return np.frombuffer(raw[:at - count] + raw[at:], np.uint8)


def _check_png(data: Bytes) -> None:
    """ValueError unless all chunks up to IEND are there with right checksums (PNG, section 5)."""
    view, at = data.data, 8
    while True:
        length, kind = _fields('>I4s', data, at)
        body = view[at + 4:at + 8 + length]
        (checksum,) = _fields('>I', data, at + 8 + length)
        if zlib.crc32(body) != checksum:
            raise ValueError('wrong checksum')
        if kind == b'IEND':
            return
        at += 12 + length


def _check_webp(data: Bytes) -> None:
    (size,) = _fields('<I', data, 4)
    if 8 + size > data.size:
        raise ValueError('the file is shorter than it says')


def _check_bmp(data: Bytes) -> None:
    """ValueError where rows of a picture without compression are missing."""
    start, header = _fields('<II', data, 10)
    bits, compression = (_fields('<H', data, 24)[0], 0) if header == 12 else (
        _fields('<HI', data, 28))
    width, height = _bmp_size(data)
    if compression in (0, 3, 6) and start + (width * bits + 31) // 32 * 4 * height > data.size:
        raise ValueError('the file is shorter than it says')


_WHOLE: dict[str, Callable[[Bytes], None]] = {
    'png': _check_png, 'webp': _check_webp, 'bmp': _check_bmp}


def _jpeg_size(data: Bytes) -> tuple[int, int]:
    try:
        height, width = simplejpeg.decode_jpeg_header(data, strict=False)[:2]
    except ValueError as error:
        frame = _frame_header(data)
        if _SAMPLING not in str(error) or frame is None:
            raise
        height, width = _fields('>HH', frame, 1)
    return int(width), int(height)


def _png_size(data: Bytes) -> tuple[int, int]:
    width, height = _fields('>II', data, 16)
    return int(width), int(height)


def _bmp_size(data: Bytes) -> tuple[int, int]:
    (header,) = _fields('<I', data, 14)
    width, height = _fields('<HH' if header == 12 else '<ii', data, 18)
    return int(width), abs(int(height))


def _webp_size(data: Bytes) -> tuple[int, int]:
    """RFC 9649, sections 2.5 to 2.7."""
    kind = data[12:16].tobytes()
    if kind == b'VP8X':
        return (1 + int.from_bytes(data[24:27].tobytes(), 'little'),
                1 + int.from_bytes(data[27:30].tobytes(), 'little'))
    if kind == b'VP8L':
        (bits,) = _fields('<I', data, 21)
        return 1 + (bits & 0x3fff), 1 + (bits >> 14 & 0x3fff)
    width, height = _fields('<HH', data, 26)
    return width & 0x3fff, height & 0x3fff


def _tiff_size(data: Bytes) -> tuple[int, int]:
    tags = _tags(data)
    return tags[_SIDES[0]], tags[_SIDES[1]]


def _tags(data: Bytes) -> dict[int, int]:
    """Whole numbers of the first directory of a TIFF or BigTIFF (TIFF 6.0, section 2)."""
    order = '<' if data[:2].tobytes() == b'II' else '>'
    (version,) = _fields(order + 'H', data, 2)
    if version == 43:
        (at,) = _fields(order + 'Q', data, 8)
        (count,) = _fields(order + 'Q', data, at)
        at, size, value = at + 8, 20, 12
    else:
        (at,) = _fields(order + 'I', data, 4)
        (count,) = _fields(order + 'H', data, at)
        at, size, value = at + 2, 12, 8
    found: dict[int, int] = {}
    for entry in range(at, at + size * min(count, 1000), size):
        tag, kind = _fields(order + 'HH', data, entry)
        # As libtiff does, the first of a name counts, of any whole type.
        if kind in _WHOLE_NUMBERS and tag not in found:
            (found[tag],) = _fields(order + _WHOLE_NUMBERS[kind], data, entry + value)
    return found


def _segments(data: Bytes) -> Iterator[tuple[int, Bytes]]:
    """Markers of a JPEG and what follows them, up to the first scan or to what is damaged."""
    at = marker = 2
    while marker != _SCAN and at + 4 <= data.size and data[at] == 0xff:
        marker, (length,) = int(data[at + 1]), _fields('>H', data, at + 2)
        yield marker, data[at + 4:at + 2 + length]
        at += 2 + length


def _start_of_scan(data: Bytes) -> int:
    """Where the codes of the pixels of a JPEG begin."""
    return 2 + sum(4 + body.size for _, body in _segments(data))


def _exif_orientation(data: Bytes) -> int:
    """Of a JPEG; 1, upright, where it is not known."""
    for marker, body in _segments(data):
        if marker == 0xe1 and body[:6].tobytes() == b'Exif\0\0':
            with suppress(struct.error):
                orientation = _tags(body[6:]).get(_ORIENTATION, 1)
                return orientation if orientation <= 8 else 1
    return 1


def _is_of_one_scan(data: Bytes) -> bool:
    """Whether one scan of a sequential JPEG holds all its channels, so that its end is the end."""
    parts = dict(_segments(data))
    frame, scan = _frame_header(data), parts.get(_SCAN)
    return (frame is not None and scan is not None and scan.size > 0
            and not parts.keys().isdisjoint((0xc0, 0xc1)) and bool(frame[5] == scan[0]))


def _frame_header(data: Bytes) -> Bytes | None:
    """SOF of a JPEG (T.81, B.2.2): precision, height and width of 16 bits, channels ..."""
    for marker, body in _segments(data):
        if 0xc0 <= marker <= 0xcf and marker not in (0xc4, 0xc8, 0xcc) and body.size > 5:
            return body
    return None


def extra_for(suffix: str) -> str:
    """What has to be installed to read HEIC or AVIF; '' where it is."""
    if suffix not in PILLOW_SUFFIXES:
        return ''
    if find_spec('PIL') is not None:
        if suffix == '.avif':
            from PIL import features
            if features.check('avif'):
                return ''
        elif find_spec('pillow_heif') is not None:
            return ''
    return "pip install 'panoptic-depth[heif]'"


def _pillow_image(data: Bytes) -> Any:
    from PIL import Image

    if kind_of(data) == 'heic':
        from pillow_heif import register_heif_opener

        register_heif_opener()
    with warnings.catch_warnings():
        # The limit of pixels is this program's.
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(data.tobytes()))


def _pillow_size(data: Bytes) -> tuple[int, int]:
    width, height = _pillow_image(data).size
    return int(width), int(height)


def _decode_with_pillow(data: Bytes, what: str, upright: bool) -> Bytes:
    from PIL import ImageOps

    with _damage(what):
        image = _pillow_image(data)
        image.load()
        if upright:
            image = ImageOps.exif_transpose(image)
        return np.array(image.convert('RGB'))


_SIZES: dict[str, Callable[[Bytes], tuple[int, int]]] = {
    'jpeg': _jpeg_size, 'png': _png_size, 'bmp': _bmp_size, 'tiff': _tiff_size,
    'webp': _webp_size, 'heic': _pillow_size, 'avif': _pillow_size}
