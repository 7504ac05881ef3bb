# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The file of a pack: read from anywhere in it, refused when it is not what was packed."""

from __future__ import annotations

import pickle
import zipfile

import numpy as np
import pytest
from miniature import make_sample
from pack_files import write_pack_file
from panoptic_depth_core.config import parse_settings
from panoptic_depth_core.datasets.storage import (
    Packed,
    PackedSet,
    PackIndex,
    Record,
    is_pack,
    read_index,
    read_weights,
)
from panoptic_depth_core.errors import ConfigError


@pytest.fixture
def pack(tmp_path):
    path = tmp_path / 'a.pack'
    write_pack_file(path, {'a:train': [make_sample(seed=n) for n in range(3)],
                           'a:val': [make_sample(seed=n) for n in (2, 5)]})
    return path


def test_samples_are_read_in_any_order_and_process(pack):
    data = pickle.loads(pickle.dumps(Packed(pack, 'a:train')))
    assert [data[n].frame.name for n in (2, 0, 1)] == ['2', '0', '1'] and len(data) == 3
    np.testing.assert_array_equal(data[1].truth.panoptic, make_sample(seed=1).truth.panoptic)
    with pytest.raises(IndexError):
        data[3]


def test_a_sample_of_two_data_sets_is_there_once(pack):
    index = read_index(pack)
    assert len(index.records) == 4
    assert index.datasets['a:train'].samples[2] == index.datasets['a:val'].samples[0]
    names = zipfile.ZipFile(pack).namelist()
    assert names == [*(f'samples/{n:06d}' for n in range(4)), 'index.json']


def test_what_is_asked_for_has_to_be_there(pack, tmp_path):
    with pytest.raises(ConfigError, match=r"no data set 'val' in this pack; there are: a:train, "):
        Packed(pack, 'val')
    with pytest.raises(ConfigError, match='cannot be read: No such file.*check the path'):
        Packed(tmp_path / 'b.pack', 'a:val')
    with pytest.raises(ConfigError, match='a pack without weights; pack a recipe that names'):
        read_weights(pack)


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / 'a'
    path.write_bytes(b'network: fast\n')
    with pytest.raises(ConfigError, match='is damaged or is not a pack'):
        Packed(path, 'a')
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('index.json', '{}')
    with pytest.raises(ConfigError, match='a ZIP file, but no pack'):
        Packed(path, 'a')
    assert not is_pack(path) and not is_pack(tmp_path) and not is_pack(tmp_path / 'none')


def test_an_index_is_no_larger_than_what_it_stands_for(pack):
    forged = pack.with_name('forged.pack')
    with zipfile.ZipFile(pack) as source, zipfile.ZipFile(forged, 'w') as archive:
        archive.comment = source.comment
        archive.writestr('index.json', b' ' * 2_000_000, zipfile.ZIP_DEFLATED)
    with pytest.raises(ConfigError, match='its index is larger than what it holds'):
        read_index(forged)


@pytest.mark.parametrize('share', [0.2, 0.9, 0.999])
def test_a_file_that_was_cut_short_is_refused(pack, share):
    data = pack.read_bytes()
    pack.write_bytes(data[:int(share * len(data))])
    with pytest.raises(ConfigError, match='copy it again'):
        Packed(pack, 'a:train')


def test_any_changed_byte_is_found(pack):
    data = pack.read_bytes()
    record = read_index(pack).records[1]
    found = []
    for place in (record.start, record.start + record.length - 1):
        pack.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1:])
        with pytest.raises(ConfigError, match=f'begins at byte {record.start} is not what was '
                                              'packed.*copy it again') as error:
            Packed(pack, 'a:train')[1]
        found.append(error)
        assert Packed(pack, 'a:train')[0].frame.name == '0', 'the others are sound'
    assert len(found) == 2


def test_a_changed_index_is_found(pack):
    with zipfile.ZipFile(pack) as archive:
        comment = archive.comment
    data = pack.read_bytes()
    other = comment[:-1] + (b'0' if comment[-1:] != b'0' else b'1')
    pack.write_bytes(data.replace(comment, other))
    with pytest.raises(ConfigError, match='its index is not what was packed'):
        Packed(pack, 'a:train')
    pack.write_bytes(data.replace(comment, comment.replace(b'pack 1', b'pack 7')))
    assert is_pack(pack)
    with pytest.raises(ConfigError, match='a pack of version 7, but this program reads version 1'):
        Packed(pack, 'a:train')


@pytest.mark.parametrize(('changes', 'message'), [
    ({'datasets': {'a': PackedSet(class_table='cityscapes', samples=(7,))}},
     r'data set a names sample \[7\]'),
    ({'datasets': {'a': PackedSet(class_table='cityscapes', samples=(-1,))}},
     r'data set a names sample \[-1\]'),
    ({'datasets': {'a': PackedSet(class_table='coco', samples=(0,))}}, "class table 'coco'"),
    ({'records': (Record(start=1 << 40, length=3, sha256=''),)}, 'a sample is not what was'),
])
def test_an_index_leads_nowhere_else(tmp_path, changes, message):
    path = tmp_path / 'a.pack'
    write_pack_file(path, {'a': [make_sample()]}, **changes)
    with pytest.raises(ConfigError, match=message):
        Packed(path, 'a')


def test_samples_have_numbers_and_no_paths():
    values = {'recipe': {}, 'records': [], 'datasets': {
        'a': {'class_table': 'cityscapes', 'samples': ['../../etc/passwd']}}}
    with pytest.raises(ConfigError, match=r'datasets\.a\.samples\.0 is .*valid integer'):
        parse_settings(PackIndex, values, 'test')
