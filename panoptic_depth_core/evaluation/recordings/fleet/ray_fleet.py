# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Recordings on a Ray cluster (https://docs.ray.io).

Its machines need this version of this package, and must see the recordings and models under the
paths that they are given by: nothing but jobs and parts goes over the network.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ....errors import BackendError, ConfigError
from .code_digest import code_digest
from .one_job import Job, Outcome, Part, Progress, Tell, in_words, packed_attempt, unpack
from .process_fleet import MOST_DEATHS

_POLL_S = 0.2
_REACH_S = 5.0
_HEALTH_S = 15.0

_REMEDY = ('check that "ray start --head" runs there and that its port is open from here, or give '
           '--workers')
_SAME = ('all machines of the cluster need the same version of panoptic-depth, and the '
         'recordings at the same paths')


def by_ray(run: Callable[[Job, Tell], Part], jobs: Sequence[Job], todo: Sequence[int],
           address: str, progress: Progress, stopped: Callable[[], bool],
           ) -> Generator[Outcome, None, None]:
    """
    Run jobs, see run_bags; each has one core.

    :param todo: indices of the jobs to run.
    :param address: of a cluster: HOST:PORT of its head node (mostly 6379), ray://HOST:PORT of its
        client server (mostly 10001), auto for one that this machine is part of; or local, which
        starts one here.
    :returns: outcomes in the order in which they come; none more once it is stopped.
    :raises ConfigError: when ray is not installed, or there is no cluster at the address.
    :raises BackendError: when the cluster is lost.
    """
    if not todo:
        return
    with _cluster(address) as ray:
        try:
            yield from _run(ray, run, jobs, todo, progress, stopped)
        except ConnectionError as error:
            raise BackendError(f'--ray {address}: the cluster is lost: {in_words(error)}; what is '
                               'finished is kept, run the same command again') from error


def _run(ray: Any, run: Callable[[Job, Tell], Part], jobs: Sequence[Job], todo: Sequence[int],
         progress: Progress, stopped: Callable[[], bool]) -> Iterator[Outcome]:
    waiting = deque(todo)
    deaths: Counter[int] = Counter()
    flying: dict[Any, int] = {}
    # Not Ray's own retries, which have no end where memory is short.
    task = ray.remote(num_cpus=1, max_retries=0)(_task)
    board = _Board(ray)
    try:
        while waiting or flying:
            if stopped():
                return
            while waiting and len(flying) < _most_at_once(ray):
                index = waiting.popleft()
                flying[task.remote(run, jobs[index], index, board.actor, code_digest())] = index
            ready, _ = ray.wait(list(flying), timeout=_POLL_S)
            for index, told in board.read():
                progress(index, *told)
            for reference in ready:
                index = flying.pop(reference)
                try:
                    outcome = unpack(index, ray.get(reference))
                except ray.exceptions.RayTaskError as error:
                    # Such as a package that is missing there: the last line of a traceback.
                    reason = str(error.cause).strip().rpartition('\n')[2]
                    outcome = Outcome(index, None, f'{reason}; {_SAME}')
                except ray.exceptions.RayError as error:
                    deaths[index] += 1
                    if deaths[index] < MOST_DEATHS:
                        waiting.appendleft(index)
                        continue
                    reason = in_words(error).partition('. ')[0]
                    outcome = Outcome(index, None, f'the process that ran it died twice: {reason}')
                yield outcome
        # The first was asked before the last of it was told.
        for index, told in [*board.read(_REACH_S), *board.read(_REACH_S)]:
            progress(index, *told)
    finally:
        for reference in flying:
            with suppress(Exception):
                ray.cancel(reference, force=True)
        board.end()


def _most_at_once(ray: Any) -> int:
    """Tasks in flight: twice the cores, so that one always waits where one ends."""
    return max(2, 2 * int(ray.cluster_resources().get('CPU', 1)))


def _task(run: Callable[[Job, Tell], Part], job: Job, index: int, board: Any,
          digest: str) -> bytes:
    """Run a job on a machine of the cluster; bytes, as arrays that Ray gives back are fixed."""
    if code_digest() != digest:
        return packed_attempt(_other_version, socket.gethostname(), _tell_nobody)
    sent: deque[Any] = deque(maxlen=1)
    data = packed_attempt(run, job, lambda done, expected: sent.append(
        board.tell.remote(index, done, expected)))
    # The last of it would otherwise come after the result, when nobody reads it any more.
    if sent:
        importlib.import_module('ray').wait(list(sent), timeout=_REACH_S)
    return data


def _other_version(host: str, tell: Tell) -> None:
    raise ConfigError(f'machine {host} has another version of panoptic-depth; {_SAME}')


def _tell_nobody(done: int, expected: int | None) -> None:
    pass


class _Told:
    """What jobs told since it was last read; an actor of its own."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[int, int | None]] = {}

    def tell(self, index: int, done: int, expected: int | None) -> None:
        self._told[index] = done, expected

    def read(self) -> dict[int, tuple[int, int | None]]:
        told, self._told = self._told, {}
        return told


class _Board:
    """What jobs tell, read without ever waiting for it; its loss costs nothing but that."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self.actor = ray.remote(num_cpus=0)(_Told).remote()
        self._asked = self.actor.read.remote()

    def read(self, timeout_s: float = 0.0) -> list[tuple[int, tuple[int, int | None]]]:
        """Index of each job that told something, and what; at the end it is worth a wait."""
        if not self._ray.wait([self._asked], timeout=timeout_s)[0]:
            return []
        try:
            told = self._ray.get(self._asked)
        except self._ray.exceptions.RayError:
            return []
        self._asked = self.actor.read.remote()
        return sorted(told.items())

    def end(self) -> None:
        """Let go of the process that it runs in."""
        with suppress(Exception):
            self._ray.kill(self.actor)


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    """
    Be connected to a cluster; to the one that this process is connected to, if it is to one.

    :returns: the module ``ray``.
    """
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    try:
        ray = importlib.import_module('ray')
    except ImportError as error:
        raise ConfigError("--ray: ray is not installed; install the extra: pip install "
                          "'panoptic-depth[fleet]'") from error
    if ray.is_initialized():
        yield ray
        return
    address = os.environ.get('RAY_ADDRESS', address) if address == 'auto' else address
    _require_reachable(address)
    try:
        with _own_sigterm():
            ray.init(address, log_to_driver=False, logging_level='ERROR',
                     **({'include_dashboard': False, '_node_ip_address': '127.0.0.1'}
                        if address == 'local' else {}))
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ConfigError(f'--ray {address}: {in_words(error)}; {_REMEDY}') from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_reachable(address: str) -> None:
    """
    Check that a cluster answers: Ray itself tries for minutes, and hears no signal meanwhile.

    :raises ConfigError: when it does not.
    """
    if address == 'local':
        return
    if address != 'auto':
        host, _, port = address.removeprefix('ray://').rpartition(':')
        if not host or not port.isdecimal() or int(port) > 0xffff:
            raise ConfigError(f'--ray {address}: is no address of a cluster; give HOST:PORT, '
                              'ray://HOST:PORT, auto or local')
        try:
            socket.create_connection((host.strip('[]'), int(port)), _REACH_S).close()
        except OSError as error:
            raise ConfigError(f'--ray {address}: cannot be reached: {error.strerror or error}; '
                              f'{_REMEDY}') from error
    if address.startswith('ray://'):
        return
    command = [sys.executable, '-m', 'ray.scripts.scripts', 'health-check',
               *(() if address == 'auto' else ('--address', address))]
    try:
        healthy = subprocess.run(command, capture_output=True, timeout=_HEALTH_S,
                                 check=False).returncode == 0
    except subprocess.TimeoutExpired:
        healthy = False
    if not healthy:
        where = 'no cluster runs on this machine' if address == 'auto' else (
            'what is there is no head node of a Ray cluster of this version')
        raise ConfigError(f'--ray {address}: {where}; {_REMEDY}')


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep the handler of SIGTERM, in whose place Ray puts its own."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
