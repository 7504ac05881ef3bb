# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``predict --track`` and ``evaluate-tracking`` as their user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from panoptic_depth_core.cli import main
from panoptic_depth_core.io.bags.storage import BagReader, deserialize
from panoptic_depth_core.model_directory import ModelDirectory

pytest.importorskip('scipy')

FRAMES = 4
HEIGHT, WIDTH = 32, 64
CAR_ROW, OTHER_CAR_ROW = 2, 3


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Return a kitti_half with a sequence of two cars that pass each other's columns.

    In every other frame the painted model has them in the other order.
    """
    root = tmp_path_factory.mktemp('kitti_half')
    folders = [root / 'seq0009' / part for part in ('image', 'instance')]
    for folder in folders:
        folder.mkdir(parents=True)
    for number in range(FRAMES):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[...] = 0, 40, 0
        image[:4] = 1, 200, 0
        instances = np.zeros((HEIGHT, WIDTH), np.uint16)
        rows = (CAR_ROW, OTHER_CAR_ROW)[::1 if number % 2 else -1]
        for track, (row, depth, x, y) in enumerate(zip(
                rows, (8, 24), (4 + 6 * number, 40 - 4 * number), (18, 6), strict=True)):
            image[y:y + 10, x:x + 14] = row, depth, 0
            instances[y:y + 10, x:x + 14] = 1000 + track
        # Lossless, for its colors are what the painted model sees.
        encoded = cv2.imencode('.png', image[..., ::-1])[1]
        (folders[0] / f'{number:06d}.jpg').write_bytes(encoded.tobytes())
        cv2.imwrite(str(folders[1] / f'{number:06d}.png'), instances)
    (root / 'splits.json').write_text(json.dumps({
        'train': [], 'val': [], 'sequences_train': ['seq0009'],
        'intrinsics': {f'{WIDTH}x{HEIGHT}': {'fx': 50.0, 'fy': 50.0, 'cx': 31.5, 'cy': 15.5}}}))
    (root / 'kitti15_instance_depth.csv').write_text('frame,panoptic_id,median_gt_depth_m\n')
    return root


@pytest.fixture
def predict(painted_model: ModelDirectory, root: Path, tmp_path: Path) -> Callable[..., int]:
    """Return predict on the pictures of the sequence, with more arguments."""
    return lambda *more: main([
        'predict', str(root / 'seq0009/image'), '-o', str(tmp_path / 'out'),
        '-m', str(painted_model.path), '--fx', '50', *map(str, more)])


def tracks(out: Path) -> list[dict[int, int]]:
    """Depth in whole meters -> track id, by frame."""
    records: list[dict[str, Any]] = [json.loads(line) for line in (
        out / 'instances.jsonl').read_text().splitlines()]
    return [{round(i['depth']): i['track_id'] for i in record['instances']}
            for record in records]


def test_tracks_in_lines_and_bag(predict: Callable[..., int], tmp_path: Path) -> None:
    assert predict('--track', '--formats', 'instances,bag') == 0
    expected = {8: 0, 24: 1}
    assert tracks(tmp_path / 'out') == [expected] * FRAMES
    bag = BagReader(tmp_path / 'out/bag')
    messages = [deserialize(m) for m in bag.messages(('/panoptic_depth/output/instances',))]
    bag.close()
    assert [{round(i.depth): i.track_id for i in message.instances}
            for message in messages] == [expected] * FRAMES


def test_without_the_option_nothing_is_tracked(predict: Callable[..., int],
                                               tmp_path: Path) -> None:
    assert predict() == 0
    assert tracks(tmp_path / 'out') == [{8: -1, 24: -1}] * FRAMES


def test_a_run_that_goes_on_gives_no_id_twice(predict: Callable[..., int], tmp_path: Path,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for by the settings; a run without tracking is another run."""
    settings = tmp_path / 'settings.yaml'
    settings.write_text('tracking: {enabled: true}\n')
    assert predict('--config', settings, '--limit', 2) == 0
    assert predict('--track') == 0
    assert tracks(tmp_path / 'out') == [{8: 0, 24: 1}] * 2 + [{8: 2, 24: 3}] * 2
    assert predict() == 2
    assert 'tracking.enabled = true, this run has false' in capsys.readouterr().err


def test_tracking_needs_the_instances(predict: Callable[..., int],
                                      capsys: pytest.CaptureFixture[str]) -> None:
    assert predict('--track', '--formats', 'panoptic,bag') == 2
    assert 'with tracking add instances' in capsys.readouterr().err


def test_evaluate_tracking(root: Path, painted_model: ModelDirectory,
                           capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['evaluate-tracking', str(root), '-d', 'kitti_half', '--split', 'seq0009',
                 '-m', str(painted_model.path)]) == 0
    shown = capsys.readouterr().out
    assert 'Tracking, painted on kitti_half, seq0009' in shown
    rows = {row[0].strip(): row[1:] for row in (
        [cell for cell in line.split('  ') if cell.strip()] for line in shown.splitlines()
        ) if len(row) > 1}
    assert [cell.strip() for cell in rows['predicted, all']] == [
        '0', '0', '100.0 %', '100.0 %', '2', '2']
    assert [cell.strip() for cell in rows['car']][-4:] == ['8', '0', '0', '100.0 %']
    assert '…' not in shown
    assert 'Measured on 4 frames' in shown


@pytest.mark.parametrize(('arguments', 'words'), [
    (('-d', 'kitti_half', '--split', 'seq0001'), "unknown split 'seq0001'"),
    (('-d', 'nowhere'), "unknown name 'nowhere'"),
])
def test_evaluate_tracking_of_what_is_not_there(root: Path, arguments: tuple[str, ...],
                                                words: str,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['evaluate-tracking', str(root), *arguments]) == 2
    assert words in capsys.readouterr().err
