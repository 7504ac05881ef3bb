# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
How fast data comes and how fast it is worked through: whether the device waits for the loader.

The loader alone, for several numbers of workers; the step alone, on batches that are on the
device already; and both together, as in a run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from time import perf_counter
from typing import Any

import numpy as np
import torch

from ..errors import ConfigError
from ..evaluation.machine import machine, versions
from ..network.base import Batch, Model
from .loading import PREFETCHED, Draws, batches
from .recipe import TrainSettings
from .trainer import create_fabric, prepare, start_state, train_step

_KEPT = 8
"""Batches of the step alone; their crop sizes and numbers of things differ."""

_SPANS = 3
_ENDLESS = 1 << 40
_SPARE = 1.1
"""A loader has to be so much faster than the step to keep up with it at all times."""


@dataclass(frozen=True)
class LoaderTiming:
    """
    The loader with one number of workers.

    :param loader_per_s: samples per second that it yields when nothing else is done.
    :param run_per_s: samples per second of loader and step together.
    :param waiting: share of the time, 0..1, that the step then waits for a batch.
    """

    workers: int
    loader_per_s: float
    run_per_s: float
    waiting: float


@dataclass(frozen=True)
class TrainingTiming:
    """
    What training_benchmark() measured, and on what.

    :param step_per_s: samples per second of the step alone, by the median over its batches.
    """

    device: str
    batch_size: int
    step_per_s: float
    loaders: tuple[LoaderTiming, ...]
    machine: dict[str, str]
    versions: dict[str, str]

    @property
    def workers_needed(self) -> int:
        """Least number of workers that keeps the device busy; what was not measured is scaled."""
        wanted = _SPARE * self.step_per_s
        enough = [t.workers for t in self.loaders if t.workers and t.loader_per_s >= wanted]
        if enough:
            return min(enough)
        return math.ceil(wanted / max(
            timing.loader_per_s / max(timing.workers, 1) for timing in self.loaders))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {**asdict(self), 'workers_needed': self.workers_needed}

    def to_markdown(self) -> str:
        """One row per number of workers."""
        lines = [
            f'step alone: {self.step_per_s:.1f} samples/s on {self.device}, batches of '
            f'{self.batch_size}',
            ', '.join([*self.machine.values(), *(f'{k} {v}' for k, v in self.versions.items())]),
            '',
            '| workers | loader alone, samples/s | together, samples/s | step waits |',
            '|---:|---:|---:|---:|',
            *(f'| {t.workers} | {t.loader_per_s:.1f} | {t.run_per_s:.1f} | {t.waiting:.0%} |'
              for t in self.loaders),
            '',
            f'workers that keep the device busy: {self.workers_needed}']
        return '\n'.join(lines) + '\n'


def training_benchmark(settings: TrainSettings, workers: Sequence[int],
                       iterations: int = 30) -> TrainingTiming:
    """
    Time loader and step of a recipe; nothing is written.

    :param workers: numbers of processes that load; 0 loads in the process of the step.
    :param iterations: of each measurement; more where workers would not show their pace in them.
    :raises ConfigError: for a wrong recipe, or numbers that make no sense.
    """
    if iterations < 1 or not workers or min(workers) < 0:
        raise ConfigError(f'benchmark: {iterations} iterations with workers {list(workers)}; '
                          'give at least 1, and numbers from 0')
    step = _Step(settings)
    loaders: list[LoaderTiming] = []
    step_s = math.nan
    for number in workers:
        loader = _Loader(settings, number, step.state.model)
        count = max(iterations, _SPANS * PREFETCHED * number)
        parts_per_s = loader.parts_per_s(count * settings.accumulate)
        if not loaders:
            step_s = step.alone_s([next(loader) for _ in range(_KEPT)], iterations)
        # What was loaded in advance in the meantime has to be used up first.
        step.run(loader, PREFETCHED * number)
        loader.waited_s = 0.0
        run_s = sum(step.run(loader, count))
        loaders.append(LoaderTiming(
            number, parts_per_s * settings.batch_size / settings.accumulate,
            count * settings.batch_size / run_s, loader.waited_s / run_s))
    return TrainingTiming(step.device_name, settings.batch_size, settings.batch_size / step_s,
                          tuple(loaders), machine(), versions())


class _Loader(Iterator[Batch]):
    """Parts of batches, and how long one had to wait for them."""

    def __init__(self, settings: TrainSettings, workers: int, model: Model) -> None:
        changed = settings.model_copy(update={'workers': workers, 'iterations': _ENDLESS})
        self._parts = batches(changed, Draws(changed, 0, 0, 1), model.targets())
        self._workers = workers
        self.waited_s = 0.0

    def __next__(self) -> Batch:
        begun = perf_counter()
        part = next(self._parts)
        self.waited_s += perf_counter() - begun
        return part

    def parts_per_s(self, parts: int) -> float:
        """Median over spans in which every worker has its turn, once all of them are there."""
        span = PREFETCHED * max(self._workers, 1)
        self._pass(span)
        return float(np.median([span / self._pass(span) for _ in range(-(-parts // span))]))

    def _pass(self, parts: int) -> float:
        begun = perf_counter()
        for _ in range(parts):
            next(self)
        return perf_counter() - begun


class _Step:
    """Iterations of a run that is never stored."""

    def __init__(self, settings: TrainSettings) -> None:
        self._settings = settings
        self._fabric = create_fabric(settings)
        self.state = start_state(settings, self._fabric, None)
        prepare(settings, self.state)
        self._draws = Draws(settings, 0, 0, 1)

    @property
    def device_name(self) -> str:
        """Name of the GPU, or the kind of the device."""
        device = self._fabric.device
        return torch.cuda.get_device_name(device) if device.type == 'cuda' else device.type

    def alone_s(self, parts: Sequence[Batch], iterations: int) -> float:
        """Median seconds of an iteration on parts that are on the device."""
        source = cycle([part.to(self._fabric.device) for part in parts])
        self.run(source, min(iterations, len(parts)))
        return float(np.median(self.run(source, iterations)))

    def run(self, parts: Iterator[Batch], iterations: int) -> list[float]:
        """Train; return the seconds of each iteration."""
        seconds = []
        for _ in range(iterations):
            begun = perf_counter()
            train_step(self._settings, self._fabric, self.state, self._draws, parts, 0.0)
            if self._fabric.device.type == 'cuda':
                torch.cuda.synchronize(self._fabric.device)
            self.state.iteration += 1
            seconds.append(perf_counter() - begun)
        return seconds
