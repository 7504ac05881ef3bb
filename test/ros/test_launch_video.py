# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Video: packets of dropped images are decoded too; losses; what is missing is named."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from array import array
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced')
pytest.importorskip('av', reason="PyAV is not installed: pip install 'panoptic-depth[video]'")

import av
from launch import LaunchDescription
from launch_tools import HERE, Control, controllable_node, description
from panoptic_depth_core.io.messages.reading import values_of
from panoptic_depth_core.io.messages.types import (
    COMPRESSED_IMAGE,
    COMPRESSED_VIDEO,
    FFMPEG_PACKET,
    IMAGE_TRANSPORTS,
)
from panoptic_depth_ros.endpoints import ROS_MESSAGES, message_class
from ros_peer import (
    FRAME_ID,
    HEIGHT,
    WIDTH,
    Camera,
    NodeCase,
    Peer,
    eventually,
    heard_at,
    stamps,
)
from ros_peer import EndsWell as EndsWell


def _is_there(kind: str) -> bool:
    try:
        message_class(kind)
    except ImportError:
        return False
    return True


TRANSPORTS = {name: kind for name, kind in IMAGE_TRANSPORTS.items()
              if name != 'raw' and _is_there(kind)}
CONTROLS = {name: Control(f'video_{name}') for name in TRANSPORTS}
GROUP = 8
"""Pictures from one key frame to the next."""


@pytest.mark.ros
@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    return description(*(
        controllable_node(f'video_{name}', control=CONTROLS[name], image_transport=name,
                          depth__max_m=200.0) for name in TRANSPORTS))


class Video:
    """Encodes pictures of one color, whose green is meters, as a live camera does."""

    def __init__(self) -> None:
        self.encoder = av.CodecContext.create('libx264', 'w')
        self.encoder.width, self.encoder.height = WIDTH, HEIGHT
        self.encoder.pix_fmt = 'yuv444p'
        self.encoder.time_base, self.encoder.framerate = Fraction(1, 10), Fraction(10)
        self.encoder.options = {'g': str(GROUP), 'bf': '0', 'sc_threshold': '0', 'qp': '1',
                                'tune': 'zerolatency'}
        self.count = 0

    def packet(self, kind: str, stamp_ns: int, depth_m: int) -> Any:
        """Encode the next picture: a car that fills it."""
        frame = av.VideoFrame.from_ndarray(
            np.full((HEIGHT, WIDTH, 3), (100, depth_m, 20), np.uint8), format='rgb24')
        frame.pts = self.count
        self.count += 1
        (packet,) = self.encoder.encode(frame)
        head, data = ROS_MESSAGES.header(stamp_ns, FRAME_ID), array('B', bytes(packet))
        if kind == FFMPEG_PACKET:
            return message_class(kind)(
                header=head, width=WIDTH, height=HEIGHT, encoding='libx264', pts=packet.pts,
                flags=int(packet.is_keyframe), data=data)
        if kind == COMPRESSED_VIDEO:
            return message_class(kind)(timestamp=head.stamp, frame_id=FRAME_ID, data=data,
                                       format='h264')
        return message_class(COMPRESSED_IMAGE)(header=head, format='h264', data=data)


class TestVideo(NodeCase):

    def each(self) -> Any:
        """One transport after the other, with its camera and all that is needed."""
        for name, kind in TRANSPORTS.items():
            with self.subTest(name):
                peer, video = Peer(f'video_{name}'), Video()
                camera = Camera(peer, f'input/image/{name}', image_type=kind)
                heard = peer.hear('depth')

                def send(depth_m: int = 60, lose: bool = False, kind: str = kind,
                         video: Video = video, camera: Camera = camera) -> int:
                    stamp_ns = time.time_ns()
                    camera.send_info(stamp_ns)
                    packet = video.packet(kind, stamp_ns, depth_m)
                    if not lose:
                        camera.images.publish(packet)
                    return stamp_ns

                camera.until_heard(heard, send=send)
                yield name, peer, video, heard, send
                peer.close()

    def depth_at(self, heard: list[Any], stamp_ns: int) -> float:
        return float(np.median(values_of(heard_at(heard, stamp_ns))))

    def test_every_picture_has_its_stamp(self) -> None:
        for _, _, _, heard, send in self.each():
            for depth_m in (40, 90, 60, 120, 30, 150, 70, 100, 50):
                self.assertLess(abs(self.depth_at(heard, send(depth_m)) - depth_m), 4)

    def test_dropped_images_are_decoded_too(self) -> None:
        for name, peer, video, heard, send in self.each():
            while video.count % GROUP:
                send()
            CONTROLS[name]('slow 0.2')
            before = peer.status().frames_dropped_queue
            sent = []
            for depth_m in (40, 90, 60, 120, 30, 150, 70):
                sent.append(send(depth_m))
                time.sleep(0.03)
            last = self.depth_at(heard, sent[-1])
            CONTROLS[name]('ok')
            self.assertLess(abs(last - 70), 4)
            self.assertGreater(peer.status().frames_dropped_queue, before)
            self.assertLess(len(set(stamps(heard)) & {*sent}), len(sent))

    def test_a_lost_packet(self) -> None:
        for name, peer, video, heard, send in self.each():
            if name != 'ffmpeg':
                # Without a counter, what is missing cannot be told of each codec.
                continue
            while video.count % GROUP != 2:
                send()
            send(lose=True)
            before = peer.status().frames_dropped_error
            for _ in range(GROUP - 3):
                send(90)
                time.sleep(0.05)
            eventually(lambda: peer.status().frames_dropped_error >= before + GROUP - 4,  # noqa: B023
                       'pictures up to the next key frame are left out')
            peer.wait_health('input', 1, 'decoding goes on at the next key frame')
            self.assertLess(abs(self.depth_at(heard, send(40)) - 40), 4)

    def test_what_is_missing_is_named(self) -> None:
        missing = [name for name in IMAGE_TRANSPORTS if name not in (*TRANSPORTS, 'raw')]
        if not missing:
            self.skipTest('the packages of all transports are installed')
        found = subprocess.run(
            [sys.executable, str(HERE / 'controllable_node.py'), '--ros-args', '-p',
             f'image_transport:={missing[0]}'], capture_output=True, text=True, timeout=60,
            env=dict(os.environ), check=False)
        package = IMAGE_TRANSPORTS[missing[0]].partition('/')[0]
        self.assertEqual(found.returncode, 2, found.stderr)
        self.assertIn(f'which needs the package {package}', found.stderr)
