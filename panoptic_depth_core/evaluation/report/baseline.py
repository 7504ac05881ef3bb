# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Two reports side by side: metrics, settings, and the frames that both have, by their stamps."""

from __future__ import annotations

import heapq
import math
from bisect import insort
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...untrusted import reading
from ..metrics.shown import Record
from ..metrics.table import METRICS, detail_of, detail_path, ranking_kinds
from .files import REPORT, Frames, Lines, of_frame, read_report, read_times
from .format import flat

MOST_CHANGED = 10


@dataclass(frozen=True)
class ComparedMetric:
    """A metric of both reports, None where it is not known; ``on``: what it was measured on."""

    name: str
    unit: str
    better: str | None
    here: float | None
    there: float | None
    here_on: str = ''
    there_on: str = ''

    @property
    def change(self) -> float | None:
        """This less the baseline; None where either is not known."""
        return None if self.here is None or self.there is None else self.here - self.there

    @property
    def gain(self) -> float | None:
        """The change, above 0 for the better; None where that cannot be said."""
        if self.change is None or self.better is None:
            return None
        return self.change if self.better == 'higher' else -self.change

    @property
    def verdict(self) -> str:
        """Return better, worse, same, or which report knows it."""
        if self.change is None:
            return ('only here' if self.here is not None else
                    'only in the baseline' if self.there is not None else 'not known')
        if self.change == 0:
            return 'same'
        return 'changed' if self.gain is None else 'better' if self.gain > 0 else 'worse'


@dataclass(frozen=True)
class ComparedFrame:
    """A metric of one frame in both reports."""

    bag: str
    name: str
    stamp_ns: int
    here: float
    there: float


@dataclass(frozen=True)
class Comparison:
    """
    A report beside its baseline, as in ``comparison.json``.

    :param baseline: its folder, as given; title: its title.
    :param settings: that differ -> here, there; None where it is missing.
    :param matched, only_here, only_there: numbers of frames.
    :param better, worse: metric in ranking_kinds -> frames that changed most, first the most.
    :param detail, lines: of the baseline, as plots need them; recordings by their names here.
    """

    baseline: str
    title: str
    figures: list[ComparedMetric]
    settings: dict[str, tuple[Any, Any]]
    matched: int
    only_here: int
    only_there: int
    better: dict[str, list[ComparedFrame]]
    worse: dict[str, list[ComparedFrame]]
    detail: Record = field(default_factory=dict)
    lines: Lines = field(default_factory=dict)


def require_baseline(baseline: Path, folder: Path) -> None:
    """
    Check a baseline before the work of hours.

    :raises ConfigError: it is no report, or is the folder to write to.
    """
    read_report(baseline)
    read_times(baseline)
    Frames(baseline)
    if baseline.resolve() == folder.resolve():
        raise ConfigError(f'{baseline}: is the folder of this report and cannot be its baseline; '
                          'choose another -o')


def compare(folder: Path, baseline: Path) -> Comparison:
    """
    Compare a report with another one.

    Frames belong together by recording and stamp; where each report has a single recording, by
    stamp. Two frames are in memory at a time.

    :raises ConfigError: either is no report, or is of another format.
    """
    here, there = read_report(folder), read_report(baseline)
    ours, theirs = Frames(folder), Frames(baseline)
    partner = {bag: bag for bag in ours.counts if bag in theirs.counts}
    if len(ours.counts) == len(theirs.counts) == 1:
        partner = dict(zip(ours.counts, theirs.counts, strict=True))
    kinds = ranking_kinds()
    counts = Counter[str]()
    better: dict[str, list[ComparedFrame]] = {name: [] for name in kinds}
    worse: dict[str, list[ComparedFrame]] = {name: [] for name in kinds}
    for bag in ours.counts:
        for a, b in _side_by_side(ours.read(bag), theirs.read(partner.get(bag))):
            if a is None or b is None:
                counts['there' if a is None else 'here'] += 1
                continue
            counts['matched'] += 1
            for name, kind in kinds.items():
                x, y = of_frame(a, name), of_frame(b, name)
                if x is not None and y is not None and x != y:
                    changed = better if (x > y) == (kind.better == 'higher') else worse
                    # Of equal changes the first stays.
                    insort(changed[name], ComparedFrame(
                        bag, str(a.get('name', '')), a['stamp_ns'], x, y),
                        key=lambda frame: -abs(frame.here - frame.there))
                    del changed[name][MOST_CHANGED:]
    counts['there'] += sum(count for bag, count in theirs.counts.items()
                           if bag not in partner.values())
    with reading(baseline / REPORT, 'a report', 'evaluate its recordings again'):
        settings, detail = _settings(here['run'], there['run']), _plotted(there['detail'])
    return Comparison(
        str(baseline), str(there.get('title', '')), compare_metrics(here, there), settings,
        matched=counts['matched'], only_here=counts['here'], only_there=counts['there'],
        better={name: frames for name, frames in better.items() if frames},
        worse={name: frames for name, frames in worse.items() if frames},
        detail=detail,
        lines={bag: theirs.lines(other, len(partner)) for bag, other in partner.items()})


def compare_metrics(here: Record, there: Record) -> list[ComparedMetric]:
    """Compare the metrics of two reports, or of two ``times.json``, in their order."""
    ours, theirs = here.get('figures', {}), there.get('figures', {})
    pairs = {name: (ours.get(name, {}), theirs.get(name, {})) for name in [*ours, *theirs]}
    return [ComparedMetric(name, (a or b).get('unit', ''), (a or b).get('better'), a.get('value'),
                           b.get('value'), a.get('on', ''), b.get('on', ''))
            for name, (a, b) in pairs.items()]


def _side_by_side(here: Iterator[Record], there: Iterator[Record]
                  ) -> Iterator[tuple[Record | None, Record | None]]:
    """Join two streams of ascending stamps; None where only one has a stamp."""
    both = heapq.merge(((False, frame) for frame in here), ((True, frame) for frame in there),
                       key=lambda entry: entry[1]['stamp_ns'])
    for _, same in groupby(both, lambda entry: entry[1]['stamp_ns']):
        sides = dict(same)
        yield sides.get(False), sides.get(True)


def _settings(here: Record, there: Record) -> dict[str, tuple[Any, Any]]:
    """Return every setting, model or backend that differs."""
    ours, theirs = flat(here), flat(there)
    return {key: (ours.get(key), theirs.get(key)) for key in dict.fromkeys([*ours, *theirs])
            if ours.get(key) != theirs.get(key)}


def _plotted(detail: Record) -> Record:
    """Keep those details of a baseline that plots show."""
    kept: Record = {}
    for metric in METRICS.values():
        found, inside = detail_of(metric, detail), kept
        for key in detail_path(metric) if metric.charts else ():
            inside = inside.setdefault(key, {})
        inside |= {chart.field: _numbers(found.get(chart.field)) for chart in metric.charts}
    return kept


def _numbers(groups: Any) -> Any:
    """Return the groups of a chart, whose values are numbers; nearly any error if they are not."""
    for group in groups.values() if isinstance(groups, dict) else groups or ():
        labels = set() if isinstance(groups, dict) else {'expected', 'near_m'} & set(group)
        if not (isinstance(groups, dict) or labels) or any(
                isinstance(value, str) or not math.isfinite(0 if value is None else value)
                or (value is None and name in labels) for name, value in group.items()):
            raise ValueError(f'{group} is no group of numbers')
    return groups
