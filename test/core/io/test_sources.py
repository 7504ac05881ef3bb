# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures, folders, videos and cameras as frames, and how a source is told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.cameras.camera_options import CameraOptions
from panoptic_depth_core.io.sources import opencv_sources
from panoptic_depth_core.io.sources.frame_source import FrameSource, count_reason
from panoptic_depth_core.io.sources.open_source import open_source
from panoptic_depth_core.io.sources.picture_source import frame_names
from panoptic_depth_core.reasons import OTHER_REASONS


def _save(path: Path, value: int, size: tuple[int, int] = (6, 8)) -> None:
    image = np.full((*size, 3), (value, 20, 200), np.uint8)
    assert cv2.imwrite(str(path), image[..., ::-1])


def _video(path: Path, count: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 20.0, (64, 48))
    assert writer.isOpened()
    for index in range(count):
        writer.write(np.full((48, 64, 3), (200, 20, 10 * index), np.uint8))
    writer.release()


def test_one_picture(tmp_path: Path) -> None:
    path = tmp_path / 'one.png'
    _save(path, 10)
    os.utime(path, ns=(5, 123_456_789_000))
    with open_source(path, fx=12.0) as source:
        frames = list(source)
    assert (source.kind, source.len_hint, len(frames)) == ('pictures', 1, 1)
    frame = frames[0]
    assert frame.image[0, 0].tolist() == [10, 20, 200] and frame.image.shape == (6, 8, 3)
    # The time of a file is not that of an exposure.
    assert (frame.name, frame.stamp_ns, frame.intrinsics.fx) == ('one', 0, 12.0)
    assert frame.intrinsics_source == 'user'


def test_a_folder_is_sorted_and_broken_pictures_are_counted(tmp_path: Path) -> None:
    for name, value in (('b.png', 2), ('a.jpeg', 1), ('c.BMP', 3), ('b.webp', 9), ('.d.png', 4)):
        _save(tmp_path / name, value)
    (tmp_path / 'broken.png').write_bytes((tmp_path / 'b.png').read_bytes()[:30])
    (tmp_path / 'empty.jpg').write_bytes(b'')
    (tmp_path / 'readme.txt').write_text('')
    (tmp_path / 'folder.png').mkdir()
    source = open_source(str(tmp_path))
    frames = list(source)
    assert source.len_hint == 6
    assert [frame.name for frame in frames] == ['a', 'b_png', 'b_webp', 'c']
    assert {frame.intrinsics_source for frame in frames} == {'default'}
    assert sorted(source.skipped.values()) == [1, 1]
    assert all('no picture' in reason for reason in source.skipped)
    assert any(str(tmp_path / 'broken.png') in reason for reason in source.skipped)


def test_done_frames_are_not_read(tmp_path: Path) -> None:
    _save(tmp_path / 'a.png', 1)
    (tmp_path / 'b.png').write_text('not a picture')
    source = open_source(tmp_path, skip=lambda name: name == 'b')
    assert [frame.name for frame in source] == ['a'] and not source.skipped


def test_sidecar_camera(tmp_path: Path) -> None:
    _save(tmp_path / 'a.png', 1)
    camera = {'fx': 16.0, 'fy': 16.0, 'cx': 7.5, 'cy': 5.5, 'width': 16, 'height': 12}
    (tmp_path / 'camera.json').write_text(json.dumps(camera))
    (frame,) = open_source(tmp_path)
    assert frame.intrinsics_source == 'sidecar'
    assert (frame.intrinsics.fx, frame.intrinsics.cx, frame.intrinsics.width) == (8.0, 3.5, 8)
    (frame,) = open_source(tmp_path, fov_deg=90.0)
    assert frame.intrinsics_source == 'user' and frame.intrinsics.fx == pytest.approx(4.0)
    (tmp_path / 'camera.json').write_text('{}')
    with pytest.raises(ConfigError, match=r'give camera\.json \(fx, fy'):
        open_source(tmp_path)


def test_names_stay_apart() -> None:
    paths = [Path(name) for name in ('a.b.png', 'c.png', 'c.jpg')]
    assert frame_names(paths) == ['a.b', 'c_png', 'c_jpg']


def test_video(tmp_path: Path) -> None:
    path = tmp_path / 'drive.avi'
    _video(path, 5)
    source = open_source(path, skip=lambda name: name == '000001')
    frames = list(source)
    source.close()
    assert (source.kind, source.len_hint) == ('video', 5)
    assert [frame.name for frame in frames] == ['000000', '000002', '000003', '000004']
    stamps = [frame.stamp_ns for frame in frames]
    assert stamps[1] - stamps[0] == 100_000_000 and stamps[2] - stamps[1] == 50_000_000
    assert np.abs(frames[-1].image[0, 0].astype(int) - (40, 20, 200)).max() < 12
    assert not source.notes


def test_truncated_video_gives_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / 'drive.avi'
    _video(path, 40)
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 2])
    source = open_source(path)
    count = len(list(source))
    assert 0 < count < 40
    path.write_bytes(data[:100])
    with pytest.raises(ConfigError, match='cannot be opened as a video'):
        open_source(path)


class _Capture:
    """A video whose header promises five frames: three come, the second is damaged."""

    def __init__(self, _: object) -> None:
        self.index = -1

    def isOpened(self) -> bool:
        return True

    def get(self, key: int) -> float:
        return 5.0 if key == cv2.CAP_PROP_FRAME_COUNT else 40.0 * self.index

    def set(self, key: int, value: float) -> bool:
        return True

    def grab(self) -> bool:
        self.index += 1
        return self.index < 3

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        return (False, None) if self.index == 1 else (True, np.zeros((4, 6, 3), np.uint8))

    def release(self) -> None:
        self.index = 99


def test_damaged_frames_of_a_video_are_counted(tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opencv_sources.cv2, 'VideoCapture', _Capture)
    (tmp_path / 'a.mp4').write_text('')
    source = open_source(tmp_path / 'a.mp4')
    assert [frame.name for frame in source] == ['000000', '000002']
    assert dict(source.skipped) == {'a frame of the video cannot be decoded': 1}
    assert any('ends after 3 of 5 frames' in note for note in source.notes)


def test_camera_frames_are_named_after_their_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opencv_sources.cv2, 'VideoCapture', _Capture)
    with open_source('camera:0', fov_deg=60.0) as source:
        frames = list(source)
    assert source.kind == 'camera' and source.len_hint is None
    assert [frame.name for frame in frames] == [str(frame.stamp_ns) for frame in frames]
    assert len(frames) == 2 and 'camera 0: gives no more frames' in source.notes


@pytest.mark.parametrize(('source', 'words'), [
    ('none.png', r"none\.png: does not exist; give a picture, a folder .* 'camera:0'"),
    ('camera:front', 'camera:front: no such camera; give a number'),
    ('old.bag', 'ROS 1 bag; convert it with rosbags-convert'),
    ('notes.txt', r'notes\.txt: not known by its name'),
    ('empty', 'empty: holds no pictures .* and no bag'),
])
def test_what_is_no_source_is_named(source: str, words: str, tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    for name in ('old.bag', 'notes.txt'):
        (tmp_path / name).write_text('')
    with pytest.raises(ConfigError, match=words):
        open_source(source)


def test_a_camera_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match='camera 97: cannot be opened; check that it is plugged'):
        open_source('camera:97')


def test_topics_are_for_bags(tmp_path: Path) -> None:
    _save(tmp_path / 'a.png', 1)
    with pytest.raises(ConfigError, match='is no bag, so it has no topics'):
        open_source(tmp_path, image_topic='/image')


def test_reasons_are_few() -> None:
    class Source(FrameSource):
        """A source of nothing."""

        def __iter__(self) -> object:
            """Give nothing, count much."""
            for index in range(100):
                count_reason(self.skipped, f'reason no_{index}')
            return iter(())

    source = Source(CameraOptions())
    assert list(source) == []
    assert len(source.skipped) == 21 and source.skipped[OTHER_REASONS] == 80
