# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Publishers of the results of each frame."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from panoptic_depth_core.contract import SEGMENTATION, Ability, Task, abilities
from panoptic_depth_core.inference.distances import not_transformed, transformed
from panoptic_depth_core.io.bags.transforms import TransformError
from panoptic_depth_core.io.messages.maker import UP_BODY, UP_OPTICAL
from panoptic_depth_core.io.messages.outputs import OUTPUTS, FrameMessages, outputs_of
from panoptic_depth_core.io.messages.types import LABEL_INFO
from panoptic_depth_core.labels import ClassInfo
from panoptic_depth_core.structures import Frame, PanopticDepth
from panoptic_depth_ros.endpoints import ROS_MESSAGES, Endpoints, profile
from panoptic_depth_ros.parameters import NodeSettings
from panoptic_depth_ros.transforms import Transforms
from rclpy.node import Node

_QUEUE_DEPTH = {'instances': 10, 'detections_3d': 10}
_FOR_VIEWERS = {'points', 'overlay', 'depth_color'}
_POSITIONS = {'instances', 'detections_3d', 'markers'}


class Outputs:
    """
    Publishes the results of each frame, with the stamp of the image.

    The topics depend on the tasks of the model: see advertise.
    """

    def __init__(self, node: Node, endpoints: Endpoints, settings: NodeSettings,
                 tf: Transforms) -> None:
        self._node = node
        self._endpoints = endpoints
        self._able: frozenset[Ability] = frozenset()
        self._publishers: dict[str, Any] = {}
        self._label_info: Any = None
        self._tf = tf
        self._labels_sent_s = -math.inf
        self.configure(settings)

    def advertise(self, tasks: frozenset[Task]) -> None:
        """
        Create the topics of a model with these tasks, and remove all others.

        Of a model without instances, those of regions are there if the parameters ask for these.
        """
        able = abilities(tasks, self.settings.inference().distance.include_stuff)
        if able == self._able:
            return
        self._able, self._labels_sent_s = able, -math.inf
        for publisher in filter(None, (*self._publishers.values(), self._label_info)):
            self._node.destroy_publisher(publisher)
        self._publishers = {
            name: self._endpoints.publisher(
                f'~/{topic.name}', topic.type,
                profile(5, best_effort=True) if name in _FOR_VIEWERS
                else profile(_QUEUE_DEPTH.get(name, 1)), managed=True)
            for name, topic in outputs_of(able).items()}
        self._label_info = self._endpoints.publisher(
            '~/output/label_info', LABEL_INFO, profile(1, latched=True), managed=True,
        ) if tasks & SEGMENTATION else None

    def configure(self, settings: NodeSettings) -> None:
        """Change the settings."""
        if settings.target_frame:
            self._tf.listen()
        # Last, as the sending thread reads it.
        self.settings = settings

    def wanted(self) -> list[str]:
        """Short names of the topics that are enabled and have a subscriber."""
        settings = self.settings
        return [name for name, publisher in self._publishers.items()
                if getattr(settings.publish, name)
                and not (settings.publish_only_if_subscribed
                         and publisher.get_subscription_count() == 0)]

    def send(self, frame: Frame, result: PanopticDepth, classes: Sequence[ClassInfo]) -> None:
        """Publish the messages of one frame: all or, if one cannot be made, none."""
        settings, names = self.settings, self.wanted()
        position_frame_id = ''
        if settings.target_frame and _POSITIONS & {*names}:
            result, position_frame_id = self._transformed(
                result, settings.target_frame, settings.tf_timeout_ms)
        moved = bool(position_frame_id) and (
            self._tf.axes == 'body' or position_frame_id != frame.frame_id)
        of_frame = FrameMessages(
            ROS_MESSAGES, frame, result, classes, position_frame_id,
            UP_BODY if moved else UP_OPTICAL,
            self._node.get_clock().now().nanoseconds - frame.stamp_ns, settings.points.stride)
        messages: list[tuple[Any, Any]] = [
            (self._publishers[name], OUTPUTS[name].make(of_frame)) for name in names]
        for publisher, message in messages:
            publisher.publish(message)

    def send_label_info(self, classes: Sequence[ClassInfo]) -> None:
        """Publish the table of classes, if there are any and it is due."""
        now_s = time.monotonic()
        if (self._label_info is None
                or now_s - self._labels_sent_s < self.settings.label_info_period_s):
            return
        self._labels_sent_s = now_s
        head = ROS_MESSAGES.header(self._node.get_clock().now().nanoseconds, '')
        self._label_info.publish(ROS_MESSAGES.label_info(head, classes))

    def _transformed(self, result: PanopticDepth, target: str, timeout_ms: float,
                     ) -> tuple[PanopticDepth, str]:
        """
        Transform positions to the target frame at the stamp of the image.

        :returns: the result, and the frame of its positions: without a transform within the
            timeout empty, for that of the camera, with all instances flagged.
        """
        source = result.frame_id
        try:
            matrix = self._tf.from_camera(target, source, result.stamp_ns, timeout_ms)
        except TransformError as error:
            self._node.get_logger().warning(
                f'positions stay in {source!r}: {error}', throttle_duration_sec=5.0)
            distances = not_transformed(result.distances)
            return replace(result, distances=distances), ''
        distances = transformed(result.distances, matrix[:3, :3], matrix[:3, 3])
        return replace(result, distances=distances), target
