# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the mounting of a camera comes from: the user, a file, or tf."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...config import Settings, parse_settings, read_yaml
from ...errors import ConfigError
from ...files import write_atomic
from ...structures import Mounting
from ..bags.transforms import RecordedMotion

USUAL_GROUND = 'base_footprint'
"""REP-120: the projection of the robot on the ground."""

HIGHEST_PITCH_DEG = -45.0
"""A camera that looks up more than this is none: the frame is one whose x points forward."""

_OR_BODY = 'say with camera axes body that x of this one points forward'

MOST_OUTER_KEYS = 6
"""Around a mounting: namespaces, the node, ros__parameters, mounting."""


class MountingSettings(Settings):
    """Height and direction of the camera, or the frame of tf that stands on the ground."""

    height_m: float = Field(0.0, ge=0, allow_inf_nan=False, description='height of the optical '
                            'center above the ground; 0: not known')
    pitch_deg: float = Field(0.0, ge=-89, le=89, allow_inf_nan=False, description='of the '
                             'optical axis below the horizon')
    roll_deg: float = Field(0.0, ge=-89, le=89, allow_inf_nan=False, description='around the '
                            'optical axis; the right side of the camera is low where > 0')
    ground_frame: str = Field('', description='frame of tf with z up whose origin is on the '
                              'ground, such as base_footprint')
    ground_offset_m: float = Field(0.0, allow_inf_nan=False, description='height of the origin of '
                                   'ground_frame above the ground, such as the radius of the '
                                   'wheels for base_link')

    @model_validator(mode='after')
    def _fits_together(self) -> MountingSettings:
        if not self.height_m and (self.pitch_deg or self.roll_deg):
            raise ValueError('pitch and roll are given without a height; give the height of the '
                             'camera above the ground too')
        if self.height_m and self.ground_frame:
            raise ValueError(f'a height is given and ground_frame is {self.ground_frame!r}; give '
                             'one of them')
        if self.ground_offset_m and not self.ground_frame:
            raise ValueError(f'ground_offset_m is {self.ground_offset_m:g}, but ground_frame is '
                             'not given; give the frame that is so high above the ground')
        return self

    @property
    def fixed(self) -> Mounting | None:
        """What the user says; None where that is no height."""
        return Mounting(self.height_m, self.pitch_deg, self.roll_deg) if self.height_m else None

    def from_ground(self, to_camera: NDArray[Any]) -> Mounting:
        """
        Mounting of a camera above the plane z = -ground_offset_m of the ground frame.

        :param to_camera: (4, 4) from the ground frame to the optical frame.
        :raises ConfigError: the camera is not above the ground, or its frame is no optical one.
        """
        turn, move = to_camera[:3, :3], to_camera[:3, 3]
        height_m = float(-turn[:, 2] @ move) + self.ground_offset_m
        try:
            mounting = Mounting.from_normal(-turn[:, 2], height_m)
        except ConfigError as error:
            raise ConfigError(f'{error}, or {_OR_BODY}') from None
        if mounting.pitch_deg < HIGHEST_PITCH_DEG:
            raise ConfigError('mounting: the z axis of the camera frame points up; give the '
                              f'frame of the optical axes, whose z points forward, or {_OR_BODY}')
        return mounting


def read_mounting(path: Path) -> MountingSettings:
    """
    Read a YAML file of calibrate-mounting, which the node reads as well.

    `/**: {ros__parameters: {mounting: {height_m: 1.2, pitch_deg: 2.6, roll_deg: 0.0}}}`, of which
    the outer keys may be missing.
    """
    values: Any = read_yaml(path)
    # An alias of YAML may hold itself.
    for _ in range(MOST_OUTER_KEYS):
        if isinstance(values, dict) and len(values) == 1 and isinstance(
                inner := next(iter(values.values())), dict):
            values = inner
    if not isinstance(values, dict):
        raise ConfigError(f'{path}: holds no mounting; give mounting: {{height_m: 1.2, pitch_deg: '
                          '2.6}')
    settings = parse_settings(MountingSettings, values, str(path))
    if settings == MountingSettings():
        raise ConfigError(f'{path}: gives neither height_m nor ground_frame; give one of them')
    return settings


def write_mounting(path: Path, mounting: Mounting, comments: Sequence[str] = ()) -> None:
    """Write what read_mounting and the node read."""
    values = ''.join(f'      {name}: {value:.4f}\n' for name, value in vars(mounting).items())
    write_atomic(path, ''.join([
        *(f'# {line}\n' for line in comments),
        '/**:\n  ros__parameters:\n    mounting:\n', values]).encode())


class TransformedMounting:
    """
    Mounting of the frames of a recording: the user's, else that of its tf.

    :param motion: None where no tf is read.
    :param note: counts what the user should know.
    """

    def __init__(self, settings: MountingSettings, motion: RecordedMotion | None,
                 note: Callable[[str], None]) -> None:
        self._settings, self._note = settings, note
        self._tree = None if motion is None else motion.tree
        self._fixed = settings.fixed

    def of(self, frame_id: str, stamp_ns: int) -> Mounting | None:
        """Mounting of an image; None, with a note where a ground frame is there, if unknown."""
        ground = self._settings.ground_frame or USUAL_GROUND
        if self._fixed is not None or self._tree is None or (
                not self._settings.ground_frame and ground not in self._tree):
            return self._fixed
        try:
            return self._settings.from_ground(
                self._tree.to_camera(frame_id, stamp_ns, ground, stamp_ns))
        except ConfigError as error:
            self._note(f'the mounting of {frame_id!r} above {ground!r} is not known: {error}')
            return None
