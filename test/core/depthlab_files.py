# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files of random weights in the formats of Panoptic-DeepLab and -DepthLab."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from panoptic_depth_core.network import create_model
from panoptic_depth_core.network.depthlab.checkpoint import published_names
from panoptic_depth_core.network.depthlab.network import PUBLISHED_SETTINGS


def random_depthlab(seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights of Panoptic-DepthLab by their published names, whose maps vary."""
    torch.manual_seed(seed)
    network = create_model('depthlab', PUBLISHED_SETTINGS)
    for head, size in ((network.semantic_head, 3.0), (network.depth_head, 5.0),
                       (network.center_head, 1.0), (network.offset_head, 1.0)):
        torch.nn.init.normal_(head[-1].weight, std=size / head[-1].in_channels ** 0.5)
    network.depth_head[-1].bias.data.fill_(20.0)
    ours = network.state_dict()
    return {name: ours[to] for name, to in published_names().items()}


def write_depthlab(path: Path) -> dict[str, torch.Tensor]:
    """What training of Panoptic-DepthLab writes."""
    weights = random_depthlab()
    counters = {f'{name.removesuffix("running_var")}num_batches_tracked': torch.tensor(0)
                for name in weights if name.endswith('running_var')}
    torch.save({'model': weights | counters, 'optimizer': {}, 'scheduler': {}, 'iteration': 9999},
               path)
    return weights


def write_deeplab(path: Path) -> dict[str, torch.Tensor]:
    """model_final_bd324a.pkl: a plain pickle of arrays, without depth."""
    weights = {name: value for name, value in random_depthlab().items()
               if not name.startswith('depth_head.')}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps({
        'model': {name: value.numpy() for name, value in weights.items()},
        '__author__': 'test', 'matching_heuristics': True}, protocol=2))
    return weights
