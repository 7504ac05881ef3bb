# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Instances in the frame of the vehicle."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from panoptic_depth_core.inference.distances import not_transformed, transformed
from panoptic_depth_core.labels import CLASS_ID
from panoptic_depth_core.rotations import rotation_matrix
from panoptic_depth_core.structures import DistanceFlag, InstanceDistance, Segment

HALF = math.sqrt(0.5)
OPTICAL_TO_BODY = rotation_matrix(-0.5, 0.5, -0.5, 0.5)
"""REP-103: z forward, x right, y down becomes x forward, y left, z up."""

CAR = InstanceDistance(
    Segment(13001, CLASS_ID['car'], 1, True, 0.9, 20), 'car', (1, 2, 3, 4), 15,
    DistanceFlag.TRUNCATED, 12.5, 0.5, 12.0, 12.25,
    np.array([2.0, 0.5, 12.25], np.float32), np.diag([0.1, 0.2, 0.9]).astype(np.float32),
    np.array([1.5, 0.5, 11.75], np.float32), np.array([1.8, 1.5, 4.0], np.float32), 3)
UNKNOWN = InstanceDistance(CAR.segment, 'car', CAR.roi, 0, DistanceFlag.LOW_DEPTH_SUPPORT)

quaternions = arrays(np.float64, 4, elements=st.floats(-10, 10)).filter(
    lambda q: np.linalg.norm(q) > 1e-3)


@pytest.mark.parametrize(('quaternion', 'matrix'), [
    ((0, 0, 0, 1), np.eye(3)),
    ((HALF, 0, 0, HALF), [[1, 0, 0], [0, 0, -1], [0, 1, 0]]),
    ((0, HALF, 0, HALF), [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]),
    ((0, 0, HALF, HALF), [[0, -1, 0], [1, 0, 0], [0, 0, 1]]),
    ((-0.5, 0.5, -0.5, 0.5), [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]),
])
def test_turns_by_hand(quaternion: tuple[float, ...], matrix: list[list[float]]) -> None:
    np.testing.assert_allclose(rotation_matrix(*quaternion), matrix, atol=1e-12)


@given(quaternions)
def test_a_rotation_keeps_lengths_and_hands(q: np.ndarray) -> None:
    matrix = rotation_matrix(*q)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(matrix) == pytest.approx(1.0)
    # The axis stays, the opposite quaternion and a longer one are the same turn.
    np.testing.assert_allclose(matrix @ q[:3], q[:3], atol=1e-8)
    np.testing.assert_allclose(rotation_matrix(*(-3 * q)), matrix, atol=1e-9)


@given(quaternions, quaternions)
def test_turns_follow_each_other_as_quaternions_multiply(p: np.ndarray, q: np.ndarray) -> None:
    (a, b, c, w), (x, y, z, v) = p, q
    product = (w * x + a * v + b * z - c * y, w * y - a * z + b * v + c * x,
               w * z + a * y - b * x + c * v, w * v - a * x - b * y - c * z)
    np.testing.assert_allclose(rotation_matrix(*product),
                               rotation_matrix(*p) @ rotation_matrix(*q), atol=1e-9)


def test_into_the_body_frame() -> None:
    """A camera 1.5 m above and 2 m before the origin."""
    car, unknown = transformed((CAR, UNKNOWN), OPTICAL_TO_BODY, np.array([2.0, 0.0, 1.5]))
    np.testing.assert_allclose(car.position_m, [14.25, -2.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(car.nearest_point_m, [13.75, -1.5, 1.0], atol=1e-6)
    np.testing.assert_allclose(car.position_covariance, np.diag([0.9, 0.1, 0.2]), atol=1e-6)
    np.testing.assert_allclose(car.size_m, [4.0, 1.8, 1.5], atol=1e-6)
    # The distance is still that from the camera.
    assert (car.distance_m, car.distance_stddev_m, car.distance_near_m, car.depth_m) == (
        12.5, 0.5, 12.0, 12.25)
    assert (car.segment, car.roi, car.track_id, car.flags) == (
        CAR.segment, CAR.roi, 3, DistanceFlag.TRUNCATED)
    for array in (car.position_m, car.position_covariance, car.nearest_point_m, car.size_m):
        assert array.dtype == np.float32
    # What is not known does not become known by a translation.
    assert np.isnan(unknown.position_m).all() and np.isnan(unknown.size_m).all()
    assert np.isnan(unknown.position_covariance).all()
    assert np.isnan(unknown.nearest_point_m).all() and math.isnan(unknown.distance_m)


def test_no_turn_changes_nothing() -> None:
    same, = transformed((CAR,), np.eye(3), np.zeros(3))
    np.testing.assert_array_equal(same.position_m, CAR.position_m)
    np.testing.assert_array_equal(same.position_covariance, CAR.position_covariance)
    np.testing.assert_array_equal(same.size_m, CAR.size_m)


@given(quaternions)
def test_covariance_and_box_of_any_turn(q: np.ndarray) -> None:
    rotation = rotation_matrix(*q)
    car, = transformed((CAR,), rotation, np.zeros(3))
    covariance = car.position_covariance.astype(np.float64)
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-6)
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance), [0.1, 0.2, 0.9], atol=1e-5)
    corners = np.array(np.meshgrid(*([-0.5, 0.5],) * 3)).reshape(3, 8) * CAR.size_m[:, None]
    np.testing.assert_allclose(car.size_m, np.ptp(rotation @ corners, axis=1), rtol=1e-5)


def test_what_could_not_be_transformed_is_flagged() -> None:
    car, unknown = not_transformed((CAR, UNKNOWN))
    assert car.flags == DistanceFlag.TRUNCATED | DistanceFlag.NOT_TRANSFORMED
    assert unknown.flags == DistanceFlag.LOW_DEPTH_SUPPORT | DistanceFlag.NOT_TRANSFORMED
    np.testing.assert_array_equal(car.position_m, CAR.position_m)
    assert CAR.flags == DistanceFlag.TRUNCATED
    assert transformed((), np.eye(3), np.zeros(3)) == not_transformed(()) == ()
