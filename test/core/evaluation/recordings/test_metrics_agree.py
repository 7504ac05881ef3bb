# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Metrics of a report against other roads to the same ones.

Track ids and the agreement with a reference by hand, the rest against evaluation.evaluate on the
same frames, and one recording against the same frames in two.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_errors import (
    DRIVE,
    FRAMES,
    HEIGHT,
    MISSED,
    NO_DEPTH_ROWS,
    OPTIONS,
    SWAP_AT,
    SWAPPED,
    WIDTH,
    scored,
    truth,
    values,
    wrong,
    wrong_maps,
)
from panoptic_depth_core.evaluation.dataset.evaluate import evaluate
from panoptic_depth_core.evaluation.metrics.frame import RecordedFrame
from panoptic_depth_core.evaluation.recordings.evaluate_bag import BagJob
from panoptic_depth_core.evaluation.recordings.reading.reader import RecordingReader
from panoptic_depth_core.evaluation.recordings.scoring import BagScore
from panoptic_depth_core.evaluation.report.dataset_report import to_dict
from panoptic_depth_core.evaluation.settings import RecordingSettings
from panoptic_depth_core.io.bags.drive_bags import read_drive_bag
from panoptic_depth_core.io.cameras.camera_options import CameraOptions
from panoptic_depth_core.io.messages.truth_images import LabelImage, ground_truth
from panoptic_depth_core.labels import CITYSCAPES, VOID_ID
from panoptic_depth_core.structures import PanopticDepth
from simulated_drive import write_simulated_drive

pytestmark = pytest.mark.usefixtures('no_plots')

REFERENCE_FACTOR = 1.05
SETTINGS = RecordingSettings()


def test_track_ids(wrong_bag: Path, tmp_path: Path) -> None:
    pytest.importorskip('scipy')
    report = scored(tmp_path, BagJob('drive', wrong_bag, SETTINGS))
    numbers = [np.unique(truth(i)[0]) for i in range(FRAMES)]
    seen = sum(np.count_nonzero(ids % 1000) for ids in numbers)
    assert all({MISSED, *SWAPPED} <= set(ids.tolist()) for ids in numbers)
    # A car is missed in every second frame, and each frame has the part of another one.
    missed, false, switches = FRAMES // 2, FRAMES, len(SWAPPED)
    claimed = seen - missed + false
    right = seen - missed - len(SWAPPED) * (FRAMES - SWAP_AT)
    assert values(report, 'tracking.') == pytest.approx({
        'switches': switches, 'fragments': (FRAMES - 1) // 2,
        'mota': 1 - (missed + false + switches) / seen, 'idf1': 2 * right / (seen + claimed)})


def test_coverage_of_the_uncertainty() -> None:
    """Not of a recording, as messages do not hold it: the model says so much of every pixel."""
    scale, score = 0.05, BagScore(CITYSCAPES, SETTINGS)
    reach = {name: -scale * np.log(1 - share) for name, share in (('68', 0.68), ('95', 0.95))}
    expected: dict[str, list[float]] = {name: [] for name in (
        'labels.68', 'labels.95', 'lidar.68', 'lidar.95')}
    for index in range(FRAMES):
        result = wrong(index, DRIVE.result(index))
        result = replace(result, segments=tuple(
            replace(s, log_depth_scale=scale) for s in result.segments))
        true_ids, depth = truth(index)
        points = np.where(np.arange(depth.size).reshape(depth.shape) % 7 == 0, depth, np.nan)
        points[~np.isfinite(points)] = np.nan
        score.add(RecordedFrame(DRIVE.frame(index), ground_truth(
            LabelImage(true_ids, True), depth, CITYSCAPES), points), result)
        with np.errstate(invalid='ignore'):
            off = np.abs(np.log(result.depth / depth.astype(np.float64)))
        for source, known in (('labels', depth <= 80), ('lidar', points <= 80)):
            stated = known & np.isfinite(result.depth) & (result.panoptic != VOID_ID)
            for name, bound in reach.items():
                expected[f'{source}.{name}'].append(np.mean(off[stated] <= bound))
    found = {f.name.removeprefix('calibration.').replace('coverage_', ''): f.value
             for f in score.summary()[0] if '.coverage_' in f.name and 'calib' in f.name}
    # Every frame counts the same; ratios are counted in bins of 1.1 %.
    assert found == pytest.approx({n: np.mean(shares) for n, shares in expected.items()},
                                  rel=1e-3)
    assert 0.2 < found['lidar.68'] < found['lidar.95'] < 1


def test_what_is_not_known(wrong_bag: Path, tmp_path: Path) -> None:
    found = values(scored(tmp_path, BagJob('drive', wrong_bag, SETTINGS)), 'consistency.')
    void = sum(np.count_nonzero(wrong_maps(i)[0] == VOID_ID) for i in range(FRAMES))
    assert void > 0
    assert found['void_share'] == pytest.approx(void / (FRAMES * WIDTH * HEIGHT), rel=1e-9)
    assert found['depth_missing_share'] == pytest.approx(2 * NO_DEPTH_ROWS / HEIGHT, rel=1e-9)


def test_agreement_with_another_recording(wrong_bag: Path, tmp_path: Path) -> None:
    write_simulated_drive(tmp_path / 'other', depth_factor=REFERENCE_FACTOR, with_lidar=False,
                          with_boxes=False, with_truth=False, **OPTIONS)
    found = values(scored(tmp_path / 'report', BagJob('drive', wrong_bag, SETTINGS,
                                                      reference=tmp_path / 'other')), 'agreement.')
    same_class = same_segment = in_one = matched = only_here = only_there = 0
    logs, distances = [], []
    for index in range(FRAMES):
        (ids, depth), there = wrong_maps(index), DRIVE.result(index, REFERENCE_FACTOR)
        same_class += np.count_nonzero(ids // 1000 == there.panoptic // 1000)
        known, other = np.isfinite(depth), np.isfinite(there.depth)
        in_one += np.count_nonzero(known ^ other)
        logs.append(np.abs(np.log(depth[known & other].astype(np.float64)
                                  / there.depth[known & other])))
        here_m, there_m = ({d.segment.panoptic_id: d.distance_m for d in r.distances}
                           for r in (wrong(index, there), there))
        pairs = []
        for one in np.unique(ids[ids != VOID_ID]).tolist():
            # Ids of both are those of the truth, but for the part of a car that is split off.
            both = np.count_nonzero((ids == one) & (there.panoptic == one))
            if both > 0.5 * np.count_nonzero((ids == one) | (there.panoptic == one)):
                same_segment += both
                pairs += [one] if one % 1000 else []
        matched += len(pairs)
        only_here, only_there = only_here + len(here_m) - len(pairs), (
            only_there + len(there_m) - len(pairs))
        distances += [abs(here_m[i] / there_m[i] - 1) for i in pairs if here_m[i] == here_m[i]]
    pixels, log = FRAMES * WIDTH * HEIGHT, np.concatenate(logs)
    counts = {'identical_frames': 0, 'instances_matched': matched,
              'instances_only_result': only_here, 'instances_only_reference': only_there}
    assert {name: found[name] for name in counts} == counts
    assert only_here == FRAMES and only_there == FRAMES // 2
    shares = {'same_class_share': same_class / pixels, 'same_segment_share': same_segment / pixels,
              'depth_known_in_one_share': in_one / pixels, 'depth_max_log': log.max()}
    assert {name: found[name] for name in shares} == pytest.approx(shares, rel=1e-5)
    middles = {'depth_median_log': np.median(log), 'depth_p99_log': np.quantile(log, 0.99),
               'distance_median_rel': np.median(distances)}
    assert {name: found[name] for name in middles} == pytest.approx(middles, rel=4e-3)
    assert set(found) == {*counts, *shares, *middles}


def recorded_results(path: Path) -> dict[int, PanopticDepth]:
    """Return results by stamp, as a reader gives them."""
    with RecordingReader(path, SETTINGS, camera=CameraOptions(), recorded=True) as reader:
        return {item.frame.stamp_ns: item.recorded for item in reader if item.recorded}


@pytest.mark.parametrize('windows', [(1,), (1, 2, 4)])
def test_true_labels_and_depth_are_judged_as_by_evaluate(
        wrong_bag: Path, tmp_path: Path, windows: tuple[int, ...]) -> None:
    """Not nearly: it is the same."""
    settings = SETTINGS.model_copy(update={
        'evaluation': SETTINGS.evaluation.model_copy(update={'windows': windows})})
    report = scored(tmp_path, BagJob('drive', wrong_bag, settings))
    results = recorded_results(wrong_bag)
    samples = (replace(sample, sequence='drive') for sample in read_drive_bag(wrong_bag))
    expected = evaluate(lambda frame: results[frame.stamp_ns], samples, settings.evaluation)
    assert expected.frames.all == FRAMES
    # Tuples of settings are lists in JSON.
    assert report['detail']['evaluation'] == {
        **to_dict(expected), 'settings': settings.evaluation.model_dump(mode='json')}


def test_two_recordings_have_the_metrics_of_one_that_holds_both(
        wrong_bag: Path, tmp_path: Path) -> None:
    half = FRAMES // 2

    def write(name: str, wanted: range) -> BagJob:
        write_simulated_drive(
            tmp_path / name, depth_factor=1.0, **OPTIONS,
            change=lambda index, result: wrong(index, result) if index in wanted else None)
        return BagJob(name, tmp_path / name, SETTINGS)

    one = scored(tmp_path / 'one', BagJob('whole', wrong_bag, SETTINGS))
    two = scored(tmp_path / 'two', write('a', range(half)), write('b', range(half, FRAMES)))
    assert [bag['frames'] for bag in two['bags']] == [half, FRAMES - half]
    for part in ('evaluation', 'lidar', 'distance'):
        here, there = (flat(report['detail'][part]) for report in (one, two))
        assert len(here) > 20
        assert here == pytest.approx(there, rel=1e-12, abs=1e-6, nan_ok=True)
    for prefix in ('panoptic.', 'depth_aware.', 'semantic.', 'depth.', 'lidar.', 'distance.'):
        assert values(one, prefix)
        assert values(one, prefix) == pytest.approx(values(two, prefix), rel=1e-12)


def flat(value: Any, name: str = '') -> dict[str, float]:
    """Return all numbers by where they are; NaN where one is not known."""
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, item in items for k, v in flat(item, f'{name}.{key}').items()}
    return {} if isinstance(value, str) else {name: np.nan if value is None else value}
