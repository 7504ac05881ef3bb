# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Finished parts of a report on the disk, from which an interrupted run continues.

A file is one line of JSON, which says whose part it is, and then the part by ``stored_values``. A
report folder may come from anywhere: a forged part gives wrong numbers and can do no more.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...files import disk_errors, make_folder, write_atomic
from ...labels import ClassInfo
from ...untrusted import gunzip, input_limits, read_bytes, reading, too_large
from ..metrics.table import ranking_kinds
from ..settings import RecordingSettings
from .evaluate_bag import BagPart, BagSummary
from .scoring import BagScore, StepTimes
from .stored_values import from_bytes, to_bytes

SUFFIX = '.part'

_log = logging.getLogger(__name__)

_MOST_OF_NAME = 60
_FILES = f'*-{"[0-9a-f]" * 16}{SUFFIX}'

_FORMAT = f'{__name__.partition(".")[0]} part 2'
_CONTENT = tuple[tuple[ClassInfo, ...], bytes]
"""Classes, and the part, whose arrays have the shapes that the classes give them."""


def save_part(folder: Path, name: str, part: BagPart, key: str = '') -> Path:
    """
    Write a finished part, in full or not at all.

    :param folder: created if missing.
    :param name: of the recording; any text.
    :param part: of a recording that could be scored.
    :param key: stands for all that the part depends on.
    :raises ConfigError: disk full, no permission ...
    """
    assert part.score is not None, 'a part that failed is not kept'
    rules = part.score.rules
    data = to_bytes((rules.classes, to_bytes(part, BagPart, _blank(
        name, rules.classes, rules.recording))), _CONTENT)
    path = make_folder(folder) / file_name(name)
    write_atomic(path, json.dumps(_header(name, key, data)).encode() + b'\n' + data)
    return path


def load_part(folder: Path, name: str, settings: RecordingSettings, key: str = '', *,
              is_ours: bool = False) -> BagPart | None:
    """
    Read the part of a recording that was written with the same key.

    :param settings: that it was scored with.
    :param is_ours: it was read or written before in this run; others are merged and shown once to
        see whether they can be.
    :returns: the part; None if there is none, it has another key, or the file is damaged.
    """
    path = folder / file_name(name)
    if not path.exists():
        return None
    try:
        with reading(path, 'a part of a report', 'its recording is run again'):
            if path.stat().st_size > input_limits().max_bytes:
                raise too_large(f'{path}: has', 'max_bytes')
            line, _, data = read_bytes(path).partition(b'\n')
            header = json.loads(line)
            if header['format'] != _FORMAT:
                _say_old(folder)
                return None
            wanted = _header(name, key, data)
            if header['sha256'] != wanted['sha256']:
                raise ValueError('its digest is of other bytes')
            if header != wanted:
                return None
            part = _part(data, name, settings)
            if not is_ours:
                _try(part, settings)
            return part
    except ConfigError as error:
        _log.warning('%s', error)
        return None


def _part(data: bytes, name: str, settings: RecordingSettings) -> BagPart:
    classes, inside = from_bytes(data, _CONTENT)
    part: BagPart = from_bytes(inside, BagPart, _blank(name, classes, settings))
    return part


def _try(part: BagPart, settings: RecordingSettings) -> None:
    """Merge and show a part, which may throw anything."""
    assert part.score is not None
    score, times = BagScore(part.score.rules.classes, settings), StepTimes()
    score.merge(part.score)
    score.summary()
    times.merge(part.times)
    times.to_dict()
    lines = frame_lines(part)
    # One by one: objects of all lines would take many times the limit of bytes.
    if (sum(1 for _ in io.BytesIO(lines)) != score.frames
            or any(json.loads(line)['bag'] != part.name for line in io.BytesIO(lines))
            or not ranking_kinds().keys() >= {frame.record['figure'] for frame in part.worst}):
        raise ValueError('its frames are others than those that were scored')


def frame_lines(part: BagPart) -> bytes:
    """
    Lines of frames.jsonl.

    :raises ConfigError: they are larger than any input may be.
    """
    return gunzip(part.lines, f'{part.name}: its frames are decompressed')


def _blank(name: str, classes: Sequence[ClassInfo], settings: RecordingSettings) -> BagPart:
    return BagPart(name, BagSummary(name=name, path='', frames=0, duration_s=0.0, truth=[],
                                    skipped={}, missing=0, ended_early='', notes={}, error=None),
                   BagScore(classes, settings))


@cache
def _say_old(folder: Path) -> None:
    _log.warning('%s: holds parts of another version of this program; their recordings are run '
                 'again', folder)


def remove_parts(folder: Path) -> None:
    """
    Remove the files of parts, and the folder if it is empty then.

    :raises ConfigError: no permission ...
    """
    with disk_errors(folder):
        for path in folder.glob(_FILES):
            path.unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def has_parts(folder: Path) -> bool:
    """Whether there are files of parts of any recordings."""
    return any(folder.glob(_FILES))


def file_name(name: str) -> str:
    """
    Name of the file for a recording of any name.

    Different names have different files, also on disks that ignore case.
    """
    readable = re.sub(r'[^A-Za-z0-9-]+', '_', name).strip('_')[:_MOST_OF_NAME]
    digest = hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()
    return f'{readable}-{digest[:16]}{SUFFIX}'


def _header(name: str, key: str, data: bytes) -> dict[str, Any]:
    return {'format': _FORMAT, 'name': name, 'key': key,
            'sha256': hashlib.sha256(data).hexdigest()}
