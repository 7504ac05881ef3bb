# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""TensorRT, full or for RTX: the graph as an engine of its own for one GPU."""

from __future__ import annotations

import logging

from ...contract import Arrays
from ...engines import BuiltEngine
from ...engines.build import build_engine, read_graph
from ...engines.cache import EngineCache
from ...engines.cuda import Device, Executor, Gpu, find_gpu, open_device
from ...engines.cuda.bindings import import_package
from ...engines.cuda.executor import BufferSpec
from ...engines.key import EngineKey
from ...engines.library import Library, find_library
from ...engines.obtain import BuildPolicy, obtain_engine
from ...engines.record import StoredEngine
from ...engines.runtime import LoadedEngine
from ...errors import BackendError, ConfigError
from ...model_directory import ModelDirectory
from ...model_info import TensorSpec
from ...status import Watch
from . import Backend

MODEL_ENGINES = 'engines'
"""Folder of a model directory with engines that were built ahead of time."""

_log = logging.getLogger(__name__)


class TensorRtBackend(Backend):
    """
    An engine of the model on one GPU, built and tested when it is not in the cache.

    Whatever thread makes it runs and closes it.

    :param device_id: number of the GPU; -1 is the first one.
    :param cache_dir: where engines are kept; empty: that of this user.
    :param build_policy: auto: build when none fits; never: fail then; force: build anyway.
    :param workspace_mib: most memory that a layer may use while it runs; 0: no limit.
    :param cuda_graph: launch a frame as one CUDA graph, where that is possible.
    :param library: 'tensorrt' or 'tensorrt_rtx'; empty: the first that is there.
    :param trust_model_engines: also take engines that were built ahead of time from the model
        directory; only for one that you made, as an engine is code.
    :param watch: is told of building, and may cancel it.
    :raises ConfigError: for a wrong option, an engine that breaks the contract, a cache that is
        not to be trusted.
    :raises BackendError: when a package or GPU is missing, the build or the self-test fails.
    """

    name = 'tensorrt'

    def __init__(self, model: ModelDirectory, *, device_id: int = -1, cache_dir: str = '',
                 build_policy: BuildPolicy = 'auto', workspace_mib: int = 0,
                 cuda_graph: bool = True, library: str = '', trust_model_engines: bool = False,
                 watch: Watch | None = None) -> None:
        self._model = model
        self._engine: LoadedEngine | None = None
        self._executor: Executor | None = None
        found = find_library(library)
        self._device: Device | None = open_device(device_id)
        try:
            problem = _unsupported(found, self._device.gpu)
            if problem:
                # Nobody chooses this backend without a reason, and the library says it best.
                _log.warning('%s; it is tried all the same', problem)
            cache = EngineCache(cache_dir or None)
            elsewhere = [EngineCache(model.path / MODEL_ENGINES)] if trust_model_engines else []
            key = _key(model, found, self._device.gpu, workspace_mib)
            with self._device as device:
                free = device.free_memory()
                stored = obtain_engine(
                    cache, key, lambda timing, watch: _build(
                        model, found, device.gpu, workspace_mib, timing, watch),
                    build_policy, watch, elsewhere, library_is_rtx=found.is_rtx)
                self._load(device, found, stored, cache, cuda_graph)
                self.gpu_memory_bytes = max(free - device.free_memory(), 0)
            self.engine_key = key.name
            if not stored.is_tested and model.info.self_test is not None:
                self._test(device, cache, key)
        except BaseException:
            self.close()
            raise

    def _run(self, inputs: Arrays) -> Arrays:
        assert self._executor is not None
        outputs = self._executor.run(list(inputs.values()))
        return dict(zip(self._outputs, outputs, strict=True))

    def stage_times_ms(self) -> dict[str, float]:
        """
        Time of the GPU for the last frame in each of executor.STAGES, without a CUDA graph.

        :raises BackendError: when it is closed or the GPU fails.
        """
        if self._executor is None:
            raise BackendError('tensorrt: the backend is closed; make a new one')
        return self._executor.stage_times_ms()

    def _release(self) -> None:
        """Free engine, buffers and context; also of a GPU that was lost."""
        if self._device is not None:
            self._device.close(self._free)
            self._device = None

    def _load(self, device: Device, library: Library, stored: StoredEngine, cache: EngineCache,
              cuda_graph: bool) -> None:
        """Make an engine ready to run frames, while the context is current."""
        engine = self._engine = LoadedEngine(
            library, stored.engine, stored.key.name,
            cache.runtime_cache(stored.key) if library.is_rtx else b'')
        outputs = engine.outputs()
        self._model.check_graph(engine.inputs(), outputs)
        self._outputs = tuple(self._model.info.graph_outputs())
        executor = self._executor = Executor(
            device, _sizes(self._model.info.graph_inputs()),
            _sizes({name: outputs[name] for name in self._outputs}), engine.enqueue)
        engine.bind(executor.addresses, device.stream)
        executor.warm_up()
        if library.is_rtx and not engine.reused_compiled:
            cache.store_runtime_cache(stored.key, engine.compiled())
        if cuda_graph:
            if engine.is_capturable():
                executor.capture()
            else:
                _log.warning('%s: %s cannot be captured as a CUDA graph; frames take a little '
                             'longer', stored.key.name, library)

    def _test(self, device: Device, cache: EngineCache, key: EngineKey) -> None:
        """Compare the engine with the reference of the model, and use it no more if it is off."""
        try:
            report = self._model.self_test(self)
        except BackendError as error:
            # This raises where not the engine is to blame, but the GPU.
            with device:
                device.synchronize()
            cache.set_aside(key, str(error).partition(';')[0])
            raise
        cache.set_tested(key, report)

    def _free(self) -> None:
        self._executor = None
        if self._engine is not None:
            self._engine.close()
            self._engine = None


def usable(device_id: int = -1) -> str:
    """
    Say why TensorRT cannot run here; empty where it can. Never raises, makes no context.

    :param device_id: -1 is the first GPU.
    """
    try:
        # What is quick to find out comes first.
        gpu = find_gpu(device_id)
        import_package()
        return _unsupported(find_library(), gpu)
    except (BackendError, ConfigError) as error:
        return str(error)


def _unsupported(library: Library, gpu: Gpu) -> str:
    """Why a library cannot run on a GPU; full TensorRT says it itself, when it builds."""
    targets = library.targets()
    if targets and gpu.target not in targets:
        return (f'{library} has no code for {gpu.name} ({gpu.target}), only for '
                f'{", ".join(targets)}')
    if library.is_rtx and gpu.target == 'sm_75':
        return f'{library} has no float32 matrix products for {gpu.name} (sm_75)'
    return ''


def _key(model: ModelDirectory, library: Library, gpu: Gpu, workspace_mib: int) -> EngineKey:
    return EngineKey.of(model, library.name, library.version, gpu.compute_capability,
                        gpu=gpu.name, driver=gpu.driver, cuda=gpu.cuda,
                        workspace_mib=workspace_mib)


def _build(model: ModelDirectory, library: Library, gpu: Gpu, workspace_mib: int,
           timing_cache: bytes, watch: Watch) -> BuiltEngine:
    target = gpu.target if gpu.target in library.targets() else None
    return build_engine(read_graph(model), library, workspace_mib=workspace_mib, target=target,
                        timing_cache=timing_cache, watch=watch,
                        graph_name=model.onnx_path.name)


def _sizes(specs: dict[str, TensorSpec]) -> dict[str, BufferSpec]:
    """Sizes of buffers, which the contract fixes but for the rows of a table."""
    sizes = {}
    for name, (dtype, shape) in specs.items():
        if any(n is None or n < 0 for n in shape):
            raise ConfigError(f'{name} of the engine has no fixed size: {shape}; '
                              'export the model again')
        sizes[name] = dtype, tuple(n for n in shape if n is not None)
    return sizes
