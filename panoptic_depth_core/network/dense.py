# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Batches, losses and depth of models that predict maps of classes and depth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy, max_pool2d
from torch.utils.data import default_collate

from ..config import Settings
from ..labels import VOID_CLASS, class_of
from ..model_info import ExtraInput
from ..structures import Sample
from .base import Batch, Model, stack_inputs
from .distributed import normaliser
from .layers import LOG_DEPTH_LIMITS, RAY_CHANNELS, camera_rays, metric_factor
from .segment_table import resize

LOSS_STRIDE = 2
"""Semantic losses and those of depth look at every second row and column."""

CONTEXT_STRIDE = 16
"""Of the coarsest features of a backbone whose last stage is dilated or left out."""

_START_LOG_DEPTH = 2.5
"""ln(12 m), in the middle of what a vehicle sees."""


class DenseDepthSettings(Settings):
    """The camera of a model with a dense map of depth."""

    canonical_focal_px: float = Field(500.0, gt=0, description='focal length of the camera in '
                                      'which depth is predicted')
    camera: Literal['canonical', 'unknown'] = Field(
        'canonical', description='canonical: canonical meters out, scaled by the focal length; '
        'unknown: meters without any camera, as most papers have it')
    rays: bool = Field(True, description='the network sees the viewing rays of the camera; '
                       'without them a crop does not tell where the horizon is. false: as '
                       'published')

    @property
    def ray_channels(self) -> int:
        """Channels that with_rays adds."""
        return RAY_CHANNELS if self.rays else 0

    def with_rays(self, features: Tensor, intrinsics: Tensor) -> Tensor:
        """(B, C, h, w) coarsest features -> (B, C + ray_channels, h, w)."""
        if not self.rays:
            return features
        height, width = features.shape[-2:]
        rays = camera_rays(intrinsics, height, width, CONTEXT_STRIDE, self.canonical_focal_px)
        return torch.cat([features, rays.to(features.dtype)], dim=1)

    def metric(self, intrinsics: Tensor) -> Tensor:
        """(B, 4) intrinsics -> (B,) factor from the predicted to real meters."""
        if self.camera == 'canonical':
            return metric_factor(intrinsics, self.canonical_focal_px)
        return torch.ones_like(intrinsics[:, 1])


@dataclass
class DenseBatch(Batch):
    """
    A batch with labels per pixel, any of which may be unknown.

    :param semantic: (B, H, W) uint8 class ids, VOID_CLASS where unknown.
    :param depth: (B, H, W) float32 meters along Z, NaN where unknown; of the sky too.
    """

    semantic: Tensor
    depth: Tensor


def dense_targets(samples: Sequence[Sample], extra: Sequence[ExtraInput] = ()) -> DenseBatch:
    """Stack samples of one size."""
    return DenseBatch(**stack_inputs(samples, extra), **dense_arrays(samples))


def dense_arrays(samples: Sequence[Sample]) -> dict[str, Any]:
    """Tensors that DenseBatch adds to the inputs."""
    return {'semantic': default_collate([torch.from_numpy(semantic_map(s)) for s in samples]),
            'depth': default_collate([torch.from_numpy(depth_map(s)) for s in samples])}


def semantic_map(sample: Sample) -> NDArray[np.uint8]:
    """(H, W) class ids, VOID_CLASS where unknown."""
    panoptic = sample.truth.panoptic
    if panoptic is None:
        return np.full(sample.frame.image.shape[:2], VOID_CLASS, np.uint8)
    return class_of(panoptic)


def depth_map(sample: Sample) -> NDArray[np.float32]:
    """(H, W) meters, NaN where unknown and of the sky."""
    depth = sample.truth.depth
    if depth is None:
        return np.full(sample.frame.image.shape[:2], np.nan, np.float32)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(np.nan))


class BalancedModel(Model):
    """Base of models whose semantic loss weighs the classes; published losses do not."""

    def __init__(self, settings: Settings | None = None,
                 backbone_weights: Path | str | None = None) -> None:
        super().__init__(settings, backbone_weights)
        # For the semantic loss; not a buffer, as it is no part of the network.
        self.class_weights: Tensor | None = None

    def prepare_losses(self, samples: Iterable[Sample]) -> None:
        """Weigh the classes by how frequent they are."""
        if getattr(self.loss, 'published', None) is None:
            weights = class_weights(samples, len(self.classes), self.loss.class_balance)
            self.class_weights = weights.to(next(self.parameters()).device)


def class_weights(samples: Iterable[Sample], classes: int, balance: float) -> Tensor:
    """
    Weights of classes: frequency in labeled samples to the power of minus ``balance``.

    :returns: (C,) float32, mean 1 over labeled pixels.
    """
    counts = np.ones(classes)
    for sample in samples:
        truth = sample.truth
        if truth.has_semantics and truth.panoptic is not None:
            seen = class_of(truth.panoptic)
            counts += np.bincount(seen[seen != VOID_CLASS], minlength=classes)
    share = counts / counts.sum()
    weights = np.maximum(share, 1e-4) ** -balance
    return torch.tensor(weights / (weights * share).sum(), dtype=torch.float32)


def at_cells(maps: Tensor, size: Sequence[int]) -> Tensor:
    """(..., H, W) -> (..., h, w): the pixel in the middle of each cell."""
    rows, columns = (((torch.arange(cells, device=maps.device) + 0.5) * (side / cells)).long()
                     for side, cells in zip(maps.shape[-2:], size, strict=True))
    return maps[..., rows[:, None], columns]


def semantic_loss(logits: Tensor, semantic: Tensor, weights: Tensor | None = None,
                  stride: int = LOSS_STRIDE, boundary: float = 0.0) -> Tensor:
    """
    Cross entropy at a stride, mean over known pixels.

    :param logits: (B, C, h, w), at any stride. :param semantic: as in DenseBatch.
    :param weights: (C,) float32 of the classes.
    :param boundary: by how much more pixels at the border of two classes count.
    """
    target = semantic[:, ::stride, ::stride].long()
    logits = resize(logits, target.shape[-2:])
    known = target != VOID_CLASS
    if weights is None:
        weights = torch.ones(logits.shape[1], device=logits.device)
    loss = cross_entropy(logits, target, weights, ignore_index=VOID_CLASS, reduction='none')
    weight = weights[torch.where(known, target, 0)] * known
    if boundary:
        share = 1.0 + boundary * class_borders(target)
        loss, weight = loss * share, weight * share
    return loss.sum() / normaliser(weight.sum(), weight.device)


def class_borders(classes: Tensor) -> Tensor:
    """(B, h, w) int64 -> bool: pixels with another known class among their 8 neighbors."""
    known = classes != VOID_CLASS
    highest, lowest = (sign * max_pool2d(
        torch.where(known, sign * classes, -VOID_CLASS - 1).float(), 3, stride=1, padding=1)
        for sign in (1, -1))
    return known & (highest != lowest)


def positive_depth(raw: Tensor) -> Tensor:
    """(B, 1, h, w) -> (B, h, w) canonical meters > 0; 12 m where raw is 0."""
    return (raw[:, 0].float() + _START_LOG_DEPTH).clamp(*LOG_DEPTH_LIMITS).exp()


def log_depth_loss(depth: Tensor, truth: Tensor, metric: Tensor,
                   stride: int = LOSS_STRIDE) -> Tensor:
    """
    Mean error of log depth, see mean_of_images.

    :param depth: (B, h, w) canonical meters > 0, at any stride.
    :param truth: as in DenseBatch. :param metric: (B,), see DenseDepthSettings.
    :param stride: of the pixels of the truth that are looked at.
    """
    truth = truth[:, ::stride, ::stride] / metric[:, None, None]
    known = torch.isfinite(truth)
    predicted = resize(depth[:, None], truth.shape[-2:])[:, 0]
    return mean_of_images((predicted.log() - torch.where(known, truth, 1.0).log()).abs(), known)


def mean_of_pixels(error: Tensor, known: Tensor) -> Tensor:
    """
    Mean over all known pixels of the batch, of all processes.

    :param error: (B, h, w), finite. :param known: (B, h, w) bool.
    """
    return (error * known).sum() / normaliser(known.sum(), error.device)


def mean_of_images(error: Tensor, known: Tensor) -> Tensor:
    """
    Mean over the known pixels of each image, then over images with any, of all processes.

    Each image counts the same: LiDAR labels a twentieth of the pixels that a rendering labels.

    :param error: (B, h, w), finite. :param known: (B, h, w) bool.
    """
    count = known.sum(dim=(1, 2))
    per_image = (error * known).sum(dim=(1, 2)) / count.clamp(min=1)
    return per_image.sum() / normaliser((count > 0).sum(), error.device)
