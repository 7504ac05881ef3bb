# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of an evaluation. matplotlib is only needed here, and no display."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...files import make_folder, write_atomic
from ..dataset.evaluate import EvaluationResult
from ..metrics.depth import DepthMetric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = ('tab:gray', 'tab:blue', 'tab:green', 'tab:orange')
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
    found = [(metric.place, metric.plots()) for metric in result.metrics.values()]
    found.append((DepthMetric.place, _error_by_depth(result)))
    paths = []
    for _, plots in sorted(found, key=lambda entry: entry[0]):
        for name, draw in plots.items():
            figure = Figure(figsize=(8, 5), layout='constrained')
            FigureCanvasAgg(figure)
            draw(figure)
            path = folder / f'{name}.png'
            write_atomic(path, partial(figure.savefig, dpi=_DPI))
            paths.append(path)
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
