# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The messages of test/cases, published under the names that they were recorded with."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')

from launch import LaunchDescription
from launch_tools import controllable_node, description
from panoptic_depth_core.io.bags.storage import BagReader, Message
from panoptic_depth_core.io.messages.reading import values_of
from panoptic_depth_core.io.messages.types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from panoptic_depth_ros.endpoints import message_class
from rclpy.serialization import deserialize_message
from right_values import FOLDER, RIGHT
from ros_peer import EndsWell as EndsWell
from ros_peer import NodeCase, Peer, eventually, heard_at

FALLBACK_K = [50.0, 0.0, 95.5, 0.0, 50.0, 47.5, 0.0, 0.0, 1.0]
INFO_OF = {'06_info_beside/isaac': '/left/camera_info_rect',
           '06_info_beside/webots': '/UR5e/D405_color/camera_info'}
CASES = [name for name in RIGHT if name.startswith(('02', '03', '06', '07', '12', '14_unread_'
                                                    'topics/bayer16'))
         and (FOLDER / name).is_dir()]
"""Bags whose pictures a topic of images brings; of video packets: test_launch_video.py."""


def namespace_of(name: str) -> str:
    """A namespace per case."""
    return 'case_' + re.sub(r'\W', '_', name)


def recorded(name: str) -> tuple[Message, Message | None]:
    """An image of a case, and its CameraInfo."""
    with closing(BagReader(FOLDER / name)) as bag:
        found = list(bag.messages(bag.topics))
    image = next(m for m in found if m.type in (IMAGE, COMPRESSED_IMAGE))
    infos = [m for m in found if m.type == CAMERA_INFO
             and m.topic == INFO_OF.get(name, m.topic)]
    return image, infos[0] if infos else None


def nodes() -> Iterator[Any]:
    """A node per case, with the names of its recording."""
    for name in CASES:
        image, info = recorded(name)
        is_compressed = image.type == COMPRESSED_IMAGE
        space = namespace_of(name)
        remappings = [('~/input/image' + is_compressed * '/compressed', f'/{space}{image.topic}')]
        values: dict[str, Any] = {'camera_info__policy': 'fallback',
                                  'camera_info__fallback_k': FALLBACK_K}
        if info is not None:
            values = {}
            remappings.append(('~/input/camera_info', f'/{space}{info.topic}'))
        yield controllable_node(
            space, remappings=remappings, end_s=30.0,
            image_transport='compressed' if is_compressed else 'raw', **values)


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    return description(*nodes())


class TestCases(NodeCase):
    """What predict makes of a recording, the node makes of its messages."""

    def test_each(self) -> None:
        for name in CASES:
            with self.subTest(name):
                peer = Peer(namespace_of(name))
                try:
                    wrong = self.tried(name, peer)
                finally:
                    peer.close()
                self.assertEqual(wrong, '')

    def tried(self, name: str, peer: Peer) -> str:
        """What is wrong with a case; empty where nothing is."""
        image, info = recorded(name)
        space = f'/{namespace_of(name)}'
        publishers = [
            (peer.node.create_publisher(message_class(m.type), space + m.topic, 10),
             deserialize_message(bytes(m.data), message_class(m.type)))
            for m in (info, image) if m is not None]
        cameras, depths = peer.hear('camera_info'), peer.hear('depth')
        images = publishers[-1][0]
        eventually(images.get_subscription_count, 'the node takes images')
        right = RIGHT[name]
        dropped = peer.status().frames_dropped_error

        def send() -> int:
            stamp_ns = time.time_ns()
            for publisher, message in publishers:
                message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
                publisher.publish(message)
            return stamp_ns

        if not right.frames[1]:
            eventually(lambda: send() and peer.status().frames_dropped_error > dropped,
                       f'{name} is counted')
            return '' if not depths else 'a result'
        eventually(lambda: send() and time.sleep(0.3) is None and cameras and depths,
                   f'results of {name}')
        stamp_ns = send()
        depth = values_of(heard_at(depths, stamp_ns))
        fx = heard_at(cameras, stamp_ns).k[0]
        if right.fx is not None and abs(fx - right.fx) > 1e-6:
            return f'fx is {fx}'
        # Green is depth: of a black picture there is none.
        bright = np.nanmax(np.where(np.isfinite(depth), depth, np.nan))
        return '' if bright > 15 else f'the greatest depth is {bright}'
