# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether results agree with those of the frames before, without any truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....contract import (
    NEEDS_DEPTH,
    NEEDS_INSTANCES,
    NEEDS_LABELS,
    NEEDS_POSITIONS,
    NEEDS_SEMANTIC,
)
from ...metrics.base import Metric
from ...metrics.frame import JudgedFrame, Rules
from ...metrics.shown import FigureKind, Record
from ..consistency.metrics import ConsistencyMetrics, ConsistencyResult
from .frame import of_recording, rules_of


class ConsistencyMetric(Metric[ConsistencyResult]):
    """Frames along the optical flow."""

    name, title, place = 'consistency', 'Consistency', 8
    needs = (*NEEDS_SEMANTIC, *NEEDS_DEPTH)
    kinds = {
        'label_stability': FigureKind(
            'pixels that keep their class', 'share', 'higher', 'Share of the pixels followed from '
            'the frame before that have its class.', NEEDS_SEMANTIC, is_key=True, worst=4,
            over_time=('Label stability', 'pixels that keep their class, in %')),
        'label_flicker': FigureKind(
            'pixels whose class flips and comes back', 'share', 'lower',
            'Share of the pixels followed over three frames, classes A, B, A.', NEEDS_SEMANTIC),
        'depth_jitter': FigureKind(
            'jitter of depth between frames', 'share', 'lower', 'Standard deviation of a depth '
            'off the line through the one before and after.', NEEDS_DEPTH, is_key=True,
            over_time=('Jitter of depth', 'jitter in %')),
        'distance_jitter': FigureKind(
            'jitter of distances between frames', 'share', 'lower',
            'The same of the distances of instances.', NEEDS_POSITIONS),
        'id_switches': FigureKind('track ids that change, by flow', 'count', 'lower',
                                  'Instances seen again under another track id.', NEEDS_INSTANCES),
        'instance_survival': FigureKind(
            'instances seen again in the next frame', 'share', 'higher',
            'Share of those that should be, by class and an IoU above 0.5.', NEEDS_INSTANCES),
        'void_share': FigureKind('pixels without a label (void)', 'share', 'lower',
                                 'Share of all pixels.', NEEDS_LABELS, is_key=True),
        'depth_missing_share': FigureKind('pixels without a depth', 'share', 'lower',
                                          'Share of all pixels whose depth is NaN.', NEEDS_DEPTH),
        'ground_height_m': FigureKind(
            'height of the camera above the predicted ground', 'm', None,
            'Above the plane through the pixels of the ground, median.',
            over_time=('Height above the ground', 'metres')),
        'ground_height_spread': FigureKind(
            'variation of that height between frames', 'share', 'lower',
            'Relative standard deviation of the height over frames.'),
        'ground_residual': FigureKind(
            'depth of the ground off its plane, median', 'share', 'lower',
            'Relative distance of the depth of the ground to the plane.'),
        'ground_inlier_share': FigureKind(
            'ground within 10 % of its plane', 'share', 'higher',
            'Share of the pixels of the ground.')}
    meanings = {
        '': 'Consistency: results against those of the frames before, along the optical flow of '
            'the images, without any truth. It says how steady results are, not whether they are '
            'right: what is always wrong is steady.',
        'ground_': 'Ground: a plane through the predicted depth of the ground. The height of the '
                   'camera above it can be checked with a rule, and should be the same in every '
                   'frame.'}

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.sums = ConsistencyMetrics(rules.classes, rules_of(rules).consistency)

    def update(self, frame: JudgedFrame) -> None:
        self.sums.update(of_recording(frame).item.frame, frame.result)

    def alone(self, frame: JudgedFrame) -> ConsistencyMetric:
        """Compare with the frames before, of which the new frame then is the last."""
        one = type(self)(self.rules)
        one.sums = self.sums.alone(of_recording(frame).item.frame, frame.result)
        one.frames, one.tasks = 1, frame.result.tasks
        return one

    def record(self) -> Record:
        found: Record = self.sums.record()
        return found

    def on(self, end: str) -> str:
        found = self.found
        count, on = {
            'label_stability': (found.compared_pixels, f'{found.compared_frames} frames, '
                                f'{found.compared_pixels} px'),
            'label_flicker': (found.flicker_pixels, f'{found.flicker_pixels} px'),
            'depth_jitter': (found.jitter_frames, f'{found.jitter_frames} frames'),
            'distance_jitter': (found.distance_triples,
                                f'{found.distance_triples} instances, seen three times'),
            'id_switches': (found.tracked_instances, f'{found.tracked_instances} instances'),
            'instance_survival': (found.instances, f'{found.instances} instances'),
            'void_share': (found.frames, f'{found.frames} frames'),
            'depth_missing_share': (found.frames, f'{found.frames} frames'),
        }.get(end, (found.ground_frames, f'{found.ground_frames} frames'))
        return on if count else ''

    @classmethod
    def conventions(cls, settings: Mapping[str, Any]) -> list[str]:
        consistency = settings.get('consistency')
        return [f'Consistency: frames at most {consistency["max_gap_s"]:g} s apart are compared, '
                'where the flow forth and back comes to the same pixel; instances of at least '
                f'{consistency["min_instance_pixels"]} px.'] if consistency else []
