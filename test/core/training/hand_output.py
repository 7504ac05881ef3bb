# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What the published network would give for a frame, by hand; and scenes with one thing."""

from __future__ import annotations

import numpy as np
import torch
from miniature import make_sample
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, LABEL_DIVISOR, THING_CLASSES
from panoptic_depth_core.network.dynamic_kernels.kernels import KernelOutput
from panoptic_depth_core.structures import Sample

CHANNELS, DEPTH_CHANNELS, LEVELS = 8, 16, 5
DEPTH_M = 22.0
"""Depth everywhere of depth kernels that are zero."""


def published_output(images: int, height: int, width: int, seed: int | None = None,
                     **changes: object) -> KernelOutput:
    """All maps are zero, or random where a seed is given."""
    generator = torch.Generator().manual_seed(seed or 0)

    def maps(channels: int, rows: int, columns: int) -> torch.Tensor:
        shape = (images, channels, rows, columns)
        return (torch.zeros(shape) if seed is None
                else torch.randn(shape, generator=generator)).requires_grad_()

    sizes = [(max(height // s, 1), max(width // s, 1)) for s in (8, 16, 32, 64, 128)[:LEVELS]]
    projection = (torch.eye(CHANNELS), torch.zeros(CHANNELS))
    output = KernelOutput(
        centers=[maps(len(THING_CLASSES), *size) for size in sizes],
        regions=[maps(len(CITYSCAPES), *size) for size in sizes],
        kernels=[maps(CHANNELS, *size) for size in sizes],
        depth_kernels=[maps(2 + DEPTH_CHANNELS, *size) for size in sizes],
        mask_embedding=maps(CHANNELS, height // 4, width // 4),
        depth_embedding=maps(DEPTH_CHANNELS, height // 4, width // 4),
        metric=torch.ones(images), thing_projection=projection, region_projection=projection,
        depth_form='linear')
    return output._replace(**changes)


def one_car(box: tuple[int, int, int, int] = (32, 16, 132, 96), height: int = 128,
            width: int = 256, **changes: object) -> Sample:
    """A car, u0, v0, u1, v1 in px, ends exclusive, at 44 m on a road at 22 m."""
    u0, v0, u1, v1 = box
    panoptic = np.full((height, width), CLASS_ID['road'] * LABEL_DIVISOR, np.int32)
    panoptic[v0:v1, u0:u1] = CLASS_ID['car'] * LABEL_DIVISOR + 1
    depth = np.where(panoptic > LABEL_DIVISOR, 2 * DEPTH_M, DEPTH_M).astype(np.float32)
    return make_sample(height, width, **{
        'panoptic': panoptic, 'depth': depth, 'instance_classes': THING_CLASSES, **changes})
