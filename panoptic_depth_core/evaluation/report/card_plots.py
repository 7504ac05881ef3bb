# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The plots of a model card from its JSON; without matplotlib the function raises ImportError."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..metrics.shown import Record
from .card_tables import data_title
from .format import range_text
from .plots import COLORS, DIAGONAL, Plot, draw_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Point(NamedTuple):
    """A point with its interval; shares of 0..1, None where not known."""

    x: float
    y: float | None
    low: float | None = None
    high: float | None = None


Lines = Mapping[str, Sequence[Point]]


def card_plots(card: Record) -> list[Plot]:
    """Draw all that is known."""
    data = {data_title(found): found for found in card['data']}
    return [plot for plot in (
        _lines('range', 'Depth error by distance', _by_range(data), 'true depth in m',
               'absRel in %', names=_ranges(card['data'])),
        *(_lines(part, f'Depth error by {what}', _by_camera(card, part, key), xlabel,
                 'absRel in %', 'Synthetic scenes; the same places for every camera.')
          for part, key, what, xlabel in (
              ('heights', 'height_m', 'camera height', 'height of the camera in m'),
              ('focal', 'focal_px', 'focal length', 'focal length in px, images 1024 px wide'))),
        _lines('coverage', 'Coverage of the uncertainty of depth', {
            title: [Point(100 * point['expected'], point['observed'])
                    for point in _detail(found, 'calibration', 'coverage')]
            for title, found in data.items()}, 'pixels expected within the range, in %',
            'pixels within it, in %', 'Below the gray line it is too sure.', diagonal=True),
        *(_lines(name, title, {
            where: [Point(100 * point['kept'], point['risk'])
                    for point in _detail(found, name, 'risk')] for where, found in data.items()},
            'pixels kept, the surest first, in %', ylabel,
            'A line that rises to the right: it knows where it is wrong.')
          for name, title, ylabel in (
              ('depth_risk', 'Depth error of the pixels it is sure of', 'absRel in %'),
              ('label_risk', 'Wrong classes among the pixels it is sure of', 'wrong in %'))),
        _corruptions(card)) if plot]


def _detail(data: Record, metric: str, key: str) -> Iterable[Record]:
    found: Iterable[Record] = (data['detail'].get(metric) or {}).get(key) or ()
    return found


def _ranges(data: Sequence[Record]) -> list[str]:
    return max(([range_text(group['near_m'], group['far_m'])
                 for group in _detail(found, 'depth', 'by_range')] for found in data), key=len)


def _by_range(data: Mapping[str, Record]) -> Lines:
    return {title: [Point(i, group['abs_rel'], *found['intervals'].get(
        f'depth/by_range.{i}.abs_rel', ())) for i, group in enumerate(
            _detail(found, 'depth', 'by_range'))] for title, found in data.items()}


def _by_camera(card: Record, part: str, key: str) -> Lines:
    def point(found: Record, way: Record) -> Point:
        value = way['values'].get('depth.abs_rel', {})
        return Point(found[key], *(value.get(name) for name in ('value', 'low', 'high')))

    every = card.get(part) or ()
    return {'mounting not told': [point(found, found) for found in every],
            'mounting known': [point(found, found['with_mounting']) for found in every
                               if found['with_mounting']]}


def _lines(name: str, title: str, lines: Lines, xlabel: str, ylabel: str, note: str = '', *,
           names: Sequence[str] = (), diagonal: bool = False) -> Plot | None:
    """
    Lines with their intervals.

    :param names: at x = 0, 1 ..., where they are no numbers.
    :param diagonal: also what should be observed.
    """
    known = {label: found for label, points in lines.items()
             if (found := [point for point in points if point.y is not None])}
    if not known:
        return None

    def paint(axes: Axes) -> None:
        if diagonal:
            axes.plot([0, 100], [0, 100], **DIAGONAL)
        for color, points in zip(COLORS, known.values(), strict=False):
            x = [point.x for point in points]
            axes.plot(x, [100 * (point.y or 0.0) for point in points], color=color, marker='o',
                      markersize=3.5)
            for point in points:
                if point.low is not None and point.high is not None:
                    axes.vlines(point.x, 100 * point.low, 100 * point.high, color=color,
                                linewidth=1.0)
        if names:
            axes.set_xticks(range(len(names)), names)
        axes.set_ylim(bottom=0)
        axes.set(xlabel=xlabel, ylabel=ylabel)

    spoken = (f'{label}: ' + ', '.join(
        f'{names[int(point.x)] if names else f"{point.x:g}"}: {100 * (point.y or 0.0):.1f} %'
        for point in points) for label, points in known.items())
    legend = [(label, str(i)) for i, label in enumerate(known, 1)]
    return draw_plot(name, title, spoken, legend, paint, note)


def _corruptions(card: Record) -> Plot | None:
    """Share of the mIoU, or else the factor on absRel, that each corruption leaves."""
    relative: Mapping[str, Mapping[str, float]] = (card.get('corruptions') or {}).get(
        'relative', {})
    bars = {name: (label, {corruption.replace('_', ' '): values[name] for corruption, values
                           in relative.items() if name in values})
            for name, label in (('semantic.miou', 'mIoU'), ('depth.abs_rel', 'absRel'))}
    bars = {name: found for name, found in bars.items() if found[1]}
    if not bars:
        return None
    names = list(next(iter(bars.values()))[1])

    def paint(axes: Axes) -> None:
        for i, (color, (_, values)) in enumerate(zip(COLORS, bars.values(), strict=False)):
            axes.barh([row + 0.4 * i for row in range(len(values))],
                      [100 * value for value in values.values()], 0.36, color=color)
        axes.set_yticks([row + 0.2 * (len(bars) - 1) for row in range(len(names))], names)
        axes.invert_yaxis()
        axes.axvline(100, **DIAGONAL)
        axes.grid(visible=False, axis='y')
        axes.set(xlabel='of that without corruption, in %')

    spoken = (f'{label}: ' + ', '.join(f'{name} {100 * value:.0f} %'
                                      for name, value in values.items())
              for label, values in bars.values())
    return draw_plot('corruptions', 'Corrupted pictures', spoken,
                     [(label, str(i)) for i, (label, _) in enumerate(bars.values(), 1)], paint,
                     'Mean over severities. mIoU: less is worse; absRel: more is worse.',
                     height_in=0.8 + 0.24 * len(names))
