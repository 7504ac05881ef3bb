# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Reports in a real browser: pictures and plots are seen, nothing is wider than a phone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import cv2
import numpy as np
import pytest
import report_fixture as reports
from panoptic_depth_core.evaluation.report.thresholds import Limit, Thresholds

BROWSERS = ('chromium', 'chromium-headless-shell', 'google-chrome')
FLAGS = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
         '--disable-component-update', '--disable-sync', '--no-first-run', '--hide-scrollbars',
         '--host-resolver-rules=MAP * ~NOTFOUND', '--virtual-time-budget=2000')

# A page of ours around the report, which has no script itself, asks the browser what it sees.
ASK = """<!DOCTYPE html><iframe src="report.html" style="width:%dpx;height:5000px;
border:0"></iframe><pre></pre><script>
const frame = document.querySelector('iframe');
frame.onload = () => {
  const page = frame.contentDocument, root = page.documentElement;
  document.querySelector('pre').textContent = JSON.stringify({
    width: root.scrollWidth, mode: page.compatMode, title: page.title,
    sections: [...page.querySelectorAll('section')].map(s => s.id),
    scripts: page.scripts.length,
    images: [...page.images].map(i => [i.naturalWidth, i.naturalHeight, i.clientWidth]),
    plots: [...page.querySelectorAll('svg.plot')].map(s => [s.clientWidth, s.clientHeight,
      s.querySelectorAll('path, use').length, s.querySelectorAll('text').length]),
    outside: [...page.querySelectorAll('svg.plot')].filter(s => {
      const box = s.getBoundingClientRect();
      return [...s.querySelectorAll('text')].some(t => {
        const r = t.getBoundingClientRect();
        return r.left < box.left - 1 || r.right > box.right + 1 || r.bottom > box.bottom + 1;
      });
    }).length,
    links: [...page.links].every(a => page.getElementById(a.hash.slice(1))),
    loaded: frame.contentWindow.performance.getEntriesByType('resource').map(e => e.name)
      .filter(name => !name.startsWith('data:')),
  });
};
</script>"""


@pytest.fixture(scope='module')
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f'no browser: none of {", ".join(BROWSERS)} is on the PATH')
    return found


@pytest.fixture(scope='module')
def folders(tmp_path_factory) -> Path:
    pytest.importorskip('matplotlib')
    folder = tmp_path_factory.mktemp('browser')
    limits = Thresholds(source='t.yaml', limits={'panoptic.pq': Limit(min=0.7)})
    reports.write(folder / 'base', reports.complete(1.15), shift=0.02)
    reports.write(folder / 'complete', reports.complete(), baseline=folder / 'base',
                  thresholds=limits)
    reports.write(folder / 'minimal', reports.minimal())
    reports.write(folder / 'hostile', reports.hostile())
    return folder


def run(browser: str, folder: Path, *flags: str) -> str:
    """Run a browser to its end; what it prints."""
    done = subprocess.run(
        [browser, *FLAGS, f'--user-data-dir={folder / "profile"}', *flags], timeout=120,
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask(browser: str, folder: Path, tmp_path: Path, width: int) -> dict:
    """What the browser sees in a report that is so wide."""
    page = folder / f'ask_{width}.html'
    page.write_text(ASK % width)
    dom = run(browser, tmp_path, '--allow-file-access-from-files', '--dump-dom', page.as_uri())
    return json.loads(unescape(re.search('<pre>(.*)</pre>', dom, re.DOTALL)[1]))


def shot(browser: str, page: Path, tmp_path: Path, width: int, *flags: str) -> np.ndarray:
    """(3000, width, 3) uint8 BGR: the page from its top."""
    path = tmp_path / 'shot.png'
    run(browser, tmp_path, f'--window-size={width},3000', f'--screenshot={path}', *flags,
        page.as_uri())
    return cv2.imread(str(path))


@pytest.mark.parametrize('kind', ['complete', 'minimal', 'hostile'])
def test_everything_is_seen_on_a_phone(kind, browser, folders, tmp_path) -> None:
    seen = ask(browser, folders / kind, tmp_path, 390)
    assert seen['width'] == 390
    assert seen['mode'] == 'CSS1Compat' and seen['scripts'] == 0 and seen['loaded'] == []
    expected = {'complete': ['summary', 'thresholds', 'recordings', 'plots', 'worst', 'baseline',
                             'metrics', 'meaning', 'conventions', 'settings', 'times'],
                'minimal': ['summary', 'recordings', 'plots', 'metrics', 'meaning', 'conventions',
                            'settings', 'times']}
    if kind in expected:
        assert seen['sections'] == expected[kind]
    assert len(seen['images']) == {'complete': 3, 'minimal': 0, 'hostile': 1}[kind]
    assert all(size[:2] == [800, 240] and 300 < size[2] < 390 for size in seen['images'])
    assert len(seen['plots']) == {'complete': 10, 'minimal': 5, 'hostile': 10}[kind]
    assert all(300 < width < 390 and height > 150 and marks > 10 and texts > 5
               for width, height, marks, texts in seen['plots'])
    assert seen['outside'] == 0 and seen['links']


def test_wide_page_has_plots_beside_each_other(browser, folders, tmp_path) -> None:
    seen = ask(browser, folders / 'complete', tmp_path, 1200)
    assert seen['width'] == 1200
    assert all(450 < width < 560 for width, *_ in seen['plots'])


def test_the_question_finds_what_is_wrong(browser, folders, tmp_path) -> None:
    page = (folders / 'minimal/report.html').read_text()
    page = page.replace('<main>', '<main><div style="width:900px">wide</div><img alt="" '
                        'src="data:image/jpeg;base64,AAAA"><script></script>')
    (tmp_path / 'report.html').write_text(page)
    seen = ask(browser, tmp_path, tmp_path, 390)
    assert seen['width'] > 890 and seen['scripts'] == 1 and seen['images'][0][0] == 0


def test_in_the_light_and_in_the_dark(browser, folders, tmp_path) -> None:
    page = folders / 'complete/report.html'
    light = shot(browser, page, tmp_path, 1200)
    dark = shot(browser, page, tmp_path, 1200, '--blink-settings=preferredColorScheme=0')
    for picture, bright in ((light, True), (dark, False)):
        corner = int(picture[5, 5].astype(int).sum())
        assert corner > 700 if bright else corner < 100
        # Blue, orange and green of the plots, and text, on either ground.
        blue, green, red = (picture[..., i].astype(int) for i in range(3))
        for found in (blue - red > 80, red - blue > 120, (green - red > 60) & (green > blue)):
            assert found.sum() > 3000
        text = (picture.max(axis=2) < 90) if bright else (picture.min(axis=2) > 170)
        assert text.sum() > 5000


def test_nothing_is_asked_of_the_network(browser, folders, tmp_path) -> None:
    def asked(page: Path) -> list[str]:
        log = tmp_path / 'net.json'
        run(browser, tmp_path, f'--log-net-log={log}', '--dump-dom', page.as_uri())
        return re.findall(r'"url":"(http[^"]*)"', log.read_text())

    for kind in ('complete', 'hostile'):
        assert asked(folders / kind / 'report.html') == []
    bad = tmp_path / 'bad.html'
    bad.write_text('<img src="http://e.example/x.png">')
    assert any('e.example' in url for url in asked(bad))
