# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Modulated deformable convolution, and the same out of operators that every runtime has."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, grid_sample
from torchvision.ops import deform_conv2d

from .camera import pixel_centers

DeformableForm = Literal['operator', 'grid_sample']
"""
operator: one operator, DeformConv in ONNX (opset 19); grid_sample: samplings and 1x1
convolutions, for runtimes without that operator. Equal but for rounding.
"""

_SIDE = 3
_TAPS = _SIDE ** 2


class DeformableConv(nn.Module):
    """
    3x3 convolution whose taps are moved and weighted by the input (DCNv2, Zhu et al., CVPR 2019).

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
        # Not in the precision of autocast: the operator has no bfloat16 kernel on a CPU, and
        # offsets are in cells, which it would round.
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

    The taps of one kernel row are sampled at once: all nine would take nine times the memory of
    the map, which counts at stride 4, and one by one makes a graph of hundreds of samplings.
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
