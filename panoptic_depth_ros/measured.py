# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The topic of measured depth: its subscription, by the type that is published, and its points."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from panoptic_depth_core.io.cameras.topics import usual_camera_info_topic
from panoptic_depth_core.io.messages.types import CAMERA_INFO
from panoptic_depth_core.io.sources.measured_depth import TYPES
from panoptic_depth_core.status import Health
from panoptic_depth_core.streaming.measured import MeasuredMemory
from panoptic_depth_core.structures import Frame
from panoptic_depth_ros.endpoints import Endpoints, profile
from panoptic_depth_ros.parameters import MeasuredDepthParameters
from panoptic_depth_ros.transforms import Transforms
from rclpy.node import Node


class MeasuredInput:
    """Listens to measured depth from the moment it is published."""

    def __init__(self, node: Node, endpoints: Endpoints, tf: Transforms,
                 settings: MeasuredDepthParameters) -> None:
        self._node, self._endpoints, self._tf = node, endpoints, tf
        self._topic = node.resolve_topic_name(settings.topic) if settings.topic else ''
        self._memory = MeasuredMemory(self._topic, settings.max_age_s, self._locate, tf.axes)
        self._subscriptions: list[Any] = []
        if self._topic:
            tf.listen()

    def configure(self, settings: MeasuredDepthParameters) -> None:
        """Change the settings but for the topic."""
        self._memory.configure(settings.max_age_s)

    def look(self) -> None:
        """Subscribe as soon as the topic is there; in the thread of the executor."""
        if not self._topic or self._subscriptions:
            return
        there = [publisher.topic_type for publisher in
                 self._node.get_publishers_info_by_topic(self._topic)]
        known = [kind for kind in TYPES if kind in there]
        self._memory.missing = '' if known else f'{self._topic}: ' + (
            f'is of {there[0]}; give {", ".join(TYPES)}' if there else 'is not published')
        if known:
            quality = profile(5, best_effort=True)
            self._subscriptions = [
                self._endpoints.subscription(
                    self._topic, known[0], quality, self._memory.remember),
                self._endpoints.subscription(
                    usual_camera_info_topic(self._topic), CAMERA_INFO, quality,
                    self._memory.remember_info)]

    def add(self, frame: Frame) -> Frame:
        """See MeasuredMemory."""
        return self._memory.add(frame)

    def health(self) -> Health:
        """See MeasuredMemory."""
        return self._memory.health()

    def _locate(self, frame: Frame, source: str, stamp_ns: int) -> NDArray[Any]:
        """Where the sensor is at its stamp, in the worker thread; without waiting."""
        return self._tf.to_camera(frame.frame_id, source, stamp_ns, timeout_ms=0.0)
