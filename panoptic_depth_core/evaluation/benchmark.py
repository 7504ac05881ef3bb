# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
How long each step takes, on this machine, with each backend.

Every backend has a process of its own, since runtimes in one process disturb each other's
threads, and their frames take turns in short rounds, so that load from elsewhere hits all alike
and their ratio means something. This file is both sides: `python -m` of it is the worker.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..config import InferenceSettings, parse_settings
from ..errors import BackendError, ConfigError
from ..inference.pipeline import STEPS, Pipeline
from ..model_directory import ModelDirectory, open_model
from ..structures import Frame, Intrinsics
from .machine import machine, versions

ROUND_FRAMES = 5
"""Frames of one backend before it is the next one's turn."""


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

    :param steps: by step of the pipeline, and 'host' (all but the graph) and 'total'.
    :param peak_rss_mib: most memory its process ever held, NaN where the system does not say.
    :param error: why it could not run; then there is nothing else.
    """

    backend: str
    steps: dict[str, Timing] = field(default_factory=dict)
    frames: int = 0
    instances: int = 0
    load_ms: float = float('nan')
    peak_rss_mib: float = float('nan')
    error: str = ''


@dataclass(frozen=True)
class BenchmarkResult:
    """
    What benchmark() measured, and on what.

    :param image_size: height, width of the frames; network_size: of the network input.
    :param threads: threads that each backend was given, None for its own choice.
    """

    model_id: str
    image_size: tuple[int, int]
    network_size: tuple[int, int]
    threads: int | None
    machine: dict[str, str]
    versions: dict[str, str]
    backends: tuple[BackendTiming, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    def to_markdown(self) -> str:
        """Table of all steps; ratio is to the median of the first backend."""
        image, network = self.image_size, self.network_size
        lines = [
            f'{self.model_id}: image {image[1]}x{image[0]}, network input '
            f'{network[1]}x{network[0]}, threads {self.threads or "auto"}',
            ', '.join([*self.machine.values(), *(f'{k} {v}' for k, v in self.versions.items())]),
            '',
            '| backend | step | median ms | p95 ms | p99 ms | ratio |',
            '|---|---|---:|---:|---:|---:|',
        ]
        ran = [b for b in self.backends if b.steps]
        for timing in ran:
            for step, t in timing.steps.items():
                first = ran[0].steps[step].median_ms
                ratio = f'{t.median_ms / first:.2f}' if first > 0 else '-'
                lines.append(f'| {timing.backend} | {step} | {t.median_ms:.1f} | {t.p95_ms:.1f} '
                             f'| {t.p99_ms:.1f} | {ratio} |')
        lines.append('')
        for timing in self.backends:
            lines.append(
                f'{timing.backend}: not run: {timing.error}' if timing.error else
                f'{timing.backend}: {timing.frames} frames, about {timing.instances} instances '
                f'each, loaded in {timing.load_ms:.0f} ms, peak memory '
                f'{timing.peak_rss_mib:.0f} MiB')
        return '\n'.join(lines) + '\n'


def benchmark(model: ModelDirectory | Path | str | None = None,
              backends: Sequence[str] = ('onnxruntime', 'torch'), *,
              frames: Sequence[Frame] | None = None, image_size: tuple[int, int] = (1024, 2048),
              warmup: int = 3, repeats: int = 30, threads: int | None = None,
              settings: InferenceSettings | None = None) -> BenchmarkResult:
    """
    Time the whole pipeline with several backends.

    :param frames: of one size; a drawn street of image_size (height, width) when left out.
    :param warmup: frames that are run first and not counted; repeats: frames that are.
    :raises ConfigError: for numbers that make no sense, or frames of several sizes.
    :raises BackendError: when no backend could run.
    """
    if repeats < 1 or warmup < 0 or min(image_size) < 1:
        raise ConfigError(f'benchmark: repeats is {repeats}, warmup {warmup}, image size '
                          f'{image_size}; give at least 1, 0 and 1x1')
    opened = open_model(model)
    if not frames:
        height, width = image_size
        frames = [Frame(street_image(height, width, seed), Intrinsics.from_fov(70, width, height))
                  for seed in range(3)]
    sizes = sorted({f.image.shape[:2] for f in frames})
    if len(sizes) > 1:
        raise ConfigError(f'benchmark: frames of sizes {sizes}; give frames of one size')
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _write_job(folder, opened, frames, threads, settings or InferenceSettings())
        workers = [stack.enter_context(_Worker(folder, name)) for name in backends]
        for worker in workers:
            worker.start(warmup)
        for count in _rounds(repeats):
            for worker in workers:
                worker.run(count)
    timings = tuple(worker.timing() for worker in workers)
    if not any(t.steps for t in timings):
        raise BackendError('benchmark: no backend could run: '
                           + '; '.join(f'{t.backend}: {t.error}' for t in timings))
    info = opened.info
    return BenchmarkResult(info.model_id, sizes[0], (info.input_height, info.input_width),
                           threads, machine(), versions(), timings)


def street_image(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB: sky, houses, road and boxes on it; the same for a seed."""
    rng = np.random.default_rng(seed)
    image = np.empty((height, width, 3), np.uint8)
    horizon = height // 2
    image[:horizon] = (150, 180, 210)
    image[horizon:] = (95, 92, 95)
    for _ in range(12):
        x, y = int(rng.integers(width)), int(rng.integers(horizon // 3, horizon + 1))
        image[y:horizon, x:x + width // 8] = rng.integers(60, 160, 3)
    for nearness in np.sort(rng.uniform(0.05, 1.0, 20)):
        bottom = horizon + int(nearness * 0.9 * (height - horizon))
        high, x = max(2, int(nearness * height / 4)), int(rng.integers(width))
        image[max(0, bottom - high):bottom, x:x + 2 * high] = rng.integers(0, 255, 3)
    noise = rng.integers(-12, 13, image.shape, dtype=np.int16)
    return np.asarray(np.clip(image + noise, 0, 255), np.uint8)


def _rounds(repeats: int) -> Iterator[int]:
    for done in range(0, repeats, ROUND_FRAMES):
        yield min(ROUND_FRAMES, repeats - done)


def _write_job(folder: Path, model: ModelDirectory, frames: Sequence[Frame],
               threads: int | None, settings: InferenceSettings) -> None:
    np.savez(folder / 'frames.npz', images=np.stack([f.image for f in frames]))
    cameras = [asdict(f.intrinsics) for f in frames]
    (folder / 'job.json').write_text(json.dumps({
        'model': str(model.path.resolve()), 'threads': threads, 'cameras': cameras,
        # Only what was set: the rest is the model's to choose.
        'settings': settings.model_dump(mode='json', exclude_unset=True)}), encoding='utf-8')


class _Worker:
    """The parent's end of one process, which answers every request by one line of JSON."""

    def __init__(self, folder: Path, backend: str) -> None:
        self.backend = backend
        self._folder = folder
        self._samples: list[dict[str, float]] = []
        self._last: dict[str, Any] = {}
        self._error = ''

    def __enter__(self) -> _Worker:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(p for p in (root, os.environ.get('PYTHONPATH')) if p)
        self._stderr: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, '-m', __spec__.name, str(self._folder), self.backend],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, text=True,
            env={**os.environ, 'PYTHONPATH': path})
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._process.terminate()
        self._process.wait()
        self._stderr.close()

    def start(self, warmup: int) -> None:
        """Load, so that no other process loads while this one is timed, and warm up."""
        self._ask(None)
        if warmup:
            self._ask(warmup)

    def run(self, count: int) -> None:
        """Time some frames."""
        self._samples += self._ask(count).get('step_ms', [])

    def timing(self) -> BackendTiming:
        """Summarise all frames so far."""
        if self._error or not self._samples:
            return BackendTiming(self.backend, error=self._error or 'no frame was timed')
        columns = {step: [s[step] for s in self._samples] for step in STEPS}
        total = [sum(s.values()) for s in self._samples]
        columns['host'] = [t - s['graph'] for t, s in zip(total, self._samples, strict=True)]
        columns['total'] = total
        return BackendTiming(
            self.backend, {step: Timing.of(values) for step, values in columns.items()},
            len(total), self._last['instances'], self._last['load_ms'],
            self._last['peak_rss_mib'])

    def _ask(self, count: int | None) -> dict[str, Any]:
        """Send a number of frames and read the answer; None reads the greeting."""
        if self._error:
            return {}
        assert self._process.stdin and self._process.stdout
        line = ''
        try:
            if count is not None:
                self._process.stdin.write(f'{count}\n')
                self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            pass
        answer: dict[str, Any] = json.loads(line) if line else {'error': self._last_words()}
        self._error = answer.get('error', '')
        if not self._error:
            self._last = answer
        return answer

    def _last_words(self) -> str:
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors='replace').strip().splitlines()
        return f'its process ended with code {code}: {lines[-1] if lines else "no message"}'


def _peak_rss_mib() -> float:
    """Return the most memory that this process ever held."""
    # Not resource.getrusage: on Linux its maximum includes the parent's from before exec.
    try:
        for line in Path('/proc/self/status').read_text(encoding='utf-8').splitlines():
            if line.startswith('VmHWM:'):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return float('nan')


def _work(folder: Path, backend: str) -> None:
    """Worker: load a backend, then for every line read run so many frames and answer."""
    # Whatever a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), 'w', buffering=1, encoding='utf-8')
    os.dup2(2, 1)
    job = json.loads((folder / 'job.json').read_text(encoding='utf-8'))
    options = {} if job['threads'] is None else {'threads': job['threads']}
    if options:
        cv2.setNumThreads(job['threads'])
    images = np.load(folder / 'frames.npz')['images']
    frames = [Frame(image, Intrinsics(**camera))
              for image, camera in zip(images, job['cameras'], strict=True)]
    start = time.perf_counter()
    try:
        settings = parse_settings(InferenceSettings, job['settings'], 'benchmark')
        with Pipeline(job['model'], backend, settings, **options) as pipeline:
            about: dict[str, Any] = {'load_ms': 1e3 * (time.perf_counter() - start)}
            print(json.dumps(about), file=answers)
            source = cycle(frames)
            for line in sys.stdin:
                step_ms, instances = [], []
                for _ in range(int(line)):
                    # Dropped at once, as in a node: kept results cost fresh memory every time.
                    result = pipeline(next(source))
                    step_ms.append(result.step_ms)
                    instances.append(len(result.distances))
                print(json.dumps({
                    **about, 'step_ms': step_ms, 'instances': round(float(np.mean(instances))),
                    'peak_rss_mib': _peak_rss_mib()}), file=answers)
    except (ConfigError, BackendError) as error:
        print(json.dumps({'error': str(error)}), file=answers)


if __name__ == '__main__':
    _work(Path(sys.argv[1]), sys.argv[2])
