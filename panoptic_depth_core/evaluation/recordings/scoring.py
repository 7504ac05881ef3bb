# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
Everything that can be said of the results of a recording, frame by frame and summed up.

What a frame's truth cannot judge, or a model does not do, is left out of it: see metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...contract import Task
from ...labels import ClassInfo
from ...structures import PanopticDepth
from ..metrics.base import in_place
from .metrics import all_metrics
from .metrics.frame import ReplayJudged, ReplayRules
from .settings import ReplaySettings
from .structures import ReplayFrame

Record = dict[str, Any]


class BagScore:
    """
    Takes results one by one; scores of bags can be merged, in their order.

    :param classes: the table of truth and prediction; a class id is a row of it.
    """

    def __init__(self, classes: Sequence[ClassInfo], settings: ReplaySettings) -> None:
        self.classes = tuple(classes)
        self.frames = 0
        self.tasks: frozenset[Task] = frozenset()
        self.rules = ReplayRules(settings.evaluation, self.classes, compact=True, replay=settings)
        self.metrics = {metric.name: metric(self.rules) for metric in in_place(all_metrics())}

    def add(self, item: ReplayFrame, result: PanopticDepth, sequence: str = '') -> Record:
        """
        Add the next frame of a bag.

        :param sequence: name of the bag.
        :returns: what is known of this frame alone, as plain values; NaN where not known.
        :raises ValueError: truth or results that do not fit; nothing of the frame is counted.
        """
        frame = ReplayJudged(item.truth, result, self.rules, sequence, item=item)
        try:
            alone = {name: metric.alone(frame) for name, metric in self.metrics.items()
                     if metric.judges(frame)}
        except ValueError as error:
            raise ValueError(f'frame {result.name!r}: {error}') from error
        record: Record = {
            'instances': len(frame.instances) if 'instances' in result.tasks else None,
            **{metric.part: None for metric in self.metrics.values() if metric.part},
            'distances': []}
        for name, metric in alone.items():
            told = metric.record() if metric.part else None
            if isinstance(told, list):
                record[metric.part] += told
            elif told is not None:
                record[metric.part] = {**(record[metric.part] or {}), **told}
            self.metrics[name].merge(metric)
        self.frames += 1
        self.tasks |= result.tasks
        return record

    def merge(self, other: BagScore) -> None:
        """
        Add the frames of another bag.

        :raises ValueError: when it has other settings or classes.
        """
        if self.rules != other.rules:
            raise ValueError('scores have different settings or classes; '
                             'give all recordings the same ones')
        for name, metric in self.metrics.items():
            metric.merge(other.metrics[name])
        self.frames += other.frames
        self.tasks |= other.tasks
