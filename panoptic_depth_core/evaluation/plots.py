# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of an evaluation. matplotlib is only needed here, and no display."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..io.atomic import make_folder, write_atomic
from .evaluate import EvaluationResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_THINGS, _STUFF, _IDEAL = 'tab:blue', 'tab:gray', 'black'
_DPI = 120


def write_plots(result: EvaluationResult, folder: Path) -> list[Path]:
    """
    Write ``pq_by_class.png``, ``error_by_depth.png`` and ``calibration.png`` into a folder.

    A plot of which nothing is known is left out.

    :returns: paths of those that were written.
    :raises ImportError: when matplotlib is not installed.
    :raises ConfigError: when they cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    make_folder(folder)
    paths = []
    for name, draw in _PLOTS.items():
        figure = Figure(figsize=(8, 5), layout='constrained')
        FigureCanvasAgg(figure)
        if draw(result, figure):
            path = folder / f'{name}.png'
            write_atomic(path, partial(figure.savefig, dpi=_DPI))
            paths.append(path)
    return paths


def _pq_by_class(result: EvaluationResult, figure: Figure) -> bool:
    """Bars, things first, best first."""
    pq = result.panoptic.pq
    shown = sorted((c for c in result.classes if not math.isnan(pq[c.class_id])),
                   key=lambda c: (not c.is_thing, -pq[c.class_id]))
    axes = figure.subplots()
    axes.bar(range(len(shown)), [100 * pq[c.class_id] for c in shown],
             color=[_THINGS if c.is_thing else _STUFF for c in shown])
    axes.set_xticks(range(len(shown)), [c.name for c in shown], rotation=60, ha='right')
    for label, group, color in (('things', result.panoptic.things, _THINGS),
                                ('stuff', result.panoptic.stuff, _STUFF)):
        # A line without a height is not drawn, but named.
        mean = 'unknown' if math.isnan(group.pq) else f'{100 * group.pq:.1f} %'
        axes.axhline(100 * group.pq, color=color, linestyle='--', linewidth=1,
                     label=f'mean of {label}: {mean}')
    axes.set(title='Panoptic quality by class', ylabel='PQ in %', ylim=(0, 100))
    figure.legend(loc='outside lower center', ncols=2)
    return bool(shown)


def _error_by_depth(result: EvaluationResult, figure: Figure) -> bool:
    """Errors of pixels and of instances beside each other, by range of true depth."""
    near = sorted({limits[0] for limits in (*result.depth.by_range, *result.distance.by_range)})
    names = [f'{start:g} to {end:g}' if end else f'over {start:g}'
             for start, end in zip(near, [*near[1:], None], strict=True)]
    pixels = {limits[0]: errors.abs_rel for limits, errors in result.depth.by_range.items()}
    instances = {limits[0]: errors.median_rel
                 for limits, errors in result.distance.by_range.items()}
    axes = figure.subplots()
    for offset, label, found, color in (
            (-0.2, 'pixels: absRel', pixels, _STUFF),
            (0.2, 'instances: median error of the distance', instances, _THINGS)):
        axes.bar(np.arange(len(near)) + offset,
                 [100 * found.get(start, math.nan) for start in near], 0.4, color=color,
                 label=label)
    axes.set_xticks(range(len(near)), names)
    axes.set(title='Relative error of depth by true depth', xlabel='true depth in m',
             ylabel='error in %')
    axes.legend()
    return any(not math.isnan(value) for value in (*pixels.values(), *instances.values()))


def _calibration(result: EvaluationResult, figure: Figure) -> bool:
    """Observed over expected coverage."""
    calibration = result.calibration
    expected, observed = (100 * np.array(list(values)) for values in (
        calibration.coverage, calibration.coverage.values()))
    axes = figure.subplots()
    axes.plot([0, 100], [0, 100], color=_IDEAL, linestyle='--', linewidth=1, label='as expected')
    axes.plot(expected, observed, color=_THINGS, marker='o', markersize=4,
              label=f'{calibration.pixels} px; calibration error '
                    f'{100 * calibration.expected_error:.1f} %')
    axes.set(title='Calibration of the uncertainty of depth',
             xlabel='pixels expected within the range, in %',
             ylabel='pixels within the range, in %', xlim=(0, 100), ylim=(0, 100), aspect='equal')
    axes.legend()
    return calibration.pixels > 0


_PLOTS: dict[str, Callable[[EvaluationResult, Figure], bool]] = {
    'pq_by_class': _pq_by_class, 'error_by_depth': _error_by_depth, 'calibration': _calibration}
