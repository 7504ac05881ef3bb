# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Compression of messages, chunks and whole storage files, within limits."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import shutil
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import lz4.frame

from ...errors import ConfigError
from ...untrusted import decompress, input_limits, too_large
from .records import Report

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


class Compression(NamedTuple):
    """One format: how its data begin, and a decompressor of one frame."""

    magic: bytes
    decompressor: Callable[[], Any]


COMPRESSIONS = {
    'zstd': Compression(b'\x28\xb5\x2f\xfd', zstd.ZstdDecompressor),
    'lz4': Compression(b'\x04\x22\x4d\x18', lz4.frame.LZ4FrameDecompressor),
}
"""What recorders use; see rosbag2_compression and https://mcap.dev/spec/registry."""
MAGICS = {kind.magic: name for name, kind in COMPRESSIONS.items()}

_OPEN: dict[str, Callable[[Path], Any]] = {
    '.zstd': zstd.open, '.lz4': lz4.frame.open,
    # Compressed by hand.
    '.zst': zstd.open, '.gz': gzip.open, '.xz': lzma.open, '.bz2': bz2.open}
FILE_SUFFIXES = tuple(_OPEN)

ERRORS = (zstd.ZstdError, RuntimeError, EOFError, ValueError, zlib.error, lzma.LZMAError)
"""What the decompressors throw at damaged data; OSError too, where they read a file."""

_MOST_RATIO = 100
_BLOCK = 1 << 20
_KEPT_FREE = 1 << 28


def expand(name: str, data: bytes, what: str, stated: int | None = None) -> bytes:
    """
    Decompress the frames of a message or a chunk; of one that is cut off, what is there.

    :param name: a key of COMPRESSIONS.
    :param what, stated: see untrusted.decompress.
    :raises ConfigError: more than the limit of bytes; damage raises ERRORS.
    """
    found, size = [], 0
    while data and (stated is None or size < stated):
        frame = COMPRESSIONS[name].decompressor()
        found.append(decompress(frame, data, what, None if stated is None else stated - size))
        size += len(found[-1])
        if size > input_limits().max_bytes:
            raise too_large(what, 'max_bytes')
        data = frame.unused_data or b'' if frame.eof else b''
    return found[0] if len(found) == 1 else b''.join(found)


def expand_message(data: bytes, topic: str) -> bytes:
    """
    Undo the compression of a message that begins like one of MAGICS.

    Only metadata.yaml names the mode, and a single file has none; but no CDR begins like these.
    """
    try:
        return expand(MAGICS[data[:4]], data, f'{topic}: a message is decompressed')
    except ConfigError:
        raise
    except ERRORS:
        return data


def plain_name(name: str) -> str:
    """The name of a storage file without the suffix of its compression."""
    lower = name.lower()
    suffix = next((suffix for suffix in FILE_SUFFIXES if lower.endswith(suffix)), '')
    return name[:len(name) - len(suffix)]


def is_compressed(path: Path) -> bool:
    """Whether the name of a file says so."""
    return path.name != plain_name(path.name)


def expand_file(path: Path, folder: Path, report: Report) -> Path:
    """
    Decompress a whole storage file into a folder; of one that is cut off, what is there.

    It may grow to the limit of bytes or, if that is more, to 100 times its size, and leaves
    256 MiB of the disk free.

    :raises ConfigError: beyond the limits, or the disk is full; nothing is left behind then.
    """
    target = folder / str(len(list(folder.iterdir()))) / plain_name(path.name)
    target.parent.mkdir()
    most = max(input_limits().max_bytes, _MOST_RATIO * path.stat().st_size)
    with _OPEN[path.suffix.lower()](path) as compressed:
        try:
            with target.open('wb') as output:
                _copy(compressed, output, path, most, report)
        except OSError as error:
            target.unlink(missing_ok=True)
            raise ConfigError(
                f'{path}: cannot be decompressed into {folder}: {error.strerror or error}; set '
                'TMPDIR to a folder with more space') from None
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return target


def _copy(source: Any, output: BinaryIO, path: Path, most: int, report: Report) -> None:
    written = 0
    while True:
        try:
            # More at once would be lost where its end is damaged.
            block = source.read1(_BLOCK)
        except ERRORS:
            report(f'{path.name}: is cut off or damaged; what could be decompressed is read')
            return
        except OSError as error:
            # gzip and bz2 say so of damaged data.
            if error.errno is not None:
                raise
            report(f'{path.name}: is cut off or damaged; what could be decompressed is read')
            return
        if not block:
            return
        written += len(block)
        if written > most:
            raise too_large(f'{path}: is decompressed, to over {_MOST_RATIO} times its size',
                            'max_bytes')
        if shutil.disk_usage(path=output.name).free < _KEPT_FREE:
            raise OSError(errno.ENOSPC, 'No space left on device')
        output.write(block)
