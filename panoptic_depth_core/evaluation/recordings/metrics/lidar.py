# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Depth, its uncertainty and distances by the points of a cloud."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ....io.messages.truth_images import medians
from ...metrics.calibration import CalibrationMetric, calibration_kinds
from ...metrics.depth import DepthMetric, depth_kinds
from ...metrics.distance import BaseDistanceMetric, distance_kinds
from ...metrics.distance_metrics import InstanceRecord
from ...metrics.frame import JudgedFrame
from .frame import ReplayJudged, of_recording, rules_of


class LidarDepth(DepthMetric):
    """Pixels that a point falls on."""

    name = prefix = section = part = 'lidar'
    source, source_words, counted = 'lidar', 'LiDAR', ''
    truth = frozenset(('lidar',))
    class_columns = {}
    kinds = depth_kinds('LiDAR', 'points', 2)
    meanings = {'': 'Depth, LiDAR: the same at the pixels that a point falls on, which are few '
                    'and mostly low in the image. The motion of the vehicle between cloud and '
                    'image is taken out where tf has odometry, that of other things is not; '
                    'errors of tf and of the calibration between the sensors count as errors of '
                    'depth.'}

    def update(self, frame: JudgedFrame) -> None:
        points = of_recording(frame).points
        self.sums.update(points.predicted, points.metres, points.classes)

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        lidar = settings.get('lidar')
        return [f'LiDAR: points from {lidar["min_m"]:g} to {lidar["max_m"]:g} m; a point is '
                f'hidden by one within {lidar["occlusion_window_px"]} columns around it, 1.5 '
                'times as many rows above it and a quarter below, that is nearer by more than '
                f'{100 * lidar["occlusion_ratio"]:g} % of its depth. Instances have at least '
                f'{lidar["min_instance_points"]} points.'] if lidar else []


class LidarCalibration(CalibrationMetric):
    """Pixels that a point falls on."""

    name, prefix = 'lidar_calibration', 'calibration.lidar'
    source, source_words = 'lidar', 'LiDAR'
    truth, kinds = frozenset(('lidar',)), calibration_kinds('LiDAR', 'points')

    def update(self, frame: JudgedFrame) -> None:
        points = of_recording(frame).points
        self.sums.update(points.predicted, points.metres, points.ids, frame.result.segments)

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        return []


class LidarDistance(BaseDistanceMetric):
    """Predicted instances against the points on their masks."""

    name, title, prefix = 'lidar_distance', 'Distance', 'distance.lidar'
    source, source_words = 'lidar', 'LiDAR'
    truth = frozenset(('lidar',))
    # Instances are the predicted ones: all of them are found.
    kinds = {end: kind for end, kind in distance_kinds('LiDAR').items() if end != 'matched_share'}
    breakdowns = tuple(table._replace(columns=tuple(
        column for column in table.columns if column.key != 'matched_share'))
        for table in BaseDistanceMetric.breakdowns)
    meanings = {'': 'Distances, LiDAR: median depth (Z) of a predicted instance against the '
                    'median of the points on its predicted mask. What was not predicted is not '
                    'among them, and the points on a wrong mask are no better than the mask.'}

    def update(self, frame: JudgedFrame) -> None:
        for record in self._instances(of_recording(frame)):
            self.sums.add(record)

    def _instances(self, frame: ReplayJudged) -> Iterator[InstanceRecord]:
        """Those that are large enough, and have points enough, with the median of these."""
        found = medians(frame.points.ids, frame.points.metres)
        points = {number: (count, value) for number, count, value in zip(
            found.groups.tolist(), found.counts.tolist(), found.values.tolist(), strict=True)}
        least_points = rules_of(self.rules).lidar.min_instance_points
        least_pixels = self.rules.settings.min_instance_pixels
        for distance in frame.instances:
            segment = distance.segment
            count, true_m = points.get(segment.panoptic_id, (0, math.nan))
            if segment.pixel_count >= least_pixels and count >= least_points:
                yield InstanceRecord(segment.class_id, segment.pixel_count, true_m, True,
                                     distance.depth_m, segment.log_depth_scale)
