# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The files of a report, read back.

``report.json`` has the metrics, ``frames.jsonl`` a line per frame, ``times.json`` everything in
which two runs of the same recordings may differ.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby, islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ...config import Settings, parse_settings
from ...errors import ConfigError
from ...untrusted import read_json as read_any_json
from ..metrics.shown import Record
from ..metrics.table import kinds_over_time

FORMAT = 1

REPORT, FRAMES, TIMES = 'report.json', 'frames.jsonl', 'times.json'
COMPARISON, THRESHOLDS = 'comparison.json', 'thresholds.json'
MARKDOWN, HTML = 'report.md', 'report.html'
FILES = (REPORT, FRAMES, TIMES, COMPARISON, THRESHOLDS, MARKDOWN, HTML)
WORST = 'worst'

Line = list[list[float | None]]
"""Points: seconds since the first frame of the recording, and a mean or None."""
Lines = dict[str, dict[str, Line]]
"""Recording -> metric -> line."""

_MOST_NS = 1 << 64
_MOST = sys.float_info.max
MOST_POINTS, _MOST_ON_A_PLOT, _FEWEST_POINTS = 1000, 8000, 50


_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class _Figure(Settings, extra='ignore', strict=True):
    value: _Number | None = None
    unit: str = ''
    better: str | None = None
    on: str = ''


class _Times(Settings, extra='ignore'):
    figures: dict[str, _Figure] = {}
    percentiles: dict[str, tuple[_Number, ...]] = {}


class _Report(Settings, extra='ignore'):
    format: Literal[1]
    run: Record
    bags: list[Record]
    figures: dict[str, _Figure]
    detail: Record
    worst: list[Record]


def read_report(folder: Path) -> Record:
    """
    Read ``report.json`` of a folder.

    :raises ConfigError: there is none, it is broken, or of another format.
    """
    path = folder / REPORT
    if not path.is_file():
        wrong = f'it has no {REPORT}' if folder.is_dir() else 'there is no such folder'
        raise ConfigError(f'{folder}: not a report: {wrong}; give a folder that evaluate-bag '
                          'wrote')
    report = read_json(path)
    try:
        parse_settings(_Report, report, str(path))
    except ConfigError as error:
        raise ConfigError(f'{error}; evaluate the recordings again with this version') from None
    return report


def read_json(path: Path) -> Record:
    """
    Read a file that holds one JSON object.

    :raises ConfigError: it does not, or cannot be read.
    """
    value = read_any_json(path, remedy='evaluate the recordings again')
    if not isinstance(value, dict):
        raise ConfigError(f'{path}: holds a {type(value).__name__} and not an object; evaluate '
                          'the recordings again')
    return value


def read_times(folder: Path) -> Record | None:
    """
    Read ``times.json`` of a folder; None where there is none.

    :raises ConfigError: it is broken.
    """
    path = folder / TIMES
    if not path.is_file():
        return None
    times = read_json(path)
    parse_settings(_Times, times, str(path))
    return times


def frame_line(record: Mapping[str, Any]) -> bytes:
    """Line of a frame in ``frames.jsonl``."""
    return json.dumps(record, allow_nan=False, separators=(',', ':')).encode() + b'\n'


class Frames:
    """
    ``frames.jsonl`` of a folder by recording, whose frames are together there.

    Its memory grows with the number of recordings, not of frames.

    :raises ConfigError: the file is missing, a line is no frame, a recording is in two parts, or
        its stamps do not ascend.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FRAMES
        self._starts: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        bag, stamp_ns = None, 0
        for number, (start, record) in enumerate(self._records(), 1):
            before, bag = bag, record['bag']
            wrong = ''
            if bag != before:
                wrong = f'the frames of {bag!r} are not together' if bag in self.counts else ''
                self._starts[bag], self.counts[bag] = start, 0
            elif record['stamp_ns'] <= stamp_ns:
                wrong = f'frame {record.get("name")!r} of {bag!r} is not in the order of stamps'
            if wrong:
                raise ConfigError(f'{self._path}: line {number}: {wrong}; evaluate the '
                                  'recordings again')
            self.counts[bag] += 1
            stamp_ns = record['stamp_ns']

    def _records(self, start: int = 0) -> Iterator[tuple[int, Record]]:
        """Place in bytes and object of each line from a place on."""
        try:
            file = self._path.open('rb')
        except OSError as error:
            raise ConfigError(f'{self._path}: cannot be read: {error.strerror}; the report is '
                              'not whole, evaluate the recordings again') from None
        with file:
            file.seek(start)
            for number, line in enumerate(file, 1):
                try:
                    record = json.loads(line)
                    good = isinstance(record['bag'], str) and isinstance(
                        record['stamp_ns'], int) and abs(record['stamp_ns']) < _MOST_NS
                except (ValueError, KeyError, TypeError, RecursionError):
                    good = False
                if not good:
                    raise ConfigError(f'{self._path}: line {number} is no frame with a bag and a '
                                      'stamp_ns; evaluate the recordings again')
                yield start, record
                start += len(line)

    def read(self, bag: str | None) -> Iterator[Record]:
        """Read the frames of one recording; none if it is not there."""
        if bag in self._starts:
            for _, record in islice(self._records(self._starts[bag]), self.counts[bag]):
                yield record

    def lines(self, bag: str, bags: int) -> dict[str, Line]:
        """
        Thin the metrics of one recording to what a plot can show: means of so many frames each.

        :param bags: recordings on a plot: the more, the fewer points each has.
        """
        most = max(_FEWEST_POINTS, min(MOST_POINTS, _MOST_ON_A_PLOT // max(1, bags)))
        width = 1
        while width * most < self.counts[bag]:
            width *= 2
        names, first_ns = list(kinds_over_time()), None
        found: dict[str, Line] = {name: [] for name in names}
        for _, group in groupby(enumerate(self.read(bag)), lambda entry: entry[0] // width):
            stamps, values = [], []
            for _, frame in group:
                first_ns = frame['stamp_ns'] if first_ns is None else first_ns
                stamps.append((frame['stamp_ns'] - first_ns) / 1e9)
                values.append([of_frame(frame, name) for name in names])
            seconds = round(sum(stamps) / len(stamps), 6)
            for line, column in zip(found.values(), zip(*values, strict=True), strict=True):
                known = [value for value in column if value is not None]
                line.append([seconds, round(sum(known) / len(known), 9) if known else None])
        return {name: line for name, line in found.items()
                if any(mean is not None for _, mean in line)}


def of_frame(record: Record, name: str) -> float | None:
    """Return a metric of a frame by its name, as 'depth.abs_rel'; None where not known."""
    part, _, metric_value = name.partition('.')
    values = record.get(part)
    value = values.get(metric_value) if isinstance(values, dict) else None
    return value if isinstance(value, (int, float)) and abs(value) <= _MOST else None
