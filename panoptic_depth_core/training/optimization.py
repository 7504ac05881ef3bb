# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What is learned, and how fast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import ConfigError
from .recipe import TrainSettings

_POLY_POWER = 0.9
_COSINE_END = 0.01
MOST_RESERVED = 0.25
"""Share of the time of a run that is left to its last validation, at most."""

_OPTIMIZERS: dict[str, type[torch.optim.Adam | torch.optim.AdamW]] = {
    'adamw': torch.optim.AdamW, 'adam': torch.optim.Adam}


def freeze(network: nn.Module, prefixes: Sequence[str]) -> None:
    """
    Keep parameters as they are, in place, and the statistics of batch norm among them.

    :param prefixes: beginnings of names, up to a dot.
    :raises ConfigError: for one that no parameter's name begins with.
    """
    names = [name for name, _ in network.named_parameters()]
    for prefix in prefixes:
        if not any(begins(name, prefix) for name in names):
            known = dict.fromkeys(name.partition('.')[0] for name in names)
            raise ConfigError(f'freeze: no parameter begins with {prefix!r}; there are: '
                              f'{", ".join(known)}, and what is below them')
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not any(begins(name, prefix) for prefix in prefixes))
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm) and any(begins(name, prefix) for prefix in prefixes):
            module.eval()
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ConfigError('freeze: nothing is left to learn; name fewer parts')


def begins(name: str, prefix: str) -> bool:
    """Whether a dotted name is a prefix or below it."""
    return f'{name}.'.startswith(f'{prefix.rstrip(".")}.')


def create_optimizer(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Optimiser of what is not frozen: backbone slower; no decay on vectors (biases, norms)."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            key = (name.startswith('backbone.'), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    rows: list[dict[str, Any]] = [
        {'params': parameters, 'factor': settings.backbone_factor if backbone else 1.0,
         'weight_decay': settings.weight_decay if decays else 0.0}
        for (backbone, decays), parameters in groups.items()]
    return _OPTIMIZERS[settings.optimizer](rows, lr=settings.learning_rate)


def learning_rate(settings: TrainSettings, iteration: int, progress: float) -> float:
    """
    Linear warm-up, times half a cosine or a power.

    :param progress: share of the run that is done, 0..1.
    """
    start = settings.warmup_factor
    warm = min(1.0, start + (1 - start) * (iteration + 1) / max(settings.warmup, 1))
    left = 1.0 - min(progress, 1.0)
    if settings.schedule == 'poly':
        return settings.learning_rate * warm * left ** _POLY_POWER
    return settings.learning_rate * warm * (
        _COSINE_END + (1 - _COSINE_END) * 0.5 * (1 - math.cos(math.pi * left)))


def share_done(settings: TrainSettings, iteration: int, seconds: float,
               validation_seconds: float = 0.0) -> float:
    """
    Share of the run that is done, 0..1, by iterations or by the clock.

    :param validation_seconds: of the last validation; the clock leaves as much to the one at the
        end, but not more than a quarter of the time.
    """
    done = iteration / settings.iterations
    if settings.minutes is not None:
        time = 60 * settings.minutes
        done = max(done, seconds / (time - min(validation_seconds, MOST_RESERVED * time)))
    return done


def average(mean: nn.Module, network: nn.Module, decay: float, iteration: int) -> None:
    """Move a moving average towards the weights, in place; statistics of batch norm too."""
    # Early averages would be of noise: let the decay grow with the age of the run.
    weight = 1 - min(decay, (1 + iteration) / (10 + iteration))
    with torch.no_grad():
        for old, new in zip([*mean.parameters(), *mean.buffers()],
                            [*network.parameters(), *network.buffers()], strict=True):
            if old.is_floating_point():
                old.lerp_(new.detach(), weight)
            else:
                old.copy_(new)
