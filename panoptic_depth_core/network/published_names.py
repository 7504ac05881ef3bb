# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Names of weights in checkpoints of detectron2, and checkpoints of such names made ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..errors import ConfigError
from .weights import COUNTER, list_gaps

BATCH_NORM = ('weight', 'bias', 'running_mean', 'running_var')
_RESNET_BLOCKS = (3, 4, 6, 3)


def fit_names(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor],
              names: Mapping[str, str], source: str, system: str) -> dict[str, Tensor]:
    """
    Weights of a published checkpoint as a state dict of ours.

    :param wanted: state dict of a network with the same heads.
    :param names: name in the checkpoint -> name in ``wanted``.
    :param source, system: of the weights, for the message.
    :raises ConfigError: naming what is missing, unknown, of another shape or not finite.
    """
    # Counters of batch norm, and the input's mean and deviation, are no weights.
    given = {name: value for name, value in weights.items()
             if not name.endswith(COUNTER) and name not in ('pixel_mean', 'pixel_std')}
    has_place = {name: ours for name, ours in names.items() if ours in wanted}
    shapes = {name: (tuple(given[name].shape), published_shape(wanted[ours]))
              for name, ours in has_place.items() if name in given}
    gaps = {
        'missing': [*(name for name in names if name not in given), *(
            ours for ours in wanted
            if ours not in names.values() and not ours.endswith(COUNTER))],
        'without a place in a network of these settings': [
            name for name in names if name not in has_place],
        'unknown': [name for name in given if name not in names],
        'of another shape': [f'{name} is {found}, not {shape}'
                             for name, (found, shape) in shapes.items() if found != shape],
        'not finite': [name for name in names
                       if name in given and not torch.isfinite(given[name]).all()]}
    if listed := list_gaps(gaps):
        raise ConfigError(f'{source}: no checkpoint of {system}: {listed}; give the file as its '
                          'authors published it, and no setting that changes its layers')
    return {ours: given[name].float().reshape(wanted[ours].shape)
            for name, ours in names.items()}


def published_shape(ours: Tensor) -> tuple[int, ...]:
    """Shape in a published checkpoint: our 1x1 convolutions are matrices, norms (C, 1, 1)."""
    shape = tuple(ours.shape)
    return {2: (*shape, 1, 1), 3: shape[:1]}.get(ours.ndim, shape)


def resnet_names(theirs: str, ours: str) -> dict[str, str]:
    """Names of the four stages of a ResNet-50: theirs -> ours."""
    names: dict[str, str] = {}
    for stage, blocks in enumerate(_RESNET_BLOCKS):
        for block in range(blocks):
            inside = f'{theirs}.res{stage + 2}.{block}'
            to = f'{ours}.stages.{stage}.{block}'
            for conv in (1, 2, 3):
                names |= conv_norm_names(f'{inside}.conv{conv}', f'{to}.conv{conv}',
                                         f'{to}.bn{conv}', BATCH_NORM)
            if block == 0:
                names |= conv_norm_names(f'{inside}.shortcut', f'{to}.downsample.0',
                                         f'{to}.downsample.1', BATCH_NORM)
    return names


def conv_names(theirs: str, ours: str) -> dict[str, str]:
    """A convolution with a bias: theirs -> ours."""
    return {f'{theirs}.{part}': f'{ours}.{part}' for part in ('weight', 'bias')}


def conv_norm_names(theirs: str, conv: str, norm: str, parts: Sequence[str]) -> dict[str, str]:
    """A convolution without bias and its norm, which is part of the convolution in theirs."""
    return {f'{theirs}.weight': f'{conv}.weight'} | {
        f'{theirs}.norm.{part}': f'{norm}.{part}' for part in parts}
