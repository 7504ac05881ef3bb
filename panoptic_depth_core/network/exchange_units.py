# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Units through which semantics and depth help each other (SOSD-Net, He et al., arXiv 2101.07422).

A flat piece of a surface, parallel to the image, of dX by dY meters at depth d covers du by dv px:

    d^2 = fx fy dX dY / (du dv)

What a thing is tells dX dY, how large it looks du dv. Each unit estimates two of these products
as maps, and multiplies them. The kernel sizes, which the paper leaves open, are ours.
"""

from __future__ import annotations

from torch import Tensor, nn

from .layers import GROUPS, LayerNorm, conv_block

ROOT_EPSILON = 1e-6
"""Below the root: ReLU makes exact zeros, where the gradient of the root is infinite."""


def depth_of_size(size_3d: Tensor, inverse_size_2d: Tensor, focal: Tensor | float = 1.0,
                  epsilon: float = ROOT_EPSILON) -> Tensor:
    """
    Depth of what has a known size, f sqrt(dX dY / (du dv)).

    :param size_3d: dX dY, square meters. :param inverse_size_2d: 1 / (du dv), 1 / px^2.
    :param focal: sqrt(fx fy) in px. :returns: meters.
    """
    return focal * (size_3d * inverse_size_2d + epsilon).sqrt()


def size_at_depth(size_3d: Tensor, inverse_depth_2: Tensor,
                  focal: Tensor | float = 1.0) -> Tensor:
    """
    Size in the picture of what has a known depth, f^2 dX dY / d^2.

    :param size_3d: dX dY, square meters. :param inverse_depth_2: 1 / d^2, 1 / m^2.
    :param focal: sqrt(fx fy) in px. :returns: du dv, px^2.
    """
    return focal ** 2 * (size_3d * inverse_depth_2)


class SemanticToDepth(nn.Module):
    """
    Clue of depth from sizes: one channel, in proportion to the depth that they speak for.

    :param common, semantic: channels of these features.
    :param norm: batch: as published; group: without any norm, since over the one or two channels
        of a picture it would take away the sizes that they measure, and softplus in place of the
        last ReLUs, which could be 0 everywhere and learn no more.
    """

    channels = 1

    def __init__(self, common: int, semantic: int, norm: LayerNorm = 'group') -> None:
        super().__init__()
        self.size_3d = _two_blocks(common, (2, 1), norm)
        self.inverse_size_2d = _two_blocks(semantic, (2, 1), norm)

    def forward(self, common: Tensor, semantic: Tensor, focal: Tensor | None = None) -> Tensor:
        """
        Clue for the depth branch.

        :param common: (B, C, h, w) common representation.
        :param semantic: (B, S, h, w) semantic feature.
        :param focal: (B,) focal length relative to one of reference; None: 1, for canonical
            meters.
        :returns: (B, 1, h, w), >= 0.
        """
        clue = depth_of_size(self.size_3d(common), self.inverse_size_2d(semantic))
        return clue if focal is None else focal[:, None, None, None] * clue


class DepthToSemantic(nn.Module):
    """
    Clue of classes from sizes in the picture.

    :param common, depth: channels of these features.
    :param channels: of the clue; the paper has 32.
    """

    def __init__(self, common: int, depth: int, channels: int = 32,
                 norm: LayerNorm = 'group') -> None:
        super().__init__()
        self.channels = channels
        self.size_3d = _two_blocks(common, (2 * channels, channels), norm)
        self.inverse_depth_2 = _two_blocks(depth, (2 * channels, channels), norm)
        self.clue = conv_block(channels, channels, kernel=1, norm=norm)

    def forward(self, common: Tensor, depth: Tensor, focal: Tensor | None = None) -> Tensor:
        """
        Clue for the semantic branch.

        :param common: (B, C, h, w) common representation. :param depth: (B, D, h, w) its feature.
        :param focal: as of SemanticToDepth.
        :returns: (B, channels, h, w), >= 0.
        """
        return self.clue(size_at_depth(
            self.size_3d(common), self.inverse_depth_2(depth),
            1.0 if focal is None else focal[:, None, None, None]))


def _two_blocks(channels_in: int, widths: tuple[int, int], norm: LayerNorm) -> nn.Sequential:
    first, second = widths
    if norm == 'group' and second % GROUPS:
        return nn.Sequential(nn.Conv2d(channels_in, first, 3, padding=1), nn.ReLU(inplace=True),
                             nn.Conv2d(first, second, 3, padding=1), nn.Softplus())
    return nn.Sequential(conv_block(channels_in, first, norm=norm),
                         conv_block(first, second, norm=norm))
