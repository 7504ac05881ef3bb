# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Picture files as frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...structures import Frame
from ..cameras.camera_options import CameraOptions
from ..messages.reading import decode_compressed
from .frame_source import FrameSource, Skip, count_reason

PICTURE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp')


def read_picture(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a file; 16 bits are cut to 8, transparency is dropped."""
    try:
        return decode_compressed(path.suffix.lstrip('.'), path.read_bytes())
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}; check the path') from None
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from None


def list_pictures(folder: Path) -> list[Path]:
    """Picture files directly in a folder, sorted by name, without hidden ones."""
    return sorted(path for path in folder.iterdir()
                  if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith('.')
                  and path.is_file())


def frame_names(paths: Sequence[Path]) -> list[str]:
    """One name per file: its stem; where files share a stem, the suffix is added: a_png."""
    shared = Counter(path.stem for path in paths)
    return [path.stem if shared[path.stem] == 1 else path.name.replace('.', '_')
            for path in paths]


class PictureSource(FrameSource):
    """Picture files, stamped with their time of modification; a camera file may be beside them."""

    kind = 'pictures'

    def __init__(self, paths: Sequence[Path], camera: CameraOptions,
                 skip: Skip | None = None) -> None:
        super().__init__(camera, skip, paths[0].parent)
        self._paths = paths
        self.len_hint = len(paths)

    def __iter__(self) -> Iterator[Frame]:
        """Read the files one by one."""
        for path, name in zip(self._paths, frame_names(self._paths), strict=True):
            if self.skip(name):
                continue
            try:
                frame = self._frame(read_picture(path), path.stat().st_mtime_ns, name)
            except (ConfigError, OSError) as error:
                count_reason(self.skipped, str(error))
                continue
            yield frame
