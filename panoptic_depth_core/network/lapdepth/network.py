# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
LapDepth (Song, Lim and Kim, TCSVT 2021), written from a description: depth alone.

Monocular Depth Estimation Using Laplacian Pyramid-Based Depth Residuals. Our default takes any
backbone, and predicts canonical depth: the exponential of the sum of the pyramid, which reaches
all that a camera sees. The published form is max_depth_m * sigmoid of that sum, which begins with
a sigmoid itself: it lies in -4..5, so nothing is nearer than 1.8 % of max_depth_m, 1.44 m for
KITTI.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ...config import parse_settings
from ...contract import Task
from ...errors import ConfigError
from ...structures import Sample
from ..backbones import BackboneSettings, create_backbone, merge_batch_norm
from ..base import AssemblyRules, Model, ModelDescription
from ..dense import DenseBatch, DenseDepthSettings, dense_targets, positive_depth
from ..segment_table import resize
from .blocks import DecoderNorm, doubled
from .checkpoint import is_published, published_norm, weights_as_ours
from .decoder import LaplacianDecoder
from .losses import LapDepthLossSettings, LapDepthOutput, filled_targets, lapdepth_losses

KITTI_FOCAL_PX = 721.5
"""Vertical focal length of most of KITTI's drives, whose pictures are cropped, not scaled."""

NYU_FOCAL_PX = 519.0
"""Of NYUv2 at 640x480."""

NYU_MAX_DEPTH_M = 10.0


class LapDepthSettings(BackboneSettings, DenseDepthSettings):
    """Settings of ``lapdepth``; the defaults are light enough for a CPU."""

    width: int = Field(128, ge=64, multiple_of=64, description='channels of the context; those '
                       'of the decoder are in proportion; published: 512')
    norm: DecoderNorm = Field('group', description='of the decoder; batch needs large batches')
    laplacian: bool = Field(True, description='false: the same layers without the pyramids of '
                            'picture and depth, for comparison')
    output: Literal['exponential', 'sigmoid'] = Field(
        'exponential', description='from the sum of the pyramid to depth; sigmoid: published')
    max_depth_m: float = Field(80.0, gt=0, description='of output: sigmoid, in canonical meters; '
                               'published: 80 for KITTI, 10 for NYUv2')
    flip_average: bool = Field(False, description='mean of the picture and of its mirror image, '
                               'as published figures have it; twice the time')


PUBLISHED_SETTINGS = LapDepthSettings(
    backbone='resnext101', width=512, norm='batch', output='sigmoid', rays=False,
    canonical_focal_px=KITTI_FOCAL_PX)
"""
As published, but in canonical meters, which are real ones for KITTI's camera, so that another one
gets real meters too. To the letter: camera: unknown.
"""

PUBLISHED_NYU_SETTINGS = PUBLISHED_SETTINGS.model_copy(update={
    'max_depth_m': NYU_MAX_DEPTH_M, 'canonical_focal_px': NYU_FOCAL_PX})
"""The same for NYUv2."""

_TRAINED_FOCAL_RANGE_PX = (515.0, 722.0)
"""From NYUv2 to KITTI; each file knows one end of it."""


class LapDepth(Model):
    """Picture and camera in, depth out; as published, the camera only scales the meters."""

    name = 'lapdepth'
    tasks: frozenset[Task] = frozenset({'depth'})
    settings_type = LapDepthSettings
    loss_type = LapDepthLossSettings
    settings: LapDepthSettings
    loss: LapDepthLossSettings
    rules = AssemblyRules()
    size_multiple = 16

    published_files: ClassVar[str] = 'a .pkl of LapDepth with ResNeXt-101, for KITTI or NYUv2'
    published_size = (352, 1216)

    def __init__(self, settings: LapDepthSettings | None = None,
                 backbone_weights: Path | str | None = None) -> None:
        super().__init__(settings)
        s = self.settings
        self.backbone = create_backbone(s, backbone_weights, last_stage='none')
        self.input_mean, self.input_std = self.backbone.input_mean, self.backbone.input_std
        self.decoder = LaplacianDecoder(
            (self.backbone.stem_channels, *self.backbone.channels), s.width, s.norm, s.laplacian,
            s.ray_channels)
        if s.merged_batch_norm:
            self.decoder.fold()

    def configure(self, rules: dict[str, Any], loss: dict[str, Any], source: str) -> None:
        super().configure(rules, loss, source)
        s = self.settings
        if self.loss.levels and (s.output == 'sigmoid' or not s.laplacian):
            raise ConfigError(f'{source}: loss: levels is {self.loss.levels}, but no coarser '
                              'level has a depth of its own; set it to 0, or network_settings: '
                              '{output: exponential, laplacian: true}')

    def forward(self, image: Tensor, intrinsics: Tensor) -> LapDepthOutput:
        x = self.normalised(image)
        flips = self.settings.flip_average and not self.training
        if flips:
            fx, fy, cx, cy = intrinsics.unbind(1)
            mirror = torch.stack([fx, fy, x.shape[-1] - 1 - cx, cy], dim=1)
            residuals, sums = self._pyramid(torch.cat([x, x.flip(-1)]),
                                            torch.cat([intrinsics, mirror]))
        else:
            residuals, sums = self._pyramid(x, intrinsics)
        depth = self._depth(sums[-1])
        if flips:
            straight, mirrored = depth.chunk(2)
            depth = (straight + mirrored.flip(-1)) / 2
            residuals, sums = ([level.chunk(2)[0] for level in levels]
                               for levels in (residuals, sums))
        if self.settings.output == 'sigmoid':
            residuals = [self.settings.max_depth_m * residual for residual in residuals]
        return LapDepthOutput(depth, residuals, sums, self.settings.metric(intrinsics))

    def _pyramid(self, x: Tensor, intrinsics: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Residuals, and their sums from the coarsest on; see LapDepthOutput."""
        *finer, coarsest = self.backbone.with_stem(x)
        features = [*finer, self.settings.with_rays(coarsest, intrinsics)]
        residuals = self.decoder(features, x, bounds_coarsest=self.settings.output == 'sigmoid')
        sums = [residuals[0]]
        for residual in residuals[1:]:
            sums.append(doubled(sums[-1]) + residual)
        return residuals, sums

    def _depth(self, total: Tensor) -> Tensor:
        if self.settings.output == 'sigmoid':
            return self.settings.max_depth_m * total[:, 0].float().sigmoid()
        return positive_depth(total)

    def assemble(self, output: LapDepthOutput, thresholds: Tensor) -> dict[str, Tensor]:
        depth = output.depth * output.metric[:, None, None]
        size = [side // self.rules.output_stride for side in depth.shape[1:]]
        # A runtime must be given every input, so the graph has to use it.
        return {'depth': resize(depth[:, None], size)[:, 0] + 0.0 * thresholds.sum()}

    def deployed(self) -> LapDepth:
        """Standardize the weights for good, and fold batch norm, in place."""
        merge_batch_norm(self.backbone)
        self.decoder.fold()
        self.settings = self.settings.model_copy(update={'merged_batch_norm': True})
        return self

    def targets(self) -> Callable[[Sequence[Sample]], DenseBatch]:
        return dense_targets if self.loss.published is None else filled_targets

    def losses(self, output: LapDepthOutput, batch: DenseBatch,
               seeds: Sequence[int] | None = None) -> dict[str, Tensor]:
        return lapdepth_losses(output, batch, self.loss, self.settings.max_depth_m)

    @classmethod
    def published_description(cls, height: int, width: int, **values: Any) -> ModelDescription:
        return super().published_description(height, width, **{
            'model_id': 'lapdepth-published', 'trained_focal_range_px': _TRAINED_FOCAL_RANGE_PX,
            'depth_range_m': (0.18, 80.0), 'weight_type': 'float32', **values})

    @classmethod
    def reads_published(cls, names: Collection[str]) -> bool:
        return is_published(names)

    @classmethod
    def from_published(cls, weights: Mapping[str, Tensor], source: str,
                       settings: Mapping[str, Any] | None = None) -> LapDepth:
        """
        Model of one of the authors' files; see Model.

        The weights do not tell KITTI from NYUv2: it is KITTI unless the settings have the
        max_depth_m of NYUv2.
        """
        given = settings or {}
        is_nyu = given.get('max_depth_m') == NYU_MAX_DEPTH_M
        known = PUBLISHED_NYU_SETTINGS if is_nyu else PUBLISHED_SETTINGS
        network = cls(parse_settings(LapDepthSettings, {
            **known.model_dump(), 'norm': published_norm(weights), **given}, source))
        network.load_state_dict(weights_as_ours(weights, network.state_dict(), source),
                                strict=False)
        return network
