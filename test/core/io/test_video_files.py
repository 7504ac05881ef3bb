# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Video files: names, stamps and pixels of whole ones; what is left of damaged ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.sources import video_files
from panoptic_depth_core.io.sources.open_source import open_source
from panoptic_depth_core.io.sources.video_files import DAMAGED, UNDECODABLE, VideoSource
from panoptic_depth_core.structures import Frame
from video_makers import REASON, damage, number_of, write_video


@pytest.fixture(params=['PyAV', 'OpenCV'])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read with one library, then with the other."""
    if request.param == 'OpenCV':
        monkeypatch.setattr(video_files, 'find_pyav', lambda: None)
    else:
        pytest.importorskip('av', reason=REASON)
    return str(request.param)


def _read(path: Path, **options: object) -> tuple[list[Frame], VideoSource]:
    with open_source(path, fx=50.0, **options) as source:
        assert isinstance(source, VideoSource)
        return list(source), source


def _mjpeg(path: Path, count: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 20.0, (64, 48))
    assert writer.isOpened()
    for index in range(count):
        writer.write(np.full((48, 64, 3), (200, 20, 10 * index), np.uint8))
    writer.release()


def test_a_whole_video(tmp_path: Path, library: str) -> None:
    path = tmp_path / 'drive.avi'
    _mjpeg(path, 5)
    frames, source = _read(path, skip=lambda name: name == '000001')
    assert (source.kind, source.len_hint) == ('video', 5)
    assert [frame.name for frame in frames] == ['000000', '000002', '000003', '000004']
    assert [frame.stamp_ns for frame in frames] == [0, 100_000_000, 150_000_000, 200_000_000]
    assert np.abs(frames[-1].image[0, 0].astype(int) - (40, 20, 200)).max() < 12
    assert not source.notes and not source.skipped


def test_a_video_that_is_cut_off(tmp_path: Path, library: str) -> None:
    path = tmp_path / 'drive.avi'
    _mjpeg(path, 40)
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 2])
    frames, _ = _read(path)
    assert 0 < len(frames) < 40
    path.write_bytes(data[:100])
    with pytest.raises(ConfigError, match='cannot be opened as a video'):
        open_source(path)
    path.write_bytes(b'')
    with pytest.raises(ConfigError, match=r'drive\.avi: cannot be opened as a video: the file is '
                                          'empty'):
        open_source(path)


def test_an_mp4_without_its_index(tmp_path: Path, library: str) -> None:
    path = tmp_path / 'cut.mp4'
    write_video(path, 10)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ConfigError, match='an mp4 whose recording was cut off has no index'):
        open_source(path)


def test_a_damaged_stretch_is_passed_over(case: Callable[[str], Path], library: str,
                                          capfd: pytest.CaptureFixture[str]) -> None:
    frames, source = _read(case('09_video_damaged_middle/damaged.mp4'))
    lost = source.skipped[UNDECODABLE] + source.skipped[DAMAGED]
    assert len(frames) == (18 if library == 'PyAV' else 19) and len(frames) + lost == 20
    # The name of a frame is its place in the file: at 10 Hz, its tenth of a second.
    assert all(frame.stamp_ns == int(frame.name) * 100_000_000 for frame in frames)
    assert frames[-1].name == '000019'
    (note,) = source.notes
    assert 'damaged.mp4: is damaged; up to the next key frame' in note
    assert (library == 'OpenCV') == ("pip install 'panoptic-depth[video]'" in note)
    if library == 'PyAV':
        # OpenCV may have been used before in this process, with another setting of its log.
        assert capfd.readouterr().err == ''


@pytest.mark.parametrize('hit', [(0,), (13,), (5, 14, 25), (29,)],
                         ids=['begin', 'middle', 'several', 'end'])
@pytest.mark.parametrize(('name', 'codec'), [
    ('a.mp4', 'libx264'), ('a.mkv', 'libx264'), ('a.avi', 'mpeg4')])
def test_damaged_pictures(tmp_path: Path, name: str, codec: str, hit: tuple[int, ...],
                          library: str) -> None:
    path = tmp_path / name
    places = write_video(path, 30, codec, g='10', bf='0', sc_threshold=
                         '0' if codec == 'libx264' else '1000000000')
    for index in hit:
        place, length = places[index]
        damage(path, place + 20, length - 24)
    frames, source = _read(path)
    # Key frames are at 0, 10 and 20: what follows the next one is as before.
    good = {index for index in range(30) if not any(h <= index < h // 10 * 10 + 10 for h in hit)}
    found = {int(frame.name): number_of(frame.image) for frame in frames}
    assert good <= found.keys()
    assert all(found[index] == index for index in good)
    assert source.len_hint is None or len(frames) + source.skipped.total() <= 30


@pytest.mark.parametrize('name', ['a.mp4', 'a.mkv'])
def test_wrong_bytes_within_a_picture_are_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    place, length = write_video(path, 30, g='10', bf='0', sc_threshold='0')[20]
    damage(path, place + length // 2, length // 4)
    _, source = _read(path)
    assert source.skipped.total() == 1 and any('is damaged' in note for note in source.notes)


def test_lost_packets_of_a_transport_stream(tmp_path: Path) -> None:
    path = tmp_path / 'a.ts'
    places = write_video(path, 30, 'mpeg2video', g='10', bf='0')
    damage(path, places[12][0], places[15][0] - places[12][0])
    frames, source = _read(path)
    assert 25 <= len(frames) < 30 and len(frames) + source.skipped.total() == 30
    assert all(frame.stamp_ns == int(frame.name) * 100_000_000 for frame in frames)
    assert number_of(frames[-1].image) == int(frames[-1].name) == 29


def test_another_run_gives_the_same_names(case: Callable[[str], Path], library: str) -> None:
    path = case('09_video_damaged_middle/damaged.mp4')
    frames, _ = _read(path)
    done = {frame.name for frame in frames[:11]}
    rest, _ = _read(path, skip=done.__contains__)
    assert [frame.name for frame in rest] == [frame.name for frame in frames[11:]]
    np.testing.assert_array_equal(rest[0].image, frames[11].image)


@pytest.mark.parametrize(('name', 'codec', 'options'), [
    ('a.mp4', 'libx264', {'bf': '2'}), ('a.mkv', 'libx265', {'x265-params': 'log-level=none'}),
    ('a.webm', 'libvpx', {'auto-alt-ref': '1', 'lag-in-frames': '5'}), ('a.avi', 'libx264', {}),
    ('a.mpg', 'mpeg2video', {'bf': '2'}), ('a.ts', 'libx264', {}), ('a.mjpeg', 'mjpeg', {}),
    ('a.h264', 'libx264', {}), ('a.mov', 'mpeg4', {'bf': '2'})])
def test_every_container_is_read_whole(tmp_path: Path, name: str, codec: str,
                                       options: dict[str, str], library: str) -> None:
    path = tmp_path / name
    write_video(path, 12, codec, size=(98, 66), **options)
    frames, source = _read(path)
    assert [frame.name for frame in frames] == [f'{index:06d}' for index in range(12)]
    assert [number_of(frame.image) for frame in frames] == list(range(12))
    assert frames[0].image.shape == (66, 98, 3)
    assert not source.skipped and not source.notes
    stamps = [frame.stamp_ns for frame in frames]
    if library == 'PyAV':
        assert stamps[0] == 0 and set(np.diff(stamps)) == {
            40_000_000 if path.suffix == '.mjpeg' else 100_000_000}


def test_pictures_at_any_time(tmp_path: Path, library: str) -> None:
    path, times = tmp_path / 'a.mkv', [0, 1, 7, 8, 30]
    write_video(path, 5, times=times)
    frames, source = _read(path)
    assert [frame.stamp_ns // 100_000_000 for frame in frames] == times
    assert [frame.name for frame in frames] == [f'{index:06d}' for index in range(5)]
    assert not source.skipped


def test_a_telephone_held_upright(tmp_path: Path, library: str) -> None:
    path = tmp_path / 'a.mp4'
    try:
        write_video(path, 3, rotation=-90)
    except AttributeError:
        pytest.skip('this PyAV cannot write a display matrix')
    frames, _ = _read(path)
    assert frames[0].image.shape == (96, 64, 3)
    # The dark upper half is at the right after a turn to the right.
    assert frames[0].image[:, 40:].mean() < frames[0].image[:, :24].mean()


def test_sound_without_pictures(tmp_path: Path, library: str) -> None:
    av = pytest.importorskip('av', reason=REASON)
    path = tmp_path / 'a.mp4'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('aac', rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), 'fltp', 'mono')
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(ConfigError, match='cannot be opened as a video' + (
            ': it has no pictures, only sound' if library == 'PyAV' else '')):
        open_source(path)


def test_more_pixels_than_the_limit(tmp_path: Path, library: str,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'a.mp4'
    write_video(path, 2)
    monkeypatch.setenv('PANOPTIC_DEPTH_MAX_PIXELS', '1000')
    with pytest.raises(ConfigError, match='its pictures: more than 1000 pixels; .*MAX_PIXELS'):
        open_source(path)


class _Capture:
    """A video whose header promises five frames: three come, the second is damaged."""

    def __init__(self, _: object) -> None:
        self.index = -1

    def isOpened(self) -> bool:
        return True

    def get(self, key: int) -> float:
        return 5.0 if key == cv2.CAP_PROP_FRAME_COUNT else 40.0 * self.index

    def grab(self) -> bool:
        self.index += 1
        return self.index < 3

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        return (False, None) if self.index == 1 else (True, np.zeros((4, 6, 3), np.uint8))

    def release(self) -> None:
        self.index = 99


def test_a_wrong_count_in_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_files, 'find_pyav', lambda: None)
    monkeypatch.setattr(video_files.cv2, 'VideoCapture', _Capture)
    (tmp_path / 'a.mp4').write_text('')
    frames, source = _read(tmp_path / 'a.mp4')
    assert [frame.name for frame in frames] == ['000000', '000002']
    assert dict(source.skipped) == {UNDECODABLE: 1}
    assert any('ends after 3 of 5 frames' in note for note in source.notes)


def test_names_do_not_depend_on_the_library(tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'a.mp4'
    write_video(path, 12)
    first, _ = _read(shutil.copy(path, tmp_path / 'b.mp4'))
    monkeypatch.setattr(video_files, 'find_pyav', lambda: None)
    second, _ = _read(path)
    for one, other in zip(first, second, strict=True):
        assert (one.name, one.stamp_ns) == (other.name, other.stamp_ns)
        np.testing.assert_array_equal(one.image, other.image)
