# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Targets of the losses, from labelled samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import default_collate

from ...config import Settings
from ...labels import CITYSCAPES, LABEL_DIVISOR, VOID_CLASS, ClassInfo, class_of, thing_classes
from ...model_info import ExtraInput
from ...structures import Sample
from .. import base
from ..base import stack_inputs
from ..dense import at_cells, depth_map

_IGNORED_THING = 255
_LISTED = ('thing_channel', 'thing_box', 'thing_middle')


class TargetSettings(Settings):
    """Which labels become things, and at which pyramid levels."""

    finest_px: float = Field(64.0, gt=0, description='largest things of the finest level, by the '
                             'root of their box area; it doubles from level to level')
    max_things: int = Field(24, ge=1, lt=_IGNORED_THING, description='things of one image that '
                            'are learned, the largest ones; the rest is ignored')
    least_pixels: int = Field(16, ge=1, description='smaller things are ignored')
    crowds_are_things: bool = Field(False, description='true: the crowds of a class are one '
                                    'thing; false: they are ignored where things are learned')


@dataclass
class Batch(base.Batch):
    """
    A batch of samples with partial labels.

    :param semantic: (B, H, W) uint8 class ids, VOID_CLASS where unknown.
    :param thing: (B, H, W) uint8, 0 no thing, 1.. index + 1 into ``thing_channel``.
    :param not_crowd: (B, H, W) bool, where the absence of things of complete classes is known.
    :param stuff: (B, H, W) bool, where the absence of all other things is known.
    :param complete: (B, T) bool, classes with all instances labelled.
    :param depth: (B, H, W) float32 meters, NaN where unknown.
    :param thing_channel: per image (n,) int64 center maps of the things' classes.
    :param thing_box: per image (n, 4) float32 u0, v0, u1, v1 in px, ends exclusive.
    :param thing_middle: per image (n, 2) float32 mean row and column of its pixels' middles.
    """

    semantic: Tensor
    thing: Tensor
    not_crowd: Tensor
    stuff: Tensor
    complete: Tensor
    depth: Tensor
    thing_channel: list[Tensor]
    thing_box: list[Tensor]
    thing_middle: list[Tensor]

    def center_known(self, size: torch.Size | None = None) -> Tensor:
        """
        (B, T, h, w) bool: the absence of a thing of this class is known in a cell's middle pixel.

        :param size: (h, w); None: (H, W).
        """
        # Made on demand: T full-size maps would be half of a batch's transfer to a GPU.
        size = size or self.stuff.shape[-2:]
        not_crowd, stuff = (at_cells(m, size)[:, None] for m in (self.not_crowd, self.stuff))
        return torch.where(self.complete[..., None, None], not_crowd, stuff)


def collate(samples: Sequence[Sample], settings: TargetSettings | None = None,
            classes: Sequence[ClassInfo] = CITYSCAPES, extra: Sequence[ExtraInput] = ()) -> Batch:
    """Stack samples of one size, whose class ids are rows of ``classes``."""
    things = thing_classes(classes)
    rows = [_targets(sample, settings or TargetSettings(), things) for sample in samples]
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    return Batch(**stack_inputs(samples, extra), **{
        name: values if name in _LISTED else default_collate(values)
        for name, values in columns.items()})


def _targets(sample: Sample, settings: TargetSettings,
             things: tuple[int, ...]) -> dict[str, Tensor]:
    """:param things: class ids of the center maps."""
    truth = sample.truth
    size = sample.frame.image.shape[:2]
    semantic = np.full(size, VOID_CLASS, np.uint8)
    thing = np.zeros(size, np.uint8)
    not_crowd, stuff = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
    classes: list[int] = []
    panoptic = truth.panoptic
    if panoptic is not None:
        # Targets of a pixel follow from its id: look them up in tables of ids.
        counts = np.bincount(panoptic.ravel())
        ids = np.flatnonzero(counts)
        class_ids = class_of(ids)
        is_thing = np.isin(class_ids, things)
        is_instance = is_thing & (ids % LABEL_DIVISOR > 0)
        is_learned = is_thing if settings.crowds_are_things else is_instance
        numbers, classes = _number_things(
            ids[is_learned], counts, truth.instance_classes, settings)

        def look_up(values: NDArray[Any]) -> NDArray[Any]:
            table = np.zeros(len(counts), values.dtype)
            table[ids] = values
            return np.take(table, panoptic)

        is_ignored = numbers[ids] == _IGNORED_THING
        semantic = look_up(class_ids)
        thing = look_up(np.where(is_ignored, 0, numbers[ids]))
        not_crowd = look_up((is_instance | ~is_thing) & ~is_ignored)
        if truth.ignore is not None:
            not_crowd &= ~truth.ignore
        if truth.has_semantics:
            stuff = look_up((class_ids != VOID_CLASS) & ~is_thing)
    labelled = () if panoptic is None else truth.instance_classes
    boxes, middles = _places(thing, len(classes))
    return {
        'semantic': torch.from_numpy(semantic), 'thing': torch.from_numpy(thing),
        'not_crowd': torch.from_numpy(not_crowd), 'stuff': torch.from_numpy(stuff),
        'complete': torch.tensor([class_id in labelled for class_id in things]),
        'depth': torch.from_numpy(depth_map(sample)),
        'thing_channel': torch.tensor([things.index(c) for c in classes], dtype=torch.int64),
        'thing_box': torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        'thing_middle': torch.tensor(middles, dtype=torch.float32).reshape(-1, 2)}


def _number_things(
        ids: NDArray[np.int64], counts: NDArray[np.int64], labelled: tuple[int, ...],
        settings: TargetSettings) -> tuple[NDArray[np.uint8], list[int]]:
    """
    Number the largest things of a frame 1..; those too small to learn are ignored.

    :param ids: sorted, of the things. :param counts: pixels by id.
    :returns: by id its number, _IGNORED_THING or 0; class ids in the order of the numbers.
    """
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
    return numbers, classes


def _places(thing: NDArray[np.uint8], things: int) -> tuple[list[Any], list[Any]]:
    """Boxes and middles of the things 1.., as in Batch."""
    boxes, middles = [], []
    for number in range(1, things + 1):
        mask = cv2.inRange(thing, number, number)
        left, top, width, height = cv2.boundingRect(mask)
        moments = cv2.moments(mask[top:top + height, left:left + width], binaryImage=True)
        boxes.append((left, top, left + width, top + height))
        middles.append((top + moments['m01'] / moments['m00'] + 0.5,
                        left + moments['m10'] / moments['m00'] + 0.5))
    return boxes, middles


def root_areas(box: Tensor) -> Tensor:
    """(n, 4) boxes in px -> (n,) roots of their areas in px."""
    return ((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])).sqrt()


def is_of_level(size: Tensor, level: int, levels: int, settings: TargetSettings) -> Tensor:
    """
    Things of a pyramid level.

    The ranges of the levels overlap: finest_px * 2^level is the upper end of each, a quarter of
    that the lower one. The first has no lower and the last no upper end. With 128 px and five
    levels these are the ranges of PanopticDepth.

    :param size: (n,) roots of box areas in px. :returns: (n,) bool.
    """
    top = settings.finest_px * 2.0 ** level
    at_least = torch.ones_like(size, dtype=torch.bool) if level == 0 else size >= top / 4
    return at_least if level == levels - 1 else at_least & (size <= top)


def center_targets(batch: Batch, sizes: list[torch.Size],
                   settings: TargetSettings) -> list[tuple[Tensor, Tensor]]:
    """
    Heat maps of the levels and their weights.

    A Gaussian at the middle of each thing's visible pixels, with a spread by the box, as in
    CornerNet (Law and Deng, ECCV 2018).

    :param sizes: (h, w) of each level.
    :returns: per level heat (B, T, h, w) float32 0..1, 1 at centers; weight (B, T, h, w) float32
        0 or 1.
    """
    # All hundreds of things of a batch at once, without synchronising a GPU.
    box, middle = torch.cat(batch.thing_box), torch.cat(batch.thing_middle)
    side = torch.stack([box[:, 3] - box[:, 1], box[:, 2] - box[:, 0]], dim=1)
    image = torch.repeat_interleave(torch.tensor([len(boxes) for boxes in batch.thing_box]))
    of_map = image.to(box.device) * batch.complete.shape[1] + torch.cat(batch.thing_channel)
    targets = []
    for level, size in enumerate(sizes):
        stride = [whole / cells for whole, cells in zip(batch.thing.shape[1:], size, strict=True)]
        row, column = center_cells(middle, batch.thing.shape[1:], size)
        chosen = is_of_level(root_areas(box), level, len(sizes), settings).float()
        bumps = ((_bumps(size[0], row, side[:, 0] / stride[0])
                  * chosen[:, None])[:, :, None]
                 * _bumps(size[1], column, side[:, 1] / stride[1])[:, None, :])
        weight = batch.center_known(size).float()
        heat = torch.zeros_like(weight).flatten(0, 1).scatter_reduce(
            0, of_map[:, None, None].expand_as(bumps), bumps, 'amax').view_as(weight)
        weight.flatten(0, 1).index_put_((of_map, row, column), chosen, accumulate=True)
        targets.append((heat, weight.clamp(max=1.0)))
    return targets


def center_cells(middle: Tensor, image: Sequence[int],
                 size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """
    Cells of a level with the middles of things, the places of their peaks.

    :param middle: (n, 2) as in Batch. :param image, size: rows and columns of image and level.
    :returns: row (n,), column (n,) int64.
    """
    row, column = ((middle[:, axis] * (size[axis] / image[axis])).long().clamp(max=size[axis] - 1)
                   for axis in (0, 1))
    return row, column


def _bumps(cells: int, middle: Tensor, extent: Tensor) -> Tensor:
    """(n,) cells and box extents in cells -> (n, cells) Gaussians, 1 at the middle."""
    sigma = (0.12 * extent).clamp(min=0.35)
    offset = torch.arange(cells, device=middle.device) - middle[:, None]
    return torch.exp(-offset ** 2 / (2 * sigma[:, None] ** 2))


def things_at_pixels(batch: Batch, image: int) -> Tensor:
    """(n, H, W) float32 0 or 1: the pixels of each thing of an image."""
    number = len(batch.thing_channel[image])
    index = torch.arange(1, number + 1, device=batch.thing.device, dtype=torch.uint8)
    return (batch.thing[image][None] == index[:, None, None]).float()


def thing_masks(batch: Batch, image: int, size: torch.Size) -> Tensor:
    """(n, h, w) float32 share of each cell that each thing of an image covers."""
    return interpolate(things_at_pixels(batch, image)[None], size=size, mode='area')[0]


def region_targets(semantic: Tensor, size: torch.Size, classes: int) -> tuple[Tensor, Tensor]:
    """
    Shares of the classes in the cells of a level.

    :param semantic: (B, H, W) uint8. :param size: (h, w).
    :returns: (B, C, h, w) float32 share of the cell's known pixels; (B, 1, h, w) float32 share of
        known pixels.
    """
    fine = semantic[:, 1::4, 1::4].long()
    known = (fine != VOID_CLASS).float()[:, None]
    shares = torch.zeros(fine.shape[0], classes + 1, *fine.shape[1:], device=fine.device)
    shares.scatter_(1, torch.where(fine == VOID_CLASS, classes, fine)[:, None], 1.0)
    known = interpolate(known, size=size, mode='area')
    shares = interpolate(shares[:, :classes], size=size, mode='area')
    return shares / known.clamp(min=1e-3), known
