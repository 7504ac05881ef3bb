# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The interface of a metric: its values, the ground truth and tasks it needs, how frames add up.

Console, JSON, reports, plots and thresholds iterate over METRICS (table.py). A new metric defines
``name``, ``title``, ``kinds``, ``meanings``, ``update``, ``merge`` and ``result``, which returns
its values by the ends of their names; everything about its display has a default.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar

from ...contract import NEEDS_DEPTH, NEEDS_PANOPTIC, Needs, Task, lacking
from ...tables import Table
from .frame import JudgedFrame, Rules, Truth
from .shown import Breakdown, Chart, Column, MetricKind, MetricValue, Record, value_text

if TYPE_CHECKING:
    from typing import Self

    from matplotlib.figure import Figure as Picture

    Floats = array[float]
    Doubles = array[float]
    Longs = array[int]
else:
    # Before Python 3.12 an array takes no type; those who store one need its type code.
    Floats, Doubles, Longs = (Annotated[array, code] for code in 'fdq')

Found = TypeVar('Found')


class Metric(ABC, Generic[Found]):
    """
    An entry of METRICS. An instance counts frames, and instances can be merged.

    What it counts in is annotated in the class, and set to nothing by ``__init__`` or there: parts
    of a report on the disk hold these attributes alone. The others follow from the rules.

    ``prefix`` of the value names, ``section`` of the JSON and ``part`` of a frame's record default
    to ``name``; an empty part is not recorded.

    :param name: of the entry, and attribute of EvaluationResult.
    :param kinds: end of a value's name -> its unit, direction and explanation.
    :param meanings: beginning of the ends of value names -> explanation for the reader.
    :param truth: required ground truth; needs: required tasks, for values that do not say.
    :param recordings_only: whether data sets cannot have it.
    :param source: the ground truth, if several metrics measure the same; source_words: in words.
    :param place: in a report; lower numbers come first.
    :param counted: name of its number of frames in EvaluationResult.
    :param root: of values and groups in ``found``, with its dot.
    :param breakdowns: tables of its detail; None: everything but its values.
    :param class_columns: place -> column of the table of classes, for reports of recordings.
    :param error_columns: of groups in ``found.by_class`` and ``found.by_range``, for data sets.
    :param range_error: label and field of ``found.by_range``, for the plot by range of data sets.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    kinds: ClassVar[Mapping[str, MetricKind]]
    meanings: ClassVar[Mapping[str, str]] = {}
    truth: ClassVar[frozenset[Truth]] = frozenset()
    needs: ClassVar[Needs] = (*NEEDS_PANOPTIC, *NEEDS_DEPTH)
    recordings_only: ClassVar[bool] = False
    prefix: ClassVar[str]
    section: ClassVar[str]
    part: ClassVar[str]
    source: ClassVar[str] = ''
    source_words: ClassVar[str] = ''
    place: ClassVar[int] = 99
    counted: ClassVar[str] = ''
    root: ClassVar[str] = ''
    breakdowns: ClassVar[tuple[Breakdown, ...] | None] = None
    charts: ClassVar[tuple[Chart, ...]] = ()
    class_columns: ClassVar[Mapping[int, Column]] = {}
    error_columns: ClassVar[tuple[Column, ...]] = ()
    range_error: ClassVar[tuple[str, str] | tuple[()]] = ()

    frames: int
    tasks: frozenset[Task]

    found: Found
    """The result of a metric that ``finished`` returned."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in ('prefix', 'section', 'part'):
            if hasattr(cls, 'name') and not hasattr(cls, name):
                setattr(cls, name, cls.name)

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.frames = 0
        self.tasks = frozenset()

    @classmethod
    def can_tell(cls, end: str, tasks: frozenset[Task]) -> bool:
        """Whether results of these tasks have a value, by the end of its name."""
        needs = cls.kinds[end].needs
        return not lacking(cls.needs if needs is None else needs, tasks)

    @classmethod
    def can_tell_any(cls, tasks: frozenset[Task]) -> bool:
        """Whether results of these tasks have any value."""
        return any(cls.can_tell(end, tasks) for end in cls.kinds)

    def tasks_of(self, frame: JudgedFrame) -> frozenset[Task]:
        """Tasks of the result of a frame."""
        return frame.result.tasks

    def judges(self, frame: JudgedFrame) -> bool:
        """Whether a frame has the truth, and its result a task, that this metric needs."""
        return self.truth <= frame.known and self.can_tell_any(self.tasks_of(frame))

    def add(self, frame: JudgedFrame) -> None:
        """Add the next frame of a sequence, if this metric judges it."""
        if self.judges(frame):
            self.update(frame)
            self.frames += 1
            self.tasks |= self.tasks_of(frame)

    def alone(self, frame: JudgedFrame) -> Self:
        """Count a frame by itself, to be merged."""
        one = type(self)(self.rules)
        one.add(frame)
        return one

    @abstractmethod
    def update(self, frame: JudgedFrame) -> None:
        """Count a frame that it judges."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add the frames of the part that follows, counted by the same rules."""
        self.frames += other.frames
        self.tasks |= other.tasks

    @abstractmethod
    def result(self) -> Found:
        """All that was found in the frames so far: a dataclass or a mapping of plain values."""

    def finished(self) -> Self:
        """Return a copy with ``found``, the result of the frames so far, which can be shown."""
        one = copy.copy(self)
        one.found = self.result()
        return one

    @property
    def measured(self) -> bool:
        """Whether there was anything to measure."""
        return self.frames > 0

    def value(self, end: str) -> Any:
        """A value by the end of its name."""
        if isinstance(self.found, Mapping):
            return self.found[end]
        return attrgetter(self.kinds[end].path or f'{self.root}{end}')(self.found)

    def on(self, end: str) -> str:
        """What a value was measured on; empty if nothing."""
        return f'{self.frames} frames'

    def metric_values(self) -> dict[str, MetricValue]:
        """Values that ground truth and tasks allow, by the ends of their names."""
        if not self.measured:
            return {}
        return {end: MetricValue(f'{self.prefix}.{end}', self.value(end), self.on(end), kind)
                for end, kind in self.kinds.items()
                if self.can_tell(end, self.tasks) and self.on(end) and self.value(end) is not None}

    def record(self) -> Record | list[Record]:
        """Values of a single frame for frames.jsonl; the metric need not be finished."""
        return {end: found.value for end, found in self.finished().metric_values().items()}

    def detail(self) -> Record:
        """Everything behind the values, for JSON; may contain NaN."""
        found: Any = self.found
        values = dict(found) if isinstance(found, Mapping) else asdict(found)
        return {key: None if key in self.kinds and not self.can_tell(key, self.tasks) else value
                for key, value in values.items()}

    def sections(self) -> Record:
        """Return what it adds to evaluation.json."""
        return {self.section: self.detail()}

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Rows of the summary of a data set: title, value, what it was measured on."""
        known = self.metric_values()
        for end, kind in self.kinds.items():
            found = known.get(end)
            yield (kind.title, '-' if found is None else value_text(found.value, kind.unit),
                   '-' if found is None else found.on)

    def tables(self) -> Iterator[Table]:
        """Tables of its own in the report of a data set."""
        yield from ()

    def by_class(self) -> Mapping[int, Sequence[str]]:
        """Class id -> cells under ``error_columns``; listed are classes with a first cell."""
        found: Any = self.found
        return self._cells(found.by_class) if self.error_columns else {}

    def by_range(self) -> Mapping[float, Sequence[str]]:
        """Least meters -> cells under ``error_columns``."""
        found: Any = self.found
        return self._cells({near: group for (near, _), group in found.by_range.items()}
                           ) if self.range_error else {}

    def _cells(self, groups: Mapping[Any, Any]) -> dict[Any, list[str]]:
        return {key: [value_text(getattr(group, column.key), column.unit)
                      for column in self.error_columns] for key, group in groups.items()}

    def plots(self) -> Mapping[str, Callable[[Picture], None]]:
        """Name of a file -> function that draws it, for the report of a data set."""
        return {}

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        """Lines about conventions, to compare with published values; settings: plain values."""
        return []


class MetricSums:
    """Metrics of the same frames; parts can be merged in their order."""

    metrics: dict[str, Metric[Any]]
    frames: int
    tasks: frozenset[Task]

    def __init__(self, rules: Rules, metrics: Iterable[type[Metric[Any]]]) -> None:
        self.rules = rules
        self.metrics = {metric.name: metric(rules) for metric in metrics}
        self.frames = 0
        self.tasks = frozenset()

    def merge(self, other: Self) -> None:
        """
        Add the frames of the part that follows; a sequence may go on from one to the next.

        :raises ValueError: when it has other settings or classes.
        """
        if self.rules != other.rules:
            raise ValueError('parts have different settings or classes; give all the same ones')
        for name, metric in self.metrics.items():
            metric.merge(other.metrics[name])
        self.frames += other.frames
        self.tasks |= other.tasks

    def finished(self) -> dict[str, Metric[Any]]:
        """What can be shown of each metric, see Metric.finished."""
        return {name: metric.finished() for name, metric in self.metrics.items()}
