# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Whether results agree with those of the frames before, where no truth is known.

Pixels are followed from image to image by optical flow, and only those that could be followed are
compared.

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
- ground: see inference/ground_plane.py.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ...contract import (
    NEEDS_DEPTH,
    NEEDS_INSTANCES,
    NEEDS_LABELS,
    NEEDS_POSITIONS,
    NEEDS_SEMANTIC,
    SEGMENTATION,
)
from ...inference.distances import MAD_TO_SIGMA
from ...inference.ground_plane import fit_ground
from ...io.visualization import picture_of
from ...labels import VOID_CLASS, VOID_ID, class_of
from ...structures import (
    UNSTAMPED_PERIOD_NS,
    Frame,
    InstanceDistance,
    Intrinsics,
    PanopticDepth,
)
from .base import Doubles, Metric
from .frame import JudgedFrame, Rules
from .optical_flow import Path, path_between, reduced_gray, reduced_shape
from .segment_overlaps import segment_overlaps
from .shown import MetricKind, Record

LEAST_PIXELS = 100
"""The jitter of fewer pixels of a frame is not measured."""

MEDIANS = ('depth_jitter', 'distance_jitter', 'ground_height_m', 'ground_pitch_deg',
           'ground_roll_deg', 'ground_residual', 'ground_inlier_share', 'ground_rms_m')
"""Metrics of all frames that are medians of those of single frames, or of instances."""

RECORD = ('compared_share', 'label_stability', 'label_flicker', 'instance_survival',
          'id_switches', 'void_share', 'depth_missing_share', *MEDIANS)
"""Metrics of a frame by itself."""

_ON = {'label_stability': ('compared_pixels', '{1} frames, {0} px'),
       'label_flicker': ('flicker_pixels', '{} px'),
       'depth_jitter': ('jitter_frames', '{} frames'),
       'distance_jitter': ('distance_triples', '{} instances, seen three times'),
       'id_switches': ('tracked_instances', '{} instances'),
       'instance_survival': ('instances', '{} instances'),
       'void_share': ('frames', '{} frames'), 'depth_missing_share': ('frames', '{} frames')}
"""What a metric was measured on: how many, in words."""


@dataclass(frozen=True)
class View:
    """
    The parts of a frame that are kept; (H, W) is the size of its result, (h, w) the reduced one.

    :param panoptic: (H, W) uint16 ids.
    :param ids, classes: (h, w) uint16 and uint8 of the pixels in the middle of the reduced ones.
    :param gray: (h, w) uint8 image.
    :param inverse_depth: (h, w) float32 1 / Z in 1/m, NaN where Z is not known or infinite.
    :param camera: of the reduced pixels.
    :param instances: by panoptic id.
    """

    time_ns: int
    divisor: int
    panoptic: NDArray[np.uint16]
    ids: NDArray[np.uint16]
    classes: NDArray[np.uint8]
    gray: NDArray[np.uint8]
    inverse_depth: NDArray[np.float32]
    camera: Intrinsics
    instances: Mapping[int, InstanceDistance]

    def track(self, pid: int) -> int:
        """Track id of an instance; -1 where it has none."""
        return self.instances[pid].track_id if pid in self.instances else -1


def view_of(frame: Frame, result: PanopticDepth, width_px: int, time_ns: int) -> View:
    """
    Reduce a frame and its result.

    :param result: at the size of the image, or of the network, which then is compared at that.
    :param width_px: of the reduced image, where the result is not smaller.
    """
    height, width = result.panoptic.shape
    shape = reduced_shape((height, width), width_px)
    rows, columns = (((np.arange(n) + 0.5) * (full / n)).astype(np.intp)
                     for n, full in zip(shape, (height, width), strict=True))
    ids = result.panoptic[rows].take(columns, axis=1)
    depth = cv2.resize(result.depth, shape[::-1], interpolation=cv2.INTER_LINEAR)
    with np.errstate(divide='ignore', invalid='ignore'):
        inverse = np.asarray(np.float32(1.0) / depth, np.float32)
    inverse[~((inverse > 0) & (inverse < np.inf))] = np.nan
    return View(
        time_ns, result.label_divisor, result.panoptic, ids, class_of(ids, result.label_divisor),
        reduced_gray(picture_of(frame, result), shape), inverse,
        result.intrinsics.transformed(shape[1] / width, shape[0] / height, 0, 0, shape[1],
                                      shape[0]),
        {d.segment.panoptic_id: d for d in result.distances})


class SeenAgain(NamedTuple):
    """
    What became of the instances of a frame in the next one.

    :param expected: that should be seen again; matches: id in the next frame -> id of those that
        were; tracked: of these, with a track id in both frames; switches: of these, with another.
    """

    expected: int
    matches: dict[int, int]
    tracked: int
    switches: int


@dataclass(frozen=True)
class Step:
    """
    Two frames, and the path from the later to the earlier one.

    :param ids_before, classes_before: (h, w) of the pixel that each was in the earlier frame;
        without a meaning where the path is not known.
    """

    before: View
    now: View
    path: Path
    ids_before: NDArray[np.uint16]
    classes_before: NDArray[np.uint8]

    @property
    def seconds(self) -> float:
        """Time between the frames."""
        return 1e-9 * (self.now.time_ns - self.before.time_ns)

    def seen_again(self, least_pixels: int) -> SeenAgain:
        """
        Find instances of the earlier frame in the later one, by their masks along the flow.

        :param least_pixels: of the (H, W) of the result; smaller instances are not expected, nor
            are those of which at most half could be followed: they leave, or are hidden.
        """
        known, divisor = self.path.known, self.now.divisor
        overlaps = segment_overlaps(self.ids_before[known], self.now.ids[known],
                                    truth_divisor=divisor, predicted_divisor=divisor)
        rows, columns, _ = overlaps.matches()
        match = dict(zip(overlaps.truth_id[rows].tolist(),
                         overlaps.predicted_id[columns].tolist(), strict=True))
        area = np.bincount(self.before.ids.ravel(), minlength=VOID_ID + 1)[overlaps.truth_id]
        least = least_pixels * self.now.ids.size / self.now.panoptic.size
        expected = overlaps.truth_id[
            (overlaps.truth_instance > 0) & (area >= least)
            & (2 * overlaps.pixels.sum(axis=1) > area)].tolist()
        matches = {match[pid]: pid for pid in expected if pid in match}
        tracks = [(self.before.track(pid), self.now.track(now)) for now, pid in matches.items()]
        tracked = [(before, now) for before, now in tracks if before >= 0 and now >= 0]
        return SeenAgain(len(expected), matches, len(tracked),
                         sum(before != now for before, now in tracked))


def step_between(before: View, now: View) -> Step | None:
    """
    Follow the pixels of a frame to the one before it, of the same size and divisor.

    :returns: None where no pixel can be followed.
    """
    path = path_between(now.gray, before.gray)
    if path is None or not path.known.any():
        return None
    ids = path.labels(before.panoptic)
    return Step(before, now, path, ids, class_of(ids, before.divisor))


class ThreeFrames:
    """Two steps; the second starts where the first ends."""

    def __init__(self, first: Step, second: Step) -> None:
        self.first, self.second = first, second
        self.path = second.path.after(first.path)

    def flicker(self) -> tuple[int, int]:
        """Pixels whose class went and came back, and those that could be followed."""
        known = self.path.known
        ids = self.path.labels(self.first.before.panoptic)
        then = class_of(ids, self.first.before.divisor)
        came_back = then == self.second.now.classes
        came_back &= then != self.second.classes_before
        return int(np.count_nonzero(came_back & known)), int(np.count_nonzero(known))

    def depth_jitter(self) -> float | None:
        """Jitter of depth, median over pixels; None where too few have three depths."""
        first = self.path.thinned().sample(self.first.before.inverse_depth)
        middle = self.second.path.thinned().sample(self.second.before.inverse_depth)
        last = self.second.now.inverse_depth[::2]
        # One NaN of three makes all of it NaN.
        values = self._jitter(*(np.float32(1.0) / inverse for inverse in (first, middle, last)))
        values = values[~np.isnan(values)]
        return float(np.median(values)) if len(values) >= LEAST_PIXELS else None

    def distance_jitter(self, first: Mapping[int, int], second: Mapping[int, int],
                        ) -> NDArray[np.float64]:
        """
        Jitter of the distance of each instance that was seen three times, (n,) float64.

        :param first, second: matches of the steps.
        """
        chains = [(first[middle], middle, last) for last, middle in second.items()
                  if middle in first]
        views = (self.first.before, self.second.before, self.second.now)
        distances = np.array([[v.instances[pid].distance_m if pid in v.instances else np.nan
                               for v, pid in zip(views, chain, strict=True)]
                              for chain in chains], np.float64).reshape(len(chains), 3)
        values = self._jitter(*distances.T)
        return np.asarray(values[~np.isnan(values)])

    def _jitter(self, first: NDArray[Any], middle: NDArray[Any], last: NDArray[Any],
                ) -> NDArray[Any]:
        """
        How far the middle of three is off the line through the others.

        With relative and independent errors of the standard deviation s, the logarithm of
        middle / line has the variance s^2 (1 + a^2 + b^2), a and b the weights of the other two.
        Scaled so that the median of normal errors is s.
        """
        early, late = self.first.seconds, self.second.seconds
        a, b = late / (early + late), early / (early + late)
        off = np.abs(np.log(middle / (a * first + b * last)))
        return np.asarray(off * (MAD_TO_SIGMA / np.sqrt(1.0 + a * a + b * b)))


class _Past(NamedTuple):
    """
    What the next frame is compared with.

    :param step: that ended in the view; again: its instances; None where there was none.
    :param unstamped: frames without a stamp so far.
    """

    view: View | None = None
    step: Step | None = None
    again: SeenAgain | None = None
    unstamped: int = 0


class ConsistencyMetric(Metric[Record]):
    """
    Results of a frame against those of the frames before, along the optical flow.

    The past is forgotten where a stamp does not go forward, after a gap, and where the size of
    results or their label divisor changes. Frames without a stamp are counted, as
    UNSTAMPED_PERIOD_NS apart. A pickle holds the metrics, without the last frames.

    The result holds metrics and their bases: compared_frames, which have one before
    them, their compared_pixels (of the reduced images) and compared_share; flicker_pixels, which
    were followed over three frames; jitter_frames, whose pixels have three depths; instances that
    should be seen again; tracked_instances, with a track id before and after; distance_triples,
    instances seen three times; ground_frames, in which the ground was found.
    """

    name, title, place, recordings_only = 'consistency', 'Consistency', 8, True
    needs = (*NEEDS_SEMANTIC, *NEEDS_DEPTH)
    kinds = {
        'label_stability': MetricKind(
            'pixels that keep their class', 'share', 'higher', 'Share of the followed pixels that '
            'keep their class from the previous frame.', NEEDS_SEMANTIC, is_key=True, worst=4,
            over_time=('Label stability', 'pixels that keep their class, in %')),
        'label_flicker': MetricKind(
            'pixels whose class flips and comes back', 'share', 'lower',
            'Share of the pixels followed over three frames, classes A, B, A.', NEEDS_SEMANTIC),
        'depth_jitter': MetricKind(
            'jitter of depth between frames', 'share', 'lower', 'Standard deviation of a depth '
            'from the line through its neighbors in time.', NEEDS_DEPTH, is_key=True,
            over_time=('Jitter of depth', 'jitter in %')),
        'distance_jitter': MetricKind(
            'jitter of distances between frames', 'share', 'lower',
            'The same for distances of instances.', NEEDS_POSITIONS),
        'id_switches': MetricKind('track ids that change, by flow', 'count', 'lower',
                                  'Instances seen again under another track id.', NEEDS_INSTANCES),
        'instance_survival': MetricKind(
            'instances seen again in the next frame', 'share', 'higher',
            'Share of the instances that should be seen again; class and IoU above 0.5.',
            NEEDS_INSTANCES),
        'void_share': MetricKind('pixels without a label (void)', 'share', 'lower',
                                 'Share of all pixels.', NEEDS_LABELS, is_key=True),
        'depth_missing_share': MetricKind('pixels without a depth', 'share', 'lower',
                                          'Share of all pixels whose depth is NaN.', NEEDS_DEPTH),
        'ground_height_m': MetricKind(
            'height of the camera above the predicted ground', 'm', None,
            'Above the plane through the pixels of the ground, median.',
            over_time=('Height above the ground', 'meters')),
        'ground_height_spread': MetricKind(
            'variation of that height between frames', 'share', 'lower',
            'Relative standard deviation of the height over frames.'),
        'ground_residual': MetricKind(
            'deviation of the ground depth from its plane, median', 'share', 'lower',
            'Relative distance of the ground depth to the plane.'),
        'ground_inlier_share': MetricKind(
            'ground within 10 % of its plane', 'share', 'higher',
            'Share of the pixels of the ground.'),
        'ground_rms_m': MetricKind(
            'distance of the ground from its plane up to 20 m, rms', 'm', 'lower',
            'Root mean square over the points of a frame, median over frames.')}
    meanings = {
        '': 'Consistency: results against those of the frames before, along the optical flow of '
            'the images, without any truth. It says how steady results are, not whether they are '
            'right: what is always wrong is steady.',
        'ground_': 'Ground: a plane through the predicted depth of the ground. The height of the '
                   'camera above it can be checked with a rule, and should be the same in every '
                   'frame.'}

    _kept: NDArray[np.int64]
    _counts: Counter[str]
    _values: dict[str, Doubles]

    def __init__(self, rules: Rules | None = None) -> None:
        super().__init__(rules)
        self._settings = self.rules.recording.consistency
        # Names of ground classes that are not in the table have no pixels.
        self._is_ground = np.zeros(VOID_CLASS + 1, np.bool_)
        self._is_ground[[c.class_id for c in self.rules.classes
                         if c.name in self._settings.ground_classes]] = True
        # Pixels by the class that they had, and whether they kept it.
        self._kept = np.zeros((VOID_CLASS + 1, 2), np.int64)
        self._counts = Counter()
        self._values = {name: array('d') for name in MEDIANS}
        self.start()

    def start(self) -> None:
        """Forget the last frames: what comes next follows none of them."""
        self._past = _Past()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {'_past': _Past()}

    def alone(self, frame: JudgedFrame) -> ConsistencyMetric:
        """Count a frame alone, compared with the frames before; it becomes the last of them."""
        one = type(self)(self.rules)
        one._past = self._past
        one.add(frame)
        self._past = one._past
        return one

    def update(self, frame: JudgedFrame) -> None:
        result, past, given = frame.result, self._past, frame.recorded.frame
        with_labels = 'semantic' in result.tasks
        unstamped = past.unstamped + (given.stamp_ns == 0)
        view = view_of(given, result, self._settings.flow_width_px,
                       given.stamp_ns or unstamped * UNSTAMPED_PERIOD_NS)
        self._count_missing(result)
        self._measure_ground(view)
        step, again = self._step_from(past.view, view), None
        if step is not None:
            again = step.seen_again(self._settings.min_instance_pixels)
            self._compare(step, again, with_labels)
            if past.step is not None and past.again is not None:
                self._compare_three(ThreeFrames(past.step, step), past.again, again,
                                    with_labels)
        self._past = _Past(view, step, again, unstamped)

    def record(self) -> Record:
        """Metrics by the names in RECORD, those of instances as median; None where not known."""
        found = self.result()
        return {name: None if found[name] != found[name] else found[name] for name in RECORD}

    def merge(self, other: ConsistencyMetric) -> None:
        super().merge(other)
        self._kept += other._kept
        self._counts.update(other._counts)
        for name, values in other._values.items():
            self._values[name].extend(values)

    def result(self) -> Record:
        n, values = self._counts, self._values
        names = {c.class_id: c.name for c in self.rules.classes} | {VOID_CLASS: 'void'}
        had, kept = self._kept.sum(axis=1), self._kept[:, 1]
        median = {name: _median(found) for name, found in values.items()}
        height, n_heights = median['ground_height_m'], len(values['ground_height_m'])
        deviation = MAD_TO_SIGMA * _median(np.abs(np.asarray(values['ground_height_m']) - height))
        return {
            'frames': self.frames, 'compared_frames': n['compared_frames'],
            'compared_share': _share(n['compared_pixels'], n['reduced_pixels']),
            'compared_pixels': n['compared_pixels'],
            'label_stability': _share(int(kept.sum()), int(had.sum())),
            'stability_by_class': {
                names.get(i, f'class {i}'): _share(int(kept[i]), int(had[i]))
                for i in np.flatnonzero(had).tolist()},
            'flicker_pixels': n['flicker_pixels'],
            'label_flicker': _share(n['flickering'], n['flicker_pixels']),
            'jitter_frames': len(values['depth_jitter']), 'depth_jitter': median['depth_jitter'],
            'instances': n['instances'],
            'instance_survival': _share(n['survived'], n['instances']),
            'tracked_instances': n['tracked_instances'],
            'id_switches': n['id_switches'] if n['tracked_instances'] else None,
            'distance_triples': len(values['distance_jitter']),
            'distance_jitter': median['distance_jitter'],
            'void_share': _share(n['void'], n['labels']),
            'depth_missing_share': _share(n['depth_missing'], n['depths']),
            'ground_frames': n_heights, 'ground_height_m': height,
            'ground_height_spread': deviation / height if n_heights > 1 else math.nan,
            **{name: median[name] for name in MEDIANS if name.startswith('ground_')}}

    def _step_from(self, before: View | None, now: View) -> Step | None:
        if before is None or now.panoptic.shape != before.panoptic.shape or (
                now.divisor != before.divisor):
            return None
        gap_ns = now.time_ns - before.time_ns
        if not 0 < gap_ns <= round(1e9 * self._settings.max_gap_s):
            return None
        return step_between(before, now)

    def _count_missing(self, result: PanopticDepth) -> None:
        """Count void and missing depth, in the tasks that the model does."""
        if 'depth' in result.tasks:
            self._counts.update(depths=result.depth.size,
                                depth_missing=int(np.count_nonzero(np.isnan(result.depth))))
        if result.tasks & SEGMENTATION:
            self._counts.update(labels=result.panoptic.size,
                                void=int(np.count_nonzero(result.panoptic == VOID_ID)))

    def _measure_ground(self, view: View) -> None:
        plane = fit_ground(view.inverse_depth, self._is_ground[view.classes], view.camera)
        if plane is not None:
            for name, value in plane._asdict().items():
                if math.isfinite(value):
                    self._values[f'ground_{name}'].append(value)

    def _compare(self, step: Step, again: SeenAgain, with_labels: bool) -> None:
        known = step.path.known
        self._counts.update(
            compared_frames=1, reduced_pixels=known.size,
            compared_pixels=int(np.count_nonzero(known)),
            instances=again.expected, survived=len(again.matches),
            tracked_instances=again.tracked, id_switches=again.switches)
        if with_labels:
            had = step.classes_before[known]
            same = had == step.now.classes[known]
            # Below numpy 2, an array of bytes times a number stays one of bytes.
            self._kept += np.bincount(had.astype(np.intp) * 2 + same, minlength=self._kept.size
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

    def on(self, end: str) -> str:
        field, words = _ON.get(end, ('ground_frames', '{} frames'))
        count = self.found[field]
        return words.format(count, self.found['compared_frames']) if count else ''

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        consistency = settings.get('consistency')
        return [f'Consistency: frames at most {consistency["max_gap_s"]:g} s apart are compared, '
                'where the flow forth and back comes to the same pixel; instances of at least '
                f'{consistency["min_instance_pixels"]} px.'] if consistency else []


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _median(values: Sequence[float] | NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else math.nan
