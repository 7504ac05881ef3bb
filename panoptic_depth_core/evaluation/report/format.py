# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures as text: three significant digits, shares in percent, their unit behind them."""

from __future__ import annotations

import math
import re
from html import escape
from typing import Any

UNKNOWN = '-'

_UNITS = {'m': ' m', 'ms': ' ms', 's': ' s', '1/s': ' 1/s'}


_CONTROL = re.compile(r'[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]')


def clean(text: str) -> str:
    """Replace what no page may hold."""
    return _CONTROL.sub('\ufffd', text)


def html_text(text: str) -> str:
    """Escape a text for HTML, also for attributes."""
    return escape(clean(text))


def significant(value: float, digits: int = 3) -> str:
    """
    Write a number with its significant digits; integer digits are never rounded away.

    :returns: '0.0123', '61.0', '1234'; '1.20e-07' below 0.0001.
    """
    if value == 0:
        return '0'
    rounded = float(f'{value:.{digits - 1}e}')
    exponent = math.floor(math.log10(abs(rounded)))
    if exponent < -4:
        return f'{value:.{digits - 1}e}'
    return f'{value:.{max(0, digits - 1 - exponent)}f}'


def figure_text(value: float | None, unit: str = '', digits: int = 3) -> str:
    """
    Write a figure.

    :param unit: as in figures.Unit; share is 0..1.
    """
    if value is None or math.isnan(value):
        return UNKNOWN
    if unit == 'share':
        text = significant(100.0 * value, digits)
        # What is not quite all of it must not look like it.
        return '> 99.9 %' if text == '100' and value < 1 else f'{text} %'
    if isinstance(value, int):
        return f'{value}{_UNITS.get(unit, "")}'
    return f'{significant(value, digits)}{_UNITS.get(unit, "")}'


def difference_text(value: float | None, unit: str = '', digits: int = 3) -> str:
    """Write the size of a difference; that of two shares is in percentage points."""
    if value is not None and unit == 'share':
        return f'{significant(100.0 * abs(value), digits)} points'
    return figure_text(None if value is None else abs(value), unit, digits)


def change_text(change: float | None, unit: str = '') -> str:
    """Write a difference with its sign."""
    if change is None or math.isnan(change):
        return UNKNOWN
    if change == 0:
        return '0'
    return f'{"+" if change > 0 else "-"}{difference_text(change, unit)}'


def range_text(near_m: float, far_m: float | None, unit: str = '') -> str:
    """Write a range of distances; it has no end where far_m is None."""
    return f'> {near_m:g}{unit}' if far_m is None else f'{near_m:g} to {far_m:g}{unit}'


def stamp_text(stamp_ns: int) -> str:
    """Write a stamp in seconds, to the nanosecond."""
    return f'{stamp_ns // 10**9}.{stamp_ns % 10**9:09d} s'


def value_text(value: Any) -> str:
    """Write any value of JSON whose unit is not known."""
    if value is None:
        return UNKNOWN
    if isinstance(value, float):
        return significant(value)
    if isinstance(value, (list, tuple)):
        return ', '.join(map(value_text, value)) or UNKNOWN
    return str(value)


def flat(values: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Give nested mappings dotted keys; {'a': {'b': 1}} is {'a.b': 1}."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f'{prefix}{key}.')
        else:
            found[f'{prefix}{key}'] = value
    return found
