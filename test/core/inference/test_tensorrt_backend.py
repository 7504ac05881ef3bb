# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What of the TensorRT backend can be tried without a GPU: when it can run, what it refuses.

Its buffers and graphs are tried in test/core/engines/test_cuda.py, its engines in test_build.py.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from panoptic_depth_core.engines.build import model_builder
from panoptic_depth_core.engines.cuda import Gpu, find_gpu
from panoptic_depth_core.engines.library import find_library
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.inference.backends import tensorrt_backend
from panoptic_depth_core.inference.backends.tensorrt_backend import TensorRtBackend, usable
from panoptic_depth_core.model_directory import ModelDirectory

GPU = Gpu(0, 'NVIDIA RTX A4000', '8.6', '580.65.06', '13.0')


@pytest.fixture(scope='module')
def model() -> ModelDirectory:
    return ModelDirectory.default()


@pytest.fixture
def no_gpu() -> str:
    """Why no GPU can be used here."""
    try:
        find_gpu()
    except BackendError as error:
        return str(error)
    pytest.skip('there is a GPU')


def test_without_a_gpu_it_is_not_usable(no_gpu: str) -> None:
    """The reason is that of the driver, and no exception."""
    assert usable() == no_gpu


def test_without_a_gpu_it_cannot_be_made(no_gpu: str, model: ModelDirectory,
                                         tmp_path: Path) -> None:
    """Nothing is built or written."""
    pytest.importorskip('tensorrt_rtx')
    with pytest.raises(BackendError) as caught:
        TensorRtBackend(model, cache_dir=str(tmp_path / 'engines'), library='tensorrt_rtx')
    assert str(caught.value) == no_gpu
    assert not list(tmp_path.iterdir())


def test_chips_that_the_library_has_no_code_for() -> None:
    """TensorRT for RTX has none for the GPUs of data centers of compute capability 9.0."""
    pytest.importorskip('tensorrt_rtx')
    library = find_library('tensorrt_rtx')
    assert tensorrt_backend._unsupported(library, GPU) == ''
    chip = Gpu(0, 'NVIDIA H200', '9.0', 'unknown', '13.0')
    assert 'has no code for NVIDIA H200 (sm_90), only for sm_75' in tensorrt_backend._unsupported(
        library, chip)
    chip = Gpu(0, 'GeForce RTX 2080', '7.5', 'unknown', '13.0')
    assert 'no float32 matrix products for GeForce RTX 2080' in tensorrt_backend._unsupported(
        library, chip)


def test_an_unknown_library_is_refused(model: ModelDirectory) -> None:
    """Before anything is done on the GPU."""
    with pytest.raises(ConfigError, match="library is 'tensor_rt'; choose"):
        TensorRtBackend(model, library='tensor_rt')


def test_every_part_of_the_machine_is_in_the_key(model: ModelDirectory) -> None:
    """Another GPU, driver, CUDA, limit or library is another engine."""
    pytest.importorskip('tensorrt_rtx')
    library = find_library('tensorrt_rtx')
    key = tensorrt_backend._key(model, library, GPU, 0)
    assert (key.gpu, key.compute_capability, key.driver, key.cuda, key.library) == (
        'NVIDIA RTX A4000', '8.6', '580.65.06', '13.0', 'tensorrt_rtx')
    assert key.options == {'workspace_mib': '0'} and key.target == GPU.target
    others: list[dict[str, Any]] = [{'name': 'another'}, {'driver': '535'}, {'cuda': '12.2'}]
    digests = {key.digest, tensorrt_backend._key(model, library, GPU, 64).digest} | {
        tensorrt_backend._key(model, library, Gpu(**{**vars(GPU), **change}), 0).digest
        for change in others}
    assert len(digests) == 5


def test_the_graph_that_is_built_is_that_of_the_key(model: ModelDirectory,
                                                    tmp_path: Path) -> None:
    """A graph that was replaced after it was checked would get the other one's key."""
    pytest.importorskip('tensorrt_rtx')
    (tmp_path / model.info.onnx_file).write_bytes(b'another graph')
    replaced = ModelDirectory(tmp_path, model.info)
    assert hashlib.sha256(b'another graph').hexdigest() != model.info.onnx_sha256
    with pytest.raises(ConfigError, match=r'model\.onnx: it was replaced since'):
        model_builder(replaced, find_library('tensorrt_rtx'))(b'', lambda done, what: True)


def test_sizes_that_are_not_fixed_are_refused() -> None:
    """The rows of the table are the one size that the contract leaves to the engine."""
    assert tensorrt_backend._sizes({'segments': ('float32', (1, 64, 6))}) == {
        'segments': ('float32', (1, 64, 6))}
    with pytest.raises(ConfigError, match='segments of the engine has no fixed size'):
        tensorrt_backend._sizes({'segments': ('float32', (1, -1, 6))})
