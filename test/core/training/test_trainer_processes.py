# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Two processes of torchrun train as one does; counts of all of them divide the losses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')

from panoptic_depth_core.config import parse_settings  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.network.distributed import normaliser  # noqa: E402
from panoptic_depth_core.training.checkpoint import read_checkpoint  # noqa: E402
from panoptic_depth_core.training.loading import Draws  # noqa: E402
from panoptic_depth_core.training.recipe import TrainSettings  # noqa: E402
from panoptic_depth_core.training.trainer import create_fabric, train  # noqa: E402

SCRIPT = Path(__file__).with_name('train_miniature.py')


def _torchrun(recipe, folder):
    path = folder.parent / 'recipe.json'
    path.write_text(json.dumps(recipe))
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'GLOO_SOCKET_IFNAME': 'lo',
                   'PYTHONPATH': os.pathsep.join(map(str, (
                       Path(__file__).parents[3], Path(__file__).parents[1])))}
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node=2',
         '--rdzv-backend=c10d', '--rdzv-endpoint=127.0.0.1:0', '--local-addr=127.0.0.1',
         str(SCRIPT), str(path), str(folder)],
        capture_output=True, text=True, env=environment, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def _losses(folder):
    rows = [json.loads(line) for line in (folder / 'train.jsonl').read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ('seconds', 'images_per_s')}
            for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize('accumulate', [1, 2])
def test_two_processes_are_as_one(recipe, tmp_path, accumulate):
    recipe.update({'batch_size': 4, 'iterations': 4, 'accumulate': accumulate,
                   'learning_rate': 1e-4,
                   'data': [{'name': 'miniature', 'root': 'partial'}]})
    _torchrun(recipe, tmp_path / 'two')
    # The same parts of a batch, one after another.
    train(parse_settings(TrainSettings, recipe, 'test'), tmp_path / 'one')
    one, two = _losses(tmp_path / 'one'), _losses(tmp_path / 'two')
    assert len(one) == recipe['iterations']
    # The gradient too, by its norm. Later rounding grows, and can flip the draw of a kernel.
    assert two[0] == pytest.approx(one[0], rel=1e-5, abs=2e-4)
    for alone, together in zip(one, two, strict=True):
        assert together['total'] == pytest.approx(alone['total'], rel=1e-3)
    assert sorted(p.name for p in (tmp_path / 'two').iterdir()) == [
        'last.pt', 'model.pt', 'recipe.json', 'train.jsonl']
    weights, others = (read_checkpoint(tmp_path / name / 'last.pt')['network']
                       for name in ('one', 'two'))
    for name, value in weights.items():
        assert torch.allclose(value, others[name], rtol=0, atol=2e-3), name


def test_a_batch_is_shared_without_rest(recipe):
    settings = parse_settings(TrainSettings, {**recipe, 'batch_size': 12, 'accumulate': 3},
                              'test')
    whole = [draw for part in range(3) for rank in range(2)
             for draw in Draws(settings, 0, rank, 2).of(5, part)]
    assert whole == list(range(60, 72))
    assert list(Draws(settings, 5, 1, 2))[:3] == [[62, 63], [66, 67], [70, 71]]


def test_an_uneven_share_is_refused(recipe, monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '3')
    settings = parse_settings(TrainSettings, recipe, 'test')
    with pytest.raises(ConfigError, match='batch_size is 2, but 3 processes.*multiple of 3'):
        create_fabric(settings)


def test_alone_the_count_is_the_divisor():
    cpu = torch.device('cpu')
    assert float(normaliser(7, cpu)) == 7.0
    assert float(normaliser(torch.tensor(0), cpu)) == 1.0, 'nothing is labelled'
