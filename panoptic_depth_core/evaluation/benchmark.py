# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""How long each step takes, on this machine, with each backend; see benchmark_process.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import InferenceSettings
from ..contract import Task
from ..errors import BackendError, ConfigError
from ..model_directory import ModelDirectory, open_model
from ..structures import Frame, Intrinsics
from .benchmark_process import BackendTiming, Job, time_backends
from .machine import machine, versions


@dataclass(frozen=True)
class BenchmarkResult:
    """
    What benchmark() measured, and on what.

    :param tasks: of the model.
    :param image_size: height, width of the frames; network_size: of the network input.
    :param threads: threads that each backend was given, None for its own choice.
    """

    model_id: str
    tasks: tuple[Task, ...]
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
                f'{timing.backend}: {timing.frames} frames, '
                + (f'about {timing.instances} instances each, ' if 'instances' in self.tasks
                   else '')
                + f'loaded in {timing.load_ms:.0f} ms, peak memory {timing.peak_rss_mib:.0f} MiB'
                + (f', on the GPU {timing.gpu_mib:.0f} MiB' if timing.gpu_mib > 0 else ''))
        return '\n'.join(lines) + '\n'


def benchmark(model: ModelDirectory | Path | str | None = None,
              backends: Sequence[str] = ('onnxruntime', 'torch'), *,
              frames: Sequence[Frame] | None = None, image_size: tuple[int, int] = (1024, 2048),
              warmup: int = 3, repeats: int = 30, threads: int | None = None,
              settings: InferenceSettings | None = None) -> BenchmarkResult:
    """
    Time the whole pipeline with several backends.

    :param backends: as inference.backends.parse_backend reads them; 'model=DIR' among the options
        is another model directory with an input of the same size, for instance of another
        precision.
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
    info = opened.info
    size = info.input_height, info.input_width
    timings = time_backends(
        Job(opened.path, size, frames, threads, settings or InferenceSettings()), backends,
        warmup, repeats)
    if not any(t.steps for t in timings):
        raise BackendError('benchmark: no backend could run: '
                           + '; '.join(f'{t.backend}: {t.error}' for t in timings))
    return BenchmarkResult(info.model_id, tuple(sorted(info.tasks)), sizes[0], size, threads,
                           machine(), versions(), timings)


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
