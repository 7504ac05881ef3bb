# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The plots of a report, from its JSON; a plot of which nothing is known is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..metrics.shown import Chart
from ..metrics.table import METRICS, detail_of, in_place
from .baseline import Comparison
from .blocks import Plot
from .files import Record
from .format import figure_text, range_text
from .svg import BASELINE, COLORS, DASHES, GRID, SIZE_IN, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CLASSES = 12

Groups = Mapping[str, Mapping[Any, float]]
"""Source -> range, class or expected share -> figure."""


def figure_plots(detail: Record, comparison: Comparison | None) -> list[Plot]:
    """
    Draw the figures that are of all frames.

    :param detail: of report.json.
    :raises ImportError: when matplotlib is not installed.
    """
    before = {} if comparison is None else comparison.detail
    charts = {chart.name: chart for metric in in_place() for chart in metric.charts}
    plots = [_plot(chart, detail, before) for field in _KINDS for chart in charts.values()
             if chart.field == field]
    return [plot for plot in plots if plot is not None]


def _plot(chart: Chart, detail: Record, before: Record) -> Plot | None:
    """One plot of all metrics that have it, in the colors of their sources."""
    sources = list(dict.fromkeys(m.source for m in METRICS.values() if m.charts))
    metrics = {m.source: m for m in in_place() if chart in m.charts}
    read, order, paint = _KINDS[chart.field]
    found = {source: detail_of(m, detail).get(chart.field) or () for source, m in metrics.items()}
    here = {source: read(groups, chart.figure) for source, groups in found.items()}
    here = {source: groups for source, groups in here.items() if groups}
    there = {source: read(detail_of(metrics[source], before).get(chart.field) or (), chart.figure)
             for source in here}
    if not here:
        return None
    every = sorted({label for groups in here.values() for label in groups},
                   key=lambda label: order(label, [found[source] for source in here]))
    labels, note, size = every, chart.note, SIZE_IN
    if chart.field == 'by_class':
        labels = every[:MOST_CLASSES]
        rows = sum(1 + sum(label in groups for groups in here.values()) for label in labels)
        size = SIZE_IN[0], max(SIZE_IN[1], 0.6 + 0.16 * float(rows))
        if len(every) > len(labels):
            note = (f'The {MOST_CLASSES} classes with most instances of {len(every)}; the table '
                    'has all.')
    colors = {source: sources.index(source) % len(COLORS) for source in here}
    words = {source: metrics[source].source_words or metrics[source].title for source in here}
    alt = f'{chart.title}. ' + '; '.join(f'{words[source]}: ' + ', '.join(
        _told(label, groups[label]) for label in labels if label in groups)
        for source, groups in here.items())
    legend = (*((words[source], str(colors[source] + 1)) for source in here),
              *([('baseline', 'baseline')] if any(there.values()) else []))
    return Plot(chart.name, chart.title, legend, draw(
        chart.name, alt, lambda axes: paint(axes, chart, labels, here, there, colors), size),
        alt, note)


def _told(label: Any, value: float) -> str:
    return f'{label} {figure_text(value, "share")}' if isinstance(label, str) else (
        f'{100 * value:.1f} % of {100 * label:.0f} %')


def _of_ranges(groups: Sequence[Record], figure: str) -> dict[str, float]:
    return {range_text(g['near_m'], g.get('far_m')): g[figure] for g in groups
            if g.get(figure) is not None}


def _near(label: str, groups: Any) -> tuple[float, bool]:
    """Order of ranges: '> 40' is after '40 to 80'."""
    return float(label.removeprefix('> ').partition(' ')[0]), label.startswith('>')


def _bars(axes: Axes, chart: Chart, labels: Sequence[str], here: Groups, there: Groups,
          colors: Mapping[str, int]) -> None:
    """Groups of bars, a source each, and the baseline as a line across each of them."""
    width = 0.72 / len(here)
    for i, source in enumerate(here):
        x = np.arange(len(labels)) + (i - (len(here) - 1) / 2) * width
        axes.bar(x, [100 * here[source].get(label, np.nan) for label in labels], 0.9 * width,
                 color=COLORS[colors[source]])
        axes.hlines([100 * there[source].get(label, np.nan) for label in labels],
                    x - 0.52 * width, x + 0.52 * width, color=BASELINE, linewidth=2.2)
    axes.set_xticks(range(len(labels)), labels)
    axes.grid(visible=False, axis='x')
    axes.set(xlabel=chart.xlabel, ylabel=chart.ylabel)


def _of_classes(groups: Any, figure: str) -> dict[str, float]:
    return {name: g[figure] for name, g in dict(groups).items() if g.get(figure) is not None}


def _frequent(label: str, groups: Sequence[Any]) -> tuple[int, str]:
    """The most frequent class first."""
    return -sum(dict(found).get(label, {}).get('instances', 0) for found in groups), label


def _class_rows(axes: Axes, chart: Chart, labels: Sequence[str], here: Groups, there: Groups,
                colors: Mapping[str, int]) -> None:
    """A bar is one high; between classes there is room for another one."""
    top, ticks = 0, []
    for label in labels:
        bars = [source for source in here if label in here[source]]
        for y, source in enumerate(bars, top):
            axes.barh(y, 100 * here[source][label], 0.9, color=COLORS[colors[source]])
            axes.vlines(100 * there[source].get(label, np.nan), y - 0.52, y + 0.52,
                        color=BASELINE, linewidth=2.2)
        ticks.append(top + (len(bars) - 1) / 2)
        top += len(bars) + 1
    axes.set_yticks(ticks, [_short(label) for label in labels])
    axes.set_ylim(top - 0.5, -1)
    axes.grid(visible=False, axis='y')
    axes.set(xlabel=chart.ylabel)


def _short(label: str, most: int = 16) -> str:
    label = ''.join(c if c.isprintable() else ' ' for c in label)
    return label if len(label) <= most else f'{label[:most - 1]}…'


def _of_curve(points: Sequence[Record], figure: str) -> dict[float, float]:
    return {c['expected']: c[figure] for c in points if c[figure] is not None}


def _curves(axes: Axes, chart: Chart, labels: Sequence[float], here: Groups, there: Groups,
            colors: Mapping[str, int]) -> None:
    """Observed over nominal coverage, with the diagonal that it should be on."""
    axes.plot([0, 100], [0, 100], color=GRID, linewidth=3.0)
    for known in (there, here):
        for source in (source for source in here if known[source]):
            style: dict[str, Any] = {'color': BASELINE, 'linewidth': 1.1, 'linestyle': DASHES} if (
                known is there) else {'color': COLORS[colors[source]], 'markersize': 3.5,
                                      'marker': 'os'[colors[source] % 2]}
            axes.plot([100 * q for q in known[source]],
                      [100 * share for share in known[source].values()], **style)
    axes.set(xlabel=chart.xlabel, ylabel=chart.ylabel, xlim=(0, 100), ylim=(0, 100))


_KINDS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[..., None]]] = {
    'by_range': (_of_ranges, _near, _bars),
    'coverage': (_of_curve, lambda label, groups: label, _curves),
    'by_class': (_of_classes, _frequent, _class_rows)}
"""Field of a chart, in the order of the page -> what reads, orders and paints it."""
