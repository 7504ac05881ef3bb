# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""ResNet-50 features at strides 4, 8, 16 and 32, in the form of its first weights."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.resnet import Bottleneck
from torchvision.ops import FrozenBatchNorm2d

from .backbone import merge_batch_norm

Norm = Literal['frozen', 'batch']
_NORMS: dict[Norm, type[nn.Module]] = {'frozen': FrozenBatchNorm2d, 'batch': nn.BatchNorm2d}


class ResNet50Backbone(nn.Module):
    """
    ResNet-50 (He et al., CVPR 2016) as published by MSRA.

    There the stride of a block is in its first 1x1 convolution; torchvision has it in the 3x3.

    :param merged: batch norm is part of the convolutions, as in a deployed graph.
    :param norm: frozen, or batch norm that is learned.
    """

    channels = (256, 512, 1024, 2048)

    def __init__(self, merged: bool = False, norm: Norm = 'frozen') -> None:
        super().__init__()
        network = resnet50(weights=None, norm_layer=_NORMS[norm])
        for module in network.modules():
            if isinstance(module, Bottleneck):
                module.conv1.stride, module.conv2.stride = (
                    module.conv2.stride, module.conv1.stride)
        self.stem = nn.Sequential()
        for name in ('conv1', 'bn1', 'relu', 'maxpool'):
            self.stem.add_module(name, getattr(network, name))
        self.stages = nn.ModuleList(getattr(network, f'layer{i}') for i in range(1, 5))
        if merged:
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
