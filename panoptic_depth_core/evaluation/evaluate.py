# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
All metrics of a pipeline on a data set, each on the frames whose labels can judge it.

- mIoU: frames with semantics.
- Panoptic quality: frames with instances; things of their instance classes, and stuff where
  there are semantics too. Other thing pixels are crowd.
- Depth: frames with depth.
- Distance: instances with a known depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..config import Settings
from ..labels import CITYSCAPES, ClassInfo, class_of
from ..structures import Frame, GroundTruth, PanopticDepth, Sample
from .depth_metrics import DEPTH_CAP_M, RANGE_EDGES_M, DepthMetrics, DepthResult
from .distance_metrics import MIN_INSTANCE_PIXELS, DistanceMetrics, DistanceResult
from .panoptic_quality import AbsentClasses, CrowdRule, PanopticQuality, PanopticQualityResult
from .segment_overlaps import segment_overlaps
from .semantic_iou import SemanticIou, SemanticIouResult


class EvaluationSettings(Settings):
    """Conventions of the figures; reports name them."""

    absent_classes: AbsentClasses = Field('leave_out', description='classes in no truth and no '
                                          'prediction: not in a mean, 0 in it, or it is NaN')
    crowds: CrowdRule = Field('any_class', description='a prediction mostly on thing pixels '
                              'without a known instance is no false positive if it is of the '
                              'same class, of any class, or there are no crowds')
    min_truth_share: float = Field(0.001, ge=0, le=1, description='classes with less of the '
                                   'labelled pixels are not in the mIoU')
    depth_cap_m: float = Field(DEPTH_CAP_M, gt=0, allow_inf_nan=False, description='true depths '
                               'beyond it do not count')
    range_edges_m: tuple[float, ...] = Field(RANGE_EDGES_M, description='limits between the '
                                             'groups of errors by distance')
    min_instance_pixels: int = Field(MIN_INSTANCE_PIXELS, ge=1, description='smaller instances '
                                     'have no distance error')


@dataclass(frozen=True)
class FrameCounts:
    """How many frames each group of figures comes from."""

    all: int = 0
    semantics: int = 0
    instances: int = 0
    depth: int = 0
    distance: int = 0

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
    semantic: SemanticIouResult
    depth: DepthResult
    distance: DistanceResult
    classes: tuple[ClassInfo, ...]
    settings: EvaluationSettings


class Evaluator:
    """
    Takes results one by one; evaluators of parts of a data set can be merged.

    :param classes: the table of truth and prediction; a class id is a row of it.
    """

    def __init__(self, settings: EvaluationSettings | None = None,
                 classes: Sequence[ClassInfo] = CITYSCAPES) -> None:
        self.settings = settings or EvaluationSettings()
        self.classes = tuple(classes)
        edges = self.settings.range_edges_m
        self._panoptic = PanopticQuality(self.classes, self.settings.crowds)
        self._semantic = SemanticIou(self.classes)
        self._depth = DepthMetrics(self.classes, self.settings.depth_cap_m, edges)
        self._distance = DistanceMetrics(self.settings.min_instance_pixels, edges)
        self._frames = FrameCounts()

    def add(self, truth: GroundTruth, predicted: PanopticDepth) -> None:
        """
        Add one frame.

        :raises ValueError: when truth and prediction differ in size, or a class is not in the
            table; the message names the frame.
        """
        try:
            self._add(truth, predicted)
        except ValueError as error:
            raise ValueError(f'frame {predicted.name!r}: {error}') from error

    def _add(self, truth: GroundTruth, predicted: PanopticDepth) -> None:
        has_distance = truth.panoptic is not None and bool(truth.instance_depth_m)
        if truth.panoptic is not None:
            overlaps = segment_overlaps(
                truth.panoptic, predicted.panoptic, ignore=truth.ignore,
                unlabelled_is_void=truth.has_semantics,
                predicted_divisor=predicted.label_divisor)
            if truth.has_semantics:
                self._semantic.update(overlaps)
            if truth.instance_classes:
                self._panoptic.update(overlaps, self._judged(truth))
            if has_distance:
                self._distance.update(overlaps, truth.instance_depth_m, {
                    d.segment.panoptic_id: d.depth_m for d in predicted.distances})
        if truth.depth is not None:
            classes = None if truth.panoptic is None else class_of(truth.panoptic)
            self._depth.update(predicted.depth, truth.depth, classes)
        self._frames += FrameCounts(
            all=1, semantics=int(truth.panoptic is not None and truth.has_semantics),
            instances=int(truth.panoptic is not None and bool(truth.instance_classes)),
            depth=int(truth.depth is not None), distance=int(has_distance))

    def _judged(self, truth: GroundTruth) -> NDArray[np.bool_]:
        """(C,) bool classes of which the truth holds every segment."""
        return np.array([c.class_id in truth.instance_classes if c.is_thing
                         else truth.has_semantics for c in self.classes], np.bool_)

    def merge(self, other: Evaluator) -> None:
        """
        Add the frames of another evaluator.

        :raises ValueError: when it has other settings or classes.
        """
        if (self.settings, self.classes) != (other.settings, other.classes):
            raise ValueError('evaluators have different settings or classes; '
                             'give the parts of a data set the same ones')
        self._panoptic.merge(other._panoptic)
        self._semantic.merge(other._semantic)
        self._depth.merge(other._depth)
        self._distance.merge(other._distance)
        self._frames += other._frames

    def result(self) -> EvaluationResult:
        """All figures of the frames so far."""
        panoptic = self._panoptic.result(self.settings.absent_classes)
        things = np.array([c.is_thing for c in self.classes], np.bool_)
        instances = (panoptic.true_positives + panoptic.false_negatives)[things].sum()
        return EvaluationResult(
            frames=self._frames, instances=int(instances), panoptic=panoptic,
            semantic=self._semantic.result(self.settings.min_truth_share),
            depth=self._depth.result(), distance=self._distance.result(),
            classes=self.classes, settings=self.settings)


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
        evaluator.add(sample.truth, pipeline(sample.frame))
        if progress is not None:
            progress(done, sample.frame.name)
    return evaluator.result()
