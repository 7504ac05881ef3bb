# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Messages of a rosbag2 recording, also of a damaged or unfinished one.

Every storage file is read by itself: metadata.yaml only tells their order, since a recording that
was cut short has none, and a part taken out of a split one has a wrong one. What rosbags refuses
is salvaged record by record.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NamedTuple

import yaml
from rosbags.rosbag2 import Reader

from ...errors import ConfigError
from ..messages.types import canonical_type
from .salvage import SALVAGE, Record

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STORAGE_SUFFIXES = ('.db3', '.mcap')
_METADATA = 'metadata.yaml'
_ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'


class Message(NamedTuple):
    """One message as it was recorded: ``data`` is CDR, ``stamp_ns`` the time of recording."""

    topic: str
    type: str
    stamp_ns: int
    data: bytes


@dataclass(frozen=True)
class Topic:
    """One topic of a bag; count is of the messages that can be read."""

    name: str
    type: str
    count: int


def _is_storage(path: Path) -> bool:
    name = path.name.lower()
    return name.removesuffix('.zstd').endswith(STORAGE_SUFFIXES) and path.is_file()


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts part_10 behind part_9."""
    return [(int(word), '') if word.isdigit() else (-1, word)
            for word in re.split(r'(\d+)', path.name)]


def is_bag(path: Path) -> bool:
    """Whether a path is a bag folder or a storage file."""
    if path.is_dir():
        return (path / _METADATA).is_file() or any(_is_storage(p) for p in path.iterdir())
    return _is_storage(path)


def storage_files(path: Path, report: Callable[[str], None]) -> list[Path]:
    """
    Storage files of a bag in the order of recording.

    :param report: takes a line for each thing that is wrong but can be lived with.
    :raises ConfigError: when there is none.
    """
    if not path.is_dir():
        if not _is_storage(path):
            raise ConfigError(f'{path}: is no bag; give a folder, or a file ending in '
                              f'{" or ".join(STORAGE_SUFFIXES)}')
        return [path]
    present = sorted((p for p in path.iterdir() if _is_storage(p)), key=_natural)
    try:
        text = (path / _METADATA).read_text(encoding='utf-8')
        named = yaml.safe_load(text)['rosbag2_bagfile_information']['relative_file_paths']
        listed = [path / PurePath(str(name)).name for name in named]
    except FileNotFoundError:
        listed = present
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        report(f'{path / _METADATA}: cannot be read; all storage files are taken, by name')
        listed = present
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


class BagReader:
    """
    Read chosen topics of a bag; parts that cannot be read are named in ``problems``.

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
        except BaseException:
            self.close()
            raise
        if not counts and self.problems:
            self.close()
            raise ConfigError(f'{path}: no message can be read: {"; ".join(self.problems)}')
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
                       for message in self._salvaged(file, lambda _: None))

    @staticmethod
    def _salvaged(file: Path, report: Callable[[str], None]) -> Iterator[Record]:
        return SALVAGE[file.suffix.lower()](file, report)

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Messages of the topics in order of recording; payload compression is undone."""
        for file in self._files:
            for topic, kind, stamp_ns, data in self._raw(file, topics):
                if data[:4] == _ZSTD_MAGIC:
                    # No CDR starts like this. The mode is noted in metadata.yaml alone, which
                    # a single file does not have.
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
        for record in self._salvaged(file, self._report):
            if record[0] in topics and record[2] > last_ns:
                yield record

    def close(self) -> None:
        """Remove temporary files."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
