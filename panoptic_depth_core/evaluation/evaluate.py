# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
All metrics of a pipeline on a data set, each on the frames whose labels can judge it.

- mIoU: frames with semantics.
- Panoptic quality: frames with instances; things of their instance classes, and stuff where
  there are semantics too. Other thing pixels are crowd.
- DPQ and DVPQ: frames with semantics, instances and depth.
- Depth and the calibration of its uncertainty: frames with depth.
- Distance: instances with a known depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..class_tables import class_names, same_classes
from ..errors import ConfigError
from ..labels import CITYSCAPES, VOID_ID, ClassInfo, class_of
from ..structures import Frame, GroundTruth, PanopticDepth, Sample
from .calibration import Calibration, CalibrationResult
from .depth_aware_pq import depth_levels
from .depth_metrics import DepthErrors, DepthMetrics, DepthResult
from .distance_metrics import DistanceMetrics, DistanceResult, InstanceRecord
from .panoptic_quality import PanopticQuality, PanopticQualityResult
from .segment_overlaps import SegmentOverlaps, joint_table
from .semantic_iou import SemanticIou, SemanticIouResult
from .settings import EvaluationSettings
from .video_quality import VideoQuality, VideoQualityResult

# A look-up is several times faster than the division of millions of ids.
_CLASS_OF_ID = class_of(np.arange(VOID_ID + 1))


def classes_of(panoptic: NDArray[np.int32]) -> NDArray[np.uint8]:
    """(H, W) uint8 class ids of true panoptic ids."""
    return _CLASS_OF_ID.take(panoptic, mode='clip')


@dataclass(frozen=True)
class FrameCounts:
    """How many frames each group of figures comes from."""

    all: int = 0
    semantics: int = 0
    instances: int = 0
    depth: int = 0
    distance: int = 0
    depth_aware: int = 0

    def __add__(self, other: FrameCounts) -> FrameCounts:
        return FrameCounts(*(getattr(self, name) + getattr(other, name)
                             for name in FrameCounts.__dataclass_fields__))


@dataclass(frozen=True)
class EvaluationResult:
    """
    All figures of one pipeline on one data set.

    :param instances: truth instances that the panoptic quality counts.
    """

    frames: FrameCounts
    instances: int
    panoptic: PanopticQualityResult
    video: VideoQualityResult
    semantic: SemanticIouResult
    depth: DepthResult
    calibration: CalibrationResult
    distance: DistanceResult
    classes: tuple[ClassInfo, ...]
    settings: EvaluationSettings


@dataclass(frozen=True)
class BriefResult:
    """
    What is told of a single frame.

    :param depth: over all pixels.
    :param instances: of the truth, with a known depth.
    """

    panoptic: PanopticQualityResult
    pixel_accuracy: float
    depth: DepthErrors
    instances: Sequence[InstanceRecord]


class Evaluator:
    """
    Takes results one by one; evaluators of parts of a data set can be merged, in its order.

    :param classes: the table of truth and prediction; a class id is a row of it.
    :param compact: for results without end: a frame leaves 80 bytes, and not 6 kB; but parts add
        up but for the rounding of sums.
    """

    def __init__(self, settings: EvaluationSettings | None = None,
                 classes: Sequence[ClassInfo] = CITYSCAPES, *, compact: bool = False) -> None:
        self.settings = settings or EvaluationSettings()
        self.classes = tuple(classes)
        edges = self.settings.range_edges_m
        self._panoptic = PanopticQuality(self.classes, self.settings.crowds)
        self._video = VideoQuality(self.classes, self.settings.tolerances, self.settings.crowds,
                                   self.settings.windows)
        self._semantic = SemanticIou(self.classes)
        self._depth = DepthMetrics(self.classes, self.settings.depth_cap_m, edges)
        self._calibration = Calibration(self.settings.depth_cap_m, keeps_frames=not compact)
        self._distance = DistanceMetrics(self.settings.min_instance_pixels, edges)
        self._frames = FrameCounts()

    def add(self, truth: GroundTruth, predicted: PanopticDepth,
            sequence: str = '') -> SegmentOverlaps | None:
        """
        Add one frame: the next of its sequence, or the first of another one.

        :param sequence: see Sample.sequence.
        :returns: how the segments lie on each other; None where the truth has no labels.
        :raises ValueError: when truth and prediction differ in size, or a class is not in the
            table; the message names the frame.
        """
        overlaps = None
        try:
            if truth.panoptic is not None:
                overlaps = self._add_labels(truth, truth.panoptic, predicted, sequence)
            if truth.depth is not None:
                self._add_depth(truth, truth.depth, predicted)
        except ValueError as error:
            raise ValueError(f'frame {predicted.name!r}: {error}') from error
        self._frames += FrameCounts(all=1)
        return overlaps

    def _add_labels(self, truth: GroundTruth, panoptic: NDArray[np.int32],
                    predicted: PanopticDepth, sequence: str) -> SegmentOverlaps:
        has_instances, has_distance = bool(truth.instance_classes), bool(truth.instance_depth_m)
        depth = truth.depth if truth.has_semantics and has_instances else None
        tolerances = self.settings.tolerances
        table = joint_table(
            panoptic, predicted.panoptic, ignore=truth.ignore,
            level=None if depth is None else depth_levels(depth, predicted.depth, tolerances),
            levels=len(tolerances) + 1, predicted_divisor=predicted.label_divisor)
        overlaps = table.overlaps(unlabelled_is_void=truth.has_semantics)
        if truth.has_semantics:
            self._semantic.update(overlaps)
        if has_instances:
            self._panoptic.update(overlaps, self._judged(truth))
        if depth is not None:
            self._video.add(table, self._judged(truth), sequence)
        if has_distance:
            self._distance.update(
                overlaps, truth.instance_depth_m,
                {d.segment.panoptic_id: d.depth_m for d in predicted.distances},
                {s.panoptic_id: s.log_depth_scale for s in predicted.segments})
        self._frames += FrameCounts(
            semantics=int(truth.has_semantics), instances=int(has_instances),
            distance=int(has_distance), depth_aware=int(depth is not None))
        return overlaps

    def _add_depth(self, truth: GroundTruth, depth: NDArray[np.float32],
                   predicted: PanopticDepth) -> None:
        classes = None if truth.panoptic is None else classes_of(truth.panoptic)
        self._depth.update(predicted.depth, depth, classes)
        self._calibration.update(predicted.depth, depth, predicted.panoptic, predicted.segments)
        self._frames += FrameCounts(depth=1)

    def _judged(self, truth: GroundTruth) -> NDArray[np.bool_]:
        """(C,) bool classes of which the truth holds every segment."""
        return np.array([c.class_id in truth.instance_classes if c.is_thing
                         else truth.has_semantics for c in self.classes], np.bool_)

    def brief(self) -> BriefResult:
        """The main figures of the frames so far, in a tenth of the time of all."""
        return BriefResult(
            self._panoptic.result(self.settings.absent_classes),
            self._semantic.result().pixel_accuracy, self._depth.pooled(), self._distance.records)

    def merge(self, other: Evaluator) -> None:
        """
        Add the frames of another evaluator: for the windows of DVPQ, the part that follows.

        A sequence may go on from one part to the next.

        :raises ValueError: when it has other settings or classes.
        """
        if (self.settings, self.classes) != (other.settings, other.classes):
            raise ValueError('evaluators have different settings or classes; '
                             'give the parts of a data set the same ones')
        self._panoptic.merge(other._panoptic)
        self._video.merge(other._video)
        self._semantic.merge(other._semantic)
        self._depth.merge(other._depth)
        self._calibration.merge(other._calibration)
        self._distance.merge(other._distance)
        self._frames += other._frames

    def result(self) -> EvaluationResult:
        """All figures of the frames so far."""
        panoptic = self._panoptic.result(self.settings.absent_classes)
        things = np.array([c.is_thing for c in self.classes], np.bool_)
        instances = (panoptic.true_positives + panoptic.false_negatives)[things].sum()
        return EvaluationResult(
            frames=self._frames, instances=int(instances), panoptic=panoptic,
            video=self._video.result(self.settings.absent_classes),
            semantic=self._semantic.result(self.settings.min_truth_share),
            depth=self._depth.result(), calibration=self._calibration.result(),
            distance=self._distance.result(), classes=self.classes, settings=self.settings)


def require_same_classes(model: Sequence[ClassInfo], data: Sequence[ClassInfo],
                         model_name: str, data_name: str) -> None:
    """
    Check that class ids mean the same in a prediction and in the truth.

    :raises ConfigError: when names, their order or what is a thing differ.
    """
    if not same_classes(model, data):
        raise ConfigError(
            f'{model_name} has other classes than {data_name}: {class_names(model)}; not '
            f'{class_names(data)}; evaluate it on a data set with its classes, in their order')


def evaluate(pipeline: Callable[[Frame], PanopticDepth], samples: Iterable[Sample],
             settings: EvaluationSettings | None = None,
             classes: Sequence[ClassInfo] = CITYSCAPES,
             progress: Callable[[int, str], None] | None = None) -> EvaluationResult:
    """
    Run a pipeline over samples and measure what it returns.

    :param progress: called after every frame with the number of frames done and its name.
    :raises ValueError: see Evaluator.add. What the pipeline raises goes through.
    """
    evaluator = Evaluator(settings, classes)
    for done, sample in enumerate(samples, 1):
        evaluator.add(sample.truth, pipeline(sample.frame), sample.sequence)
        if progress is not None:
            progress(done, sample.frame.name)
    return evaluator.result()
