# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""How a camera is mounted: as the user says, a file, or tf at the stamp of the image."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from bag_makers import SECOND_NS, Entry, image, info, write_bag
from hypothesis import given
from hypothesis import strategies as st
from panoptic_depth_core.config import parse_settings
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.recordings.reading.reader import RecordingReader
from panoptic_depth_core.evaluation.settings import RecordingSettings
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.types import TF_MESSAGE
from panoptic_depth_core.io.sources.bag_source import describe_images
from panoptic_depth_core.io.sources.frame_source import FrameSource
from panoptic_depth_core.io.sources.mounting import MountingSettings, read_mounting
from panoptic_depth_core.io.sources.open_source import SourceOptions, open_source, open_with
from panoptic_depth_core.rotations import quaternion, rotation_matrix
from panoptic_depth_core.structures import Frame, Mounting

OPTICAL = (-0.5, 0.5, -0.5, 0.5)
"""From the axes of a camera to those of its vehicle, x forward, y left, z up (REP-103)."""

LEVEL = (0.0, 0.0, 0.0, 1.0)
MOUNTINGS = st.builds(Mounting, st.floats(0.2, 5.0), st.floats(-40, 80), st.floats(-80, 80))


def tf(parent: str, child: str, place: tuple[float, ...], turn: Iterable[float],
       second: float = 0.0, topic: str = '/tf_static', delay_s: float = 0.0) -> Entry:
    stamp = round(second * SECOND_NS)
    message = make.tf_message(make.header(stamp, parent), child, place, turn)
    return Entry(topic, TF_MESSAGE, message, round((second + delay_s) * SECOND_NS))


def pitched(degrees: float) -> tuple[float, ...]:
    half = np.radians(degrees) / 2
    return 0.0, float(np.sin(half)), 0.0, float(np.cos(half))


def read(path: Path, entries: list[Entry], **settings: object) -> tuple[list[Frame], FrameSource]:
    source = open_with(write_bag(path, entries), SourceOptions(
        mounting=MountingSettings(**settings)))
    return list(source), source


def assert_close(found: Mounting | None, height_m: float, pitch_deg: float,
                 roll_deg: float = 0.0) -> None:
    assert found is not None
    assert (found.height_m, found.pitch_deg, found.roll_deg) == pytest.approx(
        (height_m, pitch_deg, roll_deg), abs=1e-6)


@given(MOUNTINGS)
def test_a_transform_of_a_mounting_is_that_mounting(mounting: Mounting) -> None:
    to_ground = mounting.to_ground
    np.testing.assert_allclose(rotation_matrix(*quaternion(to_ground)), to_ground, atol=1e-9)
    to_camera = np.eye(4)
    to_camera[:3, :3] = to_ground.T
    to_camera[:3, 3] = to_ground.T @ (-3.0, 2.0, -mounting.height_m + 0.1)
    found = MountingSettings(ground_frame='base_link', ground_offset_m=0.1).from_ground(to_camera)
    assert_close(found, mounting.height_m, mounting.pitch_deg, mounting.roll_deg)


def test_base_footprint_is_used_where_a_bag_has_it(tmp_path: Path) -> None:
    frames, source = read(tmp_path / 'bag', [
        tf('base_footprint', 'base_link', (0, 0, 0.3), LEVEL),
        tf('base_link', 'optical', (1.0, 0.2, 0.9), OPTICAL), info(0), image(0), image(1)])
    assert len(frames) == 2 and not source.notes
    for frame in frames:
        assert_close(frame.mounting, 1.2, 0.0)


def test_a_replay_learns_the_frames_above_the_camera(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', [
        image(0), tf('base_link', 'optical', (1.0, 0.2, 0.9), OPTICAL, 1.0, '/tf'),
        tf('base_footprint', 'base_link', (0, 0, 0.3), LEVEL)])
    found = describe_images(bag)
    assert (found.root_frame, found.ground_frame) == ('base_footprint', 'base_footprint')


def test_another_frame_has_to_be_asked_for(tmp_path: Path) -> None:
    entries = [tf('base_link', 'optical', (1.0, 0.2, 0.9), OPTICAL), image(0)]
    frames, source = read(tmp_path / 'default', entries)
    assert frames[0].mounting is None and not source.notes
    frames, _ = read(tmp_path / 'asked', entries, ground_frame='base_link', ground_offset_m=0.35)
    assert_close(frames[0].mounting, 1.25, 0.0)


def test_the_pitch_is_that_of_the_stamp_though_tf_comes_later(tmp_path: Path) -> None:
    """As an IMU gives it: between two transforms, which are recorded after the image."""
    entries = [tf('base_link', 'optical', (0, 0, 1.0), OPTICAL), image(0), image(1), image(2)]
    entries += [tf('base_footprint', 'base_link', (0, 0, 0), pitched(4.0 * second), second, '/tf',
                   delay_s=0.3) for second in np.arange(0.5, 4.0, 0.5)]
    entries.sort(key=lambda entry: entry.time_ns)
    frames, source = read(tmp_path / 'bag', entries)
    assert [frame.name for frame in frames] == ['000000', '000001', '000002'] and not source.notes
    for frame, pitch in zip(frames, (4.0, 8.0, 12.0), strict=True):
        assert_close(frame.mounting, np.cos(np.radians(pitch)), pitch)
    reader = RecordingReader(tmp_path / 'bag', RecordingSettings(), mounting=MountingSettings())
    with reader:
        assert [item.frame.mounting for item in reader] == [frame.mounting for frame in frames]
    with RecordingReader(tmp_path / 'bag', RecordingSettings()) as reader:
        assert [item.frame.mounting for item in reader] == [None] * 3


def test_the_users_mounting_wins_over_tf(tmp_path: Path) -> None:
    frames, _ = read(tmp_path / 'bag', [tf('base_footprint', 'optical', (0, 0, 1), OPTICAL),
                                        image(0)], height_m=2.0, pitch_deg=3.0)
    assert frames[0].mounting == Mounting(2.0, 3.0)


@pytest.mark.parametrize(('entries', 'settings', 'note'), [
    ([tf('base_footprint', 'base_link', (0, 0, 1), LEVEL)], {},
     r"'optical' above 'base_footprint' is not known: .*'optical' not in tf, which has base_foot"),
    ([], {'ground_frame': 'base_link'}, "'base_link' and 'optical' not in tf, which has no frame"),
    ([tf('base_footprint', 'optical', (0, 0, 1), LEVEL)], {},
     'give the frame of the optical axes'),
    ([tf('base_footprint', 'optical', (0, 0, 1), pitched(-4.0))], {},
     'give the frame of the optical axes'),
    ([tf('base_footprint', 'optical', (0, 0, -0.2), OPTICAL)], {}, 'height is -0.2'),
    ([tf('base_footprint', 'optical', (0, 0, 1), OPTICAL, 30.0, '/tf')], {},
     'is not known at 1.000 s, but 29.000 s after it'),
], ids=['no camera', 'no tf', 'body frame', 'tilted body frame', 'below', 'another time'])
def test_what_is_missing_is_said_once(tmp_path: Path, entries: list[Entry], settings: dict,
                                      note: str) -> None:
    frames, source = read(tmp_path / 'bag', [*(e for e in entries if e.time_ns == 0), image(0),
                                             image(1), *(e for e in entries if e.time_ns)],
                          **settings)
    assert [frame.mounting for frame in frames] == [None, None]
    ((text, count),) = source.notes.items()
    assert count == 2
    with pytest.raises(ConfigError, match=note):
        raise ConfigError(text)


def test_wrong_transforms_are_said_before_the_last_frame(tmp_path: Path) -> None:
    """Whoever asks for a few frames has to know why they are without a mounting."""
    source = open_source(write_bag(tmp_path / 'bag', [
        tf('base_footprint', 'optical', (0, 0, np.nan), OPTICAL), image(0), image(1)]))
    frame = next(iter(source))
    assert frame.mounting is None
    assert source.notes == {'tf base_footprint -> optical: left out, it is not finite': 1}


def test_pictures_have_the_mounting_of_the_user(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((6, 8, 3), np.uint8))
    settings = MountingSettings(height_m=1.2, pitch_deg=2.6)
    (frame,) = open_source(tmp_path, fx=9.0, mounting=settings)
    assert frame.mounting == Mounting(1.2, 2.6)
    (frame,) = open_source(tmp_path, fx=9.0)
    assert frame.mounting is None
    with pytest.raises(ConfigError, match='is no bag, so it has no tf; leave the ground frame'):
        open_source(tmp_path, mounting=MountingSettings(ground_frame='base_link'))


@pytest.mark.parametrize('text', [
    '/**: {ros__parameters: {mounting: {height_m: 1.2, pitch_deg: 2.6}}}',
    'mounting: {height_m: 1.2, pitch_deg: 2.6}', 'height_m: 1.2\npitch_deg: 2.6'])
def test_a_file_for_the_node_is_one_for_the_command_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / 'mounting.yaml'
    path.write_text(text)
    assert read_mounting(path).fixed == Mounting(1.2, 2.6)


@pytest.mark.parametrize(('text', 'message'), [
    ('[1, 2]', 'holds no mounting; give mounting: {height_m'),
    ('mounting: {pitch_deg: 2.6, roll_deg: 0}', 'pitch and roll are given without a height'),
    ('{height_m: 1, heihgt: 2}', "unknown key 'heihgt'"),
    ('mounting: {height_m: 0}', 'gives neither height_m nor ground_frame'),
    ('height_m: -1', 'height_m is -1: Input should be greater'),
    ('{height_m: 1, pitch_deg: .nan}', 'pitch_deg is nan'),
    ('{height_m: 1, ground_frame: base_link}', "ground_frame is 'base_link'; give one of them"),
    ('{height_m: 1, ground_offset_m: 0.1}', 'ground_frame is not given'),
    ('mounting: &itself {inner: *itself}', 'its aliases stand for inf values'),
])
def test_wrong_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / 'mounting.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_mounting(path)
    assert str(path) in str(caught.value)


def test_settings_of_parameters_have_the_defaults_of_nothing() -> None:
    assert parse_settings(MountingSettings, {}, 'parameters').fixed is None
