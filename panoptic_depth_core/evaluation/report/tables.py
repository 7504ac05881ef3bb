# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables of a report from its JSON; each of them is empty where nothing is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..metrics.base import Metric
from ..metrics.shown import Breakdown, Table
from ..metrics.table import detail_of, in_place, known_kinds, ranking_kinds
from .baseline import ComparedFigure, Comparison
from .files import Record
from .format import (
    UNKNOWN,
    change_text,
    figure_text,
    flat,
    range_text,
    significant,
    stamp_text,
    value_text,
)
from .thresholds import Gate


def title_of(name: str) -> str:
    """Name of a figure, also of a single frame, in words."""
    kind = known_kinds().get(name) or ranking_kinds().get(name)
    return name if kind is None else kind.title


def figures_table(figures: Record, title: str = 'All figures') -> Table:
    """Every figure that is known, with its name for thresholds."""
    return Table(title, ('figure', 'value', 'measured on', 'name'), tuple(
        (title_of(name), figure_text(f.get('value'), f.get('unit', '')), f.get('on', ''), name)
        for name, f in figures.items() if f.get('value') is not None))


def bags_table(bags: Sequence[Record]) -> Table:
    """One line per recording."""
    return Table('', ('recording', 'frames', 'duration', 'skipped', 'truth', 'state'), tuple(
        (str(bag.get('name')), str(bag.get('frames', 0)),
         figure_text(bag.get('duration_s'), 's'), str(sum((bag.get('skipped') or {}).values())),
         ', '.join(bag.get('truth') or ()) or 'none', 'failed' if bag.get('error') else 'scored')
        for bag in bags))


def gates_table(gates: Sequence[Gate]) -> Table:
    """Every limit, those that are missed first."""
    return Table('', ('threshold', 'result', 'figure'), tuple(
        (gate.text, 'met' if gate.passed else 'missed', title_of(gate.figure))
        for gate in sorted(gates, key=lambda gate: gate.passed)))


def comparison_table(figures: Sequence[ComparedFigure], title: str = 'Figures') -> Table:
    """Figures side by side; those that neither knows are left out."""
    return Table(title, ('figure', 'this', 'baseline', 'change', 'verdict', 'measured on'), tuple(
        (title_of(f.name), figure_text(f.here, f.unit), figure_text(f.there, f.unit),
         change_text(f.change, f.unit), f.verdict, f.here_on if f.here_on == f.there_on else
         f'{f.here_on or UNKNOWN}; baseline: {f.there_on or UNKNOWN}')
        for f in figures if f.here is not None or f.there is not None))


def comparison_details(comparison: Comparison) -> list[Table]:
    """What differs in the settings, and the frames that changed most."""
    found = [Table('Settings that differ', ('setting', 'this', 'baseline'), tuple(
        (key, value_text(here), value_text(there))
        for key, (here, there) in comparison.settings.items()))]
    for name, kind in ranking_kinds().items():
        for word, changed in (('worse', comparison.worse), ('better', comparison.better)):
            found.append(Table(
                f'Frames that became {word}: {kind.title}',
                ('recording', 'frame', 'this', 'baseline', 'change', 'stamp'), tuple(
                    (f.bag, f.name, figure_text(f.here, kind.unit),
                     figure_text(f.there, kind.unit), change_text(f.here - f.there, kind.unit),
                     stamp_text(f.stamp_ns))
                    for f in changed.get(name, ()))))
    return [table for table in found if table.rows]


def detail_tables(detail: Record) -> list[Table]:
    """All details that are known."""
    metrics = in_place()
    found = [_by_class(metrics, detail)]
    for metric in metrics:
        part = detail_of(metric, detail)
        found += _others(metric, part) if metric.breakdowns is None else ()
        for table in metric.breakdowns or ():
            sources = [other for other in metrics if table in (other.breakdowns or ())]
            if table.field != 'coverage':
                found.append(_breakdown(table, metric, part))
            elif metric is sources[0]:
                found.append(_coverage(table, {
                    other.source_words: detail_of(other, detail) for other in sources}))
    return [table for table in found if table.rows]


def _by_class(metrics: Sequence[type[Metric[Any]]], detail: Record) -> Table:
    """Of the classes of which a column with a unit is known."""
    parts = [(place, column, detail_of(metric, detail)) for metric in metrics
             for place, column in metric.class_columns.items()]
    columns = [(column, _of_classes(part, column.key)) for _, column, part in sorted(
        parts, key=lambda entry: entry[0])]
    names = dict.fromkeys(name for _, values in columns for name in values)
    return Table('Quality by class', ('class', *(column.title for column, _ in columns)), tuple(
        (name, *(figure_text(values.get(name), column.unit) for column, values in columns))
        for name in names if any(values.get(name) is not None for column, values in columns
                                 if column.unit)))


def _of_classes(found: Any, path: str) -> Record:
    """Values by class; '*' in the path stands for the class."""
    before, _, after = path.partition('.*')
    for key in before.split('.'):
        found = (found or {}).get(key)
    return {name: value.get(after[1:]) if after else value
            for name, value in (found or {}).items()}


def _breakdown(table: Breakdown, metric: type[Metric[Any]], part: Record) -> Table:
    """Groups of a metric's detail."""
    title = ', '.join(filter(None, (table.title, metric.source_words)))
    groups, (count, *_) = part.get(table.field) or [], table.columns

    def cells(group: Record) -> tuple[str, ...]:
        return tuple(figure_text(group.get(c.key), c.unit) for c in table.columns)

    header = (table.header, *(column.title for column in table.columns))
    if isinstance(groups, dict):
        return Table(title, header, tuple((name, *cells(g)) for name, g in groups.items()))
    if table.field == 'by_range':
        return Table(title, header, tuple(
            (range_text(g['near_m'], g.get('far_m'), ' m'), *cells(g))
            for g in groups if g.get(count.key)))
    limits = sorted({g['near_m']: g.get('far_m') for g in groups}.items())
    found = {(g['class'], g['near_m']): '{1} ({0})'.format(*cells(g)) for g in groups}
    return Table(f'{title}: {header[2]} ({header[1]})', (
        table.header, *(range_text(near, far, ' m') for near, far in limits)), tuple(
        (name, *(found.get((name, near), UNKNOWN) for near, _ in limits))
        for name in dict.fromkeys(g['class'] for g in groups)))


def _coverage(table: Breakdown, parts: dict[str, Record]) -> Table:
    """Nominal over observed, all sources beside each other."""
    shares = {words: {c['expected']: c[table.columns[0].key] for c in part['coverage']}
              for words, part in parts.items() if part.get('coverage')}
    nominal = sorted({q for column in shares.values() for q in column})
    return Table(table.title, (table.header, *shares), tuple(
        (f'{100 * q:.0f} %', *(figure_text(column.get(q), 'share') for column in shares.values()))
        for q in nominal))


def _others(metric: type[Metric[Any]], values: Record) -> list[Table]:
    """What is not among the figures; groups of values have a table each."""
    groups = {key: value for key, value in values.items() if isinstance(value, dict)}
    return [
        Table(f'{metric.title}: beside the figures', ('', 'value'), tuple(
            (key.replace('_', ' '), _measured(key, value)) for key, value in values.items()
            if value is not None and key not in groups and key not in metric.kinds)),
        *(Table(f'{metric.title}: {key.replace("_", " ")}', ('', 'value'), tuple(
            (name, _measured('share', value)) for name, value in flat(group).items()
            if value is not None)) for key, group in groups.items())]


def _measured(key: str, value: Any) -> str:
    """Write a value whose unit is the end of its name."""
    unit = {'share': 'share', 'm': 'm'}.get(key.rpartition('_')[2], '')
    return figure_text(value, unit) if unit and isinstance(value, float) else value_text(value)


def steps_table(steps: dict[str, Any]) -> Table:
    """Milliseconds by step."""
    columns = list(dict.fromkeys(name for step in steps.values() for name in step))
    return Table('Steps of a frame', ('step', *(f'{name}, ms' for name in columns)), tuple(
        (step, *(UNKNOWN if found.get(name) is None else significant(found[name])
                 for name in columns)) for step, found in steps.items()))
