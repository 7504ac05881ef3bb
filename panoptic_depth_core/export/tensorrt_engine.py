# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Engines built ahead of time, into the model directory, for GPUs that are not here."""

from __future__ import annotations

from collections.abc import Sequence

from ..engines import BuiltEngine
from ..engines.build import build_engine, read_graph, require_target
from ..engines.cache import EngineCache
from ..engines.key import EngineKey, capability_of
from ..engines.library import Library, find_library
from ..engines.obtain import obtain_engine
from ..engines.record import StoredEngine
from ..inference.backends.tensorrt_backend import MODEL_ENGINES
from ..model_directory import ModelDirectory
from ..status import Watch


def export_engines(model: ModelDirectory, targets: Sequence[str], library: Library | None = None,
                   *, workspace_mib: int = 0, watch: Watch | None = None) -> list[StoredEngine]:
    """
    Build what the engines of a model directory lack; those that fit are kept.

    They run in the version of the library that built them, with the same workspace_mib.

    :param targets: compute capabilities, such as 'sm_86'; all are checked before the first build.
    :param library: None: TensorRT for RTX; full TensorRT builds for the GPU that is here only.
    :param workspace_mib, watch: see engines.build.build_engine.
    :raises ConfigError: for an unknown target, or a directory that is not to be trusted.
    :raises BackendError: when there is no such library, or a build fails.
    :raises BuildCancelled: when the watch returned False; what was finished before is kept.
    """
    library = library or find_library('tensorrt_rtx')
    for target in targets:
        require_target(library, target)
    cache = EngineCache(model.path / MODEL_ENGINES)
    graph = read_graph(model)

    def obtain(done: int, target: str) -> StoredEngine:
        def tell(share: float, what: str) -> bool:
            return watch is None or watch((done + share) / len(targets), f'{target}: {what}')

        def build(timing_cache: bytes, tell: Watch) -> BuiltEngine:
            return build_engine(graph, library, workspace_mib=workspace_mib, target=target,
                                timing_cache=timing_cache, watch=tell,
                                graph_name=model.onnx_path.name)

        key = EngineKey.of(model, library.name, library.version, capability_of(target),
                           workspace_mib=workspace_mib)
        return obtain_engine(cache, key, build, watch=tell)

    return [obtain(done, target) for done, target in enumerate(targets)]
