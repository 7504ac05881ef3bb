# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Packets of a video in bags: every codec, losses, the order of pictures, done frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_makers import Entry, info, write_bag
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io import video_decoding
from panoptic_depth_core.io.messages.h264_units import FrameNumbers, units
from panoptic_depth_core.io.messages.maker import ROSBAGS_MESSAGES as make
from panoptic_depth_core.io.messages.types import (
    COMPRESSED_IMAGE,
    COMPRESSED_VIDEO,
    FFMPEG_PACKET,
    typestore,
)
from panoptic_depth_core.io.messages.video_packets import (
    AFTER_LOSS,
    NO_KEY_FRAME_YET,
    UNDECODABLE,
    codec_of,
    starts_anew,
)
from panoptic_depth_core.io.sources.bag_source import describe_images
from panoptic_depth_core.io.sources.open_source import open_source
from panoptic_depth_core.structures import Intrinsics
from video_makers import REASON, number_of, packets

TENTH_NS = 100_000_000
TOPICS = {FFMPEG_PACKET: '/camera/image_raw/ffmpeg',
          COMPRESSED_VIDEO: '/camera/image_raw/foxglove',
          COMPRESSED_IMAGE: '/camera/image_raw/compressed'}
LIVE = {'g': '8', 'bf': '0', 'sc_threshold': '0', 'tune': 'zerolatency'}
ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    'h264': ('libx264', LIVE),
    'h265': ('libx265', {'x265-params': 'log-level=none:keyint=8:bframes=0'}),
    'vp9': ('libvpx-vp9', {'g': '8', 'deadline': 'realtime', 'lag-in-frames': '0'}),
    'av1': ('libsvtav1', {'g': '8', 'preset': '12', 'svtav1-params': 'lp=1:pred-struct=1'}),
}
BACK_AND_FORTH = {'g': '8', 'bf': '2', 'sc_threshold': '0', 'b-adapt': '0'}


@cache
def _encoded(codec: str, count: int, options: tuple[tuple[str, str], ...] | None = None,
             ) -> tuple[tuple[int, bool, bytes], ...]:
    name, usual = ENCODERS[codec]
    return tuple(packets(name, count, **(usual if options is None else dict(options))))


def video(codec: str = 'h264', kind: str = FFMPEG_PACKET, count: int = 20,
          options: dict[str, str] | None = None, encoding: str | None = None) -> list[Entry]:
    """Return packets in the order of the stream, with the stamps of their pictures."""
    pytest.importorskip('av', reason=REASON)
    found, types = [], typestore().types
    encoded = _encoded(codec, count, None if options is None else tuple(options.items()))
    for place, (index, is_key, data) in enumerate(encoded):
        head = make.header((index + 1) * TENTH_NS, 'optical')
        values = np.frombuffer(data, np.uint8)
        message: Any
        if kind == FFMPEG_PACKET:
            message = types[kind](head, 96, 64, encoding or codec, index, int(is_key), False,
                                  values)
        elif kind == COMPRESSED_VIDEO:
            message = types[kind](head.stamp, 'optical', values, encoding or codec)
        else:
            message = types[kind](head, encoding or codec, values)
        found.append(Entry(TOPICS[kind], kind, message, (place + 1) * TENTH_NS))
    return found


def read(path: Path, entries: list[Entry], **options: object) -> tuple[dict[int, int], Any]:
    """Read a bag; tenth of a second of the stamp -> number of the picture."""
    with open_source(write_bag(path / 'bag', [
            info(0, Intrinsics(90.0, 90.0, 47.5, 31.5, 96, 64)), *entries]), **options) as source:
        frames = list(source)
    assert all(frame.intrinsics_source == 'camera_info' for frame in frames)
    assert all(frame.frame_id == 'optical' for frame in frames)
    return {frame.stamp_ns // TENTH_NS - 1: number_of(frame.image) for frame in frames}, source


def entries_head(entry: Entry) -> int:
    """Place of the first byte of the slice of a packet of h264."""
    data = bytes(entry.message.data)
    return next(at for at in units(data) if data[at] & 0x1f in (1, 5))


@pytest.mark.parametrize('kind', TOPICS)
@pytest.mark.parametrize('codec', ENCODERS)
def test_every_codec_in_every_message(tmp_path: Path, codec: str, kind: str) -> None:
    found, source = read(tmp_path, video(codec, kind, 12))
    assert found == {index: index for index in range(12)}
    assert not source.skipped and not source.notes
    assert source.info_topic.topic == '/camera/camera_info'


@pytest.mark.parametrize('name', ['14_unread_topics/ffmpeg_packet',
                                  '14_unread_topics/compressed_h264'])
def test_recordings_of_users(case: Callable[[str], Path], name: str) -> None:
    pytest.importorskip('av', reason=REASON)
    with open_source(case(name), fx=300.0) as source:
        frames = list(source)
    assert [frame.stamp_ns for frame in frames] == [
        1_000_000_000 + index * TENTH_NS for index in range(4)]
    assert {frame.image.shape for frame in frames} == {(192, 384, 3)}
    assert all(frame.image.std() > 20 for frame in frames) and not source.skipped


@pytest.mark.parametrize(('encoding', 'codec'), [
    ('h264', 'h264'), ('H.264', 'h264'), ('libx264', 'h264'), ('h264_nvenc;yuv420p;bgr8', 'h264'),
    ('avc1', 'h264'), ('hevc', 'hevc'), ('h265', 'hevc'), ('libx265;yuv444p', 'hevc'),
    ('hevc_vaapi', 'hevc'), ('av1', 'av1'), ('libsvtav1', 'av1'), ('libaom-av1', 'av1'),
    ('libvpx-vp9', 'vp9'), ('libvpx', 'vp8'), ('jpeg', None), ('rgb8; jpeg compressed bgr8', None),
    ('16UC1; compressedDepth png', None), ('bgr8;png', None), ('avif', None), ('', None)])
def test_names_of_encodings(encoding: str, codec: str | None) -> None:
    assert codec_of(encoding) == codec


def test_names_of_hardware_encoders_are_read(tmp_path: Path) -> None:
    found, _ = read(tmp_path, video(encoding='h264_nvenc;yuv420p;bgr8;bgr8', count=4))
    assert found == {index: index for index in range(4)}


@pytest.mark.parametrize('codec', ENCODERS)
@pytest.mark.parametrize('kind', [FFMPEG_PACKET, COMPRESSED_VIDEO])
def test_a_begin_between_key_frames(tmp_path: Path, codec: str, kind: str) -> None:
    found, source = read(tmp_path, video(codec, kind)[3:])
    assert found == {index: index for index in range(8, 20)}
    assert source.skipped == {f'{TOPICS[kind]}: {NO_KEY_FRAME_YET}': 5}


def test_a_gap_of_the_counter(tmp_path: Path) -> None:
    packets = video()
    found, source = read(tmp_path, [*packets[:10], *packets[12:]])
    assert found == {index: index for index in (*range(10), *range(16, 20))}
    assert source.skipped == {f'{TOPICS[FFMPEG_PACKET]}: {AFTER_LOSS}': 4}


@pytest.mark.parametrize('options', [
    LIVE, BACK_AND_FORTH, {**LIVE, 'x264-params': 'cabac=0:8x8dct=0'},
    {**LIVE, 'slices': '3', 'refs': '3'}],
                         ids=['live', 'back and forth', 'baseline', 'slices'])
@pytest.mark.parametrize('kind', [COMPRESSED_VIDEO, COMPRESSED_IMAGE])
def test_a_lost_picture_that_nothing_counts(tmp_path: Path, kind: str, options: dict[str, str],
                                            ) -> None:
    entries = video(kind=kind, options=options)
    # Others refer to it.
    lost = next(place for place in range(9, 20)
                if entries[place].message.data[entries_head(entries[place])] & 0x60)
    found, source = read(tmp_path, [*entries[:lost], *entries[lost + 1:]])
    assert all(number == index for index, number in found.items())
    assert found.keys() >= {*range(8), *range(16, 20)} and len(found) < 19
    assert f'{TOPICS[kind]}: {AFTER_LOSS}' in source.skipped


def test_long_counts_and_no_loss(tmp_path: Path) -> None:
    # More pictures than frame_num can count.
    found, source = read(tmp_path, video(kind=COMPRESSED_VIDEO, count=40,
                                         options={**LIVE, 'g': '100'}))
    assert len(found) == 40 and not source.skipped


@pytest.mark.parametrize('codec', ENCODERS)
def test_a_damaged_packet(tmp_path: Path, codec: str) -> None:
    entries = video(codec)
    entries[10] = replace(entries[10], message=replace(
        entries[10].message, data=np.zeros(30, np.uint8)))
    found, source = read(tmp_path, entries)
    assert found.items() >= {(index, index) for index in (*range(10), *range(16, 20))}
    # AV1 and VP9 may take what has no meaning as a picture that shows an earlier one.
    assert 10 not in found or codec in ('av1', 'vp9')
    assert len(found) + source.skipped.total() == 20


def test_a_packet_whose_message_is_damaged(tmp_path: Path) -> None:
    entries = video(kind=COMPRESSED_IMAGE)
    entries[10] = replace(entries[10], message=bytes(typestore().serialize_cdr(
        entries[10].message, COMPRESSED_IMAGE))[:40])
    found, source = read(tmp_path, entries)
    assert found == {index: index for index in (*range(10), *range(16, 20))}
    assert sum(source.skipped.values()) == 6 and any(AFTER_LOSS in r for r in source.skipped)


def test_an_empty_packet(tmp_path: Path) -> None:
    entries = video()
    entries[2] = replace(entries[2], message=replace(entries[2].message,
                                                     data=np.zeros(0, np.uint8)))
    found, source = read(tmp_path, entries)
    assert found == {index: index for index in (0, 1, *range(8, 20))}
    assert source.skipped == {f'{TOPICS[FFMPEG_PACKET]}: {UNDECODABLE}': 1,
                              f'{TOPICS[FFMPEG_PACKET]}: {AFTER_LOSS}': 5}


@pytest.mark.parametrize('kind', TOPICS)
def test_pictures_that_are_stored_in_another_order(tmp_path: Path, kind: str) -> None:
    entries = video(kind=kind, options=BACK_AND_FORTH)
    assert [index for index, _, _ in _encoded('h264', 20, tuple(BACK_AND_FORTH.items()))
            ] != list(range(20))
    found, source = read(tmp_path, entries)
    assert found == {index: index for index in range(20)}
    assert list(found) == sorted(found) and not source.skipped


def test_done_frames_are_decoded_all_the_same(tmp_path: Path) -> None:
    done = {f'{index:06d}' for index in range(11)}
    found, source = read(tmp_path, video(), skip=done.__contains__)
    assert found == {index: index for index in range(11, 20)} and not source.skipped


def test_a_restarted_encoder(tmp_path: Path) -> None:
    entries = video(count=6)
    again = [replace(entry, time_ns=entry.time_ns + 6 * TENTH_NS, message=replace(
        entry.message, header=make.header(entry.time_ns + 6 * TENTH_NS, 'optical')))
        for entry in entries]
    found, source = read(tmp_path, [*entries, *again])
    assert found == {index: index % 6 for index in range(12)} and not source.skipped


def test_a_clock_in_place_of_a_counter(tmp_path: Path) -> None:
    entries = [replace(entry, message=replace(entry.message, pts=33 * entry.message.pts
                                              + entry.message.pts % 3)) for entry in video()]
    found, source = read(tmp_path, entries)
    assert len(found) == 20 and not source.skipped


def test_pictures_win_over_video(tmp_path: Path) -> None:
    jpeg = [replace(entry, topic=TOPICS[COMPRESSED_IMAGE]) for entry in video(
        kind=COMPRESSED_IMAGE, count=2)]
    bag = write_bag(tmp_path / 'both', [*video(count=2), *jpeg])
    assert describe_images(bag).image_topic == TOPICS[COMPRESSED_IMAGE]
    assert describe_images(bag, TOPICS[FFMPEG_PACKET]).frame_id == 'optical'


def test_without_pyav_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = video(count=2)
    monkeypatch.setattr(video_decoding, 'find_pyav', lambda: None)
    with pytest.raises(ConfigError, match=r"/ffmpeg: decoding video needs PyAV, .*"
                                          r"pip install 'panoptic-depth\[video\]'"):
        read(tmp_path, entries)


@pytest.mark.parametrize('encoding', ['hologram', ''])
def test_a_codec_that_is_not_known(tmp_path: Path, encoding: str) -> None:
    entries = [replace(entry, message=replace(entry.message, encoding=encoding))
               for entry in video(count=3)]
    found, source = read(tmp_path, entries)
    (reason,) = source.skipped
    assert not found and source.skipped[reason] == 3
    assert reason.startswith(
        f"{TOPICS[FFMPEG_PACKET]}: there is no decoder for '{encoding}'; record h264, hevc")


def test_a_packet_of_wrong_bytes_is_found(tmp_path: Path) -> None:
    # Without a counter, only the decoder can tell.
    entries = video(kind=COMPRESSED_VIDEO)
    message = entries[11].message
    data = message.data.copy()
    data[len(data) // 3:] = np.random.default_rng(0).integers(0, 256, data[len(data) // 3:].size)
    entries[11] = replace(entries[11], message=replace(message, data=data))
    found, source = read(tmp_path, entries)
    assert found == {index: index for index in range(20) if not 11 <= index < 16}
    assert source.skipped.total() == 5


def test_frame_numbers_of_anything() -> None:
    generator, numbers = np.random.default_rng(0), FrameNumbers()
    for length in (0, 1, 3, 8, 30, 200):
        for start in (b'', b'\0\0\1\x67', b'\0\0\1\x41', b'\0\0\1\x67' + b'\0' * 40):
            numbers.misses_one(start + generator.bytes(length))


def test_nothing_is_a_key_frame_by_chance() -> None:
    generator = np.random.default_rng(0)
    for codec in ('h264', 'hevc', 'av1', 'vp9', 'vp8'):
        for length in (0, 1, 2, 3, 5, 60):
            starts_anew(codec, generator.bytes(length))
        assert not starts_anew(codec, b'')
    assert starts_anew('h264', b'\0\0\0\1\x09\x10\0\0\0\1\x67\x42')
    assert not starts_anew('h264', b'\0\0\1\x06\5\0\0\1\x41\x9a')
    assert starts_anew('hevc', b'\0\0\1\x26\x01\xaf')
    assert not starts_anew('hevc', b'\0\0\1\2\1\xd0')
