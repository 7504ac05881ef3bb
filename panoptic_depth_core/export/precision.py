# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A model directory in another precision: the same model, the same self-test, another graph."""

from __future__ import annotations

import importlib.util
import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
import onnxruntime
from onnx import version_converter

from ..errors import BackendError, ConfigError
from ..inference.backends import batched, create_backend
from ..inference.preprocess import graph_inputs
from ..model_directory import ModelDirectory, save_model_directory
from ..model_info import LowPrecision
from ..self_test import SelfTest
from ..structures import Frame
from .low_precision import GREATEST, LowPrecisionNodes, cast_nodes, find_low_precision_nodes
from .model_copy import copy_licences
from .quantization import Feed, greatest_activations, quantize

LEAST_FRAMES = 16
"""Fewer do not show the range of an activation."""

FLOAT_DEPTH: dict[LowPrecision, int] = {'float16': 0, 'bfloat16': 3, 'int8': 9}
"""
Precision -> so many convolutions at the input stay float32.

In MobileNetV2 the first depthwise convolution, the second of all, makes three quarters of what
bfloat16 loses, and those up to stride 4 a good part of what int8 loses.
"""

BFLOAT16_OPSET = 22
"""First opset whose Conv takes bfloat16."""

_log = logging.getLogger(__name__)


def convert_precision(model: ModelDirectory, out_dir: Path | str, precision: LowPrecision,
                      frames: Iterable[Frame] = (), *, symmetric: bool = False) -> ModelDirectory:
    """
    Compute the convolutions of a model in another precision, and test the result.

    See low_precision.py for what stays float32.

    :param frames: from where the model will work, for int8 at least LEAST_FRAMES: ranges of
        activations are taken from them. For float16 they are searched for numbers that it cannot
        hold, beside the self-test's input.
    :param symmetric: for int8: the form that TensorRT takes, which is slow elsewhere.
    :raises ConfigError: for a model that is converted already or has no self-test, a weight or
        activation that float16 cannot hold, too few frames, a wrong output directory.
    :raises BackendError: when a runtime cannot load the result, or it is too far from the
        reference. bfloat16 is tested in OpenVINO; where that is not installed, it is not.
    """
    info = model.info
    if info.precision != 'float32':
        raise ConfigError(f'{model.path}: its precision is {info.precision} already; '
                          'convert the float32 model')
    if Path(out_dir).resolve() == model.path.resolve():
        raise ConfigError(f'{out_dir}: holds the float32 model; give another output directory')
    test = model.load_self_test()
    feeds = list(_feeds(model, frames))
    if precision == 'int8' and len(feeds) < LEAST_FRAMES:
        raise ConfigError(f'{len(feeds)} frames for calibration are too few for int8; give at '
                          f'least {LEAST_FRAMES}, as different as where the model will work')
    graph = _converted_graph(model, precision, test, feeds, symmetric)
    onnx.checker.check_model(graph, full_check=True)
    producer = {**info.producer, 'onnx': onnx.__version__, 'onnxruntime': onnxruntime.__version__}
    if precision == 'int8':
        producer['calibration_frames'] = str(len(feeds))
    changed = info.model_copy(update={
        'model_id': f'{info.model_id}-{precision}', 'precision': precision,
        'producer': producer, 'opset': _opset(graph)})
    data = graph.SerializeToString()
    with tempfile.TemporaryDirectory() as folder:
        _self_test(save_model_directory(folder, changed, data, test))
    converted = save_model_directory(out_dir, changed, data, test)
    copy_licences(model, converted.path)
    return converted


def _converted_graph(model: ModelDirectory, precision: LowPrecision, test: SelfTest,
                     feeds: list[Feed], symmetric: bool) -> onnx.ModelProto:
    exact = folded_graph(model)
    low = find_low_precision_nodes(exact.graph, FLOAT_DEPTH[precision])
    if precision == 'int8':
        return quantize(exact, low, feeds, symmetric=symmetric)
    if precision == 'bfloat16':
        graph = version_converter.convert_version(exact, max(BFLOAT16_OPSET, _opset(exact)))
    else:
        graph = onnx.ModelProto()
        graph.CopyFrom(exact)
    cast_nodes(graph.graph, low.nodes, precision)
    if precision == 'float16':
        _check_activations(model, exact, low, [
            batched(model.info, test.inputs), *feeds])
    return graph


def _opset(graph: onnx.ModelProto) -> int:
    return max(entry.version for entry in graph.opset_import if not entry.domain)


def folded_graph(model: ModelDirectory) -> onnx.ModelProto:
    """
    Graph with float32 weights and without what can be computed beforehand, its nodes named.

    :raises BackendError: when ONNX Runtime cannot load it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'model.onnx'
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(path)
        # Which leaves the operators of ONNX, and nothing that belongs to this processor.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        try:
            onnxruntime.InferenceSession(str(model.onnx_path), options,
                                         providers=['CPUExecutionProvider'])
        # Its exceptions have no common base but Exception.
        except Exception as error:
            raise BackendError(f'{model.onnx_path}: ONNX Runtime {onnxruntime.__version__} cannot '
                               f'load it: {" ".join(str(error).split())}; update onnxruntime or '
                               'export the model again') from None
        graph = onnx.load(path)
    for index, node in enumerate(graph.graph.node):
        # Where it fused or folded, the names are gone.
        node.name = node.name or f'{node.op_type}_{index}'
    used = {node.domain for node in graph.graph.node}
    kept = [entry for entry in graph.opset_import if entry.domain in used]
    del graph.opset_import[:]
    graph.opset_import.extend(kept)
    return graph


def _feeds(model: ModelDirectory, frames: Iterable[Frame]) -> Iterator[Feed]:
    """What the pipeline gives to the graph for these frames."""
    info = model.info
    for frame in frames:
        yield batched(info, graph_inputs(frame, info, info.thresholds.as_vector())[0])


def _check_activations(model: ModelDirectory, graph: onnx.ModelProto, low: LowPrecisionNodes,
                       feeds: Iterable[Feed]) -> None:
    greatest = greatest_activations(graph, low, feeds)
    for name in sorted(greatest):
        # Written so that NaN fails.
        if not greatest[name] <= GREATEST['float16']:
            raise ConfigError(f'{model.onnx_path}: tensor {name!r} reaches {greatest[name]:g}, '
                              f'but float16 holds at most {GREATEST["float16"]:g}; '
                              'choose bfloat16')


def _self_test(model: ModelDirectory) -> None:
    """
    Test a converted model in a runtime that takes it.

    ONNX Runtime has no bfloat16 convolutions on a CPU. It computes float16 in float32 there, so
    the test is of the graph, not of its rounding.
    """
    name = 'openvino' if model.info.precision == 'bfloat16' else 'onnxruntime'
    if name == 'openvino' and importlib.util.find_spec('openvino') is None:
        _log.warning('%s is not tested: no runtime that is installed can run bfloat16; install '
                     "the extra: pip install 'panoptic-depth[openvino]'", model.info.model_id)
        return
    backend = create_backend(name, model)
    try:
        model.self_test(backend)
    finally:
        backend.close()
