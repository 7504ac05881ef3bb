# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
An evaluation as JSON, Markdown or plain text; the same result gives the same bytes.

Every figure has beside it what it was measured on, and every report ends with its conventions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..io.atomic import make_folder, write_atomic
from .depth_metrics import DepthErrors
from .distance_metrics import DistanceErrors
from .evaluate import EvaluationResult

_ABSENT = {
    'leave_out': 'classes in no truth and no prediction are left out of means',
    'zero': 'classes in no truth and no prediction count as 0 in means',
    'nan': 'a class in no truth and no prediction makes a mean NaN',
}
_CROWDS = {
    'same_class': 'a prediction mostly on void, or on a crowd of its class, is ignored',
    'any_class': 'a prediction mostly on void, or on thing pixels without a known instance, is '
                 'ignored',
    'none': 'thing pixels without an instance number are one more instance',
}


@dataclass(frozen=True)
class Table:
    """Cells of text under a header; the first column is of words, the others are of figures."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(result: EvaluationResult) -> list[Table]:
    """Summary, then figures by class and by range, for any way of showing them."""
    return [_summary(result), _by_class(result), _by_range(result)]


def conventions(result: EvaluationResult) -> list[str]:
    """What has to be known to compare the figures with those of others."""
    settings = result.settings
    return [
        f'PQ: {_ABSENT[settings.absent_classes]}; {_CROWDS[settings.crowds]}.',
        f'mIoU: classes with at least {100 * settings.min_truth_share:g} % of the labelled '
        'pixels; a predicted void is a miss.',
        f'Depth: pixels with 0 < truth <= {settings.depth_cap_m:g} m; pixels without a predicted '
        'depth are counted as missing and are in no other figure.',
        f'Distance: true instances of at least {settings.min_instance_pixels} px with a known '
        'depth, matched by a prediction of the same class with IoU > 0.5; error of the median '
        'depth (Z) relative to that of the visible surface.',
    ]


def to_markdown(result: EvaluationResult, title: str = 'Evaluation') -> str:
    """The report as a Markdown page."""
    lines = [f'# {title}', '']
    for table in tables(result):
        rule = ('---', *('---:' for _ in table.header[1:]))
        lines += [f'## {table.title}', '']
        lines += [f'| {" | ".join(row)} |' for row in (table.header, rule, *table.rows)] + ['']
    return '\n'.join([*lines, '## Conventions', '',
                      *(f'- {line}' for line in conventions(result)), ''])


def to_text(result: EvaluationResult, title: str = 'Evaluation') -> str:
    """The report as aligned plain text."""
    lines = [title]
    for table in tables(result):
        rows = (table.header, *table.rows)
        widths = [max(len(row[i]) for row in rows) for i in range(len(table.header))]
        lines += ['', table.title]
        for row in rows:
            cells = [row[0].ljust(widths[0]), *(
                cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
            lines.append(('  ' + '  '.join(cells)).rstrip())
    return '\n'.join([*lines, '', *conventions(result), ''])


def to_dict(result: EvaluationResult) -> dict[str, Any]:
    """The report as plain values for JSON; what is not known is None."""
    panoptic, semantic, depth = result.panoptic, result.semantic, result.depth
    names = [c.name for c in result.classes]

    def of_classes(values: Any) -> dict[str, Any]:
        return dict(zip(names, values.tolist(), strict=True))

    report = {
        'frames': asdict(result.frames),
        'instances': result.instances,
        'panoptic_quality': {
            **{name: asdict(getattr(panoptic, name)) for name in ('all', 'things', 'stuff')},
            'by_class': {name: of_classes(getattr(panoptic, name)) for name in (
                'pq', 'sq', 'rq', 'true_positives', 'false_positives', 'false_negatives',
                'frames')}},
        'semantic': {
            'miou': semantic.mean, 'classes_counted': int(semantic.counted.sum()),
            'pixel_accuracy': semantic.pixel_accuracy,
            'by_class': {name: of_classes(getattr(semantic, name)) for name in (
                'iou', 'truth_share', 'counted')}},
        'depth': {
            'pooled': asdict(depth.pooled), 'per_image': asdict(depth.per_image),
            'images': depth.images,
            'by_range': _by_limits(depth.by_range),
            'by_class': {names[i]: asdict(errors) for i, errors in depth.by_class.items()}},
        'distance': {
            'all': asdict(result.distance.all),
            'by_range': _by_limits(result.distance.by_range),
            'by_class': {names[i]: asdict(errors)
                         for i, errors in result.distance.by_class.items()}},
        'settings': result.settings.model_dump(),
        'conventions': conventions(result),
    }
    plain: dict[str, Any] = _plain(report)
    return plain


def write_report(result: EvaluationResult, folder: Path, title: str = 'Evaluation') -> list[Path]:
    """
    Write ``evaluation.json`` and ``evaluation.md`` into a folder, which is made.

    :returns: their paths.
    :raises ConfigError: when they cannot be written.
    """
    make_folder(folder)
    texts = {'evaluation.json': json.dumps(to_dict(result), indent=2, allow_nan=False) + '\n',
             'evaluation.md': to_markdown(result, title)}
    for name, text in texts.items():
        write_atomic(folder / name, text.encode())
    return [folder / name for name in texts]


def _summary(result: EvaluationResult) -> Table:
    frames, panoptic, distance = result.frames, result.panoptic, result.distance.all
    semantic, depth = result.semantic, result.depth
    on_instances = f'{frames.instances} frames, {result.instances} instances'
    rows: list[tuple[str, str, str]] = []
    for group in ('all', 'things', 'stuff'):
        quality = getattr(panoptic, group)
        rows.append((
            f'PQ / SQ / RQ {group}',
            ' / '.join(_percent(v) for v in (quality.pq, quality.sq, quality.rq)),
            f'{on_instances}, {quality.class_count} classes'))
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
        ('distance error, median', _percent(distance.median_rel),
         f'{distance.measured} instances in {frames.distance} frames'),
        ('instances matched', _percent(distance.matched_share),
         f'{distance.instances} instances in {frames.distance} frames'),
    ]
    return Table(f'Summary of {frames.all} frames', ('figure', 'value', 'measured on'),
                 tuple(rows))


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


def _by_limits(groups: dict[tuple[float, float], Any]) -> list[dict[str, Any]]:
    return [{'near_m': near, 'far_m': far, **asdict(errors)}
            for (near, far), errors in groups.items()]


def _plain(value: Any) -> Any:
    """Lists and dicts of JSON; NaN and Inf, which JSON does not know, are None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
