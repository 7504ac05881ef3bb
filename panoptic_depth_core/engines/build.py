# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Build an engine from an ONNX graph; one code path for all versions of TensorRT."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import BackendError, ConfigError
from ..model_directory import ModelDirectory
from ..status import Watch
from . import Build, BuildCancelled, BuiltEngine
from .library import NO_MEMORY, Library, one_line

_MIB = 1 << 20


def build_engine(graph: bytes, library: Library, *, workspace_mib: int = 0,
                 target: str | None = None, timing_cache: bytes = b'',
                 watch: Watch | None = None, graph_name: str = 'model.onnx') -> BuiltEngine:
    """
    Build an engine with the precisions of the graph; float32 is not TF32.

    Most of the time is spent without the lock of the interpreter, so other threads run.

    :param graph: serialized ONNX model that contains its weights.
    :param workspace_mib: memory that a layer may use beside its inputs and outputs; 0: no limit.
    :param target: one of library.targets(); None: the GPU of this machine.
    :param timing_cache: of an earlier build; ignored if it does not fit, or by TensorRT for RTX.
    :param watch: called between the steps of the build; some take seconds.
    :raises ConfigError: for a target that the library cannot build for.
    :raises BackendError: with the reason that the library gives, nodes of the graph by name.
    :raises BuildCancelled: when the watch returned False; what it raises is raised.
    """
    if target is not None:
        require_target(library, target)
    if workspace_mib < 0:
        raise ConfigError(f'workspace_mib is {workspace_mib}; give 0 or more')
    trt = library.module
    with library.errors() as errors:
        builder = _builder(library, errors)
        # The types of the graph are those of the engine; TensorRT 11 needs no flag for that.
        flag = getattr(trt.NetworkDefinitionCreationFlag, 'STRONGLY_TYPED', None)
        # The parser does not keep the network alive, nor the configuration the monitor: both must
        # be variables.
        network = builder.create_network(0 if flag is None else 1 << int(flag))
        monitor = progress_monitor(trt, watch or (lambda share, what: True))
        monitor.report(f'Reading {graph_name}')
        monitor.raise_if_cancelled(graph_name)
        parser = trt.OnnxParser(network, library.logger)
        if not parser.parse(graph):
            said = _parser_errors(parser)
            remedy = ('export it with --symmetric' if 'uantizeLinear' in said else
                      'export the model again, without operators that it lacks')
            raise BackendError(f'{graph_name}: {library} cannot read it: {said}; {remedy}, or '
                               'choose another backend')
        config = _config(builder, library, target, workspace_mib, timing_cache)
        config.progress_monitor = monitor
        engine = builder.build_serialized_network(network, config)
    monitor.raise_if_cancelled(graph_name)
    if engine is None:
        raise BackendError(f'{graph_name}: {library} cannot build an engine for '
                           f'{target or "the GPU of this machine"}: {one_line(errors)}; '
                           f'{_remedy(errors, library, target, workspace_mib)}')
    return BuiltEngine(bytes(engine), b'' if library.is_rtx else _timing_cache(config))


def require_target(library: Library, target: str) -> None:
    """Raise ConfigError for a compute capability that a library cannot build ahead of time for."""
    known = library.targets()
    if not known:
        raise ConfigError(f'target {target!r}: {library} builds for the GPU of the machine that '
                          'it runs on; leave the target out there, or use tensorrt_rtx')
    if target not in known:
        raise ConfigError(f'target {target!r}: {library} has no such GPU; '
                          f'it builds for {", ".join(known)}')


def model_builder(model: ModelDirectory, library: Library, *, workspace_mib: int = 0,
                  target: str | None = None) -> Build:
    """Return what builds the engine of a model; see read_graph and build_engine."""
    return lambda timing_cache, watch: build_engine(
        read_graph(model), library, workspace_mib=workspace_mib, target=target,
        timing_cache=timing_cache, watch=watch, graph_name=model.onnx_path.name)


def read_graph(model: ModelDirectory) -> bytes:
    """Read the graph of a model; ConfigError when it is no longer the one that was checked."""
    try:
        graph = model.onnx_path.read_bytes()
    except OSError as error:
        raise ConfigError(f'{model.onnx_path}: cannot be read: {error.strerror}; '
                          'copy the whole model directory') from None
    if hashlib.sha256(graph).hexdigest() != model.info.onnx_sha256:
        raise ConfigError(f'{model.onnx_path}: it was replaced since the model was loaded; '
                          'load it again')
    return graph


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: float = 0.0

    @property
    def rest_of_step(self) -> float:
        """Share of the current step that is not done yet, 0..1."""
        return 1.0 - self.done % 1.0


class BuildProgress:
    """
    Turn the nested phases that TensorRT reports into one share that only grows.

    All steps of a phase count the same, as nobody knows how long they take. A step may contain
    phases, nobody knows how many: each takes half of what is left of the step. TensorRT may call
    from any thread; phase_start, step_complete and phase_finish are its names.

    :ivar cancelled: the watch returned False, or failed.
    :ivar failure: what the watch raised; exceptions do not get through TensorRT.
    """

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.share = 0.0
        self.cancelled = False
        self.failure: BaseException | None = None
        self._watch = watch
        self._lock = threading.RLock()
        self._phases: dict[str, _Phase] = {}

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        """Begin a phase inside another one."""
        with self._lock:
            self._phases[phase_name] = _Phase(parent_phase, num_steps)
            self.report(phase_name)

    def step_complete(self, phase_name: str, step: int) -> bool:
        """End a step, counted from 0; False ends the build."""
        with self._lock:
            if phase := self._phases.get(phase_name):
                phase.done = step + 1
            self.report(phase_name)
            return not self.cancelled

    def phase_finish(self, phase_name: str) -> None:
        """End a phase, even if not all of its steps were done."""
        with self._lock:
            if phase := self._phases.get(phase_name):
                phase.done = phase.steps
                self.report(phase_name)
                del self._phases[phase_name]
                if around := self._phases.get(phase.parent or ''):
                    around.done += around.rest_of_step / 2

    def report(self, what: str) -> None:
        """Call the watch, also for work that is no phase."""
        with self._lock:
            if self.cancelled:
                return
            self.share = max(self.share, self._share_of(what))
            try:
                self.cancelled = not self._watch(self.share, what)
            except BaseException as failure:
                self.failure, self.cancelled = failure, True

    def raise_if_cancelled(self, graph_name: str) -> None:
        """Raise what the watch raised, or BuildCancelled if it returned False."""
        if self.failure is not None:
            raise self.failure
        if self.cancelled:
            raise BuildCancelled(f'{graph_name}: building the engine was cancelled')

    def _share_of(self, name: str | None) -> float:
        """Share of the outermost phase around a phase."""
        share = 0.0
        while name is not None and (phase := self._phases.get(name)):
            share = min((phase.done + share * phase.rest_of_step / 2) / max(phase.steps, 1), 1.0)
            name = phase.parent
        return share


def progress_monitor(trt: Any, watch: Watch) -> Any:
    """BuildProgress as an IProgressMonitor of a TensorRT module; it must outlive the build."""
    class ProgressMonitor(BuildProgress, trt.IProgressMonitor):
        pass

    return ProgressMonitor(watch)


def _builder(library: Library, errors: Sequence[str]) -> Any:
    try:
        return library.module.Builder(library.logger)
    except TypeError:
        # The bindings make this of a null pointer.
        raise BackendError(f'{library} cannot build here: '
                           f'{one_line(errors or ["it finds no NVIDIA GPU or driver"])}; '
                           'check that nvidia-smi shows the GPU, or choose another backend'
                           ) from None


def _config(builder: Any, library: Library, target: str | None, workspace_mib: int,
            timing_cache: bytes) -> Any:
    """IBuilderConfig for the arguments of build_engine."""
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


def _parser_errors(parser: Any) -> str:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    return one_line([
        f'node {error.node_name()!r} ({error.node_operator()}): {error.desc()}'
        if error.node_operator() else error.desc() for error in errors])


def _use_timing_cache(config: Any, stored: bytes) -> None:
    """Use earlier measurements, or start with none if they are of another GPU or version."""
    for data in (stored, b''):
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, False):
            return


def _timing_cache(config: Any) -> bytes:
    cache = config.get_timing_cache()
    return b'' if cache is None else bytes(cache.serialize())


def _remedy(errors: Sequence[str], library: Library, target: str | None,
            workspace_mib: int) -> str:
    text = ' '.join(errors)
    if workspace_mib and re.search('workspace', text, re.IGNORECASE):
        return f'allow more than {workspace_mib} MiB (workspace_mib), or 0 for no limit'
    if NO_MEMORY.search(text):
        return 'close other programs that use the memory of the GPU and try again'
    if library.is_rtx and target is None:
        return f'where there is no GPU, name a target: {", ".join(library.targets())}'
    return 'choose another backend, or another version of TensorRT'
