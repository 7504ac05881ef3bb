# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The report of a data set as JSON and Markdown with plots; the same result gives the same bytes.

Every metric has beside it what it was measured on, and every report ends with its conventions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...files import make_folder, plain, write_atomic
from ...tables import Table
from ..dataset.evaluate import EvaluationResult
from ..metrics.depth import DepthMetric
from ..metrics.shown import Column
from .format import UNKNOWN, range_text
from .pages import to_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = ('tab:gray', 'tab:blue', 'tab:green', 'tab:orange')
_DPI = 120


def conventions(result: EvaluationResult) -> list[str]:
    """Return the rules that matter when the metrics are compared with those of others."""
    settings = result.settings.model_dump()
    return [line for metric in result.metrics.values() for line in metric.conventions(settings)]


def tables(result: EvaluationResult) -> list[Table]:
    """Return the summary, then details where there are any."""
    metrics = list(result.metrics.values())
    summary = Table(f'Summary of {result.frames.all} frames', ('metric', 'value', 'measured on'),
                    [row for metric in metrics for row in metric.rows()])
    classes = [(metric.error_columns, metric.by_class()) for metric in metrics]
    known = {info.class_id: info.name for info in result.classes
             if any(columns and found.get(info.class_id, (UNKNOWN,))[0] != UNKNOWN
                    for columns, found in classes)}
    ranges = [(metric.error_columns, metric.by_range()) for metric in metrics
              if metric.range_error]
    near = sorted({start for _, found in ranges for start in found})
    # The last range ends at the cap for depth, and nowhere for instances.
    limits = {start: range_text(start, end)
              for start, end in zip(near, [*near[1:], None], strict=True)}
    found = [(metric.place, table) for metric in metrics for table in metric.tables()]
    found += [(DepthMetric.place, _by_group('By class', 'class', known, classes)),
              (DepthMetric.place, _by_group('By true depth', 'meters', limits, ranges))]
    return [summary, *(table for _, table in sorted(found, key=lambda entry: entry[0]))]


def _by_group(title: str, header: str, names: Mapping[Any, str],
              parts: Sequence[tuple[Sequence[Column], Mapping[Any, Sequence[str]]]]) -> Table:
    """Columns of several metrics, and their cells by group, beside each other."""
    return Table(title, (header, *(column.title for columns, _ in parts for column in columns)), [
        (name, *(text for columns, cells in parts
                 for text in cells.get(group, (UNKNOWN,) * len(columns))))
        for group, name in names.items()])


def to_dict(result: EvaluationResult) -> dict[str, Any]:
    """Return plain values for JSON; what is not known, or not done, is None."""
    report: dict[str, Any] = {'frames': asdict(result.frames)}
    for metric in result.metrics.values():
        sections = metric.sections()
        report |= sections if metric.can_tell_any(result.tasks) else dict.fromkeys(sections)
    found: dict[str, Any] = plain({
        **report, 'settings': result.settings.model_dump(), 'conventions': conventions(result)})
    return found


def write_report(result: EvaluationResult, folder: Path, title: str = 'Evaluation',
                 plots: Sequence[Path] = ()) -> list[Path]:
    """
    Write ``evaluation.json`` and ``evaluation.md`` into a folder, which is made.

    :param plots: pictures that were written into it before, which the page shows.
    :returns: their paths.
    :raises ConfigError: they cannot be written.
    """
    make_folder(folder)
    texts = {'evaluation.json': json.dumps(to_dict(result), indent=2, allow_nan=False) + '\n',
             'evaluation.md': to_markdown(
                 'dataset.j2', title=title, tables=tables(result), conventions=conventions(result),
                 plots=[path.name for path in plots])}
    for name, text in texts.items():
        write_atomic(folder / name, text.encode())
    return [folder / name for name in texts]


def write_plots(result: EvaluationResult, folder: Path) -> list[Path]:
    """
    Write ``pq_by_class.png``, ``error_by_depth.png`` and ``calibration.png`` into a folder.

    A plot of which nothing is known is left out.

    :returns: paths of those that were written.
    :raises ImportError: matplotlib is not installed.
    :raises ConfigError: they cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    make_folder(folder)
    found = [(metric.place, metric.plots()) for metric in result.metrics.values()]
    found.append((DepthMetric.place, _error_by_depth(result)))
    paths = []
    for _, plots in sorted(found, key=lambda entry: entry[0]):
        for name, draw in plots.items():
            figure = Figure(figsize=(8, 5), layout='constrained')
            FigureCanvasAgg(figure)
            draw(figure)
            paths.append(folder / f'{name}.png')
            write_atomic(paths[-1], partial(figure.savefig, dpi=_DPI))
    return paths


def _error_by_depth(result: EvaluationResult) -> Mapping[str, Callable[[Figure], None]]:
    """Errors of pixels and of instances beside each other, by range of true depth."""
    found = {}
    for metric in result.metrics.values():
        for label, figure in [metric.range_error] if metric.range_error else ():
            found[label] = {near: getattr(group, figure)
                            for (near, _), group in metric.found.by_range.items()}
    near = sorted({start for errors in found.values() for start in errors})
    width = 0.8 / max(1, len(found))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for i, ((label, errors), color) in enumerate(zip(found.items(), _COLORS, strict=False)):
            axes.bar(np.arange(len(near)) + (i - (len(found) - 1) / 2) * width,
                     [100 * errors.get(start, math.nan) for start in near], width, color=color,
                     label=label)
        axes.set_xticks(range(len(near)), [
            f'{start:g} to {end:g}' if end else f'over {start:g}'
            for start, end in zip(near, [*near[1:], None], strict=True)])
        axes.set(title='Relative error of depth by true depth', xlabel='true depth in m',
                 ylabel='error in %')
        axes.legend()

    known = any(not math.isnan(value) for errors in found.values() for value in errors.values())
    return {'error_by_depth': draw} if known else {}
