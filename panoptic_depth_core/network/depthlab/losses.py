# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Losses of DepthLab: ours at the stride of its maps, and the published ones at full resolution.

The published ones are those of Panoptic-DeepLab (Cheng et al., CVPR 2020, and its code) and of
Panoptic-DepthLab: depth by its plain error in meters.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...config import Settings
from ...labels import VOID_CLASS
from ..dense import log_depth_loss, mean_of_pixels, semantic_loss
from ..distributed import normaliser
from ..segment_table import resize
from .grouping import MAP_STRIDE
from .targets import DepthLabBatch

_HARD_SHARE = 0.2


class DepthLabOutput(NamedTuple):
    """
    Maps at stride 4.

    :param semantic: (B, C, h, w) logits. :param center: (B, 1, h, w) heat, 1 at centers.
    :param offset: (B, 2, h, w) rows and columns to the center, in cells.
    :param depth: (B, h, w) canonical meters; None for a network without.
    :param metric: (B,) factor to real meters.
    """

    semantic: Tensor
    center: Tensor
    offset: Tensor
    depth: Tensor | None
    metric: Tensor


class PublishedLossSettings(Settings):
    """Weights of the published losses."""

    semantic: float = Field(1.0, ge=0)
    center: float = Field(200.0, ge=0)
    offset: float = Field(0.01, ge=0, description='of errors in px')
    depth: float = Field(1.0, ge=0, description='of errors in meters')


class LossSettings(Settings):
    """Weights of the losses."""

    semantic: float = Field(1.0, ge=0)
    center: float = Field(200.0, ge=0)
    offset: float = Field(0.05, ge=0, description='of errors in cells of 4 px')
    depth: float = Field(1.0, ge=0, description='of errors of log depth')
    class_balance: float = Field(0.25, ge=0, le=1, description='weight of rare classes: frequency '
                                 'to the power of minus this')
    published: PublishedLossSettings | None = Field(
        None, description='losses and targets of the paper in place of all of these')


def depthlab_loss(output: DepthLabOutput, batch: DepthLabBatch, settings: LossSettings,
                  class_weights: Tensor | None = None) -> dict[str, Tensor]:
    """All losses, weighted; see Model.losses."""
    center, offset = instance_losses(output.center, output.offset, batch)
    losses = {'semantic': semantic_loss(output.semantic, batch.semantic, class_weights),
              'center': center, 'offset': offset}
    if output.depth is not None:
        losses['depth'] = log_depth_loss(output.depth, batch.depth, output.metric)
    return {name: getattr(settings, name) * loss for name, loss in losses.items()}


def published_loss(output: DepthLabOutput, batch: DepthLabBatch,
                   settings: PublishedLossSettings) -> dict[str, Tensor]:
    """
    All losses as published, weighted; the predictions are enlarged first.

    The hardest pixels are looked for in the part of a batch that one process has.
    """
    size = batch.semantic.shape[-2:]
    center, offset = instance_losses(
        resize(output.center, size), resize(output.offset, size) * MAP_STRIDE, batch)
    losses = {'semantic': hard_pixel_loss(resize(output.semantic, size), batch),
              'center': center, 'offset': offset}
    if output.depth is not None:
        predicted = resize(output.depth[:, None], size)[:, 0] * output.metric[:, None, None]
        known = torch.isfinite(batch.depth)
        losses['depth'] = mean_of_pixels(
            (predicted - torch.where(known, batch.depth, 0.0)).abs(), known)
    return {name: getattr(settings, name) * loss for name, loss in losses.items()}


def hard_pixel_loss(logits: Tensor, batch: DepthLabBatch) -> Tensor:
    """
    Weighted cross entropy, mean of the fifth of all pixels where it is largest.

    :param logits: (B, C, H, W).
    """
    error = cross_entropy(logits, batch.semantic.long(), ignore_index=VOID_CLASS,
                          reduction='none') * batch.semantic_weight
    return error.flatten().topk(int(_HARD_SHARE * error.numel())).values.mean()


def instance_losses(center: Tensor, offset: Tensor,
                    batch: DepthLabBatch) -> tuple[Tensor, Tensor]:
    """
    Mean squared error of the heat, and mean of the summed errors of both offsets.

    :param center, offset: (B, 1, h, w) and (B, 2, h, w) of the targets' size and unit.
    """
    heat_error = (center[:, 0].float() - batch.heat) ** 2 * batch.heat_weight
    offset_error = (offset.float() - batch.offset).abs().sum(1) * batch.offset_weight
    device = center.device
    return (heat_error.sum() / normaliser(batch.heat_weight.sum(), device),
            offset_error.sum() / normaliser(batch.offset_weight.sum(), device))
