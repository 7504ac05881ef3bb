# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Geometry: there and back again, and the camera goes along."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panoptic_depth_core.contract import PADDING_RGB
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.inference.preprocess import Geometry, prepare
from panoptic_depth_core.labels import VOID_ID
from panoptic_depth_core.structures import Frame, Intrinsics

FITS = st.sampled_from(('letterbox', 'crop'))
SIZES = st.integers(3, 150)
STRIDES = st.sampled_from((1, 2, 4))


def frame_of(image, fx=80.0):
    height, width = image.shape[:2]
    return Frame(image, Intrinsics.from_focal(fx, width, height))


@pytest.mark.parametrize(('fit', 'resized', 'offset'), [
    ('letterbox', (64, 16), (0, 0)), ('crop', (128, 32), (-32, 0))])
def test_known_geometry(fit, resized, offset):
    g = Geometry.fit(256, 64, 64, 32, fit)
    assert (g.resized_width, g.resized_height) == resized
    assert (g.offset_x, g.offset_y) == offset


def test_letterbox_pads_right_and_bottom_with_the_mean_colour():
    image, _ = prepare(frame_of(np.full((20, 10, 3), 7, np.uint8)), 64, 32)
    assert image.shape == (32, 64, 3) and image.flags.c_contiguous
    assert (image[:, :16] == 7).all()
    assert (image[:, 16:] == PADDING_RGB).all()


def test_crop_keeps_the_middle():
    columns = np.arange(64, dtype=np.uint8)
    image = np.broadcast_to(columns[None, :, None], (16, 64, 3)).copy()
    cut, _ = prepare(frame_of(image), 32, 16, 'crop')
    assert (cut[0, :, 0] == columns[16:48]).all()


def test_image_of_network_size_is_not_touched():
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    same, geometry = prepare(frame_of(image), 64, 32)
    assert (same == image).all()
    assert geometry.network_intrinsics(frame_of(image).intrinsics) == frame_of(image).intrinsics


@given(SIZES, SIZES, FITS)
def test_aspect_ratio_is_kept_to_half_a_pixel(width, height, fit):
    g = Geometry.fit(width, height, 64, 32, fit)
    scale = (min if fit == 'letterbox' else max)(64 / width, 32 / height)
    # A side never vanishes, so one of less than half a pixel becomes one.
    assert abs(g.resized_width - width * scale) <= 0.5 or g.resized_width == 1
    assert abs(g.resized_height - height * scale) <= 0.5 or g.resized_height == 1


@given(SIZES, SIZES, FITS)
@settings(max_examples=50)
def test_camera_follows_the_picture(width, height, fit):
    """A point of the image and its place in the network input lie on the same ray."""
    g = Geometry.fit(width, height, 64, 32, fit)
    camera = Intrinsics(90.0, 85.0, width * 0.4, height * 0.7, width, height)
    network = g.network_intrinsics(camera)
    for u, v in ((0, 0), (width - 1, height - 1), (width / 3, height / 2)):
        x = (u + 0.5) * g.resized_width / width - 0.5 + g.offset_x
        y = (v + 0.5) * g.resized_height / height - 0.5 + g.offset_y
        assert (x - network.cx) / network.fx == pytest.approx((u - camera.cx) / camera.fx)
        assert (y - network.cy) / network.fy == pytest.approx((v - camera.cy) / camera.fy)
    assert (network.width, network.height) == (64, 32)


@given(SIZES, SIZES, FITS, STRIDES)
@settings(max_examples=100)
def test_labels_come_back_from_the_nearest_pixel(width, height, fit, stride):
    """Against the plain formula, pixel by pixel, for every size, fit and stride."""
    g = Geometry.fit(width, height, 64, 32, fit)
    grid = g.grid(stride)
    whole = np.arange(64 * 32 // stride**2, dtype=np.uint16).reshape(32 // stride, -1)
    restored = grid.restore_labels(grid.crop(whole, VOID_ID), VOID_ID)
    u = (np.arange(width) + 0.5) * g.resized_width / width + g.offset_x
    v = (np.arange(height) + 0.5) * g.resized_height / height + g.offset_y
    # Exactly on an edge either neighbor is right: a hair to the same side as the integers.
    x = np.floor((u + 1e-9) / stride).astype(int)
    y = np.floor((v + 1e-9) / stride).astype(int)
    seen = ((y >= 0) & (y < 32 // stride))[:, None] & ((x >= 0) & (x < 64 // stride))
    expected = whole[np.clip(y, 0, 32 // stride - 1)][:, np.clip(x, 0, 64 // stride - 1)]
    assert restored.shape == (height, width)
    assert (restored == np.where(seen, expected, VOID_ID)).all()
    counts = np.bincount(restored[restored != VOID_ID], minlength=whole.size)
    assert (grid.pixel_counts == grid.crop(counts.reshape(whole.shape), 0)).all()


@given(SIZES, SIZES, FITS, STRIDES)
@settings(max_examples=100)
def test_map_pixels_keep_their_rays_and_planes_come_back_exactly(width, height, fit, stride):
    """A slanted plane, seen by the map's camera, is the plane that the image's camera sees."""
    grid = Geometry.fit(width, height, 64, 32, fit).grid(stride)
    focal = 2.0 * max(width, height)
    camera = Intrinsics(focal, focal, width * 0.45, height * 0.6, width, height)

    def plane(cam):
        x = (np.arange(cam.width) - cam.cx) / cam.fx
        y = (np.arange(cam.height) - cam.cy) / cam.fy
        return (20.0 / (1.0 + 0.2 * x + 0.3 * y[:, None])).astype(np.float32)

    depth = plane(grid.intrinsics(camera))
    restored = grid.restore_depth(depth, np.zeros(depth.shape, np.uint16))
    seen = grid.restore_labels(np.zeros(depth.shape, np.uint16), VOID_ID) == 0
    assert np.isnan(restored[~seen]).all()
    # Half a map pixel at the rim lies outside of the outermost pixel centres: nothing to
    # interpolate between, so the nearest value.
    u = np.arange(width) * grid.scale[0] + 0.5 * grid.scale[0] + grid.shift[0]
    v = np.arange(height) * grid.scale[1] + 0.5 * grid.scale[1] + grid.shift[1]
    inside = ((v >= 0) & (v <= depth.shape[0] - 1))[:, None] & (
        (u >= 0) & (u <= depth.shape[1] - 1))
    truth = plane(camera)
    np.testing.assert_allclose(restored[seen & inside], truth[seen & inside], rtol=1e-5)
    assert restored[seen].min() >= depth.min() - 1e-3
    assert restored[seen].max() <= depth.max() + 1e-3


@given(st.integers(0, 2**32 - 1), FITS, STRIDES)
@settings(max_examples=50)
def test_no_depth_between_two_surfaces(seed, fit, stride):
    """Restored depths are those of their own segment; marks stay marks, in place."""
    rng = np.random.default_rng(seed)
    grid = Geometry.fit(150, 90, 64, 32, fit).grid(stride)
    labels = rng.integers(0, 4, grid.pixel_counts.shape).astype(np.uint16)
    labels[: labels.shape[0] // 2] = 3
    values = np.array([2.0, 50.0, np.inf, 7.0], np.float32)
    depth = values[labels]
    marks = rng.random(depth.shape)
    depth[marks < 0.05] = np.nan
    depth[(marks > 0.1) & (marks < 0.15)] = -np.inf
    restored = grid.restore_depth(depth, labels)
    full_labels = grid.restore_labels(labels, VOID_ID)
    seen = full_labels != VOID_ID
    nearest = depth[np.ix_(grid.rows, grid.columns)].ravel()
    got = restored[seen]
    np.testing.assert_array_equal(np.isnan(got), np.isnan(nearest))
    np.testing.assert_array_equal(got[np.isinf(nearest)], nearest[np.isinf(nearest)])
    finite = np.isfinite(nearest)
    np.testing.assert_allclose(got[finite], values[full_labels[seen]][finite], rtol=1e-6)


def test_roi_is_the_box_of_the_restored_labels():
    grid = Geometry.fit(101, 77, 64, 32, 'crop').grid(2)
    for x, y, width, height in ((0, 0, 1, 1), (3, 2, 5, 4), (31, 15, 1, 1), (0, 0, 32, 16)):
        labels = np.zeros(grid.pixel_counts.shape, np.uint16)
        labels[y:y + height, x:x + width] = 1
        rows, columns = np.nonzero(grid.restore_labels(labels, VOID_ID) == 1)
        assert grid.image_roi((x, y, width, height)) == (
            columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)


def test_crop_that_leaves_nothing():
    with pytest.raises(ConfigError, match='no pixel of an image side of 4 px; set fit to letter'):
        Geometry.fit(1, 4, 64, 32, 'crop').grid(1)


def test_shrinking_averages():
    """A fine chequerboard becomes gray, not an aliased pattern."""
    board = (np.indices((64, 128)).sum(0) % 2 * 200).astype(np.uint8)
    image, _ = prepare(frame_of(np.repeat(board[..., None], 3, 2)), 64, 32)
    assert (image == 100).all()
