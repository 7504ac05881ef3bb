# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The camera of an image: from the CameraInfo of its stamp, the latest one, or a fallback."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from ..io.cameras.camera_info import InfoCamera, camera_of_info, camera_problem, is_of_frame
from ..io.cameras.camera_options import DEFAULT_FOV_DEG, CameraOptions
from ..io.messages.reading import stamp_of
from ..structures import Intrinsics
from .settings import CameraInfoSettings

_KEPT = 10
"""Number of CameraInfo kept: an image may be processed after newer ones have arrived."""


class CameraMemory:
    """
    Keeps CameraInfo messages and finds the camera of an image.

    What the latest message says counts: of a camera that is no longer calibrated there is none.

    :param rectified: the names of the topics say so, see io.cameras.topics.says_rectified.
    :param topic: of the CameraInfo, for messages.
    """

    def __init__(self, settings: CameraInfoSettings, rectified: bool = False,
                 topic: str = 'camera_info') -> None:
        self.settings = settings
        self._rectified = rectified
        self._topic = topic
        # Replaced, not changed: another thread reads it.
        self._infos: tuple[tuple[int, Any], ...] = ()
        self._image: tuple[int, int, str] = (0, 0, '')

    @property
    def is_empty(self) -> bool:
        """Whether no CameraInfo has arrived."""
        return not self._infos

    def remember(self, info: Any) -> None:
        """Add a sensor_msgs/CameraInfo, from one thread."""
        self._infos = (*self._infos[1 - _KEPT:], (stamp_of(info), info))

    def resolve(self, width: int, height: int, stamp_ns: int, frame_id: str = ''
                ) -> tuple[Intrinsics, str]:
        """
        Camera of an image and its origin: 'camera_info', 'fallback' or 'default'.

        :param frame_id: of the image; empty: not known.
        :raises ConfigError: there is none and the policy requires one.
        """
        settings, self._image = self.settings, (width, height, frame_id)
        found = self._find(settings, stamp_ns)
        if found.camera is not None:
            return found.camera, 'camera_info'
        if settings.policy == 'require':
            raise ConfigError(f'{self._topic}: {found.reason}; publish it, or set '
                              'camera_info.policy to fallback and camera_info.fallback_k')
        if settings.fallback_k:
            fx, _, cx, _, fy, cy, *_ = settings.fallback_k
            camera = Intrinsics(fx, fy, cx, cy, width, height)
            if problem := camera_problem(camera):
                raise ConfigError(f'camera_info.fallback_k {problem}; give the K of these images')
            return camera, 'fallback'
        return CameraOptions().resolve(width, height)

    def problem(self, stamp_ns: int) -> tuple[str, bool]:
        """
        Problem with the camera of an image of that stamp; empty if there is none.

        :returns: the problem, and whether images are skipped because of it.
        """
        settings = self.settings
        found = self._find(settings, stamp_ns)
        if found.camera is not None:
            return '; '.join(f'{self._topic}: {note}' for note in found.notes), False
        problem = found.reason and f'{self._topic}: {found.reason}'
        if settings.policy == 'require':
            return f'{problem}; images are skipped', True
        if settings.fallback_k:
            return problem and f'{problem}; camera_info.fallback_k is used', False
        return (f'the camera is not known: a field of view of {DEFAULT_FOV_DEG:g} degrees is '
                'assumed, and distances are off by its error; set camera_info.fallback_k'
                f'{problem and f" ({problem})"}'), False

    def _find(self, settings: CameraInfoSettings, stamp_ns: int) -> InfoCamera:
        """What there is for a stamp; the reason is empty for policy ignore."""
        width, height, frame_id = self._image
        infos = _of_its_camera(self._infos, frame_id)
        if settings.policy == 'ignore':
            return InfoCamera(None, None, '')
        if not infos:
            return InfoCamera(None, None, 'none has arrived')
        # After a jump back of the clock stamps repeat: the newest counts.
        found_ns, info = next((item for item in reversed(infos) if item[0] == stamp_ns), infos[-1])
        age_s = (stamp_ns - found_ns) / 1e9
        if 0 < settings.max_age_s < abs(age_s) and found_ns:
            return InfoCamera(None, None, (
                f'the latest is {"older" if age_s > 0 else "newer"} than the image by more than '
                f'camera_info.max_age_s, which is {settings.max_age_s:g} s'))
        return camera_of_info(info, width, height, rectified=self._rectified, use=settings.use,
                              frame_id=frame_id)


def _of_its_camera(infos: tuple[tuple[int, Any], ...], frame_id: str,
                   ) -> tuple[tuple[int, Any], ...]:
    """Those of a frame where cameras share the topic: their messages alternate."""
    own = [is_of_frame(info, frame_id) for _, info in infos]
    # A camera that has another frame from now on is still the latest.
    shared = any(own) and False in own[:len(own) - own[::-1].index(True)]
    return tuple(info for info, is_own in zip(infos, own, strict=True) if is_own or not shared)
