# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The loop on a miniature data set: it learns, saves, resumes exactly, and refuses clearly."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')

from miniature import make_sample  # noqa: E402
from panoptic_depth_core.config import load_settings, parse_settings  # noqa: E402
from panoptic_depth_core.datasets.storage import CachedDataset  # noqa: E402
from panoptic_depth_core.errors import ConfigError  # noqa: E402
from panoptic_depth_core.files import lock_folder  # noqa: E402
from panoptic_depth_core.network.camera_aware import FastNetwork  # noqa: E402
from panoptic_depth_core.training.checkpoint import read_checkpoint  # noqa: E402
from panoptic_depth_core.training.loading import Draws, MixedSamples, batches  # noqa: E402
from panoptic_depth_core.training.recipe import RecipeFile, TrainSettings  # noqa: E402
from panoptic_depth_core.training.trainer import learning_rate, train  # noqa: E402


def _run(recipe, folder, resume=False, **changes):
    return train(parse_settings(TrainSettings, {**recipe, **changes}, 'test'), folder,
                 resume=resume)


@pytest.mark.parametrize('accumulate', [1, 2])
def test_a_resumed_run_equals_an_unbroken_one(recipe, tmp_path, monkeypatch, accumulate):
    recipe['accumulate'] = accumulate
    _run(recipe, tmp_path / 'whole')
    # In the middle of an iteration, after some of its numbers were drawn.
    parts = iter([*[False] * 4 * accumulate, *[True] * 99])
    loss = FastNetwork.losses

    def breaking_loss(*args):
        torch.rand(3), np.random.random(), random.random()
        if next(parts):
            raise KeyboardInterrupt
        return loss(*args)

    monkeypatch.setattr(FastNetwork, 'losses', breaking_loss)
    with pytest.raises(KeyboardInterrupt):
        _run(recipe, tmp_path / 'broken')
    monkeypatch.setattr(FastNetwork, 'losses', loss)
    assert read_checkpoint(tmp_path / 'broken' / 'last.pt')['iteration'] == 4, 'kept at the stop'
    _run(recipe, tmp_path / 'broken', resume=True)
    whole, broken = (read_checkpoint(tmp_path / name / 'last.pt') for name in ('whole', 'broken'))
    assert whole['iteration'] == broken['iteration'] == 6
    for part in ('network', 'averaged'):
        for name, value in whole[part].items():
            assert torch.equal(value, broken[part][name]), name
    for index, moments in whole['optimizer']['state'].items():
        for name, value in moments.items():
            assert torch.equal(value, broken['optimizer']['state'][index][name]), name


def test_weights_of_another_run_are_never_replaced(recipe, tmp_path):
    _run(recipe, tmp_path, iterations=1)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(ConfigError, match='model.pt: is of an earlier run; go on with that one '
                       'with --resume, or choose another folder'):
        _run(recipe, tmp_path, iterations=2)
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_is_left_to_the_first(recipe, number):
    settings = parse_settings(TrainSettings, {**recipe, 'workers': 1, 'iterations': 9}, 'test')
    parts = batches(settings, Draws(settings, 0, 0, 1), list)
    next(parts)
    worker, = parts._workers
    os.kill(worker.pid, number)
    assert len(list(parts)) == 8
    worker.join(20)
    assert worker.exitcode == 0


def test_the_loss_falls(recipe, tmp_path):
    _run(recipe, tmp_path, iterations=25, learning_rate=3e-3, save_every=100)
    rows = [json.loads(line) for line in (tmp_path / 'train.jsonl').read_text().splitlines()]
    assert len(rows) == 25
    assert rows[-1]['total'] < 0.7 * rows[0]['total']


def test_time_drives_the_schedule(recipe):
    settings = parse_settings(TrainSettings, {**recipe, 'warmup': 1}, 'test')
    rates = [learning_rate(settings, 10, p) for p in (0.0, 0.5, 1.0)]
    assert rates == pytest.approx([1e-3, 5.05e-4, 1e-5])


def test_every_batch_has_one_size(recipe):
    sizes = [[64, 128], [128, 64], [64, 64]]
    settings = parse_settings(TrainSettings, {**recipe, 'crop_sizes': sizes}, 'test')
    mixed = MixedSamples(settings, 4, 60)
    shapes = [mixed[i].frame.image.shape[:2] for i in range(60)]
    assert all(shapes[i] == shapes[i + 1] for i in range(0, 60, 2))
    assert set(shapes) == {tuple(size) for size in sizes}
    later = MixedSamples(settings, 24, 40)
    assert (later[0].frame.image == mixed[20].frame.image).all(), 'as in a resumed run'


def test_resume_needs_a_run(recipe, tmp_path):
    with pytest.raises(ConfigError, match='no checkpoint there.*without --resume'):
        _run(recipe, tmp_path, resume=True)


def test_weights_of_another_network_are_refused(recipe, tmp_path):
    path = _run(recipe, tmp_path / 'a', iterations=1)
    with pytest.raises(ConfigError, match='weights are of another network'):
        _run(recipe, tmp_path / 'b', initial_weights=str(path), network_settings={})


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / 'model.pt'
    path.write_bytes(b'no checkpoint')
    with pytest.raises(ConfigError, match='not a checkpoint of this program'):
        read_checkpoint(path)


@pytest.mark.parametrize(('change', 'message'), [
    ({'network': 'slow'}, "unknown name 'slow'; known: fast"),
    ({'data': [{'name': 'cityscape', 'root': '-'}]}, "unknown name 'cityscape'; known: "),
    ({'network_settings': {'width': 3}}, "unknown key 'width'; known keys: "),
    ({'data': [{'name': 'kitti_half', 'root': '$NO_SUCH_VARIABLE/x'}]},
     'NO_SUCH_VARIABLE.*set it'),
])
def test_wrong_recipes(recipe, tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        _run(recipe, tmp_path, **change)


def test_shipped_recipes_load():
    recipes = sorted((Path(__file__).parents[3] / 'config' / 'training').glob('*.yaml'))
    assert recipes
    for path in recipes:
        assert load_settings(RecipeFile, path).data


def test_cache_keeps_what_was_rendered(tmp_path):
    original = make_sample()
    cached = CachedDataset([original], tmp_path)
    for again in (cached[0], CachedDataset([original], tmp_path)[0]):
        assert (again.frame.image == original.frame.image).all()
        assert (again.truth.panoptic == original.truth.panoptic).all()
        assert again.frame.intrinsics == original.frame.intrinsics
        known = np.isfinite(original.truth.depth)
        assert np.array_equal(np.isfinite(again.truth.depth), known)
        np.testing.assert_allclose(again.truth.depth[known], original.truth.depth[known], 2.6e-4)


def test_rules_of_the_assembly_are_checked_before_the_run(recipe, tmp_path):
    with pytest.raises(ConfigError, match="recipe: assembly: unknown key 'max_thing'"):
        _run(recipe, tmp_path, assembly={'max_thing': 3})


def test_a_folder_that_is_gone_ends_the_run(recipe, tmp_path):
    """Not at its end: what it writes from then on would be lost."""
    folder, seen = tmp_path / 'run', []

    def watch(progress):
        seen.append(progress.iteration)
        if progress.iteration == 2:
            folder.rename(tmp_path / 'elsewhere')

    with pytest.raises(ConfigError, match='run.*(was removed|cannot be written)'):
        train(parse_settings(TrainSettings, recipe, 'test'), folder, watch=watch)
    assert seen == [1, 2] and not folder.exists()


def test_a_run_has_one_writer(recipe, tmp_path):
    with lock_folder(tmp_path), pytest.raises(ConfigError, match='writes into it'):
        _run(recipe, tmp_path, iterations=1)
