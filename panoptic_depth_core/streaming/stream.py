# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A stream of images: one thread receives them, a second processes them, a third sends the results.

The receiving thread never waits. At most one result waits to be sent, so that what is sent is
never older than two frames. GPU runtimes bind their context to a thread, so the thread that loads
the model also runs it.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, NamedTuple, TypeVar

from ..config import InferenceSettings
from ..errors import BackendError, ConfigError, in_words
from ..inference.pipeline import Pipeline
from ..inference.video import Video
from ..reasons import kind_of
from ..status import StreamState, StreamStatus, Watch
from ..structures import Frame, PanopticDepth
from .monitoring import StreamStatistics
from .scale import ScaleMonitor
from .settings import DiagnosticsSettings, StreamSettings

MOST_ABANDONED = 3
"""Each hung worker may hold a model; if more of them hang, no further worker is started."""

FAILURES_BEFORE_RELOAD = 3
"""The model is loaded again after inference failed on this many frames in a row."""

RETRY_S = 5.0
"""Pause before the next attempt when the model cannot be loaded or fails."""

POLL_S = 0.1
"""Period at which an idle thread checks whether it is to end."""

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


class Stream:
    """
    Mailbox, worker thread, sending thread, watchdog and statistics of one camera.

    Call its methods from one thread, such as that of an executor; none but stop() waits.

    :param open_pipeline: loads the model; its second argument reports progress of a build. Called
        in the worker thread, again after failures.
    :param deliver: sends the results of one frame; called in a thread of its own.
    :param now_ns: clock of the stamps, for latency and age.
    :param input_name: where images come from, for messages.
    """

    def __init__(self, open_pipeline: Callable[[InferenceSettings, Watch], Pipeline],
                 deliver: Callable[[Frame, PanopticDepth], None], *,
                 stream: StreamSettings | None = None, inference: InferenceSettings | None = None,
                 diagnostics: DiagnosticsSettings | None = None,
                 now_ns: Callable[[], int] = time.time_ns, input_name: str = 'the input') -> None:
        self.statistics = StreamStatistics()
        self.scale = ScaleMonitor()
        self.settings = stream or StreamSettings()
        self.inference = inference or InferenceSettings()
        self._diagnostics = diagnostics or DiagnosticsSettings()
        self._input_name = input_name
        self.open_pipeline = open_pipeline
        self._deliver = deliver
        self.now_ns = now_ns
        self.mailbox: Mailbox[Job] = Mailbox(self.settings.capacity)
        self._outbox: queue.Queue[tuple[Frame, PanopticDepth]] = queue.Queue(1)
        self._worker: _Worker | None = None
        self._sender = threading.Thread(
            target=self._send_all, name='panoptic_depth sender', daemon=True)
        self._ended = threading.Event()
        self._abandoned: list[_Worker] = []
        self._active_since_s: float | None = None

    def start(self) -> None:
        """Begin to load the model; see loaded and status."""
        self._sender.start()
        self._start_worker()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """
        End all threads.

        :returns: False if one still hangs: then the process should exit without waiting.
        """
        self.set_active(False)
        self._ended.set()
        workers = [*self._abandoned, *filter(None, [self._worker])]
        for worker in workers:
            worker.end()
        threads = [thread for thread in (*workers, self._sender) if thread.is_alive()]
        end_s = time.monotonic() + timeout_s
        for thread in threads:
            thread.join(max(end_s - time.monotonic(), 0.0))
        self._worker = None
        with suppress(queue.Empty):
            self._outbox.get_nowait()
            self.statistics.count('frames_dropped_queue')
        return not any(thread.is_alive() for thread in threads)

    @property
    def loaded(self) -> bool:
        """Whether the model is loaded and works."""
        worker = self._worker
        return worker is not None and worker.loaded and not worker.ended

    @property
    def active(self) -> bool:
        """Whether images are processed."""
        return self._active_since_s is not None

    def set_active(self, active: bool) -> None:
        """Start or stop processing images; images that wait are dropped."""
        if active != self.active:
            self._active_since_s = time.monotonic() if active else None
            self.statistics.count('frames_dropped_queue', self.mailbox.clear())

    def put(self, job: Job) -> None:
        """Add an image; never waits."""
        self.statistics.seen()
        if self.active:
            self.statistics.count('frames_received')
            self.statistics.count('frames_dropped_queue', self.mailbox.put(job))

    def configure(self, stream: StreamSettings, inference: InferenceSettings,
                  diagnostics: DiagnosticsSettings) -> None:
        """Change the settings, except the queue policy, from the next frame on."""
        self.settings, self.inference, self._diagnostics = stream, inference, diagnostics

    def reload(self) -> bool:
        """Load the model again; False if too many workers hang."""
        worker = self._worker
        if worker is None or worker.ended:
            return False
        worker.reload()
        return True

    def watch(self) -> None:
        """Replace a worker that hangs or died; call it a few times per second."""
        worker = self._worker
        if worker is None or worker.ended:
            return
        limit_s = self.settings.watchdog_timeout_s
        since_s, backend = worker.busy_since_s, worker.model['backend']
        if since_s is not None and time.monotonic() - since_s > limit_s:
            if not worker.give_up(since_s):
                return
            problem = (f'inference hangs for more than watchdog_timeout_s ({limit_s:g} s); '
                       f'{backend} is loaded again')
            # Before that, it was the self-test that hung and not a frame.
            if worker.loaded:
                self.statistics.bad_frame(problem)
        elif not worker.is_alive():
            worker.end()
            problem = 'the worker thread died; it is started again'
        else:
            return
        self._abandoned = [w for w in (*self._abandoned, worker) if w.is_alive()]
        _log.error('%s', problem)
        if len(self._abandoned) > MOST_ABANDONED:
            _log.error('%d workers hang: restart the node', len(self._abandoned))
            return
        self._start_worker(problem, worker.next_track_id)

    @property
    def state(self) -> tuple[StreamState, str]:
        """State and message; cheaper than status()."""
        worker = self._worker
        if worker is None:
            return StreamState.UNCONFIGURED, ''
        if worker.ended:
            backend = worker.model['backend']
            return StreamState.ERROR, (
                f'{len(self._abandoned)} workers hang in {backend}: restart the node, and '
                'choose another backend if it happens again')
        state, message = worker.state
        if state != StreamState.READY or self._active_since_s is None:
            return state, message
        limit_s = self._diagnostics.input_timeout_s
        # Also true for NaN: no image ever.
        if (not self.statistics.input_idle_s() <= limit_s
                and time.monotonic() - self._active_since_s > limit_s):
            return StreamState.STALLED, (
                f'no image from {self._input_name} for {limit_s:g} s; check that it is published '
                'and that its QoS is compatible')
        return StreamState.RUNNING, ''

    def status(self) -> StreamStatus:
        """State and counters."""
        worker = self._worker
        state, message = self.state
        fields = {**self.statistics.fields(), **self.scale.fields()}
        if worker is not None:
            fields |= {**worker.model, 'build_progress': worker.build_progress}
        return StreamStatus(state=state, message=message, **fields)

    def _start_worker(self, problem: str = '', first_track_id: int = 0) -> None:
        self._worker = _Worker(self, problem, first_track_id)
        self._worker.start()

    def emit(self, frame: Frame, result: PanopticDepth) -> None:
        """Hand over a result, in the worker thread; wait until the one before was taken."""
        while self.active:
            try:
                return self._outbox.put((frame, result), timeout=POLL_S)
            except queue.Full:
                continue
        self.statistics.count('frames_dropped_queue')

    def _send_all(self) -> None:
        """Send results, in the sending thread."""
        while not self._ended.is_set():
            try:
                frame, result = self._outbox.get(timeout=POLL_S)
            except queue.Empty:
                continue
            try:
                self._deliver(frame, result)
                latency_ms = (self.now_ns() - frame.stamp_ns) / 1e6
            except Exception as error:
                if self.statistics.bad_frame(f'results cannot be sent: {error}'):
                    _log.exception('results cannot be sent')
                continue
            self.scale.add(result)
            self.statistics.processed(latency_ms, result.step_ms.get('graph', 0.0))


class _Worker(threading.Thread):
    """
    The thread that loads the model and processes the frames of a stream until end() is called.

    :param problem: failure of the previous worker; it remains the state until a frame succeeds.
    :param first_track_id: ids below it were given by previous workers.
    """

    def __init__(self, stream: Stream, problem: str, first_track_id: int) -> None:
        super().__init__(name='panoptic_depth worker', daemon=True)
        self.loaded = False
        # Fields of StreamStatus about the model.
        self.model: dict[str, Any] = {'backend': ''}
        self.build_progress = math.nan
        self.busy_since_s: float | None = None
        self._first_track_id = first_track_id
        self._video: Video | None = None
        self._stream = stream
        self._problem = problem
        self._building = ''
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
                pipeline = self._stream.open_pipeline(self._stream.inference, self._watch_build)
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
            self._fail(f'{_LOAD_FAILED}: {in_words(error)}', error)
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
            rate_hz = self._stream.settings.max_rate_hz
            pause_s = taken_s + 1.0 / rate_hz - time.monotonic() if rate_hz > 0 else 0.0
            if pause_s > 0:
                self._wake.wait(min(pause_s, POLL_S))
                continue
            job = self._stream.mailbox.take(POLL_S)
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
                self._fail(f'inference failed: {in_words(error)}', error)
                self._stream.statistics.bad_frame(in_words(error))
                if self._failures == FAILURES_BEFORE_RELOAD:
                    return

    @property
    def next_track_id(self) -> int:
        """Greater than all track ids so far."""
        return self._first_track_id if self._video is None else self._video.next_id

    def _process(self, pipeline: Pipeline, job: Job) -> None:
        """Process one frame; raise only what is not the fault of the frame."""
        # Read after the frame was taken: frames put after a change are run with the change.
        stream = self._stream
        inference, max_age_ms = stream.inference, stream.settings.max_input_age_ms
        if pipeline.settings is not inference:
            pipeline.configure(inference)
        if self._video is None or self._video.pipeline is not pipeline:
            self._video = Video(pipeline, self.next_track_id)
        if 0 < max_age_ms < (stream.now_ns() - job.stamp_ns) / 1e6:
            self._stream.statistics.count('frames_dropped_age')
            return
        try:
            frame = job.decode()
        except Exception as error:
            self._skip(error)
            return
        try:
            with self._busy():
                result = self._video(frame)
        except ConfigError as error:
            self._skip(error)
            return
        self._failures, self._problem = 0, ''
        stream.emit(frame, result)

    def _skip(self, error: Exception) -> None:
        """Count a frame that cannot be used."""
        if self._stream.statistics.bad_frame(in_words(error)):
            _log.warning('an image is skipped: %s', in_words(error))

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
        if kind_of(problem) == kind_of(self._problem):
            return
        if not self.ended:
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
