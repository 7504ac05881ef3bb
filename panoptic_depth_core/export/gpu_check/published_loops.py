# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The published post-processing as it was published: eager, one instance after another.

Written from the description of PanopticDepth (Gao et al., CVPR 2022) and of its rules; what
decides is asked of the device each time. It is here to be compared with
network/dynamic_kernels/assembly.py, which does the same without loops.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, linear, max_pool2d, normalize

from ...network.dynamic_kernels.assembly import EMBEDDING_STRIDE
from ...network.dynamic_kernels.kernels import KernelOutput, metric_depth
from ...network.panoptic_depth.network import PUBLISHED_ASSEMBLY as RULES
from ...network.panoptic_depth.network import STUFF_AREA_PX

FIRST_THING = 21
_LEAST_MASK_SCORE, _MOST_MASKS = 0.05, 200
_LEAST_REGION_SCORE, _CLEARLY = 0.1, 0.4


class Things(NamedTuple):
    """Candidates: score (N,), class_id (N,), kernels (N, K), depth_kernels (N, S + D)."""

    score: Tensor
    class_id: Tensor
    kernels: Tensor
    depth_kernels: Tensor

    def taken(self, order: Tensor) -> Things:
        """Rows in another order, or fewer."""
        return Things(*(part[order] for part in self))


class Segment(NamedTuple):
    """What is in the result: its id, its mask (H, W) in 0..1 and its depth kernel (S + D,)."""

    panoptic_id: int
    mask: Tensor
    depth_kernel: Tensor


def published_result(output: KernelOutput, *, score: float = 0.2, overlap: float = 0.5,
                     stuff_area: int = STUFF_AREA_PX) -> tuple[Tensor, Tensor]:
    """
    Panoptic ids and depth at the size of the image.

    :param output: of the published network, one image, with depth.
    :param score: least score of a thing; overlap: share of it that others may cover.
    :param stuff_area: least px of stuff.
    :returns: ids (H, W) int64, FIRST_THING and up for things, best first, class + 1 for stuff;
        depth (H, W) float32 metres; 0 where there is neither.
    """
    things, masks = _scored(_fused(_peaks(output)), output)
    size = [side * EMBEDDING_STRIDE for side in output.mask_embedding.shape[-2:]]
    kept: list[Segment] = []
    covered = torch.zeros(size, dtype=torch.bool, device=masks.device)
    for row in range(len(masks)):
        if float(things.score[row]) < score:
            continue
        mask = _resized(masks[row], size)
        inside = mask > 0.5
        area = int(inside.sum())
        if area == 0 or int((inside & covered).sum()) > overlap * area:
            continue
        covered |= inside
        kept.append(Segment(FIRST_THING + len(kept), mask, things.depth_kernels[row]))
    regions = _regions(output)
    if regions:
        stuff = [_resized(_masks(kernel[None], output)[0], size) for _, kernel, _ in regions]
        best = torch.stack(stuff).argmax(0)
        for row, (class_id, _, depth_kernel) in enumerate(regions):
            area = int(((best == row) & ~covered).sum())
            if class_id not in output.thing_classes and area >= stuff_area:
                kept.append(Segment(class_id + 1, stuff[row], depth_kernel))
    return _painted(kept, output, size)


def _painted(kept: list[Segment], output: KernelOutput,
             size: list[int]) -> tuple[Tensor, Tensor]:
    """Give each pixel to the segment that is surest of it, and its depth."""
    device = output.metric.device
    ids = torch.zeros(size, dtype=torch.int64, device=device)
    depth = torch.zeros(size, device=device)
    if not kept:
        return ids, depth
    owner = torch.stack([segment.mask for segment in kept]).argmax(0)
    assert output.depth_embedding is not None and RULES.max_depth_m is not None
    embedding = interpolate(output.depth_embedding.float(), size=size, mode='bilinear',
                            align_corners=False).flatten(2).transpose(1, 2)
    for row, segment in enumerate(kept):
        own = owner == row
        metres = metric_depth(segment.depth_kernel[None, None], embedding, output.metric,
                              output.depth_form).view(size)
        ids[own] = segment.panoptic_id
        depth[own] = metres.clamp(max=RULES.max_depth_m * float(output.metric))[own]
    return ids, depth


def _peaks(output: KernelOutput) -> Things:
    """Peaks of the centre maps of all levels, best first."""
    found = []
    for level, side in enumerate(RULES.peak_smoothing):
        heat = output.centers[level][0].float().sigmoid()
        heat = (heat + avg_pool2d(heat, side, stride=1, padding=side // 2)) / 2
        heat = heat * (heat == max_pool2d(heat, 3, stride=1, padding=1))
        best, cells = heat.flatten(1).topk(min(RULES.level_candidates, heat[0].numel()), dim=1)
        score, order = best.flatten().topk(best.shape[1])
        order = order[score > RULES.peak_score]
        cell = cells.flatten()[order]
        found.append(Things(
            best.flatten()[order], order // best.shape[1],
            output.kernels[level][0].flatten(1).float()[:, cell].t(),
            output.depth_kernels[level][0].flatten(1).float()[:, cell].t()))
    joined = Things(*(torch.cat(parts) for parts in zip(*found, strict=True)))
    order = joined.score.argsort(descending=True)[:RULES.candidates]
    things = joined.taken(order)
    classes = torch.tensor(output.thing_classes, device=order.device)
    projected = (things.kernels if output.thing_projection is None
                 else linear(things.kernels, *output.thing_projection))
    return things._replace(class_id=classes[things.class_id], kernels=projected)


def _fused(things: Things) -> Things:
    """
    Average what is alike into the first of it.

    A row that is like any before it is dropped, whether that one was kept or not.
    """
    if not len(things.score):
        return things
    unit = normalize(things.kernels, dim=1)
    alike = unit @ unit.t() >= RULES.merge_cosine
    alike = (alike & (things.class_id[:, None] == things.class_id)).triu(1)
    dropped = alike.any(0)
    target = torch.where(dropped, alike.int().argmax(0),
                         torch.arange(len(dropped), device=dropped.device))
    kernels, depth_kernels = [], []
    kept = torch.nonzero(~dropped)[:, 0].tolist()
    for row in kept:
        members = target == row
        kernels.append(things.kernels[members].mean(0))
        depth_kernels.append(things.depth_kernels[members].mean(0))
    return Things(things.score[kept], things.class_id[kept], torch.stack(kernels),
                  torch.stack(depth_kernels))


def _scored(things: Things, output: KernelOutput) -> tuple[Things, Tensor]:
    """Things by peak and mask, best first, and their masks (N, h, w) in 0..1."""
    masks = _masks(things.kernels, output)
    inside = masks > 0.5
    sure = (masks * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
    score = things.score * sure
    order = score.argsort(descending=True)
    order = order[score[order] >= _LEAST_MASK_SCORE][:_MOST_MASKS]
    return things._replace(score=score).taken(order), masks[order]


def _regions(output: KernelOutput) -> list[tuple[int, Tensor, Tensor]]:
    """Class, mask kernel and depth kernel of the classes that are somewhere, by class."""
    found: dict[int, list[tuple[Tensor, Tensor]]] = {}
    for level, logits in enumerate(output.regions):
        share = logits[0].float().sigmoid().flatten(1)
        winner = share.argmax(0)
        kernels = output.kernels[level][0].flatten(1).float()
        depth_kernels = output.depth_kernels[level][0].flatten(1).float()
        for class_id in winner.unique().tolist():
            won = winner == class_id
            clear = won & (share[class_id] >= _CLEARLY)
            number = won.sum()
            if float(share[class_id][clear].sum() / number) > _LEAST_REGION_SCORE:
                found.setdefault(class_id, []).append((
                    kernels[:, clear].sum(1) / number, depth_kernels[:, clear].mean(1)))
    classes = []
    for class_id, levels in sorted(found.items()):
        projected = torch.stack([kernel for kernel, _ in levels])
        if output.region_projection is not None:
            projected = linear(projected, *output.region_projection)
        classes.append((class_id, projected.mean(0),
                        torch.stack([depth for _, depth in levels]).mean(0)))
    return classes


def _masks(kernels: Tensor, output: KernelOutput) -> Tensor:
    """(N, K) kernels -> (N, h, w) in 0..1 at the stride of the embedding."""
    embedding = output.mask_embedding[0].float()
    return (kernels @ embedding.flatten(1)).sigmoid().unflatten(1, embedding.shape[1:])


def _resized(mask: Tensor, size: list[int]) -> Tensor:
    """(h, w) -> (H, W)."""
    return interpolate(mask[None, None], size=size, mode='bilinear', align_corners=False)[0, 0]
