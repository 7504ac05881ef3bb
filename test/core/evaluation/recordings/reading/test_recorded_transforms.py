# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Transforms against closed forms of motion, and what is wrong in recordings of them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from panoptic_depth_core.io.bags import transforms
from panoptic_depth_core.io.bags.transforms import (
    TransformError,
    TransformTree,
    add_calibration,
    interpolated,
)
from panoptic_depth_core.rotations import rotation_matrix
from simulated_drive import (
    BASE,
    BASE_LIDAR,
    BASE_OPTICAL,
    LIDAR,
    MOUNTS,
    MS,
    ODOM,
    OPTICAL,
    START_NS,
    Mount,
    SimulatedDrive,
    calibration_yaml,
    tf_message,
)

STRAIGHT = (0.0, 0.0, 0.0, 1.0)


def turned(axis: tuple[float, float, float], angle: float) -> tuple[float, float, float, float]:
    """Quaternion of a turn around a unit axis."""
    x, y, z = np.sin(angle / 2) * np.array(axis)
    return float(x), float(y), float(z), math.cos(angle / 2)


def moving_tree(drive: SimulatedDrive, start_ms: int = -200, end_ms: int = 1000) -> TransformTree:
    """What a recording of a drive gives."""
    tree = TransformTree()
    tree.add(tf_message(0, *MOUNTS), is_static=True)
    for ms in range(start_ms, end_ms, 20):
        stamp = START_NS + ms * MS
        tree.add(tf_message(stamp, drive.base(stamp)), is_static=False)
    return tree


@pytest.mark.parametrize('angle', [0.0, 1e-9, 1e-4, 0.3, 2.0, 3.1])
@pytest.mark.parametrize('sign', [1, -1])
def test_half_a_turn_is_a_turn_by_half_the_angle(angle: float, sign: int) -> None:
    axis = (2 / 3, -1 / 3, 2 / 3)
    first = np.array([1, 2, 3, *turned(axis, 0.4)])
    # A quaternion and its negative are one rotation.
    second = np.array([3, 2, -1, *(sign * np.array(turned(axis, 0.4 + angle)))])
    for share in (0.0, 0.25, 0.5, 1.0):
        pose = interpolated(first, second, share)
        np.testing.assert_allclose(pose[:3], [1 + 2 * share, 2, 3 - 4 * share])
        np.testing.assert_allclose(rotation_matrix(*pose[3:]), rotation_matrix(
            *turned(axis, 0.4 + share * angle)), atol=1e-9)


@pytest.mark.parametrize('yaw_rate', [0.0, 0.4])
def test_the_motion_between_two_stamps_is_that_of_the_vehicle(yaw_rate: float) -> None:
    drive = SimulatedDrive(yaw_rate=yaw_rate)
    tree = moving_tree(drive)
    image, cloud = START_NS + 203 * MS, START_NS + 247 * MS
    found = tree.between(OPTICAL, image, LIDAR, cloud)
    true = np.linalg.inv(drive.base(image).matrix() @ BASE_OPTICAL) @ drive.base(
        cloud).matrix() @ BASE_LIDAR
    # On an arc the chord of 20 ms is off by v w dt^2 / 8.
    np.testing.assert_allclose(found, true, atol=1e-9 if yaw_rate == 0 else 3e-4)
    assert found[2, 3] == pytest.approx((np.linalg.inv(BASE_OPTICAL) @ BASE_LIDAR)[2, 3] + 0.44,
                                        abs=0.02)


def test_at_one_time_no_odometry_is_needed() -> None:
    tree = TransformTree()
    tree.add(tf_message(0, *MOUNTS), is_static=True)
    expected = np.linalg.inv(BASE_OPTICAL) @ BASE_LIDAR
    np.testing.assert_allclose(tree.between(OPTICAL, 5, LIDAR, 5), expected, atol=1e-12)
    # Nor is there motion where no frame moves.
    np.testing.assert_allclose(tree.between(OPTICAL, 5, LIDAR, 9), expected, atol=1e-12)
    assert tree.newest_ns is None
    tree.add(tf_message(START_NS, Mount(ODOM, BASE, (1, 2, 3), STRAIGHT)), is_static=False)
    late = START_NS + 9_000 * MS
    np.testing.assert_allclose(tree.between('/' + OPTICAL, late, LIDAR, late), expected,
                               atol=1e-12)
    np.testing.assert_array_equal(tree.between('unheard', 1, 'unheard', 2), np.eye(4))


def test_beyond_the_ends_the_nearest_pose_holds_for_a_fifth_of_a_second() -> None:
    drive = SimulatedDrive()
    tree = moving_tree(drive, 0, 200)
    last = drive.base(START_NS + 180 * MS).translation[0]
    near = tree.between(ODOM, 0, BASE, START_NS + 380 * MS)
    assert near[0, 3] == pytest.approx(last)
    with pytest.raises(TransformError, match=(
            r"no transform from 'base_link' to 'odom': odom -> base_link is not known at "
            r'1700000000\.381 s, but 0\.201 s before it; record /tf without gaps')):
        tree.between(ODOM, 0, BASE, START_NS + 381 * MS)
    with pytest.raises(TransformError, match=r'but 0\.201 s after it'):
        tree.between(ODOM, 0, BASE, START_NS - 201 * MS)


def test_a_gap_is_not_interpolated() -> None:
    tree = TransformTree()
    for second, x in ((0, 0.0), (1, 10.0), (3, 30.0)):
        tree.add(tf_message(START_NS + second * 1000 * MS, Mount(ODOM, BASE, (x, 0, 0), STRAIGHT)),
                 is_static=False)
    assert tree.between(ODOM, 0, BASE, START_NS + 500 * MS)[0, 3] == pytest.approx(5.0)
    with pytest.raises(TransformError, match=r'but 1\.000 s'):
        tree.between(ODOM, 0, BASE, START_NS + 2000 * MS)


def test_jumps_of_a_map_do_not_move_the_vehicle() -> None:
    drive = SimulatedDrive()
    tree = moving_tree(drive)
    for ms, x in ((0, 0.0), (300, 50.0)):
        tree.add(tf_message(START_NS + ms * MS, Mount('map', ODOM, (x, 0, 0), STRAIGHT)),
                 is_static=False)
    motion = tree.between(BASE, START_NS + 100 * MS, BASE, START_NS + 200 * MS)
    np.testing.assert_allclose(motion[:3, 3], [1.0, 0, 0], atol=1e-9)
    # Of what is given in the map, its correction is part of the way.
    assert tree.between(BASE, START_NS + 300 * MS, 'map', START_NS)[0, 3] == pytest.approx(-53.0)


def test_what_is_known_is_as_new_as_the_last_of_all_frames_that_move() -> None:
    drive = SimulatedDrive()
    tree = moving_tree(drive)
    odometry = START_NS + 980 * MS
    assert tree.newest_ns == odometry
    tree.add(tf_message(START_NS + 1500 * MS, Mount('map', ODOM, (0, 0, 0), STRAIGHT)), False)
    assert tree.newest_ns == odometry
    tree.add(tf_message(START_NS - 5000 * MS, Mount(BASE, 'arm', (0, 0, 0), STRAIGHT)), False)
    assert tree.newest_ns == odometry


def test_frames_that_are_not_there_are_named() -> None:
    tree = moving_tree(SimulatedDrive())
    with pytest.raises(TransformError, match=(
            r"no transform from 'velodyne' to 'camera_optical': 'velodyne' not in tf, which has "
            r'base_link, camera_link, camera_optical, lidar, odom; record /tf and /tf_static, or '
            'give a calibration file')):
        tree.between(OPTICAL, START_NS, 'velodyne', START_NS)
    with pytest.raises(TransformError, match="'a' and 'b' not in tf, which has no frames"):
        TransformTree().between('b', 0, 'a', 0)
    tree.add(tf_message(0, Mount('island', 'palm', (0, 0, 0), STRAIGHT)), is_static=True)
    with pytest.raises(TransformError, match="in two trees, below 'island' and 'odom'"):
        tree.between(OPTICAL, 0, 'palm', 0)


@pytest.mark.parametrize(('mount', 'problem'), [
    (Mount(ODOM, BASE, (math.nan, 0, 0), STRAIGHT), 'not finite'),
    (Mount(ODOM, BASE, (0, 0, 0), (0, 0, math.inf, 1)), 'not finite'),
    (Mount(ODOM, BASE, (0, 0, 0), (0, 0, 0, 0)), 'quaternion is zero'),
    (Mount('world', BASE, (0, 0, 0), STRAIGHT), 'its parent is odom'),
    (Mount(LIDAR, ODOM, (0, 0, 0), STRAIGHT), 'closes a circle'),
    (Mount(ODOM, ODOM, (0, 0, 0), STRAIGHT), 'closes a circle'),
    (Mount(ODOM, '', (0, 0, 0), STRAIGHT), 'no name'),
    (Mount(BASE, LIDAR, (0, 0, 0), STRAIGHT), 'both on tf and on tf_static'),
])
def test_what_is_wrong_is_counted_and_costs_nothing(mount: Mount, problem: str) -> None:
    drive = SimulatedDrive()
    tree = moving_tree(drive)
    before = tree.between(OPTICAL, START_NS, LIDAR, START_NS + 40 * MS)
    good = drive.base(START_NS + 1010 * MS)
    tree.add(tf_message(START_NS + 1010 * MS, mount, good), is_static=False)
    (text, count), = tree.problems.items()
    assert problem in text and text.startswith(f'tf {mount.parent} -> {mount.child}: ')
    assert count == 1 and tree.newest_ns == START_NS + 1010 * MS
    np.testing.assert_array_equal(tree.between(OPTICAL, START_NS, LIDAR, START_NS + 40 * MS),
                                  before)


def test_one_wrong_stamp_is_left_out_and_a_jump_of_time_is_followed() -> None:
    drive = SimulatedDrive()
    tree = moving_tree(drive)
    moved = Mount(ODOM, BASE, (7.0, 0, 0), STRAIGHT)
    tree.add(tf_message(START_NS + 10 ** 14, moved), is_static=False)
    assert tree.newest_ns == START_NS + 980 * MS
    assert tree.problems == {'tf odom -> base_link: a stamp is far from the one before': 1}
    tree.add(tf_message(START_NS + 1000 * MS, drive.base(START_NS + 1000 * MS)), False)
    assert tree.newest_ns == START_NS + 1000 * MS
    for ms in (0, 20):
        tree.add(tf_message(START_NS - 10 ** 14 + ms * MS, moved), is_static=False)
    assert tree.newest_ns == START_NS - 10 ** 14 + 20 * MS
    assert tree.between(ODOM, 0, BASE, START_NS - 10 ** 14 + 10 * MS)[0, 3] == 7.0


def test_disorder_is_sorted_and_a_stamp_counts_once() -> None:
    tree = TransformTree()
    for ms in (0, 40, 20, 40):
        tree.add(tf_message(START_NS + ms * MS, Mount(ODOM, BASE, (ms ** 2, 0, 0), STRAIGHT)),
                 is_static=False)
    assert not tree.problems
    assert tree.between(ODOM, 0, BASE, START_NS + 30 * MS)[0, 3] == pytest.approx(1000.0)
    tree.add(tf_message(START_NS + 40 * MS, Mount(ODOM, BASE, (0, 0, 0), STRAIGHT)), False)
    assert tree.problems['tf odom -> base_link: two transforms have one stamp; the first is '
                         'used'] == 1
    assert tree.between(ODOM, 0, BASE, START_NS + 30 * MS)[0, 3] == pytest.approx(1000.0)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = TransformTree(window_s=1.0)
    for ms in range(0, 5000, 10):
        tree.add(tf_message(START_NS + ms * MS, Mount(ODOM, BASE, (ms, 0, 0), STRAIGHT)), False)
    with pytest.raises(TransformError, match='not known'):
        tree.between(ODOM, 0, BASE, START_NS + 3700 * MS)
    assert tree.between(ODOM, 0, BASE, START_NS + 4005 * MS)[0, 3] == pytest.approx(4005)
    monkeypatch.setattr(transforms, 'MAX_STAMPS', 10)
    tree.add(tf_message(START_NS + 5000 * MS, Mount(ODOM, BASE, (5000, 0, 0), STRAIGHT)), False)
    with pytest.raises(TransformError, match='not known'):
        tree.between(ODOM, 0, BASE, START_NS + 4600 * MS)
    monkeypatch.setattr(transforms, 'MAX_FRAMES', 3)
    for number in range(20):
        stamp = START_NS + (5001 + number) * MS
        thing = Mount(ODOM, f'thing{number}', (0, 0, 0), STRAIGHT)
        tree.add(tf_message(stamp, Mount(ODOM, BASE, (5, 0, 0), STRAIGHT), thing), False)
    assert tree.between(ODOM, 0, 'thing19', stamp)[0, 3] == 0
    assert tree.between(ODOM, 0, BASE, stamp)[0, 3] == 5
    with pytest.raises(TransformError, match="'thing5' not in tf"):
        tree.between(ODOM, 0, 'thing5', stamp)


def test_a_calibration_goes_before_the_recording(tmp_path: Path) -> None:
    path = tmp_path / 'mounts.yaml'
    path.write_text(calibration_yaml(), encoding='utf-8')
    drive = SimulatedDrive()
    tree = TransformTree()
    add_calibration(tree, path)
    np.testing.assert_allclose(tree.between(OPTICAL, 0, LIDAR, 0),
                               np.linalg.inv(BASE_OPTICAL) @ BASE_LIDAR, atol=1e-12)
    wrong = Mount('somewhere', LIDAR, (9, 9, 9), STRAIGHT)
    tree.add(tf_message(0, wrong), is_static=True)
    tree.add(tf_message(START_NS, drive.base(START_NS)), is_static=False)
    assert tree.problems == {'tf somewhere -> lidar: left out, as the calibration file has this '
                             'frame': 1}
    np.testing.assert_allclose(tree.between(ODOM, START_NS, LIDAR, START_NS), BASE_LIDAR,
                               atol=1e-12)


def test_a_calibration_may_be_matrices(tmp_path: Path) -> None:
    path = tmp_path / 'mounts.yaml'
    path.write_text('transforms: [{parent: a, child: b, matrix: [0, -1, 0, 4, 1, 0, 0, 5, '
                    '0, 0, 1, 6, 0, 0, 0, 1]}]', encoding='utf-8')
    tree = TransformTree()
    add_calibration(tree, path)
    matrix = tree.between('a', 0, 'b', 0)
    np.testing.assert_array_equal(matrix @ [1, 2, 3, 1], [2, 6, 9, 1])


GOOD = 'translation: [0, 0, 0], rotation: [0, 0, 0, 1]'


@pytest.mark.parametrize(('text', 'words'), [
    ('', r'transforms is empty; give transforms: \[\{parent: base_link, '),
    ('transforms: []', 'transforms is empty'),
    ('transforms: [', r'mounts\.yaml: .*not valid YAML'),
    (f'mounts: [{{parent: a, child: b, {GOOD}}}]', "unknown key 'mounts'; known keys: transforms"),
    (f'transforms: [{{parent: a, {GOOD}}}]', r'transforms\.0\.child: Field required'),
    ('transforms: [{parent: a, child: b}]', r'transforms\.0 .*give translation: \[x, y, z\] in '
     r'meters and rotation: \[qx, qy, qz, qw\], or matrix: 16 numbers'),
    ('transforms: [{parent: a, child: b, translation: [0, 0, 0]}]', 'give translation: '),
    ('transforms: [{parent: a, child: b, translation: [0, 0], rotation: [0, 0, 0, 1]}]',
     r'transforms\.0\.translation is \[0, 0\]: .*at least 3 items'),
    ('transforms: [{parent: a, child: b, translation: [0, 0, .nan], rotation: [0, 0, 0, 1]}]',
     r'transforms\.0\.translation\.2 is nan: .*finite'),
    ('transforms: [{parent: a, child: b, translation: [0, 0, 0], rotation: [0, 0, 0, 0]}]',
     r'quaternion of length 0; give \[qx, qy, qz, qw\]'),
    ('transforms: [{parent: a, child: b, matrix: [2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, '
     '1]}]', 'matrix is no rigid motion: give a rotation and a translation in meters'),
    (f'transforms: [{{parent: a, child: b, {GOOD}}}, {{parent: c, child: b, {GOOD}}}]',
     r'transforms\.1: transform c -> b: b has the parent a already; give one of them'),
    (f'transforms: [{{parent: a, child: b, {GOOD}}}, {{parent: b, child: a, {GOOD}}}]',
     r'transforms\.1: transform b -> a closes a circle of frames; leave one of them out'),
])
def test_a_wrong_calibration_names_file_key_and_remedy(tmp_path: Path, text: str, words: str
                                                       ) -> None:
    path = tmp_path / 'mounts.yaml'
    path.write_text(text, encoding='utf-8')
    with pytest.raises(ValueError, match=words) as caught:
        add_calibration(TransformTree(), path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)
