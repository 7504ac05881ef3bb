# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""KITTI's calib_cam_to_cam.txt (Geiger et al., Vision meets Robotics: The KITTI Dataset, 2013)."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError
from ..io.sources.camera import scaled_to
from ..structures import Intrinsics


def read_calibration(path: Path, width: int, height: int) -> tuple[Intrinsics, float]:
    """
    Left colour camera (02) of the rectified pictures.

    :param width, height: px of the picture.
    :returns: the camera, and the distance in metres to the right one (03).
    :raises ConfigError: when the file cannot be read or lacks these.
    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
        values = {key: line for key, _, line in (line.partition(':') for line in lines)}
        columns, rows = (float(v) for v in values['S_rect_02'].split())
        left, right = ([float(v) for v in values[f'P_rect_{i}'].split()] for i in ('02', '03'))
        camera = Intrinsics(left[0], left[5], left[2], left[6], int(columns), int(rows))
        # Entries (0, 3) are -fx times the place of the camera along x.
        return scaled_to(camera, width, height), (left[3] - right[3]) / left[0]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ConfigError(f'{path}: no calib_cam_to_cam.txt of KITTI: {error!r}; '
                          'copy it again') from None
