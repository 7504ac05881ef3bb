# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Panoptic-DepthLab: one backbone, a decoder each for classes, instances and depth.

Panoptic-DeepLab (Cheng et al., CVPR 2020) with a decoder of depth (arXiv 2308.12937). The defaults
are light and ours: a narrow network without batch norm whose depth is positive and knows the
camera. PUBLISHED_SETTINGS, PUBLISHED_RULES and ``loss: {published: {}}`` are the published system.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ...config import Thresholds, parse_settings
from ...contract import SEGMENTATION, TASKS
from ...structures import Sample
from ..backbones import BackboneSettings, create_backbone, merge_batch_norm
from ..base import ModelDescription, NetworkSettings
from ..dense import BalancedModel, DenseDepthSettings, positive_depth
from ..layers import ASPP, LayerNorm, conv_block
from ..panoptic_depth.network import CITYSCAPES_DATA, TRAINED_FOCAL_RANGE_PX
from ..segment_table import resize
from .checkpoint import has_depth, is_depthlab, weights_as_ours
from .grouping import MAP_STRIDE, PUBLISHED_RULES, GroupingRules, group
from .losses import DepthLabOutput, LossSettings, depthlab_loss, published_loss
from .targets import DepthLabBatch, collate

FOCAL_PX = 2262.52 / 2
"""Of the Cityscapes pictures of its training, which are halved."""

TRAINED_SIZE = (512, 1024)
"""Of these; the depth of the original is right at this size only, though tested at 1024x2048."""

STUFF_AREA = 2048 / (1024 * 2048)
"""A region of less of the picture is void: 2048 px of those of Cityscapes."""


_Width = Annotated[int, Field(ge=8, multiple_of=8)]


class DepthLabSettings(BackboneSettings, DenseDepthSettings, NetworkSettings):
    """Settings of the ``depthlab`` model; the defaults are light."""

    predicts_depth: bool = Field(True, description='false: panoptic segmentation only, as '
                                 'Panoptic-DeepLab')
    depth_form: Literal['positive', 'linear'] = Field(
        'positive', description='linear: meters as they come, as published, which can be negative')
    layer_norm: LayerNorm = Field('group', description='norm of decoders and heads')
    context_width: _Width = Field(64, description='channels of the pyramid pooling (ASPP)')
    projection_widths: tuple[_Width, _Width] = Field(
        (32, 16), description='channels of the backbone that decoders see, at strides 8 and 4')
    decoder_width: _Width = Field(64, description='channels of the decoders of classes and '
                               'depth, and of their heads')
    instance_width: _Width = Field(48, description='channels of the decoder of instances')
    instance_head_width: _Width = Field(32, description='channels of the last layer of its '
                                     'heads')
    dropout: float = Field(0.1, ge=0, lt=1, description='after the pyramid pooling')


PUBLISHED_SETTINGS: dict[str, Any] = {
    'backbone': 'resnet50_deep', 'backbone_norm': 'batch', 'layer_norm': 'batch',
    'depth_form': 'linear', 'rays': False, 'canonical_focal_px': FOCAL_PX, 'context_width': 256,
    'projection_widths': (64, 32), 'decoder_width': 256, 'instance_width': 128}
"""Of the published network. With camera: unknown its depth is to the letter what it was."""


class DepthLabNetwork(BalancedModel):
    """
    Image in, maps of classes, centers, offsets and depth out; the camera scales the meters.

    :param backbone_weights: state dict file of the backbone; None: random weights.
    """

    name = 'depthlab'
    settings_type = DepthLabSettings
    loss_type = LossSettings
    settings: DepthLabSettings
    loss: LossSettings
    rules = GroupingRules()
    class_parameters = ('semantic_head.2',)
    size_multiple = 16

    published_files: ClassVar[str] = (
        'the .pth of Panoptic-DepthLab, or model_final_bd324a.pkl of Panoptic-DeepLab')

    def __init__(self, settings: DepthLabSettings | None = None,
                 backbone_weights: Path | str | None = None) -> None:
        super().__init__(settings)
        s = self.settings
        self.tasks = TASKS if s.predicts_depth else SEGMENTATION
        self.backbone = create_backbone(s, backbone_weights, 'dilated')
        self.input_mean, self.input_std = self.backbone.input_mean, self.backbone.input_std
        wide, narrow = s.decoder_width, s.instance_width
        channels = self.backbone.channels
        self.semantic_decoder = Decoder(s, channels, wide)
        self.semantic_head = _head(s, wide, wide, len(self.classes))
        self.instance_decoder = Decoder(s, channels, narrow)
        self.center_head = _head(s, narrow, s.instance_head_width, 1)
        self.offset_head = _head(s, narrow, s.instance_head_width, 2)
        if s.predicts_depth:
            self.depth_decoder = Decoder(
                s, (*channels[:-1], channels[-1] + s.ray_channels), wide)
            self.depth_head = _head(s, wide, wide, 1)
        if s.merged_batch_norm:
            merge_batch_norm(self)

    def forward(self, image: Tensor, intrinsics: Tensor) -> DepthLabOutput:
        features = self.backbone(self.normalised(image))
        instances = self.instance_decoder(features)
        depth = None
        if self.settings.predicts_depth:
            *finer, coarsest = features
            coarsest = self.settings.with_rays(coarsest, intrinsics)
            raw = self.depth_head(self.depth_decoder([*finer, coarsest]))
            depth = raw[:, 0] if self.settings.depth_form == 'linear' else positive_depth(raw)
        return DepthLabOutput(
            self.semantic_head(self.semantic_decoder(features)), self.center_head(instances),
            self.offset_head(instances), depth, self.settings.metric(intrinsics))

    def deployed(self) -> DepthLabNetwork:
        """Fold batch norm into the convolutions, in place."""
        merge_batch_norm(self)
        self.settings = self.settings.model_copy(update={'merged_batch_norm': True})
        return self

    def assemble(self, output: DepthLabOutput, thresholds: Tensor) -> dict[str, Tensor]:
        rules = self.rules
        assert isinstance(rules, GroupingRules)
        larger = MAP_STRIDE // rules.output_stride
        size = [side * larger for side in output.center.shape[-2:]]
        heat, offset = output.center.float(), output.offset.float()
        if rules.form == 'published':
            heat, offset = resize(heat, size), resize(offset, size) * larger
        made = group(resize(output.semantic, size), heat, offset, thresholds, rules, self.classes)
        if output.depth is not None:
            depth = resize(output.depth[:, None], size)[:, 0]
            made['depth'] = depth * output.metric[:, None, None]
        return made

    def targets(self) -> Callable[[Sequence[Sample]], DepthLabBatch]:
        return partial(collate, classes=self.classes,
                       published=self.loss.published is not None)

    def losses(self, output: DepthLabOutput, batch: DepthLabBatch,
               seeds: Sequence[int] | None = None) -> dict[str, Tensor]:
        if self.loss.published is not None:
            return published_loss(output, batch, self.loss.published)
        return depthlab_loss(output, batch, self.loss, self.class_weights)

    @classmethod
    def reads_published(cls, names: Collection[str]) -> bool:
        return is_depthlab(names)

    @classmethod
    def from_published(cls, weights: Mapping[str, Tensor], source: str,
                       settings: Mapping[str, Any] | None = None) -> DepthLabNetwork:
        """See Model; a checkpoint of Panoptic-DeepLab gives a network without depth."""
        network = cls(parse_settings(DepthLabSettings, {
            **PUBLISHED_SETTINGS, 'predicts_depth': has_depth(weights), **(settings or {})},
            source))
        network.rules = PUBLISHED_RULES
        if network.settings.predicts_depth:
            network.published_size = TRAINED_SIZE
        network.load_state_dict(weights_as_ours(weights, network.state_dict(), source),
                                strict=False)
        return network

    @classmethod
    def published_description(cls, height: int, width: int, **values: Any) -> ModelDescription:
        return super().published_description(height, width, **{
            'model_id': 'panoptic-depthlab-r52-published',
            'trained_focal_range_px': tuple(focal / 2 for focal in TRAINED_FOCAL_RANGE_PX),
            'depth_range_m': (0.5, 80.0), 'padding_rgb': (124, 116, 104),
            'weight_type': 'float32',
            'thresholds': Thresholds(score=0.0, overlap=0.0, void=0.0,
                                     stuff_area=STUFF_AREA),
            'weights_data': (CITYSCAPES_DATA,), **values})


class Decoder(nn.Module):
    """
    Pyramid pooling of the coarsest feature, then finer features join at strides 8 and 4.

    Features of a backbone at strides 4, 8, .., 16 -> (B, width, H/4, W/4).
    """

    def __init__(self, settings: DepthLabSettings, channels: Sequence[int], width: int) -> None:
        super().__init__()
        norm = settings.layer_norm
        self.context = ASPP(channels[-1], settings.context_width, norm=norm,
                            dropout=settings.dropout)
        self.project = nn.ModuleList(
            conv_block(c, p, 1, norm=norm)
            for c, p in zip((channels[1], channels[0]), settings.projection_widths, strict=True))
        self.fuse = nn.ModuleList(
            nn.Sequential(conv_block(p + c, width, norm=norm), conv_block(width, width, norm=norm))
            for p, c in zip(settings.projection_widths, (settings.context_width, width),
                            strict=True))
        if norm == 'batch':
            _initialise(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Decode."""
        x = self.context(features[-1])
        for project, fuse, feature in zip(self.project, self.fuse, (features[1], features[0]),
                                          strict=True):
            x = interpolate(x, size=feature.shape[-2:], mode='bilinear', align_corners=False)
            x = fuse(torch.cat([project(feature), x], dim=1))
        return x


def _head(settings: DepthLabSettings, width: int, last_width: int,
          channels_out: int) -> nn.Sequential:
    """Two convolutions and the prediction."""
    head = nn.Sequential(conv_block(width, width, norm=settings.layer_norm),
                         conv_block(width, last_width, norm=settings.layer_norm),
                         nn.Conv2d(last_width, channels_out, 1))
    # The published start of the predictor, near 0, costs a short run: after 30 iterations of
    # ablation.yaml the cross entropy is 2.7 in place of 1.7.
    if settings.layer_norm == 'batch':
        _initialise(head)
        predictor = head[-1]
        assert isinstance(predictor, nn.Conv2d) and predictor.bias is not None
        nn.init.normal_(predictor.weight, std=0.001)
    return head


def _initialise(module: nn.Module) -> None:
    """Uniform by the number of inputs, as published."""
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            nn.init.kaiming_uniform_(child.weight, a=1)
            if child.bias is not None:
                nn.init.zeros_(child.bias)
