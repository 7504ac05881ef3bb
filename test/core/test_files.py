# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that are there in full or not at all."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.files import (
    InputFiles,
    JsonLines,
    disk_errors,
    lock_file,
    lock_folder,
    make_folder,
    write_atomic,
)


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_writes_bytes_and_through_a_function(tmp_path: Path) -> None:
    write_atomic(tmp_path / 'a.bin', b'one', sync=True)
    write_atomic(tmp_path / 'a.bin', lambda path: path.write_bytes(b'two') and None)
    assert (tmp_path / 'a.bin').read_bytes() == b'two'
    assert [path.name for path in tmp_path.iterdir()] == ['a.bin']


def test_permissions_are_never_wider(tmp_path: Path) -> None:
    (tmp_path / f'.a.{os.getpid()}.tmp.bin').write_text('left behind')
    modes = []
    for mode in (0o600, 0o644):
        write_atomic(tmp_path / 'a.bin', lambda path: modes.append(path.stat().st_mode & 0o777),
                     mode=mode)
        assert (tmp_path / 'a.bin').stat().st_mode & 0o777 == mode
    assert modes == [0o600, 0o600]


HOLDER = """
import sys
from pathlib import Path
from panoptic_depth_core.files import lock_folder
with lock_folder(Path(sys.argv[1])):
    print('locked', flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize('how', ['ends', 'is killed'])
def test_a_folder_has_one_writer(how: str, tmp_path: Path) -> None:
    folder = tmp_path / 'out'
    with subprocess.Popen(
            [sys.executable, '-c', HOLDER, str(folder)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[2]) as holder:
        assert holder.stdout.readline() == b'locked\n'
        said = rf'out: process {holder.pid} \(-c .*\) writes into it; wait'
        with pytest.raises(ConfigError, match=said), lock_folder(folder):
            pass
        if how == 'is killed':
            holder.kill()
        holder.communicate()
    said = rf'process {os.getpid()} \(.*\) writes'
    with lock_folder(folder), pytest.raises(ConfigError, match=said), lock_folder(folder):
        pass
    assert not folder.exists() or not list(folder.iterdir())


def test_a_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    monkeypatch.setattr(fcntl, 'flock', refuse)
    with lock_folder(tmp_path), lock_folder(tmp_path):
        pass


def test_a_full_disk_leaves_the_old_file(tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'a.json'
    write_atomic(path, b'old')

    def half(self: Path, data: bytes) -> int:
        with self.open('wb') as file:
            file.write(data[:2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, 'write_bytes', half)
    with pytest.raises(ConfigError, match=r'a\.json: cannot be written: No space left.*free some'):
        write_atomic(path, b'newer')
    assert path.read_bytes() == b'old'
    assert [p.name for p in tmp_path.iterdir()] == ['a.json']


@pytest.mark.parametrize('name', ['x' * 251 + '.png', 'é' * 126 + '.js', 'a.' + 'b' * 253,
                                  'a\udcff\n.png', '-rf'])
def test_a_name_of_any_length(name: str, tmp_path: Path) -> None:
    suffixes = []

    def write(path: Path) -> None:
        suffixes.append(path.suffix)
        path.write_bytes(b'one')

    write_atomic(tmp_path / name, write)
    with lock_file(tmp_path / name):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert suffixes == [Path(name).suffix if name.endswith(('.png', '.js')) else '.tmp']


def test_what_numpy_says_of_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='No space left.*free some space'), \
            disk_errors(tmp_path):
        raise OSError('75000 requested and 8192 written')


def test_a_file_beyond_the_limit_of_its_size(tmp_path: Path) -> None:
    code = ('import numpy, pathlib, resource, signal, sys\n'
            'from panoptic_depth_core.files import write_atomic\n'
            'signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n'
            'resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n'
            'for data in (bytes(9999), lambda path: numpy.save(path, numpy.zeros(9999))):\n'
            '    try:\n'
            '        write_atomic(pathlib.Path(sys.argv[1]), data)\n'
            '    except ValueError as error:\n'
            '        print(error)\n')
    said = subprocess.run([sys.executable, '-c', code, str(tmp_path / 'a.npy')], text=True,
                          capture_output=True, cwd=Path(__file__).resolve().parents[2])
    first, second = said.stdout.splitlines()
    assert 'File too large; the disk or a limit' in first, said
    assert 'choose another folder' in second
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('how', ['removed', 'replaced'])
def test_a_folder_that_is_gone(how: str, tmp_path: Path) -> None:
    folder = tmp_path / 'out'
    with lock_folder(folder) as output:
        output.check()
        folder.rename(tmp_path / 'old')
        if how == 'replaced':
            folder.mkdir()
            (folder / '.lock').touch()
        with pytest.raises(ConfigError, match='out: was removed or replaced while'):
            output.check()
    # What may be of another program stays.
    assert [p.name for p in folder.iterdir()] == ['.lock'] if how == 'replaced' else True


def test_an_input_that_loses_files(tmp_path: Path) -> None:
    for name in 'ab':
        (tmp_path / name).write_bytes(bytes(9))
    found = InputFiles(tmp_path)
    (tmp_path / 'a').write_bytes(bytes(12))
    assert found.lost() == ''
    (tmp_path / 'b').write_bytes(bytes(8))
    assert found.lost() == f'{tmp_path / "b"}: became shorter while it was read'
    (tmp_path / 'b').unlink()
    assert found.lost() == f'{tmp_path / "b"}: was removed while it was read'


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    with lock_file(tmp_path / 'a.json'), lock_file(tmp_path / 'b.json'), \
            pytest.raises(ConfigError, match=r'a\.json: process \d+ .* writes into it'), \
            lock_file(tmp_path / 'a.json'):
        pass
    assert not list(tmp_path.iterdir())


def test_lines_of_a_file_that_is_gone(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / 'a.jsonl')
    lines.append({'name': 'a'})
    lines.path.unlink()
    with pytest.raises(ConfigError, match=r'a\.jsonl: cannot be written: it was removed'):
        lines.append({'name': 'b'})
    with pytest.raises(ConfigError, match='it was removed'):
        lines.close()


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match='file: cannot be written: .*in the place of a folder'):
        make_folder(tmp_path / 'file')
    with pytest.raises(ConfigError, match='in the place of a folder'):
        write_atomic(tmp_path / 'file' / 'a', b'')


def test_no_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    monkeypatch.setattr(Path, 'mkdir', refuse)
    with pytest.raises(ConfigError, match='out: cannot be written: Permission denied; change its'):
        make_folder(tmp_path / 'out')


RECORDS = [{'name': f'f{i}', 'value': 'ä' * i} for i in range(4)]


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 150))
def test_a_half_written_last_line_is_cut_off(cut: int, tmp_path_factory: pytest.TempPathFactory
                                             ) -> None:
    path = tmp_path_factory.mktemp('lines') / 'a.jsonl'
    lines = JsonLines(path)
    for record in RECORDS:
        lines.append(record)
    lines.close()
    data = path.read_bytes()
    cut = min(cut, len(data))
    path.write_bytes(data[:cut])
    whole = data[:cut].count(b'\n')

    lines = JsonLines(path)
    assert lines.names == {record['name'] for record in RECORDS[:whole]}
    lines.append({'name': 'more'})
    lines.close()
    expected = [*RECORDS[:whole], {'name': 'more'}]
    assert [json.loads(line) for line in path.read_text().splitlines()] == expected
    assert list(lines) == expected


def test_zeros_after_a_power_cut_are_cut_off(tmp_path: Path) -> None:
    path = tmp_path / 'a.jsonl'
    path.write_bytes(b'{"name":"a"}\n' + bytes(20) + b'\n')
    assert JsonLines(path).names == {'a'}
    assert path.read_bytes() == b'{"name":"a"}\n'


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / 'a.jsonl'
    path.write_text('{"name":"a"}\nnonsense\n{"name":"b"}\n')
    with pytest.raises(ConfigError, match=r"a\.jsonl: line 2 is no JSON object with a 'name'"):
        JsonLines(path)


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'a.jsonl'
    lines = JsonLines(path)
    lines.append({'name': 'a'})

    class Short:
        """A file on a disk with room for three bytes."""

        def __init__(self, file: object) -> None:
            self.file = file

        def write(self, data: bytes) -> int:
            return self.file.write(data[:3])

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

    real = lines._file
    monkeypatch.setattr(lines, '_file', Short(real))
    with pytest.raises(ConfigError, match='No space left'):
        lines.append({'name': 'b'})
    assert path.read_text() == '{"name":"a"}\n'
    monkeypatch.setattr(lines, '_file', real)
    lines.append({'name': 'c'})
    assert lines.names == {'a', 'c'}
    lines.close()
    lines.close()
    assert path.read_text() == '{"name":"a"}\n{"name":"c"}\n'


def test_not_a_number_never_gets_into_a_line(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / 'a.jsonl')
    with pytest.raises(ValueError, match='not JSON compliant'):
        lines.append({'name': 'a', 'distance': float('nan')})
    assert (tmp_path / 'a.jsonl').read_text() == ''
