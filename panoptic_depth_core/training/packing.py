# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Write a pack (datasets/packed.py): all that a recipe needs, in one file of a given size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..class_tables import table_of
from ..datasets import Dataset, open_dataset
from ..datasets.storage import CachedDataset
from ..datasets.storage import PACKED, Storage, decode, encode, join
from ..datasets.storage import NAME, PackedSet, PackIndex, PackWriter
from ..errors import ConfigError
from ..files import make_folder, write_atomic
from ..network import create_model
from .initial_weights import load_initial_weights
from .samples import MixedSamples, expand, spread
from .settings import TrainSettings

_RENDERED = {'synthetic'}
"""Data sets of which any number of samples is as good a sample as another."""

_RECIPE_BYTES = 20_000
_HALF_ERROR = 1e-3

Watcher = Callable[[float, str], None]


@dataclass(frozen=True)
class PackedData:
    """
    One data set of a pack.

    :param samples, available: how many are in it, and how many there were.
    :param size: bytes of its samples, also of those that other data sets share with it.
    :param psnr_db: mean peak signal-to-noise ratio of the images; inf where they are exact.
    """

    label: str
    samples: int
    available: int
    size: int
    psnr_db: float


@dataclass(frozen=True)
class PackReport:
    """
    What is in a pack.

    :param weights: bytes of the weights.
    """

    path: Path
    size: int
    weights: int
    data: tuple[PackedData, ...]


@dataclass(frozen=True)
class _Source:
    """
    Samples that belong into the pack.

    :param weight: of a rendered one, its share of the room; None: all of it is to be there.
    """

    label: str
    samples: Dataset
    indices: Sequence[int]
    weight: float | None


def write_pack(settings: TrainSettings, path: Path, limit_mb: float = 60.0,
               storage: Storage = PACKED, watch: Watcher | None = None) -> PackReport:
    """
    Put recipe, samples and initial weights into one file.

    Real and validation data go in completely; rendered training data share the rest of the room
    by their weights, those first that are in their cache already.

    :param limit_mb: greatest size in 10^6 bytes.
    :param watch: told of the share that is done and of the data set after every sample.
    :raises ConfigError: for a wrong recipe, or when it does not fit.
    """
    sources, recipe = _sources(settings)
    recipe, checkpoint = _weights(settings, recipe)
    make_folder(path.parent)
    reports: dict[str, PackedData] = {}

    def write(part: Path) -> None:
        with PackWriter(part) as writer:
            writer.size += _RECIPE_BYTES
            weights = None if checkpoint is None else writer.store('weights.pt', checkpoint)
            packing = _Packing(writer, round(limit_mb * 1e6), storage, watch)
            packed = {s.label: packing.add_all(s, sources) for s in sources if s.weight is None}
            rendered = [s for s in sources if s.weight is not None]
            for number, source in enumerate(rendered):
                packed[source.label] = packing.add_some(source, rendered[number:])
            reports.update(packing.reports)
            writer.close(PackIndex(recipe=recipe, datasets=packed,
                                   records=tuple(writer.records), weights=weights))

    write_atomic(path, write)
    return PackReport(path, path.stat().st_size, len(checkpoint or b''),
                      tuple(reports[source.label] for source in sources))


class _Packing:
    """Adds data sets to a pack as long as there is room."""

    def __init__(self, writer: PackWriter, limit: int, storage: Storage,
                 watch: Watcher | None) -> None:
        self._writer, self._limit, self._storage, self._watch = writer, limit, storage, watch
        self.reports: dict[str, PackedData] = {}

    def add_all(self, source: _Source, sources: Sequence[_Source]) -> PackedSet:
        """:param sources: all of them, to say how much room there should be."""
        numbers: list[int] = []
        for number in self._add(source, self._limit):
            if number is None:
                raise ConfigError(self._too_large(source, len(numbers), sources))
            numbers.append(number)
        return _packed_set(source, numbers)

    def add_some(self, source: _Source, left: Sequence[_Source]) -> PackedSet:
        """:param left: the sources that share what room there is, this one first."""
        assert source.weight is not None
        share = source.weight / sum(s.weight or 0.0 for s in left)
        room = self._writer.size + share * (self._limit - self._writer.size)
        numbers: list[int] = []
        for number in self._add(source, room):
            if number is None:
                break
            numbers.append(number)
        if not numbers:
            raise ConfigError(f'pack: no room is left for {source.label}: all else takes '
                              f'{self._writer.size / 1e6:.1f} of {self._limit / 1e6:.1f} MB; '
                              'raise --limit-mb or lower --quality')
        return _packed_set(source, numbers)

    def _add(self, source: _Source, limit: float) -> Iterator[int | None]:
        """Add one after the other: the record of each, None for the first that is too much."""
        size, squares = 0, []
        for done, index in enumerate(source.indices):
            sample = source.samples[index]
            data = encode(sample, self._storage)
            record = join(data)
            if self._writer.size + self._writer.cost(record) > limit:
                yield None
                return
            squares.append(_mean_square(decode(data).frame.image, sample.frame.image))
            size += len(record)
            self.reports[source.label] = PackedData(
                source.label, done + 1, len(source.indices), size, _psnr_db(squares))
            yield self._writer.add(record)
            if self._watch is not None:
                self._watch(self._writer.size / self._limit, source.label)

    def _too_large(self, full: _Source, done: int, sources: Sequence[_Source]) -> str:
        # What is left is estimated: encoding it only to measure it could take hours.
        whole = [s for s in sources if s.weight is None]
        begun = whole.index(full)
        counted = sum(len(s.indices) for s in whole[:begun]) + done
        left = len(full.indices) - done + sum(len(s.indices) for s in whole[begun + 1:])
        needed = self._writer.size + left * (self._writer.size / max(counted, 1))
        return (f'pack: real and validation data need about {needed / 1e6:.1f} MB, '
                f'{(needed - self._limit) / 1e6:.1f} MB more than --limit-mb '
                f'{self._limit / 1e6:.1f}: it was full at sample {done} of '
                f'{len(full.indices)} of {full.label}; raise --limit-mb, lower --quality, or '
                'leave data sets out of the recipe')


def _sources(settings: TrainSettings) -> tuple[list[_Source], dict[str, Any]]:
    """:returns: the data sets, and the recipe that reads them from a pack."""
    recipe = settings.model_dump(mode='json', exclude_unset=True)
    sources: list[_Source] = []
    names: dict[tuple[object, ...], str] = {}

    def add(row: dict[str, Any], key: tuple[object, ...], samples: Dataset,
            indices: Sequence[int], weight: float | None) -> None:
        if key not in names:
            base = f'{row["name"]}:{row["split"]}'
            again = sum(label == base or label.startswith(f'{base} ') for label in names.values())
            names[key] = f'{base} {again + 1}' if again else base
            sources.append(_Source(names[key], samples, indices, weight))
        row.update(name=NAME, root='', split=names[key])
        row.pop('cache', None)

    mixed = MixedSamples(settings, 0, 0)
    for row, data, samples in zip(recipe['data'], settings.data, mixed.sets, strict=True):
        row['split'] = data.split
        is_rendered = data.name in _RENDERED
        add(row, (data.name, data.root, data.split, is_rendered), samples,
            _stored_first(samples) if is_rendered else range(len(samples)),
            data.weight if is_rendered else None)
    if settings.validation is not None:
        for row, held in zip(recipe['validation']['data'], settings.validation.data, strict=True):
            row['split'] = held.split
            opened = open_dataset(held.name, expand(held.root), held.split, mixed.classes)
            add(row, (held.name, held.root, held.split, 'validation', held.limit), opened,
                spread(len(opened), held.limit), None)
    return sources, recipe


def _stored_first(samples: Dataset) -> Sequence[int]:
    indices = range(len(samples))
    if not isinstance(samples, CachedDataset):
        return indices
    return sorted(indices, key=lambda index: not samples.is_stored(index))


def _packed_set(source: _Source, numbers: Sequence[int]) -> PackedSet:
    classes = source.samples.classes
    return PackedSet(class_table=table_of(classes) if classes else None, samples=tuple(numbers))


def _weights(settings: TrainSettings,
             recipe: dict[str, Any]) -> tuple[dict[str, Any], bytes | None]:
    """:returns: the recipe that takes its weights from a pack, and the checkpoint for it."""
    left_out = ('backbone_weights', 'initial_weights', 'initial_gaps')
    recipe = {key: value for key, value in recipe.items() if key not in left_out}
    if settings.backbone_weights is None and settings.initial_weights is None:
        return recipe, None
    backbone = settings.backbone_weights
    network = create_model(settings.network, settings.network_settings,
                           None if backbone is None else expand(backbone))
    weights = network.state_dict()
    if settings.initial_weights is not None:
        load_initial_weights(network, Path(expand(settings.initial_weights)),
                             settings.initial_gaps)
    else:
        # The rest is random: the run draws it anew.
        parts = dict.fromkeys(name.partition('.')[0] for name in weights)
        recipe['initial_gaps'] = [part for part in parts if part != 'backbone']
        weights = {name: value for name, value in weights.items() if name.startswith('backbone.')}
    buffer = BytesIO()
    torch.save({'recipe': settings.model_dump(mode='json'),
                'network': {name: _compact(value) for name, value in weights.items()}}, buffer)
    return recipe, buffer.getvalue()


def _compact(weights: Tensor) -> Tensor:
    """Float16, as in an exported model, unless that is off by more than 0.1 % of their norm."""
    if not weights.is_floating_point():
        return weights
    half = weights.half()
    error = (half.float() - weights).norm()
    return half if error <= _HALF_ERROR * weights.norm() else weights.clone()


def _mean_square(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.mean((a.astype(np.float32) - b) ** 2))


def _psnr_db(squares: Sequence[float]) -> float:
    """Of 8-bit images, from the mean of their mean squared errors."""
    mean = sum(squares) / len(squares)
    return 10 * math.log10(255 ** 2 / mean) if mean else math.inf
