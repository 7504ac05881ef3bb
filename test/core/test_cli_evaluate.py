# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``evaluate`` and ``benchmark --what scoring`` as their user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from dataset_trees import write_kitti_eigen, write_pictures, write_png
from numpy.typing import NDArray
from panoptic_depth_core.benchmark.evaluation import write_frames
from panoptic_depth_core.cli import main
from panoptic_depth_core.cli.evaluate import parse_windows
from panoptic_depth_core.cli.options import evaluation_settings
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.labels import SEMKITTI
from panoptic_depth_core.model_directory import ModelInfo, save_model_directory

FRAMES = 9
SIZE = (64, 128)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory,
         painted_image: Callable[[int, int], NDArray[np.uint8]]) -> Path:
    """A Cityscapes-DVPS of nine painted frames in two sequences, results beside it."""
    top = tmp_path_factory.mktemp('data')
    write_frames(top / 'dvps', top / 'results', FRAMES, SIZE)
    for path in (top / 'dvps/video_sequence/val').glob('*_leftImg8bit.png'):
        path.unlink()
        cv2.imwrite(str(path), painted_image(*SIZE)[..., ::-1])
    return top


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / 'evaluation.json').read_text())


def test_a_model_without_naming_a_folder(data: Path, model: Path, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    """Options before the root and after it; tables, JSON, Markdown and plots."""
    pytest.importorskip('matplotlib')
    monkeypatch.chdir(tmp_path)
    assert main(['evaluate', '--dataset', 'cityscapes_dvps', str(data / 'dvps'),
                 '-m', str(model)]) == 0
    shown = capsys.readouterr().out
    assert 'Summary of 9 frames' in shown
    assert '…' not in shown
    assert all(name in shown for name in ('DPQ', 'share of pixels', 'distance bias'))
    folder = tmp_path / 'evaluation_out'
    assert {p.name for p in folder.iterdir()} >= {
        'evaluation.json', 'evaluation.md', 'pq_by_class.png', 'error_by_depth.png'}
    page = (folder / 'evaluation.md').read_text()
    assert page.startswith('# painted on cityscapes_dvps, val')
    assert '(pq_by_class.png)' in page
    assert report(folder)['frames']['depth_aware'] == FRAMES


def test_the_shipped_model(data: Path, tmp_path: Path) -> None:
    """It fits the data set, and says how uncertain its depth is."""
    assert main(['evaluate', '-d', 'cityscapes_dvps', str(data / 'dvps'), '--limit', '1',
                 '--threads', '1', '-o', str(tmp_path)]) == 0
    found = report(tmp_path)
    assert found['frames']['depth_aware'] == 1
    assert found['calibration']['pixels'] > 0


@pytest.mark.parametrize('labeled', [False, True])
def test_data_without_labels(labeled: bool, data: Path, model: Path, tmp_path: Path,
                             capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(tmp_path / 'pictures')
    given = (['-d', 'cityscapes_dvps', str(data / 'dvps')] if labeled else
             ['-d', 'images', str(tmp_path / 'pictures'), '--split', 'all'])
    assert main(['evaluate', *given, '-m', str(model), '--limit', '1', '-o',
                 str(tmp_path / 'out')]) == 0
    error = ' '.join(capsys.readouterr().err.split())
    assert ('no frame of images, all, has labels, so nothing was measured' in error) != labeled


def test_corrupted_images(data: Path, tmp_path: Path) -> None:
    common = ['evaluate', '-d', 'cityscapes_dvps', str(data / 'dvps'), '--limit', '1']
    for name, more in (('clean', []), ('noise', ['--corruption', 'gaussian_noise:5'])):
        assert main([*common, '-o', str(tmp_path / name), *more]) == 0
    assert report(tmp_path / 'clean') != report(tmp_path / 'noise')
    assert 'val, gaussian_noise:5' in (tmp_path / 'noise/evaluation.md').read_text('utf-8')


@pytest.mark.parametrize(('tasks', 'known', 'words'), [
    (['depth'], {'depth', 'calibration'}, 'absRel, over pixels'),
    (['instances', 'semantic'], {'panoptic_quality', 'semantic', 'instances'}, 'mIoU')])
def test_a_model_that_does_less(data: Path, tmp_path: Path, make_info: Callable[..., ModelInfo],
                                painted_onnx: Callable[[ModelInfo], bytes], tasks: list[str],
                                known: set[str], words: str,
                                capsys: pytest.CaptureFixture[str]) -> None:
    """It is measured in what it does; the rest has no metric."""
    info = make_info(tasks=tasks, **({} if 'semantic' in tasks else {'classes': ()}))
    save_model_directory(tmp_path / 'less', info, painted_onnx(info))
    assert main(['evaluate', '-d', 'cityscapes_dvps', str(data / 'dvps'), '--limit', '2',
                 '-m', str(tmp_path / 'less'), '-o', str(tmp_path / 'out')]) == 0
    found = report(tmp_path / 'out')
    every = {'panoptic_quality', 'depth_aware_quality', 'semantic', 'depth', 'calibration',
             'distance', 'instances'}
    assert {name for name in every if found[name] is not None} == known
    shown = capsys.readouterr().out
    values = {name: line.removeprefix(f'  {name}').split()[0] for line in shown.splitlines()
              for name in ('absRel, over pixels', 'mIoU') if line.startswith(f'  {name} ')}
    assert {name for name, value in values.items() if value != '-'} == {words}
    assert len(values) == 2 and 'DPQ and DVPQ by window' not in shown


def test_stored_results_with_all_options(data: Path, tmp_path: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    """Windows, convention, limit; the metrics do not depend on the number of processes."""
    arguments = ['evaluate', str(data / 'dvps'), '-d', 'cityscapes_dvps', '--predictions',
                 str(data / 'results'), '--windows', 'cityscapes_dvps', '--convention',
                 'published']
    for jobs in '12':
        assert main([*arguments, '--jobs', jobs, '-o', str(tmp_path / jobs)]) == 0
    assert (tmp_path / '1/evaluation.json').read_bytes() == (
        tmp_path / '2/evaluation.json').read_bytes()
    found = report(tmp_path / '1')
    windows = found['depth_aware_quality']['by_window']
    assert [(w['frames'], w['windows']) for w in windows] == [(1, 9), (2, 7), (3, 5), (4, 3)]
    assert found['panoptic_quality']['all']['class_count'] == 19
    assert found['settings']['crowds'] == 'none'
    shown = capsys.readouterr().out
    assert 'mean over k, things' in shown
    assert 'single-image models do not track' in shown
    assert main([*arguments, '--limit', '2', '-o', str(tmp_path / 'few')]) == 0
    assert report(tmp_path / 'few')['frames']['all'] == 2


def test_predict_then_score_is_the_same(data: Path, model: Path, tmp_path: Path) -> None:
    """A model's stored results have the metrics of the model."""
    pictures = tmp_path / 'pictures'
    pictures.mkdir()
    for path in (data / 'dvps/video_sequence/val').glob('*_leftImg8bit.png'):
        (pictures / path.name).write_bytes(path.read_bytes())
    # The camera of the data set, at this size.
    camera = tmp_path / 'camera.json'
    from panoptic_depth_core.datasets import open_dataset
    known = open_dataset('cityscapes_dvps', str(data / 'dvps'), 'val')[0].frame.intrinsics
    camera.write_text(json.dumps({name: getattr(known, name) for name in (
        'fx', 'fy', 'cx', 'cy', 'width', 'height')}))
    assert main(['predict', str(pictures), '-o', str(tmp_path / 'stored'), '-m', str(model),
                 '--camera', str(camera), '--formats', 'panoptic,depth_npy,instances']) == 0
    common = ['evaluate', str(data / 'dvps'), '-d', 'cityscapes_dvps']
    assert main([*common, '-m', str(model), '-o', str(tmp_path / 'live')]) == 0
    assert main([*common, '--predictions', str(tmp_path / 'stored'),
                 '-o', str(tmp_path / 'scored'), '--jobs', '1']) == 0
    live, scored = report(tmp_path / 'live'), report(tmp_path / 'scored')
    # The expected errors are stored with six digits, instances' depths with seven.
    assert live.pop('calibration')['pixels'] == scored.pop('calibration')['pixels']
    assert scored.pop('distance')['all'] == pytest.approx(live.pop('distance')['all'], nan_ok=True)
    assert scored == live


def test_a_model_of_other_classes(data: Path, make_info: Callable[..., ModelInfo],
                                  painted_onnx: Callable[[ModelInfo], bytes], tmp_path: Path,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    """Refused before the first frame, with both names."""
    info = make_info(classes=[{'name': c.name, 'color': c.color, 'is_thing': c.is_thing}
                              for c in SEMKITTI])
    save_model_directory(tmp_path / 'semkitti', info, painted_onnx(info))
    assert main(['evaluate', str(data / 'dvps'), '-d', 'cityscapes_dvps',
                 '-m', str(tmp_path / 'semkitti'), '-o', str(tmp_path / 'out')]) == 2
    error = capsys.readouterr().err
    assert 'model painted has other classes than data set cityscapes_dvps' in error
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(('options', 'words'), [
    (['--windows', '1,x'], "--windows is '1,x'; give numbers of frames as in 1,2,3,4, or"),
    (['--windows', '0'], "--windows is '0'"),
    (['--convention', 'mine'], "unknown name 'mine'; known: ours, official, published"),
    (['--protocol', 'kitti'], 'no protocol has this name; known: eigen_kitti, '),
    (['--predictions', 'nowhere'], 'panoptic: no such folder'),
    (['--predictions', 'nowhere', '-m', 'model'], 'in place of a model'),
    (['--corruption', 'sleet:2'], "corruption 'sleet' is unknown"),
    (['--predictions', 'nowhere', '--mounting', 'data'], 'leave the mounting out'),
    (['--mounting', 'data', '--camera-height', '1.2'], '--mounting is data, but --camera-height'),
    (['--mounting', 'nowhere.yaml'], 'nowhere.yaml: cannot be read'),
    (['--camera-pitch', '1'], 'give --camera-height'),
])
def test_mistakes_are_one_line(options: list[str], words: str, data: Path, tmp_path: Path,
                               monkeypatch: pytest.MonkeyPatch,
                               capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and one line that says what to do."""
    monkeypatch.chdir(tmp_path)
    assert main(['evaluate', str(data / 'dvps'), '-d', 'cityscapes_dvps', '--jobs', '1',
                 *options]) == 2
    captured = capsys.readouterr()
    last = captured.err.strip().splitlines()[-1]
    assert last.startswith('panoptic-depth: error: ') and words in last
    assert not captured.out


@pytest.mark.parametrize('part', ['whole', 'network'])
def test_a_protocol_on_stored_results(part: str, tmp_path: Path,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    """Depth 10 % too far, at the size of the picture or of the part that networks are given."""
    written = write_kitti_eigen(tmp_path / 'data', 1, (375, 1242), split='test')
    window = np.s_[:, :] if part == 'whole' else np.s_[23:, 13:-13]
    for name, true in written.items():
        path = tmp_path / 'stored/depth_npy' / f'{name}.npy'
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, 1.1 * true.depth[window])
        write_png(tmp_path / 'stored/panoptic' / f'{name}.png', true.stored_depth)
    arguments = ['evaluate', str(tmp_path / 'data'), '-d', 'kitti_eigen', '--split', 'test',
                 '--jobs', '2', '--predictions', str(tmp_path / 'stored')]
    assert main([*arguments, '--protocol', 'eigen_kitti', '-o', str(tmp_path / 'out')]) == 0
    found = report(tmp_path / 'out')
    assert found['settings']['protocol'] == 'eigen_kitti'
    depths = [true.depth[153:371, 44:1197] for true in written.values()]
    counted = [depth[depth < 80] for depth in depths]
    assert found['depth']['pooled']['pixels'] == sum(map(len, counted))
    assert found['depth']['per_image']['abs_diff_m'] == pytest.approx(np.mean(
        [(np.minimum(1.1 * g, 80) - g).mean() for g in counted]))
    assert found['depth']['pooled']['missing_share'] == 0
    assert found['panoptic_quality'] is None, 'the data set is of depth alone'
    told = capsys.readouterr().out
    assert 'log10, mean of images' in told and 'Depth protocol eigen_kitti: crop of' in told
    assert 'Depth protocol eigen_kitti: crop of' in (tmp_path / 'out/evaluation.md').read_text()
    assert main([*arguments, '--protocol', 'nyu', '-o', str(tmp_path / 'none')]) == 2
    assert ('the picture has 1242x375 px, but the depth protocol takes 640x480 px'
            if part == 'whole' else 'has shape (352, 1216)') in capsys.readouterr().err


def test_windows() -> None:
    assert parse_windows('1,2,2, 4') == (1, 2, 4)
    assert parse_windows('semkitti_dvps') == (1, 5, 10, 20)
    with pytest.raises(ConfigError, match="is ''"):
        parse_windows('')


def test_benchmark_of_scoring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames per second and seconds, also as JSON."""
    assert main(['benchmark', '--what', 'scoring', '--frames', '7', '--size', '48x96', '--jobs',
                 '1', '-o', str(tmp_path / 'out/scoring.json')]) == 0
    shown = capsys.readouterr().out
    assert '7 frames of 96x48 scored in' in shown and 'frames per s' in shown
    stored = json.loads((tmp_path / 'out/scoring.json').read_text())
    assert stored['rows'][0]['frames'] == 7 and stored['rows'][0]['seconds'] > 0


def test_results_of_another_size_than_the_truth_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'settings.yaml'
    path.write_text('output_size: network\n')
    with pytest.raises(ConfigError, match="output_size is 'network', but the truth has"):
        evaluation_settings(path)
