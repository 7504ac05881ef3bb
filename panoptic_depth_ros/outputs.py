# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Results of a frame on their way out, by the core's table of topics."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from panoptic_depth_core.contract import SEGMENTATION, Task
from panoptic_depth_core.io.messages.maker import UP_BODY, UP_OPTICAL
from panoptic_depth_core.io.messages.outputs import OUTPUTS, FrameMessages, outputs_of
from panoptic_depth_core.io.messages.types import LABEL_INFO
from panoptic_depth_core.labels import ClassInfo
from panoptic_depth_core.structures import Frame, PanopticDepth
from panoptic_depth_ros.conversions import ROS_MESSAGES
from panoptic_depth_ros.endpoints import Endpoints, profile
from panoptic_depth_ros.instance_frames import Transforms
from panoptic_depth_ros.settings import NodeSettings
from rclpy.node import Node

_DEPTH = {'instances': 10, 'detections_3d': 10}
_FOR_VIEWERS = {'points', 'overlay', 'depth_color'}
_POSITIONS = {'instances', 'detections_3d', 'markers'}


class Outputs:
    """
    Publishes the results of each frame, all with the stamp of the image.

    What they are follows from the model: see advertise.
    """

    def __init__(self, node: Node, endpoints: Endpoints, settings: NodeSettings) -> None:
        self._node = node
        self._endpoints = endpoints
        self._tasks: frozenset[Task] = frozenset()
        self._publishers: dict[str, Any] = {}
        self._label_info: Any = None
        self._transforms: Transforms | None = None
        self._labels_sent_s = -math.inf
        self.configure(settings)

    def advertise(self, tasks: frozenset[Task]) -> None:
        """Have the topics that a model with these tasks can fill, and no others."""
        if tasks == self._tasks:
            return
        self._tasks, self._labels_sent_s = tasks, -math.inf
        for publisher in (*self._publishers.values(), self._label_info):
            if publisher is not None:
                self._node.destroy_publisher(publisher)
        self._label_info = None
        self._publishers = {
            name: self._endpoints.publisher(
                f'~/{topic.name}', topic.type,
                profile(5, best_effort=True) if name in _FOR_VIEWERS
                else profile(_DEPTH.get(name, 1)), managed=True)
            for name, topic in outputs_of(tasks).items()}
        if tasks & SEGMENTATION:
            self._label_info = self._endpoints.publisher(
                '~/output/label_info', LABEL_INFO, profile(1, latched=True), managed=True)

    def configure(self, settings: NodeSettings) -> None:
        """Take other settings."""
        self.settings = settings
        if settings.target_frame and self._transforms is None:
            self._transforms = Transforms(self._node)

    def wanted(self) -> list[str]:
        """Short names of the topics that are published and that somebody listens to."""
        settings = self.settings
        return [name for name, publisher in self._publishers.items()
                if getattr(settings.publish, name)
                and not (settings.publish_only_if_subscribed
                         and publisher.get_subscription_count() == 0)]

    def send(self, frame: Frame, result: PanopticDepth, classes: Sequence[ClassInfo]) -> None:
        """Make the messages of one frame, then send them: all of them or none."""
        settings, names = self.settings, self.wanted()
        position_frame_id = ''
        if settings.target_frame and self._transforms is not None and _POSITIONS & {*names}:
            result, position_frame_id = self._transforms(
                result, settings.target_frame, settings.tf_timeout_ms)
        moved = position_frame_id not in ('', frame.frame_id)
        of_frame = FrameMessages(
            ROS_MESSAGES, frame, result, classes, position_frame_id,
            UP_BODY if moved else UP_OPTICAL,
            self._node.get_clock().now().nanoseconds - frame.stamp_ns,
            settings.scale_source(frame.intrinsics_source), settings.points.stride)
        messages: list[tuple[Any, Any]] = [
            (self._publishers[name], OUTPUTS[name].make(of_frame)) for name in names]
        for publisher, message in messages:
            publisher.publish(message)

    def send_label_info(self, classes: Sequence[ClassInfo]) -> None:
        """Send the table of classes, if there are any and it was last sent long enough ago."""
        now_s = time.monotonic()
        if (self._label_info is None
                or now_s - self._labels_sent_s < self.settings.label_info_period_s):
            return
        self._labels_sent_s = now_s
        head = ROS_MESSAGES.header(self._node.get_clock().now().nanoseconds, '')
        self._label_info.publish(ROS_MESSAGES.label_info(head, classes))
