# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Agreement of two results: equal, a little off, and counted by hand."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from panoptic_depth_core.evaluation.metrics.agreement import AgreementMetric
from panoptic_depth_core.evaluation.metrics.frame import JudgedFrame, RecordedFrame
from panoptic_depth_core.labels import VOID_ID
from panoptic_depth_core.structures import (
    DistanceFlag,
    Frame,
    GroundTruth,
    InstanceDistance,
    Intrinsics,
    PanopticDepth,
    Segment,
)

CAR = 13_000
NAN = float('nan')


def result(ids: list[list[int]], depth: float | np.ndarray = 10.0,
           distances: dict[int, float] | None = None, divisor: int = 1000) -> PanopticDepth:
    """Return a result of ids, a depth and distances by id."""
    panoptic = np.array(ids, np.uint16)
    height, width = panoptic.shape
    meters = np.full(panoptic.shape, depth, np.float32)
    found = tuple(InstanceDistance(
        Segment(i, i // divisor, i % divisor, True, 0.9, 1), 'car', (0, 0, 1, 1), 1,
        DistanceFlag(0), meter) for i, meter in (distances or {}).items())
    return PanopticDepth(panoptic, meters, tuple(d.segment for d in found), found,
                         Intrinsics(50, 50, 1, 1, width, height), divisor)


IDS = [[VOID_ID, 0, 0, 0], [CAR + 1, CAR + 1, CAR + 1, 0], [CAR + 2, CAR + 2, 0, 0]]


def add(metric: AgreementMetric, one: PanopticDepth, other: PanopticDepth) -> None:
    """Add a frame."""
    frame = Frame(np.zeros((*one.panoptic.shape, 3), np.uint8), one.intrinsics)
    metric.update(JudgedFrame(GroundTruth(), one, metric.rules,
                              item=RecordedFrame(frame, reference=other)))


def compare(one: PanopticDepth, other: PanopticDepth) -> SimpleNamespace:
    """Return the agreement of one frame."""
    metrics = AgreementMetric()
    add(metrics, one, other)
    return SimpleNamespace(**metrics.result())


def test_the_same() -> None:
    depth = np.array([[np.inf, -np.inf, np.nan, 4]] * 3, np.float32)
    one = result(IDS, depth, {CAR + 1: 9.5, CAR + 2: NAN})
    assert compare(one, one) == SimpleNamespace(
        frames=1, other_size=0, identical_frames=1, same_class_share=1.0, same_segment_share=1.0,
        depth_known_in_one_share=0.0, depth_median_log=0.0, depth_p99_log=0.0, depth_max_log=0.0,
        instances_matched=2, instances_only_result=0, instances_only_reference=0,
        distance_median_rel=0.0)


def test_by_hand() -> None:
    """
    One car is cut, another one is a truck, one is new; void became road.

    Of 12 pixels, row by row: another class, same, same, same; same, same, same class and segment
    gone from the car, same; two of another class; road became a car, same.
    """
    other = result(IDS, distances={CAR + 1: 10.0, CAR + 2: 20.0})
    one = result([[0, 0, 0, 0], [CAR + 4, CAR + 4, CAR + 7, 0], [14_001, 14_001, CAR + 9, 0]],
                 distances={CAR + 4: 11.0, 14_001: 20.0, CAR + 7: 3.0, CAR + 9: 4.0})
    found = compare(one, other)
    assert found.same_class_share == pytest.approx(8 / 12)
    assert found.same_segment_share == pytest.approx(7 / 12)
    assert (found.instances_matched, found.instances_only_result,
            found.instances_only_reference) == (1, 3, 1)
    assert found.distance_median_rel == pytest.approx(0.1, rel=4e-3)
    assert found.identical_frames == 0 and found.depth_max_log == 0.0


def test_depths() -> None:
    other = result(IDS, np.full((3, 4), 10.0))
    depth = np.full((3, 4), 10.1, np.float32)
    depth[0] = np.nan, np.inf, 0.0, 20.0
    found = compare(replace(other, depth=depth), other)
    assert found.depth_known_in_one_share == 3 / 12
    assert found.depth_median_log == pytest.approx(math.log(1.01), rel=4e-3)
    assert found.depth_max_log == pytest.approx(math.log(2))
    assert found.depth_p99_log == pytest.approx(math.log(2), rel=4e-3)
    assert found.depth_p99_log <= found.depth_max_log
    assert found.identical_frames == 0 and found.same_class_share == 1.0


def test_a_single_bit_is_seen() -> None:
    one = result(IDS)
    depth = one.depth.copy()
    depth[1, 1] = np.nextafter(depth[1, 1], np.float32(np.inf))
    found = compare(replace(one, depth=depth), one)
    assert found.identical_frames == 0
    assert 0 < found.depth_max_log < 2e-7 and found.depth_median_log == 0.0


def test_other_divisors() -> None:
    one = result([[13 * 256 + 5, 0]], divisor=256, distances={13 * 256 + 5: 4.0})
    other = result([[CAR + 1, 0]], distances={CAR + 1: 4.0})
    found = compare(one, other)
    assert found.same_segment_share == 1.0 and found.instances_matched == 1
    assert found.distance_median_rel == 0.0 and found.identical_frames == 0


def test_other_sizes_are_not_compared() -> None:
    found = compare(result(IDS), result([[0, 0]]))
    assert found.frames == 0 and found.other_size == 1
    assert math.isnan(found.same_class_share) and math.isnan(found.depth_max_log)


def test_nothing() -> None:
    found = SimpleNamespace(**AgreementMetric().result())
    assert found.frames == 0 and math.isnan(found.distance_median_rel)


def test_parts_are_merged_exactly() -> None:
    random = np.random.default_rng(3)
    pairs = []
    for _ in range(9):
        one = result(random.choice([0, CAR + 1, CAR + 2, VOID_ID], (30, 40)).tolist(),
                     random.uniform(1, 50, (30, 40)), {CAR + 1: random.uniform(5, 9)})
        near = one.depth * random.uniform(0.9, 1.1, (30, 40)).astype(np.float32)
        pairs.append((replace(one, depth=near), one))
    whole, *parts = (AgreementMetric() for _ in range(4))
    for index, pair in enumerate(pairs):
        add(whole, *pair)
        add(parts[index // 3], *pair)
    merged = AgreementMetric()
    for part in parts:
        merged.merge(pickle.loads(pickle.dumps(part)))
    assert merged.result() == whole.result() and merged.result()['frames'] == 9
    errors = np.abs(np.log(np.concatenate([(a.depth / b.depth).ravel() for a, b in pairs])))
    found = SimpleNamespace(**whole.result())
    assert found.depth_median_log == pytest.approx(np.median(errors), rel=6e-3)
    assert found.depth_p99_log == pytest.approx(np.quantile(errors, 0.99), rel=6e-3)
    assert found.depth_max_log == pytest.approx(errors.max(), rel=1e-6)


def test_memory_does_not_grow() -> None:
    metrics = AgreementMetric()
    add(metrics, result(IDS), result(IDS))
    size = len(pickle.dumps(metrics))
    for _ in range(50):
        add(metrics, result(IDS), result(IDS, 11.0))
    assert len(pickle.dumps(metrics)) - size < 100
