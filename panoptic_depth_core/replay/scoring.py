# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Everything that can be said of the results of a recording, frame by frame and summed up.

What a frame's truth cannot judge is left out of it: see evaluation.evaluate, which judges true
labels and depth images here as on a data set.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.calibration import Calibration
from ..evaluation.depth_metrics import DepthErrors, DepthMetrics
from ..evaluation.distance_metrics import DistanceMetrics, InstanceRecord
from ..evaluation.evaluate import BriefResult, Evaluator, classes_of
from ..evaluation.segment_overlaps import SegmentOverlaps
from ..evaluation.tracking_metrics import TrackingMetrics
from ..io.truth_images import medians
from ..labels import ClassInfo
from ..structures import GroundTruth, InstanceDistance, PanopticDepth
from .agreement import AgreementMetrics
from .consistency.metrics import ConsistencyMetrics
from .reading.boxes import match_boxes, plain_name
from .settings import ReplaySettings
from .structures import ReplayFrame, TrueBox

Record = dict[str, Any]


class BagScore:
    """
    Takes results one by one; scores of bags can be merged, in their order.

    :param classes: the table of truth and prediction; a class id is a row of it.
    """

    def __init__(self, classes: Sequence[ClassInfo], settings: ReplaySettings) -> None:
        self.classes = tuple(classes)
        self.settings = settings
        rules = settings.evaluation
        self.frames = 0
        self.labels = self._evaluator()
        self.lidar_depth = DepthMetrics(self.classes, rules.depth_cap_m, rules.range_edges_m)
        self.lidar_calibration = Calibration(rules.depth_cap_m, keeps_frames=False)
        self.lidar_distance = DistanceMetrics(rules.min_instance_pixels, rules.range_edges_m)
        self.box_distance = DistanceMetrics(1, rules.range_edges_m)
        self.tracking = TrackingMetrics(self.classes)
        self.has_tracks = False
        self.consistency = ConsistencyMetrics(self.classes, settings.consistency)
        self.agreement = AgreementMetrics(self.classes)
        self._thing_ids = {plain_name(c.name): c.class_id for c in self.classes if c.is_thing}

    def _evaluator(self) -> Evaluator:
        return Evaluator(self.settings.evaluation, self.classes, compact=True)

    def add(self, item: ReplayFrame, result: PanopticDepth, sequence: str = '') -> Record:
        """
        Add the next frame of a bag.

        :param sequence: name of the bag.
        :returns: what is known of this frame alone, as plain values; NaN where not known.
        :raises ValueError: truth or results that do not fit; nothing of the frame is counted.
        """
        record: Record = {
            'instances': len(instances_of(result)), 'labels': None, 'depth': None,
            'lidar': None, 'distances': [], 'consistency': None, 'agreement': None}
        self._add_truth(item.truth, result, sequence, record)
        if item.lidar_depth is not None:
            self._add_lidar(item.lidar_depth, item.truth, result, record)
        if item.boxes is not None:
            self._add_boxes(item.boxes, result, record)
        record['consistency'] = self.consistency.update(item.frame, result)
        if item.reference is not None:
            record['agreement'] = self.agreement.update(result, item.reference)
        self.frames += 1
        return record

    def _add_truth(self, truth: GroundTruth, result: PanopticDepth, sequence: str,
                   record: Record) -> None:
        """By true labels and depth images."""
        one = self._evaluator()
        overlaps = one.add(truth, result, sequence)
        figures = one.brief()
        if overlaps is not None:
            record['labels'] = _labels(figures)
            self._add_tracks(overlaps, truth.instance_classes, result, sequence)
        if truth.depth is not None:
            record['depth'] = _depth(figures.depth)
        record['distances'] += self._told('labels', figures.instances)
        self.labels.merge(one)

    def _add_tracks(self, overlaps: SegmentOverlaps, judged: Sequence[int],
                    result: PanopticDepth, sequence: str) -> None:
        """Frames in which nothing is tracked count too: what is in them was missed."""
        if judged:
            tracks = {d.segment.panoptic_id: d.track_id for d in result.distances}
            self.tracking.update(overlaps, judged, tracks, sequence)
            self.has_tracks |= max(tracks.values(), default=-1) >= 0

    def _add_lidar(self, depth: NDArray[np.float32], truth: GroundTruth, result: PanopticDepth,
                   record: Record) -> None:
        """By the points of a cloud; instances by those that fall on their predicted masks."""
        if depth.shape != result.depth.shape:
            raise ValueError(f'points of shape {depth.shape}, results of {result.depth.shape}; '
                             'give results at the size of the image')
        # Few pixels have a point: all that follows is of them alone.
        at = np.flatnonzero(np.isfinite(depth))
        metres, predicted = depth.ravel()[at], result.depth.ravel()[at]
        ids = result.panoptic.ravel()[at]
        classes = None if truth.panoptic is None else classes_of(truth.panoptic.ravel()[at])
        one = DepthMetrics(self.classes, self.lidar_depth.cap_m,
                           self.settings.evaluation.range_edges_m)
        one.update(predicted, metres, classes)
        self.lidar_depth.merge(one)
        self.lidar_calibration.update(predicted, metres, ids, result.segments)
        record['lidar'] = _depth(one.pooled())
        records = list(lidar_instances(
            metres, ids, instances_of(result), self.settings.lidar.min_instance_points,
            self.settings.evaluation.min_instance_pixels))
        for instance in records:
            self.lidar_distance.add(instance)
        record['distances'] += self._told('lidar', records)

    def _add_boxes(self, boxes: Sequence[TrueBox], result: PanopticDepth, record: Record) -> None:
        """By true boxes of things that the model knows; FrameTruth tells of others."""
        judged = [box for box in boxes if plain_name(box.class_name) in self._thing_ids]
        instances = instances_of(result)
        answers = match_boxes(judged, instances, self.settings.boxes)
        records = [box_instance(box, self._thing_ids[plain_name(box.class_name)],
                                None if answer is None else instances[answer])
                   for box, answer in zip(judged, answers, strict=True)]
        for instance in records:
            self.box_distance.add(instance)
        record['distances'] += self._told('boxes', records)

    def _told(self, source: str, records: Iterable[InstanceRecord]) -> list[Record]:
        """Instances of a frame's record."""
        return [{'source': source, 'class': self.classes[r.class_id].name, 'truth_m': r.truth_m,
                 'predicted_m': None if math.isnan(r.predicted_m) else r.predicted_m,
                 'matched': r.matched} for r in records]

    def merge(self, other: BagScore) -> None:
        """
        Add the frames of another bag.

        :raises ValueError: when it has other settings or classes.
        """
        self.labels.merge(other.labels)
        for name in ('lidar_depth', 'lidar_calibration', 'lidar_distance', 'box_distance',
                     'consistency', 'agreement'):
            getattr(self, name).merge(getattr(other, name))
        self._merge_tracking(other)
        self.frames += other.frames

    def _merge_tracking(self, other: BagScore) -> None:
        """Add the tracks of another bag; one without any was not tracked, and counts no misses."""
        if not other.has_tracks:
            return
        if not self.has_tracks:
            self.tracking = TrackingMetrics(self.classes)
        self.tracking.merge(other.tracking)
        self.has_tracks = True


def instances_of(result: PanopticDepth) -> list[InstanceDistance]:
    """Instances of things; not stuff, nor regions of a thing class without an instance."""
    return [d for d in result.distances if d.segment.is_thing and d.segment.instance_id > 0]


def lidar_instances(metres: NDArray[np.float32], ids: NDArray[np.uint16],
                    distances: Sequence[InstanceDistance], min_points: int,
                    min_pixels: int) -> Iterable[InstanceRecord]:
    """
    Predicted instances with the median depth of the points on their masks.

    :param metres: (N,) depth of the points; ids: (N,) the predicted ids of their pixels.
    :param distances: of instances; smaller ones than min_pixels, and those with fewer points than
        min_points, are left out.
    """
    found = medians(ids, metres)
    points = {number: (count, value) for number, count, value in zip(
        found.groups.tolist(), found.counts.tolist(), found.values.tolist(), strict=True)}
    for distance in distances:
        segment = distance.segment
        count, true_m = points.get(segment.panoptic_id, (0, math.nan))
        if segment.pixel_count >= min_pixels and count >= min_points:
            yield InstanceRecord(segment.class_id, segment.pixel_count, true_m, True,
                                 distance.depth_m, segment.log_depth_scale)


def box_instance(box: TrueBox, class_id: int, found: InstanceDistance | None) -> InstanceRecord:
    """A true box and the distance of the instance that answers it."""
    pixels = round(box.roi[2] * box.roi[3])
    if found is None:
        return InstanceRecord(class_id, pixels, box.distance_m, False, math.nan)
    return InstanceRecord(class_id, pixels, box.distance_m, True, found.distance_m,
                          found.segment.log_depth_scale)


def _labels(figures: BriefResult) -> Record:
    panoptic = figures.panoptic
    return {'pq': panoptic.all.pq, 'sq': panoptic.all.sq, 'rq': panoptic.all.rq,
            'true_positives': int(panoptic.true_positives.sum()),
            'false_positives': int(panoptic.false_positives.sum()),
            'false_negatives': int(panoptic.false_negatives.sum()),
            'pixel_accuracy': figures.pixel_accuracy}


def _depth(errors: DepthErrors) -> Record:
    return {name: getattr(errors, name)
            for name in ('pixels', 'abs_rel', 'rmse_m', 'delta1', 'missing_share')}
