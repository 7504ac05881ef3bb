# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Feature pyramid with a global context, and the convolution block that all heads are made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

GROUPS = 8


class GroupNorm(nn.Module):
    """
    Group normalisation (Wu and He, ECCV 2018) with its weights kept as (C, 1, 1).

    In this shape they enter an exported graph as they are, under their own names, and can be
    read back from it.
    """

    def __init__(self, channels: int, groups: int = GROUPS) -> None:
        super().__init__()
        self.normalize = nn.GroupNorm(groups, channels, affine=False)
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return self.normalize(x) * self.weight + self.bias


def conv_block(channels_in: int, channels_out: int) -> nn.Sequential:
    """3x3 convolution, group norm, ReLU: (B, channels_in, H, W) -> (B, channels_out, H, W)."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        GroupNorm(channels_out), nn.ReLU(inplace=True))


class FeaturePyramid(nn.Module):
    """
    Feature pyramid network (Lin et al., CVPR 2017) for strides 4 to 64.

    The stride-4 map is returned as it is merged, without a convolution of its own: the encoder
    that alone reads it starts with one. A global average is added at stride 32: depth needs the
    whole scene, which no crop-sized receptive field of a light backbone covers.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.smooth = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1) for _ in channels[1:])
        self.coarser = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.context = nn.Conv2d(channels[-1], width, 1)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, list[Tensor], Tensor]:
        """
        Merge backbone features from coarse to fine.

        :param features: (B, C_i, H/s, W/s) for strides 4, 8, 16, 32.
        :returns: stride-4 map (B, width, H/4, W/4); [p3, p4, p5, p6] at strides 8, 16, 32, 64;
            context (B, width).
        """
        context = self.context(features[-1].mean(dim=(2, 3), keepdim=True))
        merged = self.lateral[-1](features[-1]) + context
        pyramid = [self.smooth[-1](merged)]
        for index in range(len(features) - 2, -1, -1):
            finer = self.lateral[index](features[index])
            merged = finer + interpolate(merged, size=finer.shape[-2:], mode='nearest')
            if index:
                pyramid.insert(0, self.smooth[index - 1](merged))
        pyramid.append(self.coarser(relu(pyramid[-1])))
        return merged, pyramid, context[:, :, 0, 0]
