# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A whole evaluation: known errors are found, the bytes are the same, nothing broken ends it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.recordings.evaluate_bag import BagJob, evaluate_bag
from panoptic_depth_core.evaluation.recordings.evaluate_bags import evaluate_bags
from panoptic_depth_core.evaluation.recordings.jobs import bag_names, find_bags
from panoptic_depth_core.evaluation.settings import RecordingSettings
from panoptic_depth_core.files import lock_folder
from panoptic_depth_core.labels import VOID_ID
from panoptic_depth_core.structures import InstanceDistance, PanopticDepth
from simulated_drive import SimulatedDrive, write_simulated_drive

pytestmark = pytest.mark.usefixtures('no_plots')

FRAMES, WIDTH, HEIGHT = 8, 320, 96
VOID_ROWS = 6
SWITCHED, SWITCH_AT = 13_001, 4
"""The first car, from this frame on."""
TIMES = 'times.json'


def wrong_in_known_ways(index: int, result: PanopticDepth) -> PanopticDepth:
    """Depth is 5 % too great already; distances 7 %, rows of void, and ids that change once."""
    _, ids, depth = SimulatedDrive(FRAMES, WIDTH, HEIGHT).truth(index)
    panoptic = result.panoptic.copy()
    panoptic[:VOID_ROWS] = VOID_ID

    def wrong(instance: InstanceDistance) -> InstanceDistance:
        number = instance.segment.panoptic_id
        median = float(np.median(depth[ids == number]))
        switched = number == SWITCHED and index >= SWITCH_AT
        return replace(instance, depth_m=1.07 * median, track_id=7 if switched else number)

    distances = tuple(map(wrong, result.distances))
    return replace(result, panoptic=panoptic, distances=distances)


@pytest.fixture(scope='module')
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with truth of every kind, and results with known errors."""
    path = tmp_path_factory.mktemp('drives') / 'simulated'
    write_simulated_drive(path, FRAMES, WIDTH, HEIGHT, depth_factor=1.05, lidar_pixels=5,
                          change=wrong_in_known_ways)
    return path


def job(path: Path, name: str = 'drive', **changes: Any) -> BagJob:
    return BagJob(name, path, RecordingSettings(), **changes)


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / 'report.json').read_text())


def values(folder: Path) -> dict[str, float]:
    return {name: found['value'] for name, found in report(folder)['figures'].items()}


def files(folder: Path) -> dict[str, bytes]:
    """Everything but the times, in whose section pages differ too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for suffix in ('json', 'jsonl', 'jpg') for path in sorted(folder.rglob(f'*.{suffix}'))
            if path.name != TIMES}


def test_known_errors_are_found_to_three_digits(drive: Path, tmp_path: Path) -> None:
    evaluate_bags([job(drive)], tmp_path)
    found = values(tmp_path)
    assert found['depth.abs_rel'] == pytest.approx(0.05, abs=5e-5)
    assert found['lidar.abs_rel'] == pytest.approx(0.05, abs=5e-5)
    assert found['lidar.missing_share'] == 0.0
    assert found['depth.delta1'] == found['lidar.delta1'] == 1.0
    assert found['distance.labels.median_rel'] == pytest.approx(0.07, abs=5e-5)
    assert found['distance.labels.bias_rel'] == pytest.approx(0.07, abs=5e-5)
    # By a fifth of the pixels, whose median is not quite that of all.
    assert found['distance.lidar.median_rel'] == pytest.approx(0.07, abs=2e-3)
    # Of a box the nearest surface on the way to its center is true, not the median of what shows.
    assert found['distance.boxes.median_rel'] == pytest.approx(0.05, abs=5e-3)
    assert found['consistency.void_share'] == pytest.approx(VOID_ROWS / HEIGHT, abs=1e-9)
    assert found['frames.scored'] == FRAMES
    assert found['frames.skipped'] == found['bags.failed'] == 0


def test_a_track_id_that_changes_is_one_switch(drive: Path, tmp_path: Path) -> None:
    pytest.importorskip('scipy')
    evaluate_bags([job(drive)], tmp_path)
    found = values(tmp_path)
    assert found['tracking.switches'] == found['consistency.id_switches'] == 1
    assert found['consistency.instance_survival'] == 1.0


def test_what_is_in_the_report(drive: Path, tmp_path: Path) -> None:
    evaluate_bags([job(drive)], tmp_path)
    content = report(tmp_path)
    (bag,) = content['bags']
    assert bag['truth'] == ['labels', 'depth', 'lidar', 'boxes']
    assert bag['duration_s'] == pytest.approx(0.1 * (FRAMES - 1))
    assert content['run']['results'] == 'recorded'
    assert content['run']['model_id'] == 'simulated'
    lines = [json.loads(line) for line in (tmp_path / 'frames.jsonl').read_text().splitlines()]
    assert [line['name'] for line in lines] == [f'{i:06d}' for i in range(FRAMES)]
    assert {d['source'] for line in lines for d in line['distances']} == {
        'labels', 'lidar', 'boxes'}
    shown = [frame['value'] for frame in content['worst']]
    assert shown == sorted(shown, reverse=True) and len(shown) == FRAMES
    assert all((tmp_path / frame['picture']).is_file() for frame in content['worst'])
    ranges = content['detail']['lidar']['by_range']
    assert sum(r['pixels'] for r in ranges) == content['detail']['lidar']['pooled']['pixels']
    times = json.loads((tmp_path / TIMES).read_text())
    assert {'read', 'score', 'total', 'recorded latency'} <= set(times['steps'])
    assert times['steps']['recorded latency']['p50'] == pytest.approx(60.0)


def test_any_number_of_workers_and_the_next_run_give_the_same_bytes(
        drive: Path, tmp_path: Path) -> None:
    """Three recordings, the last of them broken."""
    broken = tmp_path / 'broken'
    broken.mkdir()
    (broken / 'broken_0.mcap').write_bytes(b'no recording at all' * 50)
    jobs = [job(drive, 'one'), job(drive, 'two'), job(broken, 'three')]
    for folder, workers in (('single', 1), ('several', 2)):
        evaluate_bags(jobs, tmp_path / folder, workers=workers)
    single, several = (files(tmp_path / folder) for folder in ('single', 'several'))
    assert single == several
    evaluate_bags(jobs, tmp_path / 'single')
    assert files(tmp_path / 'single') == single
    content = report(tmp_path / 'single')
    assert [bag['error'] is None for bag in content['bags']] == [True, True, False]
    assert 'broken_0.mcap' in content['bags'][2]['error']
    assert content['figures']['bags.failed']['value'] == 1
    assert content['figures']['frames.scored']['value'] == 2 * FRAMES


def test_what_is_done_is_not_done_again(drive: Path, tmp_path: Path) -> None:
    told: list[int] = []
    jobs = [job(drive, 'one', limit=2), job(drive, 'two', limit=3)]
    for expected in ([0, 0, 1, 1, 1], [0, 0, 1, 1, 1]):
        told.clear()
        evaluate_bags(jobs, tmp_path, progress=lambda index, *_: told.append(index),
                      overwrite=True)
        assert told == expected
    told.clear()
    evaluate_bags([*jobs, job(drive, 'three', limit=1)], tmp_path,
                  progress=lambda index, *_: told.append(index))
    assert told == [2]
    told.clear()
    evaluate_bags([job(drive, 'one', limit=1), *jobs[1:]], tmp_path,
                  progress=lambda index, *_: told.append(index))
    assert told == [0]


def test_a_run_that_is_stopped_goes_on(drive: Path, tmp_path: Path) -> None:
    jobs = [job(drive, 'one', limit=2), job(drive, 'two', limit=2)]
    told: list[int] = []
    assert evaluate_bags(jobs, tmp_path, progress=lambda index, *_: told.append(index),
                         stopped=lambda: 1 in told) is None
    assert not (tmp_path / 'report.json').exists()
    told.clear()
    assert evaluate_bags(jobs, tmp_path,
                         progress=lambda index, *_: told.append(index)) is not None
    assert told == [1, 1]


def test_nothing_could_be_scored(tmp_path: Path) -> None:
    bag = tmp_path / 'empty'
    bag.mkdir()
    (bag / 'metadata.yaml').write_text('')
    with pytest.raises(ConfigError, match='no recording could be scored: drive: .*empty'):
        evaluate_bags([job(bag)], tmp_path / 'report')


def test_results_without_a_recording_of_them(tmp_path: Path) -> None:
    write_simulated_drive(tmp_path / 'drive', 2)
    with pytest.raises(ConfigError, match='results'):
        evaluate_bag(job(tmp_path / 'drive'))


def test_two_recordings_of_results_are_compared_by_stamp(drive: Path, tmp_path: Path) -> None:
    other = tmp_path / 'other'
    write_simulated_drive(other, FRAMES, WIDTH, HEIGHT, depth_factor=1.05,
                          change=lambda index, result: None if index == 3 else result)
    evaluate_bags([job(other, reference=other)], tmp_path / 'same')
    found = values(tmp_path / 'same')
    assert found['agreement.identical_frames'] == FRAMES - 1 == found['frames.scored']
    assert found['frames.skipped'] == 1
    evaluate_bags([job(drive, reference=other)], tmp_path / 'report')
    found = values(tmp_path / 'report')
    assert found['agreement.identical_frames'] == 0
    assert found['agreement.depth_max_log'] == 0.0
    assert found['agreement.same_class_share'] == pytest.approx(1 - VOID_ROWS / HEIGHT)


def test_recordings_are_found_and_named(drive: Path, tmp_path: Path) -> None:
    for name in ('a/run', 'b/run'):
        write_simulated_drive(tmp_path / name, 1, with_lidar=False, with_boxes=False)
    bags = find_bags([tmp_path, tmp_path / 'a/run', drive])
    assert bags == [tmp_path / 'a/run', tmp_path / 'b/run', drive]
    assert bag_names(bags) == ['a/run', 'b/run', f'{drive.parent.name}/simulated']
    assert bag_names([drive]) == ['simulated']
    with pytest.raises(ConfigError, match='nowhere: no such file or folder'):
        find_bags([tmp_path / 'nowhere'])
    (tmp_path / 'c').mkdir()
    with pytest.raises(ConfigError, match='c: is no recording and has none in it'):
        find_bags([tmp_path / 'c'])


def test_two_programs_do_not_write_into_one_folder(drive: Path, tmp_path: Path) -> None:
    with lock_folder(tmp_path), pytest.raises(ConfigError, match='writes into it; wait'):
        evaluate_bags([job(drive)], tmp_path, overwrite=True)
    assert not list(tmp_path.iterdir())
