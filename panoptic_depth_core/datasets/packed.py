# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A pack: one file with a recipe, all of its samples and the weights that it starts from.

It is a ZIP archive whose members are stored as they are, so that any tool lists it:

- ``samples/NNNNNN``: records of codec.join; a sample that two data sets have is there once
- ``weights.pt``: a checkpoint
- ``index.json``: PackIndex, with place, length and SHA-256 of all other members

The comment of the archive names the format, its version and the SHA-256 of the index. Members are
read at the place that the index names, from any number of processes; nothing is unpacked, so no
name inside of it ever becomes a path.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

from pydantic import Field

from ..class_tables import ClassTable, table_classes
from ..config import Settings, parse_settings
from ..errors import ConfigError
from ..labels import CLASS_TABLES, ClassInfo
from ..structures import Sample
from .codec import decode, split

NAME = 'packed'
"""Of the data set in the table, and in the recipe of a pack."""

_FORMAT = 'panoptic-depth pack'
_VERSION = 1
_INDEX = 'index.json'
_TIME = (1980, 1, 1, 0, 0, 0)
_BYTES_PER_MEMBER = 250
"""Enough for two headers in the archive and a row of the index."""


class Record(Settings):
    """Where the bytes of a member are."""

    start: int = Field(ge=0)
    length: int = Field(ge=0)
    sha256: str


class PackedSet(Settings):
    """One data set: numbers of its records, and its class table, unless it has depth alone."""

    class_table: ClassTable | None = None
    samples: tuple[int, ...] = Field(min_length=1)


class PackIndex(Settings):
    """
    What is in a pack.

    :param recipe: its data sets are called 'packed', their splits are keys of ``datasets``.
    """

    recipe: dict[str, Any]
    datasets: dict[str, PackedSet]
    records: tuple[Record, ...]
    weights: Record | None = None


class PackWriter:
    """
    Writes a pack; call close() at the end.

    :param path: overwritten.
    """

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED)
        self._numbers: dict[str, int] = {}
        self.records: list[Record] = []
        self.size = 0
        """Bytes so far, with a little too much for what close() adds."""

    def __enter__(self) -> PackWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def add(self, data: bytes) -> int:
        """Add a record, unless it is there already; return its number."""
        key = hashlib.sha256(data).hexdigest()
        if key not in self._numbers:
            self._numbers[key] = len(self.records)
            self.records.append(self.store(f'samples/{len(self.records):06d}', data))
        return self._numbers[key]

    def cost(self, data: bytes) -> int:
        """Bytes by which a record would make the file larger."""
        is_there = hashlib.sha256(data).hexdigest() in self._numbers
        return 0 if is_there else len(data) + _BYTES_PER_MEMBER

    def store(self, name: str, data: bytes) -> Record:
        """Add a member."""
        info = zipfile.ZipInfo(name, _TIME)
        self._archive.writestr(info, data)
        self.size += len(data) + _BYTES_PER_MEMBER
        return Record(start=info.header_offset + len(info.FileHeader()), length=len(data),
                      sha256=hashlib.sha256(data).hexdigest())

    def close(self, index: PackIndex) -> None:
        """Add the index and the comment."""
        data = index.model_dump_json().encode()
        info = zipfile.ZipInfo(_INDEX, _TIME)
        self._archive.writestr(info, data, zipfile.ZIP_DEFLATED)
        digest = hashlib.sha256(data).hexdigest()
        self._archive.comment = f'{_FORMAT} {_VERSION} {digest}'.encode()


def is_pack(path: Path | str) -> bool:
    """Whether a file says that it is a pack; of any version, and in whatever state."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment.startswith(_FORMAT.encode())
    except (OSError, zipfile.BadZipFile):
        return False


def read_index(path: Path | str) -> PackIndex:
    """
    Read and check the index of a pack.

    :raises ConfigError: when the file is missing, no pack, cut short, changed, or of a later
        version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            name, version, digest = [
                *archive.comment.decode(errors='replace').rsplit(' ', 2), '', ''][:3]
            if name != _FORMAT:
                raise ConfigError(f'{path}: a ZIP file, but no pack; make one with '
                                  'panoptic-depth pack')
            if version != str(_VERSION):
                raise ConfigError(f'{path}: a pack of version {version}, but this program reads '
                                  f'version {_VERSION}; update it, or pack again')
            data = archive.read(_INDEX)
            end = archive.start_dir
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}; check the path') from None
    except (zipfile.BadZipFile, KeyError, EOFError):
        raise ConfigError(f'{path}: no pack, or one that was cut short; copy it again, or make '
                          'one with panoptic-depth pack') from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise _damaged(path, 'its index')
    index = parse_settings(PackIndex, json.loads(data), f'{path}: {_INDEX}')
    for label, packed in index.datasets.items():
        wrong = [n for n in packed.samples if not 0 <= n < len(index.records)]
        unknown = isinstance(packed.class_table, str) and packed.class_table not in CLASS_TABLES
        if wrong or unknown:
            raise ConfigError(f'{path}: data set {label} names sample {wrong[:1]} or class table '
                              f'{packed.class_table!r}, which is not there; pack again')
    if any(r.start + r.length > end for r in index.records):
        raise _damaged(path, 'a sample')
    return index


def read_record(path: Path | str, record: Record) -> bytes:
    """
    Read the bytes of a member.

    :raises ConfigError: when they are not what was packed.
    """
    try:
        with open(path, 'rb') as file:
            file.seek(record.start)
            data = file.read(record.length)
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}; check the path') from None
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise _damaged(path, f'what begins at byte {record.start}')
    return data


def read_weights(path: Path | str) -> bytes:
    """
    Read the checkpoint of a pack.

    :raises ConfigError: when it has none.
    """
    record = read_index(path).weights
    if record is None:
        raise ConfigError(f'{path}: a pack without weights; pack a recipe that names '
                          'initial_weights or backbone_weights')
    return read_record(path, record)


def _damaged(path: Path | str, what: str) -> ConfigError:
    return ConfigError(f'{path}: {what} is not what was packed: the file was changed or damaged; '
                       'copy it again')


class Packed:
    """
    One data set of a pack.

    :param root: the file. :param split: name of the data set in it, such as 'kitti_half:train'.
    :raises ConfigError: when the file is no sound pack, or has no such data set.
    """

    def __init__(self, root: Path | str, split: str) -> None:
        self._path = Path(root)
        index = read_index(self._path)
        if split not in index.datasets:
            raise ConfigError(f'{root}: no data set {split!r} in this pack; there are: '
                              f'{", ".join(index.datasets)}')
        packed = index.datasets[split]
        self._class_table = packed.class_table
        self._records = [index.records[number] for number in packed.samples]

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """Those of the data set that was packed."""
        return () if self._class_table is None else table_classes(self._class_table)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Sample:
        """
        Read one sample.

        :raises IndexError: outside of 0..length - 1.
        :raises ConfigError: when its bytes are not what was packed.
        """
        return decode(split(read_record(self._path, self._records[index])))
