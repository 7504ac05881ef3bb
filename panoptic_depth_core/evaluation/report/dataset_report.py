# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
An evaluation as JSON, Markdown or plain text; the same result gives the same bytes.

Every figure has beside it what it was measured on, and every report ends with its conventions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...files import make_folder, write_atomic
from ..dataset.evaluate import EvaluationResult
from ..metrics.shown import Table
from .dataset_tables import tables


def conventions(result: EvaluationResult) -> list[str]:
    """What has to be known to compare the figures with those of others."""
    settings = result.settings.model_dump()
    return [line for metric in result.metrics.values() for line in metric.conventions(settings)]


def to_markdown(result: EvaluationResult, title: str = 'Evaluation',
                plots: Sequence[str] = ()) -> str:
    """
    Make a Markdown page of the report.

    :param plots: names of pictures in its folder, which it shows.
    """
    lines = [f'# {title}', '']
    for table in tables(result):
        lines += [f'## {table.title}', '', *table_lines(table), '']
    for name in plots:
        lines += [f'![{Path(name).stem.replace("_", " ")}]({name})', '']
    return '\n'.join([*lines, '## Conventions', '',
                      *(f'- {line}' for line in conventions(result)), ''])


def table_lines(table: Table) -> list[str]:
    """Lines of a table in Markdown; its cells are written as they are."""
    rule = ('---', *('---:' for _ in table.header[1:]))
    return [f'| {" | ".join(row)} |' for row in (table.header, rule, *table.rows)]


def to_text(result: EvaluationResult, title: str = 'Evaluation') -> str:
    """The report as aligned plain text."""
    lines = [title]
    for table in tables(result):
        rows = (table.header, *table.rows)
        widths = [max(len(row[i]) for row in rows) for i in range(len(table.header))]
        lines += ['', table.title]
        for row in rows:
            cells = [row[0].ljust(widths[0]), *(
                cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
            lines.append(('  ' + '  '.join(cells)).rstrip())
    return '\n'.join([*lines, '', *conventions(result), ''])


def to_dict(result: EvaluationResult) -> dict[str, Any]:
    """The report as plain values for JSON; what is not known, or not done, is None."""
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
    :raises ConfigError: when they cannot be written.
    """
    make_folder(folder)
    texts = {'evaluation.json': json.dumps(to_dict(result), indent=2, allow_nan=False) + '\n',
             'evaluation.md': to_markdown(result, title, [path.name for path in plots])}
    for name, text in texts.items():
        write_atomic(folder / name, text.encode())
    return [folder / name for name in texts]


def plain(value: Any) -> Any:
    """Lists and dicts of JSON; NaN and Inf, which JSON does not know, are None."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
