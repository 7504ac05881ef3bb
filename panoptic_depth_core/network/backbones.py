# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Backbones: features of an image at strides 2, 4, 8, 16 and 32.

Each is a class and one line in BACKBONES.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision import models
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d

from ..config import Settings
from ..errors import ConfigError
from .base import NetworkSettings
from .weights import load_all, read_state_dict

Rgb = tuple[float, float, float]

BackboneName = Literal['mobilenet_v2', 'resnet50', 'resnet50_deep', 'resnext101', 'xception65']

BACKBONES: dict[BackboneName, str] = {
    'mobilenet_v2': '.backbones:MobileNetV2Backbone',
    'resnet50': '.backbones:ResNet50Backbone',
    'resnet50_deep': '.backbones:DeepStemResNet50Backbone',
    'resnext101': '.backbones:ResNext101Backbone',
    'xception65': '.xception:Xception65Backbone',
}
"""Name -> module (relative to this package) and class, imported on demand."""

Norm = Literal['frozen', 'batch']

LastStage = Literal['strided', 'dilated', 'none']
"""
Last of the four stages: at stride 32; at stride 16 with dilated convolutions (DeepLab, Chen et
al., 2017); or left out.
"""


class BackboneSettings(Settings):
    """Settings of a network that can have any backbone."""

    backbone: BackboneName = Field('mobilenet_v2', description='a name in backbones.BACKBONES')
    backbone_norm: Norm = Field('frozen', description='batch norm of the backbone: frozen, or '
                                'batch, which learns and needs large batches; mobilenet_v2 has '
                                'none')
    merged_batch_norm: bool = Field(False, description='batch norm folded into convolutions')


class Backbone(nn.Module):
    """
    Features of an image.

    ``forward`` takes (B, 3, H, W) normalized RGB, H and W multiples of the last stride, and
    returns features (B, channels[i], H/s, W/s) for s of 4, 8, 16 and 32; of LastStage 'dilated'
    the last one is at stride 16 too, and with 'none' there are three.

    :param weights: state dict file with torchvision's names; None: random weights.
    :raises ConfigError: for weights that do not fit.
    """

    stem_channels: ClassVar[int]
    """Of the feature at stride 2."""

    channels: tuple[int, ...]

    input_mean: Rgb = (127.5, 127.5, 127.5)
    """Of R, G and B in 0..255, as the published weights see them."""
    input_std: Rgb = (127.5, 127.5, 127.5)

    def __init__(self, settings: BackboneSettings | None = None,
                 weights: Path | str | None = None, last_stage: LastStage = 'strided') -> None:
        super().__init__()

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features from stride 4 on."""
        return self.with_stem(x)[1:]

    def with_stem(self, x: Tensor) -> list[Tensor]:
        """Features from stride 2 on: (B, stem_channels, H/2, W/2), then those of forward."""
        raise NotImplementedError


def create_backbone(settings: BackboneSettings, weights: Path | str | None = None,
                    last_stage: LastStage = 'strided', **options: Any) -> Backbone:
    """
    Create the backbone that the settings name.

    :param options: that only this backbone takes.
    """
    module, _, attribute = BACKBONES[settings.backbone].partition(':')
    create: Callable[..., Backbone] = getattr(import_module(module, __package__), attribute)
    return create(settings, weights, last_stage, **options)


# Last block of each stride in torchvision's list of blocks, and its channels.
_STEM_TAP = 1
_TAPS = {3: 24, 6: 32, 13: 96, 17: 320}

_MOBILENET_REMEDY = ("give a MobileNetV2 state dict with torchvision's names, or null for random "
                     'weights')


class MobileNetV2Backbone(Backbone):
    """
    MobileNetV2 1.0 (Sandler et al., CVPR 2018) up to its last bottleneck.

    Batch norm is merged into the convolutions: batches are small and mix data sets, so their
    statistics would describe neither. Stride-2 convolutions pad at the right and bottom only, as
    the published weights expect.
    """

    stem_channels = 16
    channels = tuple(_TAPS.values())

    def __init__(self, settings: BackboneSettings | None = None,
                 weights: Path | str | None = None, last_stage: LastStage = 'strided') -> None:
        super().__init__()
        network = models.mobilenet_v2(weights=None)
        if weights is None:
            _initialise(network.features)
        else:
            given = read_state_dict(weights, _MOBILENET_REMEDY)
            load_all(network.features, {
                name.removeprefix('features.'): value for name, value in given.items()
                if name.startswith('features.')}, str(weights), _MOBILENET_REMEDY)
        third, last = sorted(_TAPS)[-2:]
        if last_stage == 'none':
            self.channels, last = self.channels[:-1], third
        self.blocks = network.features[:last + 1]
        merge_batch_norm(self.blocks)
        if last_stage == 'dilated':
            first, *others = [m for block in self.blocks[third + 1:] for m in block.modules()
                              if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
            _dilate(first, 1)
            for conv in others:
                _dilate(conv, 2)
        _pad_right_and_bottom(self.blocks)
        # Merged biases come out as constants, but are weights like any other.
        self.blocks.train().requires_grad_(True)

    def with_stem(self, x: Tensor) -> list[Tensor]:
        taps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index == _STEM_TAP or index in _TAPS:
                taps.append(x)
        return taps


def _dilate(conv: nn.Conv2d, dilation: int) -> None:
    """Give a 3x3 convolution stride 1 and a dilation, in place."""
    conv.stride = (1, 1)
    conv.dilation = conv.padding = (dilation, dilation)


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


NORMS: dict[Norm, type[nn.Module]] = {'frozen': FrozenBatchNorm2d, 'batch': nn.BatchNorm2d}

IMAGENET_MEAN = (123.675, 116.28, 103.53)
"""Of R, G and B in 0..255, as torchvision's weights see them."""
IMAGENET_STD = (58.395, 57.12, 57.375)

_DILATIONS = (2, 4, 8)
"""Of the blocks of a dilated last stage (multi-grid of DeepLabv3, Chen et al., 2017)."""


class ResNetSettings(BackboneSettings, NetworkSettings):
    """Settings of a network that has ResNet-50 by default."""

    backbone: BackboneName = 'resnet50'
    stride_in: Literal['1x1', '3x3'] = Field(
        '3x3', description='convolution of a block of a ResNet that has its stride: 3x3 as in '
        'torchvision, or the first 1x1 as in the first weights, those of MSRA')


class ResNet50Backbone(Backbone):
    """
    ResNet-50 (He et al., CVPR 2016).

    :param mean, std: normalisation of its input, of R, G and B in 0..255.
    """

    create: ClassVar[Callable[..., ResNet]] = staticmethod(models.resnet50)
    weights_name: ClassVar[str] = 'ResNet-50, such as resnet50-0676ba61.pth'

    stem_channels = 64
    channels: tuple[int, ...] = (256, 512, 1024, 2048)
    input_mean = IMAGENET_MEAN
    input_std = IMAGENET_STD

    def __init__(self, settings: BackboneSettings | None = None,
                 weights: Path | str | None = None, last_stage: LastStage = 'strided', *,
                 mean: Rgb = IMAGENET_MEAN, std: Rgb = IMAGENET_STD) -> None:
        super().__init__()
        s = settings or ResNetSettings()
        stride_in = s.stride_in if isinstance(s, ResNetSettings) else '3x3'
        network = self.create(weights=None, norm_layer=NORMS[s.backbone_norm])
        network.fc = nn.Identity()
        if weights is not None:
            if stride_in == '1x1':
                raise ConfigError(f"{weights}: torchvision's weights have the stride of a block "
                                  'in its 3x3 convolution; set network_settings: '
                                  '{stride_in: 3x3}')
            self._load(network, weights)
            _fit_input(network, mean, std)
        if stride_in == '1x1':
            for module in network.modules():
                if isinstance(module, Bottleneck):
                    module.conv1.stride, module.conv2.stride = (
                        module.conv2.stride, module.conv1.stride)
        self.stem = self._stem(network)
        self.stages = nn.ModuleList(getattr(network, f'layer{i}') for i in range(1, 5))
        if last_stage == 'none':
            self.stages, self.channels = self.stages[:-1], self.channels[:-1]
        elif last_stage == 'dilated':
            for block, dilation in zip(network.layer4, _DILATIONS, strict=True):
                _dilate(block.conv2, dilation)
            network.layer4[0].downsample[0].stride = (1, 1)
        if s.merged_batch_norm:
            merge_batch_norm(self)

    def _load(self, network: ResNet, weights: Path | str) -> None:
        remedy = (f"give torchvision's state dict of {self.weights_name}, or null for random "
                  'weights')
        given = read_state_dict(weights, remedy)
        load_all(network, {name: value for name, value in given.items()
                           if not name.startswith('fc.')}, str(weights), remedy)

    def _stem(self, network: ResNet) -> nn.Sequential:
        """Layers down to stride 2, and the pooling to stride 4 last."""
        stem = nn.Sequential()
        for name in ('conv1', 'bn1', 'relu', 'maxpool'):
            stem.add_module(name, getattr(network, name))
        return stem

    def with_stem(self, x: Tensor) -> list[Tensor]:
        features = [self.stem[:-1](x)]
        x = self.stem[-1](features[0])
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class ResNext101Backbone(ResNet50Backbone):
    """ResNeXt-101 32x8d (Xie et al., CVPR 2017)."""

    create = staticmethod(models.resnext101_32x8d)
    weights_name = 'ResNeXt-101 32x8d, such as resnext101_32x8d-8ba56ff5.pth'


class DeepStemResNet50Backbone(ResNet50Backbone):
    """ResNet-50 with a stem of three 3x3 convolutions, as DeepLab uses it ("R-52")."""

    stem_channels = 128

    def _load(self, network: ResNet, weights: Path | str) -> None:
        raise ConfigError(f'{weights}: there are no weights of torchvision for resnet50_deep; '
                          'give initial_weights of the whole network, or set backbone: resnet50')

    def _stem(self, network: ResNet) -> nn.Sequential:
        width = self.stem_channels
        first = network.layer1[0]
        first.conv1 = nn.Conv2d(width, first.conv1.out_channels, 1, bias=False)
        first.downsample[0] = nn.Conv2d(width, self.channels[0], 1, bias=False)
        norm = type(network.bn1)
        stem = nn.Sequential()
        for number, (channels_in, channels_out) in enumerate(
                ((3, width // 2), (width // 2, width // 2), (width // 2, width)), 1):
            conv = nn.Conv2d(channels_in, channels_out, 3, stride=2 if number == 1 else 1,
                             padding=1, bias=False)
            nn.init.kaiming_normal_(conv.weight, mode='fan_out', nonlinearity='relu')
            stem.add_module(f'conv{number}', conv)
            stem.add_module(f'bn{number}', norm(channels_out))
            stem.add_module(f'relu{number}', nn.ReLU(inplace=True))
        stem.add_module('maxpool', network.maxpool)
        return stem


def _fit_input(network: ResNet, mean: Sequence[float], std: Sequence[float]) -> None:
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
