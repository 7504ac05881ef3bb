# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Every runtime in one table, on a CPU and with a small model."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

pytest.importorskip('torch', reason='needs the extra [export]')
pytest.importorskip('onnxscript', reason='needs the extra [export]')

import pieces_of_work as work
import torch
from panoptic_depth_core.benchmark import runtimes
from panoptic_depth_core.benchmark.graphs import convert, export_at
from panoptic_depth_core.benchmark.report import NOT_RUN
from panoptic_depth_core.benchmark.runtimes import (
    GPU_SIZE,
    RUNTIMES,
    RuntimeSettings,
    measure_runtimes,
)
from panoptic_depth_core.cli import main
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.export.onnx_export import export_model
from panoptic_depth_core.model_directory import ModelDirectory
from panoptic_depth_core.network import MODELS
from panoptic_depth_core.network.base import ModelDescription
from tiny_models import TinySemantic

SIZE = (32, 64)


@pytest.fixture(scope='module')
def tiny(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, 'tiny_semantic', 'tiny_models:TinySemantic')
        torch.manual_seed(0)
        return export_model(TinySemantic().eval(), tmp_path_factory.mktemp('tiny') / 'model',
                            ModelDescription(model_id='tiny', height=SIZE[0],
                                             width=SIZE[1])).path


@pytest.fixture(autouse=True)
def _pieces(monkeypatch):
    """Let the processes know the model; the published pipeline has a test of its own."""
    monkeypatch.setitem(MODELS, 'tiny_semantic', 'tiny_models:TinySemantic')
    for name in ('references', 'time_pipeline'):
        monkeypatch.setattr(runtimes, name, getattr(work, name))
    monkeypatch.setattr(runtimes, 'compare_published', work.published)


@pytest.mark.slow
def test_one_table_and_one_json(tiny, tmp_path, capsys, monkeypatch):
    """Rows that run, a row that dies, and one that cannot run here."""
    monkeypatch.setattr(runtimes, '_ON_GPU', ('torch cuda_graph',))
    monkeypatch.setattr(runtimes, 'describe_device', work.cpu)
    for name in ('onnxruntime cuda', 'openvino', 'torch compile'):
        monkeypatch.delitem(RUNTIMES, name)
    assert main(['benchmark', '--what', 'runtimes', '-m', str(tiny), '--precisions', 'float32',
                 '--repeats', '3', '--device', 'cpu', '--minutes', '3', '-o',
                 str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert shown.out == (tmp_path / 'benchmark.md').read_text()
    assert 'benchmark: 32x64: torch eager float32 ...' in shown.err
    found = json.loads((tmp_path / 'benchmark.json').read_text())
    rows = {row['runtime']: row for row in found['rows']}
    for name in ('onnxruntime cpu', 'torch eager'):
        row = rows[name]
        assert (row[NOT_RUN], row['frames'], row['size']) == ('', 3, '32x64')
        assert row['equal_ids'] > 0.99 and row['depth_error'] < 1e-3
        assert 0 < row['median_ms'] <= row['p95_ms'] <= row['p99_ms']
        assert row['times_published'] == pytest.approx(100.0 / row['median_ms'])
        assert row['peak_mib'] > 10 and row['load_ms'] > 0 and row['pipeline_ms'] > 0
        assert f'| 32x64 | {name} | float32 | {row["median_ms"]:.2f} |' in shown.out
    assert rows['torch eager']['network_ms'] > 0 and rows['torch eager']['assembly_ms'] > 0
    assert 'ended with code 3: last words' in rows['tensorrt'][NOT_RUN]
    assert rows['torch cuda_graph'][NOT_RUN] == 'it needs a GPU'
    assert '| 32x64 | torch cuda_graph | - | - |' in shown.out
    assert found['details']['published'] == {**work.PUBLISHED, 'size': '32x64'}
    assert 'published pipeline at 32x64: network 60.0 ms' in shown.out


def test_minutes_are_kept_and_what_is_left_out_is_said(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(runtimes, 'describe_device', work.cpu)
    begun = time.monotonic()
    report = measure_runtimes(RuntimeSettings(
        tmp_path, tiny, device='cpu', precisions=('float32', 'float16'), minutes=0.01))
    assert time.monotonic() - begun < 60
    assert {row[NOT_RUN] for row in report.rows} == {
        'it needs a GPU', 'left out: the time limit of 0.01 min was reached'}
    text = report.to_markdown()
    assert '| torch eager | float16 |' in text and 'left out: the time limit of 0.01 min' in text
    assert 'published pipeline: left out: no time was left' in text


@pytest.mark.parametrize(('changes', 'words'), [
    ({'precisions': ('int4',)}, "precision 'int4' is not known; known: float32, bfloat16"),
    ({'minutes': 0.0}, 'more than 0'), ({'repeats': 0}, 'at least 1'),
    ({'source': 'nothing_here.mp4'}, 'nothing_here.mp4: does not exist')])
def test_wrong_settings(tiny, tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        measure_runtimes(RuntimeSettings(tmp_path, tiny, **{'device': 'cpu', **changes}))


def test_a_device_that_is_not_there(tiny, capsys):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    assert main(['benchmark', '--what', 'runtimes', '-m', str(tiny), '--device', 'cuda']) == 2
    words = capsys.readouterr().err
    assert "no device 'cuda': " in words and 'or with --device cpu' in words


def test_a_gpu_is_measured_first_at_the_size_of_the_published_pipeline(tiny, tmp_path,
                                                                       monkeypatch):
    """All that has to be there, as far as a machine without a GPU can tell."""
    monkeypatch.setattr(runtimes, 'describe_device', work.gpu)
    report = measure_runtimes(RuntimeSettings(tmp_path, tiny, minutes=0.01))
    assert report.title == '# tiny in every runtime of Abacus 3'
    assert list(dict.fromkeys(row['size'] for row in report.rows)) == [
        f'{GPU_SIZE[0]}x{GPU_SIZE[1]}', '32x64']
    found = {(row['runtime'], row['precision']) for row in report.rows}
    assert found == {(runtime, precision) for runtime, (_, _, graphs) in RUNTIMES.items()
                     for precision in graphs}


def test_another_size(tiny, tmp_path):
    export_at(tiny, 48, 64, tmp_path / 'taller')
    info = ModelDirectory.load(tmp_path / 'taller').info
    assert (info.input_height, info.input_width, info.model_id) == (48, 64, 'tiny')


def test_converted_models_are_refused(tiny, tmp_path):
    convert(tiny, tmp_path / 'half', 'float16', None)
    with pytest.raises(ConfigError, match='its precision is float16; give the float32 model'):
        measure_runtimes(RuntimeSettings(tmp_path, tmp_path / 'half'))


def test_sizes_that_the_network_does_not_take(tmp_path):
    with pytest.raises(ConfigError, match='--size 64x129 .*fast takes multiples of 64 px'):
        measure_runtimes(RuntimeSettings(tmp_path, sizes=((64, 129),)))
