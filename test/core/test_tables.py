# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables: which columns hold numbers, and that a narrow terminal hides nothing."""

from __future__ import annotations

import pytest
from panoptic_depth_core.cli.console import print_table
from panoptic_depth_core.tables import Table


def test_columns_of_numbers() -> None:
    table = Table('', ('', 'share', 'change', 'both', 'words', 'unknown'), [
        ('1', '61.2 %', '+1.93 points', '42.4 % / 1.20e-07', '3 frames', '-'),
        ('2', '> 99.9 %', '-0.500 m', '7 (12)', 'none', '-')])
    assert table.numeric == [False, True, True, True, False, True]
    assert Table('', ('a', 'b'), []).numeric == [False, True]
    assert Table('', ('', 'interval', 'found', 'name'), [
        ('1', '5.2 % (-1.2e to 7)', '3 of 4', '1 m (7 frames and more)'),
    ]).numeric == [False, False, True, False]
    assert Table('', ('', 'interval', 'few', 'bias'), [
        ('1', '61.2 % (59.0 to 63.1)', '7.1 % (6.0 to 9.2; 7 frames)', '-1.2 % (-3 to 0.5)'),
        ('2', '-', '7.1 % (1 frame)', '100 %')]).numeric == [False, True, True, True]


def test_no_cell_is_cut_off(monkeypatch: pytest.MonkeyPatch,
                            capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('COLUMNS', '20')
    cells = ('[a] name that is long', '-5.72 0.91 14.60', 'low_depth_support')
    print_table(Table('Instances', ('instance', 'x y z m', 'flags'), [cells]))
    shown = capsys.readouterr().out
    assert shown.startswith('Instances\n') and all(cell in shown for cell in cells)
