# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Reports: what is in them, that names stay names, and that they are the same each time."""

from __future__ import annotations

import base64
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import report_fixture as reports
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.metrics.table import METRICS
from panoptic_depth_core.evaluation.report.files import MOST_POINTS, Frames
from panoptic_depth_core.evaluation.report.folder import write_report
from panoptic_depth_core.evaluation.report.format import (
    change_text,
    metric_text,
    significant,
    stamp_text,
)
from panoptic_depth_core.evaluation.report.pages import escape
from panoptic_depth_core.evaluation.report.thresholds import Limit, Thresholds

_VOID = {'meta', 'img', 'br', 'link', 'input', 'hr', 'path', 'use'}


class Page(HTMLParser):
    """Elements, attributes and text of a page; elements must be closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or '') for name, value in attrs]
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or '') for name, value in attrs]

    def handle_endtag(self, tag) -> None:
        if tag not in _VOID:
            assert self._open.pop() == tag

    def handle_data(self, data) -> None:
        self.words.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]


def pages(folder: Path) -> tuple[str, str]:
    return (folder / 'report.md').read_text(), (folder / 'report.html').read_text()


def without_times(folder: Path) -> dict[str, bytes]:
    """Bytes of all files, the pages without their section of times."""
    found = {str(path.relative_to(folder)): path.read_bytes()
             for path in sorted(folder.rglob('*')) if path.is_file() and path.name != 'times.json'}
    found['report.md'] = re.sub(rb'\n## Times\n.*', b'', found['report.md'], flags=re.DOTALL)
    found['report.html'], count = re.subn(
        rb'<section id="times".*?</section>', b'', found['report.html'], flags=re.DOTALL)
    assert count == 1
    return found


@pytest.fixture(scope='module')
def folders(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('reports')
    for kind in ('complete', 'minimal', 'with_error', 'hostile'):
        reports.write(folder / kind, getattr(reports, kind)())
    return folder


@pytest.mark.parametrize(('value', 'unit', 'text'), [
    (0.6124, 'share', '61.2 %'), (1.0, 'share', '100 %'), (0.9999, 'share', '> 99.9 %'),
    (0.0, 'share', '0 %'), (-0.01234, 'share', '-1.23 %'), (0.0000123, 'share', '0.00123 %'),
    (2.7149, 'm', '2.71 m'), (1234.5, 'ms', '1234 ms'), (0.99999, 'm', '1.00 m'),
    (3, 'count', '3'), (7.69, '1/s', '7.69 1/s'), (None, 'm', '-'), (math.nan, 'share', '-'),
    (1.2e-7, '', '1.20e-07')])
def test_metrics_as_text(value, unit, text) -> None:
    assert metric_text(value, unit) == text


def test_differences_and_stamps_as_text() -> None:
    assert change_text(0.0123, 'share') == '+1.23 points'
    assert change_text(-0.5, 'm') == '-0.500 m'
    assert (change_text(0.0, 'm'), change_text(None, 'm')) == ('0', '-')
    assert stamp_text(1_000_000_007) == '1.000000007 s'
    assert significant(999.9) == '1000'


@pytest.mark.parametrize('kind', ['complete', 'minimal', 'with_error', 'hostile'])
def test_a_page_is_whole_and_needs_nothing_else(kind, folders) -> None:
    _, html = pages(folders / kind)
    assert html.startswith('<!DOCTYPE html>\n<html lang="en">')
    page = Page(html)
    ids = page.values('id')
    assert len(set(ids)) == len(ids)
    links = [value for name in ('href', 'xlink:href') for value in page.values(name)]
    assert links and all(link.startswith('#') and link[1:] in ids for link in links)
    assert not {'script', 'link', 'iframe', 'object', 'embed', 'base', 'form'} & set(page.tags)
    assert all(src.startswith('data:image/jpeg;base64,') for src in page.values('src'))
    assert not [name for _, name, _ in page.attributes if name.startswith('on')]
    assert set(re.findall(r'url\((.)', html)) <= {'#'} and '@import' not in html
    referenced = set(re.findall(r'url\(#([^)]+)\)', html))
    assert referenced <= set(ids)
    assert page.tags.count('img') == len([n for t, n, _ in page.attributes if (t, n) == (
        'img', 'alt')])
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch('h[1-6]', tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False))


def test_what_a_complete_report_shows(folders) -> None:
    markdown, html = pages(folders / 'complete')
    for text in (markdown, html):
        for words in ('61.2 %', '60 frames, 212 instances', 'city_south',
                      'stamp is there twice', 'PQ: classes in no truth', 'LiDAR: points from 0.5',
                      'distance.boxes.median_rel', 'traffic light',
                      '7.69 frames per second', '1317046450.100000000 s', 'thresholds.score'):
            assert words in text, words
    assert '![Frame 000000 of city_south' in markdown
    assert '(worst/01_city_south_000000.jpg)' in markdown
    assert '| 0 to 10 m | 4000000 | 8.00 % | 2.50 m | 94.0 % | 2.00 % |' in markdown
    assert '| car | 70.0 % | 85.0 % | 82.0 % | 76.0 % | 10 | 10 | 10 | 8.00 % | 9000 |' in markdown
    assert '| car | 6.00 % (120) | 7.50 % (60) | 9.00 % (40) | 10.5 % (30) |' in markdown
    assert '| 68 % | 65.4 % | 60.6 % |' in markdown
    assert '| train |' not in markdown
    for source, header in (('true labels', 'instances | found | error'),
                           ('LiDAR', 'instances | error')):
        assert f'### Distance by class, {source}\n\n| class | {header}' in markdown
    section = markdown.partition('## What the metrics mean')[2].partition('## ')[0]
    assert len(re.findall(r'^- ', section, re.MULTILINE)) == len({
        text for metric in METRICS.values() for text in metric.meanings.values()}) - 2
    assert 'on its predicted mask. What was not predicted is not among them' in section
    data = (folders / 'complete/worst/01_city_south_000000.jpg').read_bytes()
    assert base64.b64encode(data).decode() in html
    plots = re.findall(r'<strong>(.*?)</strong>', html)
    assert plots == [
        'Depth error by range', 'Distance error by range', 'Coverage of the uncertainty of depth',
        'Distance error by class', 'PQ over time', 'Label stability over time',
        'Jitter of depth over time', 'Height above the ground over time', 'Latency by percentile',
        'Time of each step']
    assert 'LiDAR: 0 to 10 9.60 %, 10 to 20 14.4 %' in html


def test_what_is_not_known_is_left_out(folders) -> None:
    markdown, html = pages(folders / 'minimal')
    assert 'recorded results of fast-2026.11; 1 recording, 20 frames scored' in markdown
    for words in ('PQ', 'LiDAR', 'Worst', 'Thresholds', 'baseline', 'Quality by class'):
        assert words not in re.sub('<style.*?</style>', '', html, flags=re.DOTALL), words
    assert '| pixels that keep their class | 96.2 % |' in markdown
    assert '| road | 99.0 % |' in markdown
    section = markdown.partition('## What the metrics mean')[2].partition('## ')[0]
    assert 'how steady results are, not whether they are right' in section
    assert 'Depth' not in section
    assert re.findall(r'<strong>(.*?)</strong>', html)[0] == 'Label stability over time'


def test_a_failed_recording_is_named_at_the_top(folders) -> None:
    markdown, html = pages(folders / 'with_error')
    assert '**1 of 2 recordings could not be scored: broken.**' in markdown
    assert html.index('could not be scored') < html.index('id="recordings"')
    assert 'not scored: broken.mcap: no readable chunk; copy it again' in html


def test_names_stay_names(folders) -> None:
    markdown, html = pages(folders / 'hostile')
    page = Page(html)
    assert page.tags.count('title') == 1
    assert any('</title><script>alert("x")</script>|`a\'b` *c*' in words for words in page.words)
    assert '\x00' not in html and b'\xed\xa0\x80' not in html.encode()
    assert '<' not in markdown and not re.search(r'(?<!\\)\]\(http', markdown)
    assert '\x00' not in markdown
    rows = [line for line in markdown.splitlines() if line.startswith('|')]
    widths = [len(re.findall(r'(?<!\\)\|', line)) for line in rows]
    for line, before, after in zip(rows[1:], widths, widths[1:], strict=False):
        assert before == after or not line.startswith('| ---'), line
    assert 'The picture ../secret.jpg is missing' in html


def test_escaping_of_markdown() -> None:
    assert escape('a|b\n<i> `c` traffic_light _x_ ![y](z)') == (
        'a\\|b &lt;i\\> \\`c\\` traffic_light \\_x\\_ \\!\\[y\\](z)')


def test_only_times_may_differ(tmp_path) -> None:
    limits = Thresholds(source='t.yaml', limits={
        'times.total_ms.p95': Limit(max=200.0), 'panoptic.pq': Limit(min=0.5)})
    reports.write(tmp_path / 'base', reports.complete(1.1))
    for name, slower in (('a', 1.0), ('b', 3.0)):
        reports.write(tmp_path / name, reports.complete(), slower=slower, thresholds=limits,
                      baseline=tmp_path / 'base')
    a, b = without_times(tmp_path / 'a'), without_times(tmp_path / 'b')
    assert list(a) == list(b) and [name for name in a if a[name] != b[name]] == []
    assert (tmp_path / 'a/times.json').read_bytes() != (tmp_path / 'b/times.json').read_bytes()
    slow = pages(tmp_path / 'b')[1].partition('id="times"')[2]
    assert '1 of 1 threshold on times missed' in slow and 'missed' in slow


def test_nothing_of_an_earlier_report_stays(folders, tmp_path) -> None:
    reports.write(tmp_path / 'x', reports.complete(), baseline=folders / 'complete',
                  thresholds=Thresholds(source='t', limits={'panoptic.pq': Limit(min=0.5)}))
    written = reports.write(tmp_path / 'x', reports.minimal())
    assert [path.name for path in written.paths] == [
        'report.json', 'frames.jsonl', 'times.json', 'report.md', 'report.html']
    assert written.passed and written.no_plots is None
    assert sorted(p.name for p in (tmp_path / 'x').rglob('*') if p.is_file()) == [
        'frames.jsonl', 'report.html', 'report.json', 'report.md', 'times.json']


@pytest.mark.usefixtures('no_plots')
def test_without_matplotlib_there_are_tables(tmp_path) -> None:
    written = reports.write(tmp_path, reports.complete())
    assert written.no_plots is not None and written.no_plots.name == 'matplotlib'
    markdown, html = pages(tmp_path)
    assert html.count("pip install 'panoptic-depth[plots]'") == 1
    assert '<svg' not in html and '61.2 %' in html and 'matplotlib' not in markdown


def test_finished_lines_are_written_as_they_are(tmp_path) -> None:
    report = reports.minimal()
    lines = [json.dumps(record, separators=(',', ':')).encode() + b'\n'
             for record in reports.frames(report)]
    write_report(tmp_path / 'a', report, reports.times(), iter(lines), {})
    reports.write(tmp_path / 'b', report)
    assert (tmp_path / 'a/frames.jsonl').read_bytes() == b''.join(lines) == (
        tmp_path / 'b/frames.jsonl').read_bytes()


@pytest.mark.parametrize(('line', 'words'), [
    (b'{"bag": "a"}\n', 'line 2 is no frame with a bag'), (b'half', 'line 2 is no frame')])
def test_broken_lines_are_named(line, words, tmp_path) -> None:
    report = reports.minimal()
    first = next(reports.frames(report))
    with pytest.raises(ConfigError, match=rf'frames\.jsonl: {words}'):
        write_report(tmp_path, report, {}, [first, line], {})


def test_lines_are_thinned_by_means(tmp_path) -> None:
    report = {'bags': [reports.bag('a', 5000, ('labels',)), reports.bag('b', 3, ('labels',))]}
    records = list(reports.frames(report))
    (tmp_path / 'frames.jsonl').write_text(''.join(f'{json.dumps(r)}\n' for r in records))
    frames = Frames(tmp_path)
    assert frames.counts == {'a': 5000, 'b': 3}
    lines = {bag: frames.lines(bag, 2) for bag in frames.counts}
    long = lines['a']['labels.pq']
    assert MOST_POINTS / 2 <= len(long) <= MOST_POINTS
    assert long[0][0] == pytest.approx(0.35) and long[1][0] - long[0][0] == pytest.approx(0.8)
    assert long[0][1] == pytest.approx(sum(r['labels']['pq'] for r in records[:8]) / 8)
    assert [value for _, value in lines['b']['labels.pq']] == pytest.approx(
        [r['labels']['pq'] for r in records[5000:]])
    assert lines['b']['consistency.depth_jitter'][1][1] is None
