# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Intrinsics from options, camera.json and CameraInfo."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.sources.camera import (
    CameraOptions,
    camera_info_problem,
    intrinsics_from_camera_info,
    read_camera_file,
    scaled_to,
)
from panoptic_depth_core.structures import Intrinsics

CAMERA = Intrinsics(500.0, 510.0, 319.0, 241.0, 640, 480)


def _info(**changes: object) -> SimpleNamespace:
    fields = {
        'width': 640, 'height': 480, 'binning_x': 0, 'binning_y': 0,
        'k': [500.0, 0, 319.0, 0, 510.0, 241.0, 0, 0, 1], 'd': [0.0] * 5,
        'p': [480.0, 0, 315.0, 0, 0, 485.0, 238.0, 0, 0, 0, 1, 0],
        'roi': SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0), **changes}
    return SimpleNamespace(**fields)


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


def test_the_camera_of_another_shape_is_said(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        CameraOptions(camera=CAMERA).resolve(320, 240)
        CameraOptions(camera=CAMERA).resolve(641, 480)
        assert CameraOptions().resolve(200, 100)[1] == 'default'
    assert not caplog.records
    for _ in range(2):
        assert CameraOptions(camera=CAMERA).resolve(333, 555)[0] == scaled_to(CAMERA, 333, 555)
    CameraOptions().resolve(444, 555, CAMERA)
    assert [r.getMessage().partition(': ')[0] for r in caplog.records] == [
        'the camera is of 640x480 px, the image of 333x555 px',
        'the camera is of 640x480 px, the image of 444x555 px']
    assert 'distances are wrong if the image was cropped or turned' in caplog.text


@pytest.mark.parametrize(('options', 'words'), [
    ({'fx': 0.0}, 'fx is 0.0; give a focal length in px'),
    ({'fx': math.nan}, 'fx is nan'),
    ({'fov_deg': 180.0}, 'field of view is 180.0 degrees; give 1..175'),
    ({'fx': 1.0, 'fov_deg': 60.0}, 'fx and fov_deg both describe the camera'),
    ({'fx': 1.0, 'camera': CAMERA}, 'fx and camera both describe the camera'),
])
def test_wrong_options_are_named(options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CameraOptions(**options)


@pytest.mark.parametrize(('text', 'words'), [
    ('{', 'not valid JSON'),
    ('[]', 'holds no object; give exactly fx, fy'),
    ('{"fx": 1}', 'holds fx; give exactly'),
    ('{"fx": "1", "fy": 1, "cx": 1, "cy": 1, "width": 2, "height": 2}', "fx is '1'; give a num"),
    ('{"fx": 1, "fy": 1, "cx": 1, "cy": 1, "width": 2.5, "height": 2}', 'width is 2.5; give a w'),
    ('{"fx": NaN, "fy": 1, "cx": 1, "cy": 1, "width": 2, "height": 2}', 'fx is nan, not a finite'),
])
def test_wrong_camera_files_are_named(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / 'camera.json'
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        read_camera_file(path)
    assert 'camera.json' in str(caught.value)


def test_a_missing_camera_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'none\.json: cannot be read: No such file'):
        read_camera_file(tmp_path / 'none.json')


def test_camera_info_as_it_is() -> None:
    assert intrinsics_from_camera_info(_info(), 640, 480) == (CAMERA, None)
    rectified, note = intrinsics_from_camera_info(_info(d=[0.1]), 640, 480, rectified=True)
    assert (rectified.fx, rectified.cx, rectified.fy, rectified.cy) == (480, 315, 485, 238)
    assert note is None


def test_without_size_it_is_that_of_the_image() -> None:
    assert intrinsics_from_camera_info(_info(width=0, height=0), 640, 480) == (CAMERA, None)


def test_binning_and_region_of_interest() -> None:
    camera, note = intrinsics_from_camera_info(_info(binning_x=2, binning_y=2), 320, 240)
    assert camera == CAMERA.transformed(0.5, 0.5, 0, 0, 320, 240) and note is None
    roi = SimpleNamespace(x_offset=100, y_offset=40, width=400, height=300)
    camera, note = intrinsics_from_camera_info(_info(roi=roi), 400, 300)
    assert camera == replace(CAMERA, cx=219.0, cy=201.0, width=400, height=300) and note is None
    camera, note = intrinsics_from_camera_info(_info(roi=roi, binning_x=2, binning_y=2), 200, 150)
    assert (camera.fx, camera.cx) == (250.0, 109.25) and note is None


def test_another_size_is_scaled_with_a_note() -> None:
    camera, note = intrinsics_from_camera_info(_info(), 1280, 960)
    assert camera == CAMERA.transformed(2, 2, 0, 0, 1280, 960)
    assert note == 'camera_info is of 640x480 px, the image of 1280x960 px: the intrinsics are ' \
        'scaled'
    assert 'shapes differ' in intrinsics_from_camera_info(_info(), 1280, 480)[1]


def test_distortion_is_noted() -> None:
    assert 'distortion' in intrinsics_from_camera_info(_info(d=[0.1, 0, 0, 0, 0]), 640, 480)[1]


@pytest.mark.parametrize(('k', 'words'), [
    ([0.0] * 9, 'k[0] = 0'),
    ([math.nan] + [1.0] * 8, 'not finite'),
    ([500.0, 0, math.inf, 0, 500.0, 1, 0, 0, 1], 'not finite'),
    ([-1.0, 0, 1, 0, 500.0, 1, 0, 0, 1], 'not positive'),
    ([1.0, 0, 1, 0, 0.0, 1, 0, 0, 1], 'not positive'),
])
def test_useless_camera_info_is_told(k: list, words: str) -> None:
    problem = camera_info_problem(_info(k=k))
    assert problem is not None and words in problem
    assert camera_info_problem(_info()) is None
