# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""DPQ and DVPQ on frames with semantics, instances and depth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...tables import Table
from .base import Metric
from .frame import JudgedFrame, Rules
from .panoptic import GROUPS, quality_dict
from .shown import FigureKind, Record, percent
from .video_quality import VideoQuality, VideoQualityResult

_VIDEO = ('DVPQ: over windows of k = {} consecutive frames of a sequence; mean over k. For k > 1 '
          'an instance must keep its id from frame to frame: single-image models do not track, so '
          'their figures for k > 1 say little of the segmentation.')


class DepthAwareMetric(Metric[VideoQualityResult]):
    """Windows of frames; one frame makes DPQ."""

    name, title, prefix = 'video', 'Depth-aware PQ', 'depth_aware'
    section, part, counted = 'depth_aware_quality', '', 'depth_aware'
    place, breakdowns = 2, ()
    truth = frozenset(('semantics', 'instances', 'depth'))
    kinds = {'dpq': FigureKind(
        'depth-aware PQ (DPQ)', 'share', 'higher', 'PQ with the pixels void whose relative error '
        'of depth is above lambda, mean over the lambdas.', is_key=True)}
    meanings = {'': 'Depth-aware PQ: PQ in which predicted pixels count as void where their depth '
                    'is too far off.'}

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        settings = rules.settings
        self.sums = VideoQuality(rules.classes, settings.tolerances, settings.crowds,
                                 settings.windows)

    def update(self, frame: JudgedFrame) -> None:
        self.sums.add(frame.table, frame.judged, frame.sequence)

    def result(self) -> VideoQualityResult:
        found: VideoQualityResult = self.sums.result(self.rules.settings.absent_classes)
        return found

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
