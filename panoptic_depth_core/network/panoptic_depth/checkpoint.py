# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Published PanopticDepth checkpoints: their names and shapes, converted to ours."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..published_names import BATCH_NORM, conv_names, conv_norm_names, fit_names, resnet_names

_DEPTH_PARTS = ('depth_kernel_head.', 'depth_encode_head.')
_GROUP = ('weight', 'bias')
_STEM = 'backbone.stem.conv1.weight'


def published_names(predicts_depth: bool = True) -> dict[str, str]:
    """Name in a published checkpoint -> name in the state dict of PublishedNetwork."""
    names = {
        **_backbone(), **_pyramid(),
        **_head('position_head.position_head.position_head_head', 'position_head',
                deformable=True),
        **conv_names('position_head.out_inst', 'center'),
        **conv_names('position_head.out_sem', 'region'),
        **_head('kernel_head.kernel_head.kernel_head_head', 'kernel_head', deformable=False),
        **conv_names('kernel_head.out_conv', 'kernel'),
        **_encoder('feature_encoder.encode_head.encode_head_head', 'mask_encoder'),
        **conv_names('thing_generator.embed_extractor', 'thing_projection'),
        **conv_names('stuff_generator.embed_extractor', 'region_projection')}
    if predicts_depth:
        names |= {
            **_head('depth_kernel_head.depth_kernel_head.depth_kernel_head_head',
                    'depth_kernel_head', deformable=True),
            **conv_names('depth_kernel_head.out_depth_kernel', 'depth_kernel'),
            **_encoder('depth_encode_head.encode_head.depth_encode_head_head', 'depth_encoder'),
            **conv_names('depth_encode_head.embed_extractor', 'depth_embedding')}
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
    converted = fit_names(weights, wanted, published_names(has_depth(weights)), source,
                          'PanopticDepth with ResNet-50 and the 19 Cityscapes classes')
    # Theirs see BGR, ours RGB.
    converted[_STEM] = converted[_STEM].flip(1)
    return converted


def _backbone() -> dict[str, str]:
    theirs = 'backbone.bottom_up'
    return (conv_norm_names(f'{theirs}.stem.conv1', 'backbone.stem.conv1', 'backbone.stem.bn1',
                            BATCH_NORM) | resnet_names(theirs, 'backbone'))


def _pyramid() -> dict[str, str]:
    names: dict[str, str] = {}
    for level in range(4):
        names |= conv_names(f'backbone.fpn_lateral{level + 2}', f'pyramid.inner_blocks.{level}.0')
        names |= conv_names(f'backbone.fpn_output{level + 2}', f'pyramid.layer_blocks.{level}.0')
        for index in range(max(1, level)):
            # Theirs counts convolution and upsampling; ours norm and ReLU too.
            theirs = f'semantic_fpn.p{level + 2}.{2 * index}'
            ours = f'semantic_pyramid.branches.{level}'
            names |= conv_norm_names(theirs, f'{ours}.{4 * index}', f'{ours}.{4 * index + 1}',
                                     _GROUP)
    for top in ('p6', 'p7'):
        names |= conv_names(f'backbone.top_block.{top}', f'pyramid.extra_blocks.{top}')
    return names


def _head(theirs: str, ours: str, *, deformable: bool) -> dict[str, str]:
    """Three convolutions with group norm and ReLU."""
    names: dict[str, str] = {}
    for index in range(3):
        inside, to = f'{theirs}_{index + 1}', f'{ours}.{3 * index}'
        if deformable:
            names |= conv_names(f'{inside}.offset_mask_conv', f'{to}.offset_mask')
            inside += '.dcnv2'
        names |= conv_norm_names(inside, to, f'{ours}.{3 * index + 1}', _GROUP)
    return names


def _encoder(theirs: str, ours: str) -> dict[str, str]:
    """Three deformable convolutions with bias and ReLU."""
    names: dict[str, str] = {}
    for index in range(3):
        inside, to = f'{theirs}_{index + 1}', f'{ours}.{2 * index}'
        names |= conv_names(f'{inside}.offset_mask_conv', f'{to}.offset_mask')
        names |= conv_names(f'{inside}.dcnv2', to)
    return names
