# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The default model with ResNet-50 and wider heads, for a GPU."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from .dynamic_kernels.camera_aware import CameraAwareNetwork, CameraAwareSettings
from .layers.resnet import IMAGENET_MEAN, IMAGENET_STD, ResNet50Backbone, ResNetSettings


class AccurateSettings(ResNetSettings, CameraAwareSettings):
    """Settings of the ``accurate`` model."""

    pyramid_width: int = Field(192, description='channels of the feature pyramid')
    head_width: int = Field(128, description='channels of the heads')
    encoder_width: int = Field(128, description='channels of the stride-4 encoder')
    mask_channels: int = Field(96, description='channels of the mask embedding')
    depth_channels: int = Field(24, description='channels of the depth embedding')


class AccurateNetwork(CameraAwareNetwork):
    """
    ResNet-50 with wide heads.

    :param backbone_weights: torchvision's ResNet-50 state dict file; random weights where None.
    """

    name = 'accurate'
    settings_type = AccurateSettings
    settings: AccurateSettings
    backbone: ResNet50Backbone

    input_mean = IMAGENET_MEAN
    input_std = IMAGENET_STD

    def __init__(self, settings: AccurateSettings | None = None,
                 backbone_weights: Path | str | None = None) -> None:
        s = settings or AccurateSettings()
        super().__init__(s, ResNet50Backbone(s, backbone_weights), ResNet50Backbone.channels)

    def deployed(self) -> AccurateNetwork:
        """Fold batch norm into the convolutions, in place."""
        self.backbone.merge_batch_norm()
        self.settings = self.settings.model_copy(update={'merged_batch_norm': True})
        return self
