# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""TensorRT for RTX, whose builder needs no GPU, and graphs that take it no time."""

from __future__ import annotations

import pytest
from panoptic_depth_core.engines.library import Library, find_library


def rtx_library() -> Library:
    """Return TensorRT for RTX; the test is skipped where it is not installed."""
    pytest.importorskip('tensorrt_rtx', reason='TensorRT for RTX is in the extra [tensorrt-rtx]',
                        exc_type=ImportError)
    return find_library('tensorrt_rtx')


def graph_of(*operators: str) -> bytes:
    """
    Serialise a graph of operators in a row, each with one input and output of (1, 3, 8, 8).

    Nodes have the names of their operators in lower case.
    """
    pytest.importorskip('onnx', reason='graphs are made with onnx, of the extra [export]')
    from onnx import TensorProto, helper

    tensors = ['x', *(f't{index}' for index in range(1, len(operators))), 'y']
    nodes = [helper.make_node(operator, [source], [target], name=operator.lower())
             for operator, source, target in zip(operators, tensors, tensors[1:], strict=False)]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8])
            for name in 'xy')
    model = helper.make_model(helper.make_graph(nodes, 'row', [x], [y]),
                              opset_imports=[helper.make_opsetid('', 18)], ir_version=10)
    return bytes(model.SerializeToString())
