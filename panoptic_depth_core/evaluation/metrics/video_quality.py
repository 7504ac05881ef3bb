# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Depth-aware video panoptic quality, DVPQ_k (Qiao et al., ViP-DeepLab, CVPR 2021).

DVPQ_k is the DPQ of k consecutive frames of a sequence put side by side: a segment is then what
has one id in all of them. Every frame starts a window, so long as k frames are left (as in
https://github.com/joe-siyuan-qiao/ViP-DeepLab, eval_dvpq.py); a sequence of fewer frames has
none. DVPQ_1 is DPQ. DVPQ is the mean over k.

Pixels are counted once per frame; a window adds the counts of its frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...labels import CITYSCAPES, ClassInfo
from .depth_aware_pq import TOLERANCES, DepthAwareQuality, DepthAwareQualityResult
from .panoptic_quality import AbsentClasses, CrowdRule
from .segment_overlaps import JointTable, side_by_side

WINDOWS: dict[str, tuple[int, ...]] = {
    'cityscapes_dvps': (1, 2, 3, 4), 'semkitti_dvps': (1, 5, 10, 20)}
"""Frames per window that figures on a data set are published with."""


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


@dataclass(frozen=True)
class _Frame:
    """Counts of one frame, and the classes that its truth can judge."""

    table: JointTable
    judged: NDArray[np.bool_]


@dataclass(frozen=True)
class _Ends:
    """
    What frames before or after may need of some frames in a row.

    :param first, last: names of the first and the last sequence.
    :param head: first frames of the first sequence; tail: last frames of the last sequence.
    :param single: all frames are of one sequence.
    """

    first: str
    last: str
    head: tuple[_Frame, ...]
    tail: tuple[_Frame, ...]
    single: bool = True

    def leads_to(self, other: _Ends) -> bool:
        """Whether the last sequence goes on; a frame without a sequence stands alone."""
        return bool(self.last) and self.last == other.first

    def then(self, other: _Ends, reach: int) -> _Ends:
        """Ends of both together, of ``reach`` frames at most."""
        one = self.leads_to(other)
        head = (*self.head, *other.head) if one and self.single else self.head
        tail = (*self.tail, *other.tail) if one and other.single else other.tail
        return _Ends(self.first, other.last, head[:reach], tail[max(len(tail) - reach, 0):],
                     one and self.single and other.single)


class VideoQuality:
    """
    Counts matches over windows of frames.

    Holds the counts of the frames that a later or an earlier window can need, at most one fewer
    than the widest window at each end: parts of a data set, also those that end within a
    sequence, can be merged in its order.

    :param windows: frames per window, each at least 1.
    :raises ValueError: when there are none, or one is not positive or there twice.
    """

    def __init__(self, classes: Sequence[ClassInfo] = CITYSCAPES,
                 tolerances: Sequence[float] = TOLERANCES, crowds: CrowdRule = 'same_class',
                 windows: Sequence[int] = (1,)) -> None:
        if not windows or min(windows) < 1 or len(set(windows)) < len(windows):
            raise ValueError(f'frames per window are {tuple(windows)}; give at least one number, '
                             'each at least 1, and none twice')
        self._quality = {k: DepthAwareQuality(classes, tolerances, crowds) for k in windows}
        self._windows = dict.fromkeys(windows, 0)
        self._reach = max(windows) - 1
        self._ends: _Ends | None = None

    def add(self, table: JointTable, judged: NDArray[np.bool_], sequence: str = '') -> None:
        """
        Add one frame: the next of its sequence, or the first of another one.

        :param table: counts by depth_levels with the same tolerances.
        :param judged: (C,) bool, see PanopticQuality.update; a window judges what all its frames
            do.
        :param sequence: its name; empty for a picture of its own.
        :raises ValueError: when a class is not in the table of classes.
        """
        frame = _Frame(table, judged)
        self._count([frame])
        self._join(_Ends(sequence, sequence, (frame,), (frame,)))

    def merge(self, other: VideoQuality) -> None:
        """Add the frames of the part that follows, counted with the same classes and settings."""
        for k, quality in self._quality.items():
            quality.merge(other._quality[k])
            self._windows[k] += other._windows[k]
        if other._ends is not None:
            self._join(other._ends)

    def _join(self, after: _Ends) -> None:
        """Count the windows that begin in what is here and end in what follows."""
        before = self._ends
        if before is not None and before.leads_to(after):
            frames = (*before.tail, *after.head)
            for k in self._quality:
                for start in range(max(len(before.tail) - k + 1, 0), len(before.tail)):
                    if start + k <= len(frames):
                        self._count(frames[start:start + k])
        self._ends = after if before is None else before.then(after, self._reach)

    def _count(self, window: Sequence[_Frame]) -> None:
        """Count one window, if its number of frames is asked for."""
        k = len(window)
        if k in self._quality:
            self._quality[k].add(side_by_side([frame.table for frame in window]),
                                 np.logical_and.reduce([frame.judged for frame in window]))
            self._windows[k] += 1

    def result(self, absent: AbsentClasses = 'leave_out') -> VideoQualityResult:
        """DVPQ of all frames so far."""
        results = {k: quality.result(absent) for k, quality in self._quality.items()}
        all_, things, stuff = np.mean(
            [[r.all, r.things, r.stuff] for r in results.values()], axis=0).tolist()
        return VideoQualityResult(all_, things, stuff, results, dict(self._windows))
