# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Whether the device waits for the loader: the loader alone, the step alone, and both together.

The step alone works on batches that are on the device already.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import cycle
from time import perf_counter
from typing import Any

import numpy as np
import torch

from ..errors import ConfigError
from ..network.base import Batch, Model
from ..training.launch import create_fabric
from ..training.loading import PREFETCHED, Draws, batches
from ..training.settings import TrainSettings
from ..training.trainer import prepare, start_state, train_step
from .report import Report

_KEPT = 8
"""Batches of the step alone; their crop sizes and numbers of things differ."""

_SPANS = 3
_ENDLESS = 1 << 40
_SPARE = 1.1
"""A loader has to be so much faster than the step to keep up with it at all times."""


def measure_training(settings: TrainSettings, workers: Sequence[int],
                     iterations: int = 30) -> Report:
    """
    Time loader and step of a recipe; nothing is written.

    :param workers: numbers of processes that load; 0 loads in the process of the step.
    :param iterations: of each measurement; more where workers would not show their pace in them.
    :returns: for each number of workers, samples per second of the loader alone and of both
        together, and the share of the time that the step then waits.
    :raises ConfigError: for a wrong recipe, or numbers that make no sense.
    """
    if iterations < 1 or not workers or min(workers) < 0:
        raise ConfigError(f'benchmark: {iterations} iterations with workers {list(workers)}; '
                          'give at least 1, and numbers from 0')
    step = _Step(settings)
    rows: list[dict[str, Any]] = []
    step_s = math.nan
    for number in workers:
        loader = _Loader(settings, number, step.state.model)
        count = max(iterations, _SPANS * PREFETCHED * number)
        parts_per_s = loader.parts_per_s(count * settings.accumulate)
        if not rows:
            step_s = step.alone_s([next(loader) for _ in range(_KEPT)], iterations)
        # What was loaded in advance in the meantime has to be used up first.
        step.run(loader, PREFETCHED * number)
        loader.waited_s = 0.0
        run_s = sum(step.run(loader, count))
        rows.append({
            'workers': number,
            'loader_samples_per_s': parts_per_s * settings.batch_size / settings.accumulate,
            'together_samples_per_s': count * settings.batch_size / run_s,
            'step_waits': loader.waited_s / run_s})
    per_s = settings.batch_size / step_s
    needed = workers_needed(per_s, {r['workers']: r['loader_samples_per_s'] for r in rows})
    return Report(
        'training', f'step alone: {per_s:.1f} samples/s on {step.device}, batches of '
        f'{settings.batch_size}', {'workers': 'd', 'loader_samples_per_s': '.1f',
                                   'together_samples_per_s': '.1f', 'step_waits': '.0%'},
        rows, [f'workers that keep the device busy: {needed}'],
        {'device': step.device, 'batch_size': settings.batch_size,
         'step_samples_per_s': per_s, 'workers_needed': needed})


def workers_needed(step_per_s: float, loader_per_s: dict[int, float]) -> int:
    """
    Least number of workers that keeps the device busy; what was not measured is scaled.

    :param loader_per_s: number of workers -> samples per second.
    """
    wanted = _SPARE * step_per_s
    enough = [number for number, rate in loader_per_s.items() if number and rate >= wanted]
    if enough:
        return min(enough)
    return math.ceil(wanted / max(rate / max(number, 1) for number, rate in loader_per_s.items()))


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
        times = []
        for _ in range(1 + -(-parts // span)):
            begun = perf_counter()
            for _part in range(span):
                next(self)
            times.append(perf_counter() - begun)
        return span / float(np.median(times[1:]))


class _Step:
    """Iterations of a run that is never stored."""

    def __init__(self, settings: TrainSettings) -> None:
        self._settings = settings
        self._fabric = create_fabric(settings)
        self.state = start_state(settings, self._fabric, None)
        prepare(settings, self.state)
        self._draws = Draws(settings, 0, 0, 1)
        device = self._fabric.device
        self.device = torch.cuda.get_device_name(device) if device.type == 'cuda' else device.type

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
