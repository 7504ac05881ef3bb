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

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...labels import (
    CLASS_ID,
    LABEL_DIVISOR,
    THING_CLASSES,
    VOID_CLASS,
    VOID_ID,
    train_id_lut,
)
from ...structures import Frame, GroundTruth, Intrinsics, Sample

INSTANCE_CLASSES = (CLASS_ID['person'], CLASS_ID['car'])
"""KITTI MOTS labels instances of cars and pedestrians only."""

_MOTS_CLASS = {1: CLASS_ID['car'], 2: CLASS_ID['person']}
_MOTS_IGNORE = 10000


class KittiHalf:
    """
    One split: ``train``, ``val`` (frames of KITTI 2015) or a sequence such as ``seq0000``.

    :param split: ``train:depth`` and ``train:panoptic`` are the frames of a split that have that
        label, so that a recipe can show the rare ones more often.
    :raises ConfigError: when the root or the split is not there.
    """

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
        image = _read(folder / 'image' / f'{name}.jpg', cv2.IMREAD_COLOR)
        height, width = image.shape[:2]
        # A few recordings are a pixel or two larger or smaller, with cameras equal to 0.5 %.
        camera = replace(self._camera, width=width, height=height)
        frame = Frame(np.ascontiguousarray(image[..., ::-1]), camera,
                      name=f'{self._folder}_{name}', intrinsics_source='data set')
        labels = self._sequence_labels if self._folder != 'kitti15' else self._kitti15_labels
        return Sample(frame, GroundTruth(**labels(folder, name), depth=_depth(folder, name)))

    def _kitti15_labels(self, folder: Path, name: str) -> dict[str, Any]:
        panoptic_file = folder / 'panoptic' / f'{name}.png'
        if not panoptic_file.exists():
            semantic = train_id_lut()[_read(folder / 'semantic' / f'{name}.png')]
            return {'panoptic': _pack(semantic, np.zeros_like(semantic)), 'has_semantics': True}
        ids = _read(panoptic_file).astype(np.int32)
        panoptic = _pack(train_id_lut()[ids // LABEL_DIVISOR], ids % LABEL_DIVISOR)
        lut = train_id_lut()
        depths = {int(lut[pid // LABEL_DIVISOR]) * LABEL_DIVISOR + pid % LABEL_DIVISOR: depth
                  for pid, depth in self._depths.get(name, {}).items()}
        return {'panoptic': panoptic, 'has_semantics': True,
                'instance_classes': INSTANCE_CLASSES, 'instance_depth_m': depths}

    def _sequence_labels(self, folder: Path, name: str) -> dict[str, Any]:
        ids = _read(folder / 'instance' / f'{name}.png').astype(np.int32)
        panoptic = np.full(ids.shape, VOID_ID, np.int32)
        for mots_class, class_id in _MOTS_CLASS.items():
            mask = ids // LABEL_DIVISOR == mots_class
            # Tracks count from 0, instances from 1.
            panoptic[mask] = class_id * LABEL_DIVISOR + ids[mask] % LABEL_DIVISOR + 1
        return {'panoptic': panoptic, 'instance_classes': INSTANCE_CLASSES,
                'ignore': ids == _MOTS_IGNORE}


def _pack(classes: NDArray[np.uint8], instances: NDArray[Any]) -> NDArray[np.int32]:
    """Panoptic ids of a class and an instance image; instances of stuff are dropped."""
    instances = np.where(np.isin(classes, THING_CLASSES), instances, 0)
    ids = classes.astype(np.int32) * LABEL_DIVISOR + instances
    return np.where(classes == VOID_CLASS, VOID_ID, ids).astype(np.int32)


def _depth(folder: Path, name: str) -> NDArray[np.float32] | None:
    path = folder / 'depth_x256' / f'{name}.png'
    if not path.exists():
        return None
    stored = _read(path).astype(np.float32)
    return np.where(stored > 0, stored / 256.0, np.nan).astype(np.float32)


def _read(path: Path, mode: int = cv2.IMREAD_UNCHANGED) -> NDArray[Any]:
    image = cv2.imread(str(path), mode)
    if image is None:
        raise ConfigError(f'{path}: missing or no image; copy the data set again')
    return image


def _read_depths(path: Path) -> dict[str, dict[int, float]]:
    """Frame -> Cityscapes panoptic id -> metres."""
    depths: dict[str, dict[int, float]] = {}
    with path.open(newline='', encoding='utf-8') as file:
        for row in csv.DictReader(file):
            if row['median_gt_depth_m']:
                depths.setdefault(row['frame'], {})[int(row['panoptic_id'])] = float(
                    row['median_gt_depth_m'])
    return depths
