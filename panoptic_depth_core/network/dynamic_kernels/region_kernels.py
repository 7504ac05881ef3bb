# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Kernels of the classes' regions while training: learned, or from where a class is labelled."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .kernels import KernelOutput, class_kernels, class_logits
from .regions import kernels_of_won_cells, pool_cells
from .targets import Batch, region_targets


class Regions(NamedTuple):
    """
    One region per class.

    :param depth_kernels: (B, C, S + D).
    :param logits: (B, C, H/4, W/4) float32.
    :param labelled: (B, C) bool, classes that are labelled in the image; all of a network with
        learned class kernels.
    :param present: (B, C) bool, classes that have a kernel.
    """

    depth_kernels: Tensor
    logits: Tensor
    labelled: Tensor
    present: Tensor


def training_regions(output: KernelOutput, batch: Batch) -> Regions:
    """
    Regions whose kernels inference would use.

    Of a network without learned class kernels these come from cells. While it learns, its own
    region maps are no guide to them: the labels say which cells those are. For classes that are
    not labelled in an image, the cells that the network gives them answer, as in inference.
    """
    if output.class_kernels is not None:
        kernels, depth_kernels = class_kernels(output)
        labelled = present = torch.ones_like(kernels[..., 0], dtype=torch.bool)
    else:
        taught, taught_depth, there = pool_regions(output, _labelled_cells(output, batch))
        weight = (there / there.sum(0).clamp(min=1))[..., None]
        found, found_depth, is_found = kernels_of_won_cells(output)
        labelled = there.any(0)
        present = labelled | is_found
        choice = labelled[..., None]
        kernels = torch.where(choice, (taught * weight).sum(0), found)
        depth_kernels = torch.where(choice, (taught_depth * weight).sum(0), found_depth)
    return Regions(depth_kernels, class_logits(kernels, output.mask_embedding), labelled, present)


def _labelled_cells(output: KernelOutput, batch: Batch) -> list[Tensor]:
    """[(B, C, h, w)] per level, 1 where a class has half of what is labelled of the cell."""
    cells = []
    for logits in output.regions:
        share, known = region_targets(batch.semantic, logits.shape[-2:], logits.shape[1])
        share = share * (known > 0)
        # Thin classes have half of no cell: then those cells answer that hold most of them.
        least = share.amax((2, 3), keepdim=True).clamp(min=1e-3, max=0.5)
        cells.append((share >= least).float())
    return cells


def pool_regions(output: KernelOutput, cells: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """
    Mean kernels of the cells of each class, per level.

    :param cells: per level (B, C, h, w) float32 0 or 1.
    :returns: mask kernels (L, B, C, K), projected; depth kernels (L, B, C, S + D), S + D is 0 for
        a network without depth; there (L, B, C) bool, classes with cells.
    """
    kernels, depth_kernels, there = [], [], []
    for level, chosen in enumerate(cells):
        number = chosen.flatten(2).sum(2)[..., None]
        share = chosen.flatten(2) / number.clamp(min=1)
        kernel, depth_kernel = pool_cells(output, level, share, share)
        kernels.append(kernel)
        depth_kernels.append(depth_kernel)
        there.append(number[..., 0] > 0)
    return torch.stack(kernels), torch.stack(depth_kernels), torch.stack(there)
