# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Trackers side by side, on predicted and on true masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from panoptic_depth_core.config import InferenceSettings, TrackingSettings
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.dataset.tracking_comparison import (
    CUES,
    MASKS,
    compare_trackers,
    settings_of,
    with_true_masks,
)
from panoptic_depth_core.evaluation.metrics.frame import JudgedFrame, Rules
from panoptic_depth_core.labels import CLASS_ID, VOID_ID
from panoptic_depth_core.structures import Frame, GroundTruth, Intrinsics, Sample

pytest.importorskip('scipy')

CAR = CLASS_ID['car']
CARS = (CAR * 1000 + 1, CAR * 1000 + 2)


@pytest.mark.parametrize('cues', CUES)
def test_settings_of_cues(cues: str) -> None:
    settings = TrackingSettings(mask_weight=3, max_gap_s=2)
    found = settings_of(settings, cues)
    weights = {'mask': found.mask_weight, 'position': found.position_weight,
               'box': found.box_weight}
    assert weights == ({'mask': 3, 'position': 1, 'box': 1} if cues == 'all'
                       else {name: float(name == cues) for name in weights})
    assert found.max_gap_s == 2


def clip(result_of, jump_px: int = 6):
    """
    Return five samples of a car that jumps, ten pixels wide, and a pipeline.

    The pipeline sees it 10 m away, where it is, with ids that change from frame to frame.
    """
    camera = Intrinsics.from_fov(80, 60, 20)
    samples, results = [], {}
    for number in range(5):
        truth = np.full((20, 60), VOID_ID, np.int32)
        box = np.s_[5:15, number * jump_px:number * jump_px + 10]
        truth[box] = CARS[0]
        predicted = np.zeros((20, 60), np.int32)
        predicted[box] = CARS[number % 2]
        frame = Frame(np.zeros((20, 60, 3), np.uint8), camera, name=str(number))
        samples.append(Sample(frame, GroundTruth(truth, instance_classes=(CAR,)), 'a'))
        results[frame.name] = result_of(frame, predicted, np.full((20, 60), 10.0),
                                        {CARS[number % 2]: 10.0})
    return samples, lambda frame: results[frame.name]


def test_without_a_depth_no_cue_is_a_position(result_of) -> None:
    samples, pipeline = clip(result_of)

    def labels_alone(frame):
        return replace(pipeline(frame), tasks=frozenset(('semantic', 'instances')))

    assert {cues for _, cues in compare_trackers(labels_alone, samples)} == {'all', 'mask', 'box'}


def test_trackers_are_compared(result_of) -> None:
    """A jump by most of its width: mask and box of stored results find it, or do not."""
    samples, pipeline = clip(result_of)
    done: list[int] = []
    results = compare_trackers(pipeline, samples, progress=done.append)
    assert done == [1, 2, 3, 4, 5]
    assert set(results) == {(masks, cues) for masks in MASKS for cues in CUES}
    assert results['true', 'all'].all.idf1 == 1
    assert {result.frames for result in results.values()} == {5}
    # The made-up results have no positions, true masks get them from the depth.
    assert results['predicted', 'position'].all.switches == 4
    assert results['true', 'position'].all.switches == 0
    strict = InferenceSettings(tracking=TrackingSettings(min_similarity=0.5))
    assert compare_trackers(pipeline, samples, strict)['true', 'mask'].all.switches == 4


def test_the_rate_is_that_of_frames_without_stamps(result_of) -> None:
    """A frame every two seconds: nothing is remembered for so long."""
    samples, pipeline = clip(result_of, 0)
    assert compare_trackers(pipeline, samples, rate_hz=0.5)['true', 'all'].all.switches == 4
    stamped = [replace(s, frame=replace(s.frame, stamp_ns=10 ** 9 + i))
               for i, s in enumerate(samples)]
    assert compare_trackers(pipeline, stamped, rate_hz=0.5)['true', 'all'].all.switches == 0


def test_true_masks_have_predicted_depths(result_of) -> None:
    samples, pipeline = clip(result_of)
    sample = samples[0]
    result = pipeline(sample.frame)
    known = replace(result, segments=tuple(
        replace(s, log_depth_scale=0.25) for s in result.segments))
    true = with_true_masks(JudgedFrame(sample.truth, known, Rules()), InferenceSettings())
    distance, = true.distances
    assert distance.segment.panoptic_id == CARS[0]
    assert distance.segment.log_depth_scale == 0.25
    assert distance.depth_m == pytest.approx(10)
    np.testing.assert_array_equal(true.panoptic, sample.truth.panoptic)


def test_pictures_cannot_be_tracked(samples, perfect) -> None:
    with pytest.raises(ConfigError, match='no frame is of a sequence and has instances'):
        compare_trackers(perfect, samples)
