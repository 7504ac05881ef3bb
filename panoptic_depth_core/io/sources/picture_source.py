# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Picture files and folders of them as frames."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...files import natural
from ...structures import Frame
from ..cameras.camera_files import SIDECAR_NAMES
from ..cameras.camera_options import CameraOptions
from ..pictures import (
    PILLOW_SUFFIXES,
    decode_rgb,
    decode_stored,
    extra_for,
    has_16_bits,
    read_file,
)
from ..sixteen_bits import FIRST_PICTURES, SixteenBits
from .frame_source import FrameSource, Skip, count_reason

PICTURE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp', *PILLOW_SUFFIXES)
RUN_FILE = 'run.json'
"""A folder with it holds results of this program."""

JOINED = '__'
"""Between the parts of the name of a picture in a nested folder."""

_HEAD_BYTES = 64


def read_picture(path: Path, sixteen: SixteenBits | None = None,
                 note: Callable[[str], None] | None = None) -> NDArray[np.uint8]:
    """
    (H, W, 3) uint8 RGB of a file, upright by its EXIF orientation; transparency is dropped.

    :param sixteen, note: see messages.reading.pixels_of.
    :raises ConfigError: no picture, damaged, too large.
    """
    pixels = decode_rgb(read_file(path), str(path), upright=True, note=note)
    return np.asarray(pixels, np.uint8) if pixels.dtype == np.uint8 else (
        sixteen or SixteenBits()).scaled(pixels, note)


class FoundPictures(NamedTuple):
    """Picture files of a folder in natural order; what is not read of it, in words."""

    paths: list[Path]
    left_out: str


def find_pictures(folder: Path, recursive: bool = False) -> FoundPictures:
    """
    Picture files in a folder, and what else is there, by reason.

    :param recursive: also in its folders, but for hidden ones and results of this program.
    :raises ConfigError: the folder cannot be read.
    """
    found: list[Path] = []
    others: Counter[str] = Counter()

    def unreadable(error: OSError) -> None:
        raise ConfigError(f'{error.filename}: cannot be read: {error.strerror}; check the path')

    for top, folders, files in os.walk(folder, onerror=unreadable):
        entered = []
        for name in folders:
            reason = 'hidden' if name.startswith('.') else (
                'nested (--recursive reads them)' if not recursive
                else 'with results' if Path(top, name, RUN_FILE).exists() else '')
            if reason:
                others[reason] += 1
            else:
                entered.append(name)
        folders[:] = entered
        for name in files:
            path = Path(top, name)
            suffix = path.suffix.lower()
            if name.startswith('.'):
                others['hidden'] += 1
            elif suffix in PICTURE_SUFFIXES:
                missing = extra_for(suffix)
                if missing or not path.is_file():
                    others[f'{suffix} ({f"needs {missing}" if missing else "no file"})'] += 1
                else:
                    found.append(path)
            elif name not in SIDECAR_NAMES:
                others[suffix or 'without a suffix'] += 1
    # By stem: a.jpg comes before a (2).jpg.
    found.sort(key=lambda path: (
        [natural(part) for part in path.relative_to(folder).parent.parts], natural(path.stem),
        path.suffix))
    return FoundPictures(found, ', '.join(
        f'{count} {what}' for what, count in sorted(others.items())))


def frame_names(paths: Sequence[Path], folder: Path | None = None) -> list[str]:
    """
    One name per file: its stem; where files share a stem, the suffix is added: a_png.

    :param folder: that nested files are named from: left__a for left/a.png.
    """
    stems = [path.stem if folder is None else JOINED.join(
        (*path.relative_to(folder).parent.parts, path.stem)) for path in paths]
    shared = Counter(stems)
    taken, names = {stem for stem in stems if shared[stem] == 1}, []
    for path, stem in zip(paths, stems, strict=True):
        name = stem
        if shared[stem] > 1:
            name = f'{stem}{path.suffix.replace(".", "_")}'
            while name in taken:
                name += '_'
            taken.add(name)
        names.append(name)
    return names


class PictureSource(FrameSource):
    """
    Picture files; they have no stamps. A camera file may be beside them.

    :param folder: that nested files are named from.
    :param left_out: what was not read of it, for a note.
    """

    kind = 'pictures'

    def __init__(self, paths: Sequence[Path], camera: CameraOptions, skip: Skip | None = None,
                 folder: Path | None = None, left_out: str = '') -> None:
        super().__init__(camera, skip, paths[0].parent if folder is None else folder)
        self._paths, self._names = paths, frame_names(paths, folder)
        self.len_hint = len(paths)
        if left_out:
            self.notes.add(f'left out of {folder}: {left_out}')

    def __iter__(self) -> Iterator[Frame]:
        """Read the files one by one."""
        self.sixteen.first = self._look_first
        for index, (path, name) in enumerate(zip(self._paths, self._names, strict=True)):
            if self.skip(name):
                _look_at(path, self.sixteen)
                continue
            try:
                image = read_picture(path, self.sixteen, self.notes.add)
                frame = self._frame(image, 0, name)
            except ConfigError as error:
                # Not each of thousands by itself, where the folder or the disk is gone.
                if not any(map(os.path.exists, self._paths[index:])):
                    self.ended_early = f'{path}: it is gone, and so are all pictures after it'
                    return
                count_reason(self.skipped, str(error), path)
                continue
            yield frame

    def _look_first(self, sixteen: SixteenBits) -> None:
        step = -(-len(self._paths) // FIRST_PICTURES)
        for path in self._paths[::step]:
            _look_at(path, sixteen)


def _look_at(path: Path, sixteen: SixteenBits) -> None:
    """Let the window of 16 bits hold a picture that is not used now, so that runs agree."""
    if sixteen.bits or path.suffix.lower() not in ('.png', '.tif', '.tiff'):
        return
    with suppress(ConfigError, OSError):
        with path.open('rb') as file:
            head = np.frombuffer(file.read(_HEAD_BYTES), np.uint8)
        if has_16_bits(head):
            values = decode_stored(read_file(path), str(path))
            if values.dtype == np.uint16:
                sixteen.look(values)
