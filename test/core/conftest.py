# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Models small enough for tests, in place of a trained network.

Of the *painted* model the picture says what the network would find: red is the row of the
segment table that owns the pixel, green its canonical depth in meters.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from panoptic_depth_core.contract import GraphOutput
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID
from panoptic_depth_core.model_directory import (
    ModelDirectory,
    ModelInfo,
    SelfTest,
    save_model_directory,
)

# Machines that run tests are shared: how long one example takes says nothing.
settings.register_profile('untimed', deadline=None)
settings.load_profile('untimed')

CANONICAL_FOCAL_PX = 50.0
TABLE = np.array([
    # valid, class_id, is_thing, score, log_depth_scale, area
    [1, CLASS_ID['road'], 0, 0.9, 0.05, 0.3],
    [1, CLASS_ID['sky'], 0, 0.8, np.nan, 0.3],
    [1, CLASS_ID['car'], 1, 0.7, 0.10, 0.1],
    [1, CLASS_ID['car'], 1, 0.95, 0.02, 0.1],
    [1, CLASS_ID['person'], 1, 0.6, np.nan, 0.1],
    [0, CLASS_ID['bus'], 1, 0.99, 0.10, 0.0],
], np.float32)

MakeInfo = Callable[..., ModelInfo]


@pytest.fixture
def table() -> NDArray[np.float32]:
    """Segment table of the painted model: road, sky, two cars, a person, an invalid row."""
    return TABLE.copy()


@pytest.fixture(scope='session')
def make_info() -> MakeInfo:
    """Model information of a small input; keywords replace fields."""
    def make(**changes: object) -> ModelInfo:
        values = {
            'model_id': 'painted', 'network': 'painted', 'input_height': 32, 'input_width': 64,
            'classes': [{'name': c.name, 'color': c.color, 'is_thing': c.is_thing}
                        for c in CITYSCAPES],
            'output_stride': 2, 'canonical_focal_px': CANONICAL_FOCAL_PX,
            'trained_focal_range_px': (10, 1000), 'depth_range_m': (0.5, 200),
            'normalisation_mean': (0, 0, 0), 'normalisation_std': (255, 255, 255),
            'opset': 18, 'weights_licence': 'CC0-1.0', **changes}
        return ModelInfo.model_validate(values)
    return make


@pytest.fixture(scope='session')
def painted_onnx() -> Callable[[ModelInfo], bytes]:
    """Return the painted model's graph for a model information, as the bytes of model.onnx."""
    onnx = pytest.importorskip('onnx')
    from onnx import TensorProto, helper, numpy_helper

    def graph(info: ModelInfo) -> bytes:
        kinds = {'uint8': TensorProto.UINT8, 'float32': TensorProto.FLOAT}

        def values(specs: dict[str, tuple[str, tuple[int | None, ...]]]) -> list[object]:
            return [helper.make_tensor_value_info(
                name, kinds[dtype], [len(TABLE) if n is None else n for n in shape])
                for name, (dtype, shape) in specs.items()]

        def constant(name: str, array: object, dtype: type) -> object:
            return numpy_helper.from_array(np.asarray(array, dtype), name)

        s = info.output_stride
        nodes = [
            helper.make_node('Slice', ['image', 'starts', 'ends', 'axes', 'steps'], ['small']),
            helper.make_node('Gather', ['small', 'red'], ['segment_index'], axis=3),
            helper.make_node('Gather', ['small', 'green'], ['depth_u8'], axis=3),
            helper.make_node('Cast', ['depth_u8'], ['canonical'], to=TensorProto.FLOAT),
            helper.make_node('Gather', ['intrinsics', 'red'], ['focal'], axis=1),
            helper.make_node('Div', ['focal', 'canonical_focal'], ['ratio']),
            helper.make_node('Mul', ['canonical', 'ratio'], ['depth']),
            helper.make_node('ReduceMin', ['thresholds'], ['least'], keepdims=0),
            helper.make_node('Mul', ['least', 'zero'], ['nothing']),
            helper.make_node('Add', ['table', 'nothing'], ['segments']),
        ]
        made = helper.make_graph(nodes, 'painted', values(info.graph_inputs()),
                                 values(info.graph_outputs()), [
            constant('starts', [0, 0], np.int64), constant('axes', [1, 2], np.int64),
            constant('ends', [info.input_height, info.input_width], np.int64),
            constant('steps', [s, s], np.int64),
            constant('red', 0, np.int64), constant('green', 1, np.int64),
            constant('canonical_focal', info.canonical_focal_px, np.float32),
            constant('zero', 0, np.float32), constant('table', TABLE[None], np.float32)])
        model = helper.make_model(made, opset_imports=[helper.make_opsetid('', info.opset)])
        model.ir_version = 10
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())
    return graph


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory, make_info: Callable[..., ModelInfo],
          painted_onnx: Callable[[ModelInfo], bytes]) -> Path:
    """Directory of the painted model, which takes no time."""
    path = tmp_path_factory.mktemp('model') / 'painted'
    save_model_directory(path, make_info(), painted_onnx(make_info()))
    return path


@pytest.fixture(scope='session')
def painted_image() -> Callable[[int, int], NDArray[np.uint8]]:
    """Return a picture for the painted model: sky over road, two cars and a person."""
    def paint(height: int, width: int) -> NDArray[np.uint8]:
        image = np.zeros((height, width, 3), np.uint8)
        image[:, :] = 0, 30, 0
        image[:height // 2] = 1, 200, 0
        for row, depth, x in ((2, 20, 0.1), (3, 10, 0.4), (4, 5, 0.7)):
            box = (slice(int(0.4 * height), int(0.9 * height)),
                   slice(int(x * width), int((x + 0.25) * width)))
            image[box] = row, depth, 0
        return image
    return paint


@pytest.fixture
def pictures(tmp_path: Path, painted_image: Callable[[int, int], NDArray[np.uint8]]) -> Path:
    """Folder of three painted pictures."""
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for name in 'abc':
        cv2.imwrite(str(folder / f'{name}.png'), painted_image(48, 96)[..., ::-1])
    return folder


@pytest.fixture
def painted_model(tmp_path, make_info, painted_onnx, painted_image) -> ModelDirectory:
    """Model directory of the painted model, with a self-test."""
    info = make_info()
    image = painted_image(info.input_height, info.input_width)
    s = info.output_stride
    test = SelfTest({
        'image': image, 'thresholds': info.thresholds.as_vector(),
        'intrinsics': np.array([CANONICAL_FOCAL_PX, CANONICAL_FOCAL_PX, 31.5, 15.5], np.float32)},
        GraphOutput(image[::s, ::s, 0], image[::s, ::s, 1].astype(np.float32), TABLE))
    return save_model_directory(tmp_path / 'painted', info, painted_onnx(info), test)
