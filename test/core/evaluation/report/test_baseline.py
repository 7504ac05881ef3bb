# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Comparison with a baseline: metrics by hand, frames by stamps, words for what is wrong."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import report_fixture as reports
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.report.baseline import (
    compare,
    compare_metrics,
    require_baseline,
)
from panoptic_depth_core.evaluation.report.files import COMPARISON, TIMES, read_json
from panoptic_depth_core.evaluation.report.folder import write_report

pytestmark = pytest.mark.usefixtures('no_plots')


def by_name(metric_values) -> dict:
    return {metric_value.name: metric_value for metric_value in metric_values}


def test_metrics_side_by_side(tmp_path) -> None:
    here, there = reports.complete(), reports.complete()
    for report, name, value in (
            (here, 'panoptic.pq', 0.6), (there, 'panoptic.pq', 0.5),
            (here, 'depth.abs_rel', 0.09), (there, 'depth.abs_rel', 0.08),
            (here, 'distance.labels.bias_rel', 0.01), (there, 'tracking.idf1', None),
            (here, 'consistency.void_share', None)):
        report['figures'][name]['value'] = value
    del here['figures']['lidar.abs_rel']
    reports.write(tmp_path / 'base', there, slower=1.25)
    reports.write(tmp_path / 'x', here)
    compared = compare(tmp_path / 'x', tmp_path / 'base')
    found = by_name(compared.figures)
    pq, error = found['panoptic.pq'], found['depth.abs_rel']
    assert (pq.change, pq.gain, pq.verdict) == (pytest.approx(0.1), pytest.approx(0.1), 'better')
    assert (error.change, error.gain) == (pytest.approx(0.01), pytest.approx(-0.01))
    assert error.verdict == 'worse'
    assert {name: found[name].verdict for name in (
        'distance.labels.bias_rel', 'tracking.idf1', 'consistency.void_share', 'lidar.abs_rel',
        'semantic.miou')} == {
            'distance.labels.bias_rel': 'changed', 'tracking.idf1': 'only here',
            'consistency.void_share': 'only in the baseline',
            'lidar.abs_rel': 'only in the baseline', 'semantic.miou': 'same'}
    total = by_name(compare_metrics(*(
        read_json(tmp_path / name / TIMES) for name in ('x', 'base'))))['times.total_ms.p50']
    assert total.verdict == 'better' and total.here * 1.25 == pytest.approx(total.there)


def test_settings_that_differ_are_named(tmp_path) -> None:
    here, there = reports.minimal(), reports.minimal()
    there['run']['backend'] = 'torch'
    there['run']['evaluation']['lidar']['max_m'] = 50.0
    here['run']['settings']['thresholds']['void'] = 0.5
    reports.write(tmp_path / 'base', there)
    reports.write(tmp_path / 'x', here)
    assert compare(tmp_path / 'x', tmp_path / 'base').settings == {
        'backend': ('onnxruntime', 'torch'), 'settings.thresholds.void': (0.5, None),
        'evaluation.lidar.max_m': (80.0, 50.0)}


def test_frames_are_matched_by_recording_and_stamp(tmp_path) -> None:
    here, there = reports.complete(), reports.complete()
    here['bags'] = [reports.bag('a', 30, ('labels',)), reports.bag('b', 5), reports.bag('c', 2)]
    there['bags'] = [reports.bag('b', 7), reports.bag('a', 20, ('labels',)), reports.bag('d', 4)]
    reports.write(tmp_path / 'base', there, shift=0.01)
    reports.write(tmp_path / 'x', here)
    compared = compare(tmp_path / 'x', tmp_path / 'base')
    assert (compared.matched, compared.only_here, compared.only_there) == (25, 12, 6)
    assert list(compared.lines) == ['a', 'b']


def test_single_recordings_are_matched_whatever_their_names(tmp_path) -> None:
    here, there = reports.minimal(), reports.minimal()
    there['bags'][0]['name'] = 'the same drive, live'
    reports.write(tmp_path / 'base', there)
    reports.write(tmp_path / 'x', here)
    compared = compare(tmp_path / 'x', tmp_path / 'base')
    assert (compared.matched, compared.only_here, compared.only_there) == (20, 0, 0)
    assert list(compared.lines) == ['kitti_0005_raw20']


def test_frames_that_changed_most(tmp_path) -> None:
    report = reports.complete()
    report['bags'] = [reports.bag('a', 30, ('labels',))]
    reports.write(tmp_path / 'base', report)

    def changed():
        for i, record in enumerate(reports.frames(report)):
            record['depth']['abs_rel'] += (i - 10) / 1000
            record['labels']['pq'] += 0.3 if i == 3 else 0.0
            yield record

    report['worst'] = []
    written = write_report(tmp_path / 'x', report, reports.times(), changed(), {},
                           baseline=tmp_path / 'base')
    better, worse = written.comparison.better, written.comparison.worse
    # Frame 10 is the same: it is in neither.
    assert [frame.name for frame in worse['depth.abs_rel']] == [
        f'{i:06d}' for i in range(29, 19, -1)]
    assert [frame.name for frame in better['depth.abs_rel']] == [f'{i:06d}' for i in range(10)]
    first = worse['depth.abs_rel'][0]
    assert first.here - first.there == pytest.approx(0.019)
    assert [frame.name for frame in better['labels.pq']] == ['000003'] and (
        'labels.pq' not in worse)
    page = (tmp_path / 'x/report.md').read_text()
    assert '### Frames that became worse: depth error, mean relative (absRel)' in page
    assert '+1.90 points | 1317046452.900000000 s |' in page


def test_what_is_stored(tmp_path) -> None:
    reports.write(tmp_path / 'base', reports.complete(1.2), slower=2.0)
    written = reports.write(tmp_path / 'x', reports.complete(), baseline=tmp_path / 'base')
    stored = read_json(tmp_path / 'x' / COMPARISON)
    assert 'times' not in stored and 'times.total_ms' not in json.dumps(stored)
    assert stored == json.loads(json.dumps(asdict(written.comparison)))
    assert written.comparison == compare(tmp_path / 'x', tmp_path / 'base')
    page = (tmp_path / 'x/report.md').read_text()
    assert '(PQ) | 61.2 % | 51.0 % | +10.2 points | better | 60 frames, 212 instances |' in page
    assert 'Frames matched by stamp: 90; only here: 0; only in the baseline: 0.' in page


def test_a_baseline_that_is_none(tmp_path) -> None:
    with pytest.raises(ConfigError, match='nothing: not a report: there is no such folder'):
        require_baseline(tmp_path / 'nothing', tmp_path / 'x')
    with pytest.raises(ConfigError, match=r'not a report: it has no report\.json'):
        require_baseline(tmp_path, tmp_path / 'x')
    reports.write(tmp_path / 'base', reports.minimal())
    with pytest.raises(ConfigError, match='is the folder of this report'):
        reports.write(tmp_path / 'base', reports.minimal(), baseline=tmp_path / 'base')
    path = tmp_path / 'base/report.json'
    path.write_text(path.read_text().replace('"format": 1', '"format": 7'))
    with pytest.raises(ConfigError, match='format is 7: Input should be 1'):
        require_baseline(tmp_path / 'base', tmp_path / 'x')
    path.write_text('{"format": 1, "run": {}}')
    with pytest.raises(ConfigError, match='bags: Field required; evaluate the recordings again'):
        require_baseline(tmp_path / 'base', tmp_path / 'x')
    path.write_text('[1]')
    with pytest.raises(ConfigError, match='holds a list and not an object'):
        require_baseline(tmp_path / 'base', tmp_path / 'x')
    path.write_text('{')
    with pytest.raises(ConfigError, match='is not valid JSON'):
        require_baseline(tmp_path / 'base', tmp_path / 'x')


def test_frames_of_a_baseline_that_cannot_be_joined(tmp_path) -> None:
    report = reports.minimal()
    reports.write(tmp_path / 'base', report)
    reports.write(tmp_path / 'x', report)
    path = tmp_path / 'base/frames.jsonl'
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b''.join([lines[1], lines[0]]))
    with pytest.raises(ConfigError, match="'000000' of 'kitti_0005_raw20' is not in the order"):
        compare(tmp_path / 'x', tmp_path / 'base')
    other = lines[1].replace(b'kitti_0005_raw20', b'other')
    path.write_bytes(b''.join([lines[0], other, lines[2]]))
    with pytest.raises(ConfigError, match=r'line 3: the frames of .* are not together'):
        compare(tmp_path / 'x', tmp_path / 'base')
    path.unlink()
    with pytest.raises(ConfigError, match=r'frames\.jsonl: cannot be read: No such file'):
        compare(tmp_path / 'x', tmp_path / 'base')
