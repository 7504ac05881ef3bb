# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Metrics with 95 % intervals, by resampling frames.

Every frame is counted by itself, once. A draw takes as many frames as there are, with replacement,
adds up their counts and computes the metric of them, as of any data set; the interval is from the
2.5th to the 97.5th percentile of the draws (Efron, The Jackknife, the Bootstrap and Other
Resampling Plans, 1982). It says how much other frames of the same kind would change the metric,
not how another place or camera would; frames of one drive are alike, which makes it too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from ...files import plain
from ...labels import CITYSCAPES, ClassInfo
from ...structures import Frame, PanopticDepth, Sample
from ..metrics.base import Metric
from ..metrics.shown import Record
from .evaluate import Evaluator

DRAWS = 1000
LEAST_FRAMES = 5
"""With fewer frames of a metric there are no intervals: they would be far too narrow."""

_LEAST_KNOWN = 0.95
_PERCENTILES = 2.5, 97.5
_GROUPS = 'by_class', 'by_range'

Interval = tuple[float, float]
AnyMetric = TypeVar('AnyMetric', bound=Metric[Any])


def evaluate_frame(pipeline: Callable[[Frame], PanopticDepth], sample: Sample,
                   classes: Sequence[ClassInfo] = CITYSCAPES,
                   more: Iterable[type[Metric[Any]]] = ()) -> Evaluator:
    """Measure a sample by itself; see evaluate and Evaluator."""
    one = Evaluator(None, classes, more)
    one.add(sample.truth, pipeline(sample.frame), sample.sequence)
    return one


def merged(parts: Sequence[AnyMetric]) -> AnyMetric:
    """Metric of all parts; finished, so that it can be read."""
    total = type(parts[0])(parts[0].rules)
    for part in parts:
        total.merge(part)
    return total.finished()


def values_of(metric: Metric[Any]) -> dict[str, float]:
    """Values of a finished metric by their names."""
    return {found.name: float(found.value) for found in metric.metric_values().values()}


def values_and_groups_of(metric: Metric[Any]) -> dict[str, float]:
    """Also those by class and by range, as in 'depth/by_range.0.abs_rel'."""
    groups = {key: value for key, value in metric.detail().items() if key in _GROUPS}
    return {**values_of(metric), **{
        f'{metric.name}/{path}': value for path, value in _numbers(groups, '')}}


def _numbers(values: Any, path: str) -> Iterator[tuple[str, float]]:
    """Every float in nested mappings and lists, by its dotted path."""
    if isinstance(values, (Mapping, list)):
        items = values.items() if isinstance(values, Mapping) else enumerate(values)
        for key, value in items:
            yield from _numbers(value, f'{path}.{key}' if path else str(key))
    elif isinstance(values, float) and not path.endswith(('near_m', 'far_m')):
        yield path, values


def intervals(frames: Sequence[Metric[Any]],
              read: Callable[[Metric[Any]], Mapping[str, float]] = values_of,
              draws: int = DRAWS, seed: int = 0) -> dict[str, Interval]:
    """
    Give 95 % intervals of what is read of a metric.

    :param frames: each counted one frame; those that could not judge it are left out.
    :param read: numbers of a finished metric by name.
    :returns: by name; not of numbers that less than 95 % of the draws know, such as those of a
        class in one or two frames, and none at all of fewer than LEAST_FRAMES frames.
    """
    parts = [part for part in frames if part.frames]
    if len(parts) < LEAST_FRAMES:
        return {}
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {}
    for _ in range(draws):
        chosen = np.sort(rng.integers(len(parts), size=len(parts))).tolist()
        for name, value in read(merged([parts[i] for i in chosen])).items():
            if np.isfinite(value):
                found.setdefault(name, []).append(value)
    names = [name for name, values in found.items() if len(values) >= _LEAST_KNOWN * draws]
    ends = {name: np.percentile(found[name], _PERCENTILES).tolist() for name in names}
    return {name: (low, high) for name, (low, high) in ends.items()}


def summary(frames: Sequence[Evaluator], draws: int = DRAWS, seed: int = 0, *,
            groups: bool = False,
            progress: Callable[[], None] = lambda: None) -> Record:
    """
    Metrics of frames, with intervals, as plain values for JSON.

    :param frames: one each, see evaluate_frame.
    :param draws: 0: without intervals.
    :param groups: also details, and intervals by class and by range.
    :param progress: called after each metric.
    :returns: ``values``: name -> value, low, high, frames, unit, better, on; and with groups
        ``detail``: metric -> Metric.detail, and ``intervals``: name as in values_and_groups_of ->
        low, high.
    """
    values: Record = {}
    detail: Record = {}
    limits: dict[str, Interval] = {}
    for name in frames[0].metrics:
        parts = [frame.metrics[name] for frame in frames]
        metric = merged(parts)
        known = metric.metric_values().values()
        if known:
            found = intervals(parts, values_and_groups_of if groups else values_of, draws, seed)
            for one in known:
                low, high = found.pop(one.name, (None, None))
                values[one.name] = {**one.to_dict(), 'low': low, 'high': high,
                                    'frames': metric.frames}
            detail[name] = metric.detail()
            limits |= found
        progress()
    kept: Record = plain({'frames': len(frames), 'values': values,
                          **({'detail': detail, 'intervals': limits} if groups else {})})
    return kept
