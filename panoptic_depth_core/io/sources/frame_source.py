# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The interface of every source of frames."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ...reasons import Reasons
from ...reasons import count_reason as count_reason
from ...structures import Frame
from ..cameras.camera_files import read_camera_file, sidecar
from ..cameras.camera_options import CameraOptions
from ..sixteen_bits import SixteenBits
from .mounting import MountingSettings

Skip = Callable[[str], bool]


def skip_none(_: str) -> bool:
    """Skip no frame."""
    return False


class FrameSource(AbstractContextManager['FrameSource']):
    """
    Frames in order, read one at a time.

    Frames that cannot be read are counted and passed over. A frame's name depends only on its
    place in the source, so a run can be resumed.

    :ivar skipped: reason -> frames passed over because of it.
    :ivar notes: what the user should know of the source -> how often it was seen.
    :ivar ended_early: why it ended before its end, as of a camera that was unplugged or a folder
        that is gone; empty if it did not. What was given is good, and more may come later.
    :ivar sidecar: the camera file beside it, if there is one.
    :ivar stated: the camera that a file tells; None without one.
    :ivar len_hint: number of frames to expect, None where that cannot be known.
    :ivar mounting: given by the user; it wins over the source's.
    :ivar sixteen: how pictures of 16 bits become 8.
    :param camera: the user's camera; it wins over the source's.
    :param skip: name -> True for frames that are done: they are not decoded.
    :param folder: where a camera file may be, see camera_files.SIDECAR_NAMES.
    """

    kind: ClassVar[Literal['pictures', 'video', 'camera', 'bag']]

    def __init__(self, camera: CameraOptions, skip: Skip | None = None,
                 folder: Path | None = None) -> None:
        self.camera = camera
        # A file that cannot be read is an error before the first frame.
        _ = camera.calibration
        self.sidecar = None if folder is None or camera.is_given else sidecar(folder)
        self._beside = None if self.sidecar is None else read_camera_file(self.sidecar,
                                                                          use=camera.use)
        self.stated = self._beside if camera.calibration is None else camera.calibration
        self.skip: Skip = skip or skip_none
        self.skipped = Reasons()
        self.notes = Reasons()
        self.ended_early = ''
        self.mounting = MountingSettings()
        self.sixteen = SixteenBits(camera.bits)
        self.len_hint: int | None = None

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Give the frames that are not skipped."""

    def _frame(self, image: NDArray[np.uint8], stamp_ns: int, name: str) -> Frame:
        """The frame of an image; raises ConfigError where the camera is not that of the image."""
        intrinsics, origin = self.camera.resolve(image.shape[1], image.shape[0], self._beside)
        return Frame(image, intrinsics, stamp_ns, name=name, intrinsics_source=origin,
                     mounting=self.mounting.fixed)

    def close(self) -> None:
        """Release files and devices."""

    def __exit__(self, *_: object) -> None:
        """Close at the end of a with statement."""
        self.close()
