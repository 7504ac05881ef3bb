# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples on disk, so that each is rendered or decoded once and read many times."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..files import write_atomic
from ..labels import ClassInfo
from ..structures import Sample
from . import Dataset
from .codec import CACHED, decode, encode


class CachedDataset:
    """
    A data set of which each sample is stored when it is first asked for.

    Depth is kept to 0.025 %; all else exactly (codec.CACHED).

    :param folder: one folder per data set and seed; reused by later runs.
    """

    def __init__(self, dataset: Dataset, folder: Path | str) -> None:
        self.dataset = dataset
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """Those of the data set that is stored."""
        return self.dataset.classes

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        path = self._path(index)
        if not path.exists():
            self._store(self.dataset[index], path)
        with np.load(path) as stored:
            return decode({name: stored[name].tobytes() for name in stored.files})

    def is_stored(self, index: int) -> bool:
        """Whether a sample is there already, and need not be made."""
        return self._path(index).exists()

    def _path(self, index: int) -> Path:
        return self.folder / f'{index:06d}.npz'

    def _store(self, sample: Sample, path: Path) -> None:
        arrays = {name: np.frombuffer(data, np.uint8)
                  for name, data in encode(sample, CACHED).items()}
        # Another process may store the same sample: each writes its own file, the last one stays.
        write_atomic(path, lambda part: np.savez(part, allow_pickle=False, **arrays))
