# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A hundredth of `make fuzz`, and that it finds what it looks for."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fuzz_run import ROUNDS, read_one, run


def test_a_hundredth(tmp_path: Path) -> None:
    summary = run(tmp_path / 'out', rounds=ROUNDS // 100)
    assert not summary.offenders, '\n'.join(f'{o.kind}:{o.number}: {o.what}\n{o.details}'
                                            for o in summary.offenders)
    inputs = {name: one.inputs for name, one in summary.found.items()}
    assert sum(n for name, n in inputs.items() if name.startswith(
        ('picture', 'compressed', 'raw'))) == 1000
    assert sum(n for name, n in inputs.items() if name.startswith(('bag', 'video'))) >= 10
    # Damage that is always refused at the first byte would try nothing.
    assert all(one.accepted for name, one in summary.found.items() if one.inputs >= 100), (
        summary.table())


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    """A worker that ends or hangs is replaced; the input is named and kept."""
    # A worker that starts has a minute more.
    names = 'error', 'hang', 'memory', 'allocation', 'crash'
    summary = run(tmp_path / 'out', todo=iter((f'check.{name}', 3) for name in names))
    found = {offender.kind.removeprefix('check.'): offender.what for offender in summary.offenders}
    assert found == {
        'error': 'IndexError', 'crash': 'ends the process (-11)', 'hang': 'hangs',
        'memory': found['memory'], 'allocation': found['allocation']}
    assert 'more than 50' in found['memory'] and 'MemoryError' in found['allocation']
    assert 'return [1][1]' in (tmp_path / 'out/check.error_3/what.txt').read_text()


def test_an_input_is_the_same_again(tmp_path: Path) -> None:
    """By kind, number and seed."""
    made = []
    for seed in (0, 0, 1):
        read_one('bag.mcap', 5, seed, tmp_path / 'made')
        made.append([path.read_bytes() for path in sorted(tmp_path.joinpath('made').rglob('*'))
                     if path.is_file()])
    assert made[0] == made[1] != made[2]
