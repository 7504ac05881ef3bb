# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The command line as its user meets it: files, messages and exit codes."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from panoptic_depth_core.cli import main
from panoptic_depth_core.cli.options import parse_list, parse_size
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.files import lock_folder
from panoptic_depth_core.inference.pipeline import Pipeline
from panoptic_depth_core.io.results import result_folder
from panoptic_depth_core.io.results.result_folder import RESULTS, RUN_FILE, ResultWriter
from panoptic_depth_core.io.sources import picture_source
from panoptic_depth_core.model_directory import ModelInfo
from panoptic_depth_core.structures import Frame, GroundScale, PanopticDepth

Paint = Callable[[int, int], NDArray[np.uint8]]

_TORCH = pytest.mark.skipif(importlib.util.find_spec('torch') is None,
                            reason='torch is in the extras [train] and [export]')


@pytest.fixture
def predict(model: Path, pictures: Path, tmp_path: Path) -> Callable[..., int]:
    """Return predict on the pictures, with more arguments."""
    return lambda *more: main(['predict', str(pictures), '-o', str(tmp_path / 'out'),
                               '-m', str(model), '--fx', '80', *map(str, more)])


def lines(path: Path) -> list[dict[str, object]]:
    """Objects of a JSON lines file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_predict_writes_every_format(predict: Callable[..., int], tmp_path: Path,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    """All results are there, and nothing that starting again would not remove."""
    extra = {'rerun'} if importlib.util.find_spec('rerun') else set()
    formats = 'panoptic,depth,depth_npy,instances,overlay,video,foxglove'
    assert predict('--bag', '--formats', formats + (',rrd' if extra else '')) == 0
    out = tmp_path / 'out'
    lasting = {*RESULTS, RUN_FILE} - {'.bag.tmp', '.foxglove.tmp', 'rerun'}
    assert {p.name for p in out.iterdir()} == lasting | extra
    assert [r['name'] for r in lines(out / 'instances.jsonl')] == ['a', 'b', 'c']
    assert {p.name for p in (out / 'overlay').iterdir()} == {'a.png', 'b.png', 'c.png'}
    shown = capsys.readouterr().out
    assert '3 frames done' in shown
    assert 'Nearest instances of frame c' in shown
    assert all(step in shown for step in ('read', 'graph', 'distances', 'write'))
    assert 'person 1' in shown


def test_predict_goes_on_where_it_stopped(predict: Callable[..., int], tmp_path: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    """A second run does what is left, a third one nothing."""
    assert predict('--limit', 2) == 0
    before = (tmp_path / 'out/overlay/a.png').stat().st_mtime_ns
    assert predict() == 0
    assert '1 frames done' in capsys.readouterr().out
    assert predict() == 0
    shown = capsys.readouterr().out
    assert '0 frames done' in shown
    assert '3 were done before' in shown
    assert (tmp_path / 'out/overlay/a.png').stat().st_mtime_ns == before
    assert len(lines(tmp_path / 'out/instances.jsonl')) == 3


def test_predict_does_not_mix_runs(predict: Callable[..., int], tmp_path: Path,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    """Other settings go into another folder, or replace what was there."""
    settings = tmp_path / 'settings.yaml'
    settings.write_text('min_instance_pixels: 400\n')
    assert predict() == 0
    assert predict('--config', settings) == 2
    error = capsys.readouterr().err
    assert 'settings.min_instance_pixels = 20, this run has 400; give --overwrite' in error
    assert predict('--config', settings, '--overwrite') == 0
    records = lines(tmp_path / 'out/instances.jsonl')
    assert len(records) == 3
    assert all(i['pixel_count'] >= 400 for r in records for i in r['instances'])


def test_predict_does_not_mix_calibrations(model: Path, pictures: Path, tmp_path: Path,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    """A camera file that has changed is another camera, beside the pictures too."""
    def run(*camera: object) -> int:
        return main(['predict', str(pictures), '-o', str(tmp_path / 'out'), '-m', str(model),
                     *map(str, camera)])

    stated = {'fx': 80.0, 'fy': 80.0, 'cx': 47.5, 'cy': 23.5, 'width': 96, 'height': 48}
    for path, given in ((tmp_path / 'camera.json', ('--camera', tmp_path / 'camera.json')),
                        (pictures / 'camera.json', ('--overwrite',))):
        path.write_text(json.dumps(stated))
        assert run(*given) == 0 == run(*(g for g in given if g != '--overwrite'))
        path.write_text(json.dumps({**stated, 'fx': 90.0}))
        assert run(*(g for g in given if g != '--overwrite')) == 2
        assert 'fx=80.0' in capsys.readouterr().err


def test_predict_is_told_the_mounting(predict: Callable[..., int], tmp_path: Path,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    """By options or by a file, which is another run than without."""
    assert predict('--camera-height', 1.22, '--camera-pitch', 2.6, '--limit', 1) == 0
    (record,) = lines(tmp_path / 'out/instances.jsonl')
    assert record['mounting'] == {'height_m': 1.22, 'pitch_deg': 2.6, 'roll_deg': 0.0}
    assert record['scale_source'] in ('metric_model', 'camera_height')
    assert predict() == 2
    assert 'options.mounting' in capsys.readouterr().err
    path = tmp_path / 'mounting.yaml'
    path.write_text('mounting: {height_m: 0.5}')
    assert predict('--mounting', path, '--overwrite') == 0
    assert {r['mounting']['height_m'] for r in lines(tmp_path / 'out/instances.jsonl')} == {0.5}
    assert predict('--overwrite') == 0
    assert 'mounting' not in lines(tmp_path / 'out/instances.jsonl')[0]


def test_predict_says_where_the_ground_gives_no_scale(
        predict: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    """Once for all frames, whatever numbers are in it; each frame has its own in its line."""
    call = Pipeline.__call__

    def refuse(self: Pipeline, frame: Frame, *others: object) -> PanopticDepth:
        ground = GroundScale(3.0, 2.5, 3.5, 1.0, f'a factor of {3 + len(frame.name) / 7:.3f}')
        return replace(call(self, frame, *others), ground=ground)

    monkeypatch.setattr(Pipeline, '__call__', refuse)
    assert predict('--camera-height', 1.22) == 0
    error = capsys.readouterr().err
    assert error.count('but the ground gives no scale: a factor of 3.143') == 1
    assert '(3 times)' in error
    assert {r['ground']['low'] for r in lines(tmp_path / 'out/instances.jsonl')} == {2.5}
    assert {r['ground']['problem'] for r in lines(tmp_path / 'out/instances.jsonl')} == {
        'a factor of 3.143'}


@pytest.mark.parametrize(('arguments', 'words'), [
    (('--camera-pitch', '2.6'), '--camera-pitch is given without the height of the camera; give '
     '--camera-height'),
    (('--camera-height', 'inf'), '--camera-height is inf; give meters above the ground, > 0'),
    (('--camera-height', '0'), '--camera-height is 0.0; give meters above the ground, > 0'),
    (('--camera-height', '1.2', '--camera-roll', '95'), 'roll_deg is 95.0'),
    (('--camera-height', '1.2', '--mounting', 'a.yaml'),
     '--mounting is a.yaml, but --camera-height is given too'),
    (('--camera-height', '1.2', '--ground-frame', 'base_link'), 'give one of them'),
    (('--ground-offset', '0.3'), 'give --ground-frame'),
    (('--ground-frame', 'base_link'), 'is no bag, so it has no tf'),
    (('--mounting', 'nowhere.yaml'), 'nowhere.yaml: cannot be read'),
])
def test_wrong_mountings(arguments: tuple[str, ...], words: str, predict: Callable[..., int],
                         capsys: pytest.CaptureFixture[str]) -> None:
    """One line that says what to do."""
    assert predict(*arguments) == 2
    assert words in capsys.readouterr().err


def test_predict_refuses_a_folder_in_use(predict: Callable[..., int], tmp_path: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever another program writes stays whole."""
    with lock_folder(tmp_path / 'out'):
        assert predict('--overwrite') == 2
    said = capsys.readouterr().err
    assert f'out: process {os.getpid()} (' in said and 'writes into it; wait' in said
    assert not (tmp_path / 'out').exists()
    assert predict() == 0


def test_overwrite_leaves_other_peoples_files_alone(predict: Callable[..., int], tmp_path: Path,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    """A folder 'depth' that no run wrote is not removed."""
    precious = tmp_path / 'out/depth/precious.txt'
    precious.parent.mkdir(parents=True)
    precious.touch()
    assert predict('--overwrite') == 2
    assert 'has depth, but no run.json' in capsys.readouterr().err
    assert precious.exists()


def test_predict_counts_what_it_skips(predict: Callable[..., int], pictures: Path,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    """A broken picture is named, the others are done."""
    (pictures / 'b.png').write_bytes(b'\x89PNG\r\n\x1a\nbroken')
    assert predict() == 0
    captured = capsys.readouterr()
    assert '2 frames done' in captured.out
    assert '1 skipped' in captured.out
    assert 'skipped 1 frame: ' in captured.err
    assert 'b.png' in captured.err


@pytest.mark.parametrize(('bad', 'options', 'code'), [
    ('c', (), 0), ('bc', (), 1), ('bc', ('--max-skipped', 0.7), 0), ('c', ('--max-skipped', 0), 1),
    ('ab', ('--limit', 1), 1)])
def test_too_many_skipped_frames_are_no_success(
        bad: str, options: tuple[object, ...], code: int, predict: Callable[..., int],
        pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in bad:
        (pictures / f'{name}.png').write_bytes(b'no picture')
    assert predict(*options) == code
    captured = capsys.readouterr()
    assert ('more than --max-skipped' in captured.err) == bool(code)
    assert ('the same command goes on' in captured.out) == bool(code)
    # However many frames: one line.
    assert captured.err.count('is no picture') == 1
    # What was done before counts, whether the rest can be used or not.
    assert predict(*options) == code


def test_a_source_that_vanishes_ended_early(
        predict: Callable[..., int], pictures: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What was done is kept, and the same command goes on."""
    real = picture_source.read_picture

    def vanish(path: Path, *options: Any) -> NDArray[np.uint8]:
        found = real(path, *options)
        if path.stem == 'b':
            pictures.rename(tmp_path / 'elsewhere')
        return found

    monkeypatch.setattr(picture_source, 'read_picture', vanish)
    assert predict('--max-skipped', 1) == 1
    captured = capsys.readouterr()
    assert 'the source ended early' in captured.err
    assert '2 frames are kept; the same command goes on' in captured.out
    monkeypatch.undo()
    (tmp_path / 'elsewhere').rename(pictures)
    assert predict() == 0
    assert '1 frames done' in capsys.readouterr().out


@pytest.mark.parametrize('what', ['out', 'out/depth', 'out/panoptic_segments.jsonl'])
@pytest.mark.parametrize('name', ['a', 'c'])
def test_output_that_vanishes_is_no_success(
        what: str, name: str, predict: Callable[..., int], tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = ResultWriter.write

    def vanish(self: ResultWriter, frame: Frame, result: PanopticDepth) -> None:
        real(self, frame, result)
        if frame.name == name:
            (tmp_path / what).rename(tmp_path / 'elsewhere')
            if (tmp_path / 'elsewhere').is_file():
                (tmp_path / 'elsewhere').unlink()

    monkeypatch.setattr(ResultWriter, 'write', vanish)
    assert predict('--formats', 'panoptic,depth') == 2
    said = capsys.readouterr().err
    assert 'was removed' in said and str(tmp_path / what) in said


def test_a_name_that_is_too_long_is_skipped(predict: Callable[..., int], pictures: Path,
                                            monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    """The longest that has room for the suffix of a result is not."""
    for length in (243, 251):
        shutil.copy(pictures / 'a.png', pictures / f'{"x" * (length - 4)}.png')
    (pictures / 'b.png').rename(pictures / f'{"é" * 125}.jpg')
    (pictures / 'c.png').rename(pictures / 'odd \n--name\udcff.png')
    assert predict() == 0
    assert '5 frames done' in capsys.readouterr().out
    # As on a disk of shorter names.
    monkeypatch.setattr(result_folder, 'longest_name', lambda folder: 240)
    assert predict('--overwrite') == 1
    captured = capsys.readouterr()
    assert '2 frames done' in captured.out
    assert 'skipped 3 frames: the name is too long' in captured.err


def test_predict_of_nothing_usable_is_an_error(predict: Callable[..., int], pictures: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    """A run without a single frame does not look like a success."""
    for path in pictures.iterdir():
        path.write_bytes(b'')
    assert predict() == 2
    assert 'no frame could be used' in capsys.readouterr().err


def test_predict_warns_once_of_an_unknown_camera(model: Path, pictures: Path, tmp_path: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    """Without --fx the field of view is assumed, and said once for all frames."""
    assert main(['predict', str(pictures), '-o', str(tmp_path / 'out'), '-m', str(model)]) == 0
    assert capsys.readouterr().err.count('the camera is not known') == 1


@pytest.mark.parametrize(('bad', 'code', 'done'), [({'b'}, 0, 2), ({'a'}, 2, 0)])
def test_backend_that_fails(predict: Callable[..., int], monkeypatch: pytest.MonkeyPatch,
                            capsys: pytest.CaptureFixture[str], bad: set[str], code: int,
                            done: int) -> None:
    """One frame is skipped; a runtime that fails from the start ends the run."""
    call = Pipeline.__call__

    def fail(self: Pipeline, frame: object, *others: object) -> object:
        if frame.name in bad:
            raise BackendError('3 depths are not finite')
        return call(self, frame, *others)

    monkeypatch.setattr(Pipeline, '__call__', fail)
    assert predict() == code
    captured = capsys.readouterr()
    assert '3 depths are not finite' in captured.err
    assert (f'{done} frames done' in captured.out) == (code == 0)


@pytest.mark.parametrize(('arguments', 'words'), [
    (['predict', 'nowhere.mp4', '-o', 'out'], 'nowhere.mp4: does not exist'),
    (['predict'], 'Missing argument'),
    (['predict', '.', '-o', 'out', '--limit', 'many'], '--limit'),
    (['predict', '.', '-o', 'out', '--fx', '5', '--fov', '70'], 'give one of them'),
    (['predict', '.', '--bogus'], '--bogus'),
    (['paint'], 'paint'),
    (['evaluate', '.', '-d', 'nothing', '-o', 'out'], "unknown name 'nothing'"),
    (['benchmark', '--size', '0x5'], "size is '0x5'"),
    (['benchmark', '--backend', ''], 'backend'),
    (['benchmark', '--what', 'lunch'], "--what is 'lunch'; choose pipeline, runtimes"),
    (['benchmark', '--what', 'training'], 'needs --recipe'),
    *(pytest.param(arguments, words, marks=_TORCH) for arguments, words in (
        (['train', 'nowhere.yaml'], 'nowhere.yaml: cannot be read'),
        (['train', 'nowhere.yaml', '--resume'], '--resume needs the folder'),
        (['export', 'nowhere.pt', '-o', 'out'], 'nowhere.pt'),
        (['export', 'nowhere.pt', '-o', 'out', '--size', 'large'], "size is 'large'"),
        (['benchmark', '--what', 'runtimes', '--precisions', 'int4'], "'int4' is not known"))),
])
def test_mistakes_are_one_line(arguments: list[str], words: str, tmp_path: Path,
                               monkeypatch: pytest.MonkeyPatch,
                               capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, one line on standard error, no traceback."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count('\n') == 1
    assert captured.err.startswith('panoptic-depth: error: ')
    assert words in captured.err
    assert not captured.out


def test_verbose_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """Only with -v."""
    assert main(['-v', 'predict', 'nowhere.mp4', '-o', 'out']) == 2
    error = capsys.readouterr().err
    assert 'Traceback' in error
    assert error.rstrip().splitlines()[-1].startswith('panoptic-depth: error: nowhere.mp4')


def test_fault_of_the_program_is_told_apart(predict: Callable[..., int],
                                            monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    """An exception that nobody foresaw has another exit code and asks for a report."""
    monkeypatch.setattr(Pipeline, '__call__', lambda *_: [][0])
    assert predict() == 1
    assert 'IndexError: list index out of range; this is a fault' in capsys.readouterr().err


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch,
                                capsys: pytest.CaptureFixture[str]) -> None:
    """Without torch, train and export say what to install."""
    for name in [n for n in sys.modules if n.startswith((
            'panoptic_depth_core.training.trainer', 'panoptic_depth_core.export.onnx_export'))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'torch', None)
    assert main(['train', 'recipe.yaml']) == 2
    assert "pip install 'panoptic-depth[train]'" in capsys.readouterr().err


def test_without_arguments_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    """The list of commands, and no error."""
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ('predict', 'train', 'export', 'evaluate',
                                          'benchmark', 'demo'))
    assert main(['--version']) == 0
    assert 'panoptic-depth' in capsys.readouterr().out


def test_interruption_keeps_what_was_written(model: Path, pictures: Path, painted_image: Paint,
                                             tmp_path: Path, repository: Path) -> None:
    """Ctrl-C in a process: code 130, whole results so far, and the next run does the rest."""
    for index in range(300):
        cv2.imwrite(str(pictures / f'{index:03d}.png'), painted_image(48, 96)[..., ::-1])
    out = tmp_path / 'out'
    command = [sys.executable, '-m', 'panoptic_depth_core.cli', 'predict', str(pictures), '-o',
               str(out), '-m', str(model), '--fx', '80', '--bag']
    process = subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True,
                               env={**os.environ, 'OMP_NUM_THREADS': '1'})
    results = out / 'instances.jsonl'
    deadline = time.monotonic() + 60
    while not (results.is_file() and results.stat().st_size) and process.poll() is None:
        assert time.monotonic() < deadline, 'no result after a minute'
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    shown, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert 'interrupted; continue with the same command' in shown
    done = len(lines(results))
    assert 0 < done < 303
    assert len(list((out / 'overlay').iterdir())) == done
    assert (out / 'bag/metadata.yaml').is_file()
    again = subprocess.run([*command, '--limit', '1'], cwd=repository, capture_output=True,
                           text=True, timeout=60, check=True)
    assert '1 frames done' in again.stdout
    assert f'{done} were done before' in again.stdout


def test_evaluate_writes_a_report(make_info: Callable[..., ModelInfo], model: Path, tmp_path: Path,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    """Two synthetic scenes: the report names data set and model, the tables are shown."""
    pytest.importorskip('embreex')
    assert main(['evaluate', '2', '-d', 'synthetic', '-o', str(tmp_path / 'report'),
                 '-m', str(model)]) == 0
    assert 'Summary of 2 frames' in capsys.readouterr().out
    assert (tmp_path / 'report/evaluation.md').read_text().startswith(
        '# painted on synthetic, val')
    assert json.loads((tmp_path / 'report/evaluation.json').read_text())


def test_demo_sets_distances_beside_the_truth(model: Path, tmp_path: Path,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    """A short synthetic drive: bag with truth, results with a bag, pictures, distances."""
    pytest.importorskip('embreex')
    assert main(['demo', '-o', str(tmp_path), '--frames', '2', '-m', str(model)]) == 0
    folder = tmp_path / 'synthetic'
    assert (folder / 'drive/metadata.yaml').is_file()
    assert (folder / 'results/bag/metadata.yaml').is_file()
    assert {p.name for p in (folder / 'comparison').iterdir()} == {
        '000000.png', '000001.png', 'distances.csv'}
    rows = list(csv.DictReader((folder / 'comparison/distances.csv').open()))
    assert all(float(row['truth_m']) > 0 for row in rows)
    # From the tf of the drive.
    assert all(1.2 <= record['mounting']['height_m'] <= 1.8
               for record in lines(folder / 'results/instances.jsonl'))
    shown = capsys.readouterr().out
    assert 'All 2 frames' in shown
    assert '(absRel)' in shown and '(PQ)' in shown


def test_demo_takes_a_source(model: Path, pictures: Path, tmp_path: Path) -> None:
    """One's own pictures go into a folder of their name."""
    assert main(['demo', '-o', str(tmp_path / 'demo'), '--source', str(pictures), '-m',
                 str(model), '--fov', '60']) == 0
    folder = tmp_path / 'demo/pictures'
    assert len(list((folder / 'overlay').glob('*.png'))) == 3
    assert (folder / 'bag/metadata.yaml').is_file()


def test_benchmark_prints_a_table(model: Path, tmp_path: Path,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    """Steps of one runtime, and the same metrics as JSON."""
    file = tmp_path / 'metrics/benchmark.json'
    assert main(['benchmark', '-m', str(model), '--backend', 'onnxruntime', '--size', '48x96',
                 '--repeats', '2', '--warmup', '0', '-o', str(file)]) == 0
    assert '| onnxruntime | graph |' in capsys.readouterr().out
    stored = json.loads(file.read_text())
    assert stored['details']['backends'][0]['frames'] == 2
    assert [row['step'] for row in stored['rows']][-1] == 'total'


def test_sizes_and_lists() -> None:
    """Height comes first; doubles are dropped."""
    assert parse_size(' 512X1024 ') == (512, 1024)
    with pytest.raises(ConfigError, match='give height x width'):
        parse_size('1024')
    assert parse_list('a, b,,a') == ('a', 'b')
