# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint to a model directory: network and assembly as one ONNX graph."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxscript
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxscript.optimizer import fold_constants, remove_unused_nodes

from ..config import Thresholds
from ..contract import INPUTS, OUTPUTS
from ..errors import ConfigError
from ..inference.backends import create_backend
from ..model_directory import ModelDirectory, SelfTest, save_model_directory
from ..network import PanopticDepthModel, assembly_of, create_network
from ..network.assembly import AssemblySettings
from ..network.base import PanopticNetwork
from ..network.description import ModelDescription, describe
from ..training.checkpoint import load_weights, read_checkpoint

_MOST_ROUNDING = 0.5


def export_checkpoint(checkpoint: Path | str, out_dir: Path | str,
                      description: ModelDescription) -> ModelDirectory:
    """
    Export the averaged weights of a training run, and test the result in ONNX Runtime.

    :param checkpoint: ``model.pt`` of a run.
    :raises ConfigError: for a wrong checkpoint, size or output directory.
    :raises BackendError: when ONNX Runtime does not reproduce PyTorch's outputs.
    """
    checkpoint = Path(checkpoint)
    recipe = read_checkpoint(checkpoint)['recipe']
    network = create_network(recipe['network'], recipe['network_settings'])
    load_weights(network, checkpoint)
    assembly = assembly_of(network, {
        **recipe['assembly'], 'output_stride': description.output_stride}, str(checkpoint))
    return export_network(network, recipe['network'], assembly, out_dir, description)


def export_network(network: PanopticNetwork, name: str, assembly: AssemblySettings,
                   out_dir: Path | str, description: ModelDescription) -> ModelDirectory:
    """
    Write a model directory for a network in memory; see export_checkpoint.

    :param name: of the network in network.NETWORKS.
    """
    height, width = description.height, description.width
    if height % 64 or width % 64:
        raise ConfigError(f'input size is {width}x{height}; give multiples of 64 px')
    network = network.deployed()
    if description.weight_type == 'float16':
        network = round_to_half(network)
    model = PanopticDepthModel(network, assembly).eval()
    example = example_inputs(description)
    with torch.inference_mode():
        expected = [value[0].numpy() for value in model(*example)]
    graph = to_onnx(model, example, network.onnx_opset, description.weight_type == 'float16')
    info = describe(network, name, assembly, description).model_copy(update={'producer': {
        'torch': torch.__version__, 'onnx': onnx.__version__,
        'onnxscript': onnxscript.__version__}})
    index, depth, segments = expected
    test = SelfTest(example[0][0].numpy(), example[1][0].numpy(), example[2].numpy(), index,
                    depth, segments, max_depth_error=_depth_rounding(model, example, expected))
    directory = save_model_directory(out_dir, info, graph.SerializeToString(), test)
    backend = create_backend('onnxruntime', directory)
    try:
        directory.self_test(backend)
    finally:
        backend.close()
    return directory


def round_to_half(network: PanopticNetwork) -> PanopticNetwork:
    """
    Round the weights to float16's values, in place; they stay float32.

    The graph stores them as float16: rounded first, every runtime computes with equal numbers.

    :raises ConfigError: when a weight is not finite or too large for float16.
    """
    with torch.no_grad():
        for name, value in network.named_parameters():
            value.copy_(value.half().float())
            if not torch.isfinite(value).all():
                raise ConfigError(f'weight {name!r} is not finite or exceeds 65504; '
                                  'the checkpoint is of a run that diverged')
    return network


def strip_traces(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Remove what the exporter notes of every node: stack traces, with the exporter's paths."""
    inner = graph.graph
    for item in (graph, inner, *graph.functions, *inner.node, *inner.input, *inner.output,
                 *inner.value_info, *inner.initializer):
        item.ClearField('metadata_props')
        item.ClearField('doc_string')
    return graph


def halve_weights(graph: onnx.ModelProto, model: torch.nn.Module) -> None:
    """Keep every parameter as a float16 initialiser under its own name, and cast it at load."""
    parameters = dict(model.named_parameters())
    casts = []
    for tensor in graph.graph.initializer:
        if tensor.name in parameters and tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(np.float16)
            wide = f'{tensor.name}.float32'
            casts.append(helper.make_node('Cast', [tensor.name], [wide], to=TensorProto.FLOAT))
            for node in graph.graph.node:
                for index, name in enumerate(node.input):
                    if name == tensor.name:
                        node.input[index] = wide
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for node in reversed(casts):
        graph.graph.node.insert(0, node)
    del graph.graph.value_info[:]


def name_weights(graph: onnx.ModelProto, model: torch.nn.Module) -> None:
    """
    Put back the parameters that the exporter's optimiser merged or rewrote, unused.

    From the names the network is rebuilt in PyTorch.
    """
    kept = {tensor.name: tensor.data_type for tensor in graph.graph.initializer}
    is_half = TensorProto.FLOAT16 in kept.values()
    for name, value in model.named_parameters():
        if name not in kept:
            array = value.detach().numpy()
            graph.graph.initializer.append(numpy_helper.from_array(
                array.astype(np.float16) if is_half else array, name))


def to_onnx(model: torch.nn.Module, example: tuple[torch.Tensor, ...], opset: int,
            half_weights: bool) -> onnx.ModelProto:
    """
    Export a module with the inputs and outputs of contract.py.

    :param half_weights: keep the weights as float16, whose values they have to have already.
    """
    # The exporter prints its progress; what it has to say of an error is in its exception.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter('ignore', FutureWarning)
        program = torch.onnx.export(
            model, example, dynamo=True, opset_version=opset, input_names=list(INPUTS),
            output_names=list(OUTPUTS), optimize=False, verbose=False)
        assert program is not None
        # Folding alone: its rewriting rules take time with the square of the graph's size, and
        # every runtime has better ones of its own.
        fold_constants(program.model)
        remove_unused_nodes(program.model)
    graph = strip_traces(program.model_proto)
    if half_weights:
        halve_weights(graph, model)
    name_weights(graph, model)
    onnx.checker.check_model(graph)
    return graph


def _depth_rounding(model: PanopticDepthModel, example: tuple[torch.Tensor, ...],
                    expected: list[np.ndarray]) -> float:
    """
    Relative depth error that a runtime may have: 0.001, or what rounding alone makes.

    A network can amplify rounding (untrained offsets of deformable convolutions of hundreds of
    cells do), so the model is compared with itself in another order of summation.
    """
    movable: Any = model
    with torch.inference_mode():
        index, depth, _ = movable.to(memory_format=torch.channels_last)(*example)
        movable.to(memory_format=torch.contiguous_format)
    equal = (index[0].numpy() == expected[0]) & np.isfinite(expected[1])
    error = np.abs(depth[0].numpy()[equal] / expected[1][equal] - 1.0)
    rounding = float(np.percentile(np.append(error, 0.0), 99))
    return min(max(1e-3, 10 * rounding), _MOST_ROUNDING)


def example_inputs(description: ModelDescription) -> tuple[torch.Tensor, ...]:
    """Image of smooth random shapes, a plausible camera, and thresholds: the self-test's input."""
    height, width = description.height, description.width
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, height // 32, width // 32)))
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode='bicubic')
    image = smooth.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    focal = float(np.sqrt(np.prod(description.trained_focal_range_px)))
    camera = torch.tensor([[focal, focal, (width - 1) / 2, (height - 1) / 2]])
    thresholds = Thresholds(score=0.05, overlap=0.5, stuff_area=0.0, void=0.0)
    return image, camera, torch.from_numpy(thresholds.as_vector())
