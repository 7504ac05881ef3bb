# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Grouping inside the graph: classes, centers and offsets in, segments out.

Pixels of things go to the center that they point to, the majority of their classes names the
thing (Panoptic-DeepLab, Cheng et al., CVPR 2020). Shapes are fixed: centers are a table of
max_things rows, some of them marked as none. Pixels are worked through in parts, as a table of
centers x pixels of a whole picture would take gigabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from ...contract import NO_SEGMENT, THRESHOLDS
from ...labels import ClassInfo
from ..base import AssemblyRules
from ..segment_table import PART, owner_sums, segment_table

MAP_STRIDE = 4
"""Of the maps of the network."""

_FAR = 1e9
_NEARLY = 1e-3


class GroupingRules(AssemblyRules):
    """Rules of the grouping; the defaults are ours, PUBLISHED_RULES the published ones."""

    max_things: int = Field(64, ge=1, le=200, description='centers that are looked at, and '
                            'things that can be in one result')
    peak_radius_px: int = Field(4, ge=1, description='a center is the highest value within this '
                                'many px of the input up, down, left and right')
    peak_score: float = Field(0.1, ge=0, le=1, description='centers that are not above it are '
                              'none')
    form: Literal['ours', 'published'] = Field(
        'ours', description='published: pixels are grouped at the stride of the output, things '
        'are scored at their centroids and kept whatever their score, pixels of things are void '
        'without a center, and with max_things centers or more the last of them is none. ours: '
        'grouped at stride 4; pixels of things without a thing above the score threshold are a '
        'region of their class')


PUBLISHED_RULES = GroupingRules(max_things=200, peak_radius_px=3, form='published')
"""Of Panoptic-DeepLab; meant for output stride 1."""


class Centers(NamedTuple):
    """
    Centers of things in the order of their pixels; K rows.

    :param row, column: (B, K) float32 cells. :param heat: (B, K), at most 0 for rows that are
        none. :param valid: (B, K) bool.
    """

    row: Tensor
    column: Tensor
    heat: Tensor
    valid: Tensor


def group(logits: Tensor, heat: Tensor, offset: Tensor, thresholds: Tensor, rules: GroupingRules,
          classes: Sequence[ClassInfo]) -> dict[str, Tensor]:
    """
    Make the segments of contract.py.

    :param logits: (B, C, H, W) of the output's size.
    :param heat, offset: (B, 1, h, w) and (B, 2, h, w) rows and columns to the center in cells.
    :param thresholds: (T,) float32 in the order of contract.THRESHOLDS.
    :returns: segment_index (B, H, W) uint8 and segments (B, R, C); rows are max_things things, or
        all cells if fewer, then the classes' regions.
    """
    limit = dict(zip(THRESHOLDS, thresholds, strict=True))
    is_published = rules.form == 'published'
    stride = rules.output_stride if is_published else MAP_STRIDE
    centers = find_centers(heat, rules, max(1, rules.peak_radius_px // stride))
    size = logits.shape[-2:]
    nearest = nearest_center(offset, centers)
    if nearest.shape[-2:] != size:
        nearest = interpolate(nearest[:, None].float(), size=size)[:, 0].long()

    probability = logits.softmax(dim=1)
    confidence, label = probability.max(dim=1)
    number, rows = len(classes), centers.row.shape[1]
    class_ids = torch.arange(number, device=logits.device)
    is_thing = torch.tensor([c.is_thing for c in classes], device=logits.device)
    grouped = is_thing[label] & centers.valid.any(1)[:, None, None]
    owner = torch.where(grouped, nearest, rows)

    votes, means, centroid = _measure(owner, label, probability, rows)
    class_id = votes.argmax(dim=1)
    sure = means.gather(1, class_id[:, None])[:, 0]
    if is_published:
        # Means of equal rows may come out a little below their whole number.
        at = (centroid + _NEARLY).floor().long()
        score = sure * heat[:, 0].flatten(1).gather(1, at[:, 0] * heat.shape[3] + at[:, 1])
    else:
        # The root: the default threshold of 0.3 is a heat of 0.1 then, which is peak_score.
        score = (sure * centers.heat.clamp(0.0, 1.0)).sqrt()
        kept = score >= limit['score']
        grouped &= _look_up(kept, nearest)
        owner = torch.where(grouped, nearest, rows)

    free = torch.where(grouped, number, label)
    area = (free.flatten(1)[:, None] == class_ids[:, None]).float().sum(2)
    # Half a pixel: a share of the image is a whole number of pixels but for rounding.
    large = area >= limit['stuff_area'] * (size[0] * size[1]) - 0.5
    if is_published:
        large = large & ~is_thing
    is_region = ~grouped & _look_up(large, label)
    owner = torch.where(is_region, rows + label, owner)
    every = rows + number
    owned = (grouped | is_region) & (confidence >= limit['void'])
    owner = torch.where(owned, owner, every)

    unknown = torch.full((len(owner), every), torch.nan, device=owner.device)
    return {'segment_index': torch.where(owned, owner, NO_SEGMENT).to(torch.uint8),
            'segments': segment_table(owner, confidence, class_id, score, unknown)}


def find_centers(heat: Tensor, rules: GroupingRules, radius: int) -> Centers:
    """
    Find the best local maxima; equal neighbors are all maxima.

    :param heat: (B, 1, h, w). :param radius: in cells.
    :returns: max_things rows, or all cells if fewer.
    """
    height, width = heat.shape[-2:]
    above = torch.where(heat > rules.peak_score, heat, -1.0)
    peaks = torch.where(above == max_pool2d(above, 2 * radius + 1, 1, radius), above, -1.0)
    number = min(rules.max_things, height * width)
    best, cell = peaks.flatten(1).topk(number, dim=1)
    valid = best > 0
    if rules.form == 'published':
        valid = valid & (best > best[:, -1:])
    # In float32, which holds them exactly: some runtimes sort nothing else.
    place, order = torch.where(valid, cell, height * width).float().topk(
        number, dim=1, largest=False)
    place = place.clamp(max=height * width - 1)
    # From the middle of a cell: runtimes may round the quotient.
    row = ((place + 0.5) / width).floor()
    return Centers(row, place - row * width, best.gather(1, order), valid.gather(1, order))


def nearest_center(offset: Tensor, centers: Centers) -> Tensor:
    """
    Find the center nearest to the place that each cell points to, the first of equal ones.

    |p - c|^2 = |p|^2 - 2 p.c + |c|^2: a matrix product, less what is the same for all centers.

    :param offset: (B, 2, h, w) in cells. :returns: (B, h, w) int64 rows of ``centers``.
    """
    height, width = offset.shape[-2:]
    # From the middle, as squares of small numbers are rounded less.
    half = torch.tensor([height / 2.0, width / 2.0], device=offset.device)[:, None]
    points = ((_places(height, width, offset.device) + offset).flatten(2) - half).transpose(1, 2)
    middle = torch.stack([centers.row, centers.column], dim=1) - half
    norm = (middle ** 2).sum(1) + torch.where(centers.valid, 0.0, _FAR)
    return torch.cat([(norm[:, None] - 2.0 * (part @ middle)).argmin(dim=2)
                      for part in points.split(PART, dim=1)], dim=1).unflatten(
                          1, (height, width))


def _measure(owner: Tensor, label: Tensor, probability: Tensor,
             rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """
    Look at the pixels of each owner.

    :param owner: (B, H, W) int64, ``rows`` for pixels of none.
    :param label, probability: (B, H, W) int64 and (B, C, H, W).
    :returns: pixels by class (B, C, rows), mean probabilities (B, C, rows), mean row and column
        (B, 2, rows); 0 without a pixel.
    """
    number, height, width = probability.shape[1:]
    place = _places(height, width, owner.device).flatten(1)
    vote = label.flatten(1)[:, None] == torch.arange(number, device=owner.device)[:, None]
    sums = owner_sums(owner, rows, torch.cat([
        vote.float(), probability.flatten(2), place.expand(len(owner), -1, -1)], dim=1))
    votes, shares, places = sums.split([number, number, 2], dim=1)
    count = votes.sum(1, keepdim=True).clamp(min=1.0)
    return votes, shares / count, places / count


def _places(height: int, width: int, device: torch.device) -> Tensor:
    """(2, height, width) float32 rows and columns."""
    return torch.stack(torch.meshgrid(
        *(torch.arange(side, device=device, dtype=torch.float32) for side in (height, width)),
        indexing='ij'))


def _look_up(values: Tensor, index: Tensor) -> Tensor:
    """(B, n) values at (B, H, W) indices."""
    return values.gather(1, index.flatten(1)).view(index.shape)
