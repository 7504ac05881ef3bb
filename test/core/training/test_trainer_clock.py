# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A run that ends by the clock, or by a signal, and what it has then; the clock is made up."""

from __future__ import annotations

import os
import signal

import pytest

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')

from panoptic_depth_core.cli import main  # noqa: E402
from panoptic_depth_core.config import parse_settings  # noqa: E402
from panoptic_depth_core.training import trainer  # noqa: E402
from panoptic_depth_core.training.checkpoint import read_checkpoint  # noqa: E402
from panoptic_depth_core.training.recipe import TrainSettings  # noqa: E402
from panoptic_depth_core.training.trainer import share_done  # noqa: E402
from panoptic_depth_core.training.validation import Validation  # noqa: E402

STEP_S, VALIDATION_S, START_S = 2.0, 9.0, 5.0


@pytest.fixture
def now(recipe, monkeypatch):
    """The time, which only goes on while something is trained or measured; scores that rise."""
    time = [1000.0]
    measured = []
    step, prepare = trainer.train_step, trainer.prepare

    def slow(function, seconds):
        def call(*args):
            time[0] += seconds
            return function(*args)
        return call

    def measure():
        measured.append(time[0])
        time[0] += VALIDATION_S
        return Validation({'a': {'pq': 0.1 * len(measured), 'delta1': 0.0}}, None)

    measure.every = 1000
    monkeypatch.setattr(trainer, 'monotonic', lambda: time[0])
    monkeypatch.setattr(trainer, 'train_step', slow(step, STEP_S))
    monkeypatch.setattr(trainer, 'prepare', slow(prepare, START_S))
    monkeypatch.setattr(trainer, 'Validator', lambda *_: measure)
    recipe.update(iterations=10_000, minutes=1.0, validation={
        'data': [{'name': 'miniature', 'root': '-'}], 'every': 1000})
    return time


def _settings(recipe, **changes):
    return parse_settings(TrainSettings, {**recipe, **changes}, 'test')


def test_the_last_validation_is_within_the_time(recipe, now, tmp_path):
    path = trainer.train(_settings(recipe), tmp_path)
    assert path.name == 'best.pt'
    steps = read_checkpoint(path)['iteration']
    # 60 s less the start, the first validation and the last one.
    assert steps == -(-(60 - START_S - 2 * VALIDATION_S) // STEP_S)
    assert now[0] - 1000.0 <= 60 + STEP_S


def test_a_run_that_got_worse_keeps_its_first_weights(recipe, now, tmp_path, monkeypatch):
    scores = iter([0.8, 0.3])

    def measure():
        return Validation({'a': {'pq': next(scores), 'delta1': 0.0}}, None)

    measure.every = 1000
    monkeypatch.setattr(trainer, 'Validator', lambda *_: measure)
    assert read_checkpoint(trainer.train(_settings(recipe), tmp_path))['iteration'] == 0


def test_slow_validations_do_not_eat_the_run(recipe, now, tmp_path, caplog):
    trainer.train(_settings(recipe, minutes=0.5), tmp_path)
    assert 'a validation takes 9 s of the 30 s of this run' in caplog.text
    assert read_checkpoint(tmp_path / 'best.pt')['iteration'] > 0
    settings = _settings(recipe, minutes=1.0)
    assert share_done(settings, 0, 30.0, 1000.0) == pytest.approx(30 / 45)
    assert share_done(settings, 0, 30.0) == 0.5 and share_done(settings, 9000, 0.0) == 0.9


def test_a_resumed_run_has_the_rest_of_the_time(recipe, now, tmp_path):
    asked = iter([False] * 4 + [True] * 2)
    trainer.train(_settings(recipe), tmp_path, stop=lambda: next(asked))
    stopped = read_checkpoint(tmp_path / 'last.pt')
    assert stopped['iteration'] == 4 and stopped['validation_seconds'] == VALIDATION_S
    assert (tmp_path / 'best.pt').is_file(), 'the weights that it began with'
    before, now[0] = now[0], now[0] + 5000.0
    trainer.train(_settings(recipe), tmp_path, resume=True)
    assert now[0] - 5000.0 - 1000.0 <= 60 + STEP_S and now[0] - 5000.0 > before
    assert read_checkpoint(tmp_path / 'best.pt')['iteration'] > 4


def test_without_a_clock_nothing_is_measured_at_the_start(recipe, now, tmp_path):
    trainer.train(_settings(recipe, minutes=None, iterations=3), tmp_path)
    assert read_checkpoint(tmp_path / 'best.pt')['iteration'] == 3
    assert now[0] - 1000.0 == START_S + 3 * STEP_S + VALIDATION_S


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_there_is(recipe, now, tmp_path, monkeypatch, capsys, number):
    import json
    step = trainer.train_step
    steps = iter(range(100))

    def signalled(*args):
        if next(steps) == 2:
            os.kill(os.getpid(), number)
        return step(*args)

    monkeypatch.setattr(trainer, 'train_step', signalled)
    path = tmp_path / 'a.yaml'
    path.write_text(json.dumps(recipe))
    assert main(['train', str(path), '-o', str(tmp_path / 'run')]) == 128 + number
    assert 'Interrupted; continue with the same command and --resume' in capsys.readouterr().out
    assert read_checkpoint(tmp_path / 'run' / 'last.pt')['iteration'] == 3, 'the step is whole'
    assert (tmp_path / 'run' / 'best.pt').is_file()
