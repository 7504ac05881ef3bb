# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Losses of the published PanopticDepth (Gao et al., CVPR 2022, and its code), faults included.

A thing belongs to several levels, has seven kernels in each, and each of them answers for the
depth of all its pixels: so pixels of things weigh more than those of stuff. Cells outside of a
thing that covers fewer than seven answer too. Void teaches absence. The mean over the images of
a batch is what several machines with one image each, as there, would compute.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from ...config import Settings
from ..dynamic_kernels.kernels import (
    KernelOutput,
    class_logits,
    linear_depth_center,
    metric_depth,
)
from ..dynamic_kernels.losses import LossSettings
from ..dynamic_kernels.region_kernels import pool_regions
from ..dynamic_kernels.targets import Batch
from ..dynamic_kernels.thing_kernels import ThingKernels, mask_errors, rows_of_cells
from ..loss_terms import depth_error, dice, focal
from .targets import PublishedTargets, bilinear, published_targets

_LEAST_SHARE = 0.1


class PublishedLossSettings(Settings):
    """Weights of the published losses."""

    center: float = Field(1.0, ge=0)
    region: float = Field(1.0, ge=0)
    mask: float = Field(4.0, ge=0)
    region_mask: float = Field(4.0, ge=0)
    depth: float = Field(5.0, ge=0)
    instance_depth: float = Field(5.0, ge=0)
    kernels_per_thing: int = Field(7, ge=1, description='cells per level that answer for a thing')


class LossChoice(LossSettings):
    """What the published network learns by."""

    published: PublishedLossSettings | None = Field(
        None, description='losses and targets of the paper in place of all of these')


def published_loss(output: KernelOutput, batch: Batch,
                   settings: PublishedLossSettings) -> dict[str, Tensor]:
    """
    All losses, weighted; their sum is what to minimise.

    :param output: of a network without learned class kernels.
    :param batch: collated with PUBLISHED_TARGETS.
    """
    sizes = [logits.shape[-2:] for logits in output.centers]
    fine = output.mask_embedding.shape[-2:]
    classes = output.regions[0].shape[1]
    targets = [published_targets(batch, image, sizes, fine, classes)
               for image in range(len(batch.thing_channel))]
    cells = [torch.stack(shares).sign() for shares in zip(*(t.shares for t in targets),
                                                          strict=True)]
    kernels, depth_kernels, there = pool_regions(output, cells)
    per_image = []
    for image, target in enumerate(targets):
        chosen = _sample_kernels(output, target, image, settings.kernels_per_thing)
        level, region = there[:, image].nonzero(as_tuple=True)
        losses = {
            'center': _center_loss(output, target, image),
            'region': _region_loss(output, target, image),
            'mask': _mean_of_things((mask_errors(output, image, chosen) * chosen.weight).sum(),
                                    target),
            'region_mask': _region_mask_loss(
                output, target, image, kernels[level, image, region], region)}
        losses.update(_depth_losses(
            output, target, image, chosen, depth_kernels[level, image, region], region))
        per_image.append(losses)
    return {name: getattr(settings, name) * torch.stack([one[name] for one in per_image]).mean()
            for name in per_image[0]}


def _sample_kernels(output: KernelOutput, target: PublishedTargets, image: int,
                    per_level: int) -> ThingKernels:
    """Take the cells of each thing and level with the best centre scores, whatever these are."""
    things, cells, weights, start = [], [], [], 0
    for logits, of_level in zip(output.centers, target.of_level, strict=True):
        height, width = logits.shape[-2:]
        chosen = of_level.nonzero()[:, 0]
        if len(chosen):
            inside = bilinear(target.masks[chosen], logits.shape[-2:]) > _LEAST_SHARE
            heat = logits[image, target.channel[chosen]].float().sigmoid() * inside
            best, cell = heat.flatten(1).topk(min(per_level, height * width), dim=1)
            things.append(chosen[:, None].expand_as(cell).flatten())
            cells.append(cell.flatten() + start)
            weights.append((best / best.sum(1, keepdim=True).clamp(min=1e-8)).flatten())
        start += height * width
    empty = target.channel[:0]
    return ThingKernels(torch.cat([empty, *things]), torch.cat([empty, *cells]),
                        torch.cat([empty.float(), *weights]), target.masks)


def _mean_of_things(total: Tensor, target: PublishedTargets) -> Tensor:
    """Over things, each as often as there are levels that answer for it."""
    return total / max(sum(int(chosen.sum()) for chosen in target.of_level), 1)


def _center_loss(output: KernelOutput, target: PublishedTargets, image: int) -> Tensor:
    total = torch.stack([focal(logits[image].float(), heat).sum() for logits, heat in zip(
        output.centers, target.heats, strict=True)]).sum()
    return _mean_of_things(total, target)


def _region_loss(output: KernelOutput, target: PublishedTargets, image: int) -> Tensor:
    """Mean over cells, sum over classes and levels."""
    return torch.stack([
        focal(logits[image].float(), share).mean((1, 2)).sum() for logits, share in zip(
            output.regions, target.shares, strict=True)]).sum()


def _region_mask_loss(output: KernelOutput, target: PublishedTargets, image: int,
                      kernels: Tensor, region: Tensor) -> Tensor:
    """:param kernels: (m, K) of m levels and classes. :param region: (m,) the classes."""
    logits = class_logits(kernels[None], output.mask_embedding[image:image + 1])[0]
    return dice(logits.sigmoid(), target.regions[region]).sum() / max(len(region), 1)


def _depth_losses(output: KernelOutput, target: PublishedTargets, image: int,
                  chosen: ThingKernels, region_kernels: Tensor,
                  region: Tensor) -> dict[str, Tensor]:
    """
    Errors of pixels and of the middles of things' depth kernels.

    :param region_kernels: (m, S + D) of m levels and classes. :param region: (m,) the classes.
    """
    if output.depth_embedding is None:
        return {}
    known = target.depth > 0
    is_stuff = ~output.is_thing()[region]
    own = rows_of_cells(output.depth_kernels, image, chosen.cell)
    inside = (target.masks > 0) & known
    kernels = torch.cat([own, region_kernels[is_stuff]])
    pixels = torch.cat([inside[chosen.thing],
                        (target.regions[region[is_stuff]] > 0.5) & known])
    kernel, row, column = pixels.nonzero(as_tuple=True)
    predicted = metric_depth(
        kernels[kernel][None], output.depth_embedding[image, :, row, column].t()[None],
        output.metric[image:image + 1], output.depth_form)[0]
    number = inside.sum((1, 2))
    mean = (inside * target.depth).sum((1, 2)) / number.clamp(min=1)
    seen = number[chosen.thing] > 0
    middle = linear_depth_center(own[seen].float()) * output.metric[image]
    return {'depth': depth_error(predicted, target.depth[row, column]),
            'instance_depth': depth_error(middle, mean[chosen.thing[seen]])}
