# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Aligned Xception-65 (Chollet, CVPR 2017; Chen et al., ECCV 2018, section 3.3).

Names are those of timm's ``xception65``, whose ImageNet weights load as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import Tensor, nn
from torch.nn.functional import relu

from .backbones import NORMS, Backbone, BackboneSettings, LastStage, merge_batch_norm
from .weights import load_all, read_state_dict

_NORM_EPSILON = 1e-3
_STEM = (32, 64)
_MIDDLE_BLOCKS = 16
_ENTRY = ((128, 128, 128), (256, 256, 256), (728, 728, 728))
_MIDDLE = (728, 728, 728)
_EXIT = ((728, 1024, 1024), (1536, 1536, 2048))
_REMEDY = "give timm's state dict of xception65, or null for random weights"

MakeNorm = Callable[[int], nn.Module]


class Xception65Backbone(Backbone):
    """
    Xception-65: the features are those before each convolution with a stride, after a ReLU.

    A dilated last stage has dilation 2 after what was the last stride.

    :param weights: state dict file with timm's names.
    """

    stem_channels = _ENTRY[0][1]
    channels: tuple[int, ...] = (_ENTRY[1][1], _ENTRY[2][1], _EXIT[0][1], _EXIT[1][2])

    def __init__(self, settings: BackboneSettings | None = None,
                 weights: Path | str | None = None, last_stage: LastStage = 'strided') -> None:
        super().__init__()
        s = settings or BackboneSettings(backbone='xception65')
        norm = partial(NORMS[s.backbone_norm], eps=_NORM_EPSILON)
        dilation = 2 if last_stage == 'dilated' else 1
        self.stem = nn.Sequential(_conv_norm(3, _STEM[0], 3, 2, norm, nn.ReLU(inplace=True)),
                                  _conv_norm(*_STEM, 3, 1, norm, nn.ReLU(inplace=True)))
        rows = [*((widths, 2) for widths in _ENTRY), *[(_MIDDLE, 1)] * _MIDDLE_BLOCKS,
                (_EXIT[0], 2 // dilation)]
        blocks: list[_Block | _LastBlock] = []
        before = _STEM[1]
        for widths, stride in rows:
            blocks.append(_Block((before, *widths), stride, norm))
            before = widths[-1]
        blocks.append(_LastBlock((before, *_EXIT[1]), dilation, norm))
        self.blocks = nn.ModuleList(blocks)
        if weights is not None:
            given = read_state_dict(weights, _REMEDY)
            load_all(self, {name: value for name, value in given.items()
                            if not name.startswith('head.')}, str(weights), _REMEDY)
        if last_stage == 'none':
            self.channels = self.channels[:-1]
            self.blocks = self.blocks[:-1]
            del blocks[-2].stack['conv3'], blocks[-2].shortcut
        if s.merged_batch_norm:
            merge_batch_norm(self)

    def with_stem(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        taps: list[Tensor] = []
        for block in self.blocks:
            if isinstance(block, _Block):
                inner = block.inner(x)
                if block.is_tapped:
                    taps.append(inner)
                # Without a last stage this is all.
                if len(taps) <= len(self.channels):
                    x = block(x, inner)
            else:
                taps.append(block(x))
        return taps


class _Block(nn.Module):
    """
    Three separable convolutions, a ReLU before each, beside a shortcut.

    :param widths: channels before and after each convolution.
    :param stride: of the last one.
    """

    def __init__(self, widths: tuple[int, int, int, int], stride: int, norm: MakeNorm) -> None:
        super().__init__()
        self.is_tapped = widths[0] != widths[-1]
        self.shortcut = (_conv_norm(widths[0], widths[-1], 1, stride, norm) if self.is_tapped
                         else None)
        self.stack = _stack(widths, stride, 1, norm)

    def inner(self, x: Tensor) -> Tensor:
        """Input of the last convolution."""
        # The first ReLU is not in place: the shortcut reads x.
        return relu(self.stack['conv2'](relu(self.stack['conv1'](relu(x)))))

    def forward(self, x: Tensor, inner: Tensor) -> Tensor:
        """:param inner: of x."""
        beside = x if self.shortcut is None else self.shortcut(x)
        after: Tensor = self.stack['conv3'](inner) + beside
        return after


class _LastBlock(nn.Module):
    """Three separable convolutions with a ReLU after each part, and no shortcut."""

    def __init__(self, widths: tuple[int, int, int, int], dilation: int, norm: MakeNorm) -> None:
        super().__init__()
        self.stack = _stack(widths, 1, dilation, norm, nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1024, h, w) -> (B, 2048, h, w)."""
        for conv in self.stack.values():
            x = conv(x)
        return x


def _stack(widths: tuple[int, int, int, int], stride: int, dilation: int, norm: MakeNorm,
           activation: nn.Module | None = None) -> nn.ModuleDict:
    """conv1 to conv3, each a depthwise and a pointwise convolution."""
    stack = nn.ModuleDict()
    for number in (1, 2, 3):
        before, after = widths[number - 1:number + 1]
        stack[f'conv{number}'] = _sequence(
            conv_dw=nn.Conv2d(before, before, 3, stride if number == 3 else 1, dilation, dilation,
                              groups=before, bias=False),
            bn_dw=norm(before), act_dw=activation,
            conv_pw=nn.Conv2d(before, after, 1, bias=False), bn_pw=norm(after), act_pw=activation)
    return stack


def _conv_norm(channels_in: int, channels_out: int, side: int, stride: int, norm: MakeNorm,
               activation: nn.Module | None = None) -> nn.Sequential:
    return _sequence(conv=nn.Conv2d(channels_in, channels_out, side, stride, side // 2,
                                    bias=False),
                     bn=norm(channels_out), act=activation)


def _sequence(**modules: nn.Module | None) -> nn.Sequential:
    """Those that are there, by name."""
    made = nn.Sequential()
    for name, module in modules.items():
        if module is not None:
            made.add_module(name, module)
    return made
