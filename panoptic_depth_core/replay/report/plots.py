# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The plots of a report, from its JSON; a plot of which nothing is known is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .baseline import Comparison
from .blocks import Plot
from .files import Record
from .format import figure_text, range_text
from .svg import BASELINE, COLORS, DASHES, GRID, SIZE_IN, draw
from .tables import DEPTH_SOURCES, SOURCES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CLASSES = 12

_COLOR = {source: i for i, source in enumerate(SOURCES)}
Groups = dict[str, dict[str, float]]
"""Source -> name of a group -> share."""


def figure_plots(detail: Record, comparison: Comparison | None) -> list[Plot]:
    """
    Draw the figures that are of all frames.

    :param detail: of report.json.
    :raises ImportError: when matplotlib is not installed.
    """
    before = {} if comparison is None else comparison.detail
    found = [
        _bars('depth-by-range', 'Depth error by range', 'absRel in %', 'true depth in m',
              _depth_by_range(detail), _depth_by_range(before), DEPTH_SOURCES),
        _bars('distance-by-range', 'Distance error by range', 'median error in %',
              'true distance in m', _distance_by_range(detail), _distance_by_range(before),
              SOURCES),
        _coverage(detail, before), _by_class(detail, before)]
    return [plot for plot in found if plot is not None]


def _known(groups: Sequence[Record] | None, figure: str) -> dict[str, float]:
    return {range_text(g['near_m'], g.get('far_m')): g[figure]
            for g in groups or () if g.get(figure) is not None}


def _depth_by_range(detail: Record) -> Groups:
    images = (detail.get('evaluation') or {}).get('depth') or {}
    return {'labels': _known(images.get('by_range'), 'abs_rel'),
            'lidar': _known((detail.get('lidar') or {}).get('by_range'), 'abs_rel')}


def _distance_by_range(detail: Record) -> Groups:
    distance = detail.get('distance') or {}
    return {source: _known((distance.get(source) or {}).get('by_range'), 'median_rel')
            for source in SOURCES}


def _bars(name: str, title: str, ylabel: str, xlabel: str, here: Groups, there: Groups,
          sources: Mapping[str, str]) -> Plot | None:
    """Groups of bars, a source each, and the baseline as a line across each of them."""
    shown = [source for source in sources if here.get(source)]
    labels = sorted({label for source in shown for label in here[source]}, key=_near)
    if not shown:
        return None
    has_baseline = any(there.get(source) for source in shown)

    def paint(axes: Axes) -> None:
        width = 0.72 / len(shown)
        for i, source in enumerate(shown):
            x = np.arange(len(labels)) + (i - (len(shown) - 1) / 2) * width
            axes.bar(x, [100 * here[source].get(label, np.nan) for label in labels],
                     0.9 * width, color=COLORS[_COLOR[source]])
            axes.hlines([100 * there.get(source, {}).get(label, np.nan) for label in labels],
                        x - 0.52 * width, x + 0.52 * width, color=BASELINE, linewidth=2.2)
        axes.set_xticks(range(len(labels)), labels)
        axes.grid(visible=False, axis='x')
        axes.set(xlabel=xlabel, ylabel=ylabel)

    alt = f'{title}. ' + '; '.join(_told(sources[s], labels, here[s]) for s in shown)
    return Plot(name, title, _legend(shown, sources, has_baseline), draw(name, alt, paint), alt)


def _near(label: str) -> tuple[float, bool]:
    """Order of ranges: '> 40' is after '40 to 80'."""
    return float(label.removeprefix('> ').partition(' ')[0]), label.startswith('>')


def _told(words: str, labels: Sequence[str], values: Mapping[str, float]) -> str:
    return f'{words}: ' + ', '.join(
        f'{label} {figure_text(values[label], "share")}' for label in labels if label in values)


def _legend(shown: Sequence[str], sources: Mapping[str, str],
            has_baseline: bool) -> tuple[tuple[str, str], ...]:
    return (*((sources[source], str(_COLOR[source] + 1)) for source in shown),
            *([('baseline', 'baseline')] if has_baseline else []))


def _by_class(detail: Record, before: Record) -> Plot | None:
    """A row per class, the most frequent ones first."""
    def read(of: Record) -> dict[str, dict[str, Record]]:
        distance = of.get('distance') or {}
        return {source: (distance.get(source) or {}).get('by_class') or {} for source in SOURCES}

    def errors(of: Record) -> Groups:
        return {source: {name: g['median_rel'] for name, g in classes.items()
                         if g.get('median_rel') is not None}
                for source, classes in read(of).items()}

    here, there = errors(detail), errors(before)
    shown = [source for source in SOURCES if here[source]]
    if not shown:
        return None
    found = read(detail)
    every = sorted({name for source in shown for name in here[source]}, key=lambda name: (
        -sum(found[s].get(name, {}).get('instances', 0) for s in shown), name))
    labels = every[:MOST_CLASSES]
    has_baseline = any(there[source] for source in shown)

    # A bar is one high; between classes there is room for another one.
    bars = [[source for source in shown if label in here[source]] for label in labels]
    tops = np.cumsum([0, *(len(of_class) + 1 for of_class in bars)])

    def paint(axes: Axes) -> None:
        for label, of_class, top in zip(labels, bars, tops.tolist(), strict=False):
            for y, source in enumerate(of_class, top):
                axes.barh(y, 100 * here[source][label], 0.9, color=COLORS[_COLOR[source]])
                axes.vlines(100 * there[source].get(label, np.nan), y - 0.52, y + 0.52,
                            color=BASELINE, linewidth=2.2)
        axes.set_yticks([top + (len(of_class) - 1) / 2 for of_class, top in zip(
            bars, tops.tolist(), strict=False)], [_short(label) for label in labels])
        axes.set_ylim(tops[-1] - 0.5, -1)
        axes.grid(visible=False, axis='y')
        axes.set(xlabel='median error in %')

    title = 'Distance error by class'
    alt = f'{title}. ' + '; '.join(_told(SOURCES[s], labels, here[s]) for s in shown)
    size = SIZE_IN[0], max(SIZE_IN[1], 0.6 + 0.16 * float(tops[-1]))
    note = (f'The {MOST_CLASSES} classes with most instances of {len(every)}; the table has all.'
            if len(every) > len(labels) else '')
    return Plot('distance-by-class', title, _legend(shown, SOURCES, has_baseline),
                draw('distance-by-class', alt, paint, size), alt, note)


def _short(label: str, most: int = 16) -> str:
    label = ''.join(c if c.isprintable() else ' ' for c in label)
    return label if len(label) <= most else f'{label[:most - 1]}…'


def _coverage(detail: Record, before: Record) -> Plot | None:
    """Observed over nominal coverage, with the diagonal that it should be on."""
    def read(of: Record) -> dict[str, list[tuple[float, float]]]:
        parts = of.get('calibration') or {}
        return {source: [(100 * c['expected'], 100 * c['observed'])
                         for c in (parts.get(source) or {}).get('coverage') or ()
                         if c['observed'] is not None] for source in DEPTH_SOURCES}

    here, there = read(detail), read(before)
    shown = [source for source in here if here[source]]
    if not shown:
        return None
    has_baseline = any(there[source] for source in shown)

    def paint(axes: Axes) -> None:
        axes.plot([0, 100], [0, 100], color=GRID, linewidth=3.0)
        for source in shown:
            if there[source]:
                axes.plot(*zip(*there[source], strict=True), color=BASELINE, linewidth=1.1,
                          linestyle=DASHES)
        for source in shown:
            axes.plot(*zip(*here[source], strict=True), color=COLORS[_COLOR[source]],
                      marker='os'[source == 'lidar'], markersize=3.5)
        axes.set(xlabel='pixels expected within the range, in %',
                 ylabel='pixels within it, in %', xlim=(0, 100), ylim=(0, 100))

    title = 'Coverage of the uncertainty of depth'
    alt = f'{title}. ' + '; '.join(
        f'{DEPTH_SOURCES[source]}: ' + ', '.join(
            f'{observed:.1f} % of {expected:.0f} %' for expected, observed in here[source])
        for source in shown)
    return Plot('coverage', title, _legend(shown, DEPTH_SOURCES, has_baseline),
                draw('coverage', alt, paint), alt,
                'On the gray line the model is as uncertain as it should be; below it, it is '
                'too sure.')
