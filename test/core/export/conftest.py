# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A model with convolutions, small enough for tests of what converts them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from panoptic_depth_core.model_directory import ModelDirectory, save_model_directory

CONVOLUTIONS = 12
"""More than FLOAT_DEPTH leaves in float32."""


@pytest.fixture
def convolved_model(tmp_path, painted_model, painted_onnx) -> Callable[..., ModelDirectory]:
    """
    Return a maker of the painted model, its canonical depth led through convolutions in a row.

    Convolution i is named 'conv i', its weight 'weight i'. They multiply by factor 1 / factor in
    turn, so depth stays what it was; a Relu is between each two.
    """
    onnx = pytest.importorskip('onnx', reason='conversions need the extra [export]')
    from onnx import helper, numpy_helper

    def make(factor: float = 1.0, count: int = CONVOLUTIONS) -> ModelDirectory:
        info, test = painted_model.info, painted_model.load_self_test()
        model = onnx.load_model_from_string(painted_onnx(info))
        graph = model.graph
        nodes = {node.output[0]: node for node in graph.node}
        nodes['canonical'].output[0] = 'read'
        chain = [helper.make_node('Unsqueeze', ['read', 'channel'], ['x 0'], name='before')]
        for i in range(count):
            # ONNX Runtime merges equal weights of up to eight numbers.
            weight = np.zeros((1, 1, 3, 3), np.float32)
            weight[0, 0, 1, 1] = factor if i % 2 == 0 else 1 / factor
            graph.initializer.append(numpy_helper.from_array(weight, f'weight {i}'))
            chain += [helper.make_node('Conv', [f'x {i}', f'weight {i}'], [f'y {i}'],
                                       name=f'conv {i}', pads=[1, 1, 1, 1]),
                      helper.make_node('Relu', [f'y {i}'], [f'x {i + 1}'], name=f'relu {i}')]
        chain.append(helper.make_node('Squeeze', [f'x {count}', 'channel'], ['canonical']))
        graph.initializer.append(numpy_helper.from_array(np.array([1]), 'channel'))
        place = list(graph.node).index(nodes['canonical']) + 1
        for node in reversed(chain):
            graph.node.insert(place, node)
        onnx.checker.check_model(model, full_check=True)
        saved = save_model_directory(tmp_path / f'convolved {factor:g} {count}', info,
                                     model.SerializeToString(), test)
        (saved.path / 'LICENSE.txt').write_text('CC0-1.0')
        return saved
    return make
