# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Data sets: each yields structures.Sample; a class plus one line in DATASETS.

Nothing here needs torch, so that evaluation reads the same files as training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Literal, Protocol, runtime_checkable

from ..errors import ConfigError
from ..labels import ClassInfo
from ..structures import Mounting, Sample


class Dataset(Protocol):
    """A sequence of samples."""

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """The table that class ids of the truth are rows of; empty for depth alone."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@runtime_checkable
class NamedClasses(Protocol):
    """A data set that knows its classes by name, so that it can use any table with those names."""

    def as_classes(self, classes: Sequence[ClassInfo]) -> Dataset:
        """
        Give the same samples, labeled with a table; void where it has no class of that name.

        :raises ConfigError: when it has none of the classes.
        """
        ...


def _reader(module: str, name: str) -> Callable[[str, str], Dataset]:
    """Class of a module beside this one, imported when it is opened."""
    def open_reader(root: str, split: str) -> Dataset:
        opened: Dataset = getattr(import_module(f'.{module}', __package__), name)(root, split)
        return opened
    return open_reader


def _synthetic(root: str, split: str) -> Dataset:
    """Scenes: the root is their number, the split their seed or their camera."""
    from .scenery.weather import WEATHER, Weathered
    from .synthetic import (
        VAL_SEED,
        SyntheticScenes,
        camera_scenes,
        city_scenes,
        height_scenes,
        low_and_high_scenes,
        unknown_object_scenes,
    )
    if not root.isdigit() or not int(root):
        raise ConfigError(f'synthetic: root is {root!r}; give the number of scenes')
    kind, _, number = split.partition('_')
    if kind == 'focal' and number.isdigit() and int(number):
        return camera_scenes(int(root), int(number))
    if kind == 'height' and number.isdigit() and int(number):
        return height_scenes(int(root), int(number) / 100.0)
    if split == 'train_heights':
        return low_and_high_scenes(int(root))
    if split == 'train_city':
        return city_scenes(int(root))
    if split == 'unknown_objects':
        return unknown_object_scenes(int(root))
    seeds = {'train': 1, 'val': VAL_SEED}
    if split in WEATHER:
        return Weathered(SyntheticScenes(int(root), VAL_SEED), split)
    if split not in seeds and not split.isdigit():
        raise ConfigError(f'synthetic: split is {split!r}; give train, train_city, train_heights, '
                          f'val, {", ".join(WEATHER)}, unknown_objects, a seed, focal_300 for a '
                          'camera of 300 px, or height_120 for one at 1.2 m')
    return SyntheticScenes(int(root), seeds[split] if split in seeds else int(split))


DATASETS: dict[str, Callable[[str, str], Dataset]] = {
    'camvid': _reader('camvid', 'CamVid'),
    'cityscapes': _reader('cityscapes', 'Cityscapes'),
    'cityscapes_depthlab': _reader('cityscapes', 'CityscapesDepthLab'),
    'cityscapes_dvps': _reader('cityscapes', 'CityscapesDvps'),
    'coco_panoptic': _reader('coco_panoptic', 'CocoPanoptic'),
    'images': _reader('images', 'Images'),
    'kitti_depth': _reader('kitti', 'KittiDepth'),
    'kitti_eigen': _reader('kitti', 'KittiEigen'),
    'kitti_half': _reader('kitti', 'KittiHalf'),
    'kitti_semantics': _reader('kitti', 'KittiSemantics'),
    'nyu': _reader('nyu', 'NyuDepth'),
    'packed': _reader('storage', 'Packed'),
    'semkitti_dvps': _reader('kitti', 'SemKittiDvps'),
    'synthetic': _synthetic,
}


class Wrapped:
    """Base of a data set that is made of another one, with its classes and its length."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        return self.dataset.classes

    def __len__(self) -> int:
        return len(self.dataset)


class Mounted(Wrapped):
    """The samples of a data set, with another mounting of the camera in all of their frames."""

    def __init__(self, dataset: Dataset, mounting: Mounting | None) -> None:
        super().__init__(dataset)
        self.mounting = mounting

    def __getitem__(self, index: int) -> Sample:
        sample = self.dataset[index]
        return replace(sample, frame=replace(sample.frame, mounting=self.mounting))


def parse_data(text: str) -> tuple[str, str, str]:
    """
    Split 'NAME:ROOT' or 'NAME:ROOT:SPLIT' into name, root and split, by default val.

    :raises ConfigError: it is neither.
    """
    name, _, rest = text.partition(':')
    root, _, split = rest.partition(':')
    if not name or not root:
        raise ConfigError(f'data set {text!r}; give NAME:ROOT or NAME:ROOT:SPLIT, as in '
                          'kitti_half:data/kitti_half:val')
    return name, root, split or 'val'


def open_dataset(name: str, root: str, split: str, classes: Sequence[ClassInfo] | None = None,
                 mounting: Mounting | Literal['data'] | None = None) -> Dataset:
    """
    Open a data set by its name in DATASETS.

    :param classes: table to label the samples with, where the data set is of NamedClasses; others
        keep their own.
    :param mounting: of the camera of all frames; data: as the data set knows it.
    :raises ConfigError: for an unknown name, root or split.
    """
    if name not in DATASETS:
        raise ConfigError(f'data set: unknown name {name!r}; known: {", ".join(DATASETS)}')
    opened = DATASETS[name](root, split)
    if classes and isinstance(opened, NamedClasses):
        opened = opened.as_classes(classes)
    return opened if mounting == 'data' else Mounted(opened, mounting)
