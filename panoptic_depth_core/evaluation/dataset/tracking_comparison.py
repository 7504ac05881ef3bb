# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What tracking is worth: each cue alone against all of them, on predicted and on true masks.

On the masks of the truth, with the predicted depth, nothing is missed and nothing is seen that is
not there: what goes wrong then is the tracker's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from ...config import InferenceSettings, TrackingSettings
from ...errors import ConfigError
from ...inference.distances import measure_distances
from ...inference.tracking import Tracker
from ...labels import CITYSCAPES, LABEL_DIVISOR, VOID_ID, ClassInfo
from ...structures import Frame, PanopticDepth, Sample, Segment
from ..metrics.frame import JudgedFrame, Rules
from ..metrics.tracking import TrackingMetric, TrackingResult

MASKS = ('predicted', 'true')
_WEIGHTS = {'mask': 'mask_weight', 'position': 'position_weight', 'box': 'box_weight'}
CUES = ('all', *_WEIGHTS)
"""Which cues of the similarity have a weight."""


def settings_of(settings: TrackingSettings, cues: str) -> TrackingSettings:
    """Settings of a tracker by its name in CUES."""
    if cues == 'all':
        return settings
    return settings.model_copy(update={
        field: float(name == cues) for name, field in _WEIGHTS.items()})


def with_true_masks(frame: JudgedFrame, settings: InferenceSettings) -> PanopticDepth:
    """
    Return a result with the instances of the truth instead of the predicted ones.

    Their distances are measured on the predicted depth; the uncertainty is that of the predicted
    segment that covers most of an instance.

    :param frame: with true labels.
    """
    truth, result, overlaps = frame.truth, frame.result, frame.overlaps
    assert truth.panoptic is not None
    scales = {s.panoptic_id: s.log_depth_scale for s in result.segments}
    wanted = (overlaps.truth_instance > 0) & np.isin(overlaps.truth_class, truth.instance_classes)
    segments = tuple(Segment(
        int(overlaps.truth_id[row]), int(overlaps.truth_class[row]),
        int(overlaps.truth_instance[row]), True, 1.0, int(overlaps.pixels[row].sum()),
        scales.get(int(overlaps.predicted_id[overlaps.pixels[row].argmax()]), math.nan))
        for row in np.flatnonzero(wanted & ~overlaps.truth_void))
    masks = np.where(np.isin(truth.panoptic, [s.panoptic_id for s in segments]),
                     truth.panoptic, VOID_ID).astype(np.uint16)
    distances = measure_distances(masks, result.depth, segments, result.intrinsics,
                                  frame.rules.class_names, settings.distance)
    return replace(result, panoptic=masks, segments=segments, distances=distances,
                   label_divisor=LABEL_DIVISOR)


def compare_trackers(pipeline: Callable[[Frame], PanopticDepth], samples: Iterable[Sample],
                     settings: InferenceSettings | None = None,
                     classes: Sequence[ClassInfo] = CITYSCAPES, rate_hz: float = 10.0,
                     progress: Callable[[int], None] | None = None,
                     ) -> dict[tuple[str, str], TrackingResult]:
    """
    Run a pipeline over the frames of sequences, and several trackers over its results.

    :param samples: those without a sequence, or without instances, are left out.
    :param rate_hz: of frames without a stamp.
    :param progress: called with the number of samples that were read.
    :returns: (name in MASKS, name in CUES) -> metrics; without a depth there is no position.
    :raises ConfigError: when no sample is left, or scipy is not installed.
    """
    settings = settings or InferenceSettings()
    rules = Rules(classes=tuple(classes))
    runs = {(masks, cues): (Tracker(settings_of(settings.tracking, cues)), TrackingMetric(rules))
            for masks in MASKS for cues in CUES}
    before, frames, has_depth = '', 0, False
    for done, sample in enumerate(samples, 1):
        truth = sample.truth
        if sample.sequence and truth.panoptic is not None and truth.instance_classes:
            frames += 1
            if sample.sequence != before:
                before = sample.sequence
                for tracker, _ in runs.values():
                    tracker.reset()
            stamp_ns = sample.frame.stamp_ns or round(1e9 * done / rate_hz)
            result = replace(pipeline(sample.frame), stamp_ns=stamp_ns)
            has_depth |= 'depth' in result.tasks
            predicted = JudgedFrame(truth, result, rules)
            true = replace(predicted, result=with_true_masks(predicted, settings))
            for (masks, _), (tracker, metrics) in runs.items():
                frame = true if masks == 'true' else predicted
                metrics.count(frame.overlaps, truth.instance_classes, {
                    d.segment.panoptic_id: d.track_id
                    for d in tracker.update(frame.result).distances}, sample.sequence)
        if progress is not None:
            progress(done)
    if not frames:
        raise ConfigError('no frame is of a sequence and has instances; give a data set and a '
                          'split of videos, such as seq0000 of kitti_half')
    return {name: metrics.scores() for name, (_, metrics) in runs.items()
            if has_depth or name[1] != 'position'}
