# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Frames that OpenCV reads: videos, cameras of this computer."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ...errors import ConfigError
from ...structures import Frame
from ..cameras.camera_options import CameraOptions
from .frame_source import FrameSource, Skip, count_reason

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.ts')


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
