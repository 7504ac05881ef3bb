# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""State dicts of torchvision's classifiers, with random weights and norms that do something."""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision


def write_classifier(name: str, path: Path) -> torch.nn.Module:
    """
    Write the state dict of a classifier of torchvision.models.

    :returns: the classifier, in evaluation mode.
    """
    torch.manual_seed(0)
    network = getattr(torchvision.models, name)(weights=None)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            # Sums of many blocks stay of one size.
            torch.nn.init.uniform_(module.weight, 0.4, 0.8)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)
    return network.eval()
