# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Loader against step of a recipe."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')

from miniature import RECIPE, Miniature  # noqa: E402
from panoptic_depth_core import datasets  # noqa: E402
from panoptic_depth_core.benchmark.training import measure_training, workers_needed  # noqa: E402
from panoptic_depth_core.config import parse_settings  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.training.recipe import TrainSettings  # noqa: E402


@pytest.mark.parametrize(('step_per_s', 'loader_per_s', 'needed'), [
    (100.0, {1: 30.0, 2: 60.0, 4: 115.0, 8: 200.0}, 4),
    (100.0, {1: 30.0, 4: 80.0}, 4),
    (1000.0, {2: 100.0}, 22),
    (100.0, {0: 50.0}, 3),
])
def test_workers_that_keep_a_device_busy(step_per_s, loader_per_s, needed):
    assert workers_needed(step_per_s, loader_per_s) == needed


@pytest.fixture
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures('_one_thread')
def test_all_three_are_timed(monkeypatch):
    monkeypatch.setitem(datasets.DATASETS, 'miniature', Miniature)
    settings = parse_settings(TrainSettings, copy.deepcopy(RECIPE), 'test')
    report = measure_training(settings, [0], 2)
    row, = report.rows
    step_per_s = report.details['step_samples_per_s']
    assert report.details['device'] == 'cpu' and report.details['batch_size'] == 2
    assert row['together_samples_per_s'] < min(row['loader_samples_per_s'], step_per_s) * 3
    assert 0 < row['step_waits'] < 1
    needed = report.details['workers_needed']
    assert report.notes == [f'workers that keep the device busy: {needed}']
    with pytest.raises(ConfigError, match=r'0 iterations with workers \[1\]; give at least 1'):
        measure_training(settings, [1], 0)
