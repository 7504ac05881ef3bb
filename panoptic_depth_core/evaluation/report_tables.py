# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables of a report; every figure has beside it what it was measured on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .calibration import ONE_SIGMA, TWO_SIGMA, CalibrationResult
from .depth_metrics import DepthErrors
from .distance_metrics import DistanceErrors
from .evaluate import EvaluationResult
from .video_quality import VideoQualityResult

GROUPS = ('all', 'things', 'stuff')


@dataclass(frozen=True)
class Table:
    """Cells of text under a header; the first column is of words, the others are of figures."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(result: EvaluationResult) -> list[Table]:
    """Summary, then figures in detail where there are any, for any way of showing them."""
    return [
        _summary(result),
        *([_by_window(result.video)] if result.frames.depth_aware else []),
        _by_class(result), _by_range(result),
        *([_by_coverage(result.calibration)] if result.calibration.pixels else [])]


def _summary(result: EvaluationResult) -> Table:
    frames, panoptic, distance = result.frames, result.panoptic, result.distance.all
    semantic, depth = result.semantic, result.depth
    on_instances = f'{frames.instances} frames, {result.instances} instances'
    rows: list[tuple[str, str, str]] = []
    for group in GROUPS:
        quality = getattr(panoptic, group)
        rows.append((
            f'PQ / SQ / RQ {group}',
            ' / '.join(_percent(v) for v in (quality.pq, quality.sq, quality.rq)),
            f'{on_instances}, {quality.class_count} classes'))
    rows += _video_rows(result)
    rows.append(('mIoU', _percent(semantic.mean),
                 f'{frames.semantics} frames, {int(semantic.counted.sum())} classes'))
    for name, errors in (('over pixels', depth.pooled), ('mean of images', depth.per_image)):
        on_depth = f'{depth.images} frames, {errors.pixels} px'
        rows += [
            (f'absRel, {name}', _figure(errors.abs_rel), on_depth),
            (f'sqRel, {name}', _figure(errors.sq_rel_m, ' m'), on_depth),
            (f'RMSE, {name}', _figure(errors.rmse_m, ' m'), on_depth),
            (f'RMSElog, {name}', _figure(errors.rmse_log), on_depth),
            (f'delta1 / 2 / 3, {name}', ' / '.join(
                _percent(v) for v in (errors.delta1, errors.delta2, errors.delta3)), on_depth),
            (f'SILog, {name}', _figure(errors.si_log), on_depth),
        ]
    rows += [
        ('pixels without a depth', _percent(depth.pooled.missing_share),
         f'{depth.images} frames, {depth.pooled.pixels} px'),
        *_calibration_rows(result.calibration),
        ('distance error, median', _percent(distance.median_rel),
         f'{distance.measured} instances in {frames.distance} frames'),
        *((f'instances within the expected {_percent(q, 0)} range', _percent(covered),
           f'{distance.stated} instances in {frames.distance} frames')
          for q, covered in ((ONE_SIGMA, distance.coverage_68), (TWO_SIGMA, distance.coverage_95))
          if distance.stated),
        ('instances matched', _percent(distance.matched_share),
         f'{distance.instances} instances in {frames.distance} frames'),
    ]
    return Table(f'Summary of {frames.all} frames', ('figure', 'value', 'measured on'),
                 tuple(rows))


def _video_rows(result: EvaluationResult) -> list[tuple[str, str, str]]:
    """DPQ, and the mean over windows where there are several."""
    if not result.frames.depth_aware:
        return []
    video = result.video
    found = {f'DVPQ, k = {k}' if k > 1 else 'DPQ': (quality, video.windows[k])
             for k, quality in video.by_window.items()}
    rows = [(f'{name} all / things / stuff',
             ' / '.join(_percent(getattr(quality, group)) for group in GROUPS),
             f'{count} windows in {result.frames.depth_aware} frames')
            for name, (quality, count) in found.items()]
    if len(rows) > 1:
        rows.append(('DVPQ, mean over k, all / things / stuff',
                     ' / '.join(_percent(getattr(video, group)) for group in GROUPS),
                     f'{sum(video.windows.values())} windows'))
    return rows


def _calibration_rows(calibration: CalibrationResult) -> list[tuple[str, str, str]]:
    if not calibration.pixels:
        return [('uncertainty of depth', 'not predicted', '-')]
    on = (f'{calibration.frames} frames, {calibration.pixels} px, '
          f'{_percent(calibration.stated_share)} of those with depth')
    return [
        *((f'pixels within the expected {_percent(q, 0)} range', _percent(calibration.coverage[q]),
           on) for q in (ONE_SIGMA, TWO_SIGMA)),
        ('expected calibration error', _percent(calibration.expected_error), on),
        ('factor on the uncertainty for 68 %', _figure(calibration.temperature), on)]


def _by_window(video: VideoQualityResult) -> Table:
    tolerances = tuple(next(iter(video.by_window.values())).by_tolerance)
    rows = []
    for group in GROUPS:
        found = [(f'k = {k}, {group}', str(video.windows[k]), np.array([
            *(getattr(quality.by_tolerance[t], group).pq for t in tolerances),
            getattr(quality, group)])) for k, quality in video.by_window.items()]
        if len(found) > 1:
            found.append((f'mean over k, {group}', str(sum(video.windows.values())),
                          np.mean([values for _, _, values in found], axis=0)))
        rows += [(name, *map(_percent, values.tolist()), windows)
                 for name, windows, values in found]
    return Table('DPQ and DVPQ by window and tolerance',
                 ('frames, classes', *(f'lambda {t:g}' for t in tolerances), 'mean', 'windows'),
                 tuple(rows))


def _by_coverage(calibration: CalibrationResult) -> Table:
    rows = [(_percent(q, 0), _percent(observed)) for q, observed in calibration.coverage.items()]
    return Table('Calibration of the uncertainty of depth',
                 ('pixels expected within', 'pixels within'), tuple(rows))


def _by_class(result: EvaluationResult) -> Table:
    panoptic, semantic = result.panoptic, result.semantic
    header = ('class', 'PQ', 'SQ', 'RQ', 'TP', 'FP', 'FN', 'IoU', 'share of pixels',
              *_ERROR_HEADER)
    rows = []
    for info in result.classes:
        i = info.class_id
        depth = result.depth.by_class.get(i)
        distance = result.distance.by_class.get(i)
        quality = [panoptic.pq[i], panoptic.sq[i], panoptic.rq[i]]
        if np.isnan([*quality, semantic.iou[i]]).all() and not (depth or distance):
            continue
        counts = (panoptic.true_positives, panoptic.false_positives, panoptic.false_negatives)
        rows.append((
            info.name, *(_percent(v) for v in quality),
            *(str(c[i]) if panoptic.frames[i] else '-' for c in counts),
            _percent(semantic.iou[i]), _percent(semantic.truth_share[i], 2),
            *_errors(depth, distance)))
    return Table('By class', header, tuple(rows))


def _by_range(result: EvaluationResult) -> Table:
    depth, distance = result.depth.by_range, result.distance.by_range
    near = sorted({limits[0] for limits in (*depth, *distance)})
    # The last group ends at the cap for depth, and nowhere for instances.
    rows = [(_limits(start, end), *_errors(
        next((v for k, v in depth.items() if k[0] == start), None),
        next((v for k, v in distance.items() if k[0] == start), None)))
        for start, end in zip(near, [*near[1:], math.inf], strict=True)]
    return Table('By true depth', ('metres', *_ERROR_HEADER), tuple(rows))


_ERROR_HEADER = ('depth px', 'absRel', 'RMSE m', 'delta1', 'instances', 'matched', 'distance '
                 'error, median', 'distance bias')


def _errors(depth: DepthErrors | None, distance: DistanceErrors | None) -> tuple[str, ...]:
    """Cells under _ERROR_HEADER."""
    dense = ('-',) * 4 if depth is None else (
        str(depth.pixels), _figure(depth.abs_rel), _figure(depth.rmse_m), _percent(depth.delta1))
    sparse = ('-',) * 4 if distance is None else (
        str(distance.instances), str(distance.matched), _percent(distance.median_rel),
        _percent(distance.bias_rel))
    return (*dense, *sparse)


def _percent(value: float, digits: int = 1) -> str:
    return '-' if math.isnan(value) else f'{100 * value:.{digits}f} %'


def _figure(value: float, unit: str = '') -> str:
    return '-' if math.isnan(value) else f'{value:.4f}{unit}'


def _limits(near: float, far: float) -> str:
    return f'> {near:g}' if math.isinf(far) else f'{near:g} to {far:g}'
