# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Where intrinsics come from: the user, a CameraInfo, a camera.json, or a stated default."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ConfigError, warn_once
from ...lens import Lens
from ...structures import Intrinsics

DEFAULT_FOV_DEG = 70.0
DEFAULT_CAMERA_WARNING = (
    f'the camera is not known: a horizontal field of view of {DEFAULT_FOV_DEG:g} degrees is '
    'assumed, and every distance is off by the factor that this is off; give fx, fov or a '
    'camera.json')
SIDECAR_NAME = 'camera.json'
_SIDECAR_KEYS = ('fx', 'fy', 'cx', 'cy', 'width', 'height')
_ASPECT_TOLERANCE = 0.02
_log = logging.getLogger(__name__)

CITYSCAPES_FOCAL_TIMES_BASELINE = 2262.52 * 0.209313
"""
Disparity in px of the 2048 px wide picture, times depth in meters, of the usual stereo camera.

A few cities have slightly others.
"""


def scaled_to(camera: Intrinsics, width: int, height: int) -> Intrinsics:
    """The same camera for the whole image resized to width x height px."""
    if (camera.width, camera.height) == (width, height):
        return camera
    return camera.transformed(width / camera.width, height / camera.height, 0.0, 0.0,
                              width, height)


def _has_shape(camera: Intrinsics, width: int, height: int) -> bool:
    """Whether an image of width x height px can be the whole image of the camera, resized."""
    stretch = width * camera.height / (height * camera.width)
    return abs(stretch - 1.0) <= _ASPECT_TOLERANCE


def _stated(camera: Intrinsics, width: int, height: int) -> Intrinsics:
    """Scale a camera that a person stated; warn if it seems to be of another image."""
    if not _has_shape(camera, width, height):
        warn_once(_log, f'the camera is of {camera.width}x{camera.height} px, the image of '
                  f'{width}x{height} px: the intrinsics are scaled, though the shapes differ, and '
                  'distances are wrong if the image was cropped or turned; give the camera of '
                  'this image')
    return scaled_to(camera, width, height)


def read_camera_file(path: Path) -> Intrinsics:
    """Read a camera.json: fx, fy, cx, cy in px, and the width and height they belong to."""
    try:
        values = json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}; check the path') from None
    except ValueError as error:
        raise ConfigError(f'{path}: not valid JSON: {error}') from None
    lens = values.pop('lens', None) if isinstance(values, dict) else None
    if not isinstance(values, dict) or set(values) != set(_SIDECAR_KEYS):
        found = ', '.join(map(str, values)) if isinstance(values, dict) else 'no object'
        raise ConfigError(f'{path}: holds {found}; give exactly {", ".join(_SIDECAR_KEYS)}')
    for key, value in values.items():
        whole = key in ('width', 'height')
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise ConfigError(f'{path}: {key} is {value!r}; give a '
                              f'{"whole " if whole else ""}number of px')
    try:
        return Intrinsics(**values, lens=_lens(lens))
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from None


def _lens(values: Any) -> Lens | None:
    """The key lens of a camera.json: null, or model and coefficients."""
    if values is None:
        return None
    if not isinstance(values, dict) or set(values) != {'model', 'coefficients'}:
        raise ConfigError(f'lens is {values!r}; give its model and coefficients, or null')
    return Lens(values['model'], tuple(map(float, values['coefficients'])))


@dataclass(frozen=True)
class CameraOptions:
    """
    What the user says about the camera; it wins over what the source says.

    :param fx: focal length in px of the source's images.
    :param fov_deg: horizontal field of view in degrees.
    :param file: a camera.json; for an image of another size it is scaled.
    :param camera: the camera itself, scaled likewise.
    :raises ConfigError: more than one of them, or a focal length that is not positive.
    """

    fx: float | None = None
    fov_deg: float | None = None
    file: Path | None = None
    camera: Intrinsics | None = None

    def __post_init__(self) -> None:
        given = [name for name, value in vars(self).items() if value is not None]
        if len(given) > 1:
            raise ConfigError(f'{" and ".join(given)} both describe the camera; give one of them')
        for name, value in (('fx', self.fx), ('fov', self.fov_deg)):
            if isinstance(value, str):
                raise ConfigError(f'{name} is {value!r}, a text; give a number')
        if self.fx is not None and not (math.isfinite(self.fx) and self.fx > 0):
            raise ConfigError(f'fx is {self.fx}; give a focal length in px, > 0')
        if self.fov_deg is not None:
            Intrinsics.from_fov(self.fov_deg, 2, 2)

    def resolve(self, width: int, height: int, known: Intrinsics | None = None,
                known_source: str = 'sidecar') -> tuple[Intrinsics, str]:
        """Camera of an image and its origin: 'user', known_source (then scaled) or 'default'."""
        if self.fx is not None:
            return Intrinsics.from_focal(self.fx, width, height), 'user'
        if self.fov_deg is not None:
            return Intrinsics.from_fov(self.fov_deg, width, height), 'user'
        given = self.camera if self.file is None else read_camera_file(self.file)
        if given is not None:
            return _stated(given, width, height), 'user'
        if known is not None:
            return _stated(known, width, height), known_source
        return Intrinsics.from_fov(DEFAULT_FOV_DEG, width, height), 'default'


def is_rectified(topic: str) -> bool:
    """Whether the name of an image topic says so, as of /camera/image_rect_color."""
    base = topic.removesuffix('/compressed').rpartition('/')[2]
    return 'rect' in base.split('_')


def camera_info_problem(info: Any) -> str | None:
    """Why a CameraInfo, of rosbags or rclpy, cannot be used; None where it can."""
    k = [float(value) for value in info.k]
    if not all(map(math.isfinite, k)):
        return 'camera_info has a K that is not finite'
    if k[0] == 0.0:
        return 'camera_info has k[0] = 0: not calibrated'
    if k[0] < 0.0 or k[4] <= 0.0:
        return 'camera_info has a focal length that is not positive'
    return None


def intrinsics_from_camera_info(info: Any, width: int, height: int, rectified: bool = False
                                ) -> tuple[Intrinsics, str | None]:
    """
    Camera of an image from the CameraInfo beside it, which has no camera_info_problem.

    K and P belong to the full image of info.width x info.height px; a region of interest is cut
    out of it, then it is binned (comments of sensor_msgs/CameraInfo.msg).

    :param rectified: take P, which holds for the rectified image, instead of K.
    :returns: the camera, and a note on what was assumed, if anything.
    """
    fx, _, cx, _, fy, cy, *_ = map(float, info.k)
    notes, p = [], [float(value) for value in info.p]
    if rectified and all(map(math.isfinite, p)) and p[0] > 0.0 and p[5] > 0.0:
        fx, cx, fy, cy = p[0], p[2], p[5], p[6]
    elif not rectified and any(abs(float(value)) > 1e-9 for value in info.d):
        notes.append('the lens distortion of camera_info is not corrected; distances near the '
                     'border are less exact; give the rectified topic')
    full_width, full_height = int(info.width) or width, int(info.height) or height
    camera = Intrinsics(fx, fy, cx, cy, full_width, full_height)
    roi = info.roi
    if roi.width and roi.height:
        camera = camera.transformed(1.0, 1.0, -float(roi.x_offset), -float(roi.y_offset),
                                    int(roi.width), int(roi.height))
    bin_x, bin_y = max(int(info.binning_x), 1), max(int(info.binning_y), 1)
    if bin_x > 1 or bin_y > 1:
        camera = camera.transformed(1.0 / bin_x, 1.0 / bin_y, 0.0, 0.0,
                                    max(camera.width // bin_x, 1), max(camera.height // bin_y, 1))
    if (camera.width, camera.height) != (width, height):
        note = (f'camera_info is of {camera.width}x{camera.height} px, the image of '
                f'{width}x{height} px: the intrinsics are scaled')
        if not _has_shape(camera, width, height):
            note += ', though the shapes differ; check that they belong together'
        notes.append(note)
        camera = scaled_to(camera, width, height)
    return camera, '; '.join(notes) or None
