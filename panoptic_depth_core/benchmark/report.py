# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Result of a benchmark: one table, as Markdown and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..files import make_folder, plain, write_atomic
from ..io.generated_text import row
from ..machine import machine, versions
from ..streaming.monitoring import percentiles

REPORT = 'benchmark'
"""Name of the files in a folder, .json and .md."""

NOT_RUN = 'not_run'
"""Key of the reason for which a row has no numbers."""

LATENCY = {'median_ms': '.2f', 'p95_ms': '.2f', 'p99_ms': '.2f'}
_CELL_LETTERS = 160


@dataclass
class Report:
    """
    What a benchmark measured, and on what.

    :param title: first line: what was measured.
    :param columns: key in rows -> format of the column; '' is text.
    :param notes: lines below the table. :param details: other content of the JSON.
    """

    what: str
    title: str
    columns: dict[str, str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=machine)
    versions: dict[str, str] = field(default_factory=versions)

    def to_markdown(self) -> str:
        """Title, machine, table and notes."""
        columns = dict(self.columns)
        if any(found.get(NOT_RUN) for found in self.rows):
            columns[NOT_RUN] = ''
        return '\n'.join([
            self.title,
            ', '.join([*self.machine.values(), *(f'{k} {v}' for k, v in self.versions.items())]),
            '', row(*(key.replace('_', ' ') for key in columns)),
            '|' + '|'.join('---:' if form else '---' for form in columns.values()) + '|',
            *(row(*(_cell(found.get(key), form) for key, form in columns.items()))
              for found in self.rows), '', *self.notes]).rstrip('\n') + '\n'

    def write(self, path: Path) -> None:
        """Write JSON to ``path``, or both forms into a folder if it does not end with .json."""
        data = json.dumps(plain(asdict(self), default=str), indent=2).encode() + b'\n'
        if path.suffix == '.json':
            make_folder(path.parent)
            write_atomic(path, data)
        else:
            make_folder(path)
            write_atomic(path / f'{REPORT}.json', data)
            write_atomic(path / f'{REPORT}.md', self.to_markdown().encode())


def latency(values_ms: Sequence[float]) -> dict[str, float]:
    """Summarize milliseconds; the keys are those of LATENCY."""
    return dict(zip(LATENCY, percentiles(values_ms), strict=True))


def _cell(value: Any, form: str) -> str:
    if value is None or value == '' or (isinstance(value, float) and math.isnan(value)):
        return '-'
    text = format(value, form) if form else ' '.join(str(value).split())
    return text if len(text) <= _CELL_LETTERS else f'{text[:_CELL_LETTERS]}...'
