# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Messages out of storage files that are truncated or damaged, in the order they lie in the file.

MCAP is read after its specification (https://mcap.dev/spec), without its index; of SQLite, rows
are read until the first page that is missing.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import apsw
import lz4.frame

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Record = tuple[str, str, int, bytes]
"""Topic, type as recorded, time of recording in nanoseconds, CDR."""

Report = Callable[[str], None]

_MAGIC = b'\x89MCAP0\r\n'
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 3, 4, 5, 6
_DECOMPRESSOR: dict[str, Callable[[bytes], bytes]] = {
    '': bytes,
    'zstd': lambda data: bytes(zstd.ZstdDecompressor().decompress(data)),
    'lz4': lambda data: bytes(lz4.frame.LZ4FrameDecompressor().decompress(data)),
}


def _string(data: bytes, start: int) -> tuple[str, int]:
    """A length-prefixed string and where it ends."""
    end = start + 4 + int(struct.unpack_from('<I', data, start)[0])
    return data[start + 4:end].decode('utf-8', 'replace'), end


def _records(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes, bool]]:
    """
    Records of an MCAP file or of a chunk: code, content, and whether it is all there.

    Only the last one can be cut off.
    """
    while head := file.read(9):
        if len(head) < 9:
            yield 0, head, False
            return
        code, length = struct.unpack('<BQ', head)
        whole = length <= size - file.tell()
        yield code, file.read(length if whole else -1), whole
        if not whole:
            return


def _chunk(data: bytes, whole: bool) -> bytes:
    """
    Records of a chunk, decompressed; of one that is cut off, those before the cut.

    :raises ValueError: unknown compression or a wrong checksum.
    """
    _, _, _, checksum = struct.unpack_from('<QQQI', data)
    compression, start = _string(data, 28)
    if compression not in _DECOMPRESSOR:
        raise ValueError(f'compression {compression!r} is not known')
    records = _DECOMPRESSOR[compression](data[start + 8:])
    if whole and checksum and zlib.crc32(records) != checksum:
        raise ValueError('wrong checksum')
    return records


def salvage_mcap(path: Path, report: Report) -> Iterator[Record]:
    """Messages of every whole record and every whole chunk of an MCAP file."""
    schemas: dict[int, str] = {}
    channels: dict[int, tuple[str, str]] = {}

    def read(file: BinaryIO, size: int) -> Iterator[Record]:
        for code, data, whole in _records(file, size):
            if code == _CHUNK:
                try:
                    records = _chunk(data, whole)
                except (ValueError, RuntimeError, EOFError, struct.error, zstd.ZstdError):
                    report(f'{path.name}: a chunk is damaged; its messages are left out')
                    continue
                yield from read(io.BytesIO(records), len(records))
            elif not whole:
                return
            elif code == _SCHEMA:
                schemas[struct.unpack_from('<H', data)[0]] = _string(data, 2)[0]
            elif code == _CHANNEL:
                number, schema = struct.unpack_from('<HH', data)
                topic, end = _string(data, 4)
                if _string(data, end)[0] == 'cdr':
                    channels[number] = topic, schemas.get(schema, '')
            elif code == _MESSAGE:
                number, _, stamp_ns = struct.unpack_from('<HIQ', data)
                if number in channels:
                    yield *channels[number], stamp_ns, data[22:]

    with path.open('rb') as file:
        if file.read(8) != _MAGIC:
            report(f'{path.name}: does not begin like an MCAP file')
            return
        count = 0
        try:
            for record in read(file, path.stat().st_size):
                yield record
                count += 1
        except struct.error:
            report(f'{path.name}: a record is damaged after {count} messages; what comes before '
                   'is read')


class _WholePages(apsw.VFS):
    """Shows a file without its unfinished last page, which SQLite would fill with zeros."""

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _WholePagesFile('', name, flags)


class _WholePagesFile(apsw.VFSFile):
    def xFileSize(self) -> int:
        size = super().xFileSize()
        # The size of a page is in the header; 1 stands for 65536
        # (https://www.sqlite.org/fileformat2.html, section 1.3.2).
        page = int.from_bytes(self.xRead(2, 16), 'big') if size >= 100 else 0
        page = 65536 if page == 1 else page
        return size - size % page if page else 0


@lru_cache(maxsize=1)
def _whole_pages() -> tuple[str, apsw.VFS]:
    """Name of the registered _WholePages, and the object itself, which has to stay alive."""
    name = 'panoptic_depth_whole_pages'
    return name, _WholePages(name, '')


def _text(data: bytes | None) -> str:
    return (data or b'').decode('utf-8', 'replace')


def salvage_sqlite3(path: Path, report: Report) -> Iterator[Record]:
    """Messages of an SQLite file up to the first row that cannot be read."""
    count = 0
    try:
        with closing(apsw.Connection(f'{path.resolve().as_uri()}?immutable=1',
                                     flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
                                     vfs=_whole_pages()[0])) as connection:
            # With this, SQLite takes a file that is shorter than its header says.
            connection.execute('PRAGMA writable_schema=ON')
            # As text, a byte that is no UTF-8 would be an error.
            topics = {number: (_text(name), _text(kind)) for number, name, kind in (
                connection.execute('SELECT id, CAST(name AS BLOB), CAST(type AS BLOB) '
                                   'FROM topics'))}
            for number, stamp_ns, data in connection.execute(
                    'SELECT topic_id, timestamp, data FROM messages WHERE '
                    "typeof(timestamp) = 'integer' AND typeof(data) = 'blob' ORDER BY id"):
                if number in topics:
                    yield *topics[number], stamp_ns, data
                    count += 1
    except apsw.Error as error:
        report(f'{path.name}: {error} after {count} messages; what comes before is read')


SALVAGE: dict[str, Callable[[Path, Report], Iterator[Record]]] = {
    '.mcap': salvage_mcap, '.db3': salvage_sqlite3}
