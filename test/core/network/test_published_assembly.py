# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The published rules of the assembly: against vectors of the original, and one by one."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the network needs the extra [train]')

from golden import each_golden  # noqa: E402
from panoptic_depth_core.contract import COLUMN, NO_SEGMENT  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, THING_CLASSES  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.assembly import (  # noqa: E402
    AssemblySettings,
    Things,
    assemble,
    find_peaks,
    kernels_of_won_cells,
    large_enough_stuff,
    merge_duplicates,
)
from panoptic_depth_core.network.dynamic_kernels.kernels import (  # noqa: E402
    KernelOutput,
    linear_depth_center,
    metric_depth,
)
from panoptic_depth_core.network.panoptic_depth.network import PUBLISHED_ASSEMBLY  # noqa: E402

FULL = PUBLISHED_ASSEMBLY.model_copy(update={'output_stride': 1, 'max_things': 200})
K, D, H, W = 6, 4, 32, 48
SIZES = [(H // 2 ** i, W // 2 ** i) for i in range(1, 6)]
THINGS, CLASSES = len(THING_CLASSES), len(CITYSCAPES)


@each_golden('assembly')
def test_equals_the_original(path):
    """Ids on more than 99.9 % of the pixels, depth to 1 mm there, scores and classes."""
    golden = np.load(path)
    height, width = golden['panoptic_id'].shape

    def levels(name: str) -> list[torch.Tensor]:
        return [torch.from_numpy(golden[f'{name}_{i}'][None]) for i in range(5)]

    output = KernelOutput(
        levels('center'), levels('region'), levels('kernel'), levels('depth_kernel'),
        torch.from_numpy(golden['encode_feat'][None]),
        torch.from_numpy(golden['encode_depth'][None]), torch.ones(1), depth_form='linear')
    area = float(golden['stuff_area_limit']) / (height * width)
    index, depth, table = (value[0].numpy() for value in assemble(
        output, torch.tensor([0.2, 0.5, area, 0.0]), FULL))
    row = index.astype(int)
    # Published ids: things from 21 on, stuff is the class + 1.
    ids = np.where(row < FULL.max_things, 21 + row, row - FULL.max_things + 1)
    equal = ids == golden['panoptic_id']
    error = np.abs(depth - golden['depth'])[equal].max()
    print(f'{100 * equal.mean():.3f} % of the ids are equal, depth there to {error:.1e} m')
    assert equal.mean() > 0.999
    assert error < 1e-3
    kept = table[:FULL.max_things, COLUMN['score']] > 0
    scores = dict(zip(np.round(golden['scores'], 5), golden['classes'], strict=True))
    for values in table[:FULL.max_things][kept]:
        # The original lists candidates before it looks at overlaps.
        nearest = min(scores, key=lambda score, own=values[COLUMN['score']]: abs(score - own))
        assert nearest == pytest.approx(values[COLUMN['score']], abs=2e-5)
        assert THING_CLASSES[scores[nearest]] == values[COLUMN['class_id']]


def scene(seed: int = 0, center: float = -8.0) -> KernelOutput:
    """Random output for a 128x192 image without things, and regions that nothing wins."""
    g = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> torch.Tensor:
        return torch.randn(1, *shape, generator=g)

    return KernelOutput(
        centers=[torch.full((1, THINGS, h, w), center) for h, w in SIZES],
        regions=[torch.full((1, CLASSES, h, w), -8.0) for h, w in SIZES],
        kernels=[rand(K, h, w) for h, w in SIZES],
        depth_kernels=[rand(2 + D, h, w) for h, w in SIZES],
        mask_embedding=rand(K, H, W), depth_embedding=rand(D, H, W), metric=torch.ones(1),
        depth_form='linear')


def test_where_nothing_is_found_all_is_void_and_has_no_depth():
    index, depth, table = assemble(scene(), torch.tensor([0.2, 0.5, 0.0, 0.0]), FULL)
    assert (index == NO_SEGMENT).all()
    assert torch.isnan(depth).all()
    assert (table[..., COLUMN['valid']] == 0).all()


def test_network_without_depth_has_labels_and_no_meters():
    output = scene()
    output.regions[0][0, CLASS_ID['road']] = 3.0
    without = output._replace(depth_kernels=[], depth_embedding=None)
    limits = torch.tensor([0.2, 0.5, 0.0, 0.0])
    with_depth, without_depth = assemble(output, limits, FULL), assemble(without, limits, FULL)
    assert torch.equal(with_depth[0], without_depth[0])
    assert (with_depth[0] == FULL.max_things + CLASS_ID['road']).all()
    assert torch.isfinite(with_depth[1]).all()
    assert torch.isnan(without_depth[1]).all()


def test_peaks_are_those_of_the_smoothed_map():
    output = scene()
    output.centers[0][0, 2, 5, 7] = 2.0
    things = find_peaks(output, FULL)
    one = torch.tensor(2.0).sigmoid()
    around = torch.tensor(-8.0).sigmoid()
    assert float(things.score[0, 0]) == pytest.approx(
        float((one + (one + 8 * around) / 9) / 2), rel=1e-5)
    assert (things.score[0] > 0).sum() == 1, 'scores of 0.01 and less are none'


def test_level_gives_no_more_candidates_than_it_has_cells():
    output = scene(center=0.0)
    cells = [h * w for h, w in SIZES]
    expected = sum(min(n, FULL.level_candidates) for n in cells)
    assert find_peaks(output, FULL).score.shape[1] == expected


def test_fusion_loses_chains_and_what_went_into_them():
    angle = torch.deg2rad(torch.tensor([0.0, 12.0, 24.0]))  # cos 12 = 0.978, cos 24 = 0.914
    kernels = torch.stack([angle.cos(), angle.sin()], 1)[None]
    things = Things(torch.tensor([[0.9, 0.8, 0.7]]), torch.full((1, 3), 13), kernels,
                    torch.arange(6.0).reshape(1, 3, 2))
    merged = merge_duplicates(things, FULL, located=False)
    assert merged.score[0].tolist() == pytest.approx([0.9, 0.0, 0.0])
    assert merged.depth_kernels[0, 0].tolist() == pytest.approx([1.0, 2.0])
    kept = merge_duplicates(
        things, FULL.model_copy(update={'keep_chains': True}), located=False)
    assert kept.score[0].tolist() == pytest.approx([0.9, 0.0, 0.7])


def test_region_kernels_are_divided_by_all_cells_that_the_class_won():
    output = scene()
    road = CLASS_ID['road']
    output.regions[0][0, road, 0, :3] = torch.tensor([2.0, 1.0, -1.0])  # the last is below 0.4
    output.regions[0][0, road, 1:] = -9.0
    output.regions[0][0, CLASS_ID['sky']] = -7.5
    output.regions[0][0, CLASS_ID['sky'], 0, :3] = -9.0
    kernels, depth_kernels, present = kernels_of_won_cells(output)
    assert present[0].nonzero()[:, 0].tolist() == [road]
    cells = output.kernels[0][0, :, 0, :2].sum(1)
    assert torch.allclose(kernels[0, road], cells / 3, atol=1e-6)
    assert torch.allclose(depth_kernels[0, road],
                          output.depth_kernels[0][0, :, 0, :2].mean(1), atol=1e-6)


def test_region_of_several_levels_is_their_mean_after_the_projection():
    output = scene()
    road = CLASS_ID['road']
    for level in (0, 2):
        output.regions[level][0, road] = 3.0
    matrix, bias = torch.randn(K, K), torch.randn(K)
    kernels, _, _ = kernels_of_won_cells(output._replace(region_projection=(matrix, bias)))
    means = [output.kernels[level][0].flatten(1).mean(1) for level in (0, 2)]
    assert torch.allclose(kernels[0, road], matrix @ ((means[0] + means[1]) / 2) + bias,
                          atol=1e-5)


def test_area_of_stuff_is_what_things_leave_and_thing_classes_are_dropped():
    regions, masks = torch.zeros(1, CLASSES, 4, 4), torch.zeros(1, 2, 4, 4)
    regions[0, CLASS_ID['road']] = 0.6
    regions[0, CLASS_ID['sky'], 0] = 0.7  # 4 pixels of 16
    regions[0, CLASS_ID['car'], 1] = 0.8
    masks[0, 0, 0, :2] = 0.9  # takes two of the sky
    is_thing = torch.tensor([c.is_thing for c in CITYSCAPES])
    for least, kept in ((0.126, {'road'}), (0.125, {'road', 'sky'})):
        large = large_enough_stuff(regions, masks, is_thing, torch.tensor(least))[0, :, 0, 0]
        assert {CITYSCAPES[i].name for i in large.nonzero()[:, 0]} == kept


def test_linear_depth_formula():
    kernel = torch.tensor([[[1.0, 0.5, 2.0, 0.0]]])
    embedding = torch.tensor([[[0.3, 9.0]]])
    sigmoid = torch.sigmoid(torch.tensor([1.0, 0.5, 0.6]))
    expected = 1.5 * (44 * sigmoid[0] + 88 * sigmoid[1] * (2 * sigmoid[2] - 1))
    assert float(metric_depth(kernel, embedding, torch.tensor([1.5]), 'linear')) == \
        pytest.approx(float(expected), rel=1e-6)
    assert float(linear_depth_center(kernel)) == pytest.approx(float(44 * sigmoid[0]))
    near = metric_depth(torch.tensor([[[-9.0, 5.0, -2.0, 0.0]]]), embedding, torch.ones(1),
                        'linear')
    assert 0 < float(near) < 1e-5


def test_depth_ends_at_its_limit():
    output = scene()
    output.regions[0][0, CLASS_ID['road']] = 3.0
    output.depth_kernels[0][0, 0] = 9.0
    output.depth_kernels[0][0, 1:] = 9.0
    output = output._replace(depth_embedding=torch.ones(1, D, H, W),
                             metric=torch.tensor([0.5]))
    _, depth, _ = assemble(output, torch.tensor([0.2, 0.5, 0.0, 0.0]), FULL)
    assert torch.allclose(depth, torch.tensor(40.0))


def test_defaults_are_not_the_published_rules():
    """The options of both are apart, so a change of one shows."""
    changed = {name for name in AssemblySettings.model_fields
               if getattr(AssemblySettings(), name) != getattr(PUBLISHED_ASSEMBLY, name)}
    assert {'peak_smoothing', 'keep_chains', 'regions', 'merge_cosine', 'max_depth_m'} <= changed


def test_pooled_regions_need_learned_kernels():
    with pytest.raises(ConfigError, match="set regions to 'won_cells'"):
        assemble(scene(), torch.tensor([0.2, 0.5, 0.0, 0.0]), AssemblySettings())
