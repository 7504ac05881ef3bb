# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Two reports side by side: figures, settings, and the frames that both have, by their stamps."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ..metrics.shown import FigureKind
from ..metrics.table import METRICS, detail_of, detail_path, ranking_kinds
from .files import TIMES, FrameIndex, Record, read_optional, read_report
from .format import flat
from .series import Line, lines_of, of_frame

MOST_CHANGED = 10


@dataclass(frozen=True)
class ComparedFigure:
    """
    A figure of both reports, None in one that does not know it.

    :param here_on, there_on: what it was measured on, in words.
    """

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
        """better, worse, same, or what is known otherwise."""
        if self.change is None:
            known = self.here is not None, self.there is not None
            return {(True, False): 'only here', (False, True): 'only in the baseline'}.get(
                known, 'not known')
        if self.change == 0:
            return 'same'
        return 'changed' if self.gain is None else 'better' if self.gain > 0 else 'worse'


@dataclass(frozen=True)
class ComparedFrame:
    """A figure of one frame in both reports."""

    bag: str
    name: str
    stamp_ns: int
    here: float
    there: float


@dataclass(frozen=True)
class Comparison:
    """
    A report beside its baseline.

    :param baseline: its folder, as given; title: its title.
    :param settings: setting -> here, there; only those that differ, None where it is not there.
    :param matched, only_here, only_there: frames by recording and stamp.
    :param better, worse: figure in ranking_kinds -> frames that changed most, first the most.
    :param detail: of the baseline, what plots show of it.
    :param lines: recording, by its name here -> figure -> line of the baseline.
    :param times: figures of time; not in ``comparison.json``.
    """

    baseline: str
    title: str
    figures: tuple[ComparedFigure, ...]
    settings: dict[str, tuple[Any, Any]]
    matched: int
    only_here: int
    only_there: int
    better: dict[str, tuple[ComparedFrame, ...]]
    worse: dict[str, tuple[ComparedFrame, ...]]
    detail: Record = field(default_factory=dict)
    lines: dict[str, dict[str, Line]] = field(default_factory=dict)
    times: tuple[ComparedFigure, ...] = ()

    def to_dict(self) -> Record:
        """All but times, for ``comparison.json``."""
        values = asdict(self)
        del values['times']
        return values

    @classmethod
    def from_dict(cls, values: Record, times: Record | None) -> Comparison:
        """
        Read what to_dict gave.

        :param times: ``times.json`` with that of the baseline in 'baseline'.
        """
        changed = {key: {name: tuple(ComparedFrame(**frame) for frame in frames)
                         for name, frames in values[key].items()} for key in ('better', 'worse')}
        figures = tuple(ComparedFigure(**figure) for figure in values['figures'])
        there = (times or {}).get('baseline')
        return cls(**{**values, **changed, 'figures': figures, 'settings': {
            key: (here, other) for key, (here, other) in values['settings'].items()}},
            times=compare_figures(times, there) if times and there else ())


def require_baseline(baseline: Path, folder: Path) -> None:
    """
    Check a baseline before the work of hours.

    :raises ConfigError: when it is no report, or is the folder that is to be written.
    """
    read_report(baseline)
    read_optional(baseline / TIMES)
    FrameIndex(baseline)
    if baseline.resolve() == folder.resolve():
        raise ConfigError(f'{baseline}: is the folder of this report and cannot be its baseline; '
                          'choose another -o')


def compare(folder: Path, baseline: Path) -> Comparison:
    """
    Compare a report with another one.

    Frames belong together by recording and stamp; where each report has a single recording, by
    stamp. One pass over the frames of both, two of which are in memory at a time.

    :raises ConfigError: when either is no report, or is of another format.
    """
    here, there = read_report(folder), read_report(baseline)
    here_times, there_times = read_optional(folder / TIMES), read_optional(baseline / TIMES)
    here_index, there_index = FrameIndex(folder), FrameIndex(baseline)
    partner = _partners(here_index.bags, there_index.bags)
    changes = {name: _Changes(kind) for name, kind in ranking_kinds().items()}
    counts = Counter[str]()
    for bag in here_index.bags:
        for a, b in _side_by_side(here_index.frames(bag), there_index.frames(partner.get(bag))):
            counts['matched' if a and b else 'here' if a else 'there'] += 1
            if a and b:
                for name, changed in changes.items():
                    changed.add(name, a, b)
    for bag in there_index.bags:
        if bag not in partner.values():
            counts['there'] += sum(1 for _ in there_index.frames(bag))
    frames = ({**frame, 'bag': bag} for bag, other in partner.items()
              for frame in there_index.frames(other))
    return Comparison(
        str(baseline), str(there.get('title', '')), compare_figures(here, there),
        _settings(here['run'], there['run']),
        matched=counts['matched'], only_here=counts['here'], only_there=counts['there'],
        better={name: found for name, c in changes.items() if (found := c.most(+1))},
        worse={name: found for name, c in changes.items() if (found := c.most(-1))},
        detail=_plotted(there['detail']), lines=lines_of(frames, len(partner)),
        times=compare_figures(here_times, there_times) if here_times and there_times else ())


def compare_figures(here: Record, there: Record) -> tuple[ComparedFigure, ...]:
    """Compare the figures of two reports, or of two ``times.json``, in their order."""
    ours, theirs = here.get('figures', {}), there.get('figures', {})
    found = []
    for name in dict.fromkeys([*ours, *theirs]):
        a, b = ours.get(name, {}), theirs.get(name, {})
        kind = a or b
        found.append(ComparedFigure(
            name, kind.get('unit', ''), kind.get('better'), a.get('value'), b.get('value'),
            a.get('on', ''), b.get('on', '')))
    return tuple(found)


def _partners(here: tuple[str, ...], there: tuple[str, ...]) -> dict[str, str]:
    """Recording here -> recording of the baseline."""
    if len(here) == len(there) == 1:
        return {here[0]: there[0]}
    return {bag: bag for bag in here if bag in there}


def _side_by_side(here: Iterator[Record], there: Iterator[Record]
                  ) -> Iterator[tuple[Record | None, Record | None]]:
    """Join two streams of ascending stamps; None where only one has a stamp."""
    a, b = next(here, None), next(there, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a['stamp_ns'] < b['stamp_ns']):
            yield a, None
            a = next(here, None)
        elif a is None or b['stamp_ns'] < a['stamp_ns']:
            yield None, b
            b = next(there, None)
        else:
            yield a, b
            a, b = next(here, None), next(there, None)


class _Changes:
    """The frames of which one figure changed most, for the better and for the worse."""

    def __init__(self, kind: FigureKind) -> None:
        self._better = kind.better
        self._heaps: dict[int, list[tuple[float, int, ComparedFrame]]] = {1: [], -1: []}
        self._seen = 0

    def add(self, name: str, here: Record, there: Record) -> None:
        """Offer a frame; of equal changes the first is kept."""
        a, b = of_frame(here, name), of_frame(there, name)
        if a is None or b is None or a == b:
            return
        self._seen += 1
        gain = a - b if self._better == 'higher' else b - a
        heap = self._heaps[1 if gain > 0 else -1]
        entry = abs(gain), -self._seen, ComparedFrame(
            here['bag'], str(here.get('name', '')), here['stamp_ns'], a, b)
        if len(heap) < MOST_CHANGED:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)

    def most(self, sign: int) -> tuple[ComparedFrame, ...]:
        """Those for the better (+1) or worse (-1), the greatest change first."""
        return tuple(frame for *_, frame in sorted(
            self._heaps[sign], key=lambda entry: entry[:2], reverse=True))


def _settings(here: Record, there: Record) -> dict[str, tuple[Any, Any]]:
    """Every setting, model or backend that is not the same."""
    ours, theirs = flat(here), flat(there)
    return {key: (ours.get(key), theirs.get(key)) for key in dict.fromkeys([*ours, *theirs])
            if ours.get(key) != theirs.get(key)}


def _plotted(detail: Record) -> Record:
    """Of the details of a report what plots show of a baseline."""
    kept: Record = {}
    for metric in METRICS.values():
        found, inside = detail_of(metric, detail), kept
        for key in detail_path(metric) if metric.charts else ():
            inside = inside.setdefault(key, {})
        inside |= {chart.field: found.get(chart.field) for chart in metric.charts}
    return kept
