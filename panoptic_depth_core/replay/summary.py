# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The scores of recordings as report.json has them: figures by name, and all that is behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ..errors import ConfigError
from ..evaluation.calibration import ONE_SIGMA, TWO_SIGMA, CalibrationResult
from ..evaluation.depth_metrics import DepthResult
from ..evaluation.distance_metrics import DistanceResult
from ..evaluation.evaluate import EvaluationResult
from ..evaluation.report import calibration_dict, depth_dict, distance_dict, plain, to_dict
from ..evaluation.tracking_metrics import TrackingResult
from .agreement import AgreementResult
from .consistency.metrics import ConsistencyResult
from .figures import AGREEMENT, FIGURES, Figure
from .scoring import BagScore

Plain = dict[str, Any]


def summarise(score: BagScore) -> tuple[list[Figure], Plain]:
    """
    Figures and ``detail`` of report.json.

    :returns: the figures that something was measured for, and plain values for JSON.
    """
    labels = score.labels.result()
    lidar = score.lidar_depth.result()
    calibrations = {'labels': labels.calibration, 'lidar': score.lidar_calibration.result()}
    distances = {'labels': labels.distance, 'lidar': score.lidar_distance.result(),
                 'boxes': score.box_distance.result()}
    tracking = _tracking(score)
    names = [c.name for c in score.classes]
    consistency, agreement = score.consistency.result(), score.agreement.result()
    judged = labels.frames.semantics or labels.frames.instances or labels.frames.depth
    found = [
        *(_of_labels(labels) if judged else ()),
        *_of_depth('depth', labels.depth), *_of_depth('lidar', lidar),
        *(figure for source, result in distances.items()
          for figure in _of_distance(source, result)),
        *(figure for source, calibration in calibrations.items()
          for figure in _of_calibration(source, calibration)),
        *_of_tracking(tracking), *_of_consistency(consistency), *_of_agreement(agreement)]
    detail = {
        'evaluation': to_dict(labels) if judged else None,
        'lidar': depth_dict(lidar, names) if lidar.images else None,
        'distance': {source: distance_dict(result, names)
                     for source, result in distances.items() if result.all.instances},
        'calibration': {source: calibration_dict(calibration)
                        for source, calibration in calibrations.items() if calibration.pixels},
        'tracking': None if tracking is None else asdict(tracking.all),
        'consistency': asdict(consistency) if consistency.frames else None,
        'agreement': asdict(agreement) if agreement.frames else None}
    return found, plain(detail)


def _tracking(score: BagScore) -> TrackingResult | None:
    try:
        return score.tracking.result() if score.has_tracks else None
    except ConfigError:
        # Without scipy there is no assignment of tracks to things.
        return None


def _of_labels(result: EvaluationResult) -> Iterator[Figure]:
    frames, panoptic = result.frames, result.panoptic
    if frames.instances:
        on = f'{frames.instances} frames, {result.instances} instances'
        for name, value in (
                ('pq', panoptic.all.pq), ('sq', panoptic.all.sq), ('rq', panoptic.all.rq),
                ('pq_things', panoptic.things.pq), ('pq_stuff', panoptic.stuff.pq)):
            yield Figure(f'panoptic.{name}', value, on)
    if frames.depth_aware:
        yield Figure('depth_aware.dpq', result.video.by_window[1].all if (
            1 in result.video.by_window) else float('nan'), f'{frames.depth_aware} frames')
    if frames.semantics:
        yield Figure('semantic.miou', result.semantic.mean,
                     f'{frames.semantics} frames, {int(result.semantic.counted.sum())} classes')


def _of_depth(prefix: str, result: DepthResult) -> Iterator[Figure]:
    if result.images:
        on = f'{result.images} frames, {result.pooled.pixels} px'
        for name in ('abs_rel', 'rmse_m', 'delta1', 'missing_share'):
            yield Figure(f'{prefix}.{name}', getattr(result.pooled, name), on)


def _of_distance(source: str, result: DistanceResult) -> Iterator[Figure]:
    errors = result.all
    if not errors.instances:
        return
    for name, count in (('median_rel', errors.measured), ('bias_rel', errors.measured),
                        ('coverage_68', errors.stated), ('coverage_95', errors.stated),
                        ('matched_share', errors.instances)):
        if count and f'distance.{source}.{name}' in FIGURES:
            yield Figure(f'distance.{source}.{name}', getattr(errors, name), f'{count} instances')


def _of_calibration(source: str, result: CalibrationResult) -> Iterator[Figure]:
    if not result.pixels:
        return
    on = f'{result.frames} frames, {result.pixels} px'
    for name, value in (('coverage_68', result.coverage[ONE_SIGMA]),
                        ('coverage_95', result.coverage[TWO_SIGMA]),
                        ('expected_error', result.expected_error)):
        yield Figure(f'calibration.{source}.{name}', value, on)


def _of_tracking(result: TrackingResult | None) -> Iterator[Figure]:
    if result is not None:
        on = f'{result.frames} frames, {result.all.things} things'
        for name in ('switches', 'fragments', 'mota', 'idf1'):
            yield Figure(f'tracking.{name}', getattr(result.all, name), on)


def _of_consistency(result: ConsistencyResult) -> Iterator[Figure]:
    compared = f'{result.compared_frames} frames, {result.compared_pixels} px'
    ground = f'{result.ground_frames} frames'
    for name, on, count in (
            ('label_stability', compared, result.compared_pixels),
            ('label_flicker', f'{result.flicker_pixels} px', result.flicker_pixels),
            ('depth_jitter', f'{result.jitter_frames} frames', result.jitter_frames),
            ('distance_jitter', f'{result.distance_triples} instances, seen three times',
             result.distance_triples),
            ('id_switches', f'{result.tracked_instances} instances', result.tracked_instances),
            ('instance_survival', f'{result.instances} instances', result.instances),
            ('void_share', f'{result.frames} frames', result.frames),
            ('depth_missing_share', f'{result.frames} frames', result.frames),
            *((name, ground, result.ground_frames) for name in (
                'ground_height_m', 'ground_height_spread', 'ground_residual',
                'ground_inlier_share'))):
        value = getattr(result, name)
        if count and value is not None:
            yield Figure(f'consistency.{name}', value, on)


def _of_agreement(result: AgreementResult) -> Iterator[Figure]:
    if result.frames:
        for name in AGREEMENT:
            yield Figure(f'agreement.{name}', getattr(result, name), f'{result.frames} frames')
