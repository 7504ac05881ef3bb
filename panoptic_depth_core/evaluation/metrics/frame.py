# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A frame as metrics see it: its truth, its result, and what several of them need, once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ...labels import VOID_ID, ClassInfo, class_of
from ...structures import GroundTruth, PanopticDepth
from .depth_aware_pq import depth_levels
from .segment_overlaps import JointTable, SegmentOverlaps, joint_table

if TYPE_CHECKING:
    from ..settings import EvaluationSettings

Truth = Literal['semantics', 'instances', 'depth', 'distances', 'lidar', 'boxes', 'reference']
"""What may be known of a frame; reference: another result, which is compared with."""

# A look-up is several times faster than the division of millions of ids.
_CLASS_OF_ID = class_of(np.arange(VOID_ID + 1))


def classes_of(panoptic: NDArray[np.int32]) -> NDArray[np.uint8]:
    """(H, W) uint8 class ids of true panoptic ids."""
    return _CLASS_OF_ID.take(panoptic, mode='clip')


@dataclass(frozen=True)
class Rules:
    """
    What figures depend on beside results and truth.

    :param classes: the table of truth and prediction; a class id is a row of it.
    :param compact: for results without end, see Evaluator.
    """

    settings: EvaluationSettings
    classes: tuple[ClassInfo, ...]
    compact: bool = False

    @property
    def class_names(self) -> list[str]:
        """By class id."""
        return [c.name for c in self.classes]


@dataclass(frozen=True)
class JudgedFrame:
    """
    One frame, its truth and its result; what several metrics need is worked out once.

    :raises ValueError: when truth and prediction differ in size, as soon as that matters.
    """

    truth: GroundTruth
    result: PanopticDepth
    rules: Rules
    sequence: str = ''

    @cached_property
    def known(self) -> frozenset[Truth]:
        """Which truth there is."""
        truth = self.truth
        labels = truth.panoptic is not None
        parts: dict[Truth, bool] = {
            'semantics': labels and truth.has_semantics,
            'instances': labels and bool(truth.instance_classes),
            'distances': labels and bool(truth.instance_depth_m),
            'depth': truth.depth is not None}
        return frozenset(part for part, known in parts.items() if known)

    @cached_property
    def table(self) -> JointTable:
        """Pixels by segments and, where DPQ can be judged, by tolerances of depth."""
        truth, result = self.truth, self.result
        assert truth.panoptic is not None
        tolerances, level = self.rules.settings.tolerances, None
        if truth.depth is not None and {'semantics', 'instances'} <= self.known:
            level = depth_levels(truth.depth, result.depth, tolerances)
        return joint_table(truth.panoptic, result.panoptic, ignore=truth.ignore, level=level,
                           levels=len(tolerances) + 1, predicted_divisor=result.label_divisor)

    @cached_property
    def overlaps(self) -> SegmentOverlaps:
        """How the segments lie on each other."""
        return self.table.overlaps(unlabelled_is_void=self.truth.has_semantics)

    @cached_property
    def judged(self) -> NDArray[np.bool_]:
        """(C,) bool classes that the model tells and of which the truth holds every segment."""
        things = self.truth.instance_classes if 'instances' in self.result.tasks else ()
        stuff = self.truth.has_semantics and 'semantic' in self.result.tasks
        return np.array([c.class_id in things if c.is_thing else stuff
                         for c in self.rules.classes], np.bool_)
