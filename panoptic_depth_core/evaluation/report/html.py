# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A report as one HTML file that needs no other: style, plots and pictures are in it.

There is no script in it, and its policy lets a browser load nothing from anywhere.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

from ..metrics.shown import Table
from .blocks import (
    Bullets,
    Cards,
    Folded,
    Page,
    Picture,
    Plot,
    Plots,
    Section,
    Text,
)
from .format import html_text as _text
from .style import STYLE

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_NUMBER = re.compile(r'[-+>]* ?\d[\d.]*(e[-+]\d+)?( %| points| \w{1,2}| 1/s)?( \(\d+\))?|-')
_MOODS = {'met': 'good', 'better': 'good', 'missed': 'bad', 'worse': 'bad', 'failed': 'bad'}
_MOOD_COLUMNS = {'result', 'verdict', 'state'}


def to_html(page: Page) -> str:
    """Write a page as HTML; nothing in it can become markup."""
    links = ''.join(f'<li><a href="#{section.anchor}">{_text(section.title)}</a></li>'
                    for section in page.sections)
    return '\n'.join([
        '<!DOCTYPE html>', '<html lang="en">', '<head>', '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f'<title>{_text(page.title)}</title>', f'<style>{STYLE}</style>', '</head>', '<body>',
        '<header>', f'<h1>{_text(page.title)}</h1>', f'<p class="line">{_text(page.line)}</p>',
        f'<nav aria-label="Contents"><ul>{links}</ul></nav>', '</header>', '<main>',
        *(_section(section) for section in page.sections), '</main>',
        '<footer>Made by panoptic-depth. Figures are explained in doc/evaluation.md of the '
        'project.</footer>', '</body>', '</html>', ''])


def _section(section: Section) -> str:
    title = f'{section.anchor}-title'
    return '\n'.join([
        f'<section id="{section.anchor}" aria-labelledby="{title}">',
        f'<h2 id="{title}">{_text(section.title)}</h2>',
        *(_WRITERS[type(block)](block) for block in section.blocks), '</section>'])


def _paragraph(block: Text) -> str:
    mood = f' class="mood {block.mood}"' if block.mood else ''
    return f'<p{mood}>{_text(block.text)}</p>'


def _bullets(block: Bullets) -> str:
    title = f'<h3>{_text(block.title)}</h3>\n' if block.title else ''
    return f'{title}<ul>{"".join(f"<li>{_text(item)}</li>" for item in block.items)}</ul>'


def _cards(block: Cards) -> str:
    found = []
    for card in block.cards:
        change = (f'<span class="change {card.mood}">{_text(card.change)}</span>'
                  if card.change else '')
        found.append(f'<li><span class="name">{_text(card.title)}</span>'
                     f'<span class="value">{_text(card.value)}</span>{change}'
                     f'<span class="on">{_text(card.on)}</span></li>')
    return f'<ul class="cards">{"".join(found)}</ul>'


def _table(table: Table) -> str:
    """Columns of figures are aligned at the right; the others are of words."""
    columns = list(zip(*table.rows, strict=True))
    numbers = [i > 0 and all(map(_NUMBER.fullmatch, column)) for i, column in enumerate(columns)]
    moods = [name in _MOOD_COLUMNS for name in table.header]
    head = ''.join(f'<th scope="col"{_class(number, "")}>{_text(name)}</th>'
                   for name, number in zip(table.header, numbers, strict=True))
    rows = []
    for first, *others in table.rows:
        cells = ''.join(
            f'<td{_class(number, _MOODS.get(cell, "") if mood else "")}>{_text(cell)}</td>'
            for cell, number, mood in zip(others, numbers[1:], moods[1:], strict=True))
        rows.append(f'<tr><th scope="row">{_text(first)}</th>{cells}</tr>')
    title = f'<h3>{_text(table.title)}</h3>\n' if table.title else ''
    # A region that scrolls must be within reach of the keyboard.
    return (f'{title}<div class="scroll" role="region" tabindex="0" '
            f'aria-label="{_text(table.title or table.header[0])}"><table>\n'
            f'<thead><tr>{head}</tr></thead>\n<tbody>\n' + '\n'.join(rows)
            + '\n</tbody></table></div>')


def _class(is_number: bool, mood: str) -> str:
    names = ' '.join(filter(None, ('number' if is_number else '', mood)))
    return f' class="{names}"' if names else ''


def _plots(block: Plots) -> str:
    return f'<div class="plots">\n{chr(10).join(map(_plot, block.plots))}\n</div>'


def _plot(plot: Plot) -> str:
    legend = ''.join(
        f'<li><i class="{key}" style="background:var(--{"s" if key.isdigit() else ""}{key})"></i>'
        f'<span>{_text(label)}</span></li>' for label, key in plot.legend)
    note = f'<p class="note">{_text(plot.note)}</p>' if plot.note else ''
    return (f'<figure><figcaption><strong>{_text(plot.title)}</strong>'
            f'<ul class="legend">{legend}</ul></figcaption>\n{plot.svg}\n{note}</figure>')


def _picture(picture: Picture) -> str:
    caption = f'<figcaption>{_text(picture.caption)}</figcaption>'
    if picture.data is None:
        return (f'<figure class="picture">{caption}<p class="note">The picture '
                f'{_text(picture.path)} is missing.</p></figure>')
    data = base64.b64encode(picture.data).decode()
    return (f'<figure class="picture">{caption}<img alt="{_text(picture.alt)}" '
            f'src="data:image/jpeg;base64,{data}"></figure>')


def _folded(block: Folded) -> str:
    items = ''.join(f'<dt>{_text(name)}</dt><dd>{_text(value)}</dd>'
                    for name, value in block.items)
    return f'<details><summary>{_text(block.title)}</summary><dl>{items}</dl></details>'


_WRITERS: dict[type, Callable[[Any], str]] = {
    Text: _paragraph, Bullets: _bullets, Cards: _cards, Table: _table, Plots: _plots,
    Picture: _picture, Folded: _folded}
