# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A stream of images: one thread receives them, a second processes them, a third sends the results.

The receiving thread never waits. At most one result waits to be sent, so that what is sent is
never older than two frames.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from ..config import InferenceSettings
from ..inference.tracking import Tracker
from ..status import StreamState, StreamStatus
from ..structures import Frame, PanopticDepth
from .settings import DiagnosticsSettings, StreamSettings
from .statistics import StreamStatistics
from .worker import POLL_S, Job, Mailbox, OpenPipeline, Worker

MOST_ABANDONED = 3
"""Each hung worker may hold a model; if more of them hang, no further worker is started."""

_log = logging.getLogger(__name__)


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

    def __init__(self, open_pipeline: OpenPipeline,
                 deliver: Callable[[Frame, PanopticDepth], None], *,
                 stream: StreamSettings | None = None, inference: InferenceSettings | None = None,
                 diagnostics: DiagnosticsSettings | None = None,
                 now_ns: Callable[[], int] = time.time_ns, input_name: str = 'the input') -> None:
        self.statistics = StreamStatistics()
        self._settings = stream or StreamSettings()
        self._inference = inference or InferenceSettings()
        self._diagnostics = diagnostics or DiagnosticsSettings()
        self._input_name = input_name
        self._open_pipeline = open_pipeline
        self._deliver = deliver
        self._now_ns = now_ns
        self._mailbox: Mailbox[Job] = Mailbox(self._settings.capacity)
        self._outbox: queue.Queue[tuple[Frame, PanopticDepth]] = queue.Queue(1)
        self._worker: Worker | None = None
        self._sender = threading.Thread(
            target=self._send_all, name='panoptic_depth sender', daemon=True)
        self._ended = threading.Event()
        self._abandoned: list[Worker] = []
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
            self.statistics.count('frames_dropped_queue', self._mailbox.clear())

    def put(self, job: Job) -> None:
        """Add an image; never waits."""
        self.statistics.seen()
        if self.active:
            self.statistics.count('frames_received')
            self.statistics.count('frames_dropped_queue', self._mailbox.put(job))

    def configure(self, stream: StreamSettings, inference: InferenceSettings,
                  diagnostics: DiagnosticsSettings) -> None:
        """Change the settings, except the queue policy, from the next frame on."""
        self._settings, self._inference, self._diagnostics = stream, inference, diagnostics
        if self._worker is not None:
            self._worker.stream, self._worker.inference = stream, inference

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
        limit_s = self._settings.watchdog_timeout_s
        since_s = worker.busy_since_s
        if since_s is not None and time.monotonic() - since_s > limit_s:
            if not worker.give_up(since_s):
                return
            problem = (f'inference hangs for more than watchdog_timeout_s ({limit_s:g} s); '
                       f'{worker.backend} is loaded again')
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
        self._start_worker(problem, worker.tracker)

    @property
    def state(self) -> tuple[StreamState, str]:
        """State and message; cheaper than status()."""
        worker = self._worker
        if worker is None:
            return StreamState.UNCONFIGURED, ''
        if worker.ended:
            return StreamState.ERROR, (
                f'{len(self._abandoned)} workers hang in {worker.backend}: restart the node, and '
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
        fields = self.statistics.fields()
        if worker is not None:
            fields |= {**worker.model, 'build_progress': worker.build_progress}
        return StreamStatus(state=state, message=message, **fields)

    def _start_worker(self, problem: str = '', tracker: Tracker | None = None) -> None:
        self._worker = Worker(
            self._open_pipeline, self._mailbox, self._emit, self.statistics, self._settings,
            self._inference, self._now_ns, problem, tracker)
        self._worker.start()

    def _emit(self, frame: Frame, result: PanopticDepth) -> None:
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
                latency_ms = (self._now_ns() - frame.stamp_ns) / 1e6
            except Exception as error:
                if self.statistics.bad_frame(f'results cannot be sent: {error}'):
                    _log.exception('results cannot be sent')
                continue
            self.statistics.processed(latency_ms, result.step_ms.get('graph', 0.0))
