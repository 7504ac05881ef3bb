# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""A frame of a recording as metrics see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....structures import InstanceDistance
from ...metrics.frame import JudgedFrame, Rules, Truth, classes_of
from ..settings import ReplaySettings
from ..structures import ReplayFrame


@dataclass(frozen=True)
class ReplayRules(Rules):
    """Those of data sets, and how recordings are scored."""

    replay: ReplaySettings = field(default_factory=ReplaySettings, kw_only=True)


class Points(NamedTuple):
    """
    Pixels that a point falls on.

    :param metres, predicted: (N,) float32 true and predicted depth.
    :param ids: (N,) uint16 predicted ids.
    :param classes: (N,) uint8 true classes; None where there are no labels.
    """

    metres: NDArray[np.float32]
    predicted: NDArray[np.float32]
    ids: NDArray[np.uint16]
    classes: NDArray[np.uint8] | None


@dataclass(frozen=True)
class ReplayJudged(JudgedFrame):
    """One frame of a recording, all that is known of it, and its result."""

    item: ReplayFrame = field(kw_only=True)

    @cached_property
    def known(self) -> frozenset[Truth]:
        """Which truth there is."""
        parts: dict[Truth, object] = {'lidar': self.item.lidar_depth, 'boxes': self.item.boxes,
                                      'reference': self.item.reference}
        return super().known | {part for part, found in parts.items() if found is not None}

    @cached_property
    def points(self) -> Points:
        """Few pixels have a point: what is judged by a cloud is judged on them alone."""
        depth, result, labels = self.item.lidar_depth, self.result, self.truth.panoptic
        assert depth is not None
        if depth.shape != result.depth.shape:
            raise ValueError(f'points of shape {depth.shape}, results of {result.depth.shape}; '
                             'give results at the size of the image')
        at = np.flatnonzero(np.isfinite(depth))
        return Points(depth.ravel()[at], result.depth.ravel()[at], result.panoptic.ravel()[at],
                      None if labels is None else classes_of(labels.ravel()[at]))

    @cached_property
    def instances(self) -> list[InstanceDistance]:
        """Instances of things; not stuff, nor regions of a thing class without an instance."""
        return [d for d in self.result.distances
                if d.segment.is_thing and d.segment.instance_id > 0]


def of_recording(frame: JudgedFrame) -> ReplayJudged:
    """Frame of a recording, which the metrics of recordings are given alone."""
    assert isinstance(frame, ReplayJudged)
    return frame


def rules_of(rules: Rules) -> ReplaySettings:
    """How recordings are scored."""
    assert isinstance(rules, ReplayRules)
    return rules.replay
