# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The worker thread: it owns the runtime, from loading it to closing it.

Runtimes for GPUs bind their context to a thread, so whatever loads the model also runs it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..config import InferenceSettings, StreamSettings, TrackingSettings
from ..contract import Task
from ..errors import BackendError, ConfigError
from ..inference.pipeline import Pipeline
from ..inference.tracking import Tracker
from ..status import StreamState, Watch
from ..structures import Frame, PanopticDepth
from .mailbox import Mailbox
from .statistics import StreamStatistics

FAILURES_BEFORE_RELOAD = 3
"""After so many frames in a row that the runtime failed on, it is loaded anew."""

RETRY_S = 5.0
"""Pause before the next attempt, when the model could not be loaded or did not work."""

POLL_S = 0.1
"""How often a thread without work looks whether it is to end."""

OpenPipeline = Callable[[InferenceSettings, Watch], Pipeline]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """
    An image that waits for its turn.

    :param stamp_ns: time of the exposure.
    :param decode: makes the frame, in the worker thread; ConfigError where it cannot.
    """

    stamp_ns: int
    decode: Callable[[], Frame]


@dataclass(frozen=True)
class Orders:
    """What the owner wants; the runner looks at it between frames."""

    stream: StreamSettings
    inference: InferenceSettings


class Runner(threading.Thread):
    """
    Loads the model and runs frames until it is told to end.

    :param open_pipeline: loads the model, and tells the second argument of what it builds.
    :param emit: takes each result, in this thread.
    :param now_ns: clock of the stamps.
    :param problem: what was wrong with the runner before this one; it is the state until a frame
        has gone well.
    :param tracker: of the runner before this one: a thing must not get the id of another.
    """

    def __init__(self, open_pipeline: OpenPipeline,
                 mailbox: Mailbox[Job], emit: Callable[[Frame, PanopticDepth], None],
                 statistics: StreamStatistics, orders: Orders, now_ns: Callable[[], int],
                 problem: str = '', tracker: Tracker | None = None) -> None:
        super().__init__(name='panoptic_depth worker', daemon=True)
        self.orders = orders
        self.loaded = False
        self.backend = ''
        self.model_id = ''
        self.tasks: tuple[Task, ...] = ()
        self.engine_key = ''
        self.gpu_memory_bytes = 0
        self.build_progress = math.nan
        self.busy_since_s: float | None = None
        self.tracker = tracker
        self._problem = problem
        self._building = ''
        self._open_pipeline = open_pipeline
        self._mailbox = mailbox
        self._emit = emit
        self._statistics = statistics
        self._now_ns = now_ns
        self._configured: Orders | None = None
        self._failures = 0
        self._given_up = False
        self._busy_lock = threading.Lock()
        self._ended = threading.Event()
        self._wake = threading.Event()

    @property
    def state(self) -> tuple[StreamState, str]:
        """BUILDING, LOADING, READY or ERROR, and what is the matter."""
        building = self._building
        if building:
            return StreamState.BUILDING, building
        problem = self._problem
        if problem:
            return StreamState.ERROR, problem
        if self.loaded:
            return StreamState.READY, ''
        return StreamState.LOADING, 'the model is being loaded'

    @property
    def ended(self) -> bool:
        """Whether it was told to end; what it still returns is not wanted."""
        return self._ended.is_set()

    def reload(self) -> None:
        """Load the model anew after the frame in hand, or at once after a failed attempt."""
        self._problem = ''
        self._wake.set()

    def end(self) -> None:
        """End after the frame in hand."""
        self._ended.set()
        self._wake.set()

    def give_up(self, since_s: float) -> bool:
        """
        End without waiting for the runtime, whose result will be discarded if it ever returns.

        :param since_s: the busy_since_s that is too long ago.
        :returns: False when the runtime has just returned: then nothing is given up.
        """
        with self._busy_lock:
            if self.busy_since_s != since_s:
                return False
            self._given_up = True
        self.end()
        return True

    def run(self) -> None:
        """Load, work, and after a failure begin again."""
        while not self.ended:
            self._wake.clear()
            pipeline = self._load()
            if pipeline is not None:
                try:
                    self._work(pipeline)
                finally:
                    self.loaded = False
                    _close(pipeline)
            if self._problem and not self.ended:
                self._wake.wait(RETRY_S)

    def _load(self) -> Pipeline | None:
        # That a runtime failed on frames is not mended before one has gone well.
        failed_on_frames = bool(self._problem) and not self._problem.startswith(_LOAD_FAILED)
        try:
            pipeline = self._open_pipeline(self.orders.inference, self._watch_build)
        except Exception as error:
            self._fail(f'{_LOAD_FAILED}: {_said(error)}', error)
            return None
        finally:
            self._building, self.build_progress = '', math.nan
        backend = pipeline.backend
        info = pipeline.model.info
        self.backend, self.model_id, self.tasks = (
            backend.name, info.model_id, tuple(sorted(info.tasks)))
        try:
            if info.self_test is not None:
                # It also warms the runtime up, so that the first frame is as fast as any.
                with self._busy():
                    pipeline.model.self_test(backend)
        except Exception as error:
            _close(pipeline)
            self._fail(f'{_LOAD_FAILED}: {_said(error)}', error)
            return None
        if not failed_on_frames:
            self._problem = ''
        self.engine_key, self.gpu_memory_bytes = backend.engine_key, backend.gpu_memory_bytes
        self.loaded = True
        _log.info('%s is loaded into %s', self.model_id, self.backend)
        return pipeline

    def _watch_build(self, done: float, what: str) -> bool:
        self.build_progress, self._building = done, what
        return not self.ended

    def _work(self, pipeline: Pipeline) -> None:
        """Run frames until told to stop, or until the runtime fails time and again."""
        self._configured, self._failures, taken_s = None, 0, -math.inf
        # end() may come just before run() clears the other flag.
        while not (self._wake.is_set() or self.ended):
            rate_hz = self.orders.stream.max_rate_hz
            pause_s = taken_s + 1.0 / rate_hz - time.monotonic() if rate_hz > 0 else 0.0
            if pause_s > 0:
                self._wake.wait(min(pause_s, POLL_S))
                continue
            job = self._mailbox.take(POLL_S)
            if job is None:
                continue
            taken_s = time.monotonic()
            try:
                self._process(pipeline, job)
            except _GivenUp:
                # Whoever gave it up has counted the frame.
                return
            except Exception as error:
                self._failures += 1
                self._fail(f'inference failed: {_said(error)}', error)
                self._statistics.bad_frame(_said(error))
                if self._failures == FAILURES_BEFORE_RELOAD:
                    return

    def _process(self, pipeline: Pipeline, job: Job) -> None:
        """Take one frame all the way; only what is not the frame's own fault is raised."""
        # Read after the frame was taken: what was put in after a change is run with the change.
        orders = self.orders
        if orders is not self._configured:
            pipeline.configure(orders.inference)
            self._configured = orders
        age_ms = (self._now_ns() - job.stamp_ns) / 1e6
        if 0 < orders.stream.max_input_age_ms < age_ms:
            self._statistics.count('frames_dropped_age')
            return
        try:
            frame = job.decode()
        except Exception as error:
            self._skip(error)
            return
        try:
            with self._busy():
                result = pipeline(frame)
        except ConfigError as error:
            self._skip(error)
            return
        result = self._tracked(result, orders.inference.tracking)
        self._failures = 0
        self._problem = ''
        self._emit(frame, result)

    def _tracked(self, result: PanopticDepth, settings: TrackingSettings) -> PanopticDepth:
        if not settings.enabled:
            return result
        if self.tracker is None:
            self.tracker = Tracker()
        self.tracker.settings = settings
        return self.tracker.update(result)

    def _skip(self, error: Exception) -> None:
        """Count a frame that cannot be used."""
        if self._statistics.bad_frame(_said(error)):
            _log.warning('an image is skipped: %s', _said(error))

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """Let the watchdog see how long the runtime has been at it; see give_up."""
        self.busy_since_s = time.monotonic()
        try:
            yield
        finally:
            with self._busy_lock:
                self.busy_since_s = None
            if self._given_up:
                raise _GivenUp

    def _fail(self, problem: str, error: Exception) -> None:
        """Say what is wrong, in the log once."""
        if problem != self._problem and not self.ended:
            known = isinstance(error, (ConfigError, BackendError))
            _log.error('%s', problem, exc_info=None if known else error)
        self._problem = problem


_LOAD_FAILED = 'the model cannot be loaded'


class _GivenUp(Exception):
    """The runtime has returned, but nobody waits for it any more."""


def _close(pipeline: Pipeline) -> None:
    """Close a pipeline; a runtime that is broken may well break here again."""
    try:
        pipeline.close()
    except Exception:
        _log.exception('%s cannot be closed', pipeline.backend.name)


def _said(error: Exception) -> str:
    """Words of an error in one line; of one that is not ours, its kind as well."""
    text = ' '.join(str(error).split())
    return text if isinstance(error, (ConfigError, BackendError)) else (
        f'{type(error).__name__}: {text}')
