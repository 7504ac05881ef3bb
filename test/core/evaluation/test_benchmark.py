# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark: figures of worker processes, tables, and what goes wrong."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from panoptic_depth_core.config import InferenceSettings, Thresholds
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.evaluation.benchmark import BenchmarkResult, benchmark, street_image
from panoptic_depth_core.evaluation.benchmark_process import (
    ROUND_FRAMES,
    BackendTiming,
    Job,
    Timing,
    time_backends,
)
from panoptic_depth_core.evaluation.benchmark_worker import split_model
from panoptic_depth_core.evaluation.machine import cores, gpu_names, machine, versions
from panoptic_depth_core.inference.pipeline import STEPS
from panoptic_depth_core.model_directory import save_model_directory
from panoptic_depth_core.structures import Frame, Intrinsics


def test_percentiles_by_hand():
    timing = Timing.of(list(range(101)))
    assert (timing.median_ms, timing.p95_ms, timing.p99_ms) == (50, 95, 99)


def test_table():
    steps = {'graph': Timing(40.0, 50.0, 60.0), 'total': Timing(50.0, 60.0, 70.0)}
    slow = {'graph': Timing(80.0, 90.0, 99.0), 'total': Timing(100.0, 120.0, 140.0)}
    result = BenchmarkResult(
        'fast-1', ('depth', 'instances', 'semantic'), (1024, 2048), (512, 1024), None,
        {'cpu': 'Abacus 3', 'cores': '2 cores'}, {'python': '3.12'}, (
            BackendTiming('a', steps, 30, 20, 100.0, 512.0), BackendTiming('b', slow, 30, 20),
            BackendTiming('c', error='not installed')))
    text = result.to_markdown()
    assert 'fast-1: image 2048x1024, network input 1024x512, threads auto' in text
    assert 'Abacus 3, 2 cores, python 3.12' in text
    assert '| a | graph | 40.0 | 50.0 | 60.0 | 1.00 |' in text
    assert '| b | total | 100.0 | 120.0 | 140.0 | 2.00 |' in text
    assert 'a: 30 frames, about 20 instances each, loaded in 100 ms, peak memory 512 MiB' in text
    assert 'c: not run: not installed' in text
    assert json.loads(json.dumps(result.to_dict()))['backends'][0]['steps']['graph'][
        'median_ms'] == 40.0


def test_run(painted_model, painted_image):
    """Frames of one's own; a backend that is not there does not stop the others."""
    frame = Frame(painted_image(64, 128), Intrinsics.from_focal(100.0, 128, 64))
    result = benchmark(
        painted_model, ('onnxruntime', 'nonesuch'), frames=[frame], warmup=1,
        repeats=ROUND_FRAMES + 1, threads=1,
        settings=InferenceSettings(thresholds=Thresholds(score=0.5)))
    good, bad = result.backends
    assert list(good.steps) == [*STEPS, 'host', 'total']
    assert good.frames == ROUND_FRAMES + 1 and good.instances == 3 and not good.error
    for timing in good.steps.values():
        assert 0 < timing.median_ms <= timing.p95_ms <= timing.p99_ms
    assert good.steps['graph'].median_ms < good.steps['total'].median_ms
    assert good.load_ms > 0 and good.peak_rss_mib > 10
    assert "backend 'nonesuch' is not known" in bad.error and not bad.steps
    assert (result.image_size, result.network_size) == ((64, 128), (32, 64))
    assert '| onnxruntime | host |' in result.to_markdown()


def test_models_of_several_precisions(painted_model, make_info, painted_onnx, tmp_path):
    """Rows are labelled by what was asked for; an input of another size is no comparison."""
    other = save_model_directory(tmp_path / 'other', painted_model.info,
                                 painted_model.onnx_path.read_bytes())
    small = make_info(input_width=128)
    wide = save_model_directory(tmp_path / 'wide', small, painted_onnx(small))
    named = f'onnxruntime:threads=1:model={other.path}'
    result = benchmark(painted_model, ('onnxruntime', named, f'onnxruntime:model={wide.path}'),
                       image_size=(32, 64), warmup=0, repeats=1, threads=2)
    good, same, wrong = result.backends
    assert same.backend == named and same.steps and good.steps
    assert f'| {named} | graph |' in result.to_markdown()
    assert 'the input is 32x128, that of the others 32x64; time models of one size' in wrong.error


@pytest.mark.parametrize(('spec', 'parts'), [
    ('torch', ('torch', None)), ('torch:device=cuda', ('torch:device=cuda', None)),
    ('onnxruntime:model=a/b:threads=2', ('onnxruntime:threads=2', 'a/b'))])
def test_model_of_a_backend(spec, parts):
    assert split_model(spec) == parts


def test_graph_alone_and_its_agreement(painted_model, painted_image, tmp_path):
    """The table's three things are counted; a reference that differs in one pixel shows."""
    test = painted_model.load_self_test()
    index = test.output.segment_index.copy()
    index[0, 0] ^= 1
    paths = [tmp_path / 'same.npz', tmp_path / 'other.npz']
    for path, changed in zip(paths, (test, replace(
            test, output=replace(test.output, segment_index=index))), strict=True):
        changed.save(path)
    frame = Frame(painted_image(32, 64), Intrinsics.from_focal(50.0, 64, 32))
    job = Job(painted_model.path, (32, 64), [frame], graph_only=True, tests=paths)
    timing, = time_backends(job, ['onnxruntime'], 1, 3, limit_s=60)
    assert list(timing.steps) == ['graph'] and timing.frames == 3 and timing.instances == 3
    assert timing.equal_ids == pytest.approx(1 - 1 / index.size)
    assert timing.depth_error == pytest.approx(0.0, abs=1e-6)
    assert timing.gpu_mib == 0


def test_what_takes_too_long_is_given_up(painted_model, painted_image):
    frame = Frame(painted_image(32, 64), Intrinsics.from_focal(50.0, 64, 32))
    timing, = time_backends(Job(painted_model.path, (32, 64), [frame]), ['onnxruntime'], 1, 3,
                            limit_s=0.01)
    assert timing.error == 'given up: it took longer than the time it had' and not timing.steps


def test_no_backend_at_all(painted_model):
    with pytest.raises(BackendError, match="no backend could run: nonesuch: backend 'nonesuch'"):
        benchmark(painted_model, ('nonesuch',), image_size=(32, 64), repeats=1)


def test_worker_that_dies_is_reported(painted_model, monkeypatch):
    """A crash of the interpreter itself: its last words are passed on."""
    monkeypatch.setenv('PYTHONHOME', '/nonexistent')
    with pytest.raises(BackendError, match='onnxruntime: its process ended with code 1: '):
        benchmark(painted_model, ('onnxruntime',), image_size=(32, 64), repeats=1)


@pytest.mark.parametrize('changes', [
    {'repeats': 0}, {'warmup': -1}, {'image_size': (0, 64)}])
def test_numbers_that_make_no_sense(painted_model, changes):
    with pytest.raises(ConfigError, match='give at least 1, 0 and 1x1'):
        benchmark(painted_model, **changes)


def test_frames_of_several_sizes(painted_model):
    frames = [Frame(np.zeros((h, 64, 3), np.uint8), Intrinsics.from_focal(50, 64, h))
              for h in (32, 48)]
    with pytest.raises(ConfigError, match=r'frames of sizes .*32, 64.*48, 64.* of one size'):
        benchmark(painted_model, frames=frames)


def test_street_image():
    image = street_image(48, 96, 3)
    assert image.shape == (48, 96, 3) and image.dtype == np.uint8
    assert (image == street_image(48, 96, 3)).all()
    assert (image != street_image(48, 96, 4)).any()
    assert image[:8, :, 2].mean() > image[-8:, :, 2].mean()


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
