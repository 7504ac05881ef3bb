# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
DVPS: videos with panoptic labels, instances that keep their ids, and depth.

Files of both data sets (https://github.com/joe-siyuan-qiao/ViP-DeepLab, cityscapes-dvps and
semkitti-dvps) lie in ``video_sequence/SPLIT``; depth is uint16 metres * 256, 0 unknown.

Cityscapes-DVPS has six frames per sequence SSSSSS: ``SSSSSS_FFFFFF_CITY_xxxxxx_xxxxxx_{
leftImg8bit,gtFine_instanceTrainIds,depth}.png``; labels uint16 train id * 1000 + instance, 32000
void. Instances count from 0, as in Cityscapes; groups that are not told apart are void
(create_panoptic_labels.py of https://github.com/mcahny/vps, which makes the labels). It has no
cameras. Those of Cityscapes are used where ``camera/SPLIT/CITY`` lies beside video_sequence, else
Cityscapes' default.

SemKITTI-DVPS has the drives of KITTI odometry: ``SSSSSS_FFFFFF_{leftImg8bit,gtFine_class,
gtFine_instance,depth_FOCAL}.png``; class uint8, table SEMKITTI, 255 void; instance uint8 or
uint16, 0 where not known; the focal length in px is in the name of the depth file. Labels are as
sparse as lidar.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..io.sources.camera import scaled_to
from ..labels import LABEL_DIVISOR, SEMKITTI, VOID_CLASS, VOID_ID, thing_classes
from ..structures import Intrinsics, Sample
from .cityscapes import DEFAULT_CAMERA, read_camera
from .label_files import (
    VALUES,
    FrameReader,
    file_stems,
    look_up,
    make_sample,
    panoptic_ids,
    read_depth,
    read_image,
    read_labels,
    require_known,
    require_split,
)

_IMAGE = '_leftImg8bit.png'
_NAME = re.compile(r'\d+_\d+_[^_]+_\d+_\d+')
_VOID = 32
_CLASSES = VALUES // LABEL_DIVISOR
_IDS = panoptic_ids(np.where(_CLASSES == _VOID, VOID_CLASS, _CLASSES), VALUES % LABEL_DIVISOR + 1)

_KITTI_CAMERAS = (
    Intrinsics(718.856, 718.856, 607.1928, 185.2157, 1241, 376),
    Intrinsics(721.5377, 721.5377, 609.5593, 172.854, 1242, 375),
    Intrinsics(707.0912, 707.0912, 601.8873, 183.1104, 1226, 370),
)
"""P2 of KITTI odometry's calib.txt: sequences 0..2 and 13..21, 3, 4..12."""


class _VideoSequences(FrameReader):
    """
    One split: ``train`` or ``val``.

    :param root: the folder that holds video_sequence, or that folder, or one with frames in it,
        which are taken for any split.
    :raises ConfigError: when the root or the split is not there.
    """

    data_set: str

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        require_split(self.data_set, split)
        self.root = Path(root)
        places = (self.root / 'video_sequence' / split, self.root / split, self.root)
        found = [folder for folder in places if next(folder.glob(f'*{_IMAGE}'), None) is not None]
        if not found:
            raise ConfigError(f'{self.data_set}: no *{_IMAGE} in {root}/video_sequence/{split}; '
                              'give as root the folder that holds video_sequence')
        self.folder = found[0]
        self.names = file_stems(self.data_set, self.folder, _IMAGE)


class CityscapesDvps(_VideoSequences):
    """Cityscapes-DVPS, see _VideoSequences."""

    data_set = 'cityscapes_dvps'

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        super().__init__(root, split)
        odd = [name for name in self.names if not _NAME.fullmatch(name)]
        if odd:
            raise ConfigError(f'cityscapes_dvps: {self.folder / odd[0]}{_IMAGE} is not named '
                              'SSSSSS_FFFFFF_CITY_xxxxxx_xxxxxx; remove it or rename it')
        beside = self.root.parent if self.root.name == 'video_sequence' else self.root
        self._cameras: dict[str, list[Path]] = {}
        for path in sorted((beside / 'camera').glob('*/*/*_camera.json')):
            self._cameras.setdefault(path.parent.name, []).append(path)

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        image = read_image(self.folder / f'{name}{_IMAGE}')
        size = image.shape[:2]
        labels = self.folder / f'{name}_gtFine_instanceTrainIds.png'
        return make_sample(
            image, scaled_to(self._camera(name), size[1], size[0]), name,
            panoptic=look_up(labels, read_labels(labels, size, np.uint16), _IDS),
            depth=read_depth(self.folder / f'{name}_depth.png', size),
            sequence=name.partition('_')[0])

    def _camera(self, name: str) -> Intrinsics:
        """Of the nearest frame of the recording: only every thirtieth has a camera file."""
        _, _, city, recording, number = name.split('_')
        cameras = [path for path in self._cameras.get(city, ())
                   if path.name.split('_')[1] == recording]
        if not cameras:
            return DEFAULT_CAMERA
        nearest = min(cameras, key=lambda p: abs(int(p.name.split('_')[2]) - int(number)))
        return read_camera(nearest)[0]


class SemKittiDvps(_VideoSequences):
    """SemKITTI-DVPS, see _VideoSequences."""

    data_set = 'semkitti_dvps'
    classes = SEMKITTI

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        image = read_image(self.folder / f'{name}{_IMAGE}')
        size = image.shape[:2]
        class_file = self.folder / f'{name}_gtFine_class.png'
        classes = read_labels(class_file, size, np.uint8)
        instances = read_labels(self.folder / f'{name}_gtFine_instance.png', size,
                                np.uint8, np.uint16)
        panoptic = require_known(class_file, classes, panoptic_ids(
            classes, within_divisor(classes, instances), SEMKITTI))
        depth_file, focal_px = self._depth_file(name)
        return make_sample(
            image, camera_of(focal_px, size[1], size[0]), name, panoptic=panoptic,
            instance_classes=thing_classes(SEMKITTI), depth=read_depth(depth_file, size),
            # Where the lidar has no point, not even the absence of a thing is known.
            ignore=panoptic == VOID_ID, sequence=name.partition('_')[0])

    def _depth_file(self, name: str) -> tuple[Path, float]:
        """Path and focal length in px."""
        path = self._depth_files.get(name)
        if path is None:
            raise ConfigError(f'{self.folder / name}_depth_FOCAL.png: missing; '
                              'copy the data set again')
        try:
            return path, float(path.stem.rpartition('_')[2])
        except ValueError:
            raise ConfigError(f'{path}: the name does not end on _depth_FOCAL.png with the focal '
                              'length in px; copy the data set again') from None

    @cached_property
    def _depth_files(self) -> dict[str, Path]:
        return {path.name.partition('_depth_')[0]: path
                for path in self.folder.glob('*_depth_*.png')}


def camera_of(focal_px: float, width: int, height: int) -> Intrinsics:
    """Calibration of KITTI odometry with that focal length and image size; else centred."""
    for camera in _KITTI_CAMERAS:
        if abs(camera.fx - focal_px) < 1e-3 and (camera.width, camera.height) == (width, height):
            return camera
    return Intrinsics.from_focal(focal_px, width, height)


def within_divisor(classes: NDArray[Any], instances: NDArray[Any]) -> NDArray[np.int32]:
    """
    Instance ids 0..LABEL_DIVISOR - 1, the same for one instance in all frames.

    Larger ones wrap around. Two of one class that meet in a frame become a crowd, since to take
    them for one instance would be wrong.

    :param classes: (H, W) uint8. :param instances: (H, W) unsigned, 0 where not known.
    :returns: (H, W) int32.
    """
    wide = instances.astype(np.int32)
    if wide.max() < LABEL_DIVISOR:
        return wide

    def wrap(ids: NDArray[Any]) -> NDArray[Any]:
        return np.where(ids > 0, (ids - 1) % (LABEL_DIVISOR - 1) + 1, 0)

    wrapped = wrap(wide)
    keys = np.unique(classes.astype(np.int64) << 32 | wide)
    pairs = zip((keys >> 32).tolist(), wrap(keys & 0xFFFFFFFF).tolist(), strict=True)
    for (class_id, instance), count in Counter(pairs).items():
        if count > 1:
            wrapped[(classes == class_id) & (wrapped == instance)] = 0
    return wrapped
