# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The two tasks of SOSD-Net take turns: what rests stays, bit for bit; a run goes on exactly."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

torch = pytest.importorskip('torch', reason='training needs the extra [train]')
pytest.importorskip('lightning', reason='training needs the extra [train]')

from panoptic_depth_core.config import parse_settings  # noqa: E402
from panoptic_depth_core.training.checkpoint import read_checkpoint  # noqa: E402
from panoptic_depth_core.training.recipe import TrainSettings  # noqa: E402
from panoptic_depth_core.training.trainer import phase_of, train  # noqa: E402

RECIPES = sorted((Path(__file__).parents[3] / 'config' / 'training' / 'sosd').glob('*.yaml'))
PHASES = yaml.safe_load(RECIPES[0].read_text())['phases']
TURNS = ('joint', 'depth', 'semantic', 'depth', 'semantic')
"""Of the iterations below."""


@pytest.fixture(params=['group', 'batch'])
def settings(request, recipe) -> TrainSettings:
    """One iteration together, then turns of one iteration."""
    changes: dict[str, Any] = {
        'network': 'sosd', 'network_settings': {'norm': request.param, 'depth_form': 'softplus'},
        'phases': [{**phase, 'iterations': 1} for phase in PHASES], 'iterations': len(TURNS),
        'phases_after': 0.2, 'warmup': 0, 'weight_decay': 0.05, 'average': 0.5}
    return parse_settings(TrainSettings, {**recipe, **changes}, 'test')


def _moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def _below(names: set[str], part: str) -> set[str]:
    return {name for name in names if name.startswith(f'{part}.')}


def _train(settings: TrainSettings, folder: Path, iterations: int, resume: bool = False):
    """Weights and optimizer after some more iterations."""
    calls = itertools.count()
    train(settings, folder, resume=resume, stop=lambda: next(calls) >= iterations)
    stored = read_checkpoint(folder / 'last.pt')
    return stored['network'], stored


def test_what_rests_stays_and_all_else_learns(settings, tmp_path):
    turns = [phase_of(settings, i, i / len(TURNS)) for i in range(len(TURNS))]
    assert [turn.losses[0] if turn else 'joint' for turn in turns] == list(TURNS)
    before, _ = _train(settings, tmp_path, 0)
    for number, turn in enumerate(TURNS):
        after, _ = _train(settings, tmp_path, 1, resume=True)
        moved = _moved(before, after)
        for part in ('backbone', 'context', 'low_level', 'common'):
            assert _below(moved, part), f'{part} learns in iteration {number}'
        for part in ('semantic', 'depth'):
            # With the statistics and counters of its batch norms.
            assert bool(_below(moved, part)) == (turn in ('joint', part)), (number, part)
            if turn == part:
                weights = {n for n in _below(set(after), part) if n.endswith('weight')}
                assert {n for n in weights if 'clue' in n} & moved
                assert f'{part}.head.weight' in moved
        before = after


def test_a_resumed_run_equals_an_unbroken_one(settings, tmp_path):
    _, whole = _train(settings, tmp_path / 'whole', len(TURNS))
    for done in range(len(TURNS)):
        _, broken = _train(settings, tmp_path / 'broken', 1, resume=done > 0)
    assert whole['iteration'] == broken['iteration'] == len(TURNS)
    for part in ('network', 'averaged'):
        assert not _moved(whole[part], broken[part])
    for index, moments in whole['optimizer']['state'].items():
        assert not _moved(moments, broken['optimizer']['state'][index])


@pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)
def test_recipes_take_turns_of_100_after_a_fifth(path):
    recipe = yaml.safe_load(path.read_text())
    assert recipe['phases_after'] == 0.2
    assert recipe['phases'] == PHASES == [
        {'iterations': 100, 'freeze': ['depth'], 'losses': ['semantic']},
        {'iterations': 100, 'freeze': ['semantic'], 'losses': ['depth']}]
