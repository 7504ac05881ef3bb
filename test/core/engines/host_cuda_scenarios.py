# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What is tried on host_cuda.c, in a process in which that is the driver; see test_cuda.py.

The packages for CUDA are the real ones: ``python host_cuda_scenarios.py pycuda`` runs every
function of SCENARIOS through one of them and prints a line of JSON for each.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from panoptic_depth_core.engines import BuiltEngine
from panoptic_depth_core.engines.cache import EngineCache
from panoptic_depth_core.engines.cuda import Device, Executor, bindings, find_gpu
from panoptic_depth_core.engines.cuda.bindings import DRIVER
from panoptic_depth_core.engines.library import Library
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.inference.backends import tensorrt_backend
from panoptic_depth_core.inference.backends.tensorrt_backend import TensorRtBackend
from panoptic_depth_core.model_directory import ModelDirectory

SHAPE = (2, 3)
IMAGE = np.arange(6, dtype=np.uint8).reshape(SHAPE)
NOTHING = dict.fromkeys(('device', 'host', 'streams', 'graphs', 'contexts', 'stack',
                         'leaked', 'unpinned'), 0)
BEFORE: dict[str, int] = {}


def held(lost: bool = False) -> dict[str, int]:
    """
    What the driver holds, and what it has seen of mistakes since the scenario began.

    :param lost: a GPU was: what it held when its context went is nobody's mistake.
    """
    found = {name: count(name) - BEFORE.get(name, 0) for name in NOTHING}
    return found | {'leaked': 0} if lost else found


def count(name: str) -> int:
    return int(ctypes.CDLL(DRIVER).host_cuda_count(name.encode()))


def fail(function: str, after: int, code: int) -> None:
    """Make a function of the driver fail when it is called for the n-th time; -1: each time."""
    ctypes.CDLL(DRIVER).host_cuda_fail(function.encode(), after, code)


class Adder:
    """A device with work on it that adds a number to every byte, with one buffer on each side."""

    def __init__(self, number: int = 3) -> None:
        self.number = number
        self.device = Device()
        self.during_work: Callable[[], object] = int
        try:
            self.executor = Executor(self.device, {'x': ('uint8', SHAPE)},
                                     {'y': ('uint8', SHAPE)}, self.work)
        except BaseException:
            self.device.close()
            raise

    def work(self) -> None:
        self.during_work()
        x, y = (ctypes.c_void_p(self.executor.addresses[name]) for name in 'xy')
        code = ctypes.CDLL(DRIVER).host_cuda_add(
            y, x, ctypes.c_size_t(IMAGE.size), self.number, ctypes.c_void_p(self.device.stream))
        if code:
            raise BackendError(f'the adder failed with {code}')

    def __call__(self, image: NDArray[np.uint8] = IMAGE) -> NDArray[Any]:
        return self.executor.run([image])[0]


def works_anew() -> None:
    """A new device works, and gives everything back."""
    adder = Adder()
    adder.executor.warm_up()
    adder.executor.capture()
    assert np.array_equal(adder(), IMAGE + 3)
    adder.device.close()
    assert held(lost=True) == NOTHING


def frames_are_the_same_with_and_without_a_graph() -> None:
    adder = Adder()
    adder.executor.warm_up()
    first = adder()
    adder.executor.capture()
    assert adder.executor.is_captured
    second, kept = adder(IMAGE + 10), first.copy()
    assert np.array_equal(first, IMAGE + 3) and np.array_equal(second, IMAGE + 13)
    # They are the caller's own: neither the next frame nor the end changes them.
    adder.device.close()
    assert np.array_equal(first, kept) and first.flags.owndata
    assert held() == NOTHING


def a_frame_allocates_nothing_on_either_side() -> None:
    adder = Adder()
    adder.executor.warm_up()
    before = count('allocations')
    for captured in (False, True):
        assert adder.executor.is_captured == captured
        for _ in range(3):
            adder()
        adder.executor.capture()
    assert count('allocations') == before
    adder.device.close()


def buffers_begin_with_zeros() -> None:
    adder = Adder()
    with adder.device:
        free = adder.device.free_memory()
        array = adder.device.allocate('float32', (4, 5)).array
        assert array.dtype == np.float32 and array.shape == (4, 5) and not array.any()
        assert adder.device.free_memory() == free - array.nbytes
    adder.device.close()
    assert held() == NOTHING


def without_a_graph_when_the_capture_fails() -> None:
    for function, code in (('cuStreamEndCapture', 901), ('cuStreamBeginCapture_v2', 900),
                           ('cuGraphInstantiateWithFlags', 2), ('cuGraphLaunch', 2)):
        adder = Adder()
        adder.executor.warm_up()
        fail(function, 1, code)
        adder.executor.capture()
        assert not adder.executor.is_captured, function
        if function != 'cuStreamEndCapture':
            assert np.array_equal(adder(), IMAGE + 3), function
        adder.device.close()
        assert held(lost=True) == NOTHING, function


def without_a_graph_when_the_work_cannot_be_captured() -> None:
    adder = Adder()
    adder.executor.warm_up()
    adder.during_work = lambda: adder.device.allocate('uint8', (10,))
    adder.executor.capture()
    adder.during_work = int
    assert not adder.executor.is_captured
    assert np.array_equal(adder(), IMAGE + 3)
    adder.device.close()
    assert held() == NOTHING


def memory_is_used_up() -> None:
    for function, code in (('cuMemAlloc_v2', 2), ('cuMemHostAlloc', 2), ('cuStreamCreate', 2)):
        fail(function, -1, code)
        with pytest.raises(BackendError, match='memory of the GPU is used up.*close other'):
            Adder()
        fail('', 0, 0)
        assert held() == NOTHING, function
        works_anew()


def the_gpu_is_lost() -> None:
    for function, code in (('cuStreamSynchronize', 700), ('cuGraphLaunch', 719)):
        adder = Adder()
        adder.executor.warm_up()
        adder.executor.capture()
        fail(function, 1, code)
        for _ in range(2):
            with pytest.raises(BackendError, match=f'GPU was lost.*CUDA error {code}.*load the'):
                adder()
        adder.device.close()
        assert held(lost=True) == NOTHING, function
        works_anew()


def a_lost_gpu_cannot_be_entered() -> None:
    adder = Adder()
    adder.executor.warm_up()
    released = []
    fail('cuCtxPushCurrent_v2', 1, 709)
    adder.device.close(lambda: released.append(True))
    assert released and held(lost=True) == NOTHING
    works_anew()


def a_device_belongs_to_a_thread() -> None:
    adder = Adder()
    adder.executor.warm_up()
    said: list[str] = []

    def other() -> None:
        for use in (adder, adder.device.close):
            with pytest.raises(BackendError) as caught:
                use()
            said.append(str(caught.value))
        # Another thread has its own.
        second = Adder(5)
        second.executor.warm_up()
        said.append(str(second()[0, 0]))
        second.device.close()

    thread = threading.Thread(target=other, name='other')
    thread.start()
    thread.join()
    assert len(said) == 3 and said[2] == '5'
    assert all("belongs to the thread 'MainThread'" in text for text in said[:2])
    assert np.array_equal(adder(), IMAGE + 3)
    adder.device.close()
    assert held() == NOTHING


def the_context_that_was_current_is_again() -> None:
    outer = Device()
    with outer:
        adder = Adder()
        adder()
        assert count('stack') == 1
        adder.device.close()
        assert count('stack') == 1
        outer.synchronize()
    outer.close()
    assert held() == NOTHING


def a_closed_device_says_so() -> None:
    adder = Adder()
    adder.device.close()
    adder.device.close()
    with pytest.raises(BackendError, match='closed; load the model anew'):
        adder()


def what_is_known_of_the_gpu() -> None:
    gpu = find_gpu()
    assert (gpu.device_id, gpu.name, gpu.compute_capability, gpu.cuda) == (
        0, 'Host GPU 0', '8.6', '13.0')
    assert gpu.driver
    with pytest.raises(ConfigError, match=r'device_id is 7.*choose 0\.\.0, or -1'):
        Device(7)
    fail('cuInit', 1, 100)
    with pytest.raises(BackendError, match='no NVIDIA GPU can be used.*nvidia-smi'):
        Device()
    assert held() == NOTHING


def the_backend_needs_an_engine() -> None:
    pytest.importorskip('tensorrt_rtx')
    assert tensorrt_backend.usable() == ''
    assert 'device_id is 5' in tensorrt_backend.usable(5)
    with tempfile.TemporaryDirectory() as folder, \
            pytest.raises(BackendError, match='no engine fits.*build policy auto'):
        TensorRtBackend(ModelDirectory.default(), cache_dir=os.path.join(folder, 'engines'),
                        build_policy='never', library='tensorrt_rtx')
    assert held() == NOTHING


class StandIn:
    """
    Module, runtime, engine, configuration and context of TensorRT for RTX in one object.

    A run puts the outputs of the model's self-test into the stream; what else is called returns
    the object itself.
    """

    def __init__(self, model: ModelDirectory, wrong_depth: float = 1.0) -> None:
        test = model.load_self_test()
        self.outputs = {name: np.ascontiguousarray(getattr(test.output, name)[None])
                        for name in model.info.graph_outputs()}
        self.outputs['depth'] *= np.float32(wrong_depth)
        self.inputs = {name: (np.dtype(dtype), shape)
                       for name, (dtype, shape) in model.info.graph_inputs().items()}
        self.names = [*self.inputs, *self.outputs]
        self.num_io_tensors = len(self.names)
        self.addresses: dict[str, int] = {}
        self.ILogger = object
        self.TensorIOMode = SimpleNamespace(INPUT=True, OUTPUT=False)
        self.CudaGraphStrategy = SimpleNamespace(DISABLED=0)
        self.ComputeCapability = SimpleNamespace(__members__={'SM86': 0})

    def Runtime(self, logger: object) -> StandIn:
        return self

    deserialize_cuda_engine = create_execution_context = Runtime

    def create_runtime_config(self) -> StandIn:
        return self

    create_runtime_cache = create_runtime_config

    def deserialize(self, data: bytes) -> bool:
        return data == b'kernels'

    def serialize(self) -> bytes:
        return b'kernels'

    def set_runtime_cache(self, cache: object) -> None:
        self.cached = cache

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_mode(self, name: str) -> bool:
        return name in self.inputs

    def get_tensor_dtype(self, name: str) -> Any:
        dtype = self.inputs[name][0] if name in self.inputs else self.outputs[name].dtype
        return SimpleNamespace(name={'float32': 'FLOAT'}.get(dtype.name, dtype.name.upper()))

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.inputs[name][1] if name in self.inputs else self.outputs[name].shape

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return name in self.names

    def is_stream_capturable(self, stream: int) -> bool:
        return stream != 0

    def execute_async_v3(self, stream: int) -> bool:
        driver = ctypes.CDLL(DRIVER)
        # Nothing is added, so this is a copy.
        return not any(driver.host_cuda_add(
            ctypes.c_void_p(self.addresses[name]), ctypes.c_void_p(array.ctypes.data),
            ctypes.c_size_t(array.nbytes), 0, ctypes.c_void_p(stream))
            for name, array in self.outputs.items())


def backend_with(stand_in: StandIn, folder: str, **options: Any) -> TensorRtBackend:
    """Backend whose TensorRT is a stand-in, and whose engines are built of nothing."""
    library = Library(stand_in, 'tensorrt_rtx', '1.7')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensorrt_backend, 'find_library', lambda name: library)
        patch.setattr(tensorrt_backend, 'model_builder', lambda *_, **options: (
            lambda timing_cache, watch: BuiltEngine(b'engine')))
        return TensorRtBackend(ModelDirectory.default(), cache_dir=folder, **options)


def the_backend_tests_and_runs_an_engine() -> None:
    model = ModelDirectory.default()
    test = model.load_self_test()
    with tempfile.TemporaryDirectory() as folder:
        for policy, cuda_graph in (('auto', True), ('never', False)):
            stand_in = StandIn(model)
            backend = backend_with(stand_in, folder, build_policy=policy, cuda_graph=cuda_graph)
            output = backend.run(test.inputs)
            assert np.array_equal(output.depth, test.output.depth, equal_nan=True)
            assert np.array_equal(output.segment_index, test.output.segment_index)
            assert backend.gpu_memory_bytes == sum(
                array.nbytes for array in (*test.inputs.values(), *stand_in.outputs.values()))
            assert backend.engine_key.startswith('fast')
            backend.close()
            assert held() == NOTHING
        cache = EngineCache(folder)
        (entry,) = cache.entries()
        assert entry.record.self_test.equal_ids == 1.0 and not entry.problem
        assert cache.load_extra(cache.runtime_path(entry.record.key)) == b'kernels'


def an_engine_that_is_off_is_set_aside() -> None:
    model = ModelDirectory.default()
    with tempfile.TemporaryDirectory() as folder:
        with pytest.raises(BackendError, match='self-test of .* relative depth error 0.5'):
            backend_with(StandIn(model, 1.5), folder)
        with pytest.raises(BackendError, match='is set aside: self-test of'):
            backend_with(StandIn(model), folder)
        backend_with(StandIn(model), folder, build_policy='force').close()
    assert held() == NOTHING


SCENARIOS: dict[str, Callable[[], None]] = {function.__name__: function for function in (
    frames_are_the_same_with_and_without_a_graph, a_frame_allocates_nothing_on_either_side,
    buffers_begin_with_zeros, without_a_graph_when_the_capture_fails,
    without_a_graph_when_the_work_cannot_be_captured, memory_is_used_up, the_gpu_is_lost,
    a_lost_gpu_cannot_be_entered, a_device_belongs_to_a_thread,
    the_context_that_was_current_is_again, a_closed_device_says_so, what_is_known_of_the_gpu,
    the_backend_needs_an_engine, the_backend_tests_and_runs_an_engine,
    an_engine_that_is_off_is_set_aside)}


def main(package: str) -> None:
    """Run all scenarios through one package."""
    bindings.PACKAGES = {package: bindings.PACKAGES[package]}
    # pycuda names more functions of the driver than are tried here.
    sys.setdlopenflags(os.RTLD_LAZY)
    for name, scenario in SCENARIOS.items():
        BEFORE.update({key: count(key) for key in ('leaked', 'unpinned')})
        try:
            scenario()
            problem = ''
        except pytest.skip.Exception as skipped:
            problem = f'skip: {skipped}'
        except BaseException:
            problem = traceback.format_exc()
        fail('', 0, 0)
        print(json.dumps([name, problem]), flush=True)


if __name__ == '__main__':
    main(sys.argv[1])
