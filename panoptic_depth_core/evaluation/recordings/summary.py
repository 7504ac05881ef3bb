# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The scores of recordings as report.json has them: figures by name, and all that is behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..dataset.evaluate import EvaluationResult
from ..metrics import METRICS
from ..metrics.base import Metric
from ..metrics.shown import Figure
from ..report.dataset_report import plain, to_dict
from .scoring import BagScore

Plain = dict[str, Any]


def summarise(score: BagScore) -> tuple[list[Figure], Plain]:
    """
    Figures and ``detail`` of report.json.

    :returns: the figures that something was measured for, and plain values for JSON.
    """
    finished = {name: metric.finished() for name, metric in score.metrics.items()}
    of_labels = EvaluationResult.of(finished, score.frames, score.tasks, score.rules)
    judged = any(metric.frames for metric in of_labels.metrics.values())
    detail: Plain = {'evaluation': to_dict(of_labels) if judged else None}
    for metric in finished.values():
        first, *rest = detail_path(type(metric))
        found = metric.detail() if metric.measured else None
        if rest and first != 'evaluation':
            detail.setdefault(first, {}).update({} if found is None else {rest[0]: found})
        elif not rest:
            detail[first] = found
    return [figure for metric in finished.values() for figure in metric.figures().values()
            ], plain(detail)


def detail_path(metric: type[Metric[Any]]) -> list[str]:
    """Where the detail of a metric is; what is judged by several truths is put together."""
    if metric.name in METRICS and '.' not in metric.prefix:
        return ['evaluation', metric.section]
    return metric.prefix.split('.')


def detail_of(metric: type[Metric[Any]], detail: Mapping[str, Any]) -> Plain:
    """The detail of a metric in that of a report; empty where there is none."""
    found: Any = detail
    for key in detail_path(metric):
        found = (found or {}).get(key)
    return found or {}
