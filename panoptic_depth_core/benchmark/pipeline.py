# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Time and memory of each step of the pipeline, with several runtimes in turns.

Each runtime has a process, since runtimes in one process disturb each other's threads. Their
frames take turns in short rounds, so that load from elsewhere hits all alike and their ratio
means something.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..config import InferenceSettings
from ..errors import BackendError, ConfigError
from ..inference.backends import backend_options, parse_backend
from ..inference.pipeline import Pipeline
from ..io.sources.open_source import open_source
from ..model_directory import SelfTest, compare, open_model
from ..structures import Frame, Intrinsics
from .report import LATENCY, NOT_RUN, Report, latency
from .worker import Worker, WorkerError

ROUND_FRAMES = 5
PICTURES = 3

_FOREVER_S, _SHARE_TO_LOAD, _GRACE_S = 1e9, 0.7, 1.0

Answers = Generator[dict[str, Any], tuple[int, float], None]
"""
What take_turns asks: once how loading went, then 'samples' of a number of frames, or of those that
can be done in a number of seconds.
"""


@dataclass
class Timing:
    """
    What is known of one worker.

    :param samples: milliseconds by step, for each frame. :param about: other answers.
    :param error: why there are no samples.
    """

    samples: list[dict[str, float]] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)
    error: str = ''

    def latency(self, step: str) -> dict[str, float]:
        """Summarize one step."""
        return latency([sample[step] for sample in self.samples])

    def ask(self, worker: Worker, request: Any, limit_s: float) -> list[dict[str, float]]:
        """Return new samples; what fails has none, not even those that it had."""
        if self.error:
            return []
        try:
            answer = worker.ask(request, max(limit_s, _GRACE_S))
        except WorkerError as error:
            self.error = str(error)
            if not error.is_late:
                self.samples.clear()
            return []
        samples: list[dict[str, float]] = answer.pop('samples', [])
        self.about.update(answer, peak_mib=worker.peak_mib)
        return samples


def take_turns(workers: Sequence[Worker], warmup: int, repeats: int, *,
               round_frames: int = ROUND_FRAMES, limit_s: float = math.inf,
               frames_s: float = math.inf) -> list[Timing]:
    """
    Time workers in rounds; one that fails, dies or hangs costs only its own timing.

    :param workers: run functions that return Answers, and load at the same time.
    :param limit_s: for everything; who is stopped by it keeps the samples that it has.
    :param frames_s: for the frames of all, once they have loaded.
    """
    end = time.monotonic() + min(limit_s, _FOREVER_S)
    loaded = end - (1 - _SHARE_TO_LOAD) * min(limit_s, _FOREVER_S)
    timings = [Timing() for _ in workers]
    for worker, timing in zip(workers, timings, strict=True):
        timing.ask(worker, None, loaded - time.monotonic())
    end = min(end, time.monotonic() + frames_s)
    rounds = [*([warmup] if warmup else []), *(
        min(round_frames, repeats - done) for done in range(0, repeats, round_frames))]
    for number, frames in enumerate(rounds):
        for index, (worker, timing) in enumerate(zip(workers, timings, strict=True)):
            left_s = end - time.monotonic()
            if left_s < 0 and timing.samples:
                continue
            # One that hangs leaves time for the others.
            share_s = max(left_s / (len(workers) - index), 0.0)
            samples = timing.ask(worker, (frames, share_s / 2), share_s)
            timing.samples += samples if number >= bool(warmup) else []
    for timing in timings:
        timing.error = '' if timing.samples else timing.error or 'the time was over'
    return timings


def measure_pipeline(model: Path | str | None, backends: Sequence[str], *,
                     frames: Sequence[Frame], warmup: int = 3, repeats: int = 30,
                     threads: int | None = None, settings: InferenceSettings | None = None,
                     minutes: float = math.inf) -> Report:
    """
    Time the whole pipeline with several backends.

    :param backends: as inference.backends.parse_backend reads them; 'model=DIR' among the options
        is another model directory with an input of the same size.
    :param frames: of one size.
    :param warmup: frames that run first and do not count; repeats: frames that count.
    :raises ConfigError: for numbers that make no sense, or frames of several sizes.
    :raises BackendError: no backend could run.
    """
    if repeats < 1 or warmup < 0 or minutes <= 0:
        raise ConfigError(f'benchmark: repeats is {repeats}, warmup {warmup}, minutes '
                          f'{minutes:g}; give at least 1, 0 and more than 0')
    opened = open_model(model)
    sizes = sorted({frame.image.shape[:2] for frame in frames})
    if len(sizes) != 1:
        raise ConfigError(f'benchmark: frames of sizes {sizes}; give frames of one size')
    info, (height, width) = opened.info, sizes[0]
    size = info.input_height, info.input_width
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(
            time_pipeline, opened.path, spec, list(frames), settings or InferenceSettings(),
            {} if threads is None else {'threads': threads}, size)) for spec in backends]
        timings = take_turns(workers, warmup, repeats, limit_s=60 * minutes)
    if not any(timing.samples for timing in timings):
        raise BackendError('benchmark: no backend could run: ' + '; '.join(
            f'{name}: {timing.error}' for name, timing in zip(backends, timings, strict=True)))
    report = Report(
        'pipeline', f'{info.model_id}: image {width}x{height}, network input {size[1]}x{size[0]}, '
        f'threads {threads or "auto"}', {
            'backend': '', 'step': '', **dict.fromkeys(LATENCY, '.1f'), 'ratio': '.2f'},
        details={'model_id': info.model_id, 'tasks': sorted(info.tasks),
                 'image_size': (height, width), 'network_size': size, 'threads': threads,
                 'backends': []})
    first: dict[str, float] = {}
    for name, timing in zip(backends, timings, strict=True):
        about = {'backend': name, 'frames': len(timing.samples), **timing.about}
        report.details['backends'].append(about)
        if not timing.samples:
            report.rows.append({'backend': name, NOT_RUN: timing.error})
            continue
        for step in timing.samples[0]:
            row = timing.latency(step)
            base = first.setdefault(step, row['median_ms'])
            report.rows.append({'backend': name, 'step': step, **row,
                                'ratio': row['median_ms'] / base if base > 0 else math.nan})
        instances = (f'about {about["instances"]} instances each, '
                     if 'instances' in info.tasks else '')
        gpu = f', on the GPU {about["gpu_mib"]:.0f} MiB' if about['gpu_mib'] > 0 else ''
        report.notes.append(
            f'{name}: {about["frames"]} frames, {instances}loaded in {about["load_ms"]:.0f} ms, '
            f'peak memory {about["peak_mib"]:.0f} MiB{gpu}')
    return report


def time_pipeline(model: Path, spec: str, frames: Sequence[Frame], settings: InferenceSettings,
                  options: dict[str, Any], size: tuple[int, int],
                  tests: Sequence[SelfTest] = ()) -> Answers:
    """
    Load a pipeline and time it; see take_turns.

    :param options: of the backend; what it does not know, or the spec says, is left out.
    :param size: height and width that the network input must have.
    :param tests: the backend is compared with them; PyTorch's stages are timed for 0 frames.
    """
    start = time.perf_counter()
    backend, own_model = split_model(spec)
    name, written = parse_backend(backend)
    known = backend_options(name)
    given = {key: value for key, value in options.items() if key in known and key not in written}
    cv2.setNumThreads(options.get('threads', -1))
    made: Any = backend
    if tests and name == 'torch':
        # Imported here, so that the memory of the others is without PyTorch's.
        from .graphs import StagedTorch
        made = StagedTorch(open_model(model), **given)
    with Pipeline(own_model or model, made, settings, None, **given) as pipeline:
        info = pipeline.model.info
        if (info.input_height, info.input_width) != size:
            raise ConfigError(f'{pipeline.model.path}: the input is {info.input_height}x'
                              f'{info.input_width}, that of the others {size[0]}x{size[1]}; time '
                              'models of one size')
        about: dict[str, Any] = {'load_ms': 1e3 * (time.perf_counter() - start)}
        reports = [compare(pipeline.backend, test) for test in tests]
        if reports:
            about['equal_ids'] = min(report.equal_ids for report in reports)
            about['depth_error'] = max(report.depth_error for report in reports)
        source, (count, limit_s) = cycle(frames), (yield about)
        while True:
            samples, instances = [], []
            end = time.monotonic() + limit_s
            for frame in islice(source, count):
                # Results are not kept, as in a node: they would cost fresh memory every time.
                result = pipeline(frame)
                total = sum(result.step_ms.values())
                samples.append({**result.step_ms, 'host': total - result.step_ms['graph'],
                                'total': total})
                instances.append(len(result.distances))
                if time.monotonic() > end:
                    break
            count, limit_s = yield ({
                'samples': samples, 'instances': round(float(np.mean(instances))),
                'gpu_mib': pipeline.backend.gpu_memory_bytes / 2 ** 20} if count
                else made.stages_ms(options['mode']))


def split_model(spec: str) -> tuple[str, str | None]:
    """Split 'onnxruntime:threads=2:model=DIR' into the backend's own part, and DIR."""
    parts = spec.split(':')
    models = [part for part in parts if part.startswith('model=')]
    return (':'.join(part for part in parts if part not in models),
            models[-1].removeprefix('model=') if models else None)


def pictures(source: str | None, size: tuple[int, int], count: int = PICTURES) -> list[Frame]:
    """
    The first frames of a source, or drawn streets.

    :param source: as io.sources.open_source reads it; None: drawn streets of ``size`` (height,
        width).
    """
    if source is not None:
        with open_source(source) as frames:
            return list(islice(frames, count))
    height, width = size
    return [Frame(street_image(height, width, seed), Intrinsics.from_fov(70, width, height))
            for seed in range(count)]


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

