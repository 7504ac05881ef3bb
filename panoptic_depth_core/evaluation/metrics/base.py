# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What a metric is: the figures it yields, the truth and tasks it needs, how frames add up.

All that shows figures goes over the tables of metrics (METRICS here, and that of ``replay``) and
asks each entry. A new one has to define ``name``, ``title``, ``kinds``, ``meanings``, ``update``,
``merge`` and ``result``, which gives its figures by their names; how it is shown has a default.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ...contract import TASKS, Task
from .frame import JudgedFrame, Rules, Truth
from .shown import (
    Breakdown,
    Chart,
    ClassColumn,
    Figure,
    FigureKind,
    Record,
    Table,
    value_text,
)

if TYPE_CHECKING:
    from typing import Self

    from matplotlib.figure import Figure as Picture

LAST = 99
"""Place of a metric that does not say where it is shown."""

Found = TypeVar('Found')


class Metric(ABC, Generic[Found]):
    """
    An entry of a table of metrics; an object of it counts frames, and parts can be merged.

    Names that are not given are ``name``: ``prefix`` of its figures, ``section`` of JSON, ``part``
    of a frame's record.

    :param name: of the entry, and attribute of EvaluationResult.
    :param kinds: end of a figure's name -> what it is.
    :param meanings: beginning of the ends of figures' names -> what a reader has to know of them.
    :param truth, needs: truth that must be there, and tasks of figures that do not say.
    :param source: what it is judged by, where the same is judged by several; in words too.
    :param place: where it is shown in a report, before those with a higher number.
    :param counted: name of its number of frames in EvaluationResult.
    :param breakdowns: tables of its detail; None: all values that are no figures.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    kinds: ClassVar[Mapping[str, FigureKind]]
    meanings: ClassVar[Mapping[str, str]] = {}
    truth: ClassVar[frozenset[Truth]] = frozenset()
    needs: ClassVar[frozenset[Task]] = TASKS
    prefix: ClassVar[str]
    section: ClassVar[str]
    part: ClassVar[str]
    source: ClassVar[str] = ''
    source_words: ClassVar[str] = ''
    place: ClassVar[int] = LAST
    counted: ClassVar[str] = ''
    breakdowns: ClassVar[tuple[Breakdown, ...] | None] = None
    charts: ClassVar[tuple[Chart, ...]] = ()
    class_columns: ClassVar[tuple[ClassColumn, ...]] = ()
    class_header: ClassVar[tuple[str, ...]] = ()
    range_header: ClassVar[tuple[str, ...]] = ()
    range_label: ClassVar[str] = ''

    sums: Any
    """What adds up: an object with ``merge`` and ``result``, unless both are overridden."""
    found: Found
    """The result, of what ``finished`` gives back."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in ('prefix', 'section', 'part'):
            if hasattr(cls, 'name') and not hasattr(cls, name):
                setattr(cls, name, cls.name)

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.frames = 0
        self.tasks: frozenset[Task] = frozenset()

    @classmethod
    def can_tell(cls, figure: str, tasks: frozenset[Task]) -> bool:
        """Whether the results of a model with these tasks have a figure, by the end of its name."""
        kind = cls.kinds[figure]
        needs = cls.needs if kind.tasks is None else kind.tasks
        return bool(needs & tasks) if kind.any_task else needs <= tasks

    def judges(self, frame: JudgedFrame) -> bool:
        """Whether the truth of a frame is there, and a task of its result."""
        return self.truth <= frame.known and any(
            self.can_tell(figure, self.tasks_of(frame)) for figure in self.kinds)

    def add(self, frame: JudgedFrame) -> None:
        """Add a frame that it judges, the next of its sequence; others are left out."""
        if self.judges(frame):
            self.update(frame)
            self.frames += 1
            self.tasks |= self.tasks_of(frame)

    def tasks_of(self, frame: JudgedFrame) -> frozenset[Task]:
        """Tasks that figures of a frame may need."""
        return frame.result.tasks

    def alone(self, frame: JudgedFrame) -> Self:
        """Count a frame by itself, to be merged."""
        one = type(self)(self.rules)
        one.add(frame)
        return one

    @abstractmethod
    def update(self, frame: JudgedFrame) -> None:
        """Count a frame that it judges."""

    def merge(self, other: Self) -> None:
        """Add the frames of the part that follows, counted by the same rules."""
        self.frames += other.frames
        self.tasks |= other.tasks
        if hasattr(self, 'sums'):
            self.sums.merge(other.sums)

    def result(self) -> Found:
        """All that was found in the frames so far: a dataclass or a mapping of plain values."""
        found: Found = self.sums.result()
        return found

    def finished(self) -> Self:
        """Give back what can be shown of the frames so far."""
        one = copy.copy(self)
        one.found = self.result()
        return one

    # What follows is of finished ones.

    @property
    def measured(self) -> bool:
        """Whether there was anything to measure."""
        return self.frames > 0

    def values(self) -> Iterator[tuple[str, float, str]]:
        """End of the name, value, and what it was measured on, of every figure."""
        detail = self.detail()
        for name in self.kinds:
            if detail[name] is not None:
                yield name, detail[name], f'{self.frames} frames'

    def figures(self) -> Iterator[Figure]:
        """Figures that truth and tasks allow."""
        for figure, value, on in self.values() if self.measured else ():
            if self.can_tell(figure, self.tasks):
                yield Figure(f'{self.prefix}.{figure}', value, on, self.kinds[figure])

    def record(self) -> Record | list[Record]:
        """What is told of a single frame, by the ends of names; also of what is not finished."""
        return {figure.name.removeprefix(f'{self.prefix}.'): figure.value
                for figure in self.finished().figures()}

    def detail(self) -> Record:
        """All that is behind the figures, as values for JSON, NaN among them."""
        found: Any = self.found
        values = dict(found) if isinstance(found, Mapping) else asdict(found)
        return {name: None if name in self.kinds and not self.can_tell(name, self.tasks) else value
                for name, value in values.items()}

    def sections(self) -> Record:
        """Return what it adds to evaluation.json."""
        return {self.section: self.detail()}

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Figure, value and what it was measured on: lines of the summary of a data set."""
        known = {figure.name: figure for figure in self.figures()}
        for end, kind in self.kinds.items():
            figure = known.get(f'{self.prefix}.{end}')
            yield (kind.title, '-' if figure is None else value_text(figure.value, kind.unit),
                   '-' if figure is None else figure.on)

    def tables(self) -> Iterator[Table]:
        """Tables of its own in the report of a data set."""
        yield from ()

    def by_class(self) -> Mapping[int, Sequence[str]]:
        """Class id -> cells under class_header; listed are classes with a first cell."""
        return {}

    def by_range(self) -> Mapping[float, Sequence[str]]:
        """Least metres -> cells under range_header."""
        return {}

    def range_errors(self) -> Mapping[float, float]:
        """Least metres -> error, for the plot of range_label."""
        return {}

    def plots(self) -> Mapping[str, Callable[[Picture], None]]:
        """Name of a file -> what draws it, of what is known, in the report of a data set."""
        return {}

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        """
        Lines on what has to be known to compare its figures with those of others.

        :param settings: plain values of what it was scored with.
        """
        return []


Metrics = Mapping[str, type[Metric[Any]]]
"""A table of metrics by their names."""


def kinds_of(metrics: Metrics) -> dict[str, FigureKind]:
    """Every figure of a table by its name, in the order of reports."""
    return {f'{metric.prefix}.{end}': kind for metric in in_place(metrics)
            for end, kind in metric.kinds.items()}


def in_place(metrics: Metrics) -> list[type[Metric[Any]]]:
    """Metrics of a table in the order in which they are shown."""
    return sorted(metrics.values(), key=lambda metric: metric.place)
