# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Depth images, compressed ones and point clouds as measured points."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.messages.compressed_depth import compressed_depth
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.measured_points import (
    MOST_POINTS,
    HoldOut,
    measured_points,
    points_of_depth,
)
from panoptic_depth_core.io.messages.point_clouds import ring_of, xyz_of
from panoptic_depth_core.io.messages.types import POINT_CLOUD, POINT_FIELD
from panoptic_depth_core.structures import Intrinsics

CAMERA = Intrinsics(50.0, 60.0, 9.5, 7.0, 20, 16)


def packed(values: np.ndarray, a: float = 0.0, b: float = 0.0) -> bytes:
    good, png = cv2.imencode('.png', values)
    assert good
    return struct.pack('<iff', 0, a, b) + png.tobytes()


def rvl(values: np.ndarray) -> bytes:
    """Encode as Wilson 2017 does, value by value."""
    nibbles: list[int] = []

    def put(number: int) -> None:
        while True:
            nibble, number = number & 7, number >> 3
            nibbles.append(nibble | (8 if number else 0))
            if not number:
                return

    flat, at, before = values.ravel().tolist(), 0, 0
    while at < len(flat):
        start = at
        while at < len(flat) and flat[at] == 0:
            at += 1
        put(at - start)
        start = at
        while at < len(flat) and flat[at]:
            at += 1
        put(at - start)
        for value in flat[start:at]:
            step, before = value - before, value
            put((step << 1) ^ (step >> 31))
    nibbles += [0] * (-len(nibbles) % 8)
    words = [int(''.join(f'{n:x}' for n in nibbles[i:i + 8]), 16)
             for i in range(0, len(nibbles), 8)]
    return (struct.pack('<iff', 1, 0, 0) + struct.pack('<ii', *values.shape[::-1])
            + struct.pack(f'<{len(words)}I', *words))


def test_png_of_millimeters():
    depth = compressed_depth('16UC1; compressedDepth', packed(
        np.array([[0, 1000], [2500, 65535]], np.uint16)))
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, [[np.nan, 1.0], [2.5, 65.535]])


def test_the_first_versions_gave_the_encoding_alone():
    np.testing.assert_allclose(compressed_depth('16UC1', packed(
        np.array([[1000]], np.uint16))), [[1.0]])


def test_png_of_quantized_meters():
    """The encoder: a = quantization * (quantization + 1), b = 1 - a / z_max; value = a / z + b."""
    a, z_max = 100.0 * 101.0, 10.0
    b = 1.0 - a / z_max
    z = np.array([[0.5, 2.0, 9.9]])
    values = np.concatenate([[[0]], a / z + b], axis=1).astype(np.uint16)
    depth = compressed_depth('32FC1; compressedDepth png', packed(values, a, b))
    assert np.isnan(depth[0, 0])
    np.testing.assert_allclose(depth[:, 1:], z, rtol=0.01)


def test_rvl_by_hand():
    """One row 0, 0, 5, 6, 0: two zeros, two values +5 and +1 (zigzag 10 and 2), one zero, none."""
    # 10 is 2 with more to follow (1010), then 1; nibbles 2 2 a 1 2 1 0 0.
    body = struct.pack('<ii', 5, 1) + struct.pack('<I', 0x22a12100)
    depth = compressed_depth('16UC1; compressedDepth rvl', struct.pack('<iff', 1, 0, 0) + body)
    np.testing.assert_allclose(depth, [[np.nan, np.nan, 0.005, 0.006, np.nan]])


@pytest.mark.parametrize('holes', [0.0, 0.5, 1.0])
def test_rvl_of_an_image(holes):
    random = np.random.default_rng(0)
    values = random.integers(1, 65535, (37, 53)).astype(np.uint16)
    values[random.random(values.shape) < holes] = 0
    depth = compressed_depth('16UC1; compressedDepth rvl', rvl(values))
    np.testing.assert_allclose(np.nan_to_num(depth), values * 0.001, rtol=1e-6)


@pytest.mark.parametrize(('image_format', 'data', 'words'), [
    ('jpeg', b'x' * 50, 'not known as depth'),
    ('16UC1; jpeg', b'x' * 50, 'not known as depth'),
    ('8UC1; compressedDepth', b'x' * 50, 'not known as depth'),
    ('16UC1; compressedDepth', b'', 'truncated'),
    ('16UC1; compressedDepth', b'x' * 50, 'no 16-bit PNG'),
    ('16UC1; compressedDepth', packed(np.ones((3, 3), np.uint8)), 'no 16-bit PNG'),
    ('16UC1; compressedDepth rvl', b'x' * 14, 'truncated'),
    ('16UC1; compressedDepth rvl', rvl(np.arange(1, 101, dtype=np.uint16).reshape(4, 25))[:40],
     'truncated or damaged'),
    ('16UC1; compressedDepth rvl', struct.pack('<iffii', 1, 0, 0, 0, 5) + b'\x22' * 40,
     'truncated or damaged'),
    ('16UC1; compressedDepth rvl', struct.pack('<iffii', 1, 0, 0, -2, -3) + b'\x22' * 40,
     'truncated or damaged'),
    # All of it is one number that does not end.
    ('16UC1; compressedDepth rvl', struct.pack('<iffii', 1, 0, 0, 5, 4) + b'\xff' * 40,
     'truncated or damaged'),
    ('16UC1; compressedDepth rvl', struct.pack('<iffii', 1, 0, 0, 1 << 30, 1 << 30) + b'\x22' * 40,
     'more than 134217728 pixels'),
    ('16UC1; compressedDepth png', struct.pack('<iff', 1, 0, 0) + b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR'
     + struct.pack('>II', 40_000, 40_000) + b'\x10\0\0\0\0' + b'\0' * 40,
     'more than 134217728 pixels'),
    ('32FC1; compressedDepth png', struct.pack('<iff', 1, np.nan, 0) + b'\0' * 40,
     'its quantization is damaged'),
    ('16UC1', b'x' * 50, 'not known as depth'),
])
def test_what_is_no_depth_is_refused(image_format, data, words):
    with pytest.raises(ConfigError, match=words):
        compressed_depth(image_format, data)


def test_points_are_on_the_rays_of_their_pixels():
    depth = np.full((16, 20), np.nan, np.float32)
    depth[3, 4], depth[10, 19], depth[0, 0] = 2.0, 8.0, 0.0
    points = points_of_depth(depth, CAMERA)
    np.testing.assert_allclose(points[:, 2], [2.0, 8.0])
    np.testing.assert_allclose(CAMERA.pixels(points[:, :2] / points[:, 2:]), [[4, 3], [19, 10]],
                               atol=1e-4)


def test_a_large_image_gives_a_bounded_number_of_points():
    camera = Intrinsics.from_focal(900.0, 1280, 720)
    points = points_of_depth(np.full((720, 1280), 5.0, np.float32), camera)
    assert MOST_POINTS / 2 < len(points) <= 1.1 * MOST_POINTS
    pixels = camera.pixels(points[:, :2] / points[:, 2:])
    assert np.abs(pixels - np.rint(pixels)).max() < 1e-3
    assert (pixels.min(axis=0) < 8).all() and (pixels.max(axis=0) > (1270, 710)).all()


def cloud(points, rings=None):
    names = ['x', 'y', 'z'] + (['ring'] if rings is not None else [])
    fields = [make(POINT_FIELD, name=name, offset=4 * i, datatype=4 if name == 'ring' else 7,
                   count=1) for i, name in enumerate(names)]
    data = np.zeros(len(points), [('xyz', '<f4', 3), ('ring', '<u2'), ('pad', '<u2')])
    data['xyz'] = points
    data['ring'] = 0 if rings is None else rings
    return make(POINT_CLOUD, header=make.header(7_000_000_000, 'lidar'), height=1,
                width=len(points), fields=fields, is_bigendian=False, point_step=16,
                row_step=16 * len(points), data=data.view(np.uint8).ravel(), is_dense=False)


def test_rings_are_those_of_the_finite_points():
    points = np.ones((4, 3), np.float32)
    points[1, 2] = np.nan
    message = cloud(points, [3, 4, 5, 6])
    assert ring_of(message).tolist() == [3, 5, 6] and len(xyz_of(message)) == 3
    assert ring_of(cloud(points)) is None


def test_held_out_rings_are_every_other_one_and_whole():
    rings = np.repeat(np.arange(16), 10)
    points = np.arange(480, dtype=np.float32).reshape(160, 3)
    held_out, way = HoldOut(0.5).of_cloud(cloud(points, rings))
    assert way == 'by rings'
    assert sorted(set(rings[held_out])) in (list(range(0, 16, 2)), list(range(1, 16, 2)))
    assert held_out.sum() == 80
    blended = measured_points(cloud(points, rings), None, HoldOut(0.5))
    assert len(blended) == 80
    assert not set(map(tuple, blended)) & set(map(tuple, points[held_out]))


@pytest.mark.parametrize(('share', 'seed', 'wanted'), [
    (0.5, 0, [1, 3, 5, 7]), (0.25, 0, [3, 7]), (0.75, 1, [0, 1, 2, 4, 5, 6])])
def test_the_number_of_a_ring_alone_says_whether_it_is_held_out(share, seed, wanted):
    rings = np.array([0, 1, 2, 3, 4, 5, 6, 7], np.uint32)
    message = cloud(np.ones((8, 3), np.float32), rings)
    held_out, _ = HoldOut(share, seed).of_cloud(message)
    assert np.flatnonzero(held_out).tolist() == wanted
    # Damaged numbers of rings are as large as 4e9.
    message.fields[3].datatype = 6
    message.data = message.data.copy()
    message.data.view('<u4')[3::4] = 2 ** 32 - 8 + np.arange(8)
    held_out, _ = HoldOut(share, seed).of_cloud(message)
    assert held_out.mean() == pytest.approx(share)


@pytest.mark.parametrize('share', [0.1, 0.5, 0.9])
def test_without_rings_the_choice_is_random_and_repeatable(share):
    points = np.random.default_rng(0).random((2000, 3), np.float32)
    first, way = HoldOut(share).of_cloud(cloud(points))
    again, _ = HoldOut(share).of_cloud(cloud(points))
    other, _ = HoldOut(share, seed=1).of_cloud(cloud(points))
    assert way == 'at random' and (first == again).all() and (first != other).any()
    assert first.mean() == pytest.approx(share, abs=0.04)


def test_held_out_pixels_of_a_depth_image_give_no_points():
    depth = np.full((16, 20), 4.0, np.float32)
    message = make.image(make.header(1, 'camera'), depth, '32FC1')
    hold_out = HoldOut(0.5)
    kept = ~hold_out.of_image(message, depth.shape)
    points = measured_points(message, CAMERA, hold_out)
    pixels = np.rint(CAMERA.pixels(points[:, :2] / points[:, 2:])).astype(int)
    assert {(v, u) for u, v in pixels.tolist()} == set(zip(*map(list, np.nonzero(kept)),
                                                           strict=True))


def test_compressed_depth_message():
    message = SimpleNamespace(format='16UC1; compressedDepth', data=np.frombuffer(
        packed(np.full((16, 20), 3000, np.uint16)), np.uint8))
    points = measured_points(message, CAMERA)
    assert len(points) == 320 and np.allclose(points[:, 2], 3.0)
