# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
SOSD-Net (He et al., arXiv 2101.07422): semantics and depth, no instances.

There is no public code; what the paper leaves open is chosen here, and said beside each part.

As published (PUBLISHED_SETTINGS), the camera is unknown: batch norm learns the focal length of the
training pictures. By default depth is canonical: what a network can see of a surface, its class,
its texture and its size du dv in px, is the same through any lens, while its depth in meters is in
proportion to the focal length f'. So both branches and both units predict for a camera of focal
length f_c, where d_c^2 = f_c^2 dX dY / (du dv) has a constant factor only, and f' / f_c multiplies
the depth map once, at the end. To give the clue this factor (and the product of the other unit its
square), and let the branches predict true meters, would scale the clue alone: the depth feature
beside it cannot know f'. To do both would count it twice. The units take the factor all the same,
for heads that know the camera (exchange_units.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from ...config import Settings
from ...contract import Task
from ...io.cameras.camera_options import CITYSCAPES_FOCAL_TIMES_BASELINE
from ...structures import Sample
from ..backbones import BackboneSettings, create_backbone, merge_batch_norm
from ..base import AssemblyRules, NetworkSettings
from ..dense import (
    BalancedModel,
    DenseBatch,
    DenseDepthSettings,
    dense_targets,
    log_depth_loss,
    mean_of_pixels,
    positive_depth,
    semantic_loss,
)
from ..exchange_units import DepthToSemantic, SemanticToDepth
from ..layers import ASPP, LayerNorm, conv_block
from ..segment_table import assemble_regions, resize

DISPARITY_UNIT_PX = 2729.068 / 256
"""In which the published depth map is learned; that of Sener and Koltun (NeurIPS 2018)."""

_LEAST = 1e-2

PUBLISHED_SETTINGS: dict[str, Any] = {
    'backbone': 'xception65', 'backbone_norm': 'batch', 'norm': 'batch', 'width': 256,
    'camera': 'unknown', 'rays': False, 'depth_form': 'disparity'}
"""Of the Cityscapes protocol; that of NYUv2 has ``depth_form: softplus``."""


class SosdSettings(BackboneSettings, DenseDepthSettings, NetworkSettings):
    """Settings of SOSD-Net."""

    width: int = Field(64, ge=64, multiple_of=64, description='channels of the context and of '
                       'the semantic feature; the others are in proportion to it. 256 as '
                       'published')
    norm: LayerNorm = Field('group', description='of what is not the backbone: group, or batch as '
                       'published, which needs large batches')
    depth_form: Literal['exponential', 'softplus', 'disparity'] = Field(
        'exponential', description='of the depth map: log meters, or as published, meters through '
        'softplus, or disparity of Cityscapes through softplus')
    exchange: bool = Field(True, description='false: without the units that exchange clues')


class PublishedSosdLoss(Settings):
    """Of the paper: nothing is weighed, pixels of the input count alike."""


class SosdLoss(Settings):
    """Weights of the losses."""

    semantic: float = Field(1.0, ge=0)
    depth: float = Field(1.0, ge=0, description='by default of log depth, as published of the '
                         'unit of depth_form')
    class_balance: float = Field(0.3, ge=0, le=1, description='classes count by frequency to the '
                                 'power of minus this')
    published: PublishedSosdLoss | None = Field(
        None, description='errors in the unit of depth_form at every pixel, no class_balance')


class TaskBranch(nn.Module):
    """
    The layers that one task has for itself.

    :param low, context: channels of these features.
    :param widths: of its convolutions at stride 4, the last of which makes its feature.
    :param clue: unit that reads the feature of the other task; None: none.
    """

    def __init__(self, low: int, context: int, refined: int, widths: Sequence[int], outputs: int,
                 clue: SemanticToDepth | DepthToSemantic | None, norm: LayerNorm) -> None:
        super().__init__()
        self.refine = conv_block(low, refined, norm=norm)
        channels = [refined + context, *widths]
        self.branch = nn.Sequential(*(conv_block(before, after, norm=norm) for before, after in
                                      zip(channels[:-1], widths, strict=True)))
        self.clue = clue
        self.head = nn.Conv2d(widths[-1] + (clue.channels if clue else 0), outputs, 3, padding=1)

    def feature(self, low: Tensor, context: Tensor) -> Tensor:
        """
        Feature of the task; no gradient flows into it while the branch rests.

        :param low: (B, L, h, w). :param context: (B, C, h, w). :returns: (B, widths[-1], h, w).
        """
        feature: Tensor = self.branch(torch.cat([self.refine(low), context], dim=1))
        rests = self.training and not any(
            parameter.requires_grad for parameter in self.branch.parameters())
        return feature.detach() if rests else feature

    def forward(self, feature: Tensor, common: Tensor, other: Tensor) -> Tensor:
        """:param other: feature of the other task. :returns: (B, outputs, h, w)."""
        if self.clue is not None:
            feature = torch.cat([feature, self.clue(common, other)], dim=1)
        return self.head(feature)


class SosdNetwork(BalancedModel):
    """
    SOSD-Net on any backbone.

    Its parts ``semantic`` and ``depth`` take turns in training (TrainSettings.phases); all else is
    shared.

    :param backbone_weights: state dict file of the backbone; None: random weights.
    """

    name = 'sosd'
    tasks: frozenset[Task] = frozenset(('semantic', 'depth'))
    settings_type = SosdSettings
    loss_type = SosdLoss
    settings: SosdSettings
    loss: SosdLoss
    rules = AssemblyRules()
    class_parameters = ('semantic.head',)
    size_multiple = 16

    def __init__(self, settings: SosdSettings | None = None,
                 backbone_weights: Path | str | None = None) -> None:
        super().__init__(settings)
        s = self.settings
        self.backbone = create_backbone(s, backbone_weights, 'dilated')
        self.input_mean, self.input_std = self.backbone.input_mean, self.backbone.input_std
        finest, *_, coarsest = self.backbone.channels
        # 48, 64 and 128 of 256; group norm needs multiples of 8.
        low, refined, half = 8 * -(-3 * s.width // 128), s.width // 4, s.width // 2
        # The full-image part is the image pooling of the ASPP, the cross-channel learner its 1x1.
        self.context = ASPP(coarsest + s.ray_channels, s.width, norm=s.norm)
        self.low_level = conv_block(finest, low, kernel=1, norm=s.norm)
        self.common = conv_block(low + s.width, half, norm=s.norm)
        self.semantic = TaskBranch(
            low, s.width, refined, [s.width], len(self.classes),
            DepthToSemantic(half, half, s.width // 8, s.norm) if s.exchange else None, s.norm)
        self.depth = TaskBranch(
            low, s.width, refined, [half, half], 1,
            SemanticToDepth(half, s.width, s.norm) if s.exchange else None, s.norm)
        if s.merged_batch_norm:
            merge_batch_norm(self)

    def forward(self, image: Tensor, intrinsics: Tensor) -> dict[str, Tensor]:
        """Map 'semantic' to (B, C, H/4, W/4) logits, 'depth' to (B, 1, H/4, W/4), see meters."""
        finest, *_, coarsest = self.backbone(self.normalised(image))
        low = self.low_level(finest)
        context = resize(self.context(self.settings.with_rays(coarsest, intrinsics)),
                         low.shape[-2:])
        common = self.common(torch.cat([low, context], dim=1))
        semantic, depth = (branch.feature(low, context) for branch in (self.semantic, self.depth))
        return {'semantic': self.semantic(semantic, common, depth),
                'depth': self.depth(depth, common, semantic),
                'metric': self.settings.metric(intrinsics)}

    def meters(self, depth_map: Tensor) -> Tensor:
        """
        Canonical meters of the network's depth map.

        :param depth_map: (B, 1, h, w). :returns: (B, h, w), > 0.
        """
        return self._unit(self._values(depth_map))

    def _values(self, depth_map: Tensor) -> Tensor:
        """(B, 1, h, w) -> (B, h, w) > 0 in the unit of depth_form."""
        if self.settings.depth_form == 'exponential':
            return positive_depth(depth_map)
        return softplus(depth_map[:, 0].float()).clamp(min=_LEAST)

    def _unit(self, values: Tensor) -> Tensor:
        """Canonical meters to the unit of depth_form, or back."""
        if self.settings.depth_form == 'disparity':
            return CITYSCAPES_FOCAL_TIMES_BASELINE / DISPARITY_UNIT_PX / values
        return values

    def deployed(self) -> SosdNetwork:
        """Fold batch norm into the convolutions, in place."""
        merge_batch_norm(self)
        self.settings = self.settings.model_copy(update={'merged_batch_norm': True})
        return self

    def assemble(self, output: dict[str, Tensor], thresholds: Tensor) -> dict[str, Tensor]:
        size = [4 * side // self.rules.output_stride for side in output['depth'].shape[-2:]]
        meters = self.meters(resize(output['depth'], size)) * output['metric'][:, None, None]
        return {**assemble_regions(output['semantic'], thresholds, size), 'depth': meters}

    def targets(self) -> Callable[[Sequence[Sample]], DenseBatch]:
        return dense_targets

    def losses(self, output: dict[str, Tensor], batch: DenseBatch,
               seeds: Sequence[int] | None = None) -> dict[str, Tensor]:
        logits, depth_map, metric = output['semantic'], output['depth'], output['metric']
        if self.loss.published is None:
            semantic = semantic_loss(logits, batch.semantic, self.class_weights)
            depth = log_depth_loss(self.meters(depth_map), batch.depth, metric)
        else:
            semantic = semantic_loss(logits, batch.semantic, stride=1)
            depth = self._unit_loss(depth_map, batch.depth, metric)
        return {'semantic': self.loss.semantic * semantic, 'depth': self.loss.depth * depth}

    def _unit_loss(self, depth_map: Tensor, truth: Tensor, metric: Tensor) -> Tensor:
        """Mean error over the known pixels, in the unit of depth_form."""
        known = torch.isfinite(truth)
        wanted = self._unit(torch.where(known, truth, 1.0) / metric[:, None, None])
        found = self._values(resize(depth_map, truth.shape[-2:]))
        return mean_of_pixels((found - wanted).abs(), known)
