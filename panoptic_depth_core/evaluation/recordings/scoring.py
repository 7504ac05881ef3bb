# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
All metrics of the results of a recording, as report.json has them, and what they cost in time.

A frame adds to those metrics whose truth it has, and whose tasks its model does.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...files import plain
from ...labels import ClassInfo
from ...structures import PanopticDepth
from ..dataset.evaluate import EvaluationResult
from ..metrics.base import Floats, MetricSums
from ..metrics.frame import JudgedFrame, RecordedFrame, Rules
from ..metrics.shown import MetricValue, Record
from ..metrics.table import TIMES, detail_path, in_place
from ..report.dataset_report import to_dict
from ..settings import RecordingSettings

QUANTILES = {'p50': 50, 'p95': 95, 'p99': 99, 'max': 100}
TOTAL = 'total'


class BagScore(MetricSums):
    """
    Takes results one by one; scores of bags can be merged, in their order.

    :param classes: the table of truth and prediction; a class id is a row of it.
    """

    def __init__(self, classes: Sequence[ClassInfo], settings: RecordingSettings) -> None:
        super().__init__(Rules(settings.evaluation, tuple(classes), True, settings), in_place())

    def add(self, item: RecordedFrame, result: PanopticDepth, sequence: str = '') -> Record:
        """
        Add the next frame of a bag.

        :param sequence: name of the bag.
        :returns: the metrics of this frame alone, as plain values; NaN where not known.
        :raises ValueError: truth or results that do not fit; nothing of the frame is counted.
        """
        frame = JudgedFrame(item.truth, result, self.rules, sequence, item)
        try:
            alone = {name: metric.alone(frame) for name, metric in self.metrics.items()
                     if metric.judges(frame)}
        except ValueError as error:
            raise ValueError(f'frame {result.name!r}: {error}') from error
        record: Record = {
            'instances': len(frame.instances) if 'instances' in result.tasks else None,
            **{metric.part: None for metric in self.metrics.values() if metric.part},
            'distances': []}
        for name, metric in alone.items():
            found = metric.record() if metric.part else None
            if isinstance(found, list):
                record[metric.part] += found
            elif found is not None:
                record[metric.part] = {**(record[metric.part] or {}), **found}
            self.metrics[name].merge(metric)
        self.frames += 1
        self.tasks |= result.tasks
        return record

    def summary(self) -> tuple[list[MetricValue], Record]:
        """Measured metrics, and ``detail`` of report.json as plain values."""
        finished = self.finished()
        of_labels = EvaluationResult.of(self, finished)
        judged = any(metric.frames for metric in of_labels.metrics.values())
        detail: Record = {'evaluation': to_dict(of_labels) if judged else None}
        for metric in finished.values():
            first, *rest = detail_path(type(metric))
            found = metric.detail() if metric.measured else None
            if rest and first != 'evaluation':
                detail.setdefault(first, {}).update({} if found is None else {rest[0]: found})
            elif not rest:
                detail[first] = found
        return [value for metric in finished.values() for value in metric.metric_values().values()
                ], plain(detail)


class StepTimes:
    """Milliseconds by step, four bytes each; parts can be merged."""

    _steps: dict[str, Floats]

    def __init__(self) -> None:
        self._steps = {}

    def add(self, steps: Mapping[str, float]) -> None:
        """
        Add one frame; its total is the sum of the steps of this program.

        :param steps: step -> milliseconds; 'recorded latency' is of another run, in no total.
        """
        here = sum(ms for step, ms in steps.items() if not step.startswith('recorded'))
        for step, ms in {**steps, TOTAL: here}.items():
            self._steps.setdefault(step, array('f')).append(ms)

    def merge(self, other: StepTimes) -> None:
        """Add the frames of another one."""
        for step, ms in other._steps.items():
            self._steps.setdefault(step, array('f')).extend(ms)

    def to_dict(self) -> dict[str, Any]:
        """Percentiles by step, for times.json."""
        curves = {step: np.percentile(np.asarray(ms), np.arange(101)).round(4).tolist()
                  for step, ms in self._steps.items()}
        steps = {step: {name: curve[q] for name, q in QUANTILES.items()}
                 for step, curve in curves.items()}
        on = f'{len(self._steps.get(TOTAL, ()))} frames'
        metric_values = [MetricValue(name, steps[TOTAL][name.rpartition('.')[2]], on, kind)
                   for name, kind in TIMES.items() if TOTAL in steps]
        return {'steps': steps, 'percentiles': curves,
                'figures': {value.name: value.to_dict() for value in metric_values}}
