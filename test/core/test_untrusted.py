# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
import gzip
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.pictures import header_of
from panoptic_depth_core.untrusted import (
    array_of,
    arrays_of,
    decompress,
    gunzip,
    input_limits,
    parse_json,
    parse_yaml,
    read_bytes,
    read_text,
    reading,
)


@pytest.mark.parametrize('text', ['{', '[' * 100_000, '\ud800'.encode('utf-8', 'surrogatepass')])
def test_json_that_cannot_be_read_names_the_file(text: str | bytes) -> None:
    with pytest.raises(ConfigError, match=r'^a\.json: is damaged or is not valid JSON .*; mend'):
        parse_json(text, 'a.json')


@pytest.mark.parametrize('text', ['a: [', '[' * 10_000, 'a: 2026-13-45', '!!python/tuple [1]'])
def test_yaml_that_cannot_be_read_names_the_file(text: str) -> None:
    with pytest.raises(ConfigError, match=r'^a\.yaml: is damaged or is not valid YAML .*; mend'):
        parse_yaml(text, 'a.yaml')


def test_errors_of_the_user_pass_and_disk_errors_say_the_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='^as it was$'), reading('a', 'b', 'c'):
        raise ConfigError('as it was')
    with pytest.raises(ConfigError, match='gone: cannot be read: No such file'), \
            reading(tmp_path / 'gone', 'b', 'c'):
        (tmp_path / 'gone').read_bytes()


def test_a_long_error_is_cut() -> None:
    with pytest.raises(ConfigError) as caught, reading('a', 'b', 'c'):
        raise ValueError('x' * 10_000)
    assert len(str(caught.value)) < 300


def test_decompression_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = zlib.compress(bytes(1000))
    assert decompress(zlib.decompressobj(), data, 'x') == bytes(1000)
    monkeypatch.setenv('PANOPTIC_DEPTH_MAX_BYTES', '999')
    with pytest.raises(ConfigError, match='x: more than 999 bytes; .*PANOPTIC_DEPTH_MAX_BYTES'):
        decompress(zlib.decompressobj(), data, 'x')


@pytest.mark.parametrize('value', ['0', 'much', '-1', '1e400'])
def test_a_wrong_limit_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv('PANOPTIC_DEPTH_MAX_PIXELS', value)
    with pytest.raises(ConfigError, match=f"PANOPTIC_DEPTH_MAX_PIXELS is '{value}'"):
        input_limits()


def test_aliases_of_yaml_stand_for_a_bounded_number_of_values() -> None:
    assert parse_yaml('a: &a [1, 2]\nb: [*a, *a]', 'a.yaml') == {'a': [1, 2], 'b': [[1, 2]] * 2}
    lines = [f'{name}: &{name} [{", ".join([f"*{before}"] * 9)}]'
             for before, name in zip('abcdefgh', 'bcdefghi', strict=True)]
    for text in ('\n'.join(['a: &a [1]', *lines]), 'a: &a [*a]'):
        with pytest.raises(ConfigError, match=r'^a\.yaml: .*its aliases stand for'):
            parse_yaml(text, 'a.yaml')


def npy(header: str, data: bytes = b'') -> bytes:
    head = header.encode().ljust(117) + b'\n'
    return b'\x93NUMPY\x01\x00' + len(head).to_bytes(2, 'little') + head + data


@pytest.mark.parametrize('header', [
    "{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000,)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (3",
    "{'descr': '|O', 'fortran_order': False, 'shape': (0,)}", '('])
def test_an_array_is_not_larger_than_its_bytes(header: str) -> None:
    good = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", b'\0' * 8)
    np.testing.assert_array_equal(array_of(good), np.zeros(2, np.float32))
    with pytest.raises(ConfigError, match='a.npy: is damaged'), reading('a.npy', 'one', 'mend it'):
        array_of(npy(header))


def test_members_are_bounded_before_they_are_read(tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'a.npz'
    np.savez_compressed(path, a=np.zeros(100_000), b=np.ones(2))
    assert {name: array.shape for name, array in arrays_of(path).items()} == {
        'a': (100_000,), 'b': (2,)}
    packed = gzip.compress(b'\0' * 900_000)
    assert len(gunzip(packed, 'a.gz: is decompressed')) == 900_000
    with pytest.raises(EOFError):
        gunzip(packed[:-9], '')
    monkeypatch.setenv('PANOPTIC_DEPTH_MAX_BYTES', '800000')
    with pytest.raises(ConfigError, match='its arrays have: more than 800000 bytes'):
        arrays_of(path)
    with pytest.raises(ConfigError, match=r'a\.gz: is decompressed: more than 800000 bytes'):
        gunzip(packed, 'a.gz: is decompressed')
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_LZMA) as archive:
        archive.writestr('a.npy', b'')
    with pytest.raises(ValueError, match='another compression'):
        arrays_of(path)


def test_yaml_merges_are_bounded() -> None:
    """Merges copy entries while the text is parsed: 400 bytes took hours."""
    levels = ['a0: &a0 {k: v}', *(f'a{n}: &a{n} {{<<: [{", ".join([f"*a{n - 1}"] * 9)}]}}'
                                  for n in range(1, 12))]
    with pytest.raises(ConfigError, match='its merges stand for more than'):
        parse_yaml('\n'.join(levels), 'camera.yaml')
    assert parse_yaml('a: &a {x: 1}\nb: {<<: *a, y: 2}', 'b')['b'] == {'x': 1, 'y': 2}


@pytest.mark.parametrize('kind', [4, 9])
def test_tiff_size_is_that_of_its_first_tags(kind: int) -> None:
    """Libtiff takes the first width; a later one let 3 kB take 6 GB."""
    tags = [(256, kind, 40_000), (257, kind, 40_000), (256, 4, 10), (257, 4, 10)]
    data = b'II*\0' + struct.pack('<IH', 8, len(tags)) + b''.join(
        struct.pack('<HHII', tag, type_, 1, value) for tag, type_, value in tags)
    with pytest.raises(ConfigError, match='of 40000x40000 px'):
        header_of(np.frombuffer(data, np.uint8), 'a.tif')


def test_only_files_of_the_limit_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe would be waited for, a device has no end."""
    (tmp_path / 'file').write_bytes(b'\xef\xbb\xbfab')
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'device').symlink_to('/dev/zero')
    assert read_text(tmp_path / 'file') == 'ab'
    for name in ('pipe', 'device'):
        with pytest.raises(ConfigError, match=f'{name}: is a pipe or a device; give a file'):
            read_bytes(tmp_path / name)
    monkeypatch.setenv('PANOPTIC_DEPTH_MAX_BYTES', '4')
    with pytest.raises(ConfigError, match='more than 4 bytes'):
        read_bytes(tmp_path / 'file')
