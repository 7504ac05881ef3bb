# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Data sets: each yields structures.Sample; one file plus one line in DATASETS.

Nothing here needs torch, so that evaluation reads the same files as training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ...errors import ConfigError
from ...labels import ClassInfo
from ...structures import Sample


class Dataset(Protocol):
    """A sequence of samples."""

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """The table that class ids of the truth are rows of."""
        ...

    def __len__(self) -> int:
        """Count the samples."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Read one sample."""
        ...


def _cityscapes(root: str, split: str) -> Dataset:
    from .cityscapes import Cityscapes
    return Cityscapes(root, split)


def _cityscapes_dvps(root: str, split: str) -> Dataset:
    from .cityscapes_dvps import CityscapesDvps
    return CityscapesDvps(root, split)


def _kitti_depth(root: str, split: str) -> Dataset:
    from .kitti_depth import KittiDepth
    return KittiDepth(root, split)


def _kitti_half(root: str, split: str) -> Dataset:
    from .kitti_half import KittiHalf
    return KittiHalf(root, split)


def _kitti_semantics(root: str, split: str) -> Dataset:
    from .kitti_semantics import KittiSemantics
    return KittiSemantics(root, split)


def _semkitti_dvps(root: str, split: str) -> Dataset:
    from .semkitti_dvps import SemKittiDvps
    return SemKittiDvps(root, split)


def _synthetic(root: str, split: str) -> Dataset:
    """Scenes: the root is their number, the split their seed ('val' and 'train' have one)."""
    from .synthetic import SyntheticScenes
    if not root.isdigit() or not int(root):
        raise ConfigError(f'synthetic: root is {root!r}; give the number of scenes')
    seeds = {'train': 1, 'val': 2}
    if split not in seeds and not split.isdigit():
        raise ConfigError(f'synthetic: split is {split!r}; give train, val or a seed')
    return SyntheticScenes(int(root), seeds[split] if split in seeds else int(split))


DATASETS: dict[str, Callable[[str, str], Dataset]] = {
    'cityscapes': _cityscapes,
    'cityscapes_dvps': _cityscapes_dvps,
    'kitti_depth': _kitti_depth,
    'kitti_half': _kitti_half,
    'kitti_semantics': _kitti_semantics,
    'semkitti_dvps': _semkitti_dvps,
    'synthetic': _synthetic,
}


def open_dataset(name: str, root: str, split: str) -> Dataset:
    """
    Open a data set by its name in DATASETS.

    :raises ConfigError: for an unknown name, root or split.
    """
    if name not in DATASETS:
        raise ConfigError(f'data set: unknown name {name!r}; known: {", ".join(DATASETS)}')
    return DATASETS[name](root, split)
