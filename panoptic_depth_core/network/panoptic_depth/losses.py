# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Targets and losses of the published PanopticDepth (Gao et al., CVPR 2022, and its code).

The original's faults are included: a thing has seven kernels in each of its levels, and each
counts for the depth of all its pixels, so pixels of things weigh more than those of stuff; cells
outside of a thing count too if it covers fewer than seven; void counts as absence. Losses are
means over the images of a batch, as of several machines with one image each. Differences: crowds
are things, and a thing that vanishes at stride 4 is left out, where the original's center is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import interpolate

from ...config import Settings
from ..dynamic_kernels.kernels import KernelOutput, class_logits, linear_depth_center, metric_depth
from ..dynamic_kernels.losses import (
    LossSettings,
    ThingKernels,
    depth_error,
    dice,
    focal,
    mask_errors,
    pool_regions,
    rows_of_cells,
)
from ..dynamic_kernels.targets import (
    Batch,
    TargetSettings,
    is_of_level,
    root_areas,
    things_at_pixels,
)

PUBLISHED_TARGETS = TargetSettings(finest_px=128.0, max_things=150, least_pixels=1,
                                   crowds_are_things=True)

_CLEARLY = 0.5
_MIN_OVERLAP = 0.7


@dataclass
class PublishedTargets:
    """
    Targets of one image; n things.

    :param masks: (n, H/4, W/4) float32 share of things.
    :param channel: (n,) int64 center maps of their classes.
    :param of_level: per level (n,) bool, its things.
    :param heats: per level (T, h, w) float32, 1 at centers.
    :param regions: (C, H/4, W/4) float32 share of classes.
    :param shares: per level (C, h, w) float32 of those, 0 where below a half.
    :param depth: (H/4, W/4) float32 meters, 0 where unknown.
    """

    masks: Tensor
    channel: Tensor
    of_level: list[Tensor]
    heats: list[Tensor]
    regions: Tensor
    shares: list[Tensor]
    depth: Tensor


def published_targets(batch: Batch, image: int, sizes: list[torch.Size],
                      fine: torch.Size, classes: int) -> PublishedTargets:
    """
    Targets of one image.

    :param sizes: (h, w) of each level. :param fine: (H/4, W/4). :param classes: their number.
    """
    masks = bilinear(things_at_pixels(batch, image), fine)
    # The original's boxes end with their last pixel, and those of no width are dropped.
    box = batch.thing_box[image]
    box = box - box.new_tensor([0, 0, 1, 1])
    extent = box[:, 2:] - box[:, :2]
    usable = (extent > 0).all(1) & masks.flatten(1).any(1)
    masks, box, extent = masks[usable], box[usable], extent[usable]
    channel = batch.thing_channel[image][usable]
    middle = _middles(masks)
    of_level = [is_of_level(root_areas(box), level, len(sizes), PUBLISHED_TARGETS)
                for level in range(len(sizes))]
    height, width = batch.thing.shape[1:]
    heats = []
    for size, chosen in zip(sizes, of_level, strict=True):
        per_cell = extent.new_tensor([size[1] / fine[1], size[0] / fine[0]])
        per_px = extent.new_tensor([size[1] / width, size[0] / height])
        heats.append(_heat_map((middle[chosen] * per_cell).long(), extent[chosen] * per_px,
                               channel[chosen], batch.complete.shape[1], size))
    class_ids = torch.arange(classes, device=masks.device)[:, None, None]
    regions = bilinear((batch.semantic[image] == class_ids).float(), fine)
    shares = [bilinear(regions, size) for size in sizes]
    depth = interpolate(batch.depth[image][None, None].nan_to_num(0.0), size=fine)[0, 0]
    return PublishedTargets(masks, channel, of_level, heats, regions,
                            [share * (share >= _CLEARLY) for share in shares], depth)


def bilinear(maps: Tensor, size: torch.Size) -> Tensor:
    """(n, H, W) -> (n, h, w): from the four nearest values, also when shrinking."""
    return interpolate(maps[:, None], size=size, mode='bilinear', align_corners=False)[:, 0]


def gaussian_radius(extent: Tensor) -> Tensor:
    """
    Largest error of a corner with which boxes overlap by 0.7, by CornerNet's first code.

    Of its three cases the box around the other one always gives the least. Its root lacks the
    division by 2 a, which later versions have, so the radius is 2.8 times as large.

    :param extent: (n, 2) width and height in cells. :returns: (n,).
    """
    half = _MIN_OVERLAP * extent.sum(1)
    area = extent.prod(1)
    return (half ** 2 + 4 * _MIN_OVERLAP * (1 - _MIN_OVERLAP) * area).sqrt() - half


def _middles(masks: Tensor) -> Tensor:
    """(n, h, w) -> (n, 2): mean column and row of the cells that a mask touches."""
    touched = (masks > 0).float()
    return torch.stack([
        (touched.sum(axis) * torch.arange(side, device=masks.device)).sum(1) / touched.sum((1, 2))
        for axis, side in ((1, masks.shape[2]), (2, masks.shape[1]))], dim=1)


def _heat_map(middle: Tensor, extent: Tensor, channel: Tensor, channels: int,
              size: torch.Size) -> Tensor:
    """
    Gaussians of a third of their diameter, cut off at the radius.

    :param middle: (n, 2) int64 column and row. :param extent: (n, 2) cells.
    :returns: (T, h, w), the greatest of each class.
    """
    radius = gaussian_radius(extent).floor()[:, None, None]
    across = torch.arange(size[1], device=middle.device) - middle[:, 0, None, None]
    down = torch.arange(size[0], device=middle.device)[:, None] - middle[:, 1, None, None]
    blobs = torch.exp(-(across ** 2 + down ** 2) / (2 * ((2 * radius + 1) / 3) ** 2))
    blobs = blobs * ((across.abs() <= radius) & (down.abs() <= radius))
    nothing = blobs.new_zeros(1, *size)
    return torch.stack([torch.cat([nothing, blobs[channel == c]]).amax(0)
                        for c in range(channels)])


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
    """Losses of the published network."""

    published: PublishedLossSettings | None = Field(
        None, description='losses and targets of the paper in place of all of these')


def published_loss(output: KernelOutput, batch: Batch,
                   settings: PublishedLossSettings) -> dict[str, Tensor]:
    """
    All losses, weighted; see Model.losses.

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
    """Take the cells of each thing and level with the best center scores, however low."""
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
    """Over things, each counted once per level."""
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
