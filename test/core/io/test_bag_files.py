# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Which files belong to a bag: metadata of all versions, split bags, compression, stand-ins."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import lz4.frame
import pytest
import yaml
from bag_makers import SECOND_NS, STORAGES, storage_file, text, write_bag
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.recordings.jobs import find_bags
from panoptic_depth_core.io.bags.bag_files import is_bag
from panoptic_depth_core.io.bags.compression import zstd
from panoptic_depth_core.io.bags.storage import BagReader
from panoptic_depth_core.io.sources.open_source import open_source
from panoptic_depth_core.reasons import OTHER_REASONS
from rosbags.rosbag2 import CompressionFormat, CompressionMode

POINTER = (b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n')
PARTS = 3
QOS_TEXT = '- history: 3\n  depth: 0\n  reliability: 1\n'
QOS_LIST = [{'history': 'keep_last', 'depth': 5}]


@pytest.fixture(params=sorted(STORAGES), scope='module')
def origin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a bag of PARTS files, each with the messages of ten seconds, without metadata.yaml."""
    folder = tmp_path_factory.mktemp('origin')
    for part in range(PARTS):
        file = storage_file(write_bag(tmp_path_factory.mktemp('parts') / str(part), [
            text(10 * part + index) for index in range(10)], request.param))
        shutil.move(file, folder / f'split_{part}{file.suffix}')
    return folder


@pytest.fixture
def split(origin: Path, tmp_path: Path) -> Path:
    """Copy that bag."""
    return Path(shutil.copytree(origin, tmp_path / 'split'))


def metadata(folder: Path, names: list[str], version: int = 9, **changes: Any) -> None:
    """Write metadata.yaml as rosbag2 does in a version."""
    topic: dict[str, Any] = {'name': '/chatter', 'type': 'std_msgs/msg/String',
                             'serialization_format': 'cdr'}
    if version >= 4:
        topic['offered_qos_profiles'] = QOS_TEXT if version < 9 else QOS_LIST
    if version >= 7:
        topic['type_description_hash'] = 'RIHS01_0'
    content: dict[str, Any] = {
        'version': version, 'storage_identifier': 'sqlite3', 'relative_file_paths': names,
        'duration': {'nanoseconds': 1}, 'starting_time': {'nanoseconds_since_epoch': 1},
        'message_count': 30,
        'topics_with_message_count': [{'topic_metadata': topic, 'message_count': 30}]}
    if version >= 3:
        content |= {'compression_format': '', 'compression_mode': ''}
    if version >= 5:
        content['files'] = [{'path': name, 'message_count': 10} for name in names]
    if version >= 6:
        content['custom_data'] = None
    if version >= 8:
        content['ros_distro'] = 'lyrical'
    text = yaml.safe_dump({'rosbag2_bagfile_information': content | changes})
    (folder / 'metadata.yaml').write_text(text)


def names_of(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.name != 'metadata.yaml')


def read(path: Path) -> tuple[list[int], list[str]]:
    """Seconds of the messages, and what is wrong."""
    with closing(BagReader(path)) as bag:
        found = list(bag.messages(['/chatter']))
        return [message.stamp_ns // SECOND_NS - 1 for message in found], list(bag.problems)


ALL = list(range(10 * PARTS))


@pytest.mark.parametrize('version', range(1, 10))
@pytest.mark.parametrize('form', ['{}', 'split/{}', '/home/robot/bags/split/{}', 'C:\\bags\\{}'])
def test_metadata_of_every_version(version: int, form: str, split: Path) -> None:
    metadata(split, [form.format(name) for name in names_of(split)], version)
    assert read(split) == (ALL, [])


@pytest.mark.parametrize('changes', [
    {'storage_identifier': ''}, {'storage_identifier': None}, {'version': 99},
    {'topics_with_message_count': []}, {'duration': None}, {'files': 'none'},
    {'compression_mode': 'NONE'}, {'relative_file_paths': []}])
def test_metadata_that_is_odd_does_not_matter(changes: dict[str, Any], split: Path) -> None:
    metadata(split, names_of(split), **changes)
    assert read(split) == (ALL, [])


@pytest.mark.parametrize(('changes', 'words'), [
    ({'storage_identifier': 'rocksdb'}, "the storage is 'rocksdb'; sqlite3 and mcap are read"),
    ({'compression_mode': 'message', 'compression_format': 'brotli'},
     "the compression is 'brotli'; zstd and lz4 are read")])
def test_what_metadata_names_and_is_not_read(changes: dict[str, Any], words: str,
                                             split: Path) -> None:
    metadata(split, names_of(split), **changes)
    stamps, problems = read(split)
    assert stamps == ALL and len(problems) == 1 and words in problems[0]


@pytest.mark.parametrize('content', [
    b'', b'}{', b'rosbag2_bagfile_information: 5', b'a: b', b'[' * 1000, b'\xff\xfe\x00', POINTER,
    b'rosbag2_bagfile_information: {relative_file_paths: 7}'])
def test_damaged_metadata(content: bytes, split: Path) -> None:
    (split / 'metadata.yaml').write_bytes(content)
    stamps, problems = read(split)
    assert stamps == ALL
    assert len(problems) == 1 and 'metadata.yaml: cannot be read; all storage f' in problems[0]


@pytest.mark.parametrize('with_metadata', [False, True])
def test_parts_in_any_order(with_metadata: bool, split: Path) -> None:
    names = names_of(split)
    for name in names:
        (split / name).rename(split / f'x{name}')
    names = [names[1], names[2], names[0]]
    for number, name in enumerate(names):
        (split / f'x{name}').rename(split / f'part_{number}{Path(name).suffix}')
    if with_metadata:
        metadata(split, names_of(split)[::-1])
    assert read(split) == (ALL, [])


def test_recordings_of_one_time_are_merged(split: Path, tmp_path: Path) -> None:
    suffix = Path(names_of(split)[0]).suffix
    other = write_bag(tmp_path / 'other', [text(index, '/other') for index in ALL],
                      'mcap' if suffix == '.mcap' else 'sqlite3')
    shutil.copy(storage_file(other), split)
    with closing(BagReader(split)) as bag:
        found = [message.stamp_ns for message in bag.messages(['/chatter', '/other'])]
    assert len(found) == 60 and found == sorted(found)


def test_parts_that_are_missing_or_damaged(split: Path) -> None:
    names = names_of(split)
    metadata(split, names)
    (split / names[1]).unlink()
    stamps, problems = read(split)
    assert stamps == ALL[:10] + ALL[20:]
    assert problems == [f'{names[1]}: part of the bag, but missing; its messages are left out']
    (split / names[1]).write_bytes(b'')
    stamps, problems = read(split)
    assert stamps == ALL[:10] + ALL[20:] and problems == [f'{names[1]}: is empty']


def test_a_recorder_that_did_not_come_to_name_the_last_part(split: Path) -> None:
    names = names_of(split)
    metadata(split, names[:2])
    shutil.copy(split / names[0], split / f'results{Path(names[0]).suffix}')
    stamps, problems = read(split)
    assert stamps == ALL and len(problems) == 2
    assert f'{names[2]}: not named in metadata.yaml, but named like a part' in problems[0]
    assert problems[1].startswith('results') and problems[1].endswith('left out')


def test_files_in_nested_and_in_other_folders(split: Path, tmp_path: Path) -> None:
    names = names_of(split)
    (split / 'deep').mkdir()
    (split / names[0]).rename(split / 'deep' / names[0])
    elsewhere = (split / names[1]).rename(tmp_path / names[1])
    metadata(split, [f'deep/{names[0]}', str(elsewhere), names[2]])
    assert read(split) == (ALL, [])


PACK: dict[str, Callable[[bytes], bytes]] = {
    'zstd': zstd.compress, 'zst': zstd.compress, 'lz4': lz4.frame.compress, 'gz': gzip.compress,
    'xz': lzma.compress, 'bz2': bz2.compress}


@pytest.mark.parametrize('suffix', PACK)
@pytest.mark.parametrize('named', ['plain', 'compressed', 'alone'])
def test_compressed_files(suffix: str, named: str, split: Path) -> None:
    plain = names_of(split)
    for name in plain:
        file = split / name
        (split / f'{name}.{suffix}').write_bytes(PACK[suffix](file.read_bytes()))
        if name != plain[0]:
            # Both are there where a recorder was killed while it compressed.
            file.unlink()
    if named != 'alone':
        metadata(split, plain if named == 'plain' else [f'{name}.{suffix}' for name in plain],
                 compression_mode='FILE', compression_format='zstd')
    assert read(split) == (ALL, [])
    assert read(split / f'{plain[1]}.{suffix}') == (ALL[10:20], [])


@pytest.mark.parametrize('suffix', PACK)
def test_compressed_files_that_are_cut_off(suffix: str, tmp_path: Path) -> None:
    file = storage_file(write_bag(tmp_path / 'bag', [text(index) for index in range(3000)]))
    target = tmp_path / f'cut.mcap.{suffix}'
    packed = PACK[suffix](file.read_bytes())
    target.write_bytes(packed[:-len(packed) // 10])
    try:
        stamps, problems = read(target)
    except ConfigError as error:
        # bz2 and xz give nothing of a block that is cut off.
        stamps, problems = [], [str(error)]
    assert stamps == list(range(len(stamps)))
    assert any('is cut off or damaged; what could be decompressed is read' in p for p in problems)


@pytest.mark.parametrize('pack', [zstd.compress, lz4.frame.compress])
def test_compressed_messages(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    entries = [text(index) for index in range(3)]
    plain = write_bag(tmp_path / 'plain', entries, 'sqlite3')
    for entry in entries:
        entry.message = pack(b'\0\1\0\0' + bytes(2000))
    bag = write_bag(tmp_path / 'bag', entries)
    assert read(bag) == read(plain)
    with closing(BagReader(bag)) as reader:
        assert {len(message.data) for message in reader.messages(['/chatter'])} == {2004}


@pytest.mark.parametrize('pack', [zstd.compress, lz4.frame.compress])
def test_limits_of_what_is_decompressed(pack: Callable[[bytes], bytes], tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PANOPTIC_DEPTH_MAX_BYTES', '100000')
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'tmp'))
    (tmp_path / 'tmp').mkdir()
    entries = [text(index) for index in range(3)]
    entries[1].message = pack(bytes(1 << 24))
    stamps, problems = read(write_bag(tmp_path / 'bag', entries))
    assert stamps == [0, 2] and 'set PANOPTIC_DEPTH_MAX_BYTES to more' in problems[0]

    file = tmp_path / 'large.mcap.zstd'
    file.write_bytes(zstd.compress(bytes(1 << 26)))
    with pytest.raises(ConfigError, match='over 100 times its size: more than 100000 bytes'):
        BagReader(file)
    assert not list((tmp_path / 'tmp').iterdir())


def test_a_full_disk_leaves_nothing_behind(split: Path, tmp_path: Path,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    name = names_of(split)[0]
    packed = tmp_path / f'{name}.zst'
    packed.write_bytes(zstd.compress((split / name).read_bytes()))
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'tmp'))
    (tmp_path / 'tmp').mkdir()
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(9, 8, 1))
    with pytest.raises(ConfigError, match='No space left.*set TMPDIR to a folder with more space'):
        BagReader(packed)
    assert not list((tmp_path / 'tmp').iterdir())


def test_git_lfs_pointers(split: Path) -> None:
    names = names_of(split)
    (split / names[1]).write_bytes(POINTER)
    stamps, problems = read(split)
    assert stamps == ALL[:10] + ALL[20:]
    assert problems == [f"{names[1]}: is only a Git LFS pointer to the file; get the file with "
                        "'git lfs pull'"]
    with pytest.raises(ConfigError, match="no message can be read: .*'git lfs pull'"):
        BagReader(split / names[1])


@pytest.mark.parametrize('name', ['a.png', 'a.mp4', 'a.db3', 'a.mcap'])
def test_a_source_that_is_a_git_lfs_pointer(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(POINTER)
    with pytest.raises(ConfigError, match="only a Git LFS pointer .* 'git lfs pull'"):
        open_source(tmp_path / name)


def test_a_metadata_yaml_beside_pictures_is_no_bag(tmp_path: Path) -> None:
    (tmp_path / 'metadata.yaml').write_text('license: CC0')
    assert not is_bag(tmp_path)
    metadata(tmp_path, ['lost.mcap'])
    assert is_bag(tmp_path)


def test_the_content_tells_the_storage(split: Path, tmp_path: Path) -> None:
    name = names_of(split)[0]
    wrong = tmp_path / f'x{".db3" if name.endswith("mcap") else ".mcap"}'
    shutil.copy(split / name, wrong)
    assert read(wrong) == (ALL[:10], [])


def test_ros1_bags_are_named(tmp_path: Path) -> None:
    folder = tmp_path / 'old'
    folder.mkdir()
    (folder / 'drive.bag').write_bytes(b'#ROSBAG V2.0\n' + bytes(100))
    shutil.copy(folder / 'drive.bag', tmp_path / 'renamed.mcap')
    for path in (folder, folder / 'drive.bag', tmp_path / 'renamed.mcap'):
        with pytest.raises(ConfigError, match='ROS 1 bag.* convert it with rosbags-convert'):
            open_source(path)
    for path in (folder, folder / 'drive.bag'):
        with pytest.raises(ConfigError, match='ROS 1 bag.* convert it with rosbags-convert'):
            find_bags([path])


def test_many_damaged_parts_take_few_lines(tmp_path: Path) -> None:
    for part in range(100):
        (tmp_path / f'part_{part}.mcap').write_bytes(POINTER)
    with pytest.raises(ConfigError, match=OTHER_REASONS) as error:
        BagReader(tmp_path)
    assert str(error.value).count('git lfs pull') == 20


def test_messages_of_a_compressed_recording(tmp_path: Path) -> None:
    for mode in (CompressionMode.FILE, CompressionMode.MESSAGE):
        bag = write_bag(tmp_path / mode.name, [text(index) for index in range(3)], 'sqlite3', mode)
        assert CompressionFormat.ZSTD.name.lower() in (bag / 'metadata.yaml').read_text().lower()
        assert read(bag) == ([0, 1, 2], [])
