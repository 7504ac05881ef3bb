# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Part of a float32 graph in float16 or bfloat16, with casts at its border.

Nothing but the nodes that are named is touched. ONNX Runtime's own converter
(onnxruntime.transformers.float16) rounds what passes between nodes that are to stay float32 to
float16 as well, and knows no bfloat16; NVIDIA's AutoCast pins other versions of onnx and ONNX
Runtime than this package has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..errors import ConfigError
from .trunk import POINTWISE

LowFloat = Literal['float16', 'bfloat16']

GREATEST: dict[LowFloat, float] = {
    'float16': 65504.0, 'bfloat16': float.fromhex('0x1.fep+127')}
"""Largest finite number."""

_TYPES: dict[LowFloat, int] = {'float16': TensorProto.FLOAT16, 'bfloat16': TensorProto.BFLOAT16}


def cast_nodes(graph: onnx.GraphProto, names: Collection[str], kind: LowFloat) -> None:
    """
    Compute nodes in a low precision, in place.

    :param graph: nodes sorted and named, weights as float32 initialisers.
    :param names: of nodes that are Conv or in trunk.POINTWISE.
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
