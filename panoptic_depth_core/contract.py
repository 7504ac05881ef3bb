# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Inputs and outputs of the exported graph, for exporter and runtimes.

Inputs (fixed shapes, batch 1 in deployed graphs):

- ``image``       uint8   (B, H, W, 3)  RGB
- ``intrinsics``  float32 (B, 4)        fx, fy, cx, cy in px of this image
- ``thresholds``  float32 (T,)          in the order of THRESHOLDS
- those that model.json lists as ``extra_inputs``, each with a value for "unknown"

Outputs, as the model's tasks ask for them, at a stride s of 1, 2 or 4 of the input:

- ``segment_index`` uint8   (B, H/s, W/s)  row of ``segments`` that owns the pixel, NO_SEGMENT void
- ``depth``         float32 (B, H/s, W/s)  meters along Z, > 0, also of void; sky has a useless
  value; NaN outside of segments where ``depth_of`` in model.json is 'segments'
- ``segments``      float32 (B, R, C)      one row per candidate, columns SEGMENT_COLUMNS
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Task = Literal['semantic', 'instances', 'depth']
"""semantic: a class per pixel; instances: separate things; depth: meters per pixel."""

TASKS: frozenset[Task] = frozenset(('semantic', 'instances', 'depth'))
"""All of them; a model does at least one."""

SEGMENTATION: frozenset[Task] = frozenset(('semantic', 'instances'))
"""Those that need classes."""

Ability = Task | Literal['regions']
"""regions: distances of semantic regions, where they are asked for; see abilities."""

Needs = tuple[frozenset[Ability], ...]
"""What a result needs: one of each set; empty: any model has it."""

NEEDS_LABELS: Needs = (SEGMENTATION,)
NEEDS_INSTANCES: Needs = (frozenset(('instances',)),)
NEEDS_DEPTH: Needs = (frozenset(('depth',)),)
NEEDS_SEMANTIC: Needs = (frozenset(('semantic',)),)
NEEDS_POSITIONS: Needs = (*NEEDS_INSTANCES, *NEEDS_DEPTH)
NEEDS_LIST: Needs = (frozenset(('instances', 'regions')),)
NEEDS_PANOPTIC: Needs = (*NEEDS_SEMANTIC, *NEEDS_INSTANCES)

Arrays = Mapping[str, NDArray[Any]]
"""Inputs or outputs by name."""

INPUTS = ('image', 'intrinsics', 'thresholds')
"""Those of every graph, first and in this order."""

MOUNTING = 'mounting'
"""
Extra input of models that know where the camera is: (3,) float32, Mounting.plane in 1/m; zeros
where it is not known.
"""

OUTPUTS: dict[str, frozenset[Task]] = {
    'segment_index': SEGMENTATION, 'depth': frozenset(('depth',)), 'segments': SEGMENTATION}
"""Output -> tasks that need it, in the order of the graph's outputs."""

NO_SEGMENT = 255
"""``segment_index`` of a pixel without segment; a table has at most 255 rows."""

PADDING_RGB = (124, 116, 104)
"""
Default color of the input outside of the image: ImageNet's mean, about zero once normalized, like
the zero padding of convolutions.
"""

THRESHOLDS = ('score', 'overlap', 'stuff_area', 'void')
"""
score: least score of a thing; overlap: share of a thing that may be covered by better ones;
stuff_area: least share of the image for a stuff region, 0..1; void: least confidence of a pixel.
"""

SEGMENT_COLUMNS = ('valid', 'class_id', 'is_thing', 'score', 'log_depth_scale', 'area')
"""
valid: 1 where the row owns pixels, else 0; is_thing: 1 for an instance of a thing, 0 for a
semantic region, also one of a thing class (pixels of things whose instance is not known);
log_depth_scale: Laplace b of log depth, > 0, NaN where the model does not say;
area: share of the image, 0..1.
"""
COLUMN: dict[str, int] = {name: i for i, name in enumerate(SEGMENT_COLUMNS)}


def output_names(tasks: frozenset[Task]) -> tuple[str, ...]:
    """Outputs of a graph with these tasks, in its order."""
    return tuple(name for name, of_tasks in OUTPUTS.items() if tasks & of_tasks)


def abilities(tasks: frozenset[Task], include_stuff: bool) -> frozenset[Ability]:
    """
    What there are results of: the tasks, and distances of regions in place of instances.

    :param include_stuff: of DistanceSettings. Unasked, a model without instances lists nothing:
        an empty list would say that nothing is there.
    """
    lists_regions = include_stuff and 'instances' not in tasks and {'semantic', 'depth'} <= tasks
    return tasks | {'regions'} if lists_regions else tasks


def lacking(needs: Needs, able: frozenset[Ability] | frozenset[Task]) -> str:
    """Name the tasks that are missing, as in 'instances or semantic, depth'; empty: none."""
    return ', '.join(' or '.join(sorted(some - {'regions'})) for some in needs if not some & able)


@dataclass(frozen=True)
class GraphOutput:
    """
    One frame's outputs, batch axis removed.

    :param segment_index: (H/s, W/s) uint8.
    :param depth: (H/s, W/s) float32, meters.
    :param segments: (R, len(SEGMENT_COLUMNS)) float32.
    """

    segment_index: NDArray[np.uint8]
    depth: NDArray[np.float32]
    segments: NDArray[np.float32]

    @classmethod
    def of(cls, outputs: Arrays, size: tuple[int, int]) -> GraphOutput:
        """
        Take the outputs of a graph by name, with the batch axis; missing ones become unknown.

        :param size: H/s, W/s.
        """
        arrays = {name: array[0] for name, array in outputs.items()}
        unknown: dict[str, NDArray[Any]] = {}
        if 'depth' not in arrays:
            unknown['depth'] = np.full(size, np.nan, np.float32)
        if 'segments' not in arrays:
            unknown['segment_index'] = np.full(size, NO_SEGMENT, np.uint8)
            unknown['segments'] = np.zeros((0, len(SEGMENT_COLUMNS)), np.float32)
        return cls(**arrays, **unknown)
