# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Packets of a live video: all are decoded, though only the newest picture is processed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..io.messages.reading import frame_id_of, pixels_of, stamp_of
from ..io.messages.video_packets import Decoded, PacketDecoder, is_video, packet_of
from ..io.sixteen_bits import SixteenBits

MOST_PACKETS = 300
"""That wait for the worker, as while the model is loaded; after more, a key frame is awaited."""

LATER = 'its picture comes with a later packet'


class Picture(NamedTuple):
    """(H, W, 3) uint8 RGB of a message, with its stamp and frame."""

    pixels: NDArray[np.uint8]
    stamp_ns: int
    frame_id: str


class PacketMemory:
    """
    Decodes images of one topic; of a video, also the packets of images that were dropped.

    One thread adds messages, another one asks for pictures.

    :param topic: for messages.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._waiting: deque[Any] = deque()
        self._is_behind_a_gap = False
        self._lock = threading.Lock()
        self._decoder: PacketDecoder[Any] | None = None
        self._problem = ''

    def remember(self, message: Any) -> None:
        """Add a message; never waits."""
        if is_video(message):
            with self._lock:
                self._waiting.append(message)
                if len(self._waiting) > MOST_PACKETS:
                    self._drop()

    def forget(self) -> None:
        """Drop what waits: nobody wants pictures. Decoding goes on at the next key frame."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        self._is_behind_a_gap |= bool(self._waiting)
        self._waiting.clear()

    def picture(self, message: Any, sixteen: SixteenBits | None = None,
                note: Callable[[str], None] | None = None) -> Picture:
        """
        The picture of a message, or of a video the newest one that its packets complete.

        :param sixteen, note: see messages.reading.pixels_of.
        :raises ConfigError: it cannot be decoded, with the reason.
        """
        if not is_video(message):
            return Picture(pixels_of(message, sixteen, note), stamp_of(message),
                           frame_id_of(message))
        found: Decoded[Any] | None = None
        self._problem = LATER
        for packet in self._up_to(message):
            if self._decoder is None:
                self._decoder = PacketDecoder(self._topic, self._lose)
            found = next(reversed(self._decoder.take(packet_of(packet), packet)), found)
        if found is None:
            raise ConfigError(f'{self._topic}: {self._problem}')
        return Picture(found.rgb(), stamp_of(found.tag), frame_id_of(found.tag))

    def _up_to(self, message: Any) -> list[Any]:
        """What waits, up to a message; later ones have a turn of their own."""
        with self._lock:
            if self._is_behind_a_gap and self._decoder is not None:
                self._decoder.lost()
            self._is_behind_a_gap = False
            taken: list[Any] = []
            while self._waiting and (not taken or taken[-1] is not message):
                taken.append(self._waiting.popleft())
            return taken

    def _lose(self, reason: str, _: Any) -> None:
        self._problem = reason
