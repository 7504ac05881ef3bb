# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Files with a camera.

====================  =============================================================================
``camera.json``       fx, fy, cx, cy, width, height in px; lens: model and coefficients
ROS calibration       ``ost.yaml`` of camera_calibration, camera_info_manager's files, and those of
                      OpenCV's FileStorage: camera_matrix, distortion_coefficients ...
a CameraInfo message  as ``ros2 topic echo --once`` writes it: k, d, r, p ...
Kalibr                ``camchain.yaml``; of several cameras one is named: ``camchain.yaml#cam1``
====================  =============================================================================
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from ...errors import ConfigError, warn_once
from ...lens import Lens, LensModel
from ...structures import Intrinsics
from ...untrusted import parse_json, parse_yaml, read_text
from .camera_info import Use, camera_of_info, camera_problem

SIDECAR_NAMES = ('camera.json', 'camera.yaml', 'ost.yaml', 'camera_info.yaml', 'camchain.yaml')
"""Files beside pictures and videos; the first that is there counts."""

_MOST_PX = 1 << 20
_GREATEST = 1e300
"""Whole numbers of JSON have no end."""
_JSON_KEYS = ('fx', 'fy', 'cx', 'cy', 'width', 'height')
_KNOWN = ('camera.json (fx, fy, cx, cy, width, height), the YAML of camera_calibration '
          '(camera_matrix, image_width ...), or a camchain.yaml of Kalibr (cam0 ...)')
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StatedInfo:
    """The calibration of a file, with the fields of sensor_msgs/CameraInfo."""

    width: int
    height: int
    distortion_model: str
    d: Sequence[float]
    k: Sequence[float]
    p: Sequence[float] = (0.0,) * 12
    binning_x: int = 0
    binning_y: int = 0
    roi: Any = field(default_factory=lambda: SimpleNamespace(x_offset=0, y_offset=0, width=0,
                                                             height=0))
    header: Any = field(default_factory=lambda: SimpleNamespace(frame_id=''))


Calibration = Intrinsics | StatedInfo


def read_camera_file(path: Path, *, rectified: bool = False, use: Use = 'auto') -> Intrinsics:
    """
    Read the camera of a file.

    :param path: see above; of several cameras one is named by ``#NAME`` at its end.
    :param rectified, use: which matrix of a ROS calibration counts, see camera_of_info.
    :raises ConfigError: the file cannot be read, or tells no camera.
    """
    return camera_of_calibration(read_calibration(path), path, rectified=rectified, use=use)


def camera_of_calibration(found: Calibration, path: Path, *, rectified: bool,
                          use: Use) -> Intrinsics:
    """Camera of what read_calibration gives."""
    if isinstance(found, Intrinsics):
        return found
    camera = camera_of_info(found, rectified=rectified, use=use)
    if camera.camera is None:
        raise ConfigError(f'{path}: {_in_file(camera.reason)}; calibrate the camera')
    for note in camera.notes:
        warn_once(_log, f'{path}: {_in_file(note)}')
    return camera.camera


def _in_file(text: str) -> str:
    return re.sub(r'camera_info (?=is|has)', 'it ', text).removeprefix('camera_info: ')


def sidecar(folder: Path) -> Path | None:
    """The camera file in a folder of pictures; a warning names those that do not count."""
    found = [folder / name for name in SIDECAR_NAMES if (folder / name).is_file()]
    if found[1:]:
        warn_once(_log, f'{found[0]} counts, not {" or ".join(path.name for path in found[1:])} '
                  'beside it')
    for path in () if found else (*folder.glob('*.yaml'), *folder.glob('*.yml')):
        with suppress(ConfigError):
            read_calibration(path)
            warn_once(_log, f'{path} has a camera, but not one of the names '
                      f'{", ".join(SIDECAR_NAMES)}; give it with --camera if it is of these '
                      'pictures')
    return found[0] if found else None


def read_calibration(path: Path) -> Calibration:
    """Read a file, without a choice between its matrices. Raises ConfigError."""
    file, wanted = path, ''
    if '#' in path.name and not path.exists():
        name, _, wanted = path.name.rpartition('#')
        file = path.with_name(name)
    try:
        text = read_text(file)
    except OSError as error:
        raise ConfigError(f'{file}: cannot be read: {error.strerror}; check the path') from None
    except UnicodeDecodeError as error:
        raise ConfigError(f'{file}: holds no text: {error.reason}; give {_KNOWN}') from None
    is_json = file.suffix.lower() == '.json'
    values = parse_json(text, file) if is_json else _yaml(text, file)
    try:
        if isinstance(values, dict):
            for read, marks in ((_of_ros, {'camera_matrix'}), (_of_message, {'k', 'width'}),
                                (_of_message, {'K', 'width'})):
                if marks <= set(values):
                    return read(values)
            chain = {str(name): value for name, value in values.items()
                     if isinstance(value, dict) and 'intrinsics' in value}
            if chain:
                return _of_kalibr(chain, wanted)
        return _of_json(values)
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from None


def _yaml(text: str, path: Path) -> Any:
    # OpenCV writes a directive and a tag of its own.
    plain = re.sub(r'^%YAML.*$', '', text, flags=re.MULTILINE).replace('!!opencv-matrix', '')
    return parse_yaml(plain, path)


def _number(values: dict[str, Any], key: str, missing: int | None = None) -> int:
    """A whole number above 0; missing: what counts where there is none, and may be there too."""
    value = values.get(key, missing)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (
            (value == missing or 0 < value < _MOST_PX) and value == int(value)):
        raise ConfigError(f'{key} is {value!r}; give that of the calibrated pictures in px')
    return int(value)


def _numbers(value: Any, key: str, *counts: int) -> tuple[float, ...]:
    """Numbers of a list, a list of rows or a matrix with data."""
    if isinstance(value, dict):
        value = value.get('data')
    rows = value if isinstance(value, (list, tuple)) else [value]
    flat = [cell for row in rows for cell in (row if isinstance(row, list) else [row])]
    try:
        # PyYAML takes 1e-3 for a text.
        found = tuple(float(cell) for cell in flat)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f'{key} is {value!r}; give numbers') from None
    if counts and len(found) not in counts:
        raise ConfigError(f'{key} has {len(found)} numbers; give '
                          f'{" or ".join(map(str, counts))}')
    return found


def _of_json(values: Any) -> Intrinsics:
    values = dict(values) if isinstance(values, dict) else values
    lens = values.pop('lens', None) if isinstance(values, dict) else None
    if not isinstance(values, dict) or set(values) != set(_JSON_KEYS):
        found = ', '.join(map(str, values)) if isinstance(values, dict) else 'no object'
        raise ConfigError(f'holds {found}; give {_KNOWN}')
    for key, value in values.items():
        whole = key in ('width', 'height')
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or (
                abs(value) > _GREATEST):
            raise ConfigError(f'{key} is {value!r}; give a {"whole " if whole else ""}number of '
                              'px')
    camera = Intrinsics(**values, lens=_lens(lens))
    if problem := camera_problem(camera):
        raise ConfigError(f'it {problem}; calibrate the camera')
    return camera


def _lens(values: Any) -> Lens | None:
    """The key lens of a camera.json: null, or model and coefficients."""
    if values is None:
        return None
    if not isinstance(values, dict) or set(values) != {'model', 'coefficients'} or (
            not isinstance(values['model'], str)):
        raise ConfigError(f'lens is {values!r}; give its model and coefficients, or null')
    return Lens(cast(LensModel, values['model']), _numbers(values['coefficients'], 'coefficients'))


def _of_ros(values: dict[str, Any]) -> StatedInfo:
    d = _numbers(values.get('distortion_coefficients', values.get('distortion_coeffs', [])),
                 'distortion_coefficients')
    return StatedInfo(
        _number(values, 'image_width'), _number(values, 'image_height'),
        str(values.get('distortion_model') or values.get('camera_model') or ''), d,
        _numbers(values['camera_matrix'], 'camera_matrix', 9),
        _numbers(values['projection_matrix'], 'projection_matrix', 12)
        if values.get('projection_matrix') else (0.0,) * 12)


def _of_message(values: dict[str, Any]) -> StatedInfo:
    fields = {str(key).lower(): value for key, value in values.items()}
    roi = fields.get('roi') or {}
    if not isinstance(roi, dict):
        raise ConfigError(f'roi is {roi!r}; give x_offset, y_offset, width and height')
    return StatedInfo(
        _number(fields, 'width'), _number(fields, 'height'),
        str(fields.get('distortion_model', '')), _numbers(fields.get('d') or [], 'd'),
        _numbers(fields['k'], 'k', 9), _numbers(fields.get('p') or [0.0] * 12, 'p', 12),
        _number(fields, 'binning_x', 0), _number(fields, 'binning_y', 0),
        SimpleNamespace(**{key: _number(roi, key, 0)
                           for key in ('x_offset', 'y_offset', 'width', 'height')}))


def _of_kalibr(chain: dict[str, Any], wanted: str) -> StatedInfo:
    names = ', '.join(chain)
    if wanted and wanted not in chain:
        raise ConfigError(f'has no camera {wanted}; its cameras are {names}')
    if not wanted and len(chain) > 1:
        raise ConfigError(f'has the cameras {names}; choose one by its name after #, as in '
                          f'camchain.yaml#{next(iter(chain))}')
    values = chain[wanted or next(iter(chain))]
    kind = values.get('camera_model', 'pinhole')
    if kind != 'pinhole':
        raise ConfigError(f'camera_model {kind!r} cannot be used; calibrate as pinhole with '
                          'radtan, or equidistant for a fisheye')
    fx, fy, cx, cy = _numbers(values['intrinsics'], 'intrinsics', 4)
    size = dict(zip(('resolution', 'height'),
                    _numbers(values.get('resolution') or [], 'resolution', 2), strict=True))
    d = _numbers(values.get('distortion_coeffs') or [], 'distortion_coeffs')
    return StatedInfo(_number(size, 'resolution'), _number(size, 'height'),
                      str(values.get('distortion_model', '')), d,
                      (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0))
