# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The figures of a report by name: what thresholds are set on and reports are compared by.

A figure is a number, its unit, whether more is better, and what it was measured on.
"""

from __future__ import annotations

import math
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

    :param value: not finite where it is not known.
    :param on: what it was measured on, in words.
    """

    name: str
    value: float
    on: str

    def to_dict(self) -> dict[str, Any]:
        """The figure as plain values for JSON."""
        kind = KNOWN[self.name]
        known = math.isfinite(self.value)
        value = int(self.value) if known and kind.unit == 'count' else self.value
        return {'value': value if known else None, 'unit': kind.unit, 'better': kind.better,
                'on': self.on}


def _depth(prefix: str, truth: str, what: str) -> dict[str, FigureKind]:
    return {
        f'{prefix}.abs_rel': FigureKind(f'depth error, mean relative (absRel), {truth}', 'share',
                                        'lower'),
        f'{prefix}.rmse_m': FigureKind(f'depth RMSE, {truth}', 'm', 'lower'),
        f'{prefix}.delta1': FigureKind(f'depth within a factor of 1.25 (delta1), {truth}',
                                       'share', 'higher'),
        f'{prefix}.missing_share': FigureKind(f'{what} without a predicted depth, {truth}',
                                              'share', 'lower')}


def _distance(source: str, truth: str) -> dict[str, FigureKind]:
    name = f'distance.{source}'
    found = {
        f'{name}.median_rel': FigureKind(f'distance error, median relative, {truth}', 'share',
                                         'lower'),
        f'{name}.bias_rel': FigureKind(f'distance bias (above 0: too far), {truth}', 'share',
                                       None),
        f'{name}.coverage_68': FigureKind(f'instances in their 68 % range, {truth}', 'share',
                                          None),
        f'{name}.coverage_95': FigureKind(f'instances in their 95 % range, {truth}', 'share',
                                          None)}
    # Of a LiDAR, instances are the predicted ones: all of them are found.
    if source != 'lidar':
        found[f'{name}.matched_share'] = FigureKind(f'true instances found, {truth}', 'share',
                                                    'higher')
    return found


def _calibration(source: str, truth: str, what: str) -> dict[str, FigureKind]:
    name = f'calibration.{source}'
    return {
        f'{name}.coverage_68': FigureKind(f'{what} in their 68 % range of depth, {truth}',
                                          'share', None),
        f'{name}.coverage_95': FigureKind(f'{what} in their 95 % range of depth, {truth}',
                                          'share', None),
        f'{name}.expected_error': FigureKind(f'calibration error of depth, {truth}', 'share',
                                             'lower')}


_IMAGES, _LIDAR, _LABELS, _BOXES = 'depth images', 'LiDAR', 'true labels', 'true boxes'

FIGURES: dict[str, FigureKind] = {
    'bags.failed': FigureKind('recordings that failed', 'count', 'lower'),
    'frames.scored': FigureKind('frames scored', 'count', 'higher'),
    'frames.skipped': FigureKind('frames skipped', 'count', 'lower'),
    'panoptic.pq': FigureKind('panoptic quality (PQ)', 'share', 'higher'),
    'panoptic.sq': FigureKind('IoU of matched segments (SQ)', 'share', 'higher'),
    'panoptic.rq': FigureKind('F1 of segments (RQ)', 'share', 'higher'),
    'panoptic.pq_things': FigureKind('PQ of things', 'share', 'higher'),
    'panoptic.pq_stuff': FigureKind('PQ of stuff', 'share', 'higher'),
    'depth_aware.dpq': FigureKind('depth-aware PQ (DPQ)', 'share', 'higher'),
    'semantic.miou': FigureKind('IoU of classes, mean (mIoU)', 'share', 'higher'),
    **_depth('depth', _IMAGES, 'pixels'), **_depth('lidar', _LIDAR, 'points'),
    **_distance('labels', _LABELS), **_distance('lidar', _LIDAR), **_distance('boxes', _BOXES),
    **_calibration('labels', _IMAGES, 'pixels'), **_calibration('lidar', _LIDAR, 'points'),
    'tracking.switches': FigureKind('id switches, true labels', 'count', 'lower'),
    'tracking.fragments': FigureKind('tracks interrupted (fragments), true labels', 'count',
                                     'lower'),
    'tracking.mota': FigureKind('tracking accuracy (MOTA), true labels', 'share', 'higher'),
    'tracking.idf1': FigureKind('F1 of track ids (IDF1), true labels', 'share', 'higher'),
    'consistency.label_stability': FigureKind('pixels that keep their class', 'share', 'higher'),
    'consistency.label_flicker': FigureKind('pixels whose class flips and comes back', 'share',
                                            'lower'),
    'consistency.depth_jitter': FigureKind('jitter of depth between frames', 'share', 'lower'),
    'consistency.distance_jitter': FigureKind('jitter of distances between frames', 'share',
                                              'lower'),
    'consistency.id_switches': FigureKind('track ids that change, by flow', 'count', 'lower'),
    'consistency.instance_survival': FigureKind('instances seen again in the next frame', 'share',
                                                'higher'),
    'consistency.void_share': FigureKind('pixels without a label (void)', 'share', 'lower'),
    'consistency.depth_missing_share': FigureKind('pixels without a depth', 'share', 'lower'),
    'consistency.ground_height_m': FigureKind('height of the camera above the predicted ground',
                                              'm', None),
    'consistency.ground_height_spread': FigureKind('variation of that height between frames',
                                                   'share', 'lower'),
    'consistency.ground_residual': FigureKind('depth of the ground off its plane, median',
                                              'share', 'lower'),
    'consistency.ground_inlier_share': FigureKind('ground within 10 % of its plane', 'share',
                                                  'higher'),
}
"""Name -> what it is, in the order of reports; agreement with other results follows."""

AGREEMENT = {
    'identical_frames': FigureKind('frames identical bit for bit', 'count', 'higher'),
    'same_class_share': FigureKind('pixels of the same class as in the reference', 'share',
                                   'higher'),
    'same_segment_share': FigureKind('pixels of the same segment as in the reference', 'share',
                                     'higher'),
    'depth_known_in_one_share': FigureKind('pixels with a depth in one result alone', 'share',
                                           'lower'),
    'depth_median_log': FigureKind('depth against the reference, |ln ratio|, median', 'share',
                                   'lower'),
    'depth_p99_log': FigureKind('depth against the reference, |ln ratio|, 99 %', 'share', 'lower'),
    'depth_max_log': FigureKind('depth against the reference, |ln ratio|, greatest', 'share',
                                'lower'),
    'instances_matched': FigureKind('instances in both results', 'count', 'higher'),
    'instances_only_result': FigureKind('instances only here', 'count', 'lower'),
    'instances_only_reference': FigureKind('instances only in the reference', 'count', 'lower'),
    'distance_median_rel': FigureKind('distances against the reference, relative, median', 'share',
                                      'lower'),
}
FIGURES |= {f'agreement.{name}': kind for name, kind in AGREEMENT.items()}

FRAME_FIGURES = {
    'depth.abs_rel': FIGURES['depth.abs_rel'],
    'lidar.abs_rel': FIGURES['lidar.abs_rel'],
    'labels.pq': FIGURES['panoptic.pq'],
    'consistency.label_stability': FIGURES['consistency.label_stability'],
}
"""Part and figure of a frame's record, of those by which frames are ranked and compared."""

TIMES = {f'times.total_ms.{q}': FigureKind(f'time of a frame, {q}', 'ms', 'lower')
         for q in ('p50', 'p95', 'p99', 'max')}
"""What two runs of one recording may differ in; kept apart, in times.json."""

KNOWN = {**FIGURES, **TIMES}
"""All that a threshold can be set on."""
