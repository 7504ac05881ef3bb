# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Limits on metrics: what meets them, what misses them, and what cannot be one."""

from __future__ import annotations

import pytest
import report_fixture as reports
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.report.baseline import Comparison, compare_metrics
from panoptic_depth_core.evaluation.report.thresholds import Thresholds, check, load_thresholds


@pytest.fixture
def load(tmp_path):
    def read(text: str) -> Thresholds:
        path = tmp_path / 'limits.yaml'
        path.write_text(text)
        return load_thresholds(path)
    return read


def report_of(**values) -> dict:
    return {'figures': {name: found for key, value in values.items() for name, found in
                        reports.metric_value(key.replace('__', '.'), value, '9 frames').items()}}


def compared(here, there) -> Comparison:
    return Comparison('base', 'Base', compare_metrics(here, there), {}, 0, 0, 0, {}, {})


def test_least_and_greatest(load) -> None:
    limits = load('panoptic.pq: {min: 0.6, max: 0.7}\ndepth.rmse_m: {max: 2}\n'
                  'times.total_ms.p95: {max: 100}\nlidar.abs_rel: {min: 0}\n')
    gates = check(limits, report_of(panoptic__pq=0.58, depth__rmse_m=2.0), reports.times(), None)
    assert [(g.figure, g.limit, g.passed) for g in gates] == [
        ('panoptic.pq', 'min', False), ('panoptic.pq', 'max', True), ('depth.rmse_m', 'max', True),
        ('times.total_ms.p95', 'max', False), ('lidar.abs_rel', 'min', False)]
    assert [g.text for g in gates if not g.passed] == [
        'panoptic.pq is 58.0 %, at least 60.0 % is wanted',
        'times.total_ms.p95 is 185 ms, at most 100 ms is wanted',
        'lidar.abs_rel is not known in this report; at least 0 % is wanted']
    assert [g.is_of_time for g in gates] == [False, False, False, True, False]


def test_a_metric_without_a_value_misses_its_limit(load) -> None:
    gate, = check(load('panoptic.pq: {max: 1}'), report_of(panoptic__pq=None), {}, None)
    assert not gate.passed and gate.value is None


def test_a_near_miss_looks_like_one(load) -> None:
    gate, = check(load('panoptic.pq: {min: 0.6}'), report_of(panoptic__pq=0.59999), {}, None)
    assert gate.text == 'panoptic.pq is 59.999 %, at least 60.000 % is wanted'


@pytest.mark.parametrize(('here', 'there', 'passed', 'words'), [
    (0.60, 0.61, True, 'is worse by 1.00 points (61.0 % to 60.0 %), at most 2.00 points worse'),
    (0.58, 0.61, False, 'is worse by 3.00 points'), (0.7, 0.6, True, 'is better by 10.0 points'),
    (0.6, 0.6, True, 'is the same'), (None, 0.6, False, 'this report does not know it'),
    (0.6, None, False, 'the baseline does not know it')])
def test_loss_of_what_should_be_high(here, there, passed, words, load) -> None:
    limits = load('panoptic.pq: {max_loss: 0.02}')
    report = report_of(panoptic__pq=here)
    gate, = check(limits, report, {}, compared(report, report_of(panoptic__pq=there)))
    assert gate.passed is passed and words in gate.text
    assert limits.needs_baseline


def test_loss_of_what_should_be_low(load) -> None:
    limits = load('depth.abs_rel: {max_loss: 0.01}\ntimes.total_ms.p95: {max_loss: 10}')
    report = report_of(depth__abs_rel=0.10)
    times = {**reports.times(1.1), 'baseline': reports.times(1.0)}
    gates = check(limits, report, times, compared(report, report_of(depth__abs_rel=0.08)))
    assert [(g.passed, g.value) for g in gates] == [
        (False, pytest.approx(0.02)), (False, pytest.approx(18.48, abs=0.01))]
    assert 'worse by 2.00 points (8.00 % to 10.0 %)' in gates[0].text
    gate, _ = check(limits, report, times, None)
    assert not gate.passed and 'there is no baseline' in gate.text


@pytest.mark.parametrize(('text', 'words'), [
    ('', r'limits\.yaml: holds no limits; give metrics'), ('- panoptic.pq', 'holds no limits'),
    ('panoptic.qp: {min: 0.5}', r"unknown metric 'panoptic\.qp'; did you mean .*panoptic\.pq"),
    ('xyz: {min: 0.5}', r"unknown metric 'xyz'; known: agreement\.\*"),
    ('panoptic.pq: 0.5', r"panoptic\.pq is 0\.5; give limits, as in 'panoptic\.pq: \{min"),
    ('panoptic.pq: {mim: 0.5}', r"unknown key 'mim'; known keys: max, max_loss, min"),
    ('panoptic.pq: {min: high}', r"panoptic\.pq: min is 'high': Input should be a valid number"),
    ('panoptic.pq: {min: true}', r'min is True: Input should be a valid number'),
    ('panoptic.pq: {min: .nan}', r'min is nan: Input should be a finite number'),
    ('panoptic.pq: {max_loss: -1}', r'max_loss is -1: Input should be greater than or equal'),
    ('panoptic.pq: {}', r'panoptic\.pq.*sets no limit; give min, max or max_loss'),
    ('panoptic.pq: {min: 0.6, max: 0.5}', 'min 0.6 is above max 0.5'),
    ('distance.labels.bias_rel: {max_loss: 1}', 'neither more nor less of it is better'),
    ('panoptic.pq: {min: 0.5}\npanoptic.pq: {min: 0.1}', "key 'panoptic.pq' is there twice"),
    ('a: [', 'not valid YAML')])
def test_what_cannot_be_a_limit(text, words, load) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        load(text)
    assert 'limits.yaml' in str(caught.value) and '\n' not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r'none\.yaml: cannot be read: No such file'):
        load_thresholds(tmp_path / 'none.yaml')


def test_the_example(repository) -> None:
    path = repository / 'config/replay/thresholds.yaml'
    limits = load_thresholds(path)
    assert 'consistency.label_stability' in limits.limits and not limits.needs_baseline
    lines = path.read_text().splitlines()
    hidden = [line.removeprefix('# ') for line in lines if line.startswith('# ') and ': {' in line]
    assert len(hidden) >= 5
    report = reports.complete()
    assert all(gate.passed for gate in check(limits, report, reports.times(), None))


def test_what_is_commented_out_in_the_example_is_right(repository, load) -> None:
    text = (repository / 'config/replay/thresholds.yaml').read_text()
    assert load('\n'.join(line.removeprefix('# ') for line in text.splitlines()
                          if ': {' in line)).needs_baseline


def test_limits_are_stored(load) -> None:
    limits = load('panoptic.pq: {min: 0.5, max_loss: 0.01}')
    assert limits.model_dump(exclude_none=True)['limits'] == {
        'panoptic.pq': {'min': 0.5, 'max_loss': 0.01}}


def test_the_verdict_is_at_the_top(load, tmp_path) -> None:
    written = reports.write(tmp_path, reports.complete(), thresholds=load(
        'panoptic.pq: {min: 0.9}\nsemantic.miou: {min: 0.5}\ntimes.total_ms.p50: {max: 1}'))
    assert [gate.passed for gate in written.gates] == [False, True, False] and not written.passed
    page = (tmp_path / 'report.html').read_text()
    assert '<p class="mood bad">1 of 2 thresholds missed: panoptic.pq.</p>' in page
    assert page.index('1 of 1 threshold on times missed') > page.index('id="times"')
    assert '<td class="bad">missed</td>' in page and '<td class="good">met</td>' in page
