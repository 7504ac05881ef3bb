# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Two models of one task each, which is all that it takes to be a model: see network/base.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from panoptic_depth_core.class_tables import ClassTable, table_classes
from panoptic_depth_core.config import Settings
from panoptic_depth_core.contract import Task
from panoptic_depth_core.labels import VOID_CLASS, ClassInfo, class_of
from panoptic_depth_core.model_info import ExtraInput
from panoptic_depth_core.network.base import AssemblyRules, Batch, Model, stack_inputs
from panoptic_depth_core.structures import Sample
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

USUAL_HEIGHT_M = 1.5


class TinySettings(Settings):
    """Depth alone has no classes."""

    width: int = 8


class TinyClassSettings(TinySettings):
    """What is not depth has."""

    class_table: ClassTable = 'cityscapes'

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """Those of class_table."""
        return table_classes(self.class_table)


class TinyLoss(Settings):
    """One weight."""

    weight: float = 1.0


@dataclass
class TinyBatch(Batch):
    """
    What either of them learns from.

    :param truth: (B, H, W) float32 meters, or int64 classes.
    """

    truth: Tensor


def depth_batch(samples: Sequence[Sample], extra: Sequence[ExtraInput]) -> TinyBatch:
    """Depth, NaN where not known."""
    unknown = np.full(samples[0].frame.image.shape[:2], np.nan, np.float32)
    depths = [unknown if s.truth.depth is None else s.truth.depth for s in samples]
    return TinyBatch(**stack_inputs(samples, extra), truth=torch.from_numpy(np.stack(depths)))


def class_batch(samples: Sequence[Sample]) -> TinyBatch:
    """Classes, VOID_CLASS where not known."""
    void = np.full(samples[0].frame.image.shape[:2], VOID_CLASS, np.uint8)
    classes = [void if s.truth.panoptic is None else class_of(s.truth.panoptic) for s in samples]
    return TinyBatch(**stack_inputs(samples), truth=torch.from_numpy(np.stack(classes)).long())


class _Tiny(Model):
    loss_type = TinyLoss
    rules = AssemblyRules()
    size_multiple = 4

    def __init__(self, settings=None, backbone_weights=None) -> None:
        super().__init__(settings, backbone_weights)
        channels = len(self.classes) or 1
        self.layers = nn.Sequential(
            nn.Conv2d(3, self.settings.width, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(self.settings.width, channels, 3, padding=1))

    def _maps(self, output: Tensor) -> Tensor:
        return interpolate(output, scale_factor=2 / self.rules.output_stride, mode='bilinear')


class TinyDepth(_Tiny):
    """Depth, in proportion to the height of the camera where that is known."""

    name = 'tiny_depth'
    tasks: frozenset[Task] = frozenset({'depth'})
    settings_type = TinySettings
    extra_inputs = (ExtraInput(name='camera_height', shape=(1,)),)

    def forward(self, image: Tensor, intrinsics: Tensor, camera_height: Tensor) -> Tensor:
        """(B, 1, H/2, W/2) log depth."""
        ratio = torch.nan_to_num(camera_height, nan=USUAL_HEIGHT_M) / USUAL_HEIGHT_M
        return self.layers(self.normalised(image)) + ratio.log()[..., None, None]

    def assemble(self, output: Tensor, thresholds: Tensor) -> dict[str, Tensor]:
        """Meters."""
        # A runtime must be given every input, so the graph has to use it.
        return {'depth': self._maps(output)[:, 0].exp() + 0.0 * thresholds.sum()}

    def targets(self) -> Callable[[Sequence[Sample]], TinyBatch]:
        """See Model."""
        return partial(depth_batch, extra=self.extra_inputs)

    def losses(self, output: Tensor, batch: TinyBatch, seeds=None) -> dict[str, Tensor]:
        """Mean error of log depth."""
        truth = batch.truth[:, ::2, ::2]
        known = torch.isfinite(truth)
        error = (output[:, 0] - torch.where(known, truth, 1.0).log()).abs()
        return {'depth': self.loss.weight * (error * known).sum() / known.sum().clamp(min=1)}


class TinySemantic(_Tiny):
    """Classes, and nothing else."""

    name = 'tiny_semantic'
    tasks: frozenset[Task] = frozenset({'semantic'})
    settings_type = TinyClassSettings
    class_parameters = ('layers.2',)

    def forward(self, image: Tensor, intrinsics: Tensor) -> Tensor:
        """(B, C, H/2, W/2) logits."""
        return self.layers(self.normalised(image)) + 0.0 * intrinsics.sum()

    def assemble(self, output: Tensor, thresholds: Tensor) -> dict[str, Tensor]:
        """A region for each class."""
        confidence, index = self._maps(output).softmax(dim=1).max(dim=1)
        owns = index[:, None] == torch.arange(len(self.classes))[:, None, None]
        share = owns.float().mean(dim=(2, 3))
        ids = torch.arange(len(self.classes)).expand(len(share), -1)
        void = confidence < thresholds[3]
        return {
            'segment_index': torch.where(void, 255, index).to(torch.uint8),
            'segments': torch.stack([
                (share > 0).float(), ids.float(), torch.zeros_like(share), torch.ones_like(share),
                torch.full_like(share, torch.nan), share], dim=2)}

    def targets(self) -> Callable[[Sequence[Sample]], TinyBatch]:
        """See Model."""
        return class_batch

    def losses(self, output: Tensor, batch: TinyBatch, seeds=None) -> dict[str, Tensor]:
        """Cross entropy."""
        return {'semantic': self.loss.weight * cross_entropy(
            output, batch.truth[:, ::2, ::2], ignore_index=VOID_CLASS)}
