# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The camera as the network sees it: viewing rays per pixel and the canonical focal length."""

from __future__ import annotations

import torch
from torch import Tensor

RAY_CHANNELS = 4


def pixel_centers(cells: int, stride: int, device: torch.device) -> Tensor:
    """(cells,) float32 image coordinates in px of the centres of cells of a stride."""
    return torch.arange(cells, device=device, dtype=torch.float32) * stride + (stride - 1) / 2


def camera_rays(intrinsics: Tensor, height: int, width: int, stride: int,
                canonical_focal_px: float) -> Tensor:
    """
    Viewing rays of the cells of a feature map.

    The first two channels are ((u - cx) / fx, (v - cy) / fy). On a plane below the camera they
    give depth in metres, but the network predicts canonical depth D * f_c / f, which on that
    plane is a function of (v - cy) / f_c; so the same offsets over the canonical focal length are
    the other two. The four together also tell the network its focal length.

    :param intrinsics: (B, 4) fx, fy, cx, cy in px of the network input.
    :param height, width: cells of the feature map.
    :returns: (B, 4, height, width) float32.
    """
    fx, fy, cx, cy = (intrinsics[:, i, None] for i in range(4))
    u = pixel_centers(width, stride, intrinsics.device)[None] - cx
    v = pixel_centers(height, stride, intrinsics.device)[None] - cy
    columns = torch.stack([u / fx, u / canonical_focal_px], dim=1)[:, :, None, :]
    rows = torch.stack([v / fy, v / canonical_focal_px], dim=1)[:, :, :, None]
    return torch.cat([columns.expand(-1, -1, height, -1), rows.expand(-1, -1, -1, width)], dim=1)


def metric_factor(intrinsics: Tensor, canonical_focal_px: float) -> Tensor:
    """
    Factor from canonical to real metres, f / f_c (Metric3D, Yin et al., ICCV 2023).

    :param intrinsics: (B, 4).
    :returns: (B,); f is the vertical focal length, which is the horizontal one for square pixels.
    """
    return intrinsics[:, 1] / canonical_focal_px
