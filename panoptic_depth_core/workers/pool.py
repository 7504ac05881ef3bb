# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Jobs run by workers: this process, several processes of this machine, or a Ray cluster.

The processes are a pool of pebble, because it alone says which job lost its worker, and how;
concurrent.futures and loky give up every job when one worker dies.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import connection, resource_tracker
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

import cv2

from ..errors import BackendError, ConfigError

Job = TypeVar('Job')
Result = TypeVar('Result')

Tell = Callable[[int, int | None], None]
"""Called with the number of steps done and, if known, of those expected."""

Progress = Callable[[int, int, int | None], None]
"""The same, after the index of the job."""

MOST_FAILURES = 2
"""Of workers that run a job, until the job is taken for the cause."""

SILENCE_S = 3600.0
"""Without progress until a worker is taken to hang; building an engine is silent, too."""

_MOST_RESTARTS = 5
_POLL_S = 0.05
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""See mallopt(3)."""
_KEPT_BYTES = 256 << 20


class WorkerError(BackendError):
    """A job that failed because of its worker."""


class Outcome(NamedTuple):
    """How a job ended: its result, or None and the error; job_index is from 0."""

    job_index: int
    result: Any
    error: Exception | None


class Workers(NamedTuple):
    """
    Processes, here or elsewhere.

    :param submit: queues the job of an index, for what ``packed`` returns or a file of it.
    :param told: the progress of jobs so far, by index.
    :param how: the error of a Future in words: how the worker failed.
    """

    submit: Callable[[int], Future[bytes | Path]]
    told: Callable[[], dict[int, tuple[int, int | None]]]
    how: Callable[[Exception], str]


def run_jobs(run: Callable[[Job, Tell], Result], jobs: Sequence[Job], *, workers: int = 1,
             ray_address: str | None = None,
             progress: Progress = lambda index, done, expected: None,
             stopped: Callable[[], bool] = lambda: False) -> Generator[Outcome, None, None]:
    """
    Run every job; an error in one, or the death of its worker, costs no other job anything.

    :param run: OpenCV uses one thread while it runs. For several workers it and the jobs are
        pickled once per worker, in which it may keep state from one job to the next.
    :param workers: number of processes; 1 is this one.
    :param ray_address: of a cluster to use instead, see ray_cluster.
    :param progress: called in this process, a few times per second.
    :param stopped: whether to end at once. Closing the generator does the same.
    :returns: outcomes in the order in which the jobs end; no more once stopped.
    :raises ConfigError: the package for several workers is missing, or there is no cluster.
    :raises BackendError: no process can be started, or the cluster is lost.
    """
    if not jobs:
        return
    if ray_address is not None:
        from .ray_cluster import ray_workers

        opened = ray_workers(run, jobs, ray_address)
    elif workers > 1:
        opened = _processes(run, jobs, min(workers, len(jobs)))
    else:
        yield from _run_here(run, jobs, progress, stopped)
        return
    with opened as (submit, told, how):
        futures = {submit(index): index for index in range(len(jobs))}
        failures, seen = Counter[int](), dict[int, tuple[int, int | None]]()
        heard = dict.fromkeys(range(len(jobs)), time.monotonic())
        while futures and not stopped():
            ended = wait(futures, _POLL_S, 'FIRST_COMPLETED').done
            now = time.monotonic()
            for index, state in told().items():
                if seen.get(index) != state:
                    seen[index], heard[index] = state, now
                    progress(index, *state)
            for future, index in futures.items():
                if not future.running():
                    heard[index] = now
                elif now - heard[index] > SILENCE_S and future.cancel():
                    failures[index] += 1
            for future in ended:
                index = futures.pop(future)
                try:
                    outcome = Outcome(index, *pickle.loads(_read(future.result())))
                except Exception as error:
                    # A pool that lost its workers before they had a job is no job's fault.
                    failures[index] += not isinstance(error, (BrokenProcessPool, CancelledError))
                    if failures[index] < MOST_FAILURES:
                        futures[submit(index)], heard[index] = index, now
                        continue
                    outcome = Outcome(index, None, WorkerError(
                        f'the worker that ran it failed twice: {how(error)}'))
                if stopped():
                    return
                yield outcome


class _Stop(BaseException):
    """Ends a job in this process; not an Exception, so that no job handles it."""


def _run_here(run: Callable[[Job, Tell], Any], jobs: Sequence[Job], progress: Progress,
              stopped: Callable[[], bool]) -> Iterator[Outcome]:
    for index, job in enumerate(jobs):
        def tell(done: int, expected: int | None, index: int = index) -> None:
            if stopped():
                raise _Stop
            progress(index, done, expected)

        if stopped():
            return
        try:
            outcome = Outcome(index, *_attempt(run, job, tell))
        except _Stop:
            return
        yield outcome


def _attempt(run: Callable[[Job, Tell], Result], job: Job,
             tell: Tell) -> tuple[Result | None, Exception | None]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return run(job, tell), None
    except Exception as error:
        return None, error
    finally:
        cv2.setNumThreads(threads)


def packed(run: Callable[[Job, Tell], Any], job: Job, tell: Tell) -> bytes:
    """Run a job in a worker; return its result and error, pickled."""
    result, error = _attempt(run, job, tell)
    if error is not None:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            error = WorkerError(in_words(error))
    return pickle.dumps((result, error), pickle.HIGHEST_PROTOCOL)


def _read(data: bytes | Path) -> bytes:
    if isinstance(data, bytes):
        return data
    content = data.read_bytes()
    data.unlink()
    return content


def in_words(error: BaseException) -> str:
    """One line: ``Type: text`` of an error of a job, the text alone of one of a worker."""
    text = ' '.join(str(error).split())
    return text if isinstance(error, WorkerError) else f'{type(error).__name__}: {text}'


@contextmanager
def _processes(run: Callable[[Job, Tell], Any], jobs: Sequence[Job],
               workers: int) -> Iterator[Workers]:
    """
    Start processes of this machine.

    Results come by files and progress by shared memory: a worker that is killed while it writes
    into the pipe that all of them share, as a large result takes long enough for, stops them all.
    """
    try:
        from pebble import ProcessPool
    except ImportError as error:
        raise ConfigError('several workers need the package pebble, which is not installed; '
                          'pip install pebble, or use 1 worker') from error
    # Not forked: the threads of a runtime do not survive that.
    context = multiprocessing.get_context('spawn')
    board = context.RawArray('q', [-1] * (2 * len(jobs)))
    with TemporaryDirectory(prefix='panoptic-depth-') as folder:
        new_pool: Callable[[], Any] = partial(
            ProcessPool, workers, context=context, initializer=_start_worker,
            initargs=(run, jobs, board, Path(folder)))
        pool, restarts = new_pool(), 0
        pending: set[Future[bytes | Path]] = set()

        def submit(index: int) -> Future[bytes | Path]:
            nonlocal pool, restarts
            # Ctrl-C is for this process alone, also while Python starts in a worker.
            with _held_back(signal.SIGINT):
                try:
                    if not pool.active:
                        # pebble gives up when a worker dies while none of them has a job.
                        pool.join()
                        pool, restarts = new_pool(), restarts + 1
                        if restarts > _MOST_RESTARTS:
                            raise RuntimeError('they die before they get a job')
                    future: Future[bytes | Path] = pool.schedule(_work, (index,))
                except RuntimeError as error:
                    raise BackendError('no worker can be started: '
                                       f'{error.__cause__ or error}; use 1 worker, or free some '
                                       'memory') from error
                pending.add(future)
                future.add_done_callback(pending.discard)
                return future

        def told() -> dict[int, tuple[int, int | None]]:
            if not pool.active:
                # pebble forgets jobs that it gets while it gives up.
                for future in list(pending):
                    with suppress(RuntimeError):
                        future.cancel()
                        future.set_running_or_notify_cancel()
            pairs = enumerate(zip(board[::2], board[1::2], strict=True))
            return {index: (done, None if expected < 0 else expected)
                    for index, (done, expected) in pairs if done >= 0}

        try:
            yield Workers(submit, told, _how)
        finally:
            pool.stop()
            pool.join()


def _how(error: Exception) -> str:
    code = getattr(error, 'exitcode', None)
    if code is None:
        return f'no progress for {SILENCE_S / 60:g} min' if isinstance(
            error, CancelledError) else in_words(error)
    if code >= 0:
        return f'exit code {code}'
    with suppress(ValueError):
        name = signal.Signals(-code).name
        reason = ', perhaps out of memory; use fewer workers' if name == 'SIGKILL' else ''
        return f'killed by {name}{reason}'
    return f'killed by signal {-code}'


@contextmanager
def _held_back(number: int) -> Iterator[None]:
    """Block a signal in this thread, and for good in threads and processes started inside."""
    if not hasattr(signal, 'pthread_sigmask'):
        yield
        return
    # The first process starts it otherwise, and it unblocks the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_assigned: tuple[Callable[[Any, Tell], Any], Sequence[Any], Any, Path]
"""In workers: function, jobs, shared memory for progress, folder for results."""


def _start_worker(*assigned: Any) -> None:
    global _assigned
    _assigned = assigned
    # At once, also in the middle of a computation of seconds.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()


def _work(index: int) -> Path:
    run, jobs, board, folder = _assigned

    def tell(done: int, expected: int | None) -> None:
        board[2 * index + 1] = -1 if expected is None else expected
        board[2 * index] = done

    path = folder / str(index)
    path.write_bytes(packed(run, jobs[index], tell))
    return path


def _end_with_parent() -> None:
    """Leave no process behind when the one that started it is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    shutil.rmtree(_assigned[-1], ignore_errors=True)
    os._exit(1)


def keep_freed_memory() -> None:
    """
    Let this process reuse the memory of one frame for the next, if its C library is glibc.

    Otherwise every image is returned to the system and requested again, page by page, which takes
    twice as long as decoding it. For whole programs only: it applies to all that they do.
    """
    with suppress(OSError, AttributeError):
        set_option = ctypes.CDLL(None).mallopt
        for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
            set_option(option, _KEPT_BYTES)
