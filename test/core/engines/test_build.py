# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Real builds with TensorRT for RTX, which needs no GPU for them; nested phases as one share."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panoptic_depth_core.engines import BuildCancelled
from panoptic_depth_core.engines.build import (
    BuildProgress,
    _config,
    _timing_cache,
    _use_timing_cache,
    build_engine,
    read_graph,
    require_target,
)
from panoptic_depth_core.engines.library import Library
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.model_directory import ModelDirectory
from tensorrt_graphs import graph_of, rtx_library

TARGET = 'sm_86'


@pytest.fixture(scope='module')
def library() -> Library:
    """TensorRT for RTX."""
    return rtx_library()


@pytest.fixture(scope='module')
def shipped() -> bytes:
    """Graph of the shipped model, with the whole assembly."""
    return read_graph(ModelDirectory.default())


@pytest.mark.tensorrt
@pytest.mark.parametrize('target', ['sm_86', 'sm_120'])
def test_shipped_model(library: Library, shipped: bytes, target: str) -> None:
    """Network and assembly build as they are exported, with progress from 0 to 1."""
    told: list[tuple[float, str]] = []
    built = build_engine(shipped, library, target=target, graph_name='fast.onnx',
                         watch=lambda share, what: told.append((share, what)) or True)
    assert len(built.engine) > 1_000_000
    assert not built.timing_cache
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert told[0] == (0.0, 'Reading fast.onnx') and told[-1][0] == 1.0
    assert len({what for _, what in told}) > 5


@pytest.mark.tensorrt
def test_target_is_built_for(library: Library) -> None:
    """An engine is that of its target."""
    graph = graph_of('Relu', 'Softmax')
    engines = {build_engine(graph, library, target=target).engine for target in library.targets()}
    assert len(engines) == len(library.targets())


@pytest.mark.tensorrt
def test_configuration(library: Library) -> None:
    """No TF32, the memory that was asked for, and the target."""
    trt = library.module
    builder = trt.Builder(library.logger)
    config = _config(builder, library, TARGET, 3, b'')
    assert not config.get_flag(trt.BuilderFlag.TF32)
    assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 3 << 20
    assert config.get_compute_capability(0) == trt.ComputeCapability.SM86
    config = _config(builder, library, None, 0, b'')
    assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) > 3 << 20
    assert config.get_compute_capability(0) == trt.ComputeCapability.CURRENT


@pytest.mark.tensorrt
def test_unsupported_operator_is_named(library: Library) -> None:
    """The error names node and operator, the library and what to do."""
    with pytest.raises(BackendError, match=r"^m.onnx: tensorrt_rtx \d.* cannot read it: "
                                           r"node 'det' \(Det\): .*; export the model again"):
        build_engine(graph_of('Relu', 'Det'), library, target=TARGET, graph_name='m.onnx')


@pytest.mark.tensorrt
@pytest.mark.parametrize('graph', [b'', b'not a graph', None])
def test_no_graph(library: Library, shipped: bytes, graph: bytes | None) -> None:
    """What is no ONNX model is refused with a reason."""
    with pytest.raises(BackendError, match=r'^model.onnx: tensorrt_rtx \S+ cannot '
                                           r'(read it|build an engine for sm_86): \w+'):
        build_engine(shipped[:1000] if graph is None else graph, library, target=TARGET)


@pytest.mark.tensorrt
def test_too_little_workspace(library: Library, shipped: bytes) -> None:
    """The limit is kept, and named where it was too low."""
    with pytest.raises(BackendError, match=rf'engine for {TARGET}: .*workspace.*; '
                                           r'allow more than 1 MiB \(workspace_mib\)'):
        build_engine(shipped, library, target=TARGET, workspace_mib=1)
    assert build_engine(graph_of('Relu'), library, target=TARGET, workspace_mib=1).engine


@pytest.mark.tensorrt
def test_cancelled_in_the_middle(library: Library, shipped: bytes) -> None:
    """Nothing comes of it, no step follows, and the next build works."""
    asked: list[float] = []

    def watch(share: float, what: str) -> bool:
        asked.append(share)
        return share < 0.3

    with pytest.raises(BuildCancelled, match='fast.onnx: building the engine was cancelled'):
        build_engine(shipped, library, target=TARGET, watch=watch, graph_name='fast.onnx')
    assert 0.3 <= asked[-1] < 0.7
    assert build_engine(graph_of('Relu'), library, target=TARGET).engine


@pytest.mark.tensorrt
def test_cancelled_before_it_begins(library: Library) -> None:
    """The graph is not even read."""
    with pytest.raises(BuildCancelled):
        build_engine(b'not a graph', library, target=TARGET, watch=lambda share, what: False)


@pytest.mark.tensorrt
@pytest.mark.parametrize('least', [0.0, 0.1])
def test_watch_that_fails(library: Library, least: float) -> None:
    """Its exception comes out of the build as it is."""
    def watch(share: float, what: str) -> bool:
        if share >= least:
            raise KeyboardInterrupt('stop')
        return True

    with pytest.raises(KeyboardInterrupt, match='stop'):
        build_engine(graph_of('Relu'), library, target=TARGET, watch=watch)


@pytest.mark.tensorrt
@pytest.mark.skipif(Path('/proc/driver/nvidia/version').exists(), reason='there is a GPU')
def test_without_a_gpu_a_target_is_needed(library: Library) -> None:
    """The error says what there is."""
    with pytest.raises(BackendError, match='cannot build an engine for the GPU of this machine: '
                                           '.*name a target: sm_75, sm_80'):
        build_engine(graph_of('Relu'), library)


@pytest.mark.tensorrt
def test_unknown_target(library: Library) -> None:
    """GPUs of data centers are not those of TensorRT for RTX."""
    with pytest.raises(ConfigError, match=r"'sm_90': tensorrt_rtx .* builds for sm_75, .*sm_120"):
        build_engine(b'', library, target='sm_90')


def test_no_target_for_full_tensorrt() -> None:
    """It measures on the GPU that is there."""
    with pytest.raises(ConfigError, match=r"'sm_86': tensorrt 10.3.0 builds for the GPU of the "
                                          'machine that it runs on; leave the target out'):
        require_target(Library(None, 'tensorrt', '10.3.0'), 'sm_86')


def test_wrong_workspace() -> None:
    """A negative limit is no limit."""
    with pytest.raises(ConfigError, match='workspace_mib is -1; give 0 or more'):
        build_engine(b'', Library(None, 'tensorrt', '10.3.0'), workspace_mib=-1)


# TensorRT for RTX has the methods but no use for them, and says so.
@pytest.mark.tensorrt
@pytest.mark.filterwarnings('ignore:.*[Tt]iming:DeprecationWarning')
@pytest.mark.parametrize('stored', [b'', b'not a timing cache' * 20])
def test_timing_cache(library: Library, stored: bytes) -> None:
    """What is stored may be nothing or damaged; what comes back can be given again."""
    config = library.module.Builder(library.logger).create_builder_config()
    assert not _timing_cache(config)
    _use_timing_cache(config, stored)
    kept = _timing_cache(config)
    assert kept
    _use_timing_cache(config, kept)
    assert _timing_cache(config) == kept


def test_graph_that_was_replaced(tmp_path: Path) -> None:
    """An engine is only built of the graph that was checked."""
    info = ModelDirectory.default().info
    model = ModelDirectory(tmp_path, info)
    with pytest.raises(ConfigError, match='model.onnx: cannot be read: No such file'):
        read_graph(model)
    model.onnx_path.write_bytes(b'another')
    with pytest.raises(ConfigError, match='replaced since the model was loaded; load it again'):
        read_graph(model)
    digest = hashlib.sha256(b'another').hexdigest()
    changed = info.model_copy(update={'onnx_sha256': digest})
    assert read_graph(replace(model, info=changed)) == b'another'


Phase = tuple[int, list['Phase']]
"""Steps that are completed, and phases inside of each of them."""

PHASES = st.recursive(st.tuples(st.integers(0, 5), st.just([])),
                      lambda inner: st.tuples(st.integers(0, 5), st.lists(inner, max_size=4)))


def run(progress: BuildProgress, phase: Phase, steps: int, name: str = 'all',
        parent: str | None = None) -> None:
    """Go through a phase as TensorRT does, which may leave out steps."""
    done, inner = phase
    progress.phase_start(name, parent, steps)
    for step in range(done):
        for index, child in enumerate(inner):
            run(progress, child, 5, f'{name}.{index}', name)
        progress.step_complete(name, step)
    progress.phase_finish(name)


@given(PHASES)
def test_share_only_grows(phase: Phase) -> None:
    """Whatever phases there are, the share goes from 0 to 1."""
    shares: list[float] = []

    def watch(share: float, what: str) -> bool:
        shares.append(share)
        return True

    run(BuildProgress(watch), phase, 5)
    assert shares == sorted(shares)
    assert shares[0] == 0.0 and shares[-1] == 1.0


def test_shares_by_hand() -> None:
    """A step of two is a half; the first phase in a step is half of it, the next a quarter."""
    told: list[tuple[float, str]] = []
    progress = BuildProgress(lambda share, what: told.append((share, what)) or True)
    progress.report('reading')
    progress.phase_start('all', None, 2)
    assert progress.step_complete('all', 0)
    progress.phase_start('inner', 'all', 2)
    assert progress.step_complete('inner', 0)
    progress.phase_finish('inner')
    progress.phase_start('next', 'all', 1)
    progress.phase_finish('next')
    assert progress.step_complete('all', 1)
    progress.phase_finish('all')
    assert told == [
        (0.0, 'reading'), (0.0, 'all'), (0.5, 'all'), (0.5, 'inner'), (0.625, 'inner'),
        (0.75, 'inner'), (0.75, 'next'), (0.875, 'next'), (1.0, 'all'), (1.0, 'all')]


def test_cancelled_for_good() -> None:
    """After the watch has said so it is not asked again, and no step goes on."""
    asked = []
    progress = BuildProgress(lambda share, what: bool(asked.append(what)))
    progress.phase_start('all', None, 2)
    assert progress.cancelled
    assert not progress.step_complete('all', 0)
    progress.phase_finish('all')
    assert asked == ['all']


def test_unknown_phases_are_no_fault() -> None:
    """TensorRT may name what it never started."""
    progress = BuildProgress(lambda share, what: True)
    progress.phase_start('inner', 'never started', 2)
    assert progress.step_complete('never started', 3)
    progress.phase_finish('never started')
    assert progress.step_complete('inner', 0)
    assert progress.share == 0.5


def test_failure_of_a_watch_is_kept() -> None:
    """Its exception is kept, as none gets through TensorRT, and ends the build."""
    def fail(share: float, what: str) -> bool:
        raise KeyboardInterrupt

    progress = BuildProgress(fail)
    progress.report('reading')
    assert progress.cancelled and isinstance(progress.failure, KeyboardInterrupt)
