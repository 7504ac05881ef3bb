# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Which nodes of a graph may be computed in low precision.

These are the convolutions from which another convolution is still to come, and the operators
*between* two of them that only move, bound or add values. So the last convolution of every head
and all that follows it are never among them: scores, masks, depth, the whole assembly. Nor is what
leads to the first convolution (the camera's rays), nor group norm (exported as Reshape and
InstanceNormalization, which are not on the list), nor coordinates that are computed from the
output of a convolution to sample its input. A few convolutions at the input may have to stay
float32 as well, as low precision costs most there.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from ..errors import ConfigError

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
class Trunk:
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


def find_trunk(graph: onnx.GraphProto, float_depth: int = 0) -> Trunk:
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
    return Trunk(tuple(convolutions), tuple(reversed(pointwise)))


def _upstream(graph: onnx.GraphProto) -> set[str]:
    """Tensors from which a convolution is still to come, whatever is between."""
    upstream: set[str] = set()
    for node in reversed(graph.node):
        if node.op_type == 'Conv' or upstream & set(node.output):
            upstream.update(node.input)
    return upstream
