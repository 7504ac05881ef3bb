# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The mix of data sets that a recipe trains on, and its batches in the order of the draws."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ..class_tables import class_names, classes_differ
from ..datasets import Dataset as SampleSet
from ..datasets import open_dataset
from ..datasets.storage import CachedDataset
from ..errors import ConfigError, warn_once
from ..labels import ClassInfo, table_name
from ..network import settings_of
from ..network.base import Batch
from ..structures import Intrinsics, Sample
from .augmentation import augment
from .mountings import enlarged, from_road
from .pasting import paste
from .recipe import DataSettings, TrainSettings, expand

_log = logging.getLogger(__name__)

_ENLARGED = 0.5
"""Share of the frames that DataSettings.enlarge changes."""

PREFETCHED = 4
"""Parts that each worker loads in advance."""


class MixedSamples(Dataset[Sample]):
    """
    The augmented mix of data sets.

    Draw ``index`` is always the same sample with the same changes, whichever worker makes it:
    a resumed run goes on with the data that the unbroken one would have seen.

    :raises ConfigError: when a data set is missing or has other classes than the network.
    """

    def __init__(self, settings: TrainSettings, first: int, length: int) -> None:
        self.settings = settings
        self.first, self.length = first, length
        # A network of depth alone learns no classes.
        self.classes = getattr(settings_of(settings.network, settings.network_settings),
                               'classes', ())
        self.sets = [_open(data, self.classes) for data in settings.data]
        for number, data in enumerate(settings.data):
            if data.paste is None:
                continue
            things = [c.name for c in self.sets[data.paste.row].classes if c.is_thing]
            if unknown := [name for name in data.paste.classes if name not in things]:
                raise ConfigError(f'data.{number}.paste.classes: row {data.paste.row} has no '
                                  f'thing class {unknown[0]!r}; known: {", ".join(things)}')
        weights = np.array([d.weight for d in settings.data])
        self.shares = weights / weights.sum()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        settings, draw = self.settings, self.first + index
        rng = np.random.default_rng([settings.seed, draw])
        which = int(rng.choice(len(self.sets), p=self.shares))
        sample = self.sets[which][int(rng.integers(len(self.sets[which])))]
        changes: dict[str, Any] = {}
        if settings.crop_sizes:
            # A network that sees one size only reads the place of a pixel from the zero padding
            # of its convolutions in place of the rays, and misjudges the meters at other sizes.
            of_batch = np.random.default_rng([settings.seed, 1, draw // settings.batch_size])
            number = int(of_batch.integers(len(settings.crop_sizes)))
            changes['height'], changes['width'] = settings.crop_sizes[number]
        if (scale := settings.data[which].scale) is not None:
            changes['scale'] = scale
        data = settings.data[which]
        if data.paste is not None and rng.random() < data.paste.share:
            donors = self.sets[data.paste.row]
            donor = donors[int(rng.integers(len(donors)))]
            if donor.truth.depth is None or donor.truth.panoptic is None:
                warn_once(_log, f'data.{which}.paste: frames of row {data.paste.row} without a '
                                'depth or classes have nothing to paste; choose a synthetic row')
            sample = paste(sample, donor, data.paste, self.sets[which].classes, rng)
        if data.mounting == 'road':
            sample = from_road(sample, self.sets[which].classes)
        if data.enlarge is not None and sample.frame.mounting and rng.random() < _ENLARGED:
            sample = enlarged(sample, float(np.exp(rng.uniform(*np.log(data.enlarge)))))
            # Its picture is the same: without the mounting nobody could tell.
            changes['mounting'] = settings.augment.mounting.model_copy(update={'unknown': 0.0})
        if data.fov_deg is not None:
            sample = _seen_by_any(sample, data.fov_deg, rng)
        return augment(sample, settings.augment.model_copy(update=changes), rng)


def _seen_by_any(sample: Sample, fov_deg: tuple[float, float],
                 rng: np.random.Generator) -> Sample:
    """
    Show a frame of an unknown camera as of some camera, and forget its depth, if it has one.

    With one assumed camera, a network would learn that what it sees there goes with those rays.
    """
    frame, truth = sample.frame, sample.truth
    if frame.intrinsics_source != 'default':
        return sample
    camera = Intrinsics.from_fov(float(rng.uniform(*fov_deg)), frame.intrinsics.width,
                                 frame.intrinsics.height)
    return replace(sample, frame=replace(frame, intrinsics=camera),
                   truth=replace(truth, depth=None, instance_depth_m={}))


def _open(data: DataSettings, classes: tuple[ClassInfo, ...]) -> SampleSet:
    """:param classes: those that the network learns, if any."""
    opened = open_dataset(data.name, expand(data.root), data.split, classes, mounting='data')
    if data.pseudo_labels:
        # The readers need packages that a pack does without.
        from ..datasets.overlay import Overlaid
        opened = Overlaid(opened, expand(data.pseudo_labels))
    if classes_differ(opened.classes, classes):
        own = table_name(opened.classes)
        are = (f'{class_names(opened.classes)}; write them into a file and name it in classes'
               if own is None else f'{own}; set network_settings: {{class_table: {own}}}')
        raise ConfigError(f'data set {data.name}: the network learns the class table '
                          f'{table_name(classes) or class_names(classes)}, but its own is {are}, '
                          'or leave it out of the recipe')
    return CachedDataset(opened, expand(data.cache)) if data.cache else opened


def spread(length: int, limit: int | None) -> list[int]:
    """Indices of at most so many samples, spread evenly over a data set."""
    number = min(length, limit or length)
    indices: list[int] = np.linspace(0, length - 1, number).round().astype(int).tolist()
    return indices


class Draws(Sampler[list[int]]):
    """
    Which draws of the mix a process works on, from an iteration on.

    Iteration i consists of the draws i * batch_size and following ones, however many parts and
    processes share them.
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
    """Parts of batches, as the draws name them; ``collate`` is that of Model.targets."""
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
