# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The published pipeline beside ours, on one machine in one run.

Weights that are random find no objects, so the two post-processings get a made-up scene
(scenes.py) with a known number of things, and the published network runs beside it for its time.
PyTorch is as it comes, TF32 convolutions included: the comparison is not to flatter ours.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch
from torch import Tensor

from ...contract import NO_SEGMENT
from ...network.dynamic_kernels.assembly import assemble
from ...network.panoptic_depth.network import PUBLISHED_ASSEMBLY, STUFF_AREA_PX
from ...network.torch_backend import prepared
from .limits import milliseconds
from .models import random_published
from .published_loops import FIRST_THING, published_result
from .scenes import street_output

_LIMITS = {'score': 0.2, 'overlap': 0.5, 'void': 0.0}


def compare_pipelines(height: int, width: int, things: int, device: str,
                      repeats: int) -> dict[str, Any]:
    """
    Time the published network and both post-processings, with maps of the size of the image.

    :returns: milliseconds network_ms, published_ms (its post-processing, eager loops), ours_ms
        (eager) and ours_graph_ms (CUDA graph, on a GPU only); share equal_ids; number things.
    """
    area = min(STUFF_AREA_PX, height * width // 100)
    rules = PUBLISHED_ASSEMBLY.model_copy(update={'output_stride': 1})
    with torch.inference_mode():
        output = street_output(height, width, things, device=device)
        limits = torch.tensor([_LIMITS['score'], _LIMITS['overlap'], area / (height * width),
                               _LIMITS['void']], device=device)

        def ours(thresholds: Tensor) -> Any:
            return assemble(output, thresholds, rules)

        def published() -> Any:
            return published_result(output, stuff_area=area)

        ids = as_published(ours(limits)[0][0], rules.max_things)
        theirs = published()[0]
        found = {'things': int((theirs.unique() >= FIRST_THING).sum()),
                 'equal_ids': float((ids == theirs).float().mean()),
                 'published_ms': _median(published, device, repeats),
                 'ours_ms': _median(lambda: ours(limits), device, repeats)}
        if torch.device(device).type == 'cuda':
            found['ours_graph_ms'] = _median(
                prepared(ours, 'cuda_graph', [limits]), device, repeats)
        network = random_published('operator').deployed().to(device)
        image = torch.zeros(1, height, width, 3, dtype=torch.uint8)
        camera = torch.tensor([[2265.3, 2265.3, width / 2, height / 2]])
        found['network_ms'] = _median(
            lambda: network(image.to(device), camera.to(device)), device, repeats)
    return found


def as_published(index: Tensor, max_things: int) -> Tensor:
    """Rows of our segment table as published ids, 0 where there is no segment."""
    row = index.long()
    ids = torch.where(row < max_things, FIRST_THING + row, row - max_things + 1)
    return torch.where(row == NO_SEGMENT, 0, ids)


def _median(function: Any, device: str, repeats: int) -> float:
    return statistics.median(milliseconds(function, device, repeats))
