# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What a frame leaves in the memory, and that the metrics are those of what it left before."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from panoptic_depth_core.evaluation.dataset.evaluate import Evaluator, dataset_metrics
from panoptic_depth_core.evaluation.metrics.base import MetricSums
from panoptic_depth_core.evaluation.metrics.calibration import CalibrationMetric
from panoptic_depth_core.evaluation.metrics.depth import DepthMetric
from panoptic_depth_core.evaluation.metrics.distance import (
    DistanceErrors,
    DistanceMetric,
    InstanceRecord,
)
from panoptic_depth_core.evaluation.metrics.frame import Rules
from panoptic_depth_core.evaluation.metrics.segment_overlaps import segment_overlaps
from panoptic_depth_core.evaluation.metrics.tracking import TrackingMetric
from panoptic_depth_core.evaluation.report.dataset_report import to_dict
from panoptic_depth_core.evaluation.settings import EvaluationSettings
from panoptic_depth_core.labels import CLASS_ID
from panoptic_depth_core.structures import (
    DistanceFlag,
    GroundTruth,
    InstanceDistance,
    Intrinsics,
    PanopticDepth,
    Segment,
)

CAR, PERSON = CLASS_ID['car'], CLASS_ID['person']
CAR_1, CAR_2 = CAR * 1000 + 1, CAR * 1000 + 2
SIZE = (12, 30)


def frame(number: int) -> tuple[GroundTruth, PanopticDepth]:
    """Two cars on a road; errors of depth that differ from frame to frame."""
    rng = np.random.default_rng(number)
    ids = np.zeros(SIZE, np.int32)
    ids[:, :10], ids[:, 10:20] = CAR_1, CAR_2
    depth = rng.uniform(2, 70, SIZE).astype(np.float32)
    found = depth * rng.lognormal(0, 0.2, SIZE).astype(np.float32)
    found[rng.random(SIZE) < 0.05] = np.nan
    segments = tuple(Segment(pid, pid // 1000, pid % 1000, pid > 1000, 1.0, 120, 0.15)
                     for pid in (0, CAR_1, CAR_2))
    distances = tuple(InstanceDistance(
        s, 'car', (0, 0, 1, 1), 1, DistanceFlag(0), depth_m=float(rng.uniform(5, 50)))
        for s in segments[1:])
    truth = GroundTruth(ids, True, (CAR, PERSON), depth=depth, instance_depth_m={
        CAR_1: float(rng.uniform(5, 50)), CAR_2: 20.0})
    return truth, PanopticDepth(ids.astype(np.uint16), found, segments, distances,
                                Intrinsics.from_fov(70, *SIZE[::-1]), 1000, name=str(number))


class CompactEvaluator(Evaluator):
    """Metrics as recordings count them."""

    def __init__(self) -> None:
        MetricSums.__init__(self, Rules(compact=True), dataset_metrics())


def evaluated(numbers, compact: bool) -> Evaluator:
    evaluator = CompactEvaluator() if compact else Evaluator()
    for number in numbers:
        evaluator.add(*frame(number), 'drive')
    return evaluator


def grown_by(add, count: int = 900) -> float:
    """Bytes that one call adds to the pickle of what it returns, from the 100th on."""
    for number in range(100):
        found = add(number)
    before = len(pickle.dumps(found))
    for number in range(100, 100 + count):
        found = add(number)
    return (len(pickle.dumps(found)) - before) / count


def test_the_memory_of_an_evaluator() -> None:
    """80 bytes for the depth of a frame, and 45 for each of its two instances."""
    evaluator = CompactEvaluator()

    def add(number: int) -> Evaluator:
        evaluator.add(*frame(number % 7), 'drive')
        return evaluator

    assert grown_by(add) < 80 + 2 * 45 + 1


def test_the_memory_of_tracking() -> None:
    metrics = TrackingMetric()
    overlaps = segment_overlaps(*[np.repeat([[CAR_1, CAR_2]], 10, axis=1)] * 2)

    def add(number: int) -> TrackingMetric:
        metrics.count(overlaps, (CAR,), {CAR_1: number // 50, CAR_2: 1000}, 'a')
        return metrics

    assert grown_by(add) < 2 * 8 + 1
    assert metrics.result().all.switches == 19


def test_the_memory_of_a_calibration() -> None:
    calibrations = {keeps: CalibrationMetric(Rules(compact=not keeps)) for keeps in (False, True)}

    def adder(keeps: bool):
        def add(number: int) -> CalibrationMetric:
            truth, found = frame(number % 7)
            calibrations[keeps].count(found.depth, truth.depth, found.panoptic, found.segments)
            return calibrations[keeps]
        return add

    assert grown_by(adder(False)) < 0.1
    assert grown_by(adder(True), 50) > 6000


def test_compact_metrics_are_the_same_to_the_last_bit() -> None:
    compact, whole = (evaluated(range(40), compact) for compact in (True, False))
    assert to_dict(compact.result()) == to_dict(whole.result())
    assert compact.result().calibration.pixels > 0
    # Also after a pickle, which is how parts go from one process to the other.
    assert to_dict(pickle.loads(pickle.dumps(compact)).result()) == to_dict(whole.result())


def test_compact_parts_add_up() -> None:
    part, other = evaluated(range(10), True), evaluated(range(10, 40), True)
    part.merge(other)
    merged, whole = part.result(), evaluated(range(40), True).result()
    assert merged.distance == whole.distance
    assert (merged.calibration.frames, merged.calibration.pixels) == (
        whole.calibration.frames, whole.calibration.pixels)
    for q, share in whole.calibration.coverage.items():
        assert merged.calibration.coverage[q] == pytest.approx(share, abs=1e-14)
    again = evaluated(range(10), True)
    again.merge(evaluated(range(10, 40), True))
    assert to_dict(again.result()) == to_dict(merged)


def test_a_compact_calibration_cannot_fit() -> None:
    with pytest.raises(ValueError, match='a fit needs every frame; give rules'):
        CalibrationMetric(Rules(compact=True)).fit()
    with pytest.raises(ValueError, match='different settings'):
        CompactEvaluator().merge(Evaluator())


def test_no_compact_frames() -> None:
    empty = evaluated([], True).result()
    assert to_dict(empty) == to_dict(evaluated([], False).result())
    assert math.isnan(empty.calibration.temperature)


def errors_one_by_one(records: list[InstanceRecord]) -> DistanceErrors:
    """The metrics by their definitions, instance by instance."""
    matched = [r for r in records if r.matched]
    signed = [s for r in matched if math.isfinite(s := (r.predicted_m - r.truth_m) / r.truth_m)]
    of_mean = [abs(r.predicted_mean_m - r.truth_m) / r.truth_m for r in matched
               if math.isfinite(r.predicted_mean_m)]
    ratios = [abs(math.log(r.predicted_m / r.truth_m)) / r.log_depth_scale for r in matched
              if 0 < r.predicted_m < math.inf and r.log_depth_scale > 0]

    def share(q: float) -> float:
        return float(np.mean([ratio <= -math.log1p(-q) for ratio in ratios])) if (
            ratios) else math.nan

    return DistanceErrors(
        len(records), len(matched), len(signed),
        len(matched) / len(records) if records else math.nan,
        *((float(np.median(np.abs(signed))), float(np.mean(np.abs(signed))),
           float(np.median(signed))) if signed else [math.nan] * 3),
        float(np.median(of_mean)) if of_mean else math.nan,
        len(ratios), share(0.68), share(0.95))


def random_records(count: int) -> list[InstanceRecord]:
    rng = np.random.default_rng(5)
    odd = (math.nan, math.inf, 0.0, -1.0)
    return [InstanceRecord(
        int(rng.choice([CAR, PERSON, 2])), int(rng.integers(1, 1 << 40)),
        float(rng.choice([10.0, 20.0, 40.0, rng.uniform(1, 90)])), bool(rng.random() < 0.8),
        float(rng.choice([*odd, *rng.uniform(1, 90, 12)])),
        float(rng.choice([*odd[:1], *odd[2:], *rng.uniform(0.05, 0.5, 9)])),
        float(rng.choice([math.nan, *rng.uniform(1, 90, 5)])))
        for _ in range(count)]


def test_distances_are_those_of_their_records() -> None:
    metrics, records = DistanceMetric(), random_records(400)
    for record in records:
        metrics.append(record)
    assert repr(metrics.records) == repr(records)
    result = metrics.result()
    assert repr(result.all) == repr(errors_one_by_one(records))
    for (near, far), errors in result.by_range.items():
        assert repr(errors) == repr(errors_one_by_one(
            [r for r in records if near < r.truth_m <= far]))
    for class_id, errors in result.by_class.items():
        assert repr(errors) == repr(errors_one_by_one(
            [r for r in records if r.class_id == class_id]))
    for (class_id, (near, far)), errors in result.by_class_and_range.items():
        assert repr(errors) == repr(errors_one_by_one(
            [r for r in records if r.class_id == class_id and near < r.truth_m <= far]))
    assert list(result.by_class) == sorted({r.class_id for r in records})
    assert sum(e.instances for e in result.by_class_and_range.values()) == len(records)


def test_groups_without_instances_are_left_out() -> None:
    metrics = DistanceMetric(Rules(EvaluationSettings(range_edges_m=(10.0,))))
    metrics.append(InstanceRecord(CAR, 1, 10.0, True, 11.0))
    metrics.append(InstanceRecord(PERSON, 1, 10.5, False, math.nan))
    assert list(metrics.result().by_class_and_range) == [
        (PERSON, (10.0, math.inf)), (CAR, (0.0, 10.0))]


@pytest.mark.parametrize('truth_m', [0.0, -1.0, math.nan, math.inf])
def test_a_true_depth_that_is_none_is_refused(truth_m: float) -> None:
    metrics = DistanceMetric()
    with pytest.raises(ValueError, match='true depth of an instance is .* m; give a finite'):
        metrics.append(InstanceRecord(CAR, 1, truth_m, True, 5.0))
    assert metrics.records == []


def test_depth_per_image_is_that_of_each_image() -> None:
    images = [frame(number) for number in range(6)]
    whole, parts = DepthMetric(), [DepthMetric() for _ in images]
    for (truth, found), part in zip(images, parts, strict=True):
        whole.count(found.depth, truth.depth)
        part.count(found.depth, truth.depth)
    single = [part.result().pooled for part in parts]
    assert whole.result().per_image.abs_rel == float(np.mean([s.abs_rel for s in single]))
    for part in parts[1:]:
        parts[0].merge(part)
    assert parts[0].result().per_image == whole.result().per_image
    assert parts[0].result().images == 6


def tracked(numbers, sequence: str) -> TrackingMetric:
    """One car whose track id changes every fifth frame, and a false one."""
    metrics = TrackingMetric()
    for number in numbers:
        truth = np.repeat([[CAR_1, 0]], 10, axis=1)
        found = np.repeat([[CAR_1 if number % 4 else 0, CAR_2]], 10, axis=1)
        metrics.count(segment_overlaps(truth, found), (CAR,),
                      {CAR_1: number // 5, CAR_2: 99}, sequence)
    return metrics


def test_parts_of_tracking_add_up() -> None:
    pytest.importorskip('scipy')
    whole, part = tracked(range(30), 'a'), tracked(range(13), 'a')
    part.merge(tracked(range(13, 30), 'a'))
    assert part.result() == whole.result()
    assert whole.result().all.switches > 0 and whole.result().all.fragments > 0
    # What is merged stays as it was.
    other = tracked(range(7), 'b')
    before = pickle.dumps(other)
    part.merge(other)
    assert pickle.dumps(other) == before
    both = part.result().all
    assert (both.things, both.seen, part.result().frames) == (2, 37, 37)
    assert both.switches == whole.result().all.switches + other.result().all.switches
    assert both.false_positives == 37
