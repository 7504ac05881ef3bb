# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Cityscapes: single pictures with panoptic labels, optionally stereo disparities.

Files below the root (https://www.cityscapes-dataset.com; encodings as in
https://github.com/mcordts/cityscapesScripts), NAME = CITY_xxxxxx_xxxxxx:

- ``leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png``
- ``gtFine/cityscapes_panoptic_SPLIT.json`` with a folder of PNGs of that name (COCO panoptic
  format, category ids are label ids, made by createPanopticImgs.py), or, where the JSON is not
  there, ``gtFine/SPLIT/CITY/NAME_gtFine_instanceIds.png``: uint16 label id * 1000 + instance
  from 0; a label id alone is stuff, or a group of things that are not told apart
- ``disparity/SPLIT/CITY/NAME_disparity.png``, optional: uint16 disparity in px * 256 + 1, 0 where
  unknown
- ``camera/SPLIT/CITY/NAME_camera.json``, optional; without it there is no depth, and the camera
  is DEFAULT_CAMERA
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..io.sources.camera import scaled_to
from ..structures import Intrinsics, Sample
from .label_files import (
    VALUES,
    Annotation,
    FrameReader,
    classes_of_label_ids,
    file_stems,
    look_up,
    make_sample,
    panoptic_ids,
    read_disparity,
    read_image,
    read_labels,
    read_panoptic_json,
    read_segments,
    require_folder,
    require_split,
)

DEFAULT_CAMERA = Intrinsics(2262.52, 2265.3017905988554, 1096.98, 513.137, 2048, 1024)
"""The calibration of Aachen, which is widely taken for all; other cities have slightly others."""

_EXPECTED = 'the folder that holds leftImg8bit and gtFine'
_IMAGE = '_leftImg8bit.png'
_CLASSES = classes_of_label_ids(VALUES)
_IDS = panoptic_ids(classes_of_label_ids(np.where(VALUES < 1000, VALUES, VALUES // 1000)),
                    np.where(VALUES < 1000, 0, VALUES % 1000 + 1))


class Cityscapes(FrameReader):
    """
    One split: ``train`` or ``val``.

    :raises ConfigError: when the root or the split is not there.
    """

    def __init__(self, root: Path | str, split: str = 'val') -> None:
        require_split('cityscapes', split)
        self.root, self.split = Path(root), split
        images = require_folder('cityscapes', self.root / 'leftImg8bit' / split, _EXPECTED)
        self.names = file_stems('cityscapes', images, _IMAGE, '*/')
        self._json = self.root / 'gtFine' / f'cityscapes_panoptic_{split}.json'
        if not self._json.is_file():
            require_folder('cityscapes', self.root / 'gtFine' / split, _EXPECTED)

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        image = read_image(self._file('leftImg8bit', name, _IMAGE))
        size = image.shape[:2]
        camera_file = self._file('camera', name, '_camera.json')
        disparity_file = self._file('disparity', name, '_disparity.png')
        camera, depth = DEFAULT_CAMERA, None
        if camera_file.is_file():
            camera, baseline_m = read_camera(camera_file)
            if disparity_file.is_file():
                depth = read_disparity(disparity_file, size, camera.fx * baseline_m, offset=1)
        return make_sample(image, scaled_to(camera, size[1], size[0]), name,
                           panoptic=self._panoptic(name, size), depth=depth)

    def _file(self, kind: str, name: str, suffix: str) -> Path:
        return self.root / kind / self.split / name.partition('_')[0] / f'{name}{suffix}'

    def _panoptic(self, name: str, size: tuple[int, int]) -> NDArray[np.int32]:
        if not self._json.is_file():
            path = self._file('gtFine', name, '_gtFine_instanceIds.png')
            return look_up(path, read_labels(path, size, np.uint16), _IDS)
        if name not in self._annotations:
            raise ConfigError(f'{self._json}: has no annotation of {name}; make it again with '
                              'createPanopticImgs.py')
        annotation = self._annotations[name]
        return read_segments(self._json.with_suffix('') / annotation.file_name, size,
                             annotation.segments_info, lambda label: int(_CLASSES[label]))

    @cached_property
    def _annotations(self) -> dict[str, Annotation]:
        content = read_panoptic_json(self._json, 'make it again with createPanopticImgs.py')
        return {str(annotation.image_id): annotation for annotation in content.annotations}


def read_camera(path: Path) -> tuple[Intrinsics, float]:
    """
    Read a camera file of Cityscapes.

    :returns: the camera of the picture of 2048x1024 px, and the distance in metres to the other
        camera of the stereo pair.
    :raises ConfigError: when it cannot be read or is no such file.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
        fx, fy, cx, cy = (float(content['intrinsic'][key]) for key in ('fx', 'fy', 'u0', 'v0'))
        camera = Intrinsics(fx, fy, cx, cy, DEFAULT_CAMERA.width, DEFAULT_CAMERA.height)
        return camera, float(content['extrinsic']['baseline'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f'{path}: no camera file of Cityscapes: {error!r}; '
                          'copy it again, or remove it') from None
