# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""SQLite recordings: what a killed recorder left beside them, old schemas, hostile tables."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.io.bags import sqlite_files
from panoptic_depth_core.io.bags.sqlite_files import SqliteFile
from panoptic_depth_core.io.bags.storage import BagReader
from panoptic_depth_core.io.sources.open_source import open_source

COUNT = 20
TEXT = 'std_msgs/msg/String'
ENDLESS = ('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) '
           "SELECT i AS id, 1 AS topic_id, i AS timestamp, x'00010000' AS data FROM n")


def connect(path: Path, journal: str = 'delete', version: int = 3) -> apsw.Connection:
    """Begin a recording as rosbag2 does, with the tables of a version of its schema."""
    connection = apsw.Connection(str(path))
    connection.execute(f'PRAGMA journal_mode={journal}')
    further = ['offered_qos_profiles'] * (version > 1) + ['type_description_hash'] * (version > 3)
    columns = ''.join(f', {name} TEXT NOT NULL' for name in further)
    values = ", 'no: yaml'" * len(further)
    connection.execute(
        'CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, '
        f'serialization_format TEXT NOT NULL{columns});'
        'CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, '
        'timestamp INTEGER NOT NULL, data BLOB NOT NULL);'
        'CREATE INDEX timestamp_idx ON messages (timestamp ASC);'
        f"INSERT INTO topics VALUES(1, '/chatter', '{TEXT}', 'cdr'{values})")
    if version > 2:
        connection.execute('CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, '
                           f"ros_distro TEXT NOT NULL); INSERT INTO schema VALUES({version}, 'x')")
    return connection


def add(connection: apsw.Connection, indices: range) -> None:
    """Record messages of 6 kB in one transaction."""
    with connection:
        for index in indices:
            connection.execute('INSERT INTO messages VALUES(?, 1, ?, ?)', (
                index + 1, index * 10, b'\0\1\0\0' + bytes([index % 256]) * 6000))


def killed(tmp_path: Path, journal: str = 'wal') -> Path:
    """
    Give the file of a recorder that was killed.

    Of COUNT messages, those from 10 on are in -wal; or those up to 10 can be rolled back to.
    """
    origin, target = tmp_path / 'origin', tmp_path / 'killed'
    origin.mkdir()
    target.mkdir()
    with closing(connect(origin / 'a.db3', journal)) as connection:
        add(connection, range(10))
        connection.execute('PRAGMA wal_checkpoint; PRAGMA wal_autocheckpoint=0')
        if journal == 'wal':
            add(connection, range(10, COUNT))
        else:
            connection.execute('PRAGMA cache_size=2; BEGIN; DELETE FROM messages WHERE id < 5; '
                               'UPDATE messages SET data = zeroblob(9000)')
        for file in origin.iterdir():
            shutil.copy(file, target)
        if journal != 'wal':
            connection.execute('ROLLBACK')
    return target / 'a.db3'


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Names, times and contents of the files of a folder."""
    return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.iterdir()}


def read(path: Path) -> list[int]:
    """Read a bag; messages must hold what was recorded at their time."""
    with closing(BagReader(path)) as bag:
        found = list(bag.messages(bag.topics))
    for message in found:
        assert message.data[4:] == bytes([message.stamp_ns // 10 % 256]) * 6000
    return [message.stamp_ns // 10 for message in found]


def as_sqlite_reads(path: Path) -> list[int]:
    """Read a copy of the folder of a file with SQLite itself."""
    copy = Path(shutil.copytree(path.parent, path.parent.with_name('copy')))
    with closing(apsw.Connection(str(copy / path.name))) as connection:
        return [stamp // 10 for stamp, in connection.execute(
            'SELECT timestamp FROM messages ORDER BY timestamp')]


@pytest.mark.parametrize('name', ['01_wal_sidecar/drive', '01_wal_sidecar/drive/rec_0.db3'])
def test_messages_in_wal_are_frames(name: str, case: Callable[[str], Path]) -> None:
    folder = case('01_wal_sidecar/drive')
    before = state(folder)
    with open_source(folder / 'rec_0.db3' if name.endswith('db3') else folder) as source:
        assert len(list(source)) == 12 and not source.skipped
    assert any('rec_0.db3-wal is read as far as it is whole' in note for note in source.notes)
    assert state(folder) == before


@pytest.mark.parametrize('change', ['none', 'no shm', 'cut', 'half', 'head only', 'other salt',
                                    'a bit', 'link', 'odd name', 'large'])
def test_wal_is_read_as_sqlite_reads_it(change: str, tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    path = killed(tmp_path)
    wal = path.with_name('a.db3-wal')
    content = bytearray(wal.read_bytes())
    if change == 'large':
        monkeypatch.setattr(sqlite_files, '_MOST_IN_MEMORY', 1000)
    if change == 'no shm':
        path.with_name('a.db3-shm').unlink()
    length = {'cut': len(content) - 100, 'half': len(content) // 2, 'head only': 20}
    content = content[:length.get(change)]
    if change in ('other salt', 'a bit'):
        content[16 if change == 'other salt' else len(content) // 2] ^= 1
    wal.write_bytes(content)
    expected = as_sqlite_reads(path)
    assert expected == list(range(len(expected))) and len(expected) >= 10
    if change == 'link':
        folder = tmp_path / 'links'
        folder.mkdir()
        for file in path.parent.iterdir():
            (folder / file.name).symlink_to(file)
        path = folder / 'a.db3'
    if change == 'odd name':
        path = Path(shutil.copytree(path.parent, tmp_path / 'a?b%20#c')) / 'a.db3'
    before = state(path.parent)
    assert read(path) == read(path.parent) == expected
    assert state(path.parent) == before


def test_a_journal_is_rolled_back_in_memory(tmp_path: Path) -> None:
    path = killed(tmp_path, 'delete')
    assert path.with_name('a.db3-journal').stat().st_size > 10_000
    before = state(path.parent)
    assert read(path) == as_sqlite_reads(path) == list(range(10))
    assert state(path.parent) == before


def test_a_journal_that_was_dealt_with(tmp_path: Path) -> None:
    with closing(connect(tmp_path / 'a.db3', 'persist')) as connection:
        add(connection, range(COUNT))
    assert (tmp_path / 'a.db3-journal').stat().st_size
    with closing(BagReader(tmp_path)) as bag:
        assert not bag.problems and bag.topics['/chatter'].count == COUNT


@pytest.mark.parametrize('journal', ['wal', 'delete'])
def test_a_folder_that_cannot_be_written_to(journal: str, tmp_path: Path) -> None:
    path = killed(tmp_path, journal)
    for file in path.parent.iterdir():
        file.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        assert read(path) == list(range(COUNT if journal == 'wal' else 10))
    finally:
        path.parent.chmod(0o755)


def test_everything_in_wal(tmp_path: Path) -> None:
    origin, target = tmp_path / 'origin', tmp_path / 'target'
    origin.mkdir()
    with closing(connect(origin / 'a.db3', 'wal')) as connection:
        connection.execute('PRAGMA wal_autocheckpoint=0')
        add(connection, range(COUNT))
        shutil.copytree(origin, target)
    assert (target / 'a.db3').stat().st_size == 4096
    assert read(target) == list(range(COUNT))
    # As after a power cut.
    (target / 'a.db3').write_bytes(b'')
    before = state(target)
    assert read(target / 'a.db3') == list(range(COUNT))
    assert state(target) == before


def test_a_recorder_at_work(tmp_path: Path) -> None:
    with closing(connect(tmp_path / 'a.db3', 'wal')) as connection:
        add(connection, range(COUNT))
        with closing(BagReader(tmp_path)) as bag:
            messages = bag.messages(['/chatter'])
            next(messages)
            add(connection, range(COUNT, 200))
            assert len(list(messages)) == COUNT - 1
            assert any('written to while it was read' in problem for problem in bag.problems)


@pytest.mark.parametrize('version', [1, 2, 3, 4])
def test_every_schema(version: int, tmp_path: Path) -> None:
    with closing(connect(tmp_path / 'a.db3', version=version)) as connection:
        add(connection, range(COUNT))
        connection.execute('UPDATE messages SET id = 1000 - id')
    with closing(BagReader(tmp_path)) as bag:
        assert bag.topics['/chatter'].type == TEXT and not bag.problems
    assert read(tmp_path) == list(range(COUNT))


@pytest.mark.parametrize(('change', 'words'), [
    (f'DROP TABLE messages; CREATE VIEW messages AS {ENDLESS}', "'messages' is a view, not a tab"),
    (f"DROP TABLE topics; CREATE VIEW topics AS SELECT id, '' AS name FROM ({ENDLESS})",
     "'topics' is a view, not a table"),
    ('DROP TABLE messages; CREATE VIRTUAL TABLE messages USING fts5(topic_id, timestamp, data)',
     "'messages' is a virtual"),
    ('DROP TABLE messages; CREATE TABLE messages(topic_id, timestamp, data GENERATED ALWAYS AS '
     '(zeroblob(1000000000))); INSERT INTO messages(topic_id, timestamp) VALUES(1, 1)',
     'has computed columns'),
    ('DROP TABLE messages', "has no table 'messages', so it is no recording"),
    ('ALTER TABLE messages RENAME data TO content', "'messages' has no column 'data'"),
    ("UPDATE topics SET serialization_format = 'json'", 'messages of /chatter are json, not ROS'),
])
def test_what_is_no_recording_is_named(change: str, words: str, tmp_path: Path) -> None:
    with closing(connect(tmp_path / 'a.db3')) as connection:
        add(connection, range(3))
        connection.execute(change)
    with pytest.raises(ConfigError, match=words):
        BagReader(tmp_path)


@pytest.mark.parametrize(('change', 'words'), [
    (f'DROP TABLE schema; CREATE VIEW schema AS SELECT id AS schema_version FROM ({ENDLESS})', ''),
    ('DROP INDEX timestamp_idx', ''),
    ("INSERT INTO messages VALUES(91, 1, 'when', x'00'), (92, 1, 5, 'text'), (93, 9, 5, x'00')",
     'messages without a time or without bytes are left out'),
    ("INSERT INTO topics VALUES(2, '/pose', 'Pose', 'json', '')", 'messages of /pose are json'),
    ("INSERT INTO topics VALUES(2, x'ff', x'fe', x'636472', x'fd')",
     'the name of a topic or of its type is damaged'),
])
def test_what_does_not_matter(change: str, words: str, tmp_path: Path) -> None:
    with closing(connect(tmp_path / 'a.db3')) as connection:
        add(connection, range(COUNT))
        connection.execute(change)
    assert read(tmp_path) == list(range(COUNT))
    with closing(BagReader(tmp_path)) as bag:
        assert words in '; '.join(bag.problems) and bool(words) == bool(bag.problems)


def test_a_message_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(connect(tmp_path / 'a.db3')) as connection:
        add(connection, range(COUNT))
    monkeypatch.setenv('PANOPTIC_DEPTH_MAX_BYTES', '5000')
    with closing(BagReader(tmp_path)) as bag:
        assert not list(bag.messages(['/chatter']))
        assert any('set PANOPTIC_DEPTH_MAX_BYTES to more' in problem for problem in bag.problems)


@pytest.mark.parametrize('damage', [b'\0', b'\xff'])
def test_what_follows_a_damaged_page_is_read(damage: bytes, tmp_path: Path) -> None:
    with closing(connect(tmp_path / 'a.db3')) as connection:
        add(connection, range(100))
    size = (tmp_path / 'a.db3').stat().st_size
    whole = (tmp_path / 'a.db3').read_bytes()
    for place in range(5 * 4096, size - 4096, 31 * 4096):
        (tmp_path / 'a.db3').write_bytes(
            whole[:place] + damage * 4096 + whole[place + 4096:])
        with closing(BagReader(tmp_path)) as bag:
            stamps = [message.stamp_ns // 10 for message in bag.messages(['/chatter'])]
        # A page has up to three.
        assert stamps == sorted(set(stamps)) and len(stamps) >= 97


def test_a_query_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(connect(tmp_path / 'a.db3')) as connection:
        add(connection, range(1))
        file = SqliteFile(tmp_path / 'a.db3', print)
        monkeypatch.setenv('PANOPTIC_DEPTH_MAX_SECONDS', '0.1')
        with pytest.raises(apsw.InterruptError):
            list(file._rows(connection, f'SELECT * FROM ({ENDLESS}) WHERE id < 0'))


def test_an_index_that_leads_nowhere(tmp_path: Path) -> None:
    with closing(connect(tmp_path / 'a.db3')) as connection:
        add(connection, range(COUNT))
        root, = connection.execute('SELECT rootpage FROM sqlite_master WHERE '
                                   "name = 'timestamp_idx'").fetchall()[0]
        size, = connection.execute('PRAGMA page_size').fetchall()[0]
    with (tmp_path / 'a.db3').open('r+b') as file:
        file.seek((root - 1) * size)
        file.write(os.urandom(size))
    assert read(tmp_path) == list(range(COUNT))
