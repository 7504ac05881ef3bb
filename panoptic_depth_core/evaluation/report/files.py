# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The files of a report, read back.

``report.json`` has the figures, ``frames.jsonl`` one line per frame, ``times.json`` all that two
runs of the same recordings may differ in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import ConfigError

Record = dict[str, Any]

FORMAT = 1

REPORT, FRAMES, TIMES = 'report.json', 'frames.jsonl', 'times.json'
COMPARISON, THRESHOLDS = 'comparison.json', 'thresholds.json'
MARKDOWN, HTML = 'report.md', 'report.html'
WORST = 'worst'

_PARTS = {'run': dict, 'bags': list, 'figures': dict, 'detail': dict, 'worst': list}


def read_report(folder: Path) -> Record:
    """
    Read ``report.json`` of a folder.

    :raises ConfigError: when there is none, it is none, or of another format.
    """
    path = folder / REPORT
    if not folder.is_dir():
        raise ConfigError(f'{folder}: no such folder; give the folder of a report, which has a '
                          f'{REPORT}')
    if not path.is_file():
        raise ConfigError(f'{folder}: not a report: it has no {REPORT}; give a folder that '
                          'evaluate-bag wrote')
    report = read_json(path)
    found = report.get('format')
    if found != FORMAT:
        raise ConfigError(f'{path}: format {found!r} is not known, only {FORMAT}; evaluate the '
                          'recordings again with this version')
    for key, kind in _PARTS.items():
        if not isinstance(report.get(key), kind):
            raise ConfigError(f'{path}: {key!r} is missing or broken; evaluate the recordings '
                              'again')
    if not all(isinstance(entry, dict) for entry in (
            *report['bags'], *report['worst'], *report['figures'].values())):
        raise ConfigError(f'{path}: has entries that are no objects; evaluate the recordings '
                          'again')
    return report


def read_json(path: Path) -> Record:
    """
    Read a file that holds one JSON object.

    :raises ConfigError: when it does not, or cannot be read.
    """
    try:
        value = json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}; check the path') from None
    except ValueError as error:
        raise ConfigError(f'{path}: is not JSON: {error}; evaluate the recordings '
                          'again') from None
    if not isinstance(value, dict):
        raise ConfigError(f'{path}: holds a {type(value).__name__} and not an object; evaluate '
                          'the recordings again')
    return value


def read_optional(path: Path) -> Record | None:
    """Read a file of one JSON object, None where it is not there."""
    return read_json(path) if path.is_file() else None


def frame_line(record: Mapping[str, Any]) -> bytes:
    """Line of a frame in ``frames.jsonl``."""
    return json.dumps(record, allow_nan=False, separators=(',', ':')).encode() + b'\n'


def read_frames(folder: Path) -> Iterator[Record]:
    """
    Read ``frames.jsonl`` line by line.

    :raises ConfigError: when it is missing, or a line is no frame.
    """
    for _, _, record in _lines(folder / FRAMES):
        yield record


class FrameIndex:
    """
    Where the frames of each recording are in ``frames.jsonl``; they are together there.

    Its memory grows with the number of recordings, not with that of frames.

    :raises ConfigError: when a recording is there in two parts, or as of read_frames.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FRAMES
        self._start: dict[str, int] = {}
        self.bags: tuple[str, ...] = ()
        last = None
        for number, start, record in _lines(self._path):
            bag = record['bag']
            if bag == last:
                continue
            if bag in self._start:
                raise ConfigError(f'{self._path}: line {number}: the frames of {bag!r} are not '
                                  'together; evaluate the recordings again')
            self._start[bag], last = start, bag
        self.bags = tuple(self._start)

    def frames(self, bag: str | None) -> Iterator[Record]:
        """
        Read the frames of one recording; there are none of one that is not there.

        :raises ConfigError: when their stamps do not ascend.
        """
        if bag not in self._start:
            return
        last_ns = None
        for _, _, record in _lines(self._path, self._start[bag]):
            if record['bag'] != bag:
                return
            if last_ns is not None and record['stamp_ns'] <= last_ns:
                raise ConfigError(
                    f'{self._path}: frame {record.get("name")!r} of {bag!r} is not in the order '
                    'of stamps; evaluate the recording again')
            last_ns = record['stamp_ns']
            yield record


def _lines(path: Path, start: int = 0) -> Iterator[tuple[int, int, Record]]:
    """Number (from where it starts), place in bytes, and object of each line."""
    try:
        file = path.open('rb')
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}; the report is not whole, '
                          'evaluate the recordings again') from None
    with file:
        place = file.seek(start)
        for number, line in enumerate(file, 1):
            try:
                record = json.loads(line)
                good = isinstance(record['bag'], str) and isinstance(record['stamp_ns'], int)
            except (ValueError, KeyError, TypeError):
                good = False
            if not good:
                raise ConfigError(f'{path}: line {number} is no frame with a bag and a stamp_ns; '
                                  'evaluate the recordings again')
            yield number, place, record
            place += len(line)
