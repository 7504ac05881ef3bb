# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Camera files of every kind, as their programs write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from panoptic_depth_core.errors import ConfigError, warn_once
from panoptic_depth_core.io.cameras.camera_files import read_camera_file, sidecar
from panoptic_depth_core.io.cameras.camera_options import CameraOptions
from panoptic_depth_core.lens import Lens
from panoptic_depth_core.structures import Intrinsics

OST = """\
image_width: 768
image_height: 384
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [691.2, 0.000000, 387.8, 0.000000, 690.5, 192.1, 0.000000, 0.000000, 1.000000]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.30, 0.10, 1e-4, 0.000000, 0.000000]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
projection_matrix:
  rows: 3
  cols: 4
  data: [480.0, 0.0, 383.5, 0.0, 0.0, 481.0, 191.5, 0.0, 0.0, 0.0, 1.0, 0.0]
"""
OPENCV = """\
%YAML:1.0
---
calibration_time: "Mon Nov 30 12:00:00 2026"
image_width: 768
image_height: 384
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 6.9120000000000005e+02, 0., 3.8780000000000001e+02, 0.,
       690.5, 192.1, 0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 5
   cols: 1
   dt: d
   data: [ -3.0e-01, 1.0e-01, 1e-4, 0., 0. ]
"""
MESSAGE = """\
header:
  stamp:
    sec: 1
    nanosec: 0
  frame_id: optical
height: 384
width: 768
distortion_model: plumb_bob
d:
- -0.3
- 0.1
- 0.0001
- 0.0
- 0.0
k: [691.2, 0.0, 387.8, 0.0, 690.5, 192.1, 0.0, 0.0, 1.0]
r: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
p: [480.0, 0.0, 383.5, 0.0, 0.0, 481.0, 191.5, 0.0, 0.0, 0.0, 1.0, 0.0]
binning_x: 0
binning_y: 0
roi:
  x_offset: 0
  y_offset: 0
  height: 0
  width: 0
  do_rectify: false
---
"""
KALIBR = """\
cam0:
  cam_overlaps: [1]
  camera_model: pinhole
  distortion_coeffs: [-0.3, 0.1, 0.0001, 0.0]
  distortion_model: radtan
  intrinsics: [691.2, 690.5, 387.8, 192.1]
  resolution: [768, 384]
  rostopic: /left/image_raw
cam1:
  T_cn_cnm1:
  - [1.0, 0.0, 0.0, -0.11]
  - [0.0, 1.0, 0.0, 0.0]
  - [0.0, 0.0, 1.0, 0.0]
  - [0.0, 0.0, 0.0, 1.0]
  camera_model: pinhole
  distortion_coeffs: [0.01, -0.002, 0.0, 0.0]
  distortion_model: equidistant
  intrinsics: [300.0, 301.0, 320.0, 240.0]
  resolution: [640, 480]
cam2:
  camera_model: omni
  distortion_coeffs: [0.1, 0.0, 0.0, 0.0]
  distortion_model: radtan
  intrinsics: [1.2, 300.0, 301.0, 320.0, 240.0]
  resolution: [640, 480]
cam3:
  camera_model: pinhole
  distortion_coeffs: []
  distortion_model: none
  intrinsics: [300.0, 301.0, 320.0, 240.0]
  resolution: [640, 480]
"""
JSON = """{"fx": 691.2, "fy": 690.5, "cx": 387.8, "cy": 192.1, "width": 768, "height": 384,
"lens": {"model": "plumb_bob", "coefficients": [-0.3, 0.1, 0.0001, 0.0]}}"""

SHORT = MESSAGE[:MESSAGE.index('binning_x')]
LENS = Lens('plumb_bob', (-0.3, 0.1, 0.0001, 0.0))
CAMERA = Intrinsics(691.2, 690.5, 387.8, 192.1, 768, 384, LENS)
OF_P = Intrinsics(480.0, 481.0, 383.5, 191.5, 768, 384)
FILES = {'ost.yaml': OST, 'camera.yml': OPENCV, 'info.yaml': MESSAGE, 'camera.json': JSON,
         'camera.yaml': JSON, 'ros1.yaml': MESSAGE.replace('\nd:', '\nD:').replace('\nk:', '\nK:')}


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize('name', FILES)
def test_every_kind_tells_the_camera_with_its_lens(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, name, FILES[name])
    assert read_camera_file(path) == CAMERA
    half = CAMERA.transformed(0.5, 0.5, 0, 0, 384, 192)
    assert CameraOptions(file=path).resolve(384, 192) == (half, 'user')


def test_the_matrix_of_rectified_images(tmp_path: Path) -> None:
    for name, text in (('ost.yaml', OST), ('info.yaml', MESSAGE)):
        path = write(tmp_path, name, text)
        assert read_camera_file(path, rectified=True) == OF_P
        assert CameraOptions(file=path).resolve(768, 384, rectified=True)[0] == OF_P
        assert CameraOptions(file=path, use='p').resolve(768, 384)[0] == OF_P
        assert CameraOptions(file=path, use='k').resolve(768, 384, rectified=True)[0] == CAMERA


def test_kalibr(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, 'camchain.yaml', KALIBR)
    assert read_camera_file(tmp_path / 'camchain.yaml#cam0') == CAMERA
    camera = Intrinsics(300.0, 301.0, 320.0, 240.0, 640, 480)
    fisheye = read_camera_file(tmp_path / 'camchain.yaml#cam1')
    assert fisheye.lens == Lens('equidistant', (0.01, -0.002, 0.0, 0.0))
    assert fisheye.pinhole == camera
    assert read_camera_file(tmp_path / 'camchain.yaml#cam3') == camera
    assert read_camera_file(write(tmp_path, 'one.yaml', KALIBR[:KALIBR.index('cam1')])) == CAMERA
    for name, words in (('#cam7', 'has no camera cam7; its cameras are cam0, cam1, cam2, cam3'),
                        ('', r'has the cameras cam0.*, as in camchain\.yaml#cam0'),
                        ('#cam2', "camera_model 'omni' cannot be used; calibrate as pinhole")):
        with pytest.raises(ConfigError, match=rf'camchain\.yaml{name}: {words}'):
            read_camera_file(path.with_name(f'camchain.yaml{name}'))
    assert not caplog.records


@pytest.mark.parametrize(('name', 'text', 'words'), [
    ('c.json', '{', 'not valid JSON'),
    ('c.json', '[]', r'holds no object; give camera\.json \(fx, fy'),
    ('c.json', '{"fx": 1}', r'holds fx; give camera\.json'),
    ('c.json', '{"fx": "1", "fy": 1, "cx": 1, "cy": 1, "width": 2, "height": 2}', "fx is '1'; gi"),
    ('c.json', '{"fx": 1, "fy": 1, "cx": 1, "cy": 1, "width": 2.5, "height": 2}', 'width is 2.5;'),
    ('c.json', '{"fx": NaN, "fy": 1, "cx": 1, "cy": 1, "width": 2, "height": 2}',
     'intrinsics: fx is nan, no'),
    ('c.json', JSON.replace('plumb_bob', 'odd'), "lens: model 'odd' is not known; the models are"),
    ('c.json', JSON.replace('[-0.3,', '["x",'), 'coefficients is .*; give numbers'),
    ('c.json', JSON.replace('"plumb_bob"', '["plumb_bob"]'), 'lens is .*; give its model and'),
    ('c.json', '{"fx": 1' + '0' * 400 + ', "fy": 1, "cx": 1, "cy": 1, "width": 2, "height": 2}',
     'fx is 10*; give a number'),
    ('c.yaml', SHORT + 'roi: 3', 'roi is 3; give x_offset'),
    ('c.yaml', SHORT + 'roi: {x_offset: [1]}', r'x_offset is \[1\]; give that'),
    ('c.yaml', SHORT + 'binning_x: 1e-3', "binning_x is '1e-3'; give that"),
    ('c.yaml', SHORT + 'binning_y: .nan', 'binning_y is nan; give that'),
    ('c.yaml', KALIBR[:KALIBR.index('cam1')].replace('[768, 384]', '[768, .inf]'),
     'height is inf; give that'),
    ('c.yaml', '0: {intrinsics: [1]}\n1: {intrinsics: [1]}', 'has the cameras 0, 1; choose one'),
    ('c.yaml', 'a: [', 'not valid YAML'), ('c.yaml', '', 'holds no object'),
    ('c.yaml', OST.replace('691.2, ', ''), 'camera_matrix has 8 numbers; give 9'),
    ('c.yaml', OST.replace('691.2', 'x'), 'camera_matrix is .*; give numbers'),
    ('c.yaml', OST.replace('image_width: 768', ''), 'image_width is None; give that of the calib'),
    ('c.yaml', OST.replace('691.2', '0.0').replace('690.5', '0.0').replace('480.0', '0.0'),
     'it is not calibrated: K is zero, P has a focal length that is not positive; calibrate'),
    ('c.yaml', KALIBR[:KALIBR.index('cam1')].replace('[768, 384]', '[768]'), 'resolution has 1 n'),
])
def test_wrong_files_are_named(name: str, text: str, words: str, tmp_path: Path) -> None:
    path = write(tmp_path, name, text)
    with pytest.raises(ConfigError, match=rf'{name}: {words}'):
        read_camera_file(path)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'none\.json: cannot be read: No such file'):
        read_camera_file(tmp_path / 'none.json')
    path = tmp_path / 'camera.png'
    path.write_bytes(b'\x89PNG\xff\xfe')
    with pytest.raises(ConfigError, match=r'camera\.png: holds no text'):
        read_camera_file(path)


def test_what_a_calibration_does_not_tell_is_said(tmp_path: Path,
                                                  caplog: pytest.LogCaptureFixture) -> None:
    warn_once.cache_clear()
    path = write(tmp_path, 'ost.yaml', OST.replace('plumb_bob', 'strange'))
    for _ in range(2):
        assert read_camera_file(path) == CAMERA.pinhole
    (record,) = caplog.records
    assert "it has the distortion model 'strange', which is not known" in record.getMessage()


def test_the_file_beside_pictures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert sidecar(tmp_path) is None
    ost = write(tmp_path, 'ost.yaml', OST)
    assert sidecar(tmp_path) == ost and not caplog.records
    both = write(tmp_path, 'camera.json', JSON)
    assert sidecar(tmp_path) == both
    assert 'camera.json counts, not ost.yaml beside it' in caplog.text


def test_a_camera_of_another_name_beside_pictures_is_said(
        tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, 'dataset.yaml', 'names: [a, b]')
    other = write(tmp_path, 'left.yaml', OST)
    assert sidecar(tmp_path) is None
    (record,) = caplog.records
    assert f'{other} has a camera' in record.getMessage() and '--camera' in record.getMessage()


def test_a_camera_that_cannot_be_is_refused(tmp_path: Path) -> None:
    for changes, words in (({'fx': 1e200}, 'which no camera has'),
                           ({'fx': 1.0, 'fy': 1.0, 'cx': 0, 'cy': 0}, 'is the identity')):
        path = write(tmp_path, 'camera.json', json.dumps({**json.loads(JSON), **changes}))
        with pytest.raises(ConfigError, match=words):
            read_camera_file(path)
