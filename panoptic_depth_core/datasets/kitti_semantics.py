# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
KITTI 2015: 200 pictures with semantics and instances, and depth from the stereo benchmark.

Files below the root, N = 000000..000199 (https://www.cvlibs.net/datasets/kitti, data_semantics and
data_scene_flow with its calibration, unpacked into one folder; formats from their devkits):

- ``training/image_2/N_10.png``
- ``training/semantic/N_10.png``: uint8 Cityscapes label id
- ``training/instance/N_10.png``, optional folder: uint16 label id * 256 + instance from 1, 0 where
  not known
- ``training/disp_occ_0/N_10.png``, optional: uint16 disparity in px * 256, 0 where unknown
- ``training/calib_cam_to_cam/N.txt``, optional; without it there is no depth, and the camera is
  DEFAULT_CAMERA

The pictures of ``testing`` have no labels. Every tenth of the others, from the first on, is val.
Neighbours can be of one recording, so val is easier than new streets.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..io.sources.camera import scaled_to
from ..labels import CITYSCAPES, THING_CLASSES
from ..structures import Frame, GroundTruth, Intrinsics, Sample
from .cityscapes import SPLITS
from .kitti_calibration import read_calibration
from .label_files import (
    VALUES,
    classes_of_label_ids,
    file_stems,
    instance_depths,
    look_up,
    pack,
    read_disparity,
    read_image,
    read_labels,
    require_folder,
    require_split,
)

DEFAULT_CAMERA = Intrinsics(721.5377, 721.5377, 609.5593, 172.854, 1242, 375)
"""P_rect_02 of the day that most of the pictures are from."""

_HOLD_OUT = 10
_SEMANTIC_IDS = pack(classes_of_label_ids(VALUES), np.zeros_like(VALUES))
_INSTANCE_IDS = pack(classes_of_label_ids(VALUES // 256), VALUES % 256)


class KittiSemantics:
    """
    One split: ``train`` (180 of the pictures with labels) or ``val`` (20).

    :raises ConfigError: when the root or the split is not there.
    """

    classes = CITYSCAPES

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        require_split('kitti_semantics', split, SPLITS)
        images = require_folder('kitti_semantics', Path(root) / 'training' / 'image_2',
                                'the folder that holds training/image_2 and training/semantic')
        self.folder = images.parent
        # Later frames of the same scenes (_11) have no labels.
        stems = file_stems('kitti_semantics', images, '_10.png')
        self.names = [f'{stem}_10' for i, stem in enumerate(stems)
                      if (i % _HOLD_OUT == 0) == (split == 'val')]
        self._has_instances = (self.folder / 'instance').is_dir()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        file_name = f'{name}.png'
        image = read_image(self.folder / 'image_2' / file_name)
        size = image.shape[:2]
        calibration = self.folder / 'calib_cam_to_cam' / f'{name.partition("_")[0]}.txt'
        disparity = self.folder / 'disp_occ_0' / file_name
        camera, depth = scaled_to(DEFAULT_CAMERA, size[1], size[0]), None
        if calibration.is_file():
            camera, baseline_m = read_calibration(calibration, size[1], size[0])
            if disparity.is_file():
                depth = read_disparity(disparity, size, camera.fx * baseline_m)
        panoptic = self._panoptic(file_name, size)
        frame = Frame(image, camera, name=name, intrinsics_source='data set')
        return Sample(frame, GroundTruth(
            panoptic=panoptic, has_semantics=True,
            instance_classes=THING_CLASSES if self._has_instances else (), depth=depth,
            instance_depth_m=instance_depths(panoptic, depth)))

    def _panoptic(self, file_name: str, size: tuple[int, int]) -> NDArray[np.int32]:
        path = self.folder / 'semantic' / file_name
        semantic = look_up(path, read_labels(path, size, np.uint8), _SEMANTIC_IDS)
        if not self._has_instances:
            return semantic
        path = self.folder / 'instance' / file_name
        instances = look_up(path, read_labels(path, size, np.uint16), _INSTANCE_IDS)
        # Where the two disagree, the class is known and the instance is not.
        return np.where(instances // 1000 == semantic // 1000, instances, semantic)
