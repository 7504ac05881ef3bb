# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Reports written by hand: complete, with consistency alone, with a failed bag, and hostile."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from panoptic_depth_core.evaluation.metrics.table import known_kinds, metric_kinds
from panoptic_depth_core.evaluation.report.folder import Written, write_report
from panoptic_depth_core.evaluation.settings import RecordingSettings

FIRST_NS = 1_317_046_450_000_000_000
HOSTILE = '</title><script>alert("x")</script>|`a\'b` *c* [d](http://e.example/) $f$\n\x00\ud800'

_RANGES = ((0, 10), (10, 20), (20, 40), (40, 80))
_LEVELS = (*(round(0.05 * i, 2) for i in range(1, 14)), 0.68, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def metric_value(name: str, value: float | None, on: str) -> dict[str, Any]:
    kind = known_kinds()[name]
    return {name: {'value': value, 'unit': kind.unit, 'better': kind.better, 'on': on}}


def bag(name: str, frames: int, truth: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    return {'name': name, 'path': f'drives/{name}', 'frames': frames,
            'duration_s': max(0, frames - 1) / 10, 'truth': list(truth), 'skipped': {},
            'notes': {}, 'error': None, **changes}


def depth_errors(scale: float, pixels: int) -> dict[str, Any]:
    return {'pixels': pixels, 'missing_share': 0.02 * scale, 'abs_rel': 0.08 * scale,
            'sq_rel_m': 0.3 * scale, 'rmse_m': 2.5 * scale, 'rmse_log': 0.12 * scale,
            'delta1': 1 - 0.06 * scale, 'delta2': 0.98, 'delta3': 0.99, 'si_log': 11.0 * scale}


def depth_ranges(scale: float, pixels: int) -> list[dict[str, Any]]:
    return [{'near_m': near, 'far_m': far, **depth_errors(scale * (1 + i / 2), pixels // (1 + i))}
            for i, (near, far) in enumerate(_RANGES)]


def distance_errors(scale: float, instances: int) -> dict[str, Any]:
    matched = round(0.8 * instances)
    return {'instances': instances, 'matched': matched, 'measured': matched,
            'matched_share': matched / instances, 'median_rel': 0.06 * scale,
            'mean_rel': 0.08 * scale, 'bias_rel': -0.01 * scale, 'stated': matched,
            'coverage_68': 0.7, 'coverage_95': 0.93}


def distance(scale: float, classes: dict[str, int]) -> dict[str, Any]:
    limits = [*_RANGES[:3], (40, None)]
    everything = sum(classes.values())
    return {
        'all': distance_errors(scale, everything),
        'by_range': [{'near_m': near, 'far_m': far,
                      **distance_errors(scale * (1 + i / 3), max(1, everything // (i + 2)))}
                     for i, (near, far) in enumerate(limits)],
        'by_class': {name: distance_errors(scale * (1 + i / 4), count)
                     for i, (name, count) in enumerate(classes.items())},
        'by_class_and_range': [
            {'class': name, 'near_m': near, 'far_m': far,
             **distance_errors(scale * (1 + (i + j) / 4), max(1, count // (j + 1)))}
            for i, (name, count) in enumerate(classes.items())
            for j, (near, far) in enumerate(limits) if (i + j) % 5 < 4]}


def calibration(power: float, pixels: int) -> dict[str, Any]:
    return {'coverage': [{'expected': q, 'observed': q ** power} for q in _LEVELS],
            'expected_error': 0.031, 'pixels': pixels, 'temperature': 1.1}


def evaluation(classes: dict[str, int], scale: float) -> dict[str, Any]:
    def by_class(first: float) -> dict[str, float | None]:
        return {**{name: first - 0.04 * i for i, name in enumerate(classes)}, 'train': None}

    return {
        'frames': {'all': 60}, 'instances': 212,
        'panoptic_quality': {'by_class': {
            'pq': by_class(0.7), 'sq': by_class(0.85), 'rq': by_class(0.82),
            **{key: {name: 10 + i for i, name in enumerate(classes)} for key in (
                'true_positives', 'false_positives', 'false_negatives')}}},
        'semantic': {'by_class': {'iou': by_class(0.76)}},
        'depth': {'by_range': depth_ranges(scale, 4_000_000),
                  'by_class': {name: depth_errors(scale, 9000) for name in classes}},
        'conventions': ['PQ: classes in no truth and no prediction are left out of means.',
                        'Depth: pixels with 0 < truth <= 80 m.']}


def consistency() -> dict[str, Any]:
    return {'frames': 60, 'compared_frames': 58, 'compared_share': 0.91, 'label_stability': 0.962,
            'stability_by_class': {'road': 0.99, 'car': 0.93, 'void': 0.7},
            'label_flicker': 0.0091, 'depth_jitter': 0.0213, 'distance_jitter': 0.034,
            'id_switches': 3, 'instance_survival': 0.88, 'void_share': 0.013,
            'depth_missing_share': None, 'ground_height_m': 1.65, 'ground_residual': 0.021}


def consistency_metrics() -> dict[str, Any]:
    return {name: value for key, unit_value in consistency().items()
            if f'consistency.{key}' in metric_kinds()
            for name, value in metric_value(f'consistency.{key}', unit_value, '58 frames').items()}


def run(results: str = 'model') -> dict[str, Any]:
    return {'results': results, 'model_id': 'fast-2026.11', 'model_sha256': '3f' * 32,
            'backend': 'onnxruntime', 'settings': {'thresholds': {'score': 0.3}, 'fit': 'crop'},
            'evaluation': RecordingSettings().model_dump(mode='json')}


def complete(scale: float = 1.0) -> dict[str, Any]:
    """Two recordings with every truth, and one without any."""
    classes = {'car': 120, 'person': 40, 'traffic light': 22, 'bicycle': 18, 'truck': 9,
               'motorcycle': 3}
    every = ('labels', 'depth', 'lidar', 'boxes')
    metric_values: dict[str, Any] = {}
    on_depth = '30 frames, 4000000 px'
    for name, value, on in (
            ('bags.failed', 0, '3 recordings'), ('frames.scored', 90, '3 recordings'),
            ('frames.skipped', 3, '3 recordings'),
            ('panoptic.pq', 0.612 / scale, '60 frames, 212 instances'),
            ('panoptic.sq', 0.801, '60 frames, 212 instances'),
            ('panoptic.rq', 0.74, '60 frames, 212 instances'),
            ('depth_aware.dpq', 0.553 / scale, '60 frames'),
            ('semantic.miou', 0.691, '60 frames, 14 classes'),
            ('depth.abs_rel', 0.0812 * scale, on_depth), ('depth.rmse_m', 2.71, on_depth),
            ('depth.delta1', 0.9412, on_depth), ('depth.missing_share', 0.0, on_depth),
            ('lidar.abs_rel', 0.1034 * scale, '60 frames, 310000 px'),
            ('distance.labels.median_rel', 0.0641 * scale, '170 instances'),
            ('distance.labels.bias_rel', -0.012, '170 instances'),
            ('distance.labels.matched_share', 0.8, '212 instances'),
            ('distance.lidar.median_rel', 0.09, '101 instances'),
            ('distance.boxes.median_rel', 0.072, '88 instances'),
            ('calibration.labels.coverage_68', 0.6645, on_depth),
            ('tracking.switches', 4, '60 frames, 17 things'),
            ('tracking.idf1', 0.776, '60 frames, 17 things')):
        metric_values |= metric_value(name, value, on)
    return {
        'format': 1, 'title': 'fast-2026.11 on three drives', 'run': run(),
        'bags': [bag('city_north', 30, every, notes={'no camera_info: assumed 70 degrees': 1}),
                 bag('city_south', 30, every, skipped={
                     'stamp is there twice': 1, 'image cannot be decoded: truncated PNG': 2}),
                 bag('rural', 30)],
        'figures': metric_values | consistency_metrics(),
        'detail': {
            'evaluation': evaluation(classes, scale),
            'lidar': {'pooled': depth_errors(1.2 * scale, 310_000), 'images': 60,
                      'by_range': depth_ranges(1.2 * scale, 310_000)},
            'distance': {'labels': distance(scale, classes),
                         'lidar': distance(1.4 * scale, {'car': 80, 'person': 21}),
                         'boxes': distance(1.2 * scale, {'car': 70, 'truck': 18})},
            'calibration': {'labels': calibration(1.1 * scale, 4_000_000),
                            'lidar': calibration(1.3 * scale, 310_000)},
            'tracking': {'things': 17, 'mota': 0.64, 'idf1': 0.776, 'switches': 4},
            'consistency': consistency(), 'agreement': {'frames': 90, 'identical_frames': 12}},
        'worst': [{'bag': 'city_south', 'name': f'{i:06d}', 'stamp_ns': FIRST_NS + i * 10 ** 8,
                   'figure': 'depth.abs_rel', 'value': 0.31 - 0.02 * i,
                   'picture': f'worst/{i + 1:02d}_city_south_{i:06d}.jpg'} for i in range(3)]}


def minimal() -> dict[str, Any]:
    """Nothing is known to be true."""
    return {'format': 1, 'title': 'Recorded results of kitti_0005', 'run': run('recorded'),
            'bags': [bag('kitti_0005_raw20', 20)], 'figures': consistency_metrics(),
            'detail': {'evaluation': None, 'lidar': None, 'distance': {}, 'calibration': {},
                       'tracking': None, 'consistency': consistency(), 'agreement': None},
            'worst': []}


def with_error() -> dict[str, Any]:
    """One recording of two could not be scored."""
    report = minimal()
    report['bags'].append(bag('broken', 0, error='broken.mcap: no readable chunk; copy it again'))
    report['figures'] |= metric_value('bags.failed', 1, '2 recordings')
    return report


def hostile() -> dict[str, Any]:
    """Names and texts that would be markup where they are not escaped."""
    report = complete()
    report['title'] = HOSTILE
    report['run'] |= {'model_id': HOSTILE, 'results': HOSTILE, HOSTILE: HOSTILE}
    report['bags'] = [bag(HOSTILE, 90, (HOSTILE,), path=HOSTILE, error=HOSTILE,
                          skipped={HOSTILE: 2}, notes={HOSTILE: 1})]
    report['figures']['panoptic.pq']['on'] = HOSTILE
    report['figures'] |= {HOSTILE: {'value': 1.0, 'unit': HOSTILE, 'better': None, 'on': HOSTILE}}
    report['detail']['distance'] = {'labels': distance(1.0, {HOSTILE: 30, 'car': 12})}
    report['detail']['evaluation'] |= evaluation({HOSTILE: 3, 'car': 2}, 1.0)
    report['detail']['evaluation']['conventions'] = [HOSTILE]
    report['worst'] = [{'bag': HOSTILE, 'name': HOSTILE, 'stamp_ns': 7, 'figure': HOSTILE,
                        'value': 0.5, 'picture': 'worst/01.jpg'},
                       {'bag': 'a', 'name': 'b', 'stamp_ns': 7, 'figure': 'labels.pq',
                        'value': 0.1, 'picture': '../secret.jpg'}]
    return report


def times(slower: float = 1.0) -> dict[str, Any]:
    curves = {step: [slower * ms * (0.9 + (q / 100) ** 6) for q in range(101)] for step, ms in (
        ('read', 4.0), ('preprocess', 3.0), ('graph', 81.0), ('distances', 6.0), ('score', 19.0),
        ('total', 113.0))}
    quantiles = {'p50': 50, 'p95': 95, 'p99': 99, 'max': 100}
    metric_values: dict[str, Any] = {}
    for name, q in quantiles.items():
        metric_values |= metric_value(f'times.total_ms.{name}', curves['total'][q], '90 frames')
    return {'machine': {'cpu': 'A processor', 'cores': '2 cores', 'system': 'Linux'},
            'wall_s': 11.7 * slower, 'frames_per_s': 7.69 / slower, 'figures': metric_values,
            'steps': {step: {name: curve[q] for name, q in quantiles.items()}
                      for step, curve in curves.items()},
            'percentiles': curves}


def frames(report: dict[str, Any], shift: float = 0.0) -> Iterator[dict[str, Any]]:
    """
    Records of all frames of a report's recordings, 0.1 s apart.

    :param shift: of PQ and of the error of depth.
    """
    for number, found in enumerate(report['bags']):
        knows = bool(found['truth'])
        for i in range(found['frames']):
            wave = math.sin(0.4 * i + number)
            yield {
                'bag': found['name'], 'name': f'{i:06d}', 'stamp_ns': FIRST_NS + i * 10 ** 8,
                'instances': 7,
                'labels': {'pq': 0.6 + 0.1 * wave - shift * i / 30} if knows else None,
                'depth': {'abs_rel': 0.08 + 0.02 * wave + shift} if knows else None,
                'lidar': None, 'distances': [], 'agreement': None,
                'consistency': {'label_stability': 0.96 + 0.02 * wave if i else None,
                                'depth_jitter': 0.02 + 0.01 * abs(wave) if i > 1 else None,
                                'ground_height_m': None if i == 5 else 1.65 + 0.05 * wave}}


def picture(seed: int) -> bytes:
    """A JPEG of 800x240."""
    y, x = np.mgrid[:240, :800]
    image = np.stack([x // 4, y, (x + y + 40 * seed) % 256], axis=2).astype(np.uint8)
    cv2.circle(image, (400, 120), 60, (255, 255, 255), -1)
    return cv2.imencode('.jpg', image)[1].tobytes()


def write(folder: Path, report: dict[str, Any], shift: float = 0.0, slower: float = 1.0,
          **options: Any) -> Written:
    """Write a report with its frames and pictures."""
    pictures = {frame['picture']: picture(i) for i, frame in enumerate(report['worst'])
                if frame['picture'].startswith('worst/')}
    return write_report(folder, copy.deepcopy(report), times(slower), frames(report, shift),
                        pictures, **options)
