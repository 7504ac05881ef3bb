# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Picture files of every kind: as OpenCV reads them, unless they are damaged or too large."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.pictures import (
    NO_END,
    NOT_CHECKED,
    STRAY_BYTES,
    decode_rgb,
    decode_stored,
    header_of,
)
from panoptic_depth_core.io.sources.open_source import open_source

KINDS = {
    'jpeg': ('.jpg', []), 'progressive': ('.jpg', [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    'restarts': ('.jpg', [cv2.IMWRITE_JPEG_RST_INTERVAL, 4]), 'png': ('.png', []),
    'bmp': ('.bmp', []), 'tiff': ('.tiff', []),
    'plain tiff': ('.tiff', [cv2.IMWRITE_TIFF_COMPRESSION, 1]), 'webp': ('.webp', [64, 80]),
    'lossless webp': ('.webp', [64, 101])}


def _scene(height: int = 77, width: int = 133) -> np.ndarray:
    """(H, W, 3) uint8 with edges, ramps and noise, so that a code has much to say."""
    rng = np.random.default_rng(3)
    ramp = np.linspace(0, 200, width)[None, :, None] + np.linspace(0, 50, height)[:, None, None]
    image = ramp + rng.normal(0, 12, (height, width, 3))
    image[height // 3:height // 2, width // 4:] = (250, 30, 90)
    return np.clip(image, 0, 255).astype(np.uint8)


def _encoded(kind: str, image: np.ndarray | None = None) -> np.ndarray:
    suffix, options = KINDS[kind]
    return cv2.imencode(suffix, _scene() if image is None else image, options)[1].ravel()


@pytest.mark.parametrize('kind', KINDS)
def test_pixels_are_those_of_opencv(kind: str) -> None:
    for image in (_scene(), _scene()[..., 0], _scene(1, 1), _scene(9, 300)):
        data = _encoded(kind, image)
        header = header_of(data, kind)
        assert (header.height, header.width) == image.shape[:2]
        expected = cv2.imdecode(data, cv2.IMREAD_COLOR)
        decoded = decode_rgb(data, kind)
        assert decoded.dtype == np.uint8 and decoded.flags.c_contiguous
        np.testing.assert_array_equal(decoded, expected[..., ::-1])
        np.testing.assert_array_equal(decode_stored(data, kind),
                                      cv2.imdecode(data, cv2.IMREAD_UNCHANGED))


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP'])
@pytest.mark.parametrize('orientation', range(10))
def test_files_are_upright_and_messages_as_stored(kind: str, orientation: int) -> None:
    pil = pytest.importorskip('PIL.Image')
    buffer, exif = io.BytesIO(), pil.Exif()
    exif[0x0112] = orientation
    pil.fromarray(_scene()).save(buffer, kind, exif=exif)
    data = np.frombuffer(buffer.getvalue(), np.uint8)
    for upright, flags in ((True, cv2.IMREAD_COLOR),
                           (False, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)):
        np.testing.assert_array_equal(decode_rgb(data, kind, upright=upright),
                                      cv2.imdecode(data, flags)[..., ::-1])


def test_cmyk_and_palettes() -> None:
    pil = pytest.importorskip('PIL.Image')
    for kind, mode in (('JPEG', 'CMYK'), ('PNG', 'P'), ('PNG', '1'), ('PNG', 'LA'),
                       ('PNG', 'RGBA'), ('TIFF', 'RGBA')):
        buffer = io.BytesIO()
        pil.fromarray(_scene()).convert(mode).save(buffer, kind)
        data = np.frombuffer(buffer.getvalue(), np.uint8)
        np.testing.assert_array_equal(decode_rgb(data, kind),
                                      cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('share', [0.0, 0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_file_that_is_cut_off_is_refused(kind: str, share: float, capfd: object) -> None:
    data = _encoded(kind)
    with pytest.raises(ConfigError, match='^picture: is .*no picture'):
        decode_rgb(data[:int(len(data) * share)], 'picture')
    if kind not in ('jpeg', 'restarts'):
        with pytest.raises(ConfigError, match='^picture: is .*no picture'):
            decode_rgb(data[:-1], 'picture')
    # What libraries complain of is in the error.
    assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize('kind', ['jpeg', 'progressive', 'restarts', 'png'])
@pytest.mark.parametrize('place', [0.3, 0.5, 0.8])
@pytest.mark.parametrize('filling', [0, 0xa5])
def test_a_damaged_middle_is_refused(kind: str, place: float, filling: int,
                                     capfd: object) -> None:
    data = _encoded(kind, _scene(192, 384)).copy()
    start = int(len(data) * place)
    data[start:start + 1000] = filling
    with pytest.raises(ConfigError, match='damaged') as caught:
        decode_rgb(data, 'picture')
    assert capfd.readouterr() == ('', '')
    if kind == 'jpeg':
        assert 'Corrupt JPEG data' in str(caught.value) and not any(
            word.isdigit() for word in str(caught.value).split())


@pytest.mark.parametrize('kind', ['jpeg', 'progressive', 'restarts'])
@pytest.mark.parametrize('end', [b'', b'\xff\xd9'])
@pytest.mark.parametrize('place', [0.3, 0.6, 0.9, 0.98])
def test_a_file_that_was_not_written_to_its_end_is_refused(kind: str, end: bytes, place: float,
                                                           capfd: object) -> None:
    data = _encoded(kind, _scene(192, 384)).tobytes()
    start = int(len(data) * place)
    for zeros in (len(data) - start - len(end), 5000):
        with pytest.raises(ConfigError, match='damaged'):
            decode_rgb(np.frombuffer(data[:start] + bytes(zeros) + end, np.uint8), 'x')
    assert capfd.readouterr() == ('', '')


def test_zeros_are_found_where_the_rest_fits(capfd: object) -> None:
    """A scene of one block all over: a damaged stretch ends where a block ends."""
    image = np.tile(np.random.default_rng(0).integers(0, 256, (8, 8, 1), np.uint8), (40, 60, 1))
    for kind in ('jpeg', 'restarts'):
        data = _encoded(kind, image[..., 0]).copy()
        for size in (40, 400):
            for start in range(len(data) // 2, len(data) // 2 + 200, 7):
                damaged = data.copy()
                damaged[start:start + size] = 0
                with pytest.raises(ConfigError, match='damaged'):
                    decode_rgb(damaged, 'x')
    assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize('value', [0, 128, 255])
def test_flat_pictures_with_short_codes_are_good(value: int) -> None:
    """Their code is mostly zeros."""
    image = np.full((480, 640, 3), value, np.uint8)
    image[:8] = _scene(8, 640)
    for optimize in (0, 1):
        for channels in (image, image[..., 0]):
            data = cv2.imencode('.jpg', channels, [cv2.IMWRITE_JPEG_OPTIMIZE, optimize])[1].ravel()
            notes: list[str] = []
            assert decode_rgb(data, 'x', note=notes.append).shape == (480, 640, 3) and not notes


def test_rare_sampling_is_decoded_with_a_note() -> None:
    pil = pytest.importorskip('PIL.Image')
    buffer = io.BytesIO()
    pil.fromarray(_scene()).convert('CMYK').save(buffer, 'JPEG', subsampling=2)
    data = np.frombuffer(buffer.getvalue(), np.uint8)
    notes: list[str] = []
    np.testing.assert_array_equal(decode_rgb(data, 'x', note=notes.append),
                                  cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    assert notes == [NOT_CHECKED]


def test_one_wrong_bit_of_a_png_is_found() -> None:
    data = _encoded('png').copy()
    for place in (30, len(data) // 2, len(data) - 6):
        damaged = data.copy()
        damaged[place] ^= 1
        with pytest.raises(ConfigError, match='wrong checksum'):
            decode_rgb(damaged, 'picture')


@pytest.mark.parametrize('change', [
    lambda d: d[:-2] + b'abcdefg' + d[-2:], lambda d: d[:-2] + bytes(500) + d[-2:],
    lambda d: d[:2] + b'xyz' + d[2:]], ids=['few before the end', 'zeros', 'in the header'])
def test_stray_bytes_of_cheap_cameras_are_noted(change: Callable[[bytes], bytes],
                                                capfd: object) -> None:
    data = _encoded('jpeg')
    notes: list[str] = []
    decoded = decode_rgb(np.frombuffer(change(data.tobytes()), np.uint8), 'x', note=notes.append)
    np.testing.assert_array_equal(decoded, decode_rgb(data, 'x', note=notes.append))
    assert notes == [STRAY_BYTES] and capfd.readouterr() == ('', '')


@pytest.mark.parametrize('kind', ['jpeg', 'restarts', 'progressive'])
def test_a_jpeg_without_its_end_marker_is_noted(kind: str, capfd: object) -> None:
    data, notes = _encoded(kind), []
    for cut in (1, 2):
        if kind == 'progressive':
            with pytest.raises(ConfigError, match='Premature end'):
                decode_rgb(data[:-cut], 'x')
            continue
        np.testing.assert_array_equal(decode_rgb(data[:-cut], 'x', note=notes.append),
                                      decode_rgb(data, 'x'))
        assert notes.pop() == NO_END
    for cut in (9, 60):
        with pytest.raises(ConfigError, match='[Pp]remature end'):
            decode_rgb(data[:-cut], 'x')
    assert capfd.readouterr() == ('', '')


def test_what_follows_a_jpeg_does_not_count() -> None:
    data = _encoded('jpeg')
    notes: list[str] = []
    for behind in (bytes(4096), b'garbage' * 9, data.tobytes()):
        longer = np.frombuffer(data.tobytes() + behind, np.uint8)
        np.testing.assert_array_equal(decode_rgb(longer, 'x', note=notes.append),
                                      decode_rgb(data, 'x'))
    assert not notes


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack('>I', len(body)) + kind + body + struct.pack(
        '>I', zlib.crc32(kind + body))


def _png_of(width: int, height: int) -> bytes:
    return b''.join((b'\x89PNG\r\n\x1a\n', _chunk(b'IHDR', struct.pack(
        '>IIBBBBB', width, height, 8, 2, 0, 0, 0)), _chunk(b'IDAT', zlib.compress(bytes(9999))),
        _chunk(b'IEND', b'')))


def _with_size(kind: str, old: bytes, new: bytes) -> bytes:
    data = _encoded(kind).tobytes()
    assert old in data
    return data.replace(old, new, 1)


SIDES = struct.Struct('<HH')
BOMBS = {
    'png': _png_of(60_000, 60_000),
    'jpeg': _with_size('jpeg', struct.pack('>HH', 77, 133), struct.pack('>HH', 60_000, 60_000)),
    'bmp': _with_size('bmp', struct.pack('<ii', 133, 77), struct.pack('<ii', 60_000, -60_000)),
    'webp': _with_size('webp', SIDES.pack(133, 77), SIDES.pack(16_000, 16_000)),
    'tiff': _with_size('plain tiff', struct.pack('<HHIHH', 256, 3, 1, 133, 0),
                       struct.pack('<HHII', 256, 4, 1, 90_000_000)),
}


@pytest.mark.parametrize('kind', BOMBS)
def test_a_size_beyond_the_limit_is_refused_before_it_takes_memory(
        kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('decoded'))
    monkeypatch.setattr(simplejpeg, 'decode_jpeg', lambda *_: pytest.fail('decoded'))
    for decode in (decode_rgb, decode_stored):
        with pytest.raises(ConfigError, match='more than 134217728 pixels.*MAX_PIXELS'):
            decode(np.frombuffer(BOMBS[kind], np.uint8), 'picture')


def test_the_limit_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PANOPTIC_DEPTH_MAX_PIXELS', str(77 * 133))
    assert decode_rgb(_encoded('png'), 'x').shape == (77, 133, 3)
    monkeypatch.setenv('PANOPTIC_DEPTH_MAX_PIXELS', str(77 * 133 - 1))
    with pytest.raises(ConfigError, match='is a png of 133x77 px: more than 10240 pixels'):
        decode_rgb(_encoded('png'), 'x')


@pytest.mark.parametrize('data', [
    b'', b'x', b'no picture at all', _png_of(0, 5), _png_of(5, 0), b'BM' + bytes(60),
    b'II*\0' + bytes(4), b'II*\0\xff\xff\xff\xff', b'MM\0*\0\0\0\x08\xff\xff',
    b'II+\0' + b'\xff' * 30,
    b'RIFF\0\0\0\0WEBP', b'\xff\xd8\xff', b'\xff\xd8\xff\xe0\0\x10JFIF', b'\0\0\0\x18ftypheic',
    b'GIF89a' + bytes(20)])
def test_what_is_no_picture_is_named(data: bytes, capfd: object) -> None:
    for decode in (decode_rgb, decode_stored):
        with pytest.raises(ConfigError, match='^x: is .*no picture'):
            decode(np.frombuffer(data, np.uint8), 'x')
    assert capfd.readouterr() == ('', '')


def test_reasons_hold_no_numbers() -> None:
    whole, reasons = _encoded('jpeg').tobytes(), set()
    for marker in (0x02, 0x3f, 0xbf):
        data = whole[:len(whole) // 2] + bytes((0xff, marker)) + whole[len(whole) // 2:]
        with pytest.raises(ConfigError) as error:
            decode_rgb(np.frombuffer(data, np.uint8), 'x')
        reasons.add(str(error.value))
    assert reasons == {'x: is damaged or no picture (Unsupported marker type); copy it again or '
                       'record it anew'}


def test_what_git_lfs_has_not_fetched_is_named() -> None:
    pointer = b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n'
    with pytest.raises(ConfigError, match='^x: is only a Git LFS pointer .*git lfs pull'):
        decode_rgb(np.frombuffer(pointer, np.uint8), 'x')


def test_floats_are_values_but_no_picture() -> None:
    values = np.linspace(0, 9, 12, dtype=np.float32).reshape(3, 4)
    data = cv2.imencode('.tiff', values)[1].ravel()
    np.testing.assert_array_equal(decode_stored(data, 'x'), values)
    with pytest.raises(ConfigError, match='picture of float32; give 8 or 16 bits'):
        decode_rgb(data, 'x')


@pytest.mark.parametrize('kind', ['heic', 'avif'])
def test_heic_and_avif_are_upright(kind: str, tmp_path: Path) -> None:
    pil = pytest.importorskip('PIL.Image')
    pytest.importorskip('pillow_heif').register_heif_opener()
    exif = pil.Exif()
    exif[0x0112] = 6
    pil.fromarray(_scene()).save(tmp_path / f'a.{kind}', quality=95, exif=exif)
    (frame,) = open_source(tmp_path, fx=100.0)
    upright = pytest.importorskip('PIL.ImageOps').exif_transpose(pil.open(tmp_path / f'a.{kind}'))
    np.testing.assert_array_equal(frame.image, np.asarray(upright.convert('RGB')))
    data = (tmp_path / f'a.{kind}').read_bytes()
    (tmp_path / f'a.{kind}').write_bytes(data[:len(data) // 2])
    source = open_source(tmp_path)
    assert not list(source) and 'no picture' in next(iter(source.skipped))


def test_the_cases_of_damaged_jpeg(case: Callable[[str], Path], capfd: object) -> None:
    source = open_source(case('07_jpeg_damaged/zeros.jpg'), fov_deg=70)
    assert not list(source)
    assert 'Corrupt JPEG data' in ' '.join(source.skipped) and source.skipped.total() == 1
    with open_source(case('07_jpeg_damaged/raw_mjpeg'), fov_deg=70) as source:
        assert not list(source)
    assert 'its data is a JPEG file' in ' '.join(source.skipped)
    assert 'mjpeg2rgb' in ' '.join(source.skipped)
    assert capfd.readouterr() == ('', '')
