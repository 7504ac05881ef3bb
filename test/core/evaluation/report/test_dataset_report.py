# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Reports: complete, the same each time, and readable by what reads them."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.dataset.evaluate import evaluate
from panoptic_depth_core.evaluation.report.dataset_report import (
    conventions,
    tables,
    to_dict,
    write_report,
)
from panoptic_depth_core.evaluation.settings import EvaluationSettings


@pytest.fixture
def page(tmp_path):
    """Return evaluation.md of a result."""
    def write(result, title='Evaluation', plots=()) -> str:
        return write_report(result, tmp_path, title, plots)[1].read_text()
    return write


@pytest.fixture
def result(samples, faulty):
    return evaluate(faulty, samples)


def test_json_holds_the_metrics_and_no_nan(result) -> None:
    report = json.loads(json.dumps(to_dict(result), allow_nan=False))
    assert report['frames'] == {
        'all': 4, 'semantics': 2, 'instances': 2, 'depth': 2, 'distance': 1,
        'depth_aware': 1}
    assert report['panoptic_quality']['all']['pq'] == result.panoptic.all.pq
    assert report['panoptic_quality']['by_class']['false_negatives']['car'] == 2
    assert report['panoptic_quality']['by_class']['pq']['train'] is None
    assert report['semantic']['by_class']['counted']['car'] is True
    assert report['depth']['pooled']['abs_rel'] == pytest.approx(0.1)
    assert report['depth']['by_class']['car']['pixels'] == 240
    assert report['distance']['by_class']['car']['matched'] == 1
    last = report['distance']['by_range'][-1]
    assert (last['near_m'], last['far_m'], last['median_rel']) == (40, None, None)
    assert report['settings']['crowds'] == 'any_class'


def test_dpq_by_window_and_tolerance(samples, faulty, page) -> None:
    frames = [dataclasses.replace(samples[0], sequence='drive')] * 3
    result = evaluate(faulty, frames, EvaluationSettings(windows=(1, 2), tolerances=(0.5, 0.05)))
    report = to_dict(result)['depth_aware_quality']
    assert [(w['frames'], w['windows']) for w in report['by_window']] == [(1, 3), (2, 2)]
    loose, strict = report['by_window'][1]['by_tolerance']
    assert (loose['tolerance'], strict['tolerance']) == (0.5, 0.05)
    # All depths are 10 % off, or missing.
    assert loose['things']['pq'] > strict['things']['pq'] == 0
    assert loose['by_class']['true_positives']['car'] == 2
    assert report['all'] == pytest.approx(np.mean([w['all'] for w in report['by_window']]))
    table = tables(result)[1]
    assert table.header == ('frames, classes', 'lambda 0.5', 'lambda 0.05', 'mean', 'windows')
    assert [row[0] for row in table.rows[:4]] == [
        'k = 1, all', 'k = 2, all', 'mean over k, all', 'k = 1, things']
    assert table.rows[1][1] == f'{100 * loose["all"]["pq"]:.1f} %'
    text = page(result)
    assert 'over windows of k = 1, 2 consecutive frames' in text
    assert 'single-image models do not track' in text
    assert 'DVPQ, mean over k' in text
    assert 'do not track' not in page(evaluate(faulty, frames))


def test_calibration_is_shown_where_the_model_says_it(samples, perfect, page) -> None:
    def stated(frame):
        found = perfect(frame)
        return dataclasses.replace(found, segments=tuple(
            dataclasses.replace(s, log_depth_scale=0.1) for s in found.segments))

    result = evaluate(stated, samples)
    assert result.calibration.pixels == 2 * 240
    report = json.loads(json.dumps(to_dict(result), allow_nan=False))
    assert report['calibration']['coverage'][0] == {'expected': 0.05, 'observed': 1.0}
    assert report['calibration']['coverage_68'] == report['calibration']['coverage_95'] == 1
    assert report['calibration']['frames'] == 2
    assert report['distance']['by_class']['car']['coverage_95'] == 1
    text = page(result)
    for line in ('pixels within the expected 68 % range | 100.0 % | 2 frames, 480 px, ',
                 'pixels within the expected 95 % range | 100.0 % | 2 frames, 480 px, ',
                 'instances within the expected 68 % range | 100.0 % | 2 instances in 1 frames |',
                 'instances within the expected 95 % range | 100.0 % | 2 instances in 1 frames |'):
        assert f'| {line}' in text
    assert tables(result)[-1].title == 'Calibration of the uncertainty of depth'
    assert '| 68 % | 100.0 % |' in text
    silent = evaluate(perfect, samples)
    assert '| uncertainty of depth | not predicted | - |' in page(silent)
    assert to_dict(silent)['calibration']['temperature'] is None
    assert to_dict(silent)['calibration']['coverage_95'] is None
    assert to_dict(silent)['distance']['all']['coverage_68'] is None
    assert 'instances within' not in page(silent)


def test_plots_are_linked(result, page, tmp_path) -> None:
    assert '\n![error by depth](error_by_depth.png)\n' in page(
        result, plots=[tmp_path / 'error_by_depth.png'])


def test_an_empty_evaluation_has_reports_too(perfect, page) -> None:
    empty = evaluate(perfect, [])
    json.dumps(to_dict(empty), allow_nan=False)
    text = page(empty)
    assert '| mIoU | - | 0 frames, 0 classes |' in text and 'nan' not in text.lower()


def test_markdown(result, page) -> None:
    text = page(result, 'Faulty pipeline')
    assert text.startswith('# Faulty pipeline\n\n## Summary of 4 frames\n\n| metric | value |')
    assert '| instances matched | 50.0 % | 2 instances in 1 frames |' in text
    assert '| distance error, median | 20.0 % | 1 instances in 1 frames |' in text
    assert '| absRel, over pixels | 0.1000 | 2 frames, ' in text
    assert '| \\> 40 |' in text
    assert 'classes in no truth and no prediction are left out of means' in text
    for line in text.splitlines():
        if line.startswith('| car |'):
            break
    else:
        pytest.fail('no row for cars')


def test_tables_have_a_cell_under_every_heading(result) -> None:
    shown = tables(result)
    assert [t.title for t in shown] == [
        'Summary of 4 frames', 'DPQ and DVPQ by window and tolerance', 'By class',
        'By true depth']
    for table in shown:
        assert {len(row) for row in table.rows} == {len(table.header)}
    by_class = shown[2]
    assert [row[0] for row in by_class.rows] == ['road', 'sky', 'car', 'truck']
    # No instance of a truck was labeled, so it has no counts.
    assert by_class.rows[-1][by_class.header.index('FN')] == '-'


@pytest.mark.parametrize(('settings', 'words'), [
    ({'absent_classes': 'zero'}, 'count as 0 in means'),
    ({'crowds': 'same_class'}, 'or on a crowd of its class'),
    ({'depth_cap_m': 50}, '0 < truth <= 50 m'),
    ({'min_truth_share': 0.02}, 'at least 2 %'),
    ({'min_instance_pixels': 7}, 'at least 7 px')])
def test_conventions_are_named(samples, perfect, settings, words: str, page) -> None:
    result = evaluate(perfect, samples, EvaluationSettings(**settings))
    assert words in ' '.join(conventions(result))
    assert words.replace('<', '&lt;') in page(result)


def test_the_same_evaluation_writes_the_same_bytes(samples, faulty, tmp_path) -> None:
    written = [write_report(evaluate(faulty, samples), tmp_path / name) for name in 'ab']
    assert [p.name for p in written[0]] == ['evaluation.json', 'evaluation.md']
    for first, second in zip(*written, strict=True):
        assert first.read_bytes() == second.read_bytes()
        assert first.stat().st_size > 500


def test_a_folder_that_cannot_be_written_is_named(result, tmp_path) -> None:
    (tmp_path / 'file').write_text('here')
    with pytest.raises(ConfigError, match='file: cannot be written'):
        write_report(result, tmp_path / 'file')
