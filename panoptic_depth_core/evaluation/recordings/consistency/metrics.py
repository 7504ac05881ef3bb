# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What can be said of results where nothing is known to be true: whether they agree with each other.

Pixels are followed from image to image by optical flow (flow.py), and only those that could
be followed are compared.

- label stability: share of the pixels that have the class which their pixel had in the frame
  before; void is a class of its own. After the temporal consistency of Liu et al., Efficient
  Semantic Video Segmentation with Per-frame Inference, ECCV 2020, but as a share of pixels. Flow
  is not exact at borders: the perfect labels of a synthetic drive at 10 Hz reach 0.984.
- label flicker: share of the pixels followed over three frames whose classes are A, B, A. No
  motion explains that.
- depth jitter: what a depth is off the line through the one before and the one after it, as one
  standard deviation of the relative error that a frame has of its own. A camera or thing of
  constant speed is on that line. Errors that last, such as a wrong scale, do not show.
- instances: one that is followed should be seen again: by an instance of its class with
  IoU > 0.5. Survival is the share that is; a switch is another track id; distance jitter is that
  of their distances, followed by masks and not by track ids.
- ground: see ground_plane.py.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....contract import SEGMENTATION
from ....inference.distances import MAD_TO_SIGMA
from ....inference.tracking import UNSTAMPED_PERIOD_NS
from ....labels import VOID_CLASS, VOID_ID, ClassInfo
from ....structures import Frame, PanopticDepth
from ..settings import ConsistencySettings
from .frame_pairs import SeenAgain, Step, ThreeFrames, View, seen_again, step_between, view_of
from .ground_plane import fit_ground

Record = dict[str, float | int | None]

MEDIANS = ('depth_jitter', 'distance_jitter', 'ground_height_m', 'ground_pitch_deg',
           'ground_roll_deg', 'ground_residual', 'ground_inlier_share')
"""Figures of all frames that are medians of those of single frames, or of instances."""

RECORD = ('compared_share', 'label_stability', 'label_flicker', 'instance_survival',
          'id_switches', 'void_share', 'depth_missing_share', *MEDIANS)
"""Figures of a frame by itself."""


@dataclass(frozen=True)
class ConsistencyResult:
    """
    Figures of a set of frames, see ConsistencyMetric.kinds, and how much each is of.

    Shares are 0..1; all is NaN where there is nothing of its kind.

    :param frames: of these, compared_frames have one before them to compare with.
    :param compared_share: of the pixels of compared frames, those that could be followed;
        compared_pixels: how many these are, of the reduced images.
    :param stability_by_class: by name of the class that a pixel had, and 'void'; only classes
        with pixels.
    :param flicker_pixels: followed over three frames.
    :param jitter_frames: whose pixels have three depths; depth_jitter is their median.
    :param instances: that should be seen again; tracked_instances: that were, with a track id
        before and after; id_switches is None where there are none.
    :param distance_triples: instances seen three times.
    :param ground_frames: in which the ground was found; of these are the medians.
    :param ground_pitch_deg, ground_roll_deg: see GroundPlane.
    """

    frames: int
    compared_frames: int
    compared_share: float
    compared_pixels: int
    label_stability: float
    stability_by_class: dict[str, float]
    flicker_pixels: int
    label_flicker: float
    jitter_frames: int
    depth_jitter: float
    instances: int
    instance_survival: float
    tracked_instances: int
    id_switches: int | None
    distance_triples: int
    distance_jitter: float
    void_share: float
    depth_missing_share: float
    ground_frames: int
    ground_height_m: float
    ground_height_spread: float
    ground_pitch_deg: float
    ground_roll_deg: float
    ground_residual: float
    ground_inlier_share: float


class ConsistencyMetrics:
    """
    Compares results frame by frame; frames come in their order.

    The past is forgotten where a stamp does not go forward, after a gap, and where the size of
    results or their label divisor changes. Frames without a stamp are counted, as
    UNSTAMPED_PERIOD_NS apart.

    What is pickled are the figures, without the last frames.

    :param classes: a class id is a row of it; names of settings.ground_classes that are not in
        it have no pixels.
    """

    def __init__(self, classes: Sequence[ClassInfo],
                 settings: ConsistencySettings | None = None) -> None:
        self._settings = settings or ConsistencySettings()
        self._classes = tuple(classes)
        self._names = {c.class_id: c.name for c in classes} | {VOID_CLASS: 'void'}
        self._is_ground = np.zeros(VOID_CLASS + 1, np.bool_)
        self._is_ground[[c.class_id for c in classes
                         if c.name in self._settings.ground_classes]] = True
        # Pixels by the class that they had, and whether they kept it.
        self._kept = np.zeros((VOID_CLASS + 1, 2), np.int64)
        self._counts: Counter[str] = Counter()
        self._values = {name: array('d') for name in MEDIANS}
        self.start()

    def start(self) -> None:
        """Forget the last frames: what comes next follows none of them."""
        self._view: View | None = None
        self._step: tuple[Step, SeenAgain] | None = None
        self._unstamped = 0

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {'_view': None, '_step': None}

    def update(self, frame: Frame, result: PanopticDepth) -> Record:
        """
        Add the next frame.

        :param result: at the size of the image or of the network, at which it is compared.
        :returns: see record.
        """
        one = self.alone(frame, result)
        self.merge(one)
        return one.record()

    def alone(self, frame: Frame, result: PanopticDepth) -> ConsistencyMetrics:
        """Compare the next frame, which then is the last one, and count it by itself."""
        time_ns, unstamped = frame.stamp_ns, self._unstamped + (frame.stamp_ns == 0)
        if time_ns == 0:
            time_ns = unstamped * UNSTAMPED_PERIOD_NS
        view = view_of(frame, result, self._settings.flow_width_px, time_ns)
        step = self._step_from(self._view, view)
        one = ConsistencyMetrics(self._classes, self._settings)
        one._count_missing(result)
        one._measure_ground(view)
        found = None
        if step is not None:
            again = seen_again(step, self._settings.min_instance_pixels)
            one._compare(step, again, 'semantic' in result.tasks)
            if self._step is not None:
                one._compare_three(ThreeFrames.of(self._step[0], step), self._step[1], again,
                                   'semantic' in result.tasks)
            found = step, again
        self._step, self._view, self._unstamped = found, view, unstamped
        return one

    def record(self) -> Record:
        """Figures by the names in RECORD, those of instances as median; None where not known."""
        found = vars(self.result())
        return {name: None if found[name] != found[name] else found[name] for name in RECORD}

    def merge(self, other: ConsistencyMetrics) -> None:
        """Add the frames that another one compared with the same classes and settings."""
        self._kept += other._kept
        self._counts.update(other._counts)
        for name, values in other._values.items():
            self._values[name].extend(values)

    def result(self) -> ConsistencyResult:
        """Figures of all frames so far."""
        n, values = self._counts, self._values
        had, kept = self._kept.sum(axis=1), self._kept[:, 1]
        medians = {name: _median(values[name]) for name in MEDIANS}
        height, n_heights = medians['ground_height_m'], len(values['ground_height_m'])
        deviation = MAD_TO_SIGMA * _median(np.abs(np.asarray(values['ground_height_m']) - height))
        return ConsistencyResult(
            **medians, frames=n['frames'], compared_frames=n['compared_frames'],
            compared_share=_share(n['followed'], n['reduced_pixels']),
            compared_pixels=n['followed'],
            label_stability=_share(int(kept.sum()), int(had.sum())),
            stability_by_class={
                self._names.get(i, f'class {i}'): _share(int(kept[i]), int(had[i]))
                for i in np.flatnonzero(had).tolist()},
            flicker_pixels=n['flicker_pixels'],
            label_flicker=_share(n['flickering'], n['flicker_pixels']),
            jitter_frames=len(values['depth_jitter']),
            instances=n['instances'], instance_survival=_share(n['survived'], n['instances']),
            tracked_instances=n['tracked_instances'],
            id_switches=n['id_switches'] if n['tracked_instances'] else None,
            distance_triples=len(values['distance_jitter']),
            void_share=_share(n['void'], n['labels']),
            depth_missing_share=_share(n['depth_missing'], n['depths']),
            ground_frames=n_heights,
            ground_height_spread=deviation / height if n_heights > 1 else math.nan)

    def _step_from(self, before: View | None, now: View) -> Step | None:
        if before is None or now.panoptic.shape != before.panoptic.shape or (
                now.divisor != before.divisor):
            return None
        gap_ns = now.time_ns - before.time_ns
        if not 0 < gap_ns <= round(1e9 * self._settings.max_gap_s):
            return None
        return step_between(before, now)

    def _count_missing(self, result: PanopticDepth) -> None:
        """Of what the model does: without labels all is void, without depth all of it missing."""
        if 'depth' in result.tasks:
            self._counts.update(depths=result.depth.size,
                                depth_missing=int(np.count_nonzero(np.isnan(result.depth))))
        if result.tasks & SEGMENTATION:
            self._counts.update(labels=result.panoptic.size,
                                void=int(np.count_nonzero(result.panoptic == VOID_ID)))
        self._counts['frames'] += 1

    def _measure_ground(self, view: View) -> None:
        plane = fit_ground(view.inverse_depth, self._is_ground[view.classes], view.camera)
        if plane is not None:
            for name, value in (
                    ('ground_height_m', plane.height_m),
                    ('ground_pitch_deg', math.degrees(plane.pitch_rad)),
                    ('ground_roll_deg', math.degrees(plane.roll_rad)),
                    ('ground_residual', plane.residual),
                    ('ground_inlier_share', plane.inlier_share)):
                self._values[name].append(value)

    def _compare(self, step: Step, again: SeenAgain, with_labels: bool) -> None:
        known = step.path.known
        self._counts.update(
            compared_frames=1, reduced_pixels=known.size, followed=int(np.count_nonzero(known)),
            instances=again.expected, survived=len(again.matches),
            tracked_instances=again.tracked, id_switches=again.switches)
        if with_labels:
            had = step.classes_before[known]
            same = had == step.now.classes[known]
            self._kept += np.bincount(had * np.intp(2) + same, minlength=self._kept.size
                                      ).reshape(self._kept.shape)

    def _compare_three(self, frames: ThreeFrames, before: SeenAgain, now: SeenAgain,
                       with_labels: bool) -> None:
        if with_labels:
            flickering, pixels = frames.flicker()
            self._counts.update(flickering=flickering, flicker_pixels=pixels)
        depth = frames.depth_jitter()
        if depth is not None:
            self._values['depth_jitter'].append(depth)
        self._values['distance_jitter'].extend(
            frames.distance_jitter(before.matches, now.matches).tolist())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _median(values: Sequence[float] | NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else math.nan
