# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Images whose header names a frame of the body, x forward, in place of the optical one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.recordings.reading.reader import RecordingReader
from panoptic_depth_core.evaluation.settings import RecordingSettings, TopicSettings
from panoptic_depth_core.io.bags.transforms import TransformTree
from panoptic_depth_core.io.cameras.camera_options import CameraOptions
from panoptic_depth_core.io.sources.measured_depth import MeasuredTopic
from panoptic_depth_core.io.sources.mounting import MountingSettings, TransformedMounting
from panoptic_depth_core.io.sources.open_source import open_source
from panoptic_depth_core.rotations import Axes, to_optical

LIDAR = '/points'


def _read(path: Path, axes: Axes) -> tuple[list[int], RecordingReader]:
    """Points on each image, and the reader."""
    settings = RecordingSettings(topics=TopicSettings(lidar=LIDAR))
    with RecordingReader(path, settings, camera=CameraOptions(axes=axes)) as reader:
        return [int(np.isfinite(item.lidar_depth).sum()) for item in reader], reader


def test_the_usual_rotation() -> None:
    turn = to_optical('body')
    # Ahead, left and up of the body are depth, minus x and minus y of the picture.
    np.testing.assert_array_equal(turn @ [3.0, 2.0, 1.0, 1.0], [-2.0, -1.0, 3.0, 1.0])
    assert np.linalg.det(turn) == pytest.approx(1.0)
    np.testing.assert_array_equal(to_optical('optical'), np.eye(4))


def test_points_that_vanish_are_explained(case: Callable[[str], Path]) -> None:
    counts, reader = _read(case('10_lidar_body_frame/body'), 'optical')
    assert counts == [0, 0, 0]
    (note,) = reader.notes
    assert reader.notes[note] == 3
    assert "many would if the x axis of 'base_link' pointed forward" in note
    assert 'give --camera-axes body' in note


def test_the_rotation_brings_the_points_back(case: Callable[[str], Path]) -> None:
    body, reader = _read(case('10_lidar_body_frame/body'), 'body')
    assert not reader.notes
    optical, reader = _read(case('10_lidar_body_frame/optical'), 'optical')
    assert not reader.notes
    assert min(body) > 1000 and body == pytest.approx(optical, rel=0.05)


def test_a_wrong_choice_is_explained_too(case: Callable[[str], Path]) -> None:
    counts, reader = _read(case('10_lidar_body_frame/optical'), 'body')
    (note,) = reader.notes
    assert counts == [0, 0, 0] and 'no point lies on the image' in note
    assert "'camera_optical'" in note and 'the camera axes, which are body' in note


@pytest.mark.parametrize('axes', ['optical', 'body'])
def test_measured_depth(case: Callable[[str], Path], axes: Axes) -> None:
    path = case('10_lidar_body_frame/body')
    with open_source(path, camera_axes=axes) as source, MeasuredTopic(
            path, LIDAR, axes=axes) as measured:
        points = [measured.points(frame) for frame in source]
    if axes == 'optical':
        assert points == [None] * 3 and 'or x with camera axes body' in next(iter(measured.notes))
        return
    seen = [p[(p[:, 2] > 0) & (np.abs(p[:, 0]) < p[:, 2])] for p in points if p is not None]
    assert len(seen) == 3 and all(len(p) > 300 for p in seen)


@pytest.mark.parametrize('axes', ['optical', 'body'])
def test_the_mounting_of_tf(axes: Axes) -> None:
    tree, notes = TransformTree(axes=axes), []
    camera = np.eye(4)
    camera[2, 3] = 1.25
    tree.add_given('base_footprint', 'base_link', camera)
    mounting = TransformedMounting(
        MountingSettings(ground_frame='base_footprint'), SimpleNamespace(tree=tree),
        notes.append).of('base_link', 0)
    if axes == 'optical':
        assert mounting is None
        assert 'camera axes body that x of this one points forward' in notes[0]
        return
    assert mounting is not None and not notes
    assert (mounting.height_m, mounting.pitch_deg, mounting.roll_deg) == pytest.approx(
        (1.25, 0.0, 0.0))


def test_other_axes_are_refused() -> None:
    with pytest.raises(ConfigError, match="camera axes are 'flu'; give optical, body"):
        CameraOptions(axes='flu')  # type: ignore[arg-type]
