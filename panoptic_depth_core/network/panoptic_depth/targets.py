# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Targets of the published PanopticDepth (Gao et al., CVPR 2022, and its code).

Apart from crowds as things they differ from ours in that nothing is
ignored: where void is, the absence of everything is taught. Unlike there, a thing that vanishes
at stride 4 is left out in place of a centre that is not a number.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

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
    What one image teaches; n things, L levels.

    :param masks: (n, H/4, W/4) float32 share of things.
    :param channel: (n,) int64 centre maps of their classes.
    :param of_level: per level (n,) bool, the things that it answers for.
    :param heats: per level (T, h, w) float32, 1 at centres.
    :param regions: (C, H/4, W/4) float32 share of classes.
    :param shares: per level (C, h, w) float32 of those, 0 where below a half.
    :param depth: (H/4, W/4) float32 metres, 0 where unknown.
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

    :param sizes: (h, w) of each level. :param fine: (H/4, W/4).
    :param classes: their number.
    """
    masks = bilinear(things_at_pixels(batch, image), fine)
    # There a box ends with its last pixel, and one of no width is none.
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
    """(n, H, W) -> (n, h, w): from the four nearest values, however much smaller the result."""
    return interpolate(maps[:, None], size=size, mode='bilinear', align_corners=False)[:, 0]


def gaussian_radius(extent: Tensor) -> Tensor:
    """
    How far a corner may be off so that the boxes still overlap by 0.7, by CornerNet's first code.

    Of its three cases, the box that holds the other one is always the least. Its root there
    lacks the division by 2 a, which later versions have, so the radius is 2.8 times as large.

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
