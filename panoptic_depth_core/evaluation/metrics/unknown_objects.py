# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What becomes of objects of no class, such as a barrel on the road: near in depth, or overlooked.

A pixel of an object counts as nearer where its predicted depth is below the geometric mean of its
true depth and that of the scene behind, which is taken as no farther than the cap for depth. Only
pixels count whose object stands out, with a scene behind that is at least 5 % farther: where an
object meets the ground both depths are one. An error of the scale of the whole picture counts too;
beside it is the share with that error taken out, by the median ratio on the ground of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from ...contract import NEEDS_DEPTH, NEEDS_INSTANCES, NEEDS_SEMANTIC
from ...labels import GROUND_CLASSES, VOID_CLASS, class_of
from ...tables import Table
from .base import Metric
from .depth import by_limits
from .frame import JudgedFrame, Rules, classes_of
from .shown import MetricKind, Record, percent

CLEARANCE = 1.05
"""Least ratio of the depth behind to that of the object where it stands out."""
_LEAST_GROUND_PX = 100
"""Fewer pixels of the ground tell no scale."""


@dataclass(frozen=True)
class ObjectRecord:
    """
    One object in one frame; shares are of its pixels, NaN where not known.

    :param frame: its name.
    :param kind: what it is, see UnknownObjects.
    :param depth_m: median true depth (Z).
    :param nearer_share: of those that stand out, with a depth that is nearer than what is behind.
    :param nearer_scaled_share: the same, with the scale of the ground in the picture corrected.
    :param depth_error: median of |p - g| / g over those with a predicted depth.
    :param thing_share: in a predicted thing.
    :param ground_share: called road or other ground.
    :param class_shares: name of a predicted class -> share, most first; 'void' for none.
    """

    frame: str
    kind: str
    pixels: int
    depth_m: float
    nearer_share: float
    nearer_scaled_share: float
    depth_error: float
    thing_share: float
    ground_share: float
    class_shares: dict[str, float]

    @property
    def overlooked(self) -> bool:
        """Whether it is no obstacle: mostly called ground, and mostly as far as that."""
        return self.ground_share > 0.5 and not self.nearer_share > 0.5


@dataclass(frozen=True)
class UnknownObjectsErrors:
    """
    A group of objects, each with the same weight; NaN where there are none.

    :param nearer_share, nearer_scaled_share, thing_share, ground_share: means over objects.
    :param depth_error: median over objects.
    :param overlooked_share: share of the objects, see ObjectRecord.overlooked.
    """

    objects: int
    nearer_share: float
    nearer_scaled_share: float
    depth_error: float
    thing_share: float
    ground_share: float
    overlooked_share: float

    @classmethod
    def of(cls, records: Sequence[ObjectRecord]) -> UnknownObjectsErrors:
        """Those of some objects."""
        def known(name: str) -> NDArray[np.float64]:
            values = np.array([getattr(one, name) for one in records], np.float64)
            return values[~np.isnan(values)]

        def mean(name: str) -> float:
            return float(known(name).mean()) if known(name).size else math.nan

        errors = known('depth_error')
        return cls(len(records), mean('nearer_share'), mean('nearer_scaled_share'),
                   float(np.median(errors)) if errors.size else math.nan, mean('thing_share'),
                   mean('ground_share'), mean('overlooked'))


@dataclass(frozen=True)
class UnknownObjectsResult:
    """
    All objects of a set of frames that are large enough.

    :param by_kind: by what they are.
    :param by_range: by (near, far] in meters of true depth.
    :param invented: name of a thing class -> mean share of an object that is called so.
    :param records: every object, in order.
    """

    all: UnknownObjectsErrors
    by_kind: dict[str, UnknownObjectsErrors]
    by_range: dict[tuple[float, float], UnknownObjectsErrors]
    invented: dict[str, float]
    records: tuple[ObjectRecord, ...]


class UnknownObjectsMetric(Metric[UnknownObjectsResult]):
    """Objects that no class is for, where a data set marks them."""

    name, title, part, root = 'unknown_objects', 'Unknown objects', '', 'all.'
    place, breakdowns = 6, ()
    truth = frozenset(('unknown objects',))
    kinds = {
        'nearer_share': MetricKind(
            'unknown objects: pixels nearer than what is behind', 'share', 'higher',
            'Share of the pixels of an object, mean over objects.', NEEDS_DEPTH),
        'nearer_scaled_share': MetricKind(
            'unknown objects: the same, with the scale of the ground corrected', 'share', 'higher',
            'Depth times the median ratio of true to predicted depth of the ground.',
            NEEDS_DEPTH),
        'depth_error': MetricKind(
            'unknown objects: depth error, median relative', 'share', 'lower',
            'Median of |p - g| / g over the pixels of an object, median over objects.',
            NEEDS_DEPTH),
        'thing_share': MetricKind(
            'unknown objects: pixels in an invented thing', 'share', 'lower',
            'Share of the pixels of an object, mean over objects.', NEEDS_INSTANCES),
        'ground_share': MetricKind(
            'unknown objects: pixels called road or other ground', 'share', 'lower',
            'Share of the pixels of an object, mean over objects.', NEEDS_SEMANTIC),
        'overlooked_share': MetricKind(
            'unknown objects that are overlooked', 'share', 'lower',
            'Share of the objects: mostly called ground, and mostly as far as that.',
            (*NEEDS_SEMANTIC, *NEEDS_DEPTH))}
    meanings = {'': 'Unknown objects: objects of no class on the road. A result is safe where '
                    'they are nearer than what is behind them, whatever they are called.'}

    _records: list[ObjectRecord]

    def __init__(self, rules: Rules | None = None) -> None:
        super().__init__(rules)
        self._records = []

    def update(self, frame: JudgedFrame) -> None:
        objects, depth_m, result = frame.truth.unknown_objects, frame.truth.depth, frame.result
        assert objects is not None
        if depth_m is None or not depth_m.shape == objects.number.shape == result.depth.shape:
            raise ValueError(f'unknown objects of shape {objects.number.shape}, results of '
                             f'{result.depth.shape}; give both, and the true depth, at the size '
                             'of the image')
        names = self.rules.class_names
        things = np.append(self.rules.is_thing, False)
        ground = np.array([*(name in GROUND_CLASSES for name in names), False])
        settings = self.rules.settings
        scale = self._ground_scale(frame, ground)
        for number, kind in enumerate(objects.kinds, 1):
            mask = objects.number == number
            pixels = int(np.count_nonzero(mask))
            if pixels < settings.min_instance_pixels:
                continue
            true_m, predicted_m = depth_m[mask].astype(np.float64), result.depth[mask]
            behind_m = np.minimum(objects.behind_m[mask], settings.depth_cap_m)
            stands_out = behind_m >= CLEARANCE * true_m
            ratio = predicted_m[stands_out] / np.sqrt(true_m * behind_m)[stands_out]
            nearer, nearer_scaled = (
                float((factor * ratio < 1).mean()) if ratio.size and 'depth' in result.tasks
                and not math.isnan(factor) else math.nan for factor in (1.0, scale))
            known = np.isfinite(predicted_m)
            errors = np.abs(predicted_m[known] - true_m[known]) / true_m[known]
            predicted = class_of(result.panoptic[mask], result.label_divisor)
            shares = np.bincount(np.where(predicted == VOID_CLASS, len(names), predicted),
                                 minlength=len(names) + 1) / pixels
            order = np.argsort(-shares, kind='stable')
            self._records.append(ObjectRecord(
                result.name, kind, pixels, float(np.median(true_m)),
                nearer, nearer_scaled,
                float(np.median(errors)) if errors.size else math.nan,
                float(shares[things].sum()) if 'instances' in result.tasks else math.nan,
                float(shares[ground].sum()) if 'semantic' in result.tasks else math.nan,
                {(*names, 'void')[i]: float(shares[i]) for i in order if shares[i] > 0}))

    def _ground_scale(self, frame: JudgedFrame, ground: NDArray[np.bool_]) -> float:
        """Median ratio of true to predicted depth on the true ground; NaN where it is not seen."""
        true_m, predicted_m, labels = frame.truth.depth, frame.result.depth, frame.truth.panoptic
        if labels is None or true_m is None:
            return math.nan
        there = ground[np.minimum(classes_of(labels), len(ground) - 1)] & np.isfinite(predicted_m)
        there &= (true_m > 0) & (true_m <= self.rules.settings.depth_cap_m)
        if np.count_nonzero(there) < _LEAST_GROUND_PX:
            return math.nan
        return float(np.median(true_m[there] / predicted_m[there]))

    def merge(self, other: UnknownObjectsMetric) -> None:
        super().merge(other)
        self._records += other._records

    def result(self) -> UnknownObjectsResult:
        records = self._records
        limits = (0.0, *self.rules.settings.range_edges_m, math.inf)
        kinds = sorted({one.kind for one in records})
        things = [info.name for info in self.rules.classes if info.is_thing]
        invented = {name: float(np.mean([one.class_shares.get(name, 0.0) for one in records]))
                    for name in things} if records else {}
        return UnknownObjectsResult(
            all=UnknownObjectsErrors.of(records),
            by_kind={kind: UnknownObjectsErrors.of([one for one in records if one.kind == kind])
                     for kind in kinds},
            by_range={(near, far): UnknownObjectsErrors.of(
                [one for one in records if near < one.depth_m <= far])
                for near, far in zip(limits[:-1], limits[1:], strict=True)},
            invented={name: share for name, share in invented.items() if share > 0},
            records=tuple(records))

    def on(self, end: str) -> str:
        count = self.found.all.objects
        return f'{count} objects in {self.frames} frames' if count else ''

    def detail(self) -> Record:
        found = self.found
        return {'all': asdict(found.all), 'invented': found.invented,
                'by_kind': {kind: asdict(errors) for kind, errors in found.by_kind.items()},
                'by_range': by_limits(found.by_range),
                'objects': [asdict(one) for one in found.records]}

    def sections(self) -> Record:
        return super().sections() if self.measured else {}

    def rows(self) -> Iterator[tuple[str, str, str]]:
        return super().rows() if self.measured else iter(())

    def tables(self) -> Iterator[Table]:
        found = self.found
        if found.all.objects:
            groups = {
                **found.by_kind,
                **{f'{near:g} to {far:g} m': errors
                   for (near, far), errors in found.by_range.items() if errors.objects}}
            ends = ('nearer_share', 'nearer_scaled_share', 'depth_error', 'thing_share',
                    'ground_share', 'overlooked_share')
            yield Table('Unknown objects', (
                'objects', 'number', 'nearer', 'nearer, to scale', 'depth error', 'in a thing',
                'called ground', 'overlooked'), [
                (name, str(errors.objects), *(percent(getattr(errors, end)) for end in ends))
                for name, errors in groups.items()])
