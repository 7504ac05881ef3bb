# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A video file or a camera of this computer as frames, read by OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from ...errors import ConfigError
from ...structures import Frame, Intrinsics
from .camera import SIDECAR_NAME, CameraOptions, read_camera_file
from .frame_source import FrameSource, Skip

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.ts')


class VideoSource(FrameSource):
    """
    A video file; stamps are the time since its start.

    :param camera: what the user says of the camera; else the camera.json beside the file.
    :raises ConfigError: a file that cannot be opened as a video.
    """

    kind: ClassVar[str] = 'video'

    def __init__(self, path: Path, camera: CameraOptions, skip: Skip | None = None) -> None:
        super().__init__(skip)
        self._path = path
        self._camera = camera
        sidecar = path.parent / SIDECAR_NAME
        self._sidecar: Intrinsics | None = read_camera_file(sidecar) if sidecar.is_file() else None
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise ConfigError(f'{path}: cannot be opened as a video; it is truncated or of a '
                              'format that OpenCV does not read; convert it, for example to mp4')
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.len_hint = count if count > 0 else None

    def __iter__(self) -> Iterator[Frame]:
        """Read on from where the file stands: a video is read once."""
        index = 0
        while self._capture.grab():
            stamp_ns = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
            name = f'{index:06d}'
            index += 1
            if self.skip(name):
                continue
            good, bgr = self._capture.retrieve()
            if not good or bgr is None:
                self._skipped(ConfigError('a frame of the video cannot be decoded'))
                continue
            image = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
            height, width = image.shape[:2]
            intrinsics, origin = self._camera.resolve(width, height, self._sidecar)
            yield Frame(image, intrinsics, max(stamp_ns, 0), name=name, intrinsics_source=origin)
        if self.len_hint is not None and index < self.len_hint:
            self.notes[f'{self._path}: ends after {index} of {self.len_hint} frames; '
                       'the file is truncated or its header is wrong'] += 1

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


class CameraSource(FrameSource):
    """
    A camera of this computer; it gives frames until it is unplugged or the caller stops.

    Frames are stamped when they are grabbed and named after their stamp, so that another run
    into the same folder adds to it.

    :param device: number as OpenCV counts, or a path such as /dev/video0.
    :raises ConfigError: when it cannot be opened.
    """

    kind: ClassVar[str] = 'camera'

    def __init__(self, device: int | str, camera: CameraOptions, skip: Skip | None = None) -> None:
        super().__init__(skip)
        self._device = device
        self._camera = camera
        self._capture = cv2.VideoCapture(device)
        if not self._capture.isOpened():
            raise ConfigError(f'camera {device}: cannot be opened; check that it is plugged in, '
                              'not used by another program, and that you may read it')
        # One buffered frame: what is shown is now, not some frames ago.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def __iter__(self) -> Iterator[Frame]:
        """Grab until the camera gives no more."""
        while self._capture.grab():
            stamp_ns = time.time_ns()
            good, bgr = self._capture.retrieve()
            if not good or bgr is None:
                self._skipped(ConfigError('a frame of the camera cannot be decoded'))
                continue
            image = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
            height, width = image.shape[:2]
            intrinsics, origin = self._camera.resolve(width, height)
            yield Frame(image, intrinsics, stamp_ns, name=f'{stamp_ns}', intrinsics_source=origin)
        self.notes[f'camera {self._device}: gives no more frames'] += 1

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()
