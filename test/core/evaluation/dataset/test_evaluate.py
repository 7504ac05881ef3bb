# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Each metric on the frames that can judge it, and the measurement of kitti_half."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from golden_metrics import each_golden_metric, published
from panoptic_depth_core.config import parse_settings
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.dataset.evaluate import (
    Evaluator,
    FrameCounts,
    evaluate,
    require_same_classes,
)
from panoptic_depth_core.evaluation.report.dataset_report import to_dict
from panoptic_depth_core.evaluation.settings import EvaluationSettings, convention
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID
from panoptic_depth_core.structures import GroundTruth, Intrinsics, PanopticDepth, Sample

CAR, ROAD, SKY = CLASS_ID['car'], CLASS_ID['road'], CLASS_ID['sky']
PERSON, TRUCK = CLASS_ID['person'], CLASS_ID['truck']


def test_a_perfect_pipeline_on_partial_labels(samples, perfect) -> None:
    result = evaluate(perfect, samples)
    assert result.frames == FrameCounts(all=4, semantics=2, instances=2, depth=2, distance=1,
                                        depth_aware=1)
    assert result.instances == 4
    assert result.panoptic.all.pq == 1
    assert result.panoptic.all.class_count == 3
    # Cars on both frames with instances, stuff where there are semantics too, trucks nowhere.
    assert result.panoptic.frames[[CAR, ROAD, SKY, TRUCK]].tolist() == [2, 1, 1, 0]
    assert result.panoptic.false_positives.sum() == 0
    assert result.semantic.mean == 1
    assert np.flatnonzero(result.semantic.counted).tolist() == [ROAD, SKY, CAR, TRUCK]
    assert result.depth.pooled.abs_rel == 0
    assert result.depth.pooled.missing_share == 0
    assert result.depth.images == 2
    # The frame with depth alone knows no classes.
    assert result.depth.by_class[CAR].pixels == 240
    assert result.distance.all.median_rel == 0
    assert (result.distance.all.instances, result.distance.all.matched_share) == (2, 1)


def test_faults_are_seen_where_labels_show_them(samples, faulty) -> None:
    result = evaluate(faulty, samples)
    assert result.panoptic.true_positives[CAR] == 2
    assert result.panoptic.false_negatives[CAR] == 2
    # The truck taken for a car lies on a crowd, and on an ignored region.
    assert result.panoptic.false_positives[CAR] == 0
    strict = evaluate(faulty, samples, EvaluationSettings(crowds='same_class'))
    assert strict.panoptic.false_positives[CAR] == 1
    assert result.panoptic.pq[SKY] == 1
    assert 0.5 < result.panoptic.pq[ROAD] < 1
    assert result.semantic.iou[CAR] == pytest.approx(120 / 320)
    assert result.semantic.iou[TRUCK] == 0
    assert result.depth.pooled.abs_rel == pytest.approx(0.1)
    assert 0.4 < result.depth.pooled.missing_share < 0.6
    assert result.distance.all.matched_share == 0.5
    assert result.distance.all.median_rel == pytest.approx(0.2)


def test_a_car_on_unlabelled_pixels_is_false_where_absence_is_known(
        samples, perfect, result_of) -> None:
    def ghost(frame):
        found = perfect(frame)
        panoptic = found.panoptic.copy()
        panoptic[:4, :10] = CAR * 1000 + 9
        return dataclasses.replace(found, panoptic=panoptic)

    only_cars, everything = samples[2], samples[0]
    assert evaluate(ghost, [only_cars]).panoptic.false_positives[CAR] == 1
    hidden = dataclasses.replace(
        everything, truth=dataclasses.replace(
            everything.truth, ignore=np.ones((20, 40), np.bool_)))
    assert evaluate(ghost, [hidden]).panoptic.false_positives[CAR] == 0


def test_the_divisor_of_the_prediction_is_its_own(samples, perfect) -> None:
    def other_divisor(frame):
        found = perfect(frame)
        ids = found.panoptic.astype(np.int64)
        void = ids == 65535
        panoptic = np.where(void, ids, ids // 1000 * 2000 + ids % 1000).astype(np.uint16)
        return dataclasses.replace(found, panoptic=panoptic, label_divisor=2000)

    result = evaluate(other_divisor, samples)
    assert result.panoptic.all.pq == 1
    assert result.semantic.mean == 1


def test_nothing_to_judge(samples, perfect) -> None:
    empty = evaluate(perfect, [])
    assert empty.frames == FrameCounts()
    for value in (empty.panoptic.all.pq, empty.semantic.mean, empty.depth.pooled.abs_rel,
                  empty.distance.all.median_rel):
        assert math.isnan(value)
    unlabelled = evaluate(perfect, [dataclasses.replace(s, truth=GroundTruth()) for s in samples])
    assert unlabelled.frames == FrameCounts(all=4)
    assert math.isnan(unlabelled.panoptic.all.pq)


def test_depths_of_instances_without_panoptic_labels_are_no_frames(samples, perfect) -> None:
    truth = GroundTruth(instance_depth_m={13001: 5.0}, instance_classes=(CAR,), has_semantics=True)
    result = evaluate(perfect, [Sample(samples[0].frame, truth)])
    assert result.frames == FrameCounts(all=1)


def test_progress_and_errors_name_the_frame(samples, perfect, result_of) -> None:
    seen = []
    evaluate(perfect, iter(samples), progress=lambda done, name: seen.append((done, name)))
    assert seen == [(i + 1, f'frame{i}') for i in range(4)]

    def cropped(frame):
        found = perfect(frame)
        return dataclasses.replace(found, panoptic=found.panoptic[:-1], depth=found.depth[:-1])

    with pytest.raises(ValueError, match=r"frame 'frame0': true depth .* \(20, 40\), \(19"):
        evaluate(cropped, samples)
    with pytest.raises(ValueError, match=r"frame 'frame3': predicted depth, true depth"):
        evaluate(cropped, samples[3:])


def test_merged_evaluators_are_one(samples, faulty) -> None:
    parts = [Evaluator(), Evaluator()]
    for i, sample in enumerate(samples):
        parts[i % 2].add(sample.truth, faulty(sample.frame))
    parts[0].merge(parts[1])
    assert to_dict(parts[0].result()) == to_dict(evaluate(faulty, samples))
    with pytest.raises(ValueError, match='different settings or classes'):
        parts[0].merge(Evaluator(EvaluationSettings(depth_cap_m=50)))


def test_sequences_that_go_on_in_the_next_part(samples, faulty) -> None:
    settings = EvaluationSettings(windows=(1, 3))
    frames = [dataclasses.replace(samples[0], sequence=name) for name in 'aaaabbb']
    parts = [Evaluator(settings), Evaluator(settings)]
    for i, sample in enumerate(frames):
        parts[i > 1].add(sample.truth, faulty(sample.frame), sample.sequence)
    parts[0].merge(parts[1])
    result = parts[0].result()
    assert result.video.windows == {1: 7, 3: 3}
    assert result.frames.depth_aware == 7
    whole = evaluate(faulty, frames, settings)
    assert result.video.by_window[3].all == pytest.approx(whole.video.by_window[3].all)
    assert 0 < whole.video.all < 1


def test_dpq_needs_semantics_instances_and_depth(samples, perfect) -> None:
    assert evaluate(perfect, samples).video.windows == {1: 1}
    assert evaluate(perfect, samples[1:]).video.windows == {1: 0}


@each_golden_metric
def test_the_published_convention_is_that_of_the_published_evaluation(path) -> None:
    """As frames of a data set, PQ and DPQ are the golden ones."""
    golden = np.load(path)
    evaluator = Evaluator(convention('published', windows=(1,)))
    things = tuple(c.class_id for c in CITYSCAPES if c.is_thing)
    for key in (k.removeprefix('gt_') for k in golden.files if k.startswith('gt_')):
        stored = golden[f'gtd_{key}'].astype(np.float32)
        truth = GroundTruth(published(golden[f'gt_{key}']), True, things,
                            depth=np.where(stored > 0, stored / 256, np.nan))
        evaluator.add(truth, PanopticDepth(
            published(golden[f'pred_{key}']).astype(np.uint16),
            golden[f'predd_{key}'].astype(np.float32) / np.float32(256), (), (),
            Intrinsics.from_fov(70, 8, 8), 1000))
    result = evaluator.result()
    groups = ('all', 'things', 'stuff')
    np.testing.assert_allclose([100 * getattr(result.panoptic, g).pq for g in groups],
                               golden['avg/-1'], atol=1e-6)
    found = result.video.by_window[1].by_tolerance
    for tolerance, quality in found.items():
        np.testing.assert_allclose([100 * getattr(quality, g).pq for g in groups],
                                   golden[f'avg/{tolerance:g}'], atol=1e-6)
    mean = np.mean([golden[f'avg/{t:g}'] for t in found], axis=0)
    np.testing.assert_allclose([100 * getattr(result.video, g) for g in groups], mean, atol=1e-6)


def test_conventions_have_names() -> None:
    assert convention('ours') == EvaluationSettings()
    assert convention('ours').absent_classes == 'leave_out'
    assert convention('official').absent_classes == 'nan'
    as_published = convention('published', windows=(1, 2))
    assert (as_published.absent_classes, as_published.crowds) == ('zero', 'none')
    assert as_published.windows == (1, 2)
    with pytest.raises(ConfigError, match="unknown name 'mine'; known: ours, official, published"):
        convention('mine')
    for wrong in ({'windows': (0,)}, {'windows': ()}, {'tolerances': (0.0,)}):
        with pytest.raises(ConfigError, match=f'evaluation: {next(iter(wrong))}'):
            convention('ours', **wrong)


def test_classes_must_be_the_same() -> None:
    require_same_classes(CITYSCAPES, list(CITYSCAPES), 'a', 'b')
    swapped = (CITYSCAPES[1], CITYSCAPES[0], *CITYSCAPES[2:])
    with pytest.raises(ConfigError, match='model m has other classes than data set d: sidewalk, '
                                          r'road, .*; not road, sidewalk, .*person \(thing\)'):
        require_same_classes(swapped, CITYSCAPES, 'model m', 'data set d')


def test_settings_reach_their_metrics(samples, faulty) -> None:
    settings = EvaluationSettings(absent_classes='zero', depth_cap_m=12, min_instance_pixels=121,
                                  min_truth_share=0.2, range_edges_m=(11.0,))
    result = evaluate(faulty, samples, settings)
    assert result.panoptic.all.class_count == 12
    assert list(result.depth.by_range) == [(0, 11), (11, 12)]
    assert result.depth.pooled.pixels == 240
    assert result.distance.all.instances == 0
    assert list(result.distance.by_range) == [(0, 11), (11, math.inf)]
    assert TRUCK not in np.flatnonzero(result.semantic.counted)
    with pytest.raises(ConfigError, match="crowds is 'all'"):
        parse_settings(EvaluationSettings, {'crowds': 'all'}, 'test')
    with pytest.raises(ConfigError, match='unknown key'):
        parse_settings(EvaluationSettings, {'cap': 80}, 'test')


def test_kitti_half_is_measured_as_agreed(shared_data, result_of) -> None:
    """The truth itself as prediction, so that what is left are the frames and their labels."""
    datasets = pytest.importorskip('panoptic_depth_core.datasets.kitti')
    samples = list(datasets.KittiHalf(shared_data / 'kitti_half', 'val'))
    truths = {s.frame.name: s.truth for s in samples}

    def oracle(frame):
        truth = truths[frame.name]
        depth = np.full(truth.panoptic.shape, 5.0) if truth.depth is None else truth.depth
        return result_of(frame, truth.panoptic, depth, truth.instance_depth_m)

    result = evaluate(oracle, samples)
    assert result.frames.all == result.frames.semantics == 21
    assert result.frames.instances == 17
    assert result.frames.depth == 7
    judged = {CITYSCAPES[i].name for i in np.flatnonzero(result.panoptic.frames)}
    assert judged == {c.name for c in CITYSCAPES if not c.is_thing} | {'car', 'person'}
    assert set(result.panoptic.frames[[ROAD, CAR, PERSON]].tolist()) == {17}
    assert result.instances == 83
    assert result.panoptic.all.pq == 1
    assert result.semantic.mean == 1
    assert result.semantic.truth_share[result.semantic.counted].min() >= 0.001
    assert result.depth.pooled.abs_rel == 0
    assert result.depth.pooled.pixels == sum(
        int(((t.depth > 0) & (t.depth <= 80)).sum()) for t in truths.values()
        if t.depth is not None)
    assert result.distance.all.matched_share == 1
    assert result.distance.all.median_rel == 0
    assert set(result.distance.by_class) == {CAR}
    assert result.distance.all.instances > 20
