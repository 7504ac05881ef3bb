# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
PanopticDepth with ResNet-50 as published (Gao et al., CVPR 2022).

https://github.com/NaiyuGao/PanopticDepth; checkpoint.py converts its checkpoints. The original's
faults that its weights depend on are kept: the mean of the wrong channel, coordinates of the
padded tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelP6P7

from ...config import Thresholds, parse_settings
from ...contract import SEGMENTATION, TASKS
from ...model_info import WeightsData
from ...structures import Sample
from ..backbones import ResNetSettings, create_backbone, merge_batch_norm
from ..base import ModelDescription
from ..dynamic_kernels.assembly import AssemblySettings
from ..dynamic_kernels.kernels import KernelOutput
from ..dynamic_kernels.model import DynamicKernelModel
from ..dynamic_kernels.targets import Batch, collate
from ..layers import DeformableConv, DeformableForm, GroupNorm, metric_factor
from .checkpoint import has_depth, weights_as_ours
from .losses import PUBLISHED_TARGETS, LossChoice, published_loss

FOCAL_PX = 2265.3
"""Vertical focal length of the Cityscapes pictures of its training, at 1024x2048."""

TRAINED_FOCAL_RANGE_PX = (2200.0, 2350.0)
"""Of the cameras of Cityscapes."""

STUFF_AREA_PX = 2048
"""A region of fewer pixels of the image is dropped."""

CITYSCAPES_DATA = WeightsData(
    name='Cityscapes and Cityscapes-DVPS',
    licence='non-commercial, see cityscapes-dataset.com/license',
    attribution='M. Cordts et al., The Cityscapes Dataset, CVPR 2016')

PUBLISHED_ASSEMBLY = AssemblySettings(
    candidates=500, level_candidates=100, mask_candidates=200, max_things=100,
    peak_smoothing=(3, 3, 3, 5, 5), peak_score=0.01, merge_cosine=0.97, keep_chains=False,
    regions='won_cells', max_depth_m=80.0)

_WIDTH = 256
_GROUPS = 32
_DEPTH_CHANNELS = 16


class PublishedSettings(ResNetSettings):
    """Settings of the ``published`` model."""

    canonical_focal_px: float = Field(FOCAL_PX, gt=0)
    predicts_depth: bool = Field(True, description='false: weights of its first two stages, '
                                 'panoptic segmentation only')
    deformable: DeformableForm = Field('operator', description='operator, or grid_sample for '
                                       'runtimes without deformable convolution')
    stride_in: Literal['1x1', '3x3'] = Field(
        '1x1', description='convolution of a block of the backbone that has its stride: 1x1 as '
        'published, 3x3 for ImageNet weights of torchvision')


class PublishedNetwork(DynamicKernelModel):
    """Image in, kernels and embeddings out; the camera only scales the meters."""

    name = 'published'
    settings_type = PublishedSettings
    loss_type = LossChoice
    settings: PublishedSettings
    loss: LossChoice
    rules = PUBLISHED_ASSEMBLY
    class_parameters = ('center', 'region')

    published_files: ClassVar[str] = 'model_final.pth of PanopticDepth with ResNet-50'

    # Pixels without segment have no depth kernel.
    depth_of = 'segments'

    # ImageNet's means in the wrong order: the original subtracts those of RGB from BGR.
    input_mean = (103.53, 116.28, 123.675)
    input_std = (1.0, 1.0, 1.0)

    def __init__(self, settings: PublishedSettings | None = None,
                 backbone_weights: Path | str | None = None) -> None:
        super().__init__(settings)
        s = self.settings
        self.tasks = TASKS if s.predicts_depth else SEGMENTATION
        if s.backbone == 'resnet50':
            self.backbone = create_backbone(s, backbone_weights, mean=self.input_mean,
                                            std=self.input_std)
        else:
            self.backbone = create_backbone(s, backbone_weights)
            self.input_mean, self.input_std = self.backbone.input_mean, self.backbone.input_std
        self.pyramid = FeaturePyramidNetwork(
            list(self.backbone.channels), _WIDTH, LastLevelP6P7(_WIDTH, _WIDTH))
        self.semantic_pyramid = SemanticPyramid()
        self.position_head = _deformable_head(_WIDTH, s.deformable)
        self.center = nn.Conv2d(_WIDTH, len(self.thing_classes), 3, padding=1)
        self.region = nn.Conv2d(_WIDTH, len(self.classes), 3, padding=1)
        self.kernel_head = _head(_WIDTH + 2)
        self.kernel = nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1)
        self.mask_encoder = _encoder(_WIDTH + 2, s.deformable)
        self.thing_projection = nn.Linear(_WIDTH, _WIDTH)
        self.region_projection = nn.Linear(_WIDTH, _WIDTH)
        if s.predicts_depth:
            self.depth_kernel_head = _deformable_head(_WIDTH + 2, s.deformable)
            self.depth_kernel = nn.Conv2d(_WIDTH, 2 + _DEPTH_CHANNELS, 3, padding=1)
            self.depth_encoder = _encoder(_WIDTH + 2, s.deformable)
            self.depth_embedding = nn.Conv2d(_WIDTH, _DEPTH_CHANNELS, 1)
        for conv in (self.center, self.region):
            nn.init.normal_(conv.weight, std=0.01)
            assert conv.bias is not None
            nn.init.constant_(conv.bias, -2.19)

    def forward(self, image: Tensor, intrinsics: Tensor) -> KernelOutput:
        features = self.backbone(self.normalised(image))
        finest, *levels = self.pyramid(
            {str(stage): feature for stage, feature in enumerate(features)}).values()
        positions = [self.position_head(level) for level in levels]
        located = [with_coordinates(level) for level in levels]
        encoded = with_coordinates(self.semantic_pyramid([finest, *levels[:3]]))
        with_depth = self.settings.predicts_depth
        return KernelOutput(
            centers=[self.center(p) for p in positions],
            regions=[self.region(p) for p in positions],
            kernels=[self.kernel(self.kernel_head(level)) for level in located],
            depth_kernels=[self.depth_kernel(self.depth_kernel_head(level))
                           for level in located] if with_depth else [],
            mask_embedding=self.mask_encoder(encoded),
            depth_embedding=self.depth_embedding(self.depth_encoder(encoded))
            if with_depth else None,
            metric=metric_factor(intrinsics, self.settings.canonical_focal_px),
            thing_projection=(self.thing_projection.weight, self.thing_projection.bias),
            region_projection=(self.region_projection.weight, self.region_projection.bias),
            depth_form='linear', thing_classes=self.thing_classes)

    @property
    def onnx_opset(self) -> int:
        """DeformConv came with opset 19."""
        return 19 if self.settings.deformable == 'operator' else 18

    def deployed(self) -> PublishedNetwork:
        """Fold batch norm into the convolutions, in place."""
        merge_batch_norm(self.backbone)
        self.settings = self.settings.model_copy(update={'merged_batch_norm': True})
        return self

    def targets(self) -> Callable[[Sequence[Sample]], Batch]:
        return super().targets() if self.loss.published is None else partial(
            collate, settings=PUBLISHED_TARGETS, classes=self.classes)

    def losses(self, output: KernelOutput, batch: Batch, seeds: Sequence[int] | None = None,
               ) -> dict[str, Tensor]:
        return super().losses(output, batch, seeds) if self.loss.published is None else (
            published_loss(output, batch, self.loss.published))

    @classmethod
    def reads_published(cls, names: Collection[str]) -> bool:
        return any(name.startswith('kernel_head.') for name in names)

    @classmethod
    def from_published(cls, weights: Mapping[str, Tensor], source: str,
                       settings: Mapping[str, Any] | None = None) -> PublishedNetwork:
        network = cls(parse_settings(PublishedSettings, {
            'predicts_depth': has_depth(weights), **(settings or {})}, source))
        network.load_state_dict(weights_as_ours(weights, network.state_dict(), source))
        return network

    @classmethod
    def published_description(cls, height: int, width: int, **values: Any) -> ModelDescription:
        return super().published_description(height, width, **{
            'model_id': 'panoptic-depth-r50-published',
            'trained_focal_range_px': TRAINED_FOCAL_RANGE_PX, 'depth_range_m': (0.5, 80.0),
            # The network's input mean, so that padding becomes zero.
            'padding_rgb': (104, 116, 124), 'weight_type': 'float32',
            'thresholds': Thresholds(score=0.2, overlap=0.5, void=0.0,
                                     stuff_area=STUFF_AREA_PX / (height * width)),
            'weights_data': (CITYSCAPES_DATA,), **values})


class SemanticPyramid(nn.Module):
    """
    Sum of p2..p5, each brought to stride 4 (Panoptic FPN, Kirillov et al., CVPR 2019).

    [(B, 256, H/s, W/s)] for s of 4, 8, 16, 32 -> (B, 256, H/4, W/4).
    """

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_upsampling_branch(doublings) for doublings in range(4))

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Sum the branches."""
        return torch.stack([branch(level) for branch, level in zip(
            self.branches, levels, strict=True)]).sum(0)


def with_coordinates(x: Tensor) -> Tensor:
    """Append a row and a column coordinate, -1..1 over the tensor: two more channels."""
    batch, _, height, width = x.shape
    rows = torch.linspace(-1, 1, height, device=x.device)[:, None]
    columns = torch.linspace(-1, 1, width, device=x.device)[None]
    return torch.cat([x, rows.expand(batch, 1, height, width),
                      columns.expand(batch, 1, height, width)], dim=1)


def _upsampling_branch(doublings: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(max(1, doublings)):
        layers += _conv_norm(nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1, bias=False))
        if doublings:
            layers.append(nn.Upsample(scale_factor=2, mode='bilinear', align_corners=False))
    return nn.Sequential(*layers)


def _conv_norm(conv: nn.Module) -> list[nn.Module]:
    return [conv, GroupNorm(_WIDTH, _GROUPS), nn.ReLU(inplace=True)]


def _head(channels_in: int) -> nn.Sequential:
    return nn.Sequential(*(
        layer for channels in (channels_in, _WIDTH, _WIDTH) for layer in _conv_norm(
            nn.Conv2d(channels, _WIDTH, 3, padding=1, bias=False))))


def _deformable_head(channels_in: int, form: DeformableForm) -> nn.Sequential:
    return nn.Sequential(*(
        layer for channels in (channels_in, _WIDTH, _WIDTH) for layer in _conv_norm(
            DeformableConv(channels, _WIDTH, bias=False, form=form))))


def _encoder(channels_in: int, form: DeformableForm) -> nn.Sequential:
    return nn.Sequential(*(
        layer for channels in (channels_in, _WIDTH, _WIDTH) for layer in (
            DeformableConv(channels, _WIDTH, bias=True, form=form), nn.ReLU(inplace=True))))
