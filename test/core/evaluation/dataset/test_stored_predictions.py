# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Stored results: what predict wrote comes back, other programs' files are read, faults named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from panoptic_depth_core.contract import lacking
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.evaluation.dataset.evaluate import evaluate
from panoptic_depth_core.evaluation.dataset.stored_predictions import StoredPredictions
from panoptic_depth_core.evaluation.report.dataset_report import to_dict
from panoptic_depth_core.io.results.result_folder import (
    FORMATS,
    ResultOptions,
    ResultWriter,
    depth_to_png16,
)
from panoptic_depth_core.labels import CITYSCAPES, SEMKITTI, VOID_ID


def with_segments(pipeline):
    """All pixels are of a segment, each with an expected error but the first."""
    def run(frame):
        found = pipeline(frame)
        known = {s.panoptic_id: s for s in found.segments}
        return dataclasses.replace(found, segments=tuple(dataclasses.replace(
            known.get(i, found.segments[0]), panoptic_id=i, class_id=i // 1000,
            instance_id=i % 1000, log_depth_scale=0.01 * n if n else np.nan)
            for n, i in enumerate(np.unique(found.panoptic).tolist()) if i != VOID_ID))
    return run


@pytest.fixture
def pipeline(faulty):
    return with_segments(faulty)


def store(folder: Path, samples, pipeline, formats=('panoptic', 'depth_npy', 'instances')):
    with ResultWriter(folder, formats, ResultOptions()) as writer:
        for sample in samples:
            writer.write(sample.frame, pipeline(sample.frame))


def write_foreign(folder: Path, samples, pipeline, ending: str = '') -> None:
    """Write what another program has to, and no more."""
    for sample in samples:
        found = pipeline(sample.frame)
        for part, image in (('panoptic', found.panoptic), ('depth', depth_to_png16(found.depth))):
            (folder / part).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / part / f'{sample.frame.name}{ending}.png'), image)


def test_the_report_is_that_of_the_pipeline(samples, pipeline, tmp_path) -> None:
    store(tmp_path, samples, pipeline)
    stored = evaluate(StoredPredictions(tmp_path, CITYSCAPES), samples)
    live = evaluate(pipeline, samples)
    assert to_dict(stored) == to_dict(live)
    assert stored.calibration.pixels > 100
    assert stored.distance.all.median_rel == pytest.approx(0.2)


@pytest.mark.parametrize('tasks', [{'depth'}, {'semantic'}, {'semantic', 'depth'},
                                   {'semantic', 'instances'}])
def test_results_have_the_tasks_of_what_made_them(samples, pipeline, tmp_path, tasks) -> None:
    """Of the rest nothing is stored, and no metric of it is made up."""
    def run(frame):
        found = pipeline(frame)
        changes = {'tasks': frozenset(tasks)}
        if 'depth' not in tasks:
            changes |= {'depth': np.full_like(found.depth, np.nan), 'distances': tuple(
                dataclasses.replace(d, depth_m=np.nan) for d in found.distances)}
        if 'semantic' not in tasks:
            changes |= {'panoptic': np.full_like(found.panoptic, VOID_ID), 'segments': ()}
        elif 'instances' not in tasks:
            ids = np.unique(found.panoptic // 1000 * 1000)
            changes |= {
                'panoptic': np.where(found.panoptic == VOID_ID, VOID_ID,
                                     found.panoptic // 1000 * 1000).astype(np.uint16),
                'segments': tuple(dataclasses.replace(
                    found.segments[0], panoptic_id=i, class_id=i // 1000, instance_id=0)
                    for i in ids.tolist() if i < VOID_ID // 1000 * 1000)}
        if 'instances' not in tasks:
            changes['distances'] = ()
        return dataclasses.replace(found, **changes)

    formats = ('panoptic', 'depth_npy', 'instances')
    wanted = [name for name in formats if not lacking(FORMATS[name].needs, frozenset(tasks))]
    with ResultWriter(tmp_path, wanted, ResultOptions(tasks=frozenset(tasks))) as writer:
        for sample in samples:
            writer.write(sample.frame, run(sample.frame))
    assert StoredPredictions(tmp_path, CITYSCAPES)(samples[0].frame).tasks == tasks
    stored = evaluate(StoredPredictions(tmp_path, CITYSCAPES), samples)
    assert to_dict(stored) == to_dict(evaluate(run, samples))


@pytest.mark.parametrize('ending', ['', '_leftImg8bit'])
def test_files_of_other_programs(samples, pipeline, tmp_path, ending: str) -> None:
    write_foreign(tmp_path, samples, pipeline, ending)
    predictions = StoredPredictions(tmp_path, CITYSCAPES)
    stored, live = evaluate(predictions, samples), evaluate(pipeline, samples)
    assert stored.panoptic.all == live.panoptic.all
    assert stored.depth.pooled.abs_rel == pytest.approx(live.depth.pooled.abs_rel, abs=1e-3)
    assert stored.depth.pooled.missing_share == live.depth.pooled.missing_share
    # No instances.jsonl: the distance is measured, on the depth of 11 m that is stored.
    assert stored.distance.all.median_rel == pytest.approx(0.1, abs=1e-3)
    assert stored.calibration.stated_share == 0
    result = predictions(samples[0].frame)
    assert result.panoptic.dtype == np.uint16 and result.depth.dtype == np.float32
    assert {s.panoptic_id for s in result.segments} == set(
        np.unique(result.panoptic).tolist()) - {VOID_ID}
    assert sum(s.pixel_count for s in result.segments) == (result.panoptic != VOID_ID).sum()


def test_another_label_divisor(samples, perfect, tmp_path) -> None:
    def other(frame):
        found = perfect(frame)
        ids = found.panoptic.astype(np.int64)
        panoptic = np.where(ids == VOID_ID, ids, ids // 1000 * 2000 + ids % 1000)
        return dataclasses.replace(found, panoptic=panoptic.astype(np.uint16), segments=(),
                                   distances=(), label_divisor=2000)

    store(tmp_path, samples, other)
    assert evaluate(StoredPredictions(tmp_path, CITYSCAPES), samples).panoptic.all.pq == 1


def test_the_last_line_may_be_unfinished(samples, pipeline, tmp_path) -> None:
    store(tmp_path, samples, pipeline)
    with (tmp_path / 'instances.jsonl').open('a') as file:
        file.write('{"name": "fra')
    assert StoredPredictions(tmp_path, CITYSCAPES)(samples[0].frame).name == 'frame0'


def test_results_of_an_earlier_version_have_no_mean_depth(samples, pipeline, tmp_path) -> None:
    store(tmp_path, samples, pipeline)
    path = tmp_path / 'instances.jsonl'
    frames = [json.loads(line) for line in path.read_text().splitlines()]
    for instance in (i for frame in frames for i in frame['instances']):
        del instance['depth_mean']
    path.write_text(''.join(json.dumps(frame) + '\n' for frame in frames))
    found = evaluate(StoredPredictions(tmp_path, CITYSCAPES), samples)
    assert found.distance.all.measured > 0
    assert 'distance.labels.median_rel' in found.values
    assert 'distance.labels.mean_depth_rel' not in found.values


def test_16_bit_depth_is_not_divided_as_integers(samples, pipeline, tmp_path) -> None:
    """The 16-bit PNG trap: a depth of 0.5 m is 128, and 128 // 256 is 0."""
    write_foreign(tmp_path, samples, pipeline)
    path = tmp_path / 'depth' / 'frame0.png'
    cv2.imwrite(str(path), np.full((20, 40), 128, np.uint16))
    depth = StoredPredictions(tmp_path, CITYSCAPES)(samples[0].frame).depth
    assert (depth == 0.5).all()


def spoil(folder: Path, name: str, image) -> None:
    cv2.imwrite(str(folder / name), image)


@pytest.mark.parametrize(('spoiled', 'words'), [
    (lambda f: (f / 'depth/frame0.png').unlink(), r'depth/frame0.png: missing; predict every'),
    (lambda f: (f / 'panoptic/frame0.png').unlink(), r'panoptic/frame0.png: missing'),
    (lambda f: spoil(f, 'depth/frame0.png', np.ones((20, 40), np.uint8)), r'is uint8 \(20, 40\);'),
    (lambda f: (f / 'depth/frame0.png').write_bytes(b'no'), r'is no picture'),
    (lambda f: spoil(f, 'panoptic/frame0.png', np.full((20, 40, 3), 7, np.uint8)), 'ids beyond'),
    (lambda f: spoil(f, 'panoptic/frame0.png', np.zeros((10, 20), np.uint16)),
     r'has shape \(10, 20\), but the picture has \(20, 40\)'),
    (lambda f: spoil(f, 'panoptic/frame0.png', np.full((20, 40), 32000, np.uint16)),
     r'panoptic id 32000 is of class 32, but there are classes 0..18; write class id \* 1000'),
])
def test_faults_of_a_frame(samples, pipeline, tmp_path, spoiled, words: str) -> None:
    write_foreign(tmp_path, samples, pipeline)
    spoiled(tmp_path)
    with pytest.raises(ConfigError, match=words):
        StoredPredictions(tmp_path, CITYSCAPES)(samples[0].frame)


def test_faults_of_a_folder(samples, pipeline, tmp_path) -> None:
    with pytest.raises(ConfigError, match='panoptic: no such folder; give a folder of results'):
        StoredPredictions(tmp_path / 'nowhere', CITYSCAPES)
    store(tmp_path, samples, pipeline)
    with pytest.raises(ConfigError, match=r'panoptic.json has other classes than the data set'):
        StoredPredictions(tmp_path, SEMKITTI)
    (tmp_path / 'depth_npy/frame0.npy').write_bytes(b'no')
    with pytest.raises(ConfigError, match='frame0.npy: no array of numbers'):
        StoredPredictions(tmp_path, CITYSCAPES)(samples[0].frame)
    (tmp_path / 'instances.jsonl').write_text('{}\n')
    with pytest.raises(ConfigError, match='instances.jsonl: is not what predict writes'):
        StoredPredictions(tmp_path, CITYSCAPES)
    (tmp_path / 'panoptic.json').write_text(json.dumps({'categories': []}))
    with pytest.raises(ConfigError, match='panoptic.json: is no COCO panoptic JSON'):
        StoredPredictions(tmp_path, CITYSCAPES)
