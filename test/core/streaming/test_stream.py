# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Frames through a stream whose runtime is well; see test_recovery.py for when it is not."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from panoptic_depth_core.config import InferenceSettings, Thresholds, TrackingSettings
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.status import StreamState
from panoptic_depth_core.streaming import stream
from panoptic_depth_core.streaming.stream import Mailbox
from streaming_doubles import PATIENCE_S, Rig, block_sending, eventually, throwing


def test_frames_at_a_low_rate_all_come_out_in_order(rig: Rig) -> None:
    rig.now_ns = 7_000_000
    rig.start()
    for number in range(20):
        rig.run(number)
    assert rig.stamps == list(range(20))
    for frame, result in rig.sent:
        assert (result.stamp_ns, result.frame_id, result.name) == (
            frame.stamp_ns, 'front', str(frame.stamp_ns))
        assert [d.class_name for d in result.distances] == ['car']
    status = rig.stream.status()
    assert (status.state, status.message) == (StreamState.RUNNING, '')
    assert (status.frames_received, status.frames_processed) == (20, 20)
    assert (status.backend, status.model_id) == ('scripted 0', 'painted')
    assert status.tasks == ('depth', 'instances', 'semantic')
    assert status.latency_ms == pytest.approx((7.0, 7.0, 7.0), abs=1e-3)
    assert 0 < status.inference_ms[0] < PATIENCE_S * 1e3


def test_the_newest_frame_wins(rig: Rig) -> None:
    rig.start()
    rig.hang(0)
    for number in range(1, 10):
        rig.put(number)
    rig.script.release.set()
    rig.settle()
    assert rig.stamps == [0, 9]
    assert rig.stream.status().frames_dropped_queue == 8


def test_a_queue_keeps_the_order(make_rig) -> None:
    with make_rig(queue_policy='fifo') as rig:
        rig.start()
        rig.hang(0)
        for number in range(1, 14):
            rig.put(number)
        rig.script.release.set()
        rig.settle()
        assert rig.stamps == [0, *range(4, 14)]
        assert rig.stream.status().frames_dropped_queue == 3


class RecordingMailbox(Mailbox):
    """Notes what was newest whenever something is taken."""

    def __init__(self, capacity: int = 1) -> None:
        super().__init__(capacity)
        self.newest = None
        self.taken: list[tuple[int, int]] = []

    def put(self, item):
        with self._changed:
            self.newest = item
            return super().put(item)

    def take(self, timeout_s):
        with self._changed:
            item = super().take(timeout_s)
            if item is not None:
                self.taken.append((item.stamp_ns, self.newest.stamp_ns))
            return item


def test_overload(make_rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Input many times as fast as the runtime: only newest frames, at most two behind."""
    monkeypatch.setattr(stream, 'Mailbox', RecordingMailbox)
    with make_rig() as rig:
        rig.script.then = 'slow'
        behind: list[int] = []

        def deliver(frame, result) -> None:
            taken = [stamp for stamp, _ in box.taken]
            behind.append(len(taken) - 1 - taken.index(frame.stamp_ns))

        rig.deliver = deliver
        box: RecordingMailbox = rig.start().mailbox
        put = 0
        while len(rig.sent) < 25:
            rig.put(put)
            put += 1
            status = rig.stream.status()
            assert status.frames_received == put
            assert rig.dealt_with() <= put
            time.sleep(0.002)
        rig.settle()
        assert all(stamp == newest for stamp, newest in box.taken)
        assert rig.stamps == [stamp for stamp, _ in box.taken]
        # One in the runtime and one that waits to be sent.
        assert len(behind) == len(rig.sent) and max(behind) <= 2
        status = rig.stream.status()
        assert status.frames_processed == len(rig.sent) < put
        assert status.frames_dropped_queue == put - len(rig.sent)


def test_slow_sending_slows_the_work_down(rig: Rig) -> None:
    """What was worked out and not sent yet grows old: there is one of it, not many."""
    there, go_on = block_sending(rig)
    rig.start()
    rig.put(0)
    assert there.wait(PATIENCE_S)
    worked_out = rig.script.score_thresholds
    for number in (1, 2):
        rig.put(number)
        eventually(lambda count=number + 1: len(worked_out) == count)
    for number in range(3, 20):
        rig.put(number)
        time.sleep(0.005)
    assert len(worked_out) == 3
    go_on.set()
    rig.settle()
    assert rig.stamps == [0, 1, 2, 19]


def test_a_limited_rate(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now_s=1000.0)
    monkeypatch.setattr(stream, 'time', SimpleNamespace(monotonic=lambda: clock.now_s))
    rig.configure(max_rate_hz=10.0)
    rig.start()
    rig.run(0)
    for number, clock.now_s in ((1, 1000.0), (2, 1000.05), (3, 1000.099)):
        rig.put(number)
        time.sleep(0.05)
        assert rig.stream.status().frames_dropped_queue == max(number - 1, 0)
    clock.now_s = 1000.11
    rig.settle()
    assert rig.stamps == [0, 3]
    # Another limit counts at once, however long the former pause was to be.
    rig.configure(max_rate_hz=1e-6)
    rig.put(4)
    rig.configure(max_rate_hz=0.0)
    rig.settle()
    assert rig.stamps == [0, 3, 4]


def test_old_frames_are_dropped_when_their_turn_comes(rig: Rig) -> None:
    rig.configure(max_input_age_ms=100.0)
    rig.now_ns = 1_000_000_000
    rig.start()
    for stamp_ns in (0, 899_000_000, 901_000_000, 2_000_000_000):
        rig.run(stamp_ns)
    assert rig.stamps == [901_000_000, 2_000_000_000]
    assert rig.stream.status().frames_dropped_age == 2
    rig.configure()
    rig.run(5)
    assert rig.stamps[-1] == 5


@pytest.mark.parametrize(('error', 'words'), [
    (ConfigError('image: 0 x 0 px; give another'), 'image: 0 x 0 px; give another'),
    (IndexError('out of\n range'), 'IndexError: out of range'),
])
def test_a_bad_frame_is_counted_and_skipped(
        error: Exception, words: str, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.start()
    for number in range(5):
        rig.put(number, throwing(error))
        rig.settle()
    rig.script.todo.append('refuse')
    rig.run(5)
    rig.run(6)
    status = rig.stream.status()
    assert rig.stamps == [6] and status.frames_dropped_error == 6
    assert status.state == StreamState.RUNNING
    assert len(rig.script.opened) == 1
    assert rig.stream.statistics.bad_frame_reason() == 'this size is too odd; give another'
    # The log says each once.
    assert caplog.messages == [f'an image is skipped: {words}',
                               'an image is skipped: this size is too odd; give another']


def test_sending_that_fails_is_counted(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    def deliver(frame, result) -> None:
        if frame.stamp_ns in (1, 2):
            raise OSError('no room')

    rig.deliver = deliver
    rig.start()
    for number in range(4):
        rig.run(number)
    status = rig.stream.status()
    assert rig.stamps == [0, 3]
    assert (status.frames_processed, status.frames_dropped_error) == (2, 2)
    assert rig.stream.statistics.bad_frame_reason() == 'results cannot be sent: no room'
    assert caplog.messages == ['results cannot be sent']


def test_settings_count_from_the_next_frame_on(rig: Rig) -> None:
    """Also when the worker is waiting for that frame already; none gets half of them."""
    rig.start()
    for number in range(30):
        score, divisor = (0.25, 500) if number % 2 else (0.75, 1000)
        rig.configure(InferenceSettings(thresholds=Thresholds(score=score),
                                        label_divisor=divisor))
        rig.run(number)
        assert rig.script.score_thresholds[-1] == score
        assert rig.sent[-1][1].label_divisor == divisor
    assert len(rig.script.opened) == 1


def test_settings_do_not_change_within_a_frame(rig: Rig) -> None:
    rig.start()
    rig.hang(0)
    rig.configure(InferenceSettings(label_divisor=300))
    rig.put(1)
    rig.script.release.set()
    rig.settle()
    assert [result.label_divisor for _, result in rig.sent] == [1000, 300]


def test_tracking(rig: Rig) -> None:
    """Ids count on over a change of settings and while it is off."""
    pytest.importorskip('scipy')

    def ids() -> set[int]:
        return {d.track_id for d in rig.sent[-1][1].distances}

    tracked = InferenceSettings(tracking=TrackingSettings(enabled=True))
    second = 1_000_000_000
    rig.start()
    rig.run(1 * second)
    assert ids() == {-1}
    rig.configure(tracked)
    rig.run(2 * second)
    rig.run(2 * second + 1)
    assert ids() == {0}
    rig.configure()
    rig.run(3 * second)
    assert ids() == {-1}
    rig.configure(tracked)
    rig.run(9 * second)
    assert ids() == {1}
