# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Losses of LapDepth, our own and those of Song, Lim and Kim (TCSVT 2021).

The published gradient loss needs dense depth, which LiDAR does not give. Its authors inpainted
it; here a hole gets the mean of the known depths around it, from the finest level of a pyramid
that knows any (filled).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate

from ...config import Settings
from ...structures import Sample
from ..base import stack_inputs
from ..dense import (
    DenseBatch,
    dense_arrays,
    log_depth_loss,
    mean_of_images,
    positive_depth,
)
from ..distributed import mean_over_processes, normaliser

_VARIANCE_SHARE = 0.85
_SCALE = 10.0
_LEAST_VARIANCE = 1e-8
_LEAST_M = 1e-3
_ELSEWHERE = 0.1
_STEPS = (1, 2, 4)


class PublishedLossSettings(Settings):
    """The losses of the paper and of its code."""

    gradient: float = Field(0.1, ge=0, description='weight of the gradients of depth, compared '
                            'with those of dense depth; 0: without')
    rows: tuple[float, float] | None = Field(
        (0.3324324, 0.99189189), description='part of the height where gradients count in full '
        'without LiDAR too; null: nowhere, as for NYUv2')


class LapDepthLossSettings(Settings):
    """Losses of LapDepth."""

    form: Literal['log', 'silog'] = Field(
        'log', description='log: mean error of log depth; silog: the loss of the paper, which '
        'forgives most of an error that all pixels share')
    depth: float = Field(1.0, ge=0, description='weight of the error of depth')
    gradient: float = Field(0.5, ge=0, description='weight of the difference of log depth between '
                            'neighbors, where both are known')
    levels: float = Field(0.0, ge=0, description='weight of the error of depth from the coarser '
                          'levels alone; needs output: exponential')
    published: PublishedLossSettings | None = Field(
        None, description='losses of the paper in place of all of these')


class LapDepthOutput(NamedTuple):
    """
    Depth, and what it was made of.

    :param depth: (B, H, W) canonical meters > 0.
    :param residuals: (B, 1, H/s, W/s) for s of 16, 8, 4, 2, 1; published: times max_depth_m.
    :param sums: (B, 1, H/s, W/s), the pyramid up to each of these.
    :param metric: (B,) factor to real meters.
    """

    depth: Tensor
    residuals: list[Tensor]
    sums: list[Tensor]
    metric: Tensor


@dataclass
class FilledBatch(DenseBatch):
    """
    A batch for the published losses.

    :param dense: (B, H, W) float32 meters, without holes; NaN where an image has no depth at all.
    """

    dense: Tensor


def filled_targets(samples: Sequence[Sample]) -> FilledBatch:
    """Stack samples of one size, and fill the holes of their depth."""
    arrays = dense_arrays(samples)
    return FilledBatch(**stack_inputs(samples), **arrays, dense=filled(arrays['depth']))


def filled(depth: Tensor) -> Tensor:
    """
    Fill holes from what surrounds them.

    :param depth: (B, H, W) float32, NaN in holes.
    :returns: the same, NaN only in images that have nothing else.
    """
    known = torch.isfinite(depth)
    if known.all() or min(depth.shape[1:]) == 1:
        mean = depth.nanmean(dim=(1, 2), keepdim=True)
        return torch.where(known, depth, mean)
    sides = [side + side % 2 for side in depth.shape[1:]]
    padded = torch.full((len(depth), *sides), torch.nan)
    padded[:, :depth.shape[1], :depth.shape[2]] = depth
    sums, counts = (avg_pool2d(values[:, None], 2)[:, 0] for values in (
        padded.nan_to_num(0.0), torch.isfinite(padded).float()))
    coarse = filled(sums / counts)
    fine = interpolate(coarse[:, None], size=sides, mode='bilinear', align_corners=False)[:, 0]
    return torch.where(known, depth, fine[:, :depth.shape[1], :depth.shape[2]])


def lapdepth_losses(output: LapDepthOutput, batch: DenseBatch, settings: LapDepthLossSettings,
                    max_depth_m: float) -> dict[str, Tensor]:
    """
    All losses, weighted; see Model.losses.

    :param batch: a FilledBatch for the published ones. :param max_depth_m: of the settings.
    """
    s = settings
    if s.published is not None:
        assert isinstance(batch, FilledBatch)
        return published_losses(output, batch, s.published, max_depth_m)
    truth = batch.depth / output.metric[:, None, None]
    losses = {'depth': s.depth * (
        log_depth_loss(output.depth, batch.depth, output.metric, stride=1) if s.form == 'log'
        else silog_loss(output.depth, truth))}
    if s.gradient:
        losses['gradient'] = s.gradient * neighbor_loss(output.depth, truth)
    if s.levels:
        coarser = [log_depth_loss(positive_depth(sums), batch.depth, output.metric)
                   for sums in output.sums[:-1]]
        losses['levels'] = s.levels * torch.stack(coarser).mean()
    return losses


def published_losses(output: LapDepthOutput, batch: FilledBatch, settings: PublishedLossSettings,
                     max_depth_m: float) -> dict[str, Tensor]:
    """All losses as published, weighted; in canonical meters, cut off at max_depth_m."""
    metric = output.metric[:, None, None]
    truth, dense = ((depth / metric).clamp(max=max_depth_m)
                    for depth in (batch.depth, batch.dense))
    losses = {'silog': silog_loss(output.depth, truth)}
    if settings.gradient:
        losses['gradient'] = settings.gradient * sobel_loss(
            output.depth, truth, dense, settings.rows)
    return losses


def silog_loss(depth: Tensor, truth: Tensor) -> Tensor:
    """
    10 sqrt(mean e^2 - 0.85 (mean e)^2) with e = ln p - ln g, over the known pixels of a batch.

    0 where the root is near 0, and so has no gradient that is of use.

    :param depth: (B, H, W) > 0. :param truth: (B, H, W) in the same unit, NaN where unknown.
    """
    known = truth > _LEAST_M
    error = (depth.log() - torch.where(known, truth, 1.0).log()) * known
    count = normaliser(known.sum(), depth.device)
    mean, square = (_over_processes(values.sum() / count) for values in (error, error ** 2))
    variance = square - _VARIANCE_SHARE * mean ** 2
    is_sound = variance > _LEAST_VARIANCE
    return _SCALE * torch.where(is_sound, variance, 1.0).sqrt() * is_sound


def _over_processes(part: Tensor) -> Tensor:
    """
    Mean over all processes, with the gradient of this one's part.

    :param part: a sum over ``normaliser``; averaged over the processes it is the mean.
    """
    return part + (mean_over_processes(part.detach()) - part.detach())


def neighbor_loss(depth: Tensor, truth: Tensor) -> Tensor:
    """
    Mean error of the difference of log depth between two pixels, at some distances.

    :param depth, truth: as of silog_loss.
    """
    known = torch.isfinite(truth)
    error = depth.log() - torch.where(known, truth, 1.0).log()
    losses = []
    for step in _STEPS:
        for axis in (1, 2):
            pairs = truth.shape[axis] - step
            near, far = error.narrow(axis, 0, pairs), error.narrow(axis, step, pairs)
            both = known.narrow(axis, 0, pairs) & known.narrow(axis, step, pairs)
            losses.append(mean_of_images((far - near).abs(), both))
    return torch.stack(losses).mean()


def sobel_loss(depth: Tensor, truth: Tensor, dense: Tensor,
               rows: tuple[float, float] | None) -> Tensor:
    """
    Mean difference of the gradients of depth, as published: in meters, and of all pixels.

    :param depth, truth: as of silog_loss. :param dense: (B, H, W), see FilledBatch.
    :param rows: see PublishedLossSettings.
    """
    weight = torch.where(truth > _LEAST_M, 1.0, _ELSEWHERE)
    if rows is not None:
        first, last = (int(share * depth.shape[1]) for share in rows)
        weight[:, first:last] = 1.0
    # Inpainting may keep to another unit.
    most, most_dense = (values.nan_to_num(0.0).amax(dim=(1, 2), keepdim=True)
                        for values in (truth, dense))
    has_depth = most_dense > 0
    target = dense.nan_to_num(0.0) * (most / torch.where(has_depth, most_dense, 1.0))
    across = depth.new_tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
    kernels = torch.stack([across, across.t()])[:, None]
    # Two convolutions, as in the original: of the difference alone, ties would have a gradient.
    found, wanted = (conv2d(values[:, None], kernels, padding=1) for values in (depth, target))
    error = (found - wanted).abs().sum(1) * weight * has_depth
    return error.sum() / normaliser(has_depth.sum() * depth[0].numel(), depth.device)
