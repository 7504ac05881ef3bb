# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Which files a bag has, and what they are.

metadata.yaml is believed only as far as the folder agrees: an interrupted recording has none or
an old one, and a single part of a split one has a wrong one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ...errors import ConfigError
from ...untrusted import is_lfs_pointer, lfs_pointer, parse_yaml, read_bytes, reading
from . import mcap_files, sqlite_files
from .compression import COMPRESSIONS, FILE_SUFFIXES, plain_name
from .records import Report, StorageFile


class Storage(NamedTuple):
    """One storage format: its name in metadata.yaml, how its files begin, their reader."""

    name: str
    magic: bytes
    open: Callable[[Path, Report], StorageFile]


STORAGES = {
    '.db3': Storage('sqlite3', sqlite_files.MAGIC, sqlite_files.SqliteFile),
    '.mcap': Storage('mcap', mcap_files.MAGIC, mcap_files.McapFile),
}
STORAGE_SUFFIXES = tuple(STORAGES)

_METADATA = 'metadata.yaml'
_ROOT = 'rosbag2_bagfile_information'
_MOST_METADATA = 1 << 26
_CONVERT = 'convert it with rosbags-convert first'
_ROS1_MAGIC = b'#ROSBAG V'


def open_storage(path: Path, name: str, report: Report) -> StorageFile:
    """
    Open a storage file by its content, a damaged one by its name.

    :param name: of the file, for messages.
    :raises ConfigError: it is none, or nothing of it can be read.
    """
    with path.open('rb') as file:
        head = file.read(64)
    if is_lfs_pointer(head):
        raise lfs_pointer(name)
    if head.startswith(_ROS1_MAGIC):
        raise ConfigError(f'{name}: is a ROS 1 bag; {_CONVERT}')
    if not head and not sqlite_files.sidecar(path):
        raise ConfigError(f'{name}: is empty')
    kinds = [s for s in STORAGES.values() if head.startswith(s.magic)] or [
        s for suffix, s in STORAGES.items() if path.suffix.lower() == suffix]
    if not kinds:
        raise ConfigError(f'{name}: is of no known storage format; '
                          f'{" and ".join(s.name for s in STORAGES.values())} are read')
    with reading(path, f'a recording of {kinds[0].name}', 'copy it again'):
        return kinds[0].open(path, report)


def _is_storage(path: Path) -> bool:
    return plain_name(path.name).lower().endswith(STORAGE_SUFFIXES) and path.is_file()


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts part_10 after part_9."""
    return [(int(word), '') if word.isdecimal() else (-1, word)
            for word in re.split(r'(\d+)', path.name)]


def _is_metadata(path: Path) -> bool:
    """Whether a metadata.yaml is that of a bag: pictures may have one, too."""
    if not path.is_file():
        return False
    with path.open('rb') as file:
        return _ROOT.encode() in file.read(1 << 16)


def is_bag(path: Path) -> bool:
    """Whether a path is a bag folder or a storage file."""
    if path.is_dir():
        with reading(path, 'a folder', 'check its rights'):
            return any(_is_storage(p) for p in path.iterdir()) or _is_metadata(path / _METADATA)
    return _is_storage(path)


def ros1_bag(path: Path) -> str:
    """Say that a path is a ROS 1 bag, or a folder of them; empty where it is not."""
    if path.is_file() and path.suffix.lower() == '.bag':
        return f'{path}: is a ROS 1 bag; {_CONVERT}'
    found = sorted(path.glob('*.bag')) if path.is_dir() else []
    return f'{path}: holds a ROS 1 bag, {found[0].name}; {_CONVERT}' if found else ''


def _metadata(path: Path, report: Report) -> dict[str, Any]:
    """The content of metadata.yaml; empty where it is missing or cannot be used."""
    file = path / _METADATA
    if not file.is_file():
        return {}
    try:
        with reading(file, 'a metadata.yaml', 'it is not needed'):
            if file.stat().st_size > _MOST_METADATA:
                raise ValueError('it is too large')
            found = parse_yaml(read_bytes(file), file)[_ROOT]
            if not isinstance(found.get('relative_file_paths'), list):
                raise ValueError('it names no files')
    except ConfigError:
        report(f'{file}: cannot be read; all storage files are taken')
        return {}
    return dict(found)


def _look_for(name: str, folder: Path) -> Path | None:
    """
    A file that metadata.yaml names.

    Up to version 3 (Foxy) names begin with that of the folder; later ones are relative to it. It
    may have been compressed or decompressed since.
    """
    path = PurePosixPath(name.replace('\\', '/'))
    places = [folder / path.name] if path.is_absolute() else [folder / path, folder / path.name]
    places.append(Path(path))
    for place in places:
        plain = place.with_name(plain_name(place.name))
        for file in (place, plain, *(plain.with_name(plain.name + s) for s in FILE_SUFFIXES)):
            if file.is_file():
                return file
    return None


def _list(names: Iterable[str]) -> str:
    found = sorted(names)
    return ', '.join(found[:5]) + (', ...' if len(found) > 5 else '')


def _stem(path: Path) -> str:
    """What the parts of a bag share in their names."""
    return re.sub(r'_?\d*$', '', Path(plain_name(path.name)).stem)


def storage_files(path: Path, report: Report) -> list[Path]:
    """
    Storage files of a bag.

    :param report: takes a line for each problem that leaves some files readable.
    :raises ConfigError: when there is none.
    """
    if not path.is_dir():
        if not _is_storage(path):
            raise ConfigError(ros1_bag(path) or f'{path}: is no bag; give a folder, or a file '
                              f'ending in {" or ".join(STORAGE_SUFFIXES)}')
        return [path]
    with reading(path, 'a folder', 'check its rights'):
        there = sorted((p for p in path.iterdir() if _is_storage(p)), key=_natural)
    # Of a file and its compressed form, one is read: the plain one, since it is whole.
    present = list({plain_name(p.name): p for p in sorted(
        there, key=lambda p: p.name == plain_name(p.name))}.values())
    present.sort(key=_natural)
    information = _metadata(path, report)
    _report_kind(path, information, report)
    names = [name for name in information.get('relative_file_paths', ()) if isinstance(name, str)]
    found = {name: _look_for(name, path) for name in names}
    files = list(dict.fromkeys(file for file in found.values() if file is not None))
    if missing := [name for name, file in found.items() if file is None]:
        report(f'{_list(missing)}: part of the bag, but missing; its messages are left out')
    if not files:
        if names and present:
            report(f'{path / _METADATA}: names none of the storage files there; all are taken')
        if not present:
            raise ConfigError(ros1_bag(path) or f'{path}: a bag without a storage file '
                              f'({", ".join(STORAGE_SUFFIXES)}); copy the whole folder')
        return present
    known = {plain_name(file.name) for file in files}
    stems = {_stem(file) for file in files}
    further = [file for file in present if plain_name(file.name) not in known]
    if parts := [file for file in further if _stem(file) in stems]:
        # A recorder that was killed did not come to name them.
        report(f'{_list(p.name for p in parts)}: not named in {_METADATA}, but named like a part '
               'of the bag; read too')
    if others := [file for file in further if _stem(file) not in stems]:
        report(f'{_list(p.name for p in others)}: not named in {_METADATA}; left out')
    return files + parts


def _report_kind(path: Path, information: dict[str, Any], report: Report) -> None:
    """Name a storage or a compression that is not read."""
    storage = information.get('storage_identifier') or ''
    if storage and storage not in {s.name for s in STORAGES.values()}:
        report(f'{path / _METADATA}: the storage is {str(storage)[:50]!r}; '
               f'{" and ".join(s.name for s in STORAGES.values())} are read')
    mode = str(information.get('compression_mode') or '')[:20].lower()
    kind = str(information.get('compression_format') or '')[:20]
    if mode not in ('', 'none') and kind not in COMPRESSIONS:
        report(f'{path / _METADATA}: the compression is {kind!r}; '
               f'{" and ".join(COMPRESSIONS)} are read')
