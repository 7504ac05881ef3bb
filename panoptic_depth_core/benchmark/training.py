# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether training waits for its data: the loader alone, the step alone, and both together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from time import perf_counter
from typing import Any

import numpy as np
import torch

from ..errors import ConfigError
from ..network.base import Batch
from ..training.loading import PREFETCHED, Draws, batches
from ..training.recipe import TrainSettings
from ..training.trainer import create_fabric, prepare, start_state, train_step
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
    fabric = create_fabric(settings)
    state = start_state(settings, fabric, None)
    prepare(settings, state)
    draws, cuda = Draws(settings, 0, 0, 1), fabric.device.type == 'cuda'
    device = torch.cuda.get_device_name(fabric.device) if cuda else fabric.device.type

    def train(parts: Iterator[Batch], iterations: int) -> list[float]:
        """Train without storing anything; return the seconds of each iteration."""
        seconds = []
        for _ in range(iterations):
            begun = perf_counter()
            train_step(settings, fabric, state, draws, parts, 0.0)
            if cuda:
                torch.cuda.synchronize(fabric.device)
            state.iteration += 1
            seconds.append(perf_counter() - begun)
        return seconds

    rows: list[dict[str, Any]] = []
    step_per_s = math.nan
    for number in workers:
        changed = settings.model_copy(update={'workers': number, 'iterations': _ENDLESS})
        waits: list[float] = []
        parts = _timed(batches(changed, Draws(changed, 0, 0, 1), state.model.targets()), waits)
        count = max(iterations, _SPANS * PREFETCHED * number)
        # In a span every worker has its turn; in the first they start.
        span = PREFETCHED * max(number, 1)
        spans = 1 + -(-count * settings.accumulate // span)
        for _ in islice(parts, spans * span):
            pass
        span_s = float(np.median(np.reshape(waits, (spans, span)).sum(1)[1:]))
        if not rows:
            kept = cycle([part.to(fabric.device) for part in islice(parts, _KEPT)])
            train(kept, min(iterations, _KEPT))
            step_per_s = settings.batch_size / float(np.median(train(kept, iterations)))
        # What was loaded in advance in the meantime has to be used up first.
        train(parts, PREFETCHED * number)
        waits.clear()
        run_s = sum(train(parts, count))
        rows.append({
            'workers': number,
            'loader_samples_per_s': span * settings.batch_size / settings.accumulate / span_s,
            'together_samples_per_s': count * settings.batch_size / run_s,
            'step_waits': sum(waits) / run_s})
    needed = workers_needed(step_per_s, {r['workers']: r['loader_samples_per_s'] for r in rows})
    return Report(
        'training', f'step alone: {step_per_s:.1f} samples/s on {device}, batches of '
        f'{settings.batch_size}', {'workers': 'd', 'loader_samples_per_s': '.1f',
                                   'together_samples_per_s': '.1f', 'step_waits': '.0%'},
        rows, [f'workers that keep the device busy: {needed}'],
        {'device': device, 'batch_size': settings.batch_size, 'step_samples_per_s': step_per_s,
         'workers_needed': needed})


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


def _timed(parts: Iterator[Batch], waits: list[float]) -> Iterator[Batch]:
    """Yield what parts yield, and append how many seconds each took to come."""
    while True:
        begun = perf_counter()
        part = next(parts)
        waits.append(perf_counter() - begun)
        yield part
