# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Regions of the panoptic assembly: one per class, and who owns a pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear, one_hot

from .kernels import KernelOutput, flatten_levels

_CLEARLY = 0.4
_LEAST_SCORE = 0.1


def kernels_of_won_cells(output: KernelOutput) -> tuple[Tensor, Tensor, Tensor]:
    """
    Kernels of each class's region from the cells that the class wins clearly, as published.

    Per level a class has the cells where it is the best one, and of these those count whose
    region score is at least 0.4. They give the class a score there, their sum of scores, and a
    mask kernel, their sum of kernels, both over the number of *all* cells that it won (so does
    the original), and a depth kernel, their mean. Levels with a score above 0.1 are averaged.

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

    Where a thing claims a pixel, the region of a thing class does not compete: it is what is
    left of the class where no instance is known.

    :param masks: (B, N, h, w) in 0..1. :param regions: (B, C, h, w) in 0..1.
    :param is_thing: (C,) bool.
    :returns: index (B, h, w) int64 into N + C rows, confidence (B, h, w).
    """
    # Things and regions apart, as joining them would copy every map once more.
    best_mask, thing = masks.max(dim=1)
    claimed = (best_mask > 0.5)[:, None]
    best_region, region = torch.where(
        claimed & is_thing[:, None, None], 0.0, regions).max(dim=1)
    index = torch.where(best_mask >= best_region, thing, region + masks.shape[1])
    return index, torch.maximum(best_mask, best_region)


def large_enough(regions: Tensor, masks: Tensor, is_thing: Tensor, least: Tensor) -> Tensor:
    """(B, C, 1, 1) 1 for regions that win at least this share of the image's pixels."""
    index, _ = resolve_pixels(masks, regions, is_thing)
    return _wins_share(index - masks.shape[1], regions.shape[1], least)


def large_enough_stuff(regions: Tensor, masks: Tensor, is_thing: Tensor,
                       least: Tensor) -> Tensor:
    """
    (B, C, 1, 1) 1 for stuff that is large enough, by the published rule.

    A class has the pixels where its region is the best one, whatever the masks of things say,
    less those that are inside of a mask. Thing classes take part, and are dropped.
    """
    covered = masks.amax(dim=1) > 0.5
    best = torch.where(covered, -1, regions.argmax(dim=1))
    return _wins_share(best, regions.shape[1], least) * ~is_thing[:, None, None]


def _wins_share(best: Tensor, number: int, least: Tensor) -> Tensor:
    """:param best: (B, h, w) one of so many classes for each pixel, or none of them."""
    classes = torch.arange(number, device=best.device)[None, :, None, None]
    share = (best[:, None] == classes).float().mean(dim=(2, 3), keepdim=True)
    return (share >= least).float()
