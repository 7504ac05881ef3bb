# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The weights that the golden vectors of the published network were made with."""

from __future__ import annotations

import numpy as np
import torch
from golden import golden_weight
from panoptic_depth_core.network.panoptic_depth.checkpoint import published_names
from panoptic_depth_core.network.panoptic_depth.network import PublishedNetwork
from panoptic_depth_core.network.published_names import published_shape


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Name in a published checkpoint -> shape there."""
    ours = PublishedNetwork().state_dict()
    return {name: published_shape(ours[to]) for name, to in published_names().items()}


def golden_weights(seed: int) -> dict[str, torch.Tensor]:
    """Deterministic weights by their published names."""
    return {name: torch.from_numpy(_weight(name, shape, seed).astype(np.float32))
            for name, shape in published_shapes().items()}


def _weight(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    if name.endswith(('out_inst.bias', 'out_sem.bias')):
        return np.full(shape, -2.19)
    value = golden_weight(name, shape, seed)
    return value * 0.5 if 'offset_mask_conv' in name and len(shape) > 1 else value
