# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The plots of a report, from its JSON; a plot of which nothing is known is left out.

Each is an <svg> element with the page's own colors and font. Its bytes depend on what is drawn
alone: ids are hashed with a salt, and there is no date in it. Without matplotlib the functions
raise ImportError.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from ..metrics.shown import Chart, MetricKind, Record
from ..metrics.table import METRICS, detail_of, in_place, kinds_over_time
from .baseline import Comparison
from .files import Line, Lines
from .format import clean, metric_text, significant
from .tables import groups_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CLASSES = 12
_LONGEST_NAME = 16

_INK, _GRID, _BASELINE, _OTHER = '#0b0e01', '#0b0e02', '#0b0e03', '#0b0e04'
COLORS = tuple(f'#0c0e0{i}' for i in range(1, 9))
# Colors to draw with -> what the page says they look like, in the light and in the dark.
_VARIABLES = {_INK: 'currentColor', _GRID: 'var(--line)', _BASELINE: 'var(--baseline)',
              _OTHER: 'var(--other)',
              **{color: f'var(--s{i})' for i, color in enumerate(COLORS, 1)}}
DIAGONAL: dict[str, Any] = {'color': _GRID, 'linewidth': 3.0}
_DASHED: dict[str, Any] = {'color': _BASELINE, 'linestyle': (0, (3, 1.5))}
_BASELINE_ENTRY = [('baseline', 'baseline')]
# So narrow that its text can be read on a phone, which is not much wider.
_WIDTH_IN, _HEIGHT_IN = 4.6, 3.0
_STYLE: dict[str, Any] = {
    'svg.fonttype': 'none', 'svg.hashsalt': 'panoptic_depth', 'text.parse_math': False,
    'font.family': 'DejaVu Sans', 'font.size': 10.0, 'axes.labelsize': 10.0,
    'xtick.labelsize': 9.5, 'ytick.labelsize': 9.5,
    'text.color': _INK, 'axes.labelcolor': _INK, 'xtick.color': _INK, 'ytick.color': _INK,
    'axes.edgecolor': _GRID, 'grid.color': _GRID, 'grid.linewidth': 0.8, 'axes.linewidth': 0.8,
    'axes.grid': True, 'axes.axisbelow': True, 'axes.spines.top': False,
    'axes.spines.right': False, 'axes.spines.left': False, 'xtick.major.size': 0.0,
    'ytick.major.size': 0.0, 'xtick.minor.size': 0.0, 'ytick.minor.size': 0.0,
    'lines.linewidth': 1.6, 'axes.formatter.useoffset': False, 'axes.unicode_minus': False,
}

_NAMED_OF_MANY = 3
_MOST_MARKED = 60
_LOG_SPAN = 10.0
_TOTAL, _MOST_CURVES = 'total', 5


class Plot(NamedTuple):
    """An <svg> element; its legend is label -> number of the color, 'baseline' or 'other'."""

    title: str
    legend: Sequence[tuple[str, str]]
    svg: str
    note: str = ''


Groups = Mapping[str, Mapping[Any, float]]  # source -> range, class or expected share -> metric


def draw_plot(name: str, title: str, values: Iterable[str], legend: Sequence[tuple[str, str]],
              paint: Callable[[Axes], None], note: str = '', height_in: float = 0.0) -> Plot:
    """
    Draw a plot.

    :param name: unique on the page; all ids begin with it.
    :param values: what it shows, in words.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    file = io.StringIO()
    with matplotlib.rc_context():
        # A matplotlibrc of the user is not part of the report.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(cast(Any, _STYLE))
        figure = Figure(figsize=(_WIDTH_IN, max(_HEIGHT_IN, height_in)), layout='constrained')
        FigureCanvasSVG(figure)
        paint(figure.subplots())
        figure.savefig(file, format='svg', transparent=True, metadata={'Date': None})
    svg = file.getvalue()
    box = re.search(r'viewBox="([^"]*)"', svg)
    assert box is not None
    # No prolog, and no style: it would be one of the whole page.
    svg = svg[svg.index('>', svg.index('<svg')) + 1:]
    for pattern, new in ((r'\s*<metadata>.*?</metadata>', ''),
                         (r'\s*<defs>\s*<style[^>]*>.*?</style>\s*</defs>', ''),
                         (r'\bid="', f'id="{name}-'), (r'xlink:href="#', f'href="#{name}-'),
                         (r'url\(#', f'url(#{name}-'),
                         (r'font: ([\d.]+)px [^;"]*', r'font-size: \1px'), *_VARIABLES.items()):
        svg = re.sub(pattern, new, svg, flags=re.DOTALL)
    alt = html.escape(clean(f'{title}. {"; ".join(values)}'))
    return Plot(title, legend, f'<svg class="plot" role="img" aria-label="{alt}" '
                               f'viewBox="{box[1]}">{svg.strip()}', note)


def metric_plots(detail: Record, comparison: Comparison | None) -> list[Plot]:
    """Draw the metrics that are of all frames, from the details of report.json."""
    before = {} if comparison is None else comparison.detail
    charts = {chart.name: chart for metric in in_place() for chart in metric.charts}
    return [plot for field in _PAINTERS for chart in charts.values() if chart.field == field
            for plot in _of_chart(chart, detail, before)]


def _of_chart(chart: Chart, detail: Record, before: Record) -> list[Plot]:
    """One plot of all metrics that have it, in the colors of their sources."""
    sources = list(dict.fromkeys(m.source for m in METRICS.values() if m.charts))
    metrics = {m.source: m for m in in_place() if chart in m.charts}
    groups = {source: groups_of(detail_of(m, detail), chart.field)
              for source, m in metrics.items()}
    here = {source: values for source, found in groups.items()
            if (values := _values(chart, found))}
    if not here:
        return []
    there = {source: _values(chart, groups_of(detail_of(metrics[source], before), chart.field))
             for source in here}
    labels: list[Any] = [label for label in dict.fromkeys(
        label for found in groups.values() for label in found)
        if any(label in values for values in here.values())]
    note, height = chart.note, 0.0
    if chart.field == 'by_class':
        every = sorted(labels, key=lambda label: (-sum(
            found.get(label, {}).get('instances', 0) for found in groups.values()), label))
        labels = every[:MOST_CLASSES]
        height = 0.6 + 0.16 * sum(
            1 + sum(label in values for values in here.values()) for label in labels)
        if len(every) > len(labels):
            note = (f'The {MOST_CLASSES} classes with most instances of {len(every)}; the table '
                    'has all.')
    colors = {source: COLORS[sources.index(source) % len(COLORS)] for source in here}
    words = {source: metrics[source].source_words or metrics[source].title for source in here}
    spoken = [f'{words[source]}: ' + ', '.join(
        f'{label} {metric_text(values[label], "share")}' if isinstance(label, str) else
        f'{100 * values[label]:.1f} % of {100 * label:.0f} %'
        for label in labels if label in values) for source, values in here.items()]
    legend = [(words[source], str(COLORS.index(color) + 1)) for source, color in colors.items()]
    return [draw_plot(
        chart.name, chart.title, spoken, legend + _BASELINE_ENTRY * any(there.values()),
        partial(_PAINTERS[chart.field], chart, labels, here, there, colors), note, height)]


def _values(chart: Chart, groups: dict[Any, Record]) -> dict[Any, float]:
    """Return the metric of a chart in each group that knows it."""
    return {label: group[chart.metric_value] for label, group in groups.items()
            if group.get(chart.metric_value) is not None}


def _bars(chart: Chart, labels: Sequence[str], here: Groups, there: Groups,
          colors: Mapping[str, str], axes: Axes) -> None:
    """Groups of bars, a source each, and the baseline as a line across each of them."""
    width = 0.72 / len(here)
    for i, source in enumerate(here):
        x = np.arange(len(labels)) + (i - (len(here) - 1) / 2) * width
        axes.bar(x, [100 * here[source].get(label, np.nan) for label in labels], 0.9 * width,
                 color=colors[source])
        axes.hlines([100 * there[source].get(label, np.nan) for label in labels],
                    x - 0.52 * width, x + 0.52 * width, color=_BASELINE, linewidth=2.2)
    axes.set_xticks(range(len(labels)), labels)
    axes.grid(visible=False, axis='x')
    axes.set(xlabel=chart.xlabel, ylabel=chart.ylabel)


def _class_rows(chart: Chart, labels: Sequence[str], here: Groups, there: Groups,
                colors: Mapping[str, str], axes: Axes) -> None:
    """A bar is one high; between classes there is room for another one."""
    top, ticks, names = 0, [], []
    for label in labels:
        bars = [source for source in here if label in here[source]]
        for y, source in enumerate(bars, top):
            axes.barh(y, 100 * here[source][label], 0.9, color=colors[source])
            axes.vlines(100 * there[source].get(label, np.nan), y - 0.52, y + 0.52,
                        color=_BASELINE, linewidth=2.2)
        ticks.append(top + (len(bars) - 1) / 2)
        top += len(bars) + 1
        name = ''.join(c if c.isprintable() else ' ' for c in label)
        names.append(name if len(name) <= _LONGEST_NAME else f'{name[:_LONGEST_NAME - 1]}…')
    axes.set_yticks(ticks, names)
    axes.set_ylim(top - 0.5, -1)
    axes.grid(visible=False, axis='y')
    axes.set(xlabel=chart.ylabel)


def _curves(chart: Chart, labels: Sequence[float], here: Groups, there: Groups,
            colors: Mapping[str, str], axes: Axes) -> None:
    """Observed over nominal coverage, with the diagonal that it should be on."""
    def plot(shares: Mapping[Any, float], **style: Any) -> None:
        axes.plot([100 * q for q in shares], [100 * share for share in shares.values()], **style)

    axes.plot([0, 100], [0, 100], **DIAGONAL)
    for shares in filter(None, there.values()):
        plot(shares, linewidth=1.1, **_DASHED)
    for source, shares in here.items():
        color = colors[source]
        plot(shares, color=color, markersize=3.5, marker='os'[COLORS.index(color) % 2])
    axes.set(xlabel=chart.xlabel, ylabel=chart.ylabel, xlim=(0, 100), ylim=(0, 100))


# Field of a chart, in the order of the page.
_PAINTERS: dict[str, Callable[..., None]] = {
    'by_range': _bars, 'coverage': _curves, 'by_class': _class_rows}


def plots_over_time(lines: Lines, comparison: Comparison | None) -> list[Plot]:
    """Draw a line per recording."""
    before = {} if comparison is None else comparison.lines
    return [_over_time(name, kind, here, {
        bag: before[bag][name] for bag in here if name in before.get(bag, {})})
        for name, kind in kinds_over_time().items()
        if (here := {bag: found[name] for bag, found in lines.items() if name in found})]


def _over_time(name: str, kind: MetricKind, here: Mapping[str, Line],
               there: Mapping[str, Line]) -> Plot:
    what, ylabel = kind.over_time or ('', '')
    unit, factor = kind.unit, 100.0 if kind.unit == 'share' else 1.0
    means = {bag: float(np.nanmean(_columns(line, 1.0)[1])) for bag, line in here.items()}
    named = list(here)
    if len(named) > len(COLORS):
        named = sorted(named, key=lambda bag: means[bag], reverse=kind.better == 'lower')[
            :_NAMED_OF_MANY] if kind.better else []

    def paint(axes: Axes) -> None:
        for bag, line in sorted(here.items(), key=lambda item: item[0] in named):
            if bag in there:
                axes.plot(*_columns(there[bag], factor), linewidth=1.1, **_DASHED)
            seconds, values = _columns(line, factor)
            axes.plot(seconds, values, marker='o' if len(seconds) <= _MOST_MARKED else '',
                      markersize=2.5, color=COLORS[named.index(bag)] if bag in named else _OTHER,
                      linewidth=1.5 if bag in named else 0.7)
        axes.set(xlabel='seconds since the first frame', ylabel=ylabel)
        axes.set_xlim(left=0)
        if unit == 'share':
            # A line at 100 % is not in the middle of what cannot be.
            axes.set_ylim(top=min(axes.get_ylim()[1], 101.0))

    others = len(here) - len(named)
    legend = [*((bag, str(i)) for i, bag in enumerate(named, 1)),
              *([(f'{others} other recordings', 'other')] if others else [])]
    return draw_plot(re.sub('[._]', '-', name), f'{what} over time',
                     (f'{bag}: mean {metric_text(means[bag], unit)}' for bag in named),
                     legend + _BASELINE_ENTRY * bool(there), paint,
                     'Named are the recordings with the worst mean.' if others and named else '')


def _columns(line: Line, factor: float) -> tuple[list[float], list[float]]:
    """Seconds and values; NaN interrupts the line, unless most values are not known."""
    known = [point for point in line if point[1] is not None]
    if 2 * len(known) < len(line):
        line = known
    return ([np.nan if t is None else t for t, _ in line],
            [np.nan if value is None else factor * value for _, value in line])


def time_plots(times: Record) -> list[Plot]:
    """Draw how long frames took, from times.json."""
    curves, steps = times.get('percentiles'), times.get('steps')
    before = (times.get('baseline') or {}).get('percentiles', {})
    return [*([_percentiles(curves, before)] if curves else []),
            *([_steps(steps)] if steps else [])]


def _percentiles(curves: Mapping[str, Sequence[float]],
                 before: Mapping[str, Sequence[float]]) -> Plot:
    """The whole frame and its slowest steps."""
    median = {step: curve[len(curve) // 2] for step, curve in curves.items()}
    shown = sorted(curves, key=lambda s: (s != _TOTAL, -median[s], s))[:_MOST_CURVES]

    def draw(axes: Axes, curve: Sequence[float], **style: Any) -> None:
        axes.plot(100.0 * np.arange(len(curve)) / max(1, len(curve) - 1), curve, **style)

    def paint(axes: Axes) -> None:
        if _TOTAL in before:
            draw(axes, before[_TOTAL], **_DASHED)
        for color, step in zip(COLORS, shown, strict=False):
            draw(axes, curves[step], color=color, linewidth=2.0 if step == _TOTAL else 1.3)
        lowest = min(min(curves[step]) for step in shown)
        if 0 < lowest * _LOG_SPAN < max(max(curves[step]) for step in shown):
            axes.set_yscale('log')
            axes.yaxis.set_major_formatter(lambda value, _: f'{value:g}')
        else:
            axes.set_ylim(bottom=0)
        axes.set(xlabel='percentile of the frames', ylabel='ms', xlim=(0, 100))

    spoken = (f'{step}: median {significant(median[step])} ms, greatest '
            f'{significant(curves[step][-1])} ms' for step in shown)
    legend = [*((step, str(i)) for i, step in enumerate(shown, 1)),
              *([(f'baseline, {_TOTAL}', 'baseline')] if _TOTAL in before else [])]
    return draw_plot('latency', 'Latency by percentile', spoken, legend, paint)


def _steps(steps: Mapping[str, Mapping[str, float]]) -> Plot:
    """Median as a bar, the higher percentiles as marks beyond it."""
    names, quantiles = list(steps), {'p50': '1', 'p95': '2', 'p99': '4'}

    def paint(axes: Axes) -> None:
        rows = range(len(names))
        axes.barh(rows, [steps[name].get('p50', np.nan) for name in names], 0.6, color=COLORS[0])
        for quantile, marker, size, color in (('p95', 'D', 5, COLORS[1]),
                                              ('p99', '|', 12, COLORS[3])):
            axes.plot([steps[name].get(quantile, np.nan) for name in names], rows, marker,
                      color=color, markersize=size, markeredgewidth=2, linestyle='')
        axes.set_yticks(rows, names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis='y')
        axes.set(xlabel='ms', xlim=(0, None))

    spoken = (f'{name}: ' + ', '.join(f'{q} {significant(found[q])} ms' for q in quantiles
                                    if q in found) for name, found in steps.items())
    return draw_plot('steps', 'Time of each step', spoken, list(quantiles.items()), paint,
                     height_in=0.8 + 0.26 * len(names))
