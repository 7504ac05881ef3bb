# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables and lines of a report from its JSON; each of them is empty where nothing is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import with_count
from ...tables import Table
from ..metrics.base import Metric
from ..metrics.shown import Breakdown, Record
from ..metrics.table import (
    METRICS,
    detail_of,
    in_place,
    known_kinds,
    metric_kinds,
    ranking_kinds,
)
from .baseline import ComparedMetric, Comparison, compare_metrics
from .format import (
    UNKNOWN,
    change_text,
    count_text,
    flat,
    metric_text,
    range_text,
    significant,
    stamp_text,
    value_text,
)
from .thresholds import Gate

MOST_KEY_METRICS = 8


def title_of(name: str) -> str:
    """Name of a metric, also of a single frame, in words."""
    kind = known_kinds().get(name) or ranking_kinds().get(name)
    return name if kind is None else kind.title


def key_metrics(metric_values: Record, comparison: Comparison | None) -> Table:
    """The first key metrics that are known, with their change from a baseline."""
    known = [name for name, kind in metric_kinds().items()
             if kind.is_key and name in metric_values and metric_values[name]['value'] is not None]
    table = metric_table({name: metric_values[name] for name in known[:MOST_KEY_METRICS]}, '')
    rows = [row[:3] for row in table.rows]
    if comparison is None:
        return Table('', table.header[:3], rows)
    before = {metric_value.name: metric_value for metric_value in comparison.figures}
    return Table('', (*table.header[:3], 'change', 'verdict'), [
        (*row, 'same as the baseline' if f.change == 0 else UNKNOWN if f.change is None else
         f'{change_text(f.change, f.unit)}, baseline {metric_text(f.there, f.unit)}', f.verdict)
        for row, f in zip(rows, map(before.__getitem__, known), strict=False)])


def metric_table(metric_values: Record, title: str = 'All metrics') -> Table:
    """Every metric that is known, with its name for thresholds."""
    return Table(title, ('metric', 'value', 'measured on', 'name'), [
        (title_of(name), metric_text(f['value'], f['unit']), f['on'], name)
        for name, f in metric_values.items() if f['value'] is not None])


def bags_table(bags: Sequence[Record]) -> Table:
    """One line per recording."""
    return Table('', ('recording', 'frames', 'duration', 'skipped', 'truth', 'state'), [
        (bag['name'], str(bag['frames']), metric_text(bag['duration_s'], 's'),
         str(sum(bag['skipped'].values())), ', '.join(bag['truth']) or 'none',
         'failed' if bag['error'] else 'scored') for bag in bags])


def remarks(bag: Record) -> list[str]:
    """Problems of a recording: its error, skipped frames, notes."""
    return [*([f'not scored: {bag["error"]}'] if bag['error'] else []),
            *(f'{count_text(count, "frame")} skipped: {reason}'
              for reason, count in bag['skipped'].items()),
            *(with_count(note, count) for note, count in bag['notes'].items())]


def gates_table(gates: Sequence[Gate]) -> Table:
    """Every limit, those that are missed first."""
    return Table('', ('threshold', 'result', 'metric'), [
        (gate.text, 'met' if gate.passed else 'missed', title_of(gate.figure))
        for gate in sorted(gates, key=lambda gate: gate.passed)])


def comparison_table(metric_values: Sequence[ComparedMetric], title: str) -> Table:
    """Metrics side by side; those that neither report knows are left out."""
    return Table(title, ('metric', 'this', 'baseline', 'change', 'verdict', 'measured on'), [
        (title_of(f.name), metric_text(f.here, f.unit), metric_text(f.there, f.unit),
         change_text(f.change, f.unit), f.verdict, f.here_on if f.here_on == f.there_on else
         f'{f.here_on or UNKNOWN}; baseline: {f.there_on or UNKNOWN}')
        for f in metric_values if f.here is not None or f.there is not None])


def comparison_tables(comparison: Comparison) -> list[Table]:
    """Metrics, settings that differ, and the frames that changed most."""
    return [
        comparison_table(comparison.figures, 'Metrics'),
        Table('Settings that differ', ('setting', 'this', 'baseline'), [
            (key, value_text(here), value_text(there))
            for key, (here, there) in comparison.settings.items()]),
        *(Table(f'Frames that became {word}: {kind.title}',
                ('recording', 'frame', 'this', 'baseline', 'change', 'stamp'), [
                    (f.bag, f.name, metric_text(f.here, kind.unit),
                     metric_text(f.there, kind.unit), change_text(f.here - f.there, kind.unit),
                     stamp_text(f.stamp_ns)) for f in changed.get(name, ())])
          for name, kind in ranking_kinds().items()
          for word, changed in (('worse', comparison.worse), ('better', comparison.better)))]


def detail_tables(detail: Record) -> list[Table]:
    """Return all details behind the metrics."""
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
    return found


def _by_class(metrics: Sequence[type[Metric[Any]]], detail: Record) -> Table:
    """Metrics of all metrics by class; a class without any, counts aside, is left out."""
    columns = [(column, _of_classes(detail_of(metric, detail), column.key))
               for _, column, metric in sorted(
                   ((place, column, metric) for metric in metrics
                    for place, column in metric.class_columns.items()),
                   key=lambda entry: entry[0])]
    names = dict.fromkeys(name for _, values in columns for name in values)
    return Table('Quality by class', ('class', *(column.title for column, _ in columns)), [
        (name, *(metric_text(values.get(name), column.unit) for column, values in columns))
        for name in names if any(values.get(name) is not None for column, values in columns
                                 if column.unit)])


def _of_classes(found: Any, path: str) -> Record:
    """Values by class; '*' in the path stands for the class."""
    before, _, after = path.partition('.*')
    for key in before.split('.'):
        found = (found or {}).get(key)
    return {name: value.get(after[1:]) if after else value
            for name, value in (found or {}).items()}


def groups_of(part: Record, field: str, unit: str = '') -> dict[Any, Record]:
    """Values of a metric's detail by_range, by_class, or by expected share (coverage)."""
    groups = part.get(field) or {}
    return groups if isinstance(groups, dict) else {
        g['expected'] if field == 'coverage' else range_text(g['near_m'], g.get('far_m'), unit): g
        for g in groups}


def _breakdown(table: Breakdown, metric: type[Metric[Any]], part: Record) -> Table:
    title = ', '.join(filter(None, (table.title, metric.source_words)))
    header = (table.header, *(column.title for column in table.columns))

    def cells(group: Record) -> list[str]:
        return [metric_text(group.get(c.key), c.unit) for c in table.columns]

    if table.field != 'by_class_and_range':
        return Table(title, header, [
            (label, *cells(group)) for label, group in groups_of(part, table.field, ' m').items()
            if group.get(table.columns[0].key)])
    groups = part.get(table.field) or []
    limits = sorted({g['near_m']: g.get('far_m') for g in groups}.items())
    found = {(g['class'], g['near_m']): '{1} ({0})'.format(*cells(g)) for g in groups}
    return Table(f'{title}: {header[2]} ({header[1]})', (
        table.header, *(range_text(near, far, ' m') for near, far in limits)), [
        (name, *(found.get((name, near), UNKNOWN) for near, _ in limits))
        for name in dict.fromkeys(g['class'] for g in groups)])


def _coverage(table: Breakdown, parts: dict[str, Record]) -> Table:
    """Nominal over observed, all sources beside each other."""
    found = {words: groups for words, part in parts.items()
             if (groups := groups_of(part, 'coverage'))}
    return Table(table.title, (table.header, *found), [
        (f'{100 * q:.0f} %', *(metric_text(groups.get(q, {}).get(table.columns[0].key), 'share')
                               for groups in found.values()))
        for q in sorted({q for groups in found.values() for q in groups})])


def _others(metric: type[Metric[Any]], values: Record) -> list[Table]:
    """Values that are not metrics; groups of values have a table each."""
    groups = {key: value for key, value in values.items() if isinstance(value, dict)}
    return [
        Table(f'{metric.title}: beside the metrics', ('', 'value'), [
            (key.replace('_', ' '), _measured(key, value)) for key, value in values.items()
            if value is not None and key not in groups and key not in metric.kinds]),
        *(Table(f'{metric.title}: {key.replace("_", " ")}', ('', 'value'), [
            (name, _measured('share', value)) for name, value in flat(group).items()
            if value is not None]) for key, group in groups.items())]


def _measured(key: str, value: Any) -> str:
    """Write a value whose unit is the end of its name."""
    unit = key.rpartition('_')[2]
    return (metric_text(value, unit) if unit in ('share', 'm') and isinstance(value, float) else
            value_text(value))


def times_table(times: Record) -> Table:
    """Metrics of time, beside those of a baseline if there is one."""
    there = times.get('baseline')
    return (comparison_table(compare_metrics(times, there), 'Against the baseline') if there else
            metric_table(times.get('figures', {}), 'Times'))


def steps_table(steps: Record) -> Table:
    """Milliseconds by step."""
    columns = list(dict.fromkeys(name for step in steps.values() for name in step))
    return Table('Steps of a frame', ('step', *(f'{name}, ms' for name in columns)), [
        (step, *(UNKNOWN if found.get(name) is None else significant(found[name])
                 for name in columns)) for step, found in steps.items()])


def meanings(metric_values: Record) -> list[str]:
    """Lines on every group of metrics that is known; the same of several sources once."""
    return list(dict.fromkeys(
        text for metric in in_place() for group, text in metric.meanings.items()
        if any(name.startswith(f'{metric.prefix}.{group}') and metric_value['value'] is not None
               for name, metric_value in metric_values.items())))


def conventions(report: Record) -> list[str]:
    """Lines on the rules and limits by which this report was measured."""
    detail = report['detail']
    return [*(detail['evaluation'] or {}).get('conventions', ()),
            *(line for metric in METRICS.values()
              if metric.recordings_only and detail_of(metric, detail)
              for line in metric.conventions(report['run']['evaluation']))]


def settings(report: Record) -> dict[str, list[tuple[str, str]]]:
    """Title and values of each group of settings, as they are: a setting is no measurement."""
    run = report['run']
    groups = {'Run': {key: run[key] for key in run if key not in ('settings', 'evaluation')},
              'Settings of the results': run['settings'],
              'Settings of the evaluation': run['evaluation'],
              'Recordings': {bag['name']: bag['path'] for bag in report['bags']}}
    return {title: [(key, str(value) if isinstance(value, float) else value_text(value))
                    for key, value in flat(values).items()] for title, values in groups.items()}
