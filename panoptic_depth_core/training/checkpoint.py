# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: written atomically, read without running code from the file."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import ConfigError
from ..io.atomic import write_atomic
from .settings import TrainSettings

RESUME_FILE = 'last.pt'
MODEL_FILE = 'model.pt'


@dataclass
class TrainState:
    """What a checkpoint restores."""

    network: nn.Module
    averaged: nn.Module
    optimizer: torch.optim.Optimizer
    iteration: int = 0
    seconds: float = 0.0


def save_checkpoint(run_dir: Path, settings: TrainSettings, state: TrainState) -> None:
    """Write what a run needs to go on, and the averaged weights with their recipe."""
    recipe = settings.model_dump(mode='json')
    _save({'recipe': recipe, 'network': state.network.state_dict(),
           'averaged': state.averaged.state_dict(), 'optimizer': state.optimizer.state_dict(),
           'iteration': state.iteration, 'seconds': state.seconds}, run_dir / RESUME_FILE)
    _save({'recipe': recipe, 'network': state.averaged.state_dict(),
           'iteration': state.iteration}, run_dir / MODEL_FILE)


def load_checkpoint(run_dir: Path, state: TrainState) -> None:
    """
    Restore a run in place.

    :raises ConfigError: when there is none, or it is of another network.
    """
    stored = read_checkpoint(run_dir / RESUME_FILE)
    _load_strictly(state.network, stored['network'], run_dir / RESUME_FILE)
    _load_strictly(state.averaged, stored['averaged'], run_dir / RESUME_FILE)
    state.optimizer.load_state_dict(stored['optimizer'])
    state.iteration, state.seconds = stored['iteration'], stored['seconds']


def load_weights(network: nn.Module, path: Path) -> None:
    """
    Load the averaged weights of a checkpoint into a network.

    :raises ConfigError: when the file is not a checkpoint of this network.
    """
    _load_strictly(network, read_checkpoint(path)['network'], path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """
    Read a checkpoint file of this program.

    :raises ConfigError: when it is missing or not one.
    """
    try:
        stored = torch.load(path, map_location='cpu', weights_only=True)
    except FileNotFoundError:
        raise ConfigError(f'{path}: no checkpoint there; check the path, or start a new run '
                          'without --resume') from None
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
