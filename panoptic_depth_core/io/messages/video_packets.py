# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Pictures of packets of a video: of ffmpeg_image_transport, of Foxglove, in a CompressedImage.

A packet holds what has changed since the packets before it, so each one has to be decoded, also
where its picture is not wanted. After a loss, decoding goes on at the next key frame: what comes
before it would be made of parts of other pictures.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...untrusted import input_limits
from ..video_decoding import pyav, rgb_of
from .h264_units import FrameNumbers, units
from .types import COMPRESSED_VIDEO, FFMPEG_PACKET

PACKET_TYPES = (FFMPEG_PACKET, COMPRESSED_VIDEO)

NO_KEY_FRAME_YET = 'no key frame yet'
AFTER_LOSS = 'packets before it are lost; decoding goes on at the next key frame'
UNDECODABLE = 'a packet of the video cannot be decoded'

CODECS = {
    'h264': re.compile('264|avc'), 'hevc': re.compile('265|hevc'), 'av1': re.compile('av1|aom'),
    'vp9': re.compile('vp9'), 'vp8': re.compile('vp8|libvpx')}
"""
Codec -> what names of formats and of encoders contain, such as 'h264_nvenc', 'libx265' or
'libsvtav1'; looked for in this order.
"""

_DECODERS = {'av1': 'libdav1d'}
"""What PyAV calls a decoder that is not named after the codec."""

MOST_WAITING = 64
"""Packets whose picture may still come; encoders hold back at most 16."""

_GREATEST_STEP = 16
"""The first step of a counter of packets is no greater; one of a clock is."""

Tag = TypeVar('Tag')


def codec_of(encoding: str) -> str | None:
    """
    The one of CODECS that an encoding names; None where it names none.

    :param encoding: 'h264', 'H265', 'libx264', 'hevc_nvenc;yuv420p;bgr8;...', as in messages.
    """
    name = encoding.partition(';')[0].lower()
    return next((codec for codec, words in CODECS.items() if words.search(name)), None)


def is_video(message: Any) -> bool:
    """Whether a message is a packet of a video rather than a picture."""
    kind = getattr(message, '__msgtype__', '')
    return kind in PACKET_TYPES or hasattr(message, 'pts') or (
        hasattr(message, 'format') and codec_of(message.format) is not None)


class Packet(NamedTuple):
    """
    A packet of a message.

    :param codec: one of CODECS, else as the message calls it.
    :param number: counts the packets; None where the message has no counter.
    """

    codec: str
    data: bytes
    is_key: bool
    number: int | None


def packet_of(message: Any) -> Packet:
    """The packet of a message that is_video."""
    encoding = message.encoding if hasattr(message, 'encoding') else message.format
    codec = codec_of(encoding)
    data = bytes(message.data)
    if not hasattr(message, 'flags'):
        return Packet(codec or encoding, data, starts_anew(codec, data), None)
    # AV_PKT_FLAG_KEY of FFmpeg is 1. Encoders of graphics cards leave it out.
    is_key = bool(message.flags & 1) or (codec is not None and starts_anew(codec, data))
    return Packet(codec or encoding.partition(';')[0], data, is_key, int(message.pts))


def starts_anew(codec: str | None, data: bytes) -> bool:
    """Whether a packet needs none before it; those of other codecs than CODECS count as such."""
    if not data:
        return False
    if codec == 'h264':
        for at in units(data):
            # ITU-T H.264, table 7-1: 7 is a parameter set of the sequence, 5 a slice of a key
            # frame, 1 to 4 are of others.
            if (kind := data[at] & 0x1f) in (5, 7):
                return True
            if kind < 5:
                return False
        return False
    if codec == 'hevc':
        for at in units(data):
            # ITU-T H.265, table 7-1: 16 to 23 can be entered at, 32 and 33 are parameter sets.
            if (kind := data[at] >> 1 & 0x3f) in (32, 33) or 16 <= kind < 24:
                return True
            if kind < 32:
                return False
        return False
    if codec == 'av1':
        return _has_sequence_header(data)
    if codec == 'vp9':
        # VP9 bitstream specification, section 6.2: marker, profile, show_existing_frame, type.
        shift = 2 if data[0] >> 4 & 3 == 3 else 3
        return not data[0] >> shift & 1 and not data[0] >> shift - 1 & 1
    return codec != 'vp8' or not data[0] & 1


def _has_sequence_header(data: bytes) -> bool:
    """Whether an AV1 temporal unit has one (AV1 specification, section 5.3)."""
    at = 0
    while at < len(data):
        head = data[at]
        if head >> 3 & 15 == 1:
            return True
        at += 2 if head & 4 else 1
        if not head & 2:
            return False
        size = shift = 0
        while at < len(data):
            size |= (data[at] & 0x7f) << shift
            shift += 7
            at += 1
            if not data[at - 1] & 0x80 or shift > 56:
                break
        at += size
    return False


class Decoded(NamedTuple, Generic[Tag]):
    """
    The picture of a packet, not yet converted.

    :param tag: what came with the packet.
    """

    tag: Tag
    picture: Any

    def rgb(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8."""
        return rgb_of(self.picture)


class PacketDecoder(Generic[Tag]):
    """
    Decoder of the packets of one topic, in the order of recording.

    Each packet gives at most one picture, which may come with a later packet. A picture that does
    not come is told to ``lose``, with its tag.

    :param topic: for errors.
    :param lose: reason, tag.
    :raises ConfigError: PyAV is not installed.
    """

    def __init__(self, topic: str, lose: Callable[[str, Tag], None]) -> None:
        self._av = pyav(f'{topic}: decoding video')
        self._topic, self._lose = topic, lose
        self._codec = ''
        self._context: Any = None
        self._sent = 0
        self._waiting: dict[int, Tag] = {}
        # What a packet before the next key frame is told; empty: there was one.
        self._missing = NO_KEY_FRAME_YET
        self._last: int | None = None
        self._counts: bool | None = None
        self._frame_numbers = FrameNumbers()

    def take(self, packet: Packet, tag: Tag) -> list[Decoded[Tag]]:
        """Decode the next packet; the pictures that it completes."""
        before: list[Decoded[Tag]] = []
        if self._context is None or packet.codec != self._codec:
            self._restart(packet.codec)
        # Of both, none may be left out: each one remembers the packet.
        if self._is_behind_a_gap(packet) | self._misses_one(packet):
            # What came before the gap is whole.
            before = self._decoded(None) or []
            self._give_up(AFTER_LOSS)
        if self._missing and not packet.is_key:
            self._lose(self._missing, tag)
            return before
        if not packet.data:
            # To the decoder, it would be the end.
            self._lose(UNDECODABLE, tag)
            self._give_up(AFTER_LOSS)
            return []
        sent = self._av.Packet(packet.data)
        # Comes back with the picture.
        sent.pts = self._sent
        self._waiting[self._sent] = tag
        self._sent += 1
        found = self._decoded(sent)
        if found is not None:
            self._missing = ''
        while len(self._waiting) > MOST_WAITING:
            self._lose(UNDECODABLE, self._waiting.pop(next(iter(self._waiting))))
        return found or []

    def lost(self) -> None:
        """Say that packets before the next one are missing."""
        self._give_up(AFTER_LOSS)

    def finish(self) -> list[Decoded[Tag]]:
        """The pictures that the decoder still has, at the end; it can begin anew."""
        found = [] if self._context is None else self._decoded(None) or []
        self._give_up(NO_KEY_FRAME_YET)
        self._codec, self._context = '', None
        return found

    def _restart(self, codec: str) -> None:
        self._give_up(NO_KEY_FRAME_YET)
        try:
            self._context = self._av.CodecContext.create(_DECODERS.get(codec, codec), 'r')
        except (self._av.FFmpegError, ValueError):
            raise ConfigError(f'there is no decoder for {codec!r}; record {", ".join(CODECS)}'
                              ) from None
        self._codec = codec
        self._context.options = {'max_pixels': str(input_limits().max_pixels)}
        # Threads that decode one picture each would hold back as many; with threads that share
        # one, the decoder of H.264 does not look for damage.
        self._context.thread_count = 1
        if codec == 'av1':
            self._context.flags |= self._av.codec.context.Flags.low_delay

    def _is_behind_a_gap(self, packet: Packet) -> bool:
        """Whether its counter says that packets before it are missing."""
        number, last, self._last = packet.number, self._last, packet.number
        if number is None or last is None or packet.is_key or self._counts is False:
            return False
        step = number - last
        if step < 1 or self._context.has_b_frames or (
                self._counts is None and step > _GREATEST_STEP):
            # Pictures that are stored in another order, or times in place of a counter.
            self._counts = False
            return False
        self._counts = True
        return step > 1

    def _misses_one(self, packet: Packet) -> bool:
        return packet.codec == 'h264' and self._frame_numbers.misses_one(packet.data) and (
            not packet.is_key)

    def _give_up(self, why: str) -> None:
        """Forget what was sent; wait for a key frame."""
        waiting, self._waiting = self._waiting, {}
        for tag in waiting.values():
            self._lose(UNDECODABLE, tag)
        if self._context is not None:
            self._context.flush_buffers()
        self._missing = self._missing or why

    def _decoded(self, sent: Any) -> list[Decoded[Tag]] | None:
        """Pictures that are complete; None, and all is given up, where there is damage."""
        try:
            pictures = self._context.decode(sent)
        except (self._av.FFmpegError, ValueError):
            pictures = None
        found = []
        for picture in pictures or ():
            if picture.pts in self._waiting and not picture.is_corrupt:
                found.append(Decoded(self._waiting.pop(picture.pts), picture))
            elif picture.is_corrupt:
                pictures = None
        if pictures is None:
            self._give_up(AFTER_LOSS)
            return None
        return found
