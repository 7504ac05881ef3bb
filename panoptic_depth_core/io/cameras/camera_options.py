# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What the user says about the camera, before what the source says, before a stated default."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

from ...errors import ConfigError
from ...structures import Intrinsics
from ..sixteen_bits import SixteenBits
from .camera_files import Calibration, camera_of_calibration, read_calibration
from .camera_info import Use, camera_problem
from .shapes import stated_for

DEFAULT_FOV_DEG = 70.0
DEFAULT_CAMERA_WARNING = (
    f'the camera is not known: a horizontal field of view of {DEFAULT_FOV_DEG:g} degrees is '
    'assumed, and every distance is off by the factor that this is off; give fx, fov or a '
    'camera file; panoptic-depth camera shows what is there')

_CAMERAS = 'fx', 'fov_deg', 'file', 'camera'

CITYSCAPES_FOCAL_TIMES_BASELINE = 2262.52 * 0.209313
"""
Disparity in px of the 2048 px wide picture, times depth in meters, of the usual stereo camera.

A few cities have slightly others.
"""


@dataclass(frozen=True)
class CameraOptions:
    """
    What the user says about the camera; it wins over what the source says.

    :param fx: focal length in px of the source's images.
    :param fov_deg: horizontal field of view in degrees.
    :param file: see camera_files; for an image of another size it is scaled.
    :param camera: the camera itself, scaled likewise.
    :param use: which matrix of a CameraInfo or of a ROS calibration counts.
    :param bits: that its pictures of 16 bits use; 0: found out, see SixteenBits.
    :raises ConfigError: more than one of them, or a focal length that is not positive.
    """

    fx: float | None = None
    fov_deg: float | None = None
    file: Path | None = None
    camera: Intrinsics | None = None
    use: Use = 'auto'
    bits: int = 0

    def __post_init__(self) -> None:
        given = [name for name in _CAMERAS if getattr(self, name) is not None]
        if self.use not in get_args(Use):
            raise ConfigError(f'camera_info.use is {self.use!r}; give {", ".join(get_args(Use))}')
        if len(given) > 1:
            raise ConfigError(f'{" and ".join(given)} both describe the camera; give one of them')
        for name, value in (('fx', self.fx), ('fov', self.fov_deg)):
            if isinstance(value, str):
                raise ConfigError(f'{name} is {value!r}, a text; give a number')
        if self.fx is not None and not (math.isfinite(self.fx) and self.fx > 0):
            raise ConfigError(f'fx is {self.fx}; give a focal length in px, > 0')
        if self.fov_deg is not None:
            Intrinsics.from_fov(self.fov_deg, 2, 2)
        if isinstance(self.camera, Intrinsics) and (problem := camera_problem(self.camera)):
            raise ConfigError(f'camera: it {problem}; calibrate it')
        SixteenBits(self.bits)

    @property
    def is_given(self) -> bool:
        """Whether the user says something, so that the source is not asked."""
        return any(getattr(self, name) is not None for name in _CAMERAS)

    @cached_property
    def calibration(self) -> Calibration | None:
        """What was given of a whole camera; raises ConfigError."""
        return self.camera if self.file is None else read_calibration(self.file)

    def resolve(self, width: int, height: int, known: Intrinsics | None = None,
                known_source: str = 'sidecar', rectified: bool = False
                ) -> tuple[Intrinsics, str]:
        """
        Camera of an image and its origin: 'user', known_source (then scaled) or 'default'.

        :param rectified: the image is, as its topic says.
        :raises ConfigError: the camera is of an image of another shape.
        """
        if self.fx is not None:
            camera = Intrinsics.from_focal(self.fx, width, height)
            if problem := camera_problem(camera):
                raise ConfigError(f'fx is {self.fx:g}: it {problem}; give a focal length in px of '
                                  'these images')
            return camera, 'user'
        if self.fov_deg is not None:
            return Intrinsics.from_fov(self.fov_deg, width, height), 'user'
        if self.calibration is not None:
            given = camera_of_calibration(self.calibration, self.file or Path(),
                                          rectified=rectified, use=self.use)
            return stated_for(given, width, height), 'user'
        if known is not None:
            return stated_for(known, width, height), known_source
        return Intrinsics.from_fov(DEFAULT_FOV_DEG, width, height), 'default'
