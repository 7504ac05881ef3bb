# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables of a report; every figure has beside it what it was measured on."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .evaluate import EvaluationResult
from .metrics.depth import DepthMetric
from .metrics.shown import Table


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
    parts = [(metric.class_header, metric.by_class()) for metric in result.metrics.values()]
    rows = []
    for info in result.classes:
        cells = [found.get(info.class_id, ('-',) * len(header)) for header, found in parts]
        if any(cell[:1] not in ((), ('-',)) for cell in map(tuple, cells)):
            rows.append((info.name, *(text for cell in cells for text in cell)))
    return Table('By class', ('class', *_headers(result, 'class_header')), tuple(rows))


def _by_range(result: EvaluationResult) -> Table:
    parts = [(metric.range_header, metric.by_range()) for metric in result.metrics.values()]
    near = sorted({start for _, found in parts for start in found})
    # The last group ends at the cap for depth, and nowhere for instances.
    rows = [(_limits(start, end), *(text for header, found in parts
                                    for text in found.get(start, ('-',) * len(header))))
            for start, end in zip(near, [*near[1:], math.inf], strict=True)]
    return Table('By true depth', ('metres', *_headers(result, 'range_header')), tuple(rows))


def _headers(result: EvaluationResult, name: str) -> Sequence[str]:
    return [text for metric in result.metrics.values() for text in getattr(metric, name)]


def _limits(near: float, far: float) -> str:
    return f'> {near:g}' if math.isinf(far) else f'{near:g} to {far:g}'
