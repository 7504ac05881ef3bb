# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Dynamic kernels: from vectors to masks and depth maps, in training and in the graph."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ...errors import ConfigError
from ...labels import THING_CLASSES
from ..layers import LOG_DEPTH_LIMITS, pixel_centers

LOCATION = 5
"""Numbers of a mask kernel after its weights: bias, precision x, precision y, u, v."""

DEPTH_SHAPE = 3
"""Numbers of a depth kernel before its weights: center, range, log of the uncertainty."""

GROUND_SHAPE = 2
"""Numbers of a depth kernel for the ground besides the weights: bias of the attention, offset."""

_LINEAR_RANGE_M = 88.0
_LEAST_LINEAR_M = 1e-6


DepthForm = Literal['log', 'linear']
"""
Form of depth kernels, see metric_depth. log: DEPTH_SHAPE numbers before the weights; linear: two,
center and range, as published.
"""


class KernelOutput(NamedTuple):
    """
    Output of a network for the assembly; lists run over the pyramid levels.

    :param centers: (B, T, h, w) logits, a peak per thing instance.
    :param regions: (B, C, h, w) logits of the classes' regions.
    :param kernels: (B, K + LOCATION, h, w) mask kernels, or (B, K, h, w) without a place.
    :param depth_kernels: (B, S + D, h, w), S numbers of the depth form; none without depth.
    :param mask_embedding: (B, K, H/4, W/4).
    :param depth_embedding: (B, D, H/4, W/4); None for a network without depth.
    :param metric: (B,) factor from canonical to real meters.
    :param class_kernels: (C, K + 1) learned weights and bias of each class's region.
    :param class_depth_kernels: (C, S + D).
    :param fallback_depth_kernel: (B, S + D), for pixels that no segment owns.
    :param thing_projection: (K, K) weight and (K,) bias of a linear map of things' mask kernels,
        applied before they are compared or used; None for none.
    :param region_projection: the same for those of regions.
    :param thing_classes: class ids of the T center maps.
    :param ground: (B, 2 + D, H/4, W/4) log of the ground's canonical meters and whether it is
        there, as layers.ground_plane gives them, and an embedding for the attention to it; None
        for a network that does not take the mounting. Depth kernels then have GROUND_SHAPE + D
        numbers more after the S.
    """

    centers: list[Tensor]
    regions: list[Tensor]
    kernels: list[Tensor]
    depth_kernels: list[Tensor]
    mask_embedding: Tensor
    depth_embedding: Tensor | None
    metric: Tensor
    class_kernels: Tensor | None = None
    class_depth_kernels: Tensor | None = None
    fallback_depth_kernel: Tensor | None = None
    thing_projection: tuple[Tensor, Tensor] | None = None
    region_projection: tuple[Tensor, Tensor] | None = None
    depth_form: DepthForm = 'log'
    thing_classes: tuple[int, ...] = THING_CLASSES
    ground: Tensor | None = None

    def is_thing(self) -> Tensor:
        """(C,) bool per class."""
        return torch.tensor([class_id in self.thing_classes
                             for class_id in range(self.regions[0].shape[1])],
                            device=self.metric.device)


def flatten_levels(maps: list[Tensor]) -> Tensor:
    """[(B, C, h, w)] -> (B, sum of h * w, C), levels one after another."""
    return torch.cat([m.flatten(2) for m in maps], dim=2).transpose(1, 2)


def locate_kernels(raw: Tensor, stride: int) -> Tensor:
    """
    Add location terms to a map of mask kernels.

    :param raw: (B, K + 3, h, w): weights, bias, raw precisions along x and y.
    :returns: (B, K + LOCATION, h, w), with positive precisions in 1 / px^2 and the image position
        of each cell.
    """
    batch, channels, height, width = raw.shape
    weights = raw[:, :channels - 2]
    # An object of a level is a few cells wide: start from a blob of that size.
    precision = softplus(raw[:, channels - 2:].float()) / (4.0 * stride) ** 2
    u = pixel_centers(width, stride, raw.device).expand(batch, 1, height, width)
    v = pixel_centers(height, stride, raw.device)[:, None].expand(batch, 1, height, width)
    return torch.cat([weights.float(), precision, u, v], dim=1)


def mask_logits(kernels: Tensor, embedding: Tensor, stride: int = 4) -> Tensor:
    """
    Masks of thing kernels: a dot product with the embedding, less the distance to the kernel.

    The quadratic term keeps a kernel near its cell, so that two equal cars differ (CondInst feeds
    relative coordinates for the same reason, Tian et al., ECCV 2020). As a sum of a row and a
    column it is exact in low precision, where a product is not.

    :param kernels: (B, N, K + LOCATION); of (B, N, K) the masks are the dot product alone.
    :param embedding: (B, K, h, w) at a stride.
    :returns: (B, N, h, w) float32 logits.
    """
    channels, height, width = embedding.shape[1:]
    weights, place = kernels[..., :channels], kernels[..., channels:].float()
    logits = (weights @ embedding.flatten(2)).unflatten(2, (height, width)).float()
    if not place.shape[-1]:
        return logits
    bias, precision_x, precision_y, center_u, center_v = (
        place[..., i, None] for i in range(LOCATION))
    u = pixel_centers(width, stride, embedding.device)
    v = pixel_centers(height, stride, embedding.device)
    along_x = precision_x * (u - center_u) ** 2
    along_y = precision_y * (v - center_v) ** 2 - bias
    return logits - along_x[:, :, None, :] - along_y[:, :, :, None]


def class_kernels(output: KernelOutput) -> tuple[Tensor, Tensor]:
    """
    Kernels of each class's region: the learned ones plus those pooled over its cells.

    :returns: mask kernels (B, C, K + 1), depth kernels (B, C, S + D), float32.
    :raises ConfigError: for a network without learned ones.
    """
    if output.class_kernels is None or output.class_depth_kernels is None:
        raise ConfigError("assembly: regions is 'pooled', but this network has no learned kernels "
                          "of classes; set regions to 'won_cells'")
    attention = flatten_levels(output.regions).float().sigmoid()
    pooling = (attention / (attention.sum(dim=1, keepdim=True) + 1.0)).transpose(1, 2)
    channels = output.mask_embedding.shape[1]
    cells = flatten_levels(output.kernels)[..., :channels + 1].float()
    depth_cells = flatten_levels(output.depth_kernels).float()
    return (output.class_kernels.float() + pooling @ cells,
            output.class_depth_kernels.float() + pooling @ depth_cells)


def class_logits(kernels: Tensor, embedding: Tensor) -> Tensor:
    """(B, C, K + 1) kernels on a (B, K, h, w) embedding -> (B, C, h, w) float32 logits."""
    channels = embedding.shape[1]
    logits = kernels[..., :channels].to(embedding.dtype) @ embedding.flatten(2)
    logits = logits.unflatten(2, embedding.shape[-2:]).float()
    has_bias = kernels.shape[-1] > channels
    return logits + kernels[..., channels, None, None] if has_bias else logits


def metric_depth(kernels: Tensor, embedding: Tensor, metric: Tensor,
                 form: DepthForm = 'log', ground: Tensor | None = None) -> Tensor:
    """
    Depth of pixels from the depth kernels of their segments.

    With position = 2 sigmoid(k . e) - 1, the published range form (PanopticDepth, Gao et al.,
    CVPR 2022, eq. T2; linear, with the constants of its code):
    D f_c / f = relu(44 sigmoid(center) + 88 sigmoid(range) * position).
    Its logarithmic form, in which depth is positive, has no upper limit, and an error counts in
    proportion to the distance (log): log(D f_c / f) = center + softplus(range) * position.

    Where the ground is known, a share of log depth is that of the ground plus an offset; the share
    is the attention of the segment, a sigmoid of a dot product (GEDepth, Yang et al., ICCV 2023,
    has one for the whole image).

    :param kernels: (B, P, S + D) one kernel per pixel.
    :param embedding: (B, P, D).
    :param metric: (B,).
    :param ground: (B, P, 2 + D) as in KernelOutput, and so are the kernels then.
    :returns: (B, P) float32 meters, > 0; a micrometer where the linear form gives nothing.
    """
    kernels, embedding = kernels.float(), embedding.float()
    center, spread = kernels[..., 0], kernels[..., 1]
    weights = kernels[..., kernels.shape[-1] - embedding.shape[-1]:]
    position = 2 * torch.sigmoid((weights * embedding).sum(-1)) - 1
    if form == 'linear':
        depth = linear_depth_center(kernels) + _LINEAR_RANGE_M * spread.sigmoid() * position
        return depth.clamp(min=_LEAST_LINEAR_M) * metric[:, None]
    log_depth = center + softplus(spread) * position
    if ground is not None:
        plane, there, look = ground[..., 0], ground[..., 1], ground[..., 2:].float()
        shape = kernels[..., DEPTH_SHAPE:kernels.shape[-1] - embedding.shape[-1]]
        attention = (shape[..., GROUND_SHAPE:] * look).sum(-1) + shape[..., 0]
        log_depth = log_depth + there * torch.sigmoid(attention) * (
            plane + shape[..., 1] - log_depth)
    return log_depth.clamp(*LOG_DEPTH_LIMITS).exp() * metric[:, None]


def linear_depth_center(kernels: Tensor) -> Tensor:
    """(..., S + D) kernels of the linear form -> (...) canonical meters in the middle."""
    return 0.5 * _LINEAR_RANGE_M * kernels[..., 0].sigmoid()


def log_depth_scale(kernels: Tensor, form: DepthForm = 'log') -> Tensor:
    """
    Laplace scale b of the error of log depth, (B, P, S + D) -> (B, P).

    0.01..3 in the log form; NaN in the linear form, which does not predict it.
    """
    if form == 'linear':
        return torch.full(kernels.shape[:2], torch.nan, device=kernels.device)
    return kernels[..., 2].float().clamp(-4.6, 1.1).exp()
