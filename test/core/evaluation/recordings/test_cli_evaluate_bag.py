# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``evaluate-bag`` as its user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from panoptic_depth_core.cli import main
from panoptic_depth_core.config import load_settings
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.recordings import evaluate_bags
from panoptic_depth_core.evaluation.recordings.reading.reader import RecordingReader
from panoptic_depth_core.evaluation.settings import RecordingSettings
from panoptic_depth_core.io.cameras.camera_options import CameraOptions
from panoptic_depth_core.io.sources.bag_source import ImagePairing, PairedImage
from panoptic_depth_core.model_directory import ModelInfo, save_model_directory
from panoptic_depth_core.structures import Frame
from pydantic import BaseModel
from simulated_drive import calibration_yaml, write_simulated_drive

pytestmark = pytest.mark.usefixtures('no_plots')

CONFIG = Path(__file__).resolve().parents[4] / 'config/replay'


@pytest.fixture(scope='module')
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames with truth and results of 5 % too great a depth."""
    path = tmp_path_factory.mktemp('drives') / 'drive'
    write_simulated_drive(path, 4, depth_factor=1.05, lidar_pixels=5)
    return path


def evaluate(*arguments: object) -> int:
    return main(['evaluate-bag', *map(str, arguments)])


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / 'report.json').read_text())


def test_recorded_results(drive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(drive, '--results', 'recorded', '-o', tmp_path / 'report') == 0
    told = capsys.readouterr()
    assert '(absRel), LiDAR' in told.out and '5.00 %' in told.out
    assert 'no plots: matplotlib is not installed' in told.err
    for name in ('report.json', 'frames.jsonl', 'times.json', 'report.md', 'report.html'):
        assert (tmp_path / 'report' / name).stat().st_size > 100
        assert f'Report: {tmp_path / "report" / name}' in told.out


def test_the_shipped_model_on_a_drive_with_truth(drive: Path, tmp_path: Path) -> None:
    assert evaluate(drive, '-o', tmp_path, '--limit', 2, '--no-track') == 0
    content = report(tmp_path)
    assert content['run']['model_id'].startswith('fast-')
    assert content['run']['settings']['tracking']['enabled'] is False
    metric_values = content['figures']
    assert metric_values['frames.scored']['value'] == 2
    # It has never seen such a street; that it is no noise either is all there is to know.
    assert 0.01 < metric_values['depth.abs_rel']['value'] < 2.0
    assert metric_values['calibration.lidar.coverage_95']['value'] is not None
    assert 'tracking.idf1' not in metric_values


def test_a_model_with_depth_alone(drive: Path, tmp_path: Path, make_info: Callable[..., ModelInfo],
                                  painted_onnx: Callable[[ModelInfo], bytes]) -> None:
    """Labels of the recording say of which class a depth is, and judge nothing else."""
    info = make_info(tasks=['depth'], classes=())
    save_model_directory(tmp_path / 'model', info, painted_onnx(info))
    assert evaluate(drive, '-m', tmp_path / 'model', '-o', tmp_path / 'out') == 0
    content = report(tmp_path / 'out')
    assert {name.rpartition('.')[0] for name in content['figures']} <= {
        'bags', 'frames', 'depth', 'lidar', 'consistency'}
    assert 'depth.abs_rel' in content['figures'] and 'lidar.delta1' in content['figures']
    assert 'consistency.void_share' not in content['figures']
    detail = content['detail']
    assert detail['evaluation']['panoptic_quality'] is None and detail['tracking'] is None
    assert detail['evaluation']['depth']['by_class']['car']['pixels'] > 0
    page = (tmp_path / 'out/report.md').read_text()
    assert '| car | - | - | - | - | - | - | - |' in page and 'panoptic quality' not in page


def test_a_real_recording_without_truth(shared_data: Path, tmp_path: Path) -> None:
    """Height of KITTI's camera: 1.65 m."""
    bag = shared_data / 'bags/kitti_0005_raw20'
    # Runtimes add up in another order with other threads.
    assert evaluate(bag, '-o', tmp_path, '--workers', 1, '--threads', 1) == 0
    content = report(tmp_path)
    assert content['bags'][0]['truth'] == [] and content['bags'][0]['frames'] == 20
    metric_values = content['figures']
    assert not any(name.startswith(('panoptic', 'depth', 'lidar', 'distance'))
                   for name in metric_values)
    assert metric_values['consistency.ground_height_m']['value'] == pytest.approx(1.65, abs=0.1)
    assert metric_values['consistency.label_stability']['value'] > 0.85
    assert content['worst'][0]['figure'] == 'consistency.label_stability'
    assert len(content['worst']) == 10
    before = (tmp_path / 'frames.jsonl').read_bytes(), (tmp_path / 'report.json').read_bytes()
    assert evaluate(bag, '-o', tmp_path, '--overwrite', '--threads', 1) == 0
    assert (tmp_path / 'frames.jsonl').read_bytes() == before[0]


def test_a_recording_that_is_not_complete(drive: Path, tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    """Too many skipped frames, an early end, or a failure; the others are scored."""
    real, given = ImagePairing.frame, (drive, '--results', 'recorded', '-o', tmp_path / 'report')

    def refuse(self: ImagePairing, paired: PairedImage, camera: CameraOptions) -> Frame:
        if paired.name != '000001':
            raise ConfigError(f'data has {paired.stamp_ns} bytes, damaged')
        return real(self, paired, camera)

    monkeypatch.setattr(ImagePairing, 'frame', refuse)
    assert evaluate(*given) == 1
    told = capsys.readouterr()
    assert 'drive: 3 of 4 frames are skipped or missing, 75.0 %; more than' in told.err
    assert told.err.count('bytes, damaged (3 times)') == 1
    assert 'drive: 1 frames are kept; the same command goes on' in told.out
    assert evaluate(*given, '--max-skipped', 0.75) == 0
    monkeypatch.setattr(RecordingReader, 'ended_early', property(lambda self: 'it was cut',
                                                                 lambda self, _: None), False)
    assert evaluate(*given, '--max-skipped', 1, '--overwrite') == 1
    assert 'drive: the source ended early: it was cut' in capsys.readouterr().err
    monkeypatch.undo()
    # What ended early is scored anew, without being asked to.
    assert evaluate(*given) == 0
    assert report(tmp_path / 'report')['bags'][0]['frames'] == 4


def test_a_report_whose_folder_is_gone(drive: Path, tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / 'report'
    real = evaluate_bags.save_part

    def vanish(parts: Path, name: str, *others: Any) -> Path:
        found = real(parts, name, *others)
        folder.rename(tmp_path / 'elsewhere')
        return found

    monkeypatch.setattr(evaluate_bags, 'save_part', vanish)
    assert evaluate(drive, '--results', 'recorded', '-o', folder) == 2
    assert 'report: was removed or replaced while results were' in capsys.readouterr().err
    assert not folder.exists()


def test_limits_decide_the_exit_code(drive: Path, tmp_path: Path,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    limits = tmp_path / 'limits.yaml'
    given = (drive, '--results', 'recorded', '-o', tmp_path / 'report', '--thresholds', limits)
    limits.write_text('lidar.abs_rel: {max: 0.06}\ntimes.total_ms.p50: {max: 60000}\n')
    assert evaluate(*given) == 0
    assert '2 of 2 limits are met' in capsys.readouterr().out
    limits.write_text('lidar.abs_rel: {max: 0.04}\nsemantic.miou: {min: 0.9}\n')
    assert evaluate(*given) == 1
    told = capsys.readouterr()
    assert '1 of 2 limits are met' in told.out
    assert 'missed: lidar.abs_rel is 5.00 %, at most 4.00 % is wanted' in told.err
    limits.write_text('lidar.absrel: {max: 0.04}\n')
    assert evaluate(*given) == 2
    assert 'did you mean lidar.abs_rel' in capsys.readouterr().err
    limits.write_text('lidar.abs_rel: {max_loss: 0.01}\n')
    assert evaluate(*given) == 2
    assert 'give it with --baseline' in capsys.readouterr().err


def test_a_baseline(drive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limits = tmp_path / 'limits.yaml'
    limits.write_text('lidar.abs_rel: {max_loss: 0.01}\n')
    better = tmp_path / 'better'
    write_simulated_drive(better / 'drive', 4, depth_factor=1.02, lidar_pixels=5)
    assert evaluate(better, '--results', 'recorded', '-o', tmp_path / 'base') == 0
    assert evaluate(drive, '--results', 'recorded', '-o', tmp_path / 'report',
                    '--baseline', tmp_path / 'base', '--thresholds', limits) == 1
    assert 'worse by 3.00 points' in capsys.readouterr().err
    comparison = json.loads((tmp_path / 'report/comparison.json').read_text())
    assert comparison['matched'] == 4
    assert evaluate(drive, '--results', 'recorded', '-o', tmp_path / 'report',
                    '--baseline', tmp_path / 'nowhere') == 2
    assert 'nowhere' in capsys.readouterr().err


def test_a_calibration_file_in_place_of_tf(tmp_path: Path) -> None:
    write_simulated_drive(tmp_path / 'drive', 3, depth_factor=1.05, lidar_pixels=5, tf='none',
                          lidar_offset_ns=0)
    (tmp_path / 'calibration.yaml').write_text(calibration_yaml())
    given = (tmp_path / 'drive', '--results', 'recorded', '-o')
    assert evaluate(*given, tmp_path / 'without') == 0
    assert 'lidar.abs_rel' not in report(tmp_path / 'without')['figures']
    assert 'no lidar depth' in ' '.join(report(tmp_path / 'without')['bags'][0]['notes'])
    assert evaluate(*given, tmp_path / 'with', '--calibration', tmp_path / 'calibration.yaml') == 0
    metric_values = report(tmp_path / 'with')['figures']
    assert metric_values['lidar.abs_rel']['value'] == pytest.approx(0.05, abs=5e-5)


def test_a_live_recording_beside_the_drive(drive: Path, tmp_path: Path,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    """Results of another bag, and those compared with, by stamp."""
    live = tmp_path / 'live'
    write_simulated_drive(live, 4, with_truth=False, with_lidar=False, with_boxes=False,
                          depth_factor=1.05)
    assert evaluate(drive, '--results', live, '--reference', 'recorded',
                    '-o', tmp_path / 'report') == 0
    content = report(tmp_path / 'report')
    assert content['run']['results'] == str(live)
    assert content['figures']['depth.abs_rel']['value'] == pytest.approx(0.05, abs=5e-5)
    assert content['figures']['agreement.identical_frames']['value'] == 4
    assert evaluate(drive, live, '--results', tmp_path, '-o', tmp_path / 'report') == 2
    assert 'one of the same name for each' in capsys.readouterr().err


def test_files_for_viewers(drive: Path, tmp_path: Path) -> None:
    pytest.importorskip('rerun')
    given = (drive, '--results', 'recorded', '-o', tmp_path, '--mcap', '--rrd')
    assert evaluate(*given) == 0
    files = {path.name: path for path in (tmp_path / 'viewers').iterdir()}
    assert sorted(files) == ['001_drive.mcap', '001_drive.rrd']
    assert all(path.stat().st_size > 10_000 for path in files.values())
    files['001_drive.mcap'].unlink()
    assert evaluate(*given) == 0
    assert files['001_drive.mcap'].is_file()


@pytest.mark.parametrize(('arguments', 'words'), [
    (('--results', 'recorded', '-m', 'model'), 'in place of a model'),
    (('--results', 'nowhere'), 'nowhere/drive: no such recording'),
    (('--lidar-topic', '/no/lidar'), '/no/lidar'),
    (('--evaluation', 'wrong.yaml'), "unknown key 'lidars'"),
    (('--fx', '100', '--fov', '50'), 'fx and fov_deg both describe the camera'),
    (('--camera-pitch', '2'), 'give --camera-height'),
    (('--results', 'recorded', '--camera-height', '1'), '--config and the mounting out'),
])
def test_what_the_user_can_put_right(arguments: tuple[str, ...], words: str, drive: Path,
                                     tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path('wrong.yaml').write_text('lidars: {}\n')
    assert evaluate(drive, '-o', 'report', *arguments) == 2
    assert words in capsys.readouterr().err


def test_the_settings_file_holds_the_defaults() -> None:
    path = CONFIG / 'evaluate_bag.yaml'
    assert load_settings(RecordingSettings, path) == RecordingSettings()

    def keys(model: type[BaseModel], prefix: str = '') -> set[str]:
        found = set()
        for name, field in model.model_fields.items():
            inner = field.annotation
            is_group = isinstance(inner, type) and issubclass(inner, BaseModel)
            found |= keys(inner, f'{prefix}{name}.') if is_group else {prefix + name}
        return found

    def written(values: dict[str, Any], prefix: str = '') -> set[str]:
        return {key for name, value in values.items() for key in (
            written(value, f'{prefix}{name}.') if isinstance(value, dict) else {prefix + name})}

    assert written(yaml.safe_load(path.read_text())) == keys(RecordingSettings)
