# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The table and the JSON of a benchmark, percentiles, and what the machine says of itself."""

from __future__ import annotations

import json
import math
import os

import pytest
from panoptic_depth_core.benchmark.report import LATENCY, NOT_RUN, Report, latency
from panoptic_depth_core.machine import cores, gpu_names, machine, versions


@pytest.fixture
def report() -> Report:
    return Report('pipeline', 'a title', {'backend': '', **LATENCY, 'share': '.1%'}, [
        {'backend': 'a', 'median_ms': 40.0, 'p95_ms': 50.0, 'p99_ms': 60.0, 'share': 0.5},
        {'backend': 'b', 'median_ms': math.nan, NOT_RUN: 'not installed ' + 'x' * 500}],
        ['a note'], {'tasks': ('depth',)}, {'cpu': 'Abacus 3', 'cores': '2 cores'},
        {'python': '3.12'})


def test_percentiles_by_hand():
    assert latency(list(range(101))) == {'median_ms': 50.0, 'p95_ms': 95.0, 'p99_ms': 99.0}


def test_table(report):
    lines = report.to_markdown().splitlines()
    assert lines[:6] == [
        'a title', 'Abacus 3, 2 cores, python 3.12', '',
        '| backend | median ms | p95 ms | p99 ms | share | not run |',
        '|---|---:|---:|---:|---:|---|',
        '| a | 40.00 | 50.00 | 60.00 | 50.0% | - |']
    assert lines[6].startswith('| b | - | - | - | - | not installed xxx')
    assert lines[6].endswith('x... |') and lines[-1] == 'a note'
    report.rows.pop()
    assert 'not run' not in report.to_markdown()


def test_json_holds_what_the_table_shows(report, tmp_path):
    report.write(tmp_path / 'new/metrics.json')
    report.write(tmp_path / 'folder')
    stored = json.loads((tmp_path / 'new/metrics.json').read_text())
    assert stored == json.loads((tmp_path / 'folder/benchmark.json').read_text())
    assert (tmp_path / 'folder/benchmark.md').read_text() == report.to_markdown()
    assert stored['rows'][0]['median_ms'] == 40.0 and stored['details'] == {'tasks': ['depth']}
    assert stored['rows'][1]['median_ms'] is None
    assert stored['rows'][1][NOT_RUN].endswith('x' * 500)
    assert (stored['what'], stored['machine']['cpu']) == ('pipeline', 'Abacus 3')


def test_gpus_are_those_of_nvidia_smi(tmp_path, monkeypatch):
    program = tmp_path / 'nvidia-smi'
    monkeypatch.setenv('PATH', str(tmp_path))
    assert gpu_names() == ()
    for script, found in (('echo "Abacus 3, 580.1, 143771 MiB"',
                           ('Abacus 3 (driver 580.1, 143771 MiB)',)),
                          ('echo no devices; exit 9', ())):
        program.write_text(f'#!/bin/sh\n{script}\n')
        program.chmod(0o755)
        assert gpu_names() == found


def test_machine_and_versions():
    assert machine()['cpu'] and machine()['cores'] == f'{cores()} cores'
    assert 1 <= cores() <= os.cpu_count()
    assert {'python', 'numpy', 'onnxruntime'} <= versions().keys()
