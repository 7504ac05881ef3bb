# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The default model: a light backbone, one plain encoder, no deformable convolution."""

from __future__ import annotations

from pathlib import Path

from .dynamic_kernels.camera_aware import CameraAwareNetwork, CameraAwareSettings
from .layers.backbone import MobileNetV2Backbone


class FastNetwork(CameraAwareNetwork):
    """
    MobileNetV2 with narrow heads.

    :param backbone_weights: MobileNetV2 state dict file; random weights where None.
    """

    name = 'fast'
    settings_type = CameraAwareSettings

    def __init__(self, settings: CameraAwareSettings | None = None,
                 backbone_weights: Path | str | None = None) -> None:
        super().__init__(settings or CameraAwareSettings(), MobileNetV2Backbone(backbone_weights),
                         MobileNetV2Backbone.channels)
