# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Made-up data sets and recordings are what their readers expect; they are timed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from panoptic_depth_core.benchmark.evaluation import (
    SEQUENCE_FRAMES,
    THINGS,
    measure_replay,
    measure_scoring,
    write_drive,
    write_frames,
)
from panoptic_depth_core.datasets import open_dataset
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.dataset.evaluate import evaluate
from panoptic_depth_core.evaluation.dataset.stored_predictions import StoredPredictions
from panoptic_depth_core.evaluation.recordings.evaluate_bag import BagJob, evaluate_bag
from panoptic_depth_core.evaluation.settings import EvaluationSettings, RecordingSettings

SIZE = (128, 256)


@pytest.fixture(scope='module')
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    top = tmp_path_factory.mktemp('scoring')
    write_frames(top / 'data', top / 'results', SEQUENCE_FRAMES + 2, SIZE)
    return top / 'data', top / 'results'


def test_frames_are_read_and_the_results_are_good_but_not_perfect(folders) -> None:
    root, results = folders
    data = open_dataset('cityscapes_dvps', str(root), 'val')
    assert len(data) == SEQUENCE_FRAMES + 2
    assert [data[i].sequence for i in (0, -1)] == ['000000', '000001']
    samples = [data[i] for i in range(len(data))]
    result = evaluate(StoredPredictions(results, data.classes), samples,
                      EvaluationSettings(windows=(1, 2)), data.classes)
    assert result.video.windows == {1: 8, 2: 6}
    for metric_value in (result.panoptic.all.pq, result.video.all, result.semantic.mean):
        assert 0.2 < metric_value < 0.99
    assert 0.02 < result.depth.pooled.abs_rel < 0.2
    assert result.calibration.stated_share > 0.9
    assert result.distance.all.measured > 10


def test_a_frame_has_as_many_segments_as_a_street(folders) -> None:
    sample = open_dataset('cityscapes_dvps', str(folders[0]), 'val')[0]
    assert THINGS // 2 < len(np.unique(sample.truth.panoptic)) < THINGS + 10
    assert 0.02 < np.isnan(sample.truth.depth).mean() < 0.5


def test_scoring() -> None:
    seen = []
    report = measure_scoring(2, lambda root, results: seen.append(
        (len(list(root.rglob('*.png'))), len(list(results.rglob('*.png'))))), (32, 64))
    assert seen == [(6, 4)]
    row, = report.rows
    assert row['frames'] == 2 and row['seconds'] > 0
    assert row['frames_per_s'] == pytest.approx(2 / row['seconds'])
    assert report.title.startswith('2 frames of 64x32 scored in')
    with pytest.raises(ConfigError, match='0 frames to score; give at least 1'):
        measure_scoring(0, lambda *_: None, (32, 64))


def test_a_recording_has_truth_points_and_results(tmp_path: Path) -> None:
    write_drive(tmp_path / 'drive', 3, SIZE)
    part = evaluate_bag(BagJob('drive', tmp_path / 'drive', RecordingSettings()))
    assert part.summary['frames'] == 3 and part.summary['error'] is None
    assert part.score is not None


def test_replay() -> None:
    report = measure_replay(100, 2, (32, 64))
    row, = report.rows
    assert 0 < row['frames'] <= 100 and row['frames_per_s'] > 0
    with pytest.raises(ConfigError, match=r'99 frames for 2 .*at least 100 \(--frames\)'):
        measure_replay(99, 2)
