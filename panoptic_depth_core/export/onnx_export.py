# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint, own or published, to a model directory: network and assembly in one graph."""

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
from ..contract import GraphOutput
from ..errors import BackendError, ConfigError
from ..inference.backends import create_backend
from ..model_directory import ModelDirectory, SelfTest, save_model_directory
from ..model_info import ModelInfo
from ..network import Graph, create_model, from_published
from ..network.base import Model, ModelDescription, describe
from ..training.checkpoint import load_weights, read_checkpoint
from ..untrusted import reading

_LEAST_ROUNDING, _MOST_ROUNDING = 1e-3, 0.5

Example = dict[str, torch.Tensor]
"""Inputs of a graph by name, with their batch axis."""


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
    with reading(checkpoint, 'a checkpoint of this program', 'train again'):
        name, settings = recipe['network'], recipe['network_settings']
        rules = {**recipe['assembly'], 'output_stride': description.output_stride}
    model = create_model(name, settings, source=str(checkpoint), rules=rules)
    load_weights(model, checkpoint)
    return export_model(model, out_dir, description)


def export_model(model: Model, out_dir: Path | str,
                 description: ModelDescription) -> ModelDirectory:
    """Write a model directory for a model in memory; see export_checkpoint."""
    model = model.deployed()
    if description.weight_type == 'float16':
        model = round_to_half(model)
    module = Graph(model).eval()
    info = describe(model, description).model_copy(update={'producer': {
        'torch': torch.__version__, 'onnx': onnx.__version__,
        'onnxscript': onnxscript.__version__}})
    example = example_inputs(info)
    expected = run(module, example)
    graph = to_onnx(module, example, model.onnx_opset, description.weight_type == 'float16')
    inputs = {name: value.numpy() if name == 'thresholds' else value[0].numpy()
              for name, value in example.items()}
    test = SelfTest(inputs, GraphOutput.of(expected, info.map_size()),
                    max_depth_error=_rounding(module, example, expected))
    directory = save_model_directory(out_dir, info, graph.SerializeToString(), test)
    with contextlib.closing(create_backend('onnxruntime', directory)) as backend:
        directory.self_test(backend)
    return directory


def round_to_half(network: Model) -> Model:
    """
    Round the float32 weights to float16's values, in place, as the graph will store them.

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
    """Remove the exporter's notes, stack traces with local paths, from every node."""
    inner = graph.graph
    for item in (graph, inner, *graph.functions, *inner.node, *inner.input, *inner.output,
                 *inner.value_info, *inner.initializer):
        item.ClearField('metadata_props')
        item.ClearField('doc_string')
    return graph


def halve_weights(graph: onnx.ModelProto, model: torch.nn.Module) -> None:
    """Store every parameter as a float16 initialiser under its own name, followed by a cast."""
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
    """Add the parameters that the optimiser merged or rewrote, unused: PyTorch needs them all."""
    kept = {tensor.name: tensor.data_type for tensor in graph.graph.initializer}
    is_half = TensorProto.FLOAT16 in kept.values()
    for name, value in model.named_parameters():
        if name not in kept:
            array = value.detach().numpy()
            graph.graph.initializer.append(numpy_helper.from_array(
                array.astype(np.float16) if is_half else array, name))


def run(module: Any, example: Example) -> dict[str, np.ndarray]:
    """Outputs of a graph in PyTorch by name, with their batch axis."""
    with torch.inference_mode():
        return {name: value.numpy() for name, value in zip(
            module.output_names, module(*example.values()), strict=True)}


def to_onnx(model: Any, example: Example, opset: int,
            half_weights: bool) -> onnx.ModelProto:
    """
    Export a module with the inputs and outputs of contract.py.

    :param model: a Graph.
    :param half_weights: store the weights, which have float16's values, as float16.
    """
    # The exporter prints its progress; errors are exceptions.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter('ignore', FutureWarning)
        program = torch.onnx.export(
            model, tuple(example.values()), dynamo=True, opset_version=opset,
            input_names=list(example), output_names=list(model.output_names), optimize=False,
            verbose=False)
        assert program is not None
        # Only fold: the rewriting rules take time with the square of the graph's size, and every
        # runtime has better ones.
        fold_constants(program.model)
        remove_unused_nodes(program.model)
    graph = strip_traces(program.model_proto)
    if half_weights:
        halve_weights(graph, model)
    name_weights(graph, model)
    onnx.checker.check_model(graph)
    return graph


def _rounding(module: Any, example: Example, expected: dict[str, np.ndarray]) -> float:
    """
    Tolerance of relative depth error: 0.001, or ten times the effect of rounding.

    A network can amplify rounding (for instance untrained offsets of deformable convolutions), so
    the model is compared with itself in another order of summation.
    """
    if 'depth' not in expected:
        return _LEAST_ROUNDING
    again = run(module.to(memory_format=torch.channels_last), example)
    module.to(memory_format=torch.contiguous_format)
    equal = np.isfinite(expected['depth'])
    if 'segment_index' in expected:
        equal &= again['segment_index'] == expected['segment_index']
    error = np.abs(again['depth'][equal] / expected['depth'][equal] - 1.0)
    rounding = float(np.percentile(np.append(error, 0.0), 99))
    return min(max(_LEAST_ROUNDING, 10 * rounding), _MOST_ROUNDING)


def example_inputs(info: ModelInfo) -> Example:
    """Input of the self-test: smooth random shapes, a plausible camera, unknown extra inputs."""
    height, width = info.input_height, info.input_width
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, *(
        max(side // 32, 1) for side in (height, width)))))
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode='bicubic')
    focal = float(np.sqrt(np.prod(info.trained_focal_range_px or (width, width))))
    thresholds = Thresholds(score=0.05, overlap=0.5, stuff_area=0.0, void=0.0)
    return {
        'image': smooth.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous(),
        'intrinsics': torch.tensor([[focal, focal, (width - 1) / 2, (height - 1) / 2]]),
        'thresholds': torch.from_numpy(thresholds.as_vector()),
        **{name: torch.from_numpy(value[None]) for name, value in info.unknown_inputs().items()}}


def convert_checkpoint(checkpoint: Path | str, out_dir: Path | str,
                       size: tuple[int, int] | None = None, *,
                       settings: dict[str, Any] | None = None,
                       rules: dict[str, Any] | None = None, **description: Any,
                       ) -> ModelDirectory:
    """
    Convert a checkpoint from the authors of a paper; network.MODELS says of which.

    :param size: height and width of the input; None: as published.
    :param settings: network settings in place of those of the checkpoint.
    :param rules: of the assembly, in place of the published ones.
    :param description: values in place of the published ones, such as weights_licence.
    :raises ConfigError: when the file is no such checkpoint, naming what does not fit.
    :raises BackendError: when ONNX Runtime does not reproduce PyTorch's outputs.
    """
    model = from_published(checkpoint, settings)
    described = model.published_description(*(size or model.published_size), **description)
    if unknown := set(rules or ()) - set(type(model.rules).model_fields):
        raise ConfigError(f'{checkpoint}: is of {model.name}, which has no {unknown.pop()}; leave '
                          'the option out')
    model.configure({**(rules or {}), 'output_stride': described.output_stride}, {}, 'convert')
    try:
        return export_model(model, out_dir, described)
    except BackendError as error:
        if model.settings.model_dump().get('deformable') != 'operator':
            raise
        raise BackendError(f'{error}; if it has no DeformConv (ONNX Runtime before 1.25), '
                           'convert with grid_sample in its place (--deformable)') from error
