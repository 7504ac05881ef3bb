# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Frames that OpenCV reads: picture files, videos, cameras of this computer."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...structures import Frame
from ..cameras.camera_options import CameraOptions
from ..messages.reading import decode_compressed
from .frame_source import FrameSource, Skip, count_reason

PICTURE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp')
VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.ts')


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
        for index, (path, name) in enumerate(zip(self._paths, frame_names(self._paths),
                                                 strict=True)):
            if self.skip(name):
                continue
            try:
                frame = self._frame(read_picture(path), path.stat().st_mtime_ns, name)
            except (ConfigError, OSError) as error:
                # Not each of thousands by itself, where the folder or the disk is gone.
                if not any(map(os.path.exists, self._paths[index:])):
                    self.ended_early = f'{path}: it is gone, and so are all pictures after it'
                    return
                count_reason(self.skipped, str(error), path)
                continue
            yield frame


class _CaptureSource(FrameSource):
    """Frames of a cv2.VideoCapture, which can be read once."""

    def __init__(self, device: int | str, problem: str, camera: CameraOptions,
                 skip: Skip | None, folder: Path | None = None) -> None:
        super().__init__(camera, skip, folder)
        self._capture = cv2.VideoCapture(device)
        if not self._capture.isOpened():
            raise ConfigError(problem)

    @abstractmethod
    def _name_and_stamp(self, index: int) -> tuple[str, int]:
        """Of the frame that was grabbed."""

    @abstractmethod
    def _end(self, count: int) -> str:
        """What the user should know of the end, if anything."""

    def __iter__(self) -> Iterator[Frame]:
        """Read on until there are no more frames."""
        index = 0
        while self._capture.grab():
            name, stamp_ns = self._name_and_stamp(index)
            index += 1
            if self.skip(name):
                continue
            good, bgr = self._capture.retrieve()
            if good and bgr is not None:
                image = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
                try:
                    frame = self._frame(image, stamp_ns, name)
                except ConfigError as error:
                    count_reason(self.skipped, str(error))
                    continue
                yield frame
            else:
                count_reason(self.skipped, f'a frame of the {self.kind} cannot be decoded')
        if note := self._end(index):
            self.notes.add(note)

    def close(self) -> None:
        """Release the file or the camera."""
        self._capture.release()


class VideoSource(_CaptureSource):
    """A video file; stamps are the time since its start. A camera file may be beside it."""

    kind = 'video'

    def __init__(self, path: Path, camera: CameraOptions, skip: Skip | None = None) -> None:
        super().__init__(str(path), f'{path}: cannot be opened as a video; it is truncated or of '
                         'a format that OpenCV does not read; convert it, for example to mp4',
                         camera, skip, path.parent)
        self._path = path
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.len_hint = count if count > 0 else None

    def _name_and_stamp(self, index: int) -> tuple[str, int]:
        return f'{index:06d}', max(round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6), 0)

    def _end(self, count: int) -> str:
        return '' if count >= (self.len_hint or 0) else (
            f'{self._path}: ends after {count} of {self.len_hint} frames; the file is truncated '
            'or its header is wrong')


class CameraSource(_CaptureSource):
    """
    A camera of this computer; it gives frames until it is unplugged or the caller stops.

    Frames are stamped when they are grabbed and named after their stamp, so another run into the
    same folder adds to it.

    :param device: number as OpenCV counts, or a path such as /dev/video0.
    """

    kind = 'camera'

    def __init__(self, device: int | str, camera: CameraOptions, skip: Skip | None = None) -> None:
        super().__init__(device, f'camera {device}: cannot be opened; check that it is plugged '
                         'in, not used by another program, and that you may read it', camera, skip)
        self._device = device
        # One buffered frame: an image shows the present, not the scene of some frames ago.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def _name_and_stamp(self, index: int) -> tuple[str, int]:
        stamp_ns = time.time_ns()
        return str(stamp_ns), stamp_ns

    def _end(self, count: int) -> str:
        return f'camera {self._device}: gives no more frames'
