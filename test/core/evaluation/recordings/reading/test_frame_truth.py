# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Point clouds and boxes of a simulated drive, and the transforms that they need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.metrics.frame import RecordedFrame
from panoptic_depth_core.evaluation.recordings.reading.reader import RecordingReader
from panoptic_depth_core.evaluation.settings import LidarSettings, RecordingSettings
from panoptic_depth_core.io.bags.writing import BagWriter, Outgoing
from panoptic_depth_core.labels import VOID_ID
from simulated_drive import (
    LIDAR_TOPIC,
    MS,
    SimulatedDrive,
    calibration_yaml,
    simulated_messages,
    write_simulated_drive,
)


def read(bag: Path, lidar: dict[str, Any] | None = None, **options: Any,
         ) -> tuple[list[RecordedFrame], RecordingReader]:
    """Return all frames and their reader."""
    settings = RecordingSettings(lidar=LidarSettings(**lidar or {}))
    with RecordingReader(bag, settings, **options) as reader:
        return list(reader), reader


Change = Callable[[int, Outgoing], tuple[int, Outgoing] | None]


def rewrite(path: Path, drive: SimulatedDrive, change: Change, **options: Any) -> Path:
    """Write the drive with its messages changed, moved in time or left out."""
    changed = [new for when, messages in simulated_messages(drive, **options)
               for out in messages if (new := change(when, out)) is not None]
    with BagWriter(path) as writer:
        for number, (when, out) in enumerate(sorted(changed, key=lambda pair: pair[0])):
            writer.add(str(number), when, [out])
    return path


def error_of(item: RecordedFrame) -> float:
    """Return the median relative error of the points on things; the road looks alike anywhere."""
    assert item.lidar_depth is not None and item.truth.depth is not None
    known = np.isfinite(item.lidar_depth) & (item.truth.panoptic % 1000 > 0)
    known &= item.truth.panoptic != VOID_ID
    assert known.sum() > 100
    error = np.abs(item.lidar_depth[known] / item.truth.depth[known] - 1)
    return float(np.median(error))


def test_points_and_boxes(tmp_path: Path) -> None:
    write_simulated_drive(tmp_path / 'bag', 5)
    frames, reader = read(tmp_path / 'bag')
    assert len(frames) == 5 and not reader.notes and not reader.skipped
    for item in frames:
        assert error_of(item) < 0.01
        assert item.boxes and {box.class_name for box in item.boxes} <= {'car', 'truck', 'person'}


def test_motion_is_compensated(tmp_path: Path) -> None:
    """The clouds are 40 ms later, in which the vehicle goes 0.8 m."""
    write_simulated_drive(tmp_path / 'bag', 4, speed=20.0, with_boxes=False)
    moved, _ = read(tmp_path / 'bag')
    unmoved, reader = read(tmp_path / 'bag', {'compensate_motion': False})
    assert not reader.notes
    assert all(error_of(one) < 0.01 < 0.03 < error_of(other)
               for one, other in zip(moved, unmoved, strict=True))


def test_fixed_transforms_may_be_recorded_late(tmp_path: Path) -> None:
    drive = SimulatedDrive(4)

    def late(when: int, out: Outgoing) -> tuple[int, Outgoing]:
        return (when + 600 * MS if out.topic == '/tf_static' else when), out

    frames, reader = read(rewrite(tmp_path / 'bag', drive, late))
    assert all(error_of(item) < 0.01 for item in frames) and not reader.notes


def test_motion_that_is_recorded_late_is_waited_for(tmp_path: Path) -> None:
    drive = SimulatedDrive(8)

    def late(when: int, out: Outgoing) -> tuple[int, Outgoing]:
        return (when + 400 * MS if out.topic == '/tf' else when), out

    frames, reader = read(rewrite(tmp_path / 'bag', drive, late))
    assert all(error_of(item) < 0.01 for item in frames) and not reader.notes


def test_without_transforms_the_rest_is_read(tmp_path: Path) -> None:
    write_simulated_drive(tmp_path / 'bag', 4, tf='none')
    frames, reader = read(tmp_path / 'bag')
    assert len(frames) == 4 and not reader.skipped
    assert all(f.lidar_depth is None and f.boxes is None and f.truth.depth is not None
               for f in frames)
    assert sorted(reader.notes.values()) == [4, 4]
    for words in ("no transform from 'lidar' to 'camera_optical'", 'no lidar depth for this frame',
                  'no true boxes for this frame'):
        assert any(words in note for note in reader.notes)


def test_a_calibration_file_stands_in(tmp_path: Path) -> None:
    write_simulated_drive(tmp_path / 'bag', 3, tf='none', with_boxes=False, speed=0.0)
    calibration = tmp_path / 'calibration.yaml'
    calibration.write_text(calibration_yaml())
    frames, reader = read(tmp_path / 'bag', {'compensate_motion': False}, calibration=calibration)
    assert all(error_of(item) < 0.01 for item in frames) and not reader.notes
    calibration.write_text('transforms: [{parent: a}]')
    with pytest.raises(ConfigError, match=r'calibration\.yaml'):
        read(tmp_path / 'bag', calibration=calibration)


def test_a_calibration_file_wins(tmp_path: Path) -> None:
    write_simulated_drive(tmp_path / 'bag', 3)
    calibration = tmp_path / 'calibration.yaml'
    calibration.write_text('transforms: [{parent: base_link, child: lidar, translation: '
                           '[2.0, 0, 1.9], rotation: [0, 0.0175, 0.035, 0.9992]}]')
    frames, _ = read(tmp_path / 'bag', calibration=calibration)
    assert all(error_of(item) > 0.05 for item in frames)
    write_simulated_drive(tmp_path / 'plain', 1, with_lidar=False, with_boxes=False)
    _, reader = read(tmp_path / 'plain', calibration=calibration)
    assert any('calibration.yaml is not used' in note for note in reader.notes)


def test_clouds_that_are_missing_or_broken(tmp_path: Path) -> None:
    drive = SimulatedDrive(6)
    seen = 0

    def change(when: int, out: Outgoing) -> tuple[int, Outgoing] | None:
        nonlocal seen
        if out.topic == LIDAR_TOPIC:
            seen += 1
            if seen == 2:
                return None
            if seen == 4:
                out.message.fields = out.message.fields[:2]
        return when, out

    frames, reader = read(rewrite(tmp_path / 'bag', drive, change, with_boxes=False))
    # The cloud of the first image is 60 ms before the second one, which is near enough.
    assert [f.lidar_depth is None for f in frames] == [False, False, False, True, False, False]
    ((note, count),) = reader.notes.items()
    assert note.startswith(f'{LIDAR_TOPIC}: ') and count == 1


def test_in_step_with_recorded_results(tmp_path: Path) -> None:
    """With everything in one bag nothing is lost, and what was recorded is what was made."""
    drive = write_simulated_drive(tmp_path / 'bag', 5, depth_factor=1.25)
    frames, reader = read(tmp_path / 'bag', recorded=True)
    assert len(frames) == 5 and not reader.skipped and not reader.notes
    for index, item in enumerate(frames):
        made = drive.result(index, 1.25)
        assert item.recorded is not None and item.boxes and error_of(item) < 0.01
        np.testing.assert_array_equal(item.recorded.panoptic, made.panoptic)
        np.testing.assert_array_equal(item.recorded.depth, made.depth)
        assert [d.segment.panoptic_id for d in item.recorded.distances] == [
            d.segment.panoptic_id for d in made.distances]
