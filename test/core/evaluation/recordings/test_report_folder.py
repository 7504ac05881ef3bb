# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a report goes and which recordings are in it: nothing is lost, nothing is there twice."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.recordings.evaluate_bag import BagJob
from panoptic_depth_core.evaluation.recordings.evaluate_bags import evaluate_bags
from panoptic_depth_core.evaluation.recordings.jobs import find_bags, job_key
from panoptic_depth_core.evaluation.settings import RecordingSettings
from replay_bags import depth, drive, labels, moments, results, write_items

pytestmark = pytest.mark.usefixtures('no_plots')


@pytest.fixture
def job(tmp_path: Path) -> BagJob:
    """Three frames with truth and results."""
    items = [*drive(3, labels, depth), *(item for ms in moments(3) for item in results(ms))]
    bag = write_items(tmp_path / 'drives/bag', sorted(items, key=lambda i: i.recorded_ns))
    return BagJob('bag', bag, RecordingSettings())


@pytest.mark.parametrize('name', ['report.json', 'frames.jsonl', 'report.html', 'times.json'])
def test_files_of_others_are_not_replaced(name: str, job: BagJob, tmp_path: Path) -> None:
    (tmp_path / 'report').mkdir()
    (tmp_path / 'report' / name).write_text('{"mine": 1}')
    told: list[int] = []
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=f'{name}: is there already and not of a report'):
            evaluate_bags([job], tmp_path / 'report', overwrite=overwrite,
                          progress=lambda index, *_: told.append(index))
    assert not told and (tmp_path / 'report' / name).read_text() == '{"mine": 1}'


def test_what_lies_beside_a_report_stays(job: BagJob, tmp_path: Path) -> None:
    folder = tmp_path / 'report'
    mine = [folder / name for name in (
        'notes.txt', 'worst/mine.jpg', 'parts/mine.part', 'viewers/mine.mcap')]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('mine')
    for overwrite in (False, True):
        assert evaluate_bags([job], folder, overwrite=overwrite)
    assert [path.read_text() for path in mine] == ['mine'] * len(mine)


def test_a_folder_that_cannot_be_is_found_out_first(job: BagJob, tmp_path: Path) -> None:
    (tmp_path / 'report').write_text('mine')
    told: list[int] = []
    with pytest.raises(ConfigError, match='a file is in the place of a folder'):
        evaluate_bags([job], tmp_path / 'report', progress=lambda index, *_: told.append(index))
    assert not told


def test_a_broken_baseline_is_found_out_before_there_is_half_a_report(
        job: BagJob, tmp_path: Path) -> None:
    evaluate_bags([job], tmp_path / 'base')
    evaluate_bags([job], tmp_path / 'report')
    report = json.loads((tmp_path / 'base/report.json').read_text())
    lines = (tmp_path / 'base/frames.jsonl').read_bytes()
    (tmp_path / 'base/frames.jsonl').write_bytes(lines + b'{"bag": 3}\n')
    before = (tmp_path / 'report/report.html').read_bytes()
    with pytest.raises(ConfigError, match='line 4 is no frame'):
        evaluate_bags([job], tmp_path / 'report', baseline=tmp_path / 'base')
    (tmp_path / 'base/frames.jsonl').write_bytes(lines.splitlines(keepends=True)[0] * 2)
    with pytest.raises(ConfigError, match='not in the order of stamps'):
        evaluate_bags([job], tmp_path / 'report', baseline=tmp_path / 'base')
    (tmp_path / 'base/report.json').write_text(json.dumps({**report, 'figures': {'a.b': 3}}))
    with pytest.raises(ConfigError, match=r'figures\.a\.b is 3: Input should be a valid dict'):
        evaluate_bags([job], tmp_path / 'report', baseline=tmp_path / 'base')
    assert (tmp_path / 'report/report.html').read_bytes() == before


def test_names_tell_recordings_apart(job: BagJob, tmp_path: Path) -> None:
    for jobs in ([], [job, job]):
        with pytest.raises(ConfigError, match='each a name of its own'):
            evaluate_bags(jobs, tmp_path / 'report')


def test_a_recording_by_several_paths_is_one(job: BagJob, tmp_path: Path) -> None:
    (tmp_path / 'links').mkdir()
    (tmp_path / 'links/one').symlink_to(job.path)
    several = [job.path, tmp_path / 'drives/../drives/bag', tmp_path / 'links/one',
               tmp_path / 'links']
    assert find_bags(several) == [job.path]
    assert find_bags(several[2:]) == [tmp_path / 'links/one']


def test_files_for_viewers_are_no_recordings(job: BagJob, tmp_path: Path) -> None:
    reports = [tmp_path / 'drives/one', tmp_path / 'drives/two']
    for folder in reports:
        viewers = (folder / 'viewers/001_bag.mcap',)
        evaluate_bags([replace(job, viewers=viewers)], folder)
        assert viewers[0].is_file()
    (reports[1] / 'report.json').unlink()
    assert find_bags([tmp_path / 'drives'], reports[1]) == [job.path]


def test_a_path_that_is_no_text(job: BagJob, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b'/\xff'))
    try:
        job.path.rename(path)
    except OSError:
        pytest.skip('this disk takes UTF-8 names alone')
    assert job_key(replace(job, path=path)) != job_key(job)
    assert evaluate_bags([replace(job, path=path, name=path.name)], tmp_path / 'report')
