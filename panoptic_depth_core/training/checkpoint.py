# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Checkpoints, and the weights that a run starts from: all of them fit, or the recipe names the gaps.

They are written atomically, and read without running code from the file. What is missing, no
checkpoint, or of another network raises ConfigError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..class_tables import same_classes
from ..config import parse_settings
from ..datasets.storage import is_pack, read_weights
from ..errors import ConfigError
from ..files import write_atomic
from ..labels import ClassInfo
from ..model_directory import open_model, shipped_models
from ..network import create_model
from ..network.base import Model, NetworkSettings
from ..network.torch_backend import load_graph
from ..network.weights import find_gaps, list_gaps, read_state_dict, tensors_of, torch_load
from ..untrusted import reading
from .recipe import TrainSettings, begins, expand

RESUME_FILE = 'last.pt'
MODEL_FILE = 'model.pt'
BEST_FILE = 'best.pt'
_DEFAULT = Path('default')


@dataclass
class TrainState:
    """
    What a checkpoint restores.

    The place in the data and in the schedule, and the random generators, follow the iteration.
    """

    model: Model  # The one that learns.
    network: nn.Module  # What runs it, on one device or several.
    averaged: Model
    optimizer: torch.optim.Optimizer
    precision: Any  # Fabric's plugin; its state is the scale of the gradients in 16-mixed.
    iteration: int = 0
    seconds: float = 0.0
    best: float | None = None  # Score of the best validation so far.
    validated: int = -1  # Iteration of the last validation.
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
    """Restore a run in place."""
    path = run_dir / RESUME_FILE
    if not path.exists():
        raise ConfigError(f'{path}: no checkpoint there; check the path, or start a new run '
                          'without --resume')
    stored = read_checkpoint(path)
    _load_strictly(state.network, stored['network'], path)
    with reading(path, 'of the same parameters', 'resume with the recipe that the run began with'):
        _load_strictly(state.averaged, stored['averaged'], path)
        state.optimizer.load_state_dict(stored['optimizer'])
        if stored.get('precision'):
            state.precision.load_state_dict(stored['precision'])
        for name in _POSITION:
            value = stored.get(name, getattr(state, name))
            setattr(state, name, value if value is None else type(value)(float(value)))


def load_weights(network: nn.Module, path: Path) -> None:
    """Load the averaged weights of a checkpoint into a network."""
    _load_strictly(network, read_checkpoint(path)['network'], path)


def initial_network(settings: TrainSettings) -> Model:
    """Create the network of a recipe with the weights that its run starts from."""
    backbone = settings.backbone_weights
    network = create_model(settings.network, settings.network_settings,
                           None if backbone is None else expand(backbone),
                           rules=settings.assembly, loss=settings.loss, source='recipe')
    if settings.initial_weights is not None:
        load_initial_weights(network, Path(expand(settings.initial_weights)),
                             settings.initial_gaps)
    return network


def load_initial_weights(network: Model, path: Path, gaps: Sequence[str] = ()) -> None:
    """
    Load weights of this program, or published ones that the model reads, in place.

    :param path: checkpoint, model directory, or the name of a shipped model; ``default`` is the
        default one.
    :param gaps: beginnings of names, up to a dot; their weights may be missing, unknown, of
        another shape, or of the classes of another table, and the network keeps its own.
    :raises ConfigError: also for a gap that is none.
    """
    wanted = network.state_dict()
    given, classes = _read(network, path)
    are_same = same_classes(classes, network.classes)
    kinds = {
        **find_gaps(wanted, given),
        # Tables of one size make equal shapes of rows that mean other classes.
        'of other classes': [
            n for n in given if n in wanted and not are_same and any(
                begins(n, part) for part in network.class_parameters)]}
    unfit = {name for names in kinds.values() for name in names}
    for gap in gaps:
        if not any(begins(name, gap) for name in unfit):
            raise ConfigError(f'initial_gaps: {gap!r} is no gap: all of it in {path} fits, or '
                              'there is no such weight; leave it out')
    if listed := list_gaps({
            kind: [n for n in names if not any(begins(n, gap) for gap in gaps)]
            for kind, names in kinds.items()}):
        raise ConfigError(f'{path}: its weights are of another network: {listed}; what may '
                          'differ is to be named in initial_gaps')
    network.load_state_dict({n: v for n, v in given.items() if n not in unfit}, strict=False)


def _read(network: Model, path: Path) -> tuple[dict[str, Tensor], tuple[ClassInfo, ...]]:
    """Weights, and the classes that they were trained on."""
    if path.is_dir() or path == _DEFAULT or str(path) in shipped_models():
        model = open_model(None if path == _DEFAULT else path)
        given = load_graph(model).network
        return given.state_dict(), given.classes
    try:
        stored = read_checkpoint(path)
    except ConfigError as error:
        if not path.is_file():
            raise
        try:
            weights = read_state_dict(path, "give the authors' file as it was published")
            published = network.from_published(weights, str(path))
        except ConfigError as other:
            raise ConfigError(f'{error}; nor is it a published one: {other}') from None
        return published.state_dict(), published.classes
    with reading(path, 'a checkpoint of this program', 'give the model.pt of a training run'):
        settings = stored['recipe'].get('network_settings', {})
        # Of its other settings only their network knows.
        table = {key: value for key, value in settings.items() if key == 'class_table'}
    return stored['network'], parse_settings(NetworkSettings, table, str(path)).classes


def require_no_run(run_dir: Path) -> None:
    """Check that a new run would replace nobody's weights."""
    for name in (BEST_FILE, MODEL_FILE, RESUME_FILE):
        if (run_dir / name).exists():
            raise ConfigError(f'{run_dir / name}: is of an earlier run; go on with that one with '
                              '--resume, or choose another folder')


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint file of this program, or the one in a pack."""
    if not path.exists():
        raise ConfigError(f'{path}: no checkpoint there; check the path')
    with reading(path, 'a checkpoint of this program', 'give the model.pt of a training run'):
        stored = torch_load(BytesIO(read_weights(path)) if is_pack(path) else path)
    if not isinstance(stored, dict) or not (
            {'network'} <= set(stored) and isinstance(stored.get('recipe'), dict)):
        raise ConfigError(f'{path}: not a checkpoint of this program: it has no recipe and '
                          'network; give the model.pt of a training run')
    for name in {'network', 'averaged'} & set(stored):
        stored[name] = tensors_of(stored[name], path, 'copy it again')
    return stored


def _load_strictly(network: nn.Module, weights: dict[str, Any], path: Path) -> None:
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise ConfigError(f'{path}: its weights are of another network: {error}') from None


def _save(content: dict[str, Any], path: Path) -> None:
    write_atomic(path, lambda part: torch.save(content, part))
