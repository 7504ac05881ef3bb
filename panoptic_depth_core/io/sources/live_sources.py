# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Cameras of this computer and streams of the network, as OpenCV opens them.

A thread reads them, so that a result is of the present however long the one before it took, and
so that waiting for a camera can be interrupted.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import cv2
import numpy as np

from ...errors import ConfigError
from ...structures import Frame
from ..cameras.camera_options import CameraOptions
from ..pictures import quiet_opencv
from .frame_source import FrameSource, Skip, count_reason
from .video_files import open_capture

SCHEMES = ('rtsp', 'rtsps', 'http', 'https', 'udp', 'rtmp', 'rtp', 'tcp', 'srt')
RECONNECT_S = 60.0
"""A camera that is gone is waited for so long."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0
"""Between two attempts to connect; each one is twice the one before it."""

TIMEOUT_S = 10.0
"""Of opening a stream, and of waiting for its next bytes."""

RECONNECTED = 'the connection was lost and made again'
UNDECODABLE = 'a frame of the camera cannot be decoded'

_POLL_S = 0.05
_MOST_PROBLEMS = 1000
_DEVICE = re.compile(r'camera:(\d+)|/dev/video\d+|/dev/v4l/.+')


def is_live(source: str) -> bool:
    """Whether a source is a camera or a stream rather than a file."""
    return bool(_DEVICE.fullmatch(source)) or source.partition('://')[0].lower() in SCHEMES


def without_secrets(source: str) -> str:
    """A source as it may be shown and stored: of an address, without user, password and query."""
    if '://' not in source:
        return source
    try:
        parts = urlsplit(source)
        host = parts.netloc.rpartition('@')[2]
    except ValueError:
        return f'{source.partition("://")[0]}://...'
    return f'{parts.scheme}://{host}{parts.path}'


def _open(source: str) -> cv2.VideoCapture:
    """Connect; the capture is not open where that failed."""
    if '://' in source:
        limit_ms = round(1e3 * TIMEOUT_S)
        return open_capture(source, cv2.CAP_FFMPEG, [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit_ms])
    number = source.removeprefix('camera:')
    # A link of /dev/v4l points to another number after the camera was plugged in again.
    capture = open_capture(int(number) if number.isdigit() else os.path.realpath(source))
    # One buffered frame: an image shows the present, not the scene of some frames ago.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


class _Grabbed(NamedTuple):
    stamp_ns: int
    bgr: Any


class _Reader(threading.Thread):
    """
    Reads on and keeps the newest frame; connects again when it is lost.

    :ivar tried: set when it is known whether the first attempt to connect succeeded.
    :ivar opened: whether it did.
    :ivar ended: whether there are no more frames.
    :ivar lost: why, where that is too early; else empty.
    :ivar problems: what happened since it was asked last.
    """

    def __init__(self, source: str, reconnect_s: float) -> None:
        super().__init__(name='panoptic_depth camera', daemon=True)
        self._source, self._reconnect_s = source, reconnect_s
        self._newest: _Grabbed | None = None
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self.tried, self.opened = threading.Event(), False
        self.ended, self.lost = False, ''
        self.problems: deque[str] = deque(maxlen=_MOST_PROBLEMS)

    def run(self) -> None:
        """Read until it is closed, or until the camera is gone for too long."""
        finite = False
        try:
            with quiet_opencv():
                finite = self._follow()
        finally:
            with self._changed:
                self.ended = True
                self.lost = '' if finite else 'gives no more frames' + (
                    f', and none came within {self._reconnect_s:g} s' if self._reconnect_s else '')
                self._changed.notify()
            self.tried.set()

    def _follow(self) -> bool:
        """Connect and read, again and again; whether it was a recording, and has been read."""
        pause_s, seen_s = FIRST_PAUSE_S, time.monotonic()
        while not self._closed.is_set():
            capture = _open(self._source)
            try:
                is_open = capture.isOpened()
                if is_open and self.opened:
                    self.problems.append(RECONNECTED)
                self.opened |= is_open
                self.tried.set()
                if is_open and self._read(capture):
                    pause_s, seen_s = FIRST_PAUSE_S, time.monotonic()
                # A live stream does not say how many frames it has.
                if is_open and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
                    return True
            finally:
                capture.release()
            if not self.opened or time.monotonic() - seen_s + pause_s > self._reconnect_s:
                break
            self._closed.wait(pause_s)
            pause_s = min(2.0 * pause_s, LONGEST_PAUSE_S)
        return False

    def _read(self, capture: cv2.VideoCapture) -> bool:
        """Read as long as there is something; whether there was anything."""
        found = False
        while not self._closed.is_set() and capture.grab():
            stamp_ns = time.time_ns()
            good, bgr = capture.retrieve()
            found = True
            with self._changed:
                if good and bgr is not None:
                    self._newest = _Grabbed(stamp_ns, bgr)
                else:
                    self.problems.append(UNDECODABLE)
                self._changed.notify()
        return found

    def take(self) -> _Grabbed | None:
        """The newest frame that was not taken yet, after a short time of waiting."""
        with self._changed:
            if self._newest is None and not self.ended:
                self._changed.wait(_POLL_S)
            newest, self._newest = self._newest, None
            return newest

    def close(self, timeout_s: float = 1.0) -> None:
        """End soon; a thread that hangs in a driver is left behind."""
        self._closed.set()
        self.join(timeout_s)


class CameraSource(FrameSource):
    """
    A camera or a stream: its newest frame each time, until it is gone or the caller stops.

    Frames are stamped when they arrive and named after their stamp, so another run into the same
    folder adds to it.

    :param source: see is_live.
    :param reconnect_s: see RECONNECT_S; 0: it is not waited for.
    :raises ConfigError: it cannot be opened.
    """

    kind = 'camera'

    def __init__(self, source: str, camera: CameraOptions, skip: Skip | None = None,
                 reconnect_s: float = RECONNECT_S) -> None:
        super().__init__(camera, skip)
        shown = without_secrets(source)
        self._title = shown if '://' in shown else f'camera {shown.removeprefix("camera:")}'
        self._reader = _Reader(source, reconnect_s)
        self._reader.start()
        try:
            # A wait without an end would not see Ctrl-C.
            while not self._reader.tried.wait(_POLL_S):
                pass
        except BaseException:
            self._reader.close(0.0)
            raise
        if not self._reader.opened:
            raise ConfigError(f'{self._title}: cannot be opened; ' + (
                'check the address, the network, and user and password, which belong before an @'
                if '://' in source else 'check that it is plugged in, not used by another '
                'program, and that you may read it'))

    def __iter__(self) -> Iterator[Frame]:
        """Give the newest frame each time until there are no more."""
        while not self.stopped():
            grabbed = self._reader.take()
            while self._reader.problems:
                problem = self._reader.problems.popleft()
                if problem == RECONNECTED:
                    self.notes.add(f'{self._title}: {RECONNECTED}')
                else:
                    count_reason(self.skipped, problem)
            if grabbed is None:
                if not self._reader.ended:
                    continue
                if self._reader.lost:
                    self.ended_early = f'{self._title}: {self._reader.lost}'
                break
            name = str(grabbed.stamp_ns)
            if self.skip(name):
                continue
            image = np.asarray(cv2.cvtColor(grabbed.bgr, cv2.COLOR_BGR2RGB), np.uint8)
            try:
                frame = self._frame(image, grabbed.stamp_ns, name)
            except ConfigError as error:
                count_reason(self.skipped, str(error))
                continue
            yield frame

    def close(self) -> None:
        """Release the camera."""
        self._reader.close()
