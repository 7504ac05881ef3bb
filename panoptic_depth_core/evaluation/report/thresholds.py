# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Limits on metrics that a report has to meet; config/replay/thresholds.yaml is an example."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, model_validator

from ...config import Settings, parse_settings, read_yaml
from ...errors import ConfigError
from ...untrusted import reading
from ..metrics.shown import Record
from ..metrics.table import TIMES, known_kinds
from .baseline import ComparedMetric, Comparison, compare_metrics
from .format import difference_text, metric_text

_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Limit(Settings):
    """Limits of one metric, in its unit; ``max_loss``: against a baseline. A share is 0..1."""

    min: _Number | None = None
    max: _Number | None = None
    max_loss: Annotated[_Number, Field(ge=0)] | None = None

    @model_validator(mode='after')
    def _is_a_limit(self) -> Limit:
        if not self.model_dump(exclude_none=True):
            raise ValueError('sets no limit; give min, max or max_loss')
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f'min {self.min:g} is above max {self.max:g}; nothing can be both')
        return self


class Thresholds(Settings):
    """Limits by metric, and the file that they are from."""

    source: str
    limits: dict[str, Limit]

    @property
    def needs_baseline(self) -> bool:
        """Whether there is a limit on the loss against a baseline."""
        return any(limit.max_loss is not None for limit in self.limits.values())


@dataclass(frozen=True)
class Gate:
    """One limit and whether it is met, also in words; an unknown value misses it."""

    figure: str  # A key of thresholds.json, as in report.json.
    limit: str
    value: float | None
    passed: bool
    text: str

    @property
    def is_of_time(self) -> bool:
        """Whether two runs of the same recordings may differ in it."""
        return self.figure in TIMES


def load_thresholds(path: Path) -> Thresholds:
    """
    Read a YAML file of limits: metric -> {min, max, max_loss}.

    :raises ConfigError: it cannot be read, or a metric or a limit in it is wrong.
    """
    values = read_yaml(path)
    if not isinstance(values, dict) or not values:
        raise ConfigError(f'{path}: holds no limits; give metrics with limits, as in '
                          "'panoptic.pq: {min: 0.5}'")
    # YAML takes the last of two equal keys: the other limit would be lost.
    with reading(path, 'valid YAML', 'mend the file'):
        root = yaml.compose(path.read_text(encoding='utf-8'), yaml.SafeLoader)
    assert root is not None
    for node in (root, *(value for _, value in root.value)):
        keys = [key.value for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
        for key in keys:
            if keys.count(key) > 1:
                raise ConfigError(f'{path}: line {node.start_mark.line + 1}: key {key!r} is there '
                                  'twice; remove one')
    limits, known = {}, known_kinds()
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=3)
            groups = ', '.join(sorted({f'{other.partition(".")[0]}.*' for other in known}))
            raise ConfigError(f'{path}: unknown metric {name!r}; ' + (
                f'did you mean {" or ".join(near)}?' if near else f'known: {groups}'))
        if not isinstance(value, dict):
            raise ConfigError(f'{path}: {name} is {value!r}; give limits, as in '
                              f"'{name}: {{min: 0.5}}'")
        limits[name] = limit = parse_settings(Limit, value, f'{path}: {name}')
        if limit.max_loss is not None and known[name].better is None:
            raise ConfigError(f'{path}: {name}: max_loss is {limit.max_loss:g}, but neither more '
                              'nor less of it is better; give min and max')
    return Thresholds(source=str(path), limits=limits)


def check(thresholds: Thresholds, report: Record, times: Record,
          comparison: Comparison | None) -> list[Gate]:
    """
    Hold a report against limits.

    :param report, times: content of ``report.json`` and ``times.json``, the latter with that of
        the baseline.
    :param comparison: with the baseline, for limits on a loss.
    :returns: every limit, in the order of the file; a metric that is not known misses its limits.
    """
    metric_values = {**report['figures'], **times.get('figures', {})}
    compared = {} if comparison is None else {metric_value.name: metric_value for metric_value in (
        *comparison.figures, *compare_metrics(times, times.get('baseline') or {}))}
    gates = []
    for name, limits in thresholds.limits.items():
        for limit, bound in limits.model_dump(exclude_none=True).items():
            if limit == 'max_loss':
                value, text = _loss(name, bound, compared.get(name), comparison)
            else:
                value = metric_values.get(name, {}).get('value')
                found, wanted = _apart(metric_text, value, bound, known_kinds()[name].unit)
                text = (f'{name} is not known in this report; ' if value is None else
                        f'{name} is {found}, ')
                text += f'at {"least" if limit == "min" else "most"} {wanted} is wanted'
            passed = value is not None and (value >= bound if limit == 'min' else value <= bound)
            gates.append(Gate(name, limit, value, passed, text))
    return gates


def _loss(name: str, bound: float, metric_value: ComparedMetric | None,
          comparison: Comparison | None) -> tuple[float | None, str]:
    """How much worse a metric is than the baseline, as a number and in words."""
    unit = known_kinds()[name].unit
    # -0.0 would be shown as a loss.
    loss = None if metric_value is None or metric_value.gain is None else 0.0 - metric_value.gain
    size, allowed = _apart(difference_text, loss, bound, unit)
    if loss is None or metric_value is None:
        text = ('there is no baseline' if comparison is None else
                'this report does not know it'
                if metric_value is None or metric_value.here is None else
                'the baseline does not know it')
        return loss, f'{name}: {text}; at most {allowed} worse is allowed'
    text = f'worse by {size}' if loss > 0 else f'better by {size}' if loss < 0 else 'the same'
    return loss, (f'{name} is {text} ({metric_text(metric_value.there, unit)} to '
                  f'{metric_text(metric_value.here, unit)}), at most {allowed} worse is allowed')


def _apart(write: Callable[[float | None, str, int], str], value: float | None, bound: float,
           unit: str) -> tuple[str, str]:
    """Write both with so many digits that they look different if they are."""
    texts = ('', '')
    for digits in (3, 5, 8, 17):
        texts = write(value, unit, digits), write(bound, unit, digits)
        if value is None or bound == value or texts[0] != texts[1]:
            break
    return texts
