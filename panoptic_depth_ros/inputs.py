# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""Images and camera_info on their way into the stream."""

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
from panoptic_depth_ros.settings import NodeSettings
from rclpy.node import Node


def image_topic(settings: NodeSettings) -> str:
    """Name of the image topic, relative to the node."""
    return '~/input/image' + ('/compressed' if settings.image_transport == 'compressed' else '')


class Inputs:
    """
    The two subscriptions; made when the node becomes active, so that it costs nothing before.

    :param wanted: whether anybody listens to the results.
    """

    def __init__(self, node: Node, endpoints: Endpoints, settings: NodeSettings, stream: Stream,
                 wanted: Callable[[], bool]) -> None:
        self._node = node
        self._stream = stream
        self._wanted = wanted
        self.age_s = math.nan
        self._stamp_ns = 0
        topic = image_topic(settings)
        info_topic = '~/input/camera_info'
        self._cameras = CameraMemory(settings.camera_info,
                                     is_rectified(node.resolve_topic_name(topic)),
                                     node.resolve_topic_name(info_topic))
        compressed = settings.image_transport == 'compressed'
        depth = settings.stream().capacity
        self._subscriptions = [
            endpoints.subscription(info_topic, CAMERA_INFO, profile(10, best_effort=True),
                                   self._cameras.remember),
            endpoints.subscription(topic, COMPRESSED_IMAGE if compressed else IMAGE,
                                   profile(depth, best_effort=True), self._take)]

    def configure(self, settings: NodeSettings) -> None:
        """Take other settings."""
        self._cameras.settings = settings.camera_info

    def camera_problem(self) -> tuple[str, bool]:
        """What is wrong with the camera of the latest image, and whether it is skipped for it."""
        return self._cameras.problem(self._stamp_ns)

    def close(self) -> None:
        """Take nothing any more."""
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
            camera, source = self._cameras.resolve(image.shape[1], image.shape[0], stamp_ns)
            return Frame(image, camera, stamp_ns, message.header.frame_id,
                         intrinsics_source=source)

        self._stream.put(Job(stamp_ns, decode))
