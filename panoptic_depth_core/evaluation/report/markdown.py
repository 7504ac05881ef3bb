# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A report as Markdown; plots are in the HTML page alone."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import quote

from ..metrics.shown import Table
from .blocks import Block, Bullets, Cards, Folded, Page, Picture, Plots, Text
from .dataset_report import table_lines
from .format import clean
from .page import PLOTS_ANCHOR

_SPECIAL = re.compile(r'[\\`*\[\]<>|~&$#]|(?<![^\W_])_|_(?![^\W_])|!(?=\[)')


def to_markdown(page: Page) -> str:
    """Write a page as Markdown; nothing in it can become markup."""
    lines = [f'# {escape(page.title)}', '', escape(page.line), '']
    for section in page.sections:
        if section.anchor != PLOTS_ANCHOR:
            lines += [f'## {escape(section.title)}', '']
            lines += [line for block in section.blocks for line in _lines(block)]
    return '\n'.join(lines)


def escape(text: str) -> str:
    """Make any text one line without markup."""
    return _SPECIAL.sub(lambda found: '&lt;' if found[0] == '<' else '\\' + found[0],
                        ' '.join(clean(text).split()))


def _lines(block: Block) -> list[str]:
    """Lines of one block, the last one empty; none of what Markdown does not show."""
    if isinstance(block, Text):
        text = escape(block.text)
        return [f'**{text}**' if block.mood else text, '']
    if isinstance(block, Bullets):
        title = [f'### {escape(block.title)}', ''] if block.title else []
        return [*title, *(f'- {escape(item)}' for item in block.items), '']
    if isinstance(block, Cards):
        return _table(Table('', ('figure', 'value', 'measured on', 'change'), tuple(
            (card.title, card.value, card.on, card.change or '-') for card in block.cards)))
    if isinstance(block, Table):
        title = [f'### {escape(block.title)}', ''] if block.title else []
        return [*title, *_table(block)]
    if isinstance(block, Picture):
        if block.data is None:
            return [f'{escape(block.caption)} (the picture is missing)', '']
        return [escape(block.caption), '', f'![{escape(block.alt)}]({quote(block.path)})', '']
    if isinstance(block, Folded):
        return [f'### {escape(block.title)}', '', *_table(Table(
            '', ('setting', 'value'), block.items))]
    assert isinstance(block, Plots)
    return []


def _table(table: Table) -> list[str]:
    return [*table_lines(replace(
        table, header=tuple(map(escape, table.header)),
        rows=tuple(tuple(map(escape, row)) for row in table.rows))), '']
