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
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..io.atomic import make_folder, write_atomic
from .calibration import ONE_SIGMA, TWO_SIGMA, CalibrationResult
from .depth_aware_pq import DepthAwareQualityResult
from .depth_metrics import DepthResult
from .distance_metrics import DistanceResult
from .evaluate import EvaluationResult
from .panoptic_quality import PanopticQualityResult
from .report_tables import GROUPS, Table, tables

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
_VIDEO = ('DVPQ: over windows of k = {} consecutive frames of a sequence; mean over k. For k > 1 '
          'an instance must keep its id from frame to frame: single-image models do not track, so '
          'their figures for k > 1 say little of the segmentation.')


def conventions(result: EvaluationResult) -> list[str]:
    """What has to be known to compare the figures with those of others."""
    settings = result.settings
    tolerances = ', '.join(f'{t:g}' for t in settings.tolerances)
    return [
        f'PQ: {_ABSENT[settings.absent_classes]}; {_CROWDS[settings.crowds]}.',
        f'DPQ: frames with semantics, instances and depth; predicted pixels with '
        f'|p - g| / g > lambda are void, those without a true depth stay; mean over lambda = '
        f'{tolerances}.',
        *([_VIDEO.format(', '.join(map(str, settings.windows)))]
          if max(settings.windows) > 1 else []),
        f'mIoU: classes with at least {100 * settings.min_truth_share:g} % of the labelled '
        'pixels; a predicted void is a miss.',
        f'Depth: pixels with 0 < truth <= {settings.depth_cap_m:g} m; pixels without a predicted '
        'depth are counted as missing and are in no other figure.',
        'Uncertainty: the error of log depth is expected to have a Laplace distribution; every '
        'frame counts the same; the calibration error is the mean of |observed - expected| over '
        '5 %, 10 % .. 95 %. The range of an instance is that of its pixels around its median '
        'depth.',
        f'Distance: true instances of at least {settings.min_instance_pixels} px with a known '
        'depth, matched by a prediction of the same class with IoU > 0.5; error of the median '
        'depth (Z) relative to that of the visible surface.',
    ]


def to_markdown(result: EvaluationResult, title: str = 'Evaluation',
                plots: Sequence[str] = ()) -> str:
    """
    Make a Markdown page of the report.

    :param plots: names of pictures in its folder, which it shows.
    """
    lines = [f'# {title}', '']
    for table in tables(result):
        lines += [f'## {table.title}', '', *table_lines(table), '']
    for name in plots:
        lines += [f'![{Path(name).stem.replace("_", " ")}]({name})', '']
    return '\n'.join([*lines, '## Conventions', '',
                      *(f'- {line}' for line in conventions(result)), ''])


def table_lines(table: Table) -> list[str]:
    """Lines of a table in Markdown; its cells are written as they are."""
    rule = ('---', *('---:' for _ in table.header[1:]))
    return [f'| {" | ".join(row)} |' for row in (table.header, rule, *table.rows)]


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
    semantic, video = result.semantic, result.video
    names = [c.name for c in result.classes]

    def of_classes(values: Any) -> dict[str, Any]:
        return dict(zip(names, values.tolist(), strict=True))

    def quality(found: PanopticQualityResult) -> dict[str, Any]:
        return {**{group: asdict(getattr(found, group)) for group in GROUPS},
                'by_class': {name: of_classes(getattr(found, name)) for name in (
                    'pq', 'sq', 'rq', 'true_positives', 'false_positives', 'false_negatives',
                    'frames')}}

    def depth_aware(k: int, found: DepthAwareQualityResult) -> dict[str, Any]:
        return {'frames': k, 'windows': video.windows[k],
                **{group: getattr(found, group) for group in GROUPS},
                'by_tolerance': [{'tolerance': t, **quality(part)}
                                 for t, part in found.by_tolerance.items()]}

    report = {
        'frames': asdict(result.frames),
        'instances': result.instances,
        'panoptic_quality': quality(result.panoptic),
        'depth_aware_quality': {
            **{group: getattr(video, group) for group in GROUPS},
            'by_window': [depth_aware(k, found) for k, found in video.by_window.items()]},
        'semantic': {
            'miou': semantic.mean, 'classes_counted': int(semantic.counted.sum()),
            'pixel_accuracy': semantic.pixel_accuracy,
            'by_class': {name: of_classes(getattr(semantic, name)) for name in (
                'iou', 'truth_share', 'counted')}},
        'depth': depth_dict(result.depth, names),
        'calibration': calibration_dict(result.calibration),
        'distance': distance_dict(result.distance, names),
        'settings': result.settings.model_dump(),
        'conventions': conventions(result),
    }
    found: dict[str, Any] = plain(report)
    return found


def depth_dict(result: DepthResult, names: Sequence[str]) -> dict[str, Any]:
    """
    Errors of depth as values for ``plain``.

    :param names: of the classes, by class id.
    """
    return {'pooled': asdict(result.pooled), 'per_image': asdict(result.per_image),
            'images': result.images, 'by_range': _by_limits(result.by_range),
            'by_class': {names[i]: asdict(errors) for i, errors in result.by_class.items()}}


def distance_dict(result: DistanceResult, names: Sequence[str]) -> dict[str, Any]:
    """
    Errors of distances as values for ``plain``.

    :param names: of the classes, by class id.
    """
    return {'all': asdict(result.all), 'by_range': _by_limits(result.by_range),
            'by_class': {names[i]: asdict(errors) for i, errors in result.by_class.items()},
            'by_class_and_range': [
                {'class': names[i], 'near_m': near, 'far_m': far, **asdict(errors)}
                for (i, (near, far)), errors in result.by_class_and_range.items()]}


def calibration_dict(result: CalibrationResult) -> dict[str, Any]:
    """Coverage of the uncertainty as values for ``plain``."""
    return {**asdict(result), 'coverage_68': result.coverage[ONE_SIGMA],
            'coverage_95': result.coverage[TWO_SIGMA],
            'coverage': [{'expected': q, 'observed': share}
                         for q, share in result.coverage.items()]}


def write_report(result: EvaluationResult, folder: Path, title: str = 'Evaluation',
                 plots: Sequence[Path] = ()) -> list[Path]:
    """
    Write ``evaluation.json`` and ``evaluation.md`` into a folder, which is made.

    :param plots: pictures that were written into it before, which the page shows.
    :returns: their paths.
    :raises ConfigError: when they cannot be written.
    """
    make_folder(folder)
    texts = {'evaluation.json': json.dumps(to_dict(result), indent=2, allow_nan=False) + '\n',
             'evaluation.md': to_markdown(result, title, [path.name for path in plots])}
    for name, text in texts.items():
        write_atomic(folder / name, text.encode())
    return [folder / name for name in texts]


def _by_limits(groups: dict[tuple[float, float], Any]) -> list[dict[str, Any]]:
    return [{'near_m': near, 'far_m': far, **asdict(errors)}
            for (near, far), errors in groups.items()]


def plain(value: Any) -> Any:
    """Lists and dicts of JSON; NaN and Inf, which JSON does not know, are None."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
