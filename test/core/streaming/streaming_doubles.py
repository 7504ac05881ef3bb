# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A scripted runtime, and a stream around it whose results are kept."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from panoptic_depth_core.config import InferenceSettings
from panoptic_depth_core.contract import GraphOutput
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.inference.backends import Backend
from panoptic_depth_core.inference.pipeline import Pipeline
from panoptic_depth_core.labels import CLASS_ID
from panoptic_depth_core.model_directory import ModelDirectory, ModelInfo
from panoptic_depth_core.status import Watch
from panoptic_depth_core.streaming import stream as stream_module
from panoptic_depth_core.streaming.settings import DiagnosticsSettings, StreamSettings
from panoptic_depth_core.streaming.stream import Job, Stream
from panoptic_depth_core.structures import Frame, Intrinsics, PanopticDepth

PATIENCE_S = 60.0
"""How long a test waits for what must happen; only a failing test waits that long."""

SLOW_S = 0.02

TABLE = np.array([
    # valid, class_id, is_thing, score, log_depth_scale, area
    [1, CLASS_ID['road'], 0, 0.9, 0.05, 0.5],
    [1, CLASS_ID['car'], 1, 0.8, 0.1, 0.5],
], np.float32)


def eventually(condition: Callable[[], object], what: str = 'what was waited for') -> None:
    """Wait until a condition holds."""
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s, f'{what} did not happen'
        time.sleep(0.002)


class Script:
    """
    What the runtimes of one test do, all of those that are opened one after the other.

    :param todo: what the next runs do, one each; after these they do as ``then`` says: 'ok',
        'slow', 'nan', 'refuse', 'fail', 'crash', 'hang', 'hang and fail', 'hang and crash'.
    """

    def __init__(self, info: ModelInfo) -> None:
        self.info = info
        self.todo: deque[str] = deque()
        self.then = 'ok'
        self.release = threading.Event()
        self.hanging = 0
        self.opened: list[ScriptedBackend] = []
        self.score_thresholds: list[float] = []

    def output(self, depth_m: float = 5.0) -> GraphOutput:
        """A car right of a road."""
        height, width = self.info.map_size()
        index = np.zeros((height, width), np.uint8)
        index[:, width // 2:] = 1
        return GraphOutput(index, np.full((height, width), depth_m, np.float32), TABLE)


class ScriptedBackend(Backend):
    """A Backend that follows a script."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.name = f'scripted {len(script.opened)}'
        self.closed = False
        self.threads: set[int] = set()
        script.opened.append(self)

    def run(self, inputs) -> GraphOutput:
        script = self._script
        self.threads.add(threading.get_ident())
        script.score_thresholds.append(float(inputs['thresholds'][0]))
        now = script.todo.popleft() if script.todo else script.then
        if now.startswith('hang'):
            script.hanging += 1
            assert script.release.wait(PATIENCE_S)
        elif now == 'slow':
            time.sleep(SLOW_S)
        elif now == 'nan':
            return script.output(np.nan)
        elif now == 'refuse':
            raise ConfigError('this size is too odd; give another')
        if now.endswith('crash'):
            raise IndexError('deep inside')
        if now.endswith('fail'):
            raise BackendError('device lost')
        return script.output()

    def close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closed = True


class Rig:
    """
    A stream around scripted runtimes.

    :param model: whose self-test is run at load.
    :param stream: settings of the stream.
    """

    def __init__(self, script: Script, model: ModelDirectory | None = None,
                 **stream: object) -> None:
        self.script = script
        self.model = model or ModelDirectory(Path('unused'), script.info)
        self.sent: list[tuple[Frame, PanopticDepth]] = []
        self.deliver: Callable[[Frame, PanopticDepth], None] = lambda frame, result: None
        self.open: Callable[[InferenceSettings], Pipeline] = lambda settings: Pipeline(
            self.model, ScriptedBackend(script), settings)
        self.now_ns = 0
        self.watch: Watch = lambda done, what: True
        self.stream = Stream(self._open, self._deliver, stream=StreamSettings(**stream),
                             now_ns=lambda: self.now_ns, input_name='/front/image')
        self._before = set(threading.enumerate())

    def _open(self, settings: InferenceSettings, watch: Watch) -> Pipeline:
        self.watch = watch
        return self.open(settings)

    def _deliver(self, frame: Frame, result: PanopticDepth) -> None:
        self.deliver(frame, result)
        self.sent.append((frame, result))

    def configure(self, inference: InferenceSettings | None = None,
                  diagnostics: DiagnosticsSettings | None = None, **stream: object) -> None:
        """Give the stream settings; defaults where nothing is said."""
        self.stream.configure(StreamSettings(**stream), inference or InferenceSettings(),
                              diagnostics or DiagnosticsSettings())

    def start(self) -> Stream:
        """Start, wait for the model, take frames."""
        self.stream.start()
        eventually(lambda: self.stream.loaded, 'loading')
        self.stream.set_active(True)
        return self.stream

    def put(self, number: int, decode: Callable[[], Frame] | None = None) -> None:
        """Leave the frame of a stamp."""
        self.stream.put(Job(number, decode or (lambda: frame_of(number))))

    def run(self, number: int) -> None:
        """Leave the frame of a stamp and wait until it is dealt with."""
        self.put(number)
        self.settle()

    @property
    def stamps(self) -> list[int]:
        """Stamps of the results that were sent."""
        return [result.stamp_ns for _, result in self.sent]

    def dealt_with(self) -> int:
        """Frames that have been sent or dropped."""
        status = self.stream.status()
        return (status.frames_processed + status.frames_dropped_queue + status.frames_dropped_age
                + status.frames_dropped_error)

    def settle(self) -> None:
        """Wait until every frame is dealt with."""
        eventually(lambda: self.dealt_with() == self.stream.status().frames_received,
                   'an account of every frame')

    def watch_after(self, seconds: float) -> None:
        """Let the watchdog look as if so much time had gone by."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stream_module, 'time', SimpleNamespace(
                monotonic=lambda: time.monotonic() + seconds))
            self.stream.watch()

    def hang(self, number: int) -> None:
        """Leave a frame that hangs, and wait until it does."""
        before = self.script.hanging
        self.script.todo.append('hang')
        self.put(number)
        eventually(lambda: self.script.hanging > before, 'a hang')

    def threads(self) -> list[threading.Thread]:
        """Threads that were started and have not ended."""
        return [t for t in threading.enumerate() if t not in self._before]

    @contextmanager
    def until_all_is_settled(self):
        """Stop in the end, however it went; then no thread and no frame may be left."""
        try:
            yield self
            # A runtime that hangs is let go only now: all others end by themselves.
            self.script.release.set()
            self.stream.stop()
            eventually(lambda: not self.threads(), 'the end of all threads')
            assert self.dealt_with() == self.stream.status().frames_received
            assert all(backend.closed for backend in self.script.opened)
            # A context of a GPU belongs to the thread that made it.
            assert all(len(backend.threads) == 1 for backend in self.script.opened)
        finally:
            self.script.release.set()
            self.stream.stop()


def block_sending(rig: Rig) -> tuple[threading.Event, threading.Event]:
    """Let the first result wait in the sending thread: it is there; it may go on."""
    there, go_on = threading.Event(), threading.Event()

    def deliver(*_: object) -> None:
        there.set()
        assert go_on.wait(PATIENCE_S)

    rig.deliver = deliver
    return there, go_on


def throwing(error: BaseException) -> Callable[..., None]:
    """Return a function that raises."""
    def throw(*_: object) -> None:
        raise error
    return throw


def frame_of(number: int) -> Frame:
    """A small frame whose stamp is its number."""
    return Frame(np.zeros((24, 48, 3), np.uint8), Intrinsics.from_focal(50.0, 48, 24), number,
                 'front', str(number))
