# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
CompressedImage in every form that compressed_image_transport writes.

``_published`` does what its publisher does (image_transport_plugins, compressed_publisher.cpp, and
what differs before Humble); what it was given, the raw image, has to come out, but for losses.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.messages.reading import decode_compressed, pixels_of

COLORS = {'rgb': (2, 1, 0), 'bgr': (0, 1, 2), 'rgba': (2, 1, 0, 3), 'bgra': (0, 1, 2, 3)}
MOSAICS = ('rggb', 'bggr', 'gbrg', 'grbg')


def _scene() -> np.ndarray:
    """(H, W, 3) uint8 BGR, smooth, with red and blue that cannot be mistaken."""
    v, u = np.mgrid[0:48, 0:64]
    return np.dstack([40 + u, 90 + v, 250 - 2 * u]).astype(np.uint8)


def _mosaic(bgr: np.ndarray, order: str) -> np.ndarray:
    raw = np.empty(bgr.shape[:2], bgr.dtype)
    for place, color in enumerate(order):
        rows, columns = slice(place // 2, None, 2), slice(place % 2, None, 2)
        raw[rows, columns] = bgr[rows, columns, 'bgr'.index(color)]
    return raw


def _source(encoding: str) -> np.ndarray:
    """The values of an Image of this encoding."""
    bits = 16 if '16' in encoding else 8
    bgr = _scene().astype(np.uint16) * 257 if bits == 16 else _scene()
    name = encoding.replace(str(bits), '', 1)
    if name.startswith('bayer_'):
        return _mosaic(bgr, name.removeprefix('bayer_'))
    if name in COLORS:
        alpha = np.full(bgr.shape[:2], 77, bgr.dtype)
        return np.dstack([bgr, alpha])[..., COLORS[name]]
    if name in ('UC3', 'UC4'):
        return np.dstack([bgr, bgr[..., 0]])[..., :int(name[-1])]
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)


def _is_color(encoding: str) -> bool:
    return encoding.startswith(('rgb', 'bgr'))


def _published(encoding: str, codec: str, old: bool = False) -> tuple[str, bytes]:
    """Format and data of compressed_image_transport; old: before Humble."""
    values, bits = _source(encoding), 16 if '16' in encoding else 8
    target = ''
    if codec != 'tiff' and _is_color(encoding):
        order = {'rgb': (2, 1, 0), 'rgba': (2, 1, 0), 'bgr': (0, 1, 2), 'bgra': (0, 1, 2)}[
            encoding.rstrip('168')]
        values = np.ascontiguousarray(values[..., order])
        target = 'bgr8' if codec == 'jpeg' else f'bgr{bits}'
    elif codec == 'jpeg' and not old:
        target = 'mono8'
        if encoding.startswith('bayer_'):
            # cv_bridge's conversion from a mosaic to mono8.
            values = cv2.cvtColor(pixels_of(_raw(encoding, values)), cv2.COLOR_RGB2GRAY)
    if codec == 'jpeg' and values.dtype == np.uint16:
        values = (values >> 8).astype(np.uint8)
    suffix = {'jpeg': '.jpg', 'png': '.png', 'tiff': '.tiff'}[codec]
    done, data = cv2.imencode(suffix, values, [cv2.IMWRITE_JPEG_QUALITY, 98]
                              if codec == 'jpeg' else [])
    assert done
    return f'{encoding}; {codec} compressed {target}', data.tobytes()


def _raw(encoding: str, values: np.ndarray) -> SimpleNamespace:
    return SimpleNamespace(encoding=encoding, width=values.shape[1], height=values.shape[0],
                           step=values[0].nbytes, is_bigendian=False, data=values.tobytes())


ENCODINGS = (*(f'{name}{bits}' for name in COLORS for bits in (8, 16)),
             *(f'bayer_{order}{bits}' for order in MOSAICS for bits in (8, 16)),
             'mono8', 'mono16', '8UC1', '16UC1')


@pytest.mark.parametrize('encoding', [*ENCODINGS, '8UC3', '16UC3', '8UC4', '16UC4'])
@pytest.mark.parametrize('codec', ['png', 'tiff'])
def test_lossless_is_the_raw_image(encoding: str, codec: str) -> None:
    image_format, data = _published(encoding, codec)
    notes: list[str] = []
    decoded = decode_compressed(image_format, data, note=notes.append)
    np.testing.assert_array_equal(decoded, pixels_of(_raw(encoding, _source(encoding))))
    assert not notes


@pytest.mark.parametrize('old', [False, True])
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_jpeg_is_nearly_the_raw_image(encoding: str, old: bool) -> None:
    image_format, data = _published(encoding, 'jpeg', old)
    notes: list[str] = []
    decoded = decode_compressed(image_format, data, note=notes.append)
    expected = pixels_of(_raw(encoding, _source(encoding)))
    if encoding.startswith('bayer_') and not old:
        # The publisher kept no colors.
        expected = cv2.cvtColor(cv2.cvtColor(expected, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    # Where colors lie side by side as pixels, JPEG blurs them.
    tolerance = 12 if encoding.startswith('bayer_') else 4
    error = np.abs(decoded.astype(int) - expected)[4:-4, 4:-4]
    assert error.mean() < tolerance and not notes


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.tiff', '.bmp', '.webp'])
@pytest.mark.parametrize('image_format', [
    'jpeg', 'jpg', 'png', 'webp', 'tiff', 'image/jpeg', 'JPEG', '', ';', 'bgr8; jpeg compressed ',
    'bgr8; png compressed', 'rgb8; jpeg compressed bgr8', 'bgra8; png compressed bgr8',
    'rgba8; png compressed bgra8', 'bayer_rggb8; jpeg compressed bgr8', 'mono8; jpeg compressed',
    '8UC3; jpeg compressed ', 'yuv422; jpeg compressed bgr8', 'h'])
def test_the_codec_is_known_by_the_data(image_format: str, suffix: str) -> None:
    data = cv2.imencode(suffix, _scene())[1]
    notes: list[str] = []
    decoded = decode_compressed(image_format, data.ravel(), note=notes.append)
    assert np.abs(decoded.astype(int) - _scene()[..., ::-1]).mean() < 4 and not notes


@pytest.mark.parametrize('image_format', [
    'rgb8; jpeg compressed rgb8', 'bgr8; png compressed rgb8', 'rgba8; png compressed rgb8'])
def test_exchanged_colors_are_exchanged_back_and_noted(image_format: str) -> None:
    data = cv2.imencode('.png', _scene()[..., ::-1])[1]
    notes: list[str] = []
    decoded = decode_compressed(image_format, data.ravel(), note=notes.append)
    np.testing.assert_array_equal(decoded, _scene()[..., ::-1])
    (note,) = notes
    assert 'taken as exchanged' in note and image_format in note


@pytest.mark.parametrize('image_format', ['rgb8; jpeg compressed', 'rgb8; jpeg compressed ',
                                          'rgb8; png', 'rgba8; png compressed '])
def test_without_a_target_the_file_is_believed(image_format: str) -> None:
    data = cv2.imencode('.png', _scene())[1]
    notes: list[str] = []
    decoded = decode_compressed(image_format, data.ravel(), note=notes.append)
    np.testing.assert_array_equal(decoded, _scene()[..., ::-1])
    (note,) = notes
    assert 'taken as in order' in note and image_format in note


@pytest.mark.parametrize('image_format', [
    '32FC1; compressedDepth', '16UC1; compressedDepth png', '16UC1; compressedDepth rvl'])
def test_depth_is_no_picture(image_format: str) -> None:
    with pytest.raises(ConfigError, match='is a depth image; give a topic with pictures'):
        decode_compressed(image_format, bytes(12) + cv2.imencode('.png', _scene())[1].tobytes())


@pytest.mark.parametrize('change', [lambda d: d[:-9], lambda d: d[:len(d) // 2], lambda _: b'',
                                    lambda d: d[:200] + bytes(300) + d[500:]])
def test_a_reason_is_the_same_for_all_frames(change: Callable[[bytes], bytes]) -> None:
    reasons = set()
    for seed in range(4):
        scene = np.random.default_rng(seed).integers(0, 255, (48, 64 + seed, 3), np.uint8)
        data = cv2.imencode('.jpg', scene)[1].tobytes()
        with pytest.raises(ConfigError) as caught:
            decode_compressed('jpeg', change(data))
        reasons.add(str(caught.value))
    assert len(reasons) == 1
