# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
KITTI at half resolution, a folder of real frames of which each holds only some of the labels.

Files below the root (PNG, except where said):

- ``splits.json``: frame names per split, intrinsics by image size
- ``kitti15/image/*.jpg``, ``kitti15/semantic`` uint8 Cityscapes label id,
  ``kitti15/panoptic`` uint16 label id * 1000 + instance (a thing id with instance 0 is a crowd),
  ``kitti15/depth_x256`` uint16 metres * 256 with 0 = unknown
- ``seqNNNN/image/*.jpg``, ``seqNNNN/instance`` uint16 class * 1000 + track (KITTI MOTS:
  1 car, 2 pedestrian, 10000 ignore), ``seqNNNN/depth_x256``
- ``kitti15_instance_depth.csv``: median depth of the visible surface per instance
"""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..labels import CITYSCAPES, CLASS_ID, LABEL_DIVISOR, VOID_CLASS
from ..structures import Frame, GroundTruth, Intrinsics, Sample
from .label_files import (
    VALUES,
    classes_of_label_ids,
    look_up,
    pack,
    read_depth,
    read_image,
    read_labels,
)

INSTANCE_CLASSES = (CLASS_ID['person'], CLASS_ID['car'])
"""KITTI MOTS labels instances of cars and pedestrians only."""

_MOTS_CLASS = {1: CLASS_ID['car'], 2: CLASS_ID['person']}
_MOTS_IGNORE = 10000


def _mots_ids() -> NDArray[np.int32]:
    classes = np.full(len(VALUES), VOID_CLASS)
    classes[list(_MOTS_CLASS)] = list(_MOTS_CLASS.values())
    # Tracks count from 0, instances from 1.
    return pack(classes[VALUES // LABEL_DIVISOR], VALUES % LABEL_DIVISOR + 1)


_MOTS_IDS = _mots_ids()
_SEMANTIC_IDS = pack(classes_of_label_ids(VALUES), np.zeros_like(VALUES))
_PANOPTIC_IDS = pack(classes_of_label_ids(VALUES // LABEL_DIVISOR), VALUES % LABEL_DIVISOR)


class KittiHalf:
    """
    One split: ``train``, ``val`` (frames of KITTI 2015) or a sequence such as ``seq0000``.

    :param split: ``train:depth`` and ``train:panoptic`` are the frames of a split that have that
        label, so that a recipe can show the rare ones more often.
    :raises ConfigError: when the root or the split is not there.
    """

    classes = CITYSCAPES

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        self.root = Path(root)
        try:
            splits = json.loads((self.root / 'splits.json').read_text(encoding='utf-8'))
        except OSError as error:
            raise ConfigError(
                f'{self.root}: no readable splits.json ({error.strerror}); '
                'give the folder kitti_half') from None
        (size, known), = splits['intrinsics'].items()
        self._camera = Intrinsics(**known, width=int(size.split('x')[0]),
                                  height=int(size.split('x')[1]))
        split, _, label = split.partition(':')
        self._folder = split if split in splits['sequences_train'] else 'kitti15'
        if split in ('train', 'val'):
            self.names: list[str] = list(splits[split])
        elif self._folder == split:
            self.names = sorted(p.stem for p in (self.root / split / 'image').glob('*.jpg'))
        else:
            known = ', '.join(['train', 'val', *splits['sequences_train']])
            raise ConfigError(f'kitti_half: unknown split {split!r}; known: {known}')
        if label:
            folder = {'depth': 'depth_x256'}.get(label, label)
            self.names = [name for name in self.names
                          if (self.root / self._folder / folder / f'{name}.png').exists()]
        if not self.names:
            raise ConfigError(f'kitti_half: no frames with {label!r} in split {split!r}; '
                              'labels are depth, panoptic, semantic')
        self._depths = _read_depths(self.root / 'kitti15_instance_depth.csv')

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        folder = self.root / self._folder
        image = read_image(folder / 'image' / f'{name}.jpg')
        size = image.shape[:2]
        # A few recordings are a pixel or two larger or smaller, with cameras equal to 0.5 %.
        camera = replace(self._camera, width=size[1], height=size[0])
        frame = Frame(image, camera, name=f'{self._folder}_{name}', intrinsics_source='data set')
        labels = self._sequence_labels if self._folder != 'kitti15' else self._kitti15_labels
        depth_file = folder / 'depth_x256' / f'{name}.png'
        depth = read_depth(depth_file, size) if depth_file.exists() else None
        sequence = self._folder if self._folder != 'kitti15' else ''
        return Sample(frame, GroundTruth(**labels(folder, name, size), depth=depth), sequence)

    def _kitti15_labels(self, folder: Path, name: str, size: tuple[int, int]) -> dict[str, Any]:
        path = folder / 'panoptic' / f'{name}.png'
        if not path.exists():
            path = folder / 'semantic' / f'{name}.png'
            semantic = look_up(path, read_labels(path, size, np.uint8), _SEMANTIC_IDS)
            return {'panoptic': semantic, 'has_semantics': True}
        panoptic = look_up(path, read_labels(path, size, np.uint16), _PANOPTIC_IDS)
        depths = {int(_PANOPTIC_IDS[label]): depth
                  for label, depth in self._depths.get(name, {}).items()}
        return {'panoptic': panoptic, 'has_semantics': True,
                'instance_classes': INSTANCE_CLASSES, 'instance_depth_m': depths}

    def _sequence_labels(self, folder: Path, name: str, size: tuple[int, int]) -> dict[str, Any]:
        path = folder / 'instance' / f'{name}.png'
        stored = read_labels(path, size, np.uint16)
        return {'panoptic': look_up(path, stored, _MOTS_IDS),
                'instance_classes': INSTANCE_CLASSES, 'ignore': stored == _MOTS_IGNORE}


def _read_depths(path: Path) -> dict[str, dict[int, float]]:
    """Frame -> Cityscapes panoptic id -> metres."""
    depths: dict[str, dict[int, float]] = {}
    with path.open(newline='', encoding='utf-8') as file:
        for row in csv.DictReader(file):
            if row['median_gt_depth_m']:
                depths.setdefault(row['frame'], {})[int(row['panoptic_id'])] = float(
                    row['median_gt_depth_m'])
    return depths
