# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Subscriptions to images and camera_info, into the stream."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from panoptic_depth_core.io.messages.reading import pixels_of, stamp_of
from panoptic_depth_core.io.messages.types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from panoptic_depth_core.io.sources.camera import is_rectified
from panoptic_depth_core.streaming.cameras import CameraMemory
from panoptic_depth_core.streaming.stream import Stream
from panoptic_depth_core.streaming.worker import Job
from panoptic_depth_core.structures import Frame
from panoptic_depth_ros.endpoints import Endpoints, profile
from panoptic_depth_ros.parameters import NodeSettings
from rclpy.node import Node

INFO_TOPIC = '~/input/camera_info'


def image_topic(settings: NodeSettings) -> str:
    """Name of the image topic, relative to the node."""
    return '~/input/image' + ('/compressed' if settings.image_transport == 'compressed' else '')


class Inputs:
    """
    The two subscriptions; they exist while the node is active.

    :param wanted: whether the results have a subscriber.
    """

    def __init__(self, node: Node, endpoints: Endpoints, settings: NodeSettings, stream: Stream,
                 wanted: Callable[[], bool]) -> None:
        self._node = node
        self._stream = stream
        self._wanted = wanted
        self._stamp_ns = 0
        # Of the latest image on arrival.
        self.age_s = math.nan
        topic = image_topic(settings)
        self.cameras = CameraMemory(
            settings.camera_info, is_rectified(node.resolve_topic_name(topic)),
            node.resolve_topic_name(INFO_TOPIC))
        self._subscriptions = [
            endpoints.subscription(INFO_TOPIC, CAMERA_INFO, profile(10, best_effort=True),
                                   self.cameras.remember),
            endpoints.subscription(
                topic, COMPRESSED_IMAGE if settings.image_transport == 'compressed' else IMAGE,
                profile(settings.stream().capacity, best_effort=True), self._take)]

    def camera_problem(self) -> tuple[str, bool]:
        """Problem with the camera of the latest image; see CameraMemory.problem."""
        return self.cameras.problem(self._stamp_ns)

    def close(self) -> None:
        """Remove the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _take(self, message: Any) -> None:
        """Only put it into the mailbox: this is the thread of the executor."""
        stamp_ns = stamp_of(message)
        now_ns = self._node.get_clock().now().nanoseconds
        self._stamp_ns, self.age_s = stamp_ns, (now_ns - stamp_ns) / 1e9
        if not self._wanted():
            self._stream.statistics.seen()
            return

        def decode() -> Frame:
            image = pixels_of(message)
            camera, source = self.cameras.resolve(image.shape[1], image.shape[0], stamp_ns)
            return Frame(image, camera, stamp_ns, message.header.frame_id,
                         intrinsics_source=source)

        self._stream.put(Job(stamp_ns, decode))
