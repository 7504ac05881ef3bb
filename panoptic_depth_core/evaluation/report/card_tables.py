# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables and lines of a model card from its JSON; each of them is empty where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...tables import Table
from ..dataset.bootstrap import LEAST_FRAMES
from ..metrics.shown import Record
from ..metrics.table import metric_kinds
from .format import UNKNOWN, count_text, metric_text, range_text
from .tables import groups_of

MAIN = {
    'semantic.miou': 'mIoU', 'panoptic.pq': 'PQ', 'panoptic.pq_things': 'PQ of things',
    'depth.abs_rel': 'depth error (absRel)', 'depth.delta1': 'depth within a factor of 1.25',
    'distance.labels.median_rel': 'distance of instances, median error',
    'distance.labels.matched_share': 'instances found'}
"""Values of the first table, by the names of evaluate."""

TOLD = {'depth.abs_rel': 'depth error, mounting known',
        'distance.labels.median_rel': 'distance error, mounting known'}

TOLD_SURE = {
    'calibration.labels.coverage_68': 'pixels in their 68 % range, mounting known',
    'calibration.labels.coverage_95': 'pixels in their 95 % range, mounting known'}

SURE = {
    'calibration.labels.coverage_68': 'pixels in their 68 % range of depth',
    'calibration.labels.coverage_95': 'pixels in their 95 % range of depth',
    'distance.labels.coverage_68': 'instances in their 68 % range',
    'distance.labels.coverage_95': 'instances in their 95 % range',
    'risk.depth.risk_100': 'absRel of all pixels',
    'risk.depth.risk_50': 'absRel of the half with the least expected error',
    'risk.depth.aurc': 'AURC of depth',
    'risk.labels.risk_100': 'wrong classes of all pixels',
    'risk.labels.risk_50': 'wrong classes of the half with the highest score',
    'risk.labels.aurc': 'AURC of labels'}

_SHORT = {'semantic.miou': 'mIoU', 'panoptic.pq': 'PQ', 'depth.abs_rel': 'absRel',
          'calibration.labels.coverage_68': 'in 68 % range',
          'calibration.labels.coverage_95': 'in 95 % range'}

UNKNOWN_OBJECTS = 'unknown_objects.'
MEAN = 'mean'
"""Of all corruptions, beside their names."""

WEAK_IOU, WEAK_PIXELS = 0.4, 0.001
WEAK_ABS_REL = 0.25
WEAK_SHARE = 0.6
WEAK_TIMES = 2.0
WEAK_COVERAGE_95 = 0.88
WEAK_OVERLOOKED = 0.05
"""
What the card warns of: classes with a lower IoU and at least so large a share of the pixels; a
greater absRel; a corruption or weather that leaves less of the mIoU, or makes absRel as many times
as large; a 95 % range with less; a greater share of unknown objects that are overlooked.
"""

_PROOF = {'semantic': 'semantic.miou', 'instances': 'panoptic.pq_things', 'depth': 'depth.abs_rel'}
"""Task -> value that is known where it was measured."""

_MOST_NAMED = 8


def cell(value: float | None, unit: str, limits: Sequence[float | None] | None = None,
         frames: int = 0, of: int = 0) -> str:
    """
    A value, its interval and, where they are not all, the frames that it is from.

    :param limits: of the interval; None where there is none.
    """
    text = metric_text(value, unit)
    if text == UNKNOWN:
        return text
    notes = []
    if limits and None not in limits:
        low, high = (metric_text(end, unit).removesuffix(' %') for end in limits)
        notes.append(f'{low} to {high}')
    if frames and frames < of or 0 < frames < LEAST_FRAMES:
        notes.append(count_text(frames, 'frame'))
    return f'{text} ({"; ".join(notes)})' if notes else text


def _value(found: Record | None, name: str) -> str:
    """Cell of a value of bootstrap.summary."""
    value = (found or {}).get('values', {}).get(name)
    if value is None:
        return UNKNOWN
    return cell(value['value'], value['unit'], (value['low'], value['high']), value['frames'],
                (found or {})['frames'])


def _known(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Rows that know anything."""
    return [row for row in rows if any(text != UNKNOWN for text in row[1:])]


def _columns(rows: Sequence[Sequence[str]], header: Sequence[str], title: str = '') -> Table:
    """Table without the columns and rows of which nothing is known."""
    rows = _known(rows)
    kept = [i for i in range(len(header))
            if not i or any(row[i] != UNKNOWN for row in rows)]
    return Table(title, [header[i] for i in kept], [[row[i] for i in kept] for row in rows])


def data_title(data: Record) -> str:
    """Name, split and number of frames."""
    return f'{data["name"]}, {data["split"]} ({count_text(data["frames"], "frame")})'


def _labels(card: Record) -> list[str]:
    """Names of the data sets, with the split where a name is there twice."""
    names = [data['name'] for data in card['data']]
    return [name if names.count(name) == 1 else f'{name} {data["split"]}'
            for name, data in zip(names, card['data'], strict=True)]


def main_table(card: Record) -> Table:
    """The figures to know; a column for each data set."""
    table = _by_data(card, [*((title, None, name) for name, title in MAIN.items()),
                            *((title, 'with_mounting', name) for name, title in TOLD.items()),
                            *((SURE[name], None, name) for name in list(SURE)[:2])])
    titles = [row[0] for row in table.rows]
    quality = (card['data'][0]['detail'].get('panoptic') or {}).get('by_class', {})
    counts = {name: quality['true_positives'][name] + quality['false_negatives'][name]
              for name in card['things'] if quality}
    if not any(counts.values()) or MAIN['panoptic.pq_things'] not in titles:
        return table
    # The mean over things is mostly of rare ones.
    common = max(counts, key=lambda name: counts[name])
    at = 1 + titles.index(MAIN['panoptic.pq_things'])
    own = (f'PQ of {common}', *(_class_quality(data, common) for data in card['data']))
    return Table('', table.header, [*table.rows[:at], own, *table.rows[at:]])


def _class_quality(data: Record, name: str) -> str:
    """Cell of the PQ of a class."""
    quality = (data['detail'].get('panoptic') or {}).get('by_class', {})
    return cell(quality.get('pq', {}).get(name), 'share',
                data['intervals'].get(f'panoptic/by_class.pq.{name}'),
                quality.get('frames', {}).get(name, 0), data['frames'])


def sure_table(card: Record) -> Table:
    """Whether the model knows where it is wrong."""
    told = [(title, 'with_mounting', name) for name, title in TOLD_SURE.items()]
    own = [(title, None, name) for name, title in SURE.items()]
    return _by_data(card, [*own[:2], *told, *own[2:]])


def _by_data(card: Record, rows: Sequence[tuple[str, str | None, str]]) -> Table:
    return Table('', ('', *map(data_title, card['data'])), _known([
        (title, *(_value(data if part is None else data[part], name) for data in card['data']))
        for title, part, name in rows]))


def class_table(data: Record) -> Table:
    """Quality by class."""
    detail = data['detail']
    iou, share = ((detail.get('semantic') or {}).get('by_class', {}).get(key, {})
                  for key in ('iou', 'truth_share'))
    quality = (detail.get('panoptic') or {}).get('by_class', {})
    depth, distance = (groups_of(detail.get(name) or {}, 'by_class')
                       for name in ('depth', 'distance'))
    names = dict.fromkeys([*iou, *quality.get('pq', {}), *depth, *distance])

    def count(name: str) -> str:
        group = distance.get(name)
        return UNKNOWN if group is None else f'{group["matched"]} of {group["instances"]}'

    rows = [(
        name, metric_text(share.get(name), 'share') if share.get(name) else UNKNOWN,
        _limited(data, iou.get(name), f'semantic/by_class.iou.{name}'),
        _limited(data, quality.get('pq', {}).get(name), f'panoptic/by_class.pq.{name}'),
        _limited(data, depth.get(name, {}).get('abs_rel'), f'depth/by_class.{name}.abs_rel'),
        _limited(data, distance.get(name, {}).get('median_rel'),
                 f'distance/by_class.{name}.median_rel'), count(name)) for name in names]
    return _columns([row for row in rows if any(text != UNKNOWN for text in row[2:])],
                    ('class', 'of the pixels', 'IoU', 'PQ', 'absRel', 'distance error', 'found'),
                    data_title(data))


def range_table(data: Record) -> Table:
    """Errors by true depth."""
    detail = data['detail']
    depth, distance = ((detail.get(name) or {}).get('by_range', []) for name in
                       ('depth', 'distance'))
    rows = []
    for index in range(max(len(depth), len(distance))):
        pixels = depth[index] if index < len(depth) else {}
        things = distance[index] if index < len(distance) else {}
        near = {**things, **pixels}
        rows.append((
            range_text(near['near_m'], near['far_m'], ' m'),
            *(_limited(data, pixels.get(key), f'depth/by_range.{index}.{key}')
              for key in ('abs_rel', 'delta1')),
            *(_limited(data, things.get(key), f'distance/by_range.{index}.{key}')
              for key in ('median_rel', 'bias_rel')),
            f'{things["matched"]} of {things["instances"]}' if things.get('instances')
            else UNKNOWN))
    return _columns(rows, ('true depth', 'absRel', 'within 1.25', 'distance error',
                           'distance bias', 'found'), data_title(data))


def _limited(data: Record, value: float | None, name: str) -> str:
    return cell(value, 'share', data['intervals'].get(name))


def camera_table(card: Record, part: str) -> Table:
    """By height of the camera (part: heights) or focal length (focal), synthetic scenes."""
    key, header, unit = {'heights': ('height_m', 'camera height', 'm'),
                         'focal': ('focal_px', 'focal length, 1024 px wide', 'px')}[part]
    rows = [(f'{found[key]:g} {unit}', *(_value(way, name) for name in TOLD
                                         for way in (found, found['with_mounting'])),
             _value(found, 'panoptic.pq')) for found in card.get(part) or ()]
    return _columns(rows, (header, 'absRel', 'mounting known', 'distance error', 'mounting known',
                           'PQ'))


def weather_table(card: Record) -> Table:
    """By light and weather of synthetic scenes."""
    return _columns([(found['name'], *(_value(found, name) for name in _SHORT))
                     for found in card.get('weather') or ()], ('', *_SHORT.values()))


def corruption_table(card: Record) -> Table:
    """Mean over severities, and relative to the same frames without corruption."""
    found = card.get('corruptions')
    if not found:
        return Table('', (), ())
    compared = ('semantic.miou', 'panoptic.pq', 'depth.abs_rel')
    rows = [('none', *(text for name in compared for text in (
        metric_text(found['clean'].get(name), 'share'), UNKNOWN)),
        *(metric_text(found['clean'].get(name), 'share') for name in list(_SHORT)[3:]))]
    rows += [(name.replace('_', ' '), *(text for key in compared for text in (
        metric_text(values.get(key), 'share'), _times(found['relative'][name].get(key)))),
        *(metric_text(values.get(key), 'share') for key in list(_SHORT)[3:]))
        for name, values in found['mean'].items()]
    return _columns(rows, ('corruption', *(text for name in compared for text in (
        _SHORT[name], 'relative')), *list(_SHORT.values())[3:]))


def _times(ratio: float | None) -> str:
    return UNKNOWN if ratio is None else f'{ratio:.2f}'


def unknown_table(card: Record) -> Table:
    """What happens on objects of no class on the road, synthetic scenes."""
    found, kinds = card.get('unknown_objects') or {'values': {}}, metric_kinds()
    return Table('', ('', count_text(found.get('frames', 0), 'frame'), 'meaning'), [
        (kinds[name].title, _value(found, name), kinds[name].explanation)
        for name in found['values'] if name.startswith(UNKNOWN_OBJECTS)])


def speed_table(card: Record) -> Table:
    """Time of a picture."""
    return Table('', ('step', 'median', '95 %', '99 %'), [
        (step, *(metric_text(found[key], 'ms') for key in ('median_ms', 'p95_ms', 'p99_ms')))
        for step, found in (card.get('speed') or {}).get('steps', {}).items()])


def trained_on(card: Record) -> Table:
    """Data behind the weights, and its licenses."""
    return Table('', ('data', 'license', 'attribution'), [
        (data['name'], data['licence'], data['attribution'] or UNKNOWN)
        for data in card['model']['weights_data']])


def facts(card: Record) -> Table:
    """What the model is."""
    model = card['model']
    low_high = model['trained_focal_range_px']
    count = model['parameters']
    rows = {
        'network': model['network'],
        'tasks': ', '.join(model['tasks']),
        'classes': ', '.join(card['classes']),
        'input': f'RGB {model["input_width"]}x{model["input_height"]} px, focal length' + (
            f' {low_high[0]:g} to {low_high[1]:g} px at that size' if low_high else ''),
        'output': f'maps of {model["input_width"] // model["output_stride"]}x'
                  f'{model["input_height"] // model["output_stride"]} px, brought to the image',
        'depth': '{:g} to {:g} m'.format(*model['depth_range_m'] or (0, 0)) if (
            model['depth_range_m']) else '',
        'size': f'{model["onnx_bytes"] / 1e6:.1f} MB' + (
            f', {count / 1e6:.1f} million parameters' if count else ''),
        'license of the weights': model['weights_licence']}
    return Table('', ('', ''), [(name, text) for name, text in rows.items() if text])


def weak_spots(card: Record) -> list[str]:
    """Where the measured figures are bad, worst first, see WEAK_IOU."""
    found: list[tuple[str, dict[str, float], int]] = []
    data = dict(zip(_labels(card), card['data'], strict=True))
    found += [(f'Classes mostly missed or confused on {name} (IoU)', _weak_classes(one), 1)
              for name, one in data.items()]
    found += [(f'Depth on {name}, mounting not told (absRel)', _weak_ranges(one), -1)
              for name, one in data.items()]
    found += [
        ('Depth of cameras whose mounting is not told, synthetic scenes (absRel)',
         _weak_cameras(card), -1),
        ('Pictures that are disturbed; left of the mIoU is',
         {name: left for name, left in _disturbed(card, 'semantic.miou').items()
          if left < WEAK_SHARE}, 1),
        ('Pictures that are disturbed; absRel is, of that without',
         {name: more for name, more in _disturbed(card, 'depth.abs_rel').items()
          if more > WEAK_TIMES}, -1),
        ('Its uncertainty is too small; in the 95 % range are, of the pixels',
         _weak_uncertainty(card), 1),
        ('Objects of no class on the road of synthetic scenes, called ground and seen as far as '
         'it', _overlooked(card), -1)]
    return [f'{title}: {_listed(weak, order)}.' for title, weak, order in found if weak]


def limits(card: Record) -> list[str]:
    """Where not to use it, as measured; also where that is nowhere, or not known."""
    weak = weak_spots(card)
    if not weak and any(data['values'] for data in card['data']):
        weak = ['No measured figure is bad by the limits of doc/evaluation.md.']
    return [*weak, *not_measured(card)]


def not_measured(card: Record) -> list[str]:
    """Tasks and classes of the model of which no data set of the card has the truth."""
    known = {name for data in card['data'] for name, value in data['values'].items()
             if value['value'] is not None}
    tasks = [task for task in card['model']['tasks'] if _PROOF[task] not in known]
    seen = [(data['detail'].get('semantic') or {}).get('by_class', {}).get('truth_share', {})
            for data in card['data']]
    classes = [name for name in card['classes'] if not any(found.get(name) for found in seen)]
    return [f'No data set of this card has the truth for {what}: {", ".join(names)}.'
            for what, names in (('these tasks', tasks),
                                ('these classes', classes if any(seen) else [])) if names]


def _listed(found: Mapping[str, float], order: int) -> str:
    """Names and shares, worst first; order: 1 where less is worse, -1 where more is."""
    names = sorted(found, key=lambda name: order * found[name])
    more = f' and {len(names) - _MOST_NAMED} more' if len(names) > _MOST_NAMED else ''
    return ', '.join(f'{name} {metric_text(found[name], "share")}'
                     for name in names[:_MOST_NAMED]) + more


def _weak_classes(data: Record) -> dict[str, float]:
    found = (data['detail'].get('semantic') or {}).get('by_class', {})
    return {name: iou for name, iou in found.get('iou', {}).items()
            if iou is not None and iou < WEAK_IOU
            and (found['truth_share'][name] or 0.0) >= WEAK_PIXELS}


def _weak_ranges(data: Record) -> dict[str, float]:
    ranges = groups_of(data['detail'].get('depth') or {}, 'by_range', ' m')
    return {name: group['abs_rel'] for name, group in ranges.items()
            if (group['abs_rel'] or 0.0) > WEAK_ABS_REL}


def _weak_cameras(card: Record) -> dict[str, float]:
    cameras = {**{f'{found["height_m"]:g} m high': found for found in card.get('heights') or ()},
               **{f'focal length {found["focal_px"]} px of 1024': found
                  for found in card.get('focal') or ()}}
    errors = {name: _number(found, 'depth.abs_rel') for name, found in cameras.items()}
    return {name: error for name, error in errors.items() if error and error > WEAK_ABS_REL}


def _disturbed(card: Record, name: str) -> dict[str, float]:
    """A value under each corruption and weather relative to that without."""
    ratios = {corruption.replace('_', ' '): values[name] for corruption, values
              in (card.get('corruptions') or {}).get('relative', {}).items()
              if corruption != MEAN and name in values}
    day, *others = card.get('weather') or [{}]
    base = _number(day, name)
    return ratios | {f'synthetic {found["name"]}': value / base for found in others
                     if base and (value := _number(found, name)) is not None}


def _weak_uncertainty(card: Record) -> dict[str, float]:
    name = 'calibration.labels.coverage_95'
    measured = {
        **dict(zip(_labels(card), card['data'], strict=True)),
        **{f'cameras {found["height_m"]:g} m high': found for found in card.get('heights') or ()},
        **{f'synthetic {found["name"]}': found for found in card.get('weather') or ()}}
    measured |= {f'{title} with the mounting known': found['with_mounting']
                 for title, found in measured.items() if found.get('with_mounting')}
    covered = {title: _number(found, name) for title, found in measured.items()}
    covered |= {corruption.replace('_', ' '): values.get(name) for corruption, values
                in (card.get('corruptions') or {}).get('mean', {}).items() if corruption != MEAN}
    return {title: share for title, share in covered.items()
            if share is not None and share < WEAK_COVERAGE_95}


def _overlooked(card: Record) -> dict[str, float]:
    share = _number(card.get('unknown_objects') or {}, f'{UNKNOWN_OBJECTS}overlooked_share')
    return {'overlooked': share} if share is not None and share > WEAK_OVERLOOKED else {}


def _number(found: Record, name: str) -> float | None:
    number: float | None = found.get('values', {}).get(name, {}).get('value')
    return number


def how_measured(card: Record) -> list[str]:
    """Command, machine, date and rules."""
    run = card['run']
    draws = run['settings']['draws']
    return [
        f'{run["date"]}: {run["command"] or "measured from Python"}',
        ', '.join([*run['machine'].values(), f'backend {run["backend"]}',
                   f'threads {run["threads"] or "auto"}',
                   *(f'{name} {version}' for name, version in run['versions'].items())]),
        *_of_intervals(draws, run['settings']['seed']),
        'Frames of a figure that are fewer than those of its column are named beside it.',
        'The mounting (height and angles of the camera) is not told unless a column says so.']


def _of_intervals(draws: int, seed: int) -> list[str]:
    if not draws:
        return ['Intervals were not computed.']
    return [
        f'In parentheses: 95 % intervals of {draws} resamples of the frames, seed {seed}; they '
        'say how much other frames of the same kind would change a figure, not how another place '
        'or camera would. Means over classes are over those in a resample, so a figure can be '
        'near an end of its interval.',
        f'Fewer than {LEAST_FRAMES} frames have no interval, nor has a class in one or two of '
        'them; intervals of 7 frames are about a quarter too narrow, of 20 a tenth, and more '
        'where frames are of one drive.']
