# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The findings as tables for people, and whether the goals are met."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .rows import Row, is_torch

GOAL_SIZE = (1024, 2048)
"""Network input of `fast` that the goals are about."""

MOST_P99_MS, MOST_ASSEMBLY, LEAST_SPEED_UP = 5.0, 0.15, 20.0

_REASON = 200
"""Letters of a reason in the table; JSON has all of it."""


def goals(rows: Sequence[Row], pipelines: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """
    What was to be reached, and what was, by the fastest row that agrees with PyTorch.

    :returns: goal, value and result, 'met', 'missed' or 'not measured'.
    """
    height, width = GOAL_SIZE
    good = [row for row in rows if row.ran and row.agrees
            and (row.model, row.height, row.width) == ('fast', height, width)]
    best = min(good, key=lambda row: row.latency_ms['p99'], default=None)
    staged = min((row for row in good if row.stages_ms), key=lambda row: row.latency_ms['p99'],
                 default=None)
    published = pipelines.get(f'{height}x{width}', {})
    speed_up = (published['network_ms'] + published['published_ms']) / best.latency_ms['p50'] \
        if best and 'network_ms' in published else math.nan
    return [
        _goal(f'fast {height}x{width}: p99 under {MOST_P99_MS:g} ms, host to host',
              best.latency_ms['p99'] if best else math.nan, 'ms', best,
              lambda value: value < MOST_P99_MS),
        _goal(f'assembly under {MOST_ASSEMBLY:.0%} of it',
              100 * staged.assembly_share if staged else math.nan, '%', staged,
              lambda value: value < 100 * MOST_ASSEMBLY),
        _goal(f'at least {LEAST_SPEED_UP:g} x the published pipeline', speed_up, 'x', best,
              lambda value: value >= LEAST_SPEED_UP)]


def _goal(text: str, value: float, unit: str, row: Row | None, rule: Any) -> dict[str, Any]:
    result = 'not measured' if math.isnan(value) else 'met' if rule(value) else 'missed'
    return {'goal': text, 'value': value, 'unit': unit, 'result': result,
            'by': f'{row.runtime} {row.precision}' if row else ''}


def markdown(found: dict[str, Any]) -> str:
    """
    Tables of check.Findings as plain data.

    :param found: where a number is None, it was not measured.
    """
    lines = [f'# GPU check: {found["device"].get("name", "?")}', '',
             ', '.join(f'{key} {value}' for key, value in (
                 *found['device'].items(), *found['machine'].items(),
                 *found['versions'].items()) if key != 'name'),
             f'{found["seconds"]:.0f} s, up to {found["settings"]["repeats"]} frames a row.', '',
             '| model | size | runtime | precision | p50 ms | p95 ms | p99 ms | ids equal '
             '| depth error | copies / network / assembly ms | GPU MiB | floor | matrix rate |',
             '|---|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|']
    lines += [_row(row) for row in found['rows'] if row['latency_ms']]
    lines += ['', 'ids, depth: the worst picture against PyTorch in float32. floor: share of the '
              'time that operations and bytes need at least. matrix rate: operations per second '
              'over those of large matrix products.', '']
    lines += _reasons(found['rows'])
    lines += _machine(found['rates'])
    lines += [line for size, times in found['pipelines'].items()
              for line in _pipelines(size, times)]
    lines += [_goal_line(goal) for goal in found['goals']]
    return '\n'.join(lines) + '\n'


def _row(row: dict[str, Any]) -> str:
    latency, stages = row['latency_ms'], row['stages_ms']
    parts = ' / '.join(f'{stages[name]:.2f}' for name in ('copies', 'network', 'assembly')) \
        if stages else '-'
    cells = (row['model'], f'{row["height"]}x{row["width"]}', _runtime(row), row['precision'],
             *(f'{latency[name]:.2f}' for name in ('p50', 'p95', 'p99')),
             _number(row['equal_ids'], '.3%'), _number(row['depth_error'], '.1e'), parts,
             _number(row['gpu_mib'], '.0f'),
             _number(row['floor_ms'] and row['floor_ms'] / latency['p50'], '.1%'),
             _number(row['matrix_share'], '.1%'))
    return f'| {" | ".join(cells)} |'


def _runtime(row: dict[str, Any]) -> str:
    return f'torch {row["runtime"]}' if is_torch(row['runtime']) else str(row['runtime'])


def _reasons(rows: Sequence[dict[str, Any]]) -> list[str]:
    """List each reason once, with the rows that it stopped."""
    stopped: dict[str, list[str]] = {}
    for row in rows:
        if not row['latency_ms']:
            stopped.setdefault(row['error'], []).append(
                f'{row["model"]} {row["height"]}x{row["width"]} {_runtime(row)} '
                f'{row["precision"]}')
    return [f'- not run: {", ".join(names)}: {reason[:_REASON]}'
            for reason, names in stopped.items()]


def _machine(rates: dict[str, Any]) -> list[str]:
    if 'flops_per_s' not in rates:
        return [f'- rates: {rates.get("error", "not measured")}']
    speeds = ', '.join(f'{name} {value / 1e12:.2f}' for name, value in
                       rates['flops_per_s'].items())
    return [f'- measured: matrix products {speeds} Tflop/s, copies '
            f'{rates["bytes_per_s"] / 1e9:.0f} GB/s']


def _pipelines(size: str, times: dict[str, Any]) -> list[str]:
    if 'network_ms' not in times:
        return [f'- published pipeline {size}: {times.get("error", "not measured")}']
    graph = (f', as a CUDA graph {times["ours_graph_ms"]:.2f} ms'
             if 'ours_graph_ms' in times else '')
    return [f'- published pipeline {size}: network {times["network_ms"]:.1f} ms, its '
            f'post-processing of {times["things"]} things {times["published_ms"]:.1f} ms; our '
            f'assembly of the same {times["ours_ms"]:.2f} ms{graph}; '
            f'{times["equal_ids"]:.3%} of the ids are equal']


def _goal_line(goal: dict[str, Any]) -> str:
    value = '' if goal['value'] is None else f' {goal["value"]:.2f} {goal["unit"]} ({goal["by"]})'
    return f'- goal: {goal["goal"]}: {goal["result"]}{value}'


def _number(value: float | None, form: str) -> str:
    return '-' if value is None else format(value, form)
