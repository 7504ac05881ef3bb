# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Metrics as text: three significant digits, shares in percent, their unit behind them."""

from __future__ import annotations

import math
import re
from typing import Any

UNKNOWN = '-'
_CONTROL = re.compile(r'[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]')


def clean(text: str) -> str:
    """Replace control characters and lone surrogates, which no page may hold."""
    return _CONTROL.sub('\ufffd', text)


def count_text(count: int, word: str) -> str:
    """Write '1 frame' or '2 frames'."""
    return f'{count} {word}{"" if count == 1 else "s"}'


def significant(value: float, digits: int = 3) -> str:
    """
    Write a number with its significant digits; integer digits are never rounded away.

    :returns: '0.0123', '61.0', '1234'; '1.20e-07' below 0.0001.
    """
    if value == 0:
        return '0'
    text = f'{value:#.{digits}g}'
    return f'{value:.0f}' if 'e+' in text else text.rstrip('.')


def metric_text(value: float | None, unit: str = '', digits: int = 3) -> str:
    """
    Write a metric.

    :param unit: of a FigureKind; a share is 0..1.
    """
    if value is None or math.isnan(value):
        return UNKNOWN
    if unit == 'share':
        text = significant(100.0 * value, digits)
        # Not quite all must not look like all.
        return '> 99.9 %' if text == '100' and value < 1 else f'{text} %'
    text = str(value) if isinstance(value, int) else significant(value, digits)
    return f'{text} {unit}' if unit in ('m', 'ms', 's', '1/s') else text


def difference_text(value: float | None, unit: str = '', digits: int = 3) -> str:
    """Write the size of a difference; that of two shares is in percentage points."""
    if value is not None and unit == 'share':
        return f'{significant(100.0 * abs(value), digits)} points'
    return metric_text(None if value is None else abs(value), unit, digits)


def change_text(change: float | None, unit: str = '') -> str:
    """Write a difference with its sign."""
    if change is None or math.isnan(change):
        return UNKNOWN
    sign = '+' if change > 0 else '-'
    return f'{sign}{difference_text(change, unit)}' if change else '0'


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
        found |= flat(value, f'{prefix}{key}.') if isinstance(value, dict) else {
            f'{prefix}{key}': value}
    return found
