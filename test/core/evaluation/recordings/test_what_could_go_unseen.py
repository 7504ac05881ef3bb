# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Metrics that would be wrong without anybody seeing it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_errors import scored, values
from panoptic_depth_core.evaluation.metrics.frame import RecordedFrame
from panoptic_depth_core.evaluation.metrics.shown import MetricValue
from panoptic_depth_core.evaluation.metrics.table import metric_kinds, ranking
from panoptic_depth_core.evaluation.recordings import evaluate_bags as module
from panoptic_depth_core.evaluation.recordings.evaluate_bag import BagJob, BagPart
from panoptic_depth_core.evaluation.recordings.reading.reader import CameraOptions, RecordingReader
from panoptic_depth_core.evaluation.recordings.scoring import BagScore
from panoptic_depth_core.evaluation.recordings.worst_frames import WorstFrames, worst_of
from panoptic_depth_core.evaluation.settings import RecordingSettings, WorstSettings
from panoptic_depth_core.io.messages.truth_images import LabelImage, ground_truth
from panoptic_depth_core.labels import CITYSCAPES, VOID_ID, ClassInfo
from panoptic_depth_core.structures import PanopticDepth
from replay_bags import CAR, frame_at, result_at, true_depth, true_ids
from simulated_drive import write_simulated_drive

pytestmark = pytest.mark.usefixtures('no_plots')

SETTINGS = RecordingSettings.model_validate({'evaluation': {'min_instance_pixels': 1}})


def score_of(*results: PanopticDepth, name: str = 'drive') -> BagScore:
    score = BagScore(CITYSCAPES, SETTINGS)
    truth = ground_truth(LabelImage(true_ids(), True), true_depth(), CITYSCAPES)
    for index, result in enumerate(results):
        score.add(RecordedFrame(frame_at(100 * (index + 1)), truth), result, name)
    return score


def metric_values_of(score: BagScore) -> dict[str, float]:
    return {metric_value.name: metric_value.value for metric_value in score.summary()[0]}


def tracked(ms: float) -> PanopticDepth:
    """Two cars with their ids."""
    result = result_at(ms)
    return replace(result, distances=tuple(
        replace(d, track_id=d.segment.instance_id) for d in result.distances))


def without_instances(ms: float) -> PanopticDepth:
    """Nothing but road was seen."""
    return replace(result_at(ms), panoptic=np.where(true_ids() == VOID_ID, VOID_ID, 0).astype(
        np.uint16), distances=())


def test_a_frame_in_which_all_is_missed_lowers_the_tracking_metrics() -> None:
    pytest.importorskip('scipy')
    score = score_of(tracked(100), without_instances(200), tracked(300), without_instances(400))
    found, (metric_value, *_) = metric_values_of(score), [
        f for f in score.summary()[0] if f.name == 'tracking.mota']
    assert found['tracking.mota'] == 0.5
    assert found['tracking.fragments'] == 2
    assert metric_value.on == '4 frames, 2 things'


def test_what_was_not_tracked_has_no_tracking_metrics() -> None:
    pytest.importorskip('scipy')
    plain = [replace(r, distances=tuple(replace(d, track_id=-1) for d in r.distances))
             for r in (result_at(100), result_at(200))]
    assert not [name for name in metric_values_of(score_of(*plain)) if name.startswith('tracking')]
    for parts in ((plain, [tracked(100)]), ([tracked(100)], plain)):
        one, other = (score_of(*part, name=name) for part, name in zip(parts, 'ab', strict=True))
        one.merge(other)
        assert metric_values_of(one)['tracking.mota'] == 1.0


def test_only_instances_of_things_answer_boxes_and_points() -> None:
    """A region of cars that could not be told apart is no instance, nor is stuff."""
    result = result_at(100)
    (near, far), road = result.distances, result.segments[2]
    crowd = replace(near, segment=replace(near.segment, instance_id=0, panoptic_id=CAR))
    stuff = replace(far, segment=road, class_name='road')
    score = BagScore(CITYSCAPES, SETTINGS)
    record = score.add(RecordedFrame(frame_at(100), lidar_depth=np.full((20, 32), 9, np.float32)),
                       replace(result, panoptic=np.where(
                           result.panoptic == CAR + 1, CAR, result.panoptic).astype(np.uint16),
                           distances=(crowd, stuff)))
    assert record['instances'] == 0 and record['distances'] == []


def test_boxes_of_other_classes_are_told_and_not_judged(tmp_path: Path) -> None:
    """Not as missed ones: no result could have them."""
    table = tuple(replace(c, name='vehicle', is_thing=c.is_thing) if c.name == 'car'
                  else replace(c, is_thing=False) if c.name == 'truck' else c
                  for c in CITYSCAPES)
    write_simulated_drive(tmp_path / 'bag', 2)
    with RecordingReader(tmp_path / 'bag', SETTINGS, camera=CameraOptions(),
                      classes=table) as reader:
        frames = list(reader)
        notes = [note for note in reader.notes if 'not judged' in note]
    assert {box.class_name for box in frames[0].boxes or ()} >= {'car', 'person'}
    assert any("boxes of 'car' are not judged" in note for note in notes)
    assert not any('person' in note for note in notes)
    score = BagScore(table, SETTINGS)
    for item in frames:
        score.add(replace(item, truth=ground_truth(None, None, table)), replace(
            result_at(0), panoptic=np.zeros((96, 320), np.uint16),
            depth=np.ones((96, 320), np.float32), segments=(), distances=(),
            intrinsics=item.frame.intrinsics))
    detail = score.summary()[1]['distance']['boxes']
    assert set(detail['by_class']) <= {'person'}


def part(name: str, classes: tuple[ClassInfo, ...], model_id: str) -> BagPart:
    score = BagScore(classes, SETTINGS)
    score.add(RecordedFrame(frame_at(100)), result_at(100))
    return BagPart(name, {'name': name, 'frames': 1, 'skipped': {}, 'error': None}, score,
                   run={'model_id': model_id})


def test_every_model_whose_results_were_recorded_is_named(tmp_path: Path) -> None:
    total = module._Total([BagJob(n, tmp_path, SETTINGS) for n in 'abc'])
    for name, model in zip('abc', ('new', 'old', 'new'), strict=True):
        total.add(part(name, CITYSCAPES, model))
    assert total.report('')['run']['model_id'] == 'new, old'



def test_frames_of_a_recording_that_is_left_out_are_left_out(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in 'ab':
        write_simulated_drive(tmp_path / name, 2, depth_factor=1.0, with_lidar=False)
    run = module.evaluate_bag

    def other_table(job: BagJob, tell: Any) -> BagPart:
        found = run(job, tell)
        if job.name == 'b' and found.score is not None:
            found.score = BagScore(found.score.rules.classes[:-1], job.settings)
            found.score.frames = found.summary['frames']
        return found

    monkeypatch.setattr(module, 'evaluate_bag', other_table)
    report = scored(tmp_path / 'report', *(BagJob(n, tmp_path / n, SETTINGS) for n in 'ab'))
    assert 'other classes' in report['bags'][1]['error']
    assert values(report, 'frames.')['scored'] == 2
    lines = (tmp_path / 'report/frames.jsonl').read_text().splitlines()
    assert [json.loads(line)['bag'] for line in lines] == ['a', 'a']


def test_frames_per_second_are_of_this_run(tmp_path: Path) -> None:
    write_simulated_drive(tmp_path / 'a', 2, depth_factor=1.0, with_lidar=False)
    job = BagJob('a', tmp_path / 'a', SETTINGS)
    rates = []
    for _ in range(2):
        scored(tmp_path / 'report', job)
        rates.append(json.loads((tmp_path / 'report/times.json').read_text())['frames_per_s'])
    assert rates[0] > 0 and rates[1] is None


def test_the_worst_are_chosen_by_the_best_metric_that_any_frame_has() -> None:
    frames = WorstFrames('', 2)

    def add(name: str, **parts: dict[str, float]) -> None:
        frames.add({'bag': 'a', 'name': name, 'stamp_ns': 0, 'depth': None, 'lidar': None,
                    'labels': None, 'consistency': None, **parts}, name.encode)

    add('steady', consistency={'label_stability': 0.9})
    add('flickers', consistency={'label_stability': 0.1})
    assert [f.jpeg for f in frames.worst_first()] == [b'flickers', b'steady']
    # Clouds that come late, or a topic of depth of which nothing fits, must not empty the list.
    add('near', lidar={'abs_rel': 0.1}, depth={'abs_rel': np.nan})
    add('no cloud', consistency={'label_stability': 0.0})
    add('far', lidar={'abs_rel': 0.3})
    add('middle', lidar={'abs_rel': 0.2})
    assert [(f.by, f.jpeg) for f in frames.worst_first()] == [('lidar', b'far'),
                                                             ('lidar', b'middle')]
    assert worst_of([frames.worst_first(), []], 1)[0].record['value'] == 0.3
    assert [WorstSettings(by=name).by for name in ranking()] == list(ranking())


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_known(value: float) -> None:
    assert all(MetricValue(name, value, '', kind).to_dict()['value'] is None
               for name, kind in metric_kinds().items())
