# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A flat world with texture that moves past a camera, and results for its frames."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
from panoptic_depth_core.evaluation.metrics.consistency import ConsistencyMetric
from panoptic_depth_core.evaluation.metrics.frame import JudgedFrame, RecordedFrame, Rules
from panoptic_depth_core.evaluation.settings import ConsistencySettings, RecordingSettings
from panoptic_depth_core.labels import CLASS_ID, VOID_ID
from panoptic_depth_core.structures import (
    DistanceFlag,
    Frame,
    GroundTruth,
    InstanceDistance,
    Intrinsics,
    PanopticDepth,
    Segment,
)

HEIGHT, WIDTH = 120, 200
STEP = 3, 1
"""Pixels to the right and down that the world moves by per frame."""

STEP_NS = 100_000_000
START_NS = 1_700_000_000_000_000_000
MARGIN = 40
ROAD, CAR, SKY = (CLASS_ID[name] for name in ('road', 'car', 'sky'))
CARS = CAR * 1000 + 1, CAR * 1000 + 2
CAMERA = Intrinsics(150.0, 150.0, 99.5, 40.0, WIDTH, HEIGHT)


def texture() -> np.ndarray:
    """(H + 2 margins, W + 2 margins, 3) uint8, spots of a few pixels."""
    noise = np.random.default_rng(5).normal(
        size=(HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return np.clip(128 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def world_labels() -> np.ndarray:
    """Panoptic ids of the world: sky over road, two cars of 30x40 px in front of them."""
    ids = np.full((HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN), ROAD * 1000, np.uint16)
    ids[:MARGIN + 40] = SKY * 1000
    ids[MARGIN + 50:MARGIN + 80, MARGIN + 40:MARGIN + 80] = CARS[0]
    ids[MARGIN + 50:MARGIN + 80, MARGIN + 110:MARGIN + 150] = CARS[1]
    return ids


TEXTURE = texture()
LABELS = world_labels()


def seen(world: np.ndarray, index: int, step: tuple[int, int] = STEP) -> np.ndarray:
    """Part of the world that frame ``index`` shows."""
    x, y = MARGIN - step[0] * index, MARGIN - step[1] * index
    return np.ascontiguousarray(world[y:y + HEIGHT, x:x + WIDTH])


def frame(index: int, step: tuple[int, int] = STEP, stamp_ns: int | None = None) -> Frame:
    """Frame of a camera at 10 Hz."""
    stamp_ns = START_NS + index * STEP_NS if stamp_ns is None else stamp_ns
    return Frame(seen(TEXTURE, index, step), CAMERA, stamp_ns, name=f'{index:06d}')


def result(panoptic: np.ndarray, depth: np.ndarray | float = 10.0,
           distances: dict[int, float] | None = None, tracks: dict[int, int] | None = None,
           camera: Intrinsics = CAMERA, divisor: int = 1000) -> PanopticDepth:
    """
    Result with these labels.

    :param distances, tracks: by panoptic id, for every instance in the labels; 10 m and -1
        where not given.
    """
    found = []
    for number in np.unique(panoptic).tolist():
        if number != VOID_ID and number % divisor:
            segment = Segment(number, number // divisor, number % divisor, True, 0.9, 1)
            found.append(InstanceDistance(
                segment, 'car', (0, 0, 1, 1), 1, DistanceFlag(0),
                distance_m=(distances or {}).get(number, 10.0),
                track_id=(tracks or {}).get(number, -1)))
    return PanopticDepth(
        panoptic.astype(np.uint16), np.broadcast_to(np.float32(depth), panoptic.shape).copy(),
        (), tuple(found), camera, divisor)


def lattice(share_of: int = 20) -> np.ndarray:
    """Bool of the size of the world: one of ``share_of`` pixels, evenly spread."""
    y, x = np.indices(LABELS.shape)
    return (x + 7 * y) % share_of == 0


def metric(**settings) -> ConsistencyMetric:
    """Return a metric with settings of consistency."""
    return ConsistencyMetric(Rules(recording=RecordingSettings(
        consistency=ConsistencySettings(**settings))))


def compared(found: ConsistencyMetric, given: Frame, answer: PanopticDepth) -> dict:
    """Add the next frame; return the record of it."""
    one = found.alone(JudgedFrame(GroundTruth(), answer, found.rules, item=RecordedFrame(given)))
    found.merge(one)
    return one.record()


def all_of(found: ConsistencyMetric) -> SimpleNamespace:
    """Return what was found in all frames."""
    return SimpleNamespace(**found.result())
