# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The data of the program: plain records of numpy arrays.

Camera frame: x right, y down, z forward (REP-103 optical frame); meters. Pixel (u, v) has its
center at integer coordinates, (0, 0) is the center of the top-left pixel (OpenCV, ROS).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import IntEnum, IntFlag
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contract import MOUNTING, TASKS, Ability, Arrays, Task, abilities
from .errors import ConfigError
from .lens import Lens

_GREATEST_PX = 1e12


@dataclass(frozen=True)
class Intrinsics:
    """
    Pinhole camera, with the distortion of its lens where it has one.

    :param fx, fy: focal lengths in px, finite and > 0.
    :param cx, cy: principal point in px, finite.
    :param width, height: image size in px.
    :param lens: None for a pinhole camera, as of a rectified image.
    :raises ConfigError: when a number is not finite or absurd, or a focal length or size is not
        positive.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    lens: Lens | None = None

    def __post_init__(self) -> None:
        for name in ('fx', 'fy', 'cx', 'cy', 'width', 'height'):
            value = getattr(self, name)
            wrong = ('not a finite number' if not math.isfinite(value) else
                     'but must be > 0' if name not in ('cx', 'cy') and not value > 0 else
                     # A network takes float32.
                     'which no camera has' if abs(value) > _GREATEST_PX or (
                         name in ('fx', 'fy') and value < 1.0 / _GREATEST_PX) else '')
            if wrong:
                raise ConfigError(f'intrinsics: {name} is {value}, {wrong}; '
                                  'calibrate the camera or give fx or fov')

    @classmethod
    def from_fov(cls, fov_deg: float, width: int, height: int) -> Intrinsics:
        """Camera of a horizontal field of view in degrees, principal point in the center."""
        if not 1.0 <= fov_deg <= 175.0:
            raise ConfigError(f'field of view is {fov_deg} degrees; give 1..175')
        fx = 0.5 * width / math.tan(math.radians(fov_deg) / 2.0)
        return cls.from_focal(fx, width, height)

    @classmethod
    def from_focal(cls, fx: float, width: int, height: int) -> Intrinsics:
        """Camera of a focal length in px, square pixels, principal point in the center."""
        return cls(fx, fx, (width - 1) / 2.0, (height - 1) / 2.0, width, height)

    def as_vector(self) -> NDArray[np.float32]:
        """
        (4,) float32: fx, fy, cx, cy in px; the order of the graph's input.

        :raises ConfigError: the camera has a lens, of which these numbers say nothing.
        """
        if self.lens is not None:
            raise ConfigError('intrinsics: the camera has a lens, which a network cannot take; '
                              'rectify the picture first')
        return np.array([self.fx, self.fy, self.cx, self.cy], np.float32)

    def transformed(self, scale_x: float, scale_y: float, offset_x: float, offset_y: float,
                    width: int, height: int) -> Intrinsics:
        """
        Camera of the image after a resize by (scale_x, scale_y), then a shift by the offset.

        :param offset_x, offset_y: px added after the resize: padding is positive, a crop negative.
        :param width, height: size of the new image.
        """
        return Intrinsics(
            self.fx * scale_x, self.fy * scale_y,
            (self.cx + 0.5) * scale_x - 0.5 + offset_x,
            (self.cy + 0.5) * scale_y - 0.5 + offset_y, width, height, self.lens)

    @property
    def pinhole(self) -> Intrinsics:
        """The same camera without its lens."""
        return self if self.lens is None else replace(self, lens=None)

    def rays(self, pixels: NDArray[Any]) -> NDArray[np.float64]:
        """(N, 2) pixels u, v -> (N, 2) x / z and y / z of their rays; NaN where there is none."""
        points = (np.asarray(pixels, np.float64) - (self.cx, self.cy)) / (self.fx, self.fy)
        return points if self.lens is None else self.lens.undistorted(points)

    def directions(self, pixels: NDArray[Any]) -> NDArray[np.float64]:
        """(N, 2) pixels u, v -> (N, 3) x, y, 1 of their rays; NaN where there is none."""
        return np.column_stack([self.rays(pixels), np.ones(len(pixels))])

    def points(self, pixels: NDArray[Any], z: NDArray[Any]) -> NDArray[np.float32]:
        """(N, 2) pixels u, v and (N,) meters along Z -> (N, 3) float32 points, in meters."""
        rays = self.rays(pixels)
        return np.concatenate([rays * z[:, None], z[:, None]], axis=1).astype(np.float32)

    def pixels(self, rays: NDArray[Any]) -> NDArray[np.float64]:
        """(N, 2) x / z and y / z -> (N, 2) pixels u, v, which may lie outside of the image."""
        rays = np.asarray(rays, np.float64)
        points = rays if self.lens is None else self.lens.distorted(rays)
        return np.asarray(points * (self.fx, self.fy) + (self.cx, self.cy))


@dataclass(frozen=True)
class Mounting:
    """
    Where the camera is above the ground, which is a plane.

    :param height_m: of the optical center above the ground, > 0.
    :param pitch_deg: of the optical axis below the horizon; the camera looks down where > 0.
    :param roll_deg: around the optical axis; the right side of the camera is low where > 0.
    :raises ConfigError: for a height that is not > 0, or an angle beyond +-89 degrees.
    """

    height_m: float
    pitch_deg: float = 0.0
    roll_deg: float = 0.0

    def __post_init__(self) -> None:
        for value in (self.height_m, self.pitch_deg, self.roll_deg):
            if not isinstance(value, Real):
                raise ConfigError(f'mounting: {value!r} is no number; give height_m, pitch_deg '
                                  'and roll_deg')
        if not 0.0 < self.height_m < math.inf:
            raise ConfigError(f'mounting: height is {self.height_m} m; give the height of the '
                              'camera above the ground in meters, > 0')
        for name, angle in (('pitch', self.pitch_deg), ('roll', self.roll_deg)):
            if not -89.0 <= angle <= 89.0:
                raise ConfigError(f'mounting: {name} is {angle} degrees; give -89 to 89')

    @classmethod
    def from_normal(cls, normal: NDArray[Any], height_m: float) -> Mounting:
        """
        Mounting from the direction to the ground.

        :param normal: (3,) from the camera straight down, in the camera frame, of any length.
        :raises ConfigError: the ground is not below the camera in its picture.
        """
        x, y, z = (float(value) for value in np.asarray(normal) / np.linalg.norm(normal))
        if not y > 0.0:
            raise ConfigError(f'mounting: straight down is ({x:.2f}, {y:.2f}, {z:.2f}) in the '
                              'camera frame (x right, y down, z forward); give the frame of the '
                              'optical axes, in which y points down')
        return cls(height_m, math.degrees(math.asin(z)), math.degrees(math.atan2(x, y)))

    @property
    def normal(self) -> NDArray[np.float64]:
        """(3,) unit vector straight down, in the camera frame."""
        pitch, roll = math.radians(self.pitch_deg), math.radians(self.roll_deg)
        return np.array([math.sin(roll) * math.cos(pitch), math.cos(roll) * math.cos(pitch),
                         math.sin(pitch)])

    @property
    def to_ground(self) -> NDArray[np.float64]:
        """(3, 3) from the camera frame to one with z up that looks ahead with the camera."""
        up = -self.normal
        ahead = np.array([0.0, 0.0, 1.0]) - up[2] * up
        ahead /= np.linalg.norm(ahead)
        return np.stack([ahead, np.cross(up, ahead), up])

    @property
    def plane(self) -> NDArray[np.float64]:
        """(3,) m in 1/m: the ground is where m . P = 1; its inverse depth is m . (x, y, 1)."""
        return self.normal / self.height_m

UNSTAMPED_PERIOD_NS = 100_000_000
"""Frames without a stamp are taken to be 0.1 s apart, the rate of KITTI and of most recordings."""


@dataclass(frozen=True)
class Frame:
    """
    One camera image and where it was taken.

    :param image: (H, W, 3) uint8 RGB.
    :param stamp_ns: time of the exposure in nanoseconds; 0: unknown.
    :param frame_id: name of the optical frame (tf).
    :param name: of its results, unique within a source.
    :param intrinsics_source: origin of the camera: 'camera_info', 'user', 'default' ...
    :param extra_inputs: by the names in ModelInfo.extra_inputs, in their types and shapes without
        the batch axis; models that take none ignore them.
    :param mounting: None where it is not known.
    :param measured_points_m: (N, 3) float32 points that something else measured, in the camera
        frame; None where nothing measures.
    """

    image: NDArray[np.uint8]
    intrinsics: Intrinsics
    stamp_ns: int = 0
    frame_id: str = 'camera'
    name: str = ''
    intrinsics_source: str = 'user'
    extra_inputs: Arrays = field(default_factory=dict)
    mounting: Mounting | None = None
    measured_points_m: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        image = self.image
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ConfigError(
                f'frame {self.name!r}: image is {image.dtype} {image.shape}; '
                'give a non-empty (H, W, 3) uint8 RGB array')
        if image.shape[:2] != (self.intrinsics.height, self.intrinsics.width):
            raise ConfigError(
                f'frame {self.name!r}: image is {image.shape[1]}x{image.shape[0]} px, but its '
                f'intrinsics are of {self.intrinsics.width}x{self.intrinsics.height} px; '
                'give those of this image, or scale them with Intrinsics.transformed')
        if not isinstance(self.mounting, Mounting | None):
            raise ConfigError(f'frame {self.name!r}: mounting is {self.mounting!r}; give '
                              'Mounting(height_m, pitch_deg, roll_deg)')
        points = self.measured_points_m
        if points is not None and not (
                isinstance(points, np.ndarray) and points.dtype.kind == 'f'
                and points.ndim == 2 and points.shape[1] == 3):
            found = (f'{points.dtype} {points.shape}' if isinstance(points, np.ndarray)
                     else type(points).__name__)
            raise ConfigError(f'frame {self.name!r}: measured_points_m is {found}; give an (N, 3) '
                              'float32 array of x, y, z in the camera frame')

    @property
    def given_inputs(self) -> Arrays:
        """The extra inputs, and contract.MOUNTING where the mounting is known."""
        if self.mounting is None:
            return self.extra_inputs
        return {MOUNTING: self.mounting.plane.astype(np.float32), **self.extra_inputs}


@dataclass(frozen=True)
class Segment:
    """
    One region of the panoptic image.

    :param panoptic_id: value of its pixels.
    :param instance_id: 1.. within class and frame; 0 for stuff and for thing pixels of unknown
        instance.
    :param score: 0..1.
    :param pixel_count: its pixels in the panoptic image.
    :param log_depth_scale: Laplace scale b of the error of log depth, as the network predicts it;
        NaN where the model has none.
    """

    panoptic_id: int
    class_id: int
    instance_id: int
    is_thing: bool
    score: float
    pixel_count: int
    log_depth_scale: float = math.nan


class DistanceFlag(IntFlag):
    """Why a distance may be wrong, or where it is from; those of msg/InstanceDistance.msg."""

    TRUNCATED = 1
    LOW_DEPTH_SUPPORT = 2
    BEYOND_RANGE = 4
    NOT_TRANSFORMED = 8
    MEASURED = 16

    @property
    def names(self) -> list[str]:
        """``['truncated', ...]``."""
        return [flag.name.lower() for flag in DistanceFlag if flag in self and flag.name]


class ScaleSource(IntEnum):
    """Source of the metric scale; the values of msg/InstanceDistanceArray.msg."""

    RELATIVE = 0
    METRIC_MODEL = 1
    CAMERA_HEIGHT = 2
    EXTERNAL = 3


@dataclass(frozen=True)
class GroundScale:
    """
    Scale of the predicted depth by the ground, whose depth the mounting tells.

    :param factor: of the mounting's meters to the predicted ones; NaN where this frame shows too
        little of the ground.
    :param low, high: bounds of its 68 % range.
    :param applied: factor by which the depth of this frame was multiplied; 1 for none.
    :param problem: why it was not applied, for people; empty where it was.
    """

    factor: float = math.nan
    low: float = math.nan
    high: float = math.nan
    applied: float = 1.0
    problem: str = ''

    @property
    def refuses(self) -> bool:
        """Whether the ground that is seen contradicts the mounting."""
        return bool(self.problem) and not math.isnan(self.factor)

    @property
    def note(self) -> str:
        """What the user of a recording should know; empty if nothing."""
        return self.problem and ('the mounting of the camera is known, but the ground gives no '
                                 f'scale: {self.problem}')


def _nan3() -> NDArray[np.float32]:
    return np.full(3, np.nan, np.float32)


@dataclass(frozen=True)
class InstanceDistance:
    """
    Position of one segment in the camera's optical frame; NaN where unknown, never 0.

    :param roi: x, y, width, height in px of the panoptic image.
    :param distance_m: Euclidean distance from the optical center to the median 3-D point.
    :param distance_stddev_m: spread of the distance over the pixels plus the network's error.
    :param distance_near_m: a low percentile (5) of the distances of its points.
    :param depth_m: median Z.
    :param depth_mean_m: mean Z of all its pixels with a finite depth, at the size of the graph's
        maps: neither its border nor outliers are left out.
    :param position_m: (3,) float32 median 3-D point.
    :param position_covariance: (3, 3) float32, square meters.
    :param nearest_point_m: (3,) float32 the point at distance_near_m.
    :param size_m: (3,) float32 visible extent along x, y, z between the 5th and 95th percentile.
    """

    segment: Segment
    class_name: str
    roi: tuple[int, int, int, int]
    valid_depth_count: int
    flags: DistanceFlag
    distance_m: float = math.nan
    distance_stddev_m: float = math.nan
    distance_near_m: float = math.nan
    depth_m: float = math.nan
    position_m: NDArray[np.float32] = field(default_factory=_nan3)
    position_covariance: NDArray[np.float32] = field(
        default_factory=lambda: np.full((3, 3), np.nan, np.float32))
    nearest_point_m: NDArray[np.float32] = field(default_factory=_nan3)
    size_m: NDArray[np.float32] = field(default_factory=_nan3)
    track_id: int = -1
    depth_mean_m: float = math.nan


@dataclass(frozen=True)
class PanopticDepth:
    """
    The result for one frame, at the size of its image or, on request, of the network's maps.

    :param panoptic: (H, W) uint16 class_id * label_divisor + instance_id, labels.VOID_ID = void.
    :param depth: (H, W) float32 meters along Z; NaN unknown, +Inf sky or beyond range, -Inf too
        near (REP-117, REP-118).
    :param segments: every segment that has pixels.
    :param distances: one per thing instance (and stuff, on request), nearest first, NaN last.
    :param intrinsics: camera of these pixels.
    :param step_ms: milliseconds by step of the pipeline.
    :param tasks: of the model. Without semantic and instances ``panoptic`` is void and there are
        no segments; without depth ``depth`` and every distance are NaN.
    :param include_stuff: whether ``distances`` has stuff.
    :param mounting: of the camera; None where it is not known.
    :param ground: scale by the ground; None where the mounting is not known or not used.
    :param scale_source: where the meters come from.
    """

    panoptic: NDArray[np.uint16]
    depth: NDArray[np.float32]
    segments: tuple[Segment, ...]
    distances: tuple[InstanceDistance, ...]
    intrinsics: Intrinsics
    label_divisor: int
    stamp_ns: int = 0
    frame_id: str = 'camera'
    name: str = ''
    model_id: str = ''
    step_ms: dict[str, float] = field(default_factory=dict)
    tasks: frozenset[Task] = TASKS
    include_stuff: bool = False
    mounting: Mounting | None = None
    ground: GroundScale | None = None
    scale_source: ScaleSource = ScaleSource.METRIC_MODEL

    @property
    def abilities(self) -> frozenset[Ability]:
        """See contract.abilities."""
        return abilities(self.tasks, self.include_stuff)


@dataclass(frozen=True)
class UnknownObjects:
    """
    Objects that are of no class: what a model cannot know, and must not drive into.

    :param number: (H, W) uint8 1.. on the visible pixels of an object, else 0.
    :param kinds: what each is, such as 'barrel'; number 1 is the first.
    :param behind_m: (H, W) float32 depth (Z) in meters of the same scene without them; +Inf for
        sky.
    """

    number: NDArray[np.uint8]
    kinds: tuple[str, ...]
    behind_m: NDArray[np.float32]


@dataclass(frozen=True)
class GroundTruth:
    """
    Labels of one frame; any part may be missing.

    :param panoptic: (H, W) int32 class_id * labels.LABEL_DIVISOR + instance_id; VOID_ID where the
        class is unknown; a thing class with instance 0 is a crowd: class known, instances not.
    :param has_semantics: every pixel that is not void has its class: stuff is labeled.
    :param instance_classes: thing classes with all instances labeled outside of crowd and
        ignore; empty for frames with semantics only.
    :param ignore: (H, W) bool, where even the absence of instances is unknown.
    :param depth: (H, W) float32 meters along Z; NaN where unknown, +Inf for sky.
    :param instance_depth_m: panoptic id -> median depth (Z) in meters of its visible surface.
    :param unknown_objects: of no class, void in ``panoptic``; None where they are not marked.
    """

    panoptic: NDArray[np.int32] | None = None
    has_semantics: bool = False
    instance_classes: tuple[int, ...] = ()
    ignore: NDArray[np.bool_] | None = None
    depth: NDArray[np.float32] | None = None
    instance_depth_m: dict[int, float] = field(default_factory=dict)
    unknown_objects: UnknownObjects | None = None


@dataclass(frozen=True)
class Sample:
    """
    A frame with its truth: an item of a data set.

    :param sequence: name of its video, over which instance ids persist; its frames are consecutive
        in the data set. Empty for a single picture.
    """

    frame: Frame
    truth: GroundTruth
    sequence: str = ''
