# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What every network of this package is."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from ..config import Settings
from .dynamic_kernels import NetworkOutput


class NetworkSettings(Settings):
    """What every network can be asked for."""

    canonical_focal_px: float = Field(500.0, gt=0, description='focal length of the camera in '
                                      'which depth is predicted')


class PanopticNetwork(nn.Module):
    """
    Image and camera in, kernels and embeddings out: what the assembly needs.

    :param settings: stored in model directories, so that the network can be rebuilt.
    """

    settings_type: ClassVar[type[NetworkSettings]]
    settings: NetworkSettings

    def forward(self, image: Tensor, intrinsics: Tensor) -> NetworkOutput:
        """
        Run the network.

        :param image: (B, H, W, 3) uint8 RGB, H and W multiples of 64.
        :param intrinsics: (B, 4) float32 fx, fy, cx, cy in px of this image.
        """
        raise RuntimeError(f'{type(self).__name__} has no forward method')
