# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Losses of centers, regions, classes, masks and depth, and the kernels that they train.

Each loss is a mean over what is labelled in the batch, and zero without labels, so samples with
partial labels train only what they label. The batch is that of all processes together, which have
to call these functions in step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    interpolate,
    linear,
)

from ...config import Settings
from ...errors import ConfigError
from ...labels import VOID_CLASS
from ..dense import LOSS_STRIDE, semantic_loss
from ..distributed import normaliser
from .assembly import kernels_of_won_cells, pool_cells
from .kernels import (
    KernelOutput,
    class_kernels,
    class_logits,
    flatten_levels,
    linear_depth_center,
    log_depth_scale,
    mask_logits,
    metric_depth,
)
from .targets import (
    Batch,
    TargetSettings,
    center_cells,
    center_targets,
    is_of_level,
    region_targets,
    root_areas,
    thing_masks,
)

_FOCAL_ALPHA = 0.25
_VARIANCE_WEIGHT = 5.0


def dice(probability: Tensor, target: Tensor) -> Tensor:
    """
    1 - 2 sum(p t) / (sum p^2 + sum t^2) over the last two axes (V-Net, Milletari et al., 2016).

    :param probability, target: (..., h, w) float32 0..1. :returns: (...).
    """
    p, t = probability.flatten(-2), target.flatten(-2)
    return 1 - 2 * (p * t).sum(-1) / ((p * p).sum(-1) + (t * t).sum(-1)).clamp(min=1e-3)


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """
    Focal loss of each element, alpha 0.25, gamma 2 (RetinaNet, Lin et al., ICCV 2017).

    For targets between 0 and 1 both probability and class balance are interpolated, as in
    PanopticDepth.

    :param logits, target: of one shape, float32.
    """
    p = logits.sigmoid()
    wrong = p * (1 - target) + (1 - p) * target
    balance = _FOCAL_ALPHA * target + (1 - _FOCAL_ALPHA) * (1 - target)
    entropy = binary_cross_entropy_with_logits(logits, target, reduction='none')
    return balance * wrong ** 2 * entropy


def depth_error(predicted: Tensor, truth: Tensor) -> Tensor:
    """
    Scale-invariant error plus relative error, as in PanopticDepth.

    5 (mean d^2 - (mean d)^2) + sqrt(mean (1 - predicted / truth)^2), d = log(truth / predicted);
    0 of no pixels.

    :param predicted, truth: (P,) float32 meters, > 0.
    """
    if not len(truth):
        return predicted.sum()
    d = truth.log() - predicted.log()
    relative = (1 - predicted / truth).square().mean()
    # The slope of the root is infinite at 0.
    return (_VARIANCE_WEIGHT * (d.square().mean() - d.mean() ** 2)
            + relative.clamp(min=1e-12).sqrt())


@dataclass
class ThingKernels:
    """
    The m cells whose kernels train for the things of one image.

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
    Choose the cells inside each thing with the best center scores.

    The assembly will take the same cells, so training sees what inference uses.
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
            # Small things cover no cell by half: then the cell that they cover most is taken.
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
    """(h, w) float32 share of each cell that is not ignored: lidar labels are points."""
    ignored = (batch.semantic[image] == VOID_CLASS) & ~batch.not_crowd[image]
    return interpolate((~ignored)[None, None].float(), size=size, mode='area')[0, 0]


def _own_centers(inside: Tensor, middle: Tensor, image: torch.Size) -> Tensor:
    """
    Give the cell of each thing's center to this thing alone.

    The peak will be there, even where more of an occluding thing is visible.

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


class Regions(NamedTuple):
    """
    One region per class.

    :param depth_kernels: (B, C, S + D).
    :param logits: (B, C, H/4, W/4) float32.
    :param labelled: (B, C) bool, classes labelled in the image; all with learned class kernels.
    :param present: (B, C) bool, classes that have a kernel.
    """

    depth_kernels: Tensor
    logits: Tensor
    labelled: Tensor
    present: Tensor


def training_regions(output: KernelOutput, batch: Batch) -> Regions:
    """
    Regions with the kernels that inference would use.

    Without learned class kernels they come from cells: of the labels, since the network's own
    region maps are unreliable early in training, and for classes without labels in an image of
    the network's own regions, as in inference.
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
    """[(B, C, h, w)] per level, 1 where a class has half of the cell's labelled pixels."""
    cells = []
    for logits in output.regions:
        share, known = region_targets(batch.semantic, logits.shape[-2:], logits.shape[1])
        share = share * (known > 0)
        # Thin classes cover no cell by half: then the cells that they cover most are taken.
        least = share.amax((2, 3), keepdim=True).clamp(min=1e-3, max=0.5)
        cells.append((share >= least).float())
    return cells


def pool_regions(output: KernelOutput, cells: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """
    Mean kernels of the cells of each class, per level.

    :param cells: per level (B, C, h, w) float32 0 or 1.
    :returns: mask kernels (L, B, C, K), projected; depth kernels (L, B, C, S + D), S + D is 0
        without depth; (L, B, C) bool, classes with cells.
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


_LEAST_SEEN_PIXELS = 4
_LEAST_ROAD_CELLS = 200


class LossSettings(Settings):
    """Weights of the losses."""

    center: float = Field(1.0, ge=0)
    region: float = Field(1.0, ge=0)
    semantic: float = Field(1.0, ge=0)
    boundary: float = Field(0.0, ge=0, description='by how much more a pixel within 2 px of '
                            'another class counts in the semantic loss')
    mask: float = Field(2.0, ge=0)
    depth: float = Field(3.0, ge=0)
    depth_error: Literal['log', 'published'] = Field('log', description='of pixels: mean error of '
                                                     'log depth, or that of PanopticDepth')
    instance_depth: float = Field(0.5, ge=0)
    fallback_depth: float = Field(0.5, ge=0)
    depth_scale: float = Field(0.1, ge=0, description='likelihood of the uncertainty')
    kernels_per_thing: int = Field(3, ge=1, description='cells per level that answer for a thing')
    planarity: float = Field(0.0, ge=0, description='how far the road is from a plane; needs '
                             'labels of the road, but neither depth nor a camera')
    class_balance: float = Field(0.3, ge=0, le=1, description='classes count by frequency to '
                                 'the minus this power')
    targets: TargetSettings = TargetSettings()


def panoptic_depth_loss(output: KernelOutput, batch: Batch, settings: LossSettings,
                        class_weights: Tensor | None = None,
                        seeds: Sequence[int] | None = None,
                        road: int | None = None) -> dict[str, Tensor]:
    """
    All losses, weighted; see Model.losses.

    :param class_weights: (C,) float32 weights of the classes in the semantic loss.
    :param road: its class id, for the planarity; None: there is no such class.
    :raises ConfigError: the network cannot learn by boundary or planarity, but they are not 0.
    """
    kernels = [sample_kernels(output, batch, image, settings.kernels_per_thing, settings.targets)
               for image in range(len(batch.thing_channel))]
    regions = training_regions(output, batch)
    if output.class_kernels is None and settings.boundary:
        raise ConfigError(f'loss: boundary is {settings.boundary:g}, but the regions of this '
                          'network learn as masks, by dice; set it to 0')
    semantic = (semantic_loss(regions.logits, batch.semantic, class_weights,
                              boundary=settings.boundary)
                if output.class_kernels is not None else region_mask_loss(regions, batch))
    losses = {
        'center': settings.center * center_loss(output, batch, settings.targets),
        'region': settings.region * region_loss(output, batch),
        'semantic': settings.semantic * semantic,
        'mask': settings.mask * mask_loss(output, kernels)}
    losses.update(depth_losses(output, batch, kernels, regions, settings, seeds))
    if settings.planarity:
        if road is None or output.depth_embedding is None:
            raise ConfigError(f'loss: planarity is {settings.planarity:g}, but this network '
                              'learns no depth of a class road; set it to 0')
        losses['planarity'] = settings.planarity * planarity_loss(output, batch, regions, road)
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


def region_mask_loss(regions: Regions, batch: Batch) -> Tensor:
    """Dice loss of the regions of labelled classes at stride 4, where the semantics are known."""
    logits = regions.logits
    share, known = region_targets(batch.semantic, logits.shape[-2:], logits.shape[1])
    loss = dice(logits.sigmoid() * known, share * known) * regions.labelled
    return loss.sum() / normaliser(regions.labelled.sum(), loss.device)


def mask_loss(output: KernelOutput, kernels: list[ThingKernels]) -> Tensor:
    """Dice loss of the masks of all chosen cells, mean over things."""
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
    Errors of log depth: of pixels, things and the fallback, and the likelihood of its scale.

    Every pixel with a depth counts once, by the kernel of its segment or, without a labelled
    class, of the region that the network assigns it to. Empty for a network without depth.
    """
    if output.depth_embedding is None:
        return {}
    zero = output.mask_embedding.new_zeros((), dtype=torch.float32)
    sums = dict.fromkeys(('depth', 'instance_depth', 'fallback_depth', 'depth_scale'), zero)
    depth = batch.depth[:, ::LOSS_STRIDE, ::LOSS_STRIDE]
    size = depth.shape[1:]
    logits = regions.logits.detach().masked_fill(~regions.present[..., None, None], -torch.inf)
    guess = interpolate(logits.argmax(1, keepdim=True).float(), size=size, mode='nearest')
    embedding = interpolate(output.depth_embedding.float(), size=size, mode='bilinear',
                            align_corners=False)
    # Apart, once: the gradient of every index into all images is as large as all of them.
    looks = _pixel_rows(embedding)
    grounds = None if output.ground is None else _pixel_rows(interpolate(
        output.ground, size=size, mode='bilinear', align_corners=False))
    cells = flatten_levels(output.depth_kernels).unbind()
    images = things_seen = 0
    for image, chosen in enumerate(kernels):
        semantic = batch.semantic[image, ::LOSS_STRIDE, ::LOSS_STRIDE].long()
        region = torch.where(semantic == VOID_CLASS, guess[image, 0].long(), semantic)
        thing = batch.thing[image, ::LOSS_STRIDE, ::LOSS_STRIDE].long()
        is_known = torch.isfinite(depth[image]) & ((thing > 0) | regions.present[image][region])
        known = is_known.flatten().nonzero()[:, 0]
        if not len(known):
            continue
        images += 1
        region, thing, truth = (values.flatten()[known] for values in (
            region, thing, depth[image]))
        truth = truth.log()
        thing_kernels = _draw_kernels(cells[image], chosen,
                                      None if seeds is None else seeds[image])
        table = torch.cat([thing_kernels, regions.depth_kernels[image]]).float()
        own = table.index_select(
            0, torch.where(thing > 0, thing - 1, region + len(thing_kernels)))[None]
        pixels = looks[image].index_select(0, known)[None]
        metric = output.metric[image:image + 1]
        plane = None if grounds is None else grounds[image].index_select(0, known)[None]
        predicted = metric_depth(own, pixels, metric, output.depth_form, plane)[0]
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
                metric_depth(fallback, pixels, metric, output.depth_form, plane)[0].log() - truth
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


def _pixel_rows(maps: Tensor) -> tuple[Tensor, ...]:
    """(B, C, h, w) -> (h * w, C) of each image."""
    return maps.flatten(2).transpose(1, 2).contiguous().unbind()


def planarity_loss(output: KernelOutput, batch: Batch, regions: Regions, road: int) -> Tensor:
    """
    Relative distance of the road from a plane, in inverse depth; mean over images that show it.

    The inverse depth of a plane is linear in the coordinates of pixels, whatever the camera. The
    plane of an image is the one that is best by the predicted depth itself, in the least squares
    of relative errors, so that the loss says nothing about where the road is.

    :param road: class id.
    """
    assert output.depth_embedding is not None
    embedding = output.depth_embedding.float()
    height, width = embedding.shape[-2:]
    semantic = batch.semantic[:, 1::4, 1::4]
    total, images = embedding.new_zeros(()), 0
    for image in range(len(embedding)):
        rows, columns = torch.nonzero(semantic[image] == road, as_tuple=True)
        if len(rows) < _LEAST_ROAD_CELLS or not regions.present[image, road]:
            continue
        images += 1
        kernel = regions.depth_kernels[image, road].expand(1, len(rows), -1)
        ground = output.ground
        depth = metric_depth(
            kernel, embedding[image, :, rows, columns].t()[None], output.metric[image:image + 1],
            output.depth_form,
            None if ground is None else ground[image, :, rows, columns].t()[None])[0]
        cells = torch.stack([columns / width, rows / height, torch.ones_like(rows / 1.0)], dim=1)
        relative = (cells * depth.detach()[:, None]).double()
        plane = torch.linalg.lstsq(relative, torch.ones_like(relative[:, :1])).solution
        fitted = (relative @ plane)[:, 0].float() / depth.detach()
        # A curved road can lie beyond the horizon of its plane: count no more than 100 %.
        error = (1 / (depth * fitted.clamp(min=1e-4)) - 1).abs().clamp(max=1)
        total = total + error.mean()
    return total / normaliser(images, total.device)


def _log_center(kernels: Tensor, output: KernelOutput) -> Tensor:
    """(n, S + D) -> (n,) log of canonical meters in the middle of a kernel's range."""
    if output.depth_form == 'linear':
        return linear_depth_center(kernels).clamp(min=1e-6).log()
    return kernels[:, 0]


def _draw_kernels(cells: Tensor, chosen: ThingKernels, seed: int | None) -> Tensor:
    """(n, DEPTH_SHAPE + D): one of each thing's cells, drawn by weight."""
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
