# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Targets: classes, depth, and where the centers of things are.

Ours are at the stride of the network's maps, where crowds and what is not labeled count for
nothing. Those of Panoptic-DeepLab are at full resolution; crowds are things there, with a center
that no loss looks at, but whose peak reaches into its neighbors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import default_collate

from ...labels import LABEL_DIVISOR, VOID_ID, ClassInfo, class_of, thing_classes
from ...structures import GroundTruth, Sample
from ..base import stack_inputs
from ..dense import DenseBatch, dense_arrays
from .grouping import MAP_STRIDE

_SIGMA_CELLS = 2.0
_PUBLISHED_SIGMA_PX = 10.0
_SMALL_PX = 4096
_SMALL_WEIGHT = 3


@dataclass
class DepthLabBatch(DenseBatch):
    """
    What the network learns from; h and w are those of its maps, or of the image as published.

    :param heat: (B, h, w) float32, 1 at centers of things.
    :param heat_weight: (B, h, w) float32, 0 where it is not known whether there is a center.
    :param offset: (B, 2, h, w) float32 rows and columns to the center of the own thing, in cells.
    :param offset_weight: (B, h, w) float32, 1 on things.
    :param semantic_weight: (B, H, W) float32; without weights (B, 0, 0).
    """

    heat: torch.Tensor
    heat_weight: torch.Tensor
    offset: torch.Tensor
    offset_weight: torch.Tensor
    semantic_weight: torch.Tensor


Maps = dict[str, NDArray[Any]]


def collate(samples: Sequence[Sample], classes: Sequence[ClassInfo],
            published: bool = False) -> DepthLabBatch:
    """Stack samples of one size, whose class ids are rows of ``classes``."""
    things = thing_classes(classes)
    rows = [_published(sample.truth, things) if published else _maps(sample.truth, things)
            for sample in map(_with_labels, samples)]
    return DepthLabBatch(**stack_inputs(samples), **dense_arrays(samples), **{
        name: default_collate([torch.from_numpy(row[name]) for row in rows]) for name in rows[0]})


def _with_labels(sample: Sample) -> Sample:
    if sample.truth.panoptic is not None:
        return sample
    void = np.full(sample.frame.image.shape[:2], VOID_ID, np.int32)
    return Sample(sample.frame, GroundTruth(panoptic=void))


def _maps(truth: GroundTruth, things: Sequence[int]) -> Maps:
    panoptic = truth.panoptic
    assert panoptic is not None
    ids = _ids(panoptic)
    ids = ids[(ids % LABEL_DIVISOR > 0)
              & np.isin(ids // LABEL_DIVISOR, truth.instance_classes)]
    centers = (center_points(panoptic, ids) + 0.5) / MAP_STRIDE - 0.5
    middle = slice(MAP_STRIDE // 2, None, MAP_STRIDE)
    cells = panoptic[middle, middle]
    heat, offset = center_maps(cells, ids, centers, _SIGMA_CELLS)
    on_thing = np.isin(cells, ids)
    known = on_thing
    if truth.has_semantics:
        known = known | (cells != VOID_ID) & ~np.isin(cells // LABEL_DIVISOR, things)
    if truth.ignore is not None:
        known = known & ~truth.ignore[middle, middle]
    return {'heat': heat, 'heat_weight': known.astype(np.float32), 'offset': offset,
            'offset_weight': on_thing.astype(np.float32),
            'semantic_weight': np.zeros((0, 0), np.float32)}


def _published(truth: GroundTruth, things: Sequence[int]) -> Maps:
    panoptic = truth.panoptic
    assert panoptic is not None
    ids = _ids(panoptic)
    is_thing = np.isin(class_of(ids), things)
    made = published_maps(panoptic, ids, is_thing, is_thing & (ids % LABEL_DIVISOR == 0))
    return {name: value.astype(np.float32) for name, value in made.items()}


def _ids(panoptic: NDArray[np.int32]) -> NDArray[np.int64]:
    ids = np.flatnonzero(np.bincount(panoptic.ravel()))
    return ids[ids != VOID_ID]


def published_maps(panoptic: NDArray[np.int32], ids: NDArray[Any], is_thing: NDArray[np.bool_],
                   is_crowd: NDArray[np.bool_]) -> Maps:
    """
    Maps of Panoptic-DeepLab at full resolution, as in DepthLabBatch.

    :param panoptic: (H, W) ids of segments. :param ids: those of its segments that are labeled,
        also of absent ones. :param is_thing, is_crowd: for each of them.
    """
    counts = np.array([np.count_nonzero(panoptic == i) for i in ids])
    present = counts > 0
    small = ids[is_thing & present & (counts < _SMALL_PX)]
    chosen = ids[is_thing & present]
    heat, offset = center_maps(panoptic, chosen, center_points(panoptic, chosen),
                               _PUBLISHED_SIGMA_PX)
    return {'heat': heat, 'heat_weight': np.isin(panoptic, ids[~is_crowd]),
            'offset': offset, 'offset_weight': np.isin(panoptic, ids[is_thing & ~is_crowd]),
            'semantic_weight': np.where(np.isin(panoptic, small), _SMALL_WEIGHT, 1)}


def center_points(panoptic: NDArray[np.int32], ids: NDArray[Any]) -> NDArray[np.float64]:
    """(n, 2) mean row and column of the pixels of each id, all of which have some."""
    points = [np.nonzero(panoptic == i) for i in ids]
    return np.array([(rows.mean(), columns.mean()) for rows, columns in points]).reshape(-1, 2)


def center_maps(cells: NDArray[np.int32], ids: NDArray[Any], centers: NDArray[np.float64],
                sigma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """
    Heat and offsets of things.

    :param cells: (h, w) ids. :param centers: (n, 2) row and column of each of ``ids`` in cells.
    :param sigma: of the Gaussians in cells; they are cut off after 3 sigma and one cell.
    :returns: (h, w) heat, and (2, h, w) offsets, 0 outside of the things.
    """
    height, width = cells.shape
    heat = np.zeros((height, width), np.float32)
    offset = np.zeros((2, height, width), np.float32)
    radius = int(3 * sigma + 1)
    for segment, (row, column) in zip(ids, centers, strict=True):
        # Half to even, as Python rounds.
        top, left = (int(np.rint(value)) - radius for value in (row, column))
        bumps = [np.exp(-np.arange(-radius, radius + 1) ** 2 / (2 * sigma ** 2))] * 2
        at = []
        for axis, (start, side) in enumerate(((top, height), (left, width))):
            first, last = max(start, 0), min(start + 2 * radius + 1, side)
            at.append(slice(first, last))
            bumps[axis] = bumps[axis][first - start:last - start]
        window = heat[at[0], at[1]]
        np.maximum(window, np.outer(*bumps), out=window)
        rows, columns = np.nonzero(cells == segment)
        offset[0, rows, columns] = row - rows
        offset[1, rows, columns] = column - columns
    return heat, offset
