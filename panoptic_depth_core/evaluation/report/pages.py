# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Reports as Markdown and HTML, by the templates beside this file.

``report.j2`` and ``dataset.j2`` say what is in a report, ``html.j2`` and ``markdown.j2`` how it is
written. No text that is put into a template can become markup.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from jinja2.filters import do_mark_safe

from .format import clean, count_text, metric_text, stamp_text

_TEMPLATES = FileSystemLoader(Path(__file__).with_name('templates'))
_SPECIAL = re.compile(r'[\\`*\[\]<>|~&$#]|(?<![^\W_])_|_(?![^\W_])|!(?=\[)')


def to_html(template: str, **content: Any) -> str:
    """Fill in a template as HTML."""
    text = _fill(template, 'html.j2', lambda value: value if hasattr(value, '__html__') else
                 clean(str(value)), content)
    return re.sub(r'\n{2,}', '\n', text)


def to_markdown(template: str, **content: Any) -> str:
    """Fill in a template as Markdown."""
    text = _fill(template, 'markdown.j2', lambda value: value if hasattr(value, '__html__') else
                 do_mark_safe(escape(str(value))), content)
    return re.sub(r'\n{3,}', '\n\n', text)


def _fill(template: str, writer: str, finalize: Any, content: dict[str, Any]) -> str:
    """Fill in a template; finalize gets every value that is put in, before it is escaped."""
    environment = Environment(
        loader=_TEMPLATES, autoescape=True, finalize=finalize, extensions=['jinja2.ext.do'],
        trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        'base64': lambda data: base64.b64encode(data).decode(), 'first_of': _first_of,
        'one_line': lambda text: do_mark_safe(' '.join(text.split())),
        'plural': count_text,
        'metric_text': metric_text, 'stamp_text': stamp_text}
    return environment.get_template(template).render(writer=writer, **content).strip() + '\n'


def escape(text: str) -> str:
    """Make any text one line of Markdown without markup."""
    return _SPECIAL.sub(lambda found: '&lt;' if found[0] == '<' else '\\' + found[0],
                        ' '.join(clean(text).split()))


def _first_of(names: Iterable[str], most: int = 5) -> str:
    names = list(names)
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(names[:most]) + more
