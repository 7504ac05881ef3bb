# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables of a report; every figure has beside it what it was measured on."""

from __future__ import annotations

import math

from ..dataset.evaluate import EvaluationResult
from ..metrics.depth import DepthMetric
from ..metrics.shown import Table


def tables(result: EvaluationResult) -> list[Table]:
    """Summary, then figures in detail where there are any, for any way of showing them."""
    found = [(metric.place, list(metric.tables())) for metric in result.metrics.values()]
    found.append((DepthMetric.place, [_by_class(result), _by_range(result)]))
    return [_summary(result), *(table for _, own in sorted(found, key=lambda entry: entry[0])
                                for table in own)]


def _summary(result: EvaluationResult) -> Table:
    return Table(f'Summary of {result.frames.all} frames', ('figure', 'value', 'measured on'),
                 tuple(row for metric in result.metrics.values() for row in metric.rows()))


def _by_class(result: EvaluationResult) -> Table:
    """Of the classes that any metric knows."""
    parts = [(metric, metric.by_class()) for metric in result.metrics.values()]
    rows = []
    for info in result.classes:
        cells = [found.get(info.class_id, ('-',) * len(metric.error_columns))
                 for metric, found in parts]
        if any(cell and cell[0] != '-' for cell in cells):
            rows.append((info.name, *(text for cell in cells for text in cell)))
    return Table('By class', ('class', *(column.title for metric, _ in parts
                                         for column in metric.error_columns)), tuple(rows))


def _by_range(result: EvaluationResult) -> Table:
    parts = [(metric.error_columns, metric.by_range()) for metric in result.metrics.values()
             if metric.range_error]
    near = sorted({start for _, found in parts for start in found})
    # The last group ends at the cap for depth, and nowhere for instances.
    rows = [(_limits(start, end), *(text for columns, found in parts
                                    for text in found.get(start, ('-',) * len(columns))))
            for start, end in zip(near, [*near[1:], math.inf], strict=True)]
    return Table('By true depth', ('metres', *(column.title for columns, _ in parts
                                               for column in columns)), tuple(rows))


def _limits(near: float, far: float) -> str:
    return f'> {near:g}' if math.isinf(far) else f'{near:g} to {far:g}'
