# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""TensorRT, full or for RTX: the graph as an engine that is built for one GPU."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ...contract import Arrays
from ...engines.build import model_builder, require_target
from ...engines.cache import BuildPolicy, EngineCache, StoredEngine
from ...engines.cuda import Device, Executor, Gpu, find_gpu
from ...engines.cuda.bindings import import_package
from ...engines.cuda.device import BufferSpec
from ...engines.key import EngineKey
from ...engines.library import Library, find_library
from ...engines.runtime import LoadedEngine
from ...errors import BackendError, ConfigError
from ...model_directory import ModelDirectory
from ...model_info import TensorSpec
from ...status import Watch
from . import Backend

MODEL_ENGINES = 'engines'
"""Folder of a model directory for engines built ahead of time."""

_log = logging.getLogger(__name__)


class TensorRtBackend(Backend):
    """
    The engine of a model on one GPU; built and tested if the cache has none.

    The thread that makes it must run and close it.

    :param device_id: number of the GPU; -1: the first one.
    :param cache_dir: folder of engines; empty: that of this user.
    :param build_policy: auto: build if none fits; never: fail then; force: build anyway.
    :param workspace_mib: memory that a layer may use while it runs; 0: no limit.
    :param cuda_graph: launch a frame as one CUDA graph, where possible.
    :param library: 'tensorrt' or 'tensorrt_rtx'; empty: the first that is installed.
    :param trust_model_engines: also use engines built ahead of time in the model directory; only
        for directories that you made, as an engine is code.
    :param watch: follows the build, and may cancel it.
    :raises ConfigError: for a wrong option, an engine that breaks the contract, or a cache that
        others may write to.
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
        self._device: Device | None = Device(device_id)
        try:
            problem = _unsupported(found, self._device.gpu)
            if problem:
                # The user chose this backend, and the error of the library says more.
                _log.warning('%s; trying it all the same', problem)
            cache = EngineCache(cache_dir or None)
            elsewhere = [EngineCache(model.path / MODEL_ENGINES)] if trust_model_engines else []
            key = _key(model, found, self._device.gpu, workspace_mib)
            with self._device as device:
                free = device.free_memory()
                target = device.gpu.target
                build = model_builder(model, found, workspace_mib=workspace_mib,
                                      target=target if target in found.targets() else None)
                stored = cache.obtain(key, build, build_policy, watch, elsewhere)
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
            cache.load_extra(cache.runtime_path(stored.key)) if library.is_rtx else b'')
        outputs = engine.tensors('OUTPUT')
        self._model.check_graph(engine.tensors('INPUT'), outputs)
        self._outputs = tuple(self._model.info.graph_outputs())
        executor = self._executor = Executor(
            device, _sizes(self._model.info.graph_inputs()),
            _sizes({name: outputs[name] for name in self._outputs}), engine.enqueue)
        engine.bind(executor.addresses, device.stream)
        executor.warm_up()
        if library.is_rtx and not engine.reused_compiled:
            cache.store_extra(cache.runtime_path(stored.key), engine.compiled())
        if cuda_graph:
            if engine.is_capturable():
                executor.capture()
            else:
                _log.warning('%s: %s cannot be captured as a CUDA graph; frames take a little '
                             'longer', stored.key.name, library)

    def _test(self, device: Device, cache: EngineCache, key: EngineKey) -> None:
        """Compare the engine with the reference of the model; set it aside if it differs."""
        try:
            report = self._model.self_test(self)
        except BackendError as error:
            # Raises if the GPU failed, for which the engine is not to blame.
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
    Why TensorRT cannot run here; empty where it can. Never raises, makes no context.

    :param device_id: -1 is the first GPU.
    """
    try:
        # The fastest checks come first.
        gpu = find_gpu(device_id)
        import_package()
        return _unsupported(find_library(), gpu)
    except (BackendError, ConfigError) as error:
        return str(error)


def export_engines(model: ModelDirectory, targets: Sequence[str], library: Library | None = None,
                   *, workspace_mib: int = 0, watch: Watch | None = None) -> list[StoredEngine]:
    """
    Build the missing engines of a model directory, for any GPU of some compute capabilities.

    They run with the version of the library that built them, and the same workspace_mib.

    :param targets: such as 'sm_86'; all are checked before the first build.
    :param library: None: TensorRT for RTX; full TensorRT builds for the GPU of this machine only.
    :param workspace_mib, watch: see engines.build.build_engine.
    :raises ConfigError: for an unknown target, or a folder that others may write to.
    :raises BackendError: when there is no such library, or a build fails.
    :raises BuildCancelled: when the watch returned False; finished engines are kept.
    """
    library = library or find_library('tensorrt_rtx')
    for target in targets:
        require_target(library, target)
    cache = EngineCache(model.path / MODEL_ENGINES)

    def obtain(done: int, target: str) -> StoredEngine:
        def report(share: float, what: str) -> bool:
            return watch is None or watch((done + share) / len(targets), f'{target}: {what}')

        key = EngineKey.of(model, library.name, library.version, f'{target[3:-1]}.{target[-1]}',
                           workspace_mib=workspace_mib)
        build = model_builder(model, library, workspace_mib=workspace_mib, target=target)
        return cache.obtain(key, build, watch=report)

    return [obtain(done, target) for done, target in enumerate(targets)]


def _unsupported(library: Library, gpu: Gpu) -> str:
    """Why a library cannot run on a GPU; full TensorRT says so when it builds."""
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


def _sizes(specs: dict[str, TensorSpec]) -> dict[str, BufferSpec]:
    """Sizes of buffers; the contract fixes all but the rows of a table."""
    sizes = {}
    for name, (dtype, shape) in specs.items():
        if any(n is None or n < 0 for n in shape):
            raise ConfigError(f'{name} of the engine has no fixed size: {shape}; '
                              'export the model again')
        sizes[name] = dtype, tuple(n for n in shape if n is not None)
    return sizes
