# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""``fast`` and ``accurate``: heads that know the camera, on a light and on a larger backbone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from ..contract import MOUNTING
from ..labels import GROUND_CLASSES
from ..model_info import ExtraInput
from .backbones import (
    Backbone,
    MobileNetV2Backbone,
    ResNetSettings,
    create_backbone,
    merge_batch_norm,
)
from .base import NetworkSettings
from .dynamic_kernels.kernels import DEPTH_SHAPE, GROUND_SHAPE, KernelOutput, locate_kernels
from .dynamic_kernels.model import DynamicKernelModel
from .layers import (
    GROUND_CHANNELS,
    RAY_CHANNELS,
    FeaturePyramid,
    camera_rays,
    conv_block,
    ground_features,
    ground_plane,
    metric_factor,
)

_STRIDES = (8, 16, 32, 64)


class CameraAwareSettings(NetworkSettings):
    """Sizes of the heads; the defaults are those of ``fast``."""

    pyramid_width: int = Field(96, description='channels of the feature pyramid')
    head_width: int = Field(64, description='channels of the heads')
    encoder_width: int = Field(80, description='channels of the stride-4 encoder')
    mask_channels: int = Field(64, description='channels of the mask embedding')
    depth_channels: int = Field(16, description='channels of the depth embedding')
    camera: Literal['canonical', 'rays', 'unknown'] = Field(
        'canonical', description='canonical: viewing rays in, canonical meters out; rays: meters '
        'out; unknown: meters without any camera, for comparison')
    mounting: bool = Field(False, description='the network takes the mounting of the camera as '
                           'an extra input')


class DepthKernels(NamedTuple):
    """What depth is made of; see KernelOutput."""

    cells: list[Tensor]
    classes: Tensor
    fallback: Tensor
    embedding: Tensor
    ground: Tensor | None = None


class GroundBranch(nn.Module):
    """
    What a network that takes the mounting has more than one that does not.

    It adds to the depth kernels and to the depth embedding, and gives the kernels GROUND_SHAPE + D
    numbers for the ground. Where the mounting is not known it adds zeros: so it can be learned
    beside a trained network that rests, and labels never depend on the mounting.
    """

    def __init__(self, settings: CameraAwareSettings, is_ground: Sequence[bool]) -> None:
        super().__init__()
        s = settings
        self._focal_px = s.canonical_focal_px
        self._added = DEPTH_SHAPE + s.depth_channels
        numbers = self._added + GROUND_SHAPE + s.depth_channels
        width = s.head_width // 2
        self.head = nn.Sequential(conv_block(s.head_width + GROUND_CHANNELS, width),
                                  nn.Conv2d(width, numbers, 3, padding=1))
        self.embedding = nn.Sequential(
            conv_block(s.encoder_width + GROUND_CHANNELS, width, 1),
            nn.Conv2d(width, 2 * s.depth_channels, 1))
        self.classes = nn.Parameter(torch.zeros(len(is_ground), numbers))
        self.fallback = nn.Parameter(torch.zeros(numbers))
        with torch.no_grad():
            for last in (self.head[-1], self.embedding[-1]):
                assert isinstance(last, nn.Conv2d) and last.bias is not None
                last.weight.zero_()
                last.bias.zero_()
            # At first only the classes of the ground attend to it.
            bias = self.head[-1].bias
            assert isinstance(bias, Tensor)
            bias[self._added] = self.fallback[self._added] = -4.0
            self.classes[torch.tensor(is_ground), self._added] = 7.0

    def forward(self, without: DepthKernels, hidden: list[Tensor], encoded: Tensor,
                intrinsics: Tensor, mounting: Tensor) -> DepthKernels:
        """
        Add the ground.

        :param without: of the network without the mounting.
        :param hidden: of the depth head, (B, C, h, w) each. :param encoded: at stride 4.
        """
        known = (mounting.abs().sum(1) > 0).float()

        def joined(kernels: Tensor, more: Tensor) -> Tensor:
            """Kernels (B, N, ...) and what the branch has for them."""
            gate = known.reshape(-1, *(1,) * (more.ndim - 1))
            kernels = kernels + gate * more[:, :self._added]
            return torch.cat([kernels[:, :DEPTH_SHAPE], more[:, self._added:],
                              kernels[:, DEPTH_SHAPE:]], dim=1)

        cells = [joined(kernels.float(), self.head(self._with_ground(
            level, intrinsics, mounting, stride)).float())
            for kernels, level, stride in zip(without.cells, hidden, _STRIDES, strict=True)]
        batch = len(mounting)
        classes = joined(without.classes.t()[None], self.classes.t().expand(batch, -1, -1))
        added, look = self.embedding(
            self._with_ground(encoded, intrinsics, mounting, 4)).float().chunk(2, dim=1)
        height, width = encoded.shape[-2:]
        plane = ground_plane(mounting, intrinsics, height, width, 4, self._focal_px)[1]
        return DepthKernels(
            cells, classes.transpose(1, 2),
            joined(without.fallback.float(), self.fallback.expand(batch, -1)),
            without.embedding + known[:, None, None, None] * added, torch.cat([plane, look], 1))

    def _with_ground(self, features: Tensor, intrinsics: Tensor, mounting: Tensor, stride: int,
                     ) -> Tensor:
        height, width = features.shape[-2:]
        seen = ground_features(mounting, intrinsics, height, width, stride, self._focal_px)
        return torch.cat([features, seen.to(features.dtype)], dim=1)


class CameraAwareNetwork(DynamicKernelModel):
    """
    Image and camera in, kernels and embeddings out.

    :param backbone: features at strides 4, 8, 16 and 32.
    """

    settings: CameraAwareSettings
    class_parameters = ('position_head.2', 'class_kernels', 'class_depth_kernels',
                        'ground.classes')

    def __init__(self, settings: CameraAwareSettings, backbone: Backbone) -> None:
        super().__init__(settings)
        s = self.settings
        self.input_mean, self.input_std = backbone.input_mean, backbone.input_std
        self.backbone = backbone
        self.pyramid = FeaturePyramid(backbone.channels, s.pyramid_width)
        classes = len(self.classes)
        depth_numbers = DEPTH_SHAPE + s.depth_channels
        if s.mounting:
            self.extra_inputs = (ExtraInput(name=MOUNTING, shape=(3,), unknown=0.0),)
            self.ground = GroundBranch(s, [c.name in GROUND_CLASSES for c in self.classes])
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

    def forward(self, image: Tensor, intrinsics: Tensor, mounting: Tensor | None = None,
                ) -> KernelOutput:
        finest, levels, context = self.pyramid(self.backbone(self.normalised(image)))
        positions = [self.position_head(level) for level in levels]
        located = [self._with_rays(level, intrinsics, stride)
                   for level, stride in zip(levels, _STRIDES, strict=True)]
        things = len(self.thing_classes)
        encoded = self.encoder(self._with_rays(finest, intrinsics, 4))
        hidden = [self.depth_head[:-1](level) for level in located]
        depth = DepthKernels([self.depth_head[-1](level) for level in hidden],
                             self.class_depth_kernels, self.fallback(context),
                             self.depth_embedding(encoded))
        if mounting is not None:
            depth = self.ground(depth, hidden, encoded, intrinsics, mounting)
        return KernelOutput(
            centers=[p[:, :things] for p in positions],
            regions=[p[:, things:] for p in positions],
            kernels=[locate_kernels(self.kernel_head(level), stride)
                     for level, stride in zip(located, _STRIDES, strict=True)],
            depth_kernels=depth.cells,
            mask_embedding=self.mask_embedding(encoded),
            depth_embedding=depth.embedding,
            class_kernels=self.class_kernels,
            class_depth_kernels=depth.classes,
            fallback_depth_kernel=depth.fallback,
            metric=self._metric(intrinsics),
            thing_classes=self.thing_classes,
            ground=depth.ground)

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
