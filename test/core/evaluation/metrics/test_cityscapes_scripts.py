# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The same arrays through the evaluation of the Cityscapes benchmark itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from panoptic_depth_core.evaluation.metrics.panoptic import PanopticQuality
from panoptic_depth_core.evaluation.metrics.segment_overlaps import segment_overlaps
from panoptic_depth_core.evaluation.metrics.semantic import SemanticMetric
from panoptic_depth_core.labels import CITYSCAPES, VOID_CLASS, VOID_ID, class_of

WHY = 'pip install --no-deps cityscapesscripts pyquaternion; make test does'
CATEGORIES = {c.class_id: {'isthing': int(c.is_thing)} for c in CITYSCAPES}


def random_frame(rng: np.random.Generator, crowds: bool) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of segments with void and crowds, and a disturbed copy with void."""
    ids = [c.class_id * 1000 + i for c in CITYSCAPES
           for i in ((1, 2) if c.is_thing else (0,))] + [VOID_ID] * 3
    if crowds:
        ids += [c.class_id * 1000 for c in CITYSCAPES if c.is_thing]
    truth = np.kron(rng.choice(np.array(ids, np.int32), (8, 10)), np.ones((6, 6), np.int32))
    predicted = np.roll(truth, int(rng.integers(0, 4)), axis=1)
    predicted[rng.random(truth.shape) < 0.05] = VOID_ID
    swapped = np.kron(rng.random((4, 5)) < 0.2, np.ones((12, 12), np.bool_))
    predicted[swapped] = 13009
    # A crowd is no prediction.
    predicted[(predicted % 1000 == 0) & (predicted // 1000 > 10) & (predicted != VOID_ID)] = 12009
    return truth, predicted


def coco(ids: np.ndarray, path: Path) -> dict[str, Any]:
    """Write ids + 1 as colors and return the annotation."""
    stored = np.where(ids == VOID_ID, 0, ids + 1)
    cv2.imwrite(str(path), np.dstack([stored >> 16, stored >> 8 & 255, stored & 255]).astype(
        np.uint8))
    return {'image_id': path.stem, 'file_name': path.name, 'segments_info': [
        {'id': int(i) + 1, 'category_id': int(i) // 1000, 'area': int((ids == i).sum()),
         'iscrowd': int(i % 1000 == 0 and CITYSCAPES[i // 1000].is_thing)}
        for i in np.unique(ids) if i != VOID_ID]}


@pytest.mark.parametrize('crowds', [False, True])
def test_panoptic_quality(tmp_path: Path, crowds: bool) -> None:
    script = pytest.importorskip('cityscapesscripts.evaluation.evalPanopticSemanticLabeling',
                                 reason=WHY)
    rng = np.random.default_rng(7)
    ours, annotations = PanopticQuality(), []
    for name in ('truth', 'predicted'):
        (tmp_path / name).mkdir()
    for index in range(6):
        frames = random_frame(rng, crowds)
        ours.update(segment_overlaps(*frames))
        annotations.append(tuple(coco(ids, tmp_path / name / f'{index}.png') for name, ids in zip(
            ('truth', 'predicted'), frames, strict=True)))
    theirs = script.pq_compute_single_core(
        0, annotations, str(tmp_path / 'truth'), str(tmp_path / 'predicted'), CATEGORIES)
    result = ours.result()
    for group, is_thing in (('all', None), ('things', True), ('stuff', False)):
        mean, _ = theirs.pq_average(CATEGORIES, isthing=is_thing)
        found = getattr(result, group)
        assert found.class_count == mean['n']
        np.testing.assert_allclose([found.pq, found.sq, found.rq],
                                   [mean[name] for name in ('pq', 'sq', 'rq')], atol=1e-12)
    assert 0.1 < result.all.pq < 0.9
    for c in CITYSCAPES:
        counts = theirs[c.class_id]
        assert (result.true_positives[c.class_id], result.false_positives[c.class_id],
                result.false_negatives[c.class_id]) == (counts.tp, counts.fp, counts.fn)


def test_mean_iou(tmp_path: Path) -> None:
    script = pytest.importorskip('cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling',
                                 reason=WHY)
    label_id = np.zeros(VOID_CLASS + 1, np.uint8)
    label_id[[c.class_id for c in CITYSCAPES]] = [c.cityscapes_id for c in CITYSCAPES]
    arguments = script.args
    arguments.evalInstLevelScore = False
    confusion = script.generateMatrix(arguments)
    rng = np.random.default_rng(8)
    ours = SemanticMetric()
    for _ in range(4):
        frames = random_frame(rng, True)
        ours.count(segment_overlaps(*frames))
        paths = [str(tmp_path / f'{name}.png') for name in ('truth', 'predicted')]
        for path, ids in zip(paths, frames, strict=True):
            assert cv2.imwrite(path, label_id[class_of(ids)])
        script.evaluatePair(paths[1], paths[0], confusion, {}, {}, arguments)
    theirs = [script.getIouScoreForLabel(c.cityscapes_id, confusion, arguments)
              for c in CITYSCAPES]
    np.testing.assert_allclose(ours.result().iou, theirs, atol=1e-12)
    assert ours.result().mean == pytest.approx(np.nanmean(theirs))
    assert 0.2 < ours.result().mean < 0.95
