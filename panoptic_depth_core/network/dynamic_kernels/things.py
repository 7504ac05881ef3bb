# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Things of the panoptic assembly: from centre maps to candidates, from these to masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, linear, max_pool2d, normalize, one_hot

from .assembly_settings import EMBEDDING_STRIDE, AssemblySettings
from .kernels import LOCATION, KernelOutput, flatten_levels, mask_logits


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
    Take the best local maxima of the centre maps over all levels.

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
    Merge candidates that describe one thing: same class, alike kernels, at one place.

    A row is out when a better row that stays is like it, so in a chain A ~ B ~ C where A and C
    differ, C stays (unless settings.keep_chains is false). Rows that are out are averaged into
    the best row that they are like.

    :param located: kernels end with their place.
    """
    weights = things.kernels[..., :-LOCATION] if located else things.kernels
    unit = normalize(weights, dim=-1)
    alike = unit @ unit.transpose(1, 2) >= settings.merge_cosine
    alike &= things.class_id[:, :, None] == things.class_id[:, None, :]
    if located:
        # Two kernels are at one place when each is within the blob of the other.
        place = things.kernels[..., -LOCATION:]
        offset = (place[:, :, None, 3:] - place[:, None, :, 3:]) ** 2
        reach = (place[:, :, None, 1:3] * offset).sum(-1)
        alike &= (reach < 1.0) & (reach.transpose(1, 2) < 1.0)
    candidate = things.score > 0
    alike_better = alike & _better(things.score) & candidate[:, None, :]
    # After one step a row is out for any better row that is like it, in a chain too.
    stays = _settle(lambda keep: (alike_better.float() @ keep[..., None])[..., 0] < 0.5,
                    candidate, settings.steps if settings.keep_chains else 1)
    # Each row that is out goes to the first row that it is like.
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
    Score the masks, drop what better things cover, and keep the best ``max_things``.

    :returns: things, and their masks (B, max_things, h, w) in 0..1 at the embedding's stride;
        rows that are out have score 0 and an empty mask.
    """
    things = _best(things, things.score, settings.mask_candidates)[0]
    masks = mask_logits(things.kernels, embedding, EMBEDDING_STRIDE).sigmoid().flatten(2)
    inside = (masks > 0.5).float()
    area = inside.sum(2)
    # A mask that is unsure of itself is a worse candidate than its peak says.
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
    """
    Take the rows of best score, at most so many.

    :returns: things with that score, best first, and the rows that they were.
    """
    score, rows = score.topk(min(number, score.shape[1]), dim=1)
    return Things(score, things.class_id.gather(1, rows), take_rows(things.kernels, rows),
                  take_rows(things.depth_kernels, rows)), rows


def _better(score: Tensor) -> Tensor:
    """(B, N, N) bool: row i, column j is true where j is better than i, or equal and before it."""
    order = torch.arange(score.shape[1], device=score.device)
    first = order[None, None, :] < order[None, :, None]
    ours, other = score[:, :, None], score[:, None, :]
    return (other > ours) | ((other == ours) & first)


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


def take_rows(rows: Tensor, index: Tensor) -> Tensor:
    """(B, N, C) rows at (B, M) indices -> (B, M, C)."""
    # One index per row; gather would want one per number, of eight bytes each.
    batch, count, channels = rows.shape
    start = torch.arange(batch, device=rows.device)[:, None] * count
    return rows.reshape(batch * count, channels).index_select(
        0, (index + start).flatten()).view(batch, index.shape[1], channels)
