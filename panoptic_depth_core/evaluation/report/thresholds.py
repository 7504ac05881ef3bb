# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Limits on figures, for a fleet to gate on; config/replay/thresholds.yaml is an example."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, model_validator

from ...config import Settings, parse_settings
from ...errors import ConfigError
from ..metrics.table import TIMES, known_kinds
from .baseline import ComparedFigure, Comparison
from .files import Record
from .format import difference_text, figure_text


class Limit(Settings):
    """Limits of one figure, in its unit; a share is 0..1."""

    min: float | None = Field(None, strict=True, allow_inf_nan=False, description='least value')
    max: float | None = Field(None, strict=True, allow_inf_nan=False, description='greatest '
                              'value')
    max_loss: float | None = Field(None, strict=True, ge=0, allow_inf_nan=False, description='how '
                                   'much worse than the baseline it may be')

    @model_validator(mode='after')
    def _is_a_limit(self) -> Limit:
        if self.min is None and self.max is None and self.max_loss is None:
            raise ValueError('sets no limit; give min, max or max_loss')
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f'min {self.min:g} is above max {self.max:g}; nothing can be both')
        return self


@dataclass(frozen=True)
class Thresholds:
    """
    Limits by figure.

    :param source: the file, for messages and the report.
    """

    source: str
    limits: dict[str, Limit]

    @property
    def needs_baseline(self) -> bool:
        """Whether there is a limit on the loss against a baseline."""
        return any(limit.max_loss is not None for limit in self.limits.values())

    def to_dict(self) -> Record:
        """Plain values, for ``thresholds.json``."""
        return {'source': self.source, 'limits': {
            name: limit.model_dump(exclude_none=True) for name, limit in self.limits.items()}}

    @classmethod
    def from_dict(cls, values: Record) -> Thresholds:
        """Read what to_dict gave."""
        return _parse(values['limits'], values['source'])


@dataclass(frozen=True)
class Gate:
    """
    One limit and whether it is met.

    :param limit: 'min', 'max' or 'max_loss'; bound: its value, in the unit of the figure.
    :param value: of the figure, or its loss; None where it is not known, which misses the limit.
    :param text: all of it in one line.
    """

    figure: str
    limit: str
    bound: float
    value: float | None
    passed: bool
    text: str

    @property
    def is_of_time(self) -> bool:
        """Whether two runs of the same recordings may differ in it."""
        return self.figure in TIMES


def load_thresholds(path: Path) -> Thresholds:
    """
    Read a YAML file of limits: figure -> {min, max, max_loss}.

    :raises ConfigError: when it cannot be read, or a figure or a limit in it is wrong.
    """
    try:
        values = yaml.load(path.read_text(encoding='utf-8'), _UniqueKeys)
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}; check the path') from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = str(error).replace('\n', ' ')
        raise ConfigError(f'{path}: not valid YAML: {text}') from None
    if not isinstance(values, dict) or not values:
        raise ConfigError(f'{path}: holds no limits; give figures with limits, as in '
                          "'panoptic.pq: {min: 0.5}'")
    return _parse(values, str(path))


def check(thresholds: Thresholds, report: Record, times: Record | None,
          comparison: Comparison | None) -> list[Gate]:
    """
    Hold a report against limits.

    :param report, times: what is in ``report.json`` and ``times.json``.
    :param comparison: with the baseline, for limits on a loss.
    :returns: every limit, in the order of the file; a figure that is not known misses its limits.
    """
    figures = {**report['figures'], **(times or {}).get('figures', {})}
    compared = {} if comparison is None else {
        figure.name: figure for figure in (*comparison.figures, *comparison.times)}
    gates = []
    for name, limit in thresholds.limits.items():
        value = figures.get(name, {}).get('value')
        if limit.min is not None:
            gates.append(_gate(name, 'min', limit.min, value,
                               value is not None and value >= limit.min))
        if limit.max is not None:
            gates.append(_gate(name, 'max', limit.max, value,
                               value is not None and value <= limit.max))
        if limit.max_loss is not None:
            gates.append(_loss_gate(name, limit.max_loss, compared.get(name), comparison))
    return gates


_WANTED = {'min': 'at least {} is wanted', 'max': 'at most {} is wanted',
           'max_loss': 'at most {} worse is allowed'}


def _gate(name: str, limit: str, bound: float, value: float | None, passed: bool) -> Gate:
    wanted, found = _apart(figure_text, bound, value, known_kinds()[name].unit)
    wanted = _WANTED[limit].format(wanted)
    told = (f'{name} is not known in this report; {wanted}' if value is None else
            f'{name} is {found}, {wanted}')
    return Gate(name, limit, bound, value, passed, told)


def _loss_gate(name: str, bound: float, figure: ComparedFigure | None,
               comparison: Comparison | None) -> Gate:
    gain = None if figure is None else figure.gain
    # -0.0 would be shown as a loss.
    loss = None if gain is None else 0.0 - gain
    unit = known_kinds()[name].unit
    wanted, lost = _apart(difference_text, bound, loss, unit)
    wanted = _WANTED['max_loss'].format(wanted)
    if loss is None or figure is None:
        where = ('there is no baseline' if comparison is None else
                 'this report does not know it' if figure is None or figure.here is None else
                 'the baseline does not know it')
        text = f'{name}: {where}; {wanted}'
    else:
        change = (f'worse by {lost}' if loss > 0 else f'better by {lost}' if loss < 0 else
                  'the same')
        text = (f'{name} is {change} ({figure_text(figure.there, unit)} to '
                f'{figure_text(figure.here, unit)}), {wanted}')
    return Gate(name, 'max_loss', bound, loss, loss is not None and loss <= bound, text)


def _apart(write: Callable[[float | None, str, int], str], bound: float, value: float | None,
           unit: str) -> tuple[str, str]:
    """Write both with so many digits that they look different if they are."""
    texts = ('', '')
    for digits in (3, 5, 8, 17):
        texts = write(bound, unit, digits), write(value, unit, digits)
        if value is None or bound == value or texts[0] != texts[1]:
            break
    return texts


def _parse(values: Mapping[Any, Any], source: str) -> Thresholds:
    limits, known = {}, known_kinds()
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f'{source}: unknown figure {name!r}; {_nearest(str(name))}')
        if not isinstance(value, dict):
            raise ConfigError(f'{source}: {name} is {value!r}; give limits, as in '
                              f"'{name}: {{min: 0.5}}'")
        limit = parse_settings(Limit, value, f'{source}: {name}')
        if limit.max_loss is not None and known[name].better is None:
            raise ConfigError(f'{source}: {name}: max_loss is {limit.max_loss:g}, but neither '
                              'more nor less of it is better; give min and max')
        limits[name] = limit
    return Thresholds(source, limits)


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, known_kinds(), n=3)
    groups = ', '.join(sorted({f'{known.partition(".")[0]}.*' for known in known_kinds()}))
    return f'did you mean {" or ".join(near)}?' if near else f'known: {groups}'


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that is there twice is an error: one of two limits would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Read one mapping."""
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f'key {key.value!r} is there twice; remove one', key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
