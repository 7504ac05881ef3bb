# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Loader against step; batches on their way between processes and to a device."""

from __future__ import annotations

import io
import pickle
from multiprocessing.reduction import ForkingPickler

import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')

from miniature import make_sample  # noqa: E402
from panoptic_depth_core.config import parse_settings  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.targets import collate  # noqa: E402
from panoptic_depth_core.training.benchmark import (  # noqa: E402
    LoaderTiming,
    TrainingTiming,
    training_benchmark,
)
from panoptic_depth_core.training.recipe import TrainSettings  # noqa: E402


def _timing(step_per_s, **per_s):
    return TrainingTiming('cuda', 32, step_per_s, tuple(
        LoaderTiming(int(name[1:]), rate, 0.0, 0.0) for name, rate in per_s.items()), {}, {})


@pytest.mark.parametrize(('timing', 'needed'), [
    (_timing(100.0, w1=30.0, w2=60.0, w4=115.0, w8=200.0), 4),
    (_timing(100.0, w1=30.0, w4=80.0), 4),
    (_timing(1000.0, w2=100.0), 22),
    (_timing(100.0, w0=50.0), 3),
])
def test_workers_that_keep_a_device_busy(timing, needed):
    assert timing.workers_needed == needed
    assert timing.to_dict()['workers_needed'] == needed
    assert f'workers that keep the device busy: {needed}' in timing.to_markdown()


def test_all_three_are_timed(recipe):
    settings = parse_settings(TrainSettings, recipe, 'test')
    timing = training_benchmark(settings, [0], 2)
    row, = timing.loaders
    assert timing.device == 'cpu' and timing.batch_size == 2
    assert row.run_per_s < min(row.loader_per_s, timing.step_per_s) * 3
    assert 0 < row.waiting < 1
    with pytest.raises(ConfigError, match=r'0 iterations with workers \[1\]; give at least 1'):
        training_benchmark(settings, [1], 0)


def test_a_batch_comes_through_as_it_was():
    samples = [make_sample(), make_sample(seed=1, panoptic=None, instance_classes=())]
    batch = collate(samples)
    again = pickle.loads(pickle.dumps(batch))
    moved = again.to(torch.device('cpu'))
    for other in (again, moved):
        for name, value in batch.__dict__.items():
            pairs = zip(value, other.__dict__[name], strict=True)
            assert all(torch.equal(a.nan_to_num(-1.0), b.nan_to_num(-1.0))
                       for a, b in pairs), name
    assert [len(boxes) for boxes in again.thing_box] == [2, 0]


def test_few_files_for_many_samples():
    buffers = []
    for number in (1, 16):
        batch = collate([make_sample(seed=seed) for seed in range(number)])
        buffer = io.BytesIO()
        ForkingPickler(buffer, pickle.HIGHEST_PROTOCOL).dump(batch)
        buffers.append(buffer.getvalue().count(b'rebuild_storage'))
        # Lists are one tensor each, with the lengths of their parts.
        parts = batch.__getstate__().values()
        assert sum(isinstance(p, (torch.Tensor, tuple)) for p in parts) == 11
    assert buffers[0] == buffers[1]
