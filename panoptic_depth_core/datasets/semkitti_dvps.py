# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
SemKITTI-DVPS: KITTI odometry videos with panoptic labels and depth of their lidar points.

Files (https://github.com/joe-siyuan-qiao/ViP-DeepLab, semkitti-dvps): ``video_sequence/SPLIT/
SSSSSS_FFFFFF_{leftImg8bit,gtFine_class,gtFine_instance,depth_FOCAL}.png``; class uint8, table
SEMKITTI, 255 void; instance uint8 or uint16, 0 where not known; depth uint16 metres * 256, 0
unknown; the focal length in px is in the name of the depth file. Labels are as sparse as lidar.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..labels import LABEL_DIVISOR, SEMKITTI, VOID_ID, thing_classes
from ..structures import Frame, GroundTruth, Intrinsics, Sample
from .cityscapes import SPLITS
from .label_files import (
    file_stems,
    instance_depths,
    pack,
    read_depth,
    read_image,
    read_labels,
    require_known,
    require_split,
    video_sequence_folder,
)

THING_CLASSES = thing_classes(SEMKITTI)

_IMAGE = '_leftImg8bit.png'
_CAMERAS = (
    Intrinsics(718.856, 718.856, 607.1928, 185.2157, 1241, 376),
    Intrinsics(721.5377, 721.5377, 609.5593, 172.854, 1242, 375),
    Intrinsics(707.0912, 707.0912, 601.8873, 183.1104, 1226, 370),
)
"""P2 of KITTI odometry's calib.txt: sequences 0..2 and 13..21, 3, 4..12."""


class SemKittiDvps:
    """
    One split: ``train`` or ``val``.

    :param root: the folder that holds video_sequence, or that folder, or one with frames in it,
        which are taken for any split.
    :raises ConfigError: when the root or the split is not there.
    """

    classes = SEMKITTI

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        require_split('semkitti_dvps', split, SPLITS)
        self.folder = video_sequence_folder('semkitti_dvps', Path(root), split, _IMAGE)
        self.names = file_stems('semkitti_dvps', self.folder, _IMAGE)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        image = read_image(self.folder / f'{name}{_IMAGE}')
        size = image.shape[:2]
        class_file = self.folder / f'{name}_gtFine_class.png'
        classes = read_labels(class_file, size, np.uint8)
        instances = read_labels(self.folder / f'{name}_gtFine_instance.png', size,
                                np.uint8, np.uint16)
        panoptic = pack(classes, within_divisor(classes, instances), SEMKITTI)
        require_known(class_file, classes, panoptic)
        depth_file, focal_px = self._depth_file(name)
        depth = read_depth(depth_file, size)
        frame = Frame(image, camera_of(focal_px, size[1], size[0]), name=name,
                      intrinsics_source='data set')
        return Sample(frame, GroundTruth(
            panoptic=panoptic, has_semantics=True, instance_classes=THING_CLASSES,
            # Where the lidar has no point, not even the absence of a thing is known.
            ignore=panoptic == VOID_ID, depth=depth,
            instance_depth_m=instance_depths(panoptic, depth)), name.partition('_')[0])

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
    for camera in _CAMERAS:
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
    wrapped = np.where(wide > 0, (wide - 1) % (LABEL_DIVISOR - 1) + 1, 0)
    before = np.unique(classes.astype(np.int64) << 32 | wide)
    after = (before >> 32, ((before & 0xFFFFFFFF) - 1) % (LABEL_DIVISOR - 1) + 1)
    counts = Counter(zip(*(part.tolist() for part in after), strict=True))
    for (class_id, instance), count in counts.items():
        if count > 1:
            wrapped[(classes == class_id) & (wrapped == instance)] = 0
    return wrapped
