# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The outputs of contract.py that say who owns a pixel, shared by all ways of assembly."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..contract import NO_SEGMENT, THRESHOLDS

PART = 1 << 17
"""Pixels that are worked through at once where each has a number per row."""


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, h, w) -> (B, C, *size) float32, bilinear."""
    return interpolate(maps.float(), size=list(size), mode='bilinear', align_corners=False)


def segment_table(owner: Tensor, confidence: Tensor, thing_class: Tensor, thing_score: Tensor,
                  log_depth_scale: Tensor) -> Tensor:
    """
    Table of N things and then C regions, one for each class.

    :param owner: (B, h, w) int64 row of each pixel, N + C where void.
    :param confidence: (B, h, w); its mean is the score of a region.
    :param thing_class: (B, N) int64. :param thing_score: (B, N) in 0..1.
    :param log_depth_scale: (B, N + C), NaN where unknown.
    :returns: (B, N + C, len(contract.SEGMENT_COLUMNS)) float32.
    """
    (batch, rows), number = log_depth_scale.shape, thing_score.shape[1]
    pixels = owner.shape[1] * owner.shape[2]
    sure = confidence.flatten(1)
    # Ones; as a constant of the graph they would be 5 % of the file of a small model.
    each = (owner >= 0).flatten(1).float()
    count, total = owner_sums(owner, rows, torch.stack([each, sure], 1)).unbind(1)
    mean = total / count.clamp(min=1.0)
    classes = torch.arange(rows - number, device=owner.device).expand(batch, -1)
    is_thing = (torch.arange(rows, device=owner.device) < number).float().expand(batch, -1)
    return torch.stack([
        (count > 0).float(),
        torch.cat([thing_class, classes], 1).float(),
        is_thing,
        torch.cat([thing_score, mean[:, number:]], 1),
        log_depth_scale,
        count / pixels], dim=2)


def owner_sums(owner: Tensor, rows: int, values: Tensor) -> Tensor:
    """
    Sum values over the pixels of each owner: one-hot products.

    In parts, as a table of owners x pixels of a large picture takes gigabytes.

    :param owner: (B, h, w) int64, others than 0..rows - 1 for none. :param values: (B, F, h * w).
    :returns: (B, F, rows).
    """
    row = torch.arange(rows, device=owner.device)
    return torch.stack([
        part @ (own[..., None] == row).float() for own, part in zip(
            owner.flatten(1).split(PART, dim=1), values.split(PART, dim=2), strict=True)]).sum(0)


def assemble_regions(logits: Tensor, thresholds: Tensor,
                     size: Sequence[int]) -> dict[str, Tensor]:
    """
    Give each pixel to its most probable class; the outputs of a model without instances.

    :param logits: (B, C, h, w). :param thresholds: in the order of contract.THRESHOLDS.
    :param size: H/s, W/s of the outputs.
    :returns: segment_index (B, H/s, W/s) uint8, segments (B, C, columns) float32.
    """
    limit = dict(zip(THRESHOLDS, thresholds, strict=True))
    regions = resize(logits, size).softmax(dim=1)
    regions = regions * wins_share(regions.argmax(dim=1), regions.shape[1], limit['stuff_area'])
    confidence, index = regions.max(dim=1)
    owned = (confidence >= limit['void']) & (confidence > 0)
    none = index.new_zeros(len(index), 0)
    scale = torch.full(regions.shape[:2], torch.nan, device=regions.device)
    return {
        'segment_index': torch.where(owned, index, NO_SEGMENT).to(torch.uint8),
        'segments': segment_table(torch.where(owned, index, regions.shape[1]), confidence, none,
                                  none.float(), scale)}


def wins_share(best: Tensor, number: int, least: Tensor) -> Tensor:
    """
    (B, C, 1, 1), 1 for classes that have at least this share of the pixels, else 0.

    :param best: (B, h, w) class of each pixel, others than 0..number - 1 for none.
    """
    classes = torch.arange(number, device=best.device)[None, :, None, None]
    share = (best[:, None] == classes).float().mean(dim=(2, 3), keepdim=True)
    return (share >= least).float()
