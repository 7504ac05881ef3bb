# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The tables of metrics: whole, additive, absent where they should be, and open for one more.

A metric of this file is put into METRICS by one line, and must then be wherever metrics are.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_errors import DRIVE, FRAMES, scored, truth, wrong
from panoptic_depth_core.cli.evaluate import show_result, write_all
from panoptic_depth_core.contract import NEEDS_DEPTH, TASKS, Task
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.dataset.evaluate import EvaluationResult, Evaluator
from panoptic_depth_core.evaluation.metric_table import NAME, metric_table
from panoptic_depth_core.evaluation.metrics.base import Metric
from panoptic_depth_core.evaluation.metrics.frame import JudgedFrame, RecordedFrame, TrueBox
from panoptic_depth_core.evaluation.metrics.shown import MetricKind
from panoptic_depth_core.evaluation.metrics.table import (
    COUNTS,
    METRICS,
    TIMES,
    detail_path,
    known_kinds,
)
from panoptic_depth_core.evaluation.recordings import evaluate_bag, part_files
from panoptic_depth_core.evaluation.recordings.evaluate_bag import BagJob
from panoptic_depth_core.evaluation.recordings.evaluate_bags import evaluate_bags
from panoptic_depth_core.evaluation.recordings.scoring import BagScore
from panoptic_depth_core.evaluation.report.dataset_report import tables, to_dict
from panoptic_depth_core.evaluation.report.thresholds import load_thresholds
from panoptic_depth_core.evaluation.settings import RecordingSettings, WorstSettings
from panoptic_depth_core.io.messages.truth_images import LabelImage, ground_truth
from panoptic_depth_core.labels import CITYSCAPES, VOID_ID
from panoptic_depth_core.structures import PanopticDepth, UnknownObjects

DOCUMENT = Path(__file__).resolve().parents[4] / 'doc/evaluation.md'
SETTINGS = RecordingSettings()
SUMMARY = evaluate_bag.BagSummary(name='a', path='', frames=3, duration_s=1.0, truth=[],
                                  skipped={}, missing=0, ended_early='', notes={},
                                  error=None)
PARTIAL: list[frozenset[Task]] = [
    frozenset(('depth',)), frozenset(('semantic',)), frozenset(('instances',)),
    frozenset(('semantic', 'instances'))]


class NearMetric(Metric[dict[str, float]]):
    """How much is near: all that a metric has to define."""

    name, title = 'near', 'Nearness'
    needs = NEEDS_DEPTH
    kinds = {'near_share': MetricKind(
        'pixels nearer than ten meters', 'share', 'lower', 'Share of the pixels with a depth.',
        is_key=True, worst=9, over_time=('Nearness', 'near pixels in %'))}
    meanings = {'': 'Nearness: what the robot has before its feet.'}
    pixels: int = 0
    near: int = 0

    def update(self, frame: JudgedFrame) -> None:
        depth = frame.result.depth
        self.pixels += int(np.isfinite(depth).sum())
        self.near += int((depth < 10).sum())

    def merge(self, other: NearMetric) -> None:
        super().merge(other)
        self.pixels += other.pixels
        self.near += other.near

    def result(self) -> dict[str, float]:
        share = self.near / self.pixels if self.pixels else math.nan
        return {'near_share': share, 'near_pixels': self.near}


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line that a metric needs."""
    monkeypatch.setitem(METRICS, 'near', NearMetric)


def partial(result: PanopticDepth, tasks: frozenset[Task]) -> PanopticDepth:
    """The result of a model that does no more."""
    if 'depth' not in tasks:
        nan = np.full_like(result.depth, np.nan)
        result = replace(result, depth=nan, distances=tuple(
            replace(d, depth_m=math.nan, distance_m=math.nan) for d in result.distances))
    known = [s for s in result.segments if 'semantic' in tasks and 'instances' in tasks
             or (not s.is_thing if 'semantic' in tasks else s.is_thing and 'instances' in tasks)]
    ids = [s.panoptic_id for s in known]
    return replace(
        result, tasks=tasks, segments=tuple(known),
        panoptic=np.where(np.isin(result.panoptic, ids), result.panoptic, VOID_ID).astype(
            np.uint16),
        distances=tuple(d for d in result.distances if d.segment.panoptic_id in ids))


def frames(tasks: frozenset[Task] = TASKS) -> Iterator[tuple[RecordedFrame, PanopticDepth]]:
    """Frames of a drive of which everything is known."""
    for index in range(FRAMES):
        true_ids, depth = truth(index)
        exact = DRIVE.result(index)
        result = partial(wrong(index, exact), tasks)
        result = replace(result, segments=tuple(
            replace(s, log_depth_scale=0.1) for s in result.segments))
        points = np.where(np.isfinite(depth) & (np.arange(depth.size).reshape(depth.shape) % 7
                                                == 0), depth, np.nan).astype(np.float32)
        boxes = tuple(TrueBox(d.class_name, tuple(map(float, d.roi)), d.distance_m, d.depth_m)
                      for d in exact.distances)
        objects = UnknownObjects(np.isfinite(depth).astype(np.uint8), ('all',), depth + 2)
        yield RecordedFrame(DRIVE.frame(index), replace(ground_truth(
            LabelImage(true_ids, True), depth, CITYSCAPES), unknown_objects=objects), points,
            boxes, reference=exact), result


def evaluated(tasks: frozenset[Task]) -> EvaluationResult:
    evaluator = Evaluator()
    for item, result in frames(tasks):
        evaluator.add(item.truth, result)
    return evaluator.result()


def scored_in(tasks: frozenset[Task], part: slice = slice(None), name: str = 'a') -> BagScore:
    score = BagScore(CITYSCAPES, SETTINGS)
    for item, result in list(frames(tasks))[part]:
        score.add(item, result, name)
    return score


def numbers(values: Any) -> Iterator[float]:
    """Every number of nested values of JSON."""
    if isinstance(values, (int, float)):
        yield values
    elif isinstance(values, (dict, list)):
        for value in values.values() if isinstance(values, dict) else values:
            yield from numbers(value)


def numberless(values: Any) -> Any:
    """All but the numbers."""
    if isinstance(values, dict):
        return {key: numberless(value) for key, value in values.items()}
    if isinstance(values, list):
        return [numberless(value) for value in values]
    return 0 if isinstance(values, (int, float)) else values


@pytest.mark.parametrize('name', sorted(METRICS))
def test_every_entry_is_whole(name: str) -> None:
    metric = METRICS[name]
    assert metric.name == name and metric.title and metric.kinds and metric.meanings['']
    for end, kind in metric.kinds.items():
        assert re.fullmatch('[a-z0-9_]+', end) and kind.title and kind.explanation.endswith('.')
        assert kind.better in ('higher', 'lower', None)
        assert metric.can_tell(end, TASKS) and kind.worst >= 0


def test_names_are_unique() -> None:
    names = [f'{m.prefix}.{end}' for m in METRICS.values() for end in m.kinds]
    assert len(set(names)) == len(names)
    assert list(known_kinds()) == [*COUNTS, *(n for n in known_kinds() if n in names), *TIMES]
    sections = [m.section for m in METRICS.values() if not m.recordings_only]
    assert len({*sections, 'frames', 'instances', 'settings', 'conventions'}) == len(sections) + 4
    places = [tuple(detail_path(metric)) for metric in METRICS.values()]
    assert len(set(places)) == len(places)
    ranks = [kind.worst for kind in known_kinds().values() if kind.worst]
    assert len(set(ranks)) == len(ranks)


def test_parts_add_up_over_the_whole_table() -> None:
    pytest.importorskip('scipy')
    first, second = slice(0, 3), slice(3, None)
    parts = [scored_in(TASKS, first, 'a'), scored_in(TASKS, second, 'b')]
    one = BagScore(CITYSCAPES, SETTINGS)
    for number, (item, result) in enumerate(frames()):
        if number == 3:
            one.metrics['consistency'].start()
        one.add(item, result, 'ab'[number >= 3])
    parts[0].merge(parts[1])
    found, whole = parts[0].summary(), one.summary()
    assert {figure.name.rpartition('.')[0] for figure in whole[0]} == {
        metric.prefix for metric in METRICS.values()}
    for ours, theirs in zip(found[0], whole[0], strict=True):
        assert (ours.name, ours.on) == (theirs.name, theirs.on)
        assert ours.value == pytest.approx(theirs.value, rel=1e-12, nan_ok=True)
    assert str(numberless(found[1])) == str(numberless(whole[1]))
    assert list(numbers(found[1])) == pytest.approx(list(numbers(whole[1])), rel=1e-10)
    with pytest.raises(ValueError, match='different settings or classes'):
        one.merge(BagScore(CITYSCAPES[:-1], SETTINGS))


def test_every_metric_comes_back_from_the_disk(tmp_path: Path, near: None) -> None:
    """And what is merged then is what was merged without the disk, to the last bit."""
    found = []
    for stored in (False, True):
        total = BagScore(CITYSCAPES, SETTINGS)
        for name, frames_of in (('a', slice(0, 3)), ('b', slice(3, None))):
            part = evaluate_bag.BagPart(name, SUMMARY, scored_in(TASKS, frames_of, name))
            if stored:
                part_files.save_part(tmp_path, name, part)
                part = part_files.load_part(tmp_path, name, SETTINGS, is_ours=True)
            total.merge(part.score)
        found.append(total)
    assert all(metric.frames for metric in found[0].metrics.values())
    assert repr(found[0].summary()) == repr(found[1].summary())
    assert state(found[0]) == state(found[1])


def state(counted: Any) -> Any:
    """All that a metric or anything in it holds, with types."""
    if isinstance(counted, np.ndarray):
        return counted.dtype, counted.shape, counted.tobytes()
    if type(counted).__module__.startswith(('panoptic', __name__)) and hasattr(
            counted, '__dict__'):
        return type(counted), {name: state(value)
                               for name, value in vars(copy.copy(counted)).items()}
    if isinstance(counted, dict):
        return type(counted), [(key, state(value)) for key, value in counted.items()]
    if isinstance(counted, (list, tuple)):
        return type(counted), [state(value) for value in counted]
    # Equal sets may show their members in another order.
    return type(counted), repr(sorted(counted) if isinstance(counted, (set, frozenset))
                               else counted)


def wanted(tasks: frozenset[Task]) -> set[str]:
    """Groups of metrics that these tasks make, with those of both kinds of PQ apart."""
    groups = {
        'panoptic.pq': {'semantic', 'instances'}, 'panoptic.pq_things': {'instances'},
        'panoptic.pq_stuff': {'semantic'}, 'depth_aware.dpq': TASKS, 'semantic.miou': {'semantic'},
        'depth.abs_rel': {'depth'}, 'lidar.abs_rel': {'depth'},
        'distance.labels.median_rel': {'instances', 'depth'},
        'distance.boxes.matched_share': {'instances', 'depth'}, 'tracking.mota': {'instances'},
        'consistency.label_stability': {'semantic'}, 'consistency.depth_jitter': {'depth'},
        'consistency.depth_missing_share': {'depth'},
        'consistency.ground_height_m': {'semantic', 'depth'},
        'consistency.instance_survival': {'instances'},
        'agreement.same_class_share': {'semantic'}, 'agreement.depth_max_log': {'depth'},
        'agreement.instances_matched': {'instances'}}
    return {name for name, needs in groups.items() if needs <= tasks} | (
        {'consistency.void_share'} if tasks != {'depth'} else set())


@pytest.mark.parametrize('tasks', [TASKS, *PARTIAL], ids=lambda tasks: '-'.join(sorted(tasks)))
def test_what_a_model_does_not_do_is_absent(tasks: frozenset[Task]) -> None:
    pytest.importorskip('scipy')
    metric_values, detail = scored_in(tasks).summary()
    names = {figure.name for figure in metric_values}
    assert names & wanted(TASKS) == wanted(tasks)
    result = evaluated(tasks)
    assert set(result.values) == {name for name in names if not name.startswith(
        ('lidar', 'consistency', 'agreement', 'tracking', 'distance.lidar', 'distance.boxes',
         'calibration.lidar'))}
    report = to_dict(result)
    quality = report['panoptic_quality']
    assert (quality is None) == (report['instances'] is None) == (tasks == {'depth'})
    for group, needs in (('all', {'semantic', 'instances'}), ('things', {'instances'}),
                         ('stuff', {'semantic'})):
        assert ((quality or {}).get(group, {}).get('pq') is not None) == (needs <= tasks)
    for section, needs in (('semantic', {'semantic'}), ('depth', {'depth'}),
                           ('calibration', {'depth'}), ('depth_aware_quality', TASKS),
                           ('distance', {'instances', 'depth'})):
        assert (report[section] is not None) == (needs <= tasks)
    assert (detail['consistency']['label_stability'] is not None) == ('semantic' in tasks)
    assert (detail['agreement']['same_class_share'] is not None) == ('semantic' in tasks)
    summary, *others = tables(result)
    rows = {name: (value, on) for name, value, on in summary.rows}
    assert (rows['PQ / SQ / RQ all'][0] == '- / - / -') == (not {'semantic', 'instances'} <= tasks)
    assert (rows['mIoU'][0] == '-') == ('semantic' not in tasks)
    assert (rows['instances matched'][0] == '-') == (not {'instances', 'depth'} <= tasks)
    titles = [table.title for table in others]
    assert ('DPQ and DVPQ by window and tolerance' in titles) == (tasks == TASKS)
    assert all(len(row) == len(t.header) for t in others for row in t.rows)


def test_a_result_of_another_model_does_not_change_what_it_cannot_tell() -> None:
    """A recording of a model without classes beside one with: nothing of it is a steady label."""
    score, depth_alone = scored_in(TASKS, name='a'), scored_in(frozenset(('depth',)), name='b')
    before = {figure.name: figure.value for figure in score.summary()[0]}
    score.merge(depth_alone)
    after = {figure.name: figure.value for figure in score.summary()[0]}
    for name in ('panoptic.pq', 'semantic.miou', 'depth_aware.dpq', 'consistency.void_share',
                 'consistency.label_stability', 'consistency.label_flicker',
                 'distance.labels.matched_share', 'distance.boxes.matched_share',
                 'agreement.same_class_share', 'agreement.instances_only_reference'):
        assert after[name] == before[name], name


@pytest.mark.parametrize('tasks', [PARTIAL[0], PARTIAL[3]], ids=['depth', 'panoptic'])
def test_a_report_of_a_model_that_does_less(tasks: frozenset[Task], wrong_bag: Path,
                                            tmp_path: Path, no_plots: None,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    take = evaluate_bag._Run._result
    monkeypatch.setattr(evaluate_bag._Run, '_result', lambda run, item: partial(
        take(run, item), tasks))
    report = scored(tmp_path, BagJob('drive', wrong_bag, SETTINGS))
    assert {name for name in report['figures'] if name in wanted(TASKS)
            and not name.startswith('agreement')} == {
        name for name in wanted(tasks) if not name.startswith('agreement')}
    page = (tmp_path / 'report.md').read_text()
    absent = {'depth': ('Panoptic quality:', 'Tracking', 'Distance by', 'keep their class'),
              'panoptic': ('Depth by range', 'Distance by', 'Coverage', 'jitter of depth')}
    for words in absent['depth' if tasks == {'depth'} else 'panoptic']:
        assert words not in page
    first = json.loads((tmp_path / 'frames.jsonl').read_text().splitlines()[0])
    assert (first['labels'] is None) == (first['depth'] is not None) == (tasks == {'depth'})


def test_one_more_metric_of_a_data_set(near: None, tmp_path: Path,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    result = evaluated(TASKS)
    share = result.values['near.near_share']
    assert 0 < share < 1 and result.near['near_pixels'] > 0
    show_result(result)
    row = f'pixels nearer than ten meters | {100 * share:.1f} % | {FRAMES} frames'
    assert all(cell in capsys.readouterr().out for cell in row.split(' | ')[:1])
    write_all(result, tmp_path, 'Near')
    assert f'| {row} |' in (tmp_path / 'evaluation.md').read_text()
    assert json.loads((tmp_path / 'evaluation.json').read_text())['near']['near_share'] == share
    without = evaluated(PARTIAL[3])
    assert 'near.near_share' not in without.values
    assert ('pixels nearer than ten meters', '-', '-') in tables(without)[0].rows


def test_one_more_metric_of_a_recording(near: None, wrong_bag: Path, tmp_path: Path) -> None:
    pytest.importorskip('matplotlib')
    limits = tmp_path / 'limits.yaml'
    limits.write_text('near.near_share: {max: 0.0001, max_loss: 0.5}\n')
    settings = SETTINGS.model_copy(update={'worst': WorstSettings(by='near', count=2)})
    job = BagJob('drive', wrong_bag, settings)
    assert evaluate_bags([job], tmp_path / 'base') is not None
    written = evaluate_bags([job], tmp_path / 'new', baseline=tmp_path / 'base',
                            thresholds=load_thresholds(limits))
    assert written is not None and written.comparison is not None
    assert [(gate.figure, gate.limit, gate.passed) for gate in written.gates] == [
        ('near.near_share', 'max', False), ('near.near_share', 'max_loss', True)]
    compared = {figure.name: figure.verdict for figure in written.comparison.figures}
    assert compared['near.near_share'] == 'same'
    report = json.loads((tmp_path / 'new/report.json').read_text())
    figure = report['figures']['near.near_share']
    assert (figure['unit'], figure['better'], figure['on']) == (
        'share', 'lower', f'{FRAMES} frames')
    assert report['detail']['evaluation']['near']['near_share'] == figure['value']
    assert [frame['figure'] for frame in report['worst']] == ['near.near_share'] * 2
    lines = (tmp_path / 'new/frames.jsonl').read_text().splitlines()
    assert 0 < json.loads(lines[0])['near']['near_share'] < 1
    for name in ('report.md', 'report.html'):
        page = (tmp_path / 'new' / name).read_text().replace('\\_', '_')
        for words in ('pixels nearer than ten meters', 'Nearness: what the robot has',
                      'near.near_share', 'Nearness: beside the metrics'):
            assert words in page, (name, words)
    assert 'Nearness over time' in (tmp_path / 'new/report.html').read_text()
    assert '| `near.near_share` | share | lower | depth |' in metric_table()


def test_frames_are_ranked_by_what_there_is() -> None:
    with pytest.raises(ValueError, match='give one of depth, lidar, labels, consistency'):
        WorstSettings(by='near')


def test_a_metric_that_is_not_there_is_no_metric(tmp_path: Path) -> None:
    (tmp_path / 'limits.yaml').write_text('near.near_share: {max: 1.0}\n')
    with pytest.raises(ConfigError, match=r"unknown metric 'near\.near_share'"):
        load_thresholds(tmp_path / 'limits.yaml')
    with pytest.raises(AttributeError, match="no metric is called 'near'"):
        _ = Evaluator().result().near


def test_the_table_in_the_document_is_that_of_the_source() -> None:
    document = DOCUMENT.read_text(encoding='utf-8')
    begin, end = f'<!-- {NAME}: begin -->\n', f'\n<!-- {NAME}: end -->'
    assert document.partition(begin)[2].partition(end)[0] == metric_table(), (
        'run python -m panoptic_depth_core.evaluation.metric_table doc/evaluation.md')
