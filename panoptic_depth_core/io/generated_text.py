# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Parts of a document that are made from the source, between two markers."""

from __future__ import annotations


def markers(name: str) -> tuple[str, str]:
    """Lines before and after a part."""
    return f'<!-- {name}: begin -->', f'<!-- {name}: end -->'


def with_part(document: str, name: str, text: str) -> str:
    """Document with a text between its markers; ValueError unless it has both exactly once."""
    begin, end = markers(name)
    before, found, rest = document.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end) or begin in rest or end in after:
        raise ValueError(f'the document must have {begin} and then {end}, once each')
    return f'{before}{begin}\n{text}\n{end}{after}'


def row(*cells: str) -> str:
    """Row of a Markdown table."""
    return f'| {" | ".join(cell.replace("|", chr(92) + "|") for cell in cells)} |'
