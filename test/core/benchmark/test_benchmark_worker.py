# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Work in a process of its own: answers, progress, and every way to fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import pieces_of_work as work
import pytest
from panoptic_depth_core.benchmark.pipeline import take_turns
from panoptic_depth_core.benchmark.worker import Worker, WorkerError, run


def test_an_answer_and_the_memory_that_it_took(capfd):
    with Worker(work.double, 21) as worker:
        assert worker.ask() == 42
        assert worker.peak_mib > 10
    assert capfd.readouterr().out == ''


def test_requests_and_progress():
    notes = []
    with Worker(work.counting, 5, note=notes.append) as worker:
        assert [worker.ask(), worker.ask(2), worker.ask(3)] == [
            {'total': 5}, {'total': 7}, {'total': 10}]
    assert notes == ['loading']


@pytest.mark.parametrize(('function', 'arguments', 'words'), [
    (work.wrong, ('it',), 'it is wrong; mend it'),
    (work.faulty, (), "KeyError: 'nonesuch'"),
    (work.die, (), 'its process ended with code 3: last words')])
def test_what_fails_or_dies_says_so(function, arguments, words):
    with pytest.raises(WorkerError) as caught:
        run(function, *arguments)
    assert str(caught.value) == words and not caught.value.is_late


def test_an_interpreter_that_cannot_start(monkeypatch):
    monkeypatch.setattr(sys, 'executable', '/bin/false')
    with pytest.raises(WorkerError, match='its process ended with code 1: no message'):
        run(work.double, 1)


def test_what_hangs_is_given_up():
    begun = time.monotonic()
    with pytest.raises(WorkerError, match='given up: it took longer than the 0.2 s') as caught:
        run(work.never, limit_s=0.2)
    assert caught.value.is_late and time.monotonic() - begun < 20


def test_turns_go_on_without_those_that_hang_or_die():
    """A hang and a crash cost only their own rows, and the hang not all of the time."""
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(function)) for function in (
            work.never, work.hang, work.die, work.steady)]
        *hung, dead, timing = take_turns(workers, 1, 7, round_frames=3, limit_s=12)
    assert all('given up' in other.error and not other.samples for other in hung)
    assert 'ended with code 3: last words' in dead.error and not dead.samples
    assert timing.samples == [{'graph': 1.0}] * 7 and not timing.error
    assert timing.about['load_ms'] == 1.0 and timing.about['peak_mib'] > 10


def test_turns_end_with_the_time():
    with Worker(work.never) as worker:
        timing, = take_turns([worker], 1, 3, limit_s=0.1)
    assert timing.error.startswith('given up') and not timing.samples


ENDED = """
import signal, sys, time
# Below nohup it would stay ignored.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
import pieces_of_work as work
from panoptic_depth_core.benchmark.worker import Worker
from panoptic_depth_core.cli.interruption import Terminated, ended_by_signals
try:
    with ended_by_signals(), Worker(work.counting, 5) as worker:
        print(worker._process.pid, worker._folder.name, flush=True)
        time.sleep(60)
except Terminated as error:
    sys.exit(error.code)
"""


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGHUP'])
def test_a_signal_leaves_neither_process_nor_folder(name):
    with subprocess.Popen([sys.executable, '-c', ENDED], stdout=subprocess.PIPE, text=True,
                          env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}) as program:
        pid, folder = program.stdout.readline().split()
        assert os.path.isdir(folder)
        program.send_signal(getattr(signal, name))
        assert program.wait(60) == 128 + getattr(signal, name)
    assert not os.path.exists(folder)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
