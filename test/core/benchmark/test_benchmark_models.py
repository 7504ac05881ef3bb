# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Models side by side: size, speed, and the accuracy of runs."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')
pytest.importorskip('onnxscript', reason='the export needs the extra [export]')

import torchvision  # noqa: E402
from miniature import RECIPE, Miniature  # noqa: E402
from panoptic_depth_core import datasets  # noqa: E402
from panoptic_depth_core.benchmark.models import (  # noqa: E402
    last_validation,
    measure_models,
    multiply_adds,
)
from panoptic_depth_core.cli import main  # noqa: E402
from panoptic_depth_core.config import parse_settings  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.network.base import ModelDescription  # noqa: E402
from panoptic_depth_core.training.recipe import TrainSettings  # noqa: E402
from panoptic_depth_core.training.trainer import train  # noqa: E402
from tiny_models import TinyDepth  # noqa: E402

SMALL = {'height': 64, 'width': 128}


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """Two seeds of one recipe."""
    folder = tmp_path_factory.mktemp('runs')
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(datasets.DATASETS, 'miniature', Miniature)
        for seed in (1, 2):
            changes = {'iterations': 1, 'seed': seed, 'validation': {
                'every': 1, 'model': SMALL, 'data': [{'name': 'miniature', 'root': '-'}]}}
            train(parse_settings(TrainSettings, {**copy.deepcopy(RECIPE), **changes}, 'test'),
                  folder / f'run_{seed}')
    return folder / 'run_1', folder / 'run_2'


def test_runs_that_differ_in_the_seed_are_one_row(runs):
    report = measure_models(runs, repeats=2, threads=1)
    row, = report.rows
    assert (row['model'], row['network'], row['runs']) == ('run_1', 'fast', 2)
    assert row['parameters_M'] > 1 and row['GMAC'] > 0 and row['median_ms'] > 0
    found = [last_validation(run)['miniature:val abs_rel'] for run in runs]
    mean, _, spread = row['miniature:val abs_rel'].partition(' ± ')
    assert float(mean) == pytest.approx(sum(found) / 2, abs=1e-3)
    assert float(spread) == pytest.approx(abs(found[0] - found[1]) / 2, abs=1e-3)
    assert '| run_1 | fast |' in report.to_markdown()


def test_multiply_adds_are_those_of_the_layers():
    model = TinyDepth()
    first, last = 27 * 8, 72
    assert multiply_adds(model, ModelDescription(**SMALL)) == 32 * 64 * (first + last)


def test_multiply_adds_of_deformable_convolution(monkeypatch):
    class Deformed(TinyDepth):
        def forward(self, image, intrinsics, camera_height):
            x = self.normalised(image)
            offset = x.new_zeros(1, 18, *x.shape[2:])
            x = torchvision.ops.deform_conv2d(x, offset, torch.ones(1, 3, 3, 3), padding=1)
            return x[:, :, ::2, ::2] + 0 * camera_height[..., None, None]

    assert multiply_adds(Deformed(), ModelDescription(**SMALL)) == 64 * 128 * 27


def test_the_command(runs, tmp_path, capsys):
    command = ['benchmark', '--what', 'models', '--repeats', '1', '--threads', '1']
    assert main([*command, '--recipe', str(runs[0]), '-o', str(tmp_path / 'm.json')]) == 0
    assert '| run_1 | fast | ' in capsys.readouterr().out and (tmp_path / 'm.json').is_file()
    for arguments, words in (
            ([], '--what models needs --recipe'),
            (['--recipe', str(tmp_path)], 'recipe.json: cannot be read: No such file'),
            (['--recipe', str(runs[0]), '--set', 'seed=3'], 'is a run, whose recipe cannot'),
            (['--recipe', str(runs[0]), '--workers', '1'], '--workers has no effect with --what'),
            (['--recipe', str(runs[0]), '--size', '100x100'], 'give multiples of 64 px')):
        assert main([*command, *arguments]) == 2
        assert words in ' '.join(capsys.readouterr().err.split())


def test_a_run_without_validation(tmp_path):
    (tmp_path / 'train.jsonl').write_text('{"iteration": 20, "total": 1.0}\n')
    with pytest.raises(ConfigError, match='the run has no validation; add one to its recipe'):
        last_validation(tmp_path)
