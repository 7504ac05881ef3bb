# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A stream of images: put in by one thread, worked on by a second, sent by a third.

The thread that receives images never waits. The one that works has at most one result waiting to
be sent, so that what is sent is never older than two frames.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from ..config import DiagnosticsSettings, InferenceSettings, StreamSettings
from ..inference.tracking import Tracker
from ..status import StreamState, StreamStatus
from ..structures import Frame, PanopticDepth
from .mailbox import Mailbox
from .runner import POLL_S, Job, OpenPipeline, Orders, Runner
from .statistics import StreamStatistics

MOST_ABANDONED = 3
"""Threads that hang may hold a model each; with more of them no further one is started."""

Deliver = Callable[[Frame, PanopticDepth], None]

_log = logging.getLogger(__name__)


class Stream:
    """
    Mailbox, worker thread, sending thread, watchdog and statistics of one camera.

    Its methods are for one thread, as that of an executor; none but stop waits.

    :param open_pipeline: loads the model, and tells the second argument of what it builds; called
        in the worker thread, again after failures.
    :param deliver: sends the results of one frame; called in a thread of its own.
    :param now_ns: clock of the stamps, for latency and age.
    :param input_name: what images come from, for messages.
    """

    def __init__(self, open_pipeline: OpenPipeline, deliver: Deliver, *,
                 stream: StreamSettings | None = None, inference: InferenceSettings | None = None,
                 diagnostics: DiagnosticsSettings | None = None,
                 now_ns: Callable[[], int] = time.time_ns, input_name: str = 'the input') -> None:
        self.statistics = StreamStatistics()
        self._orders = Orders(stream or StreamSettings(), inference or InferenceSettings())
        self._diagnostics = diagnostics or DiagnosticsSettings()
        self._input_name = input_name
        self._open_pipeline = open_pipeline
        self._now_ns = now_ns
        self._mailbox: Mailbox[Job] = Mailbox(self._orders.stream.capacity)
        self._sender = _Sender(deliver, self.statistics, now_ns)
        self._runner: Runner | None = None
        self._abandoned: list[Runner] = []
        self._active_since_s: float | None = None

    def start(self) -> None:
        """Begin to load the model; see loaded and status."""
        self._sender.start()
        self._start_runner()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """
        End all threads.

        :returns: False where one still hangs: then the process should end without waiting.
        """
        self.set_active(False)
        threads: list[Runner | _Sender] = [
            *self._abandoned, *filter(None, [self._runner]), self._sender]
        for thread in threads:
            thread.end()
        end_s = time.monotonic() + timeout_s
        for thread in threads:
            if thread.is_alive():
                thread.join(max(end_s - time.monotonic(), 0.0))
        self._runner = None
        self._sender.drop_waiting()
        return not any(thread.is_alive() for thread in threads)

    @property
    def loaded(self) -> bool:
        """Whether frames can be run."""
        runner = self._runner
        return runner is not None and runner.loaded and not runner.ended

    @property
    def active(self) -> bool:
        """Whether frames are taken."""
        return self._active_since_s is not None

    def set_active(self, active: bool) -> None:
        """Take frames from now on, or none; those that wait are dropped."""
        if active != self.active:
            self._active_since_s = time.monotonic() if active else None
            self.statistics.count('frames_dropped_queue', self._mailbox.clear())

    def put(self, job: Job) -> None:
        """Leave an image; never waits."""
        self.statistics.seen()
        if self.active:
            self.statistics.count('frames_received')
            self.statistics.count('frames_dropped_queue', self._mailbox.put(job))

    def configure(self, stream: StreamSettings, inference: InferenceSettings,
                  diagnostics: DiagnosticsSettings) -> None:
        """Take other settings from the next frame on."""
        self._orders = Orders(stream, inference)
        self._diagnostics = diagnostics
        self.statistics.count('frames_dropped_queue', self._mailbox.resize(stream.capacity))
        if self._runner is not None:
            self._runner.orders = self._orders

    def reload(self) -> bool:
        """Load the model anew; False where no worker is left that could."""
        runner = self._runner
        if runner is None or runner.ended:
            return False
        runner.reload()
        return True

    def watch(self) -> None:
        """Replace a worker that hangs or died; to be called a few times a second."""
        runner = self._runner
        if runner is None or runner.ended:
            return
        limit_s = self._orders.stream.watchdog_timeout_s
        since_s = runner.busy_since_s
        if since_s is not None and time.monotonic() - since_s > limit_s:
            if not runner.give_up(since_s):
                return
            problem = (f'inference hangs for more than watchdog_timeout_s ({limit_s:g} s); '
                       f'{runner.backend} is loaded anew')
            # Before that it was the self-test, which is no frame.
            if runner.loaded:
                self.statistics.bad_frame(problem)
        elif not runner.is_alive():
            runner.end()
            problem = 'the worker thread died; it is started anew'
        else:
            return
        self._abandoned = [r for r in (*self._abandoned, runner) if r.is_alive()]
        _log.error('%s', problem)
        if len(self._abandoned) > MOST_ABANDONED:
            _log.error('%d workers hang: restart the node', len(self._abandoned))
            return
        self._start_runner(problem, runner.tracker)

    @property
    def state(self) -> tuple[StreamState, str]:
        """State and message alone, which costs little."""
        runner = self._runner
        if runner is None:
            return StreamState.UNCONFIGURED, ''
        if runner.ended:
            return StreamState.ERROR, (
                f'{len(self._abandoned)} workers hang in {runner.backend}: restart the node, and '
                'choose another backend if it happens again')
        state, message = runner.state
        if state == StreamState.READY and self._active_since_s is not None:
            return self._running(self._active_since_s)
        return state, message

    def status(self) -> StreamStatus:
        """State and counters at this moment."""
        runner = self._runner
        if runner is None:
            return StreamStatus(*self.state, **self.statistics.fields())
        return StreamStatus(
            *self.state, build_progress=runner.build_progress, backend=runner.backend,
            model_id=runner.model_id, tasks=runner.tasks, engine_key=runner.engine_key,
            gpu_memory_bytes=runner.gpu_memory_bytes, **self.statistics.fields())

    def _running(self, since_s: float) -> tuple[StreamState, str]:
        limit_s = self._diagnostics.input_timeout_s
        idle_s = self.statistics.input_idle_s()
        # Written so that NaN, no image ever, counts as idle.
        if not idle_s <= limit_s and time.monotonic() - since_s > limit_s:
            return StreamState.STALLED, (
                f'no image from {self._input_name} for {limit_s:g} s; check that it is published '
                'and that its QoS fits')
        return StreamState.RUNNING, ''

    def _start_runner(self, problem: str = '', tracker: Tracker | None = None) -> None:
        self._runner = Runner(self._open_pipeline, self._mailbox, self._emit, self.statistics,
                              self._orders, self._now_ns, problem, tracker)
        self._runner.start()

    def _emit(self, frame: Frame, result: PanopticDepth) -> None:
        if self.active:
            self._sender.send(frame, result)
        else:
            self.statistics.count('frames_dropped_queue')


class _Sender(threading.Thread):
    """Sends one result after the other, while the next one is being worked out."""

    def __init__(self, deliver: Deliver, statistics: StreamStatistics,
                 now_ns: Callable[[], int]) -> None:
        super().__init__(name='panoptic_depth sender', daemon=True)
        self._deliver = deliver
        self._statistics = statistics
        self._now_ns = now_ns
        self._waiting: queue.Queue[tuple[Frame, PanopticDepth]] = queue.Queue(1)
        self._ended = threading.Event()

    def send(self, frame: Frame, result: PanopticDepth) -> None:
        """Hand over a result; waits while the one before has not been taken."""
        while not self._ended.is_set():
            try:
                return self._waiting.put((frame, result), timeout=POLL_S)
            except queue.Full:
                continue
        self._statistics.count('frames_dropped_queue')

    def drop_waiting(self) -> None:
        """Drop the result that waits, after the end."""
        with suppress(queue.Empty):
            self._waiting.get_nowait()
            self._statistics.count('frames_dropped_queue')

    def end(self) -> None:
        """End after the result in hand."""
        self._ended.set()

    def run(self) -> None:
        """Send until told to end."""
        while not self._ended.is_set():
            try:
                frame, result = self._waiting.get(timeout=POLL_S)
            except queue.Empty:
                continue
            try:
                self._deliver(frame, result)
                latency_ms = (self._now_ns() - frame.stamp_ns) / 1e6
            except Exception as error:
                if self._statistics.bad_frame(f'results cannot be sent: {error}'):
                    _log.exception('results cannot be sent')
                continue
            self._statistics.processed(latency_ms, result.step_ms.get('graph', 0.0))
