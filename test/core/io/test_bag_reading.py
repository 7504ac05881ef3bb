# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Frames out of bags: topics, cameras, compression, and what is damaged."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bag_makers import (
    CAMERA,
    SECOND_NS,
    STORAGES,
    Entry,
    compressed,
    image,
    info,
    map_image,
    pixels,
    storage_file,
    text,
    write_bag,
)
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.sources.open_source import open_source
from rosbags.rosbag2 import CompressionMode

ZOOMED = replace(CAMERA, fx=80.0, fy=80.0)
pytestmark = pytest.mark.parametrize('storage', sorted(STORAGES))


def _drive(count: int = 5) -> list[Entry]:
    return [make(index) for index in range(count) for make in (info, image, text)]


def _check(frames: list, indices: list[int]) -> None:
    assert [frame.name for frame in frames] == [f'{index:06d}' for index in indices]
    for frame, index in zip(frames, indices, strict=True):
        np.testing.assert_array_equal(frame.image, pixels(index))
        assert frame.stamp_ns == (index + 1) * SECOND_NS and frame.frame_id == 'optical'


def test_frames_with_their_camera(storage: str, tmp_path: Path) -> None:
    with open_source(write_bag(tmp_path / 'bag', _drive(), storage)) as source:
        frames = list(source)
    assert (source.kind, source.len_hint) == ('bag', 5)
    _check(frames, [0, 1, 2, 3, 4])
    assert {frame.intrinsics for frame in frames} == {CAMERA}
    assert {frame.intrinsics_source for frame in frames} == {'camera_info'}
    assert not source.skipped and not source.notes


def test_done_frames_are_left_out(storage: str, tmp_path: Path) -> None:
    done = {'000000', '000003'}
    source = open_source(write_bag(tmp_path / 'bag', _drive(), storage), skip=done.__contains__)
    _check(list(source), [1, 2, 4])


@pytest.mark.parametrize('mode', list(CompressionMode))
def test_compressed_bags(mode: CompressionMode, storage: str, tmp_path: Path) -> None:
    if mode == CompressionMode.STORAGE and storage == 'sqlite3':
        pytest.skip('SQLite has no compression of its own')
    bag = write_bag(tmp_path / 'bag', _drive(), storage, mode)
    _check(list(open_source(bag)), [0, 1, 2, 3, 4])
    # Taken out of its folder, the file does not say any more that its messages are compressed.
    with open_source(shutil.copy(storage_file(bag), tmp_path)) as source:
        _check(list(source), [0, 1, 2, 3, 4])


def test_split_bags_without_metadata_and_with_a_missing_part(storage: str, tmp_path: Path) -> None:
    folder = tmp_path / 'split'
    folder.mkdir()
    suffix = ''
    for part in range(11):
        bag = write_bag(tmp_path / f'part_{part}', [info(part), image(part)], storage)
        suffix = storage_file(bag).suffix
        shutil.copy(storage_file(bag), folder)
    _check(list(open_source(folder)), list(range(11)))

    names = [f'part_{part}{suffix}' for part in range(12)]
    (folder / 'metadata.yaml').write_text(
        f'rosbag2_bagfile_information: {{relative_file_paths: [{", ".join(names)}]}}')
    source = open_source(folder)
    _check(list(source), list(range(11)))
    assert any('part_11' in note and 'missing' in note for note in source.notes)

    (folder / 'metadata.yaml').write_text('}{')
    source = open_source(folder)
    _check(list(source), list(range(11)))
    assert any('metadata.yaml: cannot be read' in note for note in source.notes)


def test_the_camera_info_of_the_same_stamp_is_taken(storage: str, tmp_path: Path) -> None:
    entries = [image(0), info(0, CAMERA, delay_ns=10), image(1), info(1, ZOOMED, delay_ns=10),
               image(2), image(3)]
    frames = list(open_source(write_bag(tmp_path / 'bag', entries, storage)))
    _check(frames, [0, 1, 2, 3])
    assert [frame.intrinsics for frame in frames] == [CAMERA, ZOOMED, ZOOMED, ZOOMED]


def test_images_before_the_first_camera_info_get_it_too(storage: str, tmp_path: Path) -> None:
    entries = [image(0), image(1), info(1, ZOOMED, delay_ns=10)]
    frames = list(open_source(write_bag(tmp_path / 'bag', entries, storage)))
    assert [frame.intrinsics for frame in frames] == [ZOOMED, ZOOMED]


@pytest.mark.parametrize(('changes', 'words'), [
    ({'k0': 0.0, 'p0': 0.0}, 'a focal length that is not positive'),
    ({'k2': math.nan, 'p2': math.nan}, 'K is not finite, P is not finite'),
    ({'k0': 1e308, 'p0': 1e308}, 'focal lengths that no camera of 40x24 px has'),
])
def test_useless_camera_infos_count_as_missing(changes: dict, words: str, storage: str,
                                               tmp_path: Path) -> None:
    entries = [info(0, **changes), image(0), info(1, **changes), image(1)]
    bag = write_bag(tmp_path / 'bad', entries, storage)
    source = open_source(bag)
    assert [frame.intrinsics_source for frame in source] == ['default', 'default']
    ((note, count),) = source.notes.items()
    assert words in note and 'counts as missing' in note and count == 2
    assert [f.intrinsics.fx for f in open_source(bag, fx=33.0)] == [33.0, 33.0]

    bag = write_bag(tmp_path / 'mixed', [*entries, info(2), image(2)], storage)
    assert {f.intrinsics_source for f in open_source(bag)} == {'camera_info'}


def test_camera_info_of_another_size_is_scaled(storage: str, tmp_path: Path) -> None:
    full = CAMERA.transformed(2, 2, 0, 0, 80, 48)
    source = open_source(write_bag(tmp_path / 'bag', [info(0, full), image(0)], storage))
    (frame,) = source
    assert frame.intrinsics == CAMERA
    assert any('80x48 px' in note and 'scaled' in note for note in source.notes)


def test_compressed_images_and_the_raw_ones_beside_them(storage: str, tmp_path: Path) -> None:
    entries = [info(0), compressed(0), info(1), compressed(1)]
    frames = list(open_source(write_bag(tmp_path / 'only', entries, storage)))
    _check(frames, [0, 1])
    assert frames[0].intrinsics == CAMERA
    both = write_bag(tmp_path / 'both', [*_drive(2), compressed(0), compressed(1)], storage)
    source = open_source(both)
    assert source.image_topic == '/camera/image_raw'
    _check(list(source), [0, 1])


def test_depth_and_ids_are_no_pictures(storage: str, tmp_path: Path) -> None:
    entries = [*_drive(2), map_image(0, '/depth', '32FC1', 'f4'),
               map_image(0, '/ids', '16UC1', 'u2'),
               compressed(0, '/depth/compressedDepth', '32FC1; compressedDepth png')]
    source = open_source(write_bag(tmp_path / 'bag', entries, storage))
    assert source.image_topic == '/camera/image_raw'


def test_several_cameras_have_to_be_chosen_from(storage: str, tmp_path: Path) -> None:
    entries = [*_drive(2), image(0, '/rear/image'), info(0, ZOOMED, '/rear/camera_info')]
    bag = write_bag(tmp_path / 'bag', entries, storage)
    with pytest.raises(ConfigError, match=r'has 2 image topics; choose one with --image-topic: '
                                          r'/camera/image_raw \(2 Image\), /rear/image \(1 Im'):
        open_source(bag)
    (frame,) = open_source(bag, image_topic='/rear/image')
    assert frame.intrinsics == ZOOMED
    (frame,) = open_source(bag, image_topic='/rear/image', camera_info_topic='/camera/camera_info')
    assert frame.intrinsics == CAMERA


@pytest.mark.parametrize(('options', 'words'), [
    ({'image_topic': '/none'}, r'image topic /none is not there; image topics are: /camera/image'),
    ({'image_topic': '/chatter'}, r'image topic /chatter has 2 std_msgs/msg/String'),
    ({'camera_info_topic': '/none'}, r'camera info topic /none is not there; .*/camera/camera_i'),
])
def test_topics_that_are_not_there_are_named(options: dict, words: str, storage: str,
                                             tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        open_source(write_bag(tmp_path / 'bag', _drive(2), storage), **options)


def test_a_bag_without_images_is_named(storage: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='has no image topic; topics are: /chatter'):
        open_source(write_bag(tmp_path / 'bag', [text(0)], storage))


def test_bad_messages_are_counted(storage: str, tmp_path: Path) -> None:
    entries = _drive(4)
    entries[1].message.encoding = 'rgb9'
    entries[4].message.data = entries[4].message.data[:100]
    entries[7].message = b'\x00\x01\x00\x00\x07'
    source = open_source(write_bag(tmp_path / 'bag', entries, storage))
    _check(list(source), [3])
    assert source.skipped.total() == 3
    for words in ('encoding is not known', 'truncated', 'a message is damaged'):
        assert any(words in reason for reason in source.skipped)


def test_unknown_types_do_not_matter(storage: str, tmp_path: Path) -> None:
    strange = Entry('/strange', 'no_such_msgs/msg/Thing', b'\x00\x01\x00\x00abcd', SECOND_NS)
    _check(list(open_source(write_bag(tmp_path / 'bag', [strange, *_drive(2)], storage))), [0, 1])


@pytest.mark.parametrize('share', [0.3, 0.6, 0.9])
def test_a_truncated_file_gives_what_is_there(share: float, storage: str, tmp_path: Path) -> None:
    path = storage_file(write_bag(tmp_path / 'bag', _drive(30), storage))
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * share)])
    source = open_source(tmp_path / 'bag')
    frames = list(source)
    assert 0.4 * share * 30 < len(frames) < 30
    _check(frames, list(range(len(frames))))
    assert {frame.intrinsics for frame in frames} == {CAMERA}
    assert any('damaged or not closed' in note for note in source.notes)


def test_a_damaged_middle_is_passed_over(storage: str, tmp_path: Path) -> None:
    path = storage_file(write_bag(tmp_path / 'bag', _drive(30), storage))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle:middle + 5000] = b'\xff' * 5000
    path.write_bytes(data)
    source = open_source(tmp_path / 'bag')
    frames = list(source)
    assert 5 < len(frames) <= 30
    right = [np.array_equal(frame.image, pixels(frame.stamp_ns // SECOND_NS - 1))
             for frame in frames]
    # Without a checksum in the file, two images at most can be wrong unseen.
    assert all(right[:5]) and right.count(False) <= 2


def test_a_part_without_anything_is_noted(storage: str, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', _drive(2), storage)
    path = storage_file(bag)
    (bag / 'metadata.yaml').unlink()
    path.with_name('zz' + path.suffix).write_bytes(b'')
    source = open_source(bag)
    _check(list(source), [0, 1])
    assert any('zz' in note for note in source.notes)
    path.unlink()
    with pytest.raises(ConfigError, match='no message can be read: zz'):
        open_source(bag)


def test_a_folder_that_lost_its_files_is_named(storage: str, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', _drive(2), storage)
    storage_file(bag).unlink()
    with pytest.raises(ConfigError, match='bag without a storage file'):
        open_source(bag)
