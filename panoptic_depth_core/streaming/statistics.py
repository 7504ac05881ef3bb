# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Counters, rates and percentiles of a stream of frames; every method may be called anywhere."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

RATE_WINDOW_S = 10.0
"""Rates are those of the last so many seconds."""

PERCENTILES = (50, 95, 99)
PERCENTILE_FRAMES = 600
"""Percentiles are those of the last so many frames: 99 % of 600 leaves six beyond it."""


class Rate:
    """
    How often something happens.

    :param now_s: clock that never goes back.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._times: deque[float] = deque()
        self._last_s = math.nan
        self._repeated = False

    def tick(self) -> None:
        """It happened."""
        self._repeated = not math.isnan(self._last_s)
        self._last_s = self._now_s()
        self._times.append(self._last_s)
        self._forget()

    def hz(self) -> float:
        """Per second; NaN until it happened twice, 0 where it did not within RATE_WINDOW_S."""
        self._forget()
        if len(self._times) < 2:
            return 0.0 if self._repeated else math.nan
        return (len(self._times) - 1) / max(self._times[-1] - self._times[0], 1e-9)

    def idle_s(self) -> float:
        """Seconds since it happened last; NaN where it never did."""
        return self._now_s() - self._last_s

    def _forget(self) -> None:
        oldest = self._now_s() - RATE_WINDOW_S
        while self._times and self._times[0] < oldest:
            self._times.popleft()


class StreamStatistics:
    """What became of the frames, from which StreamStatus is filled."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys((
            'frames_received', 'frames_processed', 'frames_dropped_queue', 'frames_dropped_age',
            'frames_dropped_error', 'messages_lost'), 0)
        self._input = Rate(now_s)
        self._output = Rate(now_s)
        self._now_s = now_s
        self._bad_frame: tuple[str, float] = '', -math.inf
        # Latency, inference and what remains of the former without the latter.
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

        :returns: whether that is news: no frame failed for the same reason a short time ago.
        """
        with self._lock:
            self._counts['frames_dropped_error'] += 1
            former, when_s = self._bad_frame
            now_s = self._now_s()
            self._bad_frame = reason, now_s
            return reason != former or now_s - when_s > RATE_WINDOW_S

    def bad_frame_reason(self) -> str:
        """Why a frame was skipped in the last RATE_WINDOW_S; empty where none was."""
        with self._lock:
            reason, when_s = self._bad_frame
            return reason if self._now_s() - when_s <= RATE_WINDOW_S else ''

    def seen(self) -> None:
        """Note that an image came in, whatever becomes of it."""
        with self._lock:
            self._input.tick()

    def processed(self, latency_ms: float, inference_ms: float) -> None:
        """Count a frame whose results were sent."""
        with self._lock:
            self._counts['frames_processed'] += 1
            self._output.tick()
            self._times_ms.append((latency_ms, inference_ms, latency_ms - inference_ms))

    def input_idle_s(self) -> float:
        """Seconds since an image came in; NaN where none did."""
        with self._lock:
            return self._input.idle_s()

    def fields(self) -> dict[str, Any]:
        """Counters, rates and percentiles, as fields of StreamStatus."""
        with self._lock:
            columns = [list(column) for column in zip(*self._times_ms, strict=True)] or [[]] * 3
            latency_ms, inference_ms, overhead_ms = map(percentiles, columns)
            return {**self._counts, 'input_rate_hz': self._input.hz(),
                    'output_rate_hz': self._output.hz(), 'latency_ms': latency_ms,
                    'inference_ms': inference_ms, 'overhead_ms': overhead_ms}


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """50th, 95th and 99th percentile; NaN without values."""
    if not values:
        return math.nan, math.nan, math.nan
    low, middle, high = np.percentile(np.fromiter(values, np.float64), PERCENTILES)
    return float(low), float(middle), float(high)
