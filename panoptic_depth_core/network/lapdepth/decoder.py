# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
LapDepth's decoder: a Laplacian pyramid of depth, guided by that of the picture.

From stride 16 to 1, each level adds a residual to what is known of depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from .blocks import Block, DecoderNorm, DenseContext, doubled, fold

PUBLISHED_WIDTH = 512

_RGB = 3
_RGB_SHARE = 0.1
_START = 0.1
"""Deviation of a residual before training. Published: not known; tanh saturates beyond 2."""


def picture_residuals(image: Tensor, levels: int) -> list[Tensor]:
    """
    Laplacian pyramid of a picture, without its coarsest level.

    :param image: (B, 3, H, W) normalized; sides are multiples of 2^levels.
    :returns: (B, 3, H, W) and so on, each half the size of the one before.
    """
    residuals = []
    for _ in range(levels):
        coarser = avg_pool2d(image, 2)
        residuals.append(image - doubled(coarser))
        image = coarser
    return residuals


class Level(nn.Module):
    """
    A finer level of the decoder.

    :param channels: from the level before, of the backbone's features (0: none), and of this one.
    :param refine: channels of the convolutions from the features to the residual.
    :param sees: whether the residuals of depth and picture are among the channels.
    """

    def __init__(self, channels: tuple[int, int, int], refine: Sequence[int], norm: DecoderNorm,
                 sees: bool) -> None:
        super().__init__()
        before, of_backbone, own = channels
        kept = own - (1 + _RGB) * sees
        self.up = Block(before, own if of_backbone else kept, norm, doubles=True)
        self.skip = Block(own + of_backbone, kept, norm, kernel=1) if of_backbone else None
        self.fuse = Block(own, own, norm)
        self.refine = block_chain(own, refine, norm)

    def forward(self, x: Tensor, features: Tensor | None, seen: Sequence[Tensor]) -> Tensor:
        """
        Features at twice the resolution.

        :param x: of the level before. :param features: of the backbone.
        :param seen: residuals of depth (B, 1, ...) and picture (B, 3, ...), or nothing.
        """
        x = self.up(x)
        if self.skip is not None:
            assert features is not None
            x = self.skip(torch.cat([x, features], dim=1))
        result: Tensor = self.fuse(torch.cat([x, *seen], dim=1))
        return result


def block_chain(channels_in: int, channels: Sequence[int], norm: DecoderNorm) -> nn.Sequential:
    """3x3 blocks, one after the other."""
    return nn.Sequential(*(Block(before, after, norm) for before, after in zip(
        [channels_in, *channels], channels, strict=False)))


class LaplacianDecoder(nn.Module):
    """
    Features and picture in, residuals of the depth pyramid out.

    :param channels: of the features at strides 2, 4, 8 and 16.
    :param width: of the context; other layers are in proportion. A multiple of 64.
    :param rays: channels of viewing rays that the coarsest features have in addition.
    :param laplacian: false: the same layers, but one prediction at the finest level, of features
        alone.
    """

    def __init__(self, channels: Sequence[int], width: int, norm: DecoderNorm,
                 laplacian: bool = True, rays: int = 0) -> None:
        super().__init__()
        self.laplacian = laplacian

        def own(published: int) -> int:
            return published * width // PUBLISHED_WIDTH

        self.context = DenseContext(channels[-1] + rays, width, norm)
        coarsest = [own(256), own(128), own(64), own(32), 1]
        self.coarsest = block_chain(width, coarsest if laplacian else [], norm)
        # Finer and finer: channels, and those on the way to the residual.
        sizes = [(own(256), [own(128), own(64)]), (own(128), [own(64)]), (own(64), []),
                 (own(64), [own(32)])]
        self.levels: Any = nn.ModuleList()  # Of Level.
        before = width
        for index, (size, steps) in enumerate(sizes):
            of_backbone = channels[2 - index] if index < 3 else 0
            predicts = laplacian or index == len(sizes) - 1
            self.levels.append(Level((before, of_backbone, size), [*steps, 1] if predicts else [],
                                     norm, sees=laplacian))
            before = size
        chains: list[Any] = [self.coarsest, *(level.refine for level in self.levels)]
        for chain in chains:
            if len(chain):
                chain[-1].start_small(_START)

    def forward(self, features: Sequence[Tensor], image: Tensor, bounds_coarsest: bool,
                ) -> list[Tensor]:
        """
        Residuals from coarse to fine; without the pyramid only the finest, which is all of depth.

        :param features: at strides 2, 4, 8 and 16. :param image: (B, 3, H, W) normalized.
        :param bounds_coarsest: pass the coarsest one through a sigmoid.
        :returns: (B, 1, H/16, W/16) to (B, 1, H, W).
        """
        x = self.context(features[-1])
        skips = [*reversed(features[:-1]), None]
        if not self.laplacian:
            for level, skip in zip(self.levels, skips, strict=True):
                x = level(x, skip, ())
            return [level.refine(x).float()]
        # In float32: bfloat16 rounds a sum by up to 1 % of the depth.
        coarsest = self.coarsest(x).float()
        residuals = [coarsest.sigmoid() if bounds_coarsest else coarsest]
        of_picture = reversed(picture_residuals(image, len(self.levels)))
        for level, skip, rgb in zip(self.levels, skips, of_picture, strict=True):
            x = level(x, skip, (doubled(residuals[-1]), rgb))
            residual = level.refine(x).float() + _RGB_SHARE * rgb.mean(dim=1, keepdim=True)
            residuals.append(residual.tanh())
        return residuals

    def fold(self) -> None:
        """Leave what deployment needs; see blocks.fold."""
        finest = self.levels[-1]
        # Features of the other levels, and of the context, have two readers.
        chains: list[Iterable[nn.Module]] = [
            self.coarsest, *self.context.branches, *(level.refine for level in self.levels),
            [finest.fuse, *finest.refine]]
        fold(self, chains)
