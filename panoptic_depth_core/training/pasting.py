# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Things of one frame in another, with their depth, for classes that real frames hardly show.

A thing is put on the labeled ground: the depth of the ground under its foot gives its size, and
what is nearer stays in front of it. Copy and paste as such: Ghiasi et al., Simple Copy-Paste is a
Strong Data Augmentation Method for Instance Segmentation, CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field

from ..config import Settings
from ..labels import LABEL_DIVISOR, VOID_ID, ClassInfo, class_of
from ..structures import Sample

_GROUND = ('road', 'sidewalk', 'terrain')
_WITH_RIDERS = ('rider', 'bicycle', 'motorcycle')
_LEAST_PIXELS = 60
_LEAST_SEEN = 0.6
_SCALES = (0.3, 1.5)
"""A thing that was enlarged further would be known by its blur."""
_NEARER = 0.97
_TRIES = 4


class PasteSettings(Settings):
    """Things of another row of the data."""

    row: int = Field(ge=0, description='number of the row of data, from 0, that they come from')
    share: float = Field(0.5, ge=0, le=1, description='probability for a frame')
    things: int = Field(3, ge=1, description='at most, in one frame')
    classes: tuple[str, ...] = Field(('person', 'rider', 'truck', 'bus', 'motorcycle', 'bicycle'),
                                     min_length=1, description='that are pasted')


@dataclass(frozen=True)
class _Cutout:
    """
    Things that belong together.

    :param image: (h, w, 3) uint8. :param panoptic: (h, w) int32 ids of them, VOID_ID elsewhere.
    :param depth: (h, w) float32 meters. :param foot_m: depth where they stand.
    """

    image: NDArray[np.uint8]
    panoptic: NDArray[np.int32]
    depth: NDArray[np.float32]
    foot_m: float


def paste(sample: Sample, donor: Sample, settings: PasteSettings,
          classes: Sequence[ClassInfo], rng: Generator) -> Sample:
    """
    Put things of another frame on the ground of a frame whose semantics and depth are known.

    Thing pixels without an instance stay unknown, so a pasted class may join the classes whose
    instances are labeled.

    :param classes: the table of both.
    """
    truth = sample.truth
    if truth.panoptic is None or truth.depth is None or not truth.has_semantics:
        return sample
    ids = [c.class_id for c in classes if c.name in _GROUND]
    places = np.flatnonzero(np.isin(class_of(truth.panoptic), ids) & np.isfinite(truth.depth))
    cutouts = _cutouts(donor, settings.classes, classes)
    for index in rng.permutation(len(cutouts))[:settings.things]:
        sample = _put(sample, cutouts[index], donor.frame.intrinsics.fy, places,
                      [c.class_id for c in classes if c.is_thing], rng)
    return sample


def _cutouts(donor: Sample, wanted: Sequence[str], classes: Sequence[ClassInfo]) -> list[_Cutout]:
    """Things that are seen as a whole: not at the border, nothing in front of them."""
    truth, found = donor.truth, []
    if truth.panoptic is None or truth.depth is None:
        return []
    panoptic, depth = truth.panoptic, truth.depth
    ids, counts = np.unique(panoptic, return_counts=True)
    names = {i: classes[i // LABEL_DIVISOR].name for i in ids[counts >= _LEAST_PIXELS].tolist()
             if i != VOID_ID and i % LABEL_DIVISOR}
    ground = np.isin(class_of(panoptic), [c.class_id for c in classes if c.name in _GROUND])
    used: set[int] = set()
    # A rider comes with what he rides.
    for panoptic_id in sorted(names, key=lambda i: names[i] != 'rider'):
        if panoptic_id in used or names[panoptic_id] not in wanted:
            continue
        mask = panoptic == panoptic_id
        if names[panoptic_id] == 'rider':
            near = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            ridden = [i for i in np.unique(panoptic[near]).tolist()
                      if names.get(i) in _WITH_RIDERS[1:]]
            used.update(ridden)
            mask = np.isin(panoptic, [panoptic_id, *ridden])
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        top, bottom, left, right = rows[0] - 1, rows[-1] + 2, columns[0] - 1, columns[-1] + 2
        height, width = mask.shape
        own = depth[mask]
        if min(top, left) < 0 or bottom > height or right > width or not np.isfinite(own).all():
            continue
        foot_m = float(np.median(depth[rows[-1]][mask[rows[-1]]]))
        window = slice(top, bottom), slice(left, right)
        around = (cv2.dilate(mask[window].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
                  ) & ~mask[window] & ~ground[window]
        # Of a thing behind another one the lower part is missing.
        in_front = depth[window][around] < _NEARER * min(foot_m, float(own.min()))
        if in_front.sum() > 0.05 * len(in_front):
            continue
        found.append(_Cutout(
            donor.frame.image[window],
            np.where(mask[window], panoptic[window], VOID_ID).astype(np.int32), depth[window],
            foot_m))
    return found


def _put(sample: Sample, thing: _Cutout, focal_px: float, places: NDArray[np.int64],
         things: list[int], rng: Generator) -> Sample:
    """
    Draw a place on the ground where the thing is mostly seen; without one it is left out.

    :param focal_px: of the camera that saw it. :param places: flat indices of ground pixels.
    :param things: class ids; their pixels without a depth stay in front.
    """
    truth, fy = sample.truth, sample.frame.intrinsics.fy
    assert truth.panoptic is not None and truth.depth is not None
    before, depth = truth.panoptic, truth.depth
    height, width = before.shape
    # The same size in meters: f' / z' is to f / z as its size in the picture.
    scales = fy / depth.ravel()[places] * (thing.foot_m / focal_px)
    fitting = np.flatnonzero((scales >= _SCALES[0]) & (scales <= _SCALES[1]))
    for _ in range(_TRIES if len(fitting) else 0):
        one = fitting[int(rng.integers(len(fitting)))]
        foot_row, foot_column = divmod(int(places[one]), width)
        scale = float(scales[one])
        size = [max(3, round(side * scale)) for side in thing.panoptic.shape]
        top, left = foot_row - size[0] + 2, foot_column - size[1] // 2
        inner = (slice(max(0, -top), min(size[0], height - top)),
                 slice(max(0, -left), min(size[1], width - left)))
        outer = (slice(top + inner[0].start, top + inner[0].stop),
                 slice(left + inner[1].start, left + inner[1].stop))
        ids, meters = (cv2.resize(array, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
                       for array in (thing.panoptic.astype(np.float32), thing.depth))
        is_thing = ids != VOID_ID
        meters = meters + (depth.ravel()[places[one]] - np.float32(thing.foot_m))
        hidden = (depth[outer] < meters[inner]) | (
            np.isnan(depth[outer]) & np.isin(class_of(before[outer]), things))
        seen = is_thing[inner] & ~hidden & (meters[inner] > 0)
        if seen.sum() < max(_LEAST_PIXELS // 2, _LEAST_SEEN * is_thing.sum()):
            continue
        picture = cv2.resize(thing.image, size[::-1], interpolation=(
            cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR))[inner]
        image, panoptic, meters_now = (sample.frame.image.copy(), before.copy(), depth.copy())
        # Border pixels show a little of what is behind; thin things must not become glass.
        soft = 0.5 + 0.5 * cv2.GaussianBlur(seen.astype(np.float32), (3, 3), 0)
        alpha = (soft * seen)[..., None]
        image[outer] = np.rint(alpha * picture + (1 - alpha) * image[outer]).astype(np.uint8)
        meters_now[outer][seen] = meters[inner][seen]
        known = dict(truth.instance_depth_m)
        covered, number = np.unique(before[outer][seen], return_counts=True)
        for i, count in zip(covered.tolist(), number.tolist(), strict=True):
            # The median of what is left is that of another surface.
            if i in known and count > 0.1 * np.count_nonzero(before == i):
                del known[i]
        for i in np.unique(ids[inner][seen]).astype(int).tolist():
            class_id, mine = i // LABEL_DIVISOR, seen & (ids[inner] == i)
            first = class_id * LABEL_DIVISOR
            taken = panoptic[(panoptic >= first) & (panoptic < first + LABEL_DIVISOR)]
            new = int(max(first, int(taken.max(initial=first))) + 1)
            if new >= first + LABEL_DIVISOR:
                return sample
            panoptic[outer][mine] = new
            known[new] = float(np.median(meters[inner][mine]))
        ignore = truth.ignore
        if ignore is not None:
            ignore = ignore.copy()
            ignore[outer][seen] = False
        labeled = sorted({*truth.instance_classes,
                          *class_of(panoptic[outer][seen]).astype(int).tolist()})
        return replace(sample, frame=replace(sample.frame, image=image), truth=replace(
            truth, panoptic=panoptic, depth=meters_now, ignore=ignore, instance_depth_m=known,
            instance_classes=tuple(labeled)))
    return sample
