# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Backbones: features of an image at strides 4, 8, 16 and 32."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.models import mobilenet_v2, resnet50
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d

from ..errors import ConfigError
from .base import NetworkSettings
from .weights import load_all, read_state_dict

# Last block of each stride in torchvision's list of blocks, and its channels.
_TAPS = {3: 24, 6: 32, 13: 96, 17: 320}

_MOBILENET_REMEDY = ("give a MobileNetV2 state dict with torchvision's names, or null for random "
                     'weights')


class MobileNetV2Backbone(nn.Module):
    """
    MobileNetV2 1.0 (Sandler et al., CVPR 2018) up to its last bottleneck.

    Batch norm is merged into the convolutions: batches are small and mix data sets, so their
    statistics would describe neither. Stride-2 convolutions pad at the right and bottom only, as
    the published weights expect.

    :param weights: state dict file with torchvision's names; None: random weights.
    """

    channels = tuple(_TAPS.values())

    def __init__(self, weights: Path | str | None = None) -> None:
        super().__init__()
        network = mobilenet_v2(weights=None)
        if weights is None:
            _initialise(network.features)
        else:
            given = read_state_dict(weights, _MOBILENET_REMEDY)
            load_all(network.features, {
                name.removeprefix('features.'): value for name, value in given.items()
                if name.startswith('features.')}, str(weights), _MOBILENET_REMEDY)
        self.blocks = network.features[:max(_TAPS) + 1]
        merge_batch_norm(self.blocks)
        _pad_right_and_bottom(self.blocks)
        # Merged biases come out as constants, but are weights like any other.
        self.blocks.train().requires_grad_(True)

    def forward(self, x: Tensor) -> list[Tensor]:
        """
        Features of an image.

        :param x: (B, 3, H, W) float RGB in -1..1, H and W multiples of 32.
        :returns: (B, 24, H/4, W/4), (B, 32, H/8, W/8), (B, 96, H/16, W/16),
            (B, 320, H/32, W/32).
        """
        taps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in _TAPS:
                taps.append(x)
        return taps


def _initialise(module: nn.Module) -> None:
    """Keep the scale of the signal without batch norm, through depthwise convolutions too."""
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            nn.init.kaiming_normal_(child.weight, mode='fan_in', nonlinearity='relu')


def merge_batch_norm(module: nn.Module) -> None:
    """Replace each (conv, batch norm) pair of neighbors by one conv with bias, in place."""
    children = [*module.named_children(), ('', nn.Identity())]
    for (_, child), (next_name, norm) in pairwise(children):
        if isinstance(child, nn.Conv2d) and isinstance(
                norm, (nn.BatchNorm2d, FrozenBatchNorm2d)):
            mean, variance = norm.running_mean, norm.running_var
            assert mean is not None and variance is not None
            child.weight, child.bias = fuse_conv_bn_weights(
                child.weight, child.bias, mean, variance, norm.eps, norm.weight, norm.bias)
            setattr(module, next_name, nn.Identity())
        else:
            merge_batch_norm(child)


def _pad_right_and_bottom(module: nn.Module) -> None:
    """Give each stride-2 convolution its padding at the far sides only, in place."""
    for _name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d) and child.stride == (2, 2):
            child.padding = (0, 0)
            child.register_forward_pre_hook(_pad_input)
        else:
            _pad_right_and_bottom(child)


def _pad_input(_module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (nn.functional.pad(inputs[0], (0, 1, 0, 1)),)


Norm = Literal['frozen', 'batch']
_NORMS: dict[Norm, type[nn.Module]] = {'frozen': FrozenBatchNorm2d, 'batch': nn.BatchNorm2d}

IMAGENET_MEAN = (123.675, 116.28, 103.53)
"""Of R, G and B in 0..255, as torchvision's weights see them."""
IMAGENET_STD = (58.395, 57.12, 57.375)

_RESNET_REMEDY = ("give torchvision's state dict of ResNet-50, such as resnet50-0676ba61.pth, or "
                  'null for random weights')


class ResNetSettings(NetworkSettings):
    """Settings of a network with ResNet-50."""

    backbone_norm: Norm = Field('frozen', description='batch norm of the backbone: frozen, or '
                                'batch, which learns and needs large batches')
    stride_in: Literal['1x1', '3x3'] = Field(
        '3x3', description='convolution of a block that has its stride: 3x3 as in torchvision, '
        'or the first 1x1 as in the first weights, those of MSRA')
    merged_batch_norm: bool = Field(False, description='batch norm folded into convolutions')


class ResNet50Backbone(nn.Module):
    """
    ResNet-50 (He et al., CVPR 2016).

    :param weights: state dict file of torchvision's classifier; None: random weights.
    :param mean, std: normalisation of its input, of R, G and B in 0..255.
    :raises ConfigError: for weights that do not fit.
    """

    channels = (256, 512, 1024, 2048)

    def __init__(self, settings: ResNetSettings | None = None, weights: Path | str | None = None,
                 mean: tuple[float, ...] = IMAGENET_MEAN,
                 std: tuple[float, ...] = IMAGENET_STD) -> None:
        super().__init__()
        s = settings or ResNetSettings()
        network = resnet50(weights=None, norm_layer=_NORMS[s.backbone_norm])
        network.fc = nn.Identity()
        if weights is not None:
            if s.stride_in == '1x1':
                raise ConfigError(f"{weights}: torchvision's weights have the stride of a block "
                                  'in its 3x3 convolution; set network_settings: '
                                  '{stride_in: 3x3}')
            given = read_state_dict(weights, _RESNET_REMEDY)
            load_all(network, {name: value for name, value in given.items()
                               if not name.startswith('fc.')}, str(weights), _RESNET_REMEDY)
            _fit_input(network, mean, std)
        if s.stride_in == '1x1':
            for module in network.modules():
                if isinstance(module, Bottleneck):
                    module.conv1.stride, module.conv2.stride = (
                        module.conv2.stride, module.conv1.stride)
        self.stem = nn.Sequential()
        for name in ('conv1', 'bn1', 'relu', 'maxpool'):
            self.stem.add_module(name, getattr(network, name))
        self.stages = nn.ModuleList(getattr(network, f'layer{i}') for i in range(1, 5))
        if s.merged_batch_norm:
            merge_batch_norm(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """
        Features of an image.

        :param x: (B, 3, H, W) normalized, H and W multiples of 32.
        :returns: (B, 256, H/4, W/4), (B, 512, H/8, W/8), (B, 1024, H/16, W/16),
            (B, 2048, H/32, W/32).
        """
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def _fit_input(network: ResNet, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """
    Adapt the first convolution to an input with another normalisation, in place.

    (p - M) / S = (p - m) / s * s / S + (m - M) / S: the factor goes into its weights, the constant
    into the mean that the following norm subtracts. Padding then has the color m, not M.

    :param mean, std: m and s; M and S are those of torchvision's weights.
    """
    weight = network.conv1.weight
    with torch.no_grad():
        factor, shift = torch.tensor(
            [[s / own, (m - origin) / own] for m, s, origin, own in zip(
                mean, std, IMAGENET_MEAN, IMAGENET_STD, strict=True)]).t()
        network.bn1.running_mean -= weight.sum((2, 3)) @ shift
        weight *= factor[:, None, None]
