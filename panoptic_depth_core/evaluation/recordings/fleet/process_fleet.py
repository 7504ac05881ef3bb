# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Recordings by several processes of this machine, of which any may die.

Each process has a pipe of its own, on which it is given one job at a time: what a process leaves
half written when it is killed can then do no harm to the others, as it can in a shared queue.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from ....errors import BackendError
from ...dataset.parallel import become_worker
from .one_job import Job, Outcome, Part, Progress, Tell, packed_attempt, unpack

MOST_DEATHS = 2
"""Of processes, until the recording is taken for the reason."""

_POLL_S = 0.2
_END_S = 3.0


def by_processes(run: Callable[[Job, Tell], Part], jobs: Sequence[Job], todo: Sequence[int],
                 workers: int, progress: Progress, stopped: Callable[[], bool],
                 ) -> Generator[Outcome, None, None]:
    """
    Run jobs, see run_bags.

    :param todo: indices of the jobs to run.
    :returns: outcomes in the order in which they come; none more once it is stopped.
    :raises BackendError: when no process can be started.
    """
    waiting = deque(todo)
    deaths: Counter[int] = Counter()
    crew: list[_Worker] = []
    try:
        while waiting or any(worker.busy for worker in crew):
            if stopped():
                return
            _give(waiting, jobs, crew, workers, run)
            ready = wait([worker.connection for worker in crew if worker.busy], _POLL_S)
            for worker in [worker for worker in crew if worker.connection in ready]:
                index = worker.index
                assert index is not None
                try:
                    kind, *message = worker.connection.recv()
                except (EOFError, OSError):
                    if stopped():
                        return
                    crew.remove(worker)
                    how = worker.end()
                    deaths[index] += 1
                    if deaths[index] < MOST_DEATHS:
                        waiting.appendleft(index)
                    else:
                        yield Outcome(index, None, f'the process that ran it died twice: {how}')
                    continue
                if kind == 'told':
                    progress(index, *message)
                else:
                    worker.index = None
                    yield unpack(index, *message)
    finally:
        for worker in crew:
            worker.process.terminate()
        for worker in crew:
            worker.end()


class _Worker:
    """
    A process and what it is doing.

    :ivar index: of its job.
    """

    def __init__(self, run: Callable[[Any, Tell], Any]) -> None:
        # Not forked: a runtime's threads do not survive that.
        context = multiprocessing.get_context('spawn')
        self.connection, other = context.Pipe()
        self.index: int | None = None
        self.process: SpawnProcess = context.Process(target=_serve, args=(other, run), daemon=True)
        # Ctrl-C before the process has set itself up would end it with a traceback.
        with other, _held_back(signal.SIGINT):
            self.process.start()

    @property
    def busy(self) -> bool:
        return self.index is not None

    def give(self, index: int, job: Any) -> None:
        """Let it run a job; when it is dead, the end of its pipe says so."""
        self.index = index
        with suppress(OSError):
            self.connection.send(job)

    def end(self) -> str:
        """Make sure that it is dead, and say how it died."""
        self.connection.close()
        self.process.join(_END_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        code = self.process.exitcode or 0
        self.process.close()
        return _how(code)


def _give(waiting: deque[int], jobs: Sequence[Job], crew: list[_Worker], workers: int,
          run: Callable[[Job, Tell], Part]) -> None:
    """Give jobs to whoever has none, and to new processes as long as there may be more."""
    idle = [worker for worker in crew if not worker.busy]
    while waiting and (idle or len(crew) < workers):
        if idle:
            worker = idle.pop()
            if not worker.process.is_alive():
                # Killed while it had nothing to do, which is no job's fault.
                crew.remove(worker)
                worker.end()
                continue
        else:
            try:
                worker = _Worker(run)
            except OSError as error:
                if any(other.busy for other in crew):
                    return
                raise BackendError(f'no process can be started: {error}; give 1 worker, or free '
                                   'some memory') from error
            crew.append(worker)
        index = waiting.popleft()
        worker.give(index, jobs[index])


def _how(code: int) -> str:
    """How a process ended, from its exit code."""
    if code >= 0:
        return f'exit code {code}'
    with suppress(ValueError):
        name = signal.Signals(-code).name
        reason = ', perhaps for want of memory; give fewer workers' if name == 'SIGKILL' else ''
        return f'killed by {name}{reason}'
    return f'killed by signal {-code}'


@contextmanager
def _held_back(number: int) -> Iterator[None]:
    """Let a signal wait; a process that is started inside begins with it waiting."""
    if not hasattr(signal, 'pthread_sigmask'):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, run: Callable[[Any, Tell], Any]) -> None:
    """Run in a process of its own: one job after the other, until nobody has another one."""
    become_worker()
    if hasattr(signal, 'pthread_sigmask'):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def send(*message: Any) -> None:
        try:
            connection.send(message)
        except OSError:
            # Nobody is there any more; no job may take that for an error of its own.
            os._exit(1)

    with suppress(EOFError, ConnectionError):
        while True:
            job = connection.recv()
            send('done', packed_attempt(
                run, job, lambda done, expected: send('told', done, expected)))


def _end_with_parent() -> None:
    """Leave no process behind when the one that started it is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
