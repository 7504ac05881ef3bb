# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Statistics of a stream of frames, and the diagnostics made from its status."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..reasons import kind_of
from ..status import Health, HealthLevel, StreamState, StreamStatus
from .measured import NOT_MEASURED
from .scale import NO_RESULTS
from .settings import DiagnosticsSettings

RATE_WINDOW_S = 10.0
RATE_FRAMES = 1000
"""Rates are those of this time, or of this many frames."""

PERCENTILES = (50, 95, 99)
PERCENTILE_FRAMES = 600
"""Percentiles are those of this many frames: six are beyond the 99th."""

MOST_REASONS = 20
"""More of them are not logged within RATE_WINDOW_S."""

OTHER_CLOCK_S = 60.0
"""Stamps that differ this much from the clock are of another clock."""

OK, WARN, ERROR = HealthLevel.OK, HealthLevel.WARN, HealthLevel.ERROR


class StreamStatistics:
    """Counters and times of the frames, as fields of StreamStatus; thread-safe."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys((
            'frames_received', 'frames_processed', 'frames_dropped_queue', 'frames_dropped_age',
            'frames_dropped_error', 'messages_lost'), 0)
        self._input_s: deque[float] = deque(maxlen=RATE_FRAMES)
        self._output_s: deque[float] = deque(maxlen=RATE_FRAMES)
        self._now_s = now_s
        self._bad_frame: tuple[str, float] = '', -math.inf
        # Kind of reason -> the first text of it, and when it was last logged.
        self._reasons: dict[str, tuple[str, float]] = {}
        # Latency, inference, and the difference of the two.
        self._times_ms: deque[tuple[float, float, float]] = deque(maxlen=PERCENTILE_FRAMES)

    def count(self, name: str, number: int = 1) -> None:
        """
        Add to a counter.

        :param name: a counter of StreamStatus, such as 'frames_dropped_age'.
        """
        with self._lock:
            self._counts[name] += number

    def bad_frame(self, reason: str) -> bool:
        """
        Count a frame that could not be decoded, processed or sent.

        :returns: whether to log it: not if a reason of its kind was logged within RATE_WINDOW_S,
            or goes on since.
        """
        with self._lock:
            self._counts['frames_dropped_error'] += 1
            now_s, kind = self._now_s(), kind_of(reason)
            recent = {key: known for key, known in self._reasons.items()
                      if now_s - known[1] <= RATE_WINDOW_S}
            is_news = kind not in recent and len(recent) < MOST_REASONS
            # The text of a kind stays, so that it does not change with every frame.
            text = recent[kind][0] if kind in recent else reason
            if is_news or kind in recent:
                recent[kind] = text, now_s
            self._reasons, self._bad_frame = recent, (text, now_s)
            return is_news

    def bad_frame_reason(self) -> str:
        """Why a frame was skipped in the last RATE_WINDOW_S; empty if none was."""
        with self._lock:
            reason, when_s = self._bad_frame
            return reason if self._now_s() - when_s <= RATE_WINDOW_S else ''

    def seen(self) -> None:
        """Note an image at the input, even if it is dropped."""
        with self._lock:
            self._input_s.append(self._now_s())

    def processed(self, latency_ms: float, inference_ms: float) -> None:
        """Count a frame whose results were sent."""
        with self._lock:
            self._counts['frames_processed'] += 1
            self._output_s.append(self._now_s())
            self._times_ms.append((latency_ms, inference_ms, latency_ms - inference_ms))

    def input_idle_s(self) -> float:
        """Seconds since the last image; NaN before the first."""
        with self._lock:
            return self._now_s() - self._input_s[-1] if self._input_s else math.nan

    def fields(self) -> dict[str, Any]:
        """Counters, rates and percentiles, as fields of StreamStatus."""
        with self._lock:
            columns = np.array(self._times_ms, np.float64).reshape(-1, 3).T
            latency_ms, inference_ms, overhead_ms = map(percentiles, columns)
            return {**self._counts, 'input_rate_hz': self._rate_hz(self._input_s),
                    'output_rate_hz': self._rate_hz(self._output_s), 'latency_ms': latency_ms,
                    'inference_ms': inference_ms, 'overhead_ms': overhead_ms}

    def _rate_hz(self, times_s: Sequence[float]) -> float:
        """NaN before the second event, 0 without two within RATE_WINDOW_S."""
        oldest_s = self._now_s() - RATE_WINDOW_S
        recent_s = [time_s for time_s in times_s if time_s >= oldest_s]
        if len(recent_s) < 2:
            return 0.0 if len(times_s) > 1 else math.nan
        return (len(recent_s) - 1) / max(recent_s[-1] - recent_s[0], 1e-9)


def percentiles(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float, float]:
    """50th, 95th and 99th percentile; NaN without values."""
    if not len(values):
        return math.nan, math.nan, math.nan
    low, middle, high = np.percentile(values, PERCENTILES)
    return float(low), float(middle), float(high)


def diagnostics(status: StreamStatus, limits: DiagnosticsSettings, *, bad_frame: str = '',
                age_s: float = math.nan, camera: tuple[str, bool] = ('', False),
                qos: Sequence[str] = (), scale: Health = NO_RESULTS,
                measured: Health = NOT_MEASURED) -> list[Health]:
    """
    Diagnostics of the node, one for each of its concerns.

    :param bad_frame: why an image was skipped recently; empty if none was.
    :param age_s: age of the latest image on arrival, by its stamp; NaN without one.
    :param camera: see CameraMemory.problem.
    :param qos: one message per topic with incompatible QoS.
    :param scale: see ScaleMonitor.health; measured: see MeasuredMemory.health.
    """
    problem, skipped = camera
    gpu_mib = status.gpu_memory_bytes / 2**20
    return [
        Health('engine', *_engine(status), {
            'state': status.state.name, 'backend': status.backend, 'model': status.model_id,
            'tasks': ', '.join(status.tasks), 'engine': status.engine_key,
            'build_percent': _text(100 * status.build_progress)}),
        Health('input', *_input(status, bad_frame, age_s), {
            'rate_hz': _text(status.input_rate_hz), 'age_s': _text(age_s),
            'received': str(status.frames_received),
            'dropped_queue': str(status.frames_dropped_queue),
            'dropped_age': str(status.frames_dropped_age),
            'dropped_error': str(status.frames_dropped_error)}),
        Health('camera_info', (ERROR if skipped else WARN) if problem else OK,
               problem or 'the camera is known'),
        scale,
        measured,
        Health('latency', *_latency(status, limits), {
            'output_rate_hz': _text(status.output_rate_hz),
            **{f'{name}_p{percent}_ms': _text(value)
               for name in ('latency', 'inference', 'overhead')
               for percent, value in zip(PERCENTILES, getattr(status, f'{name}_ms'),
                                         strict=True)}}),
        Health('gpu', OK, 'in use', {'memory_mib': f'{gpu_mib:.0f}'}) if gpu_mib
        else Health('gpu', OK, 'no GPU is used'),
        Health('qos', ERROR if qos else OK, '; '.join(qos) or 'compatible',
               {'messages_lost': str(status.messages_lost)})]


def _engine(status: StreamStatus) -> tuple[HealthLevel, str]:
    return {
        StreamState.UNCONFIGURED: (WARN, 'not configured'),
        StreamState.BUILDING: (WARN, status.message),
        StreamState.LOADING: (WARN, status.message),
        StreamState.ERROR: (ERROR, status.message),
    }.get(status.state, (OK, f'{status.model_id} runs on {status.backend}'))


def _input(status: StreamStatus, bad_frame: str, age_s: float) -> tuple[HealthLevel, str]:
    if status.state == StreamState.STALLED:
        return ERROR, status.message
    if bad_frame:
        return WARN, f'images are skipped: {bad_frame}'
    if age_s > OTHER_CLOCK_S:
        return WARN, (f'the latest image is more than {OTHER_CLOCK_S:g} s old by its stamp '
                      '(age_s); for a recording, play it with --clock and set use_sim_time')
    if age_s < -OTHER_CLOCK_S:
        return WARN, (f'the stamp of the latest image is more than {OTHER_CLOCK_S:g} s ahead of '
                      'the clock (age_s); for a live camera, do not set use_sim_time')
    return OK, 'images arrive' if status.input_rate_hz > 0 else 'no images'


def _latency(status: StreamStatus, limits: DiagnosticsSettings) -> tuple[HealthLevel, str]:
    if 0 < limits.max_latency_ms < status.latency_ms[1]:
        return WARN, ('more than 5 % of the results are later (latency_p95_ms) than '
                      f'diagnostics.max_latency_ms, which is {limits.max_latency_ms:g}')
    if status.state == StreamState.RUNNING and status.output_rate_hz < limits.min_output_rate_hz:
        return WARN, ('fewer results per second (output_rate_hz) than '
                      f'diagnostics.min_output_rate_hz, which is {limits.min_output_rate_hz:g}')
    return OK, 'within the limits'


def _text(value: float) -> str:
    return 'unknown' if math.isnan(value) else f'{value:.1f}'
