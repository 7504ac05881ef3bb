# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Panoptic assembly inside the graph: kernels and embeddings in, segments and depth out.

Shapes are fixed and nothing waits for the host, so that one graph serves PyTorch, ONNX Runtime
and TensorRT, and can be captured as a CUDA graph: missing things are rows marked invalid, and
greedy rules run as a fixed number of matrix steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import avg_pool2d, linear, max_pool2d, normalize, one_hot

from ...contract import NO_SEGMENT, THRESHOLDS
from ..base import AssemblyRules
from ..segment_table import resize, segment_table, wins_share
from .kernels import (
    LOCATION,
    KernelOutput,
    class_kernels,
    class_logits,
    flatten_levels,
    log_depth_scale,
    mask_logits,
    metric_depth,
)

EMBEDDING_STRIDE = 4


class AssemblySettings(AssemblyRules):
    """
    Rules and fixed sizes of the assembly.

    The defaults are for the networks of this package; panoptic_depth.network.PUBLISHED_ASSEMBLY
    has those of PanopticDepth (Gao et al., CVPR 2022).
    """

    candidates: int = Field(100, ge=1, description='thing candidates that are looked at')
    level_candidates: int = Field(100, ge=1, description='of these from one pyramid level, at '
                                  'most; never more than the level has cells')
    mask_candidates: int = Field(100, ge=1, description='candidates left after merging, best '
                                 'first, whose masks are looked at')
    max_things: int = Field(45, ge=1, le=200, description='things that can be in one result')
    peak_smoothing: tuple[int, ...] = Field((), description='per level, side of the window whose '
                                            'mean is averaged with the centre map; empty: none')
    peak_score: float = Field(0.0, ge=0, le=1, description='peaks that are not above it are '
                              'none')
    merge_cosine: float = Field(0.9, description='kernels of one class that are at least this '
                                'alike, and near each other, are one thing')
    keep_chains: bool = Field(True, description='false: a candidate is dropped for any better '
                              'one that is like it, also for one that was itself dropped')
    steps: int = Field(8, ge=1, description='steps of the greedy rules: the longest chain of '
                       'overlapping candidates that is resolved exactly')
    regions: Literal['pooled', 'won_cells'] = Field(
        'pooled', description='pooled: kernels by attention over all cells, regions compete in a '
        'softmax, those of thing classes too; won_cells: kernels from the cells that a class '
        'wins clearly, sigmoids, stuff only')
    max_depth_m: float | None = Field(None, gt=0, description='greatest canonical depth')


def assemble(output: KernelOutput, thresholds: Tensor,
             settings: AssemblySettings) -> tuple[Tensor, Tensor, Tensor]:
    """
    Assemble the panoptic result; the outputs of contract.py.

    :param thresholds: (T,) float32 in the order of contract.THRESHOLDS.
    :returns: segment_index (B, H/s, W/s) uint8, depth (B, H/s, W/s) float32 meters,
        segments (B, R, C) float32; rows are ``max_things`` things, or all candidates if fewer,
        then the classes' regions.
    """
    limit = dict(zip(THRESHOLDS, thresholds, strict=True))
    located = output.kernels[0].shape[1] > output.mask_embedding.shape[1]
    things = merge_duplicates(find_peaks(output, settings), settings, located=located)
    things, masks = select_things(things, output.mask_embedding, limit, settings)
    is_thing = output.is_thing()
    size = [side * EMBEDDING_STRIDE // settings.output_stride for side in masks.shape[-2:]]
    if settings.regions == 'pooled':
        region_kernels, region_depth_kernels = class_kernels(output)
        regions = class_logits(region_kernels, output.mask_embedding).softmax(dim=1)
        regions = regions * large_enough(regions, masks, is_thing, limit['stuff_area'])
        masks, regions = resize(masks, size), resize(regions, size)
    else:
        region_kernels, region_depth_kernels, present = kernels_of_won_cells(output)
        regions = class_logits(region_kernels, output.mask_embedding).sigmoid()
        masks, regions = resize(masks, size), resize(regions * present[..., None, None], size)
        regions = regions * large_enough_stuff(regions, masks, is_thing, limit['stuff_area'])

    index, confidence = resolve_pixels(masks, regions, is_thing)
    owned = (confidence >= limit['void']) & (confidence > 0)
    rows = masks.shape[1] + regions.shape[1]
    owner = torch.where(owned, index, rows)
    depth_kernels = torch.cat([things.depth_kernels, region_depth_kernels], dim=1)
    depth = _depth(owner, depth_kernels, output, settings)

    table = segment_table(owner, confidence, things.class_id, things.score,
                          log_depth_scale(depth_kernels, output.depth_form))
    segment_index = torch.where(owned, index, NO_SEGMENT).to(torch.uint8)
    return segment_index, depth, table


def _depth(owner: Tensor, depth_kernels: Tensor, output: KernelOutput,
           settings: AssemblySettings) -> Tensor:
    """
    (B, h, w) meters by the kernel of each pixel's owner, NaN without one.

    :param owner: (B, h, w) int64 row of ``depth_kernels`` (B, R, S + D), R where void.
    """
    if output.depth_embedding is None:
        return torch.full_like(owner, torch.nan, dtype=torch.float32)
    fallback = output.fallback_depth_kernel
    last = torch.zeros_like(depth_kernels[:, :1]) if fallback is None else fallback[:, None]
    kernels = torch.cat([depth_kernels, last.float()], dim=1)
    embedding = resize(output.depth_embedding, list(owner.shape[1:]))
    ground = output.ground
    if ground is not None:
        ground = resize(ground, list(owner.shape[1:])).flatten(2).transpose(1, 2)
    depth = metric_depth(take_rows(kernels, owner.flatten(1)),
                         embedding.flatten(2).transpose(1, 2), output.metric, output.depth_form,
                         ground)
    if settings.max_depth_m is not None:
        depth = torch.minimum(depth, settings.max_depth_m * output.metric[:, None])
    depth = depth.unflatten(1, owner.shape[1:])
    return depth if fallback is not None else torch.where(
        owner < depth_kernels.shape[1], depth, torch.nan)


class Things(NamedTuple):
    """
    Candidates, best first; N rows.

    :param score: (B, N) in 0..1, 0 for rows that are out.
    :param class_id: (B, N) int64.
    :param kernels: (B, N, K + LOCATION), or (B, N, K) without a place.
    :param depth_kernels: (B, N, S + D); S + D is 0 for a network without depth.
    """

    score: Tensor
    class_id: Tensor
    kernels: Tensor
    depth_kernels: Tensor


def find_peaks(output: KernelOutput, settings: AssemblySettings) -> Things:
    """
    Take the best local maxima of the center maps over all levels.

    :returns: rows, best first: ``candidates``, or fewer on small images.
    """
    scores, classes, cells, start = [], [], [], 0
    for level, logits in enumerate(output.centers):
        height, width = logits.shape[-2:]
        heat = logits.float().sigmoid()
        if settings.peak_smoothing:
            side = settings.peak_smoothing[level]
            heat = (heat + avg_pool2d(heat, side, stride=1, padding=side // 2)) / 2
        is_peak = heat == max_pool2d(heat, 3, stride=1, padding=1)
        heat = (heat * (is_peak & (heat > settings.peak_score))).flatten(1)
        score, where = heat.topk(min(settings.level_candidates, height * width), dim=1)
        scores.append(score)
        classes.append(where // (height * width))
        cells.append(where % (height * width) + start)
        start += height * width
    joined = torch.cat(scores, 1)
    score, order = joined.topk(min(settings.candidates, joined.shape[1]), dim=1)
    class_index = torch.cat(classes, 1).gather(1, order)
    cell = torch.cat(cells, 1).gather(1, order)
    lookup = torch.tensor(output.thing_classes, device=score.device)
    kernels = take_rows(flatten_levels(output.kernels).float(), cell)
    if output.thing_projection is not None:
        kernels = linear(kernels, *output.thing_projection)
    depth_kernels = (take_rows(flatten_levels(output.depth_kernels).float(), cell)
                     if output.depth_kernels else kernels[..., :0])
    return Things(score, lookup[class_index], kernels, depth_kernels)


def merge_duplicates(things: Things, settings: AssemblySettings, *,
                     located: bool = True) -> Things:
    """
    Merge candidates of one thing: same class, similar kernels, at one place.

    A row drops out when a better row that stays is similar, so in a chain A ~ B ~ C where A and C
    differ, C stays (unless settings.keep_chains is false). Rows that drop out are averaged into
    the best row that they are similar to.

    :param located: kernels end with their place.
    """
    weights = things.kernels[..., :-LOCATION] if located else things.kernels
    unit = normalize(weights, dim=-1)
    alike = unit @ unit.transpose(1, 2) >= settings.merge_cosine
    alike &= things.class_id[:, :, None] == things.class_id[:, None, :]
    if located:
        # Two kernels are at one place when each lies within the blob of the other.
        place = things.kernels[..., -LOCATION:]
        offset = (place[:, :, None, 3:] - place[:, None, :, 3:]) ** 2
        reach = (place[:, :, None, 1:3] * offset).sum(-1)
        alike &= (reach < 1.0) & (reach.transpose(1, 2) < 1.0)
    candidate = things.score > 0
    alike_better = alike & _better(things.score) & candidate[:, None, :]
    # After a single step a row drops out for any better similar row, also in a chain.
    stays = _settle(lambda keep: (alike_better.float() @ keep[..., None])[..., 0] < 0.5,
                    candidate, settings.steps if settings.keep_chains else 1)
    # Each row that drops out goes to the first row that it is similar to.
    target = (alike_better & stays[:, None, :] if settings.keep_chains else alike_better).float()
    first = one_hot(target.argmax(dim=2), target.shape[2]).float() * target.amax(2, keepdim=True)
    itself = torch.diag_embed(stays.float())
    members = (first * (~stays)[..., None].float() + itself) * candidate[..., None]
    share = members.transpose(1, 2) / members.sum(1)[..., None].clamp(min=1.0)
    return Things(things.score * stays, things.class_id,
                  share @ things.kernels, share @ things.depth_kernels)


def select_things(things: Things, embedding: Tensor, limit: dict[str, Tensor],
                  settings: AssemblySettings) -> tuple[Things, Tensor]:
    """
    Score the masks, drop things that better ones cover, and keep the best ``max_things``.

    :returns: things, and their masks (B, max_things, h, w) in 0..1 at the embedding's stride;
        dropped rows have score 0 and an empty mask.
    """
    things = _best(things, things.score, settings.mask_candidates)[0]
    masks = mask_logits(things.kernels, embedding, EMBEDDING_STRIDE).sigmoid().flatten(2)
    inside = (masks > 0.5).float()
    area = inside.sum(2)
    # An uncertain mask is a worse candidate than its peak says.
    quality = (masks * inside).sum(2) / area.clamp(min=1.0)
    score = things.score * quality * (area > 0)
    shared = inside @ inside.transpose(1, 2) * _better(score)
    keep = _settle(
        lambda keep: (shared @ keep[..., None])[..., 0] <= limit['overlap'] * area,
        (score >= limit['score']) & (score > 0), settings.steps)
    things, chosen = _best(things, score * keep, settings.max_things)
    masks = take_rows(masks, chosen) * (things.score > 0)[..., None]
    return things, masks.unflatten(2, embedding.shape[-2:])


def _best(things: Things, score: Tensor, number: int) -> tuple[Things, Tensor]:
    """The best rows by a score, which becomes theirs, best first; and their former row numbers."""
    score, rows = score.topk(min(number, score.shape[1]), dim=1)
    return Things(score, things.class_id.gather(1, rows), take_rows(things.kernels, rows),
                  take_rows(things.depth_kernels, rows)), rows


def _better(score: Tensor) -> Tensor:
    """(B, N, N) bool: row i, column j is true where j is better than i, or equal and before i."""
    order = torch.arange(score.shape[1], device=score.device)
    first = order[None, None, :] < order[None, :, None]
    ours, other = score[:, :, None], score[:, None, :]
    return (other > ours) | ((other == ours) & first)


def _settle(rule: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> Tensor:
    """
    Run a greedy rule as a fixed number of parallel steps.

    Step k is exact for every row that depends on chains of at most k better rows.

    :param rule: (B, N) float 0/1 of kept rows -> (B, N) bool, rows that these leave in.
    """
    keep = start
    for _ in range(steps):
        keep = start & rule(keep.float())
    return keep


def take_rows(rows: Tensor, index: Tensor) -> Tensor:
    """(B, N, C) rows at (B, M) indices -> (B, M, C)."""
    # One index per row; gather needs one per number, of eight bytes each.
    batch, count, channels = rows.shape
    start = torch.arange(batch, device=rows.device)[:, None] * count
    return rows.reshape(batch * count, channels).index_select(
        0, (index + start).flatten()).view(batch, index.shape[1], channels)


_CLEARLY = 0.4
_LEAST_SCORE = 0.1


def kernels_of_won_cells(output: KernelOutput) -> tuple[Tensor, Tensor, Tensor]:
    """
    Kernels of each class's region from the cells that the class wins clearly, as published.

    Per level a class wins the cells where it is the best one; those with a region score of at
    least 0.4 count. They give the class a score and a mask kernel, their sums of scores and
    kernels over the number of *all* cells that it won (as in the original), and a depth kernel,
    their mean. Levels with a score above 0.1 are averaged.

    :returns: mask kernels (B, C, K), depth kernels (B, C, S + D), present (B, C) bool.
    """
    kernels, depth_kernels, found = [], [], []
    for level, logits in enumerate(output.regions):
        share = logits.float().sigmoid().flatten(2)
        won = one_hot(share.argmax(dim=1), share.shape[1]).transpose(1, 2)
        clear = won * (share >= _CLEARLY)
        number = won.sum(2).clamp(min=1)[..., None]
        found.append((share * clear).sum(2, keepdim=True) / number > _LEAST_SCORE)
        kernel, depth_kernel = pool_cells(
            output, level, clear / number, clear / clear.sum(2, keepdim=True).clamp(min=1))
        kernels.append(kernel)
        depth_kernels.append(depth_kernel)
    counts = torch.stack(found).float()
    total = counts.sum(0)
    mean, depth_mean = ((torch.stack(values) * counts).sum(0) / total.clamp(min=1.0)
                        for values in (kernels, depth_kernels))
    return mean, depth_mean, (total > 0)[..., 0]


def pool_cells(output: KernelOutput, level: int, weights: Tensor,
               depth_weights: Tensor) -> tuple[Tensor, Tensor]:
    """
    Kernels of each class's region: weighted sums over the cells of a level.

    :param weights, depth_weights: (B, C, h * w) float32.
    :returns: mask kernels (B, C, K), projected; depth kernels (B, C, S + D), S + D is 0 for a
        network without depth.
    """
    kernels = weights @ flatten_levels([output.kernels[level]]).float()
    if output.region_projection is not None:
        kernels = linear(kernels, *output.region_projection)
    if not output.depth_kernels:
        return kernels, kernels[..., :0]
    return kernels, depth_weights @ flatten_levels([output.depth_kernels[level]]).float()


def resolve_pixels(masks: Tensor, regions: Tensor, is_thing: Tensor) -> tuple[Tensor, Tensor]:
    """
    Give each pixel to its most confident segment.

    Where a thing claims a pixel, regions of thing classes do not compete: they are for pixels
    whose instance is unknown.

    :param masks: (B, N, h, w) in 0..1. :param regions: (B, C, h, w) in 0..1.
    :param is_thing: (C,) bool.
    :returns: index (B, h, w) int64 into N + C rows, confidence (B, h, w).
    """
    # Things and regions apart: joining them would copy every map.
    best_mask, thing = masks.max(dim=1)
    claimed = (best_mask > 0.5)[:, None]
    best_region, region = torch.where(
        claimed & is_thing[:, None, None], 0.0, regions).max(dim=1)
    index = torch.where(best_mask >= best_region, thing, region + masks.shape[1])
    return index, torch.maximum(best_mask, best_region)


def large_enough(regions: Tensor, masks: Tensor, is_thing: Tensor, least: Tensor) -> Tensor:
    """(B, C, 1, 1), 1 for regions that win at least this share of the image's pixels."""
    index, _ = resolve_pixels(masks, regions, is_thing)
    return wins_share(index - masks.shape[1], regions.shape[1], least)


def large_enough_stuff(regions: Tensor, masks: Tensor, is_thing: Tensor,
                       least: Tensor) -> Tensor:
    """
    (B, C, 1, 1), 1 for stuff that is large enough, by the published rule.

    A class wins the pixels outside of all thing masks where its region is the best one. Thing
    classes take part, and are dropped.
    """
    covered = masks.amax(dim=1) > 0.5
    best = torch.where(covered, -1, regions.argmax(dim=1))
    return wins_share(best, regions.shape[1], least) * ~is_thing[:, None, None]
