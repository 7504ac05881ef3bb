# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Many recordings in one process and in several, and what may happen to them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from misbehaving_jobs import (
    NAMES,
    Job,
    Store,
    die_at_first_start,
    die_at_start,
    metric_values,
    run_job,
)
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.evaluation.recordings.evaluate_bags import run_bags
from panoptic_depth_core.workers import pool

BOTH = pytest.mark.parametrize('workers', [1, 2])
REPOSITORY = Path(__file__).resolve().parents[3]


def run(jobs: list[Job], store: Store, workers: int, **kwargs) -> list:
    parts = list(run_bags(run_job, jobs, workers=workers, **store.callbacks(), **kwargs))
    assert not multiprocessing.active_children()
    return parts


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead but not yet collected does not."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def test_the_parts_are_the_same_for_any_number_of_processes(
        jobs: list[Job], tmp_path: Path) -> None:
    jobs[0] = replace(jobs[0], does='is slow')
    stores = [Store(tmp_path / str(workers)) for workers in (1, 2, 3)]
    alone, two, three = (run(jobs, store, workers) for workers, store in enumerate(stores, 1))
    assert [part['name'] for part in alone] == list(NAMES)
    assert metric_values(alone) == metric_values(two) == metric_values(three)
    assert metric_values(alone)[-1].instances == 25
    assert all(part['threads'] == 1 for part in (*alone, *two))
    assert sorted(stores[1].kept) == list(NAMES)
    assert stores[1].frames == dict.fromkeys(range(5), (5, 5)) == stores[0].frames
    assert [pid == os.getpid() for pid in jobs[1].runs()] == [True, False, False]


def test_opencv_has_its_threads_again(jobs: list[Job], store: Store) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        parts = run_bags(run_job, jobs, **store.callbacks())
        assert next(parts)['threads'] == 1
        assert cv2.getNumThreads() == 2
        parts.close()
    finally:
        cv2.setNumThreads(before)


@BOTH
def test_what_fails_costs_itself(jobs: list[Job], store: Store, workers: int) -> None:
    jobs[1], jobs[3] = replace(jobs[1], does='is wrong'), replace(jobs[3], does='is a bug')
    parts = run(jobs, store, workers)
    assert [part['name'] for part in parts] == list(NAMES)
    assert [part.get('error') for part in parts] == [
        None, 'ConfigError: b: no image in it; give another one', None, "KeyError: 'stamp'", None]
    assert sorted(store.kept) == ['a', 'c', 'e']
    assert len(jobs[1].runs()) == len(jobs[3].runs()) == 1


@pytest.mark.parametrize(('does', 'words'), [
    ('is killed', 'the worker that ran it failed twice: killed by SIGKILL, perhaps out of '
     'memory; use fewer workers'),
    ('exits', 'the worker that ran it failed twice: exit code 3')])
def test_a_process_that_dies(does: str, words: str, jobs: list[Job], store: Store) -> None:
    jobs[0] = replace(jobs[0], does=does)
    parts = run(jobs, store, 2)
    assert [part.get('error') for part in parts] == [words, None, None, None, None]
    assert len(set(jobs[0].runs())) == 2
    assert [len(job.runs()) for job in jobs[1:]] == [1, 1, 1, 1]


def test_a_process_that_dies_once(jobs: list[Job], store: Store, tmp_path: Path) -> None:
    expected = metric_values(run(jobs, Store(tmp_path / 'other'), 1))
    jobs = [replace(job, notes=tmp_path / 'other') for job in jobs]
    for job in jobs:
        (job.notes / job.name).unlink(missing_ok=True)
    jobs[2] = replace(jobs[2], does='is killed once')
    assert metric_values(run(jobs, store, 2)) == expected
    assert len(set(jobs[2].runs())) == 2


def test_a_part_that_cannot_be_sent(jobs: list[Job], store: Store) -> None:
    jobs[1] = replace(jobs[1], does='cannot be sent')
    errors = [part.get('error') for part in run(jobs, store, 2)]
    assert 'failed twice: ' in errors[1] and 'lambda' in errors[1]
    assert errors[:1] + errors[2:] == [None] * 4


@BOTH
def test_what_was_done_is_not_done_again(jobs: list[Job], store: Store, workers: int) -> None:
    first = run([jobs[0], replace(jobs[1], does='is wrong'), jobs[2]], store, 1)
    assert 'error' in first[1]
    expected = metric_values([first[0], first[2]])
    parts = run(jobs, store, workers)
    assert metric_values([parts[0], parts[2]]) == expected
    assert [len(job.runs()) for job in jobs] == [1, 2, 1, 1, 1]
    assert set(store.frames) == {0, 1, 2, 3, 4}


@BOTH
def test_it_ends_when_it_is_told_to(jobs: list[Job], store: Store, workers: int) -> None:
    jobs[2] = replace(jobs[2], does='is slow', frames=2000)
    parts = run(jobs, store, workers,
                stopped=lambda: 2 in store.frames and {'a', 'b'} <= set(store.kept))
    assert [part['name'] for part in parts] in ([], ['a'], ['a', 'b'])
    assert 'c' not in store.kept
    jobs[2] = replace(jobs[2], does='works', frames=5)
    assert len(run(jobs, store, workers)) == 5
    assert len(jobs[0].runs()) == 1


def test_a_caller_that_wants_no_more(jobs: list[Job], store: Store) -> None:
    jobs[1] = replace(jobs[1], does='never ends')
    parts = run_bags(run_job, jobs, workers=2, **store.callbacks())
    assert next(parts)['name'] == 'a'
    parts.close()
    assert not multiprocessing.active_children()


def test_a_disk_that_is_full_ends_it(jobs: list[Job], store: Store) -> None:
    def keep(job: Job, part) -> None:
        raise ConfigError('disk full')

    with pytest.raises(ConfigError, match='disk full'):
        list(run_bags(run_job, jobs, workers=2, **{**store.callbacks(), 'keep': keep}))
    assert not multiprocessing.active_children()


def test_a_part_that_is_gone_when_its_turn_comes(jobs: list[Job], store: Store) -> None:
    store.keep(jobs[0], {'name': 'a'})
    asked = []

    def done(job: Job):
        asked.append(job.name)
        return None if asked.count('a') == 2 and job.name == 'a' else store.done(job)

    parts = list(run_bags(run_job, jobs[:2], **{**store.callbacks(), 'done': done}))
    assert parts[0]['error'] == 'its part was finished but is gone; run it again'
    assert parts[1]['name'] == 'b' and 'error' not in parts[1]


def test_no_jobs(store: Store) -> None:
    assert run([], store, 1) == run([], store, 2) == []


def test_a_worker_that_hangs(jobs: list[Job], store: Store,
                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, 'SILENCE_S', 1.5)
    jobs[0] = replace(jobs[0], does='never ends')
    parts = run(jobs, store, 2)
    assert [part.get('error') for part in parts] == [
        'the worker that ran it failed twice: no progress for 0.025 min', *[None] * 4]
    assert len(set(jobs[0].runs())) == 2
    assert not any(map(is_alive, jobs[0].runs()))


@pytest.mark.parametrize(('start', 'ends'), [(die_at_first_start, True), (die_at_start, False)])
def test_workers_that_die_before_they_have_a_job(start: Callable, ends: bool, jobs: list[Job],
                                                 store: Store,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, '_start_worker', start)
    with nullcontext() if ends else pytest.raises(BackendError, match='die before they get a job'):
        assert not any('error' in part for part in run(jobs[:2], store, 2))
    assert not multiprocessing.active_children()


def test_without_pebble(jobs: list[Job], store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'pebble', None)
    with pytest.raises(ConfigError, match='pip install pebble, or use 1 worker'):
        run(jobs, store, 2)
    assert len(run(jobs, store, 1)) == 5


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from misbehaving_jobs import Job, Store, run_job
from panoptic_depth_core.cli.interruption import stop_on_signal
from panoptic_depth_core.evaluation.recordings.evaluate_bags import run_bags

if __name__ == '__main__':
    folder = Path({folder!r})
    jobs = [Job('a', folder), Job('b', folder, 'never ends'), Job('c', folder, 'never ends')]
    with stop_on_signal() as stop:
        print('begins', flush=True)
        for part in run_bags(run_job, jobs, workers=2, **Store(folder / 'parts').callbacks(),
                             stopped=lambda: bool(stop)):
            print(part['name'], flush=True)
    sys.exit(stop.exit_code)
"""


def start(folder: Path) -> subprocess.Popen:
    """The script in a session of its own."""
    script = folder / 'script.py'
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), folder=str(folder)))
    (folder / 'tmp').mkdir()
    return subprocess.Popen(
        [sys.executable, str(script)], start_new_session=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, 'PYTHONPATH': str(REPOSITORY),
                                     'TMPDIR': str(folder / 'tmp')})


@pytest.mark.parametrize(('number', 'to_all'), [
    (signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGKILL, False)])
def test_signals(number: signal.Signals, to_all: bool, tmp_path: Path) -> None:
    """Ctrl-C reaches all processes of the terminal; after kill -9 nobody is left to end them."""
    jobs = [Job('b', tmp_path), Job('c', tmp_path)]
    process = start(tmp_path)
    try:
        assert wait_until(lambda: all(job.runs() for job in jobs))
        pids = [job.runs()[0] for job in jobs]
        (os.killpg if to_all else os.kill)(process.pid, number)
        assert wait_until(lambda: not any(map(is_alive, pids)))
        out, err = process.communicate(timeout=20)
        assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
        assert out == b'begins\na\n' and b'Traceback' not in err
        assert Store(tmp_path / 'parts').done(Job('a', tmp_path))['name'] == 'a'
        assert [len(job.runs()) for job in jobs] == [1, 1]
        assert not list((tmp_path / 'tmp').glob('panoptic-depth-*'))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize('seconds', [0.1, 0.3, 0.6])
def test_ctrl_c_while_workers_start(seconds: float, tmp_path: Path) -> None:
    with start(tmp_path) as process:
        assert process.stdout.readline() == b'begins\n'
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=20)[1] == b''
        assert process.returncode == 128 + signal.SIGINT
