# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Cameras and streams: the newest frame, connecting again, a clear end, no passwords."""

from __future__ import annotations

import base64
import signal
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.cameras.camera_options import CameraOptions
from panoptic_depth_core.io.messages.h264_units import units
from panoptic_depth_core.io.sources import live_sources
from panoptic_depth_core.io.sources.live_sources import (
    RECONNECTED,
    UNDECODABLE,
    CameraSource,
    is_live,
    without_secrets,
)
from panoptic_depth_core.io.sources.open_source import open_source
from video_makers import number_of, packets

CAMERA = CameraOptions(fov_deg=60.0)


class _Capture:
    """
    A driver; each connection gives a number of frames, whose pixels are their number.

    :cvar connections: frames of each connection; None: it cannot be opened.
    """

    connections: list[int | None]
    period_s = 0.02
    bad = -1
    length = 0.0
    given = 0

    def __init__(self, *source: object) -> None:
        count = type(self).connections.pop(0) if type(self).connections else None
        self.is_open, self.left = count is not None, count or 0

    def isOpened(self) -> bool:
        return self.is_open

    def get(self, key: int) -> float:
        return self.length if key == cv2.CAP_PROP_FRAME_COUNT else 0.0

    def set(self, key: int, value: float) -> bool:
        return True

    def grab(self) -> bool:
        time.sleep(self.period_s)
        self.left -= 1
        type(self).given += self.left >= 0
        return self.left >= 0

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        if self.given - 1 == self.bad:
            return False, None
        return True, np.full((4, 6, 3), self.given - 1, np.uint8)

    def release(self) -> None:
        pass


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> type[_Capture]:
    """Replace the driver; pauses are short."""
    class Capture(_Capture):
        """The driver of one test."""

    Capture.connections = []
    monkeypatch.setattr(live_sources.cv2, 'VideoCapture', Capture)
    monkeypatch.setattr(live_sources, 'FIRST_PAUSE_S', 0.01)
    return Capture


def test_frames_are_named_after_their_stamp(driver: type[_Capture]) -> None:
    driver.connections, driver.bad = [4], 1
    before_ns = time.time_ns()
    with open_source('/dev/video0', fov_deg=60.0, reconnect_s=0.0) as source:
        frames = list(source)
    assert source.kind == 'camera' and source.len_hint is None
    assert [frame.name for frame in frames] == [str(frame.stamp_ns) for frame in frames]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [0, 2, 3]
    assert before_ns < frames[0].stamp_ns <= time.time_ns()
    assert source.skipped == {UNDECODABLE: 1}
    assert source.ended_early == 'camera /dev/video0: gives no more frames'


def test_the_newest_frame_wins(driver: type[_Capture]) -> None:
    driver.connections = [50]
    source = CameraSource('camera:0', CAMERA, reconnect_s=0.0)
    frames = iter(source)
    first = next(frames)
    time.sleep(0.3)
    second = next(frames)
    source.close()
    assert second.image[0, 0, 0] - first.image[0, 0, 0] > 5
    assert second.stamp_ns - first.stamp_ns > 200_000_000


def test_a_lost_camera_is_waited_for(driver: type[_Capture]) -> None:
    driver.connections, driver.period_s = [2, None, None, 3], 0.04
    with CameraSource('/dev/v4l/by-id/usb-front-video-index0', CAMERA, reconnect_s=0.5) as source:
        frames = list(source)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [0, 1, 2, 3, 4]
    assert source.notes == {f'camera /dev/v4l/by-id/usb-front-video-index0: {RECONNECTED}': 1}
    assert source.ended_early.endswith('gives no more frames, and none came within 0.5 s')


def test_the_address_of_a_recording_ends_with_it(driver: type[_Capture]) -> None:
    driver.connections, driver.length, driver.period_s = [3, 3], 3.0, 0.04
    with CameraSource('https://host/drive.mp4', CAMERA) as source:
        assert len(list(source)) == 3
    assert not source.ended_early and not source.notes


def test_waiting_ends_when_the_caller_stops(driver: type[_Capture]) -> None:
    driver.connections = [1]
    source = CameraSource('camera:0', CAMERA, reconnect_s=60.0)
    frames = iter(source)
    next(frames)
    threading.Timer(0.1, lambda: setattr(source, 'stopped', lambda: True)).start()
    start_s = time.monotonic()
    assert next(frames, None) is None and time.monotonic() - start_s < 1.0
    assert not source.ended_early
    source.close()


def test_ctrl_c_while_connecting(driver: type[_Capture], monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def connect(_: str) -> _Capture:
        threading.Timer(0.05, signal.raise_signal, (signal.SIGINT,)).start()
        released.wait(5.0)
        return driver()

    monkeypatch.setattr(live_sources, '_open', connect)
    # A job in the background begins with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    start_s = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            CameraSource('rtsp://host/live', CAMERA)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - start_s < 1.0
    released.set()


def test_a_camera_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match='camera 97: cannot be opened; check that it is plugged'):
        open_source('camera:97')


@pytest.mark.parametrize(('source', 'shown'), [
    ('rtsp://me:se@cret@host:554/live?token=1', 'rtsp://host:554/live'),
    ('https://host/a/b.m3u8#x', 'https://host/a/b.m3u8'),
    ('rtsp://me:[x@host', 'rtsp://...'),
    ('/dev/video0', '/dev/video0'),
])
def test_passwords_are_not_shown(source: str, shown: str) -> None:
    assert without_secrets(source) == shown
    assert is_live(source)


def test_the_error_of_an_address_hides_the_password(driver: type[_Capture]) -> None:
    with pytest.raises(ConfigError, match=r'^rtsp://host/live: cannot be opened; check the addr'):
        open_source('rtsp://me:word@host/live?key=1')
    with pytest.raises(ConfigError, match=r'^http://host/a: is no bag, so it has no topics'):
        open_source('http://me:word@host/a?key=1', image_topic='/image')


@contextmanager
def _served(per_connection: int) -> Iterator[str]:
    """Address of an MJPEG stream that is cut after some frames."""
    class Handler(BaseHTTPRequestHandler):
        """Sends frames, then hangs up."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header('Content-Type', 'multipart/x-mixed-replace; boundary=next')
            self.end_headers()
            with suppress(OSError):
                for index in range(per_connection):
                    _, jpeg = cv2.imencode('.jpg', np.full((48, 64, 3), 40 * index, np.uint8))
                    self.wfile.write(b'--next\r\nContent-Type: image/jpeg\r\nContent-Length: '
                                     b'%d\r\n\r\n' % len(jpeg) + jpeg.tobytes() + b'\r\n')
                    time.sleep(0.02)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f'http://127.0.0.1:{server.server_port}/live'
    finally:
        server.shutdown()
        server.server_close()


def test_a_stream_that_is_cut_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_sources, 'FIRST_PAUSE_S', 0.01)
    monkeypatch.setattr(live_sources, 'LONGEST_PAUSE_S', 0.02)
    with _served(6) as address, CameraSource(address, CAMERA, reconnect_s=0.3) as source:
        frames = []
        for frame in source:
            frames.append(frame)
            if any(RECONNECTED in note for note in source.notes):
                break
    assert frames and frames[0].image.shape == (48, 64, 3)
    assert all(a.stamp_ns < b.stamp_ns for a, b in zip(frames, frames[1:], strict=False))
    with pytest.raises(ConfigError, match='cannot be opened; check the address'):
        CameraSource(address, CAMERA)


class _Rtsp(socketserver.StreamRequestHandler):
    """
    A camera that speaks RTSP (RFC 2326) over one connection and hangs up after some pictures.

    H.264 goes one unit to a packet (RFC 6184, 5.6).
    """

    video: list[tuple[int, bool, bytes]]
    users: list[str]

    def handle(self) -> None:
        with suppress(OSError, ValueError):
            while line := self.rfile.readline().decode():
                fields = {}
                while (text := self.rfile.readline().decode().strip()):
                    name, _, value = text.partition(':')
                    fields[name.lower()] = value.strip()
                self._answer(line.split()[0], fields)
                if line.startswith('PLAY'):
                    return self._play()

    def _answer(self, method: str, fields: dict[str, str]) -> None:
        more, body, code = '', '', '200 OK'
        if 'authorization' not in fields:
            code, more = '401 Unauthorized', 'WWW-Authenticate: Basic realm="camera"\r\n'
        else:
            self.users.append(base64.b64decode(fields['authorization'].split()[1]).decode())
        if method == 'DESCRIBE' and code.startswith('200'):
            body = '\r\n'.join((
                'v=0', 'o=- 0 0 IN IP4 127.0.0.1', 's=camera', 't=0 0', 'm=video 0 RTP/AVP 96',
                'a=rtpmap:96 H264/90000', 'a=fmtp:96 packetization-mode=1', 'a=control:one', ''))
            more = f'Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n'
        if method == 'SETUP':
            more += 'Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n'
        self.wfile.write(f'RTSP/1.0 {code}\r\nCSeq: {fields["cseq"]}\r\nSession: 1\r\n{more}\r\n'
                         f'{body}'.encode())

    def _play(self) -> None:
        number = 0
        for index, _, data in self.video:
            starts = list(units(data))
            for at, end in zip(starts, [*(at - 3 for at in starts[1:]), len(data)], strict=True):
                unit = data[at:end].rstrip(b'\0')
                head = struct.pack('>BBHII', 0x80, 96 | (0x80 if end == len(data) else 0), number,
                                   9000 * index, 7)
                self.wfile.write(b'$\0' + struct.pack('>H', len(head + unit)) + head + unit)
                number += 1
            time.sleep(0.04)


def test_rtsp_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_sources, 'FIRST_PAUSE_S', 0.01)
    monkeypatch.setattr(live_sources, 'LONGEST_PAUSE_S', 0.02)
    monkeypatch.setattr(live_sources, 'TIMEOUT_S', 3.0)

    class Handler(_Rtsp):
        """The camera of this test."""

        video = packets('libx264', 12, g='4', bf='0', tune='zerolatency')
        users: list[str] = []

    with socketserver.ThreadingTCPServer(('127.0.0.1', 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f'127.0.0.1:{server.server_address[1]}/live'
        with CameraSource(f'rtsp://me:word@{address}', CAMERA, reconnect_s=3.0) as source:
            seen = []
            for frame in source:
                seen.append(number_of(frame.image))
                if any(RECONNECTED in note for note in source.notes):
                    break
        server.shutdown()
    assert {*Handler.users} == {'me:word'}
    # How many, depends on what the reader had buffered: the newest wins.
    assert len(seen) > 1 and {*seen} <= {*range(12)}
    assert list(source.notes) == [f'rtsp://{address}: {RECONNECTED}']
