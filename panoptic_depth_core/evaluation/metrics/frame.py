# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A frame as metrics see it: its truth, its result, and what several of them need, once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...labels import CITYSCAPES, VOID_ID, ClassInfo, class_of
from ...structures import Frame, GroundTruth, InstanceDistance, PanopticDepth
from ..settings import EvaluationSettings, RecordingSettings
from .segment_overlaps import JointTable, SegmentOverlaps, depth_levels, joint_table

Truth = Literal['semantics', 'instances', 'depth', 'distances', 'unknown objects', 'lidar',
                'boxes', 'reference']
"""What may be known of a frame; reference: another result to compare with."""

# A look-up is several times faster than the division of millions of ids.
_CLASS_OF_ID = class_of(np.arange(VOID_ID + 1))


def classes_of(panoptic: NDArray[np.int32]) -> NDArray[np.uint8]:
    """(H, W) uint8 class ids of true panoptic ids."""
    return _CLASS_OF_ID.take(panoptic, mode='clip')


def plain_name(name: str) -> str:
    """Class name for comparison: 'Traffic_Light' is 'traffic light'."""
    return name.lower().replace('_', ' ')


@dataclass(frozen=True)
class TrueBox:
    """
    A thing with a known position.

    :param class_name: as in the bag.
    :param roi: x, y, width, height in px of the image, clipped to it.
    :param distance_m: Euclidean, from the optical center to the visible surface.
    :param depth_m: Z of that point.
    """

    class_name: str
    roi: tuple[float, float, float, float]
    distance_m: float
    depth_m: float


@dataclass(frozen=True)
class RecordedFrame:
    """
    One image of a recording with all that the recording knows of it.

    :param truth: from images of labels and depth; empty where there are none.
    :param lidar_depth: (H, W) float32 meters along Z at the pixels that a point falls on, NaN
        elsewhere; None where no cloud belongs to the image.
    :param boxes: None where no message of boxes belongs to the image.
    :param recorded: results in the recording.
    :param reference: results of another recording to compare with.
    """

    frame: Frame
    truth: GroundTruth = field(default_factory=GroundTruth)
    lidar_depth: NDArray[np.float32] | None = None
    boxes: tuple[TrueBox, ...] | None = None
    recorded: PanopticDepth | None = None
    reference: PanopticDepth | None = None


@dataclass(frozen=True)
class Rules:
    """
    What metrics depend on besides results and truth.

    :param classes: the table of truth and prediction; a class id is a row of it.
    :param compact: for any number of frames, see Evaluator.
    :param recording: for the metrics of recordings.
    """

    settings: EvaluationSettings = EvaluationSettings()
    classes: tuple[ClassInfo, ...] = CITYSCAPES
    compact: bool = False
    recording: RecordingSettings = RecordingSettings()

    @property
    def class_names(self) -> list[str]:
        """By class id."""
        return [c.name for c in self.classes]

    @property
    def is_thing(self) -> NDArray[np.bool_]:
        """(C,) bool by class id."""
        return np.array([c.is_thing for c in self.classes], np.bool_)


class Points(NamedTuple):
    """
    Pixels that a LiDAR point falls on.

    :param meters, predicted: (N,) float32 true and predicted depth.
    :param ids: (N,) uint16 predicted ids.
    :param classes: (N,) uint8 true classes; None where there are no labels.
    """

    meters: NDArray[np.float32]
    predicted: NDArray[np.float32]
    ids: NDArray[np.uint16]
    classes: NDArray[np.uint8] | None


@dataclass(frozen=True)
class JudgedFrame:
    """
    One frame, its truth and its result; what several metrics need is computed once.

    :param item: the frame of a recording; None in a data set.
    :raises ValueError: when truth and prediction differ in size, as soon as that matters.
    """

    truth: GroundTruth
    result: PanopticDepth
    rules: Rules
    sequence: str = ''
    item: RecordedFrame | None = None

    @cached_property
    def known(self) -> frozenset[Truth]:
        """Which truth there is."""
        truth, item = self.truth, self.item
        labels = truth.panoptic is not None
        parts: dict[Truth, bool] = {
            'semantics': labels and truth.has_semantics,
            'instances': labels and bool(truth.instance_classes),
            'distances': labels and bool(truth.instance_depth_m),
            'depth': truth.depth is not None,
            'unknown objects': truth.unknown_objects is not None}
        if item is not None:
            parts |= {'lidar': item.lidar_depth is not None, 'boxes': item.boxes is not None,
                      'reference': item.reference is not None}
        return frozenset(part for part, known in parts.items() if known)

    @property
    def recorded(self) -> RecordedFrame:
        """The frame of a recording, for metrics that only recordings have."""
        assert self.item is not None
        return self.item

    @cached_property
    def table(self) -> JointTable:
        """Pixels by segments and, where DPQ can be judged, by tolerances of depth."""
        truth, result = self.truth, self.result
        assert truth.panoptic is not None
        tolerances, level = self.rules.settings.tolerances, None
        if truth.depth is not None and {'semantics', 'instances'} <= self.known:
            level = depth_levels(truth.depth, result.depth, tolerances)
        return joint_table(truth.panoptic, result.panoptic, ignore=truth.ignore, level=level,
                           levels=len(tolerances) + 1, predicted_divisor=result.label_divisor)

    @cached_property
    def overlaps(self) -> SegmentOverlaps:
        """Shared pixels of the segments of truth and prediction."""
        return self.table.overlaps(unlabelled_is_void=self.truth.has_semantics)

    @cached_property
    def judged(self) -> NDArray[np.bool_]:
        """(C,) bool classes that the model predicts and whose true segments are all known."""
        things = self.truth.instance_classes if 'instances' in self.result.tasks else ()
        stuff = self.truth.has_semantics and 'semantic' in self.result.tasks
        return np.array([c.class_id in things if c.is_thing else stuff
                         for c in self.rules.classes], np.bool_)

    @cached_property
    def points(self) -> Points:
        """Pixels with a point: they are few, and a cloud judges them alone."""
        depth, result, labels = self.recorded.lidar_depth, self.result, self.truth.panoptic
        assert depth is not None
        if depth.shape != result.depth.shape:
            raise ValueError(f'points of shape {depth.shape}, results of {result.depth.shape}; '
                             'give results at the size of the image')
        at = np.flatnonzero(np.isfinite(depth))
        return Points(depth.ravel()[at], result.depth.ravel()[at], result.panoptic.ravel()[at],
                      None if labels is None else classes_of(labels.ravel()[at]))

    @cached_property
    def instances(self) -> list[InstanceDistance]:
        """Predicted instances of things; no stuff, nor thing pixels without an instance."""
        return [d for d in self.result.distances
                if d.segment.is_thing and d.segment.instance_id > 0]
