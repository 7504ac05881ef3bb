# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Height, pitch and roll of a camera from its frames and something that was measured.

Predicted depth has the right scale and shape only for cameras like those of the training: the
shipped model sees the ground of the KITTI car within 0.3 degrees of its pitch, but that of a
camera 0.5 m above a synthetic street up to 20 degrees wrong. So the labels are used, which say
where the ground is and where a thing stands on it, and not the depth. The pitch comes from
measured depth on the ground, within 0.1 degrees; else from the direction in which the camera
moves, within 0.3; and only where it does not move from the predicted depth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..inference.ground_plane import GroundPlane, fit_ground
from ..labels import GROUND_CLASSES, ClassInfo, class_of
from ..structures import Frame, Intrinsics, Mounting, PanopticDepth
from .ego_motion import EgoMotion

RANGE_M = (3.0, 30.0)
"""Predicted depth of ground that counts: nearer is the vehicle itself, farther is no plane."""

LEAST_POINTS = 20
"""Measured points on the ground that give a height, where they are too few for a plane."""

FOOT_ROWS = 2
"""Rows at the bottom of a thing, and so many below them that have to be ground."""

MOST_HEIGHT_SPREAD = 0.05
MOST_PITCH_ERROR_DEG = 0.3
"""Beyond, a calibration is not to be trusted: 0.5 degrees are 8 % of the depth at 10 m."""

FEWEST_STEPS = 10
"""Of motion, whose median is taken for the pitch."""


@dataclass(frozen=True)
class Distance:
    """
    A distance that a person measured: from the camera to where a thing stands on the ground.

    :param thing: name of a class, of which the nearest instance is meant, or a panoptic id.
    :param frame: name or number of the frame.
    """

    thing: str
    meters: float
    frame: str

    @classmethod
    def parse(cls, text: str) -> Distance:
        """Parse 'car=12.4@000012'."""
        thing, _, rest = text.rpartition('=')
        number, _, frame = rest.partition('@')
        try:
            meters = float(number)
        except ValueError:
            meters = math.nan
        if not (thing.strip() and frame.strip() and 0.0 < meters < math.inf):
            raise ConfigError(f'--distance is {text!r}; give CLASS=METERS@FRAME, as in '
                              'car=12.4@000012')
        return cls(thing.strip(), meters, frame.strip())

    def is_in(self, name: str, number: int) -> bool:
        """Whether it is of a frame; '1' is not the second one of 1.png, 2.png and so on."""
        return self.frame == name or (self.frame == str(number) and (
            not name.isdecimal() or int(name) == number))


@dataclass(frozen=True)
class Measured:
    """
    One quantity of a calibration.

    :param spread: half of the range that 68 % of the values are in.
    :param count: of values; 0 for what was given.
    :param source: what it comes from, for people.
    """

    value: float
    spread: float
    count: int
    source: str

    @classmethod
    def of(cls, values: Sequence[float], source: str) -> Measured:
        """Median and spread of values of frames."""
        low, middle, high = np.percentile(values, (16, 50, 84))
        return cls(float(middle), float(high - low) / 2.0, len(values), source)

    @property
    def error(self) -> float:
        """Standard error of the median of normal values; NaN of a single one."""
        if self.count == 0:
            return 0.0
        return 1.2533 * self.spread / math.sqrt(self.count) if self.count > 1 else math.nan


@dataclass(frozen=True)
class CalibratedMounting:
    """The result; warnings say why it cannot be trusted."""

    height_m: Measured
    pitch_deg: Measured
    roll_deg: Measured
    warnings: tuple[str, ...]

    @property
    def mounting(self) -> Mounting:
        return Mounting(self.height_m.value, self.pitch_deg.value, self.roll_deg.value)


@dataclass
class MountingCalibration:
    """
    Takes the frames of a camera, in order.

    :param classes: of the model.
    :param distances: that were measured.
    :param height_m: of the camera, where it was measured itself.
    """

    classes: Sequence[ClassInfo]
    distances: Sequence[Distance] = ()
    height_m: float | None = None
    frames: int = 0
    _planes: list[GroundPlane] = field(default_factory=list)
    _measured: list[GroundPlane] = field(default_factory=list)
    _directions: list[NDArray[np.float64]] = field(default_factory=list)
    _points: list[NDArray[np.float64]] = field(default_factory=list)
    _feet: list[NDArray[np.float64]] = field(default_factory=list)
    _found: set[Distance] = field(default_factory=set)
    _motion: EgoMotion = field(default_factory=EgoMotion)

    def __post_init__(self) -> None:
        self._ground_ids = [c.class_id for c in self.classes if c.name in GROUND_CLASSES]
        if not self._ground_ids:
            raise ConfigError(f'the model has none of the classes {", ".join(GROUND_CLASSES)}; '
                              'choose another model')
        names = {c.name for c in self.classes if c.is_thing}
        for distance in self.distances:
            if distance.thing not in names and not distance.thing.isdecimal():
                raise ConfigError(f'--distance: {distance.thing!r} is no thing of the model; give '
                                  f'one of {", ".join(sorted(names))}, or a panoptic id')

    def add(self, frame: Frame, result: PanopticDepth,
            measured: Iterable[NDArray[np.float32]] = ()) -> None:
        """
        Take the next frame.

        :param measured: (H, W) float32 meters along Z of its pixels, NaN where not known.
        :raises ConfigError: a distance is of something that the frame does not show.
        """
        camera, number = frame.intrinsics, self.frames
        self.frames += 1
        ground = np.isin(class_of(result.panoptic, result.label_divisor), self._ground_ids)
        near = ground & (result.depth > RANGE_M[0]) & (result.depth < RANGE_M[1])
        plane = _fitted(result.depth, near, camera)
        if plane is not None:
            self._planes.append(plane)
        direction = self._motion.step(frame)
        if direction is not None:
            self._directions.append(direction)
        for depth in measured:
            known = near & np.isfinite(depth)
            found = _fitted(depth, known, camera)
            if found is not None:
                self._measured.append(found)
            elif np.count_nonzero(known) >= LEAST_POINTS:
                rows, columns = np.nonzero(known)
                self._points.append(depth[known, None] * camera.directions(
                    np.stack([columns, rows], axis=1)))
        for distance in self.distances:
            if distance.is_in(frame.name, number):
                self._found.add(distance)
                self._feet.append(_foot(result, distance, ground, camera))

    def finish(self) -> CalibratedMounting:
        """
        Work it out.

        :raises ConfigError: nothing that was measured was found, or no ground was seen.
        """
        lost = [d for d in self.distances if d not in self._found]
        if lost:
            raise ConfigError(f'--distance: there is no frame {lost[0].frame!r}; give the name of '
                              f'a frame, or its number, 0 to {self.frames - 1}')
        pitch, roll, warnings = self._angles()
        height = self._height(Mounting(1.0, pitch.value, roll.value).normal)
        if height.value and height.spread / height.value > MOST_HEIGHT_SPREAD:
            warnings.append(f'the height varies by {100 * height.spread / height.value:.0f} %: '
                            'measure more things, 3 to 8 m away, or the height itself')
        if self.height_m is None and not self._measured and len(self._feet) == 1:
            warnings.append('the height is from one thing in one frame; measure a second one to '
                            'see how far they differ')
        return CalibratedMounting(height, pitch, roll, tuple(warnings))

    def _angles(self) -> tuple[Measured, Measured, list[str]]:
        """Pitch, roll and why they cannot be trusted, from the best that there is."""
        if self._measured:
            source = 'measured depth of the ground'
            pitch = Measured.of([p.pitch_deg for p in self._measured], source)
            roll = Measured.of([p.roll_deg for p in self._measured], source)
            return pitch, roll, _doubts(pitch)
        roll = Measured(0.0, math.nan, 0, 'not measured')
        if len(self._directions) >= FEWEST_STEPS:
            # Normal and direction are at right angles; with a roll of 0 the normal has no x.
            pitch = Measured.of([math.degrees(math.atan2(-d[1], d[2])) for d in self._directions],
                                'direction of motion')
            return pitch, roll, _doubts(pitch)
        if not self._planes:
            raise ConfigError(f'no ground was seen in {self.frames} frames; give some in which '
                              f'{", ".join(GROUND_CLASSES)} are seen between {RANGE_M[0]:g} and '
                              f'{RANGE_M[1]:g} m')
        pitch = Measured.of([p.pitch_deg for p in self._planes], 'predicted depth')
        return pitch, roll, [
            *_doubts(pitch), 'the pitch is that of the predicted depth, which is only right for '
            'cameras like those of the training, and may be off by many degrees for one at '
            'another height: give a recording in which the robot drives straight ahead for some '
            f'{2 * FEWEST_STEPS} frames, or LiDAR, or measure the pitch']

    def _height(self, normal: NDArray[np.float64]) -> Measured:
        """Height, given the normal of the ground."""
        if self.height_m is not None:
            return Measured(self.height_m, math.nan, 0, 'given')
        if self._measured:
            return Measured.of([p.height_m for p in self._measured],
                               'measured depth of the ground')
        for places, source in ((self._feet, 'measured distances'),
                               (self._points, 'measured points on the ground')):
            if places:
                return Measured.of([float(np.median(p @ normal)) for p in places], source)
        raise ConfigError('nothing measured was found on the ground; give --distance of something '
                          'in a frame that shows the ground, a recording with LiDAR, or '
                          '--camera-height')


def _doubts(pitch: Measured) -> list[str]:
    """Why a pitch cannot be trusted."""
    if pitch.count == 1:
        return ['the pitch is from one frame; give more frames on level ground']
    if not pitch.error <= MOST_PITCH_ERROR_DEG:
        return [f'the pitch varies by {pitch.spread:.1f} degrees over {pitch.count} frames, so '
                f'that its median may be off by more than {MOST_PITCH_ERROR_DEG:g}; give more '
                'frames on level ground']
    return []


def _fitted(depth: NDArray[np.float32], ground: NDArray[np.bool_], camera: Intrinsics,
            ) -> GroundPlane | None:
    """Plane of the pixels of the ground in a depth map; NaN where the depth is not known."""
    inverse = np.full(depth.shape, np.nan, np.float32)
    np.divide(1.0, depth, out=inverse, where=ground)
    return fit_ground(inverse, ground, camera)


def _foot(result: PanopticDepth, distance: Distance, ground: NDArray[np.bool_],
          camera: Intrinsics) -> NDArray[np.float64]:
    """(1, 3) meters, where what a person measured stands on the ground."""
    found: Any = next((d for d in result.distances if math.isfinite(d.distance_m) and (
        d.class_name == distance.thing or str(d.segment.panoptic_id) == distance.thing)), None)
    if found is None:
        shown = ', '.join(f'{d.class_name} ({d.segment.panoptic_id}) at {d.distance_m:.1f} m'
                          for d in result.distances)
        raise ConfigError(f'--distance: no {distance.thing} is found in frame {result.name!r}; '
                          f'it shows {shown or "no thing"}')
    rows, columns = np.nonzero(result.panoptic == found.segment.panoptic_id)
    bottom = rows.max()
    column = int(np.median(columns[rows > bottom - FOOT_ROWS]))
    below = ground[bottom + 1:bottom + 1 + FOOT_ROWS, column]
    if len(below) < FOOT_ROWS or not below.all():
        raise ConfigError(f'--distance: where {distance.thing} stands is not seen in frame '
                          f'{result.name!r}: below it there is no ground; measure another thing '
                          'or frame')
    ray = camera.directions(np.array([[column, bottom]]))
    return np.asarray(distance.meters * ray / np.linalg.norm(ray))
