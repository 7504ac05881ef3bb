# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables of a report from its JSON; each of them is empty where nothing is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...evaluation.report_tables import Table
from ..figures import FIGURES, FRAME_FIGURES, KNOWN
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

SOURCES = {'labels': 'true labels', 'lidar': 'LiDAR', 'boxes': 'true boxes'}
"""What distances are judged by."""

DEPTH_SOURCES = {'labels': 'depth images', 'lidar': 'LiDAR'}
"""What depth and its uncertainty are judged by."""


def title_of(name: str) -> str:
    """Name of a figure in words."""
    return KNOWN[name].title if name in KNOWN else name


def frame_title(name: str) -> str:
    """Name of a figure of a single frame in words."""
    return FRAME_FIGURES[name].title if name in FRAME_FIGURES else title_of(name)


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
    for name, kind in FRAME_FIGURES.items():
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
    evaluation = detail.get('evaluation') or {}
    lidar = detail.get('lidar') or {}
    found = [
        _by_class(evaluation),
        _depth_by_range('Depth by range, depth images',
                        (evaluation.get('depth') or {}).get('by_range')),
        _depth_by_range('Depth by range, LiDAR', lidar.get('by_range')),
        *(table for source in SOURCES
          for table in _distance(source, (detail.get('distance') or {}).get(source) or {})),
        _coverage(detail.get('calibration') or {}),
        *(table for key, title in (('tracking', 'Tracking'), ('consistency', 'Consistency'),
                                   ('agreement', 'Agreement with the other recording'))
          for table in _others(key, title, detail.get(key) or {}))]
    return [table for table in found if table.rows]


def _by_class(evaluation: Record) -> Table:
    """Quality of the classes that are in truth or prediction."""
    quality = (evaluation.get('panoptic_quality') or {}).get('by_class') or {}
    iou = ((evaluation.get('semantic') or {}).get('by_class') or {}).get('iou') or {}
    depth = (evaluation.get('depth') or {}).get('by_class') or {}
    counts = ('true_positives', 'false_positives', 'false_negatives')
    rows = []
    for name, pq in (quality.get('pq') or {}).items():
        shares = [pq, *(quality.get(key, {}).get(name) for key in ('sq', 'rq')), iou.get(name)]
        errors = depth.get(name) or {}
        if any(share is not None for share in shares) or errors:
            rows.append((name, *(figure_text(share, 'share') for share in shares),
                         *(str(quality.get(key, {}).get(name, UNKNOWN)) for key in counts),
                         figure_text(errors.get('abs_rel'), 'share'),
                         str(errors.get('pixels', UNKNOWN))))
    return Table('Quality by class', ('class', 'PQ', 'SQ', 'RQ', 'IoU', 'TP', 'FP', 'FN',
                                      'absRel', 'depth px'), tuple(rows))


def _depth_by_range(title: str, groups: Sequence[Record] | None) -> Table:
    return Table(title, ('true depth', 'px', 'absRel', 'RMSE', 'within 25 %', 'no depth'), tuple(
        (range_text(g['near_m'], g.get('far_m'), ' m'), str(g.get('pixels', UNKNOWN)),
         figure_text(g.get('abs_rel'), 'share'), figure_text(g.get('rmse_m'), 'm'),
         figure_text(g.get('delta1'), 'share'), figure_text(g.get('missing_share'), 'share'))
        for g in groups or () if g.get('pixels')))


_DISTANCE_SHARES = {
    'matched_share': 'found', 'median_rel': 'error, median', 'bias_rel': 'bias',
    'coverage_68': 'within 68 % range', 'coverage_95': 'within 95 % range'}


def _distance(source: str, found: Record) -> list[Table]:
    """By range, by class, and by both."""
    words = SOURCES[source]
    # Of a LiDAR, instances are the predicted ones: that all are found says nothing.
    shares = {key: title for key, title in _DISTANCE_SHARES.items()
              if source != 'lidar' or key != 'matched_share'}
    header = ('instances', *shares.values())

    def errors(group: Record) -> tuple[str, ...]:
        return (str(group.get('instances', UNKNOWN)),
                *(figure_text(group.get(key), 'share') for key in shares))

    ranges, classes = found.get('by_range') or [], found.get('by_class') or {}
    both = found.get('by_class_and_range') or []
    limits = sorted({g['near_m']: g.get('far_m') for g in both}.items())
    cells = {(g['class'], g['near_m']): _cell(g) for g in both}
    return [
        Table(f'Distance by range, {words}', ('true distance', *header), tuple(
            (range_text(g['near_m'], g.get('far_m'), ' m'), *errors(g))
            for g in ranges if g.get('instances'))),
        Table(f'Distance by class, {words}', ('class', *header), tuple(
            (name, *errors(g)) for name, g in classes.items())),
        Table(f'Distance by class and range, {words}: error, median (instances)', (
            'class', *(range_text(near, far, ' m') for near, far in limits)), tuple(
            (name, *(cells.get((name, near), UNKNOWN) for near, _ in limits))
            for name in dict.fromkeys(g['class'] for g in both)))]


def _cell(group: Record) -> str:
    return f'{figure_text(group.get("median_rel"), "share")} ({group.get("instances", 0)})'


def _coverage(calibration: Record) -> Table:
    """Nominal over observed, all sources beside each other."""
    shares = {DEPTH_SOURCES.get(source, source): {
        c['expected']: c['observed'] for c in part['coverage']}
              for source, part in calibration.items() if (part or {}).get('pixels')}
    nominal = sorted({q for column in shares.values() for q in column})
    return Table('Coverage of the uncertainty of depth', ('pixels expected', *shares), tuple(
        (f'{100 * q:.0f} %', *(figure_text(column.get(q), 'share') for column in shares.values()))
        for q in nominal))


def _others(part: str, title: str, values: Record) -> list[Table]:
    """What is not among the figures; groups of values have a table each."""
    groups = {key: value for key, value in values.items() if isinstance(value, dict)}
    return [
        Table(f'{title}: beside the figures', ('', 'value'), tuple(
            (key.replace('_', ' '), _measured(key, value)) for key, value in values.items()
            if value is not None and key not in groups and f'{part}.{key}' not in FIGURES)),
        *(Table(f'{title}: {key.replace("_", " ")}', ('', 'value'), tuple(
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
