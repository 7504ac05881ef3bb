# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that are complete or absent, and disk errors as messages with a remedy."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import ConfigError

_REMEDIES = {
    errno.ENOSPC: 'free some space or choose another folder; what was written before is kept, '
                  'and the same command goes on from there',
    errno.EDQUOT: 'raise the quota or choose another folder; what was written before is kept',
    **dict.fromkeys((errno.EACCES, errno.EPERM),
                    'change its permissions or choose another folder'),
    errno.EROFS: 'choose a folder on a disk that can be written to',
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST),
                    'a file is in the place of a folder; choose another path'),
    errno.EISDIR: 'a folder is in the place of a file; choose another path',
    errno.ENAMETOOLONG: 'choose a shorter path',
}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError or sqlite3.Error into a ConfigError with the path and the remedy."""
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
    """Refuse to write over what is there, unless ``overwrite`` is set."""
    if path.exists() and not overwrite:
        raise ConfigError(f'{path}: exists already; remove it, choose another path, or ask to '
                          'overwrite it')


def write_atomic(path: Path, data: bytes | Callable[[Path], None], sync: bool = False,
                 mode: int | None = None) -> None:
    """
    Write a file so that a reader, or a crash, never sees half of it.

    :param data: the bytes, or a function that writes to a path of the same suffix.
    :param sync: also survive a power cut; for small files that others depend on.
    :param mode: permissions, which nobody exceeds at any time; None: those of a new file.
    :raises ConfigError: disk full, no permission ...; an old file stays.
    """
    temporary = path.with_name(f'.{path.stem}.{os.getpid()}.tmp{path.suffix}')
    with disk_errors(path):
        try:
            if mode is not None:
                temporary.unlink(missing_ok=True)
                temporary.touch(mode & 0o600, exist_ok=False)
            if callable(data):
                data(temporary)
            else:
                temporary.write_bytes(data)
            if mode is not None:
                temporary.chmod(mode)
            if sync:
                with temporary.open('rb') as file:
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """
    Keep other programs from writing into a folder, which is made if it is not there.

    Where the system or the disk has no locks there is none.

    :raises ConfigError: another program has the folder, or it cannot be written.
    """
    is_new = not folder.exists()
    path = make_folder(folder) / '.lock'
    handle = None
    with disk_errors(path):
        try:
            from .locks import lock_holder, try_lock

            handle = try_lock(path)
            if handle is None:
                raise ConfigError(f'{folder}: process {lock_holder(path)} writes into it; wait '
                                  'for its end or choose another folder')
        except ImportError:
            pass
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
    try:
        yield
    finally:
        if handle is not None:
            # While it is locked: who opened it meanwhile sees that it is gone.
            with suppress(OSError):
                path.unlink()
            os.close(handle)
        if is_new:
            # Only if nothing was written.
            with suppress(OSError):
                folder.rmdir()


class JsonLines:
    """
    A file of one JSON object per line that is only ever appended to.

    Every object has a 'name'. A last line that a crash left unfinished is cut off on opening.

    :param path: made if it is not there.
    :raises ConfigError: when it cannot be read or written, or a line in the middle is broken.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
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
                    self.names.add(str(json.loads(line)['name']))
                except (ValueError, KeyError, TypeError, RecursionError):
                    # Zeros at the end are what some file systems leave after a power cut.
                    if not file.read(1):
                        break
                    raise ConfigError(f"{self.path}: line {number} is no JSON object with a "
                                      "'name'; mend or remove the file") from None
                end += len(line)
        return end

    def append(self, record: dict[str, Any]) -> None:
        """Add one line; on a ConfigError, as of a full disk, the file is as it was before."""
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
        self.names.add(str(record['name']))

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


def plain(value: Any, default: Callable[[Any], Any] | None = None) -> Any:
    """
    Return a value as JSON gives it back; NaN and Inf, which JSON does not know, are None.

    :param default: makes what JSON can hold of anything else, such as str of a path.
    """
    return json.loads(json.dumps(value, default=default), parse_constant=lambda _: None)
