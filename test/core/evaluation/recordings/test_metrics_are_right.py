# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Metrics of a report against the same numbers, worked out here from the scene by plain formulas.

Nothing of the project's metrics is used on this side; the recording, and what is wrong with its
results, are of known_errors.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_errors import (
    DRIVE,
    FRAMES,
    HEIGHT,
    PERSON,
    SIDEWALK,
    SPLIT_OFF,
    WIDTH,
    scored,
    truth,
    values,
    without_plots,
    wrong,
    wrong_maps,
)
from numpy.typing import NDArray
from panoptic_depth_core.evaluation.recordings.evaluate_bag import BagJob
from panoptic_depth_core.evaluation.settings import RecordingSettings
from panoptic_depth_core.labels import CITYSCAPES, CLASS_ID, VOID_ID
from panoptic_depth_core.structures import InstanceDistance
from simulated_drive import BASE_LIDAR, BASE_OPTICAL, homogeneous
from simulated_scene import cast

MIN_PIXELS, MIN_POINTS, MIN_HEIGHT_PX, MIN_IOU = 60, 3, 14, 0.5
SETTINGS = RecordingSettings.model_validate({
    'evaluation': {'min_instance_pixels': MIN_PIXELS},
    'lidar': {'min_instance_points': MIN_POINTS},
    'boxes': {'min_height_px': MIN_HEIGHT_PX, 'min_iou': MIN_IOU}})
RANGES = ((0, 10), (10, 20), (20, 40), (40, 80))
Pairs = list[tuple[NDArray[Any], NDArray[Any]]]


@pytest.fixture(scope='module')
def report(wrong_bag: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return report.json."""
    with without_plots():
        return scored(tmp_path_factory.mktemp('reports'), BagJob('drive', wrong_bag, SETTINGS))


@lru_cache(maxsize=FRAMES)
def instances(index: int) -> tuple[InstanceDistance, ...]:
    """Return what the results say of the instances of a frame."""
    return wrong(index, DRIVE.result(index)).distances


def depth_metrics(pairs: Pairs) -> dict[str, float]:
    """Return errors of predicted and true depths, over all of them."""
    p, g = (np.concatenate([pair[i].ravel() for pair in pairs]).astype(np.float64)
            for i in (0, 1))
    p, g = p[g <= 80], g[g <= 80]
    missing = ~np.isfinite(p)
    p, g = p[~missing], g[~missing]
    return {'abs_rel': np.mean(np.abs(p - g) / g), 'rmse_m': np.sqrt(np.mean((p - g) ** 2)),
            'delta1': np.mean((p < 1.25 * g) & (g < 1.25 * p)), 'missing_share': missing.mean()}


def check_depth(report: dict[str, Any], prefix: str, by_range: list[dict[str, Any]],
                pairs: Pairs) -> None:
    assert values(report, prefix) == pytest.approx(depth_metrics(pairs), rel=1e-4)
    assert [(g['near_m'], g['far_m']) for g in by_range] == list(RANGES)
    for group, (near, far) in zip(by_range, RANGES, strict=True):
        inside = [(p[(g > near) & (g <= far)], g[(g > near) & (g <= far)]) for p, g in pairs]
        expected = depth_metrics(inside)
        assert {name: group[name] for name in expected} == pytest.approx(expected, rel=1e-4)
        assert group['pixels'] == sum(g.size for _, g in inside)


def test_depth_by_all_pixels(report: dict[str, Any]) -> None:
    pairs = [(wrong_maps(i)[1], truth(i)[1]) for i in range(FRAMES)]
    check_depth(report, 'depth.', report['detail']['evaluation']['depth']['by_range'], pairs)
    assert 0.2 < report['figures']['depth.delta1']['value'] < 0.95


@lru_cache(maxsize=FRAMES)
def points_in_view(index: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return rows, columns and depths of the points that the camera sees."""
    stamp_ns = DRIVE.stamp_ns(index)
    at_ns = stamp_ns + DRIVE.lidar_offset_ns
    world = homogeneous(DRIVE.cloud(at_ns).astype(np.float64)) @ (
        DRIVE.base(at_ns).matrix() @ BASE_LIDAR).T
    x, y, z, _ = (world @ np.linalg.inv(DRIVE.base(stamp_ns).matrix() @ BASE_OPTICAL).T).T
    ahead = (z >= SETTINGS.lidar.min_m) & (z <= SETTINGS.lidar.max_m)
    x, y, z, camera = x[ahead], y[ahead], z[ahead], DRIVE.camera
    u = np.rint(camera.fx * x / z + camera.cx).astype(int)
    v = np.rint(camera.fy * y / z + camera.cy).astype(int)
    nearest = np.full((HEIGHT, WIDTH), np.inf)
    for row, column, depth in zip(v, u, z, strict=True):
        if 0 <= row < HEIGHT and 0 <= column < WIDTH:
            nearest[row, column] = min(nearest[row, column], depth)
    rows, columns = np.nonzero(np.isfinite(nearest))
    depths = nearest[rows, columns]
    # 9 columns, 12 rows above, 2 below: settings.lidar.occlusion_window_px.
    seen = np.array([depth - nearest[max(r - 12, 0):r + 3, max(c - 4, 0):c + 5].min()
                     <= 0.1 * depth for r, c, depth in zip(rows, columns, depths, strict=True)])
    return rows[seen], columns[seen], depths[seen]


def test_depth_by_points_of_a_lidar(report: dict[str, Any]) -> None:
    pairs = []
    for index in range(FRAMES):
        rows, columns, depths = points_in_view(index)
        pairs.append((wrong_maps(index)[1][rows, columns], depths))
    assert min(len(depths) for _, depths in pairs) > 1000
    check_depth(report, 'lidar.', report['detail']['lidar']['by_range'], pairs)
    # The same errors as by all pixels, but of other pixels.
    assert report['figures']['lidar.abs_rel']['value'] != pytest.approx(
        report['figures']['depth.abs_rel']['value'], rel=0.02)


def counted(pairs: Pairs) -> tuple[dict[str, float], dict[str, Counter[int]]]:
    """PQ, SQ and RQ of frames without true void or crowd, as they are defined, and the counts."""
    counts = {name: Counter[int]() for name in ('tp', 'fp', 'fn', 'iou')}
    for true_ids, ids in pairs:
        found = {int(i) for i in np.unique(ids)} - {VOID_ID}
        for one in np.unique(true_ids).tolist():
            mask, answer = true_ids == one, None
            for other in sorted(found):
                both = np.count_nonzero(mask & (ids == other))
                union = np.count_nonzero(mask | (ids == other))
                if one // 1000 == other // 1000 and both > 0.5 * union:
                    answer = other
                    counts['iou'][one // 1000] += both / union
            found -= {answer}
            counts['fn' if answer is None else 'tp'][one // 1000] += 1
        counts['fp'].update(i // 1000 for i in found)
    tp, fp, fn, iou = counts.values()
    classes = sorted({*tp, *fp, *fn})
    pq = {c: iou[c] / (tp[c] + fp[c] / 2 + fn[c] / 2) for c in classes}
    rq = {c: tp[c] / (tp[c] + fp[c] / 2 + fn[c] / 2) for c in classes}
    things = [c for c in classes if c >= PERSON]
    return {'pq': mean(pq.values()), 'rq': mean(rq.values()),
            'sq': mean(iou[c] / max(tp[c], 1) for c in classes),
            'pq_things': mean(pq[c] for c in things),
            'pq_stuff': mean(pq[c] for c in classes if c not in things)}, counts


def mean(numbers: Iterable[float]) -> float:
    return float(np.mean(list(numbers)))


def test_panoptic_quality(report: dict[str, Any]) -> None:
    expected, counts = counted([(truth(i)[0], wrong_maps(i)[0]) for i in range(FRAMES)])
    # By hand: half of a car's frames are missed, a third of another one is too much in all.
    car = CLASS_ID['car']
    assert counts['fn'] == {car: FRAMES // 2}
    assert counts['fp'] == {car: FRAMES, SIDEWALK: FRAMES}
    assert values(report, 'panoptic.') == pytest.approx(expected, rel=1e-9)
    by_class = report['detail']['evaluation']['panoptic_quality']['by_class']
    for name, key in (('true_positives', 'tp'), ('false_positives', 'fp'),
                      ('false_negatives', 'fn')):
        assert by_class[name] == {c.name: counts[key][c.class_id] for c in CITYSCAPES}


def test_depth_aware_quality(report: dict[str, Any]) -> None:
    found = []
    for tolerance in (0.5, 0.25, 0.1):
        pairs = []
        for index in range(FRAMES):
            (true_ids, g), (ids, p) = truth(index), wrong_maps(index)
            with np.errstate(invalid='ignore'):
                off = ~(np.abs(p - g) <= np.float32(tolerance) * g) & np.isfinite(g)
            pairs.append((true_ids, np.where(off, VOID_ID, ids)))
        found.append(counted(pairs)[0]['pq'])
    assert found[0] > found[1] > found[2]
    assert report['figures']['depth_aware.dpq']['value'] == pytest.approx(mean(found), rel=1e-6)


def test_mean_iou(report: dict[str, Any]) -> None:
    true, found = (np.concatenate([maps(i)[0].ravel() for i in range(FRAMES)]) // 1000
                   for maps in (truth, wrong_maps))
    ious = [np.mean((true == c)[(true == c) | (found == c)] & (found == c)[
        (true == c) | (found == c)]) for c in range(19) if np.mean(true == c) >= 0.001]
    assert report['figures']['semantic.miou']['value'] == pytest.approx(mean(ious), rel=1e-9)


def check_distances(report: dict[str, Any], source: str,
                    found: list[tuple[str, float, float | None]],
                    means: Sequence[float | None] = ()) -> None:
    """
    Compare all groups of errors.

    :param found: class, true and predicted meters: NaN where not known, None: not found.
    :param means: mean depth of the predicted instances, likewise; empty: not measured.
    """
    def errors(group: list[tuple[str, float, float | None]]) -> dict[str, Any]:
        off = np.array([p / g - 1 for _, g, p in group if p is not None and p == p])
        matched = sum(p is not None for _, _, p in group)
        return {'instances': len(group), 'matched': matched, 'measured': len(off),
                'matched_share': matched / len(group), 'median_rel': np.median(np.abs(off)),
                'mean_rel': np.mean(np.abs(off)), 'bias_rel': np.median(off)} if len(off) else {
                    'instances': len(group), 'matched': matched, 'measured': 0}

    def check(group: dict[str, Any], of: list[tuple[str, float, float | None]]) -> None:
        expected = errors(of)
        assert {name: group[name] for name in expected} == pytest.approx(expected, rel=2e-4)

    detail = report['detail']['distance'][source]
    check(detail['all'], found)
    assert set(detail['by_class']) == {name for name, _, _ in found}
    for name, group in detail['by_class'].items():
        check(group, [f for f in found if f[0] == name])
    groups = 0
    for group in [*detail['by_range'], *detail['by_class_and_range']]:
        inside = [f for f in found if group['near_m'] < f[1] <= (group['far_m'] or np.inf)
                  and group.get('class', f[0]) == f[0]]
        groups += bool(inside)
        if inside:
            check(group, inside)
    assert groups > len(detail['by_class'])
    metric_values = values(report, f'distance.{source}.')
    expected = errors(found)
    if means:
        expected['mean_depth_rel'] = np.median([
            abs(m / g - 1) for m, (_, g, _) in zip(means, found, strict=True)
            if m is not None and m == m])
        assert expected['mean_depth_rel'] != pytest.approx(expected['median_rel'], rel=1e-3)
    for name in metric_values:
        assert metric_values[name] == pytest.approx(expected[name], rel=2e-4)
    assert len(metric_values) == (2 if source == 'lidar' else 3) + bool(means)


def test_distances_by_true_labels(report: dict[str, Any]) -> None:
    found: list[tuple[str, float, float | None]] = []
    means: list[float | None] = []
    for index in range(FRAMES):
        true_ids, depth = truth(index)
        told = {d.segment.panoptic_id: d.depth_m for d in instances(index)}
        told_means = {d.segment.panoptic_id: d.depth_mean_m for d in instances(index)}
        for one in np.unique(true_ids).tolist():
            if one % 1000 and np.count_nonzero(true_ids == one) >= MIN_PIXELS:
                # Of the car in two parts the greater one has the id; it matches.
                found.append((CITYSCAPES[one // 1000].name, float(np.median(
                    depth[true_ids == one])), told.get(one)))
                means.append(told_means.get(one))
    missed = sum(p is None for _, _, p in found)
    assert missed == FRAMES // 2
    check_distances(report, 'labels', found, means)


def test_distances_by_points_on_predicted_masks(report: dict[str, Any]) -> None:
    found: list[tuple[str, float, float | None]] = []
    means: list[float | None] = []
    split_off = 0
    for index in range(FRAMES):
        rows, columns, depths = points_in_view(index)
        ids = wrong_maps(index)[0]
        for d in instances(index):
            pid = d.segment.panoptic_id
            on_mask = depths[ids[rows, columns] == pid]
            if np.count_nonzero(ids == pid) >= MIN_PIXELS and len(on_mask) >= MIN_POINTS:
                found.append((d.class_name, float(np.median(on_mask)), d.depth_m))
                means.append(d.depth_mean_m)
                split_off += pid == SPLIT_OFF
    assert split_off > 0
    check_distances(report, 'lidar', found, means)


def test_distances_by_boxes(report: dict[str, Any]) -> None:
    found: list[tuple[str, float, float | None]] = []
    camera, hidden_boxes = DRIVE.camera, 0
    for index in range(FRAMES):
        stamp_ns = DRIVE.stamp_ns(index)
        pose = DRIVE.base(stamp_ns).matrix() @ BASE_OPTICAL
        things = [s for s in DRIVE.world(stamp_ns) if s.instance]
        pairs, candidates = [], []
        for solid in things:
            way = np.array(solid.center) - pose[:3, 3]
            ranges = [float(cast((s,), pose[:3, 3], way[None]).along[0]) if s is solid or
                      cast((s,), pose[:3, 3], way[None]).surface[0] == 0 else np.inf
                      for s in things]
            entry = ranges[things.index(solid)] * np.linalg.norm(way)
            hidden = min(ranges) * np.linalg.norm(way) < entry - 0.5
            hidden_boxes += hidden
            signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T
            corners = solid.center + (signs * solid.size / np.array(2)) @ solid.rotation.T
            x, y, z = ((corners - pose[:3, 3]) @ pose[:3, :3]).T
            cx, cy, cz = pose[:3, :3].T @ way
            u, v = camera.fx * cx / cz + camera.cx, camera.fy * cy / cz + camera.cy
            if hidden or z.min() < 0.1 or not (-0.5 <= u < WIDTH - 0.5 and -0.5 <= v < HEIGHT):
                continue
            left, right = np.clip([f(camera.fx * x / z + camera.cx + 0.5) for f in (min, max)],
                                  0, WIDTH)
            top, low = np.clip([f(camera.fy * y / z + camera.cy + 0.5) for f in (min, max)],
                               0, HEIGHT)
            if low - top < MIN_HEIGHT_PX:
                continue
            candidates.append((solid.class_name, float(entry)))
            for d in instances(index):
                x0, y0, w, h = d.roi
                both = max(min(right, x0 + w) - max(left, x0), 0) * max(
                    min(low, y0 + h) - max(top, y0), 0)
                iou = both / ((right - left) * (low - top) + w * h - both)
                if d.class_name == solid.class_name and iou >= MIN_IOU:
                    pairs.append((iou, len(candidates) - 1, d))
        answers: dict[int, InstanceDistance] = {}
        for _, row, d in sorted(pairs, key=lambda pair: -pair[0]):
            if row not in answers and d not in answers.values():
                answers[row] = d
        found += [(name, entry, answers[row].distance_m if row in answers else None)
                  for row, (name, entry) in enumerate(candidates)]
    assert 0 < sum(p is None for _, _, p in found) < len(found) / 2
    assert hidden_boxes >= FRAMES
    check_distances(report, 'boxes', found)
