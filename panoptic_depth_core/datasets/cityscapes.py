# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Cityscapes and Cityscapes-DVPS; what is missing or wrong raises ConfigError.

The files of each are in the docstring of its class.
"""

from __future__ import annotations

import json
import math
import re
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..io.cameras.shapes import scaled_to
from ..labels import LABEL_DIVISOR, VOID_CLASS
from ..structures import Intrinsics, Mounting, Sample
from ..untrusted import reading
from . import label_files as files

DEFAULT_CAMERA = Intrinsics(2262.52, 2265.3017905988554, 1096.98, 513.137, 2048, 1024)
"""The calibration of Aachen, which is widely taken for all; other cities have slightly others."""



class Stereo(NamedTuple):
    """The left camera of 2048x1024 px, how far the right one is from it, where it is mounted."""

    camera: Intrinsics
    baseline_m: float = math.nan
    mounting: Mounting | None = None


DEFAULT_STEREO = Stereo(DEFAULT_CAMERA)

_EXPECTED = 'the folder that holds leftImg8bit and gtFine'
_IMAGE = '_leftImg8bit.png'
_CLASSES = files.classes_of_label_ids(files.VALUES)
_NAME = re.compile(r'\d+_\d+_[^_]+_\d+_\d+')
_VOID = 32
_TRAIN_IDS = files.VALUES // LABEL_DIVISOR
_DVPS_IDS = files.panoptic_ids(np.where(_TRAIN_IDS == _VOID, VOID_CLASS, _TRAIN_IDS),
                               files.VALUES % LABEL_DIVISOR + 1)
_STUFF = files.VALUES < 1000
_IDS = files.cityscapes_ids(np.where(_STUFF, files.VALUES, files.VALUES // 1000),
                            np.where(_STUFF, 0, files.VALUES % 1000 + 1))


class Cityscapes(files.FrameReader):
    """
    Single pictures with panoptic labels, optionally stereo disparities.

    Files below the root (https://www.cityscapes-dataset.com; encodings as in
    https://github.com/mcordts/cityscapesScripts), NAME = CITY_xxxxxx_xxxxxx:

    - ``leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png``
    - ``gtFine/cityscapes_panoptic_SPLIT.json`` with a folder of PNGs of that name (COCO panoptic
      format, category ids are label ids, made by createPanopticImgs.py), or, where the JSON is not
      there, ``gtFine/SPLIT/CITY/NAME_gtFine_instanceIds.png``: uint16 label id * 1000 + instance
      from 0; a label id alone is stuff, or a group of things without instances
    - ``disparity/SPLIT/CITY/NAME_disparity.png``, optional: uint16 disparity in px * 256 + 1, 0
      where unknown
    - ``camera/SPLIT/CITY/NAME_camera.json``, optional; without it there is no depth, and the
      camera is DEFAULT_CAMERA

    One split: ``train`` or ``val``.
    """

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        files.require_split('cityscapes', split)
        self.root, self.split = Path(root), split
        images = files.require_folder('cityscapes', self.root / 'leftImg8bit' / split, _EXPECTED)
        self.names = files.file_stems('cityscapes', images, _IMAGE, '*/')
        self._json = self.root / 'gtFine' / f'cityscapes_panoptic_{split}.json'
        if not self._json.is_file():
            files.require_folder('cityscapes', self.root / 'gtFine' / split, _EXPECTED)

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        image = files.read_image(self._file('leftImg8bit', name, _IMAGE))
        size = image.shape[:2]
        camera_file = self._file('camera', name, '_camera.json')
        disparity_file = self._file('disparity', name, '_disparity.png')
        stereo, depth = DEFAULT_STEREO, None
        if camera_file.is_file():
            stereo = read_camera(camera_file)
            if disparity_file.is_file():
                depth = self._depth(disparity_file, size, stereo.camera.fx * stereo.baseline_m)
        return files.make_sample(image, scaled_to(stereo.camera, size[1], size[0]), name,
                                 panoptic=self._panoptic(name, size), depth=depth,
                                 mounting=stereo.mounting)

    def _depth(self, path: Path, size: tuple[int, int], fx_baseline: float,
               ) -> NDArray[np.float32]:
        return files.read_disparity(path, size, fx_baseline, 1)

    def _file(self, kind: str, name: str, suffix: str) -> Path:
        return self.root / kind / self.split / name.partition('_')[0] / f'{name}{suffix}'

    def _panoptic(self, name: str, size: tuple[int, int]) -> NDArray[np.int32]:
        if not self._json.is_file():
            path = self._file('gtFine', name, '_gtFine_instanceIds.png')
            return files.read_panoptic(path, size, np.uint16, _IDS)
        if name not in self._annotations:
            raise ConfigError(f'{self._json}: has no annotation of {name}; make it again with '
                              'createPanopticImgs.py')
        annotation = self._annotations[name]
        return files.read_segments(self._json.with_suffix('') / annotation.file_name, size,
                                   annotation.segments_info, lambda label: int(_CLASSES[label]))

    @cached_property
    def _annotations(self) -> dict[str, files.Annotation]:
        content = files.read_panoptic_json(self._json, 'make it again with createPanopticImgs.py')
        return {str(annotation.image_id): annotation for annotation in content.annotations}


class CityscapesDepthLab(Cityscapes):
    """Cityscapes with depth as Panoptic-DepthLab learns it (train) and is measured on (val)."""

    def _depth(self, path: Path, size: tuple[int, int], fx_baseline: float,
               ) -> NDArray[np.float32]:
        depth = depthlab_depth(files.read_labels(path, size, np.uint16), fx_baseline,
                               training=self.split == 'train')
        return np.where(depth > 0, depth, np.float32(np.nan))


def depthlab_depth(stored: NDArray[np.uint16], fx_baseline: float, *,
                   training: bool) -> NDArray[np.float32]:
    """
    Depth of a disparity as the code of Panoptic-DepthLab has it, at full size.

    Beyond 40 m nothing is known at the left and lower border, where there is no stereo and the
    own car. A fault of the original: in training, every other pixel without a disparity is 80 m.

    :param stored: (H, W) disparity in px * 256 + 1, 0 where unknown.
    :returns: (H, W) meters, 0 where unknown.
    """
    disparity = np.maximum(stored.astype(np.float64) - 1.0, 0.0) / 256.0
    if training:
        depth = fx_baseline / (disparity + 1e-6)
    else:
        depth = np.divide(fx_baseline, disparity, out=np.zeros_like(disparity),
                          where=disparity > 0)
    depth = np.minimum(depth, 80.0)
    for border in (depth[:, :90], depth[844:]):
        border[border > 40.0] = 0.0
    return depth.astype(np.float32)


class CityscapesDvps(files.VideoReader):
    """
    Cityscapes-DVPS: six frames per sequence SSSSSS, see files.VideoReader.

    Files are ``SSSSSS_FFFFFF_CITY_xxxxxx_xxxxxx_{leftImg8bit,gtFine_instanceTrainIds,depth}.png``;
    labels uint16 train id * 1000 + instance, 32000 void. Instances count from 0, as in Cityscapes;
    groups without instances are void (create_panoptic_labels.py of
    https://github.com/mcahny/vps, which makes the labels). Cameras are those of Cityscapes where
    ``camera/SPLIT/CITY`` lies beside video_sequence, else DEFAULT_CAMERA.
    """

    data_set = 'cityscapes_dvps'

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        super().__init__(root, split)
        odd = [name for name in self.names if not _NAME.fullmatch(name)]
        if odd:
            raise ConfigError(f'cityscapes_dvps: {self.folder / odd[0]}{self.image} is not named '
                              'SSSSSS_FFFFFF_CITY_xxxxxx_xxxxxx; remove it or rename it')
        beside = self.root.parent if self.root.name == 'video_sequence' else self.root
        self._cameras: dict[str, list[Path]] = {}
        for path in sorted((beside / 'camera').glob('*/*/*_camera.json')):
            self._cameras.setdefault(path.parent.name, []).append(path)

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        image = files.read_image(self.folder / f'{name}{self.image}')
        size = image.shape[:2]
        labels = self.folder / f'{name}_gtFine_instanceTrainIds.png'
        stereo = self._stereo(name)
        return files.make_sample(
            image, scaled_to(stereo.camera, size[1], size[0]), name, mounting=stereo.mounting,
            panoptic=files.read_panoptic(labels, size, np.uint16, _DVPS_IDS),
            depth=files.read_depth(self.folder / f'{name}_depth.png', size),
            sequence=name.partition('_')[0])

    def _stereo(self, name: str) -> Stereo:
        """Of the nearest frame of the recording: only every thirtieth has a camera file."""
        _, _, city, recording, number = name.split('_')
        cameras = [path for path in self._cameras.get(city, ())
                   if path.name.split('_')[1] == recording]
        if not cameras:
            return DEFAULT_STEREO
        nearest = min(cameras, key=lambda p: abs(int(p.name.split('_')[2]) - int(number)))
        return read_camera(nearest)


def read_camera(path: Path) -> Stereo:
    """
    Read a camera file.

    Its extrinsic is the pose of the camera in the frame of the vehicle of ISO 8855 (x forward, y
    left, z up), whose origin is on the ground: z in meters, pitch and roll in radians about y and
    x, so that it looks down where pitch > 0 (docs/csCalibration.pdf of cityscapesScripts).
    """
    with reading(path, 'a camera file of Cityscapes', 'copy it again, or remove it'):
        content: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
        fx, fy, cx, cy = (float(content['intrinsic'][key]) for key in ('fx', 'fy', 'u0', 'v0'))
        extrinsic = content['extrinsic']
        mounting = Mounting(float(extrinsic['z']), *(
            math.degrees(float(extrinsic[key])) for key in ('pitch', 'roll'))
            ) if 'z' in extrinsic else None
        return Stereo(Intrinsics(fx, fy, cx, cy, 2048, 1024), float(extrinsic['baseline']),
                      mounting)
