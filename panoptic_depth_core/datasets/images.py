# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures without labels, of an unknown camera: for pseudo-labels (overlay.py)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..io.cameras.camera_options import CameraOptions
from ..io.sources.picture_source import find_pictures, frame_names, read_picture
from ..labels import CITYSCAPES, ClassInfo
from ..structures import Frame, GroundTruth, Sample
from .label_files import require_folder

ALL = 'all'
_POSSIBLE = np.repeat([[True], [False]], len(CITYSCAPES), axis=1)


class Images:
    """
    A folder of pictures.

    :param split: ``all``; or ``without_bottom_15``: the lowest 15 % of the rows show the vehicle
        of the camera itself, and are void whatever pseudo-labels say.
    """

    classes: tuple[ClassInfo, ...] = ()

    def __init__(self, root: Path | str, split: str = ALL) -> None:
        match = re.fullmatch(r'without_bottom_(\d\d?)', split)
        if match is None and split != ALL:
            raise ConfigError(f'images: unknown split {split!r}; give all, or without_bottom_15 '
                              'to leave out the lowest 15 % of the rows')
        self._masked = int(match[1]) / 100 if match else 0.0
        self._paths = find_pictures(
            require_folder('images', Path(root), 'a folder of pictures')).paths
        if not self._paths:
            raise ConfigError(f'images: {root} holds no pictures; give the folder that they are '
                              'in')
        self.names = frame_names(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Sample:
        image = read_picture(self._paths[index])
        size = image.shape[:2]
        camera, source = CameraOptions().resolve(size[1], size[0])
        return Sample(
            Frame(image, camera, name=self.names[index], intrinsics_source=source),
            GroundTruth(ignore=self._below(size) if self._masked else None))

    def possible_classes(self, index: int, size: tuple[int, int]
                         ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """See overlay.ClassLimits."""
        return self._below(size).astype(np.uint8), _POSSIBLE

    def _below(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """(H, W) bool, the rows that are left out."""
        below = np.zeros(size, np.bool_)
        below[int(size[0] * (1 - self._masked)):] = self._masked > 0
        return below
