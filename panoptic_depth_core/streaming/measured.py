# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Measured depth of a stream of images: the nearest of the last messages, and its freshness."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import ConfigError
from ..io.cameras.camera_info import is_calibrated
from ..io.messages.reading import stamp_of
from ..io.sources.measured_depth import Locate, MeasuredMessages
from ..rotations import Axes
from ..status import Health, HealthLevel
from ..structures import Frame

NAME = 'measured_depth'
NOT_MEASURED = Health(NAME, HealthLevel.OK, 'not used')


class MeasuredMemory:
    """
    Keeps messages of measured depth, and gives images their points without waiting.

    :ivar missing: why there is no subscription; empty where there is one.
    :param topic: for messages; empty: nothing measures.
    :param locate, axes: see MeasuredMessages; locate is called in the worker thread.
    """

    def __init__(self, topic: str, max_age_s: float, locate: Locate,
                 axes: Axes = 'optical') -> None:
        self.missing = f'{topic}: is not published'
        self._topic = topic
        self._messages = MeasuredMessages(topic, max_age_s, locate, axes=axes)
        # Replaced as one by the worker thread: problem, or age and number of points.
        self._latest: tuple[str, float, int] | None = None

    def configure(self, max_age_s: float) -> None:
        """Change the setting, from the next image on."""
        self._messages.max_age_s = max_age_s

    def remember(self, message: Any) -> None:
        """Add a message of the topic, from one thread."""
        self._messages.remember(message, stamp_of(message))

    def remember_info(self, info: Any) -> None:
        """Add the CameraInfo of depth images; an unusable one is ignored."""
        if is_calibrated(info):
            self._messages.info = info

    def add(self, frame: Frame) -> Frame:
        """The frame with its points, where there are any; in the worker thread."""
        if not self._topic:
            return frame
        try:
            points, stamp_ns, _ = self._messages.points(frame)
        except ConfigError as error:
            self._latest = str(error), 0.0, 0
            return frame
        self._latest = '', abs(frame.stamp_ns - stamp_ns) / 1e9, len(points)
        return replace(frame, measured_points_m=points)

    def health(self) -> Health:
        """How fresh the points of the latest image are."""
        if not self._topic:
            return NOT_MEASURED
        if self.missing:
            return Health(NAME, HealthLevel.WARN, f'{self.missing}; the depth is that of the '
                          'network alone')
        if self._latest is None:
            return Health(NAME, HealthLevel.OK, 'no image yet')
        problem, age_s, count = self._latest
        if problem:
            return Health(NAME, HealthLevel.WARN, f'{problem}; the depth is that of the network '
                          'alone')
        return Health(NAME, HealthLevel.OK, 'points are blended with the depth of the network', {
            'age_s': f'{age_s:.3f}', 'points': str(count)})
