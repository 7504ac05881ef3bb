# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
How far off the depth of an instance is, by labels, LiDAR or boxes, and how many have one.

An instance of the truth is matched by a predicted one of the same class with IoU > 0.5; its error
is |predicted median depth - true median depth of the visible surface| / the latter; beside it is
that of the mean depth of the predicted mask. It is within
the range that the model expects when the log of their ratio is within that of its segment, which
is a range of pixels: the coverage shows how well it fits a median.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...contract import NEEDS_POSITIONS
from ...io.messages.truth_images import medians
from ...structures import InstanceDistance
from ..settings import BoxSettings
from .base import Metric
from .calibration import ONE_SIGMA, TWO_SIGMA, laplace_reach
from .depth import by_limits
from .frame import JudgedFrame, Rules, TrueBox, plain_name
from .segment_overlaps import SegmentOverlaps
from .shown import Breakdown, Chart, Column, MetricKind, Record, percent


class InstanceRecord(NamedTuple):
    """
    One instance of the truth whose depth is known.

    :param truth_m: median depth (Z) of its visible surface, meters.
    :param predicted_m: the same of the predicted instance that matches it; NaN where not known.
    :param log_depth_scale: Laplace scale of log depth of the predicted instance; NaN where not
        known.
    :param predicted_mean_m: mean depth of the predicted instance; NaN where not known.
    """

    class_id: int
    pixels: int
    truth_m: float
    matched: bool
    predicted_m: float
    log_depth_scale: float = np.nan
    predicted_mean_m: float = np.nan


# A record as 45 bytes.
_PACKED = np.dtype({'names': InstanceRecord._fields,
                    'formats': ['<i4', '<i8', '<f8', '?', '<f8', '<f8', '<f8']})


@dataclass(frozen=True)
class DistanceErrors:
    """
    Errors of a group of instances; NaN where there are none.

    :param instances: of the truth; the denominator of ``matched_share``.
    :param matched: of these, with a predicted instance.
    :param measured: of the matched, with a predicted depth: those that the errors are of.
    :param median_rel, mean_rel: of |p - g| / g.
    :param bias_rel: median of (p - g) / g; above 0 is too far.
    :param mean_depth_rel: median of |m - g| / g, with m the mean depth instead of the median.
    :param stated: of the measured, with an expected error: the denominator of the coverages.
    :param coverage_68, coverage_95: share whose true depth is in the 68 % and 95 % range.
    """

    instances: int
    matched: int
    measured: int
    matched_share: float
    median_rel: float
    mean_rel: float
    bias_rel: float
    mean_depth_rel: float
    stated: int
    coverage_68: float
    coverage_95: float


@dataclass(frozen=True)
class DistanceResult:
    """
    Distance errors of a set of frames.

    :param by_range: by (near, far] in meters of the true depth.
    :param by_class: by class id; only classes with instances.
    :param by_class_and_range: by both; only groups with instances.
    """

    all: DistanceErrors
    by_range: dict[tuple[float, float], DistanceErrors]
    by_class: dict[int, DistanceErrors]
    by_class_and_range: dict[tuple[int, tuple[float, float]], DistanceErrors]


_COLUMNS = (Column('instances', 'instances', 'count'), Column('matched_share', 'found'),
            Column('median_rel', 'error, median'), Column('bias_rel', 'bias'),
            Column('coverage_68', 'within 68 % range'), Column('coverage_95', 'within 95 % range'))


def distance_kinds(truth: str) -> dict[str, MetricKind]:
    """Metrics of distances; truth: in words."""
    return {
        'median_rel': MetricKind(f'distance error, median relative, {truth}', 'share', 'lower',
                                 'Median of |p - g| / g over instances.', is_key=True),
        'mean_depth_rel': MetricKind(
            f'distance error of the mean depth, median relative, {truth}', 'share', 'lower',
            'Median over instances of |m - g| / g, with m the mean depth of the mask.'),
        'bias_rel': MetricKind(f'distance bias (above 0: too far), {truth}', 'share', None,
                               'Median of (p - g) / g over instances.'),
        **{f'coverage_{q}': MetricKind(
            f'instances in their {q} % range, {truth}', 'share', None,
            f'Share of instances whose true depth is in the {q} % range of their pixels.')
           for q in (68, 95)},
        'matched_share': MetricKind(f'true instances found, {truth}', 'share', 'higher',
                                    'Share of true instances with a matching prediction.')}


class BaseDistanceMetric(Metric[DistanceResult]):
    """Instances with a true distance, whatever it is from."""

    place, needs, part, root = 5, NEEDS_POSITIONS, 'distances', 'all.'
    breakdowns: ClassVar[tuple[Breakdown, ...]] = (
        Breakdown('Distance by range', 'by_range', 'true distance', _COLUMNS),
        Breakdown('Distance by class', 'by_class', 'class', _COLUMNS),
        Breakdown('Distance by class and range', 'by_class_and_range', 'class',
                  (_COLUMNS[0], _COLUMNS[2])))
    charts = (Chart('distance-by-range', 'Distance error by range', 'by_range', 'median_rel',
                    'median error in %', 'true distance in m'),
              Chart('distance-by-class', 'Distance error by class', 'by_class', 'median_rel',
                    'median error in %'))

    _packed: bytearray

    def __init__(self, rules: Rules | None = None) -> None:
        super().__init__(rules)
        self._limits = (0.0, *self.rules.settings.range_edges_m, np.inf)
        self._packed = bytearray()

    @property
    def records(self) -> list[InstanceRecord]:
        """Every instance so far, in order."""
        return [InstanceRecord(*fields) for fields in self._columns().tolist()]

    def append(self, record: InstanceRecord) -> None:
        """
        Count one instance, whatever its size.

        :raises ValueError: when its true depth is not a positive number.
        """
        if not 0.0 < record.truth_m < np.inf:
            raise ValueError(f'true depth of an instance is {record.truth_m} m; give a finite '
                             'number > 0')
        self._packed += np.array(record, _PACKED).tobytes()

    def _columns(self) -> NDArray[np.void]:
        """(N,) every instance so far, in order."""
        return np.frombuffer(bytes(self._packed), _PACKED)

    def merge(self, other: BaseDistanceMetric) -> None:
        super().merge(other)
        self._packed += other._packed

    def result(self) -> DistanceResult:
        columns = self._columns()
        classes, truth_m = columns['class_id'], columns['truth_m']
        signed, ratios = _relative(columns, 'predicted_m'), _stated(columns)
        of_mean = _relative(columns, 'predicted_mean_m')
        ranges = {(near, far): (near < truth_m) & (truth_m <= far)
                  for near, far in zip(self._limits[:-1], self._limits[1:], strict=True)}
        of_class = {i: classes == i for i in np.unique(classes).tolist()}

        def errors(group: NDArray[np.bool_]) -> DistanceErrors:
            return _errors(columns['matched'][group], signed[group], of_mean[group],
                           ratios[group])

        return DistanceResult(
            all=errors(np.ones(len(columns), np.bool_)),
            by_range={limits: errors(group) for limits, group in ranges.items()},
            by_class={i: errors(group) for i, group in of_class.items()},
            by_class_and_range={
                (i, limits): errors(inside & group) for i, inside in of_class.items()
                for limits, group in ranges.items() if (inside & group).any()})

    @property
    def measured(self) -> bool:
        return self.found.all.instances > 0

    def on(self, end: str) -> str:
        found = self.found.all
        if end == 'mean_depth_rel' and math.isnan(found.mean_depth_rel):
            return ''
        count = {'matched_share': found.instances, 'coverage_68': found.stated,
                 'coverage_95': found.stated}.get(end, found.measured)
        return f'{count} instances' if count else ''

    def record(self) -> list[Record]:
        return [{'source': self.source, 'class': self.rules.classes[r.class_id].name,
                 'truth_m': r.truth_m,
                 'predicted_m': None if math.isnan(r.predicted_m) else r.predicted_m,
                 'matched': r.matched} for r in self.records]

    def detail(self) -> Record:
        found, names = self.found, self.rules.class_names
        return {'all': asdict(found.all), 'by_range': by_limits(found.by_range),
                'by_class': {names[i]: asdict(errors) for i, errors in found.by_class.items()},
                'by_class_and_range': [
                    {'class': names[i], 'near_m': near, 'far_m': far, **asdict(errors)}
                    for (i, (near, far)), errors in found.by_class_and_range.items()]}


class DistanceMetric(BaseDistanceMetric):
    """True instances against the predicted ones that match them."""

    name, title, section, counted = 'distance', 'Distance', 'distance', 'distance'
    prefix, source, source_words = 'distance.labels', 'labels', 'true labels'
    truth = frozenset(('distances',))
    kinds = distance_kinds('true labels')
    meanings = {'': 'Distances, true labels: median depth (Z) of the predicted instance that '
                    'matches a true one, against the median true depth of the mask of the latter.'}
    error_columns = (
        Column('instances', 'instances', 'count'), Column('matched', 'matched', 'count'),
        Column('median_rel', 'distance error, median'), Column('bias_rel', 'distance bias'))
    range_error = ('instances: median error of the distance', 'median_rel')

    def update(self, frame: JudgedFrame) -> None:
        result = frame.result
        self.count(frame.overlaps, frame.truth.instance_depth_m,
                   {d.segment.panoptic_id: d.depth_m for d in result.distances},
                   {s.panoptic_id: s.log_depth_scale for s in result.segments},
                   {d.segment.panoptic_id: d.depth_mean_m for d in result.distances})

    def count(self, overlaps: SegmentOverlaps, truth_depth_m: Mapping[int, float],
              predicted_depth_m: Mapping[int, float],
              log_depth_scale: Mapping[int, float] | None = None,
              predicted_mean_m: Mapping[int, float] | None = None) -> None:
        """
        Count one frame.

        :param truth_depth_m: panoptic id of the truth -> meters; instances that are not in it, or
            whose depth is not a positive number, are left out.
        :param predicted_depth_m: panoptic id of the prediction -> meters, NaN where not known.
        :param log_depth_scale: panoptic id of the prediction -> expected error of log depth.
        :param predicted_mean_m: panoptic id of the prediction -> mean depth in meters.
        """
        rows, columns, _ = overlaps.matches()
        match = dict(zip(rows.tolist(), columns.tolist(), strict=True))
        areas = overlaps.pixels.sum(axis=1)
        large = areas >= self.rules.settings.min_instance_pixels
        for row in np.flatnonzero(~overlaps.truth_void & large).tolist():
            truth_m = truth_depth_m.get(int(overlaps.truth_id[row]), np.nan)
            if overlaps.truth_instance[row] == 0 or not 0.0 < truth_m < np.inf:
                continue
            column = match.get(row, -1)
            # A segment of the same class without an instance is no answer to "how far is it".
            matched = column >= 0 and bool(overlaps.predicted_instance[column])
            predicted_id = int(overlaps.predicted_id[column]) if matched else -1
            self.append(InstanceRecord(
                int(overlaps.truth_class[row]), int(areas[row]), float(truth_m), matched,
                float(predicted_depth_m.get(predicted_id, np.nan)),
                float((log_depth_scale or {}).get(predicted_id, np.nan)),
                float((predicted_mean_m or {}).get(predicted_id, np.nan))))

    def rows(self) -> Iterator[tuple[str, str, str]]:
        found, where = self.found.all, f'instances in {self.frames} frames'
        yield 'distance error, median', percent(found.median_rel), f'{found.measured} {where}'
        if not math.isnan(found.mean_depth_rel):
            yield ('distance error of the mean depth, median', percent(found.mean_depth_rel),
                   f'{found.measured} {where}')
        for q, covered in ((ONE_SIGMA, found.coverage_68), (TWO_SIGMA, found.coverage_95)):
            if found.stated:
                yield (f'instances within the expected {percent(q, 0)} range', percent(covered),
                       f'{found.stated} {where}')
        yield 'instances matched', percent(found.matched_share), f'{found.instances} {where}'

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        return [f'Distance: true instances of at least {settings["min_instance_pixels"]} px with '
                'a known depth, matched by a prediction of the same class with IoU > 0.5; error '
                'of the median depth (Z) relative to that of the visible surface.']


class LidarDistance(BaseDistanceMetric):
    """Predicted instances against the points on their masks."""

    name, title, prefix = 'lidar_distance', 'Distance', 'distance.lidar'
    source, source_words = 'lidar', 'LiDAR'
    truth, recordings_only = frozenset(('lidar',)), True
    # Instances are the predicted ones: all of them are found.
    kinds = {end: kind for end, kind in distance_kinds('LiDAR').items() if end != 'matched_share'}
    breakdowns = tuple(table._replace(columns=tuple(
        column for column in table.columns if column.key != 'matched_share'))
        for table in BaseDistanceMetric.breakdowns)
    meanings = {'': 'Distances, LiDAR: median depth (Z) of a predicted instance against the '
                    'median of the points on its predicted mask. What was not predicted is not '
                    'among them, and the points on a wrong mask are no better than the mask.'}

    def update(self, frame: JudgedFrame) -> None:
        found = medians(frame.points.ids, frame.points.meters)
        points = {number: (count, value) for number, count, value in zip(
            found.groups.tolist(), found.counts.tolist(), found.values.tolist(), strict=True)}
        least_points = self.rules.recording.lidar.min_instance_points
        least_pixels = self.rules.settings.min_instance_pixels
        for distance in frame.instances:
            segment = distance.segment
            count, true_m = points.get(segment.panoptic_id, (0, math.nan))
            if segment.pixel_count >= least_pixels and count >= least_points:
                self.append(InstanceRecord(segment.class_id, segment.pixel_count, true_m, True,
                                           distance.depth_m, segment.log_depth_scale,
                                           distance.depth_mean_m))


class BoxDistance(BaseDistanceMetric):
    """True boxes of things that the model knows; FrameTruth notes the others."""

    name, title, prefix = 'box_distance', 'Distance', 'distance.boxes'
    source, source_words, recordings_only = 'boxes', 'true boxes', True
    truth = frozenset(('boxes',))
    # A mean depth (Z) is no answer to a Euclidean distance.
    kinds = {end: kind for end, kind in distance_kinds('true boxes').items()
             if end != 'mean_depth_rel'}
    meanings = {'': 'Distances, true boxes: Euclidean distance of the predicted instance whose '
                    'rectangle overlaps that of the box most, against that of the surface of the '
                    'box on the ray to its centre. That is not the median of what is to be seen: '
                    'perfect results are some percent off, too.'}

    def update(self, frame: JudgedFrame) -> None:
        things = {plain_name(c.name): c.class_id for c in self.rules.classes if c.is_thing}
        boxes = [box for box in frame.recorded.boxes or () if plain_name(box.class_name) in things]
        answers = match_boxes(boxes, frame.instances, self.rules.recording.boxes)
        for box, number in zip(boxes, answers, strict=True):
            answer = None if number is None else frame.instances[number]
            self.append(InstanceRecord(
                things[plain_name(box.class_name)], round(box.roi[2] * box.roi[3]),
                box.distance_m, answer is not None,
                math.nan if answer is None else answer.distance_m,
                math.nan if answer is None else answer.segment.log_depth_scale))

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        boxes = settings.get('boxes')
        return [f'True boxes: at least {boxes["min_height_px"]} px high, not hidden by another '
                'one, their centre in the image; answered by the instance of their class with an '
                f'IoU of the rectangles of at least {boxes["min_iou"]:g}.'] if boxes else []


def match_boxes(boxes: Sequence[TrueBox], distances: Sequence[InstanceDistance],
                settings: BoxSettings) -> list[int | None]:
    """
    Find the instance that answers each box: of its class, with the best IoU, each used once.

    :param distances: of the image of the boxes.
    :returns: per box the index of its instance, None where there is none.
    """
    pairs = sorted((-_iou(box.roi, instance.roi), row, column)
                   for row, box in enumerate(boxes) for column, instance in enumerate(distances)
                   if plain_name(box.class_name) == plain_name(instance.class_name))
    answers: list[int | None] = [None] * len(boxes)
    used: set[int] = set()
    for negative, row, column in pairs:
        if -negative >= settings.min_iou and answers[row] is None and column not in used:
            answers[row] = column
            used.add(column)
    return answers


def _iou(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two rectangles x, y, width, height."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(width, 0.0) * max(height, 0.0)
    union = one[2] * one[3] + other[2] * other[3] - both
    return both / union if union > 0 else 0.0


def _relative(columns: NDArray[np.void], predicted: str) -> NDArray[np.float64]:
    """(N,) (p - g) / g, NaN where there is no match or no predicted depth, a column."""
    truth_m = columns['truth_m']
    error: NDArray[np.float64] = (columns[predicted] - truth_m) / truth_m
    return np.where(columns['matched'] & np.isfinite(error), error, np.nan)


def _stated(columns: NDArray[np.void]) -> NDArray[np.float64]:
    """(N,) |ln p - ln g| / b, NaN where one of them is not known."""
    predicted_m, scale = columns['predicted_m'], columns['log_depth_scale']
    known = columns['matched'] & (predicted_m > 0) & (predicted_m < np.inf) & (scale > 0)
    ratios = np.full(len(columns), np.nan)
    # The logarithm of numpy differs from one processor to the next, by its vector instructions.
    logs = [abs(math.log(ratio)) for ratio in (predicted_m / columns['truth_m'])[known].tolist()]
    ratios[known] = logs / scale[known]
    return ratios


def _errors(matched: NDArray[np.bool_], signed: NDArray[np.float64],
            of_mean: NDArray[np.float64], ratios: NDArray[np.float64]) -> DistanceErrors:
    """
    Errors of one group of N instances.

    :param signed, of_mean, ratios: (N,) see _relative and _stated.
    """
    instances, found = len(matched), int(np.count_nonzero(matched))
    signed, of_mean, ratios = (
        values[~np.isnan(values)] for values in (signed, of_mean, ratios))
    known = len(signed) > 0

    def coverage(share: float) -> float:
        return float(np.mean(ratios <= laplace_reach(share))) if len(ratios) else np.nan

    return DistanceErrors(
        instances=instances, matched=found, measured=len(signed),
        matched_share=found / instances if instances else np.nan,
        median_rel=float(np.median(np.abs(signed))) if known else np.nan,
        mean_rel=float(np.mean(np.abs(signed))) if known else np.nan,
        bias_rel=float(np.median(signed)) if known else np.nan,
        mean_depth_rel=float(np.median(np.abs(of_mean))) if len(of_mean) else np.nan,
        stated=len(ratios), coverage_68=coverage(ONE_SIGMA), coverage_95=coverage(TWO_SIGMA))
