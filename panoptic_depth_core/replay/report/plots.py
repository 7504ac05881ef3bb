# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The plots of a report, from its JSON; a plot of which nothing is known is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...evaluation.metrics.base import Metric, in_place
from ...evaluation.metrics.shown import Chart
from ..metrics import all_metrics
from ..summary import detail_of
from .baseline import Comparison
from .blocks import Plot
from .files import Record
from .format import figure_text, range_text
from .svg import BASELINE, COLORS, DASHES, GRID, SIZE_IN, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CLASSES = 12

Groups = dict[str, dict[str, float]]
"""Metric by name -> name of a group -> share."""


@dataclass(frozen=True)
class _Sources:
    """A chart and the metrics that have it, by name, with the numbers of their colors."""

    chart: Chart
    metrics: dict[str, type[Metric[Any]]]
    colors: dict[str, int]

    def read(self, detail: Record) -> dict[str, Any]:
        """What is plotted of each."""
        return {name: detail_of(metric, detail).get(self.chart.field)
                for name, metric in self.metrics.items()}

    def words(self, name: str) -> str:
        """What a metric judges by."""
        return self.metrics[name].source_words or self.metrics[name].title

    def legend(self, shown: Sequence[str], has_baseline: bool) -> tuple[tuple[str, str], ...]:
        """Colors of those that are shown."""
        return (*((self.words(name), str(self.colors[name] + 1)) for name in shown),
                *([('baseline', 'baseline')] if has_baseline else []))

    def told(self, shown: Sequence[str], labels: Sequence[str], values: Groups) -> str:
        """The plot in words."""
        return f'{self.chart.title}. ' + '; '.join(f'{self.words(name)}: ' + ', '.join(
            f'{label} {figure_text(values[name][label], "share")}' for label in labels
            if label in values[name]) for name in shown)


def figure_plots(detail: Record, comparison: Comparison | None) -> list[Plot]:
    """
    Draw the figures that are of all frames.

    :param detail: of report.json.
    :raises ImportError: when matplotlib is not installed.
    """
    before = {} if comparison is None else comparison.detail
    metrics = [metric for metric in in_place(all_metrics()) if metric.charts]
    sources = list(dict.fromkeys(metric.source for metric in all_metrics().values()
                                 if metric.charts))
    charts = {chart.name: chart for metric in metrics for chart in metric.charts}
    found = []
    for field, paint in (('by_range', _bars), ('coverage', _coverage), ('by_class', _by_class)):
        for chart in charts.values():
            own = {metric.name: metric for metric in metrics if chart in metric.charts}
            if chart.field == field:
                found.append(paint(_Sources(chart, own, {
                    name: sources.index(metric.source) % len(COLORS)
                    for name, metric in own.items()}), detail, before))
    return [plot for plot in found if plot is not None]


def _bars(sources: _Sources, detail: Record, before: Record) -> Plot | None:
    """Groups of bars, a source each, and the baseline as a line across each of them."""
    chart = sources.chart
    here, there = ({name: {
        range_text(g['near_m'], g.get('far_m')): g[chart.figure] for g in groups or ()
        if g.get(chart.figure) is not None} for name, groups in sources.read(of).items()}
        for of in (detail, before))
    shown = [name for name in here if here[name]]
    labels = sorted({label for name in shown for label in here[name]}, key=_near)
    if not shown:
        return None

    def paint(axes: Axes) -> None:
        width = 0.72 / len(shown)
        for i, name in enumerate(shown):
            x = np.arange(len(labels)) + (i - (len(shown) - 1) / 2) * width
            axes.bar(x, [100 * here[name].get(label, np.nan) for label in labels],
                     0.9 * width, color=COLORS[sources.colors[name]])
            axes.hlines([100 * there[name].get(label, np.nan) for label in labels],
                        x - 0.52 * width, x + 0.52 * width, color=BASELINE, linewidth=2.2)
        axes.set_xticks(range(len(labels)), labels)
        axes.grid(visible=False, axis='x')
        axes.set(xlabel=chart.xlabel, ylabel=chart.ylabel)

    alt = sources.told(shown, labels, here)
    return Plot(chart.name, chart.title,
                sources.legend(shown, any(there[name] for name in shown)),
                draw(chart.name, alt, paint), alt, chart.note)


def _near(label: str) -> tuple[float, bool]:
    """Order of ranges: '> 40' is after '40 to 80'."""
    return float(label.removeprefix('> ').partition(' ')[0]), label.startswith('>')


def _by_class(sources: _Sources, detail: Record, before: Record) -> Plot | None:
    """A row per class, the most frequent ones first."""
    chart, found = sources.chart, sources.read(detail)
    here, there = ({name: {label: g[chart.figure] for label, g in (classes or {}).items()
                           if g.get(chart.figure) is not None}
                    for name, classes in sources.read(of).items()} for of in (detail, before))
    shown = [name for name in here if here[name]]
    if not shown:
        return None
    every = sorted({label for name in shown for label in here[name]}, key=lambda label: (
        -sum(found[name].get(label, {}).get('instances', 0) for name in shown), label))
    labels = every[:MOST_CLASSES]

    # A bar is one high; between classes there is room for another one.
    bars = [[name for name in shown if label in here[name]] for label in labels]
    tops = np.cumsum([0, *(len(of_class) + 1 for of_class in bars)])

    def paint(axes: Axes) -> None:
        for label, of_class, top in zip(labels, bars, tops.tolist(), strict=False):
            for y, name in enumerate(of_class, top):
                axes.barh(y, 100 * here[name][label], 0.9, color=COLORS[sources.colors[name]])
                axes.vlines(100 * there[name].get(label, np.nan), y - 0.52, y + 0.52,
                            color=BASELINE, linewidth=2.2)
        axes.set_yticks([top + (len(of_class) - 1) / 2 for of_class, top in zip(
            bars, tops.tolist(), strict=False)], [_short(label) for label in labels])
        axes.set_ylim(tops[-1] - 0.5, -1)
        axes.grid(visible=False, axis='y')
        axes.set(xlabel=chart.ylabel)

    alt = sources.told(shown, labels, here)
    size = SIZE_IN[0], max(SIZE_IN[1], 0.6 + 0.16 * float(tops[-1]))
    note = (f'The {MOST_CLASSES} classes with most instances of {len(every)}; the table has all.'
            if len(every) > len(labels) else chart.note)
    return Plot(chart.name, chart.title,
                sources.legend(shown, any(there[name] for name in shown)),
                draw(chart.name, alt, paint, size), alt, note)


def _short(label: str, most: int = 16) -> str:
    label = ''.join(c if c.isprintable() else ' ' for c in label)
    return label if len(label) <= most else f'{label[:most - 1]}…'


def _coverage(sources: _Sources, detail: Record, before: Record) -> Plot | None:
    """Observed over nominal coverage, with the diagonal that it should be on."""
    chart = sources.chart
    here, there = ({name: [(100 * c['expected'], 100 * c[chart.figure]) for c in points or ()
                           if c[chart.figure] is not None]
                    for name, points in sources.read(of).items()} for of in (detail, before))
    shown = [name for name in here if here[name]]
    if not shown:
        return None

    def paint(axes: Axes) -> None:
        axes.plot([0, 100], [0, 100], color=GRID, linewidth=3.0)
        for name in shown:
            if there[name]:
                axes.plot(*zip(*there[name], strict=True), color=BASELINE, linewidth=1.1,
                          linestyle=DASHES)
        for name in shown:
            color = sources.colors[name]
            axes.plot(*zip(*here[name], strict=True), color=COLORS[color],
                      marker='os'[color % 2], markersize=3.5)
        axes.set(xlabel=chart.xlabel, ylabel=chart.ylabel, xlim=(0, 100), ylim=(0, 100))

    alt = f'{chart.title}. ' + '; '.join(
        f'{sources.words(name)}: ' + ', '.join(
            f'{observed:.1f} % of {expected:.0f} %' for expected, observed in here[name])
        for name in shown)
    return Plot(chart.name, chart.title,
                sources.legend(shown, any(there[name] for name in shown)),
                draw(chart.name, alt, paint), alt, chart.note)
