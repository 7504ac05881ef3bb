# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""How pseudo-labels (overlay.py) are made of what networks say of a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..config import Settings
from ..inference.teachers import COCO_CLASSES
from ..labels import CITYSCAPES, CLASS_ID, LABEL_DIVISOR, VOID_CLASS, VOID_ID, class_of
from ..structures import Frame, PanopticDepth

Possible = tuple[NDArray[np.uint8], NDArray[np.bool_]]
"""Classes that each pixel may be of, see overlay.ClassLimits."""

_KINDS = {
    'person': ('person', 'rider'), 'bicycle': ('bicycle',), 'motorcycle': ('motorcycle',),
    'car': ('car', 'truck', 'bus'), 'bus': ('bus', 'truck', 'car'), 'train': ('train', 'bus'),
    'truck': ('truck', 'car', 'bus')}
"""Class of a box -> classes of pixels that may be of the thing in it."""

_CYCLES = [number for number, name in COCO_CLASSES.items() if name in ('bicycle', 'motorcycle')]
_LOWER = 0.05
"""Share of the height of a rider that the wheels are below."""

_LEAST_SIDE_PX, _LEAST_PIXELS = 4, 16

FOUND_CLASSES = tuple(sorted({CLASS_ID[name] for kinds in _KINDS.values() for name in kinds}))
"""Thing classes that a detector of COCO finds."""


class Rules(Settings):
    """What becomes a label."""

    least: float = Field(0.7, ge=0, le=1, description='mean probability of the teachers')
    sure: float = Field(0.9, ge=0, le=1, description='that, where the model sees one of '
                        'model_classes and the teachers another class')
    possible: float = Field(0.25, ge=0, le=1, description='least probability of the possible '
                            'classes together, where the data set limits them')
    model_classes: tuple[str, ...] = Field(
        ('road', 'sidewalk', 'terrain'), description='of which the model has to agree')
    never: tuple[str, ...] = Field((), description='classes that the teachers do not know')
    box_score: float = Field(0.5, ge=0, le=1, description='least score of an instance')
    box_share: float = Field(0.25, ge=0, le=1, description='least share of a box that its thing '
                             'covers')


def semantic_labels(probabilities: NDArray[np.float32], possible: Possible, rules: Rules,
                    of_model: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """
    Classes that are sure enough to learn from.

    Only possible classes share the probability, where the teachers think of them at all. Where
    teachers and model both see one of model_classes, it has to be the same one, whatever the
    probability, and where the teachers alone do, nothing is said.

    :param probabilities: (H, W, 19) float32 mean of the teachers.
    :param of_model: (H, W) uint8 class ids of the model, VOID_CLASS where void; None: no model.
    :returns: (H, W) uint8 class ids of CITYSCAPES, VOID_CLASS where nothing is said.
    """
    groups, table = possible
    share = probabilities * table[groups]
    total = share.sum(-1)
    said = share.argmax(-1).astype(np.uint8)
    sureness = share.max(-1) / np.where(total > 0, total, 1)
    labels = np.where(sureness >= rules.least, said, VOID_CLASS)
    if of_model is not None:
        decides = np.isin(np.arange(VOID_CLASS + 1), [CLASS_ID[n] for n in rules.model_classes])
        labels = np.where(decides[said], np.where(of_model == said, said, VOID_CLASS), labels)
        labels[decides[of_model] & ~decides[said] & (sureness < rules.sure)] = VOID_CLASS
    known = ((total > 0) & (total >= rules.possible)
             & ~np.isin(said, [CLASS_ID[name] for name in rules.never]))
    return np.where(known, labels, VOID_CLASS).astype(np.uint8)


def panoptic_labels(labels: NDArray[np.uint8], possible: Possible, rules: Rules,
                    boxes: NDArray[np.float32]) -> NDArray[np.int32]:
    """
    Cut things out of classes by their boxes: the nearest, which ends lowest, first.

    A thing has the class of most of its pixels; a person over a bicycle or motorcycle is a rider.
    Pixels without a class that can be nothing but such a thing, and are in no other box, are of
    the class of the box. Pixels of things that are in no box are crowds.

    :param labels: of semantic_labels. :param boxes: (N, 6) of BoxDetector.
    :returns: (H, W) int32 panoptic ids, VOID_ID where nothing is said.
    """
    groups, table = possible
    panoptic = np.where(labels == VOID_CLASS, VOID_ID, labels * np.int32(LABEL_DIVISOR))
    boxes = boxes[boxes[:, 4] >= rules.box_score]
    boxes = boxes[np.argsort(-boxes[:, 3], kind='stable')]
    ends = np.clip(np.rint(boxes[:, :4]), 0, [*labels.shape[::-1]] * 2).astype(int).tolist()
    windows = [(slice(top, bottom), slice(left, right)) for left, top, right, bottom in ends]
    boxed = np.zeros(labels.shape, np.int32)
    for window in windows:
        boxed[window] += 1
    free = np.ones(labels.shape, np.bool_)
    numbers = dict.fromkeys(FOUND_CLASSES, 0)
    for box, window in zip(boxes, windows, strict=True):
        if min(labels[window].shape) < _LEAST_SIDE_PX:
            continue
        inside = labels[window]
        name = COCO_CLASSES[int(box[5])]
        kinds = np.isin(np.arange(VOID_CLASS + 1), [CLASS_ID[kind] for kind in _KINDS[name]])
        are_such = np.asarray(table.any(1) & ~table[:, ~kinds[:table.shape[1]]].any(1))
        undecided = ((inside == VOID_CLASS) & are_such[groups[window]]
                     & (boxed[window] == 1))
        covered = (kinds[inside] | undecided) & free[window]
        votes = np.bincount(np.where(undecided, CLASS_ID[name], inside)[covered], minlength=1)
        class_id = CLASS_ID['rider'] if _rides(box, boxes) else int(votes.argmax())
        covered &= table[groups[window], class_id]
        pixels = np.count_nonzero(covered)
        if pixels < max(_LEAST_PIXELS, rules.box_share * covered.size):
            continue
        numbers[class_id] += 1
        panoptic[window][covered] = class_id * LABEL_DIVISOR + numbers[class_id]
        free[window] &= ~covered
    return panoptic


def _rides(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> bool:
    """Whether a box is of a person whose middle is over a cycle that reaches lower."""
    cycles = boxes[np.isin(boxes[:, 5], _CYCLES)]
    middle, height = (box[0] + box[2]) / 2, box[3] - box[1]
    return bool(box[5] == 0 and (
        (cycles[:, 0] < middle) & (middle < cycles[:, 2]) & (cycles[:, 1] < box[3])
        & (cycles[:, 1] > box[1]) & (cycles[:, 3] > box[3] + _LOWER * height)).any())


class Labeler:
    """
    Makes the pseudo-labels of a frame.

    :param teachers: each (H, W, 3) uint8 RGB -> (H, W, 19) float32 probabilities.
    :param detector: of boxes as of BoxDetector; without one all things are crowds.
    :param model: our own, with the classes of CITYSCAPES.
    """

    def __init__(self, teachers: Sequence[Callable[[NDArray[np.uint8]], NDArray[np.float32]]],
                 rules: Rules,
                 detector: Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None = None,
                 model: Callable[[Frame], PanopticDepth] | None = None) -> None:
        self._teachers, self._rules = teachers, rules
        self._detector, self._model = detector, model

    def __call__(self, frame: Frame, possible: Possible) -> NDArray[np.uint16]:
        """(H, W) uint16 panoptic ids of CITYSCAPES, VOID_ID where nothing is said."""
        groups, table = possible
        found = np.full(groups.shape, VOID_ID, np.uint16)
        # The networks see no more than the part in which something is possible.
        left, top, width, height = cv2.boundingRect(
            np.asarray(table.any(1))[groups].view(np.uint8))
        if not width:
            return found
        window = slice(top, top + height), slice(left, left + width)
        image = np.ascontiguousarray(frame.image[window])
        frame = replace(frame, image=image, measured_points_m=None, intrinsics=(
            frame.intrinsics.transformed(1, 1, -left, -top, width, height)))
        possible = groups[window], table
        probabilities = np.mean([teacher(image) for teacher in self._teachers], 0)
        of_model = None
        if self._model is not None:
            result = self._model(frame)
            of_model = class_of(result.panoptic, result.label_divisor)
        labels = semantic_labels(probabilities, possible, self._rules, of_model)
        boxes = (np.zeros((0, 6), np.float32) if self._detector is None
                 else self._detector(image))
        found[window] = panoptic_labels(labels, possible, self._rules, boxes)
        return found


def agreement(truth: NDArray[np.int32], pseudo: NDArray[np.int32]) -> NDArray[np.int64]:
    """
    Count pixels by true class (rows) and by pseudo-label, where the class is known.

    :param truth, pseudo: (H, W) panoptic ids. :returns: (19, 20), the last column is void.
    """
    known = truth != VOID_ID
    classes = len(CITYSCAPES)
    rows = class_of(truth)[known].astype(np.int64)
    columns = np.minimum(class_of(pseudo)[known], classes)
    counts = np.bincount(rows * (classes + 1) + columns, minlength=classes * (classes + 1))
    return np.asarray(counts.reshape(classes, classes + 1))
