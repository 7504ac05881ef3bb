# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Batches on their way between processes and to a device."""

from __future__ import annotations

import io
import pickle
from multiprocessing.reduction import ForkingPickler

import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')

from miniature import make_sample  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.targets import collate  # noqa: E402


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
