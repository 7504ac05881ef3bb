# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 features at strides 4, 8, 16 and 32, without batch norm layers."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.models import mobilenet_v2
from torchvision.ops import FrozenBatchNorm2d

from ..state_dicts import load_all, read_state_dict

# Last block of each stride in torchvision's list of blocks, and its channels.
_TAPS = {3: 24, 6: 32, 13: 96, 17: 320}


class MobileNetV2Backbone(nn.Module):
    """
    MobileNetV2 1.0 (Sandler et al., CVPR 2018) up to its last bottleneck.

    Batch norm is merged into the convolutions: batches here are small and mix data sets, so
    batch statistics would describe neither, and a robot gains nothing from the extra layers.
    Stride-2 convolutions pad at the right and bottom only, as the published weights expect.

    :param weights: state dict file with torchvision's names; random weights where None.
    """

    channels = tuple(_TAPS.values())

    def __init__(self, weights: Path | str | None = None) -> None:
        super().__init__()
        network = mobilenet_v2(weights=None)
        if weights is None:
            _initialise(network.features)
        else:
            _load(network.features, weights)
        self.blocks = network.features[:max(_TAPS) + 1]
        merge_batch_norm(self.blocks)
        _pad_right_and_bottom(self.blocks)
        # The merged biases come out as constants, but are weights like any other.
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


def _load(features: nn.Module, path: Path | str) -> None:
    """Load the entries below ``features.`` of a classifier's state dict."""
    remedy = "give a MobileNetV2 state dict with torchvision's names, or null for random weights"
    prefix = 'features.'
    load_all(features, {name.removeprefix(prefix): value
                        for name, value in read_state_dict(path, remedy).items()
                        if name.startswith(prefix)}, str(path), remedy)


def merge_batch_norm(module: nn.Module) -> None:
    """Replace each (conv, batch norm) pair of neighbours by one conv with bias, in place."""
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
