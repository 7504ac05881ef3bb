# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The table of metrics in doc/evaluation.md, made from METRICS.

Run it with the path of the document after a metric has changed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..contract import lacking
from ..io.generated_text import row, with_part
from .metrics.shown import MetricKind
from .metrics.table import COUNTS, TIMES, in_place

NAME = 'metrics'


def metric_table() -> str:
    """Markdown table of every metric: name, unit, direction, what it needs, what it is."""
    rows: list[tuple[str, ...]] = [
        ('metric', 'unit', 'better', 'required tasks', 'ground truth', 'meaning'), ('---',) * 6]
    rows += [_cells(name, kind, '', '') for name, kind in COUNTS.items()]
    for metric in in_place():
        truth = ', '.join(sorted(metric.truth))
        rows += [_cells(f'{metric.prefix}.{end}', kind, lacking(
            metric.needs if kind.needs is None else kind.needs, frozenset()), truth)
            for end, kind in metric.kinds.items()]
    rows += [_cells(name, kind, '', '') for name, kind in TIMES.items()]
    return '\n'.join(row(*cells) for cells in rows)


def _cells(name: str, kind: MetricKind, tasks: str, truth: str) -> tuple[str, ...]:
    return (f'`{name}`', kind.unit, kind.better or '', tasks, truth,
            f'{kind.title}. {kind.explanation}')


def main(paths: list[str]) -> None:
    """Put the table into documents, or print it."""
    if not paths:
        print(metric_table())
    for path in map(Path, paths):
        path.write_text(with_part(path.read_text(encoding='utf-8'), NAME, metric_table()),
                        encoding='utf-8')


if __name__ == '__main__':
    main(sys.argv[1:])
