# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The torch model of a model directory: rebuilt, with the weights of its ONNX graph."""

from __future__ import annotations

import onnx
import torch
from onnx import numpy_helper

from ..config import parse_settings
from ..errors import ConfigError
from ..model_directory import ModelDirectory
from . import PanopticDepthModel, create_network
from .assembly import AssemblySettings


def load_network(model: ModelDirectory) -> PanopticDepthModel:
    """
    Rebuild the exported module; the graph's initialisers carry the names of its parameters.

    There is one copy of the weights in a model directory, so PyTorch and the other runtimes can
    not disagree about them.

    :raises ConfigError: when the graph lacks a weight of the network that model.json names.
    """
    info = model.info
    network = create_network(info.network, info.network_settings)
    assembly = parse_settings(AssemblySettings, info.assembly_settings, f'{model.path}: assembly')
    rebuilt = PanopticDepthModel(network, assembly).eval()
    graph = onnx.load(str(model.onnx_path)).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    missing = [name for name in rebuilt.state_dict() if name not in stored]
    if missing:
        raise ConfigError(
            f'{model.onnx_path}: the graph has no weights named {", ".join(missing[:3])} '
            f'({len(missing)} missing) for network {info.network!r}; export the model again')
    rebuilt.load_state_dict({
        name: torch.from_numpy(numpy_helper.to_array(stored[name]).copy()).float()
        for name in rebuilt.state_dict()}, strict=True)
    return rebuilt
