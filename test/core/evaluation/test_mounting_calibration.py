# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Height and pitch of a camera from what was measured, on drives whose mounting is known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from panoptic_depth_core.cli import main
from panoptic_depth_core.cli.comparison import as_result
from panoptic_depth_core.datasets.synthetic import SyntheticDrive, SyntheticSettings
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.ego_motion import EgoMotion
from panoptic_depth_core.evaluation.mounting_calibration import (
    Distance,
    Measured,
    MountingCalibration,
)
from panoptic_depth_core.io.bags.drive_bags import write_drive_bag
from panoptic_depth_core.io.sources.mounting import read_mounting
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID
from panoptic_depth_core.structures import PanopticDepth, Sample

pytest.importorskip('embreex', reason='the extra synthetic is not installed')

HEIGHT_M = 0.9
SETTINGS = SyntheticSettings(
    height=192, width=384, focal_per_width=(0.9, 0.9), camera_height_m=(HEIGHT_M, HEIGHT_M),
    usual_height_m=(HEIGHT_M, HEIGHT_M), pitch_deg=(7.8, 7.8))
"""A drive has a third of the pitch."""

PITCH_DEG = 2.6


@pytest.fixture(scope='module')
def drive() -> list[Sample]:
    return list(SyntheticDrive(14, seed=3, settings=SETTINGS))


def predicted(sample: Sample) -> PanopticDepth:
    """The truth with depth that is 40 % too far and of a wrong shape, as of an unknown camera."""
    result = as_result(sample)
    rows = np.arange(result.depth.shape[0])[:, None] / result.depth.shape[0]
    depth = (result.depth * (1.9 - rows)).astype(np.float32)
    return replace(result, depth=depth)


def calibrated(drive: list[Sample], *distances: Distance, measured: int = 0,
               height_m: float | None = None) -> MountingCalibration:
    """
    Calibration of a drive.

    :param measured: one of so many pixels has its true depth; 0: none.
    """
    found = MountingCalibration(CITYSCAPES, distances, height_m)
    for number, sample in enumerate(drive):
        depth = np.full_like(sample.truth.depth, np.nan)
        if measured:
            depth.ravel()[number::measured] = sample.truth.depth.ravel()[number::measured]
        found.add(sample.frame, predicted(sample), [depth] if measured else [])
    return found


def car_with_a_foot(drive: list[Sample]) -> tuple[Distance, ...]:
    """True distances to where cars stand on the road, by panoptic id."""
    found = []
    for sample in drive:
        panoptic, depth = sample.truth.panoptic, sample.truth.depth
        for number in np.unique(panoptic[panoptic // 1000 == CLASS_ID['car']]).tolist():
            rows, columns = np.nonzero(panoptic == number)
            bottom = rows.max()
            column = int(np.median(columns[rows > bottom - 2]))
            below = panoptic[bottom + 1:bottom + 3, column] // 1000 == CLASS_ID['road']
            if len(below) == 2 and below.all() and len(rows) > 300:
                k = sample.frame.intrinsics
                ray = (column - k.cx) / k.fx, (bottom - k.cy) / k.fy, 1.0
                meters = float(depth[bottom + 1, column]) * float(np.linalg.norm(ray))
                found.append(Distance(str(number), meters, sample.frame.name))
    return tuple(found)


def test_measured_depth_of_the_ground(drive: list[Sample]) -> None:
    result = calibrated(drive, measured=7).finish()
    assert result.height_m.value == pytest.approx(HEIGHT_M, rel=0.01)
    assert result.pitch_deg.value == pytest.approx(PITCH_DEG, abs=0.1)
    assert result.roll_deg.value == pytest.approx(0.0, abs=0.3)
    assert result.pitch_deg.source == 'measured depth of the ground' and not result.warnings


def test_few_measured_points(drive: list[Sample]) -> None:
    """Too few for a plane, so the pitch is that of the motion."""
    result = calibrated(drive, measured=400).finish()
    assert result.height_m.source == 'measured points on the ground'
    assert result.height_m.value == pytest.approx(HEIGHT_M, rel=0.06)


def test_a_distance_and_the_motion(drive: list[Sample]) -> None:
    """A depth that is wrong by far does no harm."""
    distances = car_with_a_foot(drive)
    assert len(distances) > 3
    result = calibrated(drive, *distances).finish()
    assert result.pitch_deg.source == 'direction of motion'
    assert result.pitch_deg.value == pytest.approx(PITCH_DEG, abs=0.3)
    assert result.height_m.value == pytest.approx(HEIGHT_M, rel=0.08)
    alone = calibrated(drive, distances[0]).finish()
    assert any('one thing in one frame' in text for text in alone.warnings)


def test_a_camera_that_stands_still(drive: list[Sample]) -> None:
    """There only the predicted depth is left, which is said."""
    result = calibrated([drive[0]] * 12, height_m=0.9).finish()
    assert result.pitch_deg.source == 'predicted depth'
    assert any('drives straight ahead' in text for text in result.warnings)
    assert (result.height_m.value, result.height_m.source) == (0.9, 'given')
    one = calibrated(drive[:1], height_m=0.9).finish()
    assert one.warnings[0] == 'the pitch is from one frame; give more frames on level ground'


def test_motion_of_pictures_that_do_not_follow_each_other(drive: list[Sample]) -> None:
    motion = EgoMotion()
    assert motion.step(drive[0].frame) is None
    noise = np.random.default_rng(0).integers(0, 255, drive[0].frame.image.shape, np.uint8)
    assert motion.step(replace(drive[0].frame, image=noise)) is None
    assert motion.step(drive[0].frame) is None
    assert motion.step(replace(drive[0].frame, image=np.zeros_like(noise))) is None


@pytest.mark.parametrize(('frame', 'name', 'number', 'wanted'), [
    ('000012', '000012', 12, True), ('12', '000012', 12, True), ('12', 'drive_12', 12, True),
    ('12', 'drive_12', 13, False), ('1', '1', 0, True), ('1', '2', 1, False),
    ('5', '0010', 5, False)])
def test_a_number_means_one_frame(frame: str, name: str, number: int, wanted: bool) -> None:
    assert Distance('car', 5.0, frame).is_in(name, number) is wanted


@pytest.mark.parametrize(('distance', 'words'), [
    ('train=5@0', 'no train is found in frame .*; it shows car'),
    ('car=5@nowhere', "there is no frame 'nowhere'; give the name of a frame, or its number, 0"),
    ('boat=5@0', "'boat' is no thing of the model; give one of bicycle, bus, car"),
])
def test_distances_of_what_is_not_there(drive: list[Sample], distance: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        calibrated(drive[:1], Distance.parse(distance)).finish()


def test_nothing_measured(drive: list[Sample]) -> None:
    with pytest.raises(ConfigError, match='nothing measured was found on the ground; give --dist'):
        calibrated(drive[:2]).finish()


def test_no_ground(drive: list[Sample]) -> None:
    found = MountingCalibration(CITYSCAPES, height_m=1.0)
    result = predicted(drive[0])
    found.add(drive[0].frame, replace(result, panoptic=np.full_like(result.panoptic, 10_000)))
    with pytest.raises(ConfigError, match='no ground was seen in 1 frames'):
        found.finish()
    with pytest.raises(ConfigError, match='none of the classes road, sidewalk, terrain'):
        MountingCalibration(CITYSCAPES[10:])


@pytest.mark.parametrize('text', ['car', 'car=5', 'car=@3', '=5@3', 'car=-5@3', 'car=5@',
                                  'car=inf@3', 'car=wide@3'])
def test_wrong_distances(text: str) -> None:
    with pytest.raises(ConfigError, match='give CLASS=METERS@FRAME'):
        Distance.parse(text)
    assert Distance.parse('car=12.4@a@b') == Distance('car', 12.4, 'a@b')


def test_errors_of_medians() -> None:
    values = np.random.default_rng(0).normal(3.0, 0.5, 400).tolist()
    found = Measured.of(values, 'here')
    assert found.value == pytest.approx(3.0, abs=0.1) and found.spread == pytest.approx(0.5, 0.15)
    assert found.error == pytest.approx(1.2533 * 0.5 / 20, 0.15)
    assert math.isnan(Measured.of([1.0], 'here').error)


class TestCommand:
    """From a source to a file that other commands take."""

    def test_a_bag_with_measured_depth(self, drive: list[Sample], tmp_path: Path,
                                       capsys: pytest.CaptureFixture[str]) -> None:
        write_drive_bag(drive[:4], tmp_path / 'bag')
        out = tmp_path / 'mounting.yaml'
        assert main(['calibrate-mounting', str(tmp_path / 'bag'), '-o', str(out)]) == 0
        mounting = read_mounting(out).fixed
        assert mounting.height_m == pytest.approx(HEIGHT_M, rel=0.03)
        assert mounting.pitch_deg == pytest.approx(PITCH_DEG, abs=0.3)
        assert 'measured depth of the ground' in capsys.readouterr().out
        assert out.read_text().startswith('# height from measured depth of the ground\n')

    def test_pictures_with_a_folder_of_depth(self, drive: list[Sample], tmp_path: Path) -> None:
        for name in ('pictures', 'depth'):
            (tmp_path / name).mkdir()
        for number, sample in enumerate(drive[:3]):
            cv2.imwrite(str(tmp_path / f'pictures/{number}.png'), sample.frame.image[..., ::-1])
            depth = np.where(np.isfinite(sample.truth.depth), sample.truth.depth, 0)
            cv2.imwrite(str(tmp_path / f'depth/{number}.png'), (256 * depth).astype(np.uint16))
        k = drive[0].frame.intrinsics
        (tmp_path / 'camera.json').write_text(
            f'{{"fx": {k.fx}, "fy": {k.fy}, "cx": {k.cx}, "cy": {k.cy}, "width": {k.width}, '
            f'"height": {k.height}}}')
        out = tmp_path / 'mounting.yaml'
        assert main(['calibrate-mounting', str(tmp_path / 'pictures'), '--depth',
                     str(tmp_path / 'depth'), '--camera', str(tmp_path / 'camera.json'), '-o',
                     str(out)]) == 0
        assert read_mounting(out).fixed.height_m == pytest.approx(HEIGHT_M, rel=0.03)

    @pytest.mark.parametrize(('arguments', 'words'), [
        (('nowhere',), 'nowhere: no such file or folder; give a bag'),
        (('.', '--camera-height', '0'), '--camera-height is 0.0'),
        (('.', '--camera-height', '1.2', '--distance', 'car=5@0'), 'give one of them'),
        (('.', '--distance', 'car'), 'give CLASS=METERS@FRAME'),
        (('.', '--depth', 'nowhere'), '--depth is nowhere, which is no folder'),
        (('.', '--lidar-topic', '/points'), 'is no bag, so it has no topics'),
    ])
    def test_mistakes_are_one_line(self, arguments: tuple[str, ...], words: str, tmp_path: Path,
                                   monkeypatch: pytest.MonkeyPatch,
                                   capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.chdir(tmp_path)
        cv2.imwrite('a.png', np.zeros((64, 64, 3), np.uint8))
        assert main(['calibrate-mounting', *arguments]) == 2
        assert words in capsys.readouterr().err
        assert not Path('mounting.yaml').exists()
