# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A picture file, or a folder of them, as frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...structures import Frame
from ..messages.image_encodings import decode_compressed
from .camera import SIDECAR_NAME, CameraOptions, read_camera_file
from .frame_source import FrameSource, Skip

PICTURE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp')


def read_picture(path: Path) -> NDArray[np.uint8]:
    """
    Read a picture file.

    :returns: (H, W, 3) uint8 RGB; 16 bits are cut to 8, transparency is dropped.
    :raises ConfigError: not readable, not a picture, truncated.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}; check the path') from None
    try:
        return decode_compressed(path.suffix.lstrip('.'), data)
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from None


def list_pictures(folder: Path) -> list[Path]:
    """Picture files directly in a folder, sorted by name; hidden files are left out."""
    return sorted(path for path in folder.iterdir()
                  if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith('.')
                  and path.is_file())


def frame_names(paths: Sequence[Path]) -> list[str]:
    """One name per file: its stem; where files share a stem, the suffix is added: a_png."""
    shared = Counter(path.stem for path in paths)
    return [path.stem if shared[path.stem] == 1 else path.name.replace('.', '_')
            for path in paths]


class PictureSource(FrameSource):
    """
    Picture files as frames, stamped with their time of modification.

    :param paths: the files, in order.
    :param camera: what the user says of the camera; else the camera.json beside the first file.
    :raises ConfigError: a camera.json that is wrong.
    """

    kind: ClassVar[str] = 'pictures'

    def __init__(self, paths: Sequence[Path], camera: CameraOptions,
                 skip: Skip | None = None) -> None:
        super().__init__(skip)
        self._paths = list(paths)
        self._camera = camera
        self.len_hint = len(self._paths)
        sidecar = self._paths[0].parent / SIDECAR_NAME
        self._sidecar = read_camera_file(sidecar) if sidecar.is_file() else None

    def __iter__(self) -> Iterator[Frame]:
        """Read the files one by one."""
        for path, name in zip(self._paths, frame_names(self._paths), strict=True):
            if self.skip(name):
                continue
            try:
                image = read_picture(path)
                stamp_ns = path.stat().st_mtime_ns
            except (ConfigError, OSError) as error:
                self._skipped(error)
                continue
            height, width = image.shape[:2]
            intrinsics, origin = self._camera.resolve(width, height, self._sidecar)
            yield Frame(image, intrinsics, stamp_ns, name=name, intrinsics_source=origin)
