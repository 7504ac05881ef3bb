# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What only a GPU can show: every runtime that uses one, against PyTorch on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
from panoptic_depth_core.errors import BackendError
from panoptic_depth_core.inference.backends import check_output, create_backend
from panoptic_depth_core.inference.backends.tensorrt_backend import usable
from panoptic_depth_core.model_directory import PRECISION_TOLERANCE, ModelDirectory

pytestmark = pytest.mark.gpu


@pytest.fixture(scope='module')
def model() -> ModelDirectory:
    """Return the shipped model; its self-test is what PyTorch on a CPU said of a picture."""
    return ModelDirectory.default()


@pytest.fixture(scope='module')
def gpu_torch():
    """PyTorch, where it sees a GPU."""
    torch = pytest.importorskip('torch')
    pytest.importorskip('onnx')
    if not torch.cuda.is_available():
        pytest.skip('PyTorch sees no CUDA device')
    return torch


@pytest.mark.usefixtures('gpu_torch')
@pytest.mark.parametrize('precision', ['float32', 'float16', 'bfloat16'])
@pytest.mark.parametrize('mode', ['eager', 'cuda_graph', pytest.param(
    'compile', marks=pytest.mark.slow)])
def test_torch(model, mode, precision):
    backend = create_backend(f'torch:device=cuda:mode={mode}:precision={precision}', model)
    report = model.self_test(backend)
    least, most = PRECISION_TOLERANCE[precision]
    assert report.equal_ids >= min(0.999, least) and report.depth_error <= max(1e-3, most)
    assert backend.gpu_memory_bytes > 0
    backend.close()
    with pytest.raises(BackendError, match='the backend is closed'):
        model.self_test(backend)


@pytest.mark.usefixtures('gpu_torch')
def test_graph_reads_every_frame_anew(model):
    """Two pictures in turns give what each gives alone; results are not overwritten."""
    test = model.load_self_test()
    mirrored = np.ascontiguousarray(test.inputs['image'][:, ::-1])
    backend = create_backend('torch:device=cuda:mode=cuda_graph', model)
    eager = create_backend('torch:device=cuda', model)
    first = backend.run(test.inputs)
    kept = first.segment_index.copy(), first.depth.copy()
    second = backend.run({**test.inputs, 'image': mirrored})
    np.testing.assert_array_equal(first.segment_index, kept[0])
    np.testing.assert_array_equal(first.depth, kept[1])
    assert (first.segment_index != second.segment_index).any()
    expected = eager.run({**test.inputs, 'image': mirrored})
    assert (second.segment_index == expected.segment_index).mean() > 0.999


@pytest.fixture(scope='module')
def engine(model, tmp_path_factory):
    """Return the model in TensorRT, built into a cache of its own."""
    problem = usable()
    if problem:
        pytest.skip(problem)
    made = create_backend('tensorrt', model, cache_dir=str(tmp_path_factory.mktemp('engines')))
    yield made
    made.close()


def test_tensorrt_agrees(model, engine):
    report = model.self_test(engine)
    assert report.equal_ids > 0.999 and report.depth_error < 1e-3
    assert engine.engine_key and engine.gpu_memory_bytes > 0


def test_tensorrt_reads_every_frame_anew(model, engine):
    test = model.load_self_test()
    mirrored = np.ascontiguousarray(test.inputs['image'][:, ::-1])
    first = engine.run(test.inputs)
    kept = first.segment_index.copy()
    second = engine.run({**test.inputs, 'image': mirrored})
    np.testing.assert_array_equal(first.segment_index, kept)
    assert (first.segment_index != second.segment_index).any()
    check_output(second, model.info, engine.name)
    again = engine.run(test.inputs)
    np.testing.assert_array_equal(again.segment_index, kept)


def test_onnxruntime_on_the_gpu(model):
    onnxruntime = pytest.importorskip('onnxruntime')
    if 'CUDAExecutionProvider' not in onnxruntime.get_available_providers():
        pytest.skip('this ONNX Runtime has no CUDAExecutionProvider')
    backend = create_backend('onnxruntime:providers=CUDAExecutionProvider', model)
    report = model.self_test(backend)
    assert report.equal_ids > 0.999 and report.depth_error < 1e-3
