# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""From labelled samples to the tensors that the losses compare with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from ..labels import LABEL_DIVISOR, THING_CLASSES, VOID_CLASS, class_of
from ..structures import Sample

LEVEL_STRIDES = (8, 16, 32, 64)
LEVEL_RANGES_PX = ((1, 64), (32, 128), (64, 256), (128, 4096))
"""A thing belongs to every level whose range holds the root of its box area (reference: x0.5)."""

_MAX_THINGS = 24
_LEAST_PIXELS = 16
_IGNORED_THING = 255
_STACKED = ('image', 'intrinsics', 'semantic', 'thing', 'center_known', 'depth')


@dataclass
class Batch:
    """
    A batch of samples with partial labels.

    :param image: (B, H, W, 3) uint8.
    :param intrinsics: (B, 4) float32.
    :param semantic: (B, H, W) uint8 class ids, VOID_CLASS where unknown.
    :param thing: (B, H, W) uint8, 0 no thing, 1.. index + 1 into ``thing_class``.
    :param center_known: (B, T, H, W) bool: the absence of a thing of this class is known here.
    :param depth: (B, H, W) float32 metres, NaN where unknown.
    :param thing_class: per image (n,) int64 class ids.
    :param thing_box: per image (n, 4) float32 u0, v0, u1, v1 in px, ends exclusive.
    """

    image: Tensor
    intrinsics: Tensor
    semantic: Tensor
    thing: Tensor
    center_known: Tensor
    depth: Tensor
    thing_class: list[Tensor]
    thing_box: list[Tensor]

    def to(self, device: torch.device) -> Batch:
        """Move every tensor to a device."""
        stacked = {name: getattr(self, name).to(device, non_blocking=True) for name in _STACKED}
        return Batch(**stacked, thing_class=[c.to(device) for c in self.thing_class],
                     thing_box=[b.to(device) for b in self.thing_box])


def collate(samples: list[Sample]) -> Batch:
    """Stack samples of one size."""
    rows = [_targets(sample) for sample in samples]
    stacked = {name: torch.stack([row[name] for row in rows])
               for name in _STACKED}
    return Batch(**stacked, thing_class=[row['thing_class'] for row in rows],
                 thing_box=[row['thing_box'] for row in rows])


def _targets(sample: Sample) -> dict[str, Tensor]:
    frame, truth = sample.frame, sample.truth
    height, width = frame.image.shape[:2]
    semantic = np.full((height, width), VOID_CLASS, np.uint8)
    thing = np.zeros((height, width), np.uint8)
    known = np.zeros((len(THING_CLASSES), height, width), np.bool_)
    classes: list[int] = []
    boxes: list[tuple[int, int, int, int]] = []
    if truth.panoptic is not None:
        semantic = class_of(truth.panoptic)
        is_thing = np.isin(semantic, THING_CLASSES)
        instance = np.where(is_thing, truth.panoptic % LABEL_DIVISOR, 0)
        thing, classes, boxes = _index_things(truth.panoptic, instance, truth.instance_classes)
        stuff = (semantic != VOID_CLASS) & ~is_thing & truth.has_semantics
        counted = ~(is_thing & (instance == 0))
        if truth.ignore is not None:
            counted &= ~truth.ignore
        counted &= thing != _IGNORED_THING
        for row, class_id in enumerate(THING_CLASSES):
            known[row] = counted if class_id in truth.instance_classes else stuff
        thing = np.where(thing == _IGNORED_THING, 0, thing)
    depth = truth.depth
    if depth is None:
        depth = np.full((height, width), np.nan, np.float32)
    return {
        'image': torch.from_numpy(frame.image), 'semantic': torch.from_numpy(semantic),
        'intrinsics': torch.from_numpy(frame.intrinsics.as_vector()),
        'thing': torch.from_numpy(thing), 'center_known': torch.from_numpy(known),
        'depth': torch.from_numpy(np.where(np.isfinite(depth), depth, np.float32(np.nan))),
        'thing_class': torch.tensor(classes, dtype=torch.int64),
        'thing_box': torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)}


def _index_things(
        panoptic: NDArray[np.int32], instance: NDArray[np.int32],
        labelled: tuple[int, ...]) -> tuple[
            NDArray[np.uint8], list[int], list[tuple[int, int, int, int]]]:
    """Number the largest things of a frame 1..; what is too small to learn is to be ignored."""
    thing = np.zeros(panoptic.shape, np.uint8)
    ids, counts = np.unique(panoptic[instance > 0], return_counts=True)
    classes: list[int] = []
    boxes: list[tuple[int, int, int, int]] = []
    for order in np.argsort(-counts, kind='stable'):
        class_id = int(ids[order]) // LABEL_DIVISOR
        mask = panoptic == ids[order]
        if (class_id not in labelled or len(classes) == _MAX_THINGS
                or counts[order] < _LEAST_PIXELS):
            thing[mask] = _IGNORED_THING
            continue
        rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
        boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
        classes.append(class_id)
        thing[mask] = len(classes)
    return thing, classes, boxes


def center_targets(batch: Batch, level: int) -> tuple[Tensor, Tensor]:
    """
    Heat-map of one level and where it counts.

    A Gaussian at the middle of each thing's visible pixels; its spread follows the box, as in
    CornerNet (Law and Deng, ECCV 2018).

    :returns: heat (B, T, h, w) float32 0..1, 1 at centres; weight (B, T, h, w) float32 0 or 1.
    """
    stride = LEVEL_STRIDES[level]
    known = batch.center_known[:, :, stride // 2::stride, stride // 2::stride]
    heat = torch.zeros(known.shape, device=known.device)
    weight = known.float()
    low, high = LEVEL_RANGES_PX[level]
    rows = torch.arange(heat.shape[2], device=heat.device)
    columns = torch.arange(heat.shape[3], device=heat.device)
    for image in range(len(batch.thing_class)):
        things = zip(batch.thing_class[image].tolist(), batch.thing_box[image].tolist(),
                     strict=True)
        for number, (class_id, box) in enumerate(things):
            size = ((box[2] - box[0]) * (box[3] - box[1])) ** 0.5
            channel = THING_CLASSES.index(class_id)
            if not low <= size <= high:
                continue
            row, column = (min(int(c / stride), limit - 1) for c, limit in zip(
                _middle(batch.thing[image], number + 1, box), heat.shape[2:], strict=True))
            sigma_v, sigma_u = (max((end - start) / stride * 0.12, 0.35)
                                for start, end in ((box[1], box[3]), (box[0], box[2])))
            blob = torch.exp(-((rows - row) ** 2 / (2 * sigma_v ** 2))[:, None]
                             - ((columns - column) ** 2 / (2 * sigma_u ** 2))[None])
            heat[image, channel] = torch.maximum(heat[image, channel], blob)
            weight[image, channel, row, column] = 1.0
    return heat, weight


def _middle(thing: Tensor, number: int, box: list[float]) -> tuple[float, float]:
    """Mean row and column of a thing's pixels."""
    u0, v0, u1, v1 = (int(x) for x in box)
    inside = (thing[v0:v1, u0:u1] == number).float()
    total = inside.sum().clamp(min=1.0)
    rows = torch.arange(v0, v1, device=thing.device) + 0.5
    columns = torch.arange(u0, u1, device=thing.device) + 0.5
    return (float((inside.sum(1) * rows).sum() / total),
            float((inside.sum(0) * columns).sum() / total))


def thing_masks(batch: Batch, image: int, stride: int) -> Tensor:
    """(n, H/stride, W/stride) float32 share of each cell that a thing of an image covers."""
    number = len(batch.thing_class[image])
    index = torch.arange(1, number + 1, device=batch.thing.device, dtype=torch.uint8)
    masks = (batch.thing[image][None] == index[:, None, None]).float()
    size = [side // stride for side in masks.shape[-2:]]
    return interpolate(masks[None], size=size, mode='area')[0]


def region_targets(semantic: Tensor, stride: int, classes: int) -> tuple[Tensor, Tensor]:
    """
    Where each class is, at the cells of a level.

    :param semantic: (B, H, W) uint8.
    :returns: (B, C, h, w) float32 share of the cell's known pixels; (B, 1, h, w) float32 share of
        its pixels that are known.
    """
    fine = semantic[:, 1::4, 1::4].long()
    known = (fine != VOID_CLASS).float()[:, None]
    shares = torch.zeros(fine.shape[0], classes + 1, *fine.shape[1:], device=fine.device)
    shares.scatter_(1, torch.where(fine == VOID_CLASS, classes, fine)[:, None], 1.0)
    size = [side // stride for side in semantic.shape[-2:]]
    known = interpolate(known, size=size, mode='area')
    shares = interpolate(shares[:, :classes], size=size, mode='area')
    return shares / known.clamp(min=1e-3), known
