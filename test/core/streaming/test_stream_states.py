# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A stream that is switched on and off, that nothing comes into, and that is stopped."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from panoptic_depth_core.status import StreamState
from panoptic_depth_core.streaming import stream
from panoptic_depth_core.streaming.monitoring import RATE_WINDOW_S, StreamStatistics
from panoptic_depth_core.streaming.settings import DiagnosticsSettings
from streaming_doubles import PATIENCE_S, Rig, ScriptedBackend, block_sending, eventually


def test_nothing_is_taken_before_and_after(rig: Rig) -> None:
    rig.stream.start()
    rig.put(0)
    eventually(lambda: rig.stream.loaded)
    assert rig.stream.status().state == StreamState.READY and not rig.stream.active
    rig.put(1)
    rig.stream.set_active(True)
    rig.run(2)
    rig.hang(3)
    rig.put(4)
    rig.stream.set_active(False)
    rig.put(5)
    assert rig.stream.status().frames_dropped_queue == 1
    rig.script.release.set()
    rig.settle()
    # The one in hand is dropped as well; those of before and after are not counted.
    assert rig.stamps == [2]
    status = rig.stream.status()
    assert (status.frames_received, status.frames_dropped_queue) == (3, 2)
    rig.stream.set_active(True)
    rig.run(6)
    assert rig.stamps == [2, 6]
    assert len(rig.script.opened) == 1


def test_stalled(make_rig, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr(stream, 'StreamStatistics', lambda: StreamStatistics(lambda: now_s))
    monkeypatch.setattr(stream, 'time', SimpleNamespace(monotonic=lambda: now_s))
    with make_rig() as rig:
        limit_s = 2 * RATE_WINDOW_S
        rig.configure(diagnostics=DiagnosticsSettings(input_timeout_s=limit_s))
        rig.start()
        assert rig.stream.status().state == StreamState.RUNNING
        now_s += limit_s + 1
        status = rig.stream.status()
        assert status.state == StreamState.STALLED
        assert status.message.startswith('no image from /front/image for 20 s; check that')
        rig.run(0)
        assert rig.stream.status().state == StreamState.RUNNING
        # Longer than rates look back, but not than was asked for.
        now_s += limit_s - 1
        assert rig.stream.status().state == StreamState.RUNNING
        now_s += 2
        assert rig.stream.status().state == StreamState.STALLED
        rig.stream.set_active(False)
        assert rig.stream.status().state == StreamState.READY
        rig.stream.set_active(True)
        assert rig.stream.status().state == StreamState.RUNNING


def test_stop(rig: Rig) -> None:
    assert rig.stream.status().state == StreamState.UNCONFIGURED and not rig.stream.loaded
    rig.start()
    rig.run(0)
    assert rig.stream.stop(PATIENCE_S)
    status = rig.stream.status()
    assert (status.state, status.frames_processed) == (StreamState.UNCONFIGURED, 1)
    assert rig.script.opened[0].closed and not rig.stream.loaded and not rig.stream.active
    rig.put(1)
    rig.stream.watch()
    rig.stream.reload()
    rig.configure()
    assert rig.stream.status().frames_received == 1
    assert rig.stream.stop()


def test_stop_without_start(rig: Rig) -> None:
    assert rig.stream.stop()


def test_stop_while_results_wait(make_rig) -> None:
    """One is being sent, one waits for that, one waits for the second: none gets lost."""
    with make_rig(queue_policy='fifo') as rig:
        there, go_on = block_sending(rig)
        rig.start()
        for number in range(5):
            rig.put(number)
        assert there.wait(PATIENCE_S)
        eventually(lambda: len(rig.script.score_thresholds) == 3)
        assert not rig.stream.stop(0.3)
        go_on.set()
        assert rig.stream.stop(PATIENCE_S)
        status = rig.stream.status()
        assert rig.stamps == [0]
        assert (status.frames_received, status.frames_dropped_queue) == (5, 4)


def test_stop_while_loading(rig: Rig) -> None:
    go_on, plain = threading.Event(), rig.open

    def slowly(settings):
        assert go_on.wait(PATIENCE_S)
        return plain(settings)

    rig.open = slowly
    rig.stream.start()
    assert rig.stream.status().state == StreamState.LOADING
    assert rig.stream.status().message == 'the model is being loaded'
    assert not rig.stream.stop(0.05)
    go_on.set()
    eventually(lambda: not rig.threads())
    assert [backend.closed for backend in rig.script.opened] == [True]


def test_what_is_closed_was_opened_by_the_same_thread(rig: Rig) -> None:
    rig.start()
    rig.run(0)
    backend: ScriptedBackend = rig.script.opened[0]
    assert backend.threads and threading.get_ident() not in backend.threads
    assert np.isfinite(rig.sent[0][1].depth).all()
