# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Plots over time, and those of time itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..metrics.shown import FigureKind
from ..metrics.table import kinds_over_time
from .baseline import Comparison
from .blocks import Plot
from .files import Record
from .format import figure_text, significant
from .series import Line
from .svg import BASELINE, COLORS, DASHES, OTHER, SIZE_IN, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NAMED = len(COLORS)
_NAMED_OF_MANY = 3
_MARKED = 60
_LOG_SPAN = 10.0

_TOTAL = 'total'
_STEP_CURVES = 4
_QUANTILES = ('p50', 'p95', 'p99')


def plots_over_time(lines: Mapping[str, Mapping[str, Line]],
                    comparison: Comparison | None) -> list[Plot]:
    """
    A line per recording.

    :param lines: as of series.lines_of.
    :raises ImportError: when matplotlib is not installed.
    """
    before = {} if comparison is None else comparison.lines
    found = []
    for name, kind in kinds_over_time().items():
        here = {bag: figures[name] for bag, figures in lines.items() if name in figures}
        if here:
            there = {bag: before[bag][name] for bag in here if name in before.get(bag, {})}
            found.append(_over_time(name, kind, here, there))
    return found


def _over_time(name: str, kind: FigureKind, here: Mapping[str, Line],
               there: Mapping[str, Line]) -> Plot:
    what, ylabel = kind.over_time or ('', '')
    title, unit, name = f'{what} over time', kind.unit, re.sub('[._]', '-', name)
    sign = {'higher': 1, 'lower': -1, None: 0}[kind.better]
    factor = 100.0 if unit == 'share' else 1.0
    means = {bag: float(np.nanmean(_columns(line, 1.0)[1])) for bag, line in here.items()}
    named = list(here)
    if len(named) > MOST_NAMED:
        worst_first = sorted(named, key=lambda bag: sign * means[bag])
        named = worst_first[:_NAMED_OF_MANY] if sign else []

    def paint(axes: Axes) -> None:
        for bag, line in sorted(here.items(), key=lambda item: item[0] in named):
            if bag in there:
                axes.plot(*_columns(there[bag], factor), color=BASELINE, linewidth=1.1,
                          linestyle=DASHES)
            known = bag in named
            seconds, values = _columns(line, factor)
            axes.plot(seconds, values, marker='o' if len(seconds) <= _MARKED else '',
                      markersize=2.5, color=COLORS[named.index(bag)] if known else OTHER,
                      linewidth=1.5 if known else 0.7)
        axes.set(xlabel='seconds since the first frame', ylabel=ylabel)
        axes.set_xlim(left=0)
        if unit == 'share':
            # A line at 100 % is not in the middle of what cannot be.
            axes.set_ylim(top=min(axes.get_ylim()[1], 101.0))

    alt = f'{title}. ' + '; '.join(
        f'{bag}: mean {figure_text(means[bag], unit)}' for bag in named)
    others = len(here) - len(named)
    legend = (*((bag, str(i)) for i, bag in enumerate(named, 1)),
              *([(f'{others} other recordings', 'other')] if others else []),
              *([('baseline', 'baseline')] if there else []))
    note = ('Named are the recordings with the worst mean.' if others and named else '')
    return Plot(name, title, legend, draw(name, alt, paint), alt, note)


def _columns(line: Line, factor: float) -> tuple[list[float], list[float]]:
    """Seconds and values; NaN interrupts the line, unless most values are not known."""
    known = [point for point in line if point[1] is not None]
    if 2 * len(known) < len(line):
        line = known
    return ([np.nan if t is None else t for t, _ in line],
            [np.nan if value is None else factor * value for _, value in line])


def time_plots(times: Record) -> list[Plot]:
    """
    Draw how long frames took.

    :param times: of times.json.
    :raises ImportError: when matplotlib is not installed.
    """
    found = [_percentiles(times.get('percentiles') or {},
                          (times.get('baseline') or {}).get('percentiles') or {}),
             _steps(times.get('steps') or {})]
    return [plot for plot in found if plot is not None]


def _percentiles(curves: Mapping[str, Sequence[float]],
                 before: Mapping[str, Sequence[float]]) -> Plot | None:
    """The whole frame and its slowest steps."""
    if not curves:
        return None
    slowest = sorted(curves, key=lambda step: (step != _TOTAL, -_median(curves[step]), step))
    shown = slowest[:1 + _STEP_CURVES]

    def paint(axes: Axes) -> None:
        if _TOTAL in before:
            axes.plot(_grid(before[_TOTAL]), before[_TOTAL], color=BASELINE,
                      linestyle=DASHES)
        for i, step in enumerate(shown):
            axes.plot(_grid(curves[step]), curves[step], color=COLORS[i],
                      linewidth=2.0 if step == _TOTAL else 1.3)
        lowest = min(min(curves[step]) for step in shown)
        if 0 < lowest * _LOG_SPAN < max(max(curves[step]) for step in shown):
            axes.set_yscale('log')
            axes.yaxis.set_major_formatter(lambda value, _: f'{value:g}')
        else:
            axes.set_ylim(bottom=0)
        axes.set(xlabel='percentile of the frames', ylabel='ms', xlim=(0, 100))

    alt = 'Latency by percentile. ' + '; '.join(
        f'{step}: median {significant(_median(curves[step]))} ms, greatest '
        f'{significant(curves[step][-1])} ms' for step in shown)
    legend = (*((step, str(i)) for i, step in enumerate(shown, 1)),
              *([(f'baseline, {_TOTAL}', 'baseline')] if _TOTAL in before else []))
    return Plot('latency', 'Latency by percentile', legend, draw('latency', alt, paint), alt)


def _median(curve: Sequence[float]) -> float:
    return curve[len(curve) // 2]


def _grid(curve: Sequence[float]) -> list[float]:
    return [100.0 * i / max(1, len(curve) - 1) for i in range(len(curve))]


def _steps(steps: Mapping[str, Mapping[str, float]]) -> Plot | None:
    """Median as a bar, the higher percentiles as marks beyond it."""
    if not steps:
        return None
    names = list(steps)

    def paint(axes: Axes) -> None:
        rows = range(len(names))
        axes.barh(rows, [steps[name].get('p50', np.nan) for name in names], 0.6, color=COLORS[0])
        for quantile, marker, color in (('p95', 'D', COLORS[1]), ('p99', '|', COLORS[3])):
            axes.plot([steps[name].get(quantile, np.nan) for name in names], rows, marker,
                      color=color, markersize=5 if marker == 'D' else 12, markeredgewidth=2,
                      linestyle='')
        axes.set_yticks(rows, names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis='y')
        axes.set(xlabel='ms', xlim=(0, None))

    alt = 'Time of each step. ' + '; '.join(
        f'{name}: ' + ', '.join(f'{q} {significant(found[q])} ms' for q in _QUANTILES
                                if q in found) for name, found in steps.items())
    return Plot('steps', 'Time of each step', (
        ('p50', '1'), ('p95', '2'), ('p99', '4')), draw(
        'steps', alt, paint, (SIZE_IN[0], max(SIZE_IN[1], 0.8 + 0.26 * len(names)))), alt)
