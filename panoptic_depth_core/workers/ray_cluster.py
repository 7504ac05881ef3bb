# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Workers on a Ray cluster (https://docs.ray.io).

Its machines need this version of this package, and the files that jobs name at the same paths:
only jobs and results go over the network.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import BackendError, ConfigError
from .pool import Job, Tell, Workers, in_words, packed

_TELL_EVERY_S = 0.1
_REACH_S = 5.0
_HEALTH_S = 15.0

_REMEDY = ('check that "ray start --head" runs there and that its port is open from here, or give '
           '--workers')
_SAME = ('all machines of the cluster need the same version of panoptic-depth, and the '
         'recordings at the same paths')


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 of the source of this package; its version does not change with every edit."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).resolve().parents[1].rglob('*.py')):
        digest.update(source.read_bytes())
    return digest.hexdigest()


@contextmanager
def ray_workers(run: Callable[[Job, Tell], Any], jobs: Sequence[Job],
                address: str) -> Iterator[Workers]:
    """
    Connect to a cluster; each job gets one core.

    :param address: HOST:PORT of its head node (usually 6379), ray://HOST:PORT of its client
        server (usually 10001), auto for one that this machine is part of, or local, which starts
        one here.
    :raises ConfigError: ray is not installed, or there is no cluster at the address.
    :raises BackendError: the cluster is lost.
    """
    with _cluster(address) as ray:
        # Not Ray's own retries, which never end where memory is short.
        task = ray.remote(num_cpus=1, max_retries=0)(_task)
        board = ray.remote(num_cpus=0)(_Board).remote()
        references: dict[Future[bytes | Path], Any] = {}

        def submit(index: int) -> Future[bytes | Path]:
            reference = task.remote(run, jobs[index], index, board, code_digest())
            future: Future[bytes | Path] = reference.future()
            references[future] = reference
            future.add_done_callback(references.pop)
            return future

        def told() -> dict[int, tuple[int, int | None]]:
            # A lost board costs nothing but progress.
            with suppress(ray.exceptions.RayError):
                state: dict[int, tuple[int, int | None]] = ray.get(
                    board.read.remote(), timeout=_REACH_S)
                return state
            return {}

        def how(error: Exception) -> str:
            if isinstance(error, ray.exceptions.RayTaskError):
                # Such as a package that is missing there: the last line of a traceback.
                return f'{str(error.cause).strip().rpartition(chr(10))[2]}; {_SAME}'
            return in_words(error).partition('. ')[0]

        try:
            yield Workers(submit, told, how)
        except ConnectionError as error:
            raise BackendError(f'--ray {address}: the cluster is lost: {in_words(error)}; what is '
                               'finished is kept, run the same command again') from error
        finally:
            for reference in list(references.values()):
                with suppress(Exception):
                    ray.cancel(reference, force=True)
            with suppress(Exception):
                ray.kill(board)


def _task(run: Callable[[Job, Tell], Any], job: Job, index: int, board: Any,
          digest: str) -> bytes:
    """Run a job on a machine of the cluster; bytes, as arrays that Ray returns are read-only."""
    if code_digest() != digest:
        raise RuntimeError(f'machine {socket.gethostname()} has another version of panoptic-depth')
    due, last = 0.0, (0, None)

    def tell(*told: Any) -> None:
        nonlocal due, last
        last = told
        if time.monotonic() >= due:
            board.tell.remote(index, *told)
            due = time.monotonic() + _TELL_EVERY_S

    data = packed(run, job, tell)
    # Waits, or it would come after the result, when nobody reads it any more.
    importlib.import_module('ray').wait([board.tell.remote(index, *last)], timeout=_REACH_S)
    return data


class _Board:
    """Progress of the jobs; an actor of its own."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[int, int | None]] = {}

    def tell(self, index: int, done: int, expected: int | None) -> None:
        self._told[index] = done, expected

    def read(self) -> dict[int, tuple[int, int | None]]:
        return self._told


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    """Connect to a cluster, unless this process is connected to one; yield the module ``ray``."""
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    try:
        ray = importlib.import_module('ray')
    except ImportError as error:
        raise ConfigError("--ray: ray is not installed; install the extra: pip install "
                          "'panoptic-depth[ray]'") from error
    if ray.is_initialized():
        yield ray
        return
    address = os.environ.get('RAY_ADDRESS', address) if address == 'auto' else address
    if address != 'local':
        _require_reachable(address)
    # Ray replaces the handler of SIGTERM by its own.
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, log_to_driver=False, logging_level='ERROR',
                 **({'include_dashboard': False, '_node_ip_address': '127.0.0.1'}
                    if address == 'local' else {}))
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ConfigError(f'--ray {address}: {in_words(error)}; {_REMEDY}') from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_reachable(address: str) -> None:
    """
    Check that a cluster answers: Ray itself tries for minutes, and hears no signal meanwhile.

    :raises ConfigError: when it does not.
    """
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
    with suppress(subprocess.TimeoutExpired):
        if not subprocess.run(command, capture_output=True, timeout=_HEALTH_S,
                              check=False).returncode:
            return
    where = 'no cluster runs on this machine' if address == 'auto' else (
        'what is there is no head node of a Ray cluster of this version')
    raise ConfigError(f'--ray {address}: {where}; {_REMEDY}')
