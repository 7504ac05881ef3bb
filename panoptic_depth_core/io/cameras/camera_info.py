# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What a CameraInfo says of the camera of an image: K or P, lens, size, frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from ...errors import ConfigError
from ...lens import COEFFICIENTS, Lens, LensModel
from ...structures import Intrinsics
from ...views import view_of
from .shapes import has_shape, other_shape, scaled_to

Matrix = Literal['K', 'P']
Use = Literal['auto', 'k', 'p']
"""Which matrix to take; auto: P for rectified images."""

LENS_MODELS: dict[str, LensModel] = {
    'plumb_bob': 'plumb_bob', 'radtan': 'plumb_bob', 'radial_tangential': 'plumb_bob',
    'brown_conrady': 'plumb_bob', 'opencv': 'plumb_bob', 'pinhole': 'plumb_bob',
    '': 'plumb_bob',
    'rational_polynomial': 'rational_polynomial', 'rational': 'rational_polynomial',
    'equidistant': 'equidistant', 'fisheye': 'equidistant', 'kannala_brandt': 'equidistant',
    'kannala_brandt4': 'equidistant', 'kb4': 'equidistant', 'opencv_fisheye': 'equidistant',
    'pinhole_equidistant': 'equidistant'}
"""Names of distortion models, in lower case and with underscores, as drivers write them."""

_LEAST_FOCAL, _GREATEST_FOCAL = 0.02, 60.0
"""Of the width or height: horizontal fields of view of about 176 and 1 degrees."""
_GREATEST_STRETCH = 4.0
_GREATEST_OFFSET = 10.0
_ANY_SIZE = 1000
_ROUNDING = 1e-6
_GREATEST_COEFFICIENT = 1e4
_IMPOSSIBLE_LENS = ('camera_info has distortion coefficients that no lens has: the distortion is '
                    'not corrected')


@dataclass(frozen=True)
class InfoCamera:
    """
    The camera that a CameraInfo tells, or why it tells none.

    :param camera: None where there is none.
    :param matrix: the one that was taken.
    :param reason: why that matrix; where there is no camera, the problem.
    :param notes: what was assumed; the words stay the same from message to message.
    """

    camera: Intrinsics | None
    matrix: Matrix | None
    reason: str
    notes: tuple[str, ...] = ()


def camera_of_info(info: Any, width: int = 0, height: int = 0, *, rectified: bool = False,
                   use: Use = 'auto', frame_id: str = '') -> InfoCamera:
    """
    Camera of an image from the CameraInfo that belongs to it.

    K and P belong to the full image of info.width x info.height px; a region of interest is cut
    out of it, then it is binned (comments of sensor_msgs/CameraInfo.msg).

    :param info: of rosbags, of rclpy, or a camera_files.StatedInfo.
    :param width, height: of the image in px; 0: as the CameraInfo says.
    :param rectified: the names of the topics say so.
    :param frame_id: of the image; empty: not known.
    """
    try:
        return _camera_of(info, width, height, rectified, use, frame_id)
    except ConfigError as error:
        return InfoCamera(None, None, str(error))


def is_calibrated(info: Any) -> bool:
    """Whether K or P can be that of a camera, whatever the image."""
    size = int(info.width) or _ANY_SIZE, int(info.height) or _ANY_SIZE
    return not all(_matrix_problems(info, *size).values())


def camera_problem(camera: Intrinsics) -> str:
    """Why there is no such camera; empty where there can be one."""
    return _matrix_problem(camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height)


def _camera_of(info: Any, width: int, height: int, rectified: bool, use: Use,
               frame_id: str) -> InfoCamera:
    notes: list[str] = []
    wanted: Matrix = 'P' if use == 'p' or (use == 'auto' and rectified) else 'K'
    matrix, full, problem = _matrix(info, width, height, wanted, use == 'auto')
    reason = (f'{wanted} {problem}' if problem else f'camera_info.use is {use}' if use != 'auto'
              else 'the topic says rectified' if rectified
              else 'the topic does not say rectified')
    lens, lens_note = _lens_of(info)
    bent = lens is not None or bool(lens_note)
    if problem:
        notes.append(f'{wanted} {problem}, so {matrix} is used' + (
            '' if not bent else ', and the lens distortion is not corrected' if matrix == 'P' else
            ', which is not exactly that of the rectified image'))
    elif matrix == 'K':
        full = replace(full, lens=lens)
        notes += filter(None, [lens_note])
    camera, size_note = _of_size(full, info, width, height)
    notes += filter(None, [size_note, _corner_note(full), _frame_note(info, frame_id)])
    if camera.lens is not None:
        try:
            view_of(camera)
        except ConfigError:
            camera = camera.pinhole
            notes.append(_IMPOSSIBLE_LENS)
    return InfoCamera(camera, matrix, reason, tuple(notes))


def _matrix(info: Any, width: int, height: int, wanted: Matrix, may_change: bool
            ) -> tuple[Matrix, Intrinsics, str]:
    """
    The matrix to take, the camera of the full image by it, and what is wrong with the wanted one.

    :raises ConfigError: neither can be used.
    """
    width, height = int(info.width) or width, int(info.height) or height
    if not (width > 0 and height > 0):
        raise ConfigError('camera_info has no width and height')
    problems = _matrix_problems(info, width, height)
    taken: Matrix = wanted
    if problems[wanted]:
        if not may_change:
            raise ConfigError(f'camera_info: {wanted} {problems[wanted]}, and camera_info.use '
                              f'asks for {wanted}')
        taken = 'K' if wanted == 'P' else 'P'
        if problems[taken]:
            raise ConfigError('camera_info is not calibrated: ' + ', '.join(
                f'{name} {problem}' for name, problem in problems.items()))
    return taken, Intrinsics(*_values(info, taken), width, height), problems[wanted]


def _values(info: Any, name: Matrix) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy."""
    values = [float(value) for value in (info.k if name == 'K' else info.p)]
    return (values[0], values[4], values[2], values[5]) if name == 'K' else (
        values[0], values[5], values[2], values[6])


def _matrix_problems(info: Any, width: int, height: int) -> dict[Matrix, str]:
    return {name: _matrix_problem(*_values(info, name), width, height) or _row_problem(info, name)
            for name in get_args(Matrix)}


def _row_problem(info: Any, name: Matrix) -> str:
    """Whether the last row says that it is transposed, or times a factor."""
    x, y, z = info.k[6:9] if name == 'K' else info.p[8:11]
    # Some drivers leave it out.
    is_last = math.hypot(x, y) < _ROUNDING and (z == 0.0 or abs(z - 1.0) < _ROUNDING)
    return '' if is_last else 'has another last row than 0 0 1'


def _matrix_problem(fx: float, fy: float, cx: float, cy: float, width: int, height: int) -> str:
    """Why it is the matrix of no camera; empty where it can be one."""
    if not all(map(math.isfinite, (fx, fy, cx, cy))):
        return 'is not finite'
    if fx == fy == 0.0:
        return 'is zero'
    if (fx, fy, cx, cy) == (1.0, 1.0, 0.0, 0.0):
        return 'is the identity'
    if not (fx > 0.0 and fy > 0.0):
        return 'has a focal length that is not positive'
    if not (_LEAST_FOCAL <= fx / width <= _GREATEST_FOCAL
            and _LEAST_FOCAL <= fy / height <= _GREATEST_FOCAL
            and 1.0 / _GREATEST_STRETCH <= fx / fy <= _GREATEST_STRETCH):
        return f'has focal lengths that no camera of {width}x{height} px has'
    if abs(cx) > _GREATEST_OFFSET * width or abs(cy) > _GREATEST_OFFSET * height:
        return 'has its principal point far outside of the image'
    return ''


def _lens_of(info: Any) -> tuple[Lens | None, str]:
    """The lens, and a note where it is not known."""
    name = str(info.distortion_model)
    key = name.strip().lower().replace('-', '_').replace(' ', '_')
    d = [float(value) for value in info.d]
    model = LENS_MODELS.get(key)
    if model == 'equidistant' and not d:
        return None, (f'camera_info has the distortion model {name} without coefficients: the '
                      'lens is not known, and distances off the center are wrong; calibrate it')
    if not all(map(math.isfinite, d)) or any(abs(v) > _GREATEST_COEFFICIENT for v in d):
        return None, _IMPOSSIBLE_LENS
    if not any(d) and model != 'equidistant':
        return None, ''
    if model is None:
        return None, (f'camera_info has the distortion model {name!r}, which is not known: the '
                      'distortion is not corrected; give rectified images')
    note = '' if any(d) else (f'camera_info has the distortion model {name} with coefficients of '
                              '0: the ideal fisheye is assumed')
    while d and d[-1] == 0.0:
        d.pop()
    # What is left out at the end is 0; coefficients beyond those of plumb_bob are of
    # rational_polynomial, which begins alike.
    kinds: tuple[LensModel, ...] = (
        (model, 'rational_polynomial') if model == 'plumb_bob' else (model,))
    for kind in kinds:
        for count in COEFFICIENTS[kind]:
            if len(d) <= count:
                return Lens(kind, (*d, *[0.0] * (count - len(d)))), note
    return None, (f'camera_info has more coefficients than the distortion model {name} has: the '
                  'distortion is not corrected')


def _of_size(full: Intrinsics, info: Any, width: int, height: int) -> tuple[Intrinsics, str]:
    """
    From the full image to one of width x height px, with a note on what was assumed.

    :raises ConfigError: the image is of another shape.
    """
    cut, roi = full, info.roi
    if roi.width and roi.height:
        cut = full.transformed(1.0, 1.0, -float(roi.x_offset), -float(roi.y_offset),
                               int(roi.width), int(roi.height))
    bins = max(int(info.binning_x), 1), max(int(info.binning_y), 1)
    camera, whole = _binned(cut, *bins), _binned(full, *bins)
    size, notes = (width or camera.width, height or camera.height), []
    is_inside = (cut is full or (roi.x_offset + roi.width <= full.width
                                 and roi.y_offset + roi.height <= full.height))
    # Some drivers leave the region in although they did not cut, or cut before the calibration.
    if cut is not full and not (size == (camera.width, camera.height) and is_inside) and (
            size in ((whole.width, whole.height), (full.width, full.height))):
        notes.append('the image is the whole one, though camera_info has a region of interest')
        camera, is_inside = whole, True
    if not is_inside:
        raise ConfigError('camera_info has a region of interest outside of its image')
    if not has_shape(camera, *size):
        raise ConfigError(f'camera_info is of {camera.width}x{camera.height} px, the image of '
                          f'{size[0]}x{size[1]} px: {other_shape(camera, *size)}')
    if size != (camera.width, camera.height):
        notes.append(f'camera_info is of {camera.width}x{camera.height} px, the image of '
                     f'{size[0]}x{size[1]} px: the intrinsics are scaled')
    return scaled_to(camera, *size), '; '.join(notes)


def _binned(camera: Intrinsics, x: int, y: int) -> Intrinsics:
    return camera if x == y == 1 else camera.transformed(
        1.0 / x, 1.0 / y, 0.0, 0.0, max(camera.width // x, 1), max(camera.height // y, 1))


def _corner_note(full: Intrinsics) -> str:
    return '' if full.cx or full.cy else (
        'camera_info has its principal point at the corner of the image, as if it were not set: '
        'directions are wrong; calibrate the camera')


def is_of_frame(info: Any, frame_id: str) -> bool:
    """Whether a CameraInfo is of a frame; several cameras may share a topic."""
    return bool(info.header.frame_id.lstrip('/') == frame_id.lstrip('/'))


def _frame_note(info: Any, frame_id: str) -> str:
    theirs = info.header.frame_id
    if frame_id and theirs and not is_of_frame(info, frame_id):
        return f'camera_info belongs to the frame {theirs}, the image to {frame_id}'
    return ''
