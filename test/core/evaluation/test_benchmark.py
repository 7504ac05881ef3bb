# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark: figures of worker processes, tables, and what goes wrong."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from panoptic_depth_core.config import InferenceSettings, Thresholds
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.evaluation.benchmark import (
    ROUND_FRAMES,
    BackendTiming,
    BenchmarkResult,
    Timing,
    benchmark,
    street_image,
)
from panoptic_depth_core.evaluation.machine import cores, machine, versions
from panoptic_depth_core.inference.pipeline import STEPS
from panoptic_depth_core.structures import Frame, Intrinsics


def test_percentiles_by_hand():
    timing = Timing.of(list(range(101)))
    assert (timing.median_ms, timing.p95_ms, timing.p99_ms) == (50, 95, 99)


def test_table():
    steps = {'graph': Timing(40.0, 50.0, 60.0), 'total': Timing(50.0, 60.0, 70.0)}
    slow = {'graph': Timing(80.0, 90.0, 99.0), 'total': Timing(100.0, 120.0, 140.0)}
    result = BenchmarkResult(
        'fast-1', (1024, 2048), (512, 1024), None, {'cpu': 'Abacus 3', 'cores': '2 cores'},
        {'python': '3.12'}, (
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


def test_machine_and_versions():
    assert machine()['cpu'] and machine()['cores'] == f'{cores()} cores'
    assert 1 <= cores() <= os.cpu_count()
    assert {'python', 'numpy', 'onnxruntime'} <= versions().keys()
