# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Every input of test/cases through ``predict`` and ``evaluate-bag``, with the right values."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from panoptic_depth_core.cli import main
from panoptic_depth_core.cli.predict import predict_source
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.structures import Frame
from right_values import FOLDER, RIGHT, Right

REPOSITORY = Path(__file__).resolve().parents[2]


def is_bag(name: str) -> bool:
    """By what test/cases has."""
    path = FOLDER / name
    return path.suffix == '.mcap' or (path.is_dir() and any(path.glob('*.db3')))


@pytest.fixture
def source(request: pytest.FixtureRequest, case: Callable[[str], Path]) -> Path:
    """A copy of an input, with what is beside it."""
    name = Path(request.getfixturevalue('name'))
    if right_of(str(name)).extra:
        pytest.importorskip(right_of(str(name)).extra)
    return case(str(name.parent)) / name.name


def right_of(name: str) -> Right:
    """What is right for a case."""
    return RIGHT[name]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below."""
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob('*') if path.is_file()}


def check_told(told: str, right: Right) -> None:
    """The words are there, once each reason, and nothing blames the program."""
    told = ' '.join(told.split())
    assert not [word for word in right.says if word not in told], told
    assert not [word for word in right.never if word in told], told
    assert 'fault of' not in told and 'Traceback' not in told
    if right.silent:
        assert told.count('warning: ') == told.count('warning: the camera is not known')


@pytest.mark.parametrize('name', RIGHT)
def test_predict(name: str, source: Path, model: Path, tmp_path: Path,
                 capfd: pytest.CaptureFixture[str]) -> None:
    right, before = right_of(name), contents(source.parent)
    frames: list[Frame] = []
    try:
        predict_source(str(source), tmp_path / 'out', model=model, backend='onnxruntime',
                       threads=1, formats=('instances',),
                       on_result=lambda frame, _: frames.append(frame))
    except (ConfigError, typer.Exit) as error:
        told = f'{error}\n{capfd.readouterr().err}'
    else:
        captured = capfd.readouterr()
        told = captured.err
        assert (' 0 skipped' not in captured.out) == right.skips
    assert right.frames[0] <= len(frames) <= right.frames[1]
    check_told(told, right)
    assert ('the camera is not known' in told) == (bool(frames) and right.fx is None)
    for frame in frames:
        if right.fx is not None:
            assert frame.intrinsics.fx == pytest.approx(right.fx)
            assert frame.intrinsics.fy == pytest.approx(right.fx)
        # Neither black nor white nor flat.
        assert 20 < frame.image.mean() < 235 and frame.image.std() > 10
    if right.names:
        assert tuple(frame.name for frame in frames) == right.names
    assert contents(source.parent) == before


@pytest.mark.parametrize('name', filter(is_bag, RIGHT))
def test_evaluate_bag(name: str, source: Path, model: Path, tmp_path: Path,
                      capfd: pytest.CaptureFixture[str]) -> None:
    right, before = right_of(name), contents(source.parent)
    code = main(['evaluate-bag', str(source), '-o', str(tmp_path / 'out'), '-m', str(model),
                 '--backend', 'onnxruntime', '--threads', '1', '--no-track', *right.truth[1:]])
    check_told(capfd.readouterr().err, right)
    assert code == (0 if right.frames[1] else 2)
    if code == 0:
        report = json.loads((tmp_path / 'out/report.json').read_text())
        (bag,) = report['bags']
        assert right.frames[0] <= bag['frames'] <= right.frames[1]
        assert bag['error'] is None and bool(bag['skipped']) == right.skips
        if right.truth:
            assert report['figures'][right.truth[0]]['value'] is not None
    assert contents(source.parent) == before


def test_points_of_a_body_frame_are_explained(case: Callable[[str], Path], model: Path,
                                              tmp_path: Path,
                                              capfd: pytest.CaptureFixture[str]) -> None:
    """Images that name a body frame, x forward: a note says why no point is on the image."""
    assert main(['evaluate-bag', str(case('10_lidar_body_frame/body')), '-o',
                 str(tmp_path / 'out'), '-m', str(model), '--no-track']) == 0
    told = capfd.readouterr().err
    assert 'base_link' in told and 'optical' in told


@pytest.mark.parametrize(('file', 'fx'), [('ost.yaml', 345.6), ('camchain.yaml', 345.6)])
def test_camera_files(file: str, fx: float, case: Callable[[str], Path], model: Path,
                      tmp_path: Path) -> None:
    """Those of camera_calibration and Kalibr, with their lens."""
    folder, frames = case('13_camera_yaml'), []
    predict_source(str(folder / 'picture.jpg'), tmp_path / 'out', model=model,
                   backend='onnxruntime', threads=1, formats=('instances',),
                   intrinsics_file=folder / file,
                   on_result=lambda frame, _: frames.append(frame))
    (camera,) = (frame.intrinsics for frame in frames)
    assert (camera.fx, camera.width) == (pytest.approx(fx), 384) and camera.lens is not None


@pytest.mark.parametrize('environment', [
    pytest.param({'PYTHONIOENCODING': 'ascii'}, id='ascii'),
    pytest.param({'PYTHONIOENCODING': 'latin-1'}, id='latin-1'),
    pytest.param({'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'}, id='C')])
def test_terminals_without_unicode(environment: dict[str, str], case: Callable[[str], Path],
                                   pictures: Path, model: Path, tmp_path: Path) -> None:
    """Bars and tables in plainer characters, also of instances."""
    case('08_latin1_terminal/picture.jpg').rename(pictures / '0.jpg')
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get('PYTHONPATH')]))
    done = subprocess.run(
        [sys.executable, '-m', 'panoptic_depth_core.cli', 'predict', str(pictures), '-o',
         str(tmp_path / 'out'), '-m', str(model), '--fx', '200'],
        env={**os.environ, **environment, 'PYTHONPATH': path},
        capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert b'4 frames done' in done.stdout and b'person 1' in done.stdout
    assert (tmp_path / 'out/instances.jsonl').is_file()


def test_every_case_is_tried() -> None:
    """A case that is added has to say what is right."""
    known = {name.split('/')[0] for name in RIGHT} | {'08_latin1_terminal', '13_camera_yaml'}
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == known
