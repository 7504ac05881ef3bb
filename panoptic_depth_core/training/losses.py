# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Losses: centres, regions, classes, masks and depth.

Each is a mean over what is labelled in the batch, and zero where nothing is: samples with only
some of the labels teach only what they know.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    interpolate,
)

from ..config import Settings
from ..labels import CITYSCAPES, THING_CLASSES, VOID_CLASS
from ..network.dynamic_kernels import (
    NetworkOutput,
    class_kernels,
    class_logits,
    flatten_levels,
    log_depth_scale,
    mask_logits,
    metric_depth,
)
from .targets import (
    LEVEL_RANGES_PX,
    LEVEL_STRIDES,
    Batch,
    center_targets,
    region_targets,
    thing_masks,
)

_CLASSES = len(CITYSCAPES)
_LOSS_STRIDE = 2


class LossSettings(Settings):
    """Weights of the losses."""

    center: float = Field(1.0, ge=0)
    region: float = Field(1.0, ge=0)
    semantic: float = Field(1.0, ge=0)
    mask: float = Field(2.0, ge=0)
    depth: float = Field(3.0, ge=0)
    instance_depth: float = Field(0.5, ge=0)
    fallback_depth: float = Field(0.5, ge=0)
    depth_scale: float = Field(0.1, ge=0, description='likelihood of the uncertainty')
    kernels_per_thing: int = Field(3, ge=1, description='cells per level that answer for a thing')
    class_balance: float = Field(0.3, ge=0, le=1, description='classes count by frequency to '
                                 'the minus this power')


@dataclass
class ThingKernels:
    """
    Cells that answer for the things of one image; m of them.

    :param thing: (m,) index of the thing.
    :param cell: (m,) index into the flattened levels.
    :param weight: (m,) float32; sums to 1 per thing.
    :param masks: (n, H/4, W/4) target masks of the image's things.
    """

    thing: Tensor
    cell: Tensor
    weight: Tensor
    masks: Tensor


def panoptic_depth_loss(output: NetworkOutput, batch: Batch, settings: LossSettings,
                        class_weights: Tensor | None = None) -> dict[str, Tensor]:
    """
    All losses, weighted; their sum is what to minimise.

    :param class_weights: (C,) float32 weights of the classes in the semantic loss.
    """
    kernels = [sample_kernels(output, batch, image, settings.kernels_per_thing)
               for image in range(len(batch.thing_class))]
    region_kernels, region_depth_kernels = class_kernels(output)
    logits = class_logits(region_kernels, output.mask_embedding)
    losses = {
        'center': settings.center * center_loss(output, batch),
        'region': settings.region * region_loss(output, batch),
        'semantic': settings.semantic * semantic_loss(logits, batch, class_weights),
        'mask': settings.mask * mask_loss(output, kernels)}
    losses.update(depth_losses(output, batch, kernels, region_depth_kernels, logits, settings))
    return losses


def sample_kernels(output: NetworkOutput, batch: Batch, image: int,
                   per_level: int) -> ThingKernels:
    """
    Choose the cells inside each thing whose centre score is best at the moment.

    Those are the cells that the assembly will take, so training sees what inference uses.
    """
    device = output.mask_embedding.device
    masks = thing_masks(batch, image, 4)
    box = batch.thing_box[image]
    size = ((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])).sqrt()
    channel = torch.tensor([THING_CLASSES.index(c) for c in batch.thing_class[image].tolist()],
                           dtype=torch.int64, device=device)
    things, cells, weights, start = [], [], [], 0
    for level, (low, high) in enumerate(LEVEL_RANGES_PX):
        height, width = output.centers[level].shape[-2:]
        chosen = torch.nonzero((size >= low) & (size <= high))[:, 0]
        if len(chosen):
            inside = interpolate(masks[chosen][None], size=(height, width), mode='area')[0]
            heat = output.centers[level][image, channel[chosen]].detach().float().sigmoid()
            # Small things cover no cell by half: then the cell that holds most of it answers.
            inside = inside * (inside >= inside.amax((1, 2), keepdim=True).clamp(max=0.5))
            score = ((heat + 1e-4) * inside).flatten(1)
            best, cell = score.topk(min(per_level, score.shape[1]), dim=1)
            things.append(chosen[:, None].expand_as(cell).flatten())
            cells.append(cell.flatten() + start)
            weights.append(best.flatten())
        start += height * width
    empty = torch.zeros(0, dtype=torch.int64, device=device)
    thing = torch.cat(things) if things else empty
    weight = torch.cat(weights) if weights else empty.float()
    total = torch.zeros(len(box), device=device).index_add(0, thing, weight)
    return ThingKernels(thing, torch.cat(cells) if cells else empty,
                        weight / total[thing].clamp(min=1e-9), masks)


def center_loss(output: NetworkOutput, batch: Batch) -> Tensor:
    """Focal loss on Gaussian heat-maps (CornerNet), per thing, where absence is known."""
    total = output.mask_embedding.new_zeros((), dtype=torch.float32)
    number = 0.0
    for level, logits in enumerate(output.centers):
        heat, weight = center_targets(batch, level)
        logits = logits.float()
        p = logits.sigmoid()
        positive = (heat > 0.999).float()
        attract = -(1 - p) ** 2 * torch.nn.functional.logsigmoid(logits)
        repel = -(1 - heat) ** 4 * p ** 2 * torch.nn.functional.logsigmoid(-logits)
        total = total + (weight * (positive * attract + (1 - positive) * repel)).sum()
        number += float(positive.sum())
    return total / max(number, 1.0)


def region_loss(output: NetworkOutput, batch: Batch) -> Tensor:
    """Cross entropy of the region maps where the semantics are known, mean over cells."""
    total = output.mask_embedding.new_zeros((), dtype=torch.float32)
    for logits, stride in zip(output.regions, LEVEL_STRIDES, strict=True):
        share, known = region_targets(batch.semantic, stride, _CLASSES)
        loss = binary_cross_entropy_with_logits(logits.float(), share, reduction='none')
        total = total + (loss * known).sum() / known.sum().clamp(min=1.0)
    return total / len(LEVEL_STRIDES)


def semantic_loss(logits: Tensor, batch: Batch, class_weights: Tensor | None) -> Tensor:
    """
    Cross entropy of the class regions at stride 2.

    :param logits: (B, C, H/4, W/4).
    """
    target = batch.semantic[:, ::_LOSS_STRIDE, ::_LOSS_STRIDE].long()
    logits = interpolate(logits, size=target.shape[-2:], mode='bilinear', align_corners=False)
    known = target != VOID_CLASS
    if class_weights is None:
        class_weights = torch.ones(_CLASSES, device=logits.device)
    loss = cross_entropy(logits, target, class_weights, ignore_index=VOID_CLASS, reduction='none')
    weight = class_weights[torch.where(known, target, 0)] * known
    return loss.sum() / weight.sum().clamp(min=1.0)


def mask_loss(output: NetworkOutput, kernels: list[ThingKernels]) -> Tensor:
    """Dice loss of the masks of all answering cells, mean over things."""
    cells = flatten_levels(output.kernels)
    total = output.mask_embedding.new_zeros((), dtype=torch.float32)
    number = 0
    for image, chosen in enumerate(kernels):
        if not len(chosen.thing):
            continue
        logits = mask_logits(cells[image, chosen.cell][None],
                             output.mask_embedding[image:image + 1])[0]
        p, t = logits.sigmoid().flatten(1), chosen.masks[chosen.thing].flatten(1)
        dice = 1 - 2 * (p * t).sum(1) / ((p * p).sum(1) + (t * t).sum(1)).clamp(min=1e-3)
        total = total + (dice * chosen.weight).sum()
        number += len(chosen.masks)
    return total / max(number, 1)


def depth_losses(output: NetworkOutput, batch: Batch, kernels: list[ThingKernels],
                 region_kernels: Tensor, logits: Tensor,
                 settings: LossSettings) -> dict[str, Tensor]:
    """
    Errors of log depth: of pixels, of things, of the fallback, and the likelihood of its scale.

    Every pixel with a depth counts once, by the kernel of the segment that owns it; where its
    class is not labelled, by the region that the network would give it to.

    :param region_kernels: (B, C, DEPTH_SHAPE + D). :param logits: (B, C, H/4, W/4).
    """
    depth = batch.depth[:, ::_LOSS_STRIDE, ::_LOSS_STRIDE]
    height, width = depth.shape[1:]
    guess = interpolate(logits.detach().argmax(1, keepdim=True).float(), size=(height, width),
                        mode='nearest')[:, 0].long()
    embedding = interpolate(output.depth_embedding.float(), size=(height, width),
                            mode='bilinear', align_corners=False)
    cells = flatten_levels(output.depth_kernels)
    zero = output.mask_embedding.new_zeros((), dtype=torch.float32)
    sums = dict.fromkeys(('depth', 'instance_depth', 'fallback_depth', 'depth_scale'), zero)
    images = things_seen = 0
    for image, chosen in enumerate(kernels):
        known = torch.isfinite(depth[image])
        if not known.any():
            continue
        images += 1
        thing_kernels = _draw_kernels(cells[image], chosen)
        semantic = batch.semantic[image, ::_LOSS_STRIDE, ::_LOSS_STRIDE].long()
        region = torch.where(semantic == VOID_CLASS, guess[image], semantic)[known]
        thing = batch.thing[image, ::_LOSS_STRIDE, ::_LOSS_STRIDE].long()[known]
        table = torch.cat([thing_kernels, region_kernels[image]]).float()
        owner = torch.where(thing > 0, thing - 1, region + len(thing_kernels))
        own = table[owner][None]
        pixels = embedding[image, :, known].t()[None]
        metric = output.metric[image:image + 1]
        truth = depth[image][known].log()
        error = (metric_depth(own, pixels, metric)[0].log() - truth).abs()
        scale = log_depth_scale(own)[0]
        fallback = output.fallback_depth_kernel[image].expand(1, len(truth), -1)
        sums['depth'] = sums['depth'] + error.mean()
        sums['depth_scale'] = sums['depth_scale'] + (
            error.detach() / scale + scale.log()).mean()
        sums['fallback_depth'] = sums['fallback_depth'] + (
            metric_depth(fallback, pixels, metric)[0].log() - truth).abs().mean()
        medians, seen = _medians(truth, thing, len(thing_kernels))
        center = thing_kernels[seen, 0].float() + metric.log()
        sums['instance_depth'] = sums['instance_depth'] + (center - medians[seen]).abs().sum()
        things_seen += len(seen)
    for name in sums:
        number = things_seen if name == 'instance_depth' else images
        sums[name] = getattr(settings, name) * sums[name] / max(number, 1)
    return sums


def _draw_kernels(cells: Tensor, chosen: ThingKernels) -> Tensor:
    """(n, DEPTH_SHAPE + D): one of each thing's answering cells, drawn by weight."""
    number = len(chosen.masks)
    if not number:
        return cells[:0]
    chance = torch.zeros(number, len(chosen.cell), device=cells.device)
    chance[chosen.thing, torch.arange(len(chosen.cell), device=cells.device)] = chosen.weight
    return cells[chosen.cell[torch.multinomial(chance + 1e-12, 1)[:, 0]]]


def _medians(values: Tensor, group: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Medians of the values of groups 1..number, and the groups (from 0) with enough of them."""
    medians = torch.zeros(number, device=values.device)
    seen = []
    for index in range(number):
        mine = values[group == index + 1]
        if len(mine) >= 4:
            medians[index] = mine.median()
            seen.append(index)
    return medians, torch.tensor(seen, dtype=torch.int64, device=values.device)
