# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Batches in the order of the draws: parts of an iteration, and of a process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence

import torch
from torch.utils.data import DataLoader, Sampler

from ..network.base import Batch
from ..structures import Sample
from .samples import MixedSamples
from .settings import TrainSettings

PREFETCHED = 4
"""Parts that each worker loads in advance."""


class Draws(Sampler[list[int]]):
    """
    Which draws of the mix a process works on.

    Iteration i consists of the draws i * batch_size and following ones, however many parts and
    processes share them.

    :param iteration: the first one.
    :param rank: of the process, 0..world - 1.
    """

    def __init__(self, settings: TrainSettings, iteration: int, rank: int, world: int) -> None:
        self._settings = settings
        self._iteration, self._rank, self._world = iteration, rank, world

    def of(self, iteration: int, part: int) -> range:
        """Draws of one part of an iteration."""
        settings = self._settings
        number = settings.batch_size // (settings.accumulate * self._world)
        first = iteration * settings.batch_size + (part * self._world + self._rank) * number
        return range(first, first + number)

    def __iter__(self) -> Iterator[list[int]]:
        for iteration in range(self._iteration, self._settings.iterations):
            for part in range(self._settings.accumulate):
                yield list(self.of(iteration, part))


def batches(settings: TrainSettings, draws: Draws,
            collate: Callable[[Sequence[Sample]], Batch]) -> Iterator[Batch]:
    """
    Parts of batches, as the draws name them.

    :param collate: see Model.targets.
    """
    samples = MixedSamples(settings, 0, settings.iterations * settings.batch_size)
    return iter(DataLoader(
        samples, batch_sampler=draws, num_workers=settings.workers,
        worker_init_fn=_one_thread, collate_fn=collate,
        # A fork would copy locks of OpenCV's and OpenMP's threads, and hang.
        multiprocessing_context='spawn' if settings.workers else None,
        prefetch_factor=PREFETCHED if settings.workers else None,
        pin_memory=torch.cuda.is_available()))


def _one_thread(_worker: int) -> None:
    import cv2
    # Ctrl-C goes to all processes of a terminal, SIGTERM of a batch system to all of a job; the
    # main one decides when these end, and they end by themselves when it is gone.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
