# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The camera of an image: from the CameraInfo of its stamp, the latest one, or a fallback."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from ..io.messages.reading import stamp_of
from ..io.sources.camera import (
    DEFAULT_FOV_DEG,
    CameraOptions,
    camera_info_problem,
    intrinsics_from_camera_info,
)
from ..structures import Intrinsics
from .settings import CameraInfoSettings

_KEPT = 10
"""Number of CameraInfo kept: an image may be processed after newer ones have arrived."""


class CameraMemory:
    """
    Keeps CameraInfo messages and finds the camera of an image.

    :param rectified: the images are rectified: P is used instead of K.
    :param topic: of the CameraInfo, for messages.
    """

    def __init__(self, settings: CameraInfoSettings, rectified: bool = False,
                 topic: str = 'camera_info') -> None:
        self.settings = settings
        self._rectified = rectified
        self._topic = topic
        # Replaced, not changed: another thread reads it.
        self._infos: tuple[tuple[int, Any], ...] = ()
        self._problem = 'none has arrived'
        self._note = ''

    def remember(self, info: Any) -> None:
        """Add a sensor_msgs/CameraInfo, from one thread; an unusable one is ignored."""
        problem = camera_info_problem(info)
        if problem is None:
            self._infos = (*self._infos[1 - _KEPT:], (stamp_of(info), info))
        elif not self._infos:
            self._problem = problem

    def resolve(self, width: int, height: int, stamp_ns: int) -> tuple[Intrinsics, str]:
        """
        Camera of an image and its origin: 'camera_info', 'fallback' or 'default'.

        :raises ConfigError: there is none and the policy requires one.
        """
        settings = self.settings
        info, problem = self._find(settings, stamp_ns)
        if info is not None:
            camera, note = intrinsics_from_camera_info(info, width, height, self._rectified)
            self._note = note or ''
            return camera, 'camera_info'
        if settings.policy == 'require':
            raise ConfigError(f'{self._topic}: {problem}; publish it, or set camera_info.policy '
                              'to fallback and camera_info.fallback_k')
        if settings.fallback_k:
            fx, _, cx, _, fy, cy, *_ = settings.fallback_k
            return Intrinsics(fx, fy, cx, cy, width, height), 'fallback'
        return CameraOptions().resolve(width, height)

    def problem(self, stamp_ns: int) -> tuple[str, bool]:
        """
        Problem with the camera of an image of that stamp; empty if there is none.

        :returns: the problem, and whether images are skipped because of it.
        """
        settings = self.settings
        info, problem = self._find(settings, stamp_ns)
        if info is not None:
            return self._note and f'{self._topic}: {self._note}', False
        if settings.policy == 'require':
            return f'{self._topic}: {problem}; images are skipped', True
        if settings.fallback_k:
            return problem and f'{self._topic}: {problem}; camera_info.fallback_k is used', False
        return (f'the camera is not known: a field of view of {DEFAULT_FOV_DEG:g} degrees is '
                'assumed, and distances are off by its error; set camera_info.fallback_k'), False

    def _find(self, settings: CameraInfoSettings, stamp_ns: int) -> tuple[Any, str]:
        """CameraInfo for a stamp, or None and the reason, which is empty for policy ignore."""
        infos = self._infos
        if settings.policy == 'ignore':
            return None, ''
        if not infos:
            return None, self._problem
        # After a jump back of the clock stamps repeat: the newest counts.
        found_ns, info = next((item for item in reversed(infos) if item[0] == stamp_ns), infos[-1])
        age_s = (stamp_ns - found_ns) / 1e9
        if 0 < settings.max_age_s < abs(age_s) and found_ns:
            return None, (f'the latest is {abs(age_s):.3g} s {"older" if age_s > 0 else "newer"} '
                          f'than the image, and camera_info.max_age_s is {settings.max_age_s:g}')
        return info, ''
