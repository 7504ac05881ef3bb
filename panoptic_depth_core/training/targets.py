# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""From labelled samples to the tensors that the losses compare with."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn.functional import interpolate

from ..config import Settings
from ..labels import LABEL_DIVISOR, THING_CLASSES, VOID_CLASS, class_of
from ..structures import Sample

_IGNORED_THING = 255
_STACKED = ('image', 'intrinsics', 'semantic', 'thing', 'center_known', 'depth')


class TargetSettings(Settings):
    """Which labels become things, and at which pyramid levels; PUBLISHED_TARGETS are others."""

    finest_px: float = Field(64.0, gt=0, description='largest things of the finest level, by the '
                             'root of their box area; it doubles from level to level')
    max_things: int = Field(24, ge=1, lt=_IGNORED_THING, description='things of one image that '
                            'are learned, the largest ones; the rest is ignored')
    least_pixels: int = Field(16, ge=1, description='smaller things are ignored')
    crowds_are_things: bool = Field(False, description='true: the crowds of a class are one '
                                    'thing; false: they are ignored where things are learned')


PUBLISHED_TARGETS = TargetSettings(finest_px=128.0, max_things=150, least_pixels=1,
                                   crowds_are_things=True)
"""Those of the published PanopticDepth."""


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


def collate(samples: list[Sample], settings: TargetSettings | None = None) -> Batch:
    """Stack samples of one size."""
    rows = [_targets(sample, settings or TargetSettings()) for sample in samples]
    stacked = {name: torch.stack([row[name] for row in rows])
               for name in _STACKED}
    return Batch(**stacked, thing_class=[row['thing_class'] for row in rows],
                 thing_box=[row['thing_box'] for row in rows])


def _targets(sample: Sample, settings: TargetSettings) -> dict[str, Tensor]:
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
        is_learned = is_thing if settings.crowds_are_things else instance > 0
        thing, classes, boxes = _index_things(
            truth.panoptic, is_learned, truth.instance_classes, settings)
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
        panoptic: NDArray[np.int32], is_learned: NDArray[np.bool_], labelled: tuple[int, ...],
        settings: TargetSettings) -> tuple[
            NDArray[np.uint8], list[int], list[tuple[int, int, int, int]]]:
    """Number the largest things of a frame 1..; what is too small to learn is to be ignored."""
    learned = panoptic[is_learned]
    # Ids are small: counting them takes a tenth of the time that sorting them does.
    counts = np.bincount(learned)
    ids = np.flatnonzero(counts)
    numbers = np.zeros(len(counts), np.uint8)
    classes: list[int] = []
    for panoptic_id in ids[np.argsort(-counts[ids], kind='stable')].tolist():
        class_id = panoptic_id // LABEL_DIVISOR
        if (class_id not in labelled or len(classes) == settings.max_things
                or counts[panoptic_id] < settings.least_pixels):
            numbers[panoptic_id] = _IGNORED_THING
            continue
        classes.append(class_id)
        numbers[panoptic_id] = len(classes)
    thing = np.zeros(panoptic.shape, np.uint8)
    thing[is_learned] = numbers[learned]
    boxes: list[tuple[int, int, int, int]] = []
    for number in range(1, len(classes) + 1):
        left, top, width, height = cv2.boundingRect((thing == number).view(np.uint8))
        boxes.append((left, top, left + width, top + height))
    return thing, classes, boxes


def root_areas(box: Tensor) -> Tensor:
    """(n, 4) boxes in px -> (n,) roots of their areas in px."""
    return ((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])).sqrt()


def is_of_level(size: Tensor, level: int, levels: int, settings: TargetSettings) -> Tensor:
    """
    Things that a pyramid level answers for.

    The ranges of the levels overlap: finest_px * 2^level is the upper end of each, and a quarter
    of that its lower one. The first has no lower and the last no upper end, so nothing is left
    out. With 128 px and five levels these are the ranges of PanopticDepth.

    :param size: (n,) roots of box areas in px. :returns: (n,) bool.
    """
    top = settings.finest_px * 2.0 ** level
    at_least = torch.ones_like(size, dtype=torch.bool) if level == 0 else size >= top / 4
    return at_least if level == levels - 1 else at_least & (size <= top)


def center_targets(batch: Batch, sizes: list[torch.Size],
                   settings: TargetSettings) -> list[tuple[Tensor, Tensor]]:
    """
    Heat-maps of the levels and where they count.

    A Gaussian at the middle of each thing's visible pixels; its spread follows the box, as in
    CornerNet (Law and Deng, ECCV 2018).

    :param sizes: (h, w) of each level.
    :returns: per level heat (B, T, h, w) float32 0..1, 1 at centres; weight (B, T, h, w) float32
        0 or 1.
    """
    device = batch.thing.device
    height, width = batch.thing.shape[1:]
    weights = [_at_cells(batch.center_known, size).float() for size in sizes]
    heats = [torch.zeros_like(weight) for weight in weights]
    for image, boxes in enumerate(batch.thing_box):
        levels = [is_of_level(root_areas(boxes), level, len(sizes), settings).tolist()
                  for level in range(len(sizes))]
        classes = batch.thing_class[image].tolist()
        for number, box in enumerate(boxes.tolist()):
            channel = THING_CLASSES.index(classes[number])
            middle = _middle(batch.thing[image], number + 1, box)
            for (rows, columns), heat, weight, chosen in zip(
                    sizes, heats, weights, levels, strict=True):
                if not chosen[number]:
                    continue
                stride_v, stride_u = height / rows, width / columns
                row = min(int(middle[0] / stride_v), rows - 1)
                column = min(int(middle[1] / stride_u), columns - 1)
                along_v = _bump(rows, row, (box[3] - box[1]) / stride_v, device)
                along_u = _bump(columns, column, (box[2] - box[0]) / stride_u, device)
                heat[image, channel] = torch.maximum(
                    heat[image, channel], along_v[:, None] * along_u)
                weight[image, channel, row, column] = 1.0
    return list(zip(heats, weights, strict=True))


def _at_cells(maps: Tensor, size: torch.Size) -> Tensor:
    """(..., H, W) -> (..., h, w): the pixel in the middle of each cell."""
    rows, columns = (((torch.arange(cells, device=maps.device) + 0.5) * (side / cells)).long()
                     for side, cells in zip(maps.shape[-2:], size, strict=True))
    return maps[..., rows[:, None], columns]


def _bump(cells: int, middle: int, extent: float, device: torch.device) -> Tensor:
    """(cells,) Gaussian, 1 at the middle, for a box of this extent in cells."""
    sigma = max(0.12 * extent, 0.35)
    return torch.exp(-(torch.arange(cells, device=device) - middle) ** 2 / (2 * sigma ** 2))


def _middle(thing: Tensor, number: int, box: list[float]) -> tuple[float, float]:
    """Mean row and column of a thing's pixels."""
    u0, v0, u1, v1 = (int(x) for x in box)
    inside = (thing[v0:v1, u0:u1] == number).float()
    total = inside.sum().clamp(min=1.0)
    rows = torch.arange(v0, v1, device=thing.device) + 0.5
    columns = torch.arange(u0, u1, device=thing.device) + 0.5
    return (float((inside.sum(1) * rows).sum() / total),
            float((inside.sum(0) * columns).sum() / total))


def things_at_pixels(batch: Batch, image: int) -> Tensor:
    """(n, H, W) float32 0 or 1: the pixels of each thing of an image."""
    number = len(batch.thing_class[image])
    index = torch.arange(1, number + 1, device=batch.thing.device, dtype=torch.uint8)
    return (batch.thing[image][None] == index[:, None, None]).float()


def thing_masks(batch: Batch, image: int, size: torch.Size) -> Tensor:
    """(n, h, w) float32 share of each cell that a thing of an image covers."""
    return interpolate(things_at_pixels(batch, image)[None], size=size, mode='area')[0]


def region_targets(semantic: Tensor, size: torch.Size, classes: int) -> tuple[Tensor, Tensor]:
    """
    Where each class is, at the cells of a level.

    :param semantic: (B, H, W) uint8. :param size: (h, w).
    :returns: (B, C, h, w) float32 share of the cell's known pixels; (B, 1, h, w) float32 share of
        its pixels that are known.
    """
    fine = semantic[:, 1::4, 1::4].long()
    known = (fine != VOID_CLASS).float()[:, None]
    shares = torch.zeros(fine.shape[0], classes + 1, *fine.shape[1:], device=fine.device)
    shares.scatter_(1, torch.where(fine == VOID_CLASS, classes, fine)[:, None], 1.0)
    known = interpolate(known, size=size, mode='area')
    shares = interpolate(shares[:, :classes], size=size, mode='area')
    return shares / known.clamp(min=1e-3), known
