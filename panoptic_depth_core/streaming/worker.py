# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The worker thread: it loads the model, takes frames from a mailbox, runs and closes the runtime.

GPU runtimes bind their context to a thread, so the thread that loads the model also runs it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, NamedTuple, TypeVar

from ..config import InferenceSettings
from ..errors import BackendError, ConfigError
from ..inference.pipeline import Pipeline
from ..inference.tracking import Tracker
from ..status import StreamState, Watch
from ..structures import Frame, PanopticDepth
from .settings import StreamSettings
from .statistics import StreamStatistics

FAILURES_BEFORE_RELOAD = 3
"""The model is loaded again after inference failed on this many frames in a row."""

RETRY_S = 5.0
"""Pause before the next attempt when the model cannot be loaded or fails."""

POLL_S = 0.1
"""Period at which an idle thread checks whether it is to end."""

OpenPipeline = Callable[[InferenceSettings, Watch], Pipeline]
Item = TypeVar('Item')

_LOAD_FAILED = 'the model cannot be loaded'
_log = logging.getLogger(__name__)


class Mailbox(Generic[Item]):
    """
    A queue between threads whose put() never waits: when it is full, it drops its oldest item.

    :param capacity: 1: the newest item wins; more: a FIFO of this length.
    """

    def __init__(self, capacity: int = 1) -> None:
        self._items: deque[Item] = deque(maxlen=capacity)
        self._changed = threading.Condition()

    def put(self, item: Item) -> int:
        """Add an item; return the number of dropped items."""
        with self._changed:
            dropped = int(len(self._items) == self._items.maxlen)
            self._items.append(item)
            self._changed.notify()
        return dropped

    def take(self, timeout_s: float) -> Item | None:
        """Wait for an item and return the oldest, None after the timeout."""
        with self._changed:
            self._changed.wait_for(lambda: self._items, timeout_s)
            return self._items.popleft() if self._items else None

    def clear(self) -> int:
        """Drop all items; return their number."""
        with self._changed:
            dropped = len(self._items)
            self._items.clear()
            return dropped


class Job(NamedTuple):
    """An image to be processed: its stamp, and what decodes it in the worker thread."""

    stamp_ns: int
    decode: Callable[[], Frame]


class Worker(threading.Thread):
    """
    Loads the model and processes frames until end() is called.

    :param open_pipeline: loads the model; its second argument reports progress of a build.
    :param emit: receives each result, in this thread.
    :param stream, inference: may be replaced at any time, for the next frame.
    :param now_ns: clock of the stamps.
    :param problem: failure of the previous worker; it remains the state until a frame succeeds.
    :param tracker: of the previous worker, so that its ids are not given again.
    """

    def __init__(self, open_pipeline: OpenPipeline, mailbox: Mailbox[Job],
                 emit: Callable[[Frame, PanopticDepth], None], statistics: StreamStatistics,
                 stream: StreamSettings, inference: InferenceSettings, now_ns: Callable[[], int],
                 problem: str = '', tracker: Tracker | None = None) -> None:
        super().__init__(name='panoptic_depth worker', daemon=True)
        self.stream = stream
        self.inference = inference
        self.loaded = False
        # Fields of StreamStatus.
        self.model: dict[str, Any] = {}
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
        self._failures = 0
        self._given_up = False
        self._busy_lock = threading.Lock()
        self._ended = threading.Event()
        self._wake = threading.Event()

    @property
    def state(self) -> tuple[StreamState, str]:
        """BUILDING, LOADING, READY or ERROR, and the reason."""
        # Read once: they change in the other thread.
        building, problem = self._building, self._problem
        if building:
            return StreamState.BUILDING, building
        if problem:
            return StreamState.ERROR, problem
        if self.loaded:
            return StreamState.READY, ''
        return StreamState.LOADING, 'the model is being loaded'

    @property
    def backend(self) -> str:
        """Name of the backend; empty until the model was loaded once."""
        return str(self.model.get('backend', ''))

    @property
    def ended(self) -> bool:
        """Whether end() was called; later results are dropped."""
        return self._ended.is_set()

    def reload(self) -> None:
        """Load the model again after the current frame, or at once after a failed attempt."""
        self._problem = ''
        self._wake.set()

    def end(self) -> None:
        """End after the current frame."""
        self._ended.set()
        self._wake.set()

    def give_up(self, since_s: float) -> bool:
        """
        End without waiting for the runtime; if it ever returns, its result is dropped.

        :param since_s: the busy_since_s that is too long ago.
        :returns: False if the runtime has just returned: then the worker goes on.
        """
        with self._busy_lock:
            if self.busy_since_s != since_s:
                return False
            self._given_up = True
        self.end()
        return True

    def run(self) -> None:
        """Load and process; after a failure start over."""
        while not self.ended:
            self._wake.clear()
            pipeline = self._load()
            if pipeline is not None:
                try:
                    self._process_all(pipeline)
                finally:
                    self.loaded = False
                    _close(pipeline)
            if self._problem and not self.ended:
                self._wake.wait(RETRY_S)

    def _load(self) -> Pipeline | None:
        pipeline = None
        try:
            try:
                pipeline = self._open_pipeline(self.inference, self._watch_build)
            finally:
                self._building, self.build_progress = '', math.nan
            backend, info = pipeline.backend, pipeline.model.info
            self.model = {'backend': backend.name, 'model_id': info.model_id,
                          'tasks': tuple(sorted(info.tasks))}
            if info.self_test is not None:
                # It also warms up the runtime, so that the first frame takes no longer.
                with self._busy():
                    pipeline.model.self_test(backend)
        except Exception as error:
            if pipeline is not None:
                _close(pipeline)
            self._fail(f'{_LOAD_FAILED}: {_text(error)}', error)
            return None
        # A failure on frames remains the state until a frame succeeds.
        if self._problem.startswith(_LOAD_FAILED):
            self._problem = ''
        self.model = {**self.model, 'engine_key': backend.engine_key,
                      'gpu_memory_bytes': backend.gpu_memory_bytes}
        self.loaded = True
        _log.info('%s is loaded into %s', info.model_id, backend.name)
        return pipeline

    def _watch_build(self, done: float, what: str) -> bool:
        self.build_progress, self._building = done, what
        return not self.ended

    def _process_all(self, pipeline: Pipeline) -> None:
        """Process frames until woken up, or until the runtime fails repeatedly."""
        self._failures, taken_s = 0, -math.inf
        # Both, since end() may come just before run() clears the flag.
        while not (self._wake.is_set() or self.ended):
            rate_hz = self.stream.max_rate_hz
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
                # The watchdog has counted the frame.
                return
            except Exception as error:
                self._failures += 1
                self._fail(f'inference failed: {_text(error)}', error)
                self._statistics.bad_frame(_text(error))
                if self._failures == FAILURES_BEFORE_RELOAD:
                    return

    def _process(self, pipeline: Pipeline, job: Job) -> None:
        """Process one frame; raise only what is not the fault of the frame."""
        # Read after the frame was taken: frames put after a change are run with the change.
        inference, max_age_ms = self.inference, self.stream.max_input_age_ms
        if pipeline.settings is not inference:
            pipeline.configure(inference)
        if 0 < max_age_ms < (self._now_ns() - job.stamp_ns) / 1e6:
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
        if inference.tracking.enabled:
            self.tracker = self.tracker or Tracker()
            self.tracker.settings = inference.tracking
            result = self.tracker.update(result)
        self._failures, self._problem = 0, ''
        self._emit(frame, result)

    def _skip(self, error: Exception) -> None:
        """Count a frame that cannot be used."""
        if self._statistics.bad_frame(_text(error)):
            _log.warning('an image is skipped: %s', _text(error))

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """Show the watchdog since when the runtime has been running; see give_up."""
        self.busy_since_s = time.monotonic()
        try:
            yield
        finally:
            with self._busy_lock:
                self.busy_since_s = None
            if self._given_up:
                raise _GivenUp

    def _fail(self, problem: str, error: Exception) -> None:
        """Set the state; log the problem once."""
        if problem != self._problem and not self.ended:
            expected = isinstance(error, (ConfigError, BackendError))
            _log.error('%s', problem, exc_info=None if expected else error)
        self._problem = problem


class _GivenUp(Exception):
    """The runtime has returned after the watchdog gave it up."""


def _close(pipeline: Pipeline) -> None:
    """Close a pipeline; a broken runtime may fail here again."""
    try:
        pipeline.close()
    except Exception:
        _log.exception('%s cannot be closed', pipeline.backend.name)


def _text(error: Exception) -> str:
    """Message of an error on one line, with the type unless it is one of ours."""
    text = ' '.join(str(error).split())
    return text if isinstance(error, (ConfigError, BackendError)) else (
        f'{type(error).__name__}: {text}')
