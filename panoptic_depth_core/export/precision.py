# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
A model directory in another precision: same model, same self-test, another graph.

Low precision is for the convolutions with another convolution downstream, and for the operators
*between* two of them that only move, bound or add values. The last convolution of every head and
all that follows stay float32: scores, masks, depth, the assembly. So do the camera rays before the
first convolution, group norm (exported as Reshape and InstanceNormalization), and sampling
coordinates from the output of a convolution. A few convolutions at the input may have to stay
float32 as well: low precision costs most there.

ONNX Runtime's own converter (onnxruntime.transformers.float16) also rounds values between float32
nodes, and has no bfloat16; NVIDIA's AutoCast pins other versions of onnx and ONNX Runtime.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, version_converter
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    create_calibrator,
    quantize_static,
)

from ..errors import BackendError, ConfigError
from ..inference.backends import batched, create_backend
from ..inference.preprocess import graph_inputs
from ..model_directory import ModelDirectory, SelfTest, copy_licences, save_model_directory
from ..model_info import LowPrecision
from ..structures import Frame

LowFloat = Literal['float16', 'bfloat16']

GREATEST: dict[LowFloat, float] = {
    'float16': 65504.0, 'bfloat16': float.fromhex('0x1.fep+127')}
"""Largest finite number."""

_TYPES: dict[LowFloat, int] = {'float16': TensorProto.FLOAT16, 'bfloat16': TensorProto.BFLOAT16}

POINTWISE: dict[str, tuple[int, ...] | None] = {
    'Add': None,
    'Clip': None,
    'Concat': None,
    'LeakyRelu': None,
    'MaxPool': (0,),
    'Pad': (0, 2),
    'Relu': None,
    'Resize': (0,),
}
"""Operator between convolutions -> inputs of the type of its output; None: all."""

LEAST_FRAMES = 16
"""Fewer frames do not show the range of an activation."""

FLOAT_DEPTH: dict[LowPrecision, int] = {'float16': 0, 'bfloat16': 3, 'int8': 9}
"""
Precision -> number of convolutions at the input that stay float32.

In MobileNetV2 the first depthwise convolution, the second of all, causes three quarters of the
loss of bfloat16, and those up to stride 4 a good part of the loss of int8.
"""

BFLOAT16_OPSET = 22
"""First opset whose Conv takes bfloat16."""

_log = logging.getLogger(__name__)


def convert_precision(model: ModelDirectory, out_dir: Path | str, precision: LowPrecision,
                      frames: Iterable[Frame] = (), *, symmetric: bool = False) -> ModelDirectory:
    """
    Convert the convolutions of a model, and test the result.

    :param frames: from the place of use, for int8 at least LEAST_FRAMES, to find the ranges of
        activations. For float16 they are checked for overflow, beside the self-test's input.
    :param symmetric: for int8: the form for TensorRT, slow elsewhere.
    :raises ConfigError: for a model that is converted already or has no self-test, overflow of
        float16, too few frames, a wrong output directory.
    :raises BackendError: when a runtime cannot load the result, or it deviates too much. bfloat16
        is tested in OpenVINO only, if it is installed.
    """
    info = model.info
    if info.precision != 'float32':
        raise ConfigError(f'{model.path}: its precision is {info.precision} already; '
                          'convert the float32 model')
    if Path(out_dir).resolve() == model.path.resolve():
        raise ConfigError(f'{out_dir}: holds the float32 model; give another output directory')
    test = model.load_self_test()
    feeds = [batched(info, graph_inputs(frame, info, info.thresholds.as_vector())[0])
             for frame in frames]
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
        greatest = greatest_activations(exact, low, [batched(model.info, test.inputs), *feeds])
        for name, value in sorted(greatest.items()):
            # Written so that NaN fails.
            if not value <= GREATEST['float16']:
                raise ConfigError(f'{model.onnx_path}: tensor {name!r} reaches {value:g}, but '
                                  f'float16 holds at most {GREATEST["float16"]:g}; '
                                  'choose bfloat16')
    return graph


def _opset(graph: onnx.ModelProto) -> int:
    return max(entry.version for entry in graph.opset_import if not entry.domain)


def folded_graph(model: ModelDirectory) -> onnx.ModelProto:
    """
    Graph with float32 weights, constants folded and all nodes named.

    :raises BackendError: when ONNX Runtime cannot load it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'model.onnx'
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(path)
        # Leaves operators of ONNX only, none for this processor.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        try:
            onnxruntime.InferenceSession(str(model.onnx_path), options,
                                         providers=['CPUExecutionProvider'])
        # Its exceptions have no other common base.
        except Exception as error:
            raise BackendError(f'{model.onnx_path}: ONNX Runtime {onnxruntime.__version__} cannot '
                               f'load it: {" ".join(str(error).split())}; update onnxruntime or '
                               'export the model again') from None
        graph = onnx.load(path)
    for index, node in enumerate(graph.graph.node):
        # Fused and folded nodes have no name.
        node.name = node.name or f'{node.op_type}_{index}'
    used = {node.domain for node in graph.graph.node}
    kept = [entry for entry in graph.opset_import if entry.domain in used]
    del graph.opset_import[:]
    graph.opset_import.extend(kept)
    return graph


def _self_test(model: ModelDirectory) -> None:
    """
    Test a converted model in a runtime that supports it.

    On a CPU ONNX Runtime has no bfloat16 convolutions, and computes float16 in float32: this tests
    the graph, not its rounding.
    """
    name = 'openvino' if model.info.precision == 'bfloat16' else 'onnxruntime'
    if name == 'openvino' and importlib.util.find_spec('openvino') is None:
        _log.warning('%s is not tested: no runtime that is installed can run bfloat16; install '
                     "the extra: pip install 'panoptic-depth[openvino]'", model.info.model_id)
        return
    with contextlib.closing(create_backend(name, model)) as backend:
        model.self_test(backend)


Feed = Mapping[str, NDArray[Any]]
"""Input of the graph -> its value."""

_QUANTISED = ['Add', 'Clip', 'Concat', 'Conv', 'Relu', 'Resize']


def quantize(model: onnx.ModelProto, low: LowPrecisionNodes, feeds: Iterable[Feed], *,
             symmetric: bool) -> onnx.ModelProto:
    """
    Compute convolutions in int8: weights per channel, activations per tensor by their extremes.

    Extremes: the other calibrators of ONNX Runtime lose as much or more here.

    :param model: float32, nodes named, constants folded.
    :param symmetric: activations are int8 about zero, quantized before each convolution, for
        TensorRT; else uint8 with a zero point, quantized on both sides, which ONNX Runtime and
        OpenVINO need to be fast.
    """
    if symmetric:
        nodes, operators = low.convolutions, ['Conv']
        options: dict[str, Any] = {
            'ActivationSymmetric': True, 'QuantizeBias': False,
            'OpTypesToExcludeOutputQuantization': ['Conv']}
    else:
        # Clip and Relu after a convolution become part of its quantized range.
        nodes, operators = low.convolutions + low.pointwise, _QUANTISED
        options = {}
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / 'model.onnx'
        quantize_static(
            model, path, _Reader(feeds), quant_format=QuantFormat.QDQ,
            op_types_to_quantize=operators, nodes_to_quantize=list(nodes), per_channel=True,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
            extra_options=options)
        return onnx.load(path)


def greatest_activations(model: onnx.ModelProto, low: LowPrecisionNodes,
                         feeds: Iterable[Feed]) -> dict[str, float]:
    """Tensor of these nodes -> greatest absolute value over all feeds."""
    nodes = [node for node in model.graph.node if node.name in low.nodes]
    names = {name for node in nodes for name in (*node.input, *node.output)}
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / 'model.onnx'
        onnx.save(model, path)
        calibrator = create_calibrator(
            path, sorted({node.op_type for node in nodes}),
            augmented_model_path=str(Path(folder) / 'augmented.onnx'),
            calibrate_method=CalibrationMethod.MinMax)
        calibrator.collect_data(_Reader(feeds))
        ranges = calibrator.compute_data()
    return {name: float(np.abs(ranges[name].range_value).max())
            for name in ranges.keys() & names}


class _Reader(CalibrationDataReader):
    def __init__(self, feeds: Iterable[Feed]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feed | None:
        """Inputs of the next run, None after the last."""
        return next(self._feeds, None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence ONNX Runtime's tools, which print and log to the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


@dataclass(frozen=True)
class LowPrecisionNodes:
    """
    Names of the nodes for low precision, in the order of the graph.

    :param convolutions: with another one downstream.
    :param pointwise: nodes between one of these and the next convolution.
    """

    convolutions: tuple[str, ...]
    pointwise: tuple[str, ...]

    @property
    def nodes(self) -> frozenset[str]:
        """Names of all of them."""
        return frozenset(self.convolutions + self.pointwise)


def find_low_precision_nodes(graph: onnx.GraphProto,
                             float_depth: int = 0) -> LowPrecisionNodes:
    """
    Find these nodes in a graph with sorted and named nodes.

    :param float_depth: convolutions whose longest path from the input has at most this many of
        them, themselves included, stay float32.
    :raises ConfigError: when there are none.
    """
    # Tensors with a convolution downstream.
    upstream: set[str] = set()
    for node in reversed(graph.node):
        if node.op_type == 'Conv' or upstream & set(node.output):
            upstream.update(node.input)
    # Tensors with only pointwise nodes from a low convolution, and to any convolution.
    after: set[str] = set()
    before: set[str] = set()
    depth: dict[str, int] = {}
    convolutions = []
    for node in graph.node:
        is_convolution = node.op_type == 'Conv'
        reached = is_convolution + max((depth.get(name, 0) for name in node.input), default=0)
        depth.update(dict.fromkeys(node.output, reached))
        if is_convolution and reached > float_depth and upstream & set(node.output):
            convolutions.append(node.name)
            after.update(node.output)
        elif node.op_type in POINTWISE and after & set(node.input):
            after.update(node.output)
    if not convolutions:
        raise ConfigError('the graph has no convolution that may be computed in low precision; '
                          'keep it in float32')
    pointwise = []
    for node in reversed(graph.node):
        if node.op_type == 'Conv':
            before.add(node.input[0])
        elif node.op_type in POINTWISE and before & set(node.output):
            before.update(node.input)
            if after & set(node.output):
                pointwise.append(node.name)
    return LowPrecisionNodes(tuple(convolutions), tuple(reversed(pointwise)))


def cast_nodes(graph: onnx.GraphProto, names: Collection[str], kind: LowFloat) -> None:
    """
    Compute nodes in a low precision, in place.

    :param graph: nodes sorted and named, weights as float32 initialisers.
    :param names: of nodes that are Conv or in POINTWISE.
    :raises ConfigError: naming a weight that is not finite or too large.
    """
    weights = {tensor.name: tensor for tensor in graph.initializer}
    low = {name for node in graph.node if node.name in names for name in node.output}
    wide = {name for node in graph.node if node.name not in names for name in node.input}
    wide.update(value.name for value in graph.output)
    made: dict[str, onnx.NodeProto | TensorProto] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.name not in names:
            _rename(node, range(len(node.input)), {name: f'{name}.float32' for name in low})
            nodes.append(node)
            continue
        listed = POINTWISE.get(node.op_type)
        inputs = [i for i, name in enumerate(node.input)
                  if name and (listed is None or i in listed)]
        casts = {node.input[i]: f'{node.input[i]}.{kind}' for i in inputs
                 if node.input[i] not in low}
        for name, cast in casts.items():
            if cast not in made:
                made[cast] = (_narrowed(weights[name], cast, kind) if name in weights
                              else _cast(name, cast, _TYPES[kind]))
                if name not in weights:
                    nodes.append(made[cast])
        _rename(node, inputs, casts)
        nodes.append(node)
        nodes += [_cast(name, f'{name}.float32', TensorProto.FLOAT)
                  for name in node.output if name in wide]
    graph.initializer.extend(t for t in made.values() if isinstance(t, TensorProto))
    replace_nodes(graph, nodes)


def replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Replace the nodes of a graph, and drop weights and shapes that are no longer used."""
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    used = {name for node in copies for name in node.input}
    used.update(value.name for value in graph.output)
    weights = [TensorProto.FromString(tensor.SerializeToString())
               for tensor in graph.initializer if tensor.name in used]
    for field, values in ((graph.node, copies), (graph.initializer, weights)):
        del field[:]
        field.extend(values)
    del graph.value_info[:]


def _rename(node: onnx.NodeProto, inputs: Collection[int], names: dict[str, str]) -> None:
    for index in inputs:
        node.input[index] = names.get(node.input[index], node.input[index])


def _cast(name: str, result: str, kind: int) -> onnx.NodeProto:
    return helper.make_node('Cast', [name], [result], name=f'cast {result}', to=kind)


def _narrowed(tensor: TensorProto, name: str, kind: LowFloat) -> TensorProto:
    values = numpy_helper.to_array(tensor)
    # Written so that NaN fails.
    if not (np.abs(values) <= GREATEST[kind]).all():
        raise ConfigError(f'weight {tensor.name!r} is not finite or exceeds {GREATEST[kind]:g}, '
                          f'the most that {kind} holds; choose another precision')
    narrow = values.astype(helper.tensor_dtype_to_np_dtype(_TYPES[kind]))
    return numpy_helper.from_array(narrow, name)
