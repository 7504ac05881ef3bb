# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights that a run starts from: all of them fit, or the recipe names the gaps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from ..class_tables import same_classes
from ..config import parse_settings
from ..errors import ConfigError
from ..labels import ClassInfo
from ..model_directory import ModelDirectory
from ..network.base import Model, NetworkSettings
from ..network.weights import find_gaps, list_gaps
from .checkpoint import read_checkpoint
from .optimization import begins

_DEFAULT = Path('default')


def load_initial_weights(network: Model, path: Path,
                         gaps: Sequence[str] = ()) -> None:
    """
    Load weights of this program, or published ones that the model reads, in place.

    :param path: checkpoint, or model directory; ``default`` is the model of this package.
    :param gaps: beginnings of names, up to a dot, whose weights may be missing, unknown or of
        another shape, or are of classes in another table; these keep what the network has.
    :raises ConfigError: naming what does not fit and is in no gap, and a gap that is none.
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
    if path.is_dir() or path == _DEFAULT:
        return _read_directory(ModelDirectory.default() if path == _DEFAULT
                               else ModelDirectory.load(path))
    try:
        stored = read_checkpoint(path)
        settings = stored['recipe'].get('network_settings', {})
        # Of its other settings only their network knows.
        table = {key: value for key, value in settings.items() if key == 'class_table'}
        return stored['network'], parse_settings(NetworkSettings, table, str(path)).classes
    except ConfigError as error:
        if not path.is_file():
            raise
        try:
            published = network.read_published(path)
        except ConfigError as other:
            raise ConfigError(f'{error}; nor is it a published one: {other}') from None
        return published.state_dict(), published.classes


def _read_directory(model: ModelDirectory
                    ) -> tuple[dict[str, Tensor], tuple[ClassInfo, ...]]:
    try:
        from ..network.torch_backend import load_graph
    except ModuleNotFoundError as error:
        raise ConfigError(f'{model.path}: to read the weights of a model directory {error.name} '
                          "is needed; run: pip install 'panoptic-depth[export]'") from None
    network = load_graph(model).network
    return network.state_dict(), network.classes
