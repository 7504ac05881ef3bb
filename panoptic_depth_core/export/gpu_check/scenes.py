# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What a network would return for a street with a number of things, made up."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...labels import CITYSCAPES, CLASS_ID, THING_CLASSES
from ...network.dynamic_kernels.assembly import EMBEDDING_STRIDE
from ...network.dynamic_kernels.kernels import KernelOutput

_CHANNELS, _DEPTH_CHANNELS = 256, 16
_STRIDES = (8, 16, 32, 64, 128)
_SURE = 6.0
"""Logit of what is to be found, and minus that of what is not."""

_STUFF = ('sky', 'building', 'vegetation', 'sidewalk', 'road')
"""In bands, from the top to the bottom."""


def street_output(height: int, width: int, things: int, seed: int = 0,
                  device: str = 'cpu') -> KernelOutput:
    """
    Output of the published network in which its assembly finds a known scene.

    Things are boxes in a grid, each with a channel of the mask embedding of its own; regions are
    bands, with the last channels. So masks are exact and do not overlap.

    :param things: at most 200.
    :param seed: of their classes and depths.
    """
    draw = torch.Generator().manual_seed(seed)
    side = (height // EMBEDDING_STRIDE, width // EMBEDDING_STRIDE)
    embedding = -torch.ones(1, _CHANNELS, *side)
    centers = [torch.full((1, len(THING_CLASSES), *_cells(height, width, stride)), -_SURE)
               for stride in _STRIDES]
    regions = [torch.full((1, len(CITYSCAPES), *_cells(height, width, stride)), -_SURE)
               for stride in _STRIDES]
    kernels = [torch.zeros(1, _CHANNELS, *_cells(height, width, stride)) for stride in _STRIDES]
    depths = [0.5 * torch.randn(1, 2 + _DEPTH_CHANNELS, *_cells(height, width, stride),
                                generator=draw) for stride in _STRIDES]
    for band, name in enumerate(_STUFF):
        channel = _CHANNELS - 1 - band
        embedding[0, channel, _span(side[0], band, len(_STUFF))] = 1.0
        for region, kernel in zip(regions, kernels, strict=True):
            rows = _span(region.shape[-2], band, len(_STUFF))
            region[0, CLASS_ID[name], rows] = 0.5 * _SURE
            kernel[0, channel, rows] = 0.5 * _SURE
    columns = max(1, round((things * width / height) ** 0.5))
    lines = -(-things // columns)
    for thing in range(things):
        line, column = divmod(thing, columns)
        rows, across = _span(side[0], line, lines, 0.2), _span(side[1], column, columns, 0.2)
        embedding[0, thing, rows, across] = 1.0
        factor = _STRIDES[0] // EMBEDDING_STRIDE
        v, u = ((s.start + s.stop) // 2 // factor for s in (rows, across))
        kind = int(torch.randint(len(THING_CLASSES), (1,), generator=draw))
        # The smoothed map has its peak there, and no two scores are equal.
        centers[0][0, kind, v, u] = _SURE + 2.0 * thing / max(things, 1)
        kernels[0][0, :, v, u] = 0.0
        kernels[0][0, thing, v, u] = _SURE
    depth_embedding = torch.randn(1, _DEPTH_CHANNELS, *side, generator=draw)
    identity = (torch.eye(_CHANNELS), torch.zeros(_CHANNELS))
    output = KernelOutput(
        centers, regions, kernels, depths, embedding, depth_embedding, torch.ones(1),
        thing_projection=identity, region_projection=identity, depth_form='linear')
    moved: list[Any] = [_moved(value, device) for value in output]
    return KernelOutput(*moved)


def _cells(height: int, width: int, stride: int) -> tuple[int, int]:
    return -(-height // stride), -(-width // stride)


def _span(length: int, index: int, parts: int, margin: float = 0.0) -> slice:
    """One of equal parts of a length, less a margin at both of its ends."""
    start, stop = (index + margin) * length / parts, (index + 1 - margin) * length / parts
    return slice(round(start), max(round(stop), round(start) + 1))


def _moved(value: object, device: str) -> object:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, (list, tuple)):
        return type(value)(_moved(item, device) for item in value)
    return value
