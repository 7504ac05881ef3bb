# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The fixed-shape assembly against plain loops, and on scenes where little or nothing is."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the network needs the extra [train]')

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from panoptic_depth_core.contract import COLUMN, NO_SEGMENT  # noqa: E402
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID  # noqa: E402
from panoptic_depth_core.network.dynamic_kernels.assembly import (  # noqa: E402
    AssemblySettings,
    Things,
    assemble,
    find_peaks,
    merge_duplicates,
    resolve_pixels,
    select_things,
)
from panoptic_depth_core.network.dynamic_kernels.kernels import (  # noqa: E402
    DEPTH_SHAPE,
    KernelOutput,
    log_depth_scale,
    metric_depth,
)

K, D, H, W = 8, 4, 32, 48
THINGS = [c.class_id for c in CITYSCAPES if c.is_thing]
LIMITS = torch.tensor([0.3, 0.5, 0.001, 0.3])


def scene(seed: int, batch: int = 1, center: float = -8.0) -> KernelOutput:
    """Random network output for a 128x192 image, with no peaks of its own."""
    g = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g)

    sizes = [(H // 2 ** i, W // 2 ** i) for i in (1, 2, 3, 4)]
    kernels = []
    for i, (h, w) in enumerate(sizes):
        stride = 8 * 2 ** i
        place = torch.zeros(batch, 5, h, w)
        place[:, 1:3] = 0.7 / (4.0 * stride) ** 2
        place[:, 3] = torch.arange(w) * stride + (stride - 1) / 2
        place[:, 4] = (torch.arange(h) * stride + (stride - 1) / 2)[:, None]
        place[:, 0] = 2.0
        kernels.append(torch.cat([0.3 * rand(batch, K, h, w), place], 1))
    return KernelOutput(
        centers=[rand(batch, len(THINGS), h, w) * 0.1 + center for h, w in sizes],
        regions=[rand(batch, len(CITYSCAPES), h, w) - 2 for h, w in sizes],
        kernels=kernels,
        depth_kernels=[rand(batch, DEPTH_SHAPE + D, h, w) for h, w in sizes],
        mask_embedding=rand(batch, K, H, W), depth_embedding=rand(batch, D, H, W),
        class_kernels=rand(len(CITYSCAPES), K + 1),
        class_depth_kernels=rand(len(CITYSCAPES), DEPTH_SHAPE + D),
        fallback_depth_kernel=rand(batch, DEPTH_SHAPE + D), metric=torch.full((batch,), 0.9))


def with_things(output: KernelOutput, *places: tuple[int, int, int, int]) -> KernelOutput:
    """Put centers at (level, class index, row, column) of the first image."""
    for level, channel, row, column in places:
        output.centers[level][0, channel, row, column] = 4.0
    return output


def test_peaks_are_local_maxima_best_first():
    output = with_things(scene(0), (0, 2, 5, 7), (2, 0, 1, 3))
    output.centers[0][0, 2, 5, 8] = 3.5  # beside a higher one: no peak
    output.centers[1][0, 1, 2, 2] = 2.0
    things = find_peaks(output, AssemblySettings(candidates=20))
    assert things.class_id[0, :3].sort().values.tolist() == [THINGS[0], THINGS[1], THINGS[2]]
    assert things.class_id[0, 2] == THINGS[1], 'the lower score comes after the higher ones'
    assert (things.score[0].diff() <= 0).all()
    assert things.score[0, 3] < 0.01
    row = things.class_id[0].tolist().index(THINGS[2])
    assert torch.equal(things.kernels[0, row], output.kernels[0][0, :, 5, 7])
    assert torch.equal(things.depth_kernels[0, row], output.depth_kernels[0][0, :, 5, 7])


def _candidates(weights, scores, classes=None, u=None) -> Things:
    n = len(scores)
    place = torch.zeros(n, 5)
    place[:, 1:3] = 0.001
    place[:, 3] = torch.tensor(u if u is not None else [0.0] * n)
    kernels = torch.cat([torch.tensor(weights), place], 1)[None]
    return Things(torch.tensor([scores]), torch.tensor([classes or [13] * n]), kernels,
                  torch.arange(n * 4.0).reshape(1, n, 4))


def test_chain_keeps_its_far_end():
    angle = torch.deg2rad(torch.tensor([0.0, 20.0, 40.0]))  # cos 20 = 0.94, cos 40 = 0.77
    weights = torch.stack([angle.cos(), angle.sin()], 1).tolist()
    merged = merge_duplicates(_candidates(weights, [0.9, 0.8, 0.7]), AssemblySettings())
    assert merged.score[0].tolist() == pytest.approx([0.9, 0.0, 0.7])
    assert torch.allclose(merged.depth_kernels[0, 0], torch.tensor([2.0, 3.0, 4.0, 5.0]))
    assert torch.allclose(merged.depth_kernels[0, 2], torch.tensor([8.0, 9.0, 10.0, 11.0]))


@pytest.mark.parametrize(('classes', 'u', 'stays'), [
    ([13, 13], [0.0, 5.0], False),
    ([13, 11], [0.0, 5.0], True),
    ([13, 13], [0.0, 300.0], True),
])
def test_duplicates_are_of_one_class_and_place(classes, u, stays):
    merged = merge_duplicates(
        _candidates([[1.0, 0.0], [1.0, 0.0]], [0.9, 0.8], classes, u), AssemblySettings())
    assert bool(merged.score[0, 1] > 0) is stays


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_overlap_rule_is_the_greedy_one(seed):
    g = torch.Generator().manual_seed(seed)
    n = 12
    kernels = torch.zeros(1, n, K + 5)
    kernels[..., K] = 6.0
    kernels[..., K + 1:K + 3] = 0.02 * torch.rand(1, n, 2, generator=g) + 0.002
    kernels[..., K + 3] = torch.rand(1, n, generator=g) * W * 4
    kernels[..., K + 4] = torch.rand(1, n, generator=g) * H * 4
    score = torch.rand(1, n, generator=g).sort(descending=True).values
    things = Things(score, torch.full((1, n), 13), kernels, torch.zeros(1, n, DEPTH_SHAPE + D))
    limit = {'score': torch.tensor(0.2), 'overlap': torch.tensor(0.4)}
    picked, masks = select_things(things, torch.zeros(1, K, H, W), limit,
                                  AssemblySettings(candidates=n, max_things=n))

    from panoptic_depth_core.network.dynamic_kernels.kernels import mask_logits
    soft = mask_logits(kernels, torch.zeros(1, K, H, W)).sigmoid()[0]
    inside = soft > 0.5
    quality = torch.stack([s[i].mean() if i.any() else s.new_zeros(())
                           for s, i in zip(soft, inside, strict=True)])
    rescored = score[0] * quality
    kept: list[int] = []
    for i in rescored.argsort(descending=True).tolist():
        covered = sum(int((inside[i] & inside[j]).sum()) for j in kept)
        if rescored[i] >= 0.2 and covered <= 0.4 * int(inside[i].sum()):
            kept.append(i)
    assert picked.score[0][picked.score[0] > 0].tolist() == pytest.approx(
        rescored[kept].tolist())
    assert (masks[0, len(kept):] == 0).all()


def test_pixels_against_loops():
    g = torch.Generator().manual_seed(3)
    masks, regions = torch.rand(1, 5, 6, 7, generator=g), torch.rand(1, 19, 6, 7, generator=g)
    masks *= 0.7
    index, confidence = resolve_pixels(
        masks, regions, torch.tensor([c.is_thing for c in CITYSCAPES]))
    for row in range(6):
        for column in range(7):
            values = masks[0, :, row, column].tolist()
            claimed = max(values) > 0.5
            values += [0.0 if claimed and c.is_thing else float(p)
                       for c, p in zip(CITYSCAPES, regions[0, :, row, column], strict=True)]
            assert int(index[0, row, column]) == values.index(max(values))
            assert float(confidence[0, row, column]) == pytest.approx(max(values))


def test_depth_is_that_of_the_owner_and_void_has_one():
    output = with_things(scene(1), (1, 2, 3, 4))
    rules = AssemblySettings(output_stride=4)
    index, depth, table = assemble(output, torch.tensor([0.1, 0.5, 0.0, 0.5]), rules)
    assert (index == NO_SEGMENT).any() and (index != NO_SEGMENT).any()
    assert (depth > 0).all() and torch.isfinite(depth).all()
    void = (index[0] == NO_SEGMENT).nonzero()[0]
    expected = metric_depth(output.fallback_depth_kernel[:, None],
                            output.depth_embedding[0, :, void[0], void[1]][None, None],
                            output.metric)
    assert float(depth[0, void[0], void[1]]) == pytest.approx(float(expected), rel=1e-5)
    assert table[0, :, COLUMN['area']].sum() == pytest.approx(
        float((index != NO_SEGMENT).float().mean()), abs=1e-5)
    owners = set(index.unique().tolist()) - {NO_SEGMENT}
    assert owners == set(table[0, :, COLUMN['valid']].nonzero()[:, 0].tolist())


def test_batch_gives_what_single_images_give():
    one, two = with_things(scene(5), (0, 2, 5, 7)), scene(6)
    both = KernelOutput(*(
        [torch.cat([a, b]) for a, b in zip(x, y, strict=True)] if isinstance(x, list)
        else torch.cat([x, y]) if isinstance(x, torch.Tensor) else x
        for name, x, y in zip(KernelOutput._fields, one, two, strict=True)))
    both = both._replace(class_kernels=one.class_kernels,
                         class_depth_kernels=one.class_depth_kernels)
    two = two._replace(class_kernels=one.class_kernels,
                       class_depth_kernels=one.class_depth_kernels)
    rules = AssemblySettings()
    joint = assemble(both, LIMITS, rules)
    for image, single in enumerate((one, two)):
        index, depth, _ = assemble(single, LIMITS, rules)
        assert torch.equal(joint[0][image], index[0])
        assert torch.allclose(joint[1][image], depth[0], rtol=1e-4)


@pytest.mark.parametrize(('limits', 'things', 'stuff'), [
    ([1.0, 0.5, 0.0, 0.0], False, True),
    ([0.1, 0.5, 1.0, 0.3], True, False),
    ([1.0, 0.5, 1.0, 0.3], False, False),
])
def test_empty_scenes(limits, things, stuff):
    output = with_things(scene(2), (1, 2, 3, 4))
    index, depth, table = assemble(output, torch.tensor(limits), AssemblySettings())
    valid = table[0, :, COLUMN['valid']] > 0
    is_thing = table[0, :, COLUMN['is_thing']] > 0
    assert bool((valid & is_thing).any()) is things
    assert bool((valid & ~is_thing).any()) is stuff
    assert torch.isfinite(depth).all() and torch.isfinite(table).all()
    if not (things or stuff):
        assert (index == NO_SEGMENT).all()


def test_depth_formula():
    kernel = torch.tensor([[[1.0, 0.5, -1.0, 2.0, 0.0]]])
    embedding = torch.tensor([[[0.3, 9.0]]])
    spread = torch.log1p(torch.tensor(0.5).exp())
    expected = (1.0 + spread * (2 * torch.sigmoid(torch.tensor(0.6)) - 1)).exp() * 1.5
    assert float(metric_depth(kernel, embedding, torch.tensor([1.5]))) == pytest.approx(
        float(expected), rel=1e-6)
    assert float(log_depth_scale(kernel)) == pytest.approx(0.36788, rel=1e-4)


def test_person_is_a_thing_row_with_its_class():
    output = with_things(scene(4), (1, 0, 3, 4))
    _, _, table = assemble(output, torch.tensor([0.1, 0.5, 0.0, 0.0]), AssemblySettings())
    assert table[0, 0, COLUMN['is_thing']] == 1
    assert table[0, 0, COLUMN['class_id']] == CLASS_ID['person']
    assert not torch.isnan(table).any()
