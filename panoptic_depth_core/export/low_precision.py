# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Which nodes of a float32 graph may be computed in low precision, and casts around them.

These are the convolutions from which another convolution is still to come, and the operators
*between* two of them that only move, bound or add values. The last convolution of every head and
all that follows it stay float32: scores, masks, depth, the assembly. So do the camera rays before
the first convolution, group norm (exported as Reshape and InstanceNormalization, which are not on
the list), and coordinates that are computed from the output of a convolution to sample its input.
A few convolutions at the input may have to stay float32 as well: low precision costs most there.

ONNX Runtime's own converter (onnxruntime.transformers.float16) rounds what passes between nodes
that are to stay float32 to float16 as well, and knows no bfloat16; NVIDIA's AutoCast pins other
versions of onnx and ONNX Runtime than this package has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..errors import ConfigError

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
"""Operator between convolutions -> its inputs that have the type of its output; None: all."""


@dataclass(frozen=True)
class LowPrecisionNodes:
    """
    Names of the nodes that may be computed in low precision, in the order of the graph.

    :param convolutions: those from which another one is still to come.
    :param pointwise: what is between one of these and a next convolution.
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
    Find these nodes in a graph whose nodes are sorted and have names.

    :param float_depth: a convolution stays float32 too when there are at most so many from the
        input of the graph to it, itself included, on the longest way.
    :raises ConfigError: when there are none.
    """
    upstream = _upstream(graph)
    # Sets of tensors: after a low convolution, before any one, with but pointwise nodes between.
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


def _upstream(graph: onnx.GraphProto) -> set[str]:
    """Tensors from which a convolution is still to come, whatever is between."""
    upstream: set[str] = set()
    for node in reversed(graph.node):
        if node.op_type == 'Conv' or upstream & set(node.output):
            upstream.update(node.input)
    return upstream


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
        inputs = list(_data_inputs(node))
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
    """Give a graph other nodes, and drop the weights and shapes that were only for former ones."""
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    used = {name for node in copies for name in node.input}
    used.update(value.name for value in graph.output)
    weights = [TensorProto.FromString(tensor.SerializeToString())
               for tensor in graph.initializer if tensor.name in used]
    for field, values in ((graph.node, copies), (graph.initializer, weights)):
        del field[:]
        field.extend(values)
    del graph.value_info[:]


def _data_inputs(node: onnx.NodeProto) -> Iterator[int]:
    """Inputs that have the type of the output and are there."""
    listed = POINTWISE.get(node.op_type)
    for index, name in enumerate(node.input):
        if name and (listed is None or index in listed):
            yield index


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
