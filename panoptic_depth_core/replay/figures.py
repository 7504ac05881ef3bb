# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The figures of a report by name: what thresholds are set on and reports are compared by.

A figure is a number, its unit, whether more is better, and what it was measured on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Unit = Literal['share', 'm', 'ms', '1/s', 'count', '']
Better = Literal['higher', 'lower'] | None


class FigureKind(NamedTuple):
    """
    What a figure means.

    :param unit: share is 0..1 and shown in percent; empty: a plain number.
    """

    title: str
    unit: Unit
    better: Better


@dataclass(frozen=True)
class Figure:
    """
    A figure of a report.

    :param value: NaN where it is not known.
    :param on: what it was measured on, in words.
    """

    name: str
    value: float
    on: str

    def to_dict(self) -> dict[str, Any]:
        """The figure as plain values for JSON."""
        kind = KNOWN[self.name]
        known = self.value == self.value
        value = int(self.value) if known and kind.unit == 'count' else self.value
        return {'value': value if known else None, 'unit': kind.unit, 'better': kind.better,
                'on': self.on}


def _depth(prefix: str, truth: str) -> dict[str, FigureKind]:
    return {
        f'{prefix}.abs_rel': FigureKind(f'absRel of depth, {truth}', 'share', 'lower'),
        f'{prefix}.rmse_m': FigureKind(f'RMSE of depth, {truth}', 'm', 'lower'),
        f'{prefix}.delta1': FigureKind(f'depth within 25 %, {truth}', 'share', 'higher'),
        f'{prefix}.missing_share': FigureKind(f'pixels without a depth, {truth}', 'share',
                                              'lower')}


def _distance(source: str, truth: str) -> dict[str, FigureKind]:
    name = f'distance.{source}'
    found = {
        f'{name}.median_rel': FigureKind(f'distance error, median, {truth}', 'share', 'lower'),
        f'{name}.bias_rel': FigureKind(f'distance bias, {truth}', 'share', None),
        f'{name}.coverage_68': FigureKind(f'instances within the 68 % range, {truth}', 'share',
                                          None),
        f'{name}.coverage_95': FigureKind(f'instances within the 95 % range, {truth}', 'share',
                                          None)}
    if source != 'lidar':
        found[f'{name}.matched_share'] = FigureKind(f'instances found, {truth}', 'share', 'higher')
    return found


def _calibration(source: str, truth: str) -> dict[str, FigureKind]:
    name = f'calibration.{source}'
    return {
        f'{name}.coverage_68': FigureKind(f'pixels within the 68 % range, {truth}', 'share', None),
        f'{name}.coverage_95': FigureKind(f'pixels within the 95 % range, {truth}', 'share', None),
        f'{name}.expected_error': FigureKind(f'calibration error, {truth}', 'share', 'lower')}


_IMAGES, _LIDAR, _LABELS, _BOXES = 'depth images', 'LiDAR', 'true labels', 'true boxes'

FIGURES: dict[str, FigureKind] = {
    'bags.failed': FigureKind('recordings that failed', 'count', 'lower'),
    'frames.scored': FigureKind('frames scored', 'count', 'higher'),
    'frames.skipped': FigureKind('frames skipped', 'count', 'lower'),
    'panoptic.pq': FigureKind('PQ', 'share', 'higher'),
    'panoptic.sq': FigureKind('SQ', 'share', 'higher'),
    'panoptic.rq': FigureKind('RQ', 'share', 'higher'),
    'panoptic.pq_things': FigureKind('PQ of things', 'share', 'higher'),
    'panoptic.pq_stuff': FigureKind('PQ of stuff', 'share', 'higher'),
    'depth_aware.dpq': FigureKind('DPQ', 'share', 'higher'),
    'semantic.miou': FigureKind('mIoU', 'share', 'higher'),
    **_depth('depth', _IMAGES), **_depth('lidar', _LIDAR),
    **_distance('labels', _LABELS), **_distance('lidar', _LIDAR), **_distance('boxes', _BOXES),
    **_calibration('labels', _IMAGES), **_calibration('lidar', _LIDAR),
    'tracking.switches': FigureKind('id switches, true labels', 'count', 'lower'),
    'tracking.fragments': FigureKind('fragments of tracks', 'count', 'lower'),
    'tracking.mota': FigureKind('MOTA', 'share', 'higher'),
    'tracking.idf1': FigureKind('IDF1', 'share', 'higher'),
    'consistency.label_stability': FigureKind('pixels that keep their class', 'share', 'higher'),
    'consistency.label_flicker': FigureKind('pixels whose class goes and comes back', 'share',
                                            'lower'),
    'consistency.depth_jitter': FigureKind('jitter of depth', 'share', 'lower'),
    'consistency.distance_jitter': FigureKind('jitter of distances', 'share', 'lower'),
    'consistency.id_switches': FigureKind('changes of track id', 'count', 'lower'),
    'consistency.instance_survival': FigureKind('instances that stay', 'share', 'higher'),
    'consistency.void_share': FigureKind('void pixels', 'share', 'lower'),
    'consistency.depth_missing_share': FigureKind('pixels without a depth, of all', 'share',
                                                  'lower'),
    'consistency.ground_height_m': FigureKind('height of the camera above the ground', 'm', None),
    'consistency.ground_height_spread': FigureKind('spread of that height', 'share', 'lower'),
    'consistency.ground_residual': FigureKind('ground off its plane, median', 'share', 'lower'),
    'consistency.ground_inlier_share': FigureKind('ground within 10 % of its plane', 'share',
                                                  'higher'),
}
"""Name -> what it is, in the order of reports; agreement with other results follows."""

_AGREEMENT = {
    'identical_frames': FigureKind('frames identical bit for bit', 'count', 'higher'),
    'same_class_share': FigureKind('pixels of the same class', 'share', 'higher'),
    'same_segment_share': FigureKind('pixels of the same segment', 'share', 'higher'),
    'depth_known_in_one_share': FigureKind('pixels with a depth in one alone', 'share', 'lower'),
    'depth_median_log': FigureKind('difference of log depth, median', 'share', 'lower'),
    'depth_p99_log': FigureKind('difference of log depth, 99 %', 'share', 'lower'),
    'depth_max_log': FigureKind('difference of log depth, greatest', 'share', 'lower'),
    'instances_matched': FigureKind('instances in both', 'count', 'higher'),
    'instances_only_result': FigureKind('instances only here', 'count', 'lower'),
    'instances_only_reference': FigureKind('instances only in the reference', 'count', 'lower'),
    'distance_median_rel': FigureKind('difference of distances, median', 'share', 'lower'),
}
FIGURES |= {f'agreement.{name}': kind for name, kind in _AGREEMENT.items()}

TIMES = {f'times.total_ms.{q}': FigureKind(f'time of a frame, {q}', 'ms', 'lower')
         for q in ('p50', 'p95', 'p99', 'max')}
"""What two runs of one recording may differ in; kept apart, in times.json."""

KNOWN = {**FIGURES, **TIMES}
"""All that a threshold can be set on."""
