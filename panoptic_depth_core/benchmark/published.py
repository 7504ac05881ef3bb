# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The published pipeline beside ours: its network, and its eager loop over instances.

The loop follows the description of PanopticDepth (Gao et al., CVPR 2022): mask by mask at the
size of the image, with the host asking the device for each decision. What is no loop over
instances is our own code, so the comparison does not flatter us; for the same reason PyTorch is
as it comes, TF32 convolutions included.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils._pytree import tree_map_only

from ..contract import NO_SEGMENT
from ..labels import CITYSCAPES, CLASS_ID, THING_CLASSES
from ..network import create_model
from ..network.base import Model
from ..network.dynamic_kernels.assembly import (
    EMBEDDING_STRIDE,
    assemble,
    find_peaks,
    kernels_of_won_cells,
    merge_duplicates,
)
from ..network.dynamic_kernels.kernels import KernelOutput, class_logits, mask_logits, metric_depth
from ..network.panoptic_depth.network import PUBLISHED_ASSEMBLY, STUFF_AREA_PX
from ..network.torch_backend import prepared

RULES = PUBLISHED_ASSEMBLY.model_copy(update={'output_stride': 1})
FIRST_THING = 21
_LEAST_MASK_SCORE, _MOST_MASKS = 0.05, 200
_SCORE, _OVERLAP = 0.2, 0.5

_CHANNELS, _DEPTH_CHANNELS = 256, 16
_STRIDES = (8, 16, 32, 64, 128)
_SURE = 6.0
_STUFF = ('sky', 'building', 'vegetation', 'sidewalk', 'road')


def compare_published(height: int, width: int, things: int, device: str,
                      repeats: int) -> dict[str, Any]:
    """
    Time the published network and both post-processings, with maps of the size of the image.

    Random weights find no objects, so the post-processings get a made-up scene.

    :returns: milliseconds network_ms, published_ms (its post-processing), ours_ms (eager) and
        ours_graph_ms (CUDA graph, on a GPU only); share equal_ids; number things.
    """
    area = min(STUFF_AREA_PX, height * width // 100)

    def median(function: Callable[[], Any]) -> float:
        return statistics.median(milliseconds(function, device, repeats))

    with torch.inference_mode():
        output = street_output(height, width, things, device=device)
        limits = torch.tensor([_SCORE, _OVERLAP, area / (height * width), 0.0], device=device)

        def ours(thresholds: Tensor) -> Any:
            return assemble(output, thresholds, RULES)

        ids, theirs = as_published(ours(limits)[0][0]), published_result(output, area)[0]
        network = random_published().deployed().to(device)
        image = torch.zeros(1, height, width, 3, dtype=torch.uint8)
        camera = torch.tensor([[2265.3, 2265.3, width / 2, height / 2]])
        found = {'things': int((theirs.unique() >= FIRST_THING).sum()),
                 'equal_ids': float((ids == theirs).float().mean()),
                 'network_ms': median(lambda: network(image.to(device), camera.to(device))),
                 'published_ms': median(lambda: published_result(output, area)),
                 'ours_ms': median(lambda: ours(limits))}
        if torch.device(device).type == 'cuda':
            found['ours_graph_ms'] = median(prepared(ours, 'cuda_graph', [limits]))
    return found


def milliseconds(function: Callable[[], Any], device: str, repeats: int) -> list[float]:
    """Time of each run, from an idle device to an idle device; one more run before."""
    def wait() -> None:
        if torch.device(device).type == 'cuda':
            torch.cuda.synchronize(device)

    found = []
    for _ in range(repeats + 1):
        wait()
        start = time.perf_counter()
        function()
        wait()
        found.append(1e3 * (time.perf_counter() - start))
    return found[1:]


def random_published() -> Model:
    """Return the published network with random weights that float16 can hold."""
    torch.manual_seed(0)
    network = create_model('published')
    with torch.no_grad():
        for name, value in network.named_buffers():
            # These norms measured nothing, so each block would double the variance.
            if name.endswith('bn3.weight'):
                value.fill_(0.2)
    return network.eval()


def as_published(index: Tensor) -> Tensor:
    """Rows of our segment table as published ids, 0 where there is no segment."""
    row = index.long()
    ids = torch.where(row < RULES.max_things, FIRST_THING + row, row - RULES.max_things + 1)
    return torch.where(row == NO_SEGMENT, 0, ids)


def published_result(output: KernelOutput, stuff_area: int) -> tuple[Tensor, Tensor]:
    """
    Panoptic ids and depth at the size of the image, by the published loop.

    :param output: of the published network, one image, with depth.
    :param stuff_area: least px of stuff.
    :returns: ids (H, W) int64, FIRST_THING and up for things, best first, class + 1 for stuff;
        depth (H, W) float32 meters; 0 where there is neither.
    """
    size = [side * EMBEDDING_STRIDE for side in output.mask_embedding.shape[-2:]]
    things = merge_duplicates(find_peaks(output, RULES), RULES, located=False)
    masks = mask_logits(things.kernels, output.mask_embedding)[0].sigmoid()
    inside = masks > 0.5
    score = things.score[0] * (masks * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
    order = score.argsort(descending=True)
    kept: list[tuple[int, Tensor, Tensor]] = []
    covered = torch.zeros(size, dtype=torch.bool, device=masks.device)
    for row in order[score[order] >= _LEAST_MASK_SCORE][:_MOST_MASKS].tolist():
        if float(score[row]) < _SCORE:
            continue
        mask = _resized(masks[row:row + 1], size)[0]
        inside = mask > 0.5
        area = int(inside.sum())
        if area == 0 or int((inside & covered).sum()) > _OVERLAP * area:
            continue
        covered |= inside
        kept.append((FIRST_THING + len(kept), mask, things.depth_kernels[0, row]))
    kernels, depth_kernels, present = (part[0] for part in kernels_of_won_cells(output))
    classes = present.nonzero()[:, 0].tolist()
    if classes:
        regions = _resized(class_logits(kernels[None, classes],
                                        output.mask_embedding)[0].sigmoid(), size)
        best = regions.argmax(0)
        for row, class_id in enumerate(classes):
            area = int(((best == row) & ~covered).sum())
            if class_id not in output.thing_classes and area >= stuff_area:
                kept.append((class_id + 1, regions[row], depth_kernels[class_id]))
    # Each pixel goes to the segment that is surest of it.
    ids = torch.zeros(size, dtype=torch.int64, device=masks.device)
    depth = torch.zeros(size, device=masks.device)
    if kept:
        owner = torch.stack([mask for _, mask, _ in kept]).argmax(0)
        assert output.depth_embedding is not None and RULES.max_depth_m is not None
        embedding = _resized(output.depth_embedding[0].float(), size).flatten(1).t()[None]
        most_m = RULES.max_depth_m * float(output.metric)
        for row, (panoptic_id, _, kernel) in enumerate(kept):
            meters = metric_depth(kernel[None, None], embedding, output.metric, output.depth_form)
            ids[owner == row] = panoptic_id
            depth[owner == row] = meters.view(size).clamp(max=most_m)[owner == row]
    return ids, depth


def _resized(maps: Tensor, size: list[int]) -> Tensor:
    """(N, h, w) -> (N, H, W)."""
    return interpolate(maps[None], size=size, mode='bilinear', align_corners=False)[0]


def street_output(height: int, width: int, things: int, seed: int = 0,
                  device: str = 'cpu') -> KernelOutput:
    """
    Output of the published network in which its assembly finds a known scene.

    Things are boxes in a grid, each with a channel of the mask embedding of its own; regions are
    bands, with the last channels. So masks are exact and do not overlap.

    :param things: at most 200. :param seed: of their classes and depths.
    """
    draw = torch.Generator().manual_seed(seed)
    side = (height // EMBEDDING_STRIDE, width // EMBEDDING_STRIDE)
    cells = [(-(-height // stride), -(-width // stride)) for stride in _STRIDES]
    embedding = -torch.ones(1, _CHANNELS, *side)
    centers = [torch.full((1, len(THING_CLASSES), *size), -_SURE) for size in cells]
    regions = [torch.full((1, len(CITYSCAPES), *size), -_SURE) for size in cells]
    kernels = [torch.zeros(1, _CHANNELS, *size) for size in cells]
    depths = [0.5 * torch.randn(1, 2 + _DEPTH_CHANNELS, *size, generator=draw) for size in cells]
    for band, name in enumerate(_STUFF):
        channel = _CHANNELS - 1 - band
        embedding[0, channel, _span(side[0], band, len(_STUFF))] = 1.0
        for region, kernel in zip(regions, kernels, strict=True):
            rows = _span(region.shape[-2], band, len(_STUFF))
            region[0, CLASS_ID[name], rows] = 0.5 * _SURE
            kernel[0, channel, rows] = 0.5 * _SURE
    columns = max(1, round((things * width / height) ** 0.5))
    for thing in range(things):
        line, column = divmod(thing, columns)
        rows, across = (_span(side[0], line, -(-things // columns), 0.2),
                        _span(side[1], column, columns, 0.2))
        embedding[0, thing, rows, across] = 1.0
        v, u = ((s.start + s.stop) // 2 * EMBEDDING_STRIDE // _STRIDES[0] for s in (rows, across))
        kind = int(torch.randint(len(THING_CLASSES), (1,), generator=draw))
        # The smoothed map has its peak there, and no two scores are equal.
        centers[0][0, kind, v, u] = _SURE + 2.0 * thing / max(things, 1)
        kernels[0][0, :, v, u] = 0.0
        kernels[0][0, thing, v, u] = _SURE
    identity = (torch.eye(_CHANNELS), torch.zeros(_CHANNELS))
    output = KernelOutput(
        centers, regions, kernels, depths, embedding,
        torch.randn(1, _DEPTH_CHANNELS, *side, generator=draw), torch.ones(1),
        thing_projection=identity, region_projection=identity, depth_form='linear')
    moved: KernelOutput = tree_map_only(Tensor, lambda value: value.to(device), output)
    return moved


def _span(length: int, index: int, parts: int, margin: float = 0.0) -> slice:
    """One of equal parts of a length, less a margin at both of its ends."""
    start, stop = (index + margin) * length / parts, (index + 1 - margin) * length / parts
    return slice(round(start), max(round(stop), round(start) + 1))
