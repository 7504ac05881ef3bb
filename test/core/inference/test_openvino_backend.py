# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What is OpenVINO's own; what every backend does is in test_backends.py."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.inference.backends import create_backend
from panoptic_depth_core.model_directory import ModelDirectory, compare, save_model_directory


@pytest.fixture(scope='module')
def openvino():
    return pytest.importorskip('openvino', reason='OpenVINO is in the extra [openvino]')


@pytest.fixture
def needs_bfloat16(openvino):
    if 'BF16' not in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
        pytest.skip('this processor does not compute in bfloat16')


def test_not_installed(painted_model, monkeypatch):
    monkeypatch.setitem(sys.modules, 'openvino', None)
    with pytest.raises(BackendError, match=r"pip install 'panoptic-depth\[openvino\]'"):
        create_backend('openvino', painted_model)


@pytest.mark.usefixtures('openvino')
def test_float32_unless_asked():
    """OpenVINO itself would choose bfloat16, which the self-test of float32 would not pass."""
    model = ModelDirectory.default()
    backend = create_backend('openvino', model, threads=1)
    assert backend.precision == 'float32'
    report = compare(backend, model.load_self_test())
    assert report.equal_ids >= 0.999 and report.depth_error < 1e-5


@pytest.mark.usefixtures('needs_bfloat16')
def test_bfloat16_is_judged_as_such():
    model = ModelDirectory.default()
    backend = create_backend('openvino:precision=bfloat16', model, threads=1)
    assert backend.precision == 'bfloat16'
    assert model.self_test(backend).depth_error > 1e-3


def test_bfloat16_that_the_processor_lacks(openvino, painted_model):
    if 'BF16' in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
        pytest.skip('this processor computes in bfloat16')
    with pytest.raises(ConfigError, match='precision is bfloat16, but this .*; choose float32'):
        create_backend('openvino:precision=bfloat16', painted_model)


@pytest.mark.usefixtures('openvino')
def test_results_outlive_the_next_run(painted_model, painted_image):
    backend = create_backend('openvino', painted_model)
    given = {'image': painted_image(32, 64),
             'intrinsics': np.array([50, 50, 31.5, 15.5], np.float32),
             'thresholds': painted_model.info.thresholds.as_vector()}
    given['image'].flags.writeable = False
    first = backend.run(given)
    before = first.depth.copy()
    backend.run({**given, 'image': np.zeros((32, 64, 3), np.uint8)})
    assert np.array_equal(first.depth, before) and before.any()


@pytest.mark.usefixtures('openvino')
def test_graph_that_is_none(tmp_path, make_info):
    model = save_model_directory(tmp_path, make_info(), b'not a graph')
    with pytest.raises(BackendError, match=r'model\.onnx: OpenVINO .* cannot load it: Unable to '
                       'read .*; update openvino, export'):
        create_backend('openvino', model)


@pytest.mark.usefixtures('openvino')
def test_graph_of_another_size(tmp_path, make_info, painted_onnx):
    model = save_model_directory(tmp_path, make_info(input_width=128), painted_onnx(make_info()))
    with pytest.raises(ConfigError, match=r"input 'image' is uint8 \(1, 32, 64, 3\), but .* "
                       r'uint8 \(1, 32, 128, 3\); export the model again'):
        create_backend('openvino', model)


@pytest.mark.usefixtures('openvino')
def test_operator_of_the_published_model(tmp_path, make_info):
    """It has no deformable convolution; the model can be converted without."""
    onnx = pytest.importorskip('onnx', reason='graphs are made with onnx, of the extra [export]')
    from onnx import TensorProto, helper
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n, 8, 8])
              for name, n in (('x', 1), ('offset', 18), ('y', 1))}
    weight = helper.make_tensor('w', TensorProto.FLOAT, [1, 1, 3, 3], [1.0] * 9)
    node = helper.make_node('DeformConv', ['x', 'w', 'offset'], ['y'], pads=[1, 1, 1, 1])
    graph = helper.make_model(
        helper.make_graph([node], 'deformable', [values['x'], values['offset']], [values['y']],
                          [weight]), opset_imports=[helper.make_opsetid('', 19)], ir_version=10)
    onnx.checker.check_model(graph)
    model = save_model_directory(tmp_path, make_info(opset=19), graph.SerializeToString())
    with pytest.raises(BackendError, match=r'cannot load it: .*DeformConv.*; convert the model '
                       r'with grid_sample in place of that \(--deformable\)'):
        create_backend('openvino', model)
