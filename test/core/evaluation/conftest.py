# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A made-up data set with partial labels, and a pipeline with known faults."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np
import pytest
from panoptic_depth_core.labels import CLASS_ID, VOID_ID
from panoptic_depth_core.structures import (
    DistanceFlag,
    Frame,
    GroundTruth,
    InstanceDistance,
    Intrinsics,
    PanopticDepth,
    Sample,
    Segment,
)

CAR = CLASS_ID['car']
HEIGHT, WIDTH = 20, 40
ROAD_ID, SKY_ID, TRUCK_ID = 0, CLASS_ID['sky'] * 1000, CLASS_ID['truck'] * 1000 + 1
CARS = (CAR * 1000 + 1, CAR * 1000 + 2)


def make_result(frame: Frame, panoptic: np.ndarray, depth: np.ndarray,
                depths_m: dict[int, float]) -> PanopticDepth:
    """Result of a pipeline; ``depths_m``: panoptic id -> meters."""
    segments = {pid: Segment(pid, pid // 1000, pid % 1000, pid % 1000 > 0, 1.0,
                             int((panoptic == pid).sum())) for pid in depths_m}
    distances = tuple(InstanceDistance(
        segment, 'car', (0, 0, 1, 1), 1, DistanceFlag(0), depth_m=depths_m[pid])
        for pid, segment in segments.items())
    return PanopticDepth(panoptic.astype(np.uint16), depth.astype(np.float32),
                         tuple(segments.values()), distances, frame.intrinsics, 1000,
                         name=frame.name)


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without plots, which have tests of their own and take most of the time."""
    for name in [n for n in sys.modules if n.partition('.')[0] == 'matplotlib']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'matplotlib', None)


@pytest.fixture
def result_of() -> Callable[..., PanopticDepth]:
    return make_result


def scene() -> tuple[np.ndarray, np.ndarray]:
    """Panoptic ids and depth: sky over road, two cars of 120 px, a truck, a strip of void."""
    ids = np.full((HEIGHT, WIDTH), ROAD_ID, np.int32)
    ids[:8] = SKY_ID
    ids[6:16, 2:14] = CARS[0]
    ids[6:16, 16:28] = CARS[1]
    ids[6:16, 30:38] = TRUCK_ID
    ids[-1] = VOID_ID
    depth = np.where(ids == SKY_ID, np.inf, 15.0)
    depth[ids == CARS[0]], depth[ids == CARS[1]] = 10.0, 30.0
    depth[-1] = np.nan
    return ids, depth.astype(np.float32)


@pytest.fixture
def samples() -> list[Sample]:
    """Four frames of one scene: all labels, only semantics, only instances of cars, only depth."""
    ids, depth = scene()
    camera = Intrinsics.from_fov(80, WIDTH, HEIGHT)
    crowded = np.where(ids // 1000 == CAR, CAR * 1000, ids).astype(np.int32)
    truck_alone = np.where(ids == TRUCK_ID, CLASS_ID['truck'] * 1000, ids).astype(np.int32)
    only_cars = np.where(np.isin(ids, CARS), ids, VOID_ID).astype(np.int32)
    truths = (
        GroundTruth(truck_alone, True, (CAR,), depth=depth,
                    instance_depth_m={CARS[0]: 10.0, CARS[1]: 30.0}),
        GroundTruth(crowded, True),
        GroundTruth(only_cars, False, (CAR,), ignore=ids == TRUCK_ID),
        GroundTruth(depth=depth),
    )
    return [Sample(Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), camera, name=f'frame{i}'), truth)
            for i, truth in enumerate(truths)]


@pytest.fixture
def perfect() -> Callable[[Frame], PanopticDepth]:
    ids, depth = scene()
    return lambda frame: make_result(frame, ids, depth, {CARS[0]: 10.0, CARS[1]: 30.0})


@pytest.fixture
def faulty() -> Callable[[Frame], PanopticDepth]:
    """Second car not found, first one 20 % too far, truck taken for a car, depth 10 % too far."""
    ids, depth = scene()
    ids = np.where(ids == CARS[1], ROAD_ID, np.where(ids == TRUCK_ID, CARS[1], ids))
    depth = np.where(np.arange(WIDTH) < WIDTH // 2, depth * 1.1, np.nan)
    return lambda frame: make_result(frame, ids, depth, {CARS[0]: 12.0, CARS[1]: math.nan})
