# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Messages of a rosbag2 recording, also of a damaged or unfinished one.

Every storage file is read by itself. metadata.yaml gives only their order: an interrupted
recording has none, and a single part of a split one has a wrong one. Files that rosbags refuses
are read record by record: MCAP after its specification (https://mcap.dev/spec), without its
index; of SQLite, rows up to the first page that is missing.
"""

from __future__ import annotations

import io
import shutil
import struct
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO, NamedTuple

import apsw
import lz4.frame
import yaml
from rosbags.rosbag2 import Reader

from ...errors import ConfigError
from ...files import natural
from ..messages.types import INSTANCE_DISTANCE_ARRAY, canonical_type, typestore

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Record = tuple[str, str, int, bytes]
"""Topic, type as recorded, time of recording in nanoseconds, CDR."""

Report = Callable[[str], None]

STORAGE_SUFFIXES = ('.db3', '.mcap')
_METADATA = 'metadata.yaml'
_ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'


class Message(NamedTuple):
    """One recorded message: ``data`` is CDR, ``stamp_ns`` the time of recording."""

    topic: str
    type: str
    stamp_ns: int
    data: bytes


@dataclass(frozen=True)
class Topic:
    """One topic of a bag; ``count`` is the number of readable messages."""

    name: str
    type: str
    count: int


def deserialize(message: Message) -> Any:
    """A message object of rosbags, with views on the data; ConfigError where these are damaged."""
    # Of bytes, all behind the first four would be copied.
    data = memoryview(message.data)
    try:
        return typestore().deserialize_cdr(data, message.type)
    # Damaged CDR makes the generated code raise nearly anything.
    except Exception as error:
        if message.type == INSTANCE_DISTANCE_ARRAY:
            # One of an earlier version cannot be read as one of this version: the bytes of a name
            # would be the length of another.
            with suppress(Exception):
                return typestore(earlier=True).deserialize_cdr(data, message.type)
        raise ConfigError(f'{message.topic}: a message is damaged '
                          f'({type(error).__name__})') from None


def _is_storage(path: Path) -> bool:
    name = path.name.lower()
    return name.removesuffix('.zstd').endswith(STORAGE_SUFFIXES) and path.is_file()


def is_bag(path: Path) -> bool:
    """Whether a path is a bag folder or a storage file."""
    if path.is_dir():
        return (path / _METADATA).is_file() or any(_is_storage(p) for p in path.iterdir())
    return _is_storage(path)


def storage_files(path: Path, report: Report) -> list[Path]:
    """
    Storage files of a bag in the order of recording.

    :param report: takes a line for each problem that leaves some files readable.
    :raises ConfigError: when there is none.
    """
    if not path.is_dir():
        if not _is_storage(path):
            raise ConfigError(f'{path}: is no bag; give a folder, or a file ending in '
                              f'{" or ".join(STORAGE_SUFFIXES)}')
        return [path]
    listed = present = sorted((p for p in path.iterdir() if _is_storage(p)),
                              key=lambda p: natural(p.name))
    try:
        text = (path / _METADATA).read_text(encoding='utf-8')
        named = yaml.safe_load(text)['rosbag2_bagfile_information']['relative_file_paths']
        listed = [path / PurePath(str(name)).name for name in named]
    except FileNotFoundError:
        pass
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        report(f'{path / _METADATA}: cannot be read; all storage files are taken, by name')
    files = [file for file in listed if file.is_file()]
    if not files and present:
        report(f'{path / _METADATA}: names none of the storage files there; all are taken')
        return present
    if not files:
        raise ConfigError(f'{path}: a bag without a storage file (.db3, .mcap); '
                          'copy the whole folder')
    for missing in sorted(set(listed) - set(files)):
        report(f'{missing}: part of the bag, but missing; its frames are left out')
    return files


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


def _chunk(data: bytes, whole: bool) -> bytes:
    """Decompress the records of a chunk, up to the cut if any; ValueError where it is wrong."""
    _, _, _, checksum = struct.unpack_from('<QQQI', data)
    compression, start = _string(data, 28)
    if compression not in _DECOMPRESSOR:
        raise ValueError(f'compression {compression!r} is not known')
    records = _DECOMPRESSOR[compression](data[start + 8:])
    if whole and checksum and zlib.crc32(records) != checksum:
        raise ValueError('wrong checksum')
    return records


def salvage_mcap(path: Path, report: Report) -> Iterator[Record]:
    """Messages of all complete records and chunks of an MCAP file."""
    schemas: dict[int, str] = {}
    channels: dict[int, tuple[str, str]] = {}

    def read(file: BinaryIO, size: int) -> Iterator[Record]:
        while len(head := file.read(9)) == 9:
            code, length = struct.unpack('<BQ', head)
            # Only the last record of a file or a chunk can be cut off.
            whole = length <= size - file.tell()
            data = file.read(length if whole else -1)
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


_WHOLE_PAGES = 'panoptic_depth_whole_pages'
_REGISTERED = _WholePages(_WHOLE_PAGES, '')


def salvage_sqlite3(path: Path, report: Report) -> Iterator[Record]:
    """Messages of an SQLite file up to the first row that cannot be read."""
    count = 0
    try:
        with closing(apsw.Connection(f'{path.resolve().as_uri()}?immutable=1',
                                     flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
                                     vfs=_WHOLE_PAGES)) as connection:
            # With this, SQLite takes a file that is shorter than its header says.
            connection.execute('PRAGMA writable_schema=ON')
            # As text, a byte that is no UTF-8 would be an error.
            topics = {number: [str(text or b'', 'utf-8', 'replace') for text in texts]
                      for number, *texts in connection.execute(
                          'SELECT id, CAST(name AS BLOB), CAST(type AS BLOB) FROM topics')}
            for number, stamp_ns, data in connection.execute(
                    'SELECT topic_id, timestamp, data FROM messages WHERE '
                    "typeof(timestamp) = 'integer' AND typeof(data) = 'blob' ORDER BY id"):
                if number in topics:
                    name, kind = topics[number]
                    yield name, kind, stamp_ns, data
                    count += 1
    except apsw.Error as error:
        report(f'{path.name}: {error} after {count} messages; what comes before is read')


def _salvage(path: Path, report: Report) -> Iterator[Record]:
    return (salvage_mcap if path.suffix.lower() == '.mcap' else salvage_sqlite3)(path, report)


class BagReader:
    """
    Read chosen topics of a bag.

    :param path: bag folder, or a .db3 or .mcap file, also with .zstd.
    :ivar problems: what is wrong with the bag -> how often.
    :ivar topics: by name.
    :raises ConfigError: when nothing in it can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: Counter[str] = Counter()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._damaged: set[Path] = set()
        try:
            self._files = [self._plain(file) for file in storage_files(path, self._report)]
            counts: Counter[tuple[str, str]] = Counter()
            for file in self._files:
                counts.update(self._counts(file))
            if not counts and self.problems:
                raise ConfigError(f'{path}: no message can be read: {"; ".join(self.problems)}')
        except BaseException:
            self.close()
            raise
        self.topics = {name: Topic(name, kind, count) for (name, kind), count in counts.items()}

    def _report(self, problem: str) -> None:
        self.problems[problem] += 1

    def _plain(self, file: Path) -> Path:
        """Decompress a storage file compressed as a whole into a temporary folder."""
        if file.suffix.lower() != '.zstd':
            return file
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix='panoptic_depth_bag_')
        target = Path(self._folder.name) / file.stem
        with target.open('wb') as output:
            try:
                with zstd.open(file, 'rb') as compressed:
                    shutil.copyfileobj(compressed, output)
            except (EOFError, zstd.ZstdError):
                self._report(f'{file}: truncated; what could be decompressed is read')
            except OSError as error:
                raise ConfigError(
                    f'{file}: cannot be decompressed into {self._folder.name}: '
                    f'{error.strerror}; set TMPDIR to a folder with more space') from None
        return target

    def _counts(self, file: Path) -> Counter[tuple[str, str]]:
        """Messages by topic and type; also finds out whether the file is damaged."""
        try:
            with Reader(file) as reader:
                return Counter({(c.topic, canonical_type(c.msgtype)): c.msgcount
                                for c in reader.connections})
        # A damaged index makes rosbags raise nearly anything, AssertionError included.
        except Exception as error:
            self._damaged.add(file)
            self._report(f'{file.name}: damaged or not closed ({error}); what can be read is read')
        return Counter((message[0], canonical_type(message[1]))
                       for message in _salvage(file, lambda _: None))

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Messages of the topics in order of recording; payload compression is undone."""
        for file in self._files:
            for topic, kind, stamp_ns, data in self._raw(file, topics):
                if data[:4] == _ZSTD_MAGIC:
                    # No CDR starts like this. Only metadata.yaml names the mode, and a single
                    # file has none.
                    with suppress(zstd.ZstdError, EOFError):
                        data = zstd.decompress(data)
                yield Message(topic, canonical_type(kind), stamp_ns, data)

    def _raw(self, file: Path, topics: Collection[str]) -> Iterator[Record]:
        last_ns = -1
        if file not in self._damaged:
            try:
                with Reader(file) as reader:
                    wanted = [c for c in reader.connections if c.topic in topics]
                    if not wanted:
                        return
                    for connection, stamp_ns, data in reader.messages(wanted):
                        yield connection.topic, connection.msgtype, stamp_ns, data
                        last_ns = stamp_ns
                return
            except Exception as error:
                self._report(f'{file.name}: damaged ({error}); what can be read is read')
        for record in _salvage(file, self._report):
            if record[0] in topics and record[2] > last_ns:
                yield record

    def close(self) -> None:
        """Remove temporary files."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
