# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Reading files that may be damaged or made to do harm.

What they throw becomes a ConfigError in one place, ``reading``; what they may cost in pixels,
bytes and time is set in one place, ``InputLimits``.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import stat
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import BackendError, ConfigError, in_words

_PREFIX = 'PANOPTIC_DEPTH_'
_MOST_OF_AN_ERROR = 200
_LEAST_OF_ALIASES = 1 << 16


class InputLimits(BaseModel):
    """What one input may cost, so that a small file cannot take the memory of a machine."""

    model_config = ConfigDict(frozen=True)

    max_pixels: int = Field(1 << 27, gt=0, description='pixels of a picture or a map')
    max_bytes: int = Field(1 << 30, gt=0, description='bytes of a file, a chunk or a message '
                           'after it is decompressed')
    max_seconds: float = Field(60.0, gt=0, description='time for one query of a bag')


def input_limits() -> InputLimits:
    """
    The limits, of which environment variables such as PANOPTIC_DEPTH_MAX_PIXELS set others.

    :raises ConfigError: a variable holds no such value.
    """
    names = {name: _PREFIX + name.upper() for name in InputLimits.model_fields}
    given = {name: os.environ[variable] for name, variable in names.items()
             if variable in os.environ}
    try:
        return InputLimits(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first['loc'][0])
        raise ConfigError(f'{names[name]} is {given[name]!r}: {first["msg"]}; set it to another '
                          'value or remove it') from None


def too_large(what: str, limit: str) -> ConfigError:
    """
    The error of an input beyond a limit.

    :param what: it, as 'picture.png: is decompressed'.
    :param limit: name of the field of InputLimits.
    """
    value = getattr(input_limits(), limit)
    return ConfigError(f'{what}: more than {value} {limit.removeprefix("max_")}; if it is to be '
                       f'read, set {_PREFIX}{limit.upper()} to more')


@contextmanager
def reading(path: Path | str, what: str, remedy: str) -> Iterator[None]:
    """
    Turn whatever reading a file throws into a ConfigError that names the file.

    Only the reading belongs into the body: a mistake of this program there would blame the file.

    :param what: the file should be, as 'a model directory of this program'.
    :param remedy: as 'copy it again'.
    """
    try:
        yield
    except BackendError:
        raise
    except ConfigError as error:
        if str(path) in str(error):
            raise
        raise ConfigError(f'{path}: {error}') from error
    except OSError as error:
        if error.strerror is None:
            raise _damaged(path, what, remedy, error) from error
        raise ConfigError(f'{path}: cannot be read: {error.strerror}; check the path') from error
    # Damaged files make parsers raise nearly anything.
    except Exception as error:
        raise _damaged(path, what, remedy, error) from error


def read_bytes(path: Path | str) -> bytes:
    """
    Content of a file.

    :raises ConfigError: it is a pipe or a device, of which reading may never end, is larger than
        the limit of bytes, or is a Git LFS pointer; OSError passes.
    """
    with open(path, 'rb', opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ConfigError(f'{path}: is a pipe or a device; give a file')
        limit = input_limits().max_bytes
        found = file.read(limit + 1)
    if len(found) > limit:
        raise too_large(str(path), 'max_bytes')
    if is_lfs_pointer(found):
        raise lfs_pointer(path)
    return found


def _without_waiting(path: str, flags: int) -> int:
    """Open, but never wait for the other end of a pipe."""
    return os.open(path, flags | getattr(os, 'O_NONBLOCK', 0))


def read_text(path: Path | str) -> str:
    """Content of a text file in UTF-8, without a mark at its begin; see read_bytes."""
    return read_bytes(path).decode('utf-8-sig')


_LFS = b'version https://git-lfs.github.com/spec/v'
"""How a pointer of Git LFS begins (https://github.com/git-lfs/git-lfs, docs/spec.md)."""


def is_lfs_pointer(head: bytes) -> bool:
    """Whether a file that begins like this stands in for one that Git LFS has not fetched."""
    return head.startswith(_LFS)


def lfs_pointer(path: Path | str) -> ConfigError:
    """The error of such a file."""
    return ConfigError(f'{path}: is only a Git LFS pointer to the file; get the file with '
                       "'git lfs pull'")


def _damaged(path: Path | str, what: str, remedy: str, error: Exception) -> ConfigError:
    with suppress(OSError), Path(path).open('rb') as file:
        if is_lfs_pointer(file.read(len(_LFS))):
            return lfs_pointer(path)
    reason = in_words(error)
    if len(reason) > _MOST_OF_AN_ERROR:
        reason = f'{reason[:_MOST_OF_AN_ERROR]} ...'
    return ConfigError(f'{path}: is damaged or is not {what} ({reason}); {remedy}')


def parse_json(text: str | bytes, path: Path | str, what: str = 'valid JSON',
               remedy: str = 'mend the file') -> Any:
    """Values of a JSON text; see reading."""
    with reading(path, what, remedy):
        return json.loads(text)


def read_json(path: Path | str, what: str = 'valid JSON', remedy: str = 'mend the file') -> Any:
    """Values of a JSON file in UTF-8; see reading."""
    with reading(path, what, remedy):
        return json.loads(read_text(path))


def parse_yaml(text: str | bytes, path: Path | str, what: str = 'valid YAML',
               remedy: str = 'mend the file') -> Any:
    """
    Values of the first document of a YAML text that holds any; see reading.

    Aliases may stand for no more values than a text of this length could hold without them: nine
    lists of nine aliases each are 10^9 values once somebody shows them.
    """
    with reading(path, what, remedy):
        # What ros2 topic echo writes ends with the begin of another document.
        found = next((d for d in yaml.load_all(text, _Loader) if d is not None), None)
        if (count := _values_in(found, {})) > max(len(text), _LEAST_OF_ALIASES):
            raise ValueError(f'its aliases stand for {count} values')
        return found


class _Loader(yaml.SafeLoader):
    """SafeLoader whose merges (<<) take no more entries than its text may stand for values."""

    def __init__(self, text: str | bytes) -> None:
        super().__init__(text)
        self._most = max(len(text), _LEAST_OF_ALIASES)
        self._merged = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Copy the entries of what is merged, which may have merged others itself."""
        for key, value in node.value:
            if key.tag == 'tag:yaml.org,2002:merge':
                for merged in (value.value if isinstance(value, yaml.SequenceNode) else [value]):
                    if isinstance(merged, yaml.MappingNode):
                        self.flatten_mapping(merged)
                        self._merged += len(merged.value)
                    if self._merged > self._most:
                        raise ValueError(f'its merges stand for more than {self._most} values')
        super().flatten_mapping(node)


def _values_in(value: Any, known: dict[int, float]) -> float:
    """How many values a value holds, those of aliases as often as they are there."""
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) not in known:
        # In itself: without an end.
        known[id(value)] = math.inf
        inside = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_values_in(v, known) for v in inside)
    return known[id(value)]


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def decompress(decompressor: _Decompressor, data: bytes, what: str,
               stated: int | None = None) -> bytes:
    """
    Decompress within the limit of bytes.

    :param decompressor: a new one of zstd, lz4, zlib, lzma or bz2; its errors pass.
    :param what: for the error, as 'drive.mcap: a chunk is decompressed'.
    :param stated: the size in bytes that the data ought to have; of more, one byte more is given.
    """
    limit = input_limits().max_bytes
    most = limit if stated is None else min(limit, stated)
    found = bytes(decompressor.decompress(data, most + 1))
    if len(found) > limit:
        raise too_large(what, 'max_bytes')
    return found


def gunzip(data: bytes, what: str) -> bytes:
    """
    Decompress a whole gzip file within the limit of bytes.

    :param what: see decompress; what gzip throws at damaged data passes.
    """
    limit = input_limits().max_bytes
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        found = file.read(limit + 1)
    if len(found) > limit:
        raise too_large(what, 'max_bytes')
    return found


def array_of(data: bytes) -> NDArray[Any]:
    """
    Array in the bytes of an .npy, whose memory they bound.

    :raises Exception: nearly any, if they are damaged; see reading.
    """
    file = io.BytesIO(data)
    is_first = np.lib.format.read_magic(file) == (1, 0)
    shape, _, dtype = (np.lib.format.read_array_header_1_0 if is_first
                       else np.lib.format.read_array_header_2_0)(file)
    if math.prod(shape) * dtype.itemsize > len(data) - file.tell():
        raise ValueError(f'an array of shape {shape} is cut off')
    file.seek(0)
    found: NDArray[Any] = np.load(file, allow_pickle=False)
    return found


def arrays_of(path: Path | str) -> dict[str, NDArray[Any]]:
    """
    All arrays of an .npz, which together are within the limit of bytes.

    :raises Exception: nearly any, if it is damaged; see reading.
    """
    with zipfile.ZipFile(path) as archive:
        require_members(archive.infolist(), f'{path}: its arrays have')
        return {name.removesuffix('.npy'): array_of(archive.read(name))
                for name in archive.namelist()}


def require_members(members: Sequence[zipfile.ZipInfo], what: str) -> None:
    """
    Check that members of a ZIP can be read within the limit of bytes, all together.

    Other compressions than deflate, which nobody needs here, take what memory their data ask for.

    :param what: for the error, as 'self_test.npz: its arrays have'.
    :raises ValueError: another compression.
    """
    if any(m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for m in members):
        raise ValueError('a member has another compression than deflate')
    if sum(member.file_size for member in members) > input_limits().max_bytes:
        raise too_large(what, 'max_bytes')
