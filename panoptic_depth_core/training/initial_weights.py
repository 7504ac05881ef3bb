# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights that a run starts from: all of them fit, or the recipe names the gaps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from ..errors import ConfigError
from ..network.base import PanopticNetwork
from ..network.published_checkpoint import list_gaps, network_from_published, read_published
from ..network.published_panoptic_depth import PublishedNetwork
from .checkpoint import read_checkpoint
from .optimization import begins

_COUNTER = '.num_batches_tracked'


def load_initial_weights(network: PanopticNetwork, path: Path,
                         gaps: Sequence[str] = ()) -> None:
    """
    Load a checkpoint of this program or a published PanopticDepth, in place.

    :param gaps: beginnings of names, up to a dot, whose weights may be missing, unknown or of
        another shape; these keep what the network has.
    :raises ConfigError: naming what does not fit and is in no gap, and a gap that is none.
    """
    wanted = network.state_dict()
    given = {name: value for name, value in _read(network, path).items()
             # Batch norm that was frozen has not counted.
             if not name.endswith(_COUNTER)}
    kinds = {
        'missing': [n for n in wanted if n not in given and not n.endswith(_COUNTER)],
        'unknown': [n for n in given if n not in wanted],
        'of another shape': [n for n in given if n in wanted
                             and given[n].shape != wanted[n].shape]}
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


def _read(network: PanopticNetwork, path: Path) -> dict[str, Tensor]:
    try:
        weights: dict[str, Tensor] = read_checkpoint(path)['network']
        return weights
    except ConfigError as error:
        if not isinstance(network, PublishedNetwork) or not path.is_file():
            raise
        try:
            return network_from_published(read_published(path), str(path)).state_dict()
        except ConfigError as other:
            raise ConfigError(f'{error}; nor is it a published one: {other}') from None
