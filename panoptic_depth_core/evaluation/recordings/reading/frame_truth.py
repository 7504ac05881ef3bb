# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""What a recording knows of an image but its pixels: labels, depth, point clouds, boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import ConfigError
from ....io.bags.storage import BagReader, Message
from ....io.messages.point_clouds import xyz_of
from ....io.messages.truth_images import depth_of, ground_truth, labels_of
from ....labels import ClassInfo
from ....structures import Frame, GroundTruth
from ..settings import ReplaySettings
from ..structures import TrueBox
from .boxes import plain_name, true_boxes
from .lidar import lidar_depth
from .motion import RecordedMotion
from .recorded import Note, take_into
from .stamp_window import Group, StampWindow
from .topics import BagTopics

TITLES = {'labels': 'true labels', 'depth': 'true depth', 'lidar': 'lidar depth',
          'boxes': 'true boxes'}


class FrameTruth:
    """
    Messages of truth, until the image comes that they belong to.

    :param calibration: YAML of transforms that win over those of the bag.
    :param note: counts what the user should know.
    :raises ConfigError: a calibration that cannot be read.
    """

    def __init__(self, bag: BagReader, topics: BagTopics, settings: ReplaySettings,
                 calibration: Path | None, note: Note) -> None:
        sync = settings.sync
        self._topics = topics
        self._settings = settings
        self._note = note
        tolerances = {'labels': sync.map_tolerance_s, 'depth': sync.map_tolerance_s,
                      'lidar': sync.lidar_tolerance_s, 'boxes': sync.box_tolerance_s}
        self._windows = {
            kind: StampWindow({topic: bag.topics[topic].count}, tolerance_s, sync.max_waiting)
            for kind, tolerance_s in tolerances.items()
            if (topic := getattr(topics, kind)) is not None}
        # Only places in space need transforms, and looking for them may cost a pass.
        self._motion = RecordedMotion(bag, sync, calibration) if (
            {'lidar', 'boxes'} & set(self._windows)) else None
        if calibration is not None and self._motion is None:
            note(f'{calibration} is not used: neither point clouds nor boxes are read')

    def takers(self) -> Iterator[tuple[str, Callable[[Message], None]]]:
        """Topics and what takes their messages."""
        for kind, window in self._windows.items():
            topic = getattr(self._topics, kind)
            yield topic, partial(take_into, window, key=topic, note=self._note)
        if self._motion is not None:
            for topic in self._motion.topics:
                yield topic, self._motion.take

    def settled(self, stamp_ns: int) -> bool:
        """Whether all that belongs to an image is there, or not to be expected any more."""
        return (all(window.settled(stamp_ns) for window in self._windows.values())
                and (self._motion is None or self._motion.settled(stamp_ns)))

    def forget_before(self, stamp_ns: int) -> None:
        """Drop what cannot belong to an image of this stamp or a later one."""
        for window in self._windows.values():
            window.forget_before(stamp_ns)

    def problems(self) -> dict[str, int]:
        """What is wrong with the transforms -> how often."""
        return {} if self._motion is None else dict(self._motion.problems)

    def maps(self, frame: Frame, classes: tuple[ClassInfo, ...]) -> GroundTruth:
        """Labels and depth of the pixels of a frame."""
        labels = self._map('labels', frame, labels_of)
        depth = self._map('depth', frame, depth_of)
        try:
            return ground_truth(labels, depth, classes)
        except ConfigError as error:
            self._left_out('labels', error)
            return ground_truth(None, depth, classes)

    def lidar(self, frame: Frame) -> NDArray[np.float32] | None:
        """Depth where a point falls on a pixel, see ReplayFrame."""
        group = self._group('lidar', frame)
        if group is None or self._motion is None:
            return None
        (cloud,) = group.messages.values()
        settings = self._settings.lidar
        try:
            to_camera = self._motion.tree.between(
                frame.frame_id, frame.stamp_ns, cloud.header.frame_id,
                group.stamp_ns if settings.compensate_motion else frame.stamp_ns)
            return lidar_depth(xyz_of(cloud), to_camera, frame.intrinsics, settings)
        except ConfigError as error:
            self._left_out('lidar', error)
            return None

    def boxes(self, frame: Frame, classes: tuple[ClassInfo, ...]) -> tuple[TrueBox, ...] | None:
        """Things whose place is known, see ReplayFrame; those of other classes are noted."""
        group = self._group('boxes', frame)
        if group is None or self._motion is None:
            return None
        (message,) = group.messages.values()
        locate = partial(self._motion.tree.between, frame.frame_id, frame.stamp_ns)
        try:
            found = true_boxes(message, locate, frame.intrinsics, self._settings.boxes)
        except ConfigError as error:
            self._left_out('boxes', error)
            return None
        things = {plain_name(c.name) for c in classes if c.is_thing}
        for name in sorted({box.class_name for box in found}):
            if plain_name(name) not in things:
                self._note(f'{self._topics.boxes}: boxes of {name!r} are not judged: the results '
                           'have no thing of that name')
        return found

    def _group(self, kind: str, frame: Frame) -> Group | None:
        """Messages of one kind that belong to a frame."""
        if kind not in self._windows:
            return None
        group = self._windows[kind].nearest(frame.stamp_ns)
        if group is None:
            self._left_out(kind, 'nothing that belongs to the stamp of the image')
        return group

    def _left_out(self, kind: str, reason: object) -> None:
        self._note(f'{getattr(self._topics, kind)}: {reason}; no {TITLES[kind]} for this frame')

    def _map(self, kind: str, frame: Frame, decode: Callable[[Any], Any]) -> Any:
        """Image of truth that belongs to a frame; None where there is none of its size."""
        group = self._group(kind, frame)
        if group is None:
            return None
        (message,) = group.messages.values()
        height, width = frame.image.shape[:2]
        if (message.width, message.height) != (width, height):
            self._left_out(kind, f'is of {message.width}x{message.height} px, the image of '
                                 f'{width}x{height} px')
            return None
        try:
            return decode(message)
        except ConfigError as error:
            self._left_out(kind, error)
            return None
