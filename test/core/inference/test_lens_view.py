# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A camera with a lens: a pinhole view for the network, results on the distorted pixels."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from panoptic_depth_core import errors
from panoptic_depth_core.config import InferenceSettings
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.inference.pipeline import Pipeline
from panoptic_depth_core.inference.preprocess import Geometry, prepare
from panoptic_depth_core.io.visualization import frame_of, picture_of
from panoptic_depth_core.labels import VOID_ID
from panoptic_depth_core.lens import Lens
from panoptic_depth_core.model_directory import ModelDirectory
from panoptic_depth_core.structures import DistanceFlag, Frame, Intrinsics
from panoptic_depth_core.views import MOST_FOV_DEG, rays_of, rectified, shown_by, view_of
from rendered_scene import GROUND_M, PLATES, Renderer, by_id, frame_at

BARREL = Lens('plumb_bob', (-0.3, 0.1, 0.001, -0.002))
RATIONAL = Lens('rational_polynomial', (3.0, 1.0, 0.0005, -0.0004, 0.05, 3.4, 1.9, 0.25))
FISHEYE = Lens('equidistant', (0.01, -0.005, 0.002, -0.001))
CAMERAS = {
    'barrel': Intrinsics(500.0, 510.0, 420.0, 200.0, 900, 420, BARREL),
    'pincushion': Intrinsics(600.0, 600.0, 460.0, 205.0, 900, 420,
                             Lens('plumb_bob', (0.2, 0.05, 0.0, 0.0, 0.0))),
    'rational': Intrinsics(450.0, 450.0, 450.0, 190.0, 900, 420, RATIONAL),
    'fisheye': Intrinsics(320.0, 320.0, 449.5, 300.0, 900, 640, FISHEYE),
}


@pytest.fixture
def run(info, table):
    def run(camera, **settings):
        frame = Frame(np.zeros((camera.height, camera.width, 3), np.uint8), camera)
        return Pipeline(ModelDirectory(Path('x'), info), Renderer(info, table),
                        InferenceSettings(min_instance_pixels=0, **settings))(frame)

    return run


def scene(rays):
    """What the Renderer shows along rays (N, 2): row of the table, and depth."""
    x, y = rays.T
    depth = np.where(y > 0, GROUND_M / np.maximum(y, 1e-6), 1e5)
    row = np.where(depth < 500, 0, 1)
    for number, (left, right, top, bottom, z) in PLATES.items():
        hit = (x * z > left) & (x * z < right) & (y * z > top) & (y * z < bottom) & (z < depth)
        row[hit], depth[hit] = number, z
    return row, depth


@pytest.mark.parametrize('name', CAMERAS)
@pytest.mark.parametrize('fit', ['letterbox', 'crop'])
def test_labels_and_depth_of_distorted_pixels(name, fit, run):
    camera = CAMERAS[name]
    result, small = run(camera, fit=fit), run(camera, fit=fit, output_size='network')
    assert result.intrinsics == camera, 'the lens stays'
    assert result.panoptic.shape == result.depth.shape == (camera.height, camera.width)
    rays = rays_of(camera).reshape(-1, 2)

    # Labels: of the nearest pixel of the maps, whose camera is a pinhole.
    maps = small.intrinsics
    assert maps.lens is None and maps.fx == maps.fy
    edge = math.tan(math.radians(MOST_FOV_DEG / 2))
    u, v = np.floor(maps.pixels(np.nan_to_num(rays, nan=9e9)).T + 0.5).astype(int)
    inside = (np.abs(rays) < edge).all(axis=1) & (u >= 0) & (v >= 0) & (
        u < maps.width) & (v < maps.height)
    if name != 'fisheye' and fit == 'letterbox':
        assert inside.mean() > (0.999 if name != 'rational' else 0.9)
    expected = np.full(rays.shape[0], VOID_ID)
    expected[inside] = small.panoptic[v[inside], u[inside]]
    # A place between two pixels of the maps may fall to either.
    assert (result.panoptic.ravel() == expected).mean() > 0.9999

    # Depth: that of the true ray of each pixel.
    row, true = scene(rays)
    ids = {0: 0, 3: 13001, 2: 13002, 4: 11001}
    known = inside & np.isin(row, list(ids)) & (true < 60)
    known &= result.panoptic.ravel() == np.array([ids.get(r, -1) for r in range(5)])[row]
    assert known.mean() > 0.15
    error = np.abs(result.depth.ravel()[known] / true[known] - 1)
    assert np.quantile(error, 0.95) < 4e-3 and np.median(error) < 5e-4
    assert np.isnan(result.depth.ravel()[~inside]).all()
    assert (result.panoptic.ravel()[~inside] == VOID_ID).all()


@pytest.mark.parametrize('name', CAMERAS)
def test_distances_by_true_rays(name, run):
    """Positions are those of the plates, wherever the lens has put them."""
    results = {size: by_id(run(CAMERAS[name], output_size=size)) for size in ('input', 'network')}
    found = results['input']
    assert found.keys() == {13001, 13002, 11001}
    for panoptic_id, row in ((13001, 3), (13002, 2), (11001, 4)):
        left, right, top, bottom, z = PLATES[row]
        distance = found[panoptic_id]
        if not distance.flags & DistanceFlag.TRUNCATED:
            np.testing.assert_allclose(
                distance.position_m, [(left + right) / 2, (top + bottom) / 2, z], atol=0.01 * z)
        assert distance.depth_m == pytest.approx(z, rel=1e-4)
        np.testing.assert_array_equal(distance.position_m,
                                      results['network'][panoptic_id].position_m)


@pytest.mark.parametrize('rectify', [False, True])
def test_boxes_and_counts_are_those_of_the_result(rectify, run):
    result = run(CAMERAS['barrel'], rectified=rectify)
    for segment in result.segments:
        assert segment.pixel_count == np.count_nonzero(result.panoptic == segment.panoptic_id)
    for panoptic_id, distance in by_id(result).items():
        v, u = np.nonzero(result.panoptic == panoptic_id)
        assert distance.roi == (u.min(), v.min(), np.ptp(u) + 1, np.ptp(v) + 1)
    assert len(result.distances) == 3


def test_rectified_output(run):
    """A pinhole camera of the size of the image, which shows the same view."""
    camera = CAMERAS['barrel']
    result = run(camera, rectified=True)
    pinhole = result.intrinsics
    assert pinhole == rectified(camera) and pinhole.lens is None and pinhole.fx == pinhole.fy
    assert (pinhole.width, pinhole.height) == (camera.width, camera.height)
    rays = rays_of(pinhole)
    row, true = scene(rays.reshape(-1, 2))
    road = (result.panoptic == 0) & (row.reshape(result.depth.shape) == 0)
    true = true.reshape(road.shape)
    road &= true < 60
    assert road.mean() > 0.2
    # At the border of the road the nearest pixel of the maps counts.
    error = np.abs(result.depth[road] / true[road] - 1)
    assert np.quantile(error, 0.98) < 5e-3 and error.max() < 0.2
    # What the picture does not show is void; all that it shows is there.
    pixels = camera.pixels(rays.reshape(-1, 2)).reshape(rays.shape)
    seen = ((pixels >= -0.5) & (pixels < (camera.width - 0.5, camera.height - 0.5))).all(axis=-1)
    assert 0.6 < seen.mean() < 0.99
    assert (result.panoptic[~seen] == VOID_ID).all() and np.isnan(result.depth[~seen]).all()
    assert np.mean(result.panoptic[seen] != VOID_ID) > 0.999
    corners = camera.rays(np.array([[0, 0], [camera.width - 1, camera.height - 1]]))
    assert (pinhole.pixels(corners) > -0.5).all()
    assert (pinhole.pixels(corners) < (camera.width - 0.5, camera.height - 0.5)).all()
    network = run(camera, rectified=True, output_size='network')
    assert network.intrinsics == run(camera, output_size='network').intrinsics


@pytest.mark.parametrize(('network', 'fit'), [((512, 256), 'letterbox'), ((384, 384), 'letterbox'),
                                              ((512, 256), 'crop')])
def test_picture_for_the_network(network, fit):
    """Each pixel shows what its ray meets; the rest is the padding color."""
    camera = CAMERAS['barrel']
    # A smooth picture that is known everywhere.
    v, u = np.mgrid[:camera.height, :camera.width]
    image = np.stack([u / camera.width, v / camera.height, 0 * u + 1], 2)
    frame = Frame((image * 250).astype(np.uint8), camera)
    picture, view = prepare(frame, *network, fit, padding_rgb=(1, 2, 3))
    assert picture.shape == (network[1], network[0], 3) and picture.flags.c_contiguous
    pinhole = view.network_intrinsics(camera)
    at = camera.pixels(rays_of(pinhole).reshape(-1, 2)).reshape(*picture.shape[:2], 2)
    inside = ((at >= 0) & (at < (camera.width - 1, camera.height - 1))).all(axis=-1)
    assert inside.mean() > (0.35 if fit == 'letterbox' else 0.85)
    expected = at[inside] / (camera.width, camera.height) * 250
    assert np.abs(picture[inside][:, :2] - expected).max() < 2.0
    outside = ~((at >= -0.5) & (at < (camera.width - 0.5, camera.height - 0.5))).all(axis=-1)
    assert (picture[outside] == (1, 2, 3)).all() and (picture[~outside][:, 2] == 250).all()
    # All of the view at the top left, or the network input filled.
    whole = view_of(camera)
    size = whole.width * pinhole.fx, whole.height * pinhole.fy
    ratio = np.divide(size, network)
    assert (max(ratio) if fit == 'letterbox' else min(ratio)) == pytest.approx(1.0)
    if fit == 'letterbox':
        np.testing.assert_allclose(pinhole.pixels(np.array([whole[:2]])), -0.5, atol=1e-9)
    else:
        center = np.array([[whole.left + whole.right, whole.top + whole.bottom]]) / 2
        np.testing.assert_allclose(pinhole.pixels(center) + 0.5, np.array([network]) / 2)


def test_fine_patterns_do_not_alias():
    """Stripes of one pixel are nearly gray when they are reduced to a quarter."""
    camera = Intrinsics(1500.0, 1500.0, 1023.5, 511.5, 2048, 1024,
                        Lens('plumb_bob', (-0.1, 0, 0, 0)))
    image = np.zeros((1024, 2048, 3), np.uint8)
    image[:, ::2] = 255
    picture = prepare(Frame(image, camera), 512, 256)[0]
    inner = picture[60:200, 60:450].astype(float)
    assert abs(inner.mean() - 127.5) < 3 and inner.std() < 20


def test_outside_of_the_view_said_once(run, caplog):
    errors.warn_once.cache_clear()
    camera = replace(CAMERAS['fisheye'], cx=450.25)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            result = run(camera)
    said = [r.getMessage() for r in caplog.records if 'lens' in r.getMessage()]
    assert len(said) == 1 and '110 degrees' in said[0]
    rays = rays_of(camera)
    edge = math.tan(math.radians(55))
    outside = ~(np.abs(rays) <= edge).all(axis=-1)
    assert 0.2 < outside.mean() < 0.7
    assert (result.panoptic[outside] == VOID_ID).all() and np.isnan(result.depth[outside]).all()
    errors.warn_once.cache_clear()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        run(replace(CAMERAS['barrel'], cx=420.5))
        assert not [r for r in caplog.records if 'lens' in r.getMessage()]
        run(replace(CAMERAS['barrel'], lens=Lens('plumb_bob', (-0.5, 0, 0, 0))))
    assert 'no ray' in caplog.text


def test_truncated_where_the_picture_ends(run):
    """The picture ends within the maps of the graph, where nothing else flags it."""
    camera = CAMERAS['barrel']
    flags = {i: d.flags for i, d in by_id(run(camera)).items()}
    assert not any(f & DistanceFlag.TRUNCATED for f in flags.values())
    # The plate at the left reaches out of a picture whose left part is cut off.
    cut = 200
    part = replace(camera, cx=camera.cx - cut, width=camera.width - cut)
    found = by_id(run(part))
    left, _, _, _, z = PLATES[4]
    assert part.pixels(np.array([[left / z, 0.05]]))[0, 0] < 0
    assert found[11001].flags & DistanceFlag.TRUNCATED
    assert not found[13001].flags & DistanceFlag.TRUNCATED


def test_pictures_that_belong_to_results(run):
    """The picture in the camera of the result, whichever that is."""
    camera = CAMERAS['barrel']
    v, u = np.mgrid[:camera.height, :camera.width]
    rays = rays_of(camera)
    image = np.stack([128 + 80 * rays[..., 0], 128 + 80 * rays[..., 1], 0 * u + 200], 2)
    frame = Frame(image.clip(0, 255).astype(np.uint8), camera)
    assert frame_of(frame, run(camera)) is frame
    assert picture_of(frame, run(camera)) is frame.image
    for settings in ({'rectified': True}, {'output_size': 'network'}):
        result = run(camera, **settings)
        picture = picture_of(frame, result)
        assert picture.shape[:2] == result.depth.shape
        shown = np.isfinite(result.depth) & (picture[..., 2] == 200)
        assert shown.mean() > 0.3
        expected = 128 + 80 * rays_of(result.intrinsics)
        assert np.abs(picture[shown][:, :2] - expected[shown]).max() < 4
        part = frame_of(frame, result)
        assert part.intrinsics == rectified(camera) and part.stamp_ns == frame.stamp_ns
        assert frame_of(part, result) is part


def test_a_pinhole_camera_goes_its_own_way(info, table, run):
    frame = frame_at(1.0)
    assert isinstance(prepare(frame, 512, 256)[1], Geometry)
    plain, rectify = (run(frame.intrinsics, rectified=value) for value in (False, True))
    np.testing.assert_array_equal(plain.depth, rectify.depth)
    assert plain.intrinsics == rectify.intrinsics == frame.intrinsics
    # A lens that bends nothing gives what a pinhole camera gives, to the pixels of the maps.
    bent = run(replace(frame.intrinsics, lens=Lens('plumb_bob', (0.0,) * 5)))
    assert np.mean(bent.panoptic == plain.panoptic) > 0.98
    for panoptic_id, distance in by_id(plain).items():
        assert by_id(bent)[panoptic_id].distance_m == pytest.approx(distance.distance_m, rel=5e-3)


def test_a_camera_that_sees_nothing_ahead():
    camera = Intrinsics(300.0, 300.0, 5000.0, 120.0, 320, 240, BARREL)
    with pytest.raises(ConfigError, match='hardly a pixel of .* looks ahead'):
        view_of(camera)
    assert np.isnan(shown_by(CAMERAS['barrel'], Intrinsics(50, 50, 2000, 0, 20, 20))).all()


@pytest.mark.parametrize('camera', [
    *CAMERAS.values(), Intrinsics(80.0, 90.0, 60.0, 31.0, 131, 66, FISHEYE),
    Intrinsics(640.0, 640.0, 331.5, 240.0, 643, 481, Lens('plumb_bob', (-0.35, 0.05, 0.0, 0.0))),
    Intrinsics(200.0, 200.0, 320.0, 240.0, 641, 482, Lens('equidistant', (0.0,) * 4))])
def test_rays_of_a_picture_are_those_of_its_pixels(camera, monkeypatch):
    """Also where the radius turns, and where a fisheye ends."""
    v, u = np.mgrid[:camera.height, :camera.width]
    exact = camera.rays(np.stack([u.ravel(), v.ravel()], 1)).reshape(*v.shape, 2)
    solved = []
    undistorted = Lens.undistorted
    monkeypatch.setattr(Lens, 'undistorted', lambda lens, points: (
        solved.append(len(points)) or undistorted(lens, points)))
    rays = rays_of(camera)
    np.testing.assert_allclose(rays, exact, atol=1e-3 / camera.fx, equal_nan=True)
    assert sum(solved) < 0.7 * v.size


def test_the_view_covers_the_picture():
    for camera in CAMERAS.values():
        view = view_of(camera)
        rays = rays_of(camera)
        known = np.isfinite(rays).all(axis=-1)
        edge = math.tan(math.radians(MOST_FOV_DEG / 2))
        near = known & (np.abs(rays) <= edge).all(axis=-1)
        assert view.shows(rays)[near].all()
        assert view.cut == bool((np.abs(rays[known]) > edge).any())
        assert max(map(abs, view[:4])) <= edge
