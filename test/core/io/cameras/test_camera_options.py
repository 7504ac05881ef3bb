# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What the user says about the camera, and images of other sizes and shapes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.cameras.camera_files import read_camera_file
from panoptic_depth_core.io.cameras.camera_options import CameraOptions
from panoptic_depth_core.io.cameras.shapes import scaled_to
from panoptic_depth_core.structures import Intrinsics

CAMERA = Intrinsics(500.0, 510.0, 319.0, 241.0, 640, 480)


def test_user_wins_over_source_and_source_over_default() -> None:
    assert CameraOptions(fx=300).resolve(64, 48, CAMERA)[0].fx == 300
    assert CameraOptions(fx=300).resolve(64, 48, CAMERA)[1] == 'user'
    assert CameraOptions().resolve(640, 480, CAMERA, 'camera_info') == (CAMERA, 'camera_info')
    camera, origin = CameraOptions().resolve(200, 100)
    assert origin == 'default'
    assert math.degrees(2 * math.atan(100 / camera.fx)) == pytest.approx(70.0)


def test_field_of_view_and_file(tmp_path: Path) -> None:
    assert CameraOptions(fov_deg=90).resolve(200, 100)[0].fx == pytest.approx(100.0)
    path = tmp_path / 'camera.json'
    path.write_text(json.dumps({'fx': 500.0, 'fy': 510.0, 'cx': 319.0, 'cy': 241.0,
                                'width': 640, 'height': 480}))
    assert read_camera_file(path) == CAMERA
    for options in (CameraOptions(file=path), CameraOptions(camera=CAMERA)):
        assert options.resolve(320, 240) == (scaled_to(CAMERA, 320, 240), 'user')


@pytest.mark.parametrize(('size', 'words'), [
    ((480, 640), '480x640 px: the image is turned by 90 degrees; turn it back'),
    ((240, 320), '240x320 px: the image is turned by 90 degrees'),
    ((480, 480), '480x480 px: the image is cropped or of another camera'),
    ((655, 480), '655x480 px: the image is cropped'),
])
def test_the_camera_of_another_shape_is_refused(size: tuple[int, int], words: str) -> None:
    """A change of shape never changes fx / fy."""
    for options, known in ((CameraOptions(camera=CAMERA), None), (CameraOptions(), CAMERA)):
        with pytest.raises(ConfigError, match='the camera is of 640x480 px, the image of '
                                              + words):
            options.resolve(*size, known)


def test_the_image_may_be_resized_and_rounded() -> None:
    for size in ((320, 240), (641, 480), (1280, 964)):
        for options, known in ((CameraOptions(camera=CAMERA), None), (CameraOptions(), CAMERA)):
            assert options.resolve(*size, known)[0] == scaled_to(CAMERA, *size)


@pytest.mark.parametrize('fx', [0.5, 1e300])
def test_a_focal_length_that_no_camera_has_is_refused(fx: float) -> None:
    with pytest.raises(ConfigError, match='(has focal lengths that|which) no camera'):
        CameraOptions(fx=fx).resolve(640, 480)


@pytest.mark.parametrize(('options', 'words'), [
    ({'fx': 0.0}, 'fx is 0.0; give a focal length in px'),
    ({'fx': math.nan}, 'fx is nan'),
    ({'fov_deg': 180.0}, 'field of view is 180.0 degrees; give 1..175'),
    ({'fx': 1.0, 'fov_deg': 60.0}, 'fx and fov_deg both describe the camera'),
    ({'fx': 1.0, 'camera': CAMERA}, 'fx and camera both describe the camera'),
    ({'use': 'q'}, "camera_info.use is 'q'; give auto, k, p"),
])
def test_wrong_options_are_named(options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CameraOptions(**options)
