# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules and sizes of the panoptic assembly."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..base import AssemblyRules

EMBEDDING_STRIDE = 4


class AssemblySettings(AssemblyRules):
    """
    Rules and fixed sizes of the exported assembly.

    The defaults are for networks of this package; panoptic_depth.network.PUBLISHED_ASSEMBLY holds
    those of PanopticDepth (Gao et al., CVPR 2022).
    """

    candidates: int = Field(100, ge=1, description='thing candidates that are looked at')
    level_candidates: int = Field(100, ge=1, description='of these from one pyramid level, at '
                                  'most; never more than the level has cells')
    mask_candidates: int = Field(100, ge=1, description='candidates left after merging, best '
                                 'first, whose masks are looked at')
    max_things: int = Field(45, ge=1, le=200, description='things that can be in one result')
    peak_smoothing: tuple[int, ...] = Field((), description='per level, side of the window whose '
                                            'mean is averaged with the centre map; empty: none')
    peak_score: float = Field(0.0, ge=0, le=1, description='peaks that are not above it are '
                              'none')
    merge_cosine: float = Field(0.9, description='kernels of one class that are at least this '
                                'alike, and near each other, are one thing')
    keep_chains: bool = Field(True, description='false: a candidate is dropped for any better '
                              'one that is like it, also for one that was itself dropped')
    steps: int = Field(8, ge=1, description='steps of the greedy rules: the longest chain of '
                       'overlapping candidates that is resolved exactly')
    regions: Literal['pooled', 'won_cells'] = Field(
        'pooled', description='pooled: kernels by attention over all cells, regions compete in a '
        'softmax, those of thing classes too; won_cells: kernels from the cells that a class '
        'wins clearly, sigmoids, stuff only')
    max_depth_m: float | None = Field(None, gt=0, description='greatest canonical depth')
