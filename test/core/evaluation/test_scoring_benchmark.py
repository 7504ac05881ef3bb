# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of scoring: its frames are what the data set's reader and the results' expect."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from panoptic_depth_core.datasets import open_dataset
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.dataset.evaluate import evaluate
from panoptic_depth_core.evaluation.dataset.stored_predictions import StoredPredictions
from panoptic_depth_core.evaluation.scoring_benchmark import (
    SEQUENCE_FRAMES,
    THINGS,
    scoring_benchmark,
    write_frames,
)
from panoptic_depth_core.evaluation.settings import EvaluationSettings

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
    for figure in (result.panoptic.all.pq, result.video.all, result.semantic.mean):
        assert 0.2 < figure < 0.99
    assert 0.02 < result.depth.pooled.abs_rel < 0.2
    assert result.calibration.stated_share > 0.9
    assert result.distance.all.measured > 10


def test_a_frame_has_as_many_segments_as_a_street(folders) -> None:
    sample = open_dataset('cityscapes_dvps', str(folders[0]), 'val')[0]
    assert THINGS // 2 < len(np.unique(sample.truth.panoptic)) < THINGS + 10
    assert 0.02 < np.isnan(sample.truth.depth).mean() < 0.5


def test_timing() -> None:
    seen = []
    timing = scoring_benchmark(2, lambda root, results: seen.append(
        (len(list(root.rglob('*.png'))), len(list(results.rglob('*.png'))))), (32, 64))
    assert seen == [(6, 4)]
    assert timing.seconds > 0
    assert '2 frames of 64x32 scored in' in timing.to_text()
    assert json.loads(json.dumps(timing.to_dict()))['frames'] == 2
    with pytest.raises(ConfigError, match='0 frames to score; give at least 1'):
        scoring_benchmark(0, lambda *_: None)
