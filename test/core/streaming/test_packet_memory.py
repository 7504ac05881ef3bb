# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Packets of a live video, of which the newest picture alone is processed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import cv2
import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.types import COMPRESSED_IMAGE, FFMPEG_PACKET, typestore
from panoptic_depth_core.streaming import packets
from panoptic_depth_core.streaming.packets import LATER, PacketMemory
from video_makers import number_of
from video_makers import packets as encoded

TOPIC = '/camera/image_raw/ffmpeg'
LIVE = {'g': '8', 'bf': '0', 'sc_threshold': '0', 'tune': 'zerolatency'}


def _messages(count: int = 20, **options: str) -> list[Any]:
    kind = typestore().types[FFMPEG_PACKET]
    return [kind(make.header((index + 1) * 10 ** 8, 'optical'), 96, 64, 'h264', index, int(key),
                 False, np.frombuffer(data, np.uint8))
            for index, key, data in encoded('libx264', count, **{**LIVE, **options})]


def test_dropped_images_are_decoded_too() -> None:
    memory, messages = PacketMemory(TOPIC), _messages()
    for message in messages:
        memory.remember(message)
    for index in (3, 4, 11, 19):
        picture = memory.picture(messages[index])
        assert number_of(picture.pixels) == index
        assert (picture.stamp_ns, picture.frame_id) == ((index + 1) * 10 ** 8, 'optical')


def test_a_begin_between_key_frames() -> None:
    memory, messages = PacketMemory(TOPIC), _messages()
    for index in range(3, 10):
        memory.remember(messages[index])
        if index < 8:
            with pytest.raises(ConfigError, match=f'{TOPIC}: no key frame yet'):
                memory.picture(messages[index])
        else:
            assert number_of(memory.picture(messages[index]).pixels) == index


def test_nobody_wants_pictures_for_a_while() -> None:
    memory, messages = PacketMemory(TOPIC), _messages()
    memory.remember(messages[0])
    memory.picture(messages[0])
    for message in messages[1:5]:
        memory.remember(message)
        memory.forget()
    for index, message in enumerate(messages[5:10], 5):
        memory.remember(message)
        if index < 8:
            with pytest.raises(ConfigError, match='goes on at the next key frame'):
                memory.picture(message)
    assert number_of(memory.picture(messages[9]).pixels) == 9


def test_too_many_packets_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packets, 'MOST_PACKETS', 5)
    memory, messages = PacketMemory(TOPIC), _messages()
    memory.remember(messages[0])
    memory.picture(messages[0])
    for message in messages[1:12]:
        memory.remember(message)
    # 1 to 6 were dropped, 7 waits for the key frame 8.
    assert number_of(memory.picture(messages[11]).pixels) == 11


def test_a_decoder_that_is_behind() -> None:
    memory, messages = PacketMemory(TOPIC), _messages(bf='2', tune='film', **{'b-adapt': '0'})
    stamps = []
    memory.remember(messages[0])
    with pytest.raises(ConfigError, match=LATER):
        memory.picture(messages[0])
    for message in messages[1:]:
        memory.remember(message)
        with suppress(ConfigError):
            picture = memory.picture(message)
            stamps.append(picture.stamp_ns)
        assert not stamps or number_of(picture.pixels) == picture.stamp_ns // 10 ** 8 - 1
    assert len(stamps) > 14 and stamps == sorted(set(stamps))


def test_pictures_pass_through() -> None:
    memory = PacketMemory('/image')
    image = np.full((4, 6, 3), 90, np.uint8)
    jpeg = typestore().types[COMPRESSED_IMAGE](
        make.header(5, 'optical'), 'bgr8; png compressed bgr8',
        cv2.imencode('.png', image)[1].ravel())
    memory.remember(jpeg)
    assert (memory.picture(jpeg).pixels == 90).all() and memory.picture(jpeg).stamp_ns == 5
