# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Cityscapes-DVPS: short videos with panoptic labels, instances that go on, and depth.

Files (https://github.com/joe-siyuan-qiao/ViP-DeepLab, cityscapes-dvps), six per sequence SSSSSS:
``video_sequence/SPLIT/SSSSSS_FFFFFF_CITY_xxxxxx_xxxxxx_{leftImg8bit,gtFine_instanceTrainIds,
depth}.png``; labels uint16 train id * 1000 + instance, 32000 void; depth uint16 metres * 256, 0
unknown. Instances count from 0, as in Cityscapes; groups that are not told apart are void
(create_panoptic_labels.py of https://github.com/mcahny/vps, which makes the labels).

The data set has no cameras. Those of Cityscapes are used where ``camera/SPLIT/CITY`` lies beside
video_sequence, else Cityscapes' default.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..errors import ConfigError
from ..io.sources.camera import scaled_to
from ..labels import CITYSCAPES, LABEL_DIVISOR, THING_CLASSES, VOID_CLASS
from ..structures import Frame, GroundTruth, Intrinsics, Sample
from .cityscapes import DEFAULT_CAMERA, SPLITS, read_camera
from .label_files import (
    VALUES,
    file_stems,
    instance_depths,
    look_up,
    pack,
    read_depth,
    read_image,
    read_labels,
    require_split,
    video_sequence_folder,
)

_IMAGE = '_leftImg8bit.png'
_NAME = re.compile(r'\d+_\d+_[^_]+_\d+_\d+')
_VOID = 32
_CLASSES = VALUES // LABEL_DIVISOR
_IDS = pack(np.where(_CLASSES == _VOID, VOID_CLASS, _CLASSES), VALUES % LABEL_DIVISOR + 1)


class CityscapesDvps:
    """
    One split: ``train`` or ``val``.

    :param root: the folder that holds video_sequence, or that folder, or one with frames in it,
        which are taken for any split.
    :raises ConfigError: when the root or the split is not there.
    """

    classes = CITYSCAPES

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        require_split('cityscapes_dvps', split, SPLITS)
        root = Path(root)
        self.folder = video_sequence_folder('cityscapes_dvps', root, split, _IMAGE)
        self.names = file_stems('cityscapes_dvps', self.folder, _IMAGE)
        odd = [name for name in self.names if not _NAME.fullmatch(name)]
        if odd:
            raise ConfigError(f'cityscapes_dvps: {self.folder / odd[0]}{_IMAGE} is not named '
                              'SSSSSS_FFFFFF_CITY_xxxxxx_xxxxxx; remove it or rename it')
        beside = root.parent if root.name == 'video_sequence' else root
        self._cameras: dict[str, list[Path]] = {}
        for path in sorted((beside / 'camera').glob('*/*/*_camera.json')):
            self._cameras.setdefault(path.parent.name, []).append(path)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        image = read_image(self.folder / f'{name}{_IMAGE}')
        size = image.shape[:2]
        labels = self.folder / f'{name}_gtFine_instanceTrainIds.png'
        panoptic = look_up(labels, read_labels(labels, size, np.uint16), _IDS)
        depth = read_depth(self.folder / f'{name}_depth.png', size)
        frame = Frame(image, scaled_to(self._camera(name), size[1], size[0]), name=name,
                      intrinsics_source='data set')
        return Sample(frame, GroundTruth(
            panoptic=panoptic, has_semantics=True, instance_classes=THING_CLASSES, depth=depth,
            instance_depth_m=instance_depths(panoptic, depth)), name.partition('_')[0])

    def _camera(self, name: str) -> Intrinsics:
        """Of the nearest frame of the recording: only every thirtieth has a camera file."""
        _, _, city, recording, number = name.split('_')
        cameras = [path for path in self._cameras.get(city, ())
                   if path.name.split('_')[1] == recording]
        if not cameras:
            return DEFAULT_CAMERA
        nearest = min(cameras, key=lambda p: abs(int(p.name.split('_')[2]) - int(number)))
        return read_camera(nearest)[0]
