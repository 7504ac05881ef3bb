# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
How far two results of the same image agree, as of the live node and of a run offline.

Neither is the truth. Pixels are of the same segment where both are void, or where the segments
that they are of match: same class, IoU > 0.5, as in panoptic quality.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ...contract import (
    NEEDS_DEPTH,
    NEEDS_INSTANCES,
    NEEDS_LABELS,
    NEEDS_POSITIONS,
    NEEDS_SEMANTIC,
    SEGMENTATION,
    Task,
)
from ...labels import VOID_CLASS
from ...structures import PanopticDepth
from .base import Metric
from .frame import JudgedFrame, Rules
from .segment_overlaps import SegmentOverlaps, of_class, segment_overlaps
from .shown import Better, MetricKind, Record

# A float32 above 0 is in the bin of its leading bits, 128 to an octave, so 0.8 % wide.
_BITS = 16
_BINS = 1 << 15

_INSTANCES: tuple[tuple[str, str, Better, str], ...] = (
    ('matched', 'instances in both results', 'higher', 'Things that both have, by class and IoU.'),
    ('only_result', 'instances only here', 'lower', 'Things that the reference does not have.'),
    ('only_reference', 'instances only in the reference', 'lower',
     'Things only in the reference.'))


class _Histogram:
    """Differences from 0 on, float32, in fixed bins; 0 has one of its own."""

    counts: NDArray[np.int64]
    greatest: float

    def __init__(self) -> None:
        self.counts = np.zeros(_BINS, np.int64)
        self.greatest = math.nan

    def add(self, values: NDArray[np.float32]) -> None:
        if values.size:
            bins = values.view(np.uint32) >> _BITS
            self.counts += np.bincount(bins, minlength=_BINS)
            self.greatest = float(np.fmax(self.greatest, values.max()))

    def merge(self, other: _Histogram) -> None:
        self.counts += other.counts
        self.greatest = float(np.fmax(self.greatest, other.greatest))

    def quantile(self, share: float) -> float:
        """Middle of the bin with this share of the values up to it; exact for 0."""
        below = np.cumsum(self.counts)
        if not below[-1]:
            return math.nan
        found = int(np.searchsorted(below, max(share * float(below[-1]), 1.0)))
        if found == 0:
            return 0.0
        edges = (np.array([found, found + 1], np.uint32) << _BITS).view(np.float32)
        return float(min(edges.mean(dtype=np.float64), self.greatest))


class AgreementMetric(Metric[Record]):
    """
    Two results of the same images; of any number of frames it keeps the same few numbers.

    The result holds metrics, the number of compared frames, and that of frames whose results
    differ in size (other_size). Medians and the 99 % quantile are within 0.4 %.
    """

    name, title, place = 'agreement', 'Agreement with the other recording', 9
    truth, needs, recordings_only = frozenset(('reference',)), (), True
    kinds = {
        'identical_frames': MetricKind('frames identical bit for bit', 'count', 'higher',
                                       'Frames whose ids and depths are equal.'),
        'same_class_share': MetricKind(
            'pixels of the same class as in the reference', 'share', 'higher',
            'Share of all pixels.', NEEDS_SEMANTIC, is_key=True),
        'same_segment_share': MetricKind(
            'pixels of the same segment as in the reference', 'share', 'higher',
            'Share of all pixels; segments match as in PQ.', NEEDS_LABELS),
        'depth_known_in_one_share': MetricKind(
            'pixels with a depth in only one of the results', 'share', 'lower',
            'Share of all pixels.', NEEDS_DEPTH),
        **{f'depth_{end}_log': MetricKind(
            f'depth against the reference, |ln ratio|, {words}', 'share', 'lower',
            'Of the pixels with a depth in both.', NEEDS_DEPTH)
           for end, words in (('median', 'median'), ('p99', '99 %'), ('max', 'maximum'))},
        **{f'instances_{end}': MetricKind(words, 'count', better, meaning, NEEDS_INSTANCES)
           for end, words, better, meaning in _INSTANCES},
        'distance_median_rel': MetricKind(
            'distances against the reference, relative, median', 'share', 'lower',
            'Of the instances that both have.', NEEDS_POSITIONS)}
    meanings = {'': 'Agreement: two results of the same images against each other. Neither of '
                    'them is the truth.'}

    _counts: Counter[str]
    _depth: _Histogram
    _distance: _Histogram

    def __init__(self, rules: Rules | None = None) -> None:
        super().__init__(rules)
        self._counts = Counter()
        self._depth = _Histogram()
        self._distance = _Histogram()

    def tasks_of(self, frame: JudgedFrame) -> frozenset[Task]:
        """What both results hold."""
        reference = frame.recorded.reference
        assert reference is not None
        return frame.result.tasks & reference.tasks

    def update(self, frame: JudgedFrame) -> None:
        """Compare two results in what both models do; of two sizes they are only counted."""
        result, reference = frame.result, frame.recorded.reference
        assert reference is not None
        if result.panoptic.shape != reference.panoptic.shape:
            self._counts['other_size'] += 1
            return
        overlaps = segment_overlaps(
            reference.panoptic, result.panoptic, unlabelled_is_void=False,
            truth_divisor=reference.label_divisor, predicted_divisor=result.label_divisor)
        same_class = overlaps.truth_class[:, None] == overlaps.predicted_class[None, :]
        rows, columns, _ = overlaps.matches()
        both_void = same_class & (overlaps.truth_class == VOID_CLASS)[:, None]
        self._counts.update(frames=1, identical_frames=int(
            result.label_divisor == reference.label_divisor
            and np.array_equal(result.panoptic, reference.panoptic)
            and np.array_equal(_bits(result.depth), _bits(reference.depth))))
        pixels, tasks = int(overlaps.pixels.sum()), self.tasks_of(frame)
        if 'semantic' in tasks:
            self._counts.update(classes=pixels, same_class=int(overlaps.pixels[same_class].sum()))
        if tasks & SEGMENTATION:
            self._counts.update(segments=pixels, same_segment=int(
                overlaps.pixels[rows, columns].sum() + overlaps.pixels[both_void].sum()))
        if 'depth' in tasks:
            self._counts.update(depths=pixels, known_in_one=self._add_depths(
                result.depth, reference.depth))
        if 'instances' in tasks:
            self._add_instances(overlaps, rows, columns, result, reference)

    def _add_depths(self, one: NDArray[np.float32], other: NDArray[np.float32]) -> int:
        """Add the differences of depths; returns in how many pixels one alone has a depth."""
        known_one, known_other = (np.isfinite(d) & (d > 0) for d in (one, other))
        both = known_one & known_other
        difference = np.log(one[both] / other[both])
        self._depth.add(np.abs(difference, out=difference))
        return int(np.count_nonzero(known_one ^ known_other))

    def _add_instances(self, overlaps: SegmentOverlaps, rows: NDArray[np.intp],
                       columns: NDArray[np.intp], result: PanopticDepth,
                       reference: PanopticDepth) -> None:
        """Add the things that both or one of the two have, and the distances of the former."""
        is_thing = self.rules.is_thing
        mine = of_class(is_thing, overlaps.predicted_class) & (overlaps.predicted_instance > 0)
        theirs = of_class(is_thing, overlaps.truth_class) & (overlaps.truth_instance > 0)
        matched = mine[columns] & theirs[rows]
        both = int(matched.sum())
        self._counts.update(instances_matched=both, instances_only_result=int(mine.sum()) - both,
                            instances_only_reference=int(theirs.sum()) - both)
        here, there = (
            np.array([known.get(i, math.nan) for i in ids[matched].tolist()]) for known, ids in (
                (_distances(result), overlaps.predicted_id[columns]),
                (_distances(reference), overlaps.truth_id[rows])))
        relative = np.abs(here - there) / there
        self._distance.add(relative[np.isfinite(relative)].astype(np.float32))

    def merge(self, other: AgreementMetric) -> None:
        super().merge(other)
        self._counts.update(other._counts)
        self._depth.merge(other._depth)
        self._distance.merge(other._distance)

    def result(self) -> Record:
        counts = self._counts

        def share(name: str, of: str) -> float:
            return counts[name] / counts[of] if counts[of] else math.nan

        return {
            **{name: counts[name] for name in ('frames', 'other_size', 'identical_frames')},
            'same_class_share': share('same_class', 'classes'),
            'same_segment_share': share('same_segment', 'segments'),
            'depth_known_in_one_share': share('known_in_one', 'depths'),
            'depth_median_log': self._depth.quantile(0.5),
            'depth_p99_log': self._depth.quantile(0.99), 'depth_max_log': self._depth.greatest,
            **{f'instances_{end}': counts[f'instances_{end}'] for end, *_ in _INSTANCES},
            'distance_median_rel': self._distance.quantile(0.5)}

    def record(self) -> Record:
        return self.result()

    @property
    def measured(self) -> bool:
        """Whether results were of one size."""
        return bool(self.found['frames'])

    def on(self, end: str) -> str:
        return f'{self.found["frames"]} frames'


def _distances(result: PanopticDepth) -> dict[int, float]:
    """Panoptic id -> meters."""
    return {d.segment.panoptic_id: d.distance_m for d in result.distances}


def _bits(depth: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Depth as it is stored: NaN equals NaN, and 0 is not -0."""
    return np.ascontiguousarray(depth, np.float32).view(np.uint32)
