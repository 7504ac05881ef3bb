# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Counters, rates and percentiles, by a clock that the test sets."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from panoptic_depth_core.status import StreamState, StreamStatus
from panoptic_depth_core.streaming.monitoring import (
    PERCENTILE_FRAMES,
    RATE_FRAMES,
    RATE_WINDOW_S,
    StreamStatistics,
    percentiles,
)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def rate_hz(statistics: StreamStatistics) -> float:
    return statistics.fields()['input_rate_hz']


def test_a_steady_rate(clock: Clock) -> None:
    statistics = StreamStatistics(clock)
    assert math.isnan(rate_hz(statistics)) and math.isnan(statistics.input_idle_s())
    statistics.seen()
    assert math.isnan(rate_hz(statistics))
    for _ in range(30):
        clock.now_s += 0.1
        statistics.seen()
    assert rate_hz(statistics) == pytest.approx(10.0)
    # A while of silence is no change of the rate of what did come.
    clock.now_s += 0.5
    assert rate_hz(statistics) == pytest.approx(10.0)
    assert statistics.input_idle_s() == pytest.approx(0.5)


def test_only_the_window_counts(clock: Clock) -> None:
    statistics = StreamStatistics(clock)
    for period_s in (0.01, 0.5):
        for _ in range(100):
            clock.now_s += period_s
            statistics.seen()
    assert rate_hz(statistics) == pytest.approx(2.0)
    clock.now_s += RATE_WINDOW_S + 50
    # It did happen, but not lately: that is a rate of 0, and the silence goes on being measured.
    assert rate_hz(statistics) == 0.0
    assert statistics.input_idle_s() == pytest.approx(RATE_WINDOW_S + 50)
    statistics.seen()
    assert rate_hz(statistics) == 0.0 and statistics.input_idle_s() == 0.0


def test_a_rate_of_more_frames_than_are_kept(clock: Clock) -> None:
    statistics = StreamStatistics(clock)
    for _ in range(3 * RATE_FRAMES):
        clock.now_s += 0.001
        statistics.seen()
    assert rate_hz(statistics) == pytest.approx(1000.0)


def test_two_at_one_time(clock: Clock) -> None:
    statistics = StreamStatistics(clock)
    statistics.seen()
    statistics.seen()
    assert math.isfinite(rate_hz(statistics))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_percentiles_are_those_of_numpy(values: list[float]) -> None:
    assert percentiles(values) == pytest.approx(np.percentile(values, [50, 95, 99]).tolist())


def test_percentiles_by_hand() -> None:
    assert percentiles(range(101)) == (50.0, 95.0, 99.0)
    assert all(map(math.isnan, percentiles([])))


def test_percentiles_forget(clock: Clock) -> None:
    statistics = StreamStatistics(clock)
    for _ in range(5):
        statistics.processed(1e6, 1e6)
    for number in range(PERCENTILE_FRAMES):
        statistics.processed(100.0 + number % 101, 10.0)
    fields = statistics.fields()
    assert fields['latency_ms'][0] == pytest.approx(150.0, abs=1)
    assert fields['inference_ms'] == (10.0, 10.0, 10.0)
    assert fields['frames_processed'] == PERCENTILE_FRAMES + 5


def test_fields_are_those_of_the_status(clock: Clock) -> None:
    statistics = StreamStatistics(clock)
    empty = StreamStatus(StreamState.READY, **statistics.fields())
    assert empty.frames_received == 0 and math.isnan(empty.output_rate_hz)
    statistics.count('frames_received', 5)
    statistics.count('frames_dropped_age')
    statistics.count('messages_lost', 3)
    statistics.count('frames_dropped_queue', 0)
    for _ in range(3):
        statistics.seen()
        statistics.processed(20.0, 10.0)
        clock.now_s += 0.5
    status = StreamStatus(StreamState.READY, **statistics.fields())
    assert (status.frames_received, status.frames_processed, status.frames_dropped_queue,
            status.frames_dropped_age, status.messages_lost) == (5, 3, 0, 1, 3)
    assert (status.input_rate_hz, status.output_rate_hz) == (2.0, 2.0)
    assert (status.latency_ms, status.inference_ms) == ((20.0,) * 3, (10.0,) * 3)
    assert status.overhead_ms == (10.0,) * 3
    assert statistics.input_idle_s() == pytest.approx(0.5)
    with pytest.raises(KeyError, match='frames_droped'):
        statistics.count('frames_droped')


def test_a_reason_is_news_once_in_a_while(clock: Clock) -> None:
    statistics = StreamStatistics(clock)
    assert statistics.bad_frame_reason() == ''
    assert statistics.bad_frame('torn') and not statistics.bad_frame('torn')
    assert statistics.bad_frame('other') and not statistics.bad_frame('torn')
    clock.now_s += RATE_WINDOW_S
    assert statistics.bad_frame_reason() == 'torn'
    clock.now_s += 0.1
    assert statistics.bad_frame_reason() == ''
    assert statistics.bad_frame('torn')
    assert statistics.fields()['frames_dropped_error'] == 5


def test_a_reason_with_a_number_is_one_reason(clock: Clock) -> None:
    statistics = StreamStatistics(clock)
    news = [statistics.bad_frame(f'data has {size} bytes, damaged') for size in range(50)]
    assert news == [True] + [False] * 49
    assert statistics.bad_frame_reason() == 'data has 0 bytes, damaged'
    assert sum(statistics.bad_frame(f'reason {chr(65 + i)}') for i in range(26)) == 19


def test_no_count_is_lost_between_threads() -> None:
    statistics = StreamStatistics()
    start, impossible = threading.Barrier(4), []

    def count() -> None:
        start.wait()
        for _ in range(500):
            statistics.seen()
            statistics.count('frames_received')
            statistics.processed(1.0, 1.0)
            fields = statistics.fields()
            if fields['frames_received'] < fields['frames_processed']:
                impossible.append(fields)
            statistics.bad_frame('x')

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not impossible
    fields = statistics.fields()
    assert fields['frames_received'] == fields['frames_processed'] == 2000
    assert fields['frames_dropped_error'] == 2000
