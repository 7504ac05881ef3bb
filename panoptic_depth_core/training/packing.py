# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Write a pack (datasets/storage.py): all that a recipe needs, in one file of a given size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..class_tables import table_of
from ..datasets import Dataset, open_dataset, storage
from ..errors import ConfigError
from ..files import make_folder, write_atomic
from .checkpoint import initial_network
from .loading import MixedSamples, spread
from .recipe import TrainSettings, expand

_RENDERED = {'synthetic'}
"""Data sets that may be packed in part: their samples are drawn at random anyway."""

_RECIPE_BYTES = 20_000
_HALF_ERROR = 1e-3

Watcher = Callable[[float, str], None]


@dataclass(frozen=True)
class PackedData:
    """One data set of a pack."""

    label: str
    samples: int
    available: int  # Samples that there were.
    size: int  # Bytes of its samples, also of those that other data sets share with it.
    psnr_db: float  # Of its 8-bit images, from their mean squared errors; inf where exact.


@dataclass(frozen=True)
class PackReport:
    """What is in a pack; ``size`` and ``weights`` in bytes."""

    path: Path
    size: int
    weights: int
    data: tuple[PackedData, ...]


@dataclass(frozen=True)
class _Source:
    """Samples that belong into the pack: all of them, or a share of the room by ``weight``."""

    label: str
    samples: Dataset
    indices: Sequence[int]
    weight: float | None


def write_pack(settings: TrainSettings, path: Path, limit_mb: float = 60.0,
               fidelity: storage.Fidelity = storage.PACKED,
               watch: Watcher | None = None) -> PackReport:
    """
    Put recipe, samples and initial weights into one file.

    Real and validation data go in completely; rendered training data share the rest of the room
    by their weights, those first that are in their cache already.

    :param limit_mb: greatest size in 10^6 bytes.
    :param watch: called after every sample with the share that is done and the data set.
    :raises ConfigError: for a wrong recipe, or when it does not fit.
    """
    sources, recipe = _sources(settings)
    recipe, checkpoint = _weights(settings, recipe)
    make_folder(path.parent)
    limit = round(limit_mb * 1e6)
    reports: dict[str, PackedData] = {}
    # Stable: whole ones first, then the rendered ones, which share the rest.
    ordered = sorted(sources, key=lambda source: source.weight is not None)

    def write(part: Path) -> None:
        packed: dict[str, storage.PackedSet] = {}
        with storage.PackWriter(part) as writer:
            writer.size += _RECIPE_BYTES
            weights = None if checkpoint is None else writer.store('weights.pt', checkpoint)
            for rank, source in enumerate(ordered):
                room: float = limit
                if source.weight is not None:
                    share = source.weight / sum(s.weight or 0.0 for s in ordered[rank:])
                    room = writer.size + share * (limit - writer.size)
                numbers: list[int] = []
                size, squares = 0, []
                for index in source.indices:
                    sample = source.samples[index]
                    parts = storage.encode(sample, fidelity)
                    record = storage.to_record(parts)
                    if (number := writer.add(record, room)) is None:
                        break
                    numbers.append(number)
                    size += len(record)
                    decoded = storage.decode(parts).frame.image.astype(np.float32)
                    squares.append(float(np.mean((decoded - sample.frame.image) ** 2)))
                    if watch is not None:
                        watch(writer.size / limit, source.label)
                if source.weight is None and len(numbers) < len(source.indices):
                    raise _too_large(ordered, rank, len(numbers), writer.size, limit)
                if not numbers:
                    raise ConfigError(f'pack: no room is left for {source.label}: all else takes '
                                      f'{writer.size / 1e6:.1f} of {limit / 1e6:.1f} MB; '
                                      'raise --limit-mb or lower --quality')
                classes = source.samples.classes
                packed[source.label] = storage.PackedSet(
                    class_table=table_of(classes) if classes else None, samples=tuple(numbers))
                mean = sum(squares) / len(squares)
                reports[source.label] = PackedData(
                    source.label, len(numbers), len(source.indices), size,
                    10 * math.log10(255 ** 2 / mean) if mean else math.inf)
            writer.finish(storage.PackIndex(recipe=recipe, datasets=packed,
                                            records=tuple(writer.records), weights=weights))

    write_atomic(path, write)
    return PackReport(path, path.stat().st_size, len(checkpoint or b''),
                      tuple(reports[source.label] for source in sources))


def _too_large(ordered: Sequence[_Source], rank: int, done: int, size: int, limit: int
               ) -> ConfigError:
    """:param done: samples of the source of that rank that still fitted; size: bytes so far."""
    # What is left is estimated: encoding it only to measure it could take hours.
    counts = [len(s.indices) for s in ordered if s.weight is None]
    counted = sum(counts[:rank]) + done
    needed = size + (sum(counts) - counted) * (size / max(counted, 1))
    return ConfigError(
        f'pack: real and validation data need about {needed / 1e6:.1f} MB, '
        f'{(needed - limit) / 1e6:.1f} MB more than --limit-mb {limit / 1e6:.1f}: it was full at '
        f'sample {done} of {counts[rank]} of {ordered[rank].label}; raise --limit-mb, lower '
        '--quality, or leave data sets out of the recipe')


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
        row.update(name=storage.PACKED_NAME, root='', split=names[key])
        for key_of_files in ('cache', 'pseudo_labels'):
            row.pop(key_of_files, None)

    mixed = MixedSamples(settings, 0, 0)
    for row, data, samples in zip(recipe['data'], settings.data, mixed.sets, strict=True):
        row['split'] = data.split
        is_rendered = data.name in _RENDERED
        add(row, (data.name, data.root, data.split, data.pseudo_labels, is_rendered), samples,
            _stored_first(samples) if is_rendered else range(len(samples)),
            data.weight if is_rendered else None)
    if settings.validation is not None:
        for row, held in zip(recipe['validation']['data'], settings.validation.data, strict=True):
            row['split'] = held.split
            opened = open_dataset(held.name, expand(held.root), held.split, mixed.classes,
                                  mounting='data')
            add(row, (held.name, held.root, held.split, 'validation', held.limit), opened,
                spread(len(opened), held.limit), None)
    return sources, recipe


def _stored_first(samples: Dataset) -> Sequence[int]:
    indices = range(len(samples))
    if not isinstance(samples, storage.CachedDataset):
        return indices
    return sorted(indices, key=lambda index: not samples.is_stored(index))


def _weights(settings: TrainSettings,
             recipe: dict[str, Any]) -> tuple[dict[str, Any], bytes | None]:
    """:returns: the recipe that takes its weights from a pack, and the checkpoint for it."""
    left_out = ('backbone_weights', 'initial_weights', 'initial_gaps')
    recipe = {key: value for key, value in recipe.items() if key not in left_out}
    if settings.backbone_weights is None and settings.initial_weights is None:
        return recipe, None
    weights = initial_network(settings).state_dict()
    if settings.initial_weights is None:
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
