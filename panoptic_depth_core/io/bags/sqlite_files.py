# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Storage files of rosbag2's SQLite format, of all its versions.

Nothing is ever written beside or into a file: what a recorder that was killed left in ``-wal`` or
``-journal`` is taken into account by SQLite itself, on a file whose changes stay in memory.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import apsw

from ...errors import ConfigError
from ...untrusted import input_limits, too_large
from .records import DAMAGED, DAMAGED_NAME, NO_TIME_NS, NOT_TEXT, Record, Report, left_out

MAGIC = b'SQLite format 3\0'
_COLUMNS = {'topics': {'id', 'name', 'type', 'serialization_format'},
            'messages': {'topic_id', 'timestamp', 'data'}}
_SIDECARS = ('-wal', '-journal')
_GOOD = "typeof(timestamp) = 'integer' AND typeof(data) = 'blob'"
_STEPS = 100_000
"""Of SQLite's machine, between two looks at the clock."""

_MOST_IN_MEMORY = 1 << 26
_BLOCK = 512
"""Bytes; the smallest page of SQLite, all pages are multiples of it."""


class _ReadOnly(apsw.VFS):
    """Files that SQLite may change for itself alone."""

    def __init__(self) -> None:
        self.name = 'panoptic_depth_read_only'
        super().__init__(self.name, '')

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        if name is None:
            # Temporary files of SQLite.
            return super().xOpen(name, flags)
        return _Unchanged(name, flags)

    def xFullPathname(self, name: str) -> str:
        # What a link leads to has other neighbors.
        return os.path.abspath(name)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Keep the journal that SQLite is through with."""


class _Unchanged(apsw.VFSFile):
    """
    A file that is only read; what SQLite writes stays in memory.

    Of a database, an unfinished last page is left out, which SQLite would fill with zeros. A
    small -wal is read at once: a running recorder begins it anew.
    """

    def __init__(self, name: str | apsw.URIFilename, flags: list[int]) -> None:
        asked = flags[0]
        kept = asked & ~(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        mine = [kept | apsw.SQLITE_OPEN_READONLY, 0]
        # It does not follow links.
        path = os.path.realpath(name if isinstance(name, str) else name.filename())
        super().__init__('', path, mine)
        flags[1] = asked
        self._written: dict[int, bytes] = {}
        self._content: bytes | None = None
        self._size = size = super().xFileSize()
        if asked & apsw.SQLITE_OPEN_MAIN_DB:
            # The size of a page is in the header; 1 stands for 65536
            # (https://www.sqlite.org/fileformat2.html, section 1.3.2).
            page = int.from_bytes(super().xRead(2, 16), 'big') if size >= 100 else 0
            page = 65536 if page == 1 else page
            self._size = size - size % page if page else 0
            if not size:
                # SQLite would not look into the -wal of an empty file.
                self._content, self._size = b'', _page_of_wal(f'{path}-wal')
        elif size <= _MOST_IN_MEMORY:
            self._content = super().xRead(size, 0) if size else b''

    def xRead(self, amount: int, offset: int) -> bytes:
        end = min(offset + amount, self._size)
        if end <= offset:
            return b''
        if self._content is None:
            data = super().xRead(end - offset, offset)
        else:
            data = self._content[offset:end].ljust(end - offset, b'\0')
        if not self._written:
            return data
        first = offset - offset % _BLOCK
        changed = bytearray(data.ljust(end - offset, b'\0'))
        for place in range(first, end, _BLOCK):
            block = self._written.get(place)
            if block is not None:
                begin, stop = max(place, offset), min(place + _BLOCK, end)
                changed[begin - offset:stop - offset] = block[begin - place:stop - place]
        return bytes(changed)

    def xWrite(self, data: bytes, offset: int) -> None:
        if len(self._written) * _BLOCK > input_limits().max_bytes:
            raise apsw.FullError('the journal is larger than the limit of bytes')
        end = offset + len(data)
        self._size = max(self._size, end)
        for place in range(offset - offset % _BLOCK, end, _BLOCK):
            block = bytearray(self.xRead(_BLOCK, place).ljust(_BLOCK, b'\0'))
            begin, stop = max(place, offset), min(place + _BLOCK, end)
            block[begin - place:stop - place] = data[begin - offset:stop - offset]
            self._written[place] = bytes(block)

    def xTruncate(self, newsize: int) -> None:
        self._size = newsize

    def xFileSize(self) -> int:
        return self._size

    def xFileControl(self, op: int, ptr: int) -> bool:
        return False

    def xSync(self, flags: int) -> None:
        """Nothing to do."""

    def xLock(self, level: int) -> None:
        """Nobody else has this file."""

    def xUnlock(self, level: int) -> None:
        """See xLock."""

    def xCheckReservedLock(self) -> bool:
        return False


def _page_of_wal(path: str) -> int:
    """Size of a page by the header of a -wal (the same page, section 4.1); 0 without one."""
    with suppress(OSError), Path(path).open('rb') as file:
        return int.from_bytes(file.read(12)[8:], 'big')
    return 0


_READ_ONLY = _ReadOnly()


def sidecar(path: Path) -> str:
    """What SQLite left beside a file: the suffix of it, empty where there is nothing."""
    for suffix in _SIDECARS:
        with suppress(FileNotFoundError), Path(f'{path}{suffix}').open('rb') as file:
            # A journal that was dealt with may stay, with zeros for its head.
            if file.read(1).strip(b'\0'):
                return suffix
    return ''


class SqliteFile:
    """
    Messages of one file.

    :raises ConfigError: it is no recording.
    """

    def __init__(self, path: Path, report: Report) -> None:
        self._name, self._report = path.name, report
        self._sidecar = sidecar(path)
        # SQLite looks beside the target of a link only.
        if not self._sidecar and path.is_symlink():
            path = path.resolve()
            self._sidecar = sidecar(path)
        self._path = Path(os.path.abspath(path))
        if self._sidecar:
            report(f'{self._name}: its recorder was not closed; what it left in '
                   f'{self._name}{self._sidecar} is read as far as it is whole')
        self._topics: dict[int, tuple[str, str]] = {}
        self._damaged = False
        try:
            found = self._look(self._counted)
        except apsw.Error as error:
            self._damaged = True
            report(f'{self._name}: {DAMAGED} ({_reason(error)})')
            try:
                found = self._look(self._counted_singly)
            except apsw.Error:
                found = {}
        self._total = sum(number for number, _, _ in found.values())
        self.start_ns = min((start for _, good, start in found.values() if good),
                            default=NO_TIME_NS)
        self.counts = Counter(dict.fromkeys(self._topics.values(), 0))
        for number, (_, good, _) in found.items():
            if number in self._topics:
                self.counts[self._topics[number]] += good
        if any(number != good for number, good, _ in found.values()):
            report(f'{self._name}: messages without a time or without bytes are left out')

    def _open(self) -> apsw.Connection:
        # A file that nobody writes to is read by SQLite's own means, which are faster.
        plain = not self._sidecar and not self._damaged
        flags = apsw.SQLITE_OPEN_READONLY if plain else apsw.SQLITE_OPEN_READWRITE
        connection = apsw.Connection(
            f'{self._path.as_uri()}{"?immutable=1" if plain or not self._sidecar else ""}',
            flags=flags | apsw.SQLITE_OPEN_URI, vfs=None if plain else _READ_ONLY.name)
        connection.limit(apsw.SQLITE_LIMIT_LENGTH, min(input_limits().max_bytes, 1_000_000_000))
        connection.execute('PRAGMA trusted_schema=OFF')
        if not plain:
            # So it keeps the index of a -wal in memory.
            connection.execute('PRAGMA locking_mode=EXCLUSIVE')
        if self._damaged:
            # With this, SQLite takes a file that is shorter than its header says.
            connection.execute('PRAGMA writable_schema=ON')
        return connection

    def _look(self, count: Callable[[apsw.Connection], dict[int, Any]]) -> dict[int, Any]:
        """Check the tables, take the topics, count the messages."""
        with closing(self._open()) as connection:
            self._check(connection)
            self._take_topics(connection)
            return count(connection)

    def _check(self, connection: apsw.Connection) -> None:
        """Raise ConfigError unless the tables are those of a recording, and tables."""
        kinds = {row[1]: row[2] for row in self._rows(connection, 'PRAGMA main.table_list')}
        for table, columns in _COLUMNS.items():
            if table not in kinds:
                raise ConfigError(f'{self._name}: is an SQLite file, but has no table {table!r}, '
                                  'so it is no recording')
            if kinds[table] != 'table':
                raise ConfigError(f'{self._name}: {table!r} is a {kinds[table]}, not a table, so '
                                  'no recorder wrote it')
            there = {row[1]: row[6] for row in
                     self._rows(connection, f'PRAGMA main.table_xinfo({table})')}
            if missing := columns - there.keys():
                raise ConfigError(f'{self._name}: its table {table!r} has no column '
                                  f'{min(missing)!r}, so it is no recording')
            if any(there.values()):
                raise ConfigError(f'{self._name}: its table {table!r} has computed columns, so '
                                  'no recorder wrote it')

    def _take_topics(self, connection: apsw.Connection) -> None:
        others: dict[str, list[str]] = {}
        # As text, a byte that is no UTF-8 would be an error.
        for number, *texts in self._rows(
                connection, 'SELECT id, CAST(name AS BLOB), CAST(type AS BLOB), '
                'CAST(serialization_format AS BLOB) FROM topics'):
            name, kind, encoding = (str(text or b'', 'utf-8', 'replace') for text in texts)
            if NOT_TEXT in name + kind:
                self._report(f'{self._name}: {DAMAGED_NAME}')
            if encoding.lower() in ('cdr', ''):
                self._topics[number] = name, kind
            else:
                others.setdefault(encoding, []).append(name)
        for encoding, names in others.items():
            self._report(left_out(names, encoding))

    def _counted(self, connection: apsw.Connection) -> dict[int, tuple[int, int, int]]:
        """Of each topic's number: messages, those that are good, their first time."""
        # The limit keeps the inner query apart: sorting by topic would take the data with it.
        return {row[0]: row[1:] for row in self._rows(
            connection, 'SELECT number, count(*), sum(good), min(CASE WHEN good THEN stamp END) '
            f'FROM (SELECT topic_id AS number, timestamp AS stamp, {_GOOD} AS good FROM messages '
            'LIMIT -1) GROUP BY number')}

    def _counted_singly(self, connection: apsw.Connection) -> dict[int, tuple[int, int, int]]:
        """The same as far as a damaged file goes."""
        found: dict[int, tuple[int, int, int]] = {}
        for number, stamp_ns, _ in self._ascending(connection, '1'):
            count, _, start_ns = found.get(number, (0, 0, NO_TIME_NS))
            found[number] = count + 1, count + 1, min(start_ns, stamp_ns)
        return found

    def _ascending(self, connection: apsw.Connection,
                   value: str) -> Iterator[tuple[int, int, Any]]:
        """
        Topic number, time, value of the messages in the order of the table.

        Behind a damaged page or message, it goes on at a later one: the next, the one after two
        more, after four more ...
        """
        last, step = -1 << 63, 0
        while True:
            try:
                for place, *row in self._rows(
                        connection, f'SELECT rowid, topic_id, timestamp, {value} FROM messages '
                        f'WHERE rowid > ? AND {_GOOD} ORDER BY rowid', (last,)):
                    # A page that is its own successor would never end.
                    if place <= last:
                        raise apsw.CorruptError('database disk image is malformed')
                    last, step = place, 0
                    yield row[0], row[1], row[2]
                return
            except (apsw.CorruptError, apsw.TooBigError):
                step = 2 * step or 1
                last = max(last, 0) + step
                if last >= 1 << 62:
                    return

    def _rows(self, connection: apsw.Connection, query: str,
              values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """
        Rows of a query; apsw.InterruptError where one takes longer than the limit of time.

        Only the time of this processor counts, not that of a slow disk.
        """
        limit = input_limits().max_seconds
        number = seen = 0
        begin = time.thread_time()

        def is_over() -> bool:
            nonlocal seen, begin
            now = time.thread_time()
            if number != seen:
                seen, begin = number, now
            return now - begin > limit

        connection.set_progress_handler(is_over, _STEPS)
        for row in connection.execute(query, values):
            yield row
            number += 1

    def messages(self, topics: Collection[str]) -> Iterator[Record]:
        """Give the messages of the topics in order of time, else in that of the table."""
        wanted = {number: topic for number, topic in self._topics.items() if topic[0] in topics}
        if not wanted:
            return
        last_ns, given = -1 << 63, Counter[int]()
        if not self._damaged:
            try:
                with closing(self._open()) as connection:
                    for number, stamp_ns, data in self._rows(
                            connection, 'SELECT topic_id, timestamp, data FROM messages WHERE '
                            f'topic_id IN ({",".join("?" * len(wanted))}) AND {_GOOD} '
                            f'ORDER BY timestamp LIMIT {self._total}', tuple(wanted)):
                        if stamp_ns != last_ns:
                            last_ns = stamp_ns
                            given.clear()
                        given[number] += 1
                        yield *wanted[number], stamp_ns, data
                return
            except apsw.Error as error:
                self._damaged = True
                self._report(f'{self._name}: {DAMAGED} ({_reason(error)})')
        try:
            with closing(self._open()) as connection:
                for number, stamp_ns, data in self._ascending(connection, 'data'):
                    if number not in wanted or stamp_ns < last_ns:
                        continue
                    if stamp_ns == last_ns and given[number] > 0:
                        given[number] -= 1
                        continue
                    yield *wanted[number], stamp_ns, data
        except apsw.Error as error:
            self._report(f'{self._name}: {DAMAGED} ({_reason(error)})')


def _reason(error: apsw.Error) -> str:
    if isinstance(error, apsw.InterruptError):
        return str(too_large('a query of it takes', 'max_seconds'))
    if isinstance(error, apsw.TooBigError):
        return str(too_large('a message has', 'max_bytes'))
    return str(error).removeprefix(f'{type(error).__name__}: ')
