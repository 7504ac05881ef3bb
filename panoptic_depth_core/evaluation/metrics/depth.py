# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Errors of dense depth, by depth images and by LiDAR.

They are the usual ones of Eigen et al. (NIPS 2014) and of the KITTI benchmark.

With p predicted, g true, in meters, and e = ln p - ln g, means over pixels: absRel = |p - g| / g,
sqRel = (p - g)^2 / g, RMSE, RMSElog = sqrt(mean e^2), delta_i = share with max(p/g, g/p) < 1.25^i,
SILog = 100 sqrt(mean e^2 - (mean e)^2), and with a protocol |p - g| and |log10 p - log10 g|.
Nothing is scaled, shifted or, without a protocol, clipped to fit the truth.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...contract import NEEDS_DEPTH
from ..protocols import PROTOCOLS
from .base import Doubles, Metric
from .frame import JudgedFrame, Rules, classes_of
from .segment_overlaps import require_same_shape
from .shown import Breakdown, Chart, Column, MetricKind, Record, percent, value_text

# Columns of the sums: pixels with a truth, pixels with both, how many within 1.25, 1.25^2 and
# 1.25^3, then the sums of |d|/g, d^2/g, d^2, e^2 and e, with d = p - g; with a protocol also those
# of |d| and |e|.
_COLUMNS, _PROTOCOL_COLUMNS = 10, 12
PIXELS, ABS_REL = 1, 5
"""Columns of pixels with both, and of |d|/g."""

_BLOCK = 1 << 15


@dataclass(frozen=True)
class DepthErrors:
    """
    Errors of one group of pixels; NaN where there are none.

    :param pixels: pixels with a truth.
    :param missing_share: share of these without a prediction (NaN, Inf, or not above 0), 0..1;
        all errors are of the others.
    """

    pixels: int
    missing_share: float
    abs_rel: float
    sq_rel_m: float
    rmse_m: float
    rmse_log: float
    delta1: float
    delta2: float
    delta3: float
    si_log: float


@dataclass(frozen=True)
class ProtocolErrors(DepthErrors):
    """
    What protocols have besides.

    :param abs_diff_m: mean of |p - g|.
    :param log10: mean of |log10 p - log10 g|.
    """

    abs_diff_m: float
    log10: float


@dataclass(frozen=True)
class DepthResult:
    """
    Depth errors of a set of images.

    :param pooled: over all pixels of all images.
    :param per_image: mean over images, each with its own errors.
    :param images: those with at least one pixel of truth.
    :param by_range: pooled, by (near, far] in meters of true depth.
    :param by_class: pooled, by class id of the truth; only classes with pixels.
    :param more: further values of a protocol, means over images.
    """

    pooled: DepthErrors
    per_image: DepthErrors
    images: int
    by_range: dict[tuple[float, float], DepthErrors]
    by_class: dict[int, DepthErrors]
    more: dict[str, float] = field(default_factory=dict)


def depth_kinds(truth: str, what: str, worst: int) -> dict[str, MetricKind]:
    """Metrics of depth; truth, what: the truth and its elements, in words."""
    return {
        'abs_rel': MetricKind(f'depth error, mean relative (absRel), {truth}', 'share', 'lower',
                              f'Mean of |p - g| / g over {what}.', is_key=True, worst=worst),
        'rmse_m': MetricKind(f'depth RMSE, {truth}', 'm', 'lower',
                             f'Root of the mean of (p - g)^2 over {what}.'),
        'delta1': MetricKind(f'depth within a factor of 1.25 (delta1), {truth}', 'share', 'higher',
                             f'Share of {what} with max(p / g, g / p) < 1.25.'),
        'missing_share': MetricKind(f'{what} without a predicted depth, {truth}', 'share',
                                    'lower', f'Share of {what}; excluded from the errors.')}


class DepthMetric(Metric[DepthResult]):
    """Pixels with a true depth, by class where labels are known too."""

    name, title, source, source_words = 'depth', 'Depth', 'labels', 'depth images'
    counted, place, root = 'depth', 4, 'pooled.'
    truth, needs = frozenset(('depth',)), NEEDS_DEPTH
    kinds = depth_kinds('depth images', 'pixels', 1)
    meanings = {'': 'Depth, depth images: predicted depth (Z) of every pixel with a true one, all '
                    'pixels of all frames together, unless the conventions name a protocol. '
                    'Nothing is scaled to fit the truth.'}
    breakdowns = (Breakdown('Depth by range', 'by_range', 'true depth', (
        Column('pixels', 'px', 'count'), Column('abs_rel', 'absRel'),
        Column('rmse_m', 'RMSE', 'm'), Column('delta1', 'within 25 %'),
        Column('missing_share', 'no depth'))),)
    charts = (Chart('depth-by-range', 'Depth error by range', 'by_range', 'abs_rel',
                    'absRel in %', 'true depth in m'),)
    class_columns: ClassVar[Mapping[int, Column]] = {
        8: Column('by_class.*.abs_rel', 'absRel'),
        9: Column('by_class.*.pixels', 'depth px', 'count')}
    error_columns = (Column('pixels', 'depth px', 'count'), Column('abs_rel', 'absRel', ''),
                     Column('rmse_m', 'RMSE m', ''), Column('delta1', 'delta1'))
    range_error = ('pixels: absRel', 'abs_rel')
    by_protocol: ClassVar[bool] = True

    _sums: NDArray[np.float64]
    _images: Doubles
    _more: dict[str, Doubles]

    def __init__(self, rules: Rules | None = None) -> None:
        super().__init__(rules)
        settings = self.rules.settings
        self._protocol = settings.depth_protocol if self.by_protocol else None
        self._cap_m = settings.depth_cap_m if self._protocol is None else self._protocol.cap_m
        self._width = _COLUMNS if self._protocol is None else _PROTOCOL_COLUMNS
        self._edges = tuple(e for e in self.rules.settings.range_edges_m if e < self._cap_m)
        # One more class, for pixels whose class is not known.
        self._sums = np.zeros((len(self.rules.classes) + 1, len(self._edges) + 1, self._width))
        # The sums of every image, one after the other: 80 or 96 bytes each.
        self._images = array('d')
        # By name, the values of every image.
        self._more = {}

    def update(self, frame: JudgedFrame) -> None:
        truth = frame.truth
        assert truth.depth is not None
        self.count(frame.result.depth, truth.depth,
                   None if truth.panoptic is None else classes_of(truth.panoptic))

    def count(self, predicted: NDArray[Any], truth: NDArray[Any],
              truth_class: NDArray[Any] | None = None) -> None:
        """
        Count one image; without a protocol, pixels with 0 < truth <= cap count.

        :param predicted: (H, W) meters along Z; missing where NaN, Inf or not above 0.
        :param truth: (H, W) meters along Z, NaN, Inf or 0 where not known.
        :param truth_class: (H, W) integer class ids; those not in the table count as not known.
        :raises ValueError: when shapes differ.
        :raises ConfigError: when the protocol is for other sizes.
        """
        predicted, truth = np.asarray(predicted), np.asarray(truth)
        require_same_shape('predicted depth, true depth (and classes)', *(
            array for array in (predicted, truth, truth_class) if array is not None))
        protocol = self._protocol
        inside = np.asarray((truth > 0) & (truth <= self._cap_m)
                            ) if protocol is None else protocol.counted(truth)
        p, g = predicted[inside], truth[inside]
        classes, ranges, _ = self._sums.shape
        near_far = np.zeros(len(g), np.uint8)
        for edge in self._edges:
            near_far += g > edge
        if truth_class is None:
            known_class: NDArray[Any] = np.array([classes - 1])
        else:
            # Cast before the product: class images are uint8.
            ids = np.asarray(truth_class)[inside]
            known_class = np.where((ids >= 0) & (ids < classes - 1), ids, classes - 1)
        group = known_class.astype(np.intp) * ranges + near_far
        sums = group_sums(p, g, group, classes * ranges, self._width,
                          None if protocol is None else protocol.prepared)
        self._sums += sums.reshape(self._sums.shape)
        if len(g):
            self._images.frombytes(sums.sum(axis=0).tobytes())
            if protocol is not None and protocol.more is not None:
                prepared = protocol.prepared(p.astype(np.float64))
                known = np.isfinite(prepared)
                more = protocol.more(prepared[known], g[known].astype(np.float64))
                for name, value in more.items():
                    self._more.setdefault(name, array('d')).append(value)

    def merge(self, other: DepthMetric) -> None:
        super().merge(other)
        self._sums += other._sums
        self._images.extend(other._images)
        for name, values in other._more.items():
            self._more.setdefault(name, array('d')).extend(values)

    def _pooled(self) -> DepthErrors:
        return _errors(self._sums.sum(axis=(0, 1)))

    def result(self) -> DepthResult:
        limits = (0.0, *self._edges, self._cap_m)
        by_range = self._sums.sum(axis=0)
        by_class = self._sums.sum(axis=1)[:-1]
        images = np.array(self._images).reshape(-1, self._width)
        return DepthResult(
            pooled=self._pooled(), per_image=_mean([_errors(sums) for sums in images],
                                                   type(self._pooled())),
            images=len(images),
            by_range={(near, far): _errors(sums) for near, far, sums
                      in zip(limits[:-1], limits[1:], by_range, strict=True)},
            by_class={i: _errors(sums) for i, sums in enumerate(by_class) if sums[0] > 0},
            more={name: _known_mean(values) for name, values in self._more.items()})

    @property
    def measured(self) -> bool:
        return self.found.images > 0

    def value(self, end: str) -> Any:
        if self._protocol is not None:
            return getattr(self.found.per_image, end)
        return super().value(end)

    def on(self, end: str) -> str:
        return f'{self.found.images} frames, {self.found.pooled.pixels} px'

    def record(self) -> Record:
        errors = self._pooled()
        return {name: getattr(errors, name) for name in ('pixels', *self.kinds)}

    def detail(self) -> Record:
        found, names = self.found, self.rules.class_names
        return {'pooled': asdict(found.pooled), 'per_image': asdict(found.per_image),
                'images': found.images, 'by_range': by_limits(found.by_range),
                'by_class': {names[i]: asdict(errors) for i, errors in found.by_class.items()},
                **({'more': found.more} if found.more else {})}

    def rows(self) -> Iterator[tuple[str, str, str]]:
        found = self.found
        groups = [('over pixels', found.pooled), ('mean of images', found.per_image)]
        for name, errors in groups if self._protocol is None else groups[1:]:
            on = f'{found.images} frames, {errors.pixels} px'
            for title, value, unit in (
                    ('absRel', errors.abs_rel, ''), ('sqRel', errors.sq_rel_m, 'm'),
                    ('RMSE', errors.rmse_m, 'm'), ('RMSElog', errors.rmse_log, ''),
                    *([('log10', errors.log10, ''), ('mean |p - g|', errors.abs_diff_m, 'm')]
                      if isinstance(errors, ProtocolErrors) else [])):
                yield f'{title}, {name}', value_text(value, unit), on
            yield (f'delta1 / 2 / 3, {name}', ' / '.join(percent(v) for v in (
                errors.delta1, errors.delta2, errors.delta3)), on)
            yield f'SILog, {name}', value_text(errors.si_log), on
        for name, value in found.more.items():
            yield f'{name}, mean of images', value_text(value), self.on('')
        yield 'pixels without a depth', percent(found.pooled.missing_share), self.on('')

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        if settings.get('protocol'):
            return [PROTOCOLS[settings['protocol']].convention(settings['protocol'])]
        return [f'Depth: pixels with 0 < truth <= {settings["depth_cap_m"]:g} m; pixels without a '
                'predicted depth are counted as missing and are in no other metric.']


class LidarDepth(DepthMetric):
    """Pixels that a point falls on."""

    name = prefix = section = part = 'lidar'
    source, source_words, counted = 'lidar', 'LiDAR', ''
    truth, recordings_only, by_protocol = frozenset(('lidar',)), True, False
    class_columns = {}
    kinds = depth_kinds('LiDAR', 'points', 2)
    meanings = {'': 'Depth, LiDAR: the same at the pixels that a point falls on, which are few '
                    'and mostly low in the image. The motion of the vehicle between cloud and '
                    'image is taken out where tf has odometry, that of other things is not; '
                    'errors of tf and of the calibration between the sensors count as errors of '
                    'depth.'}

    def update(self, frame: JudgedFrame) -> None:
        points = frame.points
        self.count(points.predicted, points.meters, points.classes)

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        lidar = settings.get('lidar')
        return [f'LiDAR: points from {lidar["min_m"]:g} to {lidar["max_m"]:g} m; a point is '
                f'hidden by one within {lidar["occlusion_window_px"]} columns around it, 1.5 '
                'times as many rows above it and a quarter below, that is nearer by more than '
                f'{100 * lidar["occlusion_ratio"]:g} % of its depth. Instances have at least '
                f'{lidar["min_instance_points"]} points.'] if lidar else []


def group_sums(predicted: NDArray[Any], truth: NDArray[Any], group: NDArray[np.intp], groups: int,
               width: int = _COLUMNS,
               prepare: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
               ) -> NDArray[np.float64]:
    """
    Sum errors by group; the columns are named above.

    :param predicted, truth: (N,) meters of any type; predicted ones may be unknown.
    :param group: (N,) 0..groups - 1.
    :param width: how many sums. :param prepare: what a protocol does to predictions.
    :returns: (groups, width) float64, see PIXELS and ABS_REL.
    """
    # In blocks that stay in the cache, which is several times faster than all at once.
    sums = np.zeros((groups, width))
    for start in range(0, len(truth), _BLOCK):
        part = slice(start, start + _BLOCK)
        # Images of 16-bit integers are unsigned, and would wrap in every difference.
        found = predicted[part].astype(np.float64)
        sums += _sums(found if prepare is None else prepare(found),
                      truth[part].astype(np.float64), group[part], groups, width)
    return sums


def _sums(p: NDArray[np.float64], g: NDArray[np.float64], group: NDArray[np.intp],
          groups: int, width: int) -> NDArray[np.float64]:
    """(groups, width) float64 sums of the pixels of every group; width: how many sums."""
    known = np.isfinite(p) & (p > 0)
    (truths,) = _by_group([], group, groups)
    if not known.all():
        p, g, group = p[known], g[known], group[known]
    ratio = p / g
    worst = np.maximum(ratio, g / p)
    difference, log_ratio = p - g, np.log(ratio)
    squared = difference ** 2
    more = [np.abs(difference), np.abs(log_ratio)] if width > _COLUMNS else []
    return np.column_stack([truths, *_by_group([
        *((worst < 1.25 ** i).view(np.uint8) for i in (1, 2, 3)),
        np.abs(difference) / g, squared / g, squared, log_ratio ** 2, log_ratio, *more],
        group, groups)])


def _by_group(values: Sequence[NDArray[Any]], group: NDArray[np.intp],
              groups: int) -> list[NDArray[np.float64]]:
    """
    Sum by group; neighbors mostly are of one, so runs are summed first.

    :param values: (N,) each, at most _BLOCK of them; those of 8 bits are 0 or 1.
    :returns: (groups,) float64 each: how many there are of every group, then the sums.
    """
    starts = np.concatenate(([0], np.flatnonzero(group[1:] != group[:-1]) + 1))
    if not len(group):
        return [np.zeros(groups)] * (1 + len(values))
    of_run = group[starts]
    lengths = np.diff(starts, append=len(group))
    weights = [lengths, *(np.add.reduceat(
        v, starts, dtype=np.uint16 if v.dtype == np.uint8 else v.dtype) for v in values)]
    return [np.asarray(np.bincount(of_run, w, groups), np.float64) for w in weights]


def _errors(sums: NDArray[np.float64]) -> DepthErrors:
    """Errors from the sums of one group, (_COLUMNS,) or (_PROTOCOL_COLUMNS,)."""
    truths, known = float(sums[0]), float(sums[1])
    missing = 1.0 - known / truths if truths else np.nan
    mean = (sums[2:] / known if known else np.full(len(sums) - 2, np.nan)).tolist()
    delta1, delta2, delta3, abs_rel, sq_rel, square, log_square, log_mean, *more = mean
    # A variance near 0 can come out below it.
    variance = np.maximum(log_square - log_mean ** 2, 0.0)
    errors = DepthErrors(
        pixels=int(truths), missing_share=missing, abs_rel=abs_rel, sq_rel_m=sq_rel,
        rmse_m=float(np.sqrt(square)), rmse_log=float(np.sqrt(log_square)), delta1=delta1,
        delta2=delta2, delta3=delta3, si_log=float(100.0 * np.sqrt(variance)))
    if not more:
        return errors
    return ProtocolErrors(**asdict(errors), abs_diff_m=more[0], log10=more[1] / math.log(10.0))


def _mean(images: list[DepthErrors], kind: type[DepthErrors]) -> DepthErrors:
    """Mean over images; one without any prediction has a missing share but no errors."""
    names = [name for name in kind.__dataclass_fields__ if name != 'pixels']
    return kind(pixels=sum(i.pixels for i in images), **{
        name: _known_mean([getattr(image, name) for image in images]) for name in names})


def _known_mean(values: Sequence[float]) -> float:
    """Mean of those that are not NaN; NaN if there are none."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else np.nan


def by_limits(groups: Mapping[tuple[float, float], Any]) -> list[Record]:
    """Groups by range of meters, as values for ``plain``."""
    return [{'near_m': near, 'far_m': far, **asdict(errors)}
            for (near, far), errors in groups.items()]
