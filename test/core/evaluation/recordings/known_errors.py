# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Results of a simulated drive that are wrong in several known ways at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from panoptic_depth_core.config import DistanceSettings
from panoptic_depth_core.evaluation.recordings.evaluate_bag import BagJob
from panoptic_depth_core.evaluation.recordings.evaluate_bags import evaluate_bags
from panoptic_depth_core.inference.distances import measure_distances
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, LABEL_DIVISOR, VOID_ID
from panoptic_depth_core.structures import InstanceDistance, PanopticDepth, Segment
from simulated_drive import SimulatedDrive
from simulated_scene import STREET, Solid

FRAMES, WIDTH, HEIGHT = 6, 400, 120
LIDAR_SHAPE = 48, 900
SOLIDS = (*STREET, Solid('car', 4, (21.0, -1.9, 0.75), (4.0, 1.7, 1.5)))
"""One more car, which the first one mostly hides."""

OPTIONS: dict[str, Any] = {
    'frames': FRAMES, 'width': WIDTH, 'height': HEIGHT, 'speed': 5.0, 'yaw_rate': 0.02,
    'lidar_shape': LIDAR_SHAPE, 'solids': SOLIDS}
DRIVE = SimulatedDrive(**OPTIONS)

ROAD, SIDEWALK, CAR, PERSON = (CLASS_ID[n] for n in ('road', 'sidewalk', 'car', 'person'))
FACTORS = {ROAD: 1.04, CAR: 1.10, PERSON: 0.95}
OTHER_FACTOR = 0.98
FAR_M, FAR_FACTOR = 30.0, 1.3
"""What is farther is off by this factor as well."""

SLOPE = 0.25
"""Depths grow by so much from left to right, so that errors are of all sizes."""

SIDEWALK_COLUMNS = WIDTH // 4
"""Road that is so far left is called sidewalk."""

MISSED, SPLIT = 13_001, 13_003
"""One car is void in every odd frame; a third of another one is a car of its own."""

SPLIT_OFF = SPLIT + 900
SWAPPED = {11_001: 11_002, 11_002: 11_001}
SWAP_AT = 4
"""Two persons have each other's track id from this frame on."""

UNKNOWN_DEPTH = 14_001
"""The truck has no distance."""

NO_DEPTH_ROWS = 5


@lru_cache(maxsize=FRAMES)
def truth(index: int) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Ids and depth."""
    _, ids, depth = DRIVE.truth(index)
    return ids, depth


@lru_cache(maxsize=FRAMES)
def wrong_maps(index: int) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Ids and depth of the results."""
    true_ids, true_depth = truth(index)
    ids, columns = true_ids.copy(), np.arange(WIDTH)
    ids[(true_ids == ROAD * LABEL_DIVISOR) & (columns < SIDEWALK_COLUMNS)] = (
        SIDEWALK * LABEL_DIVISOR)
    if index % 2:
        ids[true_ids == MISSED] = VOID_ID
    of_car = true_ids == SPLIT
    ids[of_car & (columns > np.quantile(np.nonzero(of_car)[1], 0.66))] = SPLIT_OFF
    factor = np.vectorize(lambda c: FACTORS.get(c, OTHER_FACTOR))(true_ids // LABEL_DIVISOR)
    depth = true_depth * np.where(true_depth > FAR_M, FAR_FACTOR, 1.0) * factor * (
        1 + SLOPE * columns / WIDTH)
    depth[:NO_DEPTH_ROWS] = depth[-NO_DEPTH_ROWS:] = np.nan
    return ids, depth.astype(np.float32)


def wrong(index: int, result: PanopticDepth) -> PanopticDepth:
    """Be the result of a frame."""
    ids, depth = wrong_maps(index)
    segments = tuple(
        Segment(i, i // LABEL_DIVISOR, i % LABEL_DIVISOR, CITYSCAPES[i // LABEL_DIVISOR].is_thing,
                0.9, count)
        for i, count in zip(*(a.tolist() for a in np.unique(ids, return_counts=True)),
                            strict=True) if i != VOID_ID)
    distances = measure_distances(ids, depth, segments, DRIVE.camera,
                                  [c.name for c in CITYSCAPES], DistanceSettings())

    def tracked(instance: InstanceDistance) -> InstanceDistance:
        number = instance.segment.panoptic_id
        track = SWAPPED.get(number, number) if index >= SWAP_AT else number
        instance = replace(instance, track_id=track)
        return instance if number != UNKNOWN_DEPTH else replace(
            instance, distance_m=np.nan, depth_m=np.nan)

    return replace(result, panoptic=ids, depth=depth, segments=segments,
                   distances=tuple(map(tracked, distances)))


@contextmanager
def without_plots() -> Iterator[None]:
    """Be where matplotlib is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in sys.modules if n.partition('.')[0] == 'matplotlib']:
            patch.delitem(sys.modules, name)
        patch.setitem(sys.modules, 'matplotlib', None)
        yield


def scored(folder: Path, *jobs: BagJob) -> dict[str, Any]:
    """Write a report and return its report.json."""
    evaluate_bags(jobs, folder)
    return json.loads((folder / 'report.json').read_text())


def values(report: dict[str, Any], prefix: str) -> dict[str, float]:
    """Return metrics of a group by the rest of their names."""
    return {name.removeprefix(prefix): figure['value']
            for name, figure in report['figures'].items() if name.startswith(prefix)}
