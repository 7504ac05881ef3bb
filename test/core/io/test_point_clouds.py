# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Point clouds against a loop over pixels, read the way that viewers read them."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from message_cases import CAMERA, IMAGE, RESULT
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.point_clouds import point_cloud

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
