# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The mounting of the camera of an image: a fixed one, or that of tf at its stamp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from ..errors import ConfigError
from ..io.sources.mounting import MountingSettings
from ..structures import Mounting


class MountingMemory:
    """
    Finds the mounting, and remembers why it could not.

    :param locate: target and source frame, stamp in ns -> (4, 4) from source to target; raises a
        ConfigError where it is not known.
    :ivar settings: may be replaced between images.
    """

    def __init__(self, settings: MountingSettings,
                 locate: Callable[[str, str, int], NDArray[Any]]) -> None:
        self.settings = settings
        self._locate = locate
        self._problem = ''

    def resolve(self, frame_id: str, stamp_ns: int) -> Mounting | None:
        """Mounting of an image; None where it is not known."""
        settings = self.settings
        if not settings.ground_frame:
            return settings.fixed
        found, problem = None, ''
        try:
            found = settings.from_ground(self._locate(frame_id, settings.ground_frame, stamp_ns))
        except ConfigError as error:
            problem = (f'mounting.ground_frame is {settings.ground_frame!r}, but images are '
                       f'processed without a mounting: {error}')
        # Only now: while an image waits for tf, that of the image before it is told.
        self._problem = problem
        return found

    @property
    def problem(self) -> str:
        """Why the mounting of the latest image is not known though it is set; else empty."""
        return self._problem if self.settings.ground_frame else ''
