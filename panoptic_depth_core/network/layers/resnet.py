# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""ResNet-50 features at strides 4, 8, 16 and 32, in the forms of its two kinds of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d

from ...errors import ConfigError
from ..base import NetworkSettings
from ..state_dicts import load_all, read_state_dict
from .backbone import merge_batch_norm

Norm = Literal['frozen', 'batch']
_NORMS: dict[Norm, type[nn.Module]] = {'frozen': FrozenBatchNorm2d, 'batch': nn.BatchNorm2d}

IMAGENET_MEAN = (123.675, 116.28, 103.53)
"""Of R, G and B in 0..255, as torchvision's weights see them."""
IMAGENET_STD = (58.395, 57.12, 57.375)

_REMEDY = ("give torchvision's state dict of ResNet-50, such as resnet50-0676ba61.pth, or null "
           'for random weights')


class ResNetSettings(NetworkSettings):
    """What a network with this backbone can be asked for."""

    backbone_norm: Norm = Field('frozen', description='batch norm of the backbone: frozen, or '
                                'batch, which learns and needs large batches')
    stride_in: Literal['1x1', '3x3'] = Field(
        '3x3', description='convolution of a block that has its stride: 3x3 as in torchvision, '
        'or the first 1x1 as in the first weights, those of MSRA')
    merged_batch_norm: bool = Field(False, description='batch norm folded into convolutions')


class ResNet50Backbone(nn.Module):
    """
    ResNet-50 (He et al., CVPR 2016).

    :param weights: state dict file of torchvision's classifier; random weights where None.
    :param mean, std: of R, G and B in 0..255, subtracted from and divided into what it will see.
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
            _load(network, weights)
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
            self.merge_batch_norm()

    def merge_batch_norm(self) -> None:
        """Fold the norms into the convolutions, in place."""
        merge_batch_norm(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """
        Features of an image.

        :param x: (B, 3, H, W) normalised, H and W multiples of 32.
        :returns: (B, 256, H/4, W/4), (B, 512, H/8, W/8), (B, 1024, H/16, W/16),
            (B, 2048, H/32, W/32).
        """
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def _load(network: ResNet, path: Path | str) -> None:
    """Load all but the classifier's last layer, in place."""
    given = {name: value for name, value in read_state_dict(path, _REMEDY).items()
             if not name.startswith('fc.')}
    load_all(network, given, str(path), _REMEDY)


def _fit_input(network: ResNet, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """
    Let the first convolution see an input that is normalised otherwise, in place.

    (p - M) / S = (p - m) / s * s / S + (m - M) / S: the factor goes into its weights, the constant
    into the mean that the norm behind it subtracts. What is outside of the image then has the
    colour m in place of M.

    :param mean, std: m and s; M and S are those of torchvision's weights.
    """
    weight = network.conv1.weight
    with torch.no_grad():
        factor, shift = torch.tensor(
            [[s / own, (m - origin) / own] for m, s, origin, own in zip(
                mean, std, IMAGENET_MEAN, IMAGENET_STD, strict=True)]).t()
        network.bn1.running_mean -= weight.sum((2, 3)) @ shift
        weight *= factor[:, None, None]
