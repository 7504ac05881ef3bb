# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that are there in full or not at all, and errors of the disk in words."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from .errors import ConfigError

_REMEDIES = {
    errno.ENOSPC: 'free some space or choose another folder; what was written before is kept, '
                  'and the same command goes on from there',
    errno.EDQUOT: 'raise the quota or choose another folder; what was written before is kept',
    errno.EACCES: 'change its permissions or choose another folder',
    errno.EPERM: 'change its permissions or choose another folder',
    errno.EROFS: 'choose a folder on a disk that can be written to',
    errno.ENOTDIR: 'a file is in the place of a folder; choose another path',
    errno.EEXIST: 'a file is in the place of a folder; choose another path',
    errno.EISDIR: 'a folder is in the place of a file; choose another path',
    errno.ENAMETOOLONG: 'choose a shorter path',
}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """
    Turn errors of the disk into one line that names the path and the remedy.

    :raises ConfigError: for an OSError, or an error of an sqlite3 storage, raised inside.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = _REMEDIES.get(error.errno or 0, 'check the path and the disk')
        raise ConfigError(f'{path}: cannot be written: {reason}; {remedy}') from error
    except sqlite3.Error as error:
        remedy = _REMEDIES[errno.ENOSPC] if 'full' in str(error) else 'check the disk'
        raise ConfigError(f'{path}: cannot be written: {error}; {remedy}') from error


def make_folder(path: Path) -> Path:
    """Make a folder with its parents, if it is not there yet."""
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def require_absent(path: Path, overwrite: bool) -> None:
    """
    Check that nothing is lost by writing to a path.

    :raises ConfigError: it exists, and is not to be overwritten.
    """
    if path.exists() and not overwrite:
        raise ConfigError(f'{path}: exists already; remove it, choose another path, or ask to '
                          'overwrite it')


def write_atomic(path: Path, data: bytes | Callable[[Path], None], sync: bool = False) -> None:
    """
    Write a file so that a reader, or a crash, never sees half of it.

    :param data: the bytes, or a function that writes them to the path it is given; that path
        has the same suffix.
    :param sync: also survive a power cut, for small files that others depend on.
    :raises ConfigError: disk full, no permission ...; the old file, if any, is still there.
    """
    temporary = path.with_name(f'.{path.stem}.{os.getpid()}.tmp{path.suffix}')
    with disk_errors(path):
        try:
            if callable(data):
                data(temporary)
            else:
                temporary.write_bytes(data)
            if sync:
                with temporary.open('rb') as file:
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


class WholeFile(ABC):
    """A file that grows while it is written, and is there in full at the end or not at all."""

    @abstractmethod
    def close(self) -> None:
        """
        Finish the file; without anything in it none is made.

        :raises ConfigError: disk full ...; nothing is left of the file then.
        """

    @abstractmethod
    def abort(self) -> None:
        """Drop the file."""

    def __enter__(self: _File) -> _File:
        """Be usable in a with statement."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Finish the file; after an error leave nothing."""
        if kind is None:
            self.close()
        else:
            self.abort()


_File = TypeVar('_File', bound=WholeFile)


class JsonLines:
    """
    A file of one JSON object per line that is only ever appended to.

    A last line that a crash left unfinished is cut off when the file is opened.

    :param path: made if it is not there.
    :param key: the member of every object that names it.
    :raises ConfigError: when it cannot be read or written, or a line in the middle is broken.
    """

    def __init__(self, path: Path, key: str = 'name') -> None:
        self.path = path
        self._key = key
        self.names: set[str] = set()
        with disk_errors(path):
            self._file = path.open('a+b', buffering=0)
            try:
                self._size = self._scan()
                self._file.truncate(self._size)
            except BaseException:
                self._file.close()
                raise

    def _scan(self) -> int:
        """Collect the names; return the length in bytes of the whole lines."""
        end = 0
        with self.path.open('rb') as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b'\n'):
                    break
                try:
                    self.names.add(str(json.loads(line)[self._key]))
                except (ValueError, KeyError, TypeError):
                    # Zeros at the end are what some file systems leave after a power cut.
                    if not file.read(1):
                        break
                    raise ConfigError(
                        f'{self.path}: line {number} is no JSON object with a '
                        f'{self._key!r}; mend or remove the file') from None
                end += len(line)
        return end

    def append(self, record: dict[str, Any]) -> None:
        """
        Add one line; on failure the file is as it was before.

        :raises ConfigError: disk full ...
        """
        line = json.dumps(record, allow_nan=False, separators=(',', ':')).encode() + b'\n'
        with disk_errors(self.path):
            try:
                if self._file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except BaseException:
                with suppress(OSError):
                    self._file.truncate(self._size)
                raise
        self._size += len(line)
        self.names.add(str(record[self._key]))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Every object, oldest first."""
        with self.path.open('rb') as file:
            for line in file:
                yield json.loads(line)

    def close(self) -> None:
        """Close it, on the disk for good."""
        if self._file.closed:
            return
        with disk_errors(self.path):
            try:
                os.fsync(self._file.fileno())
            finally:
                self._file.close()
