# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Messages of rclpy's classes: the same bytes as those of bags, and every image in and out."""

from __future__ import annotations

import json
from array import array
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from encoded_images import pixel_rows, random_image
from message_cases import CASES, IMAGE, RESULT, assert_same
from panoptic_depth_core.io.cameras.camera_info import camera_of_info
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES, MessageMaker
from panoptic_depth_core.io.messages.point_clouds import point_cloud, points_of
from panoptic_depth_core.io.messages.reading import ENCODINGS, MAPS, pixels_of, stamp_of, values_of
from panoptic_depth_core.io.messages.types import typestore
from panoptic_depth_core.io.sixteen_bits import SixteenBits

serialization = pytest.importorskip('rclpy.serialization', reason='ROS 2 is not sourced')
for _package in ('sensor_msgs', 'vision_msgs', 'visualization_msgs', 'diagnostic_msgs',
                 'panoptic_depth'):
    pytest.importorskip(f'{_package}.msg', reason=f'{_package} is not built or not sourced')
from panoptic_depth_ros.endpoints import ROS_MESSAGES, message_class  # noqa: E402 - needs rclpy

pytestmark = pytest.mark.ros


@pytest.mark.parametrize('name', sorted({case(ROSBAGS_MESSAGES).__msgtype__
                                         for case in CASES.values()}))
def test_bags_hold_the_types_of_ros(name: str) -> None:
    index = pytest.importorskip('ament_index_python')
    package, kind, short = name.split('/')
    share = Path(index.get_package_share_directory(package))
    stored = json.loads((share / kind / f'{short}.json').read_text('utf-8'))['type_hashes']
    hashes = {entry['type_name']: entry['hash_string'] for entry in stored}
    for inner, expected in hashes.items():
        assert typestore().hash_rihs01(inner) == expected, inner


def _through_cdr(message: Any) -> Any:
    """What a subscriber gets."""
    return serialization.deserialize_message(serialization.serialize_message(message),
                                             type(message))


@pytest.mark.parametrize('case', CASES)
def test_bags_and_the_node_write_the_same_bytes(case: str) -> None:
    message, other = CASES[case](ROS_MESSAGES), CASES[case](ROSBAGS_MESSAGES)
    data = bytes(typestore().serialize_cdr(other, other.__msgtype__))
    assert bytes(serialization.serialize_message(message)) == data
    assert_same(message, other)
    assert_same(serialization.deserialize_message(data, type(message)), other)


def test_sequences_of_numbers_are_never_numpy() -> None:
    """A setter would take numpy, number by number: the field would be right and late."""
    given: dict[str, Any] = {}

    class Recorder:
        """Notes what a class is given, before its constructor makes an array of anything."""

        def __init__(self, name: str) -> None:
            self._class = message_class(name)

        def __getattr__(self, constant: str) -> Any:
            return getattr(self._class, constant)

        def __call__(self, **fields: Any) -> Any:
            kinds = self._class.get_fields_and_field_types()
            for field, value in fields.items():
                if (kinds[field].startswith('sequence<') and '/' not in kinds[field]
                        and kinds[field] != 'sequence<string>'):
                    given[f'{self._class.__name__}.{field}'] = value
            return self._class(**fields)

    maker = MessageMaker(Recorder, ROS_MESSAGES.sequence, ROS_MESSAGES.octet)
    for make_message in CASES.values():
        make_message(maker)
    assert {'Image.data', 'CameraInfo.d', 'PointCloud2.data', 'MeshFile.data'} <= set(given)
    assert {name for name, value in given.items() if not isinstance(value, array)} == set()


@pytest.mark.parametrize('big', [False, True], ids=['little', 'big'])
@pytest.mark.parametrize('padding', [0, 1, 6])
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_every_encoding_comes_in(encoding: str, padding: int, big: bool) -> None:
    image = random_image(encoding, 8, 6, padding)
    message = _through_cdr(_ros_image(encoding, image, padding, big))
    assert isinstance(message.data, array)
    decoded = pixels_of(message, SixteenBits(16))
    assert decoded.shape == image.shape and decoded.dtype == np.uint8
    # Luma and chroma are rounded to bytes.
    tolerance = 3 if encoding.startswith(('yuv', 'uyvy', 'yuyv', 'nv')) else 0
    assert np.abs(decoded.astype(int) - image).max() <= tolerance
    assert stamp_of(message) == 5_000_000_007


def _ros_image(encoding: str, image: np.ndarray, padding: int = 0, big: bool = False) -> Any:
    rows = pixel_rows(encoding, image, big)
    message = message_class('sensor_msgs/msg/Image')(
        header=ROS_MESSAGES.header(5_000_000_007, 'optical'), encoding=encoding,
        height=image.shape[0], width=image.shape[1], step=len(rows[0]) + padding,
        is_bigendian=int(big))
    message.data = array('B', b''.join(row + bytes(padding) for row in rows))
    return message


def test_compressed_images_come_in() -> None:
    message = message_class('sensor_msgs/msg/CompressedImage')(format='rgb8; png compressed bgr8')
    message.data = array('B', cv2.imencode('.png', IMAGE[..., ::-1])[1].tobytes())
    np.testing.assert_array_equal(pixels_of(_through_cdr(message)), IMAGE)


@pytest.mark.parametrize('encoding', MAPS)
def test_maps_go_out_and_come_in(encoding: str) -> None:
    dtype, channels = MAPS[encoding]
    values = np.arange(24 * channels).reshape(4, 6, channels).astype(dtype)
    values = values if channels > 1 else values[..., 0]
    message = ROS_MESSAGES.image(ROS_MESSAGES.header(1, ''), values, encoding)
    np.testing.assert_array_equal(values_of(_through_cdr(message)), values)


def test_a_camera_comes_back() -> None:
    message = _through_cdr(ROS_MESSAGES.camera_info(ROS_MESSAGES.header(1, ''),
                                                    RESULT.intrinsics))
    camera = RESULT.intrinsics
    found = camera_of_info(message, camera.width, camera.height)
    assert (found.camera, found.notes) == (camera, ())


def test_the_tools_of_ros_read_the_point_cloud() -> None:
    tools = pytest.importorskip('sensor_msgs_py.point_cloud2')
    message = point_cloud(ROS_MESSAGES, ROS_MESSAGES.header(1, ''), IMAGE, RESULT, 2)
    points = tools.read_points(_through_cdr(message))
    expected = points_of(IMAGE, RESULT, 2)
    for name in ('x', 'y', 'z', 'label', 'instance'):
        np.testing.assert_array_equal(points[name], expected[name])
    np.testing.assert_array_equal(points['rgb'].view(np.uint32), expected['rgb'])


BRIDGED = ('rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', 'mono16', 'bayer_rggb8', 'bayer_bggr8',
           'bayer_gbrg8', 'bayer_grbg8', 'yuv422', 'yuv422_yuy2')
"""What cv_bridge makes colors of: no nv12, and it takes 8UC3 for no color."""


@pytest.mark.parametrize('padding', [0, 12])
@pytest.mark.parametrize('encoding', BRIDGED)
def test_images_are_those_of_cv_bridge(encoding: str, padding: int) -> None:
    """Where cv_bridge is right: little-endian, padding of whole pixels."""
    # Its compiled half can be missing or made for another numpy.
    bridge = pytest.importorskip('cv_bridge', exc_type=ImportError).CvBridge()
    image = np.random.default_rng(3).integers(0, 256, (6, 8, 3), np.uint8)
    message = _ros_image(encoding, image, padding)
    expected = bridge.imgmsg_to_cv2(message, 'rgb8').astype(int)
    # Sixteen bits are rounded there and cut here.
    tolerance = 1 if encoding == 'mono16' else 0
    assert np.abs(pixels_of(message) - expected).max() <= tolerance
