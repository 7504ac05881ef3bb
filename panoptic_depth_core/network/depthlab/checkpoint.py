# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of Panoptic-DepthLab, and of Panoptic-DeepLab, whose code it extends."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor

from ..published_names import BATCH_NORM, conv_names, conv_norm_names, fit_names, resnet_names

_DEPTH = 'depth_head.'


def is_depthlab(names: Collection[str]) -> bool:
    """Whether weights of these names are of either of the two."""
    return any(name.startswith('ins_embed_head.') for name in names)


def has_depth(names: Collection[str]) -> bool:
    """Whether there is a depth head; checkpoints of Panoptic-DeepLab have none."""
    return any(name.startswith(_DEPTH) for name in names)


def published_names(predicts_depth: bool = True) -> dict[str, str]:
    """Name in a published checkpoint -> name in the state dict of DepthLabNetwork."""
    names: dict[str, str] = {}
    for number in (1, 2, 3):
        names |= _conv_norm(f'backbone.stem.conv{number}', f'backbone.stem.conv{number}',
                            f'backbone.stem.bn{number}')
    names |= resnet_names('backbone', 'backbone')
    names |= _decoder('sem_seg_head.decoder', 'semantic_decoder')
    names |= _head('sem_seg_head.head', 'sem_seg_head.predictor', 'semantic_head')
    names |= _decoder('ins_embed_head.decoder', 'instance_decoder')
    for part in ('center', 'offset'):
        names |= _head(f'ins_embed_head.{part}_head', f'ins_embed_head.{part}_predictor',
                       f'{part}_head')
    if predicts_depth:
        names |= _decoder('depth_head.decoder', 'depth_decoder')
        names |= _head('depth_head.head', 'depth_head.predictor', 'depth_head')
    return names


def weights_as_ours(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor],
                    source: str) -> dict[str, Tensor]:
    """
    Weights of a published checkpoint as the state dict of DepthLabNetwork.

    :param wanted: state dict of a network with the same heads.
    :param source: of the weights, for the message.
    :raises ConfigError: naming what is missing, unknown, of another shape or not finite.
    """
    return fit_names(weights, wanted, published_names(has_depth(weights)), source,
                     'Panoptic-DepthLab or Panoptic-DeepLab with R-52 and the 19 Cityscapes '
                     'classes')


def _decoder(theirs: str, ours: str) -> dict[str, str]:
    names: dict[str, str] = {}
    pooling = f'{theirs}.res5.project_conv'
    for branch in range(4):
        names |= _block(f'{pooling}.convs.{branch}', f'{ours}.context.branches.{branch}')
    names |= conv_names(f'{pooling}.convs.4.1', f'{ours}.context.pool.0')
    names |= _block(f'{pooling}.project', f'{ours}.context.project')
    for number, level in enumerate(('res3', 'res2')):
        names |= _block(f'{theirs}.{level}.project_conv', f'{ours}.project.{number}')
        for conv in range(2):
            names |= _block(f'{theirs}.{level}.fuse_conv.{conv}', f'{ours}.fuse.{number}.{conv}')
    return names


def _head(theirs: str, predictor: str, ours: str) -> dict[str, str]:
    names: dict[str, str] = {}
    for conv in range(2):
        names |= _block(f'{theirs}.{conv}', f'{ours}.{conv}')
    return names | conv_names(predictor, f'{ours}.2')


def _block(theirs: str, ours: str) -> dict[str, str]:
    return _conv_norm(theirs, f'{ours}.0', f'{ours}.1')


def _conv_norm(theirs: str, conv: str, norm: str) -> dict[str, str]:
    return conv_norm_names(theirs, conv, norm, BATCH_NORM)
