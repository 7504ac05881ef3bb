# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Distances through lenses, measured on few scenes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from panoptic_depth_core.benchmark import lenses
from panoptic_depth_core.cli import app
from typer.testing import CliRunner

pytest.importorskip('embreex', reason='scenes need the extra [synthetic]')


@pytest.mark.parametrize('case', lenses.CASES, ids=lambda case: case.name)
def test_cameras_have_the_angles_that_they_are_named_by(case):
    camera = lenses.camera_of(case)
    rays = camera.rays(np.array([[-0.5, camera.cy], [camera.width - 0.5, camera.cy]]))
    left, right = np.degrees(np.arctan(rays[:, 0]))
    assert right - left == pytest.approx(case.fov_deg, abs=0.4)


def test_report(monkeypatch):
    """Of the barrel alone: distances are those of the pinhole camera; without it they are not."""
    monkeypatch.setattr(lenses, 'CASES', lenses.CASES[1:2])
    monkeypatch.setattr(lenses, '_HOST_REPEATS', 1)
    report = lenses.measure_lenses(None, 2, threads=1)
    none, row = report.rows
    assert none['host_ms'] > 0 and row['host_ms'] > 0
    assert row['things'] >= 5 and row['to_pinhole_%'] < 2 < row['ignored_to_pinhole_%']
    assert abs(row['bias_%']) < 2 and math.isfinite(row['pinhole_error_%'])
    assert set(row) <= set(report.columns) and 'ignored' in report.to_markdown()


def test_options_of_others_are_refused():
    result = CliRunner().invoke(app, ['benchmark', '--what', 'lenses', '--jobs', '2'])
    assert result.exit_code and '--jobs' in str(result.exception or result.output)
