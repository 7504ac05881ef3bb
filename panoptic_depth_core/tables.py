# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A table of texts, the same for a console, Markdown and HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# In parentheses: a count, an interval, or frames.
_NUMBER = (r'[-+>]* ?\d[\d.]*(e[-+]\d+)?( %| points| \w{1,2}| 1/s)?'
           r'( \((-?[\d.]+( to -?[\d.]+)?(; )?)?(\d+ frames?)?\)| of \d+)?')
_NUMBERS = re.compile(rf'{_NUMBER}( / {_NUMBER})*|-')


@dataclass(frozen=True)
class Table:
    """Cells of text under a header; the first column names the rows."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def numeric(self) -> list[bool]:
        """Whether a column holds numbers alone, which are aligned at the right."""
        return [index > 0 and all(_NUMBERS.fullmatch(row[index]) for row in self.rows)
                for index in range(len(self.header))]
