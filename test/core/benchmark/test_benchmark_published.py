# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The published loop against our assembly, and against the original's results."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('torch', reason='needs the extra [export]')

import torch
from golden import each_golden
from panoptic_depth_core.benchmark.published import (
    FIRST_THING,
    RULES,
    as_published,
    compare_published,
    published_result,
    street_output,
)
from panoptic_depth_core.labels import CLASS_ID
from panoptic_depth_core.network.dynamic_kernels.assembly import assemble
from panoptic_depth_core.network.dynamic_kernels.kernels import KernelOutput


def both(output: KernelOutput, area: int):
    """Ids and depth by loops and by our assembly, in the published numbers."""
    height, width = (4 * side for side in output.mask_embedding.shape[-2:])
    index, depth, _ = assemble(output, torch.tensor([0.2, 0.5, area / (height * width), 0.0]),
                               RULES)
    loops = published_result(output, area)
    return loops, (as_published(index[0]), depth[0].nan_to_num(0.0))


@pytest.mark.parametrize(('things', 'seed'), [(0, 0), (14, 0), (60, 1)])
def test_loops_equal_the_assembly_on_made_up_streets(things, seed):
    (ids, depth), (our_ids, our_depth) = both(street_output(128, 256, things, seed), 100)
    assert torch.equal(ids, our_ids)
    assert torch.allclose(depth, our_depth, atol=1e-3)
    found = set(ids.unique().tolist())
    assert sum(i >= FIRST_THING for i in found) == things
    assert CLASS_ID['road'] + 1 in found


def test_where_nothing_is_found_loops_and_assembly_have_nothing():
    output = street_output(128, 256, 0)
    output = output._replace(regions=[torch.full_like(r, -9.0) for r in output.regions])
    (ids, depth), (our_ids, _) = both(output, 100)
    assert not ids.any() and not depth.any() and not our_ids.any()


def test_things_that_hide_each_other_and_alike_kernels():
    """One of two that share a mask goes, by fusion within a class, else by its overlap."""
    output = street_output(128, 256, 6)
    peaks = (output.centers[0][0] > 0).nonzero().tolist()
    (kind, v, u), (_, v2, u2) = peaks[0], peaks[1]
    output.kernels[0][0, :, v2, u2] = output.kernels[0][0, :, v, u]
    (ids, _), (our_ids, _) = both(output, 100)
    assert torch.equal(ids, our_ids)
    assert int((ids.unique() >= FIRST_THING).sum()) == 5, kind


@each_golden('assembly')
def test_loops_equal_the_original(path):
    golden = np.load(path)

    def levels(name: str) -> list[torch.Tensor]:
        return [torch.from_numpy(golden[f'{name}_{i}'][None]) for i in range(5)]

    ids, depth = published_result(KernelOutput(
        levels('center'), levels('region'), levels('kernel'), levels('depth_kernel'),
        torch.from_numpy(golden['encode_feat'][None]),
        torch.from_numpy(golden['encode_depth'][None]), torch.ones(1), depth_form='linear'),
        int(golden['stuff_area_limit']))
    equal = ids.numpy() == golden['panoptic_id']
    assert equal.mean() > 0.999
    assert np.abs(depth.numpy() - golden['depth'])[equal].max() < 1e-3


def test_both_pipelines_are_timed_on_the_same_scene():
    found = compare_published(64, 128, 5, 'cpu', 1)
    assert (found['things'], found['equal_ids']) == (5, 1.0)
    assert min(found['network_ms'], found['published_ms'], found['ours_ms']) > 0
