# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Video files as frames, also damaged ones.

PyAV reads them where it is installed, since it tells which pictures are damaged; OpenCV else. Of
whole files both give the same names, stamps and pixels.
"""

from __future__ import annotations

import heapq
import math
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...structures import Frame
from ...untrusted import input_limits, too_large
from ..cameras.camera_options import CameraOptions
from ..pictures import quiet_opencv
from ..video_decoding import EXTRA, find_pyav, rgb_of
from .frame_source import FrameSource, Skip, count_reason

VIDEO_SUFFIXES = (
    '.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.ts', '.mts', '.m2ts',
    '.3gp', '.wmv', '.flv', '.ogv', '.mjpeg', '.mjpg', '.h264', '.h265', '.hevc')

UNDECODABLE = 'a frame of the video cannot be decoded'
DAMAGED = 'a frame of the video is damaged'

MOST_FAILURES = 64
"""Failed readings in a row after which the file has ended; one may be of many bytes."""

_USUAL_HZ = 25.0
_UNEVEN = 0.1
"""Times of Matroska are whole milliseconds."""

QUIET = '-8'
"""AV_LOG_QUIET of FFmpeg."""


def open_capture(*source: Any) -> cv2.VideoCapture:
    """Open what OpenCV reads; the caller says what is wrong, not OpenCV and FFmpeg."""
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', QUIET)
    with quiet_opencv():
        return cv2.VideoCapture(*source)


class Picture(NamedTuple):
    """
    A picture of a video.

    :param place: among all pictures of the file, also those that are damaged.
    :param rgb: gives (H, W, 3) uint8; raises ConfigError where the picture is damaged.
    """

    place: int
    stamp_ns: int
    rgb: Callable[[], NDArray[np.uint8]]


class _Reader(Protocol):
    """
    The pictures of a file in the order of their time.

    :ivar count: as the header says; 0 where it does not.
    :ivar least: of fewer places, the end is missing.
    :ivar read: places that were passed at the end.
    :ivar is_damaged: whether damage was seen so far.
    """

    count: int
    least: int
    read: int
    is_damaged: bool

    def pictures(self, lose: Callable[[str], None]) -> Iterator[Picture]:
        """Give the pictures; lose is told the reason of each one that is missing."""

    def close(self) -> None:
        """Close the file."""


def _cannot_be_opened(path: Path, reason: str = '') -> ConfigError:
    if not path.stat().st_size:
        return ConfigError(f'{path}: cannot be opened as a video: the file is empty; copy it '
                           'again')
    return ConfigError(
        f'{path}: cannot be opened as a video{reason and f" ({reason})"}; it is truncated (an mp4 '
        'whose recording was cut off has no index, which tools such as untrunc restore) or of a '
        'format that is not known; convert it, for example to mp4')


class _AvReader:
    """A file read with PyAV."""

    def __init__(self, path: Path, av: Any) -> None:
        self._av = av
        # Titles may be in any encoding; from version 19 on PyAV takes them as they are.
        options = {} if int(av.__version__.split('.')[0]) >= 19 else {'metadata_errors': 'replace'}
        try:
            self._container = av.open(str(path), **options)
        except (av.FFmpegError, ValueError) as error:
            raise _cannot_be_opened(path, getattr(error, 'strerror', '') or '') from None
        try:
            self._stream = self._pictures_of(path)
        except BaseException:
            self._container.close()
            raise
        # Matroska and MPEG do not store the number of pictures; what is made of their duration
        # may be a little off.
        estimate = round((self._container.duration or 0) / 1e6 * (self._stream.average_rate or 0))
        self.count = self._stream.frames or max(estimate, 0)
        self.least = self._stream.frames or max(round(0.9 * estimate), 0)
        self.read, self.is_damaged = 0, False
        # What AVI calls presentation times are none.
        self._in_order = self._container.format.name == 'avi'

    def _pictures_of(self, path: Path) -> Any:
        """
        The stream of pictures.

        :raises ConfigError: there is none that can be decoded, or one that is too large.
        """
        stream = self._container.streams.best('video')
        if stream is None and self._container.streams.audio:
            raise ConfigError(f'{path}: cannot be opened as a video: it has no pictures, only '
                              'sound; give a video')
        if stream is None:
            raise _cannot_be_opened(path)
        if stream.codec_context is None:
            raise _cannot_be_opened(path, 'no decoder for it')
        limit = input_limits().max_pixels
        if stream.width * stream.height > limit:
            raise too_large(f'{path}: its pictures', 'max_pixels')
        stream.codec_context.options = {'max_pixels': str(limit)}
        # With threads that share a picture, the decoder of H.264 does not look for damage.
        stream.codec_context.thread_count = 1
        return stream

    def _packets(self) -> Iterator[Any]:
        """Packets; the last one is None, which asks the decoder for what it still has."""
        failures = 0
        while failures < MOST_FAILURES:
            try:
                for packet in self._container.demux(self._stream):
                    failures = 0
                    # An empty one would end the decoding. AVI has some in place of pictures that
                    # do not change; PyAV gives one at the end.
                    if packet.size:
                        yield packet
                break
            except self._av.error.EOFError:
                break
            except self._av.FFmpegError:
                self.is_damaged = True
                failures += 1
        yield None

    def _is_shown(self, packet: Any) -> bool:
        # RFC 6386, section 9.1: bit 4 of the first byte is show_frame.
        return not packet.is_discard and not (
            self._stream.codec_context.name == 'vp8' and not bytes(packet)[0] & 0x10)

    def pictures(self, lose: Callable[[str], None]) -> Iterator[Picture]:
        """
        Give the pictures; lose is told the reason of each one that is missing.

        The place of a picture is the number of earlier times among all packets, so it does not
        depend on which of them can be decoded.
        """
        stream, scale = self._stream, float(self._stream.time_base)
        first, rate = stream.start_time or 0, float(stream.guessed_rate or _USUAL_HZ)
        # Times of packets whose picture has not come.
        times: list[int] = []
        sent = given = failed = passed = time = 0
        last, rhythm = -math.inf, _Rhythm()
        for packet in self._packets():
            if packet is not None and self._is_shown(packet):
                own = packet.dts if self._in_order or packet.pts is None else packet.pts
                if own is None:
                    # A bare stream of pictures has no times.
                    own, first, scale = sent, 0, 1.0 / rate
                heapq.heappush(times, own)
                sent += 1
            try:
                frames = stream.codec_context.decode(packet)
            except self._av.FFmpegError:
                self.is_damaged = True
                if packet is None:
                    break
                lose(UNDECODABLE)
                failed += 1
                if self._in_order and times:
                    times.remove(max(times))
                    passed += 1
                continue
            for frame in frames:
                in_order = self._in_order or frame.pts is None
                time = frame.pts if not in_order else times[0] if times else time
                self.is_damaged |= frame.is_corrupt
                if self.is_damaged and time < last:
                    # Left over from before the damage: others have taken its place.
                    lose(DAMAGED)
                    failed += 1
                    continue
                before = passed
                while times and times[0] <= time:
                    heapq.heappop(times)
                    passed += 1
                    if in_order:
                        break
                # Of a transport stream, whole packets are lost.
                places = 0 if in_order else rhythm.places(time, self.is_damaged)
                for _ in range(places - (passed - before)):
                    lose(UNDECODABLE)
                    passed += 1
                given += 1
                last, self.read = time, max(self.read + 1, passed)
                yield Picture(self.read - 1, max(round((time - first) * scale * 1e9), 0),
                              _damaged if frame.is_corrupt else partial(rgb_of, frame))
        # Packets without an error and without a picture: those before the first key frame.
        if not self._in_order:
            for _ in range(sent - given - failed):
                lose(UNDECODABLE)
        self.read = max(self.read, passed)

    def close(self) -> None:
        """Close the file."""
        self._container.close()


class _Rhythm:
    """The time between two pictures, as long as it is always the same."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._period: float | None = None
        self._is_even = True

    def places(self, time: int, is_damaged: bool) -> int:
        """
        How many places a picture is behind the one before it; 0 where that cannot be told.

        :param is_damaged: so the time since then does not count.
        """
        step, self._last = 0 if self._last is None else time - self._last, time
        if not is_damaged and step:
            self._period = self._period or step
            self._is_even &= abs(step - self._period) <= _UNEVEN * self._period
        return round(step / self._period) if (
            is_damaged and self._is_even and self._period) else 0


def _damaged() -> NDArray[np.uint8]:
    raise ConfigError(DAMAGED)


class _CvReader:
    """A file read with OpenCV, which does not tell whether a picture is damaged."""

    def __init__(self, path: Path) -> None:
        self._capture = open_capture(str(path))
        if not self._capture.isOpened():
            raise _cannot_be_opened(path)
        if (self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)
                * self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) > input_limits().max_pixels:
            raise too_large(f'{path}: its pictures', 'max_pixels')
        self.count = self.least = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        self.read, self.is_damaged = 0, False

    def pictures(self, lose: Callable[[str], None]) -> Iterator[Picture]:
        """Give the pictures; lose is told the reason of each one that is missing."""
        index, failures, rate = 0, 0, self._capture.get(cv2.CAP_PROP_FPS)
        while failures < MOST_FAILURES and (not failures or index < self.count or not self.count):
            if not self._capture.grab():
                failures += 1
                continue
            stamp_ns = max(round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6), 0)
            self.is_damaged |= failures > 0
            failures = 0
            # OpenCV does not say how many pictures are missing, but their time.
            place = round(stamp_ns * rate / 1e9) if self.is_damaged else index
            for _ in range(index, min(place, self.count)):
                lose(UNDECODABLE)
                index += 1
            yield Picture(index, stamp_ns, self._rgb)
            index += 1
        self.read = index

    def _rgb(self) -> NDArray[np.uint8]:
        good, bgr = self._capture.retrieve()
        if not good or bgr is None:
            raise ConfigError(UNDECODABLE)
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


class VideoSource(FrameSource):
    """A video file; stamps are the time since its start. A camera file may be beside it."""

    kind = 'video'

    def __init__(self, path: Path, camera: CameraOptions, skip: Skip | None = None) -> None:
        super().__init__(camera, skip, path.parent)
        self._path = path
        av = find_pyav()
        self._knows_damage = av is not None
        self._reader: _Reader = _CvReader(path) if av is None else _AvReader(path, av)
        self.len_hint = self._reader.count or None

    def __iter__(self) -> Iterator[Frame]:
        """Decode the pictures one by one."""
        for picture in self._reader.pictures(lambda reason: count_reason(self.skipped, reason)):
            name = f'{picture.place:06d}'
            if self.skip(name):
                continue
            try:
                frame = self._frame(picture.rgb(), picture.stamp_ns, name)
            except ConfigError as error:
                count_reason(self.skipped, str(error))
                continue
            yield frame
        if self._reader.is_damaged:
            self.notes.add(
                f'{self._path}: is damaged; up to the next key frame, pictures behind a damaged '
                'place may show traces of it' + ('' if self._knows_damage else '; the extra video '
                                                 f'leaves out those known to: {EXTRA}'))
        if self._reader.read < self._reader.least:
            self.notes.add(
                f'{self._path}: ends after {self._reader.read} of {self.len_hint} frames; the '
                'file is truncated or its header is wrong')

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
