# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Panoptic assembly inside the graph: kernels and embeddings in, segments and depth out.

Every shape is fixed and nothing waits for the host, so that one graph serves PyTorch, ONNX
Runtime and TensorRT, and can be captured as a CUDA graph: what is not there is a row marked
invalid, and greedy rules run as matrix steps of a fixed number.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ...contract import NO_SEGMENT, THRESHOLDS
from .assembly_settings import EMBEDDING_STRIDE
from .assembly_settings import AssemblySettings as AssemblySettings
from .kernels import (
    KernelOutput,
    class_kernels,
    class_logits,
    log_depth_scale,
    metric_depth,
)
from .regions import (
    kernels_of_won_cells,
    large_enough,
    large_enough_stuff,
    resolve_pixels,
)
from .things import Things, find_peaks, merge_duplicates, select_things, take_rows


def assemble(output: KernelOutput, thresholds: Tensor,
             settings: AssemblySettings) -> tuple[Tensor, Tensor, Tensor]:
    """
    Assemble the panoptic result; the outputs of contract.py.

    :param thresholds: (T,) float32 in the order of contract.THRESHOLDS.
    :returns: segment_index (B, H/s, W/s) uint8, depth (B, H/s, W/s) float32 metres,
        segments (B, R, C) float32; rows are ``max_things`` things, or as many as there are
        candidates, then the classes' regions.
    """
    limit = dict(zip(THRESHOLDS, thresholds, strict=True))
    located = output.kernels[0].shape[1] > output.mask_embedding.shape[1]
    things = merge_duplicates(find_peaks(output, settings), settings, located=located)
    things, masks = select_things(things, output.mask_embedding, limit, settings)
    is_thing = output.is_thing()
    size = [side * EMBEDDING_STRIDE // settings.output_stride for side in masks.shape[-2:]]
    if settings.regions == 'pooled':
        region_kernels, region_depth_kernels = class_kernels(output)
        regions = class_logits(region_kernels, output.mask_embedding).softmax(dim=1)
        regions = regions * large_enough(regions, masks, is_thing, limit['stuff_area'])
        masks, regions = _resize(masks, size), _resize(regions, size)
    else:
        region_kernels, region_depth_kernels, present = kernels_of_won_cells(output)
        regions = class_logits(region_kernels, output.mask_embedding).sigmoid()
        masks, regions = _resize(masks, size), _resize(regions * present[..., None, None], size)
        regions = regions * large_enough_stuff(regions, masks, is_thing, limit['stuff_area'])

    index, confidence = resolve_pixels(masks, regions, is_thing)
    owned = (confidence >= limit['void']) & (confidence > 0)
    rows = masks.shape[1] + regions.shape[1]
    owner = torch.where(owned, index, rows)
    depth_kernels = torch.cat([things.depth_kernels, region_depth_kernels], dim=1)
    depth = _depth(owner, depth_kernels, output, settings)

    table = _table(owner, confidence, things,
                   log_depth_scale(depth_kernels, output.depth_form), rows)
    segment_index = torch.where(owned, index, NO_SEGMENT).to(torch.uint8)
    return segment_index, depth, table


def _depth(owner: Tensor, depth_kernels: Tensor, output: KernelOutput,
           settings: AssemblySettings) -> Tensor:
    """
    (B, h, w) metres by the kernel of each pixel's owner, NaN where there is none.

    :param owner: (B, h, w) int64 row of ``depth_kernels`` (B, R, S + D), R where void.
    """
    if output.depth_embedding is None:
        return torch.full_like(owner, torch.nan, dtype=torch.float32)
    fallback = output.fallback_depth_kernel
    last = torch.zeros_like(depth_kernels[:, :1]) if fallback is None else fallback[:, None]
    kernels = torch.cat([depth_kernels, last.float()], dim=1)
    embedding = _resize(output.depth_embedding, list(owner.shape[1:]))
    depth = metric_depth(take_rows(kernels, owner.flatten(1)),
                         embedding.flatten(2).transpose(1, 2), output.metric, output.depth_form)
    if settings.max_depth_m is not None:
        depth = torch.minimum(depth, settings.max_depth_m * output.metric[:, None])
    depth = depth.unflatten(1, owner.shape[1:])
    return depth if fallback is not None else torch.where(
        owner < depth_kernels.shape[1], depth, torch.nan)


def _table(owner: Tensor, confidence: Tensor, things: Things, scale: Tensor,
           rows: int) -> Tensor:
    """(B, R, C) table of contract.SEGMENT_COLUMNS; owner (B, h, w) with ``rows`` for void."""
    batch, pixels = owner.shape[0], owner.shape[1] * owner.shape[2]
    owns = (owner.flatten(1)[:, None] == torch.arange(rows, device=owner.device)[:, None]).float()
    count = owns.sum(2)
    mean = (owns @ confidence.flatten(1)[..., None])[..., 0] / count.clamp(min=1.0)
    number = things.score.shape[1]
    classes = torch.arange(rows - number, device=owner.device).expand(batch, -1)
    is_thing = (torch.arange(rows, device=owner.device) < number).float().expand(batch, -1)
    return torch.stack([
        (count > 0).float(),
        torch.cat([things.class_id, classes], 1).float(),
        is_thing,
        torch.cat([things.score, mean[:, number:]], 1),
        scale,
        count / pixels], dim=2)


def _resize(maps: Tensor, size: list[int]) -> Tensor:
    return interpolate(maps.float(), size=size, mode='bilinear', align_corners=False)
