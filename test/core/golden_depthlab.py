# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The weights that the golden vectors of Panoptic-DepthLab were made with."""

from __future__ import annotations

import functools

import numpy as np
import torch
from golden import golden_weight
from panoptic_depth_core.network import create_model
from panoptic_depth_core.network.depthlab.checkpoint import published_names
from panoptic_depth_core.network.depthlab.network import PUBLISHED_SETTINGS


@functools.cache
def depthlab_shapes() -> dict[str, tuple[int, ...]]:
    """Name in a published checkpoint -> shape there; without the counters of batch norm."""
    with torch.device('meta'):
        ours = create_model('depthlab', PUBLISHED_SETTINGS).state_dict()
    return {name: tuple(ours[to].shape) for name, to in published_names().items()}


def depthlab_weights(seed: int) -> dict[str, torch.Tensor]:
    """Deterministic weights by their published names."""
    return {name: torch.from_numpy(golden_weight(name, shape, seed).astype(np.float32))
            for name, shape in depthlab_shapes().items()}
