# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
One process per backend that is timed, since runtimes in one process disturb each other's threads.

Their frames take turns in short rounds, so that load from elsewhere hits all alike and their
ratio means something. benchmark_worker.py is the other side.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..config import InferenceSettings
from ..structures import Frame

ROUND_FRAMES = 5
"""Frames of one backend before it is the next one's turn."""

_WORKER = f'{__package__}.benchmark_worker'
_SHARE_TO_LOAD = 0.7
"""Of a limit of time; what is not ready by then is given up."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds per frame."""

    median_ms: float
    p95_ms: float
    p99_ms: float

    @classmethod
    def of(cls, values_ms: Sequence[float]) -> Timing:
        """Summarise one value per frame."""
        return cls(*(float(v) for v in np.percentile(values_ms, (50, 95, 99))))


@dataclass(frozen=True)
class BackendTiming:
    """
    Timings of one backend.

    :param backend: as it was asked for, with its options.
    :param steps: by step of the pipeline, and 'host' (all but the graph) and 'total'; 'graph'
        alone where that alone was timed.
    :param peak_rss_mib: most memory its process ever held, NaN where the system does not say.
    :param gpu_mib: memory on the GPU by the backend's own account, 0 without a GPU.
    :param equal_ids, depth_error: worst of the tests it was compared with, see
        model_directory.SelfTest; NaN without any.
    :param error: why it could not run; then there is nothing else.
    """

    backend: str
    steps: dict[str, Timing] = field(default_factory=dict)
    frames: int = 0
    instances: int = 0
    load_ms: float = float('nan')
    peak_rss_mib: float = float('nan')
    gpu_mib: float = float('nan')
    equal_ids: float = float('nan')
    depth_error: float = float('nan')
    error: str = ''


@dataclass(frozen=True)
class Job:
    """
    What every worker is to run.

    :param model: model directory, unless a backend names another with 'model=DIR'.
    :param size: height and width of the network input, which every model must have.
    :param frames: of one size.
    :param settings: only what was set is passed on: the rest is the model's to choose.
    :param tests: npz files of SelfTest that every backend is compared with.
    :param graph_only: time the backend alone, from a prepared image to its arrays.
    """

    model: Path
    size: tuple[int, int]
    frames: Sequence[Frame]
    threads: int | None = None
    settings: InferenceSettings = field(default_factory=InferenceSettings)
    tests: Sequence[Path] = ()
    graph_only: bool = False

    def write(self, folder: Path) -> None:
        """Leave it where the workers find it."""
        np.savez(folder / 'frames.npz', images=np.stack([f.image for f in self.frames]))
        (folder / 'job.json').write_text(json.dumps({
            'model': str(self.model.resolve()), 'size': self.size, 'threads': self.threads,
            'cameras': [asdict(f.intrinsics) for f in self.frames],
            'tests': [str(path.resolve()) for path in self.tests],
            'graph_only': self.graph_only,
            'settings': self.settings.model_dump(mode='json', exclude_unset=True)}),
            encoding='utf-8')


def time_backends(job: Job, backends: Sequence[str], warmup: int, repeats: int, *,
                  round_frames: int = ROUND_FRAMES,
                  limit_s: float = math.inf) -> tuple[BackendTiming, ...]:
    """
    Time backends; what fails, dies or hangs is a row with its error.

    :param backends: as inference.backends.parse_backend reads them, and 'model=DIR' among the
        options.
    :param limit_s: time for everything; rounds end when it is over.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        job.write(folder)
        workers = [stack.enter_context(_Worker(folder, name)) for name in backends]
        for worker in workers:
            worker.start(warmup, started + _SHARE_TO_LOAD * limit_s)
        for done in range(0, repeats, round_frames):
            if time.monotonic() - started > limit_s:
                break
            for worker in workers:
                worker.run(min(round_frames, repeats - done), started + limit_s)
        return tuple(worker.timing() for worker in workers)


class _Worker:
    """The parent's end of one process, which answers every request by one line of JSON."""

    def __init__(self, folder: Path, backend: str) -> None:
        self.backend = backend
        self._folder = folder
        self._samples: list[dict[str, float]] = []
        self._last: dict[str, Any] = {}
        self._error = ''
        self._is_late = False

    def __enter__(self) -> _Worker:
        self._stderr: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, '-m', _WORKER, str(self._folder), self.backend],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, text=True,
            env=child_environment())
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def start(self, warmup: int, until: float) -> None:
        """Load, so that no other process loads while this one is timed, and warm up."""
        self._ask(None, until)
        if warmup:
            self._ask(warmup, until)

    def run(self, count: int, until: float) -> None:
        """Time some frames."""
        self._samples += self._ask(count, until).get('step_ms', [])

    def timing(self) -> BackendTiming:
        """Summarise all frames so far; what has no time left for more has those it has."""
        if not self._samples or (self._error and not self._is_late):
            return BackendTiming(self.backend, error=self._error or 'no frame was timed')
        columns = {step: [s[step] for s in self._samples] for step in self._samples[0]}
        if len(columns) > 1:
            total = [sum(s.values()) for s in self._samples]
            columns['host'] = [t - s['graph'] for t, s in zip(total, self._samples, strict=True)]
            columns['total'] = total
        last = self._last
        return BackendTiming(
            self.backend, {step: Timing.of(values) for step, values in columns.items()},
            len(self._samples), last['instances'], last['load_ms'], last['peak_rss_mib'],
            last['gpu_mib'], last['equal_ids'], last['depth_error'])

    def _ask(self, count: int | None, until: float) -> dict[str, Any]:
        """Send a number of frames and read the answer; None reads the greeting."""
        if self._error:
            return {}
        assert self._process.stdin and self._process.stdout
        line = ''
        with killed_at(self._process, until):
            try:
                if count is not None:
                    self._process.stdin.write(f'{count}\n')
                    self._process.stdin.flush()
                line = self._process.stdout.readline()
            except BrokenPipeError:
                pass
        answer: dict[str, Any] = json.loads(line) if line else {'error': self._last_words(until)}
        self._error = answer.get('error', '')
        if not self._error:
            self._last = answer
        return answer

    def _last_words(self, until: float) -> str:
        code = self._process.wait()
        self._is_late = time.monotonic() >= until
        if self._is_late:
            return 'given up: it took longer than the time it had'
        return last_words(code, self._stderr)


def child_environment() -> dict[str, str]:
    """Environment in which another process of Python finds this package, installed or not."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(p for p in (root, os.environ.get('PYTHONPATH')) if p)
    return {**os.environ, 'PYTHONPATH': path}


def last_words(code: int, errors: IO[bytes]) -> str:
    """
    Say how a process ended that gave no answer.

    :param errors: what it wrote to standard error.
    """
    errors.seek(0)
    lines = errors.read().decode(errors='replace').strip().splitlines()
    return f'its process ended with code {code}: {lines[-1] if lines else "no message"}'


@contextmanager
def killed_at(process: subprocess.Popen[str], until: float) -> Iterator[None]:
    """Kill a process, if what is within is not done by a time of time.monotonic()."""
    if math.isinf(until):
        yield
        return
    timer = threading.Timer(max(0.0, until - time.monotonic()), process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
