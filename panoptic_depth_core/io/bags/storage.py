# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Messages of a rosbag2 recording, also of a damaged or unfinished one.

Every storage file is read by itself, see mcap_files and sqlite_files; the time of their first
messages gives their order.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import ConfigError
from ...reasons import Reasons
from ..messages.types import INSTANCE_DISTANCE_ARRAY, canonical_type, typestore
from .bag_files import open_storage, storage_files
from .compression import MAGICS, expand_file, expand_message, is_compressed
from .records import Record, StorageFile, Stretch, by_time

_END_OF_TIME_NS = (1 << 31) * 1_000_000_000
"""Seconds of builtin_interfaces/Time are int32."""


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


class _Part(NamedTuple):
    """A storage file, and its state when it was opened, to see whether it is being written."""

    path: Path
    state: tuple[tuple[int, int], ...]
    file: StorageFile


def _state(path: Path) -> tuple[tuple[int, int], ...]:
    """Sizes and times of a file and what SQLite has beside it."""
    found = []
    for file in (path, Path(f'{path}-wal')):
        with suppress(OSError):
            status = file.stat()
            found.append((status.st_size, status.st_mtime_ns))
    return tuple(found)


class BagReader:
    """
    Read chosen topics of a bag.

    :param path: bag folder, or a .db3 or .mcap file, also compressed, as with .zstd.
    :ivar problems: what is wrong with the bag -> how often.
    :ivar topics: by name.
    :raises ConfigError: when nothing in it can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems = Reasons()
        self._report = self.problems.add
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        counts: Counter[tuple[str, str]] = Counter()
        try:
            self._parts = [part for file in storage_files(path, self._report)
                           for part in self._open(file)]
            for part in self._parts:
                counts.update({(topic, canonical_type(kind)): count
                               for (topic, kind), count in part.file.counts.items()})
            if not counts.total() and self.problems:
                reasons = (text.removeprefix(f'{path}: ') for text in self.problems)
                raise ConfigError(f'{path}: no message can be read: {"; ".join(reasons)}')
        except BaseException:
            self.close()
            raise
        self.topics = {name: Topic(name, kind, count) for (name, kind), count in counts.items()}

    def _open(self, file: Path) -> Iterator[_Part]:
        """Open a storage file; one that cannot be read is a problem of the bag."""
        try:
            state, plain = _state(file), file
            if is_compressed(file):
                if self._folder is None:
                    self._folder = tempfile.TemporaryDirectory(prefix='panoptic_depth_bag_')
                plain = expand_file(file, Path(self._folder.name), self._report)
            yield _Part(file, state, open_storage(plain, file.name, self._report))
        except ConfigError as error:
            self._report(str(error))
        except OSError as error:
            self._report(f'{file}: cannot be read: {error.strerror}')

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Messages of the topics in order of recording; payload compression is undone."""
        parts = [part for part in self._parts
                 if any(topic in topics for topic, _ in part.file.counts)]
        types = {kind: canonical_type(kind) for part in parts for _, kind in part.file.counts}
        for topic, kind, stamp_ns, data in by_time(
                Stretch(part.file.start_ns, 0, partial(self._raw, part, topics))
                for part in parts):
            if data[:4] in MAGICS:
                try:
                    data = expand_message(data, topic)
                except ConfigError as error:
                    self._report(str(error))
                    continue
            if not 0 <= stamp_ns < _END_OF_TIME_NS:
                self._report(f'{topic}: messages have a time of recording before 1970 or after '
                             '2038, which ROS has not; 1970 or 2038 is taken')
                stamp_ns = min(max(stamp_ns, 0), _END_OF_TIME_NS - 1)
            yield Message(topic, types[kind], stamp_ns, data)

    def _raw(self, part: _Part, topics: Collection[str]) -> Iterator[Record]:
        try:
            yield from part.file.messages(topics)
        except (OSError, MemoryError) as error:
            reason = getattr(error, 'strerror', None) or 'not enough memory'
            self._report(f'{part.path.name}: cannot be read any further: {reason}')
        if _state(part.path) != part.state:
            self._report(f'{part.path.name}: was written to while it was read; its newest '
                         'messages may be missing')

    def close(self) -> None:
        """Remove temporary files."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
