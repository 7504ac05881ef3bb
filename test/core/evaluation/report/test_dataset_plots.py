# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Plots: which are written, what they show, and what else is there without matplotlib."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from panoptic_depth_core.cli.evaluate import write_all
from panoptic_depth_core.evaluation.dataset.evaluate import evaluate
from panoptic_depth_core.evaluation.report.dataset_report import write_plots


@pytest.fixture
def result(samples, faulty):
    def stated(frame):
        found = faulty(frame)
        return dataclasses.replace(found, segments=tuple(
            dataclasses.replace(s, log_depth_scale=0.1) for s in found.segments))
    return evaluate(stated, samples)


def test_every_plot(result, tmp_path, monkeypatch) -> None:
    pytest.importorskip('matplotlib')
    monkeypatch.delenv('DISPLAY', raising=False)
    paths = write_all(result, tmp_path / 'report', 'Faulty')
    assert [p.name for p in paths] == [
        'evaluation.json', 'evaluation.md', 'pq_by_class.png', 'error_by_depth.png',
        'calibration.png']
    page = paths[1].read_text()
    for path in paths[2:]:
        image = cv2.imread(str(path))
        assert image.shape[0] > 300 and len(np.unique(image)) > 20
        assert f']({path.name})' in page


def test_what_is_shown(result, tmp_path, monkeypatch) -> None:
    figure = pytest.importorskip('matplotlib.figure')
    drawn = []
    monkeypatch.setattr(figure.Figure, 'savefig',
                        lambda self, path, **_: (drawn.append(self), path.write_bytes(b''))[1])
    write_plots(result, tmp_path)
    bars, depth, curve = (f.axes[0] for f in drawn)
    assert [t.get_text() for t in bars.get_xticklabels()] == ['car', 'sky', 'road']
    heights = [100 * result.panoptic.pq[i] for i in (13, 10, 0)]
    assert [b.get_height() for b in bars.patches] == pytest.approx(heights)
    assert [t.get_text() for t in depth.get_xticklabels()] == [
        '0 to 10', '10 to 20', '20 to 40', 'over 40']
    by_range = list(result.depth.by_range.values())
    assert [b.get_height() for b in depth.patches[:2]] == pytest.approx(
        [100 * e.abs_rel for e in by_range[:2]])
    assert depth.patches[4].get_height() == pytest.approx(
        100 * next(iter(result.distance.by_range.values())).median_rel)
    expected, observed = curve.lines[1].get_data()
    assert dict(zip(expected / 100, observed / 100, strict=True)) == pytest.approx(
        result.calibration.coverage)


def test_what_is_not_known_is_not_drawn(perfect, samples, tmp_path) -> None:
    pytest.importorskip('matplotlib')
    assert write_plots(evaluate(perfect, []), tmp_path) == []
    only_depth = evaluate(perfect, samples[3:])
    assert [p.name for p in write_plots(only_depth, tmp_path)] == ['error_by_depth.png']
    assert not (tmp_path / 'calibration.png').exists()


@pytest.mark.usefixtures('no_plots')
def test_without_matplotlib_the_rest_is_written(result, tmp_path, capsys) -> None:
    paths = write_all(result, tmp_path, 'Faulty')
    assert [p.name for p in paths] == ['evaluation.json', 'evaluation.md']
    assert '.png' not in paths[1].read_text()
    error = capsys.readouterr().err
    assert "pip install 'panoptic-depth[plots]'" in error
    assert error.count('\n') == 1
