# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Images of every encoding are understood; those that are broken are counted and skipped."""

from __future__ import annotations

import time
from array import array
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from encoded_images import pixel_rows
from launch import LaunchDescription
from launch_tools import controllable_node, description
from panoptic_depth_core.io.messages.reading import ENCODINGS, values_of
from panoptic_depth_core.io.messages.types import COMPRESSED_IMAGE
from panoptic_depth_core.labels import CLASS_ID
from panoptic_depth_core.structures import Intrinsics
from panoptic_depth_ros.endpoints import ROS_MESSAGES, message_class
from ros_peer import FRAME_ID, HEIGHT, WIDTH, Camera, NodeCase, eventually, heard_at
from ros_peer import EndsWell as EndsWell

CAR_RGB = 100, 60, 20
"""A car at 60 m; with red and blue exchanged it is road."""
GRAY = 140, 140, 140
"""Also a car, at 140 m."""


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    return description(
        controllable_node('images', depth__max_m=200.0),
        controllable_node('low_bits', depth__max_m=200.0),
        controllable_node('compressed', image_transport='compressed'))


def flat(color: tuple[int, int, int]) -> np.ndarray:
    """(H, W, 3) uint8 of one color."""
    return np.full((HEIGHT, WIDTH, 3), color, np.uint8)


def message(encoding: str, image: np.ndarray, big: bool = False, padding: int = 0) -> Any:
    """sensor_msgs/Image, encoded by the words of the definition."""
    rows = pixel_rows(encoding, image, big)
    data = array('B', b''.join(row + b'\x55' * padding for row in rows))
    return ROS_MESSAGES(
        'sensor_msgs/msg/Image', header=ROS_MESSAGES.header(time.time_ns(), FRAME_ID),
        height=image.shape[0], width=image.shape[1], encoding=encoding, is_bigendian=int(big),
        step=len(rows[0]) + padding, data=data)


class TestImages(NodeCase):
    namespace = 'images'

    def setUp(self) -> None:
        self.camera = Camera(self.peer)
        self.heard = {name: self.peer.hear(name) for name in ('semantic', 'depth')}
        self.camera.until_heard(*self.heard.values())

    def seen(self, image: Any) -> tuple[int, float]:
        """Class and depth that the middle of an image gets."""
        stamp_ns = image.header.stamp.sec * 10**9 + image.header.stamp.nanosec
        self.camera.send_info(stamp_ns)
        self.camera.images.publish(image)
        middle = HEIGHT // 2, WIDTH // 2
        semantic, depth = (values_of(heard_at(self.heard[name], stamp_ns))[middle]
                           for name in ('semantic', 'depth'))
        return int(semantic), float(depth)

    def test_every_encoding_padding_and_byte_order(self) -> None:
        for encoding in ENCODINGS:
            color = GRAY if encoding in ('mono8', '8UC1', 'mono16', '16UC1') else CAR_RGB
            for padding, big in ((0, False), (3, False), (0, True)):
                with self.subTest(encoding=encoding, padding=padding, big=big):
                    found, depth_m = self.seen(message(encoding, flat(color), big, padding))
                    self.assertEqual(found, CLASS_ID['car'])
                    self.assertAlmostEqual(depth_m, color[1], delta=3.0)

    def broken(self) -> dict[str, tuple[Any, str]]:
        """Images that no camera should send, and words of the complaint."""
        image = flat(CAR_RGB)
        truncated, step, empty, tall = (message('rgb8', image) for _ in range(4))
        truncated.data = truncated.data[:1000]
        step.step = 3
        empty.data = array('B')
        tall.height = 2**31
        none = message('rgb8', image)
        none.height = none.width = none.step = 0
        none.data = array('B')
        odd = message('rgb8', image[:, :WIDTH - 1])
        odd.encoding, odd.step = 'yuv422', 2 * (WIDTH - 1)
        unknown, depth, nameless = (message('rgb8', image) for _ in range(3))
        unknown.encoding, depth.encoding, nameless.encoding = 'rgb48_planar', '32FC1', ''
        return {
            'truncated': (truncated, 'truncated'), 'step': (step, 'step is 3 bytes'),
            'no data': (empty, 'truncated'), 'no pixels': (none, 'has no pixels'),
            'huge': (tall, 'truncated'), 'odd': (odd, 'width must be even'),
            'unknown': (unknown, "'rgb48_planar'"), 'depth': (depth, "'32FC1'"),
            'nameless': (nameless, 'encoding is not known')}

    def test_broken_images_are_counted_and_skipped(self) -> None:
        for name, (image, words) in self.broken().items():
            with self.subTest(name):
                before = self.peer.status().frames_dropped_error
                self.camera.images.publish(image)
                eventually(lambda: self.peer.status().frames_dropped_error == before + 1,  # noqa: B023
                           f'{name} is counted')
                self.peer.wait_health('input', 1, words)
                self.assertEqual(self.seen(message('bgr8', flat(CAR_RGB)))[0], CLASS_ID['car'])

    def test_sizes_may_change_from_image_to_image(self) -> None:
        for height, width in ((3, 5), (96, 31), (HEIGHT, WIDTH)):
            image = np.full((height, width, 3), CAR_RGB, np.uint8)
            self.camera.camera = Intrinsics.from_fov(70.0, width, height)
            stamp_ns = self.camera.send(image)
            found = heard_at(self.heard['depth'], stamp_ns)
            self.assertEqual((found.height, found.width), (height, width))


class TestLowBits(NodeCase):
    namespace = 'low_bits'

    def test_ten_bits_of_sixteen_are_scaled_alike(self) -> None:
        camera = Camera(self.peer)
        heard = self.peer.hear('semantic')
        camera.until_heard(heard)

        def seen(bits: int, color: tuple[int, int, int] = GRAY) -> int:
            image = message('rgb16', flat(color))
            values = np.frombuffer(image.data, np.uint16) >> (16 - bits)
            # A picture of one gray would not count for the scale.
            values.reshape(HEIGHT, -1)[0] = 0
            image.data = array('B', values.tobytes())
            stamp_ns = image.header.stamp.sec * 10**9 + image.header.stamp.nanosec
            camera.send_info(stamp_ns)
            camera.images.publish(image)
            return int(values_of(heard_at(heard, stamp_ns))[HEIGHT // 2, WIDTH // 2])

        self.assertEqual(seen(10), CLASS_ID['car'])
        self.assertEqual(seen(12), CLASS_ID['car'])
        # The scale stays, so this is dark.
        dark = seen(10)
        self.assertNotEqual(dark, CLASS_ID['car'])
        self.assertEqual(self.peer.set('input_bits', 10), (True, ''))
        self.assertEqual(seen(10), CLASS_ID['car'])
        refused, reason = self.peer.set('input_bits', 5)
        self.assertFalse(refused)
        self.assertIn('give 8 to 16', reason)


class TestCompressed(NodeCase):
    namespace = 'compressed'

    def test_jpeg_and_png_and_what_is_neither(self) -> None:
        camera = Camera(self.peer, 'input/image/compressed', image_type=COMPRESSED_IMAGE)
        heard = self.peer.hear('semantic')

        def send(kind: str = 'jpeg', data: bytes | None = None) -> int:
            stamp_ns = time.time_ns()
            camera.send_info(stamp_ns)
            picture = cv2.imencode(f'.{kind}', flat(CAR_RGB)[..., ::-1])[1].tobytes()
            camera.images.publish(message_class(COMPRESSED_IMAGE)(
                header=ROS_MESSAGES.header(stamp_ns, FRAME_ID), format=f'rgb8; {kind} compressed',
                data=array('B', picture if data is None else data)))
            return stamp_ns

        camera.until_heard(heard, send=send)
        for kind in ('jpeg', 'png'):
            found = values_of(heard_at(heard, send(kind)))
            self.assertEqual(found[HEIGHT // 2, WIDTH // 2], CLASS_ID['car'])
        for data in (b'', b'no picture', b'\xff\xd8\xff\xe0'):
            before = self.peer.status().frames_dropped_error
            send(data=data)
            eventually(lambda: self.peer.status().frames_dropped_error == before + 1,  # noqa: B023
                       'the broken picture is counted')
            self.peer.wait_health('input', 1, 'no picture')
        heard_at(heard, send())
