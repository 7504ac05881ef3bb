# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Mean IoU of classes: by hand, at its limits, and against torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
from panoptic_depth_core.evaluation.metrics.frame import Rules
from panoptic_depth_core.evaluation.metrics.segment_overlaps import segment_overlaps
from panoptic_depth_core.evaluation.metrics.semantic import SemanticMetric
from panoptic_depth_core.evaluation.settings import EvaluationSettings
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, VOID_CLASS, VOID_ID, class_of

ROAD, SKY, CAR = CLASS_ID['road'], CLASS_ID['sky'], CLASS_ID['car']


def iou(*pairs, share: float = 0.0):
    metric = SemanticMetric(Rules(EvaluationSettings(min_truth_share=share)))
    for truth, predicted in pairs:
        metric.count(segment_overlaps(np.array(truth), np.array(predicted)))
    return metric.result()


def test_perfect_whatever_the_instances() -> None:
    result = iou(([0, 0, 13001, 13002, 13000], [0, 0, 13004, 13000, 13004]))
    assert result.mean == 1
    assert result.pixel_accuracy == 1
    assert result.truth_share[[ROAD, CAR]].tolist() == [0.4, 0.6]
    assert np.isnan(result.iou[SKY])


def test_by_hand_over_two_frames() -> None:
    result = iou(([0, 0, 0, 10000], [0, 0, 10000, 10000]),
                 ([VOID_ID, 0, 10000, 10000], [0, 0, 10000, VOID_ID]))
    # Road: 3 of 4, nothing besides (on void does not count). Sky: 2 of 3, and one of road.
    assert result.iou[ROAD] == pytest.approx(3 / 4)
    assert result.iou[SKY] == pytest.approx(2 / 4)
    assert result.mean == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert result.pixel_accuracy == pytest.approx(5 / 7)


def test_rare_classes_can_be_left_out() -> None:
    truth = [0] * 999 + [10000]
    predicted = [0] * 999 + [13001]
    everything, frequent = iou((truth, predicted)), iou((truth, predicted), share=0.01)
    assert everything.mean == pytest.approx(1 / 3)
    assert np.flatnonzero(everything.counted).tolist() == [ROAD, SKY, CAR]
    assert frequent.mean == 1
    assert np.flatnonzero(frequent.counted).tolist() == [ROAD]
    # Exactly the share counts.
    assert iou((truth, predicted), share=0.001).counted[SKY]


def test_nothing_known_and_nothing_predicted() -> None:
    assert np.isnan(SemanticMetric().result().mean)
    unknown = iou(([VOID_ID] * 4, [0] * 4))
    assert np.isnan(unknown.mean)
    assert np.isnan(unknown.pixel_accuracy)
    empty = iou(([0] * 4, [VOID_ID] * 4))
    assert empty.mean == 0
    assert empty.pixel_accuracy == 0


def test_a_class_beyond_the_table_is_an_error() -> None:
    with pytest.raises(ValueError, match='panoptic id 19000 is of class 19'):
        iou(([19000], [0]))


def test_merged_parts_are_the_whole() -> None:
    rng = np.random.default_rng(0)
    frames = [tuple(rng.integers(0, 19, (2, 5, 7)) * 1000) for _ in range(3)]
    part, other = SemanticMetric(), SemanticMetric()
    part.count(segment_overlaps(*frames[0]))
    for frame in frames[1:]:
        other.count(segment_overlaps(*frame))
    part.merge(other)
    np.testing.assert_array_equal(part.result().iou, iou(*frames).iou)


def test_agrees_with_torchmetrics() -> None:
    torch = pytest.importorskip('torch')
    classification = pytest.importorskip('torchmetrics.classification')
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 19, (40, 60)) * 1000
    predicted = np.where(rng.random(truth.shape) < 0.6, truth, rng.permutation(truth.ravel())
                         .reshape(truth.shape))
    truth = np.where(rng.random(truth.shape) < 0.1, VOID_ID, truth)
    theirs = classification.MulticlassJaccardIndex(
        len(CITYSCAPES), average='none', ignore_index=VOID_CLASS)(
            torch.from_numpy(class_of(predicted).astype(np.int64)),
            torch.from_numpy(class_of(truth).astype(np.int64)))
    np.testing.assert_allclose(iou((truth, predicted)).iou, theirs.numpy(), atol=1e-6)
