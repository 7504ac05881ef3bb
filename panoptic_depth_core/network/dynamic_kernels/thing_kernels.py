# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Which cells of the kernel maps answer for which thing while training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate, linear

from ...labels import VOID_CLASS
from ..loss_terms import dice
from .kernels import KernelOutput, flatten_levels, mask_logits
from .targets import (
    Batch,
    TargetSettings,
    center_cells,
    is_of_level,
    root_areas,
    thing_masks,
)


@dataclass
class ThingKernels:
    """
    Cells that answer for the things of one image; m of them.

    :param thing: (m,) index of the thing.
    :param cell: (m,) index into the flattened levels.
    :param weight: (m,) float32; sums to 1 per thing, or per thing and level.
    :param masks: (n, H/4, W/4) target masks of the image's things.
    :param known: (H/4, W/4) float32 share of each cell where masks are compared; None: all.
    """

    thing: Tensor
    cell: Tensor
    weight: Tensor
    masks: Tensor
    known: Tensor | None = None


def sample_kernels(output: KernelOutput, batch: Batch, image: int, per_level: int,
                   targets: TargetSettings) -> ThingKernels:
    """
    Choose the cells inside each thing whose centre score is best at the moment.

    Those are the cells that the assembly will take, so training sees what inference uses.
    """
    masks = thing_masks(batch, image, output.mask_embedding.shape[-2:])
    size = root_areas(batch.thing_box[image])
    channel = batch.thing_channel[image]
    things, cells, weights, start = [], [], [], 0
    for level, logits in enumerate(output.centers):
        height, width = logits.shape[-2:]
        chosen = is_of_level(size, level, len(output.centers), targets).nonzero()[:, 0]
        if len(chosen):
            inside = interpolate(masks[chosen][None], size=(height, width), mode='area')[0]
            heat = logits[image, channel[chosen]].detach().float().sigmoid()
            # Small things cover no cell by half: then the cell that holds most of it answers.
            inside = inside * (inside >= inside.amax((1, 2), keepdim=True).clamp(max=0.5))
            inside = _own_centers(inside, batch.thing_middle[image][chosen],
                                  batch.thing.shape[1:])
            score = ((heat + 1e-4) * inside).flatten(1)
            best, cell = score.topk(min(per_level, score.shape[1]), dim=1)
            things.append(chosen[:, None].expand_as(cell).flatten())
            cells.append(cell.flatten() + start)
            weights.append(best.flatten())
        start += height * width
    empty = channel[:0]
    thing = torch.cat([empty, *things])
    weight = torch.cat([empty.float(), *weights])
    total = weight.new_zeros(len(size)).index_add(0, thing, weight)
    return ThingKernels(thing, torch.cat([empty, *cells]),
                        weight / total[thing].clamp(min=1e-9), masks,
                        _known(batch, image, masks.shape[-2:]))


def _known(batch: Batch, image: int, size: torch.Size) -> Tensor:
    """(h, w) float32 share of each cell that is not ignored: labels of a lidar are points."""
    ignored = (batch.semantic[image] == VOID_CLASS) & ~batch.not_crowd[image]
    return interpolate((~ignored)[None, None].float(), size=size, mode='area')[0, 0]


def _own_centers(inside: Tensor, middle: Tensor, image: torch.Size) -> Tensor:
    """
    Give the cell of each thing's centre to this thing alone.

    The peak will be there, also where more is seen of what is in front of it.

    :param inside: (m, h, w) share of each cell. :param middle: (m, 2) as in Batch.
    """
    row, column = center_cells(middle, image, inside.shape[1:])
    owned = inside.clone()
    owned[:, row, column] = 0.0
    owned[torch.arange(len(middle), device=middle.device), row, column] = 1.0
    return owned


def rows_of_cells(maps: list[Tensor], image: int, cell: Tensor) -> Tensor:
    """[(B, C, h, w)] per level at (m,) indices into the flattened levels -> (m, C)."""
    return flatten_levels([level[image:image + 1] for level in maps])[0, cell]


def mask_errors(output: KernelOutput, image: int, chosen: ThingKernels) -> Tensor:
    """(m,) dice losses of the masks of the cells."""
    kernels = rows_of_cells(output.kernels, image, chosen.cell)
    if output.thing_projection is not None:
        kernels = linear(kernels, *output.thing_projection)
    logits = mask_logits(kernels[None], output.mask_embedding[image:image + 1])[0]
    masks = logits.sigmoid() if chosen.known is None else logits.sigmoid() * chosen.known
    return dice(masks, chosen.masks[chosen.thing])
