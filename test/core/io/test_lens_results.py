# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Results of a camera with a lens: messages, points, files, viewers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from io_scenes import make_frame, make_result
from panoptic_depth_core.io.bags.storage import BagReader, deserialize
from panoptic_depth_core.io.cameras.camera_info import camera_of_info
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.point_clouds import points_of
from panoptic_depth_core.io.results.result_folder import ResultWriter
from panoptic_depth_core.lens import Lens
from panoptic_depth_core.structures import Intrinsics
from panoptic_depth_core.views import rays_of, rectified

LENSES = (
    Lens('plumb_bob', (-0.3, 0.1, 0.001, -0.002)),
    Lens('plumb_bob', (-0.3, 0.1, 0.001, -0.002, 0.01)),
    Lens('rational_polynomial', (3.0, 1.0, 0.0005, -0.0004, 0.05, 3.4, 1.9, 0.25)),
    Lens('rational_polynomial', (-0.3, 0.1, 0.001, 0.002, 0.01, 0.02, 0.01, 0.003, 0.001, 0.0,
                                 0.002, -0.001)),
    Lens('equidistant', (0.01, -0.005, 0.002, -0.001)),
)
IMAGE = '/camera/image_raw'
INFOS = {'/camera/camera_info', '/panoptic_depth/output/camera_info'}
CAMERA = Intrinsics(30.0, 31.0, 19.0, 11.0, 40, 24, LENSES[0])


@pytest.mark.parametrize('lens', LENSES, ids=lambda lens: f'{lens.model}{len(lens.coefficients)}')
def test_camera_info_says_the_lens_and_the_rectified_camera(lens):
    camera = replace(CAMERA, lens=lens)
    message = make.camera_info(make.header(5, 'optical'), camera)
    assert camera_of_info(message).camera == camera
    # image_proc would make the rectified picture of this program.
    assert camera_of_info(message, use='p').camera == rectified(camera)
    assert message.distortion_model == lens.model and np.any(message.d)
    assert len(message.d) == (5 if lens.model == 'plumb_bob' else len(lens.coefficients))
    plain = make.camera_info(make.header(5, 'optical'), camera.pinhole)
    assert not np.any(plain.d) and plain.p[0] == plain.k[0] == 30.0


def test_points_are_on_the_true_rays():
    frame = replace(make_frame(), intrinsics=CAMERA)
    result = replace(make_result(frame), intrinsics=CAMERA)
    for stride in (1, 3):
        points = points_of(frame.image, result, stride)
        depth = result.depth[::stride, ::stride]
        rays = rays_of(CAMERA)[::stride, ::stride][np.isfinite(depth)]
        np.testing.assert_allclose(points['x'], rays[:, 0] * points['z'], rtol=1e-6)
        np.testing.assert_allclose(points['y'], rays[:, 1] * points['z'], rtol=1e-6)
        straight = points_of(frame.image, replace(result, intrinsics=CAMERA.pinhole), stride)
        assert np.abs(straight['x'] - points['x']).max() > 0.2
    xyz = np.stack([points[axis] for axis in 'xyz'], 1).astype(float)
    v, u = np.nonzero(np.isfinite(depth))
    np.testing.assert_allclose(CAMERA.pixels(xyz[:, :2] / xyz[:, 2:]),
                               np.stack([u, v], 1) * 3, atol=1e-4)


@pytest.mark.parametrize('is_rectified', [False, True])
def test_files_hold_the_picture_of_the_result(is_rectified, tmp_path):
    frame = replace(make_frame(), intrinsics=CAMERA)
    camera = rectified(CAMERA) if is_rectified else CAMERA
    result = replace(make_result(frame), intrinsics=camera)
    with ResultWriter(tmp_path, ['instances', 'overlay', 'bag']) as writer:
        writer.write(frame, result)
    record = json.loads((tmp_path / 'instances.jsonl').read_text())['intrinsics']
    assert record['fx'] == camera.fx
    assert record.get('lens') == (None if is_rectified else {
        'model': 'plumb_bob', 'coefficients': [-0.3, 0.1, 0.001, -0.002]})
    bag = BagReader(tmp_path / 'bag')
    found = {message.topic: deserialize(message) for message in bag.messages(INFOS | {IMAGE})}
    bag.close()
    # Both of the image and of the result, whose pixels are the same.
    assert {camera_of_info(found[name]).camera for name in INFOS} == {camera}
    assert np.array_equal(found[IMAGE].data, frame.image.ravel()) is not is_rectified
