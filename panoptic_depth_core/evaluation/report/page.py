# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
What a report says, in which order: the same for every way of writing it.

Only the last section knows anything of time; all others are the same for the same recordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..metrics.table import figure_kinds
from .baseline import Comparison
from .blocks import (
    Block,
    Bullets,
    Card,
    Cards,
    Folded,
    Page,
    Picture,
    Plot,
    Plots,
    Section,
    Text,
)
from .explanations import conventions, meanings
from .files import Record
from .format import change_text, figure_text, flat, stamp_text, value_text
from .tables import (
    bags_table,
    comparison_details,
    comparison_table,
    detail_tables,
    figures_table,
    gates_table,
    steps_table,
    title_of,
)
from .thresholds import Gate

TIMES_ANCHOR, PLOTS_ANCHOR = 'times', 'plots'

MOST_KEY_FIGURES = 8


@dataclass(frozen=True)
class Content:
    """
    All that a page is made from.

    :param report, times: of ``report.json`` and ``times.json``.
    :param gates: empty without thresholds.
    :param pictures: path in report.json -> bytes, for those that are there.
    :param plots, time_plots: drawn, or empty.
    :param no_plots: why there are none, in one line; empty where there are.
    """

    report: Record
    times: Record
    comparison: Comparison | None
    gates: tuple[Gate, ...]
    pictures: dict[str, bytes]
    plots: tuple[Plot, ...] = ()
    time_plots: tuple[Plot, ...] = ()
    no_plots: str = ''


def build_page(content: Content) -> Page:
    """Put all sections together; those of which nothing is known are left out."""
    report = content.report
    sections = [
        Section('summary', 'Summary', tuple(_summary(content))),
        Section('thresholds', 'Thresholds', tuple(_thresholds(content))),
        Section('recordings', 'Recordings', tuple(_recordings(report['bags']))),
        Section(PLOTS_ANCHOR, 'Plots', tuple(_plots(content))),
        Section('worst', 'Worst frames', tuple(_worst(report['worst'], content.pictures))),
        Section('baseline', 'Against the baseline', tuple(_baseline(content.comparison))),
        Section('figures', 'Figures', tuple(
            table for table in (figures_table(report['figures']), *detail_tables(
                report['detail'])) if table.rows)),
        Section('meaning', 'What the figures mean',
                tuple(_lines(meanings(report['figures'])))),
        Section('conventions', 'Conventions', tuple(_lines(conventions(report)))),
        Section('settings', 'Settings', tuple(_settings(report))),
        Section(TIMES_ANCHOR, 'Times', tuple(_times(content)))]
    return Page(str(report.get('title') or 'Replay evaluation'), _line(report),
                tuple(section for section in sections if section.blocks))


def _line(report: Record) -> str:
    """Whose results on how much."""
    run, bags = report['run'], report['bags']
    model = str(run.get('model_id') or 'an unknown model')
    by = {'model': f'{model} on {run.get("backend") or "an unknown backend"}',
          'recorded': f'recorded results of {model}'}.get(
              str(run.get('results')), f'results of {model}, recorded in {run.get("results")}')
    return (f'{by}; {_count(len(bags), "recording")}, '
            f'{_count(sum(bag.get("frames", 0) for bag in bags), "frame")} scored')


def _count(number: int, word: str) -> str:
    return f'{number} {word}{"" if number == 1 else "s"}'


def _summary(content: Content) -> list[Block]:
    report = content.report
    blocks: list[Block] = _verdict(content.gates)
    failed = [str(bag.get('name')) for bag in report['bags'] if bag.get('error')]
    if failed:
        blocks.append(Text(f'{len(failed)} of {_count(len(report["bags"]), "recording")} could '
                           f'not be scored: {_some(failed)}.', 'bad'))
    skipped = sum(sum((bag.get('skipped') or {}).values()) for bag in report['bags'])
    if skipped:
        blocks.append(Text(f'{_count(skipped, "frame")} skipped; the reasons are with the '
                           'recordings.'))
    if content.comparison is not None:
        blocks.append(Text(_against(content.comparison)))
    cards = _cards(report['figures'], content.comparison)
    return [*blocks, *([Cards(cards)] if cards else [])]


def _some(names: Sequence[str], most: int = 5) -> str:
    more = len(names) - most
    return ', '.join(names[:most]) + (f' and {more} more' if more > 0 else '')


def _verdict(gates: Sequence[Gate]) -> list[Block]:
    """Limits on times are in the section of times, which alone may differ between two runs."""
    if not gates:
        return []
    lasting = [gate for gate in gates if not gate.is_of_time]
    missed = list(dict.fromkeys(gate.figure for gate in lasting if not gate.passed))
    count = sum(not gate.passed for gate in lasting)
    blocks: list[Block] = []
    if count:
        blocks.append(Text(f'{count} of {_count(len(lasting), "threshold")} missed: '
                           f'{_some(missed)}.', 'bad'))
    elif lasting:
        blocks.append(Text('The threshold is met.' if len(lasting) == 1 else
                           f'All {len(lasting)} thresholds are met.', 'good'))
    if len(lasting) < len(gates):
        blocks.append(Text(f'{_count(len(gates) - len(lasting), "threshold")} on times: see '
                           'Times, at the end.'))
    return blocks


def _against(comparison: Comparison) -> str:
    counts = {word: sum(figure.verdict == word for figure in comparison.figures)
              for word in ('better', 'worse', 'same')}
    return (f'Against the baseline {comparison.title or comparison.baseline}: '
            + ', '.join(f'{count} figures {word}' for word, count in counts.items()) + '.')


def _cards(figures: Record, comparison: Comparison | None) -> tuple[Card, ...]:
    known = [name for name, kind in figure_kinds().items()
             if kind.is_key and figures.get(name, {}).get('value') is not None]
    compared = {} if comparison is None else {f.name: f for f in comparison.figures}
    cards = []
    for name in known[:MOST_KEY_FIGURES]:
        figure, before = figures[name], compared.get(name)
        unit = str(figure.get('unit', ''))
        change = None if before is None else before.change
        cards.append(Card(
            title_of(name), figure_text(figure['value'], unit), str(figure.get('on', '')),
            '' if before is None or change is None else
            f'{change_text(change, unit)}, baseline {figure_text(before.there, unit)}' if change
            else 'same as the baseline',
            'good' if before and before.verdict == 'better' else
            'bad' if before and before.verdict == 'worse' else ''))
    return tuple(cards)


def _thresholds(content: Content) -> list[Block]:
    lasting = [gate for gate in content.gates if not gate.is_of_time]
    return [gates_table(lasting)] if lasting else []


def _recordings(bags: Sequence[Record]) -> list[Block]:
    """The table, then in words what was wrong with which of them."""
    blocks: list[Block] = [bags_table(bags)] if bags else []
    for bag in bags:
        error = [f'not scored: {bag["error"]}'] if bag.get('error') else []
        skipped = [f'{_count(count, "frame")} skipped: {reason}'
                   for reason, count in (bag.get('skipped') or {}).items()]
        notes = [f'{note} ({_count(count, "time")})' if count > 1 else str(note)
                 for note, count in (bag.get('notes') or {}).items()]
        if error or skipped or notes:
            blocks.append(Bullets((*error, *skipped, *notes), str(bag.get('name'))))
    return blocks


def _baseline(comparison: Comparison | None) -> list[Block]:
    if comparison is None:
        return []
    return [
        Text(f'Baseline: {comparison.title}, {comparison.baseline}. Frames matched by stamp: '
             f'{comparison.matched}; only here: {comparison.only_here}; only in the baseline: '
             f'{comparison.only_there}.'),
        comparison_table(comparison.figures), *comparison_details(comparison)]


def _plots(content: Content) -> list[Block]:
    if content.plots:
        return [Plots(content.plots)]
    return [Text(content.no_plots)] if content.no_plots else []


def _worst(worst: Sequence[Record], pictures: dict[str, bytes]) -> list[Block]:
    if not worst:
        return []
    blocks: list[Block] = [Text(
        'Left: predicted labels on the image, and predicted depth. Right, where a truth is known: '
        'true labels, or the image, and the true depth.')]
    for rank, frame in enumerate(worst, 1):
        name = str(frame['figure'])
        caption = (f'#{rank} {title_of(name)} {figure_text(frame["value"], "share")}: frame '
                   f'{frame["name"]} of {frame["bag"]}, stamp {stamp_text(frame["stamp_ns"])}')
        blocks.append(Picture(str(frame['picture']), caption,
                              f'Frame {frame["name"]} of {frame["bag"]} with its labels and depth',
                              pictures.get(str(frame['picture']))))
    return blocks


def _lines(lines: Sequence[str]) -> list[Block]:
    return [Bullets(tuple(lines))] if lines else []


def _settings(report: Record) -> list[Block]:
    run = report['run']
    head = {key: value for key, value in run.items() if key not in ('settings', 'evaluation')}
    parts = (('Run', head), ('Settings of the results', run.get('settings')),
             ('Settings of the evaluation', run.get('evaluation')),
             ('Recordings', {str(bag.get('name')): bag.get('path') for bag in report['bags']}))
    return [Folded(title, _pairs(values)) for title, values in parts if values]


def _pairs(values: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    # Exactly as they are: a setting is no measurement.
    return tuple((key, str(value) if isinstance(value, float) else value_text(value))
                 for key, value in flat(values).items())


def _times(content: Content) -> list[Block]:
    times = content.times
    blocks: list[Block] = []
    limited = [gate for gate in content.gates if gate.is_of_time]
    if limited:
        missed = sum(not gate.passed for gate in limited)
        blocks += [Text(f'{missed} of {_count(len(limited), "threshold")} on times missed.'
                        if missed else 'All thresholds on times are met.',
                        'bad' if missed else 'good'), gates_table(limited)]
    facts = [', '.join(map(str, (times.get('machine') or {}).values())),
             *([f'{figure_text(times["wall_s"], "s")} in all']
               if times.get('wall_s') is not None else []),
             *([f'{figure_text(times["frames_per_s"])} frames per second']
               if times.get('frames_per_s') is not None else [])]
    if any(facts):
        blocks.append(Text('; '.join(filter(None, facts)) + '.'))
    compared = () if content.comparison is None else content.comparison.times
    tables = [comparison_table(compared, 'Against the baseline') if compared else
              figures_table(times.get('figures') or {}, 'Figures of time'),
              steps_table(times.get('steps') or {})]
    blocks += [table for table in tables if table.rows]
    if content.time_plots:
        blocks.append(Plots(content.time_plots))
    return blocks
