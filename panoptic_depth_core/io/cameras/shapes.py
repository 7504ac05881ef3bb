# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A camera and the size of an image: what a resize does, and what is another shape."""

from __future__ import annotations

import numpy as np

from ...errors import ConfigError
from ...structures import Intrinsics

_ASPECT_TOLERANCE = 0.02


def scaled_to(camera: Intrinsics, width: int, height: int) -> Intrinsics:
    """The same camera for the whole image resized to width x height px."""
    if (camera.width, camera.height) == (width, height):
        return camera
    return camera.transformed(width / camera.width, height / camera.height, 0.0, 0.0,
                              width, height)


def has_shape(camera: Intrinsics, width: int, height: int) -> bool:
    """Whether an image of width x height px can be the whole image of the camera, resized."""
    stretch = width * camera.height / (height * camera.width)
    return abs(stretch - 1.0) <= _ASPECT_TOLERANCE


def other_shape(camera: Intrinsics, width: int, height: int) -> str:
    """What is to be said of an image of another shape."""
    if has_shape(camera, height, width):
        return 'the image is turned by 90 degrees; turn it back, or give the camera as turned'
    return ('the image is cropped or of another camera; give the camera of this image (a crop '
            'takes its offset off cx and cy)')


def field_of_view_deg(camera: Intrinsics) -> tuple[float, float]:
    """Horizontal and vertical field of view; NaN where the border sees no ray in front."""
    right, bottom = camera.width - 0.5, camera.height - 0.5
    rays = camera.rays(np.array([(-0.5, camera.cy), (right, camera.cy),
                                 (camera.cx, -0.5), (camera.cx, bottom)]))
    angles = np.degrees(np.arctan([-rays[0, 0], rays[1, 0], -rays[2, 1], rays[3, 1]]))
    return float(angles[0] + angles[1]), float(angles[2] + angles[3])


def stated_for(camera: Intrinsics, width: int, height: int) -> Intrinsics:
    """
    Scale a camera that a person stated to the size of an image.

    :raises ConfigError: the image has another shape, so it cannot be the whole one, resized.
    """
    if not has_shape(camera, width, height):
        raise ConfigError(f'the camera is of {camera.width}x{camera.height} px, the image of '
                          f'{width}x{height} px: {other_shape(camera, width, height)}')
    return scaled_to(camera, width, height)
