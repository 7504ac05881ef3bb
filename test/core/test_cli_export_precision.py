# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``panoptic-depth export --precision``: options, calibration frames, the model that comes out."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest
from panoptic_depth_core.cli import main
from panoptic_depth_core.cli.export import spread_frames
from panoptic_depth_core.model_directory import ModelDirectory


@pytest.fixture
def pictures(tmp_path):
    """Folder of 40 pictures, brightness 0, 6, 12 ... 234, with a camera."""
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for i in range(40):
        cv2.imwrite(str(folder / f'{i:02}.png'), np.full((32, 64, 3), 6 * i, np.uint8))
    (folder / 'camera.json').write_text(json.dumps(
        {'fx': 50.0, 'fy': 50.0, 'cx': 31.5, 'cy': 15.5, 'width': 64, 'height': 32}))
    return folder


def numbers(frames):
    return [int(frame.image[0, 0, 0]) // 6 for frame in frames]


def test_frames_are_spread(pictures):
    assert numbers(spread_frames(str(pictures), 4)) == [5, 15, 25, 35]
    assert numbers(spread_frames(str(pictures), 16)) == [
        1, 3, 6, 8, 11, 13, 16, 18, 21, 23, 26, 28, 31, 33, 36, 38]
    assert numbers(spread_frames(str(pictures), 40)) == list(range(40))
    assert numbers(spread_frames(str(pictures), 100)) == list(range(40))


def test_a_camera_that_is_not_known(pictures, capsys):
    (pictures / 'camera.json').unlink()
    assert len(list(spread_frames(str(pictures), 16))) == 16
    shown = ' '.join(capsys.readouterr().err.split())
    assert shown.count('70 degrees is assumed for calibration; give a camera.json') == 1


@pytest.mark.parametrize(('arguments', 'words'), [
    (['--precision', 'int4'], "--precision is 'int4'; choose float32, float16, bfloat16, int8"),
    (['--precision', 'int8'], '--precision int8 needs --calibration SOURCE'),
    (['--calibration', 'x'], '--calibration is for int8 and float16, but --precision is float32'),
    (['--precision', 'float16', '--symmetric'], '--symmetric is for int8'),
    (['--precision', 'int8', '--calibration', '/nowhere'], '/nowhere: does not exist'),
    (['--precision', 'float16', '--size', '64x64'], '--size is 64x64, but .* model directory')])
def test_wrong_options(arguments, words, painted_model, tmp_path, capsys):
    pytest.importorskip('onnx', reason='conversions need the extra [export]')
    code = main(['export', str(painted_model.path), '-o', str(tmp_path / 'out'), *arguments])
    assert code == 2
    shown = ' '.join(capsys.readouterr().err.split())
    assert re.search(words, shown), shown
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
@pytest.mark.parametrize('form', [[], ['--symmetric']])
def test_int8_of_the_shipped_model(form, tmp_path, pictures, capsys):
    pytest.importorskip('onnx', reason='conversions need the extra [export]')
    rng = np.random.default_rng(0)
    for path in pictures.glob('*.png'):
        coarse = rng.integers(0, 256, (6, 12, 3), np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (384, 192), interpolation=cv2.INTER_CUBIC))
    source = ModelDirectory.default().path
    assert main(['export', str(source), '-o', str(tmp_path / 'out'), '--precision', 'int8',
                 '--calibration', str(pictures), '--calibration-frames', '16', *form]) == 0
    assert 'fast-2026.11-4-int8, input 768x384' in capsys.readouterr().out
    info = ModelDirectory.load(tmp_path / 'out').info
    assert (info.precision, info.producer['calibration_frames']) == ('int8', '16')
