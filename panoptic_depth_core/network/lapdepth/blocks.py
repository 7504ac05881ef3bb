# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Layers of LapDepth's decoder: norm, ReLU and convolution with standardized weights, in this order.

For deployment the weights are standardized once, and batch norm becomes part of the convolution
before it. Where that one has other readers, or where the picture or the backbone's features come
in, a factor and a shift per channel remain.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, relu

from ..layers import GroupNorm

DecoderNorm = Literal['batch', 'group']

_BATCH_NORM_EPS = 1e-3
_GROUP_CHANNELS = 16
_STANDARDIZATION_EPS = 1e-5


class StandardizedConv(nn.Conv2d):
    """
    Convolution whose filters have mean 0 and deviation 1 (Qiao et al., 2019); no bias.

    The output keeps its size. The variance of the input is multiplied by the fan-in.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 3,
                 dilation: int = 1) -> None:
        super().__init__(channels_in, channels_out, kernel, padding=kernel // 2 * dilation,
                         dilation=dilation, bias=False)

    def standardized(self) -> Tensor:
        """Weights as they are applied; the deviation is unbiased."""
        deviation, mean = torch.std_mean(self.weight, dim=(1, 2, 3), keepdim=True)
        return (self.weight - mean) / (deviation + _STANDARDIZATION_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W)."""
        return conv2d(x, self.standardized(), None, 1, self.padding, self.dilation)


class ChannelAffine(nn.Module):
    """What batch norm is once its statistics are fixed: a factor and a shift per channel."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None and norm.running_var is not None
        factor = norm.weight * (norm.running_var + norm.eps).rsqrt()
        shift = norm.bias - norm.running_mean * factor
        # In this shape they enter an exported graph unchanged, under their own names.
        self.weight = nn.Parameter(factor.detach()[:, None, None])
        self.bias = nn.Parameter(shift.detach()[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return x * self.weight + self.bias


class Block(nn.Module):
    """
    Norm, ReLU, twice the size if asked, convolution with standardized weights.

    :param doubles: upsample, bilinear, before the convolution.
    """

    def __init__(self, channels_in: int, channels_out: int, norm: DecoderNorm, kernel: int = 3,
                 dilation: int = 1, doubles: bool = False) -> None:
        super().__init__()
        self.doubles = doubles
        self.norm: nn.Module = _norm(channels_in, norm)
        self.conv: nn.Conv2d = StandardizedConv(channels_in, channels_out, kernel, dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H or 2 H, W or 2 W)."""
        x = relu(self.norm(x))
        result: Tensor = self.conv(doubled(x) if self.doubles else x)
        return result

    def start_small(self, deviation: float) -> None:
        """Let the output begin with about this deviation, where its norm has a gain of 1."""
        norm = self.norm
        assert isinstance(norm, nn.BatchNorm2d | GroupNorm)
        # ReLU halves the second moment.
        nn.init.constant_(norm.weight, deviation * (2 / self.conv.weight[0].numel()) ** 0.5)


def doubled(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2 H, 2 W), bilinear."""
    return interpolate(x, scale_factor=2.0, mode='bilinear', align_corners=False)


class DenseContext(nn.Module):
    """
    Dense atrous pyramid (DenseASPP, Yang et al., CVPR 2018): each rate sees all before it.

    (B, channels_in, H, W) -> (B, width, H, W).
    """

    rates = (3, 6, 12, 18)

    def __init__(self, channels_in: int, width: int, norm: DecoderNorm) -> None:
        super().__init__()
        half = width // 2
        self.reduce: nn.Conv2d = StandardizedConv(channels_in, width, kernel=1)
        self.branches: Any = nn.ModuleList(nn.Sequential(
            Block(width + index * half, half, norm, kernel=1),
            Block(half, half, norm, dilation=rate)) for index, rate in enumerate(self.rates))
        self.project = Block(width + len(self.rates) * half, width, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Gather the context."""
        gathered = self.reduce(x)
        for branch in self.branches:
            gathered = torch.cat([gathered, branch(gathered)], dim=1)
        result: Tensor = self.project(gathered)
        return result


def fold(module: nn.Module, chains: Iterable[Iterable[nn.Module]]) -> None:
    """
    Leave plain convolutions, and no batch norm, below a module, in place.

    :param chains: blocks of which each reads the one before it alone, and is its only reader.
    """
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, StandardizedConv):
                setattr(parent, name, _plain(child))
            elif isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, ChannelAffine(child))
    for chain in chains:
        for before, after in pairwise(chain):
            assert isinstance(before, Block) and isinstance(after, Block)
            if isinstance(after.norm, ChannelAffine):
                factor, shift = after.norm.weight.detach(), after.norm.bias.detach()
                conv = before.conv
                conv.weight = nn.Parameter(conv.weight.detach() * factor[..., None])
                conv.bias = nn.Parameter(shift.flatten())
                after.norm = nn.Identity()


def _plain(conv: StandardizedConv) -> nn.Conv2d:
    kernel, dilation = conv.kernel_size[0], conv.dilation[0]
    plain = nn.Conv2d(conv.in_channels, conv.out_channels, kernel,
                      padding=kernel // 2 * dilation, dilation=dilation, bias=False)
    plain.weight = nn.Parameter(conv.standardized().detach())
    return plain


def _norm(channels: int, norm: DecoderNorm) -> nn.Module:
    """Batch norm, or group norm with groups of 16 channels, or the next size that divides."""
    if norm == 'batch':
        return nn.BatchNorm2d(channels, eps=_BATCH_NORM_EPS)
    most = max(channels // _GROUP_CHANNELS, 1)
    return GroupNorm(channels, next(n for n in range(most, 0, -1) if channels % n == 0))
