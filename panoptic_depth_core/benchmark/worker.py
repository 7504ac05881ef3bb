# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A piece of work in a process of its own: it may fail, crash or hang without harm to the rest.

This file is both sides: ``python -m`` of it is the process.
"""

from __future__ import annotations

import inspect
import math
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import BackendError, in_words


class WorkerError(BackendError):
    """The work failed, its process died, or it took too long (is_late)."""

    is_late = False


class Worker:
    """
    A process that runs one function at once, and answers requests.

    :param function: it and its arguments can be pickled. A generator function yields answers, and
        progress as str; each request after the first answer is the value of its ``yield``.
    :param note: receives progress.
    :ivar peak_mib: most memory that the process ever held; NaN where the system does not say.
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any,
                 note: Callable[[str], None] = lambda text: None) -> None:
        self._note, self._is_late, self._has_answered = note, False, False
        self.peak_mib = math.nan
        self._folder = tempfile.TemporaryDirectory()
        # A file, since a pipe would wait until the process has started.
        work = Path(self._folder.name) / 'work'
        work.write_bytes(pickle.dumps((function, arguments)))
        self._log = work.with_name('log')
        with self._log.open('wb') as log:
            self._process = subprocess.Popen(
                [sys.executable, '-m', __name__, str(work)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=log,
                env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))})

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with suppress(OSError):
            self._process.communicate()
        self._folder.cleanup()

    def ask(self, request: Any = None, limit_s: float = math.inf) -> Any:
        """
        Send a request and wait for the answer; the first answer needs none.

        :raises WorkerError: there is none; later requests fail too.
        """
        assert self._process.stdin and self._process.stdout
        timer = threading.Timer(min(limit_s, threading.TIMEOUT_MAX), self._give_up)
        timer.daemon = True
        timer.start()
        try:
            if self._has_answered:
                pickle.dump(request, self._process.stdin)
                self._process.stdin.flush()
            while True:
                answer, error, self.peak_mib = pickle.load(self._process.stdout)
                if error:
                    raise WorkerError(error)
                if not isinstance(answer, str):
                    self._has_answered = True
                    return answer
                self._note(answer)
        except (EOFError, OSError, pickle.UnpicklingError):
            code = self._process.wait()
            lines = self._log.read_text(errors='replace').strip().splitlines()
            failed = WorkerError(
                f'given up: it took longer than the {limit_s:.3g} s it had' if self._is_late else
                f'its process ended with code {code}: {lines[-1] if lines else "no message"}')
            failed.is_late = self._is_late
            raise failed from None
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self._is_late = True
        self._process.kill()


def run(function: Callable[..., Any], *arguments: Any, limit_s: float = math.inf,
        note: Callable[[str], None] = lambda text: None) -> Any:
    """Return what a function returns in a process of its own; see Worker."""
    with Worker(function, *arguments, note=note) as worker:
        return worker.ask(limit_s=limit_s)


def _serve(work: Path) -> None:
    # Whatever a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), 'wb')
    os.dup2(2, 1)

    def send(answer: Any, error: str = '') -> None:
        pickle.dump((answer, error, _peak_mib()), answers)
        answers.flush()

    try:
        function, arguments = pickle.loads(work.read_bytes())
        if not inspect.isgeneratorfunction(function):
            send(function(*arguments))
            return
        running, request = function(*arguments), None
        with suppress(EOFError, StopIteration):
            while True:
                answer = running.send(request)
                send(answer)
                request = None if isinstance(answer, str) else pickle.load(sys.stdin.buffer)
    except Exception as error:
        send(None, in_words(error))


def _peak_mib() -> float:
    # Not resource.getrusage: on Linux its maximum includes the parent's from before exec.
    with suppress(OSError):
        for line in Path('/proc/self/status').read_text(encoding='utf-8').splitlines():
            if line.startswith('VmHWM:'):
                return int(line.split()[1]) / 1024
    return math.nan


if __name__ == '__main__':
    _serve(Path(sys.argv[1]))
