# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Every encoding against a slow encoder of its own, with any padding, byte order and cut."""

from __future__ import annotations

import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from encoded_images import BAYER, SMOOTH, pixel_rows, random_image
from hypothesis import given, settings
from hypothesis import strategies as st
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.reading import (
    ENCODINGS,
    MAPS,
    decode_compressed,
    pixels_of,
    values_of,
)
from panoptic_depth_core.io.sixteen_bits import SixteenBits

FIELDS = ('encoding', 'width', 'height', 'step', 'is_bigendian', 'data')


def _image(*values: object) -> SimpleNamespace:
    """What is read of a sensor_msgs/Image."""
    return SimpleNamespace(**dict(zip(FIELDS, values, strict=True)))



@st.composite
def messages(draw: st.DrawFn) -> tuple[str, np.ndarray, int, bool, bytes, int]:
    """An encoding, an image, and its bytes with some padding."""
    encoding = draw(st.sampled_from(sorted(ENCODINGS)))
    width, height = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    if encoding in BAYER:
        width, height = width + 2, height + 2
    elif encoding in SMOOTH:
        width, height = 2 * width, 2 * height
    image = random_image(encoding, width, height, draw(st.integers(0, 2 ** 32 - 1)))
    big = draw(st.booleans())
    rows = pixel_rows(encoding, image, big)
    padding = draw(st.integers(0, 13))
    data = b''.join(row + b'\xaa' * padding for row in rows)
    return encoding, image, len(rows[0]) + padding, big, data, padding


@given(messages(), st.sampled_from([bytes, bytearray, memoryview,
                                    lambda d: array.array('B', d),
                                    lambda d: np.frombuffer(d, np.uint8)]))
@settings(max_examples=400, deadline=None)
def test_decodes_what_was_encoded(message: tuple, kind: object) -> None:
    encoding, image, step, big, data, _ = message
    height, width = image.shape[:2]
    decoded = pixels_of(_image(encoding, width, height, step, big, kind(data)), SixteenBits(16))
    assert decoded.shape == image.shape and decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    tolerance = 3 if encoding in SMOOTH - set(BAYER) else 0
    assert np.abs(decoded.astype(int) - image.astype(int)).max() <= tolerance


@given(messages(), st.data())
@settings(max_examples=300, deadline=None)
def test_truncated_data_is_an_error_unless_only_padding_is_missing(message: tuple,
                                                                    data: st.DataObject) -> None:
    encoding, image, step, big, payload, padding = message
    height, width = image.shape[:2]
    cut = data.draw(st.integers(0, len(payload)))
    if cut >= len(payload) - padding:
        decoded = pixels_of(_image(encoding, width, height, step, big, payload[:cut]))
        assert decoded.shape == image.shape
    else:
        with pytest.raises(ConfigError, match='data has less than the .*truncated'):
            pixels_of(_image(encoding, width, height, step, big, payload[:cut]))


@given(messages(), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_step_below_a_row_is_an_error(message: tuple, less: int) -> None:
    encoding, image, step, big, payload, padding = message
    height, width = image.shape[:2]
    with pytest.raises(ConfigError, match='step is .* bytes, but a row has'):
        pixels_of(_image(encoding, width, height, step - padding - less, big, payload))


def test_dense_rgb_is_not_copied() -> None:
    data = np.arange(24, dtype=np.uint8)
    assert np.shares_memory(pixels_of(_image('rgb8', 4, 2, 12, False, data)), data)


@pytest.mark.parametrize(('changes', 'words'), [
    ({'encoding': 'rgb9'}, "'rgb9' of 4x2 px: encoding is not known; known are rgb8, bgr8"),
    ({'encoding': ''}, "image '' of 4x2 px: encoding is not known"),
    ({'encoding': '32FC1'}, 'encoding is not known'),
    ({'width': 0}, '0x2 px: has no pixels'),
    ({'height': 0}, '4x0 px: has no pixels'),
    ({'width': -3}, '-3x2 px: has no pixels'),
    ({'encoding': 'nv12', 'height': 3}, 'width and height must be even'),
    ({'encoding': 'yuv422', 'width': 3}, 'width must be even'),
    ({'encoding': 'bayer_rggb8', 'height': 2}, 'too small, at least 3 px'),
    ({'data': b''}, 'data has less than the 24 bytes that are needed'),
    ({'data': np.zeros(24, np.float32)}, 'items of 4 bytes; give contiguous bytes'),
    ({'data': 'pixels'}, 'image data is str'),
    ({'data': None}, 'image data is NoneType'),
])
def test_bad_images_are_named(changes: dict, words: str) -> None:
    fields = {'encoding': 'rgb8', 'width': 4, 'height': 2, 'step': 12, 'is_bigendian': False,
              'data': bytes(24), **changes}
    with pytest.raises(ConfigError, match=words):
        pixels_of(SimpleNamespace(**fields))


@given(st.sampled_from(sorted(MAPS)), st.integers(1, 6), st.integers(1, 6), st.integers(0, 7),
       st.booleans(), st.integers(0, 2 ** 32 - 1))
@settings(max_examples=150, deadline=None)
def test_maps_round_trip(encoding: str, height: int, width: int, padding: int, big: bool,
                         seed: int) -> None:
    dtype, channels = MAPS[encoding]
    shape = (height, width) if channels == 1 else (height, width, channels)
    values = np.random.default_rng(seed).integers(0, 250, shape).astype(dtype)
    if dtype == 'f4':
        values.ravel()[0] = np.nan
        values.ravel()[-1] = np.inf
    sent = make.image(make.header(0, ''), values, encoding)
    step = sent.step
    assert step == sent.data.size // height
    np.testing.assert_array_equal(values_of(sent), values)

    stored = values.astype(values.dtype.newbyteorder('>' if big else '<'))
    rows = b''.join(row.tobytes() + bytes(padding) for row in stored)
    again = values_of(_image(encoding, width, height, step + padding, big, rows))
    assert again.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(again, values)


def test_only_the_right_dtype_is_written_and_only_maps_are_read() -> None:
    head = make.header(0, '')
    with pytest.raises(ConfigError, match="cannot write float64 .* as '32FC1'; give float32"):
        make.image(head, np.zeros((2, 2)), '32FC1')
    with pytest.raises(ConfigError, match="cannot write uint8 .* as 'rgb8'.* 3 channel"):
        make.image(head, np.zeros((2, 2), np.uint8), 'rgb8')
    with pytest.raises(ConfigError, match="as '64FC1'; known are"):
        make.image(head, np.zeros((2, 2)), '64FC1')
    with pytest.raises(ConfigError, match='not a map of values; known are mono8'):
        values_of(_image('bayer_rggb8', 2, 2, 2, False, bytes(4)))


def _picture() -> np.ndarray:
    ramp = np.linspace(0, 255, 32, dtype=np.uint8)
    return np.dstack([np.tile(ramp, (24, 1)), np.full((24, 32), 40, np.uint8),
                      np.tile(ramp[:24, None], (1, 32))])


@pytest.mark.parametrize(('suffix', 'tolerance'), [('.png', 0), ('.jpg', 12), ('.webp', 12)])
def test_compressed_pictures_are_rgb(suffix: str, tolerance: int) -> None:
    image = _picture()
    data = cv2.imencode(suffix, image[..., ::-1])[1]
    for payload in (data.tobytes(), data.ravel()):
        decoded = decode_compressed('rgb8; jpeg compressed bgr8', payload)
        assert np.abs(decoded.astype(int) - image).max() <= tolerance


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
@pytest.mark.parametrize('share', [0.0, 0.05, 0.5, 0.9])
def test_truncated_pictures_are_named(suffix: str, share: float) -> None:
    data = cv2.imencode(suffix, _picture())[1].tobytes()
    with pytest.raises(ConfigError, match="format 'jpeg'.* no picture"):
        decode_compressed('jpeg', data[:int(len(data) * share)])


def test_compressed_depth_is_refused() -> None:
    with pytest.raises(ConfigError, match="'16UC1; compressedDepth png' is a depth image"):
        decode_compressed('16UC1; compressedDepth png', b'\0' * 20)
