# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A runtime that fails, hangs, returns nonsense or cannot be loaded, and the way back."""

from __future__ import annotations

import pytest
from panoptic_depth_core.config import InferenceSettings, TrackingSettings
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.inference import tracking
from panoptic_depth_core.status import StreamState
from panoptic_depth_core.streaming.stream import FAILURES_BEFORE_RELOAD, MOST_ABANDONED
from streaming_doubles import PATIENCE_S, Rig, eventually, throwing

TIMEOUT_S = 10.0
HANGS = 'inference hangs for more than watchdog_timeout_s (10 s); scripted 0 is loaded again'


def state(rig: Rig) -> tuple[StreamState, str]:
    status = rig.stream.status()
    return status.state, status.message


def assert_recovers(rig: Rig, number: int) -> None:
    """The next frame goes well, and says so."""
    eventually(lambda: rig.stream.loaded, 'loading')
    rig.run(number)
    assert rig.stamps[-1] == number
    assert state(rig) == (StreamState.RUNNING, '')


@pytest.mark.parametrize(('what', 'words'), [
    ('fail', 'inference failed: device lost'),
    ('crash', 'inference failed: IndexError: deep inside'),
    ('nan', 'inference failed: scripted 0: depths are not finite; run the self-test '
     'of the model or use another precision'),
])
def test_one_failure(what: str, words: str, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.start()
    rig.script.todo.append(what)
    rig.run(0)
    assert state(rig) == (StreamState.ERROR, words)
    assert [(r.levelname, r.message) for r in caplog.records] == [('ERROR', words)]
    # A stack is of use only where nobody foresaw it.
    assert bool(caplog.records[0].exc_info) == (what == 'crash')
    assert_recovers(rig, 1)
    assert len(rig.script.opened) == 1 and rig.stamps == [1]
    assert rig.stream.status().frames_dropped_error == 1


def test_failures_in_a_row_load_the_model_again(rig: Rig) -> None:
    rig.start()
    rig.script.todo.extend(['fail', 'nan', 'ok', *['fail'] * (FAILURES_BEFORE_RELOAD - 1)])
    for number in range(len(rig.script.todo)):
        rig.run(number)
    assert len(rig.script.opened) == 1
    # A frame that cannot be decoded says nothing about the runtime.
    rig.put(10, throwing(ConfigError('torn')))
    rig.settle()
    rig.script.todo.append('fail')
    rig.run(11)
    eventually(lambda: len(rig.script.opened) == 2 and rig.stream.loaded, 'loading again')
    assert rig.script.opened[0].closed
    # It is loaded, but whether it works now has to be seen.
    assert state(rig) == (StreamState.ERROR, 'inference failed: device lost')
    assert_recovers(rig, 12)
    assert rig.stream.status().frames_dropped_error == 6
    assert rig.stream.status().backend == 'scripted 1'


def test_it_is_tried_for_ever(rig: Rig) -> None:
    rig.start()
    rig.script.then = 'fail'
    for number in range(4 * FAILURES_BEFORE_RELOAD):
        eventually(lambda: rig.stream.loaded)
        rig.run(number)
        assert state(rig)[0] == StreamState.ERROR
    rig.script.then = 'ok'
    assert_recovers(rig, 100)
    assert len(rig.script.opened) == 5


def test_a_runtime_that_cannot_be_closed(rig: Rig, monkeypatch: pytest.MonkeyPatch,
                                         caplog: pytest.LogCaptureFixture) -> None:
    rig.start()
    first = rig.script.opened[0]
    close = first.close

    def broken() -> None:
        close()
        raise BackendError('device lost')

    monkeypatch.setattr(first, 'close', broken)
    rig.script.todo.extend(['fail'] * FAILURES_BEFORE_RELOAD)
    for number in range(FAILURES_BEFORE_RELOAD):
        rig.run(number)
    eventually(lambda: len(rig.script.opened) == 2)
    rig.stream.watch()
    assert_recovers(rig, 9)
    assert 'scripted 0 cannot be closed' in caplog.messages
    assert len(rig.script.opened) == 2


@pytest.mark.parametrize('ends', ['hang', 'hang and fail', 'hang and crash'])
def test_a_hang(ends: str, rig: Rig) -> None:
    rig.start()
    rig.run(0)
    rig.script.todo.append(ends)
    rig.put(1)
    eventually(lambda: rig.script.hanging)
    rig.watch_after(TIMEOUT_S - 5)
    assert len(rig.script.opened) == 1
    assert state(rig)[0] == StreamState.RUNNING
    rig.watch_after(TIMEOUT_S + 5)
    assert state(rig) == (StreamState.ERROR, HANGS)
    assert rig.stream.status().frames_dropped_error == 1
    eventually(lambda: rig.stream.loaded)
    rig.stream.watch()
    assert state(rig) == (StreamState.ERROR, HANGS)
    assert_recovers(rig, 2)
    assert [backend.closed for backend in rig.script.opened] == [False, False]
    # What comes back late is not wanted, and was counted before.
    rig.script.release.set()
    eventually(lambda: rig.script.opened[0].closed, 'the end of the first runtime')
    eventually(lambda: len(rig.threads()) == 2)
    assert rig.stamps == [0, 2]
    status = rig.stream.status()
    assert (status.frames_processed, status.frames_dropped_error) == (2, 1)
    assert state(rig) == (StreamState.RUNNING, '')


def test_the_watchdog_by_its_own_clock(rig: Rig) -> None:
    rig.configure(watchdog_timeout_s=0.05)
    rig.start()
    rig.hang(0)

    def replaced() -> bool:
        rig.stream.watch()
        return len(rig.script.opened) == 2

    eventually(replaced)
    assert 'watchdog_timeout_s (0.05 s)' in state(rig)[1]
    rig.configure()
    assert_recovers(rig, 1)


def test_a_runtime_that_returns_just_in_time_is_kept(rig: Rig) -> None:
    rig.start()
    rig.hang(0)
    worker = rig.stream._worker
    since_s = worker.busy_since_s
    rig.script.release.set()
    rig.settle()
    assert not worker.give_up(since_s) and not worker.ended
    rig.run(1)
    assert rig.stamps == [0, 1] and len(rig.script.opened) == 1


def test_a_hang_while_nothing_is_taken(rig: Rig) -> None:
    rig.start()
    rig.hang(0)
    rig.stream.set_active(False)
    rig.watch_after(TIMEOUT_S + 5)
    eventually(lambda: rig.stream.loaded)
    rig.stream.set_active(True)
    assert_recovers(rig, 1)


def test_too_many_hangs(rig: Rig) -> None:
    rig.start()
    for number in range(MOST_ABANDONED + 1):
        eventually(lambda: rig.stream.loaded)
        rig.hang(number)
        rig.watch_after(TIMEOUT_S + 5)
    assert len(rig.script.opened) == MOST_ABANDONED + 1
    words = '4 workers hang in scripted 3: restart the node, and choose another backend'
    assert state(rig)[0] == StreamState.ERROR and state(rig)[1].startswith(words)
    # It does not look as if it could be started.
    assert not rig.stream.loaded
    for number in (10, 11):
        rig.put(number)
        rig.watch_after(TIMEOUT_S + 5)
    assert not rig.stream.reload()
    assert state(rig)[1].startswith(words)
    assert len(rig.script.opened) == MOST_ABANDONED + 1
    status = rig.stream.status()
    assert (status.frames_dropped_error, status.frames_dropped_queue) == (4, 1)
    assert not rig.stream.stop(0.01)


def test_those_that_come_back_do_not_count_as_hanging(rig: Rig) -> None:
    rig.start()
    for number in range(MOST_ABANDONED + 3):
        eventually(lambda: rig.stream.loaded)
        rig.script.release.clear()
        rig.hang(number)
        rig.watch_after(TIMEOUT_S + 5)
        rig.script.release.set()
        eventually(lambda: len(rig.threads()) == 2)
    assert_recovers(rig, 100)


def test_stop_while_hung(rig: Rig) -> None:
    rig.start()
    rig.hang(0)
    rig.watch_after(TIMEOUT_S + 5)
    eventually(lambda: rig.stream.loaded)
    rig.hang(1)
    assert not rig.stream.stop(0.05)
    rig.script.release.set()
    assert rig.stream.stop(PATIENCE_S)
    assert rig.stamps == []


@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadExceptionWarning')
def test_a_dead_worker_is_replaced(rig: Rig) -> None:
    """No Exception ends it, but a library may call sys.exit."""
    rig.start()
    plain, rig.open = rig.open, throwing(SystemExit(3))
    assert rig.stream.reload()
    eventually(lambda: len(rig.threads()) == 1)
    assert not rig.stream.loaded
    rig.open = plain
    rig.stream.watch()
    assert state(rig) == (StreamState.ERROR, 'the worker thread died; it is started again')
    assert_recovers(rig, 0)
    assert rig.stream.status().frames_dropped_error == 0


def test_tracks_do_not_start_again_after_a_hang(rig: Rig) -> None:
    pytest.importorskip('scipy')
    rig.configure(InferenceSettings(tracking=TrackingSettings(enabled=True)))
    rig.start()
    rig.run(1)
    rig.hang(2)
    rig.watch_after(TIMEOUT_S + 5)
    eventually(lambda: rig.stream.loaded)
    rig.run(60_000_000_000)
    assert [{d.track_id for d in result.distances} for _, result in rig.sent] == [{0}, {1}]


def test_settings_that_cannot_be_used(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker survives them, says why, and goes on when they are mended."""
    monkeypatch.setattr(tracking, 'assignment_solver', throwing(ConfigError('get scipy')))
    rig.start()
    rig.configure(InferenceSettings(tracking=TrackingSettings(enabled=True)))
    for number in range(FAILURES_BEFORE_RELOAD + 1):
        eventually(lambda: rig.stream.loaded)
        rig.run(number)
        assert state(rig) == (StreamState.ERROR, 'inference failed: get scipy')
    rig.configure()
    assert_recovers(rig, 9)
