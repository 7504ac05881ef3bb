# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Lenses: there and back again, as OpenCV has them, and where they end."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.lens import Lens
from panoptic_depth_core.structures import Intrinsics

LENSES = {
    'strong barrel': Lens('plumb_bob', (-0.3, 0.1, 0.0, 0.0)),
    'five': Lens('plumb_bob', (-0.28, 0.09, 0.001, -0.0015, 0.01)),
    'pincushion': Lens('plumb_bob', (0.2, 0.05, 0.001, 0.002, 0.01)),
    'wide': Lens('rational_polynomial', (3.0, 1.0, 0.0005, -0.0004, 0.05, 3.4, 1.9, 0.25)),
    'thin prism': Lens('rational_polynomial', (
        -0.3, 0.1, 0.001, 0.002, 0.01, 0.02, 0.01, 0.003, 0.001, 0.0, 0.002, -0.001)),
    'tilt': Lens('rational_polynomial', (
        -0.3, 0.1, 0.001, 0.002, 0.01, 0.02, 0.01, 0.003, 0.001, 0.0, 0.002, -0.001, 0.02, -0.03)),
    'fisheye': Lens('equidistant', (0.01, -0.005, 0.002, -0.001)),
}


def grid(width=640, height=480, focal=300.0, step=3):
    """(N, 2) points of the image of a picture."""
    v, u = np.mgrid[:height:step, :width:step]
    return np.stack([(u.ravel() - 0.5 * width) / focal, (v.ravel() - 0.5 * height) / focal], 1)


@pytest.mark.parametrize('name', LENSES)
def test_there_and_back_at_every_pixel(name):
    lens, points = LENSES[name], grid()
    rays = lens.undistorted(points)
    assert np.isfinite(rays).all(), 'every pixel of these pictures has a ray'
    np.testing.assert_allclose(lens.distorted(rays), points, atol=2e-9)
    # A lens without an effect would pass the above.
    assert np.abs(rays - points).max() > 0.05


@pytest.mark.parametrize('name', LENSES)
def test_as_opencv(name):
    lens = LENSES[name]
    matrix = np.array([[300.0, 0, 320], [0, 310.0, 240], [0, 0, 1]])
    camera = Intrinsics(300, 310, 320, 240, 640, 480, lens)
    coefficients = np.array(lens.coefficients)
    pixels = np.stack(np.meshgrid(np.linspace(120, 520, 21), np.linspace(90, 400, 17)),
                      2).reshape(-1, 2)
    target = np.array([[200.0, 0, 319.5], [0, 200.0, 239.5], [0, 0, 1]])
    if lens.model == 'equidistant':
        rays = cv2.fisheye.undistortPoints(pixels[:, None], matrix, coefficients)
        maps = cv2.fisheye.initUndistortRectifyMap(
            matrix, coefficients, np.eye(3), target, (640, 480), cv2.CV_32FC1)
    else:
        rays = cv2.undistortPointsIter(
            pixels[:, None], matrix, coefficients, None, None,
            (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-12))
        maps = cv2.initUndistortRectifyMap(
            matrix, coefficients, np.eye(3), target, (640, 480), cv2.CV_32FC1)
    np.testing.assert_allclose(camera.rays(pixels), rays[:, 0], atol=1e-6)
    pinhole = Intrinsics(200, 200, 319.5, 239.5, 640, 480)
    v, u = np.mgrid[100:380:7, 120:520:7]
    found = camera.pixels(pinhole.rays(np.stack([u.ravel(), v.ravel()], 1)))
    np.testing.assert_allclose(found, np.stack([m[v, u].ravel() for m in maps], 1), atol=1e-3)


def test_where_the_radius_turns():
    """The radius r (1 - 0.4 r^2) rises up to 1 / sqrt(1.2) and then falls back to the center."""
    lens = Lens('plumb_bob', (-0.4, 0.0, 0.0, 0.0))
    turn = 1 / math.sqrt(1.2)
    assert lens.limit == pytest.approx(turn, abs=2e-3) and lens.limit <= turn + 1e-9
    radii = np.array([0.5, 0.9, 0.99 * turn, 1.05 * turn, 1.5, 20.0])
    found = lens.distorted(np.stack([radii, 0 * radii], 1))
    assert np.isfinite(found[:3]).all() and np.isnan(found[3:]).all()
    edge = turn * (1 - 0.4 * turn ** 2)
    points = edge * np.array([0.9, 0.999, 0.99999, 1.00001, 1.1])
    turned = np.stack([0.6 * points, -0.8 * points], 1)
    rays = lens.undistorted(turned)
    assert np.isfinite(rays[:3]).all() and np.isnan(rays[3:]).all()
    assert (np.hypot(*rays[:3].T) <= turn).all(), 'not the ray beyond the turn'


def test_exactly_the_pixels_without_a_ray_have_none():
    """The corners of a picture that is larger than what the polynomial reaches."""
    lens = Lens('plumb_bob', (-0.35, 0.05, 0.0, 0.0))
    radii = np.linspace(0, 5, 100001)
    bent = radii * (1 - 0.35 * radii ** 2 + 0.05 * radii ** 4)
    reach = bent[:np.flatnonzero(np.diff(bent) < 0)[0] + 1].max()
    points = grid(step=1)
    known = np.isfinite(lens.undistorted(points)).all(axis=1)
    radius = np.hypot(*points.T)
    assert 0.2 < known.mean() < 0.9
    assert known[radius < reach - 1e-4].all() and not known[radius > reach + 1e-6].any()


def test_points_without_a_ray_cost_nothing(monkeypatch):
    """Else a lens that shows a third of its picture takes a minute for one of 2 MP."""
    lens, solved = Lens('plumb_bob', (-2.0, 0.0, 0.0, 0.0)), []
    project = cv2.projectPoints
    monkeypatch.setattr(cv2, 'projectPoints',
                        lambda p, *rest: solved.append(len(p)) or project(p, *rest))
    points = grid()
    known = np.isfinite(lens.undistorted(points)).all(axis=1)
    assert 0.05 < known.mean() < 0.2
    assert sum(solved) < 2 * len(points) + 2 * 8192


def test_a_fisheye_ends_at_90_degrees():
    lens = Lens('equidistant', (0.0, 0.0, 0.0, 0.0))
    angles = np.radians([10.0, 80.0, 89.0, 91.0, 120.0])
    rays = lens.undistorted(np.stack([angles, 0 * angles], 1))
    np.testing.assert_allclose(rays[:3, 0], np.tan(angles[:3]), rtol=1e-6)
    assert np.isnan(rays[3:]).all()
    assert np.isnan(lens.undistorted(np.full((1, 2), np.nan))).all()
    assert lens.undistorted(np.zeros((0, 2))).shape == lens.distorted(np.zeros((0, 2))).shape


def test_no_network_takes_distorted_pixels():
    camera = Intrinsics(300, 310, 320, 240, 640, 480, LENSES['five'])
    assert camera.pinhole.as_vector().tolist() == [300, 310, 320, 240]
    with pytest.raises(ConfigError, match='rectify the picture'):
        camera.as_vector()


@pytest.mark.parametrize(('model', 'coefficients', 'match'), [
    ('ftheta', (0,) * 4, "'ftheta' is not known; the models are plumb_bob, rational"),
    ('plumb_bob', (0,) * 8, 'has 8 coefficients; give 4 or 5'),
    ('equidistant', (0, math.nan, 0, 0), 'give finite numbers'),
])
def test_what_is_no_lens(model, coefficients, match):
    with pytest.raises(ConfigError, match=match):
        Lens(model, coefficients)
