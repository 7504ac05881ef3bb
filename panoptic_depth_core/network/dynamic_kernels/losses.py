# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Losses: centres, regions, classes, masks and depth.

Each is a mean over what is labelled in the batch, and zero where nothing is: samples with only
some of the labels teach only what they know. The batch is that of all processes together, which
have to call these in step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    interpolate,
)

from ...config import Settings
from ...labels import VOID_CLASS
from ..loss_terms import depth_error, dice
from ..processes import normaliser
from .kernels import (
    KernelOutput,
    flatten_levels,
    linear_depth_center,
    log_depth_scale,
    metric_depth,
)
from .region_kernels import Regions, training_regions
from .targets import (
    Batch,
    TargetSettings,
    center_targets,
    region_targets,
)
from .thing_kernels import ThingKernels, mask_errors, sample_kernels

_LOSS_STRIDE = 2
_LEAST_SEEN_PIXELS = 4


class LossSettings(Settings):
    """Weights of the losses."""

    center: float = Field(1.0, ge=0)
    region: float = Field(1.0, ge=0)
    semantic: float = Field(1.0, ge=0)
    mask: float = Field(2.0, ge=0)
    depth: float = Field(3.0, ge=0)
    depth_error: Literal['log', 'published'] = Field('log', description='of pixels: mean error of '
                                                     'log depth, or that of PanopticDepth')
    instance_depth: float = Field(0.5, ge=0)
    fallback_depth: float = Field(0.5, ge=0)
    depth_scale: float = Field(0.1, ge=0, description='likelihood of the uncertainty')
    kernels_per_thing: int = Field(3, ge=1, description='cells per level that answer for a thing')
    class_balance: float = Field(0.3, ge=0, le=1, description='classes count by frequency to '
                                 'the minus this power')
    targets: TargetSettings = TargetSettings()


def panoptic_depth_loss(output: KernelOutput, batch: Batch, settings: LossSettings,
                        class_weights: Tensor | None = None,
                        seeds: Sequence[int] | None = None) -> dict[str, Tensor]:
    """
    All losses, weighted; their sum is what to minimise.

    :param class_weights: (C,) float32 weights of the classes in the semantic loss.
    :param seeds: one per image, of its random choices; None draws from the global generator.
    """
    kernels = [sample_kernels(output, batch, image, settings.kernels_per_thing, settings.targets)
               for image in range(len(batch.thing_channel))]
    regions = training_regions(output, batch)
    semantic = (semantic_loss(regions.logits, batch, class_weights)
                if output.class_kernels is not None else region_mask_loss(regions, batch))
    losses = {
        'center': settings.center * center_loss(output, batch, settings.targets),
        'region': settings.region * region_loss(output, batch),
        'semantic': settings.semantic * semantic,
        'mask': settings.mask * mask_loss(output, kernels)}
    losses.update(depth_losses(output, batch, kernels, regions, settings, seeds))
    return losses


def center_loss(output: KernelOutput, batch: Batch, settings: TargetSettings) -> Tensor:
    """Focal loss on Gaussian heat-maps (CornerNet), per thing, where absence is known."""
    total = output.mask_embedding.new_zeros((), dtype=torch.float32)
    number = torch.zeros((), device=total.device)
    sizes = [logits.shape[-2:] for logits in output.centers]
    for logits, (heat, weight) in zip(output.centers, center_targets(batch, sizes, settings),
                                      strict=True):
        logits = logits.float()
        p = logits.sigmoid()
        positive = (heat > 0.999).float()
        attract = -(1 - p) ** 2 * torch.nn.functional.logsigmoid(logits)
        repel = -(1 - heat) ** 4 * p ** 2 * torch.nn.functional.logsigmoid(-logits)
        total = total + (weight * (positive * attract + (1 - positive) * repel)).sum()
        number += positive.sum()
    return total / normaliser(number, total.device)


def region_loss(output: KernelOutput, batch: Batch) -> Tensor:
    """Cross entropy of the region maps where the semantics are known, mean over cells."""
    total = output.mask_embedding.new_zeros((), dtype=torch.float32)
    for logits in output.regions:
        share, known = region_targets(batch.semantic, logits.shape[-2:], logits.shape[1])
        loss = binary_cross_entropy_with_logits(logits.float(), share, reduction='none')
        total = total + (loss * known).sum() / normaliser(known.sum(), known.device)
    return total / len(output.regions)


def semantic_loss(logits: Tensor, batch: Batch, class_weights: Tensor | None) -> Tensor:
    """
    Cross entropy of the class regions at stride 2.

    :param logits: (B, C, H/4, W/4).
    """
    target = batch.semantic[:, ::_LOSS_STRIDE, ::_LOSS_STRIDE].long()
    logits = interpolate(logits, size=target.shape[-2:], mode='bilinear', align_corners=False)
    known = target != VOID_CLASS
    if class_weights is None:
        class_weights = torch.ones(logits.shape[1], device=logits.device)
    loss = cross_entropy(logits, target, class_weights, ignore_index=VOID_CLASS, reduction='none')
    weight = class_weights[torch.where(known, target, 0)] * known
    return loss.sum() / normaliser(weight.sum(), weight.device)


def region_mask_loss(regions: Regions, batch: Batch) -> Tensor:
    """Dice loss of the regions of labelled classes at stride 4, where the semantics are known."""
    logits = regions.logits
    share, known = region_targets(batch.semantic, logits.shape[-2:], logits.shape[1])
    loss = dice(logits.sigmoid() * known, share * known) * regions.labelled
    return loss.sum() / normaliser(regions.labelled.sum(), loss.device)


def mask_loss(output: KernelOutput, kernels: list[ThingKernels]) -> Tensor:
    """Dice loss of the masks of all answering cells, mean over things."""
    total = output.mask_embedding.new_zeros((), dtype=torch.float32)
    number = 0
    for image, chosen in enumerate(kernels):
        if len(chosen.thing):
            total = total + (mask_errors(output, image, chosen) * chosen.weight).sum()
            number += len(chosen.masks)
    return total / normaliser(number, total.device)


def depth_losses(output: KernelOutput, batch: Batch, kernels: list[ThingKernels],
                 regions: Regions, settings: LossSettings,
                 seeds: Sequence[int] | None = None) -> dict[str, Tensor]:
    """
    Errors of log depth: of pixels, of things, of the fallback, and the likelihood of its scale.

    Every pixel with a depth counts once, by the kernel of the segment that owns it; where its
    class is not labelled, by the region that the network would give it to. A network without depth
    has none of them.
    """
    if output.depth_embedding is None:
        return {}
    zero = output.mask_embedding.new_zeros((), dtype=torch.float32)
    sums = dict.fromkeys(('depth', 'instance_depth', 'fallback_depth', 'depth_scale'), zero)
    depth = batch.depth[:, ::_LOSS_STRIDE, ::_LOSS_STRIDE]
    size = depth.shape[1:]
    logits = regions.logits.detach().masked_fill(~regions.present[..., None, None], -torch.inf)
    guess = interpolate(logits.argmax(1, keepdim=True).float(), size=size, mode='nearest')
    embedding = interpolate(output.depth_embedding.float(), size=size, mode='bilinear',
                            align_corners=False)
    cells = flatten_levels(output.depth_kernels)
    images = things_seen = 0
    for image, chosen in enumerate(kernels):
        semantic = batch.semantic[image, ::_LOSS_STRIDE, ::_LOSS_STRIDE].long()
        region = torch.where(semantic == VOID_CLASS, guess[image, 0].long(), semantic)
        thing = batch.thing[image, ::_LOSS_STRIDE, ::_LOSS_STRIDE].long()
        known = torch.isfinite(depth[image]) & ((thing > 0) | regions.present[image][region])
        if not known.any():
            continue
        images += 1
        region, thing, truth = region[known], thing[known], depth[image][known].log()
        thing_kernels = _draw_kernels(cells[image], chosen,
                                      None if seeds is None else seeds[image])
        table = torch.cat([thing_kernels, regions.depth_kernels[image]]).float()
        own = table[torch.where(thing > 0, thing - 1, region + len(thing_kernels))][None]
        pixels = embedding[image, :, known].t()[None]
        metric = output.metric[image:image + 1]
        predicted = metric_depth(own, pixels, metric, output.depth_form)[0]
        error = (predicted.log() - truth).abs()
        sums['depth'] = sums['depth'] + (
            error.mean() if settings.depth_error == 'log' else
            depth_error(predicted, truth.exp()))
        if output.depth_form == 'log':
            scale = log_depth_scale(own)[0]
            sums['depth_scale'] = sums['depth_scale'] + (
                error.detach() / scale + scale.log()).mean()
        if output.fallback_depth_kernel is not None:
            fallback = output.fallback_depth_kernel[image].expand(1, len(truth), -1)
            sums['fallback_depth'] = sums['fallback_depth'] + (
                metric_depth(fallback, pixels, metric, output.depth_form)[0].log() - truth
            ).abs().mean()
        medians, seen = _medians(truth, thing, len(thing_kernels))
        center = _log_center(thing_kernels[seen].float(), output) + metric.log()
        sums['instance_depth'] = sums['instance_depth'] + (center - medians[seen]).abs().sum()
        things_seen += len(seen)
    per_image = normaliser(images, zero.device)
    per_thing = normaliser(things_seen, zero.device)
    for name in sums:
        number = per_thing if name == 'instance_depth' else per_image
        sums[name] = getattr(settings, name) * sums[name] / number
    return sums


def _log_center(kernels: Tensor, output: KernelOutput) -> Tensor:
    """(n, S + D) -> (n,) log of canonical metres in the middle of a kernel's range."""
    if output.depth_form == 'linear':
        return linear_depth_center(kernels).clamp(min=1e-6).log()
    return kernels[:, 0]


def _draw_kernels(cells: Tensor, chosen: ThingKernels, seed: int | None) -> Tensor:
    """(n, DEPTH_SHAPE + D): one of each thing's answering cells, drawn by weight."""
    number = len(chosen.masks)
    if not number:
        return cells[:0]
    chance = torch.zeros(number, len(chosen.cell), device=cells.device)
    chance[chosen.thing, torch.arange(len(chosen.cell), device=cells.device)] = chosen.weight
    generator = None if seed is None else torch.Generator(cells.device).manual_seed(seed)
    drawn = torch.multinomial(chance, 1, generator=generator)[:, 0]
    return cells[chosen.cell[drawn]]


def _medians(values: Tensor, group: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Medians of the values of groups 1..number, and the groups (from 0) with enough of them."""
    medians = torch.zeros(number, device=values.device)
    seen = []
    for index in range(number):
        mine = values[group == index + 1]
        if len(mine) >= _LEAST_SEEN_PIXELS:
            medians[index] = mine.median()
            seen.append(index)
    return medians, torch.tensor(seen, dtype=torch.int64, device=values.device)
