# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The transforms of a recording while it is read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ....errors import ConfigError
from ....io.bags.storage import BagReader, Message, deserialize
from ..settings import SyncSettings
from .transform_tree import TransformTree, read_calibration

TF, TF_STATIC = '/tf', '/tf_static'
TF_MESSAGE = 'tf2_msgs/msg/TFMessage'


class RecordedMotion:
    """
    Fixed transforms of the whole bag, moving ones as they come.

    :param calibration: YAML of transforms that win over those of the bag.
    :raises ConfigError: a calibration that cannot be read.
    """

    def __init__(self, bag: BagReader, sync: SyncSettings, calibration: Path | None) -> None:
        # An image waits for max_delay_s at most, and what belongs to it is older than that.
        self.tree = TransformTree(window_s=2.0 * sync.max_delay_s)
        self._reach_ns = round(1e9 * max(sync.lidar_tolerance_s, sync.box_tolerance_s))
        for mount in () if calibration is None else read_calibration(calibration):
            self.tree.add_static(*mount)
        counts = {name: topic.count for name, topic in bag.topics.items()
                  if topic.type == TF_MESSAGE}
        self._left = counts.get(TF, 0)
        self.topics = (TF,) if self._left else ()
        left = counts.get(TF_STATIC, 0)
        for message in bag.messages((TF_STATIC,)) if left else ():
            self._take(message, is_static=True)
            left -= 1
            # It mostly is at the start of a recording, of which no more has to be read then.
            if not left:
                break

    @property
    def problems(self) -> Counter[str]:
        """What is wrong with the transforms -> how often."""
        return self.tree.problems

    def take(self, message: Message) -> None:
        """Take a message of one of ``topics``."""
        self._left -= 1
        self._take(message, is_static=False)

    def _take(self, message: Message, is_static: bool) -> None:
        try:
            self.tree.add(deserialize(message), is_static)
        except ConfigError as error:
            self.tree.problems[str(error)] += 1

    def settled(self, stamp_ns: int) -> bool:
        """Whether the motion around a stamp is known, or nothing more will be."""
        newest_ns = self.tree.newest_ns
        return self._left <= 0 or (newest_ns is not None
                                   and newest_ns >= stamp_ns + self._reach_ns)
