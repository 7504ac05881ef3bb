# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""From an ONNX graph to an engine: the same for TensorRT 10.3 to 11.x and TensorRT for RTX."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from ..errors import BackendError, ConfigError
from ..model_directory import ModelDirectory
from ..status import Watch
from . import BuildCancelled, BuiltEngine
from .library import Library
from .progress import BuildProgress, progress_monitor

_MIB = 1 << 20


def build_engine(graph: bytes, library: Library, *, workspace_mib: int = 0,
                 target: str | None = None, timing_cache: bytes = b'',
                 watch: Watch | None = None, graph_name: str = 'model.onnx') -> BuiltEngine:
    """
    Build an engine; its precisions are those of the graph, and float32 is not TF32.

    Most of the time is spent without the lock of the interpreter, so that other threads run.

    :param graph: serialised ONNX model that holds its weights.
    :param workspace_mib: memory that a layer may use beside its inputs and outputs; 0: as the
        library likes.
    :param target: compute capability to build for, one of library.targets(); None: the GPU that
        is here.
    :param timing_cache: of a former build on this GPU; one that does not fit is not used. TensorRT
        for RTX has none.
    :param watch: is asked between the steps of the build; some take seconds.
    :param graph_name: for messages.
    :raises ConfigError: for a target that the library cannot build for.
    :raises BackendError: with what the library says, nodes of the graph by name.
    :raises BuildCancelled: when the watch returned False; what it raises is raised.
    """
    if target is not None:
        require_target(library, target)
    if workspace_mib < 0:
        raise ConfigError(f'workspace_mib is {workspace_mib}; give 0 or more')
    trt = library.module
    progress = BuildProgress(watch or (lambda share, what: True))
    with library.errors() as errors:
        builder = _builder(library, errors)
        # The parser does not keep the network alive, so it must not be a temporary value.
        network = builder.create_network(_network_flags(trt))
        progress.tell(f'Reading {graph_name}')
        _require_running(progress, graph_name)
        parser = trt.OnnxParser(network, library.logger)
        if not parser.parse(graph):
            said = _parser_errors(parser)
            remedy = ('export it with --symmetric' if 'uantizeLinear' in said else
                      'export the model again, without operators that it lacks')
            raise BackendError(f'{graph_name}: {library} cannot read it: {said}; {remedy}, or '
                               'choose another backend')
        config = _config(builder, library, target, workspace_mib, timing_cache)
        # A variable, as it must outlive the build.
        monitor = progress_monitor(trt, progress)
        config.progress_monitor = monitor
        engine = builder.build_serialized_network(network, config)
    _require_running(progress, graph_name)
    if engine is None:
        raise BackendError(f'{graph_name}: {library} cannot build an engine for '
                           f'{target or "the GPU of this machine"}: {_joined(errors)}; '
                           f'{_remedy(errors, library, target, workspace_mib)}')
    return BuiltEngine(bytes(engine), b'' if library.is_rtx else _timing_cache(config))


def require_target(library: Library, target: str) -> None:
    """
    Refuse a compute capability that a library does not build for ahead of time.

    :param target: such as 'sm_86'.
    :raises ConfigError: naming those that it does build for.
    """
    known = library.targets()
    if not known:
        raise ConfigError(f'target {target!r}: {library} builds for the GPU of the machine that '
                          'it runs on; leave the target out there, or use tensorrt_rtx')
    if target not in known:
        raise ConfigError(f'target {target!r}: {library} has no such GPU; '
                          f'it builds for {", ".join(known)}')


def read_graph(model: ModelDirectory) -> bytes:
    """
    Read the graph that a model was checked with.

    :raises ConfigError: when it is another one by now.
    """
    try:
        graph = model.onnx_path.read_bytes()
    except OSError as error:
        raise ConfigError(f'{model.onnx_path}: cannot be read: {error.strerror}; '
                          'copy the whole model directory') from None
    if hashlib.sha256(graph).hexdigest() != model.info.onnx_sha256:
        raise ConfigError(f'{model.onnx_path}: it was replaced since the model was loaded; '
                          'load it again')
    return graph


def _builder(library: Library, errors: Sequence[str]) -> Any:
    try:
        return library.module.Builder(library.logger)
    except TypeError:
        # What the bindings make of a null pointer.
        raise BackendError(f'{library} cannot build here: '
                           f'{_joined(errors) if errors else "it finds no NVIDIA GPU or driver"}; '
                           'check that nvidia-smi shows the GPU, or choose another backend'
                           ) from None


def _config(builder: Any, library: Library, target: str | None, workspace_mib: int,
            timing_cache: bytes) -> Any:
    """IBuilderConfig for what build_engine is given."""
    trt = library.module
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    if workspace_mib:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mib * _MIB)
    if library.is_rtx:
        member = 'CURRENT' if target is None else target.replace('sm_', 'SM')
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.__members__[member], 0)
    else:
        _use_timing_cache(config, timing_cache)
    return config


def _network_flags(trt: Any) -> int:
    """Let the types of the graph be the types of the engine, which 11 does without being told."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, 'STRONGLY_TYPED', None)
    return 0 if flag is None else 1 << int(flag)


def _require_running(progress: BuildProgress, graph_name: str) -> None:
    if progress.failure is not None:
        raise progress.failure
    if progress.cancelled:
        raise BuildCancelled(f'{graph_name}: building the engine was cancelled')


def _parser_errors(parser: Any) -> str:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    return _joined([
        f'node {error.node_name()!r} ({error.node_operator()}): {error.desc()}'
        if error.node_operator() else error.desc() for error in errors])


def _use_timing_cache(config: Any, stored: bytes) -> None:
    """Give a builder what was measured before; of another GPU or version it takes nothing."""
    for data in (stored, b''):
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, False):
            return


def _timing_cache(config: Any) -> bytes:
    cache = config.get_timing_cache()
    return b'' if cache is None else bytes(cache.serialize())


def _joined(errors: Sequence[str]) -> str:
    """Messages in one line, without doubles."""
    found = dict.fromkeys(' '.join(error.split()) for error in errors)
    return '; '.join(found) or 'it gives no reason'


def _remedy(errors: Sequence[str], library: Library, target: str | None,
            workspace_mib: int) -> str:
    text = ' '.join(errors)
    if workspace_mib and re.search('workspace', text, re.IGNORECASE):
        return f'allow more than {workspace_mib} MiB (workspace_mib), or 0 for no limit'
    if re.search(r'out ?of ?memory|memory ?allocation', text, re.IGNORECASE):
        return 'end what else uses memory of the GPU and try again'
    if library.is_rtx and target is None:
        return f'where there is no GPU, name a target: {", ".join(library.targets())}'
    return 'choose another backend, or another version of TensorRT'
