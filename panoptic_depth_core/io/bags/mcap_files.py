# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Storage files of the MCAP format, after its specification (https://mcap.dev/spec).

A file with a sound index is read by it. Any other one is searched record by record: without
summary, index or end, still being written, cut off, damaged. Readers at hand refuse those, and
decompress chunks without a bound.
"""

from __future__ import annotations

import re
import struct
import zlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from ...errors import ConfigError
from ...untrusted import input_limits, too_large
from .compression import COMPRESSIONS, ERRORS, expand
from .records import (
    DAMAGED,
    DAMAGED_NAME,
    NO_TIME_NS,
    NOT_TEXT,
    Record,
    Report,
    Stretch,
    by_time,
    left_out,
)

MAGIC = b'\x89MCAP0\r\n'
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 2, 3, 4, 5, 6
_CHUNK_INDEX, _STATISTICS, _DATA_END = 8, 11, 15
_ENDS = {(_DATA_END, 4), (_FOOTER, 20)}
"""Records behind the messages, with their lengths."""

_HEAD = struct.Struct('<BQ')
_MESSAGE_HEAD = struct.Struct('<HIQ')
_BEFORE_DATA = 22
"""Bytes of a message record before its data."""

_CHUNK_HEAD = 100
"""Bytes of a chunk before its records, at most, with a name of its compression that is known."""

_LIKE_A_CHUNK = b'(?=\x06.{36}(?:%s))' % b'|'.join(
    re.escape(struct.pack('<I', len(name)) + name.encode()) for name in ('', *COMPRESSIONS))
_MOST_CHANNELS = 200
"""That are looked for behind damage."""

_GROUP = 1 << 22
"""Bytes of messages outside of chunks that are read, and ordered by time, at once."""


class _Unusable(Exception):
    """The index or a chunk cannot be used, because of this."""


class _NoIndex(_Unusable):
    """There is no index of the whole file."""


class _Region(NamedTuple):
    """
    A chunk, or messages outside of chunks that follow each other.

    :param offset, length: in the file, of a chunk's record without its head.
    :param size: bytes in memory.
    :param channels: in it; None where that is not known.
    """

    start_ns: int
    offset: int
    length: int
    size: int
    channels: frozenset[int] | None
    is_chunk: bool


def _string(data: bytes, start: int) -> tuple[str, int]:
    """A length-prefixed string and where it ends."""
    end = start + 4 + int(struct.unpack_from('<I', data, start)[0])
    if end > len(data):
        raise struct.error('a string ends behind its record')
    return data[start + 4:end].decode('utf-8', 'replace'), end


def _records(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Code, start and end of the content of the whole records; struct.error where damaged."""
    position, size = 0, len(data)
    while position + 9 <= size:
        code, length = _HEAD.unpack_from(data, position)
        start = position + 9
        position = start + length
        # No record has the code 0, but a stretch of zeros would look like many.
        if not code:
            raise struct.error('no record')
        if position > size:
            return
        yield code, start, position


class McapFile:
    """
    Messages of one file.

    :raises ConfigError: it does not begin like an MCAP file.
    """

    def __init__(self, path: Path, report: Report) -> None:
        self._path, self._report = path, report
        # A file that is being written is read as it is now.
        self._size = path.stat().st_size
        self._clear()
        with path.open('rb') as file:
            if file.read(8) != MAGIC:
                raise ConfigError(f'{path}: does not begin like an MCAP file; copy it again')
            try:
                self._read_index(file)
            except (_Unusable, struct.error) as error:
                self._clear()
                if not isinstance(error, _NoIndex):
                    report(f'{path.name}: its index is damaged; all of it is searched')
                if not self._search(file):
                    report(f'{path.name}: {DAMAGED}')
        self.start_ns = min((region.start_ns for region in self._regions), default=NO_TIME_NS)
        self.counts = self._count()

    def _clear(self) -> None:
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, tuple[str, str, str]] = {}
        self._regions: list[_Region] = []
        self._messages: Counter[int] = Counter()

    def _count(self) -> Counter[tuple[str, str]]:
        """Messages by topic and type; says which topics are left out."""
        counts: Counter[tuple[str, str]] = Counter()
        others: defaultdict[str, list[str]] = defaultdict(list)
        for number, (topic, kind, encoding) in self._channels.items():
            if NOT_TEXT in topic + kind:
                self._report(f'{self._path.name}: {DAMAGED_NAME}')
            if encoding.lower() == 'cdr':
                counts[topic, kind] += self._messages[number]
            elif self._messages[number]:
                others[encoding].append(topic)
        for encoding, topics in others.items():
            self._report(left_out(topics, encoding))
        if self._messages.keys() - self._channels.keys():
            self._report(f'{self._path.name}: messages of channels whose description is lost are '
                         'left out')
        return counts

    def _define(self, code: int, data: bytes) -> None:
        """Take a schema or a channel."""
        if code == _SCHEMA:
            self._schemas[struct.unpack_from('<H', data)[0]] = _string(data, 2)[0]
        elif code == _CHANNEL:
            number, schema = struct.unpack_from('<HH', data)
            topic, end = _string(data, 4)
            self._channels[number] = topic, self._schemas.get(schema, ''), _string(data, end)[0]

    def _read_index(self, file: BinaryIO) -> None:
        """Take the regions and counts from the summary section; _Unusable without a sound one."""
        footer = self._size - 37
        if footer < 8:
            raise _NoIndex
        file.seek(footer)
        data = file.read(37)
        if data[-8:] != MAGIC or _HEAD.unpack_from(data) != (_FOOTER, 20):
            raise _NoIndex
        start, _, checksum = struct.unpack_from('<QQI', data, 9)
        if not start:
            raise _NoIndex
        if not 8 <= start <= footer or footer - start > input_limits().max_bytes:
            raise _Unusable
        file.seek(start)
        summary = file.read(footer - start)
        if checksum and zlib.crc32(summary + data[:25]) != checksum:
            raise _Unusable
        chunks: dict[int, _Region] = {}
        indexed = expected = total = None
        for code, begin, end in _records(summary):
            record = summary[begin:end]
            if code == _CHUNK_INDEX:
                region, known = _indexed_chunk(record, start)
                chunks[region.offset] = region
                indexed = None if known is None else known + (indexed or 0)
            elif code == _STATISTICS:
                total, _, _, _, _, expected = struct.unpack_from('<QHIIII', record)
                pairs, = struct.unpack_from('<I', record, 42)
                self._messages.update(dict(struct.iter_unpack('<HQ', record[46:46 + pairs])))
            else:
                self._define(code, record)
        # Without chunks, or with messages beside them, the index does not know all.
        if not chunks or len(chunks) != expected or indexed not in (None, total):
            raise _NoIndex
        if self._messages.keys() - self._channels.keys() or self._messages.total() != total:
            raise _NoIndex
        self._regions = sorted(chunks.values(), key=lambda region: region.offset)
        for first, second in zip(self._regions, self._regions[1:], strict=False):
            if first.offset + first.length > second.offset:
                raise _Unusable

    def _search(self, file: BinaryIO) -> bool:
        """Find regions and counts record by record; whether the file is whole."""
        position, whole = 8, True
        group = _Group()
        while position + 9 <= self._size:
            file.seek(position)
            code, length = _HEAD.unpack(file.read(9))
            start, end = position + 9, position + 9 + length
            if (code, length) in _ENDS and end <= self._size:
                self._end(group)
                return whole
            cut = end > self._size
            if not code or (cut and code != _CHUNK):
                whole = False
                position = self._next_record(file, position + 1, self._size, self._channels)
                continue
            try:
                if code == _MESSAGE:
                    if length < _BEFORE_DATA:
                        raise struct.error('a message without a head')
                    number, _, stamp_ns = _MESSAGE_HEAD.unpack(file.read(_MESSAGE_HEAD.size))
                    if group.size + length > _GROUP or group.end != position:
                        self._end(group)
                        group = _Group(position, position)
                    group.add(number, stamp_ns, end)
                    self._messages[number] += 1
                elif code in (_SCHEMA, _CHANNEL) and length <= input_limits().max_bytes:
                    self._define(code, file.read(length))
                elif code == _CHUNK:
                    # One that says it is longer than it is swallows none of those behind it.
                    end = self._next_record(file, start, self._size) if cut else end
                    if not self._take_chunk(file, start, end, cut and end == self._size):
                        end = self._next_record(file, start, end)
            except struct.error:
                whole = False
            whole = whole and not cut
            position = end
        self._end(group)
        return False

    def _end(self, group: _Group) -> None:
        if group.size:
            self._regions.append(_Region(group.start_ns, group.start, group.size, group.size,
                                         frozenset(group.channels), False))

    def _take_chunk(self, file: BinaryIO, start: int, end: int, is_last: bool) -> bool:
        """Take a chunk with the descriptions in it, the last one up to its cut, if any."""
        region = _Region(0, start, end - start, 0, None, True)
        found: Counter[int] = Counter()
        start_ns = NO_TIME_NS
        try:
            data = self._content(file, region)
            for code, begin, stop in _records(data):
                if code == _MESSAGE and stop - begin >= _BEFORE_DATA:
                    number, _, stamp_ns = _MESSAGE_HEAD.unpack_from(data, begin)
                    found[number] += 1
                    start_ns = min(start_ns, stamp_ns)
                else:
                    self._define(code, data[begin:stop])
        except (_Unusable, struct.error) as error:
            if not is_last:
                self._report_chunk(error)
            return False
        self._messages.update(found)
        self._regions.append(region._replace(start_ns=start_ns, size=len(data),
                                             channels=frozenset(found)))
        return True

    def _report_chunk(self, error: Exception) -> None:
        reason = f' ({error})' if isinstance(error, _Unusable) else ''
        self._report(f'{self._path.name}: a chunk is damaged; its messages are left out{reason}')

    def _next_record(self, file: BinaryIO, position: int, stop: int,
                     channels: Iterable[int] = ()) -> int:
        """Offset of the next chunk behind damage, or of the next message of these channels."""
        like_a_message = b'|'.join(re.escape(struct.pack('<H', number))
                                   for number in islice(channels, _MOST_CHANNELS))
        pattern = re.compile(_LIKE_A_CHUNK + (
            b'|(?=\x05.{4}\0{4}(?:%s))' % like_a_message if like_a_message else b''), re.DOTALL)
        while position < stop:
            file.seek(position)
            block = file.read(min(_GROUP, min(stop + _CHUNK_HEAD, self._size) - position))
            for match in pattern.finditer(block):
                place = match.start()
                if (self._is_chunk(block, place) if block[place] == _CHUNK
                        else self._is_message(file, position + place)):
                    return min(position + place, stop)
            if position + len(block) >= stop:
                break
            position += len(block) - _CHUNK_HEAD
        return stop

    @staticmethod
    def _is_chunk(block: bytes, place: int) -> bool:
        """Whether the lengths of a record and of its data agree."""
        named, = struct.unpack_from('<I', block, place + 37)
        if place + 49 + named > len(block):
            return False
        data_size, = struct.unpack_from('<Q', block, place + 41 + named)
        return _HEAD.unpack_from(block, place) == (_CHUNK, 40 + named + data_size)

    def _is_message(self, file: BinaryIO, place: int) -> bool:
        """Whether another record or the end follows what looks like a message."""
        for codes in ((_MESSAGE,), range(_SCHEMA, _DATA_END + 1)):
            file.seek(place)
            head = file.read(9)
            if len(head) < 9:
                return place == self._size and codes != (_MESSAGE,)
            code, length = _HEAD.unpack(head)
            if code not in codes or place + 9 + length > self._size:
                return False
            place += 9 + length
        return True

    def _content(self, file: BinaryIO, region: _Region) -> bytes:
        """The records of a region; _Unusable or struct.error where they are damaged."""
        most = input_limits().max_bytes
        if region.length > most:
            raise _Unusable(str(too_large('a chunk', 'max_bytes')))
        file.seek(region.offset)
        if not region.is_chunk:
            return file.read(region.length)
        head = file.read(min(region.length, _CHUNK_HEAD))
        _, _, size, checksum = struct.unpack_from('<QQQI', head)
        compression, start = _string(head, 28)
        data_size, = struct.unpack_from('<Q', head, start)
        if compression and compression not in COMPRESSIONS:
            raise _Unusable(f'compressed as {compression[:20]!r}; {", ".join(COMPRESSIONS)} '
                            'are read')
        there = region.length - start - 8
        whole = data_size <= there
        file.seek(region.offset + start + 8)
        records = file.read(min(data_size, there))
        if whole and region.size and size > region.size:
            raise _Unusable('larger than its index states')
        if size > most:
            raise _Unusable(str(too_large('is decompressed', 'max_bytes')))
        if compression:
            try:
                records = expand(compression, records, 'is decompressed', size)
            except ConfigError as error:
                raise _Unusable(str(error)) from None
            except ERRORS:
                raise _Unusable('cannot be decompressed') from None
        if whole and len(records) != size:
            raise _Unusable('of another size than stated')
        if whole and checksum and zlib.crc32(records) != checksum:
            raise _Unusable('wrong checksum')
        return records

    def messages(self, topics: Collection[str]) -> Iterator[Record]:
        """Give the messages of the topics in order of time; damaged chunks are left out."""
        wanted = {number: (topic, kind) for number, (topic, kind, encoding)
                  in self._channels.items() if encoding.lower() == 'cdr' and topic in topics}
        with self._path.open('rb') as file:
            yield from by_time(
                Stretch(region.start_ns, region.size, partial(self._read, file, region, wanted))
                for region in self._regions
                if region.channels is None or wanted.keys() & region.channels)

    def _read(self, file: BinaryIO, region: _Region,
              wanted: dict[int, tuple[str, str]]) -> Iterator[Record]:
        # Tuples would take six times the bytes of messages that are empty.
        stamps, starts = array('Q'), array('Q')
        try:
            data = self._content(file, region)
            for code, start, end in _records(data):
                if code == _MESSAGE and end - start >= _BEFORE_DATA:
                    number, _, stamp_ns = _MESSAGE_HEAD.unpack_from(data, start)
                    if number in wanted:
                        stamps.append(stamp_ns)
                        starts.append(start)
        except (_Unusable, struct.error, OSError) as error:
            self._report_chunk(error)
            return
        order = np.argsort(np.array(stamps, np.uint64), kind='stable')
        for start in map(starts.__getitem__, order):
            number, _, stamp_ns = _MESSAGE_HEAD.unpack_from(data, start)
            _, length = _HEAD.unpack_from(data, start - _HEAD.size)
            yield *wanted[number], stamp_ns, data[start + _BEFORE_DATA:start + length]


class _Group:
    """Messages outside of chunks that follow each other."""

    def __init__(self, start: int = 0, end: int = 0) -> None:
        self.start, self.end, self.start_ns = start, end, NO_TIME_NS
        self.channels: set[int] = set()

    @property
    def size(self) -> int:
        return self.end - self.start

    def add(self, channel: int, stamp_ns: int, end: int) -> None:
        self.channels.add(channel)
        self.start_ns, self.end = min(self.start_ns, stamp_ns), end


def _indexed_chunk(record: bytes, end: int) -> tuple[_Region, int | None]:
    """A chunk that the index names, and its number of messages where the index knows it."""
    start_ns, _, offset, length = struct.unpack_from('<QQQQ', record)
    pairs, = struct.unpack_from('<I', record, 32)
    channels = dict(struct.iter_unpack('<HQ', record[36:36 + pairs]))
    index_size, = struct.unpack_from('<Q', record, 36 + pairs)
    _, place = _string(record, 44 + pairs)
    _, size = struct.unpack_from('<QQ', record, place)
    if offset < 8 or length < 9 or offset + length > end:
        raise _Unusable
    # An index of messages is 15 bytes for each channel and 16 for each message.
    known = (index_size - 15 * len(channels)) // 16 if channels else None
    return _Region(start_ns, offset + 9, length - 9, max(size, 1),
                   frozenset(channels) if channels else None, True), known
