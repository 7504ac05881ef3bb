# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The torch model of a model directory: rebuilt, with the weights of its ONNX graph."""

from __future__ import annotations

import onnx
import torch
from onnx import numpy_helper

from ..errors import ConfigError
from ..model_directory import ModelDirectory
from . import Graph, create_model


def load_graph(model: ModelDirectory) -> Graph:
    """
    Rebuild the exported module; the graph's initialisers carry the names of its parameters.

    There is one copy of the weights in a model directory, so PyTorch and the other runtimes can
    not disagree about them.

    :raises ConfigError: when model.json says else of the network than it is, or the graph lacks a
        weight of it.
    """
    info = model.info
    rebuilt = Graph(create_model(info.network, info.network_settings,
                                 rules=info.assembly_settings, source=str(model.path))).eval()
    # Compared as JSON, in which NaN is equal to itself.
    told, own = ({'tasks': sorted(of.tasks), 'extra_inputs': [
        extra.model_dump(mode='json') for extra in of.extra_inputs]}
        for of in (info, rebuilt.network))
    for name in told:
        if told[name] != own[name]:
            raise ConfigError(f'{model.path}: {name} is {told[name]}, but of network '
                              f'{info.network!r} it is {own[name]}; export the model again')
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
