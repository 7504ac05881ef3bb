# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""LapDepth checkpoints of its authors: their names and shapes, converted to ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from ..published_names import BATCH_NORM, fit_names
from .blocks import DecoderNorm, DenseContext

_PARALLEL = 'module.'
_GROUP = ('weight', 'bias')
_STAGES = (3, 4, 23)
_SIGN = 'decoder.decoder2_1_1_1_up4.conv.weight'
"""No other network has a weight of this name."""

# Up, skip, fuse and refine of each level from coarse to fine.
_LEVELS: tuple[tuple[str, str | None, str, tuple[str, ...]], ...] = (
    ('decoder2_up1', 'decoder2_reduc1', 'decoder2_1', ('decoder2_2', 'decoder2_3', 'decoder2_4')),
    ('decoder2_1_up2', 'decoder2_1_reduc2', 'decoder2_1_1', ('decoder2_1_2', 'decoder2_1_3')),
    ('decoder2_1_1_up3', 'decoder2_1_1_reduc3', 'decoder2_1_1_1', ('decoder2_1_1_2',)),
    ('decoder2_1_1_1_up4', None, 'decoder2_1_1_1_1', ('decoder2_1_1_1_2', 'decoder2_1_1_1_3')))


def is_published(names: Iterable[str]) -> bool:
    """Whether these are the names of the weights of the authors' network."""
    return any(name.removeprefix(_PARALLEL) == _SIGN for name in names)


def published_norm(weights: Mapping[str, Tensor]) -> DecoderNorm:
    """Norm of the decoder of a checkpoint: only batch norm has statistics."""
    return 'batch' if any(name.removeprefix(_PARALLEL).startswith('decoder.')
                          and name.endswith('.running_var') for name in weights) else 'group'


def published_names(norm: DecoderNorm) -> dict[str, str]:
    """Name in a checkpoint of the authors -> name in the state dict of our network."""
    parts = BATCH_NORM if norm == 'batch' else _GROUP
    names = _backbone()

    def block(theirs: str, ours: str, upsamples: bool = False) -> None:
        inside = 'decoder.' + theirs
        of_norm, conv = (('norm', 'conv') if upsamples else ('module.0', 'module.2'))
        names[f'{inside}.{conv}.weight'] = f'decoder.{ours}.conv.weight'
        names.update({f'{inside}.{of_norm}.{part}': f'decoder.{ours}.norm.{part}'
                      for part in parts})

    names['decoder.ASPP.reduction1.weight'] = 'decoder.context.reduce.weight'
    for index, rate in enumerate(DenseContext.rates):
        for step in range(2):
            block(f'ASPP.aspp_d{rate}.{step}', f'context.branches.{index}.{step}')
    block('ASPP.reduction2', 'context.project')
    for step in range(5):
        block(f'decoder1.{step}', f'coarsest.{step}')
    for level, (up, skip, fuse, refine) in enumerate(_LEVELS):
        ours = f'levels.{level}'
        block(up, f'{ours}.up', upsamples=True)
        if skip is not None:
            block(skip, f'{ours}.skip')
        block(fuse, f'{ours}.fuse')
        for step, theirs in enumerate(refine):
            block(theirs, f'{ours}.refine.{step}')
    return names


def weights_as_ours(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor],
                    source: str) -> dict[str, Tensor]:
    """
    Weights of a checkpoint of the authors as the state dict of our network.

    :param wanted: state dict of a network with the same norm.
    :param source: of the weights, for the message.
    :raises ConfigError: naming what is missing, unknown, of another shape or not finite.
    """
    given = {name.removeprefix(_PARALLEL): value for name, value in weights.items()}
    return fit_names(given, wanted, published_names(published_norm(weights)), source,
                     'LapDepth with ResNeXt-101 and five levels')


def _backbone() -> dict[str, str]:
    names: dict[str, str] = {}

    def conv_norm(theirs: tuple[str, str], ours: tuple[str, str]) -> None:
        names[f'{theirs[0]}.weight'] = f'{ours[0]}.weight'
        names.update({f'{theirs[1]}.{part}': f'{ours[1]}.{part}' for part in BATCH_NORM})

    outside = 'encoder.encoder'
    conv_norm((f'{outside}.conv1', f'{outside}.bn1'), ('backbone.stem.conv1', 'backbone.stem.bn1'))
    for stage, blocks in enumerate(_STAGES):
        for block in range(blocks):
            theirs = f'{outside}.layer{stage + 1}.{block}'
            ours = f'backbone.stages.{stage}.{block}'
            for conv in (1, 2, 3):
                conv_norm((f'{theirs}.conv{conv}', f'{theirs}.bn{conv}'),
                          (f'{ours}.conv{conv}', f'{ours}.bn{conv}'))
            if block == 0:
                conv_norm((f'{theirs}.downsample.0', f'{theirs}.downsample.1'),
                          (f'{ours}.downsample.0', f'{ours}.downsample.1'))
    return names
