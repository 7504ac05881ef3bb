# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Small frames and results that the tests of io write and read back."""

from __future__ import annotations

import numpy as np
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

CAR_ID = CLASS_ID['car'] * 1000 + 1
PERSON_ID = CLASS_ID['person'] * 1000 + 1
SECOND_NS = 1_000_000_000


def make_frame(index: int = 0, height: int = 24, width: int = 40) -> Frame:
    """Return a frame whose pixels, stamp and name depend on the index."""
    image = np.random.default_rng(index).integers(0, 256, (height, width, 3), np.uint8)
    return Frame(image, Intrinsics(50.0, 51.0, 19.0, 11.0, width, height),
                 1_700_000_000 * SECOND_NS + index * SECOND_NS, 'camera_optical',
                 f'{index:06d}', 'camera_info')


def make_result(frame: Frame) -> PanopticDepth:
    """Return a result: road, a car at 12.5 m, a person without distance, void and far pixels."""
    height, width = frame.image.shape[:2]
    panoptic = np.zeros((height, width), np.uint16)
    panoptic[:4] = VOID_ID
    panoptic[8:16, 4:14] = CAR_ID
    panoptic[6:12, 20:23] = PERSON_ID
    depth = np.full((height, width), 20.0, np.float32)
    depth[:4] = np.inf
    depth[panoptic == CAR_ID] = 12.25
    depth[panoptic == PERSON_ID] = np.nan
    road = Segment(0, 0, 0, False, 0.9, int((panoptic == 0).sum()), 0.1)
    car = Segment(CAR_ID, CLASS_ID['car'], 1, True, 0.75, 80, 0.05)
    person = Segment(PERSON_ID, CLASS_ID['person'], 1, True, 0.5, 18)
    distances = (
        InstanceDistance(car, 'car', (4, 8, 10, 8), 80, DistanceFlag(0), 12.5, 0.25, 12.0, 12.25,
                         np.array([-2.5, 0.25, 12.25], np.float32),
                         np.diag([0.1, 0.2, 0.3]).astype(np.float32),
                         np.array([-2.0, 0.0, 11.8], np.float32),
                         np.array([2.0, 1.5, 0.5], np.float32)),
        InstanceDistance(person, 'person', (20, 6, 3, 6), 0, DistanceFlag.LOW_DEPTH_SUPPORT),
    )
    return PanopticDepth(panoptic, depth, (road, car, person), distances, frame.intrinsics, 1000,
                         frame.stamp_ns, frame.frame_id, frame.name, 'test-model',
                         {'graph': 30.0, 'distances': 2.0})


def make_sample(index: int) -> Sample:
    """Return a frame with the truth that its result would be."""
    frame = make_frame(index)
    result = make_result(frame)
    return Sample(frame, GroundTruth(result.panoptic.astype(np.int32), True, (11, 13), None,
                                     result.depth))
