# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Boxes in an image against sampled surfaces and the rendered scene, and who answers them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from panoptic_depth_core.evaluation.metrics.distance import match_boxes
from panoptic_depth_core.evaluation.metrics.frame import TrueBox
from panoptic_depth_core.evaluation.recordings.reading.frame_truth import plain_name, true_boxes
from panoptic_depth_core.evaluation.settings import BoxSettings
from panoptic_depth_core.io.bags.transforms import (
    TransformError,
    TransformTree,
)
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.types import DETECTION_3D_ARRAY
from panoptic_depth_core.labels import LABEL_DIVISOR
from panoptic_depth_core.rotations import rotation_matrix
from panoptic_depth_core.structures import DistanceFlag, InstanceDistance, Intrinsics, Segment
from simulated_drive import BASE_OPTICAL, OPTICAL, SimulatedDrive, boxes_message
from simulated_scene import Solid

CAMERA = Intrinsics(200.0, 210.0, 159.0, 121.0, 320, 240)
ALL = BoxSettings(min_height_px=1)
UNTURNED = (0.0, 0.0, 0.0, 1.0)


def same(_frame: str, _stamp_ns: int) -> NDArray[np.float64]:
    """Boxes are in the optical frame."""
    return np.eye(4)


def detection(place: Any = (0, 0, 10), size: Any = (2, 2, 2), turn: Any = UNTURNED,
              names: tuple[tuple[str, float], ...] = (('car', 1.0),), frame: str = 'optical'
              ) -> Any:
    """vision_msgs/Detection3D."""
    pose = make('geometry_msgs/msg/Pose', position=make.vector('Point', place),
                orientation=make.vector('Quaternion', turn))
    results = [make('vision_msgs/msg/ObjectHypothesisWithPose',
                    hypothesis=make('vision_msgs/msg/ObjectHypothesis', class_id=name,
                                    score=score),
                    pose=make('geometry_msgs/msg/PoseWithCovariance', pose=pose,
                              covariance=np.zeros(36))) for name, score in names]
    return make('vision_msgs/msg/Detection3D', header=make.header(7, frame), results=results,
                bbox=make('vision_msgs/msg/BoundingBox3D', center=pose,
                          size=make.vector('Vector3', size)), id='')


def boxes(*detections: Any, settings: BoxSettings = ALL, locate: Any = same) -> list[TrueBox]:
    """As they look in CAMERA."""
    message = make(DETECTION_3D_ARRAY, header=make.header(7, 'optical'),
                   detections=list(detections))
    return list(true_boxes(message, locate, CAMERA, settings))


def test_a_box_straight_ahead() -> None:
    found, = boxes(detection((0, 0, 10), (2, 3, 4)))
    assert (found.class_name, found.distance_m, found.depth_m) == ('car', 8.0, 8.0)
    # The front face is 2 x 3 m at 8 m; pixel 0 begins at 0 in a rectangle, at -0.5 in u.
    assert found.roi == pytest.approx((159.5 - 25, 121.5 - 39.375, 50, 78.75))


@pytest.mark.parametrize('seed', range(6))
def test_rectangle_and_distance_are_those_of_sampled_surfaces(seed: int) -> None:
    rng = np.random.default_rng(seed)
    place, size, turn = rng.uniform((-3, -3, 9), (3, 3, 15)), rng.uniform(1, 4, 3), rng.normal(
        size=4)
    found, = boxes(detection(place, size, turn))
    grid = np.stack(np.meshgrid(*[np.linspace(-0.5, 0.5, 41)] * 3), axis=-1).reshape(-1, 3)
    surface = (grid[(np.abs(grid) == 0.5).any(axis=1)] * size) @ rotation_matrix(
        *turn).T + place
    u = CAMERA.fx * surface[:, 0] / surface[:, 2] + CAMERA.cx + 0.5
    v = CAMERA.fy * surface[:, 1] / surface[:, 2] + CAMERA.cy + 0.5
    left, right, top, bottom = u.min(), u.max(), v.min(), v.max()
    assert left > 0 and right < 320 and top > 0 and bottom < 240
    assert found.roi == pytest.approx((left, top, right - left, bottom - top), abs=1e-6)
    # March along the ray to the center until inside.
    steps = np.linspace(0, 1, 100_001)[:, None] * place
    inside = (np.abs((steps - place) @ rotation_matrix(*turn)) <= size / 2).all(axis=1)
    entry = steps[inside.argmax()]
    assert found.distance_m == pytest.approx(np.linalg.norm(entry), abs=1e-3)
    assert found.depth_m == pytest.approx(entry[2], abs=1e-3)


def test_a_box_that_reaches_behind_the_camera_is_cut_off() -> None:
    # A bus beside the camera: its center 4 m ahead is in the picture, its end is behind.
    turned = (0.0, math.sin(0.15), 0.0, math.cos(0.15))
    assert (rotation_matrix(*turned) @ [0, 0, -6])[2] + 4 < -1
    found, = boxes(detection((2.6, 0, 4), (1, 2, 12), turned))
    assert found.roi[0] > 100 and found.roi[0] + found.roi[2] == pytest.approx(320)
    assert (found.roi[1], found.roi[3]) == (0, 240)
    assert 0 < found.depth_m < found.distance_m < math.hypot(2.6, 4)


@pytest.mark.parametrize('wrong', [
    detection((0, 0, -10)), detection((30, 0, 10)), detection((0, 0, 1), (4, 4, 4)),
    detection((0, 0, math.nan)), detection((0, math.inf, 10)), detection(turn=(0, 0, 0, 0)),
    detection(turn=(math.nan, 0, 0, 1)), detection(size=(0, 2, 2)), detection(size=(2, -1, 2)),
    detection(size=(2, 2, math.nan)), detection(names=()), detection((0, 0, 0)),
], ids=['behind', 'beside', 'around the camera', 'nan', 'inf', 'zero turn', 'nan turn', 'flat',
        'negative', 'nan size', 'no class', 'at the camera'])
def test_what_cannot_be_judged_is_left_out_alone(wrong: Any) -> None:
    good = detection((3, 0, 12), names=(('person', 0.2), ('rider', 0.7)))
    found, = boxes(wrong, good)
    assert found.class_name == 'rider'


def test_small_boxes_are_left_out() -> None:
    far = detection((0, 0, 50), (2, 2, 2))
    (box,) = boxes(far)
    assert box.roi[3] == pytest.approx(420 / 49)
    assert len(boxes(far, settings=BoxSettings(min_height_px=8))) == 1
    assert not boxes(far, settings=BoxSettings(min_height_px=9))


def test_a_box_behind_another_one_is_left_out() -> None:
    near, hidden, beside = (detection((0, 0, 8)), detection((0.2, 0, 20)),
                            detection((4, 0, 20)))
    assert [box.depth_m for box in boxes(hidden, near, beside)] == [7.0, 19.0]
    # Rider and bicycle are in one another.
    assert len(boxes(detection((0, -0.4, 8)), detection((0, 0.4, 8.2)))) == 2


def test_frames_are_asked_for_once_and_are_those_of_the_detections() -> None:
    asked = []

    def locate(frame: str, stamp_ns: int) -> NDArray[np.float64]:
        asked.append((frame, stamp_ns))
        matrix = np.eye(4)
        matrix[2, 3] = 5.0 if frame == 'back' else 0.0
        return matrix

    found = boxes(detection(frame='back'), detection((3, 0, 10), frame='back'),
                  detection((-3, 0, 10), frame=''), locate=locate)
    assert [round(box.depth_m, 6) for box in found] == [14.0, 14.0, 9.0]
    assert asked == [('back', 7), ('optical', 7)]
    with pytest.raises(TransformError, match="'nowhere' and 'camera_optical' not in tf"):
        boxes(detection(frame='nowhere'), locate=lambda frame, stamp: TransformTree().between(
            OPTICAL, 7, frame, stamp))


@pytest.mark.parametrize('frame', ['base_link', 'odom'])
def test_boxes_of_the_drive_are_where_its_things_are_seen(frame: str) -> None:
    street = (Solid('car', 1, (14.0, -1.7, 0.75), (4.2, 1.8, 1.5), 0.2, 6.0),
              Solid('truck', 1, (30.0, 4.0, 1.7), (7.0, 2.4, 3.4), -0.3),
              Solid('person', 1, (13.0, 3.0, 0.85), (0.5, 0.6, 1.7), 0.3))
    drive = SimulatedDrive(width=640, height=240, static_scene=False, solids=street, yaw_rate=0.1)
    stamp = drive.stamp_ns(2)
    base = drive.base(stamp).matrix()
    world = base @ BASE_OPTICAL if frame == 'odom' else BASE_OPTICAL
    found = true_boxes(boxes_message(drive, stamp, frame), lambda *_: np.linalg.inv(world),
                       drive.camera, ALL)
    _, panoptic, depth = drive.truth(2)
    assert [box.class_name for box in found] == ['car', 'truck', 'person']
    for box, solid in zip(found, street, strict=True):
        v, u = np.nonzero(panoptic == solid.panoptic_id)
        assert solid.panoptic_id // LABEL_DIVISOR in (11, 13, 14)
        assert box.roi == pytest.approx((u.min(), v.min(), np.ptp(u) + 1, np.ptp(v) + 1), abs=1.0)
        place = np.linalg.inv(base @ BASE_OPTICAL) @ [*solid.at(0.2, 0).center, 1.0]
        column = round(drive.camera.fx * place[0] / place[2] + drive.camera.cx)
        row = round(drive.camera.fy * place[1] / place[2] + drive.camera.cy)
        assert box.depth_m == pytest.approx(depth[row, column], rel=0.01)


def instance(roi: tuple[int, int, int, int], name: str = 'car') -> InstanceDistance:
    """Predicted thing."""
    return InstanceDistance(Segment(13001, 13, 1, True, 0.9, 10), name, roi, 10, DistanceFlag(0),
                            5.0, depth_m=4.0)


def box(*roi: float, name: str = 'car') -> TrueBox:
    """Box of a thing."""
    return TrueBox(name, (roi[0], roi[1], roi[2], roi[3]), 5.0, 4.0)


def test_each_box_is_answered_by_the_best_of_its_class() -> None:
    truth = [box(0, 0, 10, 10), box(0, 1, 10, 10), box(50, 0, 10, 10, name='Traffic_Light')]
    predicted = [instance((0, 1, 10, 10)), instance((50, 0, 10, 10)),
                 instance((51, 0, 10, 10), 'traffic light'), instance((0, 2, 10, 10))]
    assert match_boxes(truth, predicted, BoxSettings()) == [3, 0, 2]
    assert match_boxes(truth, predicted[:1], BoxSettings()) == [None, 0, None]
    assert match_boxes(truth, [], BoxSettings()) == [None] * 3
    assert match_boxes([], predicted, BoxSettings()) == []


def test_the_least_iou_counts() -> None:
    # 10 x 5 of 10 x 10 in common with one of its own size: 50 / 150.
    truth, predicted = [box(0, 0, 10, 10)], [instance((0, 5, 10, 10))]
    assert match_boxes(truth, predicted, BoxSettings(min_iou=1 / 3)) == [0]
    assert match_boxes(truth, predicted, BoxSettings(min_iou=0.334)) == [None]
    assert match_boxes([box(0, 0, 0, 0)], [instance((0, 0, 0, 0))], BoxSettings()) == [None]


def test_names_of_classes() -> None:
    assert plain_name('Traffic_Light') == plain_name('traffic light') != plain_name('traffic')


def test_instance_distances_are_taken_as_they_are() -> None:
    drive = SimulatedDrive(width=640, height=192)
    result = drive.result(0)
    message = make.instance_distance_array(make.header(1, OPTICAL), result, 0)
    message.instances[1].distance = math.nan
    message.instances[2].is_thing = False
    found = true_boxes(message, same, drive.camera, BoxSettings(min_height_px=10))
    expected = [d for i, d in enumerate(result.distances) if i not in (1, 2) and d.roi[3] >= 10]
    assert len(expected) >= 2
    assert [(b.class_name, b.roi) for b in found] == [(d.class_name, d.roi) for d in expected]
    assert [b.distance_m for b in found] == pytest.approx([d.distance_m for d in expected])
    assert [b.depth_m for b in found] == pytest.approx([d.depth_m for d in expected])
    half = Intrinsics(100, 100, 160, 48, 320, 96)
    assert true_boxes(message, same, half, ALL)[0].roi == tuple(
        value / 2 for value in result.distances[0].roi)
