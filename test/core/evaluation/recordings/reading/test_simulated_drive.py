# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The simulated drive is what other tests measure by, so it is held against closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from panoptic_depth_core.io.bags.drive_bags import read_drive_bag
from panoptic_depth_core.io.bags.storage import BagReader, deserialize
from panoptic_depth_core.io.messages.point_clouds import xyz_of
from panoptic_depth_core.labels import CLASS_ID, LABEL_DIVISOR
from simulated_drive import (
    BOXES_TOPIC,
    DEPTH_TOPIC,
    IMAGE_TOPIC,
    INFO_TOPIC,
    LABELS_TOPIC,
    LIDAR_TOPIC,
    SimulatedDrive,
    write_simulated_drive,
)
from simulated_scene import PERIOD_M, Solid, pixel_rays, render

ROAD = CLASS_ID['road'] * LABEL_DIVISOR


def test_depths_are_those_of_planes() -> None:
    drive = SimulatedDrive()
    _, panoptic, depth = drive.truth(2)
    camera = drive.camera
    rows = np.mgrid[:camera.height, :camera.width][0]
    road = panoptic == ROAD
    # The camera is 1.5 m above the ground and looks along it.
    np.testing.assert_allclose(depth[road], 1.5 * camera.fy / (rows[road] - camera.cy), rtol=1e-6)
    plate = Solid('car', 7, (30.0, 0.0, 1.0), (2.0, 2.0, 2.0))
    drive = SimulatedDrive(solids=(plate,))
    _, panoptic, depth = drive.truth(1)
    np.testing.assert_allclose(depth[panoptic == plate.panoptic_id], 29.0 - 0.8 - 1.0, rtol=1e-6)


def test_texture_belongs_to_the_surface() -> None:
    drive = SimulatedDrive(width=640, height=192)
    first, ids, depth = drive.truth(0)
    second, _, later = drive.truth(1)
    camera = drive.camera
    points = pixel_rays(camera) * np.nan_to_num(depth, posinf=0).reshape(-1, 1)
    z = points[:, 2] - 1.0
    near = (ids.ravel() != 0) & (z > 3) & (z < 25)
    u = (camera.fx * points[near, 0] / z[near] + camera.cx).round().astype(int)
    v = (camera.fy * points[near, 1] / z[near] + camera.cy).round().astype(int)
    inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    u, v, z = u[inside], v[inside], z[near][inside]
    same = np.abs(later[v, u] / z - 1) < 0.02
    gray = [picture.mean(axis=2) for picture in (first, second)]
    before, after = gray[0].ravel()[near][inside][same], gray[1][v, u][same]
    assert same.sum() > 5000
    still = gray[1].ravel()[near][inside][same]
    assert np.abs(after - before).mean() < 0.6 * np.abs(still - before).mean()


def test_the_street_never_ends() -> None:
    drive = SimulatedDrive()
    numbers = set()
    for index in range(0, 1000, 40):
        solids = drive.world(drive.stamp_ns(index))
        at = drive.base(drive.stamp_ns(index)).translation[0]
        assert all(-10 - s.size[0] / 2 <= s.center[0] - at <= PERIOD_M for s in solids)
        numbers |= {s.panoptic_id for s in solids if s.class_name == 'person'}
        _, panoptic, depth = render(solids, drive.camera, np.eye(4) @ np.array(
            [[0, 0, 1, at + 0.8], [-1, 0, 0, -0.1], [0, -1, 0, 1.5], [0, 0, 0, 1.0]]))
        assert depth.min() > 0.2 and ROAD in panoptic
    assert len(numbers) > 10


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_the_bag_holds_all_of_it(tmp_path: Path, storage: str) -> None:
    drive = write_simulated_drive(tmp_path / 'bag', 3, 160, 48, depth_factor=1.05,
                                  storage=storage)
    reader = BagReader(tmp_path / 'bag')
    counts = {name: topic.count for name, topic in reader.topics.items()}
    assert {counts[name] for name in (IMAGE_TOPIC, INFO_TOPIC, LABELS_TOPIC, DEPTH_TOPIC,
                                      BOXES_TOPIC, LIDAR_TOPIC,
                                      '/panoptic_depth/output/depth')} == {3}
    assert counts['/tf_static'] == counts['/panoptic_depth/output/label_info'] == 1
    assert counts['/tf'] == 30
    stamps = [message.stamp_ns for message in reader.messages(tuple(counts))]
    assert stamps == sorted(stamps)
    cloud = next(reader.messages((LIDAR_TOPIC,)))
    np.testing.assert_array_equal(xyz_of(deserialize(cloud)),
                                  drive.cloud(drive.stamp_ns(0) + drive.lidar_offset_ns))
    reader.close()
    for index, sample in enumerate(read_drive_bag(tmp_path / 'bag')):
        picture, panoptic, depth = drive.truth(index)
        np.testing.assert_array_equal(sample.frame.image, picture)
        np.testing.assert_array_equal(sample.truth.panoptic, panoptic)
        np.testing.assert_array_equal(sample.truth.depth, depth)
        result = drive.result(index, 1.05)
        np.testing.assert_allclose(result.depth, 1.05 * depth, rtol=1e-6)


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ('one', 'other'):
        write_simulated_drive(tmp_path / name / 'bag', 2, 96, 32, depth_factor=0.9)
    files = sorted(p.name for p in (tmp_path / 'one' / 'bag').iterdir())
    assert len(files) == 2
    for file in files:
        assert (tmp_path / 'one' / 'bag' / file).read_bytes() == (
            tmp_path / 'other' / 'bag' / file).read_bytes()


def test_parts_can_be_left_out(tmp_path: Path) -> None:
    write_simulated_drive(tmp_path / 'bag', 2, 96, 32, with_lidar=False, with_boxes=False,
                          with_truth=False, tf='none')
    reader = BagReader(tmp_path / 'bag')
    assert set(reader.topics) == {IMAGE_TOPIC, INFO_TOPIC}
    reader.close()
