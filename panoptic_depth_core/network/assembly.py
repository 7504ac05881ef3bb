# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Panoptic assembly inside the graph: kernels and embeddings in, segments and depth out.

Every shape is fixed and nothing waits for the host, so that one graph serves PyTorch, ONNX
Runtime and TensorRT, and can be captured as a CUDA graph: what is not there is a row marked
invalid, and greedy rules run as matrix steps of a fixed number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d, normalize, one_hot

from ..config import Settings
from ..contract import NO_SEGMENT, THRESHOLDS
from ..labels import CITYSCAPES, THING_CLASSES
from .dynamic_kernels import (
    LOCATION,
    NetworkOutput,
    class_kernels,
    class_logits,
    flatten_levels,
    log_depth_scale,
    mask_logits,
    metric_depth,
)

EMBEDDING_STRIDE = 4
_CLASSES = len(CITYSCAPES)


class AssemblySettings(Settings):
    """Fixed sizes of the exported assembly."""

    candidates: int = Field(100, ge=1, description='thing candidates that are looked at')
    max_things: int = Field(45, ge=1, le=200, description='things that can be in one result')
    merge_cosine: float = Field(0.9, description='kernels of one class that are at least this '
                                'alike, and near each other, are one thing')
    steps: int = Field(8, ge=1, description='steps of the greedy rules: the longest chain of '
                       'overlapping candidates that is resolved exactly')
    output_stride: int = Field(2, description='stride of the index and depth maps: 1, 2 or 4')


class Things(NamedTuple):
    """
    Candidates, best first; N rows.

    :param score: (B, N) in 0..1, 0 for rows that are out.
    :param class_id: (B, N) int64.
    :param kernels: (B, N, K + LOCATION).
    :param depth_kernels: (B, N, DEPTH_SHAPE + D).
    """

    score: Tensor
    class_id: Tensor
    kernels: Tensor
    depth_kernels: Tensor


def assemble(output: NetworkOutput, thresholds: Tensor,
             settings: AssemblySettings) -> tuple[Tensor, Tensor, Tensor]:
    """
    Assemble the panoptic result; the outputs of contract.py.

    :param thresholds: (T,) float32 in the order of contract.THRESHOLDS.
    :returns: segment_index (B, H/s, W/s) uint8, depth (B, H/s, W/s) float32 metres,
        segments (B, R, C) float32; rows are ``max_things`` things, then the classes' regions.
    """
    limit = dict(zip(THRESHOLDS, thresholds, strict=True))
    things = merge_duplicates(find_peaks(output, settings.candidates), settings)
    things, masks = select_things(things, output.mask_embedding, limit, settings)
    region_kernels, region_depth_kernels = class_kernels(output)
    regions = class_logits(region_kernels, output.mask_embedding).softmax(dim=1)
    regions = regions * _large_enough(regions, masks, limit['stuff_area'])

    size = [side * EMBEDDING_STRIDE // settings.output_stride for side in masks.shape[-2:]]
    index, confidence = resolve_pixels(_resize(masks, size), _resize(regions, size))
    owned = confidence >= limit['void']

    rows = settings.max_things + _CLASSES
    depth_kernels = torch.cat([things.depth_kernels, region_depth_kernels,
                               output.fallback_depth_kernel.float()[:, None]], dim=1)
    owner = torch.where(owned, index, rows)
    embedding = _resize(output.depth_embedding, size).flatten(2).transpose(1, 2)
    chosen = _take_rows(depth_kernels, owner.flatten(1))
    depth = metric_depth(chosen, embedding, output.metric).unflatten(1, size)

    table = _table(owner, confidence, things, log_depth_scale(depth_kernels[:, :rows]), rows)
    segment_index = torch.where(owned, index, NO_SEGMENT).to(torch.uint8)
    return segment_index, depth, table


def find_peaks(output: NetworkOutput, candidates: int) -> Things:
    """
    Take the best local maxima of the centre maps over all levels.

    :returns: ``candidates`` rows, best first; padded with zero scores on small images.
    """
    scores, classes, cells, start = [], [], [], 0
    for logits in output.centers:
        height, width = logits.shape[-2:]
        heat = logits.float().sigmoid()
        heat = (heat * (heat == max_pool2d(heat, 3, stride=1, padding=1))).flatten(1)
        score, where = heat.topk(min(candidates, heat.shape[1]), dim=1)
        scores.append(score)
        classes.append(where // (height * width))
        cells.append(where % (height * width) + start)
        start += height * width
    score, order = torch.cat(scores, 1).topk(candidates, dim=1)
    class_index = torch.cat(classes, 1).gather(1, order)
    cell = torch.cat(cells, 1).gather(1, order)
    lookup = torch.tensor(THING_CLASSES, device=score.device)
    return Things(score, lookup[class_index],
                  _take_rows(flatten_levels(output.kernels).float(), cell),
                  _take_rows(flatten_levels(output.depth_kernels).float(), cell))


def merge_duplicates(things: Things, settings: AssemblySettings) -> Things:
    """
    Merge candidates that describe one thing: same class, alike kernels, at one place.

    A row is out when a better row that stays is like it, so in a chain A ~ B ~ C where A and C
    differ, C stays. Rows that are out are averaged into the best row that they are like.
    """
    place = things.kernels[..., -LOCATION:]
    unit = normalize(things.kernels[..., :-LOCATION], dim=-1)
    alike = unit @ unit.transpose(1, 2) >= settings.merge_cosine
    alike &= things.class_id[:, :, None] == things.class_id[:, None, :]
    # Two kernels are at one place when each is within the blob of the other.
    offset = (place[:, :, None, 3:] - place[:, None, :, 3:]) ** 2
    reach = (place[:, :, None, 1:3] * offset).sum(-1)
    alike &= (reach < 1.0) & (reach.transpose(1, 2) < 1.0)
    better = _earlier(things.score)
    alike_better = (alike & better).float()
    stays = _settle(lambda keep: (alike_better @ keep[..., None])[..., 0] < 0.5,
                    things.score > 0, settings.steps)
    # Each row that is out goes to the first row that stays and that it is like.
    target = (alike & stays[:, None, :] & better).float()
    first = one_hot(target.argmax(dim=2), target.shape[2]).float() * target.amax(2, keepdim=True)
    itself = torch.diag_embed(stays.float())
    members = (first * (~stays)[..., None].float() + itself) * (things.score > 0)[..., None]
    weights = members.transpose(1, 2) / members.sum(1)[..., None].clamp(min=1.0)
    return Things(things.score * stays, things.class_id,
                  weights @ things.kernels, weights @ things.depth_kernels)


def select_things(things: Things, embedding: Tensor, limit: dict[str, Tensor],
                  settings: AssemblySettings) -> tuple[Things, Tensor]:
    """
    Score the masks, drop what better things cover, and keep the best ``max_things``.

    :returns: things, and their masks (B, max_things, h, w) in 0..1 at the embedding's stride;
        rows that are out have score 0 and an empty mask.
    """
    masks = mask_logits(things.kernels, embedding, EMBEDDING_STRIDE).sigmoid()
    inside = (masks > 0.5).float().flatten(2)
    area = inside.sum(2)
    # A mask that is unsure of itself is a worse candidate than its peak says.
    quality = (masks.flatten(2) * inside).sum(2) / area.clamp(min=1.0)
    score = things.score * quality * (area > 0)
    score, order = score.topk(score.shape[1], dim=1)
    things = Things(score, things.class_id.gather(1, order),
                    _take_rows(things.kernels, order), _take_rows(things.depth_kernels, order))
    inside, area = _take_rows(inside, order), area.gather(1, order)
    shared = inside @ inside.transpose(1, 2) * _earlier(score)
    keep = _settle(
        lambda keep: (shared @ keep[..., None])[..., 0] <= limit['overlap'] * area,
        (score >= limit['score']) & (score > 0), settings.steps)
    best, chosen = (score * keep).topk(min(settings.max_things, score.shape[1]), dim=1)
    masks = _take_rows(masks.flatten(2), order.gather(1, chosen)) * (best > 0)[..., None]
    return Things(best, things.class_id.gather(1, chosen), _take_rows(things.kernels, chosen),
                  _take_rows(things.depth_kernels, chosen)), masks.unflatten(
                      2, embedding.shape[-2:])


def resolve_pixels(masks: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
    """
    Give each pixel to its most confident segment.

    Where a thing claims a pixel, the region of a thing class does not compete: it is what is
    left of the class where no instance is known.

    :param masks: (B, N, h, w) in 0..1. :param regions: (B, C, h, w) in 0..1.
    :returns: index (B, h, w) int64 into N + C rows, confidence (B, h, w).
    """
    claimed = masks.amax(dim=1, keepdim=True) > 0.5
    is_thing = torch.tensor([c.is_thing for c in CITYSCAPES], device=regions.device)
    regions = torch.where(claimed & is_thing[None, :, None, None], 0.0, regions)
    confidence, index = torch.cat([masks, regions], dim=1).max(dim=1)
    return index, confidence


def _large_enough(regions: Tensor, masks: Tensor, least: Tensor) -> Tensor:
    """(B, C, 1, 1) 1 for regions that win at least this share of the image's pixels."""
    index, _ = resolve_pixels(masks, regions)
    wins = index[:, None] == torch.arange(_CLASSES, device=index.device)[
        None, :, None, None] + masks.shape[1]
    return (wins.float().mean(dim=(2, 3), keepdim=True) >= least).float()


def _table(owner: Tensor, confidence: Tensor, things: Things, scale: Tensor,
           rows: int) -> Tensor:
    """(B, R, C) table of contract.SEGMENT_COLUMNS; owner (B, h, w) with ``rows`` for void."""
    batch, pixels = owner.shape[0], owner.shape[1] * owner.shape[2]
    owns = (owner.flatten(1)[:, None] == torch.arange(rows, device=owner.device)[:, None]).float()
    count = owns.sum(2)
    mean = (owns @ confidence.flatten(1)[..., None])[..., 0] / count.clamp(min=1.0)
    number = things.score.shape[1]
    classes = torch.arange(_CLASSES, device=owner.device).expand(batch, -1)
    is_thing = (torch.arange(rows, device=owner.device) < number).float().expand(batch, -1)
    return torch.stack([
        (count > 0).float(),
        torch.cat([things.class_id, classes], 1).float(),
        is_thing,
        torch.cat([things.score, mean[:, number:]], 1),
        scale,
        count / pixels], dim=2)


def _earlier(score: Tensor) -> Tensor:
    """(1, N, N) bool: row i, column j is true where j comes before i."""
    number = score.shape[1]
    order = torch.arange(number, device=score.device)
    return (order[None, :] < order[:, None])[None]


def _settle(rule: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> Tensor:
    """
    Run a greedy rule as a fixed number of whole steps.

    Step k is right for every row that depends on chains of at most k better rows.

    :param rule: (B, N) float 0/1 of kept rows -> (B, N) bool, rows that these leave in.
    """
    keep = start
    for _ in range(steps):
        keep = start & rule(keep.float())
    return keep


def _take_rows(rows: Tensor, index: Tensor) -> Tensor:
    """(B, N, C) rows at (B, M) indices -> (B, M, C)."""
    return rows.gather(1, index[..., None].expand(-1, -1, rows.shape[2]))


def _resize(maps: Tensor, size: list[int]) -> Tensor:
    return interpolate(maps.float(), size=size, mode='bilinear', align_corners=False)
