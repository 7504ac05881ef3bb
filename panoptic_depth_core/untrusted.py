# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Reading files that may be damaged or made to do harm.

What they throw becomes a ConfigError in one place, ``reading``; what they may cost in pixels,
bytes and time is set in one place, ``InputLimits``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import BackendError, ConfigError, in_words

_PREFIX = 'PANOPTIC_DEPTH_'
_MOST_OF_AN_ERROR = 200


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
    except (ConfigError, BackendError):
        raise
    except OSError as error:
        if error.strerror is None:
            raise _damaged(path, what, remedy, error) from error
        raise ConfigError(f'{path}: cannot be read: {error.strerror}; check the path') from error
    # Damaged files make parsers raise nearly anything.
    except Exception as error:
        raise _damaged(path, what, remedy, error) from error


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


def parse_yaml(text: str | bytes, path: Path | str, what: str = 'valid YAML',
               remedy: str = 'mend the file') -> Any:
    """Values of the first document of a YAML text; see reading."""
    with reading(path, what, remedy):
        return yaml.safe_load(text)


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
