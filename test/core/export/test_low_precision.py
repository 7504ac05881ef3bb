# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What may be computed in low precision, found and cast; everything else stays as it was."""

from __future__ import annotations

import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.model_directory import ModelDirectory

onnx = pytest.importorskip('onnx', reason='conversions need the extra [export]')

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from panoptic_depth_core.export.precision import (  # noqa: E402
    POINTWISE,
    cast_nodes,
    find_low_precision_nodes,
    folded_graph,
)

FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16}


def graph_of(*nodes: str, weight: float = 1.0):
    """
    Graph of nodes written as 'name Operator inputs -> output'; x, rays, y are (1, 4, 8, 8).

    'w' is the weight of a convolution that keeps all channels, 'v' of one that leaves half.
    """
    made = []
    for text in nodes:
        left, _, output = text.partition(' -> ')
        name, operator, *inputs = left.split()
        made.append(helper.make_node(operator, inputs, [output], name=name,
                                     **({'axis': 1} if operator == 'Concat' else {})))
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8, 8])
              for name in ('x', 'rays', 'y')}
    constants = {'w': np.full((4, 4, 1, 1), weight), 'v': np.full((4, 8, 1, 1), weight),
                 'groups': np.array([1, 2, 128]), 'full': np.array([1, 4, 8, 8]),
                 'ones': np.ones(2), 'grid_shape': np.array([1, 8, 8, 4]), 'half': np.array([2]),
                 'ends': np.array([2]), 'starts': np.array([0]), 'last': np.array([3])}
    return helper.make_graph(made, 'test', [values['x'], values['rays']], [values['y']], [
        numpy_helper.from_array(array.astype(np.float32 if array.dtype == float else np.int64),
                                name) for name, array in constants.items()])


HEAD = graph_of(
    'ray Mul rays rays -> r',
    'first Conv x w -> a',
    'relu Relu a -> b',
    'second Conv b w -> c',
    'sum Add a c -> d',
    'cat Concat d r -> e',
    'third Conv e v -> f',
    'grouped Reshape f groups -> g',
    'norm InstanceNormalization g ones ones -> h',
    'back Reshape h full -> i',
    'scaled Mul i i -> j',
    'act Relu j -> k',
    'last Conv k w -> l',
    'clip Relu l -> m',
    'depth Sigmoid m -> y')
"""Residual, rays, group norm and a last convolution, as in a head of the network."""


def test_a_head():
    low = find_low_precision_nodes(HEAD)
    assert low.convolutions == ('first', 'second', 'third')
    assert low.pointwise == ('relu', 'sum', 'cat')


def test_convolutions_at_the_input_that_stay():
    low = find_low_precision_nodes(HEAD, 1)
    assert low.convolutions == ('second', 'third')
    # What is between two convolutions that stay, stays: relu; sum has low and float32 inputs.
    assert low.pointwise == ('sum', 'cat')
    assert find_low_precision_nodes(HEAD, 2).convolutions == ('third',)


def test_coordinates_of_samples_stay():
    """Offsets from a convolution, added to coordinates, lead to a convolution by samples only."""
    graph = graph_of(
        'offsets Conv x w -> o', 'place Add o rays -> p', 'moved Transpose p -> q',
        'grid Slice q starts ends last -> s', 'sample GridSample x s -> t',
        'conv Conv t w -> u', 'last Conv u w -> y')
    low = find_low_precision_nodes(graph)
    assert low.convolutions == ('offsets', 'conv')
    assert low.pointwise == ()


@pytest.mark.parametrize(('nodes', 'depth'), [
    (['only Conv x w -> z', 'after Relu z -> y'], 0),
    (['first Conv x w -> z', 'last Conv z w -> y'], 1),
    (['none Relu x -> y'], 0)])
def test_nothing_to_convert(nodes, depth):
    with pytest.raises(ConfigError, match='no convolution that may be .*; keep it in float32'):
        find_low_precision_nodes(graph_of(*nodes), depth)


def types_of(model):
    """Element type of every tensor, by strict inference."""
    graph = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    types = {value.name: value.type.tensor_type.elem_type
             for value in (*graph.input, *graph.output, *graph.value_info)}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def node_types(model):
    """Name of a node -> its operator and types of its floating-point inputs and outputs."""
    types = types_of(model)
    return {node.name: (node.op_type, {types[name] for name in node.input if name} & FLOATS,
                        {types[name] for name in node.output} & FLOATS)
            for node in model.graph.node}


@pytest.mark.parametrize(('kind', 'number', 'opset'), [
    ('float16', TensorProto.FLOAT16, 18), ('bfloat16', TensorProto.BFLOAT16, 22)])
def test_casts_at_the_border(kind, number, opset):
    graph = onnx.GraphProto.FromString(HEAD.SerializeToString())
    cast_nodes(graph, find_low_precision_nodes(graph).nodes, kind)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)],
                              ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    nodes = node_types(model)
    for name in ('first', 'relu', 'second', 'sum', 'cat', 'third'):
        assert nodes[name][1:] == ({number}, {number}), name
    for name in ('ray', 'norm', 'scaled', 'act', 'last', 'clip', 'depth'):
        assert nodes[name][1:] == ({TensorProto.FLOAT}, {TensorProto.FLOAT}), name
    casts = [node.output[0] for node in graph.node if node.op_type == 'Cast']
    # x, the rays, and what group norm takes; nothing twice, nothing there and back.
    assert casts == [f'x.{kind}', f'r.{kind}', 'f.float32']
    weights = {tensor.name: tensor.data_type for tensor in graph.initializer}
    assert weights[f'w.{kind}'] == weights[f'v.{kind}'] == number
    assert weights['w'] == TensorProto.FLOAT and 'v' not in weights


@pytest.mark.parametrize(('weight', 'kind'), [
    (7e4, 'float16'), (np.nan, 'float16'), (np.inf, 'bfloat16')])
def test_weights_that_do_not_fit(weight, kind):
    graph = graph_of('first Conv x w -> z', 'last Conv z w -> y', weight=weight)
    with pytest.raises(ConfigError, match=f"weight 'w' .* exceeds .* the most that {kind} holds"):
        cast_nodes(graph, {'first'}, kind)


def test_the_shipped_model():
    """Heads end in float32: from its scores, masks and depth back to a convolution."""
    model = folded_graph(ModelDirectory.default())
    low = find_low_precision_nodes(model.graph)
    operators = {node.name: node.op_type for node in model.graph.node}
    assert len(operators) == len(model.graph.node), 'every node has a name of its own'
    assert len(low.convolutions) == 91
    assert {operators[name] for name in low.pointwise} <= set(POINTWISE)
    cast_nodes(model.graph, low.nodes, 'float16')
    onnx.checker.check_model(model, full_check=True)
    for name, (operator, inputs, outputs) in node_types(model).items():
        if name not in low.nodes and operator != 'Cast':
            assert TensorProto.FLOAT16 not in inputs | outputs, name
        elif operator == 'Conv':
            assert inputs == outputs == {TensorProto.FLOAT16}, name
    # The depth of what has no segment is computed from the pooled context of the pyramid.
    assert convolutions_behind_outputs(model.graph) == {
        'network.pyramid.context.weight.float32.float16', *(
            f'network.{name}.weight.float32' for name in (
                'mask_embedding', 'depth_embedding', 'position_head.2', 'kernel_head.2',
                'depth_head.2', 'ground.head.1', 'ground.embedding.1'))}


def convolutions_behind_outputs(graph):
    """Weights of the convolutions that are met first on all ways back from the outputs."""
    made_by = {name: node for node in graph.node for name in node.output}
    found, to_visit, seen = set(), [value.name for value in graph.output], set()
    while to_visit:
        name = to_visit.pop()
        node = made_by.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if node.op_type == 'Conv':
            found.add(node.input[1])
        else:
            to_visit += node.input
    return found
