# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The mix of data sets that a recipe trains on."""

from __future__ import annotations

import os

import numpy as np
from torch.utils.data import Dataset

from ..class_tables import class_names, classes_differ
from ..datasets import Dataset as SampleSet
from ..datasets import open_dataset
from ..datasets.storage import CachedDataset
from ..errors import ConfigError
from ..labels import ClassInfo, table_name
from ..network import settings_of
from ..structures import Sample
from .augmentation import AugmentSettings, augment
from .settings import DataSettings, TrainSettings


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
        weights = np.array([d.weight for d in settings.data])
        self.shares = weights / weights.sum()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self.settings.seed, self.first + index])
        which = int(rng.choice(len(self.sets), p=self.shares))
        sample = self.sets[which][int(rng.integers(len(self.sets[which])))]
        changes = self._of_batch((self.first + index) // self.settings.batch_size)
        scale = self.settings.data[which].scale
        if scale is not None:
            changes = changes.model_copy(update={'scale': scale})
        return augment(sample, changes, rng)

    def _of_batch(self, batch: int) -> AugmentSettings:
        """
        Augmentation with the crop size of a batch.

        A network that sees one size only reads the place of a pixel from the zero padding of
        its convolutions in place of the rays, and misjudges the metres at any other size.
        """
        sizes = self.settings.crop_sizes
        if not sizes:
            return self.settings.augment
        height, width = sizes[np.random.default_rng([self.settings.seed, 1, batch]).integers(
            len(sizes))]
        return self.settings.augment.model_copy(update={'height': height, 'width': width})


def spread(length: int, limit: int | None) -> list[int]:
    """Indices of at most so many samples, spread evenly over a data set."""
    number = min(length, limit or length)
    indices: list[int] = np.linspace(0, length - 1, number).round().astype(int).tolist()
    return indices


def expand(path: str) -> str:
    """
    Fill in environment variables, so that a recipe names no folder of one machine.

    :raises ConfigError: when a variable is not set.
    """
    expanded = os.path.expandvars(path)
    if '$' in expanded:
        raise ConfigError(f'{path}: holds an environment variable that is not set; set it, or '
                          'write the path')
    return expanded


def _open(data: DataSettings, classes: tuple[ClassInfo, ...]) -> SampleSet:
    """:param classes: those that the network learns, if any."""
    opened = open_dataset(data.name, expand(data.root), data.split, classes)
    if classes_differ(opened.classes, classes):
        own = table_name(opened.classes)
        are = (f'{class_names(opened.classes)}; write them into a file and name it in classes'
               if own is None else f'{own}; set network_settings: {{class_table: {own}}}')
        raise ConfigError(f'data set {data.name}: the network learns the class table '
                          f'{table_name(classes) or class_names(classes)}, but its own is {are}, '
                          'or leave it out of the recipe')
    return CachedDataset(opened, expand(data.cache)) if data.cache else opened
