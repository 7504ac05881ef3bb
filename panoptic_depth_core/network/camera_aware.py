# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``fast`` and ``accurate``: heads that know the camera, on a light and on a larger backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from .backbones import (
    Backbone,
    MobileNetV2Backbone,
    ResNetSettings,
    create_backbone,
    merge_batch_norm,
)
from .base import NetworkSettings
from .dynamic_kernels.kernels import DEPTH_SHAPE, KernelOutput, locate_kernels
from .dynamic_kernels.model import DynamicKernelModel
from .layers import RAY_CHANNELS, FeaturePyramid, camera_rays, conv_block, metric_factor

_STRIDES = (8, 16, 32, 64)


class CameraAwareSettings(NetworkSettings):
    """Sizes of the heads; the defaults are those of ``fast``."""

    pyramid_width: int = Field(96, description='channels of the feature pyramid')
    head_width: int = Field(64, description='channels of the heads')
    encoder_width: int = Field(80, description='channels of the stride-4 encoder')
    mask_channels: int = Field(64, description='channels of the mask embedding')
    depth_channels: int = Field(16, description='channels of the depth embedding')
    camera: Literal['canonical', 'rays', 'unknown'] = Field(
        'canonical', description='canonical: viewing rays in, canonical metres out; rays: metres '
        'out; unknown: metres without any camera, for comparison')


class CameraAwareNetwork(DynamicKernelModel):
    """
    Image and camera in, kernels and embeddings out.

    :param backbone: features at strides 4, 8, 16 and 32.
    """

    settings: CameraAwareSettings
    class_parameters = ('position_head.2', 'class_kernels', 'class_depth_kernels')

    def __init__(self, settings: CameraAwareSettings, backbone: Backbone) -> None:
        super().__init__(settings)
        s = self.settings
        self.input_mean, self.input_std = backbone.input_mean, backbone.input_std
        self.backbone = backbone
        self.pyramid = FeaturePyramid(backbone.channels, s.pyramid_width)
        classes = len(self.classes)
        depth_numbers = DEPTH_SHAPE + s.depth_channels
        self.position_head = _head(s.pyramid_width, s.head_width,
                                   len(self.thing_classes) + classes)
        rays_in = s.pyramid_width + RAY_CHANNELS
        self.kernel_head = _head(rays_in, s.head_width, s.mask_channels + 3)
        self.depth_head = _head(rays_in, s.head_width, depth_numbers)
        self.encoder = nn.Sequential(
            conv_block(rays_in, s.encoder_width), conv_block(s.encoder_width, s.encoder_width))
        self.mask_embedding = nn.Conv2d(s.encoder_width, s.mask_channels, 1)
        self.depth_embedding = nn.Conv2d(s.encoder_width, s.depth_channels, 1)
        self.class_kernels = nn.Parameter(0.1 * torch.randn(classes, s.mask_channels + 1))
        self.class_depth_kernels = nn.Parameter(0.1 * torch.randn(classes, depth_numbers))
        self.fallback = nn.Linear(s.pyramid_width, depth_numbers)
        self._initialise()

    def forward(self, image: Tensor, intrinsics: Tensor) -> KernelOutput:
        finest, levels, context = self.pyramid(self.backbone(self.normalised(image)))
        positions = [self.position_head(level) for level in levels]
        located = [self._with_rays(level, intrinsics, stride)
                   for level, stride in zip(levels, _STRIDES, strict=True)]
        things = len(self.thing_classes)
        encoded = self.encoder(self._with_rays(finest, intrinsics, 4))
        return KernelOutput(
            centers=[p[:, :things] for p in positions],
            regions=[p[:, things:] for p in positions],
            kernels=[locate_kernels(self.kernel_head(level), stride)
                     for level, stride in zip(located, _STRIDES, strict=True)],
            depth_kernels=[self.depth_head(level) for level in located],
            mask_embedding=self.mask_embedding(encoded),
            depth_embedding=self.depth_embedding(encoded),
            class_kernels=self.class_kernels,
            class_depth_kernels=self.class_depth_kernels,
            fallback_depth_kernel=self.fallback(context),
            metric=self._metric(intrinsics),
            thing_classes=self.thing_classes)

    def _with_rays(self, features: Tensor, intrinsics: Tensor, stride: int) -> Tensor:
        height, width = features.shape[-2:]
        rays = camera_rays(intrinsics, height, width, stride, self.settings.canonical_focal_px)
        if self.settings.camera == 'unknown':
            rays = torch.zeros_like(rays)
        return torch.cat([features, rays.to(features.dtype)], dim=1)

    def _metric(self, intrinsics: Tensor) -> Tensor:
        if self.settings.camera == 'canonical':
            return metric_factor(intrinsics, self.settings.canonical_focal_px)
        return torch.ones_like(intrinsics[:, 1])

    def _initialise(self) -> None:
        positions, depths = self.position_head[-1], self.depth_head[-1]
        assert isinstance(positions, nn.Conv2d) and isinstance(depths, nn.Conv2d)
        assert positions.bias is not None and depths.bias is not None
        with torch.no_grad():
            # Rare positives: start from a probability of about 1 % (focal loss, Lin et al. 2017).
            positions.weight.normal_(std=0.01)
            positions.bias.fill_(-4.6)
            # 12 m, a spread of a factor 3 up and down, and 20 % of uncertainty.
            start = torch.tensor([2.5, 0.6, -1.6])
            # Kernels of classes are sums of learned and pooled ones: start one of them at 0.
            self.class_depth_kernels[:, :DEPTH_SHAPE] = 0.0
            depths.bias[:DEPTH_SHAPE] = start
            self.fallback.bias[:DEPTH_SHAPE] = start


def _head(channels_in: int, width: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(conv_block(channels_in, width), conv_block(width, width),
                         nn.Conv2d(width, channels_out, 3, padding=1))


class FastNetwork(CameraAwareNetwork):
    """
    MobileNetV2 with narrow heads: a light backbone, no deformable convolution.

    :param backbone_weights: MobileNetV2 state dict file; None: random weights.
    """

    name = 'fast'
    settings_type = CameraAwareSettings

    def __init__(self, settings: CameraAwareSettings | None = None,
                 backbone_weights: Path | str | None = None) -> None:
        super().__init__(settings or CameraAwareSettings(),
                         MobileNetV2Backbone(weights=backbone_weights))


class AccurateSettings(ResNetSettings, CameraAwareSettings):
    """Settings of the ``accurate`` model."""

    pyramid_width: int = Field(192, description='channels of the feature pyramid')
    head_width: int = Field(128, description='channels of the heads')
    encoder_width: int = Field(128, description='channels of the stride-4 encoder')
    mask_channels: int = Field(96, description='channels of the mask embedding')
    depth_channels: int = Field(24, description='channels of the depth embedding')


class AccurateNetwork(CameraAwareNetwork):
    """
    ResNet-50 with wide heads, for a GPU.

    :param backbone_weights: torchvision's state dict file of the backbone; None: random weights.
    """

    name = 'accurate'
    settings_type = AccurateSettings
    settings: AccurateSettings
    def __init__(self, settings: AccurateSettings | None = None,
                 backbone_weights: Path | str | None = None) -> None:
        s = settings or AccurateSettings()
        super().__init__(s, create_backbone(s, backbone_weights))

    def deployed(self) -> AccurateNetwork:
        """Fold batch norm into the convolutions, in place."""
        merge_batch_norm(self.backbone)
        self.settings = self.settings.model_copy(update={'merged_batch_norm': True})
        return self
