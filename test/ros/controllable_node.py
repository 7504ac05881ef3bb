#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The node with a backend that is told from outside how to behave, while it runs.

Of a picture it finds what the picture says: a pixel of red 40 * row + 20 belongs to that row of
the segment table, and its green is its depth in meters for a camera of CANONICAL_FOCAL_PX. The
steps of 40 outlive any encoding of colors. The file that the environment variable CONTROL names
holds one order, with seconds where it takes some:

- ok
- slow 0.2, hang, raise, nan: what running does
- load_slow 3, load_raise: what loading does
- build_slow 3, build_raise: what the building does of the backend that builds, BUILDING; whatever
  it has built is a line more in the file of the order's name with .built added
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
from panoptic_depth_core.contract import NO_SEGMENT, Arrays, GraphOutput
from panoptic_depth_core.engines import BuildCancelled, BuiltEngine
from panoptic_depth_core.engines.cache import BuildPolicy, EngineCache
from panoptic_depth_core.engines.key import EngineKey
from panoptic_depth_core.errors import BackendError
from panoptic_depth_core.inference.backends import BACKENDS, Backend
from panoptic_depth_core.labels import CLASS_ID
from panoptic_depth_core.model_directory import ModelDirectory
from panoptic_depth_core.status import Watch

CONTROL = 'PANOPTIC_DEPTH_TEST_CONTROL'
NAME = 'controllable'
BUILDING = 'building'
CANONICAL_FOCAL_PX = 50.0
RED_STEP = 40
TABLE = np.array([
    # valid, class_id, is_thing, score, log_depth_scale, area
    [1, CLASS_ID['road'], 0, 0.9, 0.05, 0.3],
    [1, CLASS_ID['sky'], 0, 0.8, np.nan, 0.3],
    [1, CLASS_ID['car'], 1, 0.7, 0.10, 0.1],
    [1, CLASS_ID['car'], 1, 0.95, 0.02, 0.1],
    [1, CLASS_ID['person'], 1, 0.6, 0.10, 0.1],
], np.float32)


class ControllableBackend(Backend):
    """Sees what the picture says, unless it is told otherwise."""

    name = NAME

    def __init__(self, model: ModelDirectory) -> None:
        what, seconds = _order()
        if what == 'load_raise':
            raise RuntimeError('told to fail while loading')
        if what == 'load_slow':
            time.sleep(seconds)
        self._info = model.info

    def run(self, inputs: Arrays) -> GraphOutput:
        """Find what is painted."""
        what, seconds = _order()
        while what == 'hang' and _order()[0] == 'hang':
            time.sleep(0.02)
        if what == 'raise':
            raise RuntimeError('told to fail')
        if what == 'slow':
            time.sleep(seconds)
        stride = self._info.output_stride
        small = inputs['image'][::stride, ::stride]
        row = small[..., 0] // RED_STEP
        depth = small[..., 1] * np.float32(inputs['intrinsics'][0] / CANONICAL_FOCAL_PX)
        if what == 'nan':
            depth = np.full_like(depth, np.nan)
        table = TABLE.copy()
        # As a graph does: a thing below the threshold owns no pixels.
        table[(table[:, 2] > 0) & (table[:, 3] < inputs['thresholds'][0]), 0] = 0
        owned = (row < len(table)) & (table[np.minimum(row, len(table) - 1), 0] > 0)
        found = {'segment_index': np.where(owned, row, NO_SEGMENT).astype(np.uint8),
                 'depth': depth, 'segments': table}
        return GraphOutput.of({name: found[name][None] for name in self._info.graph_outputs()},
                              depth.shape)

    def close(self) -> None:
        """Nothing to give back."""


class BuildingBackend(ControllableBackend):
    """Keeps a file of its own in the cache of engines."""

    name = BUILDING

    def __init__(self, model: ModelDirectory, *, cache_dir: str = '',
                 build_policy: BuildPolicy = 'auto', watch: Watch | None = None) -> None:
        super().__init__(model)
        key = EngineKey.of(model, BUILDING, '1.0', '8.6')
        stored = EngineCache(Path(cache_dir)).obtain(key, self._build, build_policy, watch)
        self.engine_key, self.gpu_memory_bytes = stored.key.name, 64 * 2**20

    def _build(self, timing_cache: bytes, watch: Watch) -> BuiltEngine:
        what, seconds = _order()
        for share in np.arange(0.0, 1.0, 0.01):
            if not watch(float(share), 'building as told'):
                raise BuildCancelled('cancelled')
            if what == 'build_slow':
                time.sleep(seconds / 100)
        if what == 'build_raise':
            raise BackendError('node conv_1 is not liked')
        with Path(os.environ[CONTROL] + '.built').open('a', encoding='utf-8') as file:
            file.write('an engine\n')
        return BuiltEngine(b'an engine')


def _order() -> tuple[str, float]:
    what, _, seconds = Path(os.environ[CONTROL]).read_text('utf-8').partition(' ')
    return what.strip(), float(seconds or 0.0)


if __name__ == '__main__':
    from panoptic_depth_ros.node import main
    BACKENDS[NAME] = 'controllable_node:ControllableBackend'
    BACKENDS[BUILDING] = 'controllable_node:BuildingBackend'
    sys.exit(main())
