# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Depth-aware panoptic quality of frames, DPQ, and of videos, DVPQ_k.

Qiao et al., ViP-DeepLab, CVPR 2021.

DPQ at a tolerance lambda is the panoptic quality of a prediction whose pixels with a depth error
above it, |p - g| / g > lambda, are void; DPQ is the mean over tolerances. DVPQ_k is the DPQ of k
consecutive frames of a sequence put side by side: all that has one id is one segment. Every frame
starts a window, so long as k frames are left (as in
https://github.com/joe-siyuan-qiao/ViP-DeepLab, eval_dvpq.py); a shorter sequence has none.
DVPQ_1 is DPQ. DVPQ is the mean over k.

Pixels are counted once per frame and level, the number of tolerances that their error is within; a
window adds the counts of its frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...tables import Table
from .base import Metric
from .frame import JudgedFrame, Rules
from .panoptic import GROUPS, PanopticQuality, PanopticQualityResult, quality_dict
from .segment_overlaps import JointTable, side_by_side
from .shown import MetricKind, Record, percent

_VIDEO = ('DVPQ: over windows of k = {} consecutive frames of a sequence; mean over k. For k > 1 '
          'an instance must keep its id from frame to frame: single-image models do not track, so '
          'their metrics for k > 1 say little of the segmentation.')


@dataclass(frozen=True)
class DepthAwareQualityResult:
    """
    DPQ of a set of frames, 0..1.

    :param all, things, stuff: means over the tolerances.
    :param by_tolerance: tolerance -> panoptic quality of the pixels within it.
    """

    all: float
    things: float
    stuff: float
    by_tolerance: dict[float, PanopticQualityResult]


@dataclass(frozen=True)
class VideoQualityResult:
    """
    DVPQ of a set of sequences, 0..1; NaN where a k has no window.

    :param all, things, stuff: means over k of means over tolerances.
    :param by_window: k -> DVPQ_k.
    :param windows: k -> number of windows.
    """

    all: float
    things: float
    stuff: float
    by_window: dict[int, DepthAwareQualityResult]
    windows: dict[int, int]


class _Frame(NamedTuple):
    """Counts of one frame, and the classes that its truth can judge."""

    sequence: str
    table: JointTable
    judged: NDArray[np.bool_]


class DepthAwareMetric(Metric[VideoQualityResult]):
    """
    Windows of frames with semantics, instances and depth.

    The counts of the first and the last frames are kept, at most one fewer than the widest window:
    parts of a data set that end within a sequence can be merged in its order.
    """

    name, title, prefix = 'video', 'Depth-aware PQ', 'depth_aware'
    section, part, counted = 'depth_aware_quality', '', 'depth_aware'
    place, breakdowns = 2, ()
    truth = frozenset(('semantics', 'instances', 'depth'))
    kinds = {'dpq': MetricKind(
        'depth-aware PQ (DPQ)', 'share', 'higher', 'PQ after pixels with a relative depth error '
        'above lambda are set to void, mean over the lambdas.', is_key=True)}
    meanings = {'': 'Depth-aware PQ: PQ in which predicted pixels count as void where their depth '
                    'is too far off.'}

    _quality: dict[int, dict[float, PanopticQuality]]
    _windows: dict[int, int]
    _head: list[_Frame]
    _tail: list[_Frame]

    def __init__(self, rules: Rules | None = None) -> None:
        super().__init__(rules)
        settings, tolerances = self.rules.settings, self.rules.settings.tolerances
        self._quality = {
            k: {t: PanopticQuality(self.rules.classes, settings.crowds) for t in tolerances}
            for k in settings.windows}
        # Who is within a tolerance is within all that are not below it.
        self._least_level = {t: sum(other >= t for other in tolerances) for t in tolerances}
        self._windows = dict.fromkeys(settings.windows, 0)
        self._head = []
        self._tail = []

    def update(self, frame: JudgedFrame) -> None:
        self.count(frame.table, frame.judged, frame.sequence)

    def count(self, table: JointTable, judged: NDArray[np.bool_], sequence: str = '') -> None:
        """
        Count one frame: the next of its sequence, or the first of another one.

        :param table: counts by depth_levels with the same tolerances.
        :param judged: (C,) bool, see PanopticQuality.update; a window judges what all its frames
            do.
        :param sequence: its name; empty for a picture of its own.
        :raises ValueError: when a class is not in the table of classes.
        """
        frames = [_Frame(sequence, table, judged)]
        self._count(frames)
        self._join(frames, frames)

    def merge(self, other: DepthAwareMetric) -> None:
        super().merge(other)
        for k, by_tolerance in self._quality.items():
            for tolerance, quality in by_tolerance.items():
                quality.merge(other._quality[k][tolerance])
            self._windows[k] += other._windows[k]
        self._join(other._head, other._tail)

    def _join(self, head: Sequence[_Frame], tail: Sequence[_Frame]) -> None:
        """
        Count the windows that begin in the frames here and end in those that follow.

        :param head, tail: first and last of the frames that follow.
        """
        frames, here = [*self._tail, *head], len(self._tail)
        for k in self._windows:
            for start in range(max(here - k + 1, 0), min(here, len(frames) - k + 1)):
                self._count(frames[start:start + k])
        reach = max(self._windows) - 1
        self._head = [*self._head, *head][:reach]
        tail = [*self._tail, *tail]
        self._tail = tail[max(len(tail) - reach, 0):]

    def _count(self, window: Sequence[_Frame]) -> None:
        """Count a window, if it has a wanted number of frames, all of one sequence."""
        k, names = len(window), {frame.sequence for frame in window}
        # A frame without a sequence stands alone.
        if k in self._windows and (k == 1 or (len(names) == 1 and '' not in names)):
            table = side_by_side([frame.table for frame in window])
            judged = np.logical_and.reduce([frame.judged for frame in window])
            for tolerance, quality in self._quality[k].items():
                least = self._least_level[tolerance]
                quality.update(table.overlaps(least_level=least), judged)
            self._windows[k] += 1

    def result(self) -> VideoQualityResult:
        absent, by_window = self.rules.settings.absent_classes, {}
        for k, by_tolerance in self._quality.items():
            found = {t: quality.result(absent) for t, quality in by_tolerance.items()}
            all_, things, stuff = np.mean([[r.all.pq, r.things.pq, r.stuff.pq]
                                           for r in found.values()], axis=0).tolist()
            by_window[k] = DepthAwareQualityResult(all_, things, stuff, found)
        all_, things, stuff = np.mean(
            [[r.all, r.things, r.stuff] for r in by_window.values()], axis=0).tolist()
        return VideoQualityResult(all_, things, stuff, by_window, dict(self._windows))

    def value(self, end: str) -> float:
        """DPQ alone, which needs windows of one frame."""
        single = self.found.by_window.get(1)
        return math.nan if single is None else single.all

    def detail(self) -> Record:
        video, names = self.found, self.rules.class_names
        return {**{group: getattr(video, group) for group in GROUPS}, 'by_window': [
            {'frames': k, 'windows': video.windows[k],
             **{group: getattr(found, group) for group in GROUPS},
             'by_tolerance': [{'tolerance': t, **quality_dict(part, names)}
                              for t, part in found.by_tolerance.items()]}
            for k, found in video.by_window.items()]}

    def rows(self) -> Iterator[tuple[str, str, str]]:
        if not self.measured:
            return
        video = self.found
        found = [(f'DVPQ, k = {k}' if k > 1 else 'DPQ', quality,
                  f'{video.windows[k]} windows in {self.frames} frames')
                 for k, quality in video.by_window.items()]
        for name, quality, on in found:
            yield f'{name} all / things / stuff', _groups(quality), on
        if len(found) > 1:
            yield ('DVPQ, mean over k, all / things / stuff', _groups(video),
                   f'{sum(video.windows.values())} windows')

    def tables(self) -> Iterator[Table]:
        if not self.measured:
            return
        video = self.found
        tolerances = tuple(next(iter(video.by_window.values())).by_tolerance)
        rows = []
        for group in GROUPS:
            found = [(f'k = {k}, {group}', str(video.windows[k]), np.array([
                *(getattr(quality.by_tolerance[t], group).pq for t in tolerances),
                getattr(quality, group)])) for k, quality in video.by_window.items()]
            if len(found) > 1:
                found.append((f'mean over k, {group}', str(sum(video.windows.values())),
                              np.mean([values for _, _, values in found], axis=0)))
            rows += [(name, *map(percent, values.tolist()), windows)
                     for name, windows, values in found]
        yield Table('DPQ and DVPQ by window and tolerance',
                    ('frames, classes', *(f'lambda {t:g}' for t in tolerances), 'mean',
                     'windows'), tuple(rows))

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        tolerances = ', '.join(f'{t:g}' for t in settings['tolerances'])
        windows = settings['windows']
        return [f'DPQ: frames with semantics, instances and depth; predicted pixels with '
                f'|p - g| / g > lambda are void, those without a true depth stay; mean over '
                f'lambda = {tolerances}.',
                *([_VIDEO.format(', '.join(map(str, windows)))] if max(windows) > 1 else [])]


def _groups(quality: Any) -> str:
    return ' / '.join(percent(getattr(quality, group)) for group in GROUPS)
