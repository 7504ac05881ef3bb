# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Graphs that do what a semantic network and a YOLOX do, small enough for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

STEP = 12
"""Of blue from one class to the next."""


def _save(path: Path, nodes: Sequence[object], size: tuple[int, int], output: str,
          shape: Sequence[int], constants: dict[str, NDArray], name: str = 'rgb') -> Path:
    from onnx import TensorProto, helper, numpy_helper

    def value(of: str, dimensions: Sequence[int]) -> object:
        return helper.make_tensor_value_info(of, TensorProto.FLOAT, dimensions)

    graph = helper.make_graph(
        nodes, 'tiny', [value(name, (1, 3, *size))], [value(output, shape)],
        [numpy_helper.from_array(array, of) for of, array in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)])
    model.ir_version = 10
    path.write_bytes(model.SerializeToString())
    return path


def write_teacher(path: Path, size: tuple[int, int] = (32, 64), classes: int = 19,
                  sharpness: float = 0.2, output: str = 'probs') -> Path:
    """Write a network to which blue is STEP times the class, with probabilities around it."""
    from onnx import helper

    number = np.arange(classes, dtype=np.float32)
    weights = np.zeros((classes, 3, 1, 1), np.float32)
    weights[:, 2, 0, 0] = 2 * sharpness / STEP * number
    return _save(path, [
        helper.make_node('Conv', ['rgb', 'weights', 'bias'], ['logits']),
        helper.make_node('Softmax', ['logits'], [output], axis=1)], size, output,
        (1, classes, *size), {'weights': weights, 'bias': -sharpness * number ** 2})


def write_detector(path: Path, side: int = 32, coco_class: int = 2, classes: int = 80) -> Path:
    """Write a YOLOX that sees a box of 8x8 px in every cell of 8x8 px that is red."""
    from onnx import helper

    cells = (side // 8) ** 2
    rest = (side // 16) ** 2 + (side // 32) ** 2
    every = cells + rest
    scores = np.zeros((1, every, classes), np.float32)
    scores[..., coco_class] = 1
    place = np.tile(np.array([0.5, 0.5, 0, 0], np.float32), (1, every, 1))
    return _save(path, [
        helper.make_node('Gather', ['images', 'red'], ['of_red'], axis=1),
        helper.make_node('AveragePool', ['of_red'], ['mean'], kernel_shape=[8, 8],
                         strides=[8, 8]),
        helper.make_node('Reshape', ['mean', 'shape'], ['column']),
        helper.make_node('Div', ['column', 'white'], ['share']),
        helper.make_node('Concat', ['share', 'nothing'], ['objects'], axis=1),
        helper.make_node('Concat', ['place', 'objects', 'scores'], ['output'], axis=2)],
        (side, side), 'output', (1, every, classes + 5), {
            'red': np.array([2]), 'shape': np.array([1, cells, 1]),
            'white': np.array(255, np.float32),
            'nothing': np.zeros((1, rest, 1), np.float32), 'place': place, 'scores': scores},
        'images')
