# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The model in torch: a network and the panoptic assembly, as one module that can be exported.

A model is one file plus one line in NETWORKS.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..config import parse_settings
from ..errors import ConfigError
from .accurate import AccurateNetwork
from .assembly import AssemblySettings, assemble
from .base import NetworkSettings, PanopticNetwork
from .fast import FastNetwork
from .published_panoptic_depth import PublishedNetwork

NETWORKS: dict[str, type[PanopticNetwork]] = {
    'fast': FastNetwork,
    'accurate': AccurateNetwork,
    'published': PublishedNetwork,
}
"""Name -> class; each takes its settings and the file of its backbone's weights."""


class PanopticDepthModel(nn.Module):
    """
    The graph: inputs and outputs as in contract.py.

    :param network: what gives kernels and embeddings.
    """

    def __init__(self, network: PanopticNetwork, assembly: AssemblySettings | None = None) -> None:
        super().__init__()
        self.network = network
        self.assembly = assembly or network.assembly

    def forward(self, image: Tensor, intrinsics: Tensor,
                thresholds: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run network and assembly: (segment_index, depth, segments)."""
        return assemble(self.network(image, intrinsics), thresholds, self.assembly)


def create_network(name: str, settings: dict[str, Any] | None = None,
                   backbone_weights: Path | str | None = None) -> PanopticNetwork:
    """
    Build a network by its name in NETWORKS.

    :raises ConfigError: for an unknown name or setting.
    """
    values = settings_of(name, settings or {})
    return NETWORKS[name](values, backbone_weights)


def settings_of(name: str, settings: dict[str, Any]) -> NetworkSettings:
    """
    Settings of a network by its name in NETWORKS.

    :raises ConfigError: for an unknown name or setting.
    """
    if name not in NETWORKS:
        raise ConfigError(f'network: unknown name {name!r}; known: {", ".join(NETWORKS)}')
    return parse_settings(NETWORKS[name].settings_type, settings, f'network {name}')


def assembly_of(network: PanopticNetwork, changes: dict[str, Any],
                source: str) -> AssemblySettings:
    """
    Rules of the panoptic assembly of a network, with changes.

    :raises ConfigError: for an unknown or wrong one, naming the source.
    """
    return parse_settings(AssemblySettings, {**network.assembly.model_dump(), **changes}, source)
