# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Scenes through lenses: the same places, and exact truth at distorted pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip('embreex', reason='scenes need the extra [synthetic]')

from panoptic_depth_core.datasets.synthetic import scenes_of
from panoptic_depth_core.labels import VOID_ID, class_of
from panoptic_depth_core.lens import Lens
from panoptic_depth_core.structures import Intrinsics
from panoptic_depth_core.views import fixed_point, rectified, seen_by, shown_by

CAMERAS = {
    'barrel': Intrinsics(140.0, 140.0, 127.5, 63.5, 256, 128,
                         Lens('plumb_bob', (-0.3, 0.1, 0, 0))),
    'fisheye': Intrinsics(92.0, 92.0, 127.5, 63.5, 256, 128,
                          Lens('equidistant', (0.02, -0.008, 0.003, -0.0006)))}


@pytest.mark.parametrize('name', CAMERAS)
def test_truth_is_that_of_a_pinhole_camera_at_the_same_place(name):
    camera = CAMERAS[name]
    pinhole = rectified(camera)
    through, plain = scenes_of(3, camera)[1], scenes_of(3, pinhole)[1]
    at = shown_by(camera, pinhole)
    maps = fixed_point(np.floor(at + 0.5))[0]
    depth = cv2.remap(through.truth.depth, maps, None, cv2.INTER_NEAREST,
                      borderMode=cv2.BORDER_CONSTANT, borderValue=np.nan)
    known = np.isfinite(depth) & np.isfinite(plain.truth.depth)
    assert known.mean() > 0.3
    ratio = depth[known] / plain.truth.depth[known]
    assert np.median(np.abs(ratio - 1)) < 0.01
    classes = cv2.remap(class_of(through.truth.panoptic), maps, None, cv2.INTER_NEAREST)
    assert np.mean((classes == class_of(plain.truth.panoptic))[np.isfinite(at[..., 0])]) > 0.9
    picture = seen_by(pinhole, through.frame.image, camera, (0, 0, 0)).astype(float)
    error = np.abs(picture - plain.frame.image)[np.isfinite(at[..., 0])]
    assert np.median(error) < 12, 'the same picture, but for noise and edges'


def test_pixels_without_a_ray_are_void_and_black():
    camera = Intrinsics(60.0, 60.0, 127.5, 63.5, 256, 128, CAMERAS['fisheye'].lens)
    sample = scenes_of(1, camera)[0]
    blank = np.isnan(camera.rays(np.stack(np.meshgrid(np.arange(256), np.arange(128)), 2)
                                 .reshape(-1, 2))[:, 0]).reshape(128, 256)
    assert 0.05 < blank.mean() < 0.6
    assert (sample.truth.panoptic[blank] == VOID_ID).all()
    assert np.isnan(sample.truth.depth[blank]).all() and not sample.frame.image[blank].any()
    assert not np.isnan(sample.truth.depth[~blank]).any()
