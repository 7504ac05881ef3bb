# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Several processes: the same metrics to the last bit, and what goes wrong in one of them."""

from __future__ import annotations

import os
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
from panoptic_depth_core.errors import BackendError, ConfigError
from panoptic_depth_core.evaluation.dataset.evaluate import evaluate
from panoptic_depth_core.evaluation.dataset.parallel import PART_FRAMES, Work, evaluate_parts
from panoptic_depth_core.evaluation.report.dataset_report import to_dict
from panoptic_depth_core.evaluation.settings import EvaluationSettings
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID
from panoptic_depth_core.structures import Frame, GroundTruth, Intrinsics, PanopticDepth, Sample

SIZE = (12, 16)
COUNT = 3 * PART_FRAMES + 1
SETTINGS = EvaluationSettings(windows=(1, 2, PART_FRAMES + 2), tolerances=(0.2, 0.1))
THINGS = tuple(c.class_id for c in CITYSCAPES if c.is_thing)


class Drives:
    """Random blocks; two sequences, of which the first goes on through the second part."""

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng(index)
        ids = np.array([0, 10000, 13001, 13002])
        truth = np.kron(rng.choice(ids, (3, 4)), np.ones((4, 4))).astype(np.int32)
        depth = rng.uniform(3, 60, SIZE).astype(np.float32)
        frame = Frame(np.zeros((*SIZE, 3), np.uint8), Intrinsics.from_fov(70, *SIZE[::-1]),
                      name=str(index))
        return Sample(frame, GroundTruth(truth, True, THINGS, depth=depth),
                      'ab'[index > 2 * PART_FRAMES - 2])


def predict(mistake: str, frame: Frame) -> PanopticDepth:
    index = int(frame.name)
    if mistake and index == COUNT - 1:
        if mistake == 'dies':
            os._exit(3)
        raise ConfigError(f'frame {index}: {mistake}')
    truth = Drives()[index].truth
    rng = np.random.default_rng(1000 + index)
    panoptic = np.roll(truth.panoptic, 1, axis=1).astype(np.uint16)
    depth = truth.depth * rng.lognormal(0, 0.1, SIZE).astype(np.float32)
    return PanopticDepth(panoptic, depth, (), (), frame.intrinsics, 1000, name=frame.name)


def open_predictor(mistake: str):
    if mistake == 'no model':
        raise ConfigError('no model there')
    return nullcontext(partial(predict, mistake))


def work(mistake: str = '') -> Work:
    return Work(Drives, partial(open_predictor, mistake), SETTINGS, CITYSCAPES)


def test_the_metrics_are_the_same_for_any_number_of_processes() -> None:
    told: list[int] = []
    alone = evaluate_parts(work(), COUNT, 1, told.append)
    assert set(told) == set(range(1, COUNT + 1)) and told == sorted(told)
    told.clear()
    together = evaluate_parts(work(), COUNT, 2, told.append)
    assert told == sorted(told) and told[-1] == COUNT
    assert to_dict(together) == to_dict(alone)
    assert alone.frames.all == COUNT


def test_they_are_those_of_one_run() -> None:
    """Windows that reach over several parts included."""
    parts = evaluate_parts(work(), COUNT)
    samples = [Drives()[i] for i in range(COUNT)]
    whole = evaluate(partial(predict, ''), samples, SETTINGS)
    assert parts.video.windows == whole.video.windows == {1: 25, 2: 23, 10: 7}
    for k in SETTINGS.windows:
        assert parts.video.by_window[k].all == pytest.approx(whole.video.by_window[k].all)
        for ours, theirs in zip(parts.video.by_window[k].by_tolerance.values(),
                                whole.video.by_window[k].by_tolerance.values(), strict=True):
            np.testing.assert_array_equal(ours.true_positives, theirs.true_positives)
    assert 0 < parts.video.all < 1
    assert parts.panoptic.true_positives[CLASS_ID['road']] > 0
    assert parts.depth.pooled.abs_rel == pytest.approx(whole.depth.pooled.abs_rel)


def test_fewer_frames_and_none() -> None:
    assert evaluate_parts(work(), 3).frames.all == 3
    assert evaluate_parts(work(), 0, 2).frames.all == 0


@pytest.mark.parametrize('jobs', [1, 2])
@pytest.mark.parametrize(('mistake', 'words'), [
    ('wrong', f'frame {COUNT - 1}: wrong'), ('no model', 'no model there')])
def test_errors_come_through(jobs: int, mistake: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        evaluate_parts(work(mistake), COUNT, jobs)


def test_a_process_that_dies() -> None:
    with pytest.raises(BackendError, match='frames 24 to 24: the worker that ran it failed twice: '
                                          'exit code 3; give fewer than 2 --jobs'):
        evaluate_parts(work('dies'), COUNT, 2)
