# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""How a metric is shown: its values, and the tables and plots of its details."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ...contract import Needs

Record = dict[str, Any]
Unit = Literal['share', 'm', 'ms', '1/s', 'count', '']
Better = Literal['higher', 'lower'] | None


class MetricKind(NamedTuple):
    """
    What a value of a metric means.

    :param unit: share is 0..1 and shown in percent; empty: a plain number.
    :param explanation: one sentence for the table of metrics.
    :param needs: required tasks; None: those of its metric.
    :param path: in the metric's result; empty: its root and the end of the value's name.
    :param is_key: shown at the top of a report.
    :param worst: frames are ranked and compared by it, lower numbers first; 0: they are not.
    :param over_time: title and axis of its plot over time; empty: none.
    """

    title: str
    unit: Unit
    better: Better
    explanation: str
    needs: Needs | None = None
    path: str = ''
    is_key: bool = False
    worst: int = 0
    over_time: tuple[str, str] | tuple[()] = ()


@dataclass(frozen=True)
class MetricValue:
    """
    A value of a metric in a report.

    :param value: not finite where it is not known.
    :param on: what it was measured on, in words.
    """

    name: str
    value: float
    on: str
    kind: MetricKind

    def to_dict(self) -> Record:
        """Return plain values for JSON."""
        known = math.isfinite(self.value)
        value = int(self.value) if known and self.kind.unit == 'count' else self.value
        return {'value': value if known else None, 'unit': self.kind.unit,
                'better': self.kind.better, 'on': self.on}


class Column(NamedTuple):
    """A value of each group in a metric's detail; in a path of keys '*' stands for the class."""

    key: str
    title: str
    unit: Unit = 'share'


class Breakdown(NamedTuple):
    """
    Groups of a metric's detail as a table of a report of recordings.

    :param field: by_range, by_class, by_class_and_range, or coverage.
    :param columns: the first one counts; in by_class_and_range both share a cell, and coverage
        has one, beside those of other sources.
    """

    title: str
    field: str
    header: str
    columns: tuple[Column, ...]


class Chart(NamedTuple):
    """
    A plot of a report of recordings; metrics with charts of one name share it.

    :param field: by_range, by_class or coverage, in the metric's detail.
    """

    name: str
    title: str
    field: str
    metric_value: str
    ylabel: str
    xlabel: str = ''
    note: str = ''


def percent(value: float, digits: int = 1) -> str:
    """Write a share; '-' where it is not known."""
    return '-' if math.isnan(value) else f'{100 * value:.{digits}f} %'


def value_text(value: float, unit: str = '') -> str:
    """Write a metric; '-' where it is not known."""
    if unit == 'share' or math.isnan(value):
        return percent(value)
    return f'{value:.0f}' if unit == 'count' else f'{value:.4f}{unit and f" {unit}"}'
