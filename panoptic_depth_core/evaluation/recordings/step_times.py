# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""How long the steps of every frame took: what two runs of one recording may differ in."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..metrics.shown import Figure
from ..metrics.table import TIMES

QUANTILES = {'p50': 50, 'p95': 95, 'p99': 99, 'max': 100}
TOTAL = 'total'


class StepTimes:
    """Milliseconds by step, four bytes each; parts can be merged."""

    def __init__(self) -> None:
        self._steps: dict[str, array[float]] = {}

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
        figures = [Figure(name, steps[TOTAL][name.rpartition('.')[2]], on, kind)
                   for name, kind in TIMES.items() if TOTAL in steps]
        return {'steps': steps, 'percentiles': curves,
                'figures': {figure.name: figure.to_dict() for figure in figures}}
