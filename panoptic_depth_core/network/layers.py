# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Camera rays, feature pyramid, ASPP, norms and deformable convolution, shared by the models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, grid_sample, interpolate, relu
from torchvision.ops import deform_conv2d

RAY_CHANNELS = 4


def pixel_centers(cells: int, stride: int, device: torch.device) -> Tensor:
    """(cells,) float32 image coordinates in px of the centers of cells of a stride."""
    return torch.arange(cells, device=device, dtype=torch.float32) * stride + (stride - 1) / 2


def camera_rays(intrinsics: Tensor, height: int, width: int, stride: int,
                canonical_focal_px: float) -> Tensor:
    """
    Viewing rays of the cells of a feature map.

    The first two channels are ((u - cx) / fx, (v - cy) / fy). On a plane below the camera they
    determine depth in meters, but the network predicts canonical depth D * f_c / f, which on that
    plane depends on (v - cy) / f_c; so the other two channels are the same offsets over the
    canonical focal length. Together the four also determine the focal length.

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
    Factor from canonical to real meters, f / f_c (Metric3D, Yin et al., ICCV 2023).

    :param intrinsics: (B, 4).
    :returns: (B,); f is the vertical focal length, which is the horizontal one for square pixels.
    """
    return intrinsics[:, 1] / canonical_focal_px


GROUND_CHANNELS = 3
GROUND_LIMITS_M = (0.2, 150.0)
"""Canonical depths of the ground that say something; farther it is too close to the horizon."""


def ground_plane(mounting: Tensor, intrinsics: Tensor, height: int, width: int, stride: int,
                 canonical_focal_px: float) -> tuple[Tensor, Tensor]:
    """
    Canonical depth of the ground along the viewing rays of the cells of a feature map.

    :param mounting: (B, 3) Mounting.plane, zeros where it is not known.
    :returns: signed inverse depth (B, height, width) float32 in 1/m, negative above the horizon,
        0 where the mounting is not known; and its logarithmic depth (B, 2, height, width): log of
        meters, 0 where there is no ground, and 1 where there is, else 0.
    """
    u = pixel_centers(width, stride, intrinsics.device)[None] - intrinsics[:, 2, None]
    v = pixel_centers(height, stride, intrinsics.device)[None] - intrinsics[:, 3, None]
    x, y = u / intrinsics[:, 0, None], v / intrinsics[:, 1, None]
    inverse = (mounting[:, 0, None, None] * x[:, None, :] + mounting[:, 1, None, None]
               * y[:, :, None] + mounting[:, 2, None, None])
    inverse = inverse * metric_factor(intrinsics, canonical_focal_px)[:, None, None]
    near, far = GROUND_LIMITS_M
    there = (inverse > 1.0 / far).float()
    log_depth = -inverse.clamp(1.0 / far, 1.0 / near).log() * there
    return inverse, torch.stack([log_depth, there], dim=1)


def ground_features(mounting: Tensor, intrinsics: Tensor, height: int, width: int, stride: int,
                    canonical_focal_px: float) -> Tensor:
    """
    The ground as features: (B, GROUND_CHANNELS, height, width) of about unit size.

    Ten times the signed inverse depth, the log depth about 12 m, and whether the mounting is
    known.
    """
    inverse, log_depth = ground_plane(mounting, intrinsics, height, width, stride,
                                      canonical_focal_px)
    known = (mounting.abs().sum(1) > 0).float()[:, None, None].expand_as(inverse)
    return torch.stack([(10 * inverse).clamp(-3, 3), log_depth[:, 0] - 2.5 * log_depth[:, 1],
                        known], dim=1)


GROUPS = 8


class GroupNorm(nn.Module):
    """
    Group normalisation (Wu and He, ECCV 2018) with weights of shape (C, 1, 1).

    In this shape they enter an exported graph unchanged, under their own names.
    """

    def __init__(self, channels: int, groups: int = GROUPS) -> None:
        super().__init__()
        self.normalize = nn.GroupNorm(groups, channels, affine=False)
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return self.normalize(x) * self.weight + self.bias


LOG_DEPTH_LIMITS = (-4.6, 9.0)
"""exp of this is 1 cm and 8 km: outside of any camera's use, inside of float16's range."""

LayerNorm = Literal['group', 'batch']
"""Norm of the layers after the backbone; batch norm needs large batches."""

_LAYER_NORMS: dict[LayerNorm, Callable[[int], nn.Module]] = {
    'group': GroupNorm, 'batch': nn.BatchNorm2d}


def conv_block(channels_in: int, channels_out: int, kernel: int = 3, dilation: int = 1,
               norm: LayerNorm = 'group') -> nn.Sequential:
    """Convolution, norm, ReLU: (B, channels_in, H, W) -> (B, channels_out, H, W)."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=dilation * (kernel // 2),
                  dilation=dilation, bias=False),
        _LAYER_NORMS[norm](channels_out), nn.ReLU(inplace=True))


class ASPP(nn.Module):
    """
    Atrous spatial pyramid pooling (DeepLabv3, Chen et al., 2017).

    A 1x1 and three dilated 3x3 convolutions and the mean over the whole map, side by side, then a
    1x1 convolution over all of them: (B, channels_in, h, w) -> (B, width, h, w).

    :param pool_norm: false: the convolution of the mean has a bias and no norm, as in detectron2.
    """

    def __init__(self, channels_in: int, width: int = 256, rates: Sequence[int] = (6, 12, 18),
                 norm: LayerNorm = 'batch', dropout: float = 0.1, *,
                 pool_norm: bool = False) -> None:
        super().__init__()
        self.branches = nn.ModuleList([
            conv_block(channels_in, width, 1, norm=norm),
            *(conv_block(channels_in, width, 3, rate, norm) for rate in rates)])
        self.pool = conv_block(channels_in, width, 1, norm=norm) if pool_norm else (
            nn.Sequential(nn.Conv2d(channels_in, width, 1), nn.ReLU(inplace=True)))
        self.project = conv_block(width * (len(self.branches) + 1), width, 1, norm=norm)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Join the branches."""
        mean = self.pool(x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        joined = torch.cat([*(branch(x) for branch in self.branches), mean], dim=1)
        return self.dropout(self.project(joined))


class FeaturePyramid(nn.Module):
    """
    Feature pyramid network (Lin et al., CVPR 2017) for strides 4 to 64.

    The stride-4 map has no convolution of its own: its only reader starts with one. A global
    average is added at stride 32: depth needs the whole scene, which the receptive field of a
    light backbone does not cover.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.smooth = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1) for _ in channels[1:])
        self.coarser = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.context = nn.Conv2d(channels[-1], width, 1)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, list[Tensor], Tensor]:
        """
        Merge backbone features from coarse to fine.

        :param features: (B, C_i, H/s, W/s) for strides 4, 8, 16, 32.
        :returns: stride-4 map (B, width, H/4, W/4); [p3, p4, p5, p6] at strides 8, 16, 32, 64;
            context (B, width).
        """
        context = self.context(features[-1].mean(dim=(2, 3), keepdim=True))
        merged = self.lateral[-1](features[-1]) + context
        pyramid = [self.smooth[-1](merged)]
        for index in range(len(features) - 2, -1, -1):
            finer = self.lateral[index](features[index])
            merged = finer + interpolate(merged, size=finer.shape[-2:], mode='nearest')
            if index:
                pyramid.insert(0, self.smooth[index - 1](merged))
        pyramid.append(self.coarser(relu(pyramid[-1])))
        return merged, pyramid, context[:, :, 0, 0]


DeformableForm = Literal['operator', 'grid_sample']
"""
operator: DeformConv in ONNX (opset 19); grid_sample: samplings and 1x1 convolutions, for runtimes
without that operator. Equal up to rounding.
"""

_SIDE = 3
_TAPS = _SIDE ** 2


class DeformableConv(nn.Module):
    """
    3x3 modulated deformable convolution (DCNv2, Zhu et al., CVPR 2019).

    (B, channels_in, H, W) -> (B, channels_out, H, W).
    """

    def __init__(self, channels_in: int, channels_out: int, bias: bool,
                 form: DeformableForm = 'operator') -> None:
        super().__init__()
        self.form = form
        self.offset_mask = nn.Conv2d(channels_in, 3 * _TAPS, 3, padding=1)
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels_out)) if bias else None
        nn.init.kaiming_normal_(self.weight, nonlinearity='relu')
        # Start as a plain convolution at half its gain.
        nn.init.zeros_(self.offset_mask.weight)
        assert self.offset_mask.bias is not None
        nn.init.zeros_(self.offset_mask.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; offsets are (row, column) per tap, taps in row-major order."""
        # Without autocast: the operator has no bfloat16 kernel on a CPU, and offsets in cells
        # would be rounded.
        offset_mask = self.offset_mask(x).to(self.weight.dtype)
        x = x.to(self.weight.dtype)
        offset = offset_mask[:, :2 * _TAPS]
        mask = offset_mask[:, 2 * _TAPS:].sigmoid()
        with torch.autocast(x.device.type, enabled=False):
            if self.form == 'operator':
                return deform_conv2d(x, offset, self.weight, self.bias, padding=1, mask=mask)
            return _sampled(x, offset, mask, self.weight, self.bias)


def _sampled(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor,
             bias: Tensor | None) -> Tensor:
    """
    Bilinear samples, zero outside of the map, and a 1x1 convolution over taps and channels.

    One kernel row at a time: all nine taps at once would take nine times the memory of the map,
    and one by one makes a graph of hundreds of samplings.
    """
    height, width = x.shape[-2:]
    tap = torch.arange(_TAPS, device=x.device)[:, None, None]
    rows = pixel_centers(height, 1, x.device)[:, None] + tap // _SIDE - 1
    columns = pixel_centers(width, 1, x.device) + tap % _SIDE - 1
    # grid_sample counts from -1 to 1 between the outer borders of the map.
    v = ((rows + offset[:, 0::2]) * 2 + 1) / height - 1
    u = ((columns + offset[:, 1::2]) * 2 + 1) / width - 1
    grid = torch.stack([u, v], dim=-1)
    total = x.new_zeros(()) if bias is None else bias[None, :, None, None]
    for row in range(_SIDE):
        part = slice(_SIDE * row, _SIDE * (row + 1))
        samples = grid_sample(x, grid[:, part].flatten(1, 2), mode='bilinear',
                              padding_mode='zeros', align_corners=False)
        samples = samples.unflatten(2, (_SIDE, height)) * mask[:, None, part]
        total = total + conv2d(samples.flatten(1, 2),
                               weight[:, :, row].flatten(1)[..., None, None])
    return total
