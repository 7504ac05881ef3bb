# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The camera that a CameraInfo tells, rule by rule."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from panoptic_depth_core.io.cameras.camera_info import camera_of_info, is_calibrated
from panoptic_depth_core.lens import Lens
from panoptic_depth_core.structures import Intrinsics

CAMERA = Intrinsics(500.0, 510.0, 319.0, 241.0, 640, 480)
OF_P = Intrinsics(480.0, 485.0, 315.0, 238.0, 640, 480)
K = [500.0, 0, 319.0, 0, 510.0, 241.0, 0, 0, 1]
P = [480.0, 0, 315.0, -48.0, 0, 485.0, 238.0, 0, 0, 0, 1, 0]
IDENTITY = [1.0, 0, 0, 0, 1, 0, 0, 0, 1]
D = [-0.3, 0.1, 0.001, 0.002, 0.0]


def info(**changes: Any) -> Any:
    """CameraInfo of CAMERA; changes replace fields."""
    fields = {
        'width': 640, 'height': 480, 'binning_x': 0, 'binning_y': 0,
        'k': K, 'd': [0.0] * 5, 'p': P, 'distortion_model': 'plumb_bob',
        'roi': SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
        'header': SimpleNamespace(frame_id='optical'), **changes}
    return SimpleNamespace(**fields)


def roi(x: int, y: int, width: int, height: int) -> Any:
    """RegionOfInterest."""
    return SimpleNamespace(x_offset=x, y_offset=y, width=width, height=height)


@pytest.mark.parametrize(('rectified', 'use', 'camera'), [
    (False, 'auto', CAMERA), (True, 'auto', OF_P), (True, 'k', CAMERA), (False, 'p', OF_P),
])
def test_k_or_p_by_name_or_by_setting(rectified: bool, use: Any, camera: Intrinsics) -> None:
    found = camera_of_info(info(), 640, 480, rectified=rectified, use=use)
    assert (found.camera, found.notes) == (camera, ())
    assert found.matrix == ('P' if camera is OF_P else 'K')


def test_the_lens_is_that_of_k() -> None:
    lens = Lens('plumb_bob', (-0.3, 0.1, 0.001, 0.002))
    assert camera_of_info(info(d=D), 640, 480).camera == replace(CAMERA, lens=lens)
    assert camera_of_info(info(d=D), 640, 480, rectified=True) == camera_of_info(
        info(), 640, 480, rectified=True)


USELESS = {
    'is zero': [0.0] * 9, 'is the identity': IDENTITY,
    'is not finite': [math.nan, *K[1:]], 'is not finite ': [*K[:2], math.inf, *K[3:]],
    'has a focal length that is not positive': [-500.0, *K[1:]],
    'has focal lengths that no camera of 640x480 px has': [1e308, 0, 319, 0, 1e308, 241, 0, 0, 1],
    'has focal lengths that no camera of 640x480 px has ': [1.0, 0, 319, 0, 1.0, 241, 0, 0, 1],
    'has focal lengths that no camera of 640x480 px has  ': [500.0, 0, 319, 0, 20.0, 241, 0, 0, 1],
    'has another last row than 0 0 1': [500.0, 0, 0, 0, 510.0, 0, 319.0, 241.0, 1],
    'has another last row than 0 0 1 ': [1000.0, 0, 638.0, 0, 1020.0, 482.0, 0, 0, 2],
    'has its principal point far outside of the image': [*K[:2], 1e300, *K[3:]],
}


@pytest.mark.parametrize('problem', USELESS)
def test_p_in_place_of_a_useless_k_else_nothing(problem: str) -> None:
    k, words = USELESS[problem], problem.rstrip()
    found = camera_of_info(info(k=k), 640, 480)
    assert (found.camera, found.matrix, found.reason) == (OF_P, 'P', f'K {words}')
    assert found.notes == (f'K {words}, so P is used',)
    bent = camera_of_info(info(k=k, d=D), 640, 480)
    assert bent.camera == OF_P
    assert bent.notes[0].endswith('P is used, and the lens distortion is not corrected')
    assert camera_of_info(info(k=k), 640, 480, rectified=True).notes == ()

    none = camera_of_info(info(k=k, p=[0.0] * 12), 640, 480)
    assert none.camera is None
    assert none.reason == f'camera_info is not calibrated: K {words}, P is zero'
    assert is_calibrated(info(k=k)) and not is_calibrated(info(k=k, p=[0.0] * 12))

    asked = camera_of_info(info(k=k), 640, 480, use='k')
    assert asked.camera is None and asked.reason.startswith(f'camera_info: K {words}, and camera')


def test_k_in_place_of_a_useless_p() -> None:
    found = camera_of_info(info(p=[0.0] * 12, d=D), 640, 480, rectified=True)
    # The image is rectified: no lens.
    assert found.camera == CAMERA
    assert found.notes == ('P is zero, so K is used, which is not exactly that of the rectified '
                           'image',)


@pytest.mark.parametrize(('model', 'd', 'lens'), [
    ('plumb_bob', [], None), ('plumb_bob', [0.0] * 5, None), ('', [0.0] * 5, None),
    ('rational_polynomial', [0.0] * 8, None), ('none', [], None), ('strange', [0.0] * 4, None),
    ('plumb_bob', [0.1], Lens('plumb_bob', (0.1, 0.0, 0.0, 0.0))),
    ('radtan', [0.1, 0.2, 0.3, 0.4], Lens('plumb_bob', (0.1, 0.2, 0.3, 0.4))),
    ('Brown-Conrady', [0.1, 0.2, 0.0, 0.0, 0.5], Lens('plumb_bob', (0.1, 0.2, 0.0, 0.0, 0.5))),
    ('plumb_bob', [0.1] * 8, Lens('rational_polynomial', (0.1,) * 8)),
    ('rational_polynomial', [0.1] * 5, Lens('rational_polynomial', (*[0.1] * 5, 0.0, 0.0, 0.0))),
    ('rational_polynomial', [*[0.1] * 8, 0, 0, 0, 0, 0, 0],
     Lens('rational_polynomial', (0.1,) * 8)),
    ('rational_polynomial', [0.1] * 14, Lens('rational_polynomial', (0.1,) * 14)),
    ('equidistant', [0.1, 0.2, 0.3, 0.4], Lens('equidistant', (0.1, 0.2, 0.3, 0.4))),
    ('fisheye', [0.1, 0.2, 0.0, 0.0, 0.0], Lens('equidistant', (0.1, 0.2, 0.0, 0.0))),
])
def test_lenses(model: str, d: list[float], lens: Lens | None) -> None:
    found = camera_of_info(info(distortion_model=model, d=d), 640, 480)
    assert found.camera == replace(CAMERA, lens=lens) and found.notes == ()


def test_the_ideal_fisheye_is_no_pinhole_camera() -> None:
    found = camera_of_info(info(distortion_model='kannala_brandt4', d=[0.0] * 4), 640, 480)
    assert found.camera == replace(CAMERA, lens=Lens('equidistant', (0.0,) * 4))
    assert found.notes == ('camera_info has the distortion model kannala_brandt4 with '
                           'coefficients of 0: the ideal fisheye is assumed',)


@pytest.mark.parametrize(('model', 'd', 'words'), [
    ('ftheta', [0.1], "model 'ftheta', which is not known: the distortion is not corrected"),
    ('equidistant', [], 'distortion model equidistant without coefficients'),
    ('fisheye', [], 'distortion model fisheye without coefficients'),
    ('equidistant', [0.1] * 6, 'more coefficients than the distortion model equidistant has'),
    ('plumb_bob', [math.nan] * 5, 'coefficients that no lens has'),
    ('plumb_bob', [1e308] * 5, 'coefficients that no lens has'),
    ('plumb_bob', [-9000.0, 9000.0, 10.0, 10.0, 0.0], 'coefficients that no lens has'),
])
def test_what_is_not_known_of_a_lens_is_said(model: str, d: list[float], words: str) -> None:
    found = camera_of_info(info(distortion_model=model, d=d), 640, 480)
    assert found.camera == CAMERA
    (note,) = found.notes
    assert words in note


def test_without_size_it_is_that_of_the_image() -> None:
    assert camera_of_info(info(width=0, height=0), 640, 480).camera == CAMERA
    assert camera_of_info(info()).camera == CAMERA
    assert camera_of_info(info(width=0, height=0)).reason == 'camera_info has no width and height'


def test_binning_and_region_of_interest() -> None:
    found = camera_of_info(info(binning_x=2, binning_y=2), 320, 240)
    assert found.camera == CAMERA.transformed(0.5, 0.5, 0, 0, 320, 240) and not found.notes
    part = roi(100, 40, 400, 200)
    found = camera_of_info(info(roi=part), 400, 200)
    assert found.camera == replace(CAMERA, cx=219.0, cy=201.0, width=400, height=200)
    assert not found.notes
    found = camera_of_info(info(roi=part, binning_x=2, binning_y=2), 200, 100)
    assert (found.camera.fx, found.camera.cx) == (250.0, 109.25) and not found.notes


def test_a_region_of_interest_that_was_not_cut_is_said() -> None:
    """Of the same shape as the whole: it could be taken for a part that was enlarged."""
    found = camera_of_info(info(roi=roi(100, 40, 400, 300)), 640, 480)
    assert found.camera == CAMERA
    assert found.notes == ('the image is the whole one, though camera_info has a region of '
                           'interest',)
    # Cut before the calibration: the size and K are of the part already.
    within = camera_of_info(info(roi=roi(100, 40, 640, 480)), 640, 480)
    assert (within.camera, within.notes) == (found.camera, found.notes)
    outside = camera_of_info(info(roi=roi(400, 40, 400, 300)), 400, 300)
    assert outside.reason == 'camera_info has a region of interest outside of its image'


def test_an_image_that_was_not_binned() -> None:
    """Drivers that bin, and tell the size after it, mean K of the binned image, too."""
    found = camera_of_info(info(binning_x=2, binning_y=2), 640, 480)
    assert found.camera.fx == pytest.approx(500.0)


def test_another_size_is_scaled_with_a_note() -> None:
    found = camera_of_info(info(), 1280, 960)
    assert found.camera == CAMERA.transformed(2, 2, 0, 0, 1280, 960)
    assert found.notes == ('camera_info is of 640x480 px, the image of 1280x960 px: the '
                           'intrinsics are scaled',)


@pytest.mark.parametrize(('size', 'words'), [
    ((480, 640), 'the image is turned by 90 degrees'), ((640, 400), 'the image is cropped or of'),
    ((1280, 480), 'the image is cropped or of')])
def test_another_shape_is_refused(size: tuple[int, int], words: str) -> None:
    found = camera_of_info(info(), *size)
    assert found.camera is None and words in found.reason
    assert found.reason.startswith('camera_info is of 640x480 px, the image of '
                                   f'{size[0]}x{size[1]} px: ')


def test_what_was_left_out_of_a_matrix() -> None:
    found = camera_of_info(info(k=[*K[:6], 1e-17, 0, 0]), 640, 480)
    assert (found.camera, found.notes) == (CAMERA, ()), 'some drivers leave the last row out'
    # As in KITTI, whose cameras are not exactly beside each other.
    found = camera_of_info(info(p=[*P[:11], 0.0027]), 640, 480, rectified=True)
    assert (found.camera, found.notes) == (OF_P, ())
    found = camera_of_info(info(k=[500.0, 0, 0, 0, 510.0, 0, 0, 0, 1]), 640, 480)
    assert found.camera == replace(CAMERA, cx=0.0, cy=0.0)
    assert 'principal point at the corner of the image' in found.notes[0]


def test_another_frame_is_said() -> None:
    for mine in ('optical', '/optical', ''):
        assert not camera_of_info(info(), 640, 480, frame_id=mine).notes
    assert camera_of_info(info(), 640, 480, frame_id='base_link').notes == (
        'camera_info belongs to the frame optical, the image to base_link',)
