# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Engines built ahead of time, into the model directory, for GPUs that are not here."""

from __future__ import annotations

from collections.abc import Sequence

from ..engines.build import model_builder, require_target
from ..engines.cache import EngineCache, StoredEngine
from ..engines.key import EngineKey
from ..engines.library import Library, find_library
from ..inference.backends.tensorrt_backend import MODEL_ENGINES
from ..model_directory import ModelDirectory
from ..status import Watch


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
