# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Model directories in other precisions: made, tested in a runtime, refused, built."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.inference.backends import create_backend
from panoptic_depth_core.model_directory import ModelDirectory, compare, write_model_info
from panoptic_depth_core.structures import Frame, Intrinsics
from tensorrt_graphs import rtx_library

onnx = pytest.importorskip('onnx', reason='conversions need the extra [export]')

from onnx import TensorProto, numpy_helper  # noqa: E402
from panoptic_depth_core.export import precision as precision_module  # noqa: E402
from panoptic_depth_core.export.precision import (  # noqa: E402
    FLOAT_DEPTH,
    LEAST_FRAMES,
    convert_precision,
)

KINDS = ('float16', 'bfloat16', 'int8')


@pytest.fixture(scope='module')
def frames():
    """Pictures of noise over the whole range, of the size of the input."""
    rng = np.random.default_rng(0)
    return [Frame(rng.integers(0, 256, (32, 64, 3), np.uint8), Intrinsics.from_focal(60, 64, 32))
            for _ in range(LEAST_FRAMES)]


@pytest.fixture
def converted(convolved_model, frames, tmp_path):
    """Return a maker of converted models, by precision."""
    def make(precision, **options):
        if precision == 'bfloat16':
            pytest.importorskip('openvino', reason='bfloat16 runs on a CPU in OpenVINO only')
        return convert_precision(convolved_model(), tmp_path / 'converted', precision,
                                 frames if precision == 'int8' else (), **options)
    return make


@pytest.mark.parametrize('precision', KINDS)
def test_a_whole_model_directory(precision, converted, painted_model):
    model = converted(precision)
    assert model == ModelDirectory.load(model.path)
    info = model.info
    assert info.precision == precision and info.model_id == f'painted-{precision}'
    assert info.opset == (22 if precision == 'bfloat16' else 18)
    assert {'onnx', 'onnxruntime'} <= set(info.producer)
    assert info.producer.get('calibration_frames') == ('16' if precision == 'int8' else None)
    same = {'classes', 'input_height', 'thresholds', 'weights_licence', 'self_test'}
    assert info.model_dump(include=same) == painted_model.info.model_dump(include=same)
    test, first = model.load_self_test(), painted_model.load_self_test()
    assert np.array_equal(test.inputs['image'], first.inputs['image'])
    assert np.array_equal(test.output.depth, first.output.depth)
    assert (model.path / 'LICENSE.txt').read_text() == 'CC0-1.0'


@pytest.mark.parametrize(('precision', 'kind'), [
    ('float16', TensorProto.FLOAT16), ('bfloat16', TensorProto.BFLOAT16)])
def test_weights_of_low_precision(precision, kind, converted):
    weights = {t.name: t.data_type for t in onnx.load(converted(precision).onnx_path)
               .graph.initializer if t.name.startswith('weight')}
    low = [f'weight {i}.{precision}' for i in range(FLOAT_DEPTH[precision], 11)]
    wide = [f'weight {i}' for i in (*range(FLOAT_DEPTH[precision]), 11)]
    assert weights == dict.fromkeys(low, kind) | dict.fromkeys(wide, TensorProto.FLOAT)


@pytest.mark.parametrize(('symmetric', 'activations', 'around'), [
    (False, TensorProto.UINT8, 2), (True, TensorProto.INT8, 1)])
def test_what_is_quantised(symmetric, activations, around, converted):
    """Convolutions 9 and 10 of 0 to 11; uint8 in and out, or int8 about zero in."""
    graph = onnx.load(converted('int8', symmetric=symmetric).onnx_path).graph
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    types = {t.name: t.data_type for t in graph.initializer}
    made_by = {node.output[0]: node.op_type for node in graph.node}
    quantised = [node.name for node in graph.node if node.op_type == 'Conv'
                 and all(made_by.get(name) == 'DequantizeLinear' for name in node.input)]
    assert quantised == ['conv 9', 'conv 10']
    points = {node.input[2] for node in graph.node if node.op_type == 'QuantizeLinear'}
    assert {types[name] for name in points} == {activations}
    weights = {name for name in types if name.startswith('weight') and types[name] == 3}
    assert len({name for name in weights if 'zero' not in name}) == 2
    if symmetric:
        assert not any(values[name].any() for name in points)
    assert sum(node.op_type == 'QuantizeLinear' for node in graph.node) == around + 1


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
@pytest.mark.parametrize('symmetric', [False, True])
def test_int8_runs(backend, symmetric, converted):
    pytest.importorskip(backend)
    model = converted('int8', symmetric=symmetric)
    runtime = create_backend(backend, model, threads=1)
    test = model.load_self_test()
    found = runtime.run(test.inputs)
    # 0 to 255 in 255 steps, or in 127 of which half are below zero.
    assert np.abs(found.depth - test.output.depth).max() <= (0.01 if not symmetric else 1.1)
    assert np.array_equal(found.segment_index, test.output.segment_index)


@pytest.mark.parametrize('precision', KINDS)
def test_the_same_again(precision, converted):
    first = converted(precision).info.onnx_sha256
    assert converted(precision).info.onnx_sha256 == first


def test_numbers_that_float16_cannot_hold(convolved_model, tmp_path, frames):
    """The self-test reaches 200 * 300; a frame at 255 * 300 is beyond 65504."""
    model = convolved_model(300.0)
    convert_precision(model, tmp_path / 'held', 'float16')
    with pytest.raises(ConfigError, match=r"model\.onnx: tensor '[xy] 1' reaches 76500, but "
                       'float16 holds at most 65504; choose bfloat16'):
        convert_precision(model, tmp_path / 'out', 'float16', frames)
    assert not (tmp_path / 'out').exists()


def test_a_weight_that_float16_cannot_hold(convolved_model, tmp_path):
    with pytest.raises(ConfigError, match="weight 'weight 0' is not finite or exceeds 65504"):
        convert_precision(convolved_model(1e5), tmp_path / 'out', 'float16')


def test_a_conversion_that_fails_its_test_leaves_nothing(convolved_model, tmp_path, monkeypatch):
    model = convolved_model()

    def wrong_graph(graph, names, kind):
        tensor = next(t for t in graph.initializer if t.name == 'weight 3')
        tensor.CopyFrom(numpy_helper.from_array(np.ones((1, 1, 3, 3), np.float32), 'weight 3'))

    monkeypatch.setattr(precision_module, 'cast_nodes', wrong_graph)
    with pytest.raises(BackendError, match='self-test of painted-float16 on onnxruntime: .*depth'):
        convert_precision(model, tmp_path / 'out', 'float16')
    assert not (tmp_path / 'out').exists()


def test_bfloat16_without_openvino(convolved_model, tmp_path, monkeypatch, caplog):
    """What was not tested is said."""
    monkeypatch.setitem(sys.modules, 'openvino', None)
    with caplog.at_level(logging.WARNING):
        convert_precision(convolved_model(), tmp_path / 'out', 'bfloat16')
    assert 'painted-bfloat16 is not tested' in caplog.text
    assert "pip install 'panoptic-depth[openvino]'" in caplog.text


def test_refused(convolved_model, painted_model, frames, tmp_path):
    model = convolved_model()
    with pytest.raises(ConfigError, match='15 frames for calibration are too few .* at least 16'):
        convert_precision(model, tmp_path / 'out', 'int8', frames[1:])
    with pytest.raises(ConfigError, match='holds the float32 model; give another output'):
        convert_precision(model, model.path, 'float16')
    with pytest.raises(ConfigError, match='no convolution that may be computed in low precision'):
        convert_precision(painted_model, tmp_path / 'out', 'float16')
    half = convert_precision(model, tmp_path / 'half', 'float16')
    with pytest.raises(ConfigError, match='its precision is float16 already; convert the float32'):
        convert_precision(half, tmp_path / 'out', 'int8', frames)
    write_model_info(model.path, model.info.model_copy(update={'self_test': None}))
    with pytest.raises(ConfigError, match='has no self-test'):
        convert_precision(ModelDirectory.load(model.path), tmp_path / 'out', 'float16')


def test_pytorch_runs_float32_only(converted):
    with pytest.raises(BackendError, match='torch: .* was converted to int8 .* give the float32'):
        create_backend('torch', converted('int8'))


@pytest.mark.slow
@pytest.mark.tensorrt
@pytest.mark.parametrize(('precision', 'symmetric'), [
    ('float32', False), ('float16', False), ('bfloat16', False), ('int8', True)])
def test_engines_of_the_shipped_model(precision, symmetric, tmp_path):
    """TensorRT takes the graph as it is typed, and float16 and int8 make the engine smaller."""
    from panoptic_depth_core.engines.build import build_engine
    library = rtx_library()
    model = ModelDirectory.default()
    if precision != 'float32':
        model = convert_precision(model, tmp_path / 'out', precision, streets(model),
                                  symmetric=symmetric)
    for target in ('sm_86', 'sm_120'):
        built = build_engine(model.onnx_path.read_bytes(), library, target=target)
        assert len(built.engine) > model.info.onnx_bytes / 2


def streets(model):
    """Shifted copies of the self-test's image; what is to be learned of them is a range."""
    test = model.load_self_test()
    image = test.inputs['image']
    camera = Intrinsics(*map(float, test.inputs['intrinsics']), width=image.shape[1],
                        height=image.shape[0])
    return [Frame(np.roll(image, 37 * i, axis=1), camera) for i in range(LEAST_FRAMES)]


@pytest.mark.slow
@pytest.mark.tensorrt
def test_tensorrt_refuses_what_is_for_cpus(tmp_path):
    """So there are two forms of int8."""
    from panoptic_depth_core.engines.build import build_engine
    library = rtx_library()
    model = ModelDirectory.default()
    model = convert_precision(model, tmp_path / 'out', 'int8', streets(model))
    with pytest.raises(BackendError, match=r"node '.*_(De)?[qQ]uantizeLinear'.* "
                       'export it with --symmetric'):
        build_engine(model.onnx_path.read_bytes(), library, target='sm_86')


@pytest.mark.slow
def test_int8_of_the_shipped_model(tmp_path):
    """Calibrated on pictures like that of the self-test, it is as near to it as it claims."""
    model = ModelDirectory.default()
    converted = convert_precision(model, tmp_path / 'out', 'int8', streets(model))
    assert converted.info.onnx_bytes < 0.7 * model.info.onnx_bytes
    report = compare(create_backend('onnxruntime', converted), model.load_self_test())
    assert report.equal_ids > 0.9 and 1e-3 < report.depth_error < 0.3
