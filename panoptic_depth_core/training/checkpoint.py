# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: written atomically, read without running code from the file."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from ..datasets.storage import is_pack, read_weights
from ..errors import ConfigError
from ..files import write_atomic
from ..network.base import Model
from .settings import TrainSettings

RESUME_FILE = 'last.pt'
MODEL_FILE = 'model.pt'
BEST_FILE = 'best.pt'


class Stateful(Protocol):
    """What can be stored and restored."""

    def state_dict(self) -> dict[str, Any]:
        """State to store."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore it."""
        ...


@dataclass
class TrainState:
    """
    What a checkpoint restores.

    The position in the data and in the schedule, and the states of the random generators, are
    functions of the iteration.

    :param model: the one that learns; network: what runs it, on one device or several.
    :param precision: scale of the gradients in 16-mixed, else empty.
    :param best: score of the best validation so far.
    :param validated: iteration of the last validation.
    :param validation_seconds: that it took.
    """

    model: Model
    network: nn.Module
    averaged: Model
    optimizer: torch.optim.Optimizer
    precision: Stateful
    iteration: int = 0
    seconds: float = 0.0
    best: float | None = None
    validated: int = -1
    validation_seconds: float = 0.0


_POSITION = ('iteration', 'seconds', 'best', 'validated', 'validation_seconds')


def save_checkpoint(run_dir: Path, settings: TrainSettings, state: TrainState) -> None:
    """Write what a run needs to go on, and the averaged weights with their recipe."""
    _save({'recipe': settings.model_dump(mode='json'), 'network': state.network.state_dict(),
           'averaged': state.averaged.state_dict(), 'optimizer': state.optimizer.state_dict(),
           'precision': state.precision.state_dict(),
           **{name: getattr(state, name) for name in _POSITION}}, run_dir / RESUME_FILE)
    save_model(run_dir / MODEL_FILE, settings, state)


def save_model(path: Path, settings: TrainSettings, state: TrainState) -> None:
    """Write the averaged weights with their recipe."""
    _save({'recipe': settings.model_dump(mode='json'), 'network': state.averaged.state_dict(),
           'iteration': state.iteration}, path)


def load_checkpoint(run_dir: Path, state: TrainState) -> None:
    """
    Restore a run in place.

    :raises ConfigError: when there is none, or it is of another network or optimiser.
    """
    path = run_dir / RESUME_FILE
    if not path.exists():
        raise ConfigError(f'{path}: no checkpoint there; check the path, or start a new run '
                          'without --resume')
    stored = read_checkpoint(path)
    _load_strictly(state.network, stored['network'], path)
    _load_strictly(state.averaged, stored['averaged'], path)
    try:
        state.optimizer.load_state_dict(stored['optimizer'])
    except ValueError as error:
        raise ConfigError(f'{path}: its optimiser is of other parameters: {error}; resume with '
                          'the recipe that the run began with') from None
    if stored.get('precision'):
        state.precision.load_state_dict(stored['precision'])
    for name in _POSITION:
        setattr(state, name, stored.get(name, getattr(state, name)))


def load_weights(network: nn.Module, path: Path) -> None:
    """
    Load the averaged weights of a checkpoint into a network.

    :raises ConfigError: when the file is not a checkpoint of this network.
    """
    _load_strictly(network, read_checkpoint(path)['network'], path)


def require_no_run(run_dir: Path) -> None:
    """
    Check that a new run would replace nobody's weights.

    :raises ConfigError: naming the first that are there.
    """
    for name in (BEST_FILE, MODEL_FILE, RESUME_FILE):
        if (run_dir / name).exists():
            raise ConfigError(f'{run_dir / name}: is of an earlier run; go on with that one with '
                              '--resume, or choose another folder')


def read_checkpoint(path: Path) -> dict[str, Any]:
    """
    Read a checkpoint file of this program, or the one in a pack.

    :raises ConfigError: when it is missing or not one.
    """
    try:
        source = BytesIO(read_weights(path)) if is_pack(path) else path
        stored = torch.load(source, map_location='cpu', weights_only=True)
    except FileNotFoundError:
        raise ConfigError(f'{path}: no checkpoint there; check the path') from None
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ConfigError(f'{path}: not a checkpoint of this program: {error}') from None
    if not isinstance(stored, dict) or not {'recipe', 'network'} <= set(stored):
        raise ConfigError(f'{path}: not a checkpoint of this program: it has no recipe and '
                          'network; give the model.pt of a training run')
    return stored


def _load_strictly(network: nn.Module, weights: dict[str, Any], path: Path) -> None:
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise ConfigError(f'{path}: its weights are of another network: {error}') from None


def _save(content: dict[str, Any], path: Path) -> None:
    write_atomic(path, lambda part: torch.save(content, part))
