# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Point clouds against a loop over pixels; coordinates of clouds of every layout, also damaged."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from message_cases import CAMERA, IMAGE, RESULT
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.point_clouds import point_cloud, points_of, xyz_of
from panoptic_depth_core.io.messages.types import POINT_CLOUD, POINT_FIELD, typestore

FORMATS = {7: 'f', 4: 'H'}
"""sensor_msgs/PointField.FLOAT32 and UINT16, as struct writes them."""


def _read(cloud: Any) -> list[dict[str, Any]]:
    """Points by the words of PointCloud2.msg; rgb as the bits of its float."""
    order = '>' if cloud.is_bigendian else '<'
    data, points = cloud.data.tobytes(), []
    for row in range(cloud.height):
        for column in range(cloud.width):
            start = row * cloud.row_step + column * cloud.point_step
            point = {field.name: struct.unpack_from(order + FORMATS[field.datatype], data,
                                                    start + field.offset)[0]
                     for field in cloud.fields}
            point['rgb'] = struct.unpack('<I', struct.pack('<f', point['rgb']))[0]
            points.append(point)
    assert len(data) == cloud.row_step * cloud.height
    return points


@pytest.mark.parametrize('stride', [1, 2, 3, 20])
def test_every_pixel_with_a_depth_is_a_point(stride: int) -> None:
    cloud = point_cloud(make, make.header(5, 'optical'), IMAGE, RESULT, stride)
    points = iter(_read(cloud))
    for v in range(0, CAMERA.height, stride):
        for u in range(0, CAMERA.width, stride):
            z = float(RESULT.depth[v, u])
            if not np.isfinite(z):
                continue
            point = next(points)
            assert [point[axis] for axis in 'xyz'] == pytest.approx(
                [(u - CAMERA.cx) / CAMERA.fx * z, (v - CAMERA.cy) / CAMERA.fy * z, z], rel=1e-6)
            assert point['rgb'].to_bytes(4, 'big') == bytes([0, *IMAGE[v, u]])
            number = int(RESULT.panoptic[v, u])
            label = (255, 0) if number == 65535 else divmod(number, 1000)
            assert (point['label'], point['instance']) == label
    assert next(points, None) is None


def test_it_says_what_it_is() -> None:
    head = make.header(5, 'optical')
    cloud = point_cloud(make, head, IMAGE, RESULT)
    assert cloud.header is head and cloud.is_dense and cloud.height == 1
    assert cloud.width == int(np.isfinite(RESULT.depth).sum()) < RESULT.depth.size
    assert [field.name for field in cloud.fields] == ['x', 'y', 'z', 'rgb', 'label', 'instance']
    assert all(field.count == 1 for field in cloud.fields)


def test_without_any_depth_there_is_no_point() -> None:
    cloud = point_cloud(make, make.header(5, ''), IMAGE,
                        replace(RESULT, depth=np.full_like(RESULT.depth, np.inf)))
    assert (cloud.width, cloud.row_step, cloud.data.size) == (0, 0, 0)


def test_an_image_of_another_size_and_a_bad_stride_are_named() -> None:
    with pytest.raises(ConfigError, match='the image is 9x6 px, but its depth 9x7 px'):
        point_cloud(make, None, IMAGE[1:], RESULT)
    with pytest.raises(ConfigError, match='stride is 0; give 1 or more'):
        point_cloud(make, None, IMAGE, RESULT, 0)


POINTS = np.array([[1, 2, 3], [4.5, -5, 6], [-7, 8, 9.25], [0, 0, 0], [1e3, 1e-3, -1], [3, 2, 1]])
KINDS = {'u1': 2, 'u2': 4, 'f4': 7, 'f8': 8}


def cloud(names: str = 'xyz', kinds: tuple[str, ...] = ('f4',) * 3, *, points: Any = POINTS,
          rows: int = 1, front: int = 0, behind: int = 0, row_padding: int = 0,
          big_endian: bool = False) -> Any:
    """PointCloud2 of fields in an order, with padding of points and rows that is not zero."""
    offsets = front + np.cumsum([0, *(np.dtype(kind).itemsize for kind in kinds)])
    step = int(offsets[-1]) + behind
    order = '>' if big_endian else '<'
    data = np.full((rows, len(points) // rows * step + row_padding), 0x7f, np.uint8)
    for number, point in enumerate(points):
        row, column = divmod(number, len(points) // rows)
        for name, kind, offset in zip(names, kinds, offsets, strict=False):
            value = point['xyz'.index(name)] if name in 'xyz' else 77
            raw = np.array([value], order + kind).view(np.uint8)
            start = column * step + int(offset)
            data[row, start:start + raw.size] = raw
    fields = [make(POINT_FIELD, name=name, offset=int(offset), datatype=KINDS[kind], count=1)
              for name, kind, offset in zip(names, kinds, offsets, strict=False)]
    return make(POINT_CLOUD, header=make.header(5, 'lidar'), height=rows,
                width=len(points) // rows, fields=fields, is_bigendian=big_endian,
                point_step=step, row_step=data.shape[1], data=data.ravel(), is_dense=True)


@pytest.mark.parametrize('big_endian', [False, True])
@pytest.mark.parametrize(('names', 'kinds', 'layout'), [
    ('xyz', ('f4', 'f4', 'f4'), {}),
    ('xyz', ('f8', 'f8', 'f8'), {'rows': 2}),
    ('izryx', ('u1', 'f4', 'u2', 'f8', 'f4'), {'front': 3, 'behind': 5}),
    ('zyx', ('f4', 'f4', 'f4'), {'rows': 3, 'behind': 4, 'row_padding': 7}),
])
def test_coordinates_of_every_layout(names: str, kinds: tuple[str, ...], layout: dict[str, int],
                                     big_endian: bool) -> None:
    message = cloud(names, kinds, big_endian=big_endian, **layout)
    found = xyz_of(message)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, POINTS.astype(np.float32))
    # As it is read from a bag: the data is a view that cannot be written.
    store = typestore()
    again = store.deserialize_cdr(store.serialize_cdr(message, POINT_CLOUD), POINT_CLOUD)
    np.testing.assert_array_equal(xyz_of(again), found)
    np.testing.assert_array_equal(xyz_of(replace(again, data=again.data.tobytes())), found)


def test_points_that_are_not_finite_are_left_out() -> None:
    points = POINTS.copy()
    points[1, 2], points[3, 0], points[4, 1] = np.nan, np.inf, -1e300
    np.testing.assert_array_equal(xyz_of(cloud('xyz', ('f8',) * 3, points=points)),
                                  points[[0, 2, 5]].astype(np.float32))


def test_a_cloud_without_points() -> None:
    assert xyz_of(cloud(points=POINTS[:0])).shape == (0, 3)
    assert xyz_of(cloud(points=np.full((4, 3), np.nan))).shape == (0, 3)


def test_a_single_row_needs_no_row_step() -> None:
    np.testing.assert_array_equal(xyz_of(replace(cloud(), row_step=0)), POINTS.astype(np.float32))


def test_the_last_row_needs_no_padding() -> None:
    message = cloud(rows=2, row_padding=9)
    np.testing.assert_array_equal(xyz_of(replace(message, data=message.data[:-9])),
                                  POINTS.astype(np.float32))


def test_the_clouds_of_this_program_are_read_back() -> None:
    points = points_of(IMAGE, RESULT)
    found = xyz_of(point_cloud(make, make.header(5, 'optical'), IMAGE, RESULT))
    np.testing.assert_array_equal(found, np.stack([points[axis] for axis in 'xyz'], axis=1))


@pytest.mark.parametrize(('message', 'words'), [
    (cloud('xy', ('f4', 'f4')), 'has no field z, but x, y; give a cloud of x, y, z'),
    (cloud('', ()), 'has no field x, y, z, but none'),
    (cloud('xyz', ('f4', 'u2', 'f4')), r'y has datatype 4; give FLOAT32 \(7\) or FLOAT64 \(8\)'),
    (replace(cloud(), data=cloud().data[:-1]),
     '6x1 points of 12 bytes, row_step 72, do not fit its 71 bytes of data; the message is '
     'damaged'),
    (replace(cloud(rows=2), row_step=35), '3x2 points of 12 bytes, row_step 35, do not fit'),
    (replace(cloud(), width=2 ** 32 - 1), 'do not fit its 72 bytes'),
    (replace(cloud(), point_step=10), 'z at offset 8 does not fit point_step 10'),
    (replace(cloud(), point_step=0), 'x at offset 0 does not fit point_step 0'),
])
def test_what_is_wrong_is_named(message: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=f'^point cloud: .*{words}'):
        xyz_of(message)
