# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Published PanopticDepth checkpoints: their names and shapes, converted to ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ...errors import ConfigError
from ..weights import COUNTER, list_gaps

_DEPTH_PARTS = ('depth_kernel_head.', 'depth_encode_head.')
_GROUP = ('weight', 'bias')
_BATCH = (*_GROUP, 'running_mean', 'running_var')
_STEM = 'backbone.stem.conv1.weight'
_RESNET_BLOCKS = (3, 4, 6, 3)


def published_names(predicts_depth: bool = True) -> dict[str, str]:
    """Name in a published checkpoint -> name in the state dict of PublishedNetwork."""
    names = {
        **_backbone(), **_pyramid(),
        **_head('position_head.position_head.position_head_head', 'position_head',
                deformable=True),
        **_conv('position_head.out_inst', 'center'),
        **_conv('position_head.out_sem', 'region'),
        **_head('kernel_head.kernel_head.kernel_head_head', 'kernel_head', deformable=False),
        **_conv('kernel_head.out_conv', 'kernel'),
        **_encoder('feature_encoder.encode_head.encode_head_head', 'mask_encoder'),
        **_conv('thing_generator.embed_extractor', 'thing_projection'),
        **_conv('stuff_generator.embed_extractor', 'region_projection')}
    if predicts_depth:
        names |= {
            **_head('depth_kernel_head.depth_kernel_head.depth_kernel_head_head',
                    'depth_kernel_head', deformable=True),
            **_conv('depth_kernel_head.out_depth_kernel', 'depth_kernel'),
            **_encoder('depth_encode_head.encode_head.depth_encode_head_head', 'depth_encoder'),
            **_conv('depth_encode_head.embed_extractor', 'depth_embedding')}
    return names


def has_depth(weights: Mapping[str, Tensor]) -> bool:
    """Whether there is a depth head; checkpoints of the segmentation stages have none."""
    return any(name.startswith(_DEPTH_PARTS) for name in weights)


def weights_as_ours(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor],
                    source: str) -> dict[str, Tensor]:
    """
    Weights of a published checkpoint as the state dict of PublishedNetwork.

    :param wanted: state dict of a network with the same heads.
    :param source: of the weights, for the message.
    :raises ConfigError: naming what is missing, unknown, of another shape or not finite.
    """
    names = published_names(has_depth(weights))
    # Counters of batch norm, and the input's mean and deviation, are no weights.
    given = {name: value for name, value in weights.items()
             if not name.endswith(COUNTER) and name not in ('pixel_mean', 'pixel_std')}
    shapes = {name: (tuple(given[name].shape), published_shape(wanted[ours]))
              for name, ours in names.items() if name in given}
    gaps = {
        'missing': [name for name in names if name not in given],
        'unknown': [name for name in given if name not in names],
        'of another shape': [f'{name} is {found}, not {shape}'
                             for name, (found, shape) in shapes.items() if found != shape],
        'not finite': [name for name in names
                       if name in given and not torch.isfinite(given[name]).all()]}
    if listed := list_gaps(gaps):
        raise ConfigError(f'{source}: no checkpoint of PanopticDepth with ResNet-50 and the 19 '
                          f'Cityscapes classes: {listed}')
    converted = {ours: given[name].float().reshape(wanted[ours].shape)
                 for name, ours in names.items()}
    # Theirs see BGR, ours RGB.
    converted[_STEM] = converted[_STEM].flip(1)
    return converted


def published_shape(ours: Tensor) -> tuple[int, ...]:
    """Shape in a published checkpoint: our 1x1 convolutions are matrices, norms (C, 1, 1)."""
    shape = tuple(ours.shape)
    return {2: (*shape, 1, 1), 3: shape[:1]}.get(ours.ndim, shape)


def _backbone() -> dict[str, str]:
    theirs, ours = 'backbone.bottom_up', 'backbone'
    names = _conv_norm(f'{theirs}.stem.conv1', f'{ours}.stem.conv1', f'{ours}.stem.bn1', _BATCH)
    for stage, blocks in enumerate(_RESNET_BLOCKS):
        for block in range(blocks):
            inside = f'{theirs}.res{stage + 2}.{block}'
            to = f'{ours}.stages.{stage}.{block}'
            for conv in (1, 2, 3):
                names |= _conv_norm(f'{inside}.conv{conv}', f'{to}.conv{conv}', f'{to}.bn{conv}',
                                    _BATCH)
            if block == 0:
                names |= _conv_norm(f'{inside}.shortcut', f'{to}.downsample.0',
                                    f'{to}.downsample.1', _BATCH)
    return names


def _pyramid() -> dict[str, str]:
    names: dict[str, str] = {}
    for level in range(4):
        names |= _conv(f'backbone.fpn_lateral{level + 2}', f'pyramid.inner_blocks.{level}.0')
        names |= _conv(f'backbone.fpn_output{level + 2}', f'pyramid.layer_blocks.{level}.0')
        for index in range(max(1, level)):
            # Theirs counts convolution and upsampling; ours norm and ReLU too.
            theirs = f'semantic_fpn.p{level + 2}.{2 * index}'
            ours = f'semantic_pyramid.branches.{level}'
            names |= _conv_norm(theirs, f'{ours}.{4 * index}', f'{ours}.{4 * index + 1}', _GROUP)
    for top in ('p6', 'p7'):
        names |= _conv(f'backbone.top_block.{top}', f'pyramid.extra_blocks.{top}')
    return names


def _head(theirs: str, ours: str, *, deformable: bool) -> dict[str, str]:
    """Three convolutions with group norm and ReLU."""
    names: dict[str, str] = {}
    for index in range(3):
        inside, to = f'{theirs}_{index + 1}', f'{ours}.{3 * index}'
        if deformable:
            names |= _conv(f'{inside}.offset_mask_conv', f'{to}.offset_mask')
            inside += '.dcnv2'
        names |= _conv_norm(inside, to, f'{ours}.{3 * index + 1}', _GROUP)
    return names


def _encoder(theirs: str, ours: str) -> dict[str, str]:
    """Three deformable convolutions with bias and ReLU."""
    names: dict[str, str] = {}
    for index in range(3):
        inside, to = f'{theirs}_{index + 1}', f'{ours}.{2 * index}'
        names |= _conv(f'{inside}.offset_mask_conv', f'{to}.offset_mask')
        names |= _conv(f'{inside}.dcnv2', to)
    return names


def _conv(theirs: str, ours: str) -> dict[str, str]:
    return {f'{theirs}.{part}': f'{ours}.{part}' for part in ('weight', 'bias')}


def _conv_norm(theirs: str, conv: str, norm: str, parts: Sequence[str]) -> dict[str, str]:
    """A convolution without bias and its norm, which is part of the convolution in theirs."""
    return {f'{theirs}.weight': f'{conv}.weight'} | {
        f'{theirs}.norm.{part}': f'{norm}.{part}' for part in parts}
