# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Which camera an image is from: the CameraInfo of its stamp, the latest one, or a fallback."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from ..config import CameraInfoSettings
from ..errors import ConfigError
from ..io.messages.reading import stamp_of
from ..io.sources.camera import (
    DEFAULT_FOV_DEG,
    CameraOptions,
    camera_info_problem,
    intrinsics_from_camera_info,
)
from ..structures import Intrinsics

_KEPT = 10
"""CameraInfo messages that are kept: an image may be worked on after the next ones came in."""


class CameraMemory:
    """
    Remembers CameraInfo messages and finds the camera of an image.

    :param rectified: the images are rectified, so P counts instead of K.
    :param topic: for messages.
    """

    def __init__(self, settings: CameraInfoSettings, rectified: bool = False,
                 topic: str = 'camera_info') -> None:
        self.settings = settings
        self._rectified = rectified
        self._topic = topic
        self._lock = threading.Lock()
        self._infos: deque[tuple[int, Any]] = deque(maxlen=_KEPT)
        self._problem = 'none has come in'
        self._note = ''

    def remember(self, info: Any) -> None:
        """Take a sensor_msgs/CameraInfo; one that cannot be used counts as missing."""
        problem = camera_info_problem(info)
        with self._lock:
            if problem is None:
                self._infos.append((stamp_of(info), info))
            elif not self._infos:
                self._problem = problem

    def resolve(self, width: int, height: int, stamp_ns: int) -> tuple[Intrinsics, str]:
        """
        Camera of an image, and where it is from: 'camera_info', 'fallback' or 'default'.

        :raises ConfigError: when there is none and the policy is to require one.
        """
        settings = self.settings
        info, problem = (None, '') if settings.policy == 'ignore' else self._find(
            stamp_ns, settings.max_age_s)
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
        What is wrong with the camera of an image of that stamp; empty where nothing is.

        :returns: that, and whether images are skipped for it.
        """
        settings = self.settings
        if settings.policy != 'ignore':
            info, problem = self._find(stamp_ns, settings.max_age_s)
            if info is not None:
                return self._note and f'{self._topic}: {self._note}', False
            if settings.policy == 'require':
                return f'{self._topic}: {problem}; images are skipped', True
        if settings.fallback_k:
            return '' if settings.policy == 'ignore' else (
                f'{self._topic}: {problem}; camera_info.fallback_k is used'), False
        return (f'the camera is not known: a field of view of {DEFAULT_FOV_DEG:g} degrees is '
                'assumed, and distances are off by the factor that this is off; set '
                'camera_info.fallback_k'), False

    def _find(self, stamp_ns: int, max_age_s: float) -> tuple[Any, str]:
        """Usable CameraInfo for a stamp, or None and the reason."""
        with self._lock:
            if not self._infos:
                return None, self._problem
            # A clock that jumped back gives the same stamps again: the newer one counts.
            found_ns, info = next((item for item in reversed(self._infos) if item[0] == stamp_ns),
                                  self._infos[-1])
        age_s = (stamp_ns - found_ns) / 1e9
        if 0 < max_age_s < abs(age_s) and found_ns:
            return None, (f'the latest is {abs(age_s):.3g} s {"older" if age_s > 0 else "newer"} '
                          f'than the image, and camera_info.max_age_s is {max_age_s:g}')
        return info, ''
