# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that are complete or absent, and disk errors as messages with a remedy."""

from __future__ import annotations

import errno
import json
import os
import re
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
    errno.ENOENT: 'its folder was removed, or its disk; give the command again',
    errno.EFBIG: 'the disk or a limit (ulimit -f) allows no file of this size; raise it or choose '
                 'another folder',
}
_MOST_OF_A_STEM, _MOST_OF_A_SUFFIX = 64, 16
"""Of temporary files."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError or sqlite3.Error into a ConfigError with the path and the remedy."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        number = error.errno or 0
        # numpy says neither number nor reason of what it could not write in full.
        if not number and 'requested' in reason and 'written' in reason:
            number, reason = errno.ENOSPC, os.strerror(errno.ENOSPC)
        remedy = _REMEDIES.get(number, 'check the path and the disk')
        raise ConfigError(f'{path}: cannot be written: {reason}; {remedy}') from error
    except sqlite3.Error as error:
        remedy = _REMEDIES[errno.ENOSPC] if 'full' in str(error) else 'check the disk'
        raise ConfigError(f'{path}: cannot be written: {error}; {remedy}') from error


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Key that sorts names by the numbers in them: frame_10 comes after frame_9."""
    return [(int(word), '') if word.isdecimal() else (-1, word)
            for word in re.split(r'(\d+)', name)], name


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
    temporary = _temporary(path)
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


def _temporary(path: Path) -> Path:
    """A hidden name beside a path, of the same suffix; a long name is cut."""
    suffix = path.suffix if len(path.suffix) <= _MOST_OF_A_SUFFIX else ''
    return path.with_name(f'.{_cut(path.stem)}.{os.getpid()}.tmp{suffix}')


def _cut(name: str, most: int = _MOST_OF_A_STEM) -> str:
    """A name of at most so many bytes; the cut may be within a character."""
    return os.fsencode(name)[:most].decode(errors='ignore')


class OutputFolder:
    """
    A folder that results go into.

    A program that has a file open in it would go on to write when it is gone, and lose everything.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk_errors(path):
            self._state = os.stat(path)

    def check(self) -> None:
        """Raise ConfigError if it was removed or replaced since."""
        with suppress(OSError):
            if os.path.samestat(os.stat(self.path), self._state):
                return
        raise ConfigError(f'{self.path}: was removed or replaced while results were written into '
                          'it, so they are lost; give the command again')


def longest_name(folder: Path) -> int:
    """Bytes that the file system allows for a name."""
    try:
        return os.pathconf(folder, 'PC_NAME_MAX')
    except (AttributeError, OSError, ValueError):
        return 255


class InputFiles:
    """
    The files of an input as they were when it was opened.

    :param path: a file or a folder.
    """

    def __init__(self, path: Path) -> None:
        self._sizes = {file: file.stat().st_size for file in (
            path.iterdir() if path.is_dir() else [path]) if file.is_file()}

    def lost(self) -> str:
        """What of them is gone since; empty if nothing is."""
        for file, size in self._sizes.items():
            try:
                if file.stat().st_size >= size:
                    continue
                return f'{file}: became shorter while it was read'
            except OSError:
                return f'{file}: was removed while it was read'
        return ''


@contextmanager
def lock_folder(folder: Path) -> Iterator[OutputFolder]:
    """
    Keep other programs from writing into a folder, which is made if it is not there.

    Where the system or the disk has no locks there is none.

    :raises ConfigError: another program has the folder, or it cannot be written.
    """
    is_new = not folder.exists()
    try:
        with _locked(make_folder(folder) / '.lock', folder):
            yield OutputFolder(folder)
    finally:
        if is_new:
            # Only if nothing was written.
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """As lock_folder, for one file; others may write others into its folder."""
    make_folder(path.parent)
    with _locked(path.with_name(f'.{_cut(path.name, 240)}.lock'), path):
        yield


@contextmanager
def _locked(path: Path, what: Path) -> Iterator[None]:
    """Hold a lock while ``what`` is written, and remove its file at the end."""
    handle = None
    with disk_errors(path):
        try:
            from .locks import lock_holder, try_lock

            handle = try_lock(path)
            if handle is None:
                raise ConfigError(f'{what}: process {lock_holder(path)} writes into it; wait for '
                                  'its end or choose another path')
        except ImportError:
            pass
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
    try:
        yield
    finally:
        if handle is not None:
            # While it is locked: who opened it meanwhile sees that it is gone. In a folder that
            # was replaced it may be that of another program.
            with suppress(OSError):
                if os.path.samestat(os.fstat(handle), os.stat(path)):
                    path.unlink()
            os.close(handle)


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
                except (ValueError, KeyError, TypeError):
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
                if not os.fstat(self._file.fileno()).st_nlink:
                    raise FileNotFoundError(errno.ENOENT, 'it was removed')
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
        with disk_errors(self.path), self.path.open('rb') as file:
            for line in file:
                yield json.loads(line)

    def close(self) -> None:
        """Close it, on the disk for good."""
        if self._file.closed:
            return
        with disk_errors(self.path):
            try:
                os.fsync(self._file.fileno())
                if not os.fstat(self._file.fileno()).st_nlink:
                    raise FileNotFoundError(errno.ENOENT, 'it was removed')
            finally:
                self._file.close()


def plain(value: Any, default: Callable[[Any], Any] | None = None) -> Any:
    """
    Return a value as JSON gives it back; NaN and Inf, which JSON does not know, are None.

    :param default: makes what JSON can hold of anything else, such as str of a path.
    """
    return json.loads(json.dumps(value, default=default), parse_constant=lambda _: None)
